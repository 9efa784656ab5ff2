//! A session's view of an open folder: sequence numbers, `\Recent`, and what has changed since it last looked.

use std::sync::Arc;

use tokio::sync::watch;

use crate::audit::{Action, Asker, FolderKind, Trace};
use crate::store::{Batch, FolderId, Uid, flags};

use super::changes::{FolderState, Shared};
use super::flags::{MessageFlags, keyword_names};
use super::folder_list::{Entry, FolderList};
use super::mailbox::commit;
use super::names::FolderName;
use super::work::Work;
use super::{MailError, Mailbox};

/// An open folder as one session sees it. Its sequence numbers change only in [`Selected::refresh`].
#[derive(Debug)]
pub struct Selected {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) state: Arc<FolderState>,
    pub(super) view: FolderList,
    keywords: Arc<[String]>,
    uid_next: Uid,
    uid_validity: u32,
    highest_modseq: u64,
    /// Ranges of UIDs that are `\Recent` in this session, rising.
    recent: Vec<(Uid, Uid)>,
    read_only: bool,
    address: String,
    kind: FolderKind,
    /// Who works in it, as the traces of what they do tell.
    pub(super) asker: Arc<Asker>,
    watch: watch::Receiver<u64>,
}

/// What has changed since a session last looked, in the order in which a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// A message went; `seq` is its number at the moment of telling (RFC 3501 §7.4.1).
    Expunge {
        /// Sequence number.
        seq: u32,
        /// Its UID.
        uid: Uid,
    },
    /// The folder now has so many messages.
    Exists(u32),
    /// So many of them are `\Recent`.
    Recent(u32),
    /// The folder has new keywords: FLAGS and PERMANENTFLAGS are to be told.
    Keywords,
    /// A message has other flags.
    Flags {
        /// Sequence number, after the expunges told before.
        seq: u32,
        /// Its UID.
        uid: Uid,
    },
    /// The folder is no longer there (deleted, INBOX renamed away, mailbox suspended or closed): end the session or
    /// unselect. Every further call fails.
    Gone,
}

impl Mailbox {
    /// Opens a folder for a session. `read_only`: EXAMINE, which takes no `\Recent` and may change nothing.
    ///
    /// # Errors
    /// [`MailError::NoFolder`], [`MailError::NotSelectable`], or what the store says.
    pub async fn select(self: &Arc<Self>, name: &str, read_only: bool) -> Result<Selected, MailError> {
        let name = FolderName::parse(name)?;
        let guard = self.lock().await;
        self.usable()?;
        let mut work = Work::begin(self)?;
        let index = work.selectable(&name)?;
        let record = work.folder(index).record.clone();
        let state = self.state(work.folder(index).id, &record).await?;
        let mut selected = Selected::new(self.clone(), state, read_only);
        (selected.address, selected.kind) = (work.address().to_owned(), work.kind(index));
        if !read_only && record.recent_from < record.uid_next {
            // The session takes \Recent for itself. It need not wait for the disk: what a power cut takes back makes
            // messages recent once more, as RFC 3501 §2.3.2 allows. The lock goes with the commit.
            work.record_mut(index).recent_from = record.uid_next;
            let mut batch = Batch::new();
            let announcement = work.finish(&mut batch);
            let store = self.store().clone();
            tokio::spawn(async move { commit(&store, vec![guard], batch, vec![announcement]).await });
        }
        Ok(selected)
    }
}

impl Selected {
    fn new(mailbox: Arc<Mailbox>, state: Arc<FolderState>, read_only: bool) -> Self {
        let mut watch = state.watch();
        watch.borrow_and_update();
        let mut shared = state.shared();
        let first_recent = shared.recent_from;
        if !read_only {
            state.add_writer();
            shared.recent_from = shared.uid_next;
        }
        let Shared { list, uid_validity, uid_next, highest_modseq, keywords, .. } = shared.clone();
        drop(shared);
        let mut selected = Self {
            mailbox,
            state,
            view: list,
            keywords,
            uid_next,
            uid_validity,
            highest_modseq,
            recent: Vec::new(),
            read_only,
            address: String::new(),
            kind: FolderKind::Other,
            asker: Arc::default(),
            watch,
        };
        selected.take_recent(first_recent, uid_next);
        selected
    }

    /// From now on the traces of what is done here name who does it.
    #[must_use]
    pub fn worked_in_by(mut self, asker: &Arc<Asker>) -> Self {
        self.asker = Arc::clone(asker);
        self
    }

    /// What traces tell of the folder.
    pub fn kind(&self) -> FolderKind {
        self.kind
    }

    /// The trace of what is done here without a change.
    pub fn trace(&self, action: Action) -> Trace {
        self.asker.trace(Some(&self.address), action)
    }

    /// The folder's number.
    pub fn folder(&self) -> FolderId {
        self.state.folder
    }

    /// The mailbox that it belongs to.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Whether it was opened by EXAMINE, or [restricted](Selected::restrict) since.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// From now on the session may change nothing here, as if it had opened the folder by EXAMINE.
    pub fn restrict(&mut self) {
        if !self.read_only {
            self.read_only = true;
            self.state.drop_writer();
        }
    }

    /// Number of messages.
    pub fn exists(&self) -> u32 {
        number(self.view.len())
    }

    /// Number of messages that are `\Recent` in this session.
    pub fn recent(&self) -> u32 {
        let in_range =
            |range: &(Uid, Uid)| self.view.first_from(range.1.saturating_add(1)) - self.view.first_from(range.0);
        number(self.recent.iter().map(in_range).sum())
    }

    /// RFC 3501 §2.3.1.1.
    pub fn uid_validity(&self) -> u32 {
        self.uid_validity
    }

    /// The next message's UID, as of the last look.
    pub fn uid_next(&self) -> Uid {
        self.uid_next
    }

    /// RFC 7162, as of the last look.
    pub fn highest_modseq(&self) -> u64 {
        self.highest_modseq
    }

    /// The folder's keywords; bit `i` of [`Entry::keywords`] is keyword `i`.
    pub fn keywords(&self) -> &Arc<[String]> {
        &self.keywords
    }

    /// Sequence number of the first message without `\Seen`.
    pub fn first_unseen(&self) -> Option<u32> {
        self.view.iter().position(|entry| entry.flags & flags::SEEN == 0).map(|index| number(index + 1))
    }

    /// The message with a sequence number.
    pub fn entry(&self, seq: u32) -> Option<&Entry> {
        self.view.at(usize::try_from(seq.checked_sub(1)?).ok()?)
    }

    /// The sequence number of a UID.
    pub fn seq_of(&self, uid: Uid) -> Option<u32> {
        self.view.index_of(uid).map(|index| number(index + 1))
    }

    /// The message with a UID.
    pub fn entry_of(&self, uid: Uid) -> Option<&Entry> {
        self.view.at(self.view.index_of(uid)?)
    }

    /// All messages with their sequence numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Entry)> {
        (1u32..).zip(self.view.iter())
    }

    /// The messages whose UIDs lie in a range, with their sequence numbers.
    pub fn iter_uids(&self, first: Uid, last: Uid) -> impl Iterator<Item = (u32, &Entry)> {
        let from = self.view.first_from(first);
        (number(from + 1)..).zip(self.view.iter_from(from)).take_while(move |(_, entry)| entry.uid <= last)
    }

    /// The sequence number of the first message with this UID or a higher one; `exists() + 1` when there is none.
    pub fn first_seq_from(&self, uid: Uid) -> u32 {
        number(self.view.first_from(uid) + 1)
    }

    /// Whether a message is `\Recent` in this session.
    pub fn is_recent(&self, uid: Uid) -> bool {
        self.recent.iter().any(|(first, last)| (*first..=*last).contains(&uid))
    }

    /// The flags of a message by name, without `\Recent`.
    pub fn flags_of(&self, entry: &Entry) -> MessageFlags {
        MessageFlags { system: entry.flags, keywords: keyword_names(entry.keywords, &self.keywords) }
    }

    /// Waits until the folder is newer than the session's view. No polling; may be dropped and called again.
    pub async fn changed(&mut self) {
        // The sender lives in the state that this session holds, so this fails never.
        let _ = self.watch.changed().await;
        self.watch.mark_changed();
    }

    /// What became of the folder, after [`Update::Gone`]: the whole mailbox may be shut to everybody.
    pub fn why_gone(&self) -> MailError {
        self.mailbox.usable().err().unwrap_or(MailError::FolderGone)
    }

    /// Brings the view up to date and says what changed.
    ///
    /// With `allow_expunge` false no message leaves the view (RFC 3501 §7.4.1: not during FETCH, STORE, SEARCH): it
    /// keeps its number until the next refresh that may say so.
    pub fn refresh(&mut self, allow_expunge: bool) -> Vec<Update> {
        if !self.watch.has_changed().unwrap_or(true) {
            return Vec::new();
        }
        self.watch.borrow_and_update();
        let shared = self.look();
        let mut updates = Vec::new();
        if shared.gone {
            updates.push(Update::Gone);
            return updates;
        }
        if shared.keywords[..] != self.keywords[..] {
            self.keywords = shared.keywords.clone();
            updates.push(Update::Keywords);
        }
        self.take_recent(shared.recent_from, shared.uid_next);
        let diff = self.view.diff(&shared.list);
        if allow_expunge {
            for (gone, uid) in diff.removed.iter().enumerate() {
                let index = self.view.index_of(*uid).unwrap_or_default();
                updates.push(Update::Expunge { seq: number(index + 1 - gone), uid: *uid });
            }
            self.view = shared.list;
        } else {
            if !diff.removed.is_empty() {
                // They are still to be told.
                self.watch.mark_changed();
            }
            for entry in &diff.changed {
                self.view.replace(*entry);
            }
            for entry in &diff.arrived {
                let _ = self.view.push(*entry);
            }
        }
        self.uid_next = shared.uid_next;
        self.highest_modseq = shared.highest_modseq;
        if !diff.arrived.is_empty() {
            updates.push(Update::Exists(self.exists()));
            updates.push(Update::Recent(self.recent()));
        }
        for entry in &diff.changed {
            if let Some(seq) = self.seq_of(entry.uid) {
                updates.push(Update::Flags { seq, uid: entry.uid });
            }
        }
        updates
    }

    /// A copy of the shared state; takes `\Recent` for this session if it may.
    fn look(&self) -> Shared {
        let mut shared = self.state.shared();
        let copy = shared.clone();
        if !self.read_only {
            shared.recent_from = shared.uid_next;
        }
        copy
    }

    fn take_recent(&mut self, first: Uid, next: Uid) {
        if first >= next {
            return;
        }
        match self.recent.last_mut() {
            Some((_, last)) if *last >= first.saturating_sub(1) => *last = (*last).max(next - 1),
            _ => self.recent.push((first, next - 1)),
        }
    }

    /// Fails when the session may change nothing.
    pub(super) fn writable(&self) -> Result<(), MailError> {
        if self.read_only { Err(MailError::ReadOnly) } else { Ok(()) }
    }

    /// Puts the session's own changes into its view, so that they are not told again.
    pub(super) fn learn(&mut self, entries: &[Entry], keywords: &Arc<[String]>) {
        for entry in entries {
            self.view.replace(*entry);
        }
        if self.keywords[..] != keywords[..] {
            self.keywords = keywords.clone();
        }
    }
}

impl Drop for Selected {
    fn drop(&mut self) {
        if !self.read_only {
            self.state.drop_writer();
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
