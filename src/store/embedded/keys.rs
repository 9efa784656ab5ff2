//! The ring of keys at a start: keys come out of the records that older versions wrote them into, and go where a record says
//! that they must.
//!
//! The order is what a crash at any point is harmless by: keys are in the ring, on disk, before the format is raised; it is
//! raised before the first record loses its key; each step finds by itself what is left of it to do. What older frames of the
//! log hold of moved keys goes with their segments.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::home::{Home, STORE_FORMAT};
use super::index::Index;
use super::segment::Segments;
use super::{INSPECTION_CACHE, Upgrade};
use crate::store::Store;
use crate::store::batch::Batch;
use crate::store::engine::{Raw, RawRange};
use crate::store::error::{OpenError, StoreError};
use crate::store::keyring::{KeyFate, KeyOwner, Keyring, KeysFound};
use crate::store::schema::{Account, AccountId, AccountState, Key, KeyInRecord, Table};
use crate::store::seal::SealedKey;

/// Each slot is taken from the file that has it latest: so a file from a backup goes beside the newer one, never in its place.
const KEY_IS_LOST: &str = "a mailbox's key is lost: stop the server, keep copies of keys-1 and keys-2, put a backup's key file in the place of keys-1 alone, leave keys-2 as it is, and start";

/// Accounts read at a time, and written in one commit.
const PAGE: usize = 500;

/// What a start found of the keys, and did about it: nothing, where all is well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeysOpening {
    /// Slots, headers and files that were mended from the other key file.
    pub mended: u64,
    /// Slots that are damaged in both files.
    pub lost: Vec<u32>,
    /// Keys that were moved out of accounts' records.
    pub moved: u64,
    /// Keys of closed mailboxes that were still there.
    pub wiped: u64,
    /// Mailboxes that are not closed and whose key is lost: nothing in them can be read.
    pub keyless: Vec<AccountId>,
    /// Mailboxes that are not closed by their record, though their key was destroyed: an older record has come back.
    pub revived: Vec<AccountId>,
    /// Mailboxes whose record holds another key than the ring: both stay where they are.
    pub doubled: Vec<AccountId>,
}

impl KeysOpening {
    pub(super) fn of(found: KeysFound, home: &Home) -> Self {
        let missing = if home.has_ring() { found.missing.len() as u64 } else { 0 };
        KeysOpening { mended: found.differing + missing, lost: found.lost, ..KeysOpening::default() }
    }
}

/// Brings ring and records together.
pub(super) fn settle(store: &Store, home: &Home, opening: &mut KeysOpening) -> Result<(), OpenError> {
    let index_error = |error: StoreError| OpenError::Index { path: home.index(), reason: error.to_string() };
    let accounts = Accounts::read(|range| store.engine.scan(range, PAGE, false)).map_err(index_error)?;
    if home.has_ring() && store.keys().is_new() && !accounts.living.is_empty() {
        return Err(OpenError::KeysEmpty(home.path.clone()));
    }
    opening.moved = accounts.move_into(store.keys(), home)?;
    home.raise_format()?;
    let (moved, doubled) =
        accounts.holding.iter().partition::<Vec<_>, _>(|held| accounts.may_lose_it(held, store.keys()));
    opening.doubled = doubled.into_iter().map(|(id, _)| *id).collect();
    if let Err(error) = write_without_keys(store, &moved) {
        // They are in the ring; what is left in the records goes at the next start.
        tracing::warn!(%error, "some accounts' records still hold the keys that were moved out of them");
    }
    opening.wiped = wipe_closed(store.keys(), &accounts);
    (opening.keyless, opening.revived) = unreadable(accounts.living.into_iter(), |owner| store.keys().fate(owner));
    tell(opening);
    Ok(())
}

/// What accounts' records say of their keys.
#[derive(Default)]
struct Accounts {
    /// Not closed.
    living: Vec<AccountId>,
    /// Closed.
    closed: Vec<AccountId>,
    /// Records that hold a key themselves.
    holding: Vec<(AccountId, SealedKey)>,
}

impl Accounts {
    /// Reads all accounts by pages of a scan. A record that does not decode says nothing: no key is touched for it.
    fn read(scan: impl Fn(RawRange) -> Result<Vec<(Vec<u8>, Raw)>, StoreError>) -> Result<Self, StoreError> {
        let mut accounts = Accounts::default();
        let mut from = Bound::Included(vec![Table::Account as u8]);
        loop {
            let page = scan((from, Bound::Excluded(vec![Table::Account as u8 + 1])))?;
            let Some((last, _)) = page.last() else { return Ok(accounts) };
            from = Bound::Excluded(last.clone());
            for (key, raw) in page {
                if let (Some(id), Ok(record)) = (AccountId::decode(&key[1..]), KeyInRecord::decode(&raw.value)) {
                    accounts.add(id, record);
                }
            }
        }
    }

    fn add(&mut self, id: AccountId, record: KeyInRecord) {
        let of_its_state = if record.state == AccountState::Closed { &mut self.closed } else { &mut self.living };
        of_its_state.push(id);
        self.holding.extend(record.sealed_key.map(|key| (id, key)));
    }

    /// Moves the keys that records hold into the ring. One that was wiped stays so: an older version of its account's record
    /// has come back, by damage to the log or by a backup. How many were moved.
    fn move_into(&self, keys: &Keyring, home: &Home) -> Result<u64, OpenError> {
        if !home.has_ring() {
            self.hold_against(keys, home)?;
        }
        let moving: Vec<_> = self
            .holding
            .iter()
            .map(|(id, key)| (id, KeyOwner::Mailbox(*id), key))
            .filter(|(id, owner, key)| !self.is_closed(id) && keys.fate(*owner).is_none() && Keyring::holds(key))
            .map(|(_, owner, key)| (owner, key.clone()))
            .collect();
        let moved = moving.len() as u64;
        keys.insert_all(moving).map_err(|source| OpenError::MoveKeys { path: home.path.clone(), source })?;
        Ok(moved)
    }

    /// Until the format is raised the records are the truth, and all that an earlier try can have left in the ring is theirs.
    /// Anything else was put there by a store that had been raised, before it was brought back from a backup: its keys of the
    /// same numbers are not those of these mailboxes.
    fn hold_against(&self, keys: &Keyring, home: &Home) -> Result<(), OpenError> {
        let in_records: BTreeMap<_, _> = self.holding.iter().map(|(id, key)| (KeyOwner::Mailbox(*id), key)).collect();
        for owner in keys.known() {
            if keys.sealed(owner).as_ref() != in_records.get(&owner).copied() || keys.is_wiped(owner) {
                return Err(OpenError::KeysOfAnotherTime { path: home.path.clone(), owner });
            }
        }
        Ok(())
    }

    /// Whether a record's key may go: the ring has it, or it was destroyed, or should have been.
    fn may_lose_it(&self, (id, key): &(AccountId, SealedKey), keys: &Keyring) -> bool {
        let owner = KeyOwner::Mailbox(*id);
        self.is_closed(id) || keys.is_wiped(owner) || keys.sealed(owner).as_ref() == Some(key)
    }

    fn is_closed(&self, id: &AccountId) -> bool {
        self.closed.binary_search(id).is_ok()
    }
}

/// Of mailboxes that are not closed, those that cannot be read: whose key is lost, and whose key was destroyed.
pub(super) fn unreadable(
    living: impl Iterator<Item = AccountId>,
    fate: impl Fn(KeyOwner) -> Option<KeyFate>,
) -> (Vec<AccountId>, Vec<AccountId>) {
    let (mut lost, mut wiped) = (Vec::new(), Vec::new());
    for id in living {
        match fate(KeyOwner::Mailbox(id)) {
            Some(KeyFate::Living) => {}
            Some(KeyFate::Wiped) => wiped.push(id),
            None => lost.push(id),
        }
    }
    (lost, wiped)
}

/// Writes records anew that hold a key.
fn write_without_keys(store: &Store, holding: &[&(AccountId, SealedKey)]) -> Result<(), StoreError> {
    for some in holding.chunks(PAGE) {
        let mut batch = Batch::new();
        for (id, _) in some {
            if let Some(account) = store.get::<Account>(id)? {
                batch.update(id, account.version, &account.record);
            }
        }
        store.commit_blocking(batch).map_err(|error| match error {
            crate::store::CommitError::Full => StoreError::Full,
            _ => StoreError::Stopped,
        })?;
    }
    Ok(())
}

/// Wipes the keys of mailboxes whose record stands and says that they are closed: a crash came between the two. A record that
/// is missing says nothing. How many were wiped.
fn wipe_closed(keys: &Keyring, accounts: &Accounts) -> u64 {
    let owners: Vec<_> = accounts.closed.iter().map(|id| KeyOwner::Mailbox(*id)).collect();
    let owed: Vec<_> = owners.into_iter().filter(|owner| keys.sealed(*owner).is_some()).collect();
    match keys.wipe(&owed) {
        Ok(()) => owed.len() as u64,
        Err(error) => {
            tracing::error!(event = "store.keys", %error, keys = owed.len(), "keys of closed mailboxes are not destroyed yet");
            0
        }
    }
}

fn tell(opening: &KeysOpening) {
    let KeysOpening { mended, lost, moved, wiped, keyless, revived, doubled } = opening;
    if *moved > 0 {
        tracing::warn!(
            moved,
            format = STORE_FORMAT,
            "the mailboxes' keys were moved out of the log; older versions refuse this store"
        );
    }
    if *wiped > 0 {
        tracing::info!(wiped, "keys of closed mailboxes were destroyed, which a stop had left");
    }
    if *mended > 0 {
        tracing::warn!(event = "store.keys", mended, "a key file was mended from the other one");
    }
    if !lost.is_empty() {
        tracing::error!(event = "store.keys", slots = ?lost, "keys are damaged in both key files");
    }
    for account in keyless {
        tracing::error!(event = "store.keys", %account, "{KEY_IS_LOST}");
    }
    for account in revived {
        tracing::error!(event = "store.keys", %account, "a mailbox whose key was destroyed is not closed: close it again");
    }
    for account in doubled {
        tracing::error!(event = "store.keys", %account, "a mailbox's record holds another key than the key files: both stay");
    }
}

/// Moves the keys of a store that no process has open, and raises its format; the records lose theirs at the next start.
pub(super) fn upgrade(home: &Home) -> Result<Upgrade, OpenError> {
    let done = Upgrade { from: home.format, to: STORE_FORMAT };
    if home.has_ring() {
        return Ok(done);
    }
    let index_error = |reason: String| OpenError::Index { path: home.index(), reason };
    let index =
        Index::open(&home.index(), INSPECTION_CACHE, Arc::new(Segments::new(home.log()))).map_err(index_error)?;
    let accounts =
        Accounts::read(|range| index.scan(range, PAGE, false)).map_err(|error| index_error(error.to_string()))?;
    let (keys, _) = Keyring::open(&home.path, &home.salt, true)?;
    accounts.move_into(&keys, home)?;
    home.raise_format()?;
    Ok(done)
}
