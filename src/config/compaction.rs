//! `[store.compaction]`: how the space of deleted mail comes back.

use super::human;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[store.compaction]`: moving what lives out of files of the log that are mostly dead.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compaction {
    /// Whether it is done while the server runs.
    pub enabled: bool,
    /// Time from the end of one to the next.
    #[serde(with = "human::duration")]
    pub every: Duration,
    /// Share of a file, in percent, that must be dead for the rest of it to be moved.
    pub dead_percent: u8,
    /// Bytes that are read and moved in a second at most.
    #[serde(with = "human::size")]
    pub rate: u64,
    /// How long a file stays as it was after its content was moved.
    #[serde(with = "human::duration")]
    pub settle: Duration,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            enabled: true,
            every: Duration::from_secs(600),
            dead_percent: 50,
            rate: 16 << 20,
            settle: Duration::from_secs(7200),
        }
    }
}
