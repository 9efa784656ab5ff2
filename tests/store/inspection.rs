//! `store check`, `store stat` and `store upgrade`: as library functions and at the command line.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use caducee::store::embedded::CheckReport;
use caducee::store::{Batch, Body, CHUNK, Folder, MailboxKey, MessageKey, OpenError, check, stat, upgrade};

use crate::mailbox::Mailbox;
use crate::support::{Directory, noise, open, run, segments};

fn checked(path: &Path) -> CheckReport {
    let mut steps = Vec::new();
    let report = check(path, &mut |done, total| steps.push((done, total))).unwrap();
    assert_eq!(steps.last().map(|(done, total)| done == total), Some(true), "progress ends at the end");
    report
}

/// A store with one mailbox of five messages, the third one of several chunks and copied; it is left open.
fn filled(directory: &Directory) -> Mailbox {
    let (store, _) = open(directory.path());
    let mailbox = run(Mailbox::create(&store, 1, MailboxKey::generate(), 2));
    for n in 0..5 {
        let size = if n == 2 { 4 * CHUNK } else { 2000 };
        run(mailbox.deliver(mailbox.folder(0), &noise(n, size), 10_000)).unwrap();
    }
    run(mailbox.copy(mailbox.folder(0), 3, mailbox.folder(1))).unwrap();
    run(mailbox.delete(mailbox.folder(0), 5)).unwrap();
    mailbox
}

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

#[test]
fn a_store_closed_in_good_order_is_sound() {
    let directory = Directory::new("sound");
    drop(filled(&directory));
    let report = checked(directory.path());
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.bodies, report.behind, report.torn), (4, 0, 0));
    assert_eq!(report.chunks, 4 + 4, "every chunk is read, that of the deleted message too");
    assert_eq!(report.records["message"], 5);
}

#[test]
fn the_traces_of_a_crash_are_told_and_are_no_fault() {
    let directory = Directory::new("traces");
    let mailbox = filled(&directory);
    let crashed = directory.copy();
    drop(mailbox);
    let log = segments(crashed.path()).pop().unwrap();
    let end = fs::metadata(&log).unwrap().len();
    OpenOptions::new().write(true).open(&log).unwrap().write_all_at(&noise(1, 777), end).unwrap();
    let report = checked(crashed.path());
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.torn, 777);
    let (_, opening) = open(crashed.path());
    assert_eq!(opening.cut, 777, "the check has changed nothing");
}

#[test]
fn a_damaged_chunk_names_its_body_and_every_message_that_shows_it() {
    let directory = Directory::new("named");
    let mailbox = filled(&directory);
    let (message, _) = mailbox.body_key(&MessageKey { folder: mailbox.folder(0).folder, uid: 3 });
    let place = mailbox.store.get::<Body>(&message.body).unwrap().unwrap().places[2];
    drop(mailbox);
    flip(&segments(directory.path())[place.segment as usize - 1], u64::from(place.offset) + 5000);
    let report = checked(directory.path());
    assert!(!report.is_sound());
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(report.damaged[0].from, place.offset);
    let [unreadable] = report.unreadable.as_slice() else { panic!("{report:?}") };
    assert_eq!((unreadable.body, unreadable.chunk), (message.body, 2));
    let messages: Vec<_> = unreadable.messages.iter().map(|(folder, uid)| (folder.0, *uid)).collect();
    assert_eq!(messages, [(100, 3), (101, 1)]);
    assert!(report.bad_records.is_empty() && report.miscounted.is_empty());
    assert_eq!(fs::read_dir(directory.path().join("aside")).unwrap().count(), 1);
}

#[test]
fn a_commit_that_the_log_has_lost_shows_in_the_records_that_it_wrote() {
    let directory = Directory::new("lostcommit");
    let mailbox = filled(&directory);
    let log = segments(directory.path()).pop().unwrap();
    let before = fs::metadata(&log).unwrap().len();
    run(mailbox.deliver(mailbox.folder(0), b"perdu", 5)).unwrap();
    let after = fs::metadata(&log).unwrap().len();
    run(mailbox.deliver(mailbox.folder(0), b"suivant", 5)).unwrap();
    drop(mailbox);
    flip(&log, after - 3);
    let report = checked(directory.path());
    assert_eq!(report.damaged.len(), 1);
    assert!(u64::from(report.damaged[0].from) > before);
    let tables: Vec<_> = report.bad_records.iter().map(|record| record.table).collect();
    assert_eq!(tables, ["message", "content", "body", "change"]);
}

#[test]
fn wrong_counters_are_found() {
    let directory = Directory::new("counters");
    let mailbox = filled(&directory);
    let key = mailbox.folder(1);
    let mut folder = mailbox.store.get::<Folder>(&key).unwrap().unwrap().record;
    folder.messages += 1;
    let mut batch = Batch::new();
    batch.put(&key, &folder);
    run(mailbox.store.commit(batch)).unwrap();
    drop(mailbox);
    let report = checked(directory.path());
    let [found] = report.miscounted.as_slice() else { panic!("{report:?}") };
    assert_eq!((found.folder, found.recorded.0, found.counted.0), (key.folder, 2, 1));
}

#[test]
fn an_unusable_index_is_told() {
    let directory = Directory::new("unusable");
    drop(filled(&directory));
    fs::remove_dir_all(directory.path().join("index")).unwrap();
    fs::create_dir(directory.path().join("index")).unwrap();
    let report = checked(directory.path());
    assert!(report.index_unusable.is_some());
    let (_, opening) = open(directory.path());
    assert!(opening.rebuilt);
}

#[test]
fn living_bytes_are_those_of_bodies_that_are_shown_and_survive_every_replay() {
    let directory = Directory::new("living");
    let mailbox = filled(&directory);
    let crashed = directory.copy();
    drop(mailbox);
    let rebuilt = directory.copy();
    fs::remove_dir_all(rebuilt.path().join("index")).unwrap();
    for copy in [&directory, &crashed, &rebuilt] {
        drop(open(copy.path()));
        let stat = stat(copy.path()).unwrap();
        let (frame, prefix, tag) = (32, 16, 16);
        let expected = 3 * (2000 + frame + prefix + tag) + 4 * (CHUNK + frame + prefix + tag);
        assert_eq!(stat.living_bytes, expected as u64);
        assert!(stat.log_bytes > stat.living_bytes && stat.index_bytes > 0);
        assert_eq!(stat.records["folder"], 2);
        assert_eq!(stat.applied, stat.checkpoint);
    }
}

#[test]
fn a_store_in_use_or_absent_is_refused() {
    let directory = Directory::new("inuse");
    let (store, _) = open(directory.path());
    assert!(matches!(check(directory.path(), &mut |_, _| {}), Err(OpenError::InUse(_))));
    assert!(matches!(stat(directory.path()), Err(OpenError::InUse(_))));
    assert!(matches!(upgrade(directory.path()), Err(OpenError::InUse(_))));
    drop(store);
    let nothing = Directory::new("nothing");
    assert!(matches!(check(nothing.path(), &mut |_, _| {}), Err(OpenError::Missing(_))));
    assert_eq!(fs::read_dir(nothing.path()).unwrap().count(), 0);
}

fn caducee(verb: &str, directory: &Directory, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_caducee"))
        .args(["store", verb, "--dir"])
        .arg(directory.path())
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn the_command_line_shows_findings_and_says_by_its_exit_code_whether_all_is_well() {
    let directory = Directory::new("cli");
    let mailbox = filled(&directory);
    let busy = caducee("check", &directory, &[]);
    assert_eq!(busy.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&busy.stderr).contains("is the server running?"));
    drop(mailbox);

    let sound = caducee("check", &directory, &[]);
    assert_eq!(sound.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&sound.stdout).trim_end().ends_with("sound"));
    let shown = caducee("stat", &directory, &[]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("living bodies"));
    let upgraded = caducee("upgrade", &directory, &[]);
    assert!(String::from_utf8_lossy(&upgraded.stdout).contains("nothing to do"));

    flip(&segments(directory.path())[0], 1000);
    let damaged = caducee("check", &directory, &["--json"]);
    assert_eq!(damaged.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&damaged.stdout).unwrap();
    assert_eq!(report["damaged"].as_array().unwrap().len(), 1);
}
