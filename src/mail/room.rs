//! The mail room: the way to every mailbox.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::audit::Tracer;
use crate::store::{
    Account, AccountId, AccountState, CommitError, Domain, KeyOwner, MailboxKey, MasterKey, MetaKey, SealError,
    SecretKey, Store, Versioned,
};

use super::aftermath::absence::UnderWay;
use super::domains::{Bounds, Domains};
use super::marks::FirstDue;
use super::queue::{Opened, Queue, QueueOptions, TransitKeys, own_key};
use super::summary::SummaryLimits;
use super::{Incoming, MailError, Mailbox, NewMailTimes, Passing, QuotaByKind};

/// Bounds of the mail room.
#[derive(Clone, Debug)]
pub struct MailLimits {
    /// Bytes that a mailbox may hold where neither its account nor its domain says anything.
    pub quota: Option<u64>,
    /// The same by kind, which goes before it.
    pub quota_by_kind: QuotaByKind,
    /// Percents of its quota at which a mailbox's holder is warned, rising.
    pub warn_at: Vec<u8>,
    /// How holders are told of new messages; `None`: nobody carries notices.
    pub new_mail: Option<NewMailTimes>,
    /// Folders of a mailbox, levels and subscriptions included.
    pub folders: usize,
    /// Changes of a mailbox that are kept.
    pub changes: u64,
    /// For so many seconds a full mailbox answers with a temporary error (MSSanté §5: the first day).
    pub full_grace: i64,
    /// Bounds of a message's summary.
    pub summary: SummaryLimits,
    /// Bounds and times of the queue.
    pub queue: QueueOptions,
    /// The server's own name, in the reports that it makes (RFC 3464 §2.2.2).
    pub host: String,
}

impl Default for MailLimits {
    fn default() -> Self {
        Self {
            quota: Some(2 << 30),
            quota_by_kind: QuotaByKind::default(),
            warn_at: vec![80, 95],
            new_mail: None,
            folders: 1_000,
            changes: 1_000,
            full_grace: 86_400,
            summary: SummaryLimits::default(),
            queue: QueueOptions::default(),
            host: "localhost".into(),
        }
    }
}

/// Numbers of folders taken from the store at a time: what a restart leaves unused is lost, and cheap.
const FOLDER_IDS_AT_ONCE: u64 = 64;

/// The way to every mailbox. Cheap to clone; all clones share the open mailboxes.
#[derive(Clone, Debug)]
pub struct MailRoom {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    master: MasterKey,
    limits: MailLimits,
    /// Mailboxes that somebody holds. Keyed by ids that are never reused.
    open: Mutex<OpenMailboxes>,
    folder_ids: tokio::sync::Mutex<std::ops::Range<u64>>,
    transit: MailboxKey,
    traces: Tracer,
    queue: Queue,
    notices: UnderWay,
    domains: Domains,
    first_due: FirstDue,
}

/// A room that may be gone: what the queue, which the room owns, files its reports by.
#[derive(Debug)]
pub(super) struct WeakRoom(Weak<Inner>);

impl WeakRoom {
    pub(super) fn upgrade(&self) -> Option<MailRoom> {
        self.0.upgrade().map(|inner| MailRoom { inner })
    }
}

#[derive(Debug, Default)]
struct OpenMailboxes {
    by_account: HashMap<AccountId, Weak<Mailbox>>,
    /// Dead entries are swept when the map has grown to this.
    sweep_at: usize,
}

impl MailRoom {
    /// A room over a store, with the operator's master key. Reads what is on its way to other operators; at the first
    /// start, waits for the disk to keep the key that seals it.
    ///
    /// # Errors
    /// What store and key say: another master key, a damaged key of what is on its way.
    pub fn new(store: Store, master: MasterKey, limits: MailLimits) -> Result<Self, MailError> {
        let transit = own_key(&store, &master, SecretKey::Transit)?;
        let traces = Tracer::new(store.clone(), own_key(&store, &master, SecretKey::Traces)?)?;
        let keys = TransitKeys::open(&store, &master, &transit, limits.queue.turn_key_every)?;
        let opened = Opened::read(&store, keys, &limits.queue)?;
        let queue_traces = traces.clone();
        let domains = Domains::read(&store)?;
        let inner = Arc::new_cyclic(|room| Inner {
            store,
            master,
            limits,
            open: Mutex::default(),
            folder_ids: tokio::sync::Mutex::new(0..0),
            transit,
            traces,
            queue: Queue::new(opened, queue_traces, WeakRoom(room.clone())),
            notices: UnderWay::default(),
            domains,
            first_due: FirstDue::default(),
        });
        Ok(Self { inner })
    }

    /// The store below.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The room's bounds.
    pub fn limits(&self) -> &MailLimits {
        &self.inner.limits
    }

    /// Mail on its way to other operators.
    pub fn queue(&self) -> &Queue {
        &self.inner.queue
    }

    /// Where traces are written down.
    pub fn traces(&self) -> &Tracer {
        &self.inner.traces
    }

    /// The key that seals notices, and what is kept of messages that have left. What is in the queue has keys of its own.
    pub(crate) fn transit(&self) -> &MailboxKey {
        &self.inner.transit
    }

    /// The operator's key, for the registry, which makes and destroys mailboxes' keys.
    pub(crate) fn master(&self) -> &MasterKey {
        &self.inner.master
    }

    /// The absence notices that are under way.
    pub(crate) fn notices(&self) -> &UnderWay {
        &self.inner.notices
    }

    /// What bounds a mailbox now.
    pub(super) fn bounds(&self, account: &Account) -> Bounds {
        let limits = self.limits();
        self.inner.domains.bounds(account, limits.quota_by_kind.of(account.kind).or(limits.quota))
    }

    /// When the first mark of what holders are to be told is due.
    pub(crate) fn first_due(&self) -> &FirstDue {
        &self.inner.first_due
    }

    /// What a mailbox holds after a commit.
    pub(crate) fn note_held(&self, address: &str, account: AccountId, bytes: u64) {
        self.inner.domains.note(address, account, bytes);
    }

    /// What all mailboxes of a domain hold, where it has a quota.
    pub fn held_by_domain(&self, name: &str) -> Option<u64> {
        self.inner.domains.used(name)
    }

    /// A domain's record is another from now on. Where it has got a quota, every account is read: not for an async thread.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn domain_changed(&self, record: &Domain) -> Result<(), MailError> {
        Ok(self.inner.domains.changed(record, self.store())?)
    }

    /// A sink for a message that comes in: its body goes to the log, its summary is made on the way.
    pub fn receive(&self) -> Incoming {
        Incoming::new(self.store().body_sink(), self.limits().summary)
    }

    /// A sink for a message that only passes, to [`super::pass_on`]: what mailboxes keep besides its body is not made.
    pub fn receive_passing(&self) -> Passing {
        Passing::new(self.store().body_sink())
    }

    /// Opens a mailbox. Quick: one record and one key. All that hold it share one lock and one list per folder.
    ///
    /// # Errors
    /// [`MailError::NoMailbox`], [`MailError::Suspended`], [`MailError::Closed`], or what the store or key says.
    pub fn open(&self, account: AccountId) -> Result<Arc<Mailbox>, MailError> {
        let mailbox = self.open_any(account)?;
        mailbox.usable()?;
        Ok(mailbox)
    }

    /// As [`MailRoom::open`], for the operator and for reports: a suspended mailbox opens as well (nothing else in it can be
    /// changed).
    ///
    /// # Errors
    /// As [`MailRoom::open`] but for `Suspended`.
    pub fn open_any(&self, account: AccountId) -> Result<Arc<Mailbox>, MailError> {
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mailbox) = open.by_account.get(&account).and_then(Weak::upgrade)
            && !matches!(mailbox.usable(), Err(MailError::Closed))
        {
            return Ok(mailbox);
        }
        let record = self.account(account)?;
        let key = self.mailbox_key(account, record.state)?;
        let mailbox = Arc::new(Mailbox::new(account, key, self.clone(), record.state));
        open.insert(account, &mailbox);
        Ok(mailbox)
    }

    /// The key of a mailbox in this state, from the ring of keys: in memory.
    pub(crate) fn mailbox_key(&self, account: AccountId, state: AccountState) -> Result<MailboxKey, MailError> {
        let (keys, owner) = (self.store().keys(), KeyOwner::Mailbox(account));
        if state == AccountState::Closed || keys.is_wiped(owner) {
            return Err(MailError::Closed);
        }
        let sealed = keys.sealed(owner).ok_or(SealError::Lost)?;
        Ok(self.inner.master.open(account, &sealed)?)
    }

    /// Whether this is the mailbox that [`MailRoom::open_any`] gives now: all that come have its lock.
    pub(crate) fn is_open(&self, mailbox: &Arc<Mailbox>) -> bool {
        let open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.by_account.get(&mailbox.account()).is_some_and(|held| std::ptr::eq(held.as_ptr(), Arc::as_ptr(mailbox)))
    }

    /// The account's record as it is in the store.
    pub(crate) fn account(&self, account: AccountId) -> Result<Versioned<Account>, MailError> {
        self.store().get::<Account>(&account)?.ok_or(MailError::NoMailbox)
    }

    /// Takes the mailbox away from all that have it open: their sessions are woken and every further call fails.
    /// The caller has changed the account's state, or is about to.
    pub(crate) fn revoke(&self, account: AccountId, state: AccountState) {
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mailbox) = open.by_account.remove(&account).and_then(|weak| weak.upgrade()) {
            mailbox.revoke(state);
        }
    }

    /// What others may do in the mailbox has changed: wakes the sessions that have it open. What each may still do is asked
    /// by its door; here nothing is known of rights.
    pub(crate) fn look_again(&self, account: AccountId) {
        let open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mailbox = open.by_account.get(&account).and_then(Weak::upgrade);
        drop(open);
        if let Some(mailbox) = mailbox {
            mailbox.look_again();
        }
    }

    /// A number for a new folder; the UIDVALIDITY of the folder is the same number.
    pub(crate) async fn next_folder_id(&self) -> Result<u64, CommitError> {
        let mut ids = self.inner.folder_ids.lock().await;
        if ids.is_empty() {
            let first = self.store().allocate(MetaKey::NextFolder, FOLDER_IDS_AT_ONCE).await?;
            *ids = first..first + FOLDER_IDS_AT_ONCE;
        }
        // The range has just been filled if it was empty.
        Ok(ids.next().unwrap_or_default())
    }
}

impl OpenMailboxes {
    fn insert(&mut self, account: AccountId, mailbox: &Arc<Mailbox>) {
        if self.by_account.len() >= self.sweep_at {
            self.by_account.retain(|_, weak| weak.strong_count() > 0);
            self.sweep_at = self.by_account.len() * 2 + 64;
        }
        self.by_account.insert(account, Arc::downgrade(mailbox));
    }
}

/// Unix seconds now.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Waits before a change is tried again: the commit that came between may still be on its way to the disk, and what it
/// writes is seen only once it is there.
pub(crate) async fn pause(attempt: u32) {
    tokio::time::sleep(Duration::from_millis(1 << attempt.min(7))).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Batch;

    #[tokio::test]
    async fn all_that_open_a_suspended_mailbox_share_its_lock_until_it_is_opened_again() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let account = AccountId(1);
        let sealed = room.master().seal(account, &MailboxKey::generate());
        room.store().keys().insert(KeyOwner::Mailbox(account), &sealed).unwrap();
        let mut batch = Batch::new();
        batch.put(&account, &Account { state: AccountState::Suspended, ..Account::default() });
        room.store().commit(batch).await.unwrap();
        let suspended = room.open_any(account).unwrap();
        assert!(Arc::ptr_eq(&suspended, &room.open_any(account).unwrap()) && room.is_open(&suspended));
        assert!(matches!(room.open(account), Err(MailError::Suspended)));
        room.revoke(account, AccountState::Open);
        assert!(!room.is_open(&suspended), "who waits for its lock has waited for nothing");
        let other = room.open_any(account).unwrap();
        assert!(!Arc::ptr_eq(&suspended, &other) && room.is_open(&other) && !room.is_open(&suspended));
    }

    #[tokio::test]
    async fn a_mailbox_whose_key_is_lost_is_no_closed_one() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let account = AccountId(1);
        let mut batch = Batch::new();
        batch.put(&account, &Account::default());
        room.store().commit(batch).await.unwrap();
        assert!(matches!(room.open(account).map(drop), Err(MailError::Sealed(SealError::Lost))));
        let owner = KeyOwner::Mailbox(account);
        room.store().keys().insert(owner, &room.master().seal(account, &MailboxKey::generate())).unwrap();
        assert!(room.open(account).is_ok());
        room.store().keys().wipe(&[owner]).unwrap();
        room.revoke(account, AccountState::Closed);
        assert!(matches!(room.open(account).map(drop), Err(MailError::Closed)), "destroyed, whatever its record says");
    }
}
