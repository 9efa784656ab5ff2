//! The watchdog, and what is looked at from time to time.

use super::facts::{self, Facts};
use super::{Shared, systemd};
use crate::store::{Batch, CommitError, Expect, Meta, MetaKey, Store};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::error;

/// How often figures are taken and the watchdog is fed where systemd asks for no shorter time.
const PERIOD: Duration = Duration::from_secs(15);

/// How often it is warned of certificates that end soon.
const DAY: Duration = Duration::from_secs(86_400);

/// Takes figures and feeds the watchdog, which is a promise that mail is served: only while the runtime runs this task
/// and the store answers.
pub(super) async fn run(shared: Arc<Shared>) {
    // Half of what systemd allows, as sd_watchdog_enabled(3) advises.
    let period = systemd::watchdog_interval().map_or(PERIOD, |longest| (longest / 2).min(PERIOD));
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut warned = Instant::now();
    loop {
        ticks.tick().await;
        if warned.elapsed() >= DAY {
            warned = Instant::now();
            Facts::of(&shared.tls.material()).warn(facts::now());
        }
        let answering = answers(&shared.store, period).await;
        shared.metrics.store_ready.set(i64::from(answering));
        if let Ok(free) = shared.store.free_space() {
            shared.metrics.store_free.set(i64::try_from(free).unwrap_or(i64::MAX));
        }
        take_queue_figures(&shared);
        if answering {
            systemd::feed_watchdog();
        } else {
            error!("the store does not answer: the watchdog is not fed");
        }
    }
}

fn take_queue_figures(shared: &Shared) {
    let (counts, metrics) = (shared.mail.queue().counts(), &shared.metrics);
    let figure = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    metrics.queue_consignments.set(figure(counts.consignments));
    metrics.queue_held.set(figure(counts.held));
    metrics.queue_under_way.set(figure(counts.under_way));
    metrics.queue_away.set(figure(counts.away));
    metrics.queue_oldest.set(counts.oldest.map_or(0, |oldest| (facts::now() - oldest).max(0)));
}

/// Whether the store's writer answers within `longest`: it is asked for a commit that expects what cannot be (that the
/// count of starts is absent), so that it has to answer and has nothing to write.
async fn answers(store: &Store, longest: Duration) -> bool {
    if store.is_stopped() {
        return false;
    }
    let mut question = Batch::new();
    question.expect::<Meta>(&MetaKey::Starts, Expect::Absent);
    let answer = tokio::time::timeout(longest, store.commit(question)).await;
    matches!(answer, Ok(Ok(_) | Err(CommitError::Conflict(_) | CommitError::Full)))
}
