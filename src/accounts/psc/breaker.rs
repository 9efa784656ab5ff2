//! A circuit breaker: what has failed too often in a row is left alone for a while, then tried once.
//!
//! ```text
//! closed ──failures in a row──▶ open ──pause──▶ probing ──success──▶ closed
//!                                ▲─────────failure─┘
//! ```
//!
//! Logins are then put off at once, in place of waiting for a timeout each, and a provider that is coming back is not met by
//! everybody who waited.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::telemetry::Metrics;

#[derive(Debug)]
pub(super) struct Breaker {
    most: u32,
    pause: Duration,
    state: Mutex<State>,
    metrics: Metrics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing,
}

/// A request that was let through. Say how it went. One that is dropped was cut off by us, its time having gone by in line:
/// that says nothing of the provider, and only a probe has failed by it.
#[derive(Debug)]
pub(super) struct Passage<'b> {
    breaker: &'b Breaker,
    is_probe: bool,
    is_told: bool,
}

impl Breaker {
    /// Opens after `most` failures in a row, for `pause`.
    pub(super) fn new(most: u32, pause: Duration, metrics: Metrics) -> Self {
        Self { most: most.max(1), pause, state: Mutex::new(State::Closed { failures: 0 }), metrics }
    }

    /// Lets a request through, or not.
    pub(super) fn pass(&self, now: Instant) -> Option<Passage<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } if now >= until => true,
            State::Open { .. } | State::Probing => return None,
        };
        if is_probe {
            *state = State::Probing;
        }
        Some(Passage { breaker: self, is_probe, is_told: false })
    }

    fn change(&self, to: impl FnOnce(State) -> State) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *state, State::Probing);
        *state = to(before);
        let is_away = |state: State| !matches!(state, State::Closed { .. });
        match (is_away(before), is_away(*state)) {
            (false, true) => {
                self.metrics.psc_away.set(1);
                tracing::error!(event = "psc.away", pause = ?self.pause, "Pro Santé Connect fails: logins by it are put off");
            }
            (true, false) => {
                self.metrics.psc_away.set(0);
                tracing::info!(event = "psc.back", "Pro Santé Connect answers again");
            }
            _ => {}
        }
    }
}

impl Passage<'_> {
    /// It was answered.
    pub(super) fn succeeded(mut self) {
        self.is_told = true;
        self.breaker.change(|_| State::Closed { failures: 0 });
    }

    /// It failed.
    pub(super) fn failed(mut self, now: Instant) {
        self.is_told = true;
        let Breaker { most, pause, .. } = *self.breaker;
        self.breaker.change(|state| match state {
            State::Closed { failures } if failures + 1 < most => State::Closed { failures: failures + 1 },
            State::Closed { .. } | State::Probing => State::Open { until: now + pause },
            // One that was under way when the others had failed says nothing new.
            open @ State::Open { .. } => open,
        });
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if self.is_probe && !self.is_told {
            let unfinished = Passage { breaker: self.breaker, is_probe: true, is_told: true };
            unfinished.failed(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(15);

    fn breaker() -> Breaker {
        Breaker::new(3, PAUSE, Metrics::default())
    }

    fn fail(breaker: &Breaker, times: usize, now: Instant) {
        for _ in 0..times {
            breaker.pass(now).expect("let through").failed(now);
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_success_between_does_not_let_them() {
        let (breaker, now) = (breaker(), Instant::now());
        fail(&breaker, 2, now);
        breaker.pass(now).unwrap().succeeded();
        fail(&breaker, 2, now);
        assert!(breaker.pass(now).is_some_and(|passage| {
            passage.failed(now);
            true
        }));
        assert!(breaker.pass(now).is_none(), "open");
        assert_eq!(breaker.metrics.psc_away.get(), 1);
    }

    #[test]
    fn after_the_pause_one_request_finds_out() {
        let (breaker, now) = (breaker(), Instant::now());
        fail(&breaker, 3, now);
        assert!(breaker.pass(now + PAUSE - Duration::from_millis(1)).is_none());
        let later = now + PAUSE;
        let probe = breaker.pass(later).expect("the probe");
        assert!(breaker.pass(later).is_none(), "one at a time");
        probe.failed(later);
        assert!(breaker.pass(later).is_none(), "open again");
        let probe = breaker.pass(later + PAUSE).expect("another probe");
        probe.succeeded();
        assert!(breaker.pass(later + PAUSE).is_some() && breaker.pass(later + PAUSE).is_some());
        assert_eq!(breaker.metrics.psc_away.get(), 0);
    }

    #[test]
    fn a_probe_that_is_given_up_has_failed() {
        let (breaker, now) = (breaker(), Instant::now());
        fail(&breaker, 3, now);
        drop(breaker.pass(now + PAUSE).expect("the probe"));
        assert!(breaker.pass(Instant::now()).is_none(), "open");
        assert!(breaker.pass(Instant::now() + PAUSE).is_some(), "and not stuck");
    }

    #[test]
    fn what_we_cut_off_ourselves_is_no_failure() {
        let (breaker, now) = (breaker(), Instant::now());
        for _ in 0..9 {
            drop(breaker.pass(now).expect("let through"));
        }
        assert!(breaker.pass(now).is_some());
        assert_eq!(breaker.metrics.psc_away.get(), 0);
    }

    #[test]
    fn what_was_under_way_before_neither_prolongs_the_pause_nor_keeps_it_open() {
        let (breaker, now) = (breaker(), Instant::now());
        let (early, answered) = (breaker.pass(now).unwrap(), breaker.pass(now).unwrap());
        fail(&breaker, 3, now);
        early.failed(now + PAUSE / 2);
        drop(breaker.pass(now + PAUSE).expect("the pause was not prolonged"));
        answered.succeeded();
        assert!(breaker.pass(now).is_some(), "it answers");
    }
}
