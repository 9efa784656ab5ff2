//! Stand-in of part C for part A's queue: records are written, nobody looks at them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Outbound, OutboundRecipient};
use crate::mail::now;
use crate::store::{
    Batch, CommitError, Consignment, ConsignmentKey, MailboxKey, MetaKey, QueueId, QueueMessage, QueueRecipient,
    QueueRecipientKey, StagedBody, Store,
};

/// Why a message does not go into the queue.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueueError {
    /// No number could be had from the store.
    #[error(transparent)]
    Store(#[from] CommitError),
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    store: Store,
    transit: MailboxKey,
    ids: Mutex<std::ops::Range<u64>>,
}

/// A message that is in the queue once its batch is committed.
#[derive(Debug)]
#[must_use = "the schedule hears of it only by announce()"]
pub struct Enqueued {
    _message: QueueId,
}

impl Enqueued {
    /// Tells the schedule.
    pub(crate) fn announce(self) {}
}

impl Queue {
    pub(crate) fn new(store: Store, transit: MailboxKey) -> Queue {
        Queue { store, transit, ids: Mutex::new(0..0) }
    }

    /// Makes sure that there is a number for one more message.
    pub(crate) async fn reserve(&self) -> Result<(), QueueError> {
        let first = self.store.allocate(MetaKey::NextQueued, 1).await?;
        *self.ids.lock().unwrap_or_else(PoisonError::into_inner) = first..first + 1;
        Ok(())
    }

    /// Writes a message's records into a batch that also adopts its body.
    pub(crate) fn stage(
        &self,
        outbound: Outbound,
        body: &StagedBody,
        batch: &mut Batch,
    ) -> Result<Enqueued, QueueError> {
        let id = self.ids.lock().unwrap_or_else(PoisonError::into_inner).next().unwrap_or_default();
        let message = QueueId(id);
        let record = QueueMessage {
            body: body.id,
            sealed_body_key: self.transit.seal_body_key(body.id, &body.key),
            skip: outbound.skip,
            size: body.size - u64::from(outbound.skip),
            header: outbound.header,
            accepted_at: now(),
            not_before: outbound.not_before.unwrap_or(0),
            expires_at: now() + 172_800,
            delay_at: now() + 14_400,
            sealed: Vec::new(),
        };
        batch.insert(&message, &record);
        let mut domains: BTreeMap<String, Vec<&OutboundRecipient>> = BTreeMap::new();
        for recipient in &outbound.recipients {
            domains.entry(recipient.address.domain().to_string()).or_default().push(recipient);
        }
        for (number, (domain, recipients)) in (0..).zip(domains) {
            let consignment = ConsignmentKey { message, number };
            let due_at = outbound.not_before.unwrap_or_else(now);
            let record = Consignment { domain, due_at, attempts: 0, held: false, delay_told: false };
            batch.insert(&consignment, &record);
            for (number, recipient) in (0..).zip(recipients) {
                let sealed = self.transit.seal_bytes(b"stub", recipient.address.to_string().as_bytes());
                batch.insert(&QueueRecipientKey { consignment, number }, &QueueRecipient { sealed });
            }
        }
        Ok(Enqueued { _message: message })
    }
}
