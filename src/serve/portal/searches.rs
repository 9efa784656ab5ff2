//! How often one person looks somebody up: the page is for finding a colleague, not for taking the directory away.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::store::AccountId;

/// How long a count lasts.
const MINUTE: Duration = Duration::from_secs(60);

/// Who looks: a person, wherever they are in; or all who share a mailbox's secrets and are nobody by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Searcher {
    /// By their national id.
    Person(String),
    /// Whoever comes by the secrets of this mailbox.
    Mailbox(AccountId),
}

#[derive(Debug)]
struct Count {
    since: Instant,
    made: u32,
}

impl Count {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= MINUTE
    }
}

/// The counts of the minute that passes. There are no more than people who are in: strangers search nothing.
#[derive(Debug, Default)]
pub(super) struct Searches(Mutex<HashMap<Searcher, Count>>);

impl Searches {
    /// One more search, if it is one of the first `most` within a minute; or else how long to wait for the next.
    pub(super) fn admit(&self, searcher: Searcher, most: u32, now: Instant) -> Result<(), Duration> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(searcher).or_insert(Count { since: now, made: 0 });
        if count.is_over(now) {
            *count = Count { since: now, made: 0 };
        }
        if count.made >= most {
            return Err(MINUTE.saturating_sub(now.saturating_duration_since(count.since)));
        }
        count.made += 1;
        Ok(())
    }

    /// Forgets the minutes that are over.
    pub(super) fn sweep(&self, now: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, count| !count.is_over(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_searched_enough_waits_for_the_next_minute_and_others_do_not() {
        let (searches, start) = (Searches::default(), Instant::now());
        let one = || Searcher::Person("899700000001".into());
        for _ in 0..3 {
            assert_eq!(searches.admit(one(), 3, start), Ok(()));
        }
        let later = start + Duration::from_secs(20);
        assert_eq!(searches.admit(one(), 3, later), Err(Duration::from_secs(40)));
        assert_eq!(searches.admit(Searcher::Mailbox(AccountId(1)), 3, later), Ok(()));
        assert_eq!(searches.admit(one(), 3, start + MINUTE), Ok(()), "another minute has its own count");
    }

    #[test]
    fn minutes_that_are_over_are_forgotten() {
        let (searches, start) = (Searches::default(), Instant::now());
        let held = || searches.0.lock().unwrap().len();
        assert_eq!(searches.admit(Searcher::Mailbox(AccountId(1)), 3, start), Ok(()));
        searches.sweep(start + Duration::from_secs(59));
        assert_eq!(held(), 1);
        searches.sweep(start + MINUTE);
        assert_eq!(held(), 0);
    }
}
