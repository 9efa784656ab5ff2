//! What can go wrong with the queue.

use crate::store::{CommitError, SealError, StoreError};

/// Why something could not be done to the queue. Never shows an address.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueueError {
    /// A message was to be queued for nobody.
    #[error("there is no recipient")]
    NoRecipient,
    /// The numbers taken ahead are used up: [`super::Queue::reserve`] comes before [`super::Queue::stage`].
    #[error("no queue number was reserved")]
    NoNumber,
    /// The room is being torn down.
    #[error("the queue is stopped")]
    Stopped,
    /// A sealed part does not open, or is not what it should be.
    #[error("a record of the queue does not open: {0}")]
    Sealed(#[from] SealError),
    /// What a sealed part holds is no part of a queued message.
    #[error("a record of the queue is badly formed")]
    Malformed,
    /// The store cannot read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not write.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl QueueError {
    /// A record is damaged: it costs its own message, and reading it again does not help.
    pub(super) fn is_damage(&self) -> bool {
        matches!(
            self,
            QueueError::Sealed(_)
                | QueueError::Malformed
                | QueueError::Store(StoreError::Record { .. } | StoreError::Seal(_))
        )
    }
}
