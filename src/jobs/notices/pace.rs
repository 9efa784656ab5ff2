//! How fast the relay is given notices, and whether it takes them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After so long without the relay the operator is alarmed.
const ALARM_AFTER: Duration = Duration::from_secs(900);

/// While the relay is in trouble, what need not be told now is not made a notice of: for so long after its last failure.
const REST: Duration = Duration::from_secs(300);

/// A relay in trouble that no notice was given for so long is asked whether it is there again.
const LEFT_ALONE: Duration = Duration::from_secs(1_200);

/// Notices at an even pace (`notices.rate`).
#[derive(Debug)]
pub(super) struct Pace {
    gap: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    /// `rate` a minute at most.
    pub(super) fn new(rate: u32) -> Self {
        Self { gap: Duration::from_secs(60) / rate.max(1), next: Mutex::new(Instant::now()) }
    }

    /// Waits for the next turn. Who cannot wait takes it at once, and those behind wait longer.
    pub(super) async fn turn(&self, urgent: bool) {
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = (*next).max(Instant::now());
            *next = turn + self.gap;
            turn
        };
        if !urgent {
            tokio::time::sleep_until(turn).await;
        }
    }
}

/// Whether the relay takes notices.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<Trouble>);

#[derive(Debug, Default)]
struct Trouble {
    first: Option<Instant>,
    last: Option<Instant>,
    alarmed: bool,
}

impl Standing {
    /// It has answered for a notice, whatever it said.
    pub(super) fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Trouble::default();
    }

    /// It was in trouble; says whether the operator is to be alarmed: once, until it answers again.
    pub(super) fn failed(&self) -> bool {
        let mut trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let first = *trouble.first.get_or_insert(now);
        trouble.last = Some(now);
        now - first >= ALARM_AFTER && !std::mem::replace(&mut trouble.alarmed, true)
    }

    /// Whether it was in trouble when it was last asked for anything, however long ago.
    pub(super) fn is_away(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last.is_some()
    }

    /// Whether it is away, and nothing has been asked of it since for so long that it may be back.
    pub(super) fn is_left_alone(&self) -> bool {
        let trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.last.is_some_and(|last| last.elapsed() >= LEFT_ALONE)
    }

    /// Whether it was in trouble a moment ago.
    pub(super) fn rests(&self) -> bool {
        let trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.last.is_some_and(|last| last.elapsed() < REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn notices_go_at_an_even_pace_and_codes_wait_for_nothing() {
        let (pace, begin) = (Pace::new(60), Instant::now());
        for second in 0..3 {
            pace.turn(false).await;
            assert_eq!(begin.elapsed().as_secs(), second);
        }
        pace.turn(true).await;
        pace.turn(true).await;
        assert_eq!(begin.elapsed().as_secs(), 2, "at once");
        pace.turn(false).await;
        assert_eq!(begin.elapsed().as_secs(), 5, "those behind have waited for them");
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_in_trouble_rests_and_alarms_once() {
        let standing = Standing::default();
        assert!(!standing.rests() && !standing.failed() && standing.rests());
        tokio::time::advance(ALARM_AFTER).await;
        assert!(!standing.rests(), "it is tried again");
        assert!(standing.is_away() && !standing.is_left_alone(), "by a notice that waits");
        tokio::time::advance(LEFT_ALONE - ALARM_AFTER).await;
        assert!(standing.is_left_alone(), "or, where none is left, without one");
        assert!(standing.failed());
        assert!(!standing.failed(), "once");
        standing.answered();
        assert!(!standing.rests() && !standing.is_away() && !standing.failed());
    }
}
