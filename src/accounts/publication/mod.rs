//! What the national directory has to know of our mailboxes (MSSanté §5, §9), and how each stands there.
//!
//! ```text
//! an account changes ─▶ follow_up: is what the directory should show another? ─▶ DirectoryEntry, in the change's own commit
//!                                                                                      │
//! jobs::directory ◀── due ── entries, and the image that is wanted *now* ◀─────────────┘
//!        └─▶ done: entries gone, DirectoryState, trace `published`, in one commit · later · task
//! ```
//!
//! # Rules
//!
//! 1. An entry says that a mailbox has to be looked at, not what is to be done: that is the difference between what the mailbox
//!    is now ([`wanted`]) and what the directory shows. So entries may be lost to one another, and be worked on twice.
//! 2. Entries go only with the commit that says what came of them. A change that comes between leaves an entry of its own.
//! 3. What the directory refuses for good waits for the administrator as a task; another change of the mailbox, or
//!    `caducee directory publish`, tries again.
//! 4. A record that does not read costs its own mailbox, which waits with its entries; the others go on.

mod image;
mod outbox;
mod standing;

pub use crate::store::{DirectoryImage as Image, DirectoryPlace as Place, DirectoryTask as Task};
pub use image::{PublicationOptions, PublishFrom, is_withheld, kind_of, numbered, wanted};
pub use outbox::{Due, DuePage, Swept};
pub use standing::{Counts, Pending, Standing};

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::store::AccountId;

/// Tells the job that something has to be looked at, and the operator what cannot be.
#[derive(Debug, Default)]
pub(super) struct Wake {
    bell: Notify,
    /// Mailboxes of which it was told, since the start, that a record of theirs does not read.
    damaged: Mutex<BTreeSet<AccountId>>,
}

impl Wake {
    fn ring(&self) {
        self.bell.notify_one();
    }

    async fn rung(&self) {
        self.bell.notified().await;
    }

    /// A mailbox cannot be looked at: an alarm, once.
    fn tell_damaged(&self, account: AccountId, problem: &str) {
        if self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(account) {
            tracing::error!(
                event = "directory.damaged",
                %account,
                problem,
                "what the directory has to know of a mailbox does not read"
            );
        }
    }
}

#[cfg(test)]
mod tests;
