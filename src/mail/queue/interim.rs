//! Part A's `Queue::reserve`, `Queue::stage` and `Enqueued::announce` as PLAN.md lays them down, on part D's branch only:
//! the records are written, nothing schedules them. Part A's files take this one's place.

use crate::mail::MailRoom;
use crate::store::{Batch, CommitError, Consignment, ConsignmentKey, MetaKey, QueueId, QueueMessage, StagedBody};

use super::Outbound;

/// What can go wrong with the queue.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueueError {
    /// A message was to be queued for nobody.
    #[error("there is no recipient")]
    NoRecipient,
    /// The store did not write.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The way into the queue.
#[derive(Debug)]
pub struct Queue {
    room: MailRoom,
}

/// A staged message.
#[derive(Debug)]
#[must_use]
pub struct Enqueued;

impl Queue {
    pub(crate) fn of(room: &MailRoom) -> Self {
        Self { room: room.clone() }
    }

    /// Nothing is taken ahead here.
    pub async fn reserve(&self) -> Result<(), CommitError> {
        let first = self.room.store().allocate(MetaKey::NextQueued, 1).await?;
        NEXT.store(first, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn stage(
        &self,
        outbound: Outbound,
        body: &StagedBody,
        batch: &mut Batch,
    ) -> Result<Enqueued, QueueError> {
        let first = outbound.recipients.first().ok_or(QueueError::NoRecipient)?;
        let id = QueueId(NEXT.load(std::sync::atomic::Ordering::Relaxed));
        let record = QueueMessage {
            body: body.id,
            sealed_body_key: self.room.transit().seal_body_key(body.id, &body.key),
            skip: outbound.skip,
            size: body.size - u64::from(outbound.skip),
            header: outbound.header,
            accepted_at: 0,
            not_before: 0,
            expires_at: 0,
            delay_at: 0,
            sealed: Vec::new(),
        };
        let domain = first.address.domain().as_str().to_owned();
        let consignment = Consignment { domain, due_at: 0, attempts: 0, held: false, delay_told: false };
        batch.put(&id, &record).put(&ConsignmentKey { message: id, number: 0 }, &consignment);
        Ok(Enqueued)
    }
}

static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

impl Enqueued {
    /// Nobody hears of it here.
    pub fn announce(self) {}
}
