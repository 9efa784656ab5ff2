//! Making, deleting, renaming and subscribing folders (RFC 3501 §6.3.3 to §6.3.7).

use std::sync::Arc;

use crate::audit::Asker;
use crate::store::{Batch, Folder, FolderExistence, FolderId, FolderKey, Message, MessageKey, SpecialUse, Uid};

use super::names::{FolderName, INBOX, MAX_LEVELS, NameError};
use super::operations::{EXPUNGE_AT_ONCE, RowReader, note_deleted, remove_all};
use super::work::Work;
use super::{MailError, Mailbox};

/// The folders that every mailbox is given (MSSanté §6).
pub const FIRST_FOLDERS: [(&str, Option<SpecialUse>); 6] = [
    (INBOX, None),
    ("Sent", Some(SpecialUse::Sent)),
    ("Drafts", Some(SpecialUse::Drafts)),
    ("Trash", Some(SpecialUse::Trash)),
    ("Junk", Some(SpecialUse::Junk)),
    ("Archive", Some(SpecialUse::Archive)),
];

/// A new folder's record. Its number serves as UIDVALIDITY: it rises and is never given again, so a name that comes back
/// never comes back with the same one (RFC 3501 §2.3.1.1).
pub(crate) fn new_folder(number: u64, name: &str, existence: FolderExistence, now: i64) -> Folder {
    Folder {
        name: name.to_owned(),
        existence,
        uid_validity: u32::try_from(number).unwrap_or(u32::MAX),
        uid_next: 1,
        highest_modseq: 1,
        recent_from: 1,
        created_at: now,
        ..Folder::default()
    }
}

impl Mailbox {
    /// Makes a folder, and the levels above that are missing.
    ///
    /// # Errors
    /// [`MailError::FolderExists`], [`MailError::BadName`], [`MailError::TooManyFolders`], or what the store says.
    pub async fn create(self: &Arc<Self>, name: &str) -> Result<FolderId, MailError> {
        let name = FolderName::parse(name)?;
        let numbers = self.numbers(name.ancestors().count() + 1).await?;
        let (id, _) = self.transact(|work, _| create(work, &name, &mut numbers.iter().copied())).await?;
        Ok(id)
    }

    /// Deletes a folder with its messages. With folders below it stays as a level that holds no messages. `asker`: who does
    /// it, as the trace tells if messages went with it.
    ///
    /// # Errors
    /// [`MailError::NoFolder`], [`MailError::HasChildren`], [`MailError::Protected`] for INBOX and the special folders.
    pub async fn delete(self: &Arc<Self>, name: &str, asker: &Asker) -> Result<(), MailError> {
        let name = FolderName::parse(name)?;
        let numbers = self.numbers(1).await?;
        let delete =
            |work: &mut Work, batch: &mut Batch| delete(work, &name, &mut numbers.iter().copied(), asker, batch);
        let (erasing, _) = self.transact(delete).await?;
        match erasing {
            Some(folder) => self.erase(folder).await,
            None => Ok(()),
        }
    }

    /// Renames a folder and all below it. Renaming INBOX moves its messages to the new name and leaves INBOX empty
    /// (RFC 3501 §6.3.5); sessions that have it open lose it, since the messages they show are elsewhere.
    ///
    /// # Errors
    /// [`MailError::NoFolder`], [`MailError::FolderExists`], [`MailError::BadName`], [`MailError::Protected`].
    pub async fn rename(self: &Arc<Self>, from: &str, to: &str) -> Result<(), MailError> {
        let (from, to) = (FolderName::parse(from)?, FolderName::parse(to)?);
        if from.below(to.as_str()).is_some() && !from.is_inbox() {
            return Err(NameError::InsideItself.into());
        }
        let numbers = self.numbers(to.ancestors().count() + 1).await?;
        let (inbox, _) = self.transact(|work, _| rename(work, &from, &to, &mut numbers.iter().copied())).await?;
        if let Some(state) = inbox.and_then(|folder| self.live_state(folder)) {
            state.set_gone();
        }
        Ok(())
    }

    /// Subscribes to a folder or level that is there.
    ///
    /// # Errors
    /// [`MailError::NoFolder`], or what the store says.
    pub async fn subscribe(self: &Arc<Self>, name: &str) -> Result<(), MailError> {
        self.set_subscribed(name, true).await
    }

    /// Takes a subscription back, also of a folder that is no longer there.
    ///
    /// # Errors
    /// [`MailError::NoFolder`], or what the store says.
    pub async fn unsubscribe(self: &Arc<Self>, name: &str) -> Result<(), MailError> {
        self.set_subscribed(name, false).await
    }

    /// Subscribes to a name that leads into another mailbox: here it is a name and nothing else. That it leads somewhere is
    /// the caller's to know.
    ///
    /// # Errors
    /// [`MailError::BadName`], [`MailError::TooManyFolders`], or what the store says.
    pub async fn subscribe_elsewhere(self: &Arc<Self>, name: &str) -> Result<(), MailError> {
        let name = FolderName::parse(name)?;
        let numbers = self.numbers(1).await?;
        let add = |work: &mut Work| {
            if let Some(index) = work.named(&name) {
                work.record_mut(index).subscribed = true;
                return Ok(());
            }
            let number = numbers.first().copied().ok_or(MailError::Busy)?;
            let record = new_folder(number, name.as_str(), FolderExistence::Subscription, work.now);
            work.add_folder(number, Folder { subscribed: true, ..record }).map(drop)
        };
        self.transact(|work, _| add(work)).await?;
        Ok(())
    }

    async fn set_subscribed(self: &Arc<Self>, name: &str, subscribed: bool) -> Result<(), MailError> {
        let name = FolderName::parse(name)?;
        let set = |work: &mut Work| {
            let index = work.named(&name).ok_or(MailError::NoFolder)?;
            let record = work.record_mut(index);
            if record.subscribed == subscribed {
                return Ok(());
            }
            record.subscribed = subscribed;
            if record.existence == FolderExistence::Subscription {
                work.delete_folder(index);
            } else {
                work.folder_changed(index);
            }
            Ok(())
        };
        self.transact(|work, _| set(work)).await?;
        Ok(())
    }

    /// Goes on with erasures that a stop of the server cut short.
    ///
    /// # Errors
    /// What the store says.
    pub async fn finish_erasures(self: &Arc<Self>) -> Result<(), MailError> {
        let folders = self.store().scan::<Folder>(FolderKey::of(self.account()), usize::MAX)?;
        for (key, folder) in folders {
            if folder.existence == FolderExistence::Erasing {
                self.erase(key.folder).await?;
            }
        }
        Ok(())
    }

    /// Erases the messages of a folder in erasure, a bounded number a commit, then its record.
    async fn erase(self: &Arc<Self>, folder: FolderId) -> Result<(), MailError> {
        loop {
            let (is_done, _) = self.transact(|work, batch| erase_some(work, folder, batch)).await?;
            if is_done {
                return Ok(());
            }
        }
    }

    /// Numbers for folders that may be made; those that are not used are lost, and cheap.
    async fn numbers(&self, count: usize) -> Result<Vec<u64>, MailError> {
        let mut numbers = Vec::with_capacity(count);
        for _ in 0..count.min(MAX_LEVELS + 1) {
            numbers.push(self.room().next_folder_id().await?);
        }
        Ok(numbers)
    }
}

type Numbers<'a> = dyn Iterator<Item = u64> + 'a;

fn create(work: &mut Work, name: &FolderName, numbers: &mut Numbers<'_>) -> Result<FolderId, MailError> {
    match work.named(name).map(|index| (index, work.folder(index).record.existence)) {
        Some((_, FolderExistence::Selectable)) => return Err(MailError::FolderExists),
        // A level becomes a folder: it has never held a message under this number.
        Some((index, FolderExistence::Level)) => {
            work.record_mut(index).existence = FolderExistence::Selectable;
            work.folder_changed(index);
            return Ok(work.folder(index).id);
        }
        _ => {}
    }
    make_levels_above(work, name, numbers)?;
    add(work, name, FolderExistence::Selectable, numbers)
}

/// RFC 3501 §6.3.3: superior names SHOULD be created as well.
fn make_levels_above(work: &mut Work, name: &FolderName, numbers: &mut Numbers<'_>) -> Result<(), MailError> {
    for above in name.ancestors() {
        let is_there = work.named(&above).is_some_and(|index| {
            matches!(work.folder(index).record.existence, FolderExistence::Selectable | FolderExistence::Level)
        });
        if !is_there {
            add(work, &above, FolderExistence::Selectable, numbers)?;
        }
    }
    Ok(())
}

/// Adds a folder where there is none; a subscription to the name goes over to it.
fn add(
    work: &mut Work,
    name: &FolderName,
    existence: FolderExistence,
    numbers: &mut Numbers<'_>,
) -> Result<FolderId, MailError> {
    let subscribed = take_subscription(work, name);
    let number = numbers.next().ok_or(MailError::Busy)?;
    let record = Folder { subscribed, ..new_folder(number, name.as_str(), existence, work.now) };
    work.add_folder(number, record).map(|index| work.folder(index).id)
}

/// Takes away a subscription without a folder; says whether there was one.
fn take_subscription(work: &mut Work, name: &FolderName) -> bool {
    match work.named(name) {
        Some(index) if work.folder(index).record.existence == FolderExistence::Subscription => {
            work.delete_folder(index);
            true
        }
        _ => false,
    }
}

/// Gives the folder whose messages remain to be erased, if they are too many for this commit.
fn delete(
    work: &mut Work,
    name: &FolderName,
    numbers: &mut Numbers<'_>,
    asker: &Asker,
    batch: &mut Batch,
) -> Result<Option<FolderId>, MailError> {
    let index = work.named(name).ok_or(MailError::NoFolder)?;
    let record = work.folder(index).record.clone();
    if name.is_inbox() || record.special_use.is_some() {
        return Err(MailError::Protected("deleted"));
    }
    let has_children = work.folders().any(|(_, folder)| {
        name.below(&folder.record.name).is_some() && folder.record.existence != FolderExistence::Subscription
    });
    match record.existence {
        FolderExistence::Subscription | FolderExistence::Erasing => return Err(MailError::NoFolder),
        FolderExistence::Level if has_children => return Err(MailError::HasChildren),
        FolderExistence::Level | FolderExistence::Selectable => {}
    }
    let folder = work.folder(index).id;
    note_deleted(work, index, record.messages, asker, batch);
    let erasing = delete_record(work, index, batch)?.then_some(folder);
    // RFC 3501 §6.3.4: with inferior names the name stays, \Noselect. §6.3.6: a subscription outlives its folder.
    let remains = match (has_children, record.subscribed) {
        (true, _) => Some(FolderExistence::Level),
        (false, true) => Some(FolderExistence::Subscription),
        (false, false) => None,
    };
    if let Some(existence) = remains {
        let number = numbers.next().ok_or(MailError::Busy)?;
        let left = new_folder(number, name.as_str(), existence, work.now);
        work.add_folder(number, Folder { subscribed: record.subscribed, ..left })?;
    }
    Ok(erasing)
}

/// Deletes a folder at once if it has few messages; else marks it as in erasure, and says so.
fn delete_record(work: &mut Work, index: usize, batch: &mut Batch) -> Result<bool, MailError> {
    let folder = work.folder(index).id;
    let uids = first_uids(work.mailbox(), folder)?;
    if uids.len() >= EXPUNGE_AT_ONCE {
        work.set_erasing(index);
        return Ok(true);
    }
    let mailbox = work.mailbox().clone();
    remove_all(work, index, &RowReader::new(mailbox.store(), folder), &uids, |_| true, batch)?;
    work.delete_folder(index);
    Ok(false)
}

/// Erases some messages of a folder in erasure; true once it is gone.
fn erase_some(work: &mut Work, folder: FolderId, batch: &mut Batch) -> Result<bool, MailError> {
    let Some(index) = work.erasing(folder) else { return Ok(true) };
    let mailbox = work.mailbox().clone();
    let uids = first_uids(&mailbox, folder)?;
    remove_all(work, index, &RowReader::new(mailbox.store(), folder), &uids, |_| true, batch)?;
    let is_done = uids.len() < EXPUNGE_AT_ONCE;
    if is_done {
        work.delete_folder(index);
    }
    Ok(is_done)
}

fn first_uids(mailbox: &Mailbox, folder: FolderId) -> Result<Vec<Uid>, MailError> {
    let rows = mailbox.store().scan::<Message>(MessageKey::of(folder), EXPUNGE_AT_ONCE)?;
    Ok(rows.into_iter().map(|(key, _)| key.uid).collect())
}

/// Gives INBOX's old folder when INBOX was renamed.
fn rename(
    work: &mut Work,
    from: &FolderName,
    to: &FolderName,
    numbers: &mut Numbers<'_>,
) -> Result<Option<FolderId>, MailError> {
    let index = work.named(from).ok_or(MailError::NoFolder)?;
    let record = work.folder(index).record.clone();
    if record.special_use.is_some() {
        return Err(MailError::Protected("renamed"));
    }
    if matches!(record.existence, FolderExistence::Subscription | FolderExistence::Erasing) {
        return Err(MailError::NoFolder);
    }
    let target = work.named(to).map(|index| work.folder(index).record.existence);
    if target.is_some_and(|existence| existence != FolderExistence::Subscription) || to.is_inbox() {
        return Err(MailError::FolderExists);
    }
    make_levels_above(work, to, numbers)?;
    if from.is_inbox() {
        return rename_inbox(work, index, to, numbers).map(Some);
    }
    for (index, rest) in inferiors(work, from) {
        let name = to.join(&rest)?;
        set_name(work, index, &name)?;
    }
    set_name(work, index, to)?;
    Ok(None)
}

/// The folder itself goes to the new name, with all its messages and their UIDs, and INBOX is made anew: one small commit
/// whatever the number of messages. Folders below INBOX stay (RFC 3501 §6.3.5).
fn rename_inbox(
    work: &mut Work,
    index: usize,
    to: &FolderName,
    numbers: &mut Numbers<'_>,
) -> Result<FolderId, MailError> {
    let subscribed = std::mem::take(&mut work.record_mut(index).subscribed);
    set_name(work, index, to)?;
    let number = numbers.next().ok_or(MailError::Busy)?;
    let inbox = Folder { subscribed, ..new_folder(number, INBOX, FolderExistence::Selectable, work.now) };
    work.add_folder(number, inbox)?;
    Ok(work.folder(index).id)
}

/// Folders and levels below a name, with the rest of their names.
fn inferiors(work: &Work, name: &FolderName) -> Vec<(usize, String)> {
    let below = work.folders().filter_map(|(index, folder)| Some((index, name.below(&folder.record.name)?.to_owned())));
    below.collect()
}

fn set_name(work: &mut Work, index: usize, name: &FolderName) -> Result<(), MailError> {
    let taken = take_subscription(work, name);
    let record = work.record_mut(index);
    record.name = name.as_str().to_owned();
    record.subscribed |= taken;
    work.folder_changed(index);
    Ok(())
}
