//! The ring of keys: where keys live that must be destroyed one day.
//!
//! The log is only ever appended to, so what was written into it once is read from it for as long as its segments stay. A key
//! in it could not be taken back. So mailboxes' keys, and the queue's, lie beside it, sealed under the master key, in a file of
//! slots that are overwritten in place; the file is there twice (`keys-1` and `keys-2`), the slots are in
//! memory too, and asking for a key reads no disk.
//!
//! # Rules
//!
//! 1. **A key is on disk before anything says that it is there**: [`Keyring::insert`] comes before the commit that makes its
//!    mailbox. A crash between the two leaves a slot that nobody asks for; numbers of accounts are never given again.
//! 2. **A key is wiped after the commit that says so**, never because a record is missing: damage to the log destroys no key.
//!    A start wipes what a crash between the two left (`embedded/keys.rs`).
//! 3. **What was wiped does not come back.** Its slot keeps the owner, and takes no key for it again, wherever an older copy
//!    of one may turn up.
//! 4. **Each writing goes to the first copy, to disk, and then to the second.** So at any moment one of them is whole, and of
//!    two whole ones the later (`generation`) is what was meant. A start mends each from the other.
//!
//! Overwriting in place is as good as the disk makes it: see `docs/operator.md`, Backup.

mod copies;
mod slot;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Serialize;
use zeroize::Zeroize;

use super::embedded::frame::Salt;
use super::error::{OpenError, StoreError};
use super::schema::AccountId;
use super::seal::{SealError, SealedKey};
use copies::Copies;
use slot::{Bytes, Slot, Written};

pub use slot::KEYS_FORMAT;

/// Whose a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyOwner {
    /// A mailbox's.
    Mailbox(AccountId),
    /// The queue's, which turns: the one that was made at this moment (Unix seconds; none was made at the same).
    Transit(u64),
}

impl fmt::Display for KeyOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyOwner::Mailbox(account) => write!(f, "account {account}"),
            KeyOwner::Transit(moment) => write!(f, "the queue since {moment}"),
        }
    }
}

/// The keys of a store.
pub struct Keyring {
    held: RwLock<HashMap<KeyOwner, Held>>,
    writer: Mutex<Writer>,
}

/// A slot that somebody has.
struct Held {
    slot: u32,
    /// `None`: wiped.
    key: Option<SealedKey>,
}

/// Who writes has this.
struct Writer {
    /// Without files the ring is in memory.
    files: Option<(Copies, Salt)>,
    /// By slot: how often it was written.
    generations: Vec<u64>,
    /// Slots that were never written, or whose owner cannot come again.
    free: Vec<u32>,
    /// Keys that are out of memory and, after a writing that failed, perhaps still on disk: whose, in which slots.
    owed: BTreeMap<KeyOwner, u32>,
    /// After a failed writing it is not known what is on disk; the next start reads it.
    failed: bool,
}

/// What a start found in the key files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KeysFound {
    /// Keys that are there.
    pub living: u64,
    /// Slots whose key was wiped.
    pub wiped: u64,
    /// Slots and headers that one file has not, or not as the other one: the next start mends them.
    pub differing: u64,
    /// Slots that are damaged in both files: their keys are lost.
    pub lost: Vec<u32>,
    /// Slots that both files have whole, written equally often, and not the same: files of two times.
    pub contradicting: Vec<u32>,
    /// Files that are missing, or that the disk does not give whole.
    pub missing: Vec<&'static str>,
}

impl KeysFound {
    fn of(merged: &copies::Merged) -> Self {
        let count = |is_it: fn(&Slot) -> bool| {
            merged.slots.iter().flatten().filter(|written| is_it(&written.slot)).count() as u64
        };
        KeysFound {
            living: count(|slot| matches!(slot, Slot::Living { .. })),
            wiped: count(|slot| matches!(slot, Slot::Wiped { .. })),
            differing: merged.wrong(),
            lost: merged.lost().collect(),
            contradicting: merged.contradicting.clone(),
            missing: merged.missing().collect(),
        }
    }

    /// Both files are there, whole and the same.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.differing == 0 && self.lost.is_empty() && self.contradicting.is_empty() && self.missing.is_empty()
    }
}

/// What became of an owner's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFate {
    /// It is there.
    Living,
    /// It was destroyed.
    Wiped,
}

/// Reads the key files of a store, and whose keys are in them, and changes nothing.
pub(super) fn inspect(directory: &Path, salt: &Salt) -> Result<(KeysFound, HashMap<KeyOwner, KeyFate>), OpenError> {
    let merged = copies::read(directory, salt)?;
    let fates = merged.slots.iter().flatten().filter_map(|written| match &written.slot {
        Slot::Living { owner, .. } => Some((*owner, KeyFate::Living)),
        Slot::Wiped { owner } => Some((*owner, KeyFate::Wiped)),
        Slot::Free => None,
    });
    Ok((KeysFound::of(&merged), fates.collect()))
}

impl Keyring {
    /// A ring in memory, for tests.
    pub(super) fn in_memory() -> Self {
        let (generations, free, owed) = Default::default();
        let writer = Writer { files: None, generations, free, owed, failed: false };
        Keyring { held: RwLock::default(), writer: Mutex::new(writer) }
    }

    /// Opens a store's ring. `may_begin`: the store is of a time, or at a moment, when it has none; else two missing files are
    /// a loss that nobody may paper over.
    pub(super) fn open(directory: &Path, salt: &Salt, may_begin: bool) -> Result<(Self, KeysFound), OpenError> {
        let merged = copies::read(directory, salt)?;
        let found = KeysFound::of(&merged);
        if merged.are_absent() && !may_begin {
            return Err(OpenError::KeysMissing(directory.to_owned()));
        }
        if !may_begin && !merged.is_a_ring() {
            return Err(OpenError::KeysEmpty(directory.to_owned()));
        }
        if !merged.contradicting.is_empty() {
            return Err(OpenError::KeysContradict { path: directory.to_owned(), slots: merged.contradicting });
        }
        let files = Copies::open(directory, &merged, salt)?;
        let mut held = HashMap::with_capacity(merged.slots.len());
        let (mut generations, mut free) = (Vec::with_capacity(merged.slots.len()), Vec::new());
        for (number, written) in (0u32..).zip(merged.slots) {
            let Written { generation, slot } = written.unwrap_or(Written { generation: u64::MAX, slot: Slot::Free });
            generations.push(generation);
            match slot {
                Slot::Living { owner, key } => {
                    hold(&mut held, owner, Held { slot: number, key: Some(key) }, &generations)
                }
                Slot::Wiped { owner: KeyOwner::Transit(_) } => free.push(number),
                Slot::Wiped { owner } => hold(&mut held, owner, Held { slot: number, key: None }, &generations),
                Slot::Free if generation == 0 => free.push(number),
                Slot::Free => {}
            }
        }
        // The last one is taken first.
        free.reverse();
        let writer = Writer { files: Some((files, *salt)), generations, free, owed: BTreeMap::new(), failed: false };
        Ok((Keyring { held: RwLock::new(held), writer: Mutex::new(writer) }, found))
    }

    /// Whether a slot is long enough for a sealed key, as it is for all that [`super::MasterKey`] seals.
    pub(super) fn holds(key: &SealedKey) -> bool {
        slot::holds(key)
    }

    /// A key, sealed under the master key. Never waits for a disk.
    #[must_use]
    pub fn sealed(&self, owner: KeyOwner) -> Option<SealedKey> {
        self.held().get(&owner)?.key.clone()
    }

    /// What became of an owner's key; `None`: it has none here, or it is lost.
    #[must_use]
    pub fn fate(&self, owner: KeyOwner) -> Option<KeyFate> {
        let held = self.held();
        Some(if held.get(&owner)?.key.is_some() { KeyFate::Living } else { KeyFate::Wiped })
    }

    /// Whether this owner had a key that was destroyed.
    #[must_use]
    pub fn is_wiped(&self, owner: KeyOwner) -> bool {
        self.fate(owner) == Some(KeyFate::Wiped)
    }

    /// Whose keys there are, in order.
    #[must_use]
    pub fn owners(&self) -> Vec<KeyOwner> {
        let mut owners: Vec<_> =
            self.held().iter().filter(|(_, held)| held.key.is_some()).map(|(owner, _)| *owner).collect();
        owners.sort_unstable();
        owners
    }

    /// Whose keys there are, and were.
    pub(super) fn known(&self) -> Vec<KeyOwner> {
        self.held().keys().copied().collect()
    }

    /// Whether no slot was ever given to anybody.
    pub(super) fn is_new(&self) -> bool {
        self.writer().generations.is_empty()
    }

    /// Takes a key in; it is on disk, twice, when this returns. Blocks.
    ///
    /// # Errors
    /// [`StoreError::KeyTaken`] where the owner has one, or had; [`StoreError::Full`]; what the disk says, and from then on
    /// [`StoreError::Stopped`].
    pub fn insert(&self, owner: KeyOwner, key: &SealedKey) -> Result<(), StoreError> {
        self.insert_all(vec![(owner, key.clone())])
    }

    /// Takes keys of different owners in, with one sync of each file for all. Blocks.
    pub(super) fn insert_all(&self, keys: Vec<(KeyOwner, SealedKey)>) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut writer = self.writer();
        if let Some((owner, _)) = keys.iter().find(|(owner, _)| self.held().contains_key(owner)) {
            return Err(StoreError::KeyTaken(*owner));
        }
        if !keys.iter().all(|(_, key)| Self::holds(key)) {
            return Err(SealError::DoesNotOpen.into());
        }
        let numbers: Vec<u32> = writer.slots(keys.len());
        let slots = numbers.iter().zip(&keys).map(|(number, (owner, key))| {
            let slot = Slot::Living { owner: *owner, key: key.clone() };
            (*number, slot)
        });
        let written = writer.write(slots.collect());
        if written.is_err() {
            // What was half written there is nobody's, and written over.
            writer.free.extend(numbers.into_iter().rev());
            return written;
        }
        let mut held = self.held_mut();
        for (slot, (owner, key)) in numbers.into_iter().zip(keys) {
            held.insert(owner, Held { slot, key: Some(key) });
        }
        Ok(())
    }

    /// Destroys keys, and those that an earlier call could not: overwritten in both files, on disk when this returns. Owners
    /// without one are passed over. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Full`]; what the disk says, and from then on [`StoreError::Stopped`]: the keys are out of memory all the
    /// same, and it is not known what is left of them on disk. They are owed: the next call tries again, and so does the next
    /// start where a record says that it must.
    pub fn wipe(&self, owners: &[KeyOwner]) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let wiped = self.take_out(owners);
        writer.owed.extend(wiped);
        if writer.owed.is_empty() {
            return Ok(());
        }
        let slots = writer.owed.iter().map(|(owner, number)| (*number, Slot::Wiped { owner: *owner })).collect();
        writer.write(slots)?;
        // A moment of the queue's does not come again: its slot may be another's.
        for (owner, number) in std::mem::take(&mut writer.owed) {
            if matches!(owner, KeyOwner::Transit(_)) {
                self.held_mut().remove(&owner);
                writer.free.push(number);
            }
        }
        Ok(())
    }

    /// Takes keys out of memory, and says in which slots they are.
    fn take_out(&self, owners: &[KeyOwner]) -> Vec<(KeyOwner, u32)> {
        let mut held = self.held_mut();
        let mut slots = Vec::with_capacity(owners.len());
        for owner in owners {
            let Some(Held { slot, key }) = held.get_mut(owner) else { continue };
            if let Some(mut key) = key.take() {
                key.0.zeroize();
                slots.push((*owner, *slot));
            }
        }
        slots
    }

    fn held(&self) -> RwLockReadGuard<'_, HashMap<KeyOwner, Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, HashMap<KeyOwner, Held>> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes whose a slot is. Nobody is given two by this code; of two that are there all the same, a wiped one counts, and else
/// the one that was written more often.
fn hold(held: &mut HashMap<KeyOwner, Held>, owner: KeyOwner, new: Held, generations: &[u64]) {
    let Some(known) = held.get(&owner) else { return drop(held.insert(owner, new)) };
    tracing::error!(event = "store.keys", %owner, slots = ?[known.slot, new.slot], "two slots of the key files have one owner");
    let rank = |held: &Held| (held.key.is_none(), generations[held.slot as usize]);
    if rank(&new) > rank(known) {
        held.insert(owner, new);
    }
}

impl Writer {
    /// Slots that nobody has.
    fn slots(&mut self, count: usize) -> Vec<u32> {
        let mut taken = self.free.split_off(self.free.len().saturating_sub(count));
        taken.reverse();
        while taken.len() < count {
            taken.push(self.generations.len() as u32);
            self.generations.push(0);
        }
        taken
    }

    fn write(&mut self, slots: Vec<(u32, Slot)>) -> Result<(), StoreError> {
        let Some((files, salt)) = &self.files else { return Ok(()) };
        if self.failed {
            return Err(StoreError::Stopped);
        }
        let mut bytes: Vec<(u32, Bytes)> = Vec::with_capacity(slots.len());
        for (number, slot) in slots {
            let generation = &mut self.generations[number as usize];
            // Counted whether it succeeds or not: what a failed writing left must not pass for a later one.
            *generation += 1;
            let written = Written { generation: *generation, slot };
            bytes.push((number, written.encode(number, salt)));
        }
        files.write(&bytes).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
            _ => {
                // After a failed sync the pages may be gone: trying again would only hide it.
                self.failed = true;
                tracing::error!(event = "store.keys", %error, "the key files cannot be written; restart the server");
                StoreError::io("write the key files")(error)
            }
        })
    }
}

#[cfg(test)]
mod tests;
