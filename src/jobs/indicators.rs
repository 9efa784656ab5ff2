//! The counters' calendar: at a month's first instant the mailboxes of the month that has ended are noted, what is three
//! months old becomes anonymous, and old months go: by a clock that is believed, for none of it can be taken back.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{error, info};

use crate::accounts::Registry;
use crate::audit::indicators::{Indicators, Tended};
use crate::audit::{Action, Asker, Tracer};
use crate::mss::indicators::Month;

/// The longest wait: a clock that was set, a machine that slept.
const LONGEST: Duration = Duration::from_secs(3600);

/// Tends the counters until `stop`. What it did is traced: what is forgotten above all.
pub async fn run(indicators: Indicators, registry: Registry, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    loop {
        let now = now();
        match registry.check_clock(super::unix_now()) {
            Ok(()) => tend(&indicators, registry.room().traces(), now).await,
            Err(error) => error!(event = "indicators.clock", %error, "the month's counters are not tended"),
        }
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(wait(now)) => {}
        }
    }
}

async fn tend(indicators: &Indicators, tracer: &Tracer, now: u64) {
    match indicators.tend(now).await {
        Ok(tended) if tended == Tended::default() => {}
        Ok(tended) => tell(&tended, tracer).await,
        Err(error) => error!(%error, "the month's counters are not tended; they are within the hour"),
    }
}

async fn tell(tended: &Tended, tracer: &Tracer) {
    let detail = in_words(tended);
    info!(event = "indicators.tended", detail, "the month's counters");
    let action = Action::JobRan { job: "indicators".into(), result: "done".into(), detail };
    if let Err(error) = tracer.write([Asker::server().trace(None, action)]).await {
        error!(%error, "what was done to the month's counters is not traced");
    }
}

fn in_words(tended: &Tended) -> String {
    let noted = tended.snapshot.map(|month| format!("mailboxes noted as those of {month}"));
    let anonymous = Some(tended.anonymised).filter(|marks| *marks > 0);
    let forgotten = Some(tended.forgotten).filter(|counters| *counters > 0);
    let anonymous = anonymous.map(|marks| format!("{marks} marks of used mailboxes became numbers"));
    let forgotten = forgotten.map(|counters| format!("{counters} counters of old months forgotten"));
    [noted, anonymous, forgotten].into_iter().flatten().collect::<Vec<_>>().join("; ")
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
    fn what_was_done_reads_as_a_line() {
        let tended = Tended { snapshot: "2026-11".parse().ok(), anonymised: 2, forgotten: 0 };
        assert_eq!(in_words(&tended), "mailboxes noted as those of 2026-11; 2 marks of used mailboxes became numbers");
    }

    #[test]
    fn the_end_of_a_month_is_waited_for_and_no_longer() {
        let november: Month = "2026-11".parse().unwrap();
        assert_eq!(wait(november.start()), LONGEST);
        assert_eq!(wait(november.end() - 5_000_000), Duration::from_secs(5));
        assert_eq!(wait(november.end()), LONGEST);
    }
}
