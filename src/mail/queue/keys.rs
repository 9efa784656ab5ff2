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
use std::time::Duration;

use super::super::{MailError, now};
use super::{Queue, QueueError};
use crate::store::{KeyOwner, MailboxKey, MasterKey, QueueMessage, SealError, Store, StoreError};

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
    living: RwLock<BTreeMap<u64, Arc<MailboxKey>>>,
    /// Seconds.
    turn_every: i64,
    turn_soon: AtomicBool,
    /// Unix seconds from which there may be something to do.
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
                living.insert(moment, Arc::new(master.open_transit(moment, &sealed)?));
            }
        }
        let is_new = living.is_empty();
        let keys = TransitKeys {
            store: store.clone(),
            master: master.clone(),
            first: Arc::new(first.clone()),
            living: RwLock::new(living),
            turn_every,
            turn_soon: AtomicBool::new(false),
            look_at: AtomicI64::new(0),
        };
        if is_new {
            keys.make(now())?;
        }
        Ok(keys)
    }

    fn living(&self) -> RwLockReadGuard<'_, BTreeMap<u64, Arc<MailboxKey>>> {
        self.living.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key that seals what is queued now.
    pub(super) fn newest(&self) -> TransitKey {
        let living = self.living();
        let (moment, key) = living.last_key_value().expect("one was made at the start, and the newest one stays");
        TransitKey { moment: *moment, key: Arc::clone(key) }
    }

    /// The key that a message names.
    pub(super) fn of(&self, message: &QueueMessage) -> Result<TransitKey, SealError> {
        let moment = message.transit_key;
        let key = if moment == FIRST { Some(Arc::clone(&self.first)) } else { self.living().get(&moment).cloned() };
        key.map(|key| TransitKey { moment, key }).ok_or(SealError::Lost)
    }

    /// Makes a key, on disk before anything is sealed with it.
    fn make(&self, now: i64) -> Result<(), StoreError> {
        let last = self.living().last_key_value().map_or(FIRST, |(moment, _)| *moment);
        // A clock that was set back gives no moment twice.
        let moment = u64::try_from(now).unwrap_or_default().max(last + 1);
        let key = MailboxKey::generate();
        self.store.keys().insert(KeyOwner::Transit(moment), &self.master.seal_transit(moment, &key))?;
        self.living.write().unwrap_or_else(PoisonError::into_inner).insert(moment, Arc::new(key));
        Ok(())
    }

    fn turn_soon(&self) {
        self.turn_soon.store(true, Ordering::SeqCst);
        self.look_at.store(0, Ordering::SeqCst);
    }

    fn has_work(&self, now: i64) -> bool {
        now >= self.look_at.load(Ordering::SeqCst)
    }

    /// Makes a new key when it is time, and destroys those that nothing needs. Reads the whole queue: not for an async thread.
    fn see_to(&self, now: i64) -> Result<(), StoreError> {
        self.look_at.store(now + TICK, Ordering::SeqCst);
        if self.turn_soon.load(Ordering::SeqCst) || now.saturating_sub(self.newest_made()) >= self.turn_every {
            self.make(now)?;
            self.turn_soon.store(false, Ordering::SeqCst);
        }
        self.destroy_unused(now)?;
        let made = self.newest_made();
        // As soon as the newest one is old enough, the one before it may go.
        let rest = if now.saturating_sub(made) < REST { REST } else { self.turn_every };
        self.look_at.store(made.saturating_add(rest).min(now + LOOK_EVERY), Ordering::SeqCst);
        if self.turn_soon.load(Ordering::SeqCst) {
            self.look_at.store(0, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Unix seconds.
    fn newest_made(&self) -> i64 {
        i64::try_from(self.newest().moment).unwrap_or(i64::MAX)
    }

    fn destroy_unused(&self, now: i64) -> Result<(), StoreError> {
        let mut unused = self.retired(now);
        if unused.is_empty() {
            return Ok(());
        }
        // Whoever may seal with one of them would have been met holding it; whatever was sealed before is seen here.
        let mut after = Bound::Unbounded;
        loop {
            let page = self.store.scan::<QueueMessage>((after, Bound::Unbounded), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Bound::Excluded(*last);
            for (_, message) in &page {
                unused.remove(&message.transit_key);
            }
        }
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
    fn retired(&self, now: i64) -> BTreeSet<u64> {
        let living = self.living();
        let next = living.keys().skip(1);
        let is_over = |next: u64| i64::try_from(next).is_ok_and(|next| now.saturating_sub(next) >= REST);
        let retired = living.iter().zip(next).filter(|((_, key), next)| is_over(**next) && Arc::strong_count(key) == 1);
        retired.map(|((moment, _), _)| *moment).collect()
    }
}

impl Queue {
    /// Lets the key that seals what is queued be another one soon: what it has sealed until now is then nearer its end.
    pub fn turn_key_soon(&self) {
        self.inner.keys.turn_soon();
    }

    /// Sees to the queue's keys at a moment (Unix seconds): a new one where it is time, an end to those that nothing needs.
    ///
    /// # Errors
    /// What the store says; what was not done is tried again at the next moment.
    pub async fn see_to_keys(&self, now: i64) -> Result<(), QueueError> {
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
            if self.inner.keys.has_work(now())
                && let Err(error) = self.see_to_keys(now()).await
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
