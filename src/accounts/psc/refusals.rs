//! Tokens and authorization codes that Pro Santé Connect refused, counted by who sent them: made-up ones cost it requests under
//! our name, and who sends nothing else is put off before it is asked.
//!
//! Only what was refused counts: a region's software comes from few addresses, and as long as its tokens are good it may come as
//! often as it likes. What is remembered of a token is answered whatever the count.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::PscError;
use crate::accounts::Subscriber;

/// How long a count lasts.
const MINUTE: Duration = Duration::from_secs(60);

/// Most origins in the table.
const ENTRIES: usize = 10_000;

/// A minute's refusals of one sender.
struct Count {
    since: Instant,
    refused: u32,
}

impl Count {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= MINUTE
    }
}

/// The counts. Bounded: with the table full the older half is forgotten.
pub(super) struct Refusals {
    /// A minute, of one sender.
    most: u32,
    counts: Mutex<HashMap<Subscriber, Count>>,
}

impl Refusals {
    pub(super) fn new(most: u32) -> Self {
        Self { most, counts: Mutex::default() }
    }

    /// Whether Pro Santé Connect may be asked for this sender.
    ///
    /// # Errors
    /// [`PscError::PutOff`]: until the sender's minute is over.
    pub(super) fn admit(&self, sender: Option<Subscriber>, now: Instant) -> Result<(), PscError> {
        let Some(sender) = sender else { return Ok(()) };
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get(&sender) {
            Some(count) if !count.is_over(now) && count.refused >= self.most => {
                Err(PscError::PutOff(MINUTE.saturating_sub(now.saturating_duration_since(count.since))))
            }
            _ => Ok(()),
        }
    }

    /// Pro Santé Connect is about to be asked.
    pub(super) fn asking(&self, sender: Option<Subscriber>) -> Asking<'_> {
        Asking { refusals: self, sender }
    }

    fn count(&self, sender: Subscriber, now: Instant) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= ENTRIES && !counts.contains_key(&sender) {
            make_room(&mut counts, now);
        }
        let count = counts.entry(sender).or_insert(Count { since: now, refused: 0 });
        if count.is_over(now) {
            *count = Count { since: now, refused: 0 };
        }
        count.refused = count.refused.saturating_add(1);
    }
}

/// Drops what is over; where that is not enough, the older half.
fn make_room(counts: &mut HashMap<Subscriber, Count>, now: Instant) {
    counts.retain(|_, count| !count.is_over(now));
    if counts.len() >= ENTRIES {
        let mut begun: Vec<Instant> = counts.values().map(|count| count.since).collect();
        let middle = begun.len() / 2;
        let median = *begun.select_nth_unstable(middle).1;
        counts.retain(|_, count| count.since > median);
    }
}

/// A question under way. Who goes away before the answer is there counts as refused: the request was made.
#[must_use]
pub(super) struct Asking<'a> {
    refusals: &'a Refusals,
    sender: Option<Subscriber>,
}

impl Asking<'_> {
    /// What it came to. A Pro Santé Connect that cannot say has refused nobody.
    pub(super) fn ends<T>(mut self, outcome: &Result<T, PscError>) {
        if !matches!(outcome, Err(PscError::Refused(_))) {
            self.sender = None;
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(sender) = self.sender {
            self.refusals.count(sender, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::{TokenRefusal, Trouble};
    use super::*;

    fn sender(text: &str) -> Option<Subscriber> {
        Some(Subscriber::of(text.parse().unwrap()))
    }

    #[test]
    fn a_sender_is_put_off_for_the_rest_of_the_minute_and_others_are_not() {
        let (refusals, now, one) = (Refusals::new(3), Instant::now(), sender("192.0.2.1"));
        for _ in 0..3 {
            assert_eq!(refusals.admit(one, now), Ok(()));
            refusals.count(one.unwrap(), now);
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(refusals.admit(one, later), Err(PscError::PutOff(Duration::from_secs(40))));
        assert_eq!(refusals.admit(sender("192.0.2.2"), later), Ok(()));
        assert_eq!(refusals.admit(None, later), Ok(()));
        assert_eq!(refusals.admit(one, now + MINUTE), Ok(()));
        refusals.count(one.unwrap(), now + MINUTE);
        assert_eq!(refusals.admit(one, now + MINUTE), Ok(()), "another minute has its own count");
    }

    #[test]
    fn what_was_refused_and_what_nobody_waited_for_counts_and_nothing_else() {
        let (refusals, one) = (Refusals::new(2), sender("192.0.2.1"));
        let counted = || refusals.counts.lock().unwrap().get(&one.unwrap()).map_or(0, |count| count.refused);
        refusals.asking(one).ends(&Ok(()));
        refusals.asking(one).ends::<()>(&Err(Trouble::TimedOut.into()));
        assert_eq!(counted(), 0);
        refusals.asking(one).ends::<()>(&Err(TokenRefusal::Inactive.into()));
        assert_eq!(counted(), 1);
        drop(refusals.asking(one));
        assert_eq!(counted(), 2);
    }

    #[test]
    fn the_table_is_bounded() {
        let (refusals, start) = (Refusals::new(2), Instant::now());
        for n in 0..25_000u32 {
            let now = start + Duration::from_millis(u64::from(n));
            refusals.count(Subscriber::of(IpAddr::V4(Ipv4Addr::from(n))), now);
        }
        let held = refusals.counts.lock().unwrap().len();
        assert!((1..=ENTRIES).contains(&held), "{held}");
    }
}
