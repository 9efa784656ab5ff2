//! When what is tried: entries, outcomes and time in; attempts, notices and expiries out. Pure: no I/O, no clock.
//!
//! ```text
//! add ──▶ waiting, by destination and due time ──next──▶ under way ──judge──▶ settling ──put_back──▶ waiting
//!              │                                                                  └──────remove──▶ gone
//!              └──tick──▶ a notice of delay or an expiry is due (settling, until told or removed)
//! ```
//!
//! # Rules
//!
//! 1. A destination that cannot be spoken to is closed by a *gate*: one probe is sent when its backoff has passed, and
//!    everything that waits for it waits for that probe, without being tried or written. 100,000 messages for 500 dead
//!    domains cost 500 probes. A probe that gets through opens the gate for all. A gate's backoff ends at three times
//!    the first retry: that is how long new mail waits, untried, for a destination that is well again. Where the trouble
//!    is our own, every gate is probed again after a minute, and nothing is held against anybody.
//! 2. Each destination has a *window* of attempts at once: it grows by one with each window of successes, halves when the
//!    peer wants less, and starts again at one behind a gate.
//! 3. Destinations take turns. Those whose last attempt failed have together at most half of all attempts; with those
//!    that have not answered yet, or have an attempt under way for [`SLOW`] seconds, at most three quarters. The rest is
//!    for those that answer: the dead never slow the living, nor does one host behind many domains that falls silent.
//! 4. Notices of delay and expiries go on behind a closed gate; they rest while an entry is held or under way.

mod destination;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::store::ConsignmentKey;

use super::types::{Destination as Said, QueueOptions, Words};
use destination::{Class, Destination, Gate, Jitter, Place, Times};

/// Seconds after which an attempt may hang: a peer that answers has taken a message by then, or it is a large one.
const SLOW: i64 = 10;

/// A consignment, as the schedule takes it in.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Which.
    pub key: ConsignmentKey,
    /// Where it goes, in lower case.
    pub domain: &'a str,
    /// Unix seconds of its next try.
    pub due: i64,
    /// Tries so far.
    pub attempts: u32,
    /// It waits for the operator.
    pub held: bool,
    /// Unix seconds: when its message was taken.
    pub accepted_at: i64,
    /// Unix seconds from which its sender is told of the delay; `None`: has been told, or nobody is.
    pub delay_at: Option<i64>,
    /// Unix seconds from which it is given up.
    pub expires_at: i64,
}

/// What is due beside attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// The sender is to be told that it takes longer.
    Delay,
    /// It is to be given up.
    Expiry,
}

/// What a consignment waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its turn, or the time that it is due at.
    Waiting {
        /// Unix seconds.
        due: i64,
    },
    /// Its destination cannot be spoken to; the next probe tells.
    Away {
        /// Unix seconds of that probe.
        probe: i64,
    },
    /// An attempt, or what follows from one, is under way.
    Trying,
    /// The operator.
    Held,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Consignments.
    pub consignments: usize,
    /// Of these, held.
    pub held: usize,
    /// Attempts under way.
    pub under_way: usize,
    /// Destinations behind a closed gate that something waits for.
    pub away: usize,
    /// When the oldest message was taken, in Unix seconds.
    pub oldest: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Held,
    UnderWay { began: i64, probe: bool, hangs: bool },
    Settling,
}

#[derive(Debug)]
struct Slot {
    destination: u32,
    attempts: u32,
    due: i64,
    /// `i64::MAX`: nobody is told.
    delay_at: i64,
    expires_at: i64,
    accepted_at: i64,
    state: State,
}

impl Slot {
    fn deadline(&self) -> i64 {
        self.delay_at.min(self.expires_at)
    }
}

/// The schedule of the whole queue.
#[derive(Debug)]
pub struct Schedule {
    options: QueueOptions,
    jitter: Jitter,
    entries: HashMap<ConsignmentKey, Slot>,
    /// Never shrinks: the trust space has some thousand domains, and what was learnt of one stays worth knowing.
    destinations: Vec<Destination>,
    by_name: HashMap<Arc<str>, u32>,
    /// Destinations with something to try now, in turn, by class.
    ready: [BTreeSet<(u64, u32)>; Class::ALL],
    /// Destinations with something to try later.
    later: BTreeSet<(i64, u32)>,
    deadlines: BTreeSet<(i64, ConsignmentKey)>,
    /// Attempts under way that have not been so for long, by when they began.
    begun: BTreeSet<(i64, ConsignmentKey)>,
    /// Attempts under way, by their destinations' class.
    under_way: [usize; Class::ALL],
    turn: u64,
}

impl Schedule {
    /// An empty schedule; `seed` moves its jitter.
    #[must_use]
    pub fn new(options: QueueOptions, seed: u64) -> Self {
        Self {
            options,
            jitter: Jitter::new(seed),
            entries: HashMap::new(),
            destinations: Vec::new(),
            by_name: HashMap::new(),
            ready: Default::default(),
            later: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            begun: BTreeSet::new(),
            under_way: [0; Class::ALL],
            turn: 0,
        }
    }

    /// Takes a consignment in. One that is here already stays as it is.
    pub fn add(&mut self, entry: Entry<'_>, now: i64) {
        if self.entries.contains_key(&entry.key) {
            return;
        }
        let destination = self.destination(entry.domain, entry.attempts > 0);
        let slot = Slot {
            destination,
            attempts: entry.attempts,
            due: entry.due,
            delay_at: entry.delay_at.unwrap_or(i64::MAX),
            expires_at: entry.expires_at,
            accepted_at: entry.accepted_at,
            state: State::Settling,
        };
        self.entries.insert(entry.key, slot);
        self.rest(entry.key, entry.held, now);
    }

    /// Takes a consignment out, whatever it waits for.
    pub fn remove(&mut self, key: ConsignmentKey, now: i64) {
        self.leave(key);
        if let Some(slot) = self.entries.remove(&key) {
            self.place(slot.destination, now);
        }
    }

    /// The consignment to be tried next; it is under way until it is judged or put back.
    pub fn next(&mut self, now: i64) -> Option<ConsignmentKey> {
        self.wake(now);
        let index = self.choose()?;
        let (_, key) = *self.destinations[index as usize].waiting.first()?;
        self.leave(key);
        let probe = self.change(index, |destination, _| destination.begin());
        if let Some(slot) = self.entries.get_mut(&key) {
            slot.state = State::UnderWay { began: now, probe, hangs: false };
            self.begun.insert((now, key));
        }
        // To the end of the line.
        self.unplace(index);
        self.place(index, now);
        Some(key)
    }

    /// An attempt is over: its destination learns from what was `said` of it. Returns when what is left of the consignment
    /// is due; the consignment settles until it is put back or removed.
    pub fn judge(&mut self, key: ConsignmentKey, said: &Said, now: i64) -> i64 {
        let Some((index, attempts, probe)) = self.end_attempt(key) else { return now };
        let window = self.options.largest_window;
        let due = self.change(index, |destination, jitter| {
            match said {
                Said::Reached => destination.reached(window),
                Said::Busy => destination.busy(now, jitter),
                Said::Crowded => {
                    destination.busy(now, jitter);
                    // As soon as the destination has rested.
                    return now;
                }
                Said::Away(words) => return destination.away(words, probe, now, jitter),
                Said::Unready(words) => return destination.unready(words, probe, now, jitter),
            }
            now + jitter.around(destination.times.after(attempts + 1))
        });
        self.place(index, now);
        due
    }

    /// What was under way or settling waits again: an attempt that came to nothing, or what is left after one.
    pub fn put_back(&mut self, key: ConsignmentKey, due: i64, attempts: u32, held: bool, now: i64) {
        self.end_attempt(key);
        if let Some(slot) = self.settling(key) {
            (slot.due, slot.attempts) = (due, attempts);
            self.rest(key, held, now);
        }
    }

    /// As [`Schedule::put_back`], for what nothing was learnt of.
    pub fn abandon(&mut self, key: ConsignmentKey, due: i64, now: i64) {
        let attempts = self.entries.get(&key).map_or(0, |slot| slot.attempts);
        self.put_back(key, due, attempts, false, now);
    }

    /// Something that is due beside attempts; the consignment settles until it is told, put back or removed.
    pub fn tick(&mut self, now: i64) -> Option<(ConsignmentKey, Deadline)> {
        let (_, key) = *self.deadlines.first().filter(|(at, _)| *at <= now)?;
        self.leave(key);
        let slot = self.entries.get_mut(&key)?;
        slot.state = State::Settling;
        let deadline = if slot.expires_at <= now { Deadline::Expiry } else { Deadline::Delay };
        let index = slot.destination;
        self.place(index, now);
        Some((key, deadline))
    }

    /// The sender has been told of the delay, or nobody is to be told: the consignment waits on.
    pub fn told(&mut self, key: ConsignmentKey, held: bool, now: i64) {
        if let Some(slot) = self.settling(key) {
            slot.delay_at = i64::MAX;
            self.rest(key, held, now);
        }
    }

    /// A deadline could not be met now: it comes again at `at`.
    pub fn postpone(&mut self, key: ConsignmentKey, at: i64, now: i64) {
        if let Some(slot) = self.settling(key) {
            if slot.expires_at <= now {
                slot.expires_at = at;
            } else {
                slot.delay_at = at;
            }
            self.rest(key, false, now);
        }
    }

    /// Nothing could be tried for a while, for a reason of our own: nothing is given up before `until`.
    pub fn forbear(&mut self, until: i64) {
        for (key, slot) in self.entries.iter_mut().filter(|(_, slot)| slot.expires_at < until) {
            let before = slot.deadline();
            slot.expires_at = until;
            if self.deadlines.remove(&(before, *key)) {
                self.deadlines.insert((slot.deadline(), *key));
            }
        }
    }

    /// The operator holds a consignment. One under way is held when it is put back, as its record says.
    pub fn hold(&mut self, key: ConsignmentKey, now: i64) {
        if self.is_at_rest(key) {
            self.leave(key);
            self.rest(key, true, now);
        }
    }

    /// The operator lets a consignment go, or wants it tried: it is due now, its destination's gate opens, and it has at
    /// least until `expires_at`.
    pub fn retry(&mut self, key: ConsignmentKey, expires_at: i64, now: i64) {
        let at_rest = self.is_at_rest(key);
        if at_rest {
            self.leave(key);
        }
        let Some(slot) = self.entries.get_mut(&key) else { return };
        let index = slot.destination;
        // Also of what is not at rest: it is in no order by its times until it is put back.
        slot.expires_at = slot.expires_at.max(expires_at);
        slot.due = slot.due.min(now);
        self.destinations[index as usize].open_for_a_probe(now);
        if at_rest {
            self.rest(key, false, now);
        }
        self.place(index, now);
    }

    /// What was last said about a consignment's destination, if it is away.
    #[must_use]
    pub fn last_words(&self, key: ConsignmentKey) -> Option<&Words> {
        match &self.destinations[self.entries.get(&key)?.destination as usize].gate {
            Gate::Away { words, .. } => Some(words),
            _ => None,
        }
    }

    /// When [`Schedule::next`] may have something, if nothing else happens before.
    #[must_use]
    pub fn attempt_at(&self) -> Option<i64> {
        self.later.first().map(|(at, _)| *at)
    }

    /// When [`Schedule::tick`] has something, if nothing else happens before.
    #[must_use]
    pub fn deadline_at(&self) -> Option<i64> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Seconds that a message for `domain` is tried for.
    #[must_use]
    pub fn lifetime(&self, domain: &str) -> i64 {
        Times::of(&self.options, domain).lifetime
    }

    /// What a consignment waits for; `None`: it is not here.
    #[must_use]
    pub fn standing(&self, key: ConsignmentKey) -> Option<Standing> {
        let slot = self.entries.get(&key)?;
        Some(match (slot.state, &self.destinations[slot.destination as usize].gate) {
            (State::UnderWay { .. } | State::Settling, _) => Standing::Trying,
            (State::Held, _) => Standing::Held,
            (State::Waiting, Gate::Away { until, .. }) => Standing::Away { probe: (*until).max(slot.due) },
            (State::Waiting, _) => Standing::Waiting { due: slot.due },
        })
    }

    /// How much there is. Looks at every entry: for a figure now and then.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let away = |destination: &&Destination| {
            matches!(destination.gate, Gate::Away { .. }) && !destination.waiting.is_empty()
        };
        Counts {
            consignments: self.entries.len(),
            held: self.entries.values().filter(|slot| slot.state == State::Held).count(),
            under_way: self.under_way.iter().sum(),
            away: self.destinations.iter().filter(away).count(),
            oldest: self.entries.values().map(|slot| slot.accepted_at).min(),
        }
    }

    /// The number of a domain's destination. One first met with attempts behind it is troubled until it answers: after a
    /// start, the dead of the last run do not take all attempts.
    fn destination(&mut self, domain: &str, tried: bool) -> u32 {
        if let Some(index) = self.by_name.get(domain) {
            return *index;
        }
        let index = self.destinations.len() as u32;
        let times = Times::of(&self.options, domain);
        self.destinations.push(Destination::new(times, self.options.first_window, tried));
        self.by_name.insert(domain.into(), index);
        index
    }

    /// Which destination has its turn: the one that has waited longest of those whose class has a part of its share left.
    fn choose(&self) -> Option<u32> {
        let all = self.options.at_once.max(1);
        let (half, quarter) = ((all / 2).max(1), (all / 4).max(1));
        let [calm, doubtful, troubled] = self.under_way;
        let unsure = doubtful + troubled;
        if calm + unsure >= all {
            return None;
        }
        let unsure_has_room = unsure < all.saturating_sub(quarter).max(1);
        let has_room = [true, unsure_has_room, unsure_has_room && troubled < half];
        let ready = self.ready.iter().zip(has_room).filter(|(_, has_room)| *has_room);
        ready.filter_map(|(ready, _)| ready.first()).min().map(|(_, index)| *index)
    }

    /// Changes a destination: what is under way to it counts for the class that it has then.
    fn change<T>(&mut self, index: u32, change: impl FnOnce(&mut Destination, &mut Jitter) -> T) -> T {
        let destination = &mut self.destinations[index as usize];
        self.under_way[destination.class() as usize] -= destination.under_way;
        let changed = change(destination, &mut self.jitter);
        self.under_way[destination.class() as usize] += destination.under_way;
        changed
    }

    /// Ends an attempt's count; nothing for what is not under way. Returns destination, attempts before, probe.
    fn end_attempt(&mut self, key: ConsignmentKey) -> Option<(u32, u32, bool)> {
        let slot = self.entries.get_mut(&key)?;
        let State::UnderWay { began, probe, hangs } = slot.state else { return None };
        slot.state = State::Settling;
        let (index, attempts) = (slot.destination, slot.attempts);
        self.begun.remove(&(began, key));
        self.change(index, |destination, _| destination.end(probe, hangs));
        Some((index, attempts, probe))
    }

    /// Takes a consignment out of all that waits, and ends its attempt.
    fn leave(&mut self, key: ConsignmentKey) {
        let Some(slot) = self.entries.get(&key) else { return };
        match slot.state {
            State::Waiting => {
                self.destinations[slot.destination as usize].waiting.remove(&(slot.due, key));
                self.deadlines.remove(&(slot.deadline(), key));
            }
            State::UnderWay { .. } => drop(self.end_attempt(key)),
            State::Held | State::Settling => {}
        }
    }

    fn settling(&mut self, key: ConsignmentKey) -> Option<&mut Slot> {
        self.entries.get_mut(&key).filter(|slot| slot.state == State::Settling)
    }

    /// Neither an attempt nor what follows from one is under way.
    fn is_at_rest(&self, key: ConsignmentKey) -> bool {
        self.entries.get(&key).is_some_and(|slot| matches!(slot.state, State::Waiting | State::Held))
    }

    /// Lets a consignment wait, for its time or for the operator.
    fn rest(&mut self, key: ConsignmentKey, held: bool, now: i64) {
        let Some(slot) = self.entries.get_mut(&key) else { return };
        if matches!(slot.state, State::UnderWay { .. }) {
            return;
        }
        let index = slot.destination;
        if held {
            slot.state = State::Held;
        } else {
            slot.state = State::Waiting;
            self.destinations[index as usize].waiting.insert((slot.due, key));
            self.deadlines.insert((slot.deadline(), key));
        }
        self.place(index, now);
    }

    /// Puts a destination where it belongs: ready, later, or nowhere.
    fn place(&mut self, index: u32, now: i64) {
        let destination = &self.destinations[index as usize];
        let wanted = match destination.next_at() {
            None => Place::Nowhere,
            Some(at) if at > now => Place::Later(at),
            Some(_) => Place::Ready(destination.class(), 0),
        };
        match (destination.place, wanted) {
            (Place::Ready(before, _), Place::Ready(class, _)) if before == class => return,
            (before, wanted) if before == wanted => return,
            _ => self.unplace(index),
        }
        self.destinations[index as usize].place = match wanted {
            Place::Ready(class, _) => {
                self.turn += 1;
                self.ready[class as usize].insert((self.turn, index));
                Place::Ready(class, self.turn)
            }
            Place::Later(at) => {
                self.later.insert((at, index));
                Place::Later(at)
            }
            Place::Nowhere => Place::Nowhere,
        };
    }

    fn unplace(&mut self, index: u32) {
        let destination = &mut self.destinations[index as usize];
        match std::mem::replace(&mut destination.place, Place::Nowhere) {
            Place::Ready(class, turn) => drop(self.ready[class as usize].remove(&(turn, index))),
            Place::Later(at) => drop(self.later.remove(&(at, index))),
            Place::Nowhere => {}
        }
    }

    /// Makes ready what has become due, and doubts those that have been silent for long.
    fn wake(&mut self, now: i64) {
        while let Some((began, key)) = self.begun.first().copied().filter(|(began, _)| *began <= now - SLOW) {
            self.begun.remove(&(began, key));
            let Some(slot) = self.entries.get_mut(&key) else { continue };
            if let State::UnderWay { hangs, .. } = &mut slot.state {
                *hangs = true;
                let index = slot.destination;
                self.change(index, |destination, _| destination.hangs());
                self.place(index, now);
            }
        }
        while let Some((_, index)) = self.later.first().copied().filter(|(at, _)| *at <= now) {
            self.place(index, now);
        }
    }
}
