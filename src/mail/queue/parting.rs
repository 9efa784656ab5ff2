//! What becomes of a consignment's recipients, in one batch: who leaves, who waits, what the sender is told, what stands
//! on the trail.

use crate::store::{Batch, Consignment, ConsignmentKey, Expect, QueueMessage, QueueRecipient, QueueRecipientKey};
use crate::wire::smtp::params::Notify;

use super::loaded::Loaded;
use super::sealed::{self, Recipient};
use super::types::{Envelope, Words};
use super::{Inner, QueueError};
use crate::mail::report::{Action, Report, Reported};
use crate::mail::trail::{self, Event, Happening};

/// What becomes of a recipient.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// The next server has the message.
    Relayed { words: Words, takes_dsn: bool },
    /// It will never have it: a peer or a rule of ours said so, it took too long, or the operator gave up.
    Failed(Failure, Words),
    /// It waits on; these were the words, if there were some.
    Waits(Option<Words>),
    /// It is taken out, and nobody is told.
    Cancelled,
    /// Nothing happened to it.
    Untouched,
}

/// How a recipient failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Refused,
    Expired,
    Bounced,
}

impl Failure {
    fn name(self) -> &'static str {
        match self {
            Failure::Refused => "failed",
            Failure::Expired => "expired",
            Failure::Bounced => "bounced",
        }
    }
}

/// A consignment's batch while it is written.
pub(super) struct Parting<'a> {
    queue: &'a Inner,
    loaded: &'a Loaded,
    /// Which try it was; for the operator's doing, the last one.
    attempt: u32,
    now: i64,
    batch: Batch,
    reported: Vec<Reported>,
    left: usize,
    results: Vec<&'static str>,
}

/// A consignment's batch, ready for its commit.
pub(super) struct Parted {
    pub(super) batch: Batch,
    pub(super) owed: Vec<Report>,
    /// Recipients that still wait; with none, the consignment is gone.
    pub(super) left: usize,
    /// What recipients came to.
    pub(super) results: Vec<&'static str>,
}

impl<'a> Parting<'a> {
    pub(super) fn new(queue: &'a Inner, loaded: &'a Loaded, attempt: u32, now: i64) -> Self {
        let batch = Batch::new();
        Self { queue, loaded, attempt, now, batch, reported: Vec::new(), left: 0, results: Vec::new() }
    }

    /// Writes what becomes of one recipient.
    pub(super) fn part(&mut self, number: u32, recipient: &Recipient, fate: Fate) {
        let key = QueueRecipientKey { consignment: self.loaded.key, number };
        match fate {
            Fate::Relayed { words, takes_dsn } => {
                self.batch.delete::<QueueRecipient>(&key);
                self.tried(recipient, "relayed", &words);
                // RFC 3461 §5.2.2: who hands on to a server without DSN says "relayed" itself, where success is asked for.
                if !takes_dsn && matches!(recipient.params.notify, Some(Notify::On { success: true, .. })) {
                    self.report(recipient, Action::Relayed, words, Some(self.now));
                }
            }
            Fate::Failed(failure, words) => {
                self.batch.delete::<QueueRecipient>(&key);
                self.tried(recipient, failure.name(), &words);
                let tried_at = if failure == Failure::Refused { Some(self.now) } else { recipient.tried_at };
                self.report(recipient, Action::Failed, words, tried_at);
            }
            Fate::Waits(words) => {
                self.left += 1;
                if let Some(words) = &words {
                    self.tried(recipient, "deferred", words);
                }
                let last = words.or_else(|| recipient.last.clone());
                let waiting = Recipient { last, tried_at: Some(self.now), ..recipient.clone() };
                let sealed = sealed::seal_recipient(&self.queue.transit, key, &waiting);
                self.batch.put(&key, &QueueRecipient { sealed });
            }
            Fate::Cancelled => drop(self.batch.delete::<QueueRecipient>(&key)),
            Fate::Untouched => self.left += 1,
        }
    }

    /// Notes something on the message's trail that is about no recipient alone.
    pub(super) fn handled(&mut self, action: &str) {
        note(self.queue, &self.loaded.message.envelope, Happening::Handled { action: action.into() }, &mut self.batch);
    }

    /// Writes the consignment: as it `waits`, or its end if nobody is left.
    pub(super) fn finish(mut self, waits: &Consignment) -> Result<Parted, QueueError> {
        let Loaded { key, message, consignment, .. } = self.loaded;
        if self.left > 0 {
            self.batch.update(key, consignment.version, waits);
        } else {
            self.batch.expect::<Consignment>(key, Expect::Version(consignment.version)).delete::<Consignment>(key);
            if self.queue.is_last(*key)? {
                self.batch.expect::<QueueMessage>(&message.id, Expect::Version(message.record.version));
                self.batch.delete::<QueueMessage>(&message.id).release_body(message.record.body, 1);
            }
        }
        let mut owed = Vec::new();
        if !self.reported.is_empty() {
            owed.push(Report { original: message.original(self.queue)?, recipients: self.reported });
        }
        Ok(Parted { batch: self.batch, owed, left: self.left, results: self.results })
    }

    fn tried(&mut self, recipient: &Recipient, result: &'static str, words: &Words) {
        self.results.push(result);
        let tried = Happening::Tried {
            recipient: recipient.address.to_string(),
            result: result.into(),
            words: words.clone(),
            attempt: self.attempt,
        };
        note(self.queue, &self.loaded.message.envelope, tried, &mut self.batch);
    }

    fn report(&mut self, recipient: &Recipient, action: Action, words: Words, last_attempt: Option<i64>) {
        if self.loaded.message.is_reported() {
            let Recipient { address, params, .. } = recipient.clone();
            self.reported.push(Reported { address, params, action, words, last_attempt, retry_until: None });
        }
    }
}

impl Inner {
    /// Whether a consignment is its message's last one. Asked under the message's lock.
    fn is_last(&self, key: ConsignmentKey) -> Result<bool, QueueError> {
        let page = self.store.scan::<Consignment>(ConsignmentKey::of(key.message), 2)?;
        Ok(page.iter().all(|(each, _)| *each == key))
    }

    /// Commits a parting, and counts what it came to.
    pub(super) async fn commit_parting(&self, parted: Parted) -> Result<(), QueueError> {
        let Parted { batch, owed, results, .. } = parted;
        self.commit(batch, owed).await?;
        results.into_iter().for_each(|result| self.counted(result));
        Ok(())
    }
}

/// Puts an event on a message's trail, if it has a Message-ID to be followed by.
pub(super) fn note(queue: &Inner, envelope: &Envelope, what: Happening, batch: &mut Batch) {
    if let Some(message_id) = envelope.message_id.clone() {
        let event = Event { message_id, reference: envelope.reference.clone(), what };
        trail::note(&queue.transit, &event, batch);
    }
}
