//! What a commit did to a mailbox: written down in the same commit, then told to the sessions that watch.
//!
//! Sessions that have a folder open share one [`FolderState`]. It lives as long as a session does. A commit's effects
//! reach it after the commit and under the mailbox's lock, so its list is always that of the last durable commit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::store::{Folder, FolderId, Uid};

use super::Mailbox;
use super::folder_list::{Entry, FolderList};

/// A folder that sessions have open.
#[derive(Debug)]
pub(super) struct FolderState {
    pub(super) folder: FolderId,
    shared: Mutex<Shared>,
    /// Rises with each change; sessions wait for that.
    version: watch::Sender<u64>,
    /// Sessions that may change the folder: they take `\Recent`.
    writers: AtomicUsize,
}

/// The state that sessions compare theirs with.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) list: FolderList,
    pub(super) uid_validity: u32,
    pub(super) uid_next: Uid,
    pub(super) highest_modseq: u64,
    pub(super) keywords: Arc<[String]>,
    /// Messages from this UID on are `\Recent` for the next session that looks.
    pub(super) recent_from: Uid,
    /// The folder is no longer there for these sessions.
    pub(super) gone: bool,
}

/// What a commit did to one folder.
#[derive(Debug)]
pub(super) struct FolderEffect {
    pub(super) folder: FolderId,
    /// Rising.
    pub(super) removed: Vec<Uid>,
    pub(super) changed: Vec<Entry>,
    /// Rising.
    pub(super) arrived: Vec<Entry>,
    /// The folder's record as it is now; `None`: deleted.
    pub(super) record: Option<Folder>,
}

/// What a commit did to one mailbox, to be told once it is durable.
#[derive(Debug)]
pub(super) struct Announcement {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) effects: Vec<FolderEffect>,
    /// The mailbox's address and what it holds from now on, where that has changed.
    pub(super) held: Option<(String, u64)>,
    /// When a mark that was written is due, Unix seconds.
    pub(super) marked: Option<i64>,
}

impl Announcement {
    /// Tells the sessions, the domain's count, and who makes notices of marks. Called after the commit, under the mailbox's lock.
    pub(super) fn announce(self) {
        if let Some((address, bytes)) = self.held {
            self.mailbox.room().note_held(&address, self.mailbox.account(), bytes);
        }
        if let Some(due) = self.marked {
            self.mailbox.room().first_due().note(due);
        }
        for effect in self.effects {
            if let Some(state) = self.mailbox.live_state(effect.folder) {
                state.apply(effect);
            }
        }
    }
}

impl FolderState {
    pub(super) fn new(folder: FolderId, record: &Folder, list: FolderList) -> Self {
        let shared = Shared {
            list,
            uid_validity: record.uid_validity,
            uid_next: record.uid_next,
            highest_modseq: record.highest_modseq,
            keywords: record.keywords.clone().into(),
            recent_from: record.recent_from,
            gone: false,
        };
        Self { folder, shared: Mutex::new(shared), version: watch::Sender::new(0), writers: AtomicUsize::new(0) }
    }

    /// The shared state. Held for moments only; nobody panics while holding it, and if so the list is still whole.
    pub(super) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The sessions shall look again.
    pub(super) fn wake(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// The folder is no longer there for the sessions that have it open.
    pub(super) fn set_gone(&self) {
        self.shared().gone = true;
        self.wake();
    }

    pub(super) fn add_writer(&self) {
        self.writers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn drop_writer(&self) {
        self.writers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a session is there to take `\Recent` of what arrives.
    pub(super) fn has_writer(&self) -> bool {
        self.writers.load(Ordering::Relaxed) > 0
    }

    fn apply(&self, effect: FolderEffect) {
        let mut shared = self.shared();
        match effect.record {
            None => shared.gone = true,
            Some(record) => {
                shared.list.remove(&effect.removed);
                for entry in effect.changed {
                    shared.list.replace(entry);
                }
                for entry in effect.arrived {
                    if !shared.list.push(entry) {
                        tracing::error!(folder = %effect.folder, uid = entry.uid, "a new message's UID does not rise");
                    }
                }
                shared.uid_next = record.uid_next;
                shared.highest_modseq = record.highest_modseq;
                if shared.keywords[..] != record.keywords[..] {
                    shared.keywords = record.keywords.into();
                }
            }
        }
        drop(shared);
        self.wake();
    }
}
