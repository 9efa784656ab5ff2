//! Counting what waits, and the alarm of what has waited too long.

use std::time::Duration;

use tokio::time::Instant;

use crate::accounts::Registry;
use crate::jobs::unix_now;
use crate::telemetry::Metrics;

/// How often it is counted: every record is read for it.
const EVERY: Duration = Duration::from_secs(60);

/// How often the same alarm is raised.
const ALARM: Duration = Duration::from_secs(3_600);

/// When it was counted and told.
#[derive(Debug, Default)]
pub(super) struct Figures {
    counted: Option<Instant>,
    alarmed: Option<Instant>,
}

impl Figures {
    /// Counts, if it is time, and raises an alarm for a mailbox that has waited longer than `late`: the terms of use promise that
    /// it is published within 48 h (MSSanté §5).
    pub(super) async fn take(&mut self, metrics: &Metrics, late: Duration, registry: &Registry) {
        if self.counted.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        self.counted = Some(Instant::now());
        let reading = registry.clone();
        let counts = match tokio::task::spawn_blocking(move || reading.publication_counts()).await {
            Ok(Ok(counts)) => counts,
            Ok(Err(error)) => return tracing::warn!(%error, "what waits for the directory cannot be counted"),
            Err(_) => return,
        };
        let figure = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let oldest = counts.oldest.map_or(0, |since| (unix_now() - since).max(0));
        metrics.directory_waiting.set(figure(counts.waiting));
        metrics.directory_tasks.set(figure(counts.tasks));
        metrics.directory_oldest.set(oldest);
        let is_late = Duration::from_secs(oldest.cast_unsigned()) >= late;
        if is_late && self.alarmed.is_none_or(|at| at.elapsed() >= ALARM) {
            self.alarmed = Some(Instant::now());
            let (waiting, tasks) = (counts.waiting, counts.tasks);
            tracing::error!(
                event = "directory.late",
                waiting,
                tasks,
                hours = oldest / 3_600,
                "a mailbox waits for the directory for longer than directory.late: see `caducee directory status`"
            );
        }
    }
}
