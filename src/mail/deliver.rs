//! Filing new messages: deliveries to many mailboxes, and APPEND to one.

use std::sync::Arc;

use crate::audit::{Action, Asker};
use crate::store::{AccountId, Batch, BodyId, CommitError, Committed, Message, SentCopy, Uid, flags};

use super::changes::Announcement;
use super::flags::{FlagBits, MessageFlags, define};
use super::mailbox::{MailboxGuard, commit, commit_and};
use super::messages::seal_content;
use super::names::{FolderName, INBOX};
use super::queue::{Outbound, QueueError};
use super::quota::{Admission, admission};
use super::sent::{self, OwnCopy, Remembered};
use super::work::{NewRow, Work};
use super::{MailError, MailRoom, Mailbox, PassingMessage, ReceivedMessage};

/// A message for the INBOX of mailboxes, for its sender's Sent folder, for the queue: as far as each is asked for.
#[derive(Debug)]
pub struct Delivery {
    /// The message, complete with its trace fields.
    pub message: ReceivedMessage,
    /// The mailboxes; one named twice gets it once.
    pub recipients: Vec<AccountId>,
    /// INTERNALDATE, Unix seconds.
    pub internal_date: i64,
    /// The mailbox that sent it, if a copy is to be filed in its Sent folder.
    pub sent_copy: Option<AccountId>,
    /// What goes to other operators.
    pub outbound: Option<Outbound>,
    /// Full mailboxes take it too: a report that its reader needs.
    pub beyond_quota: bool,
    /// What else is written in the same commit: what the trail says of it. With something in it there may be no recipient at
    /// all: then nobody here keeps the message.
    pub also: Batch,
}

impl Delivery {
    /// A message for these mailboxes and nobody else.
    pub fn new(message: ReceivedMessage, recipients: Vec<AccountId>, internal_date: i64) -> Self {
        Self {
            message,
            recipients,
            internal_date,
            sent_copy: None,
            outbound: None,
            beyond_quota: false,
            also: Batch::new(),
        }
    }
}

/// A message that lies in all its mailboxes, and in the queue for all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The proof that a positive answer is made from.
    pub committed: Committed,
    /// The UID that it has in each mailbox.
    pub uids: Vec<(AccountId, Uid)>,
    /// What became of the sender's own copy.
    pub own_copy: OwnCopy,
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
    /// The queue does not take it.
    #[error("the queue does not take the message: {0}")]
    Queue(#[from] QueueError),
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
            DeliverError::Queue(_) | DeliverError::Commit(_) => true,
        }
    }

    /// The mailbox that it is about, if it is one.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            DeliverError::Mailbox { account, .. } | DeliverError::Full { account, .. } => Some(*account),
            DeliverError::NoRecipient | DeliverError::Queue(_) | DeliverError::Commit(_) => None,
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

/// Files a message in the INBOX of every recipient, a copy in its sender's Sent folder, and what goes to other operators in
/// the queue: one commit, the body sealed once, its key once a copy.
///
/// Locks are taken by rising account number, so deliveries never wait for each other in a circle. A mailbox that was let
/// in at RCPT may go over its quota by this message if others share it; alone, it must fit. The sender's own copy is filed
/// where there is room for it, and else left out: it keeps no message from going.
///
/// # Errors
/// [`DeliverError`]: then it lies in no mailbox, and not in the queue.
pub async fn deliver(room: &MailRoom, delivery: Delivery) -> Result<Delivered, DeliverError> {
    let Delivery { message, mut recipients, internal_date, sent_copy, outbound, beyond_quota, also } = delivery;
    recipients.sort_unstable();
    recipients.dedup();
    if recipients.is_empty() && outbound.is_none() && also.is_empty() {
        return Err(DeliverError::NoRecipient);
    }
    if outbound.is_some() {
        room.queue().reserve().await?;
    }
    let mut accounts: Vec<AccountId> = recipients.iter().copied().chain(sent_copy).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let mut mailboxes = Vec::with_capacity(accounts.len());
    let mut guards = Vec::with_capacity(accounts.len());
    for account in accounts {
        let mailbox = room.open(account).map_err(|error| DeliverError::Mailbox { account, error })?;
        guards.push(mailbox.lock().await);
        mailboxes.push(mailbox);
    }
    let fit = match recipients.len() {
        _ if beyond_quota => Fit::Anyhow,
        1 => Fit::Whole,
        _ => Fit::Begun,
    };
    let mut filing = Filing::new(message, internal_date);
    filing.batch = also;
    for mailbox in &mailboxes {
        let into_inbox = recipients.binary_search(&mailbox.account()).is_ok().then_some(fit);
        let into_sent = sent_copy == Some(mailbox.account());
        if let Err(error) = filing.file(mailbox, into_inbox, into_sent) {
            return Err(filing.refused(guards, mailbox, error).await);
        }
    }
    filing.commit(room, guards, outbound).await
}

/// Puts a message that no mailbox here keeps in the queue, with what is written `also`: one commit.
///
/// # Errors
/// [`DeliverError`]: then it is not in the queue.
pub async fn pass_on(
    room: &MailRoom,
    message: PassingMessage,
    outbound: Outbound,
    also: Batch,
) -> Result<Delivered, DeliverError> {
    room.queue().reserve().await?;
    let mut batch = also;
    let enqueued = room.queue().stage(outbound, &message.body, &mut batch)?;
    batch.adopt(message.body, 1);
    let committed = commit_and(room.store(), Vec::new(), batch, Vec::new(), move || enqueued.announce()).await?;
    Ok(Delivered { committed, uids: Vec::new(), own_copy: OwnCopy::NotAsked })
}

/// Whether a message fits in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// When all of it does.
    Whole,
    /// When there is any room.
    Begun,
    /// Whatever the quota says.
    Anyhow,
}

/// A message on its way into one batch for several mailboxes.
struct Filing {
    message: ReceivedMessage,
    encoded_summary: Vec<u8>,
    internal_date: i64,
    batch: Batch,
    announcements: Vec<Announcement>,
    /// How many messages of this batch show the body.
    copies: u64,
    uids: Vec<(AccountId, Uid)>,
    own_copy: OwnCopy,
}

impl Filing {
    fn new(message: ReceivedMessage, internal_date: i64) -> Self {
        let encoded_summary = message.summary.encode();
        Self {
            message,
            encoded_summary,
            internal_date,
            batch: Batch::new(),
            announcements: Vec::new(),
            copies: 0,
            uids: Vec::new(),
            own_copy: OwnCopy::NotAsked,
        }
    }

    /// Files the message in a mailbox: in its INBOX, as the sender's copy, or both.
    fn file(&mut self, mailbox: &Arc<Mailbox>, into_inbox: Option<Fit>, into_sent: bool) -> Result<(), MailError> {
        mailbox.usable()?;
        let mut work = Work::begin(mailbox)?;
        if let Some(fit) = into_inbox {
            let fits = match fit {
                Fit::Whole => work.has_room_for(self.message.size()),
                Fit::Begun => work.has_room(),
                Fit::Anyhow => true,
            };
            if !fits {
                return Err(MailError::OverQuota);
            }
            let inbox = work.selectable(&FolderName::parse(INBOX)?)?;
            let uid = self.add(&mut work, inbox, FlagBits::default())?;
            self.uids.push((mailbox.account(), uid));
        }
        if into_sent {
            self.own_copy = self.file_own_copy(mailbox, &mut work)?;
        }
        self.announcements.push(work.finish(&mut self.batch));
        Ok(())
    }

    /// The sender's copy, unless one lies there already ([`sent`]).
    fn file_own_copy(&mut self, mailbox: &Arc<Mailbox>, work: &mut Work) -> Result<OwnCopy, MailError> {
        let Some(index) = sent::folder(work) else { return Ok(OwnCopy::NoFolder) };
        let remembered = match sent::digest(&self.message.summary) {
            Some(digest) => Some(Remembered::of(mailbox.store(), mailbox.account(), digest)?),
            None => None,
        };
        if remembered.as_ref().is_some_and(Remembered::is_there) {
            return Ok(OwnCopy::ThereAlready);
        }
        if !work.has_room_for(self.message.size()) {
            return Ok(OwnCopy::NoRoom);
        }
        let uid = self.add(work, index, FlagBits { system: flags::SEEN, keywords: 0 })?;
        if let Some(remembered) = remembered {
            let copy = SentCopy { folder: work.folder(index).id, uid, at: work.now, by_server: true };
            remembered.note(mailbox.store(), &copy, &mut self.batch)?;
        }
        Ok(OwnCopy::Filed(uid))
    }

    fn add(&mut self, work: &mut Work, index: usize, flags: FlagBits) -> Result<Uid, MailError> {
        let row = self.row(work.mailbox(), flags);
        let uid = work.add(index, row, &mut self.batch)?;
        self.copies += 1;
        Ok(uid)
    }

    fn row(&self, mailbox: &Mailbox, flags: FlagBits) -> NewRow {
        let body = &self.message.body;
        NewRow {
            flags,
            message: new_message(body.id, body.size, self.internal_date),
            content: seal_content(mailbox.key(), &self.message, &self.encoded_summary),
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

    async fn commit(
        mut self,
        room: &MailRoom,
        guards: Vec<MailboxGuard>,
        outbound: Option<Outbound>,
    ) -> Result<Delivered, DeliverError> {
        let enqueued = match outbound {
            Some(outbound) => {
                self.copies += 1;
                Some(room.queue().stage(outbound, &self.message.body, &mut self.batch)?)
            }
            None => None,
        };
        // What only goes along with it (`also`) shows no body of this one.
        if self.copies > 0 {
            self.batch.adopt(self.message.body, self.copies);
        }
        let announce = move || {
            if let Some(enqueued) = enqueued {
                enqueued.announce();
            }
        };
        let committed = commit_and(room.store(), guards, self.batch, self.announcements, announce).await?;
        Ok(Delivered { committed, uids: self.uids, own_copy: self.own_copy })
    }
}

pub(super) fn new_message(body: BodyId, size: u64, internal_date: i64) -> Message {
    Message { modseq: 0, flags: 0, keywords: 0, internal_date, saved_at: internal_date, size, body }
}

impl Mailbox {
    /// Files a message in a folder of the mailbox. In the Sent folder it takes the place of the copy that the server filed
    /// when the same message was sent ([`sent`]). `asker`: who files it, as its trace tells.
    ///
    /// # Errors
    /// [`MailError::NoFolder`] (`[TRYCREATE]`), [`MailError::OverQuota`], or what the store says.
    pub async fn append(self: &Arc<Self>, folder: &str, new: NewMessage, asker: &Asker) -> Result<Appended, MailError> {
        let name = FolderName::parse(folder)?;
        let guard = self.lock().await;
        self.usable()?;
        let mut work = Work::begin(self)?;
        let index = work.selectable(&name)?;
        let mut filing = Filing::new(new.message, new.internal_date);
        let remembered = match sent::digest(&filing.message.summary).filter(|_| sent::folder(&work) == Some(index)) {
            Some(digest) => Some(Remembered::of(self.store(), self.account(), digest)?),
            None => None,
        };
        if let Some(remembered) = &remembered {
            remembered.give_way(&mut work, self, &mut filing.batch)?;
        }
        if !work.has_room_for(filing.message.size()) {
            return Err(MailError::OverQuota);
        }
        let bits = define(work.record_mut(index), &new.flags)?;
        let uid = filing.add(&mut work, index, bits)?;
        let uid_validity = work.folder(index).record.uid_validity;
        if let Some(remembered) = remembered {
            let copy = SentCopy { folder: work.folder(index).id, uid, at: work.now, by_server: false };
            remembered.note(self.store(), &copy, &mut filing.batch)?;
        }
        work.note(asker, Action::Appended { folder: work.kind(index), messages: 1 }, &mut filing.batch);
        filing.announcements.push(work.finish(&mut filing.batch));
        filing.batch.adopt(filing.message.body, filing.copies);
        let committed = commit(self.store(), vec![guard], filing.batch, filing.announcements).await?;
        Ok(Appended { uid_validity, uid, committed })
    }
}
