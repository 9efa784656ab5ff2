//! The copy of a sent message in its sender's own Sent folder: the server files it, or the mail program does, or both;
//! the mailbox ends with one.
//!
//! A [`SentCopy`] record says which message with a Message-ID lies where, and who filed it. Both ways look at it under the
//! mailbox's lock and write it in the commit that files the message, so whichever comes first the other one sees it:
//!
//! * the server files none where one lies already, the program's or its own;
//! * the program's takes the place of the server's, in one commit. What the program was told of its own (APPENDUID) holds.
//!
//! A record is of use while a program may still come with its copy: after a week it goes ([`KEEP`]), by the way, with a
//! later one of the same mailbox.

use crate::store::{
    AccountId, Batch, Expect, FolderExistence, Message, MessageKey, SentCopy, SentCopyKey, SpecialUse, Store,
    StoreError, Uid, Version, Versioned,
};

use super::operations::{RowReader, remove_all};
use super::summary::Summary;
use super::trail::digest_of;
use super::work::Work;
use super::{MailError, Mailbox};

/// How long a copy is remembered, in seconds.
const KEEP: i64 = 7 * 86_400;

/// Records looked at for old ones when a new one is written. They stand in the order of digests, so the few behind any one
/// are as good as drawn by lot: what is old goes as fast as new comes, and no commit has to read a busy mailbox's week.
const LOOKED_AT: usize = 8;

/// What became of the copy in the sender's own Sent folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnCopy {
    /// None was asked for.
    #[default]
    NotAsked,
    /// It was filed.
    Filed(Uid),
    /// One lies there already.
    ThereAlready,
    /// The mailbox has no room for it. The message is on its way all the same.
    NoRoom,
    /// The mailbox has no Sent folder.
    NoFolder,
}

/// The message's Message-ID as its digest in a [`SentCopyKey`]; `None`: it has none, and cannot be recognised.
pub(super) fn digest(summary: &Summary) -> Option<u64> {
    let text = String::from_utf8_lossy(summary.message.envelope.message_id.as_deref()?);
    let text = text.trim();
    (!text.is_empty()).then(|| digest_of(text))
}

/// The mailbox's Sent folder.
pub(super) fn folder(work: &Work) -> Option<usize> {
    let is_sent = |(_, folder): &(usize, &super::work::WorkFolder)| {
        folder.record.special_use == Some(SpecialUse::Sent) && folder.record.existence == FolderExistence::Selectable
    };
    work.folders().find(is_sent).map(|(index, _)| index)
}

/// A remembered copy that may be written over.
pub(super) struct Remembered {
    key: SentCopyKey,
    version: Option<Version>,
    /// The copy, if it still lies where it was filed.
    lying: Option<SentCopy>,
}

impl Remembered {
    /// What is known of the copies of a message. The mailbox's lock must be held.
    pub(super) fn of(store: &Store, account: AccountId, message: u64) -> Result<Remembered, StoreError> {
        let key = SentCopyKey { account, message };
        let read: Option<Versioned<SentCopy>> = store.get(&key)?;
        let version = read.as_ref().map(|read| read.version);
        let mut lying = read.map(|read| read.record);
        if let Some(copy) = lying {
            let there = store.get::<Message>(&MessageKey { folder: copy.folder, uid: copy.uid })?;
            lying = there.map(|_| copy);
        }
        Ok(Remembered { key, version, lying })
    }

    /// Whether a copy lies in the mailbox.
    pub(super) fn is_there(&self) -> bool {
        self.lying.is_some()
    }

    /// The program has filed its own: the server's goes. Others stay; they are the program's affair.
    pub(super) fn give_way(&self, work: &mut Work, mailbox: &Mailbox, batch: &mut Batch) -> Result<(), MailError> {
        let Some(copy) = self.lying.filter(|copy| copy.by_server) else { return Ok(()) };
        // A folder that is being erased takes its messages along.
        let Ok(index) = work.by_id(copy.folder) else { return Ok(()) };
        let rows = RowReader::new(mailbox.store(), copy.folder);
        remove_all(work, index, &rows, &[copy.uid], |_| true, batch).map(drop)
    }

    /// Remembers a copy from now on.
    pub(super) fn note(self, store: &Store, copy: &SentCopy, batch: &mut Batch) -> Result<(), StoreError> {
        let expect = self.version.map_or(Expect::Absent, Expect::Version);
        batch.expect::<SentCopy>(&self.key, expect).put(&self.key, copy);
        let behind = self.key..=*SentCopyKey::of(self.key.account).end();
        for (key, old) in store.scan::<SentCopy>(behind, LOOKED_AT)? {
            if key != self.key && old.at < copy.at - KEEP {
                batch.delete::<SentCopy>(&key);
            }
        }
        Ok(())
    }
}
