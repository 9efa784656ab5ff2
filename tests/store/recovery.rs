//! What a start finds after a crash: replay, torn tails, damage, a lost index.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use caducee::store::{AccountId, Batch, Body, CHUNK, MailboxKey, Message, MessageKey, Store, StoreError, Usage};

use crate::mailbox::Mailbox;
use crate::support::{Directory, master, noise, open, options, run, segments};

fn put(account: u64, bytes: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(&AccountId(account), &Usage { bytes, ..Usage::default() });
    batch
}

fn usage(store: &Store, account: u64) -> Option<u64> {
    store.get::<Usage>(&AccountId(account)).unwrap().map(|usage| usage.bytes)
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

#[test]
fn a_store_reads_back_after_a_close_and_replays_nothing() {
    let directory = Directory::new("close");
    let (store, opening) = open(directory.path());
    assert_eq!(opening, Default::default());
    run(store.commit(put(1, 11))).unwrap();
    drop(store);
    let (store, opening) = open(directory.path());
    assert_eq!(opening, Default::default());
    assert_eq!(usage(&store, 1), Some(11));
}

#[test]
fn what_was_committed_before_a_crash_is_replayed_and_versions_go_on_rising() {
    let directory = Directory::new("crash");
    let (store, _) = open(directory.path());
    let mut last = 0;
    for n in 0..50 {
        last = run(store.commit(put(n % 7, n))).unwrap().sequence();
    }
    let mut delete = Batch::new();
    delete.delete::<Usage>(&AccountId(3));
    last = run(store.commit(delete)).unwrap().sequence().max(last);
    let crashed = directory.copy();
    let (store, opening) = open(crashed.path());
    assert!(opening.replayed >= 51 && opening.cut == 0 && !opening.rebuilt, "{opening:?}");
    assert_eq!((usage(&store, 0), usage(&store, 3), usage(&store, 6)), (Some(49), None, Some(48)));
    assert!(run(store.commit(put(9, 9))).unwrap().sequence() > last);
}

#[test]
fn a_crash_during_the_replay_changes_nothing() {
    let directory = Directory::new("twice");
    let (store, _) = open(directory.path());
    for n in 0..20 {
        run(store.commit(put(1, n))).unwrap();
    }
    // The copies' index has all or nothing of the log; replaying it again and again must come to the same.
    let mut crashed = directory.copy();
    for _ in 0..3 {
        fs::remove_file(crashed.path().join("checkpoint")).ok();
        let (store, _) = open(crashed.path());
        assert_eq!(usage(&store, 1), Some(19));
        crashed = crashed.copy();
    }
}

#[test]
fn a_tail_torn_at_any_byte_costs_only_what_was_not_acknowledged() {
    let directory = Directory::new("torn");
    let (store, _) = open(directory.path());
    let mailbox = run(Mailbox::create(&store, 1, MailboxKey::generate(), 1));
    let first = run(mailbox.deliver(mailbox.folder(0), &noise(1, 300), 300)).unwrap();
    let log = segments(directory.path()).pop().unwrap();
    let acknowledged = length(&log);
    let before = directory.copy();
    let second = run(mailbox.deliver(mailbox.folder(0), &noise(2, 200), 200)).unwrap();
    let whole = fs::read(&log).unwrap();
    drop(store);
    let torn_log = segments(before.path()).pop().unwrap();
    for end in acknowledged..=whole.len() as u64 {
        // The index of before, and the log as a crash at this byte leaves it.
        let torn = before.copy();
        let path = torn.path().join("log").join(torn_log.file_name().unwrap());
        fs::write(&path, &whole[..end as usize]).unwrap();
        let (store, opening) = open(torn.path());
        let mailbox = Mailbox { store: store.clone(), ..mailbox.clone() };
        assert_eq!(mailbox.read(first.folder, first.uid).unwrap(), noise(1, 300), "cut at {end}");
        let is_whole = end == whole.len() as u64;
        let found = store.get::<Message>(&MessageKey { folder: second.folder, uid: second.uid }).unwrap();
        assert_eq!(found.is_some(), is_whole, "cut at {end}");
        assert!(opening.damaged.is_empty() && !opening.rebuilt, "cut at {end}: {opening:?}");
        mailbox.check_counters();
        if (end - acknowledged).is_multiple_of(37) {
            let third = run(mailbox.deliver(mailbox.folder(0), &noise(3, 100), 100)).unwrap();
            assert_eq!(third.uid, if is_whole { 3 } else { 2 });
        }
    }
}

#[test]
fn a_tail_of_zeros_or_of_rubbish_is_cut() {
    let directory = Directory::new("zeros");
    let (store, _) = open(directory.path());
    run(store.commit(put(1, 1))).unwrap();
    for tail in [vec![0; 100_000], noise(9, 5000)] {
        let crashed = directory.copy();
        let log = segments(crashed.path()).pop().unwrap();
        let end = length(&log);
        OpenOptions::new().write(true).open(&log).unwrap().write_all_at(&tail, end).unwrap();
        let (store, opening) = open(crashed.path());
        assert_eq!(opening.cut, tail.len() as u64);
        run(store.commit(put(2, 2))).unwrap();
        assert_eq!((usage(&store, 1), usage(&store, 2)), (Some(1), Some(2)));
    }
}

#[test]
fn a_lost_or_emptied_index_is_rebuilt_from_the_log() {
    let directory = Directory::new("lost");
    let (store, _) = open(directory.path());
    let mailbox = run(Mailbox::create(&store, 1, MailboxKey::generate(), 2));
    let messages: Vec<_> = (0..30).map(|n| noise(n, 90_000 + n as usize)).collect();
    for message in &messages {
        run(mailbox.deliver(mailbox.folder(0), message, 10_000)).unwrap();
    }
    run(mailbox.delete(mailbox.folder(0), 4)).unwrap();
    run(mailbox.copy(mailbox.folder(0), 5, mailbox.folder(1))).unwrap();
    let known = mailbox.leave();
    drop(store);
    assert!(segments(directory.path()).len() > 2, "the log has several segments");
    type Ruin = fn(&Path);
    let ruin: [(&str, Ruin); 4] = [
        ("the index is removed", |path| fs::remove_dir_all(path.join("index")).unwrap()),
        ("the index is emptied", |path| {
            for entry in fs::read_dir(path.join("index")).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
            }
        }),
        ("the index is rubbish", |path| {
            for entry in fs::read_dir(path.join("index")).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    fs::write(&path, noise(5, length(&path) as usize)).unwrap();
                }
            }
        }),
        ("index and checkpoint are removed", |path| {
            fs::remove_dir_all(path.join("index")).unwrap();
            fs::remove_file(path.join("checkpoint")).unwrap();
        }),
    ];
    for (what, ruin) in ruin {
        let copy = directory.copy();
        ruin(copy.path());
        let (store, opening) = open(copy.path());
        assert!(opening.replayed > 30, "{what}: {opening:?}");
        let mailbox = Mailbox::back(&store, &known);
        for (n, message) in messages.iter().enumerate() {
            let uid = n as u32 + 1;
            if uid == 4 {
                assert!(store.get::<Message>(&MessageKey { folder: mailbox.folder(0).folder, uid }).unwrap().is_none());
            } else {
                assert_eq!(&mailbox.read(mailbox.folder(0).folder, uid).unwrap(), message, "{what}: message {uid}");
            }
        }
        assert_eq!(&mailbox.read(mailbox.folder(1).folder, 1).unwrap(), &messages[4]);
        let shared = mailbox.body_key(&MessageKey { folder: mailbox.folder(0).folder, uid: 5 }).0.body;
        assert_eq!(store.get::<Body>(&shared).unwrap().unwrap().references, 2, "{what}");
    }
}

#[test]
fn an_index_beside_no_log_is_a_lost_log_and_is_refused() {
    let directory = Directory::new("nolog");
    let (store, _) = open(directory.path());
    run(store.commit(put(1, 1))).unwrap();
    drop(store);
    for segment in segments(directory.path()) {
        fs::remove_file(segment).unwrap();
    }
    let error = Store::open(directory.path(), &master(), &options()).unwrap_err();
    assert!(error.to_string().contains("the log has no segment"), "{error}");
}

#[test]
fn a_damaged_chunk_costs_one_message() {
    let directory = Directory::new("chunk");
    let (store, _) = open(directory.path());
    let mailbox = run(Mailbox::create(&store, 1, MailboxKey::generate(), 1));
    let large = noise(1, 3 * CHUNK);
    for message in [&noise(0, 1000), &large, &noise(2, 1000)] {
        run(mailbox.deliver(mailbox.folder(0), message, 9999)).unwrap();
    }
    let folder = mailbox.folder(0).folder;
    let (record, key) = mailbox.body_key(&MessageKey { folder, uid: 2 });
    let place = store.get::<Body>(&record.body).unwrap().unwrap().places[1];
    let log = &segments(directory.path())[place.segment as usize - 1];
    for offset in [0, 10, 20, 33, 1000] {
        flip(log, u64::from(place.offset) + offset);
        assert_eq!(mailbox.read(folder, 1).unwrap(), noise(0, 1000));
        assert_eq!(mailbox.read(folder, 3).unwrap(), noise(2, 1000));
        let error = mailbox.read(folder, 2).unwrap_err();
        assert!(matches!(error, StoreError::DamagedChunk { index: 1, .. }), "byte {offset}: {error}");
        // A range that does not touch the damaged chunk is still read.
        let head = store.read_body_blocking(&record.body, &key, 0..CHUNK as u64).unwrap();
        assert_eq!(head, large[..CHUNK]);
        flip(log, u64::from(place.offset) + offset);
    }
    assert_eq!(mailbox.read(folder, 2).unwrap(), large);
}

#[test]
fn a_damaged_commit_in_the_middle_is_stepped_over_set_aside_and_costs_itself() {
    let directory = Directory::new("middle");
    let (store, _) = open(directory.path());
    let mut ends = Vec::new();
    let log = segments(directory.path()).pop().unwrap();
    for n in 1..=40 {
        run(store.commit(put(n, n))).unwrap();
        ends.push(length(&log));
    }
    for damaged in [3, 20, 37] {
        for offset in [0, 5, 9, 17, 29, 40] {
            let crashed = directory.copy();
            fs::remove_dir_all(crashed.path().join("index")).unwrap();
            flip(&segments(crashed.path())[0], ends[damaged - 1] + offset);
            let (store, opening) = open(crashed.path());
            assert_eq!(opening.damaged.len(), 1, "commit {damaged}, byte {offset}: {opening:?}");
            assert_eq!(
                (opening.damaged[0].from, opening.damaged[0].to),
                (ends[damaged - 1] as u32, ends[damaged] as u32)
            );
            assert_eq!(opening.cut, 0);
            for n in 1..=40 {
                let expected = (n != damaged as u64 + 1).then_some(n);
                assert_eq!(usage(&store, n), expected, "commit {damaged}, byte {offset}: account {n}");
            }
            assert_eq!(fs::read_dir(crashed.path().join("aside")).unwrap().count(), 1);
            run(store.commit(put(99, 99))).unwrap();
        }
    }
}

#[test]
fn a_log_that_lost_synced_bytes_at_its_end_is_damaged_not_torn_and_goes_on() {
    let directory = Directory::new("short");
    let (store, _) = open(directory.path());
    for n in 1..=10 {
        run(store.commit(put(n, n))).unwrap();
    }
    drop(store);
    let log = segments(directory.path()).pop().unwrap();
    OpenOptions::new().write(true).open(&log).unwrap().set_len(length(&log) - 20).unwrap();
    for round in 0..3 {
        let (store, opening) = open(directory.path());
        assert_eq!(opening.damaged.len(), usize::from(round == 0), "{opening:?}");
        // The index still has what the log has lost.
        assert_eq!((usage(&store, 1), usage(&store, 10)), (Some(1), Some(10)));
        run(store.commit(put(100 + round, round))).unwrap();
        let crashed = directory.copy();
        let (after_crash, _) = open(crashed.path());
        assert_eq!(usage(&after_crash, 100 + round), Some(round));
    }
}

#[test]
fn a_missing_segment_is_reported_and_the_others_serve() {
    let directory = Directory::new("gap");
    let (store, _) = open(directory.path());
    let mailbox = run(Mailbox::create(&store, 1, MailboxKey::generate(), 1));
    for n in 0..40 {
        run(mailbox.deliver(mailbox.folder(0), &noise(n, 100_000), 100_000)).unwrap();
    }
    let known = mailbox.leave();
    drop(store);
    let paths = segments(directory.path());
    assert!(paths.len() >= 4);
    fs::remove_file(&paths[1]).unwrap();
    fs::remove_dir_all(directory.path().join("index")).unwrap();
    let (store, opening) = open(directory.path());
    assert!(opening.rebuilt);
    assert_eq!(opening.damaged.len(), 1);
    let mailbox = Mailbox::back(&store, &known);
    assert_eq!(mailbox.read(mailbox.folder(0).folder, 1).unwrap(), noise(0, 100_000));
    assert_eq!(mailbox.read(mailbox.folder(0).folder, 40).unwrap(), noise(39, 100_000));
}

#[test]
fn bodies_never_share_a_number_over_starts() {
    let directory = Directory::new("numbers");
    let mut last = 0;
    for _ in 0..3 {
        let (store, _) = open(directory.path());
        for _ in 0..3 {
            let id = store.body_sink().id().0;
            assert!(id > last);
            last = id;
        }
    }
    fs::remove_dir_all(directory.path().join("index")).unwrap();
    let (store, _) = open(directory.path());
    assert!(store.body_sink().id().0 > last);
}

#[test]
fn bodies_that_were_given_up_leave_the_store_whole() {
    let directory = Directory::new("abandoned");
    let (store, _) = open(directory.path());
    run(async {
        for n in 0..5 {
            let mut sink = store.body_sink();
            sink.write(&noise(n, 5 * CHUNK)).await.unwrap();
            if n % 2 == 0 {
                drop(sink.finish().await.unwrap());
            }
        }
        store.commit(put(1, 1)).await.unwrap();
    });
    let crashed = directory.copy();
    let (store, opening) = open(crashed.path());
    assert!(opening.damaged.is_empty());
    assert_eq!(usage(&store, 1), Some(1));
    assert!(store.scan::<Body>(.., 1).unwrap().is_empty());
}
