//! The keys that seal what is on its way, and their end.
//!
//! A message that was sent is in no mailbox whose key could be destroyed with it, and its frames stay in the log for as long as
//! their segment. So the queue's key turns: a new one is made each day, and one that no queued message names any more is
//! destroyed. What was sealed under it can then be read by nobody, from no older frame, with no other key.
//!
//! A key is destroyed on proof, never by its age: nobody holds it, and all queued messages were looked at. Where records may
//! be missing (damage), a message may be too: then keys stay.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Deref};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use super::super::{MailError, now};
use super::{Queue, QueueError};
use crate::store::{
    Account, AccountState, KeyOwner, MailboxKey, MasterKey, QueueMessage, SealError, Store, StoreError,
};

/// Messages read at a time.
const PAGE: usize = 4_096;

/// Seconds between two looks at which keys are still needed.
const LOOK_EVERY: i64 = 3_600;

/// Seconds that a key is left alone after the next one was made, beside all proof: whoever sealed with it has committed.
const REST: i64 = 600;

/// Seconds before what could not be done now is tried again; how often it is looked whether it is time.
const TICK: i64 = 60;

/// What messages name that were queued before keys turned: the operator's own transit key, which stays.
const FIRST: u64 = 0;

/// A moment by two clocks.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// Unix seconds. May be set forward or back while the server runs: it gives keys their names, and says after a restart
    /// that a day is over.
    wall: i64,
    /// Seconds that this process has run: what is waited for is counted by this one.
    running: i64,
}

/// A key that is there.
#[derive(Debug)]
struct LivingKey {
    key: Arc<MailboxKey>,
    /// Seconds that the process had run when it was made; of one that a start has found, 0.
    since: i64,
}

/// A key of the queue. Whoever holds it keeps it from being destroyed.
#[derive(Clone, Debug)]
pub(super) struct TransitKey {
    /// Its name: when it was made, Unix seconds.
    pub(super) moment: u64,
    key: Arc<MailboxKey>,
}

impl Deref for TransitKey {
    type Target = MailboxKey;
    fn deref(&self) -> &MailboxKey {
        &self.key
    }
}

/// The queue's keys.
#[derive(Debug)]
pub(in crate::mail) struct TransitKeys {
    store: Store,
    master: MasterKey,
    first: Arc<MailboxKey>,
    /// By their moments; never empty.
    living: RwLock<BTreeMap<u64, LivingKey>>,
    started: Instant,
    /// Unix seconds.
    started_at: i64,
    /// Seconds.
    turn_every: i64,
    turn_soon: AtomicBool,
    /// Whether it was told which messages cannot be opened.
    has_told: AtomicBool,
    /// How long the process has run when there may be something to do.
    look_at: AtomicI64,
}

impl TransitKeys {
    /// The keys in the store's ring; makes one where there is none yet, and waits for the disk then.
    pub(in crate::mail) fn open(
        store: &Store,
        master: &MasterKey,
        first: &MailboxKey,
        turn_every: i64,
    ) -> Result<Self, MailError> {
        let mut living = BTreeMap::new();
        for owner in store.keys().owners() {
            if let (KeyOwner::Transit(moment), Some(sealed)) = (owner, store.keys().sealed(owner)) {
                living.insert(moment, LivingKey { key: Arc::new(master.open_transit(moment, &sealed)?), since: 0 });
            }
        }
        let (is_new, started_at) = (living.is_empty(), now());
        let turn_soon = match living.last_key_value() {
            Some((newest, _)) => is_ahead(*newest, started_at) || has_closed_since(store, *newest)?,
            None => false,
        };
        let keys = TransitKeys {
            store: store.clone(),
            master: master.clone(),
            first: Arc::new(first.clone()),
            living: RwLock::new(living),
            turn_every,
            started: Instant::now(),
            started_at,
            turn_soon: AtomicBool::new(turn_soon),
            has_told: AtomicBool::new(false),
            look_at: AtomicI64::new(0),
        };
        if is_new {
            keys.make(keys.now())?;
        }
        Ok(keys)
    }

    fn now(&self) -> Moment {
        Moment { wall: now(), running: i64::try_from(self.started.elapsed().as_secs()).unwrap_or(i64::MAX) }
    }

    /// A moment by a clock that nobody sets.
    fn at(&self, wall: i64) -> Moment {
        Moment { wall, running: wall.saturating_sub(self.started_at) }
    }

    fn living(&self) -> RwLockReadGuard<'_, BTreeMap<u64, LivingKey>> {
        self.living.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key that seals what is queued now.
    pub(super) fn newest(&self) -> TransitKey {
        let living = self.living();
        let (moment, held) = living.last_key_value().expect("one was made at the start, and the newest one stays");
        TransitKey { moment: *moment, key: Arc::clone(&held.key) }
    }

    /// The key that a message names.
    pub(super) fn of(&self, message: &QueueMessage) -> Result<TransitKey, SealError> {
        let moment = message.transit_key;
        let key = match moment {
            FIRST => Some(Arc::clone(&self.first)),
            _ => self.living().get(&moment).map(|held| Arc::clone(&held.key)),
        };
        key.map(|key| TransitKey { moment, key }).ok_or(SealError::Lost)
    }

    /// Makes a key, on disk before anything is sealed with it.
    fn make(&self, now: Moment) -> Result<(), StoreError> {
        let last = self.living().last_key_value().map_or(FIRST, |(moment, _)| *moment);
        // A clock that was set back gives no moment twice.
        let moment = u64::try_from(now.wall).unwrap_or_default().max(last + 1);
        let key = MailboxKey::generate();
        self.store.keys().insert(KeyOwner::Transit(moment), &self.master.seal_transit(moment, &key))?;
        let held = LivingKey { key: Arc::new(key), since: now.running };
        self.living.write().unwrap_or_else(PoisonError::into_inner).insert(moment, held);
        Ok(())
    }

    fn turn_soon(&self) {
        self.turn_soon.store(true, Ordering::SeqCst);
        self.look_at.store(0, Ordering::SeqCst);
    }

    fn has_work(&self, now: Moment) -> bool {
        now.running >= self.look_at.load(Ordering::SeqCst)
    }

    /// Makes a new key when it is time, and destroys those that nothing needs. Reads the whole queue: not for an async thread.
    fn see_to(&self, now: Moment) -> Result<(), StoreError> {
        self.look_at.store(now.running.saturating_add(TICK), Ordering::SeqCst);
        self.tell_lost()?;
        // What is owed to a closed mailbox waits for nothing else.
        let owed = self.store.keys().wipe(&[]);
        if self.turn_soon.load(Ordering::SeqCst) || self.left(now) <= 0 {
            self.make(now)?;
            self.turn_soon.store(false, Ordering::SeqCst);
        }
        self.destroy_unused(now)?;
        owed?;
        // As soon as the newest one is old enough, the one before it may go.
        let age = self.age(now);
        let next = if age < REST { REST - age } else { self.left(now) };
        self.look_at.store(now.running.saturating_add(next.min(LOOK_EVERY)), Ordering::SeqCst);
        if self.turn_soon.load(Ordering::SeqCst) {
            self.look_at.store(0, Ordering::SeqCst);
        }
        Ok(())
    }

    /// How long this process has had the newest key.
    fn age(&self, now: Moment) -> i64 {
        let since = self.living().last_key_value().map_or(0, |(_, held)| held.since);
        now.running.saturating_sub(since)
    }

    /// Seconds until the newest key's time is over, by the clock that says so first: the wall clock counts the time before a
    /// restart, and may have been ahead.
    fn left(&self, now: Moment) -> i64 {
        let made = i64::try_from(self.newest().moment).unwrap_or(i64::MAX);
        self.turn_every.saturating_sub(self.age(now).max(now.wall.saturating_sub(made)))
    }

    /// Says once which messages cannot be opened: their key is in the ring no longer, as after an older one was brought back.
    fn tell_lost(&self) -> Result<(), StoreError> {
        if self.has_told.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut lost = BTreeMap::<u64, u64>::new();
        self.for_each_message(|message| {
            if self.of(message).is_err() {
                *lost.entry(message.transit_key).or_default() += 1;
            }
        })?;
        for (moment, messages) in lost {
            tracing::error!(
                event = "store.keys",
                moment,
                messages,
                "messages that wait cannot be opened: the queue's key of that moment is lost; nobody is told of them: bring it back from a backup"
            );
        }
        self.has_told.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn for_each_message(&self, mut see: impl FnMut(&QueueMessage)) -> Result<(), StoreError> {
        let mut after = Bound::Unbounded;
        loop {
            let page = self.store.scan::<QueueMessage>((after, Bound::Unbounded), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Bound::Excluded(*last);
            page.iter().for_each(|(_, message)| see(message));
        }
    }

    fn destroy_unused(&self, now: Moment) -> Result<(), StoreError> {
        let mut unused = self.retired(now);
        if unused.is_empty() {
            return Ok(());
        }
        // Whoever may seal with one of them would have been met holding it; whatever was sealed before is seen here.
        self.for_each_message(|message| {
            unused.remove(&message.transit_key);
        })?;
        if unused.is_empty() {
            return Ok(());
        }
        // Asked for behind the reading: it may have been what met the damage.
        if self.store.has_met_damage() {
            tracing::warn!(
                keys = unused.len(),
                "keys of the queue stay: the store has met damage, and a message may need them"
            );
            return Ok(());
        }
        let owners: Vec<_> = unused.iter().map(|moment| KeyOwner::Transit(*moment)).collect();
        self.store.keys().wipe(&owners)?;
        self.living.write().unwrap_or_else(PoisonError::into_inner).retain(|moment, _| !unused.contains(moment));
        tracing::info!(keys = unused.len(), "keys of the queue were destroyed: nothing that waits needs them");
        Ok(())
    }

    /// Keys after which another has long been made, and that nobody holds.
    fn retired(&self, now: Moment) -> BTreeSet<u64> {
        let living = self.living();
        let next = living.values().skip(1);
        let is_over = |next: &LivingKey| now.running.saturating_sub(next.since) >= REST;
        let retired =
            living.iter().zip(next).filter(|((_, held), next)| is_over(next) && Arc::strong_count(&held.key) == 1);
        retired.map(|((moment, _), _)| *moment).collect()
    }
}

/// Whether a key has its name from a clock that was ahead: its age says nothing.
fn is_ahead(moment: u64, now: i64) -> bool {
    i64::try_from(moment).map_or(true, |moment| moment > now)
}

/// Whether a mailbox was closed after a key was made: what it has sent may be sealed with it, and a stop may have come before
/// the key could turn.
fn has_closed_since(store: &Store, moment: u64) -> Result<bool, StoreError> {
    let mut after = Bound::Unbounded;
    loop {
        let page = store.scan::<Account>((after, Bound::Unbounded), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(false) };
        after = Bound::Excluded(*last);
        let is_since = |changed: i64| u64::try_from(changed).is_ok_and(|changed| changed >= moment);
        let is_it = |account: &Account| account.state == AccountState::Closed && is_since(account.state_changed_at);
        if page.iter().any(|(_, account)| is_it(account)) {
            return Ok(true);
        }
    }
}

impl Queue {
    /// Lets the key that seals what is queued be another one soon: what it has sealed until now is then nearer its end.
    pub fn turn_key_soon(&self) {
        self.inner.keys.turn_soon();
    }

    /// Sees to the queue's keys at a moment (Unix seconds, by a clock that nobody has set since the start): a new one where it
    /// is time, an end to those that nothing needs.
    ///
    /// # Errors
    /// What the store says; what was not done is tried again at the next moment.
    pub async fn see_to_keys(&self, now: i64) -> Result<(), QueueError> {
        self.see_to_keys_at(self.inner.keys.at(now)).await
    }

    async fn see_to_keys_at(&self, now: Moment) -> Result<(), QueueError> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || inner.keys.see_to(now)).await;
        Ok(done.unwrap_or(Err(StoreError::Stopped))?)
    }

    /// Sees to the keys until the queue is stopped.
    pub(super) async fn tend_keys(&self) {
        loop {
            let mut changed = std::pin::pin!(self.inner.changed.notified());
            changed.as_mut().enable();
            if self.is_stopped() {
                return;
            }
            let now = self.inner.keys.now();
            if self.inner.keys.has_work(now)
                && let Err(error) = self.see_to_keys_at(now).await
            {
                tracing::error!(event = "store.keys", %error, "the queue's keys cannot be seen to now");
            }
            let _stopped_or_later = tokio::time::timeout(Duration::from_secs(TICK.unsigned_abs()), changed).await;
        }
    }

    /// The key of a queued message's body.
    #[cfg(test)]
    pub(crate) fn body_key(&self, message: &QueueMessage) -> Result<crate::store::BodyKey, QueueError> {
        Ok(self.inner.keys.of(message)?.open_body_key(message.body, &message.sealed_body_key)?)
    }
}

#[cfg(test)]
mod tests;
