//! What becomes of a consignment's recipients, in one batch: who leaves, who waits, what the sender is told, what is
//! traced.

use crate::mss::Address;
use crate::store::{Batch, Consignment, ConsignmentKey, Expect, QueueMessage, QueueRecipient, QueueRecipientKey};
use crate::wire::smtp::params::Notify;

use super::loaded::Loaded;
use super::sealed::{self, Recipient};
use super::types::{Envelope, Words};
use super::{Inner, QueueError};
use crate::audit::{self, Asker};
use crate::mail::report::{Action, Report, Reported};
use crate::mail::trail::{named, step};

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
                let sealed = sealed::seal_recipient(&self.loaded.message.key, key, &waiting);
                self.batch.put(&key, &QueueRecipient { sealed });
            }
            Fate::Cancelled => drop(self.batch.delete::<QueueRecipient>(&key)),
            Fate::Untouched => self.left += 1,
        }
    }

    /// Traces what was done to the message, about no recipient alone.
    pub(super) fn handled(&mut self, action: &str, by: &Asker) {
        handled(self.queue, &self.loaded.message.envelope, action, by, &mut self.batch);
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
            owed.push(Report { original: message.original()?, recipients: self.reported });
        }
        Ok(Parted { batch: self.batch, owed, left: self.left, results: self.results })
    }

    fn tried(&mut self, recipient: &Recipient, result: &'static str, words: &Words) {
        self.results.push(result);
        tried(
            self.queue,
            &self.loaded.message.envelope,
            &recipient.address,
            result,
            words,
            self.attempt,
            &mut self.batch,
        );
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

/// Traces a try at a recipient.
pub(super) fn tried(
    queue: &Inner,
    envelope: &Envelope,
    recipient: &Address,
    result: &str,
    words: &Words,
    attempt: u32,
    batch: &mut Batch,
) {
    let (recipient, result, words) = (recipient.to_string(), result.to_owned(), words.to_string());
    let tried = audit::Action::Tried { recipient, result, words, attempt };
    note(queue, envelope, &Asker::server(), tried, batch);
}

/// Traces what the operator did to a message.
pub(super) fn handled(queue: &Inner, envelope: &Envelope, handling: &str, by: &Asker, batch: &mut Batch) {
    note(queue, envelope, by, audit::Action::Handled { handling: handling.to_owned() }, batch);
}

/// Traces a step of a queued message, on the own mailbox that sent it.
fn note(queue: &Inner, envelope: &Envelope, asker: &Asker, action: audit::Action, batch: &mut Batch) {
    let Asker { actor, origin } = asker.clone();
    let mailbox = envelope.account.and(envelope.sender.as_ref()).map(ToString::to_string);
    let message = named(envelope.message_id.as_deref());
    let trace = audit::Trace { actor, origin, mailbox, ..step(message, &envelope.reference, action) };
    queue.traces.note(trace, batch);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::queue::types::{Kind, Outbound, OutboundRecipient};
    use crate::mail::{MailLimits, MailRoom};
    use crate::mss::Address;
    use crate::store::{MasterKey, QueueId, Store};
    use crate::wire::smtp::params::{MailParams, RcptParams};

    const KEY: ConsignmentKey = ConsignmentKey { message: QueueId(1), number: 0 };

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    async fn room(kind: Kind, sender: Option<&str>, notify: Option<Notify>) -> MailRoom {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let recipient =
            |text| OutboundRecipient { address: address(text), params: RcptParams { notify, ..RcptParams::default() } };
        let outbound = Outbound {
            kind,
            sender: sender.map(address),
            account: None,
            params: MailParams::default(),
            recipients: vec![recipient("a@x.example"), recipient("b@x.example")],
            message_id: None,
            reference: "t-1".into(),
            skip: 10,
            header: 20,
            not_before: None,
        };
        let mut incoming = room.receive();
        incoming.write(&[b'x'; 100]).await.unwrap();
        room.queue().enqueue(outbound, incoming.finish().await.unwrap()).await.unwrap();
        room
    }

    fn words(status: &str) -> Words {
        Words { code: None, status: status.into(), text: "mots".into(), host: None, rule: None }
    }

    fn parted(room: &MailRoom, fate: &Fate) -> Parted {
        let queue = &room.queue().inner;
        let loaded = queue.load(KEY).unwrap().unwrap();
        let mut parting = Parting::new(queue, &loaded, 1, 1_800_000_000);
        parting.part(0, &loaded.recipients[0].1, fate.clone());
        parting.part(1, &loaded.recipients[1].1, Fate::Untouched);
        parting.finish(&loaded.consignment).unwrap()
    }

    #[tokio::test]
    async fn a_report_is_owed_for_what_failed_and_for_what_was_relayed_where_success_is_asked_for() {
        let success = Some(Notify::On { success: true, failure: false, delay: false });
        let relayed = |takes_dsn| Fate::Relayed { words: words("2.0.0"), takes_dsn };
        let failed = |failure| Fate::Failed(failure, words("5.1.1"));
        for (fate, notify, owed) in [
            (relayed(false), None, None),
            (relayed(false), success, Some(Action::Relayed)),
            (relayed(true), success, None),
            (failed(Failure::Refused), None, Some(Action::Failed)),
            // Whether it is asked for is decided by who makes the report.
            (failed(Failure::Expired), Some(Notify::Never), Some(Action::Failed)),
            (failed(Failure::Bounced), success, Some(Action::Failed)),
            (Fate::Waits(Some(words("4.2.1"))), None, None),
            (Fate::Cancelled, None, None),
            (Fate::Untouched, None, None),
        ] {
            let room = room(Kind::Mail, Some("lea@a.example"), notify).await;
            let parted = parted(&room, &fate);
            let found: Vec<_> = parted.owed.iter().flat_map(|report| &report.recipients).collect();
            assert_eq!(found.first().map(|reported| reported.action), owed, "{fate:?}");
            assert!(found.iter().all(|reported| reported.address == address("a@x.example")));
            let waits = matches!(fate, Fate::Waits(_) | Fate::Untouched);
            assert_eq!(parted.left, 1 + usize::from(waits), "{fate:?}");
        }
    }

    #[tokio::test]
    async fn nothing_is_owed_about_reports_notices_and_messages_without_a_sender() {
        let failed = Fate::Failed(Failure::Refused, words("5.1.1"));
        for (kind, sender, owed) in [
            (Kind::Mail, Some("lea@a.example"), 1),
            (Kind::Forward, Some("lea@a.example"), 1),
            (Kind::Mail, None, 0),
            (Kind::Report, None, 0),
            (Kind::Report, Some("postmaster@a.example"), 0),
            (Kind::Absence, Some("lea@a.example"), 0),
        ] {
            let room = room(kind, sender, None).await;
            assert_eq!(parted(&room, &failed).owed.len(), owed, "{kind:?} from {sender:?}");
        }
    }

    #[tokio::test]
    async fn a_report_is_made_from_the_message_as_it_was_sent() {
        let room = room(Kind::Mail, Some("lea@a.example"), None).await;
        let owed = parted(&room, &Fate::Failed(Failure::Refused, words("5.1.1"))).owed.remove(0);
        assert_eq!((owed.original.skip, owed.original.size, owed.original.header), (10, 90, 20));
        assert_eq!(owed.recipients[0].last_attempt, Some(1_800_000_000));
        let read = room.store().read_body(&owed.original.body, &owed.original.body_key, 0..5).await.unwrap();
        assert_eq!(read, b"xxxxx");
    }
}
