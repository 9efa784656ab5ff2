//! What is known of one destination: its window, its gate, what waits for it.

use std::collections::BTreeSet;

use crate::store::ConsignmentKey;

use super::super::types::{QueueOptions, Words};

/// Seconds that a destination is left alone after it said for the first time that it wants less; doubled each time.
const FIRST_REST: i64 = 10;

/// A gate is closed for this many first retries at most, however long its messages' own backoff has become.
const LONGEST_CLOSED: i64 = 3;

/// Seconds that a gate is closed for by trouble of our own: nobody else has to mend anything, and a probe costs little.
const OUR_TROUBLE: i64 = 60;

/// What is known of how a destination answers: each class has a turn, and a share, of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It answered its last attempt.
    Calm = 0,
    /// It has not answered yet, or an attempt has gone on for so long that it may not.
    Doubtful = 1,
    /// It did not answer its last attempt, or wants less.
    Troubled = 2,
}

impl Class {
    pub(super) const ALL: usize = 3;
}

/// Where a destination stands in the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    /// With its turn.
    Ready(Class, u64),
    /// Until then, Unix seconds.
    Later(i64),
}

/// Whether attempts may begin.
#[derive(Debug)]
pub(super) enum Gate {
    Open,
    /// The peer wants less: none begins before `until`.
    Busy {
        until: i64,
        times: u32,
    },
    /// The peer cannot be spoken to: one probe at `until`.
    Away {
        until: i64,
        failures: u32,
        probing: bool,
        words: Box<Words>,
    },
}

/// The times of one destination, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    first_retry: i64,
    longest_retry: i64,
    pub(super) lifetime: i64,
}

impl Times {
    pub(super) fn of(options: &QueueOptions, domain: &str) -> Self {
        let named = |name: &str| options.routes.iter().find(|route| route.domains.iter().any(|each| each == name));
        let route = named(domain).or_else(|| named("*"));
        Self {
            first_retry: route.and_then(|route| route.first_retry).unwrap_or(options.first_retry).max(1),
            longest_retry: route.and_then(|route| route.longest_retry).unwrap_or(options.longest_retry).max(1),
            lifetime: route.and_then(|route| route.lifetime).unwrap_or(options.lifetime),
        }
    }

    /// The time before the next try after `attempts` of them: doubled with each, up to the longest.
    pub(super) fn after(&self, attempts: u32) -> i64 {
        let doubled = self.first_retry.saturating_mul(1 << attempts.saturating_sub(1).min(32));
        doubled.min(self.longest_retry)
    }

    /// The time before the next probe of a destination that could not be spoken to `failures` times. New mail waits for
    /// that probe untried, and the trouble may have been ours: the probes of one destination are cheap, and stay frequent.
    fn closed_after(&self, failures: u32) -> i64 {
        self.after(failures).min(self.first_retry.saturating_mul(LONGEST_CLOSED))
    }
}

#[derive(Debug)]
pub(super) struct Destination {
    pub(super) times: Times,
    /// By due time.
    pub(super) waiting: BTreeSet<(i64, ConsignmentKey)>,
    pub(super) under_way: usize,
    pub(super) gate: Gate,
    pub(super) place: Place,
    /// Of what is under way: what has been for so long that it may hang.
    hanging: usize,
    /// How the last attempt ended.
    ended: Class,
    window: usize,
    successes: usize,
}

impl Destination {
    pub(super) fn new(times: Times, first_window: usize, tried: bool) -> Self {
        Self {
            times,
            waiting: BTreeSet::new(),
            under_way: 0,
            gate: Gate::Open,
            place: Place::Nowhere,
            hanging: 0,
            ended: if tried { Class::Troubled } else { Class::Doubtful },
            window: if tried { 1 } else { first_window.max(1) },
            successes: 0,
        }
    }

    pub(super) fn class(&self) -> Class {
        match self.ended {
            Class::Calm if self.hanging > 0 => Class::Doubtful,
            ended => ended,
        }
    }

    /// When the next attempt may begin; `None`: nothing waits, or what is under way must end first.
    pub(super) fn next_at(&self) -> Option<i64> {
        let (due, _) = *self.waiting.first()?;
        match &self.gate {
            Gate::Away { probing: true, .. } => None,
            Gate::Away { until, .. } => Some(due.max(*until)),
            _ if self.under_way >= self.window => None,
            Gate::Busy { until, .. } => Some(due.max(*until)),
            Gate::Open => Some(due),
        }
    }

    /// An attempt begins; tells whether it is a probe.
    pub(super) fn begin(&mut self) -> bool {
        self.under_way += 1;
        match &mut self.gate {
            Gate::Away { probing, .. } => {
                *probing = true;
                true
            }
            _ => false,
        }
    }

    /// An attempt goes on for so long that it may hang.
    pub(super) fn hangs(&mut self) {
        self.hanging += 1;
    }

    /// An attempt is over, whatever came of it.
    pub(super) fn end(&mut self, probe: bool, hung: bool) {
        self.under_way -= 1;
        self.hanging -= usize::from(hung);
        if let (true, Gate::Away { probing, .. }) = (probe, &mut self.gate) {
            *probing = false;
        }
    }

    /// It answered: the gate opens, the window grows by one with each window of successes.
    pub(super) fn reached(&mut self, largest_window: usize) {
        self.gate = Gate::Open;
        self.ended = Class::Calm;
        self.successes += 1;
        if self.successes >= self.window {
            self.window = (self.window + 1).min(largest_window.max(1));
            self.successes = 0;
        }
    }

    /// It wants less: half of the window, and a rest that doubles while it goes on wanting less. What began before the
    /// rest tells nothing new.
    pub(super) fn busy(&mut self, now: i64, jitter: &mut Jitter) {
        self.ended = Class::Troubled;
        let times = match &self.gate {
            Gate::Open => 1,
            Gate::Busy { until, .. } if *until > now => return,
            Gate::Busy { times, .. } => times.saturating_add(1),
            // A server that answers "not now" is there.
            Gate::Away { .. } => 1,
        };
        self.window = (self.window / 2).max(1);
        self.successes = 0;
        let rest = FIRST_REST.saturating_mul(1 << (times - 1).min(16)).min(self.times.after(1));
        self.gate = Gate::Busy { until: now + jitter.around(rest), times };
    }

    /// It cannot be spoken to: the gate closes, or stays closed for longer. Returns when the next probe is due.
    pub(super) fn away(&mut self, words: &Words, probe: bool, now: i64, jitter: &mut Jitter) -> i64 {
        self.window = 1;
        self.successes = 0;
        let times = self.times;
        self.close(words, probe, now, |failures| {
            let failures = failures.saturating_add(1);
            (failures, jitter.around(times.closed_after(failures)))
        })
    }

    /// We can speak to nobody, for a reason of our own: the gate closes for a moment, and what is known of the destination
    /// stays. Returns when the next probe is due.
    pub(super) fn unready(&mut self, words: &Words, probe: bool, now: i64, jitter: &mut Jitter) -> i64 {
        let closed = OUR_TROUBLE.min(self.times.after(1));
        self.close(words, probe, now, |failures| (failures, jitter.around(closed)))
    }

    /// Closes the gate; `next` makes of the failures before how many there are now, and for how many seconds it is closed.
    fn close(&mut self, words: &Words, probe: bool, now: i64, next: impl FnOnce(u32) -> (u32, i64)) -> i64 {
        self.ended = Class::Troubled;
        let before = match &mut self.gate {
            // It began before the gate closed, and may have hung since: nothing new.
            Gate::Away { until, words: last, .. } if !probe => {
                **last = words.clone();
                return now.max(*until);
            }
            Gate::Away { failures, .. } => *failures,
            Gate::Open | Gate::Busy { .. } => 0,
        };
        let (failures, closed) = next(before);
        let until = now + closed;
        self.gate = Gate::Away { until, failures, probing: false, words: Box::new(words.clone()) };
        until
    }

    /// The operator knows better: the next attempt may begin now, as a probe if the gate is closed.
    pub(super) fn open_for_a_probe(&mut self, now: i64) {
        if let Gate::Away { until, .. } | Gate::Busy { until, .. } = &mut self.gate {
            *until = (*until).min(now);
        }
    }

    #[cfg(test)]
    pub(super) fn window(&self) -> usize {
        self.window
    }
}

/// Moves times by up to a tenth, so that what failed together is not tried together. Splitmix64: no secret.
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// `seconds`, a tenth more or less.
    pub(super) fn around(&mut self, seconds: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let tenth = seconds / 10;
        let span = tenth.saturating_mul(2).saturating_add(1);
        seconds - tenth + (mixed % span.unsigned_abs().max(1)) as i64
    }
}
