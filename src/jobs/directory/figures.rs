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
        let is_late = counts.oldest.is_some() && Duration::from_secs(oldest.cast_unsigned()) >= late;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::publication::{PublicationOptions, PublishFrom};
    use crate::accounts::{AccountOptions, NewMailbox};
    use crate::mail::{MailLimits, MailRoom};
    use crate::mss::{Address, Domain, Kind};
    use crate::store::{Holder, MasterKey, Store};

    #[tokio::test(start_paused = true)]
    async fn a_mailbox_that_waits_too_long_is_an_alarm_once_an_hour() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let publication = PublicationOptions { on: true, from: PublishFrom::Creation, test_mailboxes: false };
        let registry = Registry::new(room, AccountOptions { publication, ..AccountOptions::default() });
        registry.add_domain(&Domain::parse("aura.mssante.example").unwrap(), "").await.unwrap();
        let (mut figures, metrics) = (Figures::default(), Metrics::default());
        figures.take(&metrics, Duration::ZERO, &registry).await;
        assert!(figures.alarmed.is_none(), "nobody waits");

        let person = |id: &str| Some(id.to_owned());
        let holder = Holder { national_id: person("899700000001"), last_name: person("Lefèvre"), ..Holder::default() };
        let address = Address::parse("anne@aura.mssante.example").unwrap();
        registry.create(NewMailbox::new(address, Kind::Per, holder)).await.unwrap();
        tokio::time::advance(EVERY).await;
        figures.take(&metrics, Duration::from_secs(86_400), &registry).await;
        assert_eq!((metrics.directory_waiting.get(), figures.alarmed.is_none()), (1, true), "it may wait a day");
        tokio::time::advance(EVERY).await;
        figures.take(&metrics, Duration::ZERO, &registry).await;
        let first = figures.alarmed.expect("it waits too long");
        tokio::time::advance(EVERY).await;
        figures.take(&metrics, Duration::ZERO, &registry).await;
        assert_eq!(figures.alarmed, Some(first), "told once");
        tokio::time::advance(ALARM).await;
        figures.take(&metrics, Duration::ZERO, &registry).await;
        assert!(figures.alarmed > Some(first), "and once more an hour later");
    }
}
