//! What runs beside the mail path: the white list and the revocation lists, kept fresh; notices to holders;
//! mailboxes' lives.
//!
//! The first two have the same shape. A *source* is a file or an address; it is asked every so often, and what comes is
//! judged as a whole before anything changes. What was judged good is kept on disk, durably, so that a start without the
//! network has the last good copy. What was judged bad changes nothing but the alarms.
//!
//! - [`trust`]: the white list → the [`TrustSpace`](crate::mss::TrustSpace) that admission and exchange read.
//! - [`crl`]: the CRLs → a watch channel that the TLS contexts are rebuilt from, and the state that admission reads.
//! - [`indicators`]: the calendar of the month's counters.
//! - [`lifecycle`]: the day → what becomes of mailboxes.
//! - [`notices`]: what holders are told → a relay of ordinary mail.
//!
//! An **alarm** is a `tracing::error` line with an `event` field from a closed set (`trust.refused`, `trust.stale`,
//! `crl.refused`, `crl.stale`, `crl.unusable`, `cache.unwritable` …), and a figure of its own in the metrics.
//!
//! This room calls `mss`, `config`, `telemetry`, `audit` for technical traces and the month's counters, the certificate
//! reading of `serve::tls`, and for notices and lives `wire` and `accounts`.

mod cache;
pub mod crl;
pub mod fetch;
pub mod indicators;
pub mod lifecycle;
pub mod notices;
mod traced;
pub mod trust;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, in Unix seconds.
fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Up to a tenth more or less, so that operators started together do not all ask at the same moment.
fn jittered(interval: Duration) -> Duration {
    let mut octet = [0; 2];
    // Without randomness the exact interval is right too.
    let share = match aws_lc_rs::rand::fill(&mut octet) {
        Ok(()) => f64::from(u16::from_be_bytes(octet)) / f64::from(u16::MAX),
        Err(_) => 0.5,
    };
    interval.mul_f64(0.9 + 0.2 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_tenth() {
        let interval = Duration::from_secs(900);
        for _ in 0..100 {
            let waited = jittered(interval);
            assert!((Duration::from_secs(809)..Duration::from_secs(991)).contains(&waited), "{waited:?}");
        }
    }
}
