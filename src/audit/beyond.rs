//! What is traced one by one only so often a minute: what is beyond is counted, and the count is one trace.
//!
//! Who is refused, at a login or with mail, costs a trace that is kept for years, and some come back hundreds of times a second.
//! So within a minute each source has so many traces of its own, and all sources together have; what is beyond is counted by what
//! it was, and nothing goes unnoticed.
//!
//! ```text
//! count(source, what) ─▶ so many have a trace of their own
//!                    └─▶ the minute is over: one Beyond for each source that had more ─▶ a trace of the minute's beginning
//! ```
//!
//! A minute begins with the first refusal, and ends with the day at the latest: what is counted stands in the month that it
//! happened in.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

const MINUTE: u64 = 60_000_000;
const DAY: u64 = 86_400_000_000;

/// How many are traced one by one within a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneByOne {
    /// Of one source.
    pub of_source: u32,
    /// In all; also how many sources are counted apart.
    pub in_all: u32,
}

impl Default for OneByOne {
    fn default() -> Self {
        Self { of_source: 20, in_all: 600 }
    }
}

/// What was refused within the minute, by who was (`P`) at which door.
#[derive(Debug)]
pub struct Refusals<P> {
    bounds: OneByOne,
    minute: Mutex<Option<Minute<P>>>,
}

/// What one source had beyond its own traces within a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beyond<P> {
    /// Whose it was; none: of all those that are not counted apart.
    pub peer: Option<P>,
    /// At which door.
    pub door: &'static str,
    /// How many, by what it was.
    pub counts: BTreeMap<&'static str, u32>,
    /// Unix microseconds: when the minute began.
    pub began: u64,
}

type Counts = BTreeMap<&'static str, u32>;

#[derive(Debug)]
struct Minute<P> {
    began: u64,
    written: u32,
    sources: HashMap<(P, &'static str), Source>,
    /// By door, of sources that are not counted apart.
    elsewhere: BTreeMap<&'static str, Counts>,
}

#[derive(Debug, Default)]
struct Source {
    written: u32,
    beyond: Counts,
}

impl<P: Copy + Eq + Hash> Refusals<P> {
    /// Nothing was refused yet.
    pub fn new(bounds: OneByOne) -> Self {
        Self { bounds, minute: Mutex::default() }
    }

    /// Counts `count` refusals of now (Unix microseconds): how many of them have a trace of their own, and what is to be told of
    /// a minute that is over.
    pub fn count(
        &self,
        peer: P,
        door: &'static str,
        what: &'static str,
        count: u32,
        now: u64,
    ) -> (u32, Vec<Beyond<P>>) {
        let mut minute = self.minute();
        let over = end(&mut minute, now);
        let minute = minute.get_or_insert_with(|| Minute::new(now));
        (minute.count((peer, door), what, count, self.bounds), over)
    }

    /// What is to be told of the last minute, if it is over.
    pub fn ended(&self, now: u64) -> Vec<Beyond<P>> {
        end(&mut self.minute(), now)
    }

    /// What is to be told of the last minute, over or not: nobody comes any more.
    pub fn last(&self) -> Vec<Beyond<P>> {
        self.minute().take().map(Minute::beyond).unwrap_or_default()
    }

    fn minute(&self) -> MutexGuard<'_, Option<Minute<P>>> {
        self.minute.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a minute away that is over.
fn end<P: Copy + Eq + Hash>(minute: &mut Option<Minute<P>>, now: u64) -> Vec<Beyond<P>> {
    minute.take_if(|minute| minute.is_over(now)).map(Minute::beyond).unwrap_or_default()
}

impl<P: Copy + Eq + Hash> Minute<P> {
    fn new(began: u64) -> Self {
        Self { began, written: 0, sources: HashMap::new(), elsewhere: BTreeMap::new() }
    }

    /// A clock that was set back ends it, too.
    fn is_over(&self, now: u64) -> bool {
        !(self.began..self.began + MINUTE).contains(&now) || self.began / DAY != now / DAY
    }

    fn count(&mut self, of: (P, &'static str), what: &'static str, count: u32, bounds: OneByOne) -> u32 {
        let is_full = self.sources.len() >= bounds.in_all as usize;
        if is_full && !self.sources.contains_key(&of) {
            add(self.elsewhere.entry(of.1).or_default(), what, count);
            return 0;
        }
        let source = self.sources.entry(of).or_default();
        let room = (bounds.of_source.saturating_sub(source.written)).min(bounds.in_all.saturating_sub(self.written));
        let own = count.min(room);
        source.written += own;
        self.written += own;
        add(&mut source.beyond, what, count - own);
        own
    }

    fn beyond(self) -> Vec<Beyond<P>> {
        let began = self.began;
        let apart = self.sources.into_iter().map(|((peer, door), source)| (Some(peer), door, source.beyond));
        let elsewhere = self.elsewhere.into_iter().map(|(door, counts)| (None, door, counts));
        let all = apart.chain(elsewhere).filter(|(_, _, counts)| !counts.is_empty());
        all.map(|(peer, door, counts)| Beyond { peer, door, counts, began }).collect()
    }
}

fn add(counts: &mut Counts, what: &'static str, count: u32) {
    if count > 0 {
        let sum = counts.entry(what).or_default();
        *sum = sum.saturating_add(count);
    }
}

impl<P> Beyond<P> {
    /// How many, whatever they were.
    pub fn sum(&self) -> u32 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 20_000 * DAY + 9 * MINUTE;

    fn refusals() -> Refusals<u32> {
        Refusals::new(OneByOne::default())
    }

    #[test]
    fn a_source_has_so_many_of_its_own_a_minute_and_the_rest_is_told_by_what_it_was() {
        let refusals = refusals();
        let own: u32 = (0..1_000).map(|n| refusals.count(1, "smtp", ["closed", "full"][n % 2], 1, START).0).sum();
        assert_eq!(own, 20);
        assert_eq!(refusals.count(2, "smtp", "closed", 1, START + 8).0, 1, "others have their own");
        assert_eq!(refusals.count(1, "imap", "closed", 1, START + 8).0, 1, "and so has the other door");
        assert_eq!(refusals.ended(START + MINUTE - 1), []);
        let (own, over) = refusals.count(1, "smtp", "closed", 1, START + MINUTE);
        assert_eq!(own, 1, "another minute");
        let counts = BTreeMap::from([("closed", 490), ("full", 490)]);
        assert_eq!(over, [Beyond { peer: Some(1), door: "smtp", counts, began: START }]);
        assert_eq!((over[0].sum(), refusals.ended(START + 3 * MINUTE)), (980, vec![]), "nothing was beyond");
    }

    #[test]
    fn whoever_comes_from_everywhere_makes_a_bounded_number_of_traces_and_all_are_counted() {
        let refusals = refusals();
        let tries = 6_000;
        let own: u32 = (0..tries).map(|peer| refusals.count(peer, "smtp", "closed", 1, START).0).sum();
        let beyond = refusals.last();
        assert_eq!(own, 600);
        assert!(beyond.len() <= 601);
        assert_eq!(beyond.iter().map(Beyond::sum).sum::<u32>(), tries - 600);
        let elsewhere = beyond.iter().find(|beyond| beyond.peer.is_none()).map(|beyond| beyond.door);
        assert_eq!(elsewhere, Some("smtp"), "the door is told of all");
        assert_eq!(refusals.last(), []);
    }

    #[test]
    fn many_at_once_have_as_many_traces_as_there_is_room_for() {
        let refusals = refusals();
        assert_eq!(refusals.count(1, "smtp", "closed", 15, START).0, 15);
        assert_eq!(refusals.count(1, "smtp", "closed", 100, START).0, 5);
        assert_eq!(refusals.last()[0].sum(), 95);
    }

    #[test]
    fn a_minute_ends_with_its_day_so_that_it_counts_in_one_month() {
        let (refusals, midnight) = (refusals(), 20_001 * DAY);
        refusals.count(1, "smtp", "closed", 30, midnight - 1);
        let (own, over) = refusals.count(1, "smtp", "closed", 30, midnight);
        assert_eq!((own, over[0].sum(), over[0].began), (20, 10, midnight - 1));
        assert_eq!(refusals.last()[0].began, midnight);
    }

    #[test]
    fn a_clock_that_is_set_back_begins_another_minute_and_forgets_nothing() {
        let refusals = refusals();
        refusals.count(1, "smtp", "closed", 30, START);
        let (own, over) = refusals.count(1, "smtp", "closed", 30, START - 10 * MINUTE);
        assert_eq!((own, over[0].sum(), over[0].began), (20, 10, START));
    }
}
