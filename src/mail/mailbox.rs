//! A mailbox: its lock, its way to change something, and what can be asked of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

use crate::store::{
    AccountId, AccountState, Batch, CommitError, Committed, Folder, FolderExistence, FolderId, FolderKey, MailboxKey,
    Message, MessageKey, SpecialUse, Store, Uid, Usage,
};

use super::changes::{Announcement, FolderState};
use super::folder_list::FolderList;
use super::names::FolderName;
use super::room::pause;
use super::work::{Work, entry};
use super::{MailError, MailRoom};

/// How often a change is tried again when another process came between.
pub(super) const ATTEMPTS: u32 = 8;

/// Messages read from the store at a time while a folder's list is built.
const PAGE: usize = 4_096;

/// Folders with more messages than this are read off the async threads.
const BIG_FOLDER: u32 = 1_000;

/// A mailbox that somebody holds; made by [`MailRoom::open`].
#[derive(Debug)]
pub struct Mailbox {
    account: AccountId,
    key: MailboxKey,
    room: MailRoom,
    /// Held while a change is made, from reading to announcing.
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Folders that sessions have open.
    states: Mutex<HashMap<FolderId, Weak<FolderState>>>,
    /// An [`AccountState`] as number.
    standing: AtomicU8,
}

/// The mailbox's lock, held.
pub(crate) type MailboxGuard = OwnedMutexGuard<()>;

/// A folder or a level of the hierarchy, as LIST shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderInfo {
    /// Its number.
    pub id: FolderId,
    /// The whole name.
    pub name: String,
    /// RFC 6154.
    pub special_use: Option<SpecialUse>,
    /// False: `\Noselect`.
    pub selectable: bool,
    /// Whether there are folders below.
    pub has_children: bool,
    /// Whether the name is subscribed.
    pub subscribed: bool,
    /// Whether messages are there that no session has seen (`\Marked`).
    pub has_recent: bool,
}

/// A subscribed name, as LSUB shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The whole name.
    pub name: String,
    /// False when there is no folder (any more): `\Noselect`.
    pub selectable: bool,
}

/// What STATUS shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderStatus {
    /// Its number.
    pub id: FolderId,
    /// Number of messages.
    pub messages: u32,
    /// Number of messages with `\Recent`.
    pub recent: u32,
    /// Number of messages without `\Seen`.
    pub unseen: u32,
    /// The next message's UID.
    pub uid_next: Uid,
    /// RFC 3501 §2.3.1.1.
    pub uid_validity: u32,
    /// RFC 7162.
    pub highest_modseq: u64,
    /// Sum of the messages' sizes in bytes (RFC 8438).
    pub bytes: u64,
}

/// What a mailbox holds and may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaUse {
    /// Bytes of all messages.
    pub bytes: u64,
    /// Number of messages.
    pub messages: u64,
    /// Bytes that it may hold; `None`: no bound.
    pub limit: Option<u64>,
    /// Bytes that its domain may still take; `None`: no bound.
    pub domain_left: Option<u64>,
}

impl QuotaUse {
    /// Bytes that it may hold as things are: it grows no further than its domain.
    pub fn effective(&self) -> Option<u64> {
        let by_domain = self.domain_left.map(|left| self.bytes.saturating_add(left));
        self.limit.into_iter().chain(by_domain).min()
    }

    /// Whether so many bytes more fit in.
    pub fn has_room_for(&self, bytes: u64) -> bool {
        self.effective().is_none_or(|most| self.bytes.saturating_add(bytes) <= most)
    }
}

impl Mailbox {
    pub(super) fn new(account: AccountId, key: MailboxKey, room: MailRoom, state: AccountState) -> Self {
        Self {
            account,
            key,
            room,
            lock: Arc::default(),
            states: Mutex::default(),
            standing: AtomicU8::new(standing(state)),
        }
    }

    /// Whose it is.
    pub fn account(&self) -> AccountId {
        self.account
    }

    pub(super) fn room(&self) -> &MailRoom {
        &self.room
    }

    pub(super) fn store(&self) -> &Store {
        self.room.store()
    }

    pub(super) fn key(&self) -> &MailboxKey {
        &self.key
    }

    /// Fails once the mailbox was suspended or closed: it opens for nobody (MSSanté §5).
    pub(super) fn usable(&self) -> Result<(), MailError> {
        match self.standing.load(Ordering::Acquire) {
            0 => Ok(()),
            1 => Err(MailError::Suspended),
            _ => Err(MailError::Closed),
        }
    }

    /// The mailbox is suspended or closed: wakes every session; see [`MailRoom::revoke`].
    pub(super) fn revoke(&self, state: AccountState) {
        self.standing.store(standing(state), Ordering::Release);
        let states: Vec<_> = self.states_lock().values().filter_map(Weak::upgrade).collect();
        for state in states {
            state.set_gone();
        }
    }

    /// Wakes every session that has a folder open, so that each looks again what it may do there; see
    /// [`MailRoom::look_again`].
    pub(super) fn look_again(&self) {
        self.states_lock().values().filter_map(Weak::upgrade).for_each(|state| state.wake());
    }

    // ---- changing ----

    /// Waits for the mailbox's lock. Whoever takes several takes them by rising account number.
    pub(crate) async fn lock(&self) -> MailboxGuard {
        self.lock.clone().lock_owned().await
    }

    /// Makes one change: reads, builds and commits under the lock, again when another process came between.
    ///
    /// The commit and its announcement run to their end even if the caller goes away meanwhile.
    pub(super) async fn transact<T>(
        self: &Arc<Self>,
        mut build: impl FnMut(&mut Work, &mut Batch) -> Result<T, MailError>,
    ) -> Result<(T, Option<Committed>), MailError> {
        for attempt in 0..ATTEMPTS {
            let guard = self.lock().await;
            self.usable()?;
            let mut work = Work::begin(self)?;
            let mut batch = Batch::new();
            let outcome = build(&mut work, &mut batch)?;
            let announcement = work.finish(&mut batch);
            if batch.is_empty() {
                return Ok((outcome, None));
            }
            match commit(self.store(), vec![guard], batch, vec![announcement]).await {
                Ok(committed) => return Ok((outcome, Some(committed))),
                Err(CommitError::Conflict(_)) => pause(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(MailError::Busy)
    }

    // ---- asking ----

    /// All folders and levels, INBOX first, then by name.
    pub fn folders(&self) -> Result<Vec<FolderInfo>, MailError> {
        self.usable()?;
        let records = self.records()?;
        let is_there =
            |folder: &Folder| matches!(folder.existence, FolderExistence::Selectable | FolderExistence::Level);
        let mut folders: Vec<FolderInfo> =
            records.iter().filter(|(_, folder)| is_there(folder)).map(|(id, folder)| info(*id, folder)).collect();
        folders.sort_by(|a, b| order(&a.name).cmp(&order(&b.name)));
        mark_parents(&mut folders);
        Ok(folders)
    }

    /// All subscribed names, by name.
    pub fn subscriptions(&self) -> Result<Vec<Subscription>, MailError> {
        self.usable()?;
        let subscribed = self.records()?.into_iter().map(|(_, folder)| folder);
        let mut names: Vec<Subscription> = subscribed
            .filter(|folder| folder.subscribed && folder.existence != FolderExistence::Erasing)
            .map(|folder| Subscription {
                selectable: folder.existence == FolderExistence::Selectable,
                name: folder.name,
            })
            .collect();
        names.sort_by(|a, b| order(&a.name).cmp(&order(&b.name)));
        Ok(names)
    }

    /// Fails when no folder of this name can take messages.
    ///
    /// # Errors
    /// [`MailError::NoFolder`], [`MailError::NotSelectable`], or what the store says.
    pub fn check_selectable(&self, name: &str) -> Result<(), MailError> {
        self.usable()?;
        self.find(&FolderName::parse(name)?).map(drop)
    }

    /// What STATUS shows of a folder.
    pub fn status(&self, name: &str) -> Result<FolderStatus, MailError> {
        self.usable()?;
        let name = FolderName::parse(name)?;
        let (id, folder) = self.find(&name)?;
        Ok(FolderStatus {
            id,
            messages: folder.messages,
            recent: self.count_recent(id, &folder)?,
            unseen: folder.unseen,
            uid_next: folder.uid_next,
            uid_validity: folder.uid_validity,
            highest_modseq: folder.highest_modseq,
            bytes: folder.bytes,
        })
    }

    /// What the mailbox holds and may hold.
    pub fn quota(&self) -> Result<QuotaUse, MailError> {
        let bounds = self.room.bounds(&*self.room.account(self.account)?);
        let usage = self.store().get::<Usage>(&self.account)?.map(|usage| usage.record).unwrap_or_default();
        Ok(QuotaUse { bytes: usage.bytes, messages: usage.messages, limit: bounds.quota, domain_left: bounds.left })
    }

    fn count_recent(&self, id: FolderId, folder: &Folder) -> Result<u32, MailError> {
        // Where sessions have the folder open, they know what none of them has taken yet.
        let from = self.live_state(id).map_or(folder.recent_from, |state| state.shared().recent_from);
        if from >= folder.uid_next {
            return Ok(0);
        }
        let range = MessageKey { folder: id, uid: from }..=MessageKey { folder: id, uid: Uid::MAX };
        let count = self.store().scan::<Message>(range, folder.messages as usize)?.len();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn records(&self) -> Result<Vec<(FolderId, Folder)>, MailError> {
        let rows = self.store().scan::<Folder>(FolderKey::of(self.account), usize::MAX)?;
        Ok(rows.into_iter().map(|(key, folder)| (key.folder, folder.record)).collect())
    }

    /// The selectable folder with this name.
    pub(super) fn find(&self, name: &FolderName) -> Result<(FolderId, Folder), MailError> {
        let mut found = Err(MailError::NoFolder);
        for (id, folder) in self.records()?.into_iter().filter(|(_, folder)| folder.name == name.as_str()) {
            match folder.existence {
                FolderExistence::Selectable => return Ok((id, folder)),
                FolderExistence::Level => found = Err(MailError::NotSelectable),
                FolderExistence::Subscription | FolderExistence::Erasing => {}
            }
        }
        found
    }

    // ---- folders that sessions have open ----

    fn states_lock(&self) -> std::sync::MutexGuard<'_, HashMap<FolderId, Weak<FolderState>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder's shared state, if a session has it open.
    pub(super) fn live_state(&self, folder: FolderId) -> Option<Arc<FolderState>> {
        self.states_lock().get(&folder)?.upgrade()
    }

    /// The folder's shared state, read from the store if no session has it open. The lock must be held.
    pub(super) async fn state(&self, folder: FolderId, record: &Folder) -> Result<Arc<FolderState>, MailError> {
        if let Some(state) = self.live_state(folder) {
            return Ok(state);
        }
        let list = self.read_list(folder, record.messages).await?;
        let state = Arc::new(FolderState::new(folder, record, list));
        let mut states = self.states_lock();
        states.retain(|_, state| state.strong_count() > 0);
        states.insert(folder, Arc::downgrade(&state));
        Ok(state)
    }

    async fn read_list(&self, folder: FolderId, messages: u32) -> Result<FolderList, MailError> {
        if messages <= BIG_FOLDER {
            return read_list(self.store(), folder);
        }
        let store = self.store().clone();
        match tokio::task::spawn_blocking(move || read_list(&store, folder)).await {
            Ok(list) => list,
            Err(_) => Err(MailError::Unknown),
        }
    }
}

/// Commits a batch and announces it, holding the locks until both are done. It runs as a task of its own: a caller that
/// goes away leaves no change unannounced and no lock open before its commit is seen by all.
pub(super) async fn commit(
    store: &Store,
    guards: Vec<MailboxGuard>,
    batch: Batch,
    announcements: Vec<Announcement>,
) -> Result<Committed, CommitError> {
    commit_and(store, guards, batch, announcements, || {}).await
}

/// As [`commit`]; once the batch is committed it also does `then`.
pub(super) async fn commit_and(
    store: &Store,
    guards: Vec<MailboxGuard>,
    batch: Batch,
    announcements: Vec<Announcement>,
    then: impl FnOnce() + Send + 'static,
) -> Result<Committed, CommitError> {
    let reply = store.commit(batch);
    let task = tokio::spawn(async move {
        let outcome = reply.await;
        if outcome.is_ok() {
            announcements.into_iter().for_each(Announcement::announce);
            then();
        }
        drop(guards);
        outcome
    });
    task.await.unwrap_or(Err(CommitError::Unknown))
}

fn read_list(store: &Store, folder: FolderId) -> Result<FolderList, MailError> {
    let mut pages = Vec::new();
    let mut next = Some(0);
    while let Some(from) = next {
        let range = MessageKey { folder, uid: from }..=MessageKey { folder, uid: Uid::MAX };
        let page = store.scan::<Message>(range, PAGE)?;
        next = page.last().and_then(|(key, _)| key.uid.checked_add(1));
        pages.extend(page.into_iter().map(|(key, message)| entry(key.uid, &message)));
    }
    Ok(pages.into_iter().collect())
}

fn standing(state: AccountState) -> u8 {
    match state {
        AccountState::Open => 0,
        AccountState::Suspended => 1,
        AccountState::Closed => 2,
    }
}

fn info(id: FolderId, folder: &Folder) -> FolderInfo {
    FolderInfo {
        id,
        name: folder.name.clone(),
        special_use: folder.special_use,
        selectable: folder.existence == FolderExistence::Selectable,
        has_children: false,
        subscribed: folder.subscribed,
        has_recent: folder.recent_from < folder.uid_next && folder.messages > 0,
    }
}

/// INBOX and what is below it come first; a folder comes right before what is below it.
fn order(name: &str) -> (bool, Vec<&str>) {
    let levels: Vec<&str> = name.split('/').collect();
    (levels.first() != Some(&super::names::INBOX), levels)
}

/// Sets `has_children`; the folders stand in [`order`].
fn mark_parents(folders: &mut [FolderInfo]) {
    for index in 0..folders.len() {
        let next_is_below = folders.get(index + 1).is_some_and(|next| {
            next.name.strip_prefix(folders[index].name.as_str()).is_some_and(|rest| rest.starts_with('/'))
        });
        folders[index].has_children = next_is_below;
    }
}
