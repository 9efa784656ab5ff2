//! Compaction: space comes back, and nothing else changes; whatever happens meanwhile.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use caducee::store::embedded::CheckReport;
use caducee::store::{
    AccountId, Batch, Body, CHUNK, CommitError, Compacted, Compaction, Domain, MailboxKey, MessageKey, OpenError,
    Options, StagedBody, Store, StoreError, Usage, check, stat,
};

use crate::mailbox::Mailbox;
use crate::refusal::SmallDisk;
use crate::support::{Directory, master, noise, open, options, run, segments};

pub fn goal(dead_percent: u8) -> Compaction {
    Compaction { dead_percent, rate: u64::MAX, settle: Duration::ZERO, whole: false, in_spite_of_damage: false }
}

pub fn compact(store: &Store, dead_percent: u8) -> Compacted {
    store.compact_blocking(&goal(dead_percent)).unwrap()
}

/// Bytes of an emptied segment.
pub const HEADER: u64 = 64;

pub fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

pub fn log_bytes(path: &Path) -> u64 {
    segments(path).iter().map(|path| length(path)).sum()
}

/// How many segments are not empty.
fn with_frames(path: &Path) -> usize {
    segments(path).iter().filter(|path| length(path) > HEADER).count()
}

/// What a crash at this moment leaves, without its index: only the log tells what there is.
pub fn without_index(directory: &Directory) -> Directory {
    let copy = directory.copy();
    fs::remove_dir_all(copy.path().join("index")).unwrap();
    copy
}

/// Checks a store that nobody has open, whatever a program that is being started beside this holds of our locks.
pub fn checked(path: &Path) -> CheckReport {
    for _ in 0..100 {
        match check(path, &mut |_, _| {}) {
            Err(OpenError::InUse(_)) => std::thread::sleep(Duration::from_millis(20)),
            outcome => return outcome.unwrap(),
        }
    }
    panic!("{} is in use, and stays so", path.display());
}

pub fn assert_sound(path: &Path) {
    let report = checked(path);
    assert!(report.is_sound(), "{report:?}");
}

pub fn domain(number: u8, seed: u64, size: usize) -> Domain {
    let description = noise(seed, size).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    Domain { name: format!("domaine-{number}"), description, ..Domain::default() }
}

/// Writes a record that is too large for the index to hold.
pub fn put_domain(store: &Store, record: &Domain) {
    let mut batch = Batch::new();
    batch.put(&record.name, record);
    store.commit_blocking(batch).unwrap();
}

pub fn put_usage(account: u64, bytes: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(&AccountId(account), &Usage { bytes, ..Usage::default() });
    batch
}

/// Takes a body in without anybody adopting it.
pub fn stage(store: &Store, seed: u64, size: usize) -> StagedBody {
    run(async {
        let mut sink = store.body_sink();
        sink.write(&noise(seed, size)).await.unwrap();
        sink.finish().await.unwrap()
    })
}

pub fn adopt(store: &Store, staged: StagedBody, references: u64) {
    let mut batch = Batch::new();
    batch.adopt(staged, references);
    store.commit_blocking(batch).unwrap();
}

/// Leaves so many dead bytes in the log.
pub fn waste(store: &Store, seed: u64, size: usize) {
    let staged = stage(store, seed, size);
    let id = staged.id;
    adopt(store, staged, 1);
    let mut batch = Batch::new();
    batch.release_body(id, 1);
    store.commit_blocking(batch).unwrap();
}

#[test]
fn a_deleted_mailbox_gives_its_space_back() {
    let directory = Directory::new("space");
    let options = Options { segment: 8 * 1024 * 1024, ..options() };
    let (store, _) = Store::open(directory.path(), &master(), &options).unwrap();
    let (gone, stays) = run(async {
        let gone = Mailbox::create(&store, 1, MailboxKey::generate(), 1).await;
        let stays = Mailbox::create(&store, 2, MailboxKey::generate(), 1).await;
        for n in 0..100 {
            gone.deliver(gone.folder(0), &noise(n, 2_000_000), 1 << 20).await.unwrap();
            stays.deliver(stays.folder(0), &noise(1000 + n, 50_000), 1 << 20).await.unwrap();
        }
        (gone, stays)
    });
    let full = log_bytes(directory.path());
    assert!(full > 200_000_000);
    for uid in 1..=100 {
        run(gone.delete(gone.folder(0), uid)).unwrap();
    }
    let done = compact(&store, 50);
    let now = log_bytes(directory.path());
    assert_eq!(now, done.log_bytes);
    // What stays is 5 MB; the segment being written, and the one that was filled by moving, are not looked at.
    assert!(now < 25_000_000, "{now} of {full} bytes: {done:?}");
    assert!(done.freed_bytes > 190_000_000 && done.moved_bytes < 10_000_000, "{done:?}");
    assert!(with_frames(directory.path()) <= 2, "the others are emptied");
    for n in 0..100 {
        assert_eq!(stays.read(stays.folder(0).folder, n as u32 + 1).unwrap(), noise(1000 + n, 50_000));
    }
    stays.check_counters();
    gone.check_counters();
}

#[test]
fn what_was_deleted_does_not_come_back_however_much_of_the_log_goes() {
    let directory = Directory::new("tombstones");
    let (store, _) = open(directory.path());
    store.commit_blocking(put_usage(1, 11)).unwrap();
    // The first segment is filled by what lives, and stays; the second holds the deletion and what is dead.
    adopt(&store, stage(&store, 1, 1_200_000), 1);
    assert_eq!(segments(directory.path()).len(), 2);
    let mut batch = Batch::new();
    batch.delete::<Usage>(&AccountId(1));
    store.commit_blocking(batch).unwrap();
    waste(&store, 2, 1_200_000);
    let done = compact(&store, 50);
    assert_eq!((done.emptied, segments(directory.path()).len()), (1, 3), "{done:?}");
    assert_eq!(length(&segments(directory.path())[1]), HEADER);
    let copy = without_index(&directory);
    let (rebuilt, opening) = open(copy.path());
    assert!(opening.rebuilt && opening.damaged.is_empty(), "{opening:?}");
    assert_eq!(rebuilt.get::<Usage>(&AccountId(1)).unwrap(), None, "it was deleted");
}

#[test]
fn a_deletion_is_forgotten_once_nothing_older_is_left() {
    let directory = Directory::new("forgotten");
    let (store, _) = open(directory.path());
    for account in 0..200 {
        store.commit_blocking(put_usage(account, 1)).unwrap();
    }
    let staged = stage(&store, 1, 1_200_000);
    let id = staged.id;
    adopt(&store, staged, 1);
    for account in 0..200 {
        let mut batch = Batch::new();
        batch.delete::<Usage>(&AccountId(account));
        store.commit_blocking(batch).unwrap();
    }
    waste(&store, 2, 1_200_000);
    let first = compact(&store, 50);
    assert!(first.emptied == 1 && first.moved_bytes > 200 * 40, "the deletions are moved: {first:?}");
    let mut batch = Batch::new();
    batch.release_body(id, 1);
    store.commit_blocking(batch).unwrap();
    let second = store.compact_blocking(&Compaction { whole: true, ..goal(50) }).unwrap();
    assert!(second.emptied == 2 && second.moved_bytes < 500, "nothing is left of them: {second:?}");
    assert_eq!(with_frames(directory.path()), 1);
    let copy = without_index(&directory);
    assert!(open(copy.path()).0.scan::<Usage>(.., 1).unwrap().is_empty());
}

#[test]
fn the_lowest_emptied_segments_are_removed_after_some_weeks_and_none_behind_one_that_stays() {
    let directory = Directory::new("removed");
    let (store, _) = open(directory.path());
    waste(&store, 1, 2_500_000);
    adopt(&store, stage(&store, 2, 2_000_000), 1);
    waste(&store, 3, 2_500_000);
    compact(&store, 90);
    let numbers = |path: &Path| segments(path).iter().map(|path| length(path) > HEADER).collect::<Vec<_>>();
    let before = numbers(directory.path());
    assert_eq!(before[..3], [false, false, true], "the third holds the beginning of what lives: {before:?}");
    assert!(before[3..].contains(&false), "{before:?}");
    let weeks = Duration::from_secs(46 * 86_400);
    for path in segments(directory.path()).iter().filter(|path| length(path) == HEADER) {
        OpenOptions::new().write(true).open(path).unwrap().set_modified(SystemTime::now() - weeks).unwrap();
    }
    compact(&store, 90);
    assert_eq!(numbers(directory.path()), before[2..], "a gap would mean that a file is missing");
    drop(store);
    assert_sound(directory.path());
}

#[test]
fn a_segment_stays_as_it_was_until_its_time_is_over_and_is_then_emptied_without_more_ado() {
    let directory = Directory::new("settle");
    let (store, _) = open(directory.path());
    let mailbox = run(Mailbox::create(&store, 1, MailboxKey::generate(), 1));
    run(mailbox.deliver(mailbox.folder(0), &noise(1, 100_000), 9999)).unwrap();
    waste(&store, 2, 1_200_000);
    let before = fs::read(&segments(directory.path())[0]).unwrap();
    let slow = Compaction { settle: Duration::from_secs(3600), ..goal(50) };
    let moved = store.compact_blocking(&slow).unwrap();
    assert_eq!((moved.moved_segments, moved.emptied, moved.settling), (1, 0, 1), "{moved:?}");
    assert!(fs::read(&segments(directory.path())[0]).unwrap() == before);
    let again = store.compact_blocking(&slow).unwrap();
    assert_eq!((again.surveyed, again.moved_bytes, again.settling), (0, 0, 1), "{again:?}");
    let last = compact(&store, 50);
    assert_eq!((last.moved_bytes, last.emptied, last.settling), (0, 1, 0), "{last:?}");
    assert_eq!(mailbox.read(mailbox.folder(0).folder, 1).unwrap(), noise(1, 100_000));
}

#[test]
fn what_is_not_worth_it_is_looked_at_once_and_again_when_more_of_it_has_died() {
    let directory = Directory::new("notworth");
    let (store, _) = open(directory.path());
    // Half of the first segment are records, of which the index does not say whether they live: it is looked at.
    for n in 0..58 {
        put_domain(&store, &domain(n, n.into(), 9000));
    }
    let staged = stage(&store, 1, 310_000);
    let id = staged.id;
    adopt(&store, staged, 1);
    waste(&store, 2, 260_000);
    waste(&store, 3, 1_200_000);
    let first = compact(&store, 60);
    assert_eq!((first.surveyed, first.moved_segments), (2, 1), "{first:?}");
    let second = compact(&store, 60);
    assert_eq!(second.surveyed, 0, "{second:?}");
    let mut batch = Batch::new();
    batch.release_body(id, 1);
    store.commit_blocking(batch).unwrap();
    assert_eq!(compact(&store, 60).surveyed, 1);
}

#[test]
fn a_body_is_read_while_its_segments_go_and_one_that_is_deleted_is_gone_not_damaged() {
    let directory = Directory::new("stream");
    let (store, _) = open(directory.path());
    let mailbox = run(Mailbox::create(&store, 1, MailboxKey::generate(), 1));
    let message = noise(1, 20 * CHUNK);
    run(mailbox.deliver(mailbox.folder(0), &message, 1 << 20)).unwrap();
    let folder = mailbox.folder(0).folder;
    let (record, key) = mailbox.body_key(&MessageKey { folder, uid: 1 });
    let large = domain(1, 7, 100_000);
    let mut batch = Batch::new();
    batch.put(&large.name, &large);
    store.commit_blocking(batch).unwrap();
    let (ended, rounds) = (AtomicBool::new(false), 12);
    let emptied = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reads = 0;
            while !ended.load(Ordering::Relaxed) {
                assert_eq!(mailbox.read(folder, 1).unwrap(), message);
                assert_eq!(store.get::<Domain>(&large.name).unwrap().unwrap().record, large);
                assert_eq!(store.scan::<Domain>(.., 9).unwrap().len(), 1);
                reads += 1;
            }
            reads
        });
        let mut emptied = 0;
        for round in 0..rounds {
            waste(&store, 100 + round, 1_500_000);
            emptied += compact(&store, 0).emptied;
        }
        ended.store(true, Ordering::Relaxed);
        assert!(reading.join().unwrap() > 0);
        emptied
    });
    assert!(emptied >= rounds, "{emptied}");
    assert!(!store.has_met_damage());
    let streamed = store.read_body_blocking(&record.body, &key, 0..CHUNK as u64).unwrap();
    assert_eq!(streamed, message[..CHUNK]);
    run(mailbox.delete(mailbox.folder(0), 1)).unwrap();
    store.compact_blocking(&Compaction { whole: true, ..goal(0) }).unwrap();
    let gone = store.read_body_blocking(&record.body, &key, CHUNK as u64..2 * CHUNK as u64).unwrap_err();
    assert!(matches!(gone, StoreError::NoBody(id) if id == record.body), "{gone}");
}

#[test]
fn a_body_that_is_coming_in_keeps_its_segments_until_it_is_adopted() {
    let directory = Directory::new("staged");
    let (store, _) = open(directory.path());
    waste(&store, 1, 1_200_000);
    let staged = stage(&store, 2, 2_500_000);
    let (id, key) = (staged.id, staged.key.clone());
    waste(&store, 3, 1_200_000);
    let during = compact(&store, 0);
    assert_eq!(during.emptied, 1, "what lies before it may go: {during:?}");
    adopt(&store, staged, 1);
    assert_eq!(store.read_body_blocking(&id, &key, 0..u64::MAX).unwrap(), noise(2, 2_500_000));
    assert!(compact(&store, 0).emptied > 0);
    assert_eq!(store.read_body_blocking(&id, &key, 0..u64::MAX).unwrap(), noise(2, 2_500_000));

    let given_up = stage(&store, 4, 2_500_000);
    waste(&store, 5, 1_200_000);
    assert_eq!(compact(&store, 60).freed_bytes, 0, "nobody knows yet whose it will be");
    drop(given_up);
    assert!(compact(&store, 60).freed_bytes > 1_500_000, "it is nobody's");
}

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

/// A store whose first segment is mostly dead; and the living message in it.
pub fn mostly_dead(directory: &Directory) -> Mailbox {
    let (store, _) = open(directory.path());
    let mailbox = run(Mailbox::create(&store, 1, MailboxKey::generate(), 1));
    run(mailbox.deliver(mailbox.folder(0), &noise(1, 3 * CHUNK), 9999)).unwrap();
    waste(&store, 2, 1_200_000);
    mailbox
}

#[test]
fn a_damaged_segment_is_kept_whether_what_is_damaged_lives_or_not() {
    type Place = fn(&Mailbox, &Path) -> u64;
    let places: [(&str, Place); 3] = [
        ("the segment's header", |_, _| 20),
        ("a living chunk", |mailbox, _| {
            let key = MessageKey { folder: mailbox.folder(0).folder, uid: 1 };
            let body = mailbox.body_key(&key).0.body;
            u64::from(mailbox.store.get::<Body>(&body).unwrap().unwrap().places[1].offset) + 5000
        }),
        ("the header of a dead chunk", |_, path| {
            let bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            let header = bytes[middle..].windows(4).position(|window| window == [0xCA, 0xD0, 0xCE, 0xE5]);
            (middle + header.unwrap() + 9) as u64
        }),
    ];
    for (what, place) in places {
        let directory = Directory::new("damaged");
        let mailbox = mostly_dead(&directory);
        let first = segments(directory.path())[0].clone();
        flip(&first, place(&mailbox, &first));
        let before = fs::read(&first).unwrap();
        let done = compact(&mailbox.store, 50);
        assert_eq!((done.emptied, done.kept_damaged), (0, 1), "{what}: {done:?}");
        let again = compact(&mailbox.store, 50);
        assert_eq!((again.surveyed, again.kept_damaged), (0, 1), "{what}: {again:?}");
        assert!(fs::read(&first).unwrap() == before, "{what}");
    }
}

#[test]
fn a_full_disk_costs_a_compaction_nothing_but_time() {
    let directory = Directory::new("compact-full");
    let Some(disk) = SmallDisk::mount(&directory, "48m") else {
        println!("skipped: may not mount a small file system");
        return;
    };
    let path = disk.0.join("store");
    let options = Options { segment: 4 * 1024 * 1024, ..options() };
    let (store, _) = Store::open(&path, &master(), &options).unwrap();
    let mut mailbox = run(Mailbox::create(&store, 1, MailboxKey::generate(), 1));
    let messages: Vec<_> = (0..10).map(|n| noise(n, 500_000)).collect();
    for message in &messages {
        run(mailbox.deliver(mailbox.folder(0), message, 1 << 20)).unwrap();
        waste(&store, 99, 600_000);
    }
    drop(store);
    let (mut refused, ballast) = (0, disk.0.join("ballast"));
    for spare in [100_000, 1_900_000, 2_200_000, 2_600_000] {
        let free = mailbox.store.free_space().unwrap();
        fs::write(&ballast, vec![1; (free - spare) as usize]).unwrap();
        let outcome = mailbox.store.compact_blocking(&goal(50));
        refused += u64::from(match outcome {
            Ok(done) => done.without_room > 0,
            Err(error) => matches!(error, StoreError::Full | StoreError::Stopped | StoreError::Io { .. }),
        });
        fs::remove_file(&ballast).unwrap();
        let known = mailbox.leave();
        let (store, opening) = Store::open(&path, &master(), &options).unwrap();
        assert!(opening.damaged.is_empty(), "{spare}: {opening:?}");
        mailbox = Mailbox::back(&store, &known);
        for (n, message) in messages.iter().enumerate() {
            assert_eq!(&mailbox.read(mailbox.folder(0).folder, n as u32 + 1).unwrap(), message, "{spare}");
        }
    }
    assert!(refused > 0, "the disk was never full");
    let done = compact(&mailbox.store, 50);
    assert_eq!(done.without_room, 0, "{done:?}");
    mailbox.check_counters();
    drop(mailbox);
    assert_sound(&path);
    assert!(log_bytes(&path) < 12_000_000);
}

#[test]
fn a_store_that_is_closed_does_not_wait_for_a_compaction() {
    let directory = Directory::new("closed");
    let (store, _) = open(directory.path());
    waste(&store, 1, 6_000_000);
    let slow = Compaction { rate: 1 << 20, ..goal(50) };
    std::thread::scope(|scope| {
        let compacting = scope.spawn(|| store.compact_blocking(&slow));
        std::thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        store.close();
        assert!(matches!(compacting.join().unwrap(), Err(StoreError::Stopped)));
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    });
    assert_eq!(store.commit_blocking(put_usage(1, 1)), Err(CommitError::Unknown));
    drop(store);
    assert_sound(directory.path());
}

#[test]
fn moved_frames_say_that_they_are_of_a_version_of_their_own() {
    let directory = Directory::new("version");
    drop(mostly_dead(&directory));
    let (store, _) = open(directory.path());
    compact(&store, 50);
    drop(store);
    let log = fs::read(segments(directory.path()).pop().unwrap()).unwrap();
    let moved = [0xCA, 0xD0, 0xCE, 0xE5, 2, 3];
    assert!(log.windows(6).any(|window| window == moved), "an older program would take what it finds for damage");
    assert_sound(directory.path());
}

#[test]
fn a_verb_of_roots_writes_as_whose_store_it_is_though_that_user_cannot_come_there() {
    let directory = Directory::new("roots");
    let known = mostly_dead(&directory).leave();
    // As systemd keeps the state of a service: below a directory that only root may enter.
    if std::os::unix::fs::chown(directory.path(), Some(OWNER), Some(OWNER)).is_err() {
        println!("skipped: only root can give a store away");
        return;
    }
    let closed = Directory::new("closed");
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let store = closed.path().join("store");
    std::fs::rename(directory.path(), &store).unwrap();
    everything_below(&store, &mut |path| std::os::unix::fs::chown(path, Some(OWNER), Some(OWNER)).unwrap());
    for words in [&["check"][..], &["stat"], &["compact", "--dead-percent", "0"], &["upgrade"], &["check"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_caducee"));
        let ran = command.arg("store").args(words).arg("--dir").arg(&store).output().unwrap();
        let said = [ran.stdout, ran.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        assert!(ran.status.success(), "{words:?}: {:?} {said}", ran.status);
        assert!(said.contains("as its owner, user 61234"), "{words:?}: {said}");
        everything_below(&store, &mut |path| assert_eq!(path.metadata().unwrap().uid(), OWNER, "{}", path.display()));
    }
    assert!(log_bytes(&store) < 300_000, "it has worked");
    let mailbox = Mailbox::back(&open(&store).0, &known);
    assert_eq!(mailbox.read(mailbox.folder(0).folder, 1).unwrap(), noise(1, 3 * CHUNK));
}

/// Nobody's.
const OWNER: u32 = 61_234;

fn everything_below(path: &Path, each: &mut dyn FnMut(&Path)) {
    each(path);
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| everything_below(&entry.unwrap().path(), each));
    }
}

#[test]
fn the_command_line_compacts_a_store_that_no_server_has_open() {
    let directory = Directory::new("cli-compact");
    let mailbox = mostly_dead(&directory);
    let caducee = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_caducee"));
        command.args(["store", "compact", "--dir"]).arg(directory.path()).args(more).output().unwrap()
    };
    let busy = caducee(&[]);
    assert_eq!(busy.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&busy.stderr).contains("is the server running?"));
    let known = mailbox.leave();
    let before = log_bytes(directory.path());
    let done = caducee(&["--json", "--dead-percent", "0"]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let done: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(done["emptied"], 2, "{done}");
    assert!(log_bytes(directory.path()) < 300_000 && before > 1_000_000);
    assert_eq!(stat(directory.path()).unwrap().log_bytes, log_bytes(directory.path()));
    assert!(String::from_utf8_lossy(&caducee(&[]).stdout).contains("given back"));
    let mailbox = Mailbox::back(&open(directory.path()).0, &known);
    assert_eq!(mailbox.read(mailbox.folder(0).folder, 1).unwrap(), noise(1, 3 * CHUNK));
}
