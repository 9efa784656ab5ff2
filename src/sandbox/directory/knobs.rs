//! How the look-alike is made to fail: what a server that publishes has to live with.

use serde::{Deserialize, Serialize};

/// The knobs, as `POST …/_sandbox/knobs` takes them; what is left out goes back to its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Knobs {
    /// Methods (`GET`, `PATCH`) that the others are for; empty: all.
    pub(super) only: Vec<String>,
    /// How many requests they are for; then everything is well again. Absent: until they are turned.
    pub(super) times: Option<u32>,
    /// Every answer waits so long.
    pub(super) delay_ms: u64,
    /// Answers with this status in place of what it would say.
    pub(super) status: Option<u16>,
    /// `Retry-After` in seconds, with `status`.
    pub(super) retry_after: Option<u32>,
    /// The diagnostics of that answer.
    pub(super) words: Option<String>,
    /// Answers with something that is no JSON.
    pub(super) garbage: bool,
    /// Closes the connection in place of an answer, with nothing done.
    pub(super) drop: bool,
    /// Does what is asked, then closes the connection in place of an answer.
    pub(super) drop_after: bool,
    /// Does what is asked, then waits so long before it answers.
    pub(super) delay_after_ms: u64,
    /// Says that a patch was applied, and applies nothing.
    pub(super) forget: bool,
}

impl Knobs {
    /// What is to be done to a request of this method; one of `times` is used up.
    pub(super) fn take(&mut self, method: &str) -> Self {
        if !self.only.is_empty() && !self.only.iter().any(|only| only == method) {
            return Self::default();
        }
        let taken = self.clone();
        if let Some(times) = &mut self.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                *self = Self::default();
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_turn_back_when_their_times_are_used_up() {
        let mut knobs = Knobs { only: vec!["PATCH".into()], times: Some(2), status: Some(500), ..Knobs::default() };
        assert_eq!(knobs.take("GET").status, None, "another method uses nothing up");
        assert_eq!(knobs.take("PATCH").status, Some(500));
        assert_eq!(knobs.take("PATCH").status, Some(500));
        assert_eq!(knobs.take("PATCH").status, None);
        assert_eq!(knobs, Knobs::default());
    }
}
