//! What a session does to messages: STORE, EXPUNGE, COPY, MOVE. Each is one commit as far as one commit can be.

use std::sync::Arc;

use crate::audit::{Action, Asker, FolderKind};
use crate::store::{Batch, Committed, Content, Message, MessageKey, Store, Uid, Versioned, flags};

use super::flags::{FlagBits, FlagOp, MessageFlags, carry, define, known};
use super::folder_list::Entry;
use super::names::FolderName;
use super::selected::Selected;
use super::work::{NewRow, Work, messages};
use super::{MailError, Mailbox};

/// Messages whose flags change in one commit.
const FLAGS_AT_ONCE: usize = 20_000;
/// Messages that are expunged in one commit.
pub(super) const EXPUNGE_AT_ONCE: usize = 5_000;
/// Messages that are copied or moved in one commit.
const COPY_AT_ONCE: usize = 5_000;

/// What STORE did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredFlags {
    /// Messages that were asked for and are there, with their flags as they are now, by rising UID.
    pub entries: Vec<Entry>,
    /// Of these, messages whose flags are not what the client can work out by itself, because another session changed
    /// them as well: to be told even after `.SILENT` (RFC 3501 §6.4.6).
    pub surprising: Vec<Uid>,
    /// Messages left alone because they are newer than UNCHANGEDSINCE (RFC 7162 §3.1.3).
    pub modified: Vec<Uid>,
    /// Messages that are gone.
    pub gone: Vec<Uid>,
    /// The proof; `None` when there was nothing to change.
    pub committed: Option<Committed>,
}

/// Which messages EXPUNGE takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expunge<'a> {
    /// All with `\Deleted`.
    AllDeleted,
    /// Those of these with `\Deleted` (UID EXPUNGE, RFC 4315 §2.1).
    Uids(&'a [Uid]),
}

/// What EXPUNGE did; the session's next refresh tells the numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expunged {
    /// By rising UID.
    pub uids: Vec<Uid>,
    /// The proof of the last commit; `None` when there was nothing to expunge.
    pub committed: Option<Committed>,
}

/// What COPY or MOVE did (COPYUID, RFC 4315 §3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// UIDVALIDITY of the folder copied to.
    pub uid_validity: u32,
    /// The messages copied, by rising UID; those that were gone are left out.
    pub source: Vec<Uid>,
    /// Their UIDs in the folder copied to, in the same order.
    pub dest: Vec<Uid>,
    /// The proof; `None` when there was nothing to copy.
    pub committed: Option<Committed>,
}

impl Selected {
    /// Changes flags of messages. The session's view has the new flags afterwards; its next refresh does not tell them.
    ///
    /// # Errors
    /// [`MailError::ReadOnly`], [`MailError::FolderGone`], [`MailError::TooManyKeywords`], [`MailError::BadKeyword`], or
    /// what the store says.
    pub async fn store_flags(
        &mut self,
        uids: &[Uid],
        op: FlagOp,
        wanted: &MessageFlags,
        unchanged_since: Option<u64>,
    ) -> Result<StoredFlags, MailError> {
        self.writable()?;
        let uids = rising(uids);
        let mut done = StoredFlags::default();
        for uids in uids.chunks(FLAGS_AT_ONCE) {
            let folder = self.folder();
            let rows = RowReader::new(self.mailbox.store(), folder);
            let ((part, keywords, bits), committed) = self
                .mailbox
                .transact(|work, batch| {
                    let index = work.by_id(folder)?;
                    let bits = match op {
                        FlagOp::Remove => known(&work.folder(index).record, wanted),
                        FlagOp::Add | FlagOp::Replace => define(work.record_mut(index), wanted)?,
                    };
                    let part = set_flags(work, index, &rows, uids, op, bits, unchanged_since, batch)?;
                    Ok((part, Arc::from(work.folder(index).record.keywords.as_slice()), bits))
                })
                .await?;
            done.surprising.extend(part.entries.iter().filter(|entry| self.surprises(entry, op, bits)).map(|e| e.uid));
            self.learn(&part.entries, &keywords);
            done.entries.extend(part.entries);
            done.modified.extend(part.modified);
            done.gone.extend(part.gone);
            done.committed = committed.or(done.committed);
        }
        Ok(done)
    }

    /// Whether the client, knowing its view and its own command, would expect other flags.
    fn surprises(&self, now: &Entry, op: FlagOp, with: FlagBits) -> bool {
        let Some(before) = self.entry_of(now.uid) else { return false };
        let expected = op.apply(FlagBits { system: before.flags, keywords: before.keywords }, with);
        expected != FlagBits { system: now.flags, keywords: now.keywords }
    }

    /// Takes messages with `\Deleted` out of the folder for good. They leave the view with the next refresh.
    ///
    /// # Errors
    /// [`MailError::ReadOnly`], [`MailError::FolderGone`], or what the store says.
    pub async fn expunge(&mut self, which: Expunge<'_>) -> Result<Expunged, MailError> {
        self.writable()?;
        let is_deleted = |entry: &&Entry| entry.flags & flags::DELETED != 0;
        let shared = self.state.shared().list.clone();
        let deleted = shared.iter().filter(is_deleted).map(|entry| entry.uid);
        let uids: Vec<Uid> = match which {
            Expunge::AllDeleted => deleted.collect(),
            Expunge::Uids(only) => {
                let only = rising(only);
                deleted.filter(|uid| only.binary_search(uid).is_ok()).collect()
            }
        };
        let mut done = Expunged::default();
        for uids in uids.chunks(EXPUNGE_AT_ONCE) {
            let folder = self.folder();
            let rows = RowReader::new(self.mailbox.store(), folder);
            let (gone, committed) = self
                .mailbox
                .transact(|work, batch| {
                    let index = work.by_id(folder)?;
                    let is_deleted = |message: &Message| message.flags & flags::DELETED != 0;
                    let gone = remove_all(work, index, &rows, uids, is_deleted, batch)?;
                    note_deleted(work, index, messages(gone.len()), &self.asker, batch);
                    Ok(gone)
                })
                .await?;
            done.uids.extend(gone);
            done.committed = committed.or(done.committed);
        }
        Ok(done)
    }

    /// Copies messages to another folder of the mailbox. Bodies are shared, their sealed keys reused. All are copied or
    /// none (RFC 3501 §6.4.7).
    ///
    /// # Errors
    /// [`MailError::NoFolder`] (`[TRYCREATE]`), [`MailError::OverQuota`], or what the store says.
    pub async fn copy(&self, uids: &[Uid], dest: &str) -> Result<Copied, MailError> {
        self.transfer(uids, dest, Transfer::Copy).await
    }

    /// Moves messages to another folder of the mailbox (RFC 6851): in each commit they come there and go here. They leave
    /// the view with the next refresh.
    ///
    /// # Errors
    /// As [`Selected::copy`], and [`MailError::ReadOnly`].
    pub async fn move_to(&mut self, uids: &[Uid], dest: &str) -> Result<Copied, MailError> {
        self.writable()?;
        self.transfer(uids, dest, Transfer::Move).await
    }

    pub(super) async fn transfer(&self, uids: &[Uid], dest: &str, how: Transfer) -> Result<Copied, MailError> {
        let dest = FolderName::parse(dest)?;
        let uids: Vec<Uid> = rising(uids);
        let mut done = Copied::default();
        if uids.is_empty() {
            // The folder must be there all the same.
            self.mailbox.transact(|work, _| work.selectable(&dest)).await?;
        }
        for part in uids.chunks(COPY_AT_ONCE) {
            let folder = self.folder();
            let rows = RowReader::new(self.mailbox.store(), folder);
            let outcome =
                self.mailbox.transact(|work, batch| transfer(work, &rows, part, &dest, how, &self.asker, batch));
            let outcome = outcome.await;
            match outcome {
                Ok((part, committed)) => {
                    done.uid_validity = part.uid_validity;
                    done.source.extend(part.source);
                    done.dest.extend(part.dest);
                    done.committed = committed.or(done.committed);
                }
                Err(error) => {
                    if how == Transfer::Copy {
                        take_back(&self.mailbox, &dest, &done.dest, &self.asker).await;
                    }
                    return Err(error);
                }
            }
        }
        Ok(done)
    }
}

/// COPY or MOVE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    Copy,
    Move,
}

impl Transfer {
    /// What its trace says.
    pub(super) fn action(self, folder: FolderKind, to: FolderKind, to_mailbox: Option<&str>, messages: u32) -> Action {
        let to_mailbox = to_mailbox.map(str::to_owned);
        match self {
            Self::Copy => Action::Copied { folder, to, to_mailbox, messages },
            Self::Move => Action::Moved { folder, to, to_mailbox, messages },
        }
    }
}

/// Reads the rows of a folder's messages.
pub(super) struct RowReader<'a> {
    store: &'a Store,
    folder: crate::store::FolderId,
}

impl<'a> RowReader<'a> {
    pub(super) fn new(store: &'a Store, folder: crate::store::FolderId) -> Self {
        Self { store, folder }
    }

    pub(super) fn message(&self, uid: Uid) -> Result<Option<Versioned<Message>>, MailError> {
        Ok(self.store.get::<Message>(&MessageKey { folder: self.folder, uid })?)
    }

    /// `None` when it is damaged or missing: that costs this message, not the command.
    pub(super) fn content(&self, uid: Uid) -> Option<Content> {
        let content = self.store.get::<Content>(&MessageKey { folder: self.folder, uid }).ok().flatten();
        content.map(|content| content.record)
    }
}

#[expect(clippy::too_many_arguments, reason = "one STORE: where, which, what, under which condition, into which batch")]
fn set_flags(
    work: &mut Work,
    index: usize,
    rows: &RowReader<'_>,
    uids: &[Uid],
    op: FlagOp,
    bits: FlagBits,
    unchanged_since: Option<u64>,
    batch: &mut Batch,
) -> Result<StoredFlags, MailError> {
    let mut done = StoredFlags::default();
    for &uid in uids {
        let Some(read) = rows.message(uid)? else {
            done.gone.push(uid);
            continue;
        };
        if unchanged_since.is_some_and(|since| read.modseq > since) {
            done.modified.push(uid);
            continue;
        }
        let new = op.apply(FlagBits { system: read.flags, keywords: read.keywords }, bits);
        done.entries.push(work.set_flags(index, uid, &read, new, batch));
    }
    Ok(done)
}

/// Takes messages out of a folder and lets their bodies go; says which.
pub(super) fn remove_all(
    work: &mut Work,
    index: usize,
    rows: &RowReader<'_>,
    uids: &[Uid],
    applies: impl Fn(&Message) -> bool,
    batch: &mut Batch,
) -> Result<Vec<Uid>, MailError> {
    let mut gone = Vec::with_capacity(uids.len());
    for &uid in uids {
        if let Some(read) = rows.message(uid)?.filter(|read| applies(read)) {
            work.remove(index, uid, &read, batch);
            batch.release_body(read.body, 1);
            gone.push(uid);
        }
    }
    Ok(gone)
}

fn transfer(
    work: &mut Work,
    rows: &RowReader<'_>,
    uids: &[Uid],
    dest: &FolderName,
    how: Transfer,
    asker: &Asker,
    batch: &mut Batch,
) -> Result<Copied, MailError> {
    let from = work.by_id(rows.folder)?;
    let to = work.selectable(dest)?;
    let table = work.folder(from).record.keywords.clone();
    let mut done = Copied { uid_validity: work.folder(to).record.uid_validity, ..Copied::default() };
    for &uid in uids {
        let (Some(read), Some(content)) = (rows.message(uid)?, rows.content(uid)) else { continue };
        match how {
            Transfer::Copy if !work.has_room_for(read.size) => return Err(MailError::OverQuota),
            Transfer::Copy => {
                batch.retain_body(read.body, 1);
            }
            // The body goes along: as many messages show it as before.
            Transfer::Move => work.remove(from, uid, &read, batch),
        }
        let keywords = if from == to { read.keywords } else { carry(read.keywords, &table, work.record_mut(to)) };
        let row = NewRow { flags: FlagBits { system: read.flags, keywords }, message: read.record, content };
        let new = work.add(to, row, batch)?;
        done.source.push(uid);
        done.dest.push(new);
    }
    if !done.source.is_empty() {
        let (folder, to, count) = (work.kind(from), work.kind(to), messages(done.source.len()));
        work.note(asker, how.action(folder, to, None, count), batch);
    }
    Ok(done)
}

/// Notes that messages of a folder were deleted for good, if some were.
pub(super) fn note_deleted(work: &Work, index: usize, messages: u32, asker: &Asker, batch: &mut Batch) {
    if messages > 0 {
        work.note(asker, Action::Deleted { folder: work.kind(index), messages }, batch);
    }
}

/// Undoes the first part of a copy that could not be finished.
pub(super) async fn take_back(mailbox: &Arc<Mailbox>, dest: &FolderName, uids: &[Uid], asker: &Asker) {
    for uids in uids.chunks(EXPUNGE_AT_ONCE) {
        let outcome = mailbox
            .transact(|work, batch| {
                let index = work.selectable(dest)?;
                let folder = work.folder(index).id;
                let mailbox = work.mailbox().clone();
                let rows = RowReader::new(mailbox.store(), folder);
                let gone = remove_all(work, index, &rows, uids, |_| true, batch)?;
                note_deleted(work, index, messages(gone.len()), asker, batch);
                Ok(())
            })
            .await;
        if let Err(error) = outcome {
            tracing::warn!(account = %mailbox.account(), %error, "copies of an unfinished COPY stay behind");
        }
    }
}

/// The UIDs rising, each once.
pub(super) fn rising(uids: &[Uid]) -> Vec<Uid> {
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    uids
}
