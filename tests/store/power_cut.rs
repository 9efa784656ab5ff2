//! The power goes at any moment, and the disk has kept no more than it had to.
//!
//! A child works in a store while strace records each of its calls ([`recording`]); a disk that forgets ([`disk`]) then tells
//! what may be left at any moment between two of them. What was acknowledged by then has to be there.

pub mod disk;
pub mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use caducee::store::{AccountId, KeyFate, KeyOwner, SealedKey, Store, check};

use crate::kill::{ACCOUNTS, CHILD, Said, check_message, check_references, mailbox_keys, options};
use crate::mailbox::Mailbox;
use crate::support::{Directory, master, patiently, segments};
use disk::{Deaf, Disk, Luck};
use recording::{CALLS, Event, events};

/// Moments at which the power goes; `CADUCEE_POWER_CUTS=600` for a long look.
pub fn moments() -> usize {
    std::env::var("CADUCEE_POWER_CUTS").ok().and_then(|moments| moments.parse().ok()).unwrap_or(60)
}

/// What the child has said of keys.
#[derive(Default)]
struct Keys {
    made: BTreeMap<u64, SealedKey>,
    wiping: BTreeSet<u64>,
    wiped: BTreeSet<u64>,
}

impl Keys {
    fn hear(&mut self, line: &str) {
        let mut words = line.splitn(3, ' ');
        let (kind, account) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().parse());
        match (kind, account, words.next()) {
            ("KEY", Ok(account), Some(key)) => drop(self.made.insert(account, serde_json::from_str(key).unwrap())),
            ("WIPING", Ok(account), None) => drop(self.wiping.insert(account)),
            ("WIPED", Ok(account), None) => drop(self.wiped.insert(account)),
            _ => {}
        }
    }

    fn check(&self, store: &Store) {
        for (account, key) in &self.made {
            let owner = KeyOwner::Mailbox(AccountId(*account));
            let (fate, sealed) = (store.keys().fate(owner), store.keys().sealed(owner));
            if self.wiped.contains(account) {
                assert_eq!((fate, sealed), (Some(KeyFate::Wiped), None), "account {account}: it was destroyed");
            } else if fate != Some(KeyFate::Wiped) || !self.wiping.contains(account) {
                assert_eq!((fate, sealed.as_ref()), (Some(KeyFate::Living), Some(key)), "account {account}");
            }
        }
    }
}

/// Lets a child (the name of its test, what its environment says) work below a directory; what it asked of the kernel. None:
/// it cannot be recorded here.
pub fn recorded(root: &Path, child: &str, environment: &[(&str, String)]) -> Option<Vec<Event>> {
    let recording = root.with_extension("strace");
    let traced = Command::new("strace")
        .args(["-f", "-v", "-xx", "-s", "100000000", "-e", CALLS, "-e", "signal=none", "-o"])
        .arg(&recording)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", child, "--ignored", "--nocapture", "--test-threads=1"])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output();
    match traced {
        Ok(output) if output.status.success() => {
            let text = std::fs::read_to_string(&recording).unwrap();
            std::fs::remove_file(recording).unwrap();
            Some(events(&text))
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.to_lowercase().contains("ptrace"), "{said}");
            println!("skipped: strace may not follow a process here");
            None
        }
        Err(_) => {
            println!("skipped: strace is not installed");
            None
        }
    }
}

#[test]
fn whatever_a_power_cut_leaves_nothing_that_was_acknowledged_is_lost() {
    let directory = Directory::new("power-cut");
    let root = directory.path().join("recorded");
    std::fs::create_dir(&root).unwrap();
    mailbox_keys(&root.join("store"));
    let environment = [(CHILD, format!("{}|7|recorded", root.join("store").display()))];
    let Some(events) = recorded(&root, "kill::child", &environment) else { return };
    let mut told = Told::default();
    cut_again_and_again(&events, Disk::new(&root), moments(), &mut |place, said, at| {
        opens_with_all(&root, place, said, at, &mut told);
    });
    let emptied = segments(&root.join("store")).iter().filter(|path| path.metadata().unwrap().len() == 64).count();
    println!(
        "{} calls; {told:?}; {emptied} segments of {} were emptied",
        events.len(),
        segments(&root.join("store")).len()
    );
    assert!(told.acknowledged > 100 && told.keys > 10 && emptied > 0, "the child hardly worked");
    // And it would be seen: on a disk that does not sync this or that, something is missing.
    let broken: [(&str, Deaf); 3] = [
        ("the log", |path| path.parent().is_some_and(|parent| parent.ends_with("log"))),
        ("the log's names", |path| path.ends_with("log")),
        ("the keys", |path| path.to_string_lossy().contains("/keys-")),
    ];
    for (what, deaf) in broken {
        let outcome = std::panic::catch_unwind(|| {
            let disk = Disk::new(&root).deaf_to(deaf);
            cut_again_and_again(&events, disk, moments() / 10, &mut |place, said, at| {
                opens_with_all(&root, place, said, at, &mut Told::default());
            });
        });
        assert!(outcome.is_err(), "{what} need no sync?");
    }
}

/// Cuts the power at moments that are spread over all of it; gives what may be left each time, what the process had said by
/// then, and when that was.
pub fn cut_again_and_again(
    events: &[Event],
    mut disk: Disk,
    moments: usize,
    each: &mut dyn FnMut(&Directory, &str, &str),
) {
    let every = events.len().div_ceil(moments);
    for (number, event) in events.iter().enumerate() {
        disk.follow(event);
        if (number + 1) % every != 0 {
            continue;
        }
        for luck in [Luck::Nothing, Luck::Everything, Luck::Dice(number as u64 + 1), Luck::Dice(!(number as u64))] {
            let place = Directory::new("cut");
            disk.cut(place.path(), luck);
            each(&place, disk.said(), &format!("after call {number} of {}, {luck:?}", events.len()));
        }
    }
}

/// What the cuts were like.
#[derive(Debug, Default)]
struct Told {
    cuts: u64,
    torn: u64,
    replayed: u64,
    acknowledged: usize,
    keys: usize,
}

fn opens_with_all(root: &Path, place: &Directory, said: &str, at: &str, told: &mut Told) {
    let (mut mail, mut keys) = (Said::default(), Keys::default());
    for line in said.lines() {
        mail.hear(line);
        keys.hear(line);
    }
    let path = place.path().join("store");
    let opened = patiently(|| Store::open(&path, &master(), &options()));
    let (store, opening) = opened.unwrap_or_else(|error| panic!("{at}: {error}"));
    // An index that is made again means that all of the log is read.
    assert!(opening.damaged.is_empty() && !opening.rebuilt, "{at}: {opening:?}");
    let mailbox_keys = mailbox_keys(&root.join("store"));
    mail.acknowledged.keys().for_each(|message| check_message(&store, &mailbox_keys, &mail, *message));
    if said.contains("READY") {
        for (id, key) in (1..=ACCOUNTS).zip(&mailbox_keys) {
            Mailbox::back(&store, &(AccountId(id), key.clone())).check_counters();
        }
    }
    check_references(&store);
    keys.check(&store);
    drop(store);
    let report = patiently(|| check(&path, &mut |_, _| {})).unwrap();
    assert!(report.is_sound(), "{at}: {report:?}");
    told.cuts += 1;
    told.torn += u64::from(opening.cut > 0);
    told.replayed += opening.replayed;
    told.acknowledged = mail.acknowledged.len();
    told.keys = keys.made.len();
}
