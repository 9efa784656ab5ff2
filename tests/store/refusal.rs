//! What is refused at the opening, and a full disk.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use caducee::store::embedded::STORE_FORMAT;
use caducee::store::{
    AccountId, Batch, CommitError, MailboxKey, MasterKey, OpenError, Options, Store, StoreError, Usage,
};

use crate::mailbox::Mailbox;
use crate::support::{Directory, master, noise, open, options, run, segments};

fn refusal(path: &Path) -> OpenError {
    Store::open(path, &master(), &options()).unwrap_err()
}

#[test]
fn another_master_key_is_refused_and_leaves_the_store_as_it_was() {
    let directory = Directory::new("master");
    drop(open(directory.path()));
    let wrong = MasterKey::from_bytes([43; 32]);
    let error = Store::open(directory.path(), &wrong, &options()).unwrap_err();
    assert!(matches!(error, OpenError::WrongMasterKey(_)));
    assert!(error.to_string().contains("another master key"), "{error}");
    drop(open(directory.path()));
}

#[test]
fn a_second_opening_is_refused_while_the_first_lives() {
    let directory = Directory::new("lock");
    let (store, _) = open(directory.path());
    assert!(matches!(refusal(directory.path()), OpenError::InUse(_)));
    drop(store);
    drop(open(directory.path()));
}

#[test]
fn a_directory_with_other_things_in_it_is_not_made_a_store() {
    let directory = Directory::new("foreign");
    fs::write(directory.path().join("letter.txt"), "Madame").unwrap();
    assert!(matches!(refusal(directory.path()), OpenError::NotAStore(_)));
    assert!(!directory.path().join("store.json").exists());
}

#[test]
fn a_log_without_its_identity_is_not_begun_anew() {
    let directory = Directory::new("identity");
    drop(open(directory.path()));
    fs::remove_file(directory.path().join("store.json")).unwrap();
    assert!(matches!(refusal(directory.path()), OpenError::NotAStore(_)));
}

#[test]
fn a_newer_store_segment_or_frame_is_refused_and_named() {
    let directory = Directory::new("newer");
    drop(open(directory.path()));

    let store = directory.copy();
    let json = store.path().join("store.json");
    let text = fs::read_to_string(&json).unwrap().replace("\"format\": 2", "\"format\": 3");
    fs::write(&json, text).unwrap();
    assert_names_format(refusal(store.path()), &json, (3, STORE_FORMAT));

    let store = directory.copy();
    let log = segments(store.path()).pop().unwrap();
    let mut bytes = fs::read(&log).unwrap();
    bytes[8] = 7;
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(&log, bytes).unwrap();
    assert_names_format(refusal(store.path()), &log, (7, 1));

    let store = directory.copy();
    let log = segments(store.path()).pop().unwrap();
    let mut bytes = fs::read(&log).unwrap();
    let salt = bytes[16..32].to_vec();
    let mut header = bytes[64..96].to_vec();
    header[4] = 9;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&salt), &header[..28]);
    header[28..].copy_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&header);
    fs::write(&log, &bytes).unwrap();
    assert_names_format(refusal(store.path()), &log, (9, 2));
    assert_eq!(fs::metadata(&log).unwrap().len(), bytes.len() as u64, "a newer log is left as it is");
}

fn assert_names_format(error: OpenError, file: &Path, versions: (u32, u32)) {
    let OpenError::Format { path, found, known } = &error else { panic!("{error}") };
    assert_eq!((path.as_path(), (*found, *known)), (file, versions));
    assert!(error.to_string().contains("use the version that wrote it"), "{error}");
}

#[test]
fn a_damaged_segment_header_costs_nothing() {
    let directory = Directory::new("head");
    let (store, _) = open(directory.path());
    let mut batch = Batch::new();
    batch.put(&AccountId(1), &Usage { bytes: 5, ..Usage::default() });
    run(store.commit(batch)).unwrap();
    drop(store);
    let log = segments(directory.path()).pop().unwrap();
    OpenOptions::new().write(true).open(&log).unwrap().write_all_at(&[0; 64], 0).unwrap();
    fs::remove_dir_all(directory.path().join("index")).unwrap();
    let (store, _) = open(directory.path());
    assert_eq!(store.get::<Usage>(&AccountId(1)).unwrap().unwrap().bytes, 5);
}

#[test]
fn a_segment_size_out_of_bounds_is_refused() {
    let directory = Directory::new("size");
    let options = Options { segment: 1000, ..options() };
    let error = Store::open(directory.path(), &master(), &options).unwrap_err();
    assert!(matches!(error, OpenError::Setting(_)), "{error}");
}

/// A small file system of its own, unmounted when dropped.
pub struct SmallDisk(pub PathBuf);

impl SmallDisk {
    /// `None` when this process may not mount.
    pub fn mount(directory: &Directory, size: &str) -> Option<SmallDisk> {
        let path = directory.path().join("disk");
        fs::create_dir_all(&path).unwrap();
        let size = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(SmallDisk(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_mail_keeps_what_is_there_and_goes_on_when_there_is_room() {
    let directory = Directory::new("full");
    let Some(disk) = SmallDisk::mount(&directory, "40m") else {
        println!("skipped: may not mount a small file system");
        return;
    };
    for reserve in [0, 12 * 1024 * 1024] {
        let path = disk.0.join(format!("store-{reserve}"));
        let options = Options { segment: 1 << 30, reserve, ..options() };
        let (store, _) = Store::open(&path, &master(), &options).unwrap();
        let mailbox = run(Mailbox::create(&store, 1, MailboxKey::generate(), 1));
        let ballast = disk.0.join("ballast");
        fs::write(&ballast, vec![1; 6 * 1024 * 1024]).unwrap();
        let mut delivered = Vec::new();
        let refused = loop {
            let message = noise(delivered.len() as u64, 300_000);
            match run(mailbox.deliver(mailbox.folder(0), &message, 65_536)) {
                Ok(_) => delivered.push(message),
                Err(error) => break error,
            }
            assert!(delivered.len() < 200, "the disk never fills");
        };
        assert_eq!(refused, CommitError::Full, "reserve {reserve}");
        assert!(!store.is_stopped());
        assert!(delivered.len() > 5);
        if reserve > 0 {
            // Below the reserve no mail comes in, but what makes room is still done.
            run(mailbox.delete(mailbox.folder(0), 1)).unwrap();
            assert!(store.free_space().unwrap() > 0);
        }
        fs::remove_file(&ballast).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(600));
        let late = run(mailbox.deliver(mailbox.folder(0), b"de la place", 5)).unwrap();
        let known = mailbox.leave();
        drop(store);
        let (store, opening) = Store::open(&path, &master(), &options).unwrap();
        assert!(opening.damaged.is_empty(), "{opening:?}");
        let mailbox = Mailbox::back(&store, &known);
        drop(store);
        for (n, message) in delivered.iter().enumerate().skip(1) {
            assert_eq!(&mailbox.read(late.folder, n as u32 + 1).unwrap(), message);
        }
        assert_eq!(mailbox.read(late.folder, late.uid).unwrap(), b"de la place");
        mailbox.check_counters();
        drop(mailbox);
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn a_store_on_a_nearly_full_disk_opens_for_reading_and_takes_nothing_in() {
    let directory = Directory::new("nearly-full");
    let path = directory.path().join("store");
    let (store, _) = Store::open(&path, &master(), &options()).unwrap();
    let mailbox = run(Mailbox::create(&store, 1, MailboxKey::generate(), 1));
    let kept = run(mailbox.deliver(mailbox.folder(0), b"a garder", 8)).unwrap();
    let known = mailbox.leave();
    drop(store);
    // More free space is asked for than any disk has.
    let options = Options { reserve: u64::MAX, ..options() };
    let (store, _) = Store::open(&path, &master(), &options).unwrap();
    let mailbox = Mailbox::back(&store, &known);
    assert_eq!(mailbox.read(kept.folder, kept.uid).unwrap(), b"a garder");
    assert_eq!(run(mailbox.deliver(mailbox.folder(0), b"de trop", 7)).unwrap_err(), CommitError::Full);
}

#[test]
fn errors_of_a_stopped_store_say_to_restart() {
    assert!(StoreError::Stopped.to_string().contains("restart"));
    assert!(CommitError::Unknown.to_string().contains("not known"));
}
