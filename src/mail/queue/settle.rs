//! An attempt's end: one commit in which recipients leave or wait, and their sender is told.

use std::sync::Arc;
use std::time::Duration;

use crate::store::{Batch, CommitError, Consignment, StoreError};

use super::super::now;
use super::parting::{Failure, Fate, Parting, tried};
use super::sealed::Recipient;
use super::types::{Attempt, AttemptRecipient, Destination, Outcome, Verdict, Words};
use super::{AGAIN, Inner, Queue, QueueError, Tries};

impl Queue {
    /// Writes down what an attempt came to. Goes on to its end even if the caller does not wait for it; waits, as long as
    /// it takes, for room on a full disk, and for a store that cannot read.
    pub async fn settle(&self, attempt: Attempt, outcome: Outcome) {
        let inner = Arc::clone(&self.inner);
        let message = attempt.key.message;
        let task = tokio::spawn(async move { inner.settle(attempt, outcome).await });
        if let Err(error) = task.await {
            tracing::error!(%message, %error, "an attempt's end was cut short; it is due again");
        }
    }
}

impl Inner {
    async fn settle(&self, attempt: Attempt, outcome: Outcome) {
        let due = self.schedule().judge(attempt.key, &outcome.destination, now());
        self.changed.notify_waiters();
        if outcome.destination == Destination::Crowded {
            // Nothing was tried: nothing is written, and it is no try. What an operator did meanwhile stands in the record.
            self.schedule().abandon(attempt.key, due, now());
            attempt.lease.settled();
            return self.changed.notify_waiters();
        }
        let mut tries = Tries::default();
        loop {
            let lock = self.lock(attempt.key.message).await;
            let written = self.write_outcome(&attempt, &outcome, due).await;
            if let Some(pause) = tries.pause_after(&written).or_else(|| pause_to_remember(&attempt, &written)) {
                // Others need the lock, and this may take long.
                drop(lock);
                tokio::time::sleep(pause).await;
                continue;
            }
            let (key, now) = (attempt.key, now());
            match written {
                Ok(Some(waits)) => self.schedule().put_back(key, waits.due_at, waits.attempts, waits.held, now),
                Ok(None) => self.schedule().remove(key, now),
                Err(error) => self.not_written(&attempt, &error),
            }
            attempt.lease.settled();
            drop(lock);
            return self.changed.notify_waiters();
        }
    }

    /// Nothing is known of the attempt any more but that its consignment is still owed.
    fn not_written(&self, attempt: &Attempt, error: &QueueError) {
        tracing::error!(message = %attempt.key.message, %error, "an attempt's end is not written; it is due again");
        if matches!(error, QueueError::Commit(CommitError::Unknown)) {
            // The store has stopped: what we sent now could never be written down, and would be sent again.
            self.stop();
        }
        self.schedule().abandon(attempt.key, now() + AGAIN, now());
    }

    /// Returns the consignment that waits, if somebody is left in it.
    async fn write_outcome(
        &self,
        attempt: &Attempt,
        outcome: &Outcome,
        due_at: i64,
    ) -> Result<Option<Consignment>, QueueError> {
        let Some(loaded) = self.load(attempt.key)? else {
            let mut batch = Batch::new();
            self.note_late(attempt, outcome, &[], &mut batch);
            if !batch.is_empty() {
                self.store.commit(batch).await?;
            }
            return Ok(None);
        };
        let waits = Consignment { due_at, attempts: attempt.number, ..loaded.consignment.record.clone() };
        // Trouble of our own is no try. It is told once, and not again each minute.
        let waits = match &outcome.destination {
            Destination::Unready(words) => {
                let waits = Consignment { attempts: loaded.consignment.attempts, ..waits };
                if loaded.recipients.iter().all(|(_, recipient)| was_told(recipient, words)) {
                    return Ok(Some(waits));
                }
                waits
            }
            _ => waits,
        };
        let mut parting = Parting::new(self, &loaded, attempt.number, now());
        for (number, recipient) in &loaded.recipients {
            parting.part(*number, recipient, fate(outcome, *number));
        }
        let mut parted = parting.finish(&waits)?;
        self.note_late(attempt, outcome, &loaded.recipients, &mut parted.batch);
        let left = parted.left;
        self.commit_parting(parted).await?;
        Ok((left > 0).then_some(waits))
    }

    /// Of those who are not `here` any more, because the operator took them out while they were tried: what the peer said
    /// is traced all the same.
    fn note_late(&self, attempt: &Attempt, outcome: &Outcome, here: &[(u32, Recipient)], batch: &mut Batch) {
        let is_here = |recipient: &AttemptRecipient| here.iter().any(|(number, _)| *number == recipient.number);
        for recipient in attempt.recipients.iter().filter(|recipient| !is_here(recipient)) {
            let (result, words) = match fate(outcome, recipient.number) {
                Fate::Relayed { words, .. } => ("relayed", words),
                Fate::Failed(_, words) => ("failed", words),
                _ => continue,
            };
            tried(self, &attempt.envelope, &recipient.address, result, &words, attempt.number, batch);
        }
    }
}

/// Whether the last that was said about a recipient is the same, but for its wording.
fn was_told(recipient: &Recipient, words: &Words) -> bool {
    recipient.last.as_ref().is_some_and(|last| last.rule == words.rule && last.status == words.status)
}

/// The store cannot read now what an outcome is written with, and may later: what a peer has taken must not be forgotten,
/// or it gets the message again and again.
fn pause_to_remember<T>(attempt: &Attempt, outcome: &Result<T, QueueError>) -> Option<Duration> {
    let Err(QueueError::Store(error @ (StoreError::Io { .. } | StoreError::Index(_)))) = outcome else { return None };
    tracing::error!(message = %attempt.key.message, %error, "an attempt's end cannot be written now; it is tried again");
    Some(Duration::from_secs(AGAIN.unsigned_abs()))
}

/// What an outcome is to one recipient; one that is not in it is deferred with what was said about the destination.
fn fate(outcome: &Outcome, number: u32) -> Fate {
    let verdict = outcome.recipients.iter().find(|(each, _)| *each == number).map(|(_, verdict)| verdict.clone());
    match (verdict, &outcome.destination) {
        (Some(Verdict::Relayed { words, takes_dsn }), _) => Fate::Relayed { words, takes_dsn },
        (Some(Verdict::Deferred(words)), _) => Fate::Waits(Some(words)),
        (Some(Verdict::Failed(words)), _) => Fate::Failed(Failure::Refused, words),
        (None, Destination::Away(words) | Destination::Unready(words)) => Fate::Waits(Some(words.clone())),
        (None, _) => Fate::Waits(None),
    }
}
