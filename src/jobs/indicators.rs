//! The counters' calendar: at a month's first instant the mailboxes of the month that has ended are noted, what is three
//! months old becomes anonymous, and old months go.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{error, info};

use crate::audit::indicators::Indicators;
use crate::mss::indicators::Month;

/// The longest wait: a clock that was set, a machine that slept.
const LONGEST: Duration = Duration::from_secs(3600);

/// Tends the counters until `stop`.
pub async fn run(indicators: Indicators, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    loop {
        let now = now();
        match indicators.tend(now).await {
            Ok(tended) => {
                if let Some(month) = tended.snapshot {
                    info!(event = "indicators.noted", %month, "the mailboxes at the month's end are noted");
                }
                if tended.anonymised > 0 {
                    info!(event = "indicators.anonymous", marks = tended.anonymised, "old marks became numbers");
                }
                if tended.forgotten > 0 {
                    info!(event = "indicators.forgotten", counters = tended.forgotten, "old months are gone");
                }
            }
            Err(error) => error!(%error, "the month's counters are not tended; they are within the hour"),
        }
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(wait(now)) => {}
        }
    }
}

/// Until the next month begins, or the longest wait.
fn wait(now: u64) -> Duration {
    Duration::from_micros(Month::of(now).end().saturating_sub(now)).min(LONGEST)
}

/// Unix microseconds.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_month_is_waited_for_and_no_longer() {
        let november: Month = "2026-11".parse().unwrap();
        assert_eq!(wait(november.start()), LONGEST);
        assert_eq!(wait(november.end() - 5_000_000), Duration::from_secs(5));
        assert_eq!(wait(november.end()), LONGEST);
    }
}
