//! What is due beside attempts: senders are told of delays, and what took too long is given up.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::store::{Consignment, ConsignmentKey};

use super::super::now;
use super::loaded::Loaded;
use super::parting::{Failure, Fate, Parting};
use super::schedule::Deadline;
use super::sealed::Recipient;
use super::types::Words;
use super::{AGAIN, GRACE, Inner, Queue, QueueError, Tries, UNTRACED, sleep};
use crate::mail::report::{Action, Report, Reported};
use crate::store::Batch;

/// Deadlines met at once: they share commits.
const AT_ONCE: usize = 32;

/// What came of a deadline.
enum Met {
    /// The sender was told, or had been; the consignment waits on.
    Told(Consignment),
    /// It is given up.
    Gone,
    /// The operator holds it: then nothing is due.
    Held(Consignment),
}

impl Queue {
    /// Tells senders of delays, gives up what is too old, and sees to the queue's keys, until the queue is stopped. While traces
    /// cannot be kept, no sender is told untraced, and what cannot be tried is not given up. As after a start, everything is
    /// tried again first.
    pub async fn tend(&self) {
        tokio::join!(self.meet_deadlines(), self.tend_keys());
    }

    async fn meet_deadlines(&self) {
        let mut under_way = JoinSet::new();
        let mut was_stuck = false;
        loop {
            let mut changed = std::pin::pin!(self.inner.changed.notified());
            changed.as_mut().enable();
            if self.is_stopped() {
                break;
            }
            if self.inner.traces.is_stuck() {
                was_stuck = true;
                let _untraced = tokio::time::timeout(UNTRACED, changed).await;
                continue;
            }
            if std::mem::take(&mut was_stuck) {
                self.schedule().forbear(now() + GRACE);
            }
            while under_way.len() < AT_ONCE {
                let due = self.schedule().tick(now());
                let Some((key, deadline)) = due else { break };
                under_way.spawn(Arc::clone(&self.inner).meet(key, deadline));
            }
            let at = self.schedule().deadline_at();
            tokio::select! {
                _ended = under_way.join_next(), if !under_way.is_empty() => {}
                () = tokio::time::sleep(sleep(at)), if under_way.len() < AT_ONCE => {}
                () = changed, if under_way.len() < AT_ONCE => {}
            }
        }
        while under_way.join_next().await.is_some() {}
    }
}

impl Inner {
    async fn meet(self: Arc<Self>, key: ConsignmentKey, deadline: Deadline) {
        let lock = self.lock(key.message).await;
        let mut tries = Tries::default();
        let met = loop {
            let written = self.write_deadline(key, deadline).await;
            match tries.pause_after(&written) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => break written,
            }
        };
        let now = now();
        match met {
            Ok(Met::Told(waits)) => self.schedule().told(key, waits.held, now),
            Ok(Met::Gone) => self.schedule().remove(key, now),
            Ok(Met::Held(waits)) => self.schedule().put_back(key, waits.due_at, waits.attempts, true, now),
            Err(error) if error.is_damage() => {
                tracing::error!(message = %key.message, %error, "a queued message is damaged; it stays in the store");
                self.schedule().remove(key, now);
            }
            Err(error) => {
                tracing::error!(message = %key.message, %error, "a delay or expiry cannot be written now");
                self.schedule().postpone(key, now + AGAIN, now);
            }
        }
        drop(lock);
        self.changed.notify_waiters();
    }

    async fn write_deadline(&self, key: ConsignmentKey, deadline: Deadline) -> Result<Met, QueueError> {
        let Some(loaded) = self.load(key)? else { return Ok(Met::Gone) };
        if loaded.consignment.held {
            return Ok(Met::Held(loaded.consignment.record));
        }
        match deadline {
            Deadline::Delay => self.tell_of_delay(&loaded).await.map(Met::Told),
            Deadline::Expiry => self.give_up(&loaded).await.map(|()| Met::Gone),
        }
    }

    async fn tell_of_delay(&self, loaded: &Loaded) -> Result<Consignment, QueueError> {
        let told = Consignment { delay_told: true, ..loaded.consignment.record.clone() };
        if loaded.consignment.delay_told {
            return Ok(told);
        }
        let retry_until = Some(told.expires_at);
        let reported = |(_, recipient): &(u32, Recipient)| {
            let words = self.words_about(loaded.key, recipient, "4.4.7", "no try has succeeded yet");
            let Recipient { address, params, tried_at, .. } = recipient.clone();
            Reported { address, params, action: Action::Delayed, words, last_attempt: tried_at, retry_until }
        };
        let mut batch = Batch::new();
        batch.update(&loaded.key, loaded.consignment.version, &told);
        let recipients: Vec<_> = loaded.recipients.iter().map(reported).collect();
        let mut owed = Vec::new();
        if loaded.message.is_reported() && !recipients.is_empty() {
            owed.push(Report { original: loaded.message.original()?, recipients });
        }
        self.commit(batch, owed).await?;
        Ok(told)
    }

    async fn give_up(&self, loaded: &Loaded) -> Result<(), QueueError> {
        let mut parting = Parting::new(self, loaded, loaded.consignment.attempts, now());
        for (number, recipient) in &loaded.recipients {
            // RFC 3463 §3.5: X.4.7, the delivery time expired; now for good.
            let last = self.words_about(loaded.key, recipient, "5.4.7", "no try succeeded in time");
            let words = Words { status: "5.4.7".into(), rule: last.rule.or(Some("expired".into())), ..last };
            parting.part(*number, recipient, Fate::Failed(Failure::Expired, words));
        }
        let parted = parting.finish(&loaded.consignment.record)?;
        self.commit_parting(parted).await
    }

    /// What was last said about a recipient: of itself, or of its destination, or that there is nothing to say.
    fn words_about(&self, key: ConsignmentKey, recipient: &Recipient, status: &str, text: &str) -> Words {
        let destination = self.schedule().last_words(key).cloned();
        let own = || Words { code: None, status: status.into(), text: text.into(), host: None, rule: None };
        recipient.last.clone().or(destination).unwrap_or_else(own)
    }
}
