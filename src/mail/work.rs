//! One change of a mailbox on its way into a batch: folders, counters, modification sequences, quota and the change
//! list are kept right here and nowhere else.
//!
//! A [`Work`] is made under the mailbox's lock, collects what is to be done, and is [finished](Work::finish) into the
//! batch. Every record that it writes is expected at the version that it read, so another process cannot come between.

use std::sync::Arc;

use crate::audit::{Action, Asker, FolderKind};
use crate::store::{
    AccountId, AccountState, Batch, Change, ChangeEntry, ChangeKey, Content, Expect, Folder, FolderExistence, FolderId,
    FolderKey, Message, MessageKey, NoticePart, NoticeStateKey, SpecialUse, Uid, UidSet, Usage, Version, Versioned,
    flags,
};

use super::changes::{Announcement, FolderEffect};
use super::domains::Bounds;
use super::flags::FlagBits;
use super::folder_list::Entry;
use super::marks::{Marks, warn};
use super::names::{FolderName, INBOX};
use super::room::now;
use super::{MailError, Mailbox};

/// A full mailbox counts as having room again when it holds less than so many percent of its quota.
const ROOM_AGAIN_PERCENT: u64 = 95;

/// What is being done to one mailbox.
pub(super) struct Work {
    mailbox: Arc<Mailbox>,
    address: String,
    pub(super) now: i64,
    bounds: Bounds,
    marks: Marks,
    usage: Usage,
    usage_version: Option<Version>,
    usage_before: Usage,
    folders: Vec<WorkFolder>,
    entries: Vec<ChangeEntry>,
}

/// A folder during the work.
pub(super) struct WorkFolder {
    pub(super) id: FolderId,
    /// `None`: made by this work.
    version: Option<Version>,
    pub(super) record: Folder,
    before: Option<Folder>,
    deleted: bool,
    /// The modification sequence of this work's changes, once it has one.
    modseq: Option<u64>,
    arrived: Vec<Entry>,
    changed: Vec<Entry>,
    removed: Vec<Uid>,
}

/// A message to be added.
pub(super) struct NewRow {
    pub(super) flags: FlagBits,
    pub(super) message: Message,
    pub(super) content: Content,
}

impl Work {
    /// Reads what every change needs. The mailbox's lock must be held.
    pub(super) fn begin(mailbox: &Arc<Mailbox>) -> Result<Self, MailError> {
        match mailbox.room().account(mailbox.account())?.state {
            AccountState::Suspended => Err(MailError::Suspended),
            AccountState::Open | AccountState::Closed => Self::begin_unless_closed(mailbox),
        }
    }

    /// As [`Work::begin`], in a suspended mailbox as well: for what must not be lost meanwhile.
    pub(super) fn begin_unless_closed(mailbox: &Arc<Mailbox>) -> Result<Self, MailError> {
        let id = mailbox.account();
        let account = mailbox.room().account(id)?;
        if account.state == AccountState::Closed {
            return Err(MailError::Closed);
        }
        let (room, now) = (mailbox.room(), now());
        let bounds = room.bounds(&account);
        let marks = Marks::new(room.limits().new_mail, &account, now);
        let usage = mailbox.store().get::<Usage>(&id)?;
        let usage_version = usage.as_ref().map(|usage| usage.version);
        let usage = usage.map(|usage| usage.record).unwrap_or_default();
        let folders = mailbox.store().scan::<Folder>(FolderKey::of(id), usize::MAX)?;
        let folders = folders.into_iter().map(|(key, folder)| WorkFolder::read(key.folder, folder)).collect();
        Ok(Self {
            mailbox: mailbox.clone(),
            now,
            address: account.record.address,
            bounds,
            marks,
            usage,
            usage_version,
            usage_before: usage,
            folders,
            entries: Vec::new(),
        })
    }

    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    // ---- traces ----

    /// Notes what somebody does in the mailbox, in the commit that does it.
    pub(super) fn note(&self, asker: &Asker, action: Action, batch: &mut Batch) {
        self.mailbox.room().traces().note(asker.trace(Some(&self.address), action), batch);
    }

    /// What traces tell of a folder.
    pub(super) fn kind(&self, index: usize) -> FolderKind {
        folder_kind(&self.folders[index].record)
    }

    /// The mailbox's address.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    // ---- quota ----

    pub(super) fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Whether so many bytes more fit in: in the mailbox, and in its domain.
    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        let after = self.usage.bytes.saturating_add(bytes);
        let growth = after.saturating_sub(self.usage_before.bytes);
        self.bounds.quota.is_none_or(|quota| after <= quota) && self.bounds.left.is_none_or(|left| growth <= left)
    }

    /// Whether there is any room at all.
    pub(super) fn has_room(&self) -> bool {
        let growth = self.usage.bytes.saturating_sub(self.usage_before.bytes);
        self.bounds.quota.is_none_or(|quota| self.usage.bytes < quota)
            && self.bounds.left.is_none_or(|left| growth < left)
    }

    /// Notes that mail has found no room, if that is not known yet; says since when.
    pub(super) fn note_full(&mut self) -> i64 {
        *self.usage.over_quota_since.get_or_insert(self.now)
    }

    fn note_room_again(&mut self) {
        let quota = self.bounds.quota;
        let has_room = quota.is_none_or(|quota| self.usage.bytes < quota / 100 * ROOM_AGAIN_PERCENT);
        if has_room && self.has_room() {
            self.usage.over_quota_since = None;
        }
    }

    // ---- folders ----

    /// The folders that are there: not those in erasure.
    pub(super) fn folders(&self) -> impl Iterator<Item = (usize, &WorkFolder)> {
        self.folders.iter().enumerate().filter(|(_, folder)| !folder.deleted && !folder.is_erasing())
    }

    pub(super) fn folder(&self, index: usize) -> &WorkFolder {
        &self.folders[index]
    }

    pub(super) fn record_mut(&mut self, index: usize) -> &mut Folder {
        &mut self.folders[index].record
    }

    /// The record with this name, whatever it stands for.
    pub(super) fn named(&self, name: &FolderName) -> Option<usize> {
        self.folders().find(|(_, folder)| folder.record.name == name.as_str()).map(|(index, _)| index)
    }

    /// The selectable folder with this name.
    pub(super) fn selectable(&self, name: &FolderName) -> Result<usize, MailError> {
        let index = self.named(name).ok_or(MailError::NoFolder)?;
        match self.folders[index].record.existence {
            FolderExistence::Selectable => Ok(index),
            FolderExistence::Level => Err(MailError::NotSelectable),
            FolderExistence::Subscription | FolderExistence::Erasing => Err(MailError::NoFolder),
        }
    }

    /// The selectable folder with this number.
    pub(super) fn by_id(&self, id: FolderId) -> Result<usize, MailError> {
        let found = self.folders().find(|(_, folder)| folder.id == id);
        match found {
            Some((index, folder)) if folder.record.existence == FolderExistence::Selectable => Ok(index),
            _ => Err(MailError::FolderGone),
        }
    }

    /// The folder in erasure, if there is one.
    pub(super) fn erasing(&self, id: FolderId) -> Option<usize> {
        self.folders.iter().position(|folder| folder.id == id && folder.is_erasing())
    }

    /// Adds a folder, level or subscription with a number that has never been used.
    pub(super) fn add_folder(&mut self, number: u64, record: Folder) -> Result<usize, MailError> {
        if self.folders().count() >= self.mailbox.room().limits().folders {
            return Err(MailError::TooManyFolders);
        }
        let id = FolderId(number);
        self.folders.push(WorkFolder::new(id, record));
        self.entries.push(ChangeEntry::FolderCreated { folder: id });
        Ok(self.folders.len() - 1)
    }

    /// A name, subscription or use of a folder is changed.
    pub(super) fn folder_changed(&mut self, index: usize) {
        let folder = self.folders[index].id;
        self.entries.push(ChangeEntry::FolderChanged { folder });
    }

    /// Deletes the folder's record. Its messages must be gone, or go in the same work.
    pub(super) fn delete_folder(&mut self, index: usize) {
        let folder = &mut self.folders[index];
        folder.deleted = true;
        if !folder.is_erasing() {
            let folder = folder.id;
            self.entries.push(ChangeEntry::FolderDeleted { folder });
        }
    }

    /// The folder is deleted for everybody; its messages are erased piece by piece.
    pub(super) fn set_erasing(&mut self, index: usize) {
        let folder = &mut self.folders[index];
        folder.record.existence = FolderExistence::Erasing;
        let folder = folder.id;
        self.entries.push(ChangeEntry::FolderDeleted { folder });
    }

    // ---- messages ----

    /// Adds a message and gives it its UID and modification sequence.
    pub(super) fn add(&mut self, index: usize, row: NewRow, batch: &mut Batch) -> Result<Uid, MailError> {
        let modseq = self.modseq(index);
        let folder = &mut self.folders[index];
        let uid = folder.record.uid_next;
        // RFC 3501 §2.3.1.1: UIDs never wrap; a folder that has used up 2^32 of them takes no more.
        folder.record.uid_next = uid.checked_add(1).ok_or(MailError::TooMuch)?;
        let message = Message {
            modseq,
            flags: row.flags.system,
            keywords: row.flags.keywords,
            saved_at: self.now,
            ..row.message
        };
        let key = MessageKey { folder: folder.id, uid };
        batch.insert(&key, &message);
        batch.put(&key, &row.content);
        folder.record.messages += 1;
        folder.record.unseen += u32::from(is_unseen(message.flags));
        folder.record.bytes += message.size;
        folder.arrived.push(entry(uid, &message));
        self.usage.messages += 1;
        self.usage.bytes += message.size;
        self.note_room_again();
        Ok(uid)
    }

    /// A message that came by itself, which the holder may be told of.
    pub(super) fn came(&mut self, index: usize, uid: Uid) {
        self.marks.arrived(self.folders[index].id, uid);
    }

    /// Gives a message other flags; nothing happens when they are the same. Says what is now there.
    pub(super) fn set_flags(
        &mut self,
        index: usize,
        uid: Uid,
        read: &Versioned<Message>,
        bits: FlagBits,
        batch: &mut Batch,
    ) -> Entry {
        let old = read.record;
        if (FlagBits { system: old.flags, keywords: old.keywords }) == bits {
            return entry(uid, &old);
        }
        let modseq = self.modseq(index);
        let folder = &mut self.folders[index];
        let message = Message { modseq, flags: bits.system, keywords: bits.keywords, ..old };
        batch.update(&MessageKey { folder: folder.id, uid }, read.version, &message);
        folder.record.unseen = folder.record.unseen.saturating_sub(u32::from(is_unseen(old.flags)));
        folder.record.unseen += u32::from(is_unseen(message.flags));
        let entry = entry(uid, &message);
        folder.changed.push(entry);
        entry
    }

    /// Takes a message out of its folder. What becomes of its body is the caller's: released, or moved along.
    pub(super) fn remove(&mut self, index: usize, uid: Uid, read: &Versioned<Message>, batch: &mut Batch) {
        self.modseq(index);
        let folder = &mut self.folders[index];
        let key = MessageKey { folder: folder.id, uid };
        batch.expect::<Message>(&key, Expect::Version(read.version)).delete::<Message>(&key).delete::<Content>(&key);
        let message = &read.record;
        folder.record.messages = folder.record.messages.saturating_sub(1);
        folder.record.unseen = folder.record.unseen.saturating_sub(u32::from(is_unseen(message.flags)));
        folder.record.bytes = folder.record.bytes.saturating_sub(message.size);
        folder.removed.push(uid);
        self.usage.messages = self.usage.messages.saturating_sub(1);
        self.usage.bytes = self.usage.bytes.saturating_sub(message.size);
        self.note_room_again();
    }

    /// One modification sequence for all that this work does to a folder (RFC 7162 §3.1).
    fn modseq(&mut self, index: usize) -> u64 {
        let folder = &mut self.folders[index];
        *folder.modseq.get_or_insert_with(|| {
            folder.record.highest_modseq += 1;
            folder.record.highest_modseq
        })
    }

    // ---- the end ----

    /// Writes folders, usage and the change into the batch; gives what is to be told once it is durable.
    pub(super) fn finish(mut self, batch: &mut Batch) -> Announcement {
        let account = self.mailbox.account();
        let mut effects = Vec::new();
        for mut folder in std::mem::take(&mut self.folders) {
            self.take_recent(&mut folder);
            self.entries.extend(folder.message_entries());
            folder.write(account, batch);
            effects.extend(folder.into_effect());
        }
        self.write_change(batch);
        let marked = self.write_marks(batch);
        if self.usage != self.usage_before {
            let expect = self.usage_version.map_or(Expect::Absent, Expect::Version);
            batch.expect::<Usage>(&account, expect).put(&account, &self.usage);
        }
        let held = (self.usage.bytes != self.usage_before.bytes).then_some((self.address, self.usage.bytes));
        Announcement { mailbox: self.mailbox, effects, held, marked }
    }

    /// Where a session that may change the folder has it open, that session takes `\Recent` of what arrives now
    /// (RFC 3501 §2.3.2), so the next one must not: written in the same commit.
    fn take_recent(&self, folder: &mut WorkFolder) {
        if !folder.arrived.is_empty() && self.mailbox.live_state(folder.id).is_some_and(|state| state.has_writer()) {
            folder.record.recent_from = folder.record.uid_next;
        }
    }

    /// What the holder is to be told of new messages and of the mailbox's room; when.
    fn write_marks(&mut self, batch: &mut Batch) -> Option<i64> {
        let limits = self.mailbox.room().limits();
        let warning = warn(&mut self.usage, self.bounds.quota, &limits.warn_at).filter(|_| limits.new_mail.is_some());
        let key = NoticeStateKey { part: NoticePart::Marks, account: self.mailbox.account() };
        self.marks.write(self.mailbox.store(), key, warning, batch)
    }

    fn write_change(&mut self, batch: &mut Batch) {
        if self.entries.is_empty() {
            return;
        }
        self.usage.last_change += 1;
        let account = self.mailbox.account();
        let number = self.usage.last_change;
        let change = Change { at: self.now, entries: std::mem::take(&mut self.entries) };
        batch.put(&ChangeKey { account, number }, &change);
        if let Some(oldest) = number.checked_sub(self.mailbox.room().limits().changes).filter(|number| *number > 0) {
            batch.delete::<Change>(&ChangeKey { account, number: oldest });
        }
    }
}

impl WorkFolder {
    fn read(id: FolderId, folder: Versioned<Folder>) -> Self {
        let before = Some(folder.record.clone());
        Self { version: Some(folder.version), before, ..Self::new(id, folder.record) }
    }

    fn new(id: FolderId, record: Folder) -> Self {
        Self {
            id,
            version: None,
            record,
            before: None,
            deleted: false,
            modseq: None,
            arrived: Vec::new(),
            changed: Vec::new(),
            removed: Vec::new(),
        }
    }

    fn is_erasing(&self) -> bool {
        self.record.existence == FolderExistence::Erasing
    }

    fn is_touched(&self) -> bool {
        self.before.as_ref() != Some(&self.record)
    }

    fn message_entries(&self) -> Vec<ChangeEntry> {
        let folder = self.id;
        if self.is_erasing() || self.deleted {
            return Vec::new();
        }
        let modseq = self.modseq.unwrap_or(self.record.highest_modseq);
        let mut entries = Vec::new();
        if !self.removed.is_empty() {
            entries.push(ChangeEntry::Removed {
                folder,
                modseq,
                uids: UidSet::from_rising(self.removed.iter().copied()),
            });
        }
        if !self.changed.is_empty() {
            let uids = UidSet::from_rising(self.changed.iter().map(|entry| entry.uid));
            entries.push(ChangeEntry::Flags { folder, modseq, uids });
        }
        if !self.arrived.is_empty() {
            let uids = UidSet::from_rising(self.arrived.iter().map(|entry| entry.uid));
            entries.push(ChangeEntry::Arrived { folder, modseq, uids });
        }
        entries
    }

    fn write(&self, account: AccountId, batch: &mut Batch) {
        let key = FolderKey { account, folder: self.id };
        match (self.version, self.deleted) {
            (Some(version), true) => {
                batch.expect::<Folder>(&key, Expect::Version(version)).delete::<Folder>(&key);
            }
            (None, true) => {}
            (Some(version), false) if self.is_touched() => {
                batch.update(&key, version, &self.record);
            }
            (Some(_), false) => {}
            (None, false) => {
                batch.insert(&key, &self.record);
            }
        }
    }

    fn into_effect(self) -> Option<FolderEffect> {
        if !self.deleted && !self.is_touched() {
            return None;
        }
        let is_there = !self.deleted && self.record.existence == FolderExistence::Selectable;
        Some(FolderEffect {
            folder: self.id,
            removed: self.removed,
            changed: self.changed,
            arrived: self.arrived,
            record: is_there.then_some(self.record),
        })
    }
}

/// What traces tell of a folder: not its name, which is the holder's own.
pub(super) fn folder_kind(folder: &Folder) -> FolderKind {
    match folder.special_use {
        Some(SpecialUse::Sent) => FolderKind::Sent,
        Some(SpecialUse::Drafts) => FolderKind::Drafts,
        Some(SpecialUse::Trash) => FolderKind::Trash,
        Some(SpecialUse::Junk) => FolderKind::Junk,
        Some(SpecialUse::Archive) => FolderKind::Archive,
        None if folder.name == INBOX => FolderKind::Inbox,
        None => FolderKind::Other,
    }
}

/// A number of messages, as traces tell it.
pub(super) fn messages(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn is_unseen(bits: u32) -> bool {
    bits & flags::SEEN == 0
}

/// The session's view of a message's record.
pub(super) fn entry(uid: Uid, message: &Message) -> Entry {
    Entry { uid, flags: message.flags, modseq: message.modseq, keywords: message.keywords }
}
