//! Into the queue: a message's records are written in the commit that its positive answer is made from.

use std::collections::BTreeMap;

use crate::mss::Domain;
use crate::store::{
    Batch, CommitError, Committed, Consignment, ConsignmentKey, MetaKey, QueueId, QueueMessage, QueueRecipient,
    QueueRecipientKey, StagedBody,
};

use super::super::{ReceivedMessage, now};
use super::keys::TransitKey;
use super::loaded::is_reported;
use super::schedule::Entry;
use super::sealed::{self, Recipient};
use super::types::{Envelope, Outbound, OutboundRecipient};
use super::{Queue, QueueError};

/// Queue numbers taken from the store at a time: what a restart leaves unused is lost, and cheap.
const NUMBERS_AT_ONCE: u64 = 1_024;
/// More are taken when fewer are left: whoever reserved finds one, however many others stage meanwhile.
const FEWEST_NUMBERS: u64 = 512;
/// RFC 5321 §4.5.3.1.8: every server takes a hundred recipients in one transaction.
const MOST_RECIPIENTS: usize = 100;

/// A message that is on its way into the queue: its records are in a batch. Once that is committed, [`Enqueued::announce`]
/// it; dropped, nothing has happened.
#[derive(Debug)]
#[must_use = "a committed message that is not announced waits for the next start"]
pub struct Enqueued {
    queue: Queue,
    id: QueueId,
    consignments: Vec<(ConsignmentKey, Consignment)>,
    /// Held until the store shows the message: a key that somebody holds is not destroyed.
    _key: TransitKey,
}

impl Queue {
    /// Sees to it that a number is there for the next [`Queue::stage`]. Mostly does nothing; now and then a commit.
    ///
    /// # Errors
    /// As [`crate::store::Store::allocate`].
    pub async fn reserve(&self) -> Result<(), CommitError> {
        let enough = || {
            let numbers = self.numbers();
            numbers.end - numbers.start >= FEWEST_NUMBERS
        };
        if enough() {
            return Ok(());
        }
        let _one_at_a_time = self.inner.reserving.lock().await;
        if !enough() {
            let first = self.inner.store.allocate(MetaKey::NextQueued, NUMBERS_AT_ONCE).await?;
            *self.numbers() = first..first + NUMBERS_AT_ONCE;
        }
        Ok(())
    }

    /// Takes in a message that no mailbox here holds (a message sent on, a notice): the same in one commit of its own.
    ///
    /// # Errors
    /// As [`Queue::stage`], and what the store says: then nothing is queued.
    pub async fn enqueue(&self, outbound: Outbound, message: ReceivedMessage) -> Result<Committed, QueueError> {
        self.reserve().await?;
        let mut batch = Batch::new();
        let enqueued = self.stage(outbound, &message.body, &mut batch)?;
        batch.adopt(message.body, 1);
        let reply = self.inner.store.commit(batch);
        // Whoever waits for this may go away; what is committed is announced all the same.
        let task = tokio::spawn(async move {
            let committed = reply.await?;
            enqueued.announce();
            Ok(committed)
        });
        task.await.unwrap_or(Err(QueueError::Stopped))
    }

    /// Writes a message's records into the batch that also files its local copies. The caller adopts the body with one
    /// more reference: the queue's, released with the message's last consignment.
    ///
    /// # Errors
    /// [`QueueError::NoRecipient`]; [`QueueError::NoNumber`] without [`Queue::reserve`] before.
    pub(crate) fn stage(
        &self,
        outbound: Outbound,
        body: &StagedBody,
        batch: &mut Batch,
    ) -> Result<Enqueued, QueueError> {
        if outbound.recipients.is_empty() {
            return Err(QueueError::NoRecipient);
        }
        let id = self.numbers().next().map(QueueId).ok_or(QueueError::NoNumber)?;
        let sealing = self.inner.keys.newest();
        let record = self.message_record(id, &sealing, &outbound, body);
        batch.put(&id, &record);
        let QueueMessage { accepted_at, delay_at, .. } = record;
        let due_at = accepted_at.max(record.not_before);
        let mut consignments = Vec::new();
        for ((domain, recipients), number) in consigned(outbound.recipients).into_iter().zip(0..) {
            let key = ConsignmentKey { message: id, number };
            let domain = domain.as_str().to_owned();
            let expires_at = due_at + self.schedule().lifetime(&domain);
            let (attempts, held, delay_told) = (0, false, false);
            let consignment =
                Consignment { domain, due_at, accepted_at, expires_at, delay_at, attempts, held, delay_told };
            batch.put(&key, &consignment);
            put_recipients(&sealing, key, recipients, batch);
            consignments.push((key, consignment));
        }
        Ok(Enqueued { queue: self.clone(), id, consignments, _key: sealing })
    }

    fn message_record(&self, id: QueueId, key: &TransitKey, outbound: &Outbound, body: &StagedBody) -> QueueMessage {
        let envelope = Envelope {
            kind: outbound.kind,
            sender: outbound.sender.clone(),
            account: outbound.account,
            params: outbound.params.clone(),
            message_id: outbound.message_id.clone(),
            reference: outbound.reference.clone(),
        };
        let accepted_at = now();
        let not_before = outbound.not_before.unwrap_or(0);
        // RFC 4865 §5: the time that a message is held back by its sender is no delay.
        let begins = accepted_at.max(not_before);
        let delay_at = if is_reported(&envelope) { begins + self.inner.options.delay_notice } else { NEVER_TOLD };
        let domains = outbound.recipients.iter().map(|recipient| recipient.address.domain());
        let lifetime = domains.map(|domain| self.schedule().lifetime(domain.as_str())).max().unwrap_or(0);
        QueueMessage {
            transit_key: key.moment,
            body: body.id,
            sealed_body_key: key.seal_body_key(body.id, &body.key),
            skip: outbound.skip,
            size: body.size.saturating_sub(u64::from(outbound.skip)),
            header: outbound.header,
            accepted_at,
            not_before,
            expires_at: begins + lifetime,
            delay_at,
            sealed: sealed::seal_envelope(key, id, &envelope),
        }
    }
}

fn put_recipients(
    sealing: &TransitKey,
    consignment: ConsignmentKey,
    recipients: Vec<OutboundRecipient>,
    batch: &mut Batch,
) {
    for (recipient, number) in recipients.into_iter().zip(0..) {
        let key = QueueRecipientKey { consignment, number };
        let OutboundRecipient { address, params } = recipient;
        let opened = Recipient { address, params, last: None, tried_at: None };
        let sealed = sealed::seal_recipient(sealing, key, &opened);
        batch.put(&key, &QueueRecipient { sealed });
    }
}

/// [`QueueMessage::delay_at`] of a message whose delay is told to nobody.
const NEVER_TOLD: i64 = 0;

/// Recipients by domain, in lots that one transaction carries.
fn consigned(recipients: Vec<OutboundRecipient>) -> Vec<(Domain, Vec<OutboundRecipient>)> {
    let mut by_domain: BTreeMap<Domain, Vec<OutboundRecipient>> = BTreeMap::new();
    for recipient in recipients {
        by_domain.entry(recipient.address.domain().clone()).or_default().push(recipient);
    }
    let lots = by_domain.into_iter().flat_map(|(domain, recipients)| {
        let lots: Vec<_> = recipients.chunks(MOST_RECIPIENTS).map(<[_]>::to_vec).collect();
        lots.into_iter().map(move |lot| (domain.clone(), lot))
    });
    lots.collect()
}

/// A consignment as the schedule takes it.
pub(super) fn entry(key: ConsignmentKey, consignment: &Consignment) -> Entry<'_> {
    Entry {
        key,
        domain: &consignment.domain,
        due: consignment.due_at,
        attempts: consignment.attempts,
        held: consignment.held,
        accepted_at: consignment.accepted_at,
        delay_at: (consignment.delay_at != NEVER_TOLD && !consignment.delay_told).then_some(consignment.delay_at),
        expires_at: consignment.expires_at,
    }
}

impl Enqueued {
    /// The message's number in the queue.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// The batch is committed: the schedule hears of it.
    pub fn announce(self) {
        let now = now();
        let mut schedule = self.queue.schedule();
        for (key, consignment) in &self.consignments {
            schedule.add(entry(*key, consignment), now);
        }
        drop(schedule);
        self.queue.inner.changed.notify_waiters();
    }
}
