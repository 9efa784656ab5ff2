//! What a compaction does not do: take mail's room, touch what damage may have orphaned, go on when it is told to stop, or let
//! one bad segment keep it from the others; and what it leaves for those who look at a copy of the log.

use std::fs::{self, OpenOptions};
use std::process::Command;
use std::time::Duration;

use caducee::store::{AccountId, Batch, CHUNK, Compaction, Domain, MailboxKey, Options, Store, StoreError, Usage};

use crate::compaction::{
    HEADER, assert_sound, checked, compact, domain, goal, length, log_bytes, mostly_dead, put_domain, put_usage, waste,
    without_index,
};
use crate::mailbox::Mailbox;
use crate::refusal::SmallDisk;
use crate::support::{Directory, master, noise, open, options, run, segments};

#[test]
fn a_store_that_shows_damage_is_not_compacted_unless_somebody_says_so() {
    let directory = Directory::new("shows-damage");
    let mailbox = mostly_dead(&directory);
    waste(&mailbox.store, 3, 2_400_000);
    let known = mailbox.leave();
    // A file of the log that is late in coming back from a backup.
    let late = segments(directory.path())[1].clone();
    let away = directory.path().join("late");
    fs::rename(&late, &away).unwrap();
    let (store, opening) = open(directory.path());
    assert_eq!(opening.damaged.len(), 1, "{opening:?}");
    let before = log_bytes(directory.path());
    let refused = store.compact_blocking(&goal(50));
    assert!(matches!(refused, Err(StoreError::ShowsDamage)), "{refused:?}");
    assert!(log_bytes(directory.path()) == before);
    drop(store);
    let command = Command::new(env!("CARGO_BIN_EXE_caducee"))
        .args(["store", "compact", "--dir"])
        .arg(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&command.stderr);
    assert!(command.status.code() == Some(1) && said.contains("shows damage") && said.contains("missing"), "{said}");

    let (accepted, _) = open(directory.path());
    let done = accepted.compact_blocking(&Compaction { in_spite_of_damage: true, ..goal(50) }).unwrap();
    assert!(done.emptied > 0, "{done:?}");
    drop(accepted);
    fs::rename(&away, &late).unwrap();
    let (store, opening) = open(directory.path());
    assert!(opening.damaged.is_empty(), "{opening:?}");
    let mailbox = Mailbox::back(&store, &known);
    assert_eq!(mailbox.read(mailbox.folder(0).folder, 1).unwrap(), noise(1, 3 * CHUNK));
}

#[test]
fn moving_leaves_mail_the_room_that_it_needs() {
    let directory = Directory::new("room-for-mail");
    let Some(disk) = SmallDisk::mount(&directory, "64m") else {
        println!("skipped: may not mount a small file system");
        return;
    };
    let reserve = 12 << 20;
    let options = Options { segment: 4 * 1024 * 1024, reserve, ..options() };
    let (store, _) = Store::open(&disk.0.join("store"), &master(), &options).unwrap();
    let mailbox = run(Mailbox::create(&store, 1, MailboxKey::generate(), 1));
    for n in 0..6 {
        run(mailbox.deliver(mailbox.folder(0), &noise(n, 1_600_000), 1 << 20)).unwrap();
        waste(&store, 99, 2_200_000);
    }
    let spare = reserve + reserve / 4 + 3_000_000;
    let free = store.free_space().unwrap();
    fs::write(disk.0.join("ballast"), vec![1; (free - spare) as usize]).unwrap();
    let slow = Compaction { settle: Duration::from_secs(3600), ..goal(40) };
    let done = store.compact_blocking(&slow).unwrap();
    assert!(done.moved_segments == 1 && done.without_room > 2, "the room comes back only later: {done:?}");
    assert!(store.free_space().unwrap() >= reserve);
    run(mailbox.deliver(mailbox.folder(0), &noise(7, 50_000), 1 << 20)).unwrap();
    // Where mail is refused as it is, one segment at a time brings it back.
    let free = store.free_space().unwrap();
    fs::write(disk.0.join("more"), vec![1; (free - reserve * 3 / 4) as usize]).unwrap();
    assert_eq!(store.compact_blocking(&slow).unwrap().moved_segments, 0, "another settles");
    let done = compact(&store, 40);
    assert!(done.emptied > 1 && store.free_space().unwrap() > reserve, "{done:?}");
}

#[test]
fn who_pauses_it_or_gives_a_copy_more_time_is_heard_before_the_next_segment_is_emptied() {
    let slow = Compaction { settle: Duration::from_secs(3600), ..goal(50) };
    for now in [None, Some(slow.clone())] {
        let directory = Directory::new("paused");
        let (store, _) = open(directory.path());
        waste(&store, 1, 2_400_000);
        assert_eq!(store.compact_blocking(&slow).unwrap().settling, 2);
        let first = segments(directory.path())[0].clone();
        let asked = || if length(&first) == HEADER { now.clone() } else { Some(goal(50)) };
        let done = store.compact_while(&asked).unwrap();
        assert_eq!((done.emptied, done.settling), (1, 1), "{now:?}: {done:?}");
        assert!(length(&segments(directory.path())[1]) > HEADER);
        assert_eq!(compact(&store, 50).emptied, 1);
    }
}

#[test]
fn a_segment_that_the_disk_does_not_read_keeps_no_other_from_being_emptied() {
    let directory = Directory::new("sector");
    let (store, _) = open(directory.path());
    waste(&store, 1, 2_400_000);
    let first = segments(directory.path())[0].clone();
    fs::remove_file(&first).unwrap();
    // Whoever reads a directory gets an error, as from a bad sector.
    fs::create_dir(&first).unwrap();
    let done = compact(&store, 50);
    assert_eq!((done.emptied, done.kept_damaged), (1, 1), "{done:?}");
}

#[test]
fn a_segment_that_cannot_be_emptied_now_keeps_no_other_and_is_not_moved_again() {
    let directory = Directory::new("stubborn");
    let (store, _) = open(directory.path());
    let mailbox = run(Mailbox::create(&store, 1, MailboxKey::generate(), 1));
    run(mailbox.deliver(mailbox.folder(0), &noise(1, 100_000), 9999)).unwrap();
    waste(&store, 2, 2_400_000);
    // The new file of the first segment is in the way of itself.
    let new = segments(directory.path())[0].with_extension("new");
    fs::create_dir(&new).unwrap();
    let done = compact(&store, 50);
    assert_eq!((done.emptied, done.settling), (1, 1), "{done:?}");
    fs::remove_dir(&new).unwrap();
    let done = compact(&store, 50);
    assert_eq!((done.emptied, done.moved_bytes, done.settling), (1, 0, 0), "{done:?}");
    assert_eq!(mailbox.read(mailbox.folder(0).folder, 1).unwrap(), noise(1, 100_000));
}

#[test]
fn a_large_record_that_was_moved_before_a_restart_is_not_moved_again() {
    let directory = Directory::new("twice");
    let (store, _) = open(directory.path());
    let large = domain(1, 7, 100_000);
    put_domain(&store, &large);
    waste(&store, 1, 1_200_000);
    let slow = Compaction { settle: Duration::from_secs(3600), ..goal(50) };
    let moved = store.compact_blocking(&slow).unwrap();
    assert!(moved.moved_bytes > 100_000, "{moved:?}");
    drop(store);
    let (store, _) = open(directory.path());
    let again = compact(&store, 50);
    assert!(again.emptied == 1 && again.moved_bytes < 10_000, "its copy is the one that counts: {again:?}");
    assert_eq!(store.get::<Domain>(&large.name).unwrap().unwrap().record, large);
    drop(store);
    assert_sound(directory.path());
}

#[test]
fn a_check_tells_of_a_large_record_that_is_no_longer_in_the_log() {
    let directory = Directory::new("large-lost");
    let (store, _) = open(directory.path());
    let large = domain(1, 7, 100_000);
    put_domain(&store, &large);
    waste(&store, 1, 1_200_000);
    drop(store);
    OpenOptions::new().write(true).open(&segments(directory.path())[0]).unwrap().set_len(HEADER).unwrap();
    let report = checked(directory.path());
    let lost = report.bad_records.iter().find(|record| record.table == "domain").map(|record| record.reason);
    assert_eq!(lost, Some("its place in the log does not hold it"), "{report:?}");
}

#[test]
fn a_copy_that_has_an_emptied_segment_and_not_what_was_moved_from_it_is_not_sound() {
    let directory = Directory::new("slow-copy");
    let mailbox = mostly_dead(&directory);
    compact(&mailbox.store, 50);
    drop(mailbox);
    assert_sound(directory.path());
    let copy = without_index(&directory);
    fs::remove_file(copy.path().join("checkpoint")).unwrap();
    assert_sound(copy.path());
    assert!(open(copy.path()).1.damaged.is_empty(), "a copy that has all is one like any other");

    let lacking = without_index(&directory);
    fs::remove_file(lacking.path().join("checkpoint")).unwrap();
    OpenOptions::new().write(true).open(segments(lacking.path()).pop().unwrap()).unwrap().set_len(HEADER).unwrap();
    let report = checked(lacking.path());
    assert!(!report.is_sound() && report.damaged[0].reason.contains("a compaction has moved"), "{report:?}");
    for start in 0..2 {
        let (store, opening) = open(lacking.path());
        assert_eq!(opening.damaged.len(), usize::from(start == 0), "it goes on behind what is missing: {opening:?}");
        assert!(store.has_met_damage(), "and it stays told");
        store.commit_blocking(put_usage(1, start)).unwrap();
    }
}

#[test]
fn an_index_that_is_older_than_a_compaction_does_not_bring_back_what_was_deleted_since() {
    let directory = Directory::new("old-index");
    let (store, _) = open(directory.path());
    store.commit_blocking(put_usage(1, 11)).unwrap();
    waste(&store, 1, 1_200_000);
    drop(store);
    let backup = directory.copy();
    let (store, _) = open(directory.path());
    let mut batch = Batch::new();
    batch.delete::<Usage>(&AccountId(1));
    store.commit_blocking(batch).unwrap();
    for seed in 0..3 {
        waste(&store, seed, 1_200_000);
        store.compact_blocking(&Compaction { whole: true, ..goal(0) }).unwrap();
    }
    drop(store);
    fs::remove_dir_all(backup.path().join("log")).unwrap();
    fs::create_dir(backup.path().join("log")).unwrap();
    for path in segments(directory.path()) {
        fs::copy(&path, backup.path().join("log").join(path.file_name().unwrap())).unwrap();
    }
    let unusable = checked(backup.path()).index_unusable;
    assert!(unusable.as_deref().is_some_and(|reason| reason.contains("compaction")), "{unusable:?}");
    let (store, opening) = open(backup.path());
    assert!(opening.rebuilt, "{opening:?}");
    assert_eq!(store.get::<Usage>(&AccountId(1)).unwrap(), None, "it was deleted");
}
