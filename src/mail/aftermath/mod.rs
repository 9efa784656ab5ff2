//! What a mailbox does by itself with a message that comes to it: sends it on, and answers that its holder is away.
//!
//! # The way through
//!
//! ```text
//! a door has the whole message ──▶ prepare ─┬─ recipients: who gets it, forwards within our domains followed
//!                                           ├─ also: what goes to other operators by a forward, and the trail
//!                                           └─ follow_up ──▶ deliver: the commit, then the queue hears, absence notices leave
//! ```
//!
//! # Rules
//!
//! 1. Sending on is part of the delivery's own commit: a message lies in the mailbox, or goes on, or both, and never
//!    neither. What cannot go on stays with the mailbox that wanted it to; what later does not arrive, and lies nowhere here,
//!    comes back to it whole.
//! 2. Nothing is sent on to where its holder could not write (MSSanté §3: no redirection out of the trust space), nor to
//!    citizens; asked when the forward is set, and again at each message.
//! 3. A mailbox is reached once by a message, whatever leads to it; so loops within our domains end, with a copy kept.
//!    Between operators each mailbox that sends on leaves its mark ([`FORWARDED_FIELD`]) and never sends on what has it.
//! 4. Another operator gets a message of the holder's with the original attached: our certificate may not speak for the
//!    author's domain (MSSanté §3).
//! 5. An absence notice never delays a delivery, fails one, or is answered by another.

pub mod absence;
mod compose;
mod expand;
mod facts;
mod forward;

pub use facts::{FORWARDED_FIELD, HeaderFacts};
pub use forward::{ForwardProblem, may_forward};

use std::sync::Arc;

use crate::mss::exchange::Party;
use crate::mss::{Address, TrustSpace};
use crate::store::{AccountId, Batch, CommitError};

use super::queue::Enqueued;
use super::{DeliverError, Delivered, Delivery, MailRoom, ReceivedMessage, deliver};
use absence::Notice;
use expand::Expansion;

/// What a door knows of a message that it is about to file.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The trust space at this moment.
    pub space: &'a Arc<TrustSpace>,
    /// The envelope's sender; `None`: the null sender.
    pub sender: Option<&'a Address>,
    /// The same, as the exchange rules see it.
    pub party: &'a Party,
    /// What its header says.
    pub facts: &'a HeaderFacts,
    /// The message.
    pub message: &'a ReceivedMessage,
    /// Octets at its start that are ours alone (`Return-Path:`).
    pub skip: u32,
    /// The mailboxes of ours that it is addressed to.
    pub recipients: &'a [AccountId],
    /// What the operator can search in the logs.
    pub reference: &'a str,
    /// The largest message that may leave, in bytes (`limits.message`).
    pub largest: u64,
    /// Unix seconds.
    pub now: i64,
}

/// What a delivery is to be made of.
#[derive(Debug)]
pub struct Prepared {
    /// The mailboxes that get the message; none, where all have it sent on to other operators.
    pub recipients: Vec<AccountId>,
    /// What is committed with the delivery.
    pub also: Batch,
    /// What is done once it is.
    pub follow_up: FollowUp,
}

/// What follows a delivery once it is committed. Dropped, nothing of it happens.
#[derive(Debug)]
#[must_use = "nothing follows the delivery unless it is made by deliver()"]
pub struct FollowUp {
    queued: Vec<Enqueued>,
    notices: Vec<Notice>,
    space: Arc<TrustSpace>,
}

/// Finds out who gets a message, and makes what is to be sent on to other operators. It never fails: what cannot be done
/// leaves the message where it was addressed to, and is logged.
pub async fn prepare(room: &MailRoom, arrival: Arrival<'_>) -> Prepared {
    let mut expansion = Expansion::new(room, arrival);
    for account in arrival.recipients {
        expansion.reach(*account, 0);
    }
    let Expansion { kept, outside, mut also, notices, .. } = expansion;
    let mut prepared = Prepared {
        recipients: kept,
        also: Batch::new(),
        follow_up: FollowUp { queued: Vec::new(), notices, space: Arc::clone(arrival.space) },
    };
    for errand in outside {
        match forward::enqueue(room, &arrival, &errand).await {
            Ok((queued, batch)) => {
                also.merge(batch);
                prepared.follow_up.queued.push(queued);
            }
            Err(problem) => {
                let account = errand.account;
                tracing::warn!(event = "forward-stays", %account, reference = arrival.reference, %problem);
                prepared.recipients.push(account);
            }
        }
    }
    prepared.also = also;
    prepared
}

impl FollowUp {
    /// Makes the delivery that it belongs to (with [`Prepared::recipients`] and [`Prepared::also`] in it), then what
    /// follows. Both run to their end even if the caller goes away meanwhile.
    ///
    /// # Errors
    /// Those of [`deliver`]: then nothing follows.
    pub async fn deliver(self, room: &MailRoom, delivery: Delivery) -> Result<Delivered, DeliverError> {
        if self.queued.is_empty() && self.notices.is_empty() {
            return deliver(room, delivery).await;
        }
        let room = room.clone();
        let task = tokio::spawn(async move {
            let delivered = deliver(&room, delivery).await?;
            self.run(&room);
            Ok(delivered)
        });
        task.await.unwrap_or(Err(DeliverError::Commit(CommitError::Unknown)))
    }

    fn run(self, room: &MailRoom) {
        self.queued.into_iter().for_each(Enqueued::announce);
        for notice in self.notices {
            notice.spawn(room.clone(), Arc::clone(&self.space));
        }
    }
}
