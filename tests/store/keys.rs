//! The ring of keys in a store: what a start makes of it, out of an older store, and after a crash anywhere.

use std::fs;
use std::path::Path;
use std::process::Command;

use caducee::store::embedded::{KeysOpening, STORE_FORMAT};
use caducee::store::{
    Account, AccountId, AccountState, Batch, BodyId, DecodeError, KeyOwner, MailboxKey, OpenError, QueueId,
    QueueMessage, Record, SealedKey, Store, StoreError, Table, check, stat, upgrade,
};

use crate::support::{Directory, master, open, options, run};

const NAMES: [&str; 2] = ["keys-1", "keys-2"];

fn mailbox(number: u64) -> KeyOwner {
    KeyOwner::Mailbox(AccountId(number))
}

fn sealed(number: u64) -> SealedKey {
    master().seal(AccountId(number), &MailboxKey::generate())
}

/// An account's record as versions wrote it whose stores had format 1.
struct OldAccount {
    state: &'static str,
    sealed_key: Option<SealedKey>,
}

impl Record for OldAccount {
    const TABLE: Table = Table::Account;
    type Key = AccountId;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(1);
        let json = serde_json::json!({
            "address": "zoe@aura.example", "state": self.state, "sealed_key": self.sealed_key, "quota": 7,
        });
        serde_json::to_writer(out, &json).unwrap();
    }
    fn decode(_: &[u8]) -> Result<Self, DecodeError> {
        Err(DecodeError::Malformed)
    }
}

/// A store of format 1: accounts 1 and 2 are open, 3 is closed. The keys of the first two.
fn old_store(directory: &Path) -> [SealedKey; 2] {
    let (store, _) = open(directory);
    let keys = [sealed(1), sealed(2)];
    let mut batch = Batch::new();
    for (number, key) in (1..).zip(&keys) {
        batch.put(&AccountId(number), &OldAccount { state: "open", sealed_key: Some(key.clone()) });
    }
    batch.put(&AccountId(3), &OldAccount { state: "closed", sealed_key: None });
    run(store.commit(batch)).unwrap();
    assert!(records_hold_a_key(&store));
    drop(store);
    make_format_1(directory);
    keys
}

fn make_format_1(directory: &Path) {
    NAMES.iter().for_each(|name| fs::remove_file(directory.join(name)).unwrap());
    set_format(directory, 1);
}

fn set_format(directory: &Path, format: u32) {
    let json = directory.join("store.json");
    let text = fs::read_to_string(&json).unwrap();
    let changed = text.replace(&format!("\"format\": {STORE_FORMAT}"), &format!("\"format\": {format}"));
    assert_ne!(text, changed);
    fs::write(&json, changed).unwrap();
}

fn format(directory: &Path) -> u64 {
    let json: serde_json::Value = serde_json::from_slice(&fs::read(directory.join("store.json")).unwrap()).unwrap();
    json["format"].as_u64().unwrap()
}

/// Whether an account's record holds a key itself.
fn records_hold_a_key(store: &Store) -> bool {
    let rows = store.scan::<Raw>(.., usize::MAX).unwrap();
    let key = br#""sealed_key":""#;
    rows.iter().any(|(_, raw)| raw.bytes.windows(key.len()).any(|window| window == key))
}

/// An account's record as it lies there.
struct Raw {
    bytes: Vec<u8>,
}

impl Record for Raw {
    const TABLE: Table = Table::Account;
    type Key = AccountId;
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Raw { bytes: bytes.to_vec() })
    }
}

#[test]
fn an_older_stores_keys_move_into_the_ring_at_the_first_start() {
    let directory = Directory::new("old");
    let keys = old_store(directory.path());
    let report = check(directory.path(), &mut |_, _| ()).unwrap();
    assert!(report.is_sound(), "an older store is looked at as what it is: {report:?}");
    assert_eq!(
        (stat(directory.path()).unwrap().format, NAMES.map(|name| directory.path().join(name).exists())),
        (1, [false; 2])
    );
    let (store, opening) = open(directory.path());
    assert_eq!((opening.keys.moved, opening.keys.keyless), (2, vec![]));
    assert_eq!(store.keys().owners(), [mailbox(1), mailbox(2)]);
    assert_eq!([1, 2].map(|number| store.keys().sealed(mailbox(number)).unwrap()), keys);
    assert!(!records_hold_a_key(&store));
    let account = store.get::<Account>(&AccountId(1)).unwrap().unwrap();
    assert_eq!((account.address.as_str(), account.quota), ("zoe@aura.example", Some(7)), "the rest is as it was");
    drop(store);
    assert_eq!(format(directory.path()), u64::from(STORE_FORMAT), "older versions refuse it from now on");
    let (store, opening) = open(directory.path());
    assert_eq!((opening.keys, store.keys().owners().len()), (KeysOpening::default(), 2));
}

#[test]
fn an_upgrade_moves_the_keys_too_and_the_next_start_takes_them_out_of_the_records() {
    let directory = Directory::new("upgrade-keys");
    let keys = old_store(directory.path());
    let upgraded = upgrade(directory.path()).unwrap();
    assert_eq!((upgraded.from, upgraded.to), (1, STORE_FORMAT));
    assert_eq!((format(directory.path()), stat(directory.path()).unwrap().keys), (u64::from(STORE_FORMAT), 2));
    assert_eq!(upgrade(directory.path()).unwrap().from, STORE_FORMAT, "there is nothing left to do");
    let (store, opening) = open(directory.path());
    assert_eq!(opening.keys.moved, 0);
    assert_eq!(store.keys().sealed(mailbox(2)), Some(keys[1].clone()));
    assert!(!records_hold_a_key(&store));
}

#[test]
fn a_move_that_was_cut_off_anywhere_is_gone_on_with() {
    let directory = Directory::new("half-moved");
    let keys = old_store(directory.path());
    // Both files begun, one key in one of them; then all in the ring and the format not raised; then raised, records as before.
    let moved = directory.copy();
    drop(open(moved.path()));
    let [one, two] = NAMES.map(|name| fs::read(moved.path().join(name)).unwrap());
    for (first, second, raised) in [
        (Some(&one[..128]), None, false),
        (Some(&one[..200]), Some(&two[..128]), false),
        (Some(&one[..256]), Some(&two[..128]), false),
        (Some(&one[..]), Some(&two[..300]), false),
        (Some(&one[..]), Some(&two[..]), false),
        (Some(&one[..]), Some(&two[..]), true),
    ] {
        let crashed = directory.copy();
        for (name, content) in NAMES.iter().zip([first, second]) {
            content.into_iter().for_each(|content| fs::write(crashed.path().join(name), content).unwrap());
        }
        if raised {
            fs::copy(moved.path().join("store.json"), crashed.path().join("store.json")).unwrap();
        }
        let (store, opening) = open(crashed.path());
        assert_eq!(store.keys().owners(), [mailbox(1), mailbox(2)], "{opening:?}");
        assert_eq!([1, 2].map(|number| store.keys().sealed(mailbox(number)).unwrap()), keys);
        assert!(!records_hold_a_key(&store) && opening.keys.keyless.is_empty());
    }
}

#[test]
fn an_older_record_that_comes_back_brings_no_destroyed_key_with_it() {
    let directory = Directory::new("come-back");
    let keys = old_store(directory.path());
    let (store, _) = open(directory.path());
    store.keys().wipe(&[mailbox(1)]).unwrap();
    // As a log that has lost its end to damage would show it.
    let mut batch = Batch::new();
    batch.put(&AccountId(1), &OldAccount { state: "open", sealed_key: Some(keys[0].clone()) });
    run(store.commit(batch)).unwrap();
    drop(store);
    let (store, opening) = open(directory.path());
    assert_eq!((store.keys().owners(), store.keys().is_wiped(mailbox(1))), (vec![mailbox(2)], true));
    let told = (opening.keys.moved, opening.keys.keyless, opening.keys.revived);
    assert_eq!(told, (0, vec![], vec![AccountId(1)]), "and it is told");
    assert!(!records_hold_a_key(&store));
    drop(store);
    let report = check(directory.path(), &mut |_, _| ()).unwrap();
    assert_eq!((report.is_sound(), report.keyless, report.revived), (false, vec![], vec![AccountId(1)]));
}

#[test]
fn keys_that_a_later_time_left_beside_an_older_store_are_refused_and_nothing_is_changed() {
    let directory = Directory::new("way-back");
    let keys = old_store(directory.path());
    // The store of later: raised, then a mailbox made (its number will be given again), one closed, or one with another key.
    let another: fn(&Store) = |store| store.keys().insert(mailbox(3), &sealed(3)).unwrap();
    let closed: fn(&Store) = |store| store.keys().wipe(&[mailbox(2)]).unwrap();
    for (change, shows) in [(another, 3), (closed, 2)] {
        let later = directory.copy();
        let (store, _) = open(later.path());
        change(&store);
        drop(store);
        let back = directory.copy();
        for name in NAMES {
            fs::copy(later.path().join(name), back.path().join(name)).unwrap();
        }
        for _ in 0..2 {
            let refused = Store::open(back.path(), &master(), &options()).map(drop).unwrap_err();
            let is_it = matches!(refused, OpenError::KeysOfAnotherTime { owner, .. } if owner == mailbox(shows));
            assert!(is_it, "{refused}");
            assert!(matches!(upgrade(back.path()), Err(OpenError::KeysOfAnotherTime { .. })));
        }
        assert_eq!(format(back.path()), 1);
        for name in NAMES {
            assert_eq!(fs::read(back.path().join(name)).unwrap(), fs::read(later.path().join(name)).unwrap());
            fs::remove_file(back.path().join(name)).unwrap();
        }
        let (store, opening) = open(back.path());
        assert_eq!((opening.keys.moved, store.keys().owners()), (2, vec![mailbox(1), mailbox(2)]));
        assert_eq!([1, 2].map(|number| store.keys().sealed(mailbox(number)).unwrap()), keys);
    }
}

#[test]
fn a_record_keeps_a_key_that_is_not_the_rings() {
    let directory = Directory::new("doubled");
    let [old, _] = old_store(directory.path());
    let (store, _) = open(directory.path());
    let other = sealed(1);
    let mut batch = Batch::new();
    batch.put(&AccountId(1), &OldAccount { state: "open", sealed_key: Some(other) });
    run(store.commit(batch)).unwrap();
    drop(store);
    for _ in 0..2 {
        let (store, opening) = open(directory.path());
        assert_eq!((opening.keys.moved, opening.keys.doubled), (0, vec![AccountId(1)]));
        assert_eq!(store.keys().sealed(mailbox(1)), Some(old.clone()));
        assert!(records_hold_a_key(&store), "it may be the only one that opens something");
    }
}

#[test]
fn a_backups_key_file_beside_the_newer_one_brings_the_lost_key_back_and_costs_nothing() {
    let directory = Directory::new("beside");
    let (store, _) = open(directory.path());
    let transit = KeyOwner::Transit;
    let key = |owner| match owner {
        KeyOwner::Mailbox(AccountId(number)) => sealed(number),
        KeyOwner::Transit(moment) => master().seal_transit(moment, &MailboxKey::generate()),
    };
    for owner in [mailbox(1), mailbox(2), transit(5)] {
        store.keys().insert(owner, &key(owner)).unwrap();
    }
    let lost = store.keys().sealed(mailbox(1)).unwrap();
    let backup = fs::read(directory.path().join("keys-1")).unwrap();
    // Since then: one closed, one made, the queue's key turned into the old one's slot.
    store.keys().wipe(&[mailbox(2), transit(5)]).unwrap();
    for owner in [transit(6), mailbox(3)] {
        store.keys().insert(owner, &key(owner)).unwrap();
    }
    let mut batch = Batch::new();
    for (number, state) in [(1, AccountState::Open), (2, AccountState::Closed), (3, AccountState::Open)] {
        batch.put(&AccountId(number), &Account { state, ..Account::default() });
    }
    run(store.commit(batch)).unwrap();
    let since = [mailbox(3), transit(6)].map(|owner| (owner, store.keys().sealed(owner)));
    drop(store);
    for (name, at) in NAMES.into_iter().zip([130, 135]) {
        let mut bytes = fs::read(directory.path().join(name)).unwrap();
        bytes[at] ^= 1;
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    assert_eq!(open(directory.path()).1.keys.keyless, [AccountId(1)]);
    fs::write(directory.path().join("keys-1"), backup).unwrap();
    let (store, opening) = open(directory.path());
    assert_eq!((opening.keys.lost, opening.keys.keyless, opening.keys.revived), (vec![], vec![], vec![]));
    assert_eq!(store.keys().sealed(mailbox(1)), Some(lost));
    for (owner, key) in since {
        assert!(key.is_some() && store.keys().sealed(owner) == key, "{owner}");
    }
    assert!(store.keys().is_wiped(mailbox(2)) && store.keys().sealed(transit(5)).is_none());
}

#[test]
fn key_files_without_keys_beside_mailboxes_are_refused_and_wait_for_those_that_come_back() {
    let directory = Directory::new("headers");
    let (store, _) = open(directory.path());
    store.keys().insert(mailbox(1), &sealed(1)).unwrap();
    let mut batch = Batch::new();
    batch.put(&AccountId(1), &Account::default());
    run(store.commit(batch)).unwrap();
    drop(store);
    let whole = fs::read(directory.path().join("keys-2")).unwrap();
    NAMES.iter().for_each(|name| fs::write(directory.path().join(name), &whole[..128]).unwrap());
    for _ in 0..2 {
        let refused = Store::open(directory.path(), &master(), &options()).map(drop).unwrap_err();
        assert!(matches!(refused, OpenError::KeysEmpty(_)), "{refused}");
    }
    fs::write(directory.path().join("keys-2"), &whole).unwrap();
    let (store, opening) = open(directory.path());
    assert_eq!((store.keys().owners(), opening.keys.keyless), (vec![mailbox(1)], vec![]));
}

#[test]
fn a_check_counts_messages_that_wait_for_a_key_that_is_lost() {
    let directory = Directory::new("unopenable");
    let (store, _) = open(directory.path());
    store.keys().insert(KeyOwner::Transit(7), &master().seal_transit(7, &MailboxKey::generate())).unwrap();
    let queue = |moments: &[(u64, u64)]| {
        let mut batch = Batch::new();
        for (id, moment) in moments {
            batch.put(&QueueId(*id), &waiting(*moment));
        }
        run(store.commit(batch)).unwrap();
    };
    queue(&[(1, 0), (2, 7), (3, 8), (4, 8), (5, 9)]);
    let mut batch = Batch::new();
    batch.delete::<QueueMessage>(&QueueId(5));
    run(store.commit(batch)).unwrap();
    drop(store);
    let report = check(directory.path(), &mut |_, _| ()).unwrap();
    assert_eq!((report.is_sound(), report.unopenable.into_iter().collect::<Vec<_>>()), (false, vec![(8, 2)]));
}

/// A message that waits, sealed under the queue's key of a moment.
fn waiting(transit_key: u64) -> QueueMessage {
    QueueMessage {
        body: BodyId(1),
        transit_key,
        sealed_body_key: SealedKey(vec![1; 61]),
        skip: 0,
        size: 1,
        header: 1,
        accepted_at: 1,
        not_before: 0,
        expires_at: 9,
        delay_at: 9,
        sealed: vec![1],
    }
}

#[test]
fn a_start_wipes_keys_of_closed_mailboxes_and_no_others() {
    let directory = Directory::new("owed");
    let (store, _) = open(directory.path());
    for number in 1..=4 {
        store.keys().insert(mailbox(number), &sealed(number)).unwrap();
    }
    store.keys().insert(KeyOwner::Transit(5), &master().seal_transit(5, &MailboxKey::generate())).unwrap();
    let mut batch = Batch::new();
    for (number, state) in [(1, AccountState::Open), (2, AccountState::Suspended), (3, AccountState::Closed)] {
        batch.put(&AccountId(number), &Account { state, ..Account::default() });
    }
    run(store.commit(batch)).unwrap();
    drop(store);
    let (store, opening) = open(directory.path());
    assert_eq!(opening.keys.wiped, 1);
    // The fourth has no record: damage may have taken it, and damage destroys no key.
    assert_eq!(store.keys().owners(), [mailbox(1), mailbox(2), mailbox(4), KeyOwner::Transit(5)]);
    assert!(store.keys().is_wiped(mailbox(3)));
}

#[test]
fn a_store_without_its_key_files_is_refused_and_says_what_is_missing() {
    let directory = Directory::new("keyless");
    let (store, _) = open(directory.path());
    store.keys().insert(mailbox(1), &sealed(1)).unwrap();
    drop(store);
    let away = Directory::new("away");
    for name in NAMES {
        fs::rename(directory.path().join(name), away.path().join(name)).unwrap();
    }
    let report = check(directory.path(), &mut |_, _| ()).unwrap();
    assert_eq!((report.is_sound(), report.keys.missing), (false, NAMES.to_vec()));
    let refused = Store::open(directory.path(), &master(), &options()).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::KeysMissing(_)), "{refused}");
    assert!(refused.to_string().contains("`keys-1` and `keys-2` are missing"), "{refused}");
    fs::copy(away.path().join("keys-2"), directory.path().join("keys-2")).unwrap();
    let (store, opening) = open(directory.path());
    assert_eq!((opening.keys.mended, store.keys().owners()), (1, vec![mailbox(1)]), "one of them is enough");
}

#[test]
fn a_check_names_what_is_wrong_with_keys_and_changes_nothing() {
    let directory = Directory::new("checked");
    let (store, _) = open(directory.path());
    for number in 1..=2 {
        store.keys().insert(mailbox(number), &sealed(number)).unwrap();
    }
    let mut batch = Batch::new();
    for number in 1..=3 {
        batch.put(&AccountId(number), &Account::default());
    }
    run(store.commit(batch)).unwrap();
    drop(store);
    for (name, at) in NAMES.into_iter().zip([130, 135]) {
        let mut bytes = fs::read(directory.path().join(name)).unwrap();
        bytes[at] ^= 1;
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    let files = || NAMES.map(|name| fs::read(directory.path().join(name)).unwrap());
    let before = files();
    let report = check(directory.path(), &mut |_, _| ()).unwrap();
    assert!(!report.is_sound());
    assert_eq!((report.keys.living, report.keys.lost), (1, vec![0]));
    assert_eq!(report.keyless, [AccountId(1), AccountId(3)]);
    assert_eq!(files(), before);
    let backup = directory.copy();
    fs::remove_dir_all(backup.path().join("index")).unwrap();
    let report = check(backup.path(), &mut |_, _| ()).unwrap();
    assert_eq!(report.keyless, [AccountId(1), AccountId(3)], "a backup without its index is looked through as well");
    let shown =
        Command::new(env!("CARGO_BIN_EXE_caducee")).args(["store", "check", "--dir"]).arg(directory.path()).output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    for line in [
        "damaged in both key files: slot 0",
        "without a key: account 3: nothing in its mailbox can be read",
        "NOT sound",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let (store, opening) = open(directory.path());
    assert_eq!((opening.keys.lost, opening.keys.keyless), (vec![0], vec![AccountId(1), AccountId(3)]), "and it starts");
    assert_eq!(store.keys().owners(), [mailbox(2)]);
}

#[test]
fn a_ring_in_memory_means_the_same() {
    let store = Store::in_memory();
    let key = sealed(1);
    run(store.insert_key(mailbox(1), key.clone())).unwrap();
    assert_eq!((store.keys().sealed(mailbox(1)), store.keys().owners()), (Some(key.clone()), vec![mailbox(1)]));
    run(store.wipe_keys(vec![mailbox(1), mailbox(2)])).unwrap();
    assert_eq!((store.keys().sealed(mailbox(1)), store.keys().is_wiped(mailbox(1))), (None, true));
    assert!(matches!(run(store.insert_key(mailbox(1), key)), Err(StoreError::KeyTaken(_))));
}
