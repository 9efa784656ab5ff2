//! Filing new messages: deliveries to many mailboxes, and APPEND to one.

use std::sync::Arc;

use crate::store::{AccountId, Batch, BodyId, CommitError, Committed, Message, Uid};

use super::changes::Announcement;
use super::flags::{FlagBits, MessageFlags, define};
use super::mailbox::{MailboxGuard, commit};
use super::messages::seal_content;
use super::names::{FolderName, INBOX};
use super::quota::{Admission, admission};
use super::work::{NewRow, Work};
use super::{MailError, MailRoom, Mailbox, ReceivedMessage};

/// A message for the INBOX of one or more mailboxes.
#[derive(Debug)]
pub struct Delivery {
    /// The message, complete with its trace fields.
    pub message: ReceivedMessage,
    /// The mailboxes; one named twice gets it once.
    pub recipients: Vec<AccountId>,
    /// INTERNALDATE, Unix seconds.
    pub internal_date: i64,
    /// What is committed with it. With something in it there may be no recipient at all: then the message goes on.
    pub also: Batch,
}

impl Delivery {
    /// A message for INBOXes, and nothing else.
    pub fn new(message: ReceivedMessage, recipients: Vec<AccountId>, internal_date: i64) -> Self {
        Self { message, recipients, internal_date, also: Batch::new() }
    }
}

/// A message that lies in all its mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The proof that a positive answer is made from.
    pub committed: Committed,
    /// The UID that it has in each mailbox.
    pub uids: Vec<(AccountId, Uid)>,
}

/// Why a message was filed nowhere.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeliverError {
    /// There was no recipient.
    #[error("there is no recipient")]
    NoRecipient,
    /// A mailbox cannot take it.
    #[error("mailbox {account} does not take the message: {error}")]
    Mailbox {
        /// Which.
        account: AccountId,
        /// Why.
        error: MailError,
    },
    /// A mailbox is full.
    #[error("mailbox {account} is full")]
    Full {
        /// Which.
        account: AccountId,
        /// [`Admission::Temporary`] or [`Admission::Permanent`].
        admission: Admission,
    },
    /// The commit failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl DeliverError {
    /// Whether the sender shall try again later.
    pub fn is_temporary(&self) -> bool {
        match self {
            DeliverError::NoRecipient => false,
            DeliverError::Mailbox { error, .. } => error.is_temporary(),
            DeliverError::Full { admission, .. } => *admission != Admission::Permanent,
            DeliverError::Commit(_) => true,
        }
    }
}

/// A message for one folder of one mailbox.
#[derive(Debug)]
pub struct NewMessage {
    /// The message.
    pub message: ReceivedMessage,
    /// The flags that it has from the start.
    pub flags: MessageFlags,
    /// INTERNALDATE, Unix seconds.
    pub internal_date: i64,
}

/// Where an appended message lies (APPENDUID, RFC 4315 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// UIDVALIDITY of the folder.
    pub uid_validity: u32,
    /// The message's UID.
    pub uid: Uid,
    /// The proof.
    pub committed: Committed,
}

/// Files a message in the INBOX of every recipient: one commit, the body sealed once, its key once a mailbox.
///
/// Locks are taken by rising account number, so deliveries never wait for each other in a circle. A mailbox that was let
/// in at RCPT may go over its quota by this message if others share it; alone, it must fit.
///
/// # Errors
/// [`DeliverError`]: then it lies in no mailbox.
pub async fn deliver(room: &MailRoom, delivery: Delivery) -> Result<Delivered, DeliverError> {
    let Delivery { message, mut recipients, internal_date, also } = delivery;
    recipients.sort_unstable();
    recipients.dedup();
    if recipients.is_empty() {
        return pass_on(room, also).await;
    }
    let mut mailboxes = Vec::with_capacity(recipients.len());
    let mut guards = Vec::with_capacity(recipients.len());
    for account in recipients {
        let mailbox = room.open(account).map_err(|error| DeliverError::Mailbox { account, error })?;
        guards.push(mailbox.lock().await);
        mailboxes.push(mailbox);
    }
    let mut filing = Filing::new(message, internal_date, mailboxes.len());
    filing.batch = also;
    for mailbox in &mailboxes {
        if let Err(error) = filing.file_in_inbox(mailbox) {
            return Err(filing.refused(guards, mailbox, error).await);
        }
    }
    filing.commit(room, guards).await
}

/// Nobody here keeps the message: all that it was for have it sent on.
async fn pass_on(room: &MailRoom, also: Batch) -> Result<Delivered, DeliverError> {
    if also.is_empty() {
        return Err(DeliverError::NoRecipient);
    }
    let committed = room.store().commit(also).await?;
    Ok(Delivered { committed, uids: Vec::new() })
}

/// A message on its way into one batch for several mailboxes.
struct Filing {
    message: ReceivedMessage,
    encoded_summary: Vec<u8>,
    internal_date: i64,
    recipients: usize,
    batch: Batch,
    announcements: Vec<Announcement>,
    uids: Vec<(AccountId, Uid)>,
}

impl Filing {
    fn new(message: ReceivedMessage, internal_date: i64, recipients: usize) -> Self {
        let encoded_summary = message.summary.encode();
        Self {
            message,
            encoded_summary,
            internal_date,
            recipients,
            batch: Batch::new(),
            announcements: Vec::new(),
            uids: Vec::new(),
        }
    }

    fn file_in_inbox(&mut self, mailbox: &Arc<Mailbox>) -> Result<(), MailError> {
        mailbox.usable()?;
        let mut work = Work::begin(mailbox)?;
        let fits = if self.recipients == 1 { work.has_room_for(self.message.size()) } else { work.has_room() };
        if !fits {
            return Err(MailError::OverQuota);
        }
        let inbox = work.selectable(&FolderName::parse(INBOX)?)?;
        let row = self.row(mailbox, FlagBits::default());
        let uid = work.add(inbox, row, &mut self.batch)?;
        self.announcements.push(work.finish(&mut self.batch));
        self.uids.push((mailbox.account(), uid));
        Ok(())
    }

    fn row(&self, mailbox: &Mailbox, flags: FlagBits) -> NewRow {
        let body = &self.message.body;
        NewRow {
            flags,
            message: new_message(body.id, body.size, self.internal_date),
            content: seal_content(mailbox.key(), body, &self.encoded_summary),
        }
    }

    /// Why nothing is filed. A full mailbox is noted as full: from the second day on its answer is a permanent one.
    async fn refused(self, guards: Vec<MailboxGuard>, mailbox: &Arc<Mailbox>, error: MailError) -> DeliverError {
        drop(guards);
        let account = mailbox.account();
        if !matches!(error, MailError::OverQuota) {
            return DeliverError::Mailbox { account, error };
        }
        let admission = admission(mailbox, self.message.size()).await;
        match admission {
            Ok(Admission::Accept) => DeliverError::Full { account, admission: Admission::Temporary },
            Ok(admission) => DeliverError::Full { account, admission },
            Err(error) => DeliverError::Mailbox { account, error },
        }
    }

    async fn commit(mut self, room: &MailRoom, guards: Vec<MailboxGuard>) -> Result<Delivered, DeliverError> {
        self.batch.adopt(self.message.body, self.recipients as u64);
        let committed = commit(room.store(), guards, self.batch, self.announcements).await?;
        Ok(Delivered { committed, uids: self.uids })
    }
}

pub(super) fn new_message(body: BodyId, size: u64, internal_date: i64) -> Message {
    Message { modseq: 0, flags: 0, keywords: 0, internal_date, saved_at: internal_date, size, body }
}

impl Mailbox {
    /// Files a message in a folder of the mailbox.
    ///
    /// # Errors
    /// [`MailError::NoFolder`] (`[TRYCREATE]`), [`MailError::OverQuota`], or what the store says.
    pub async fn append(self: &Arc<Self>, folder: &str, new: NewMessage) -> Result<Appended, MailError> {
        let name = FolderName::parse(folder)?;
        let guard = self.lock().await;
        self.usable()?;
        let mut work = Work::begin(self)?;
        let index = work.selectable(&name)?;
        if !work.has_room_for(new.message.size()) {
            return Err(MailError::OverQuota);
        }
        let bits = define(work.record_mut(index), &new.flags)?;
        let mut filing = Filing::new(new.message, new.internal_date, 1);
        let row = filing.row(self, bits);
        let uid = work.add(index, row, &mut filing.batch)?;
        let uid_validity = work.folder(index).record.uid_validity;
        filing.announcements.push(work.finish(&mut filing.batch));
        filing.batch.adopt(filing.message.body, 1);
        let committed = commit(self.store(), vec![guard], filing.batch, filing.announcements).await?;
        Ok(Appended { uid_validity, uid, committed })
    }
}
