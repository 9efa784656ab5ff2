//! Kill -9 while mailboxes are made and closed: each that is there has its key, and none that is closed.
//!
//! The test starts itself as a child process that makes mailboxes and closes every second one, and says so; it kills the child
//! at some moment, starts on what is left and holds it against what was said.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use caducee::mail::MailError;
use caducee::store::{Account, AccountId, AccountState, KeyOwner, check};

use crate::support::{Directory, House};

const CHILD: &str = "CADUCEE_TEST_KEYS";
const ROUNDS: u64 = 10;

/// The child's work; it ends by being killed.
#[test]
#[ignore = "the child process of `killed_while_mailboxes_are_made_and_closed_no_key_is_lost_and_none_is_left`"]
fn child() {
    let Ok(argument) = std::env::var(CHILD) else { return };
    let (path, round) = argument.split_once('|').unwrap();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(async {
        let house = House::at(path.as_ref());
        for number in 0u32.. {
            let id = house.account(&format!("m{round}-{number}")).await.id;
            say("MADE", id);
            if number % 2 == 1 {
                say("CLOSING", id);
                house.registry.close(id, "parti").await.unwrap();
                say("CLOSED", id);
            }
        }
    });
}

/// One line, one write: a kill cannot cut it in two.
fn say(what: &str, id: AccountId) {
    std::io::stdout().lock().write_all(format!("\n{what} {id}\n").as_bytes()).unwrap();
}

/// What children said over all rounds.
#[derive(Default)]
struct Said {
    made: Vec<AccountId>,
    closing: Vec<AccountId>,
    closed: Vec<AccountId>,
}

impl Said {
    fn note(&mut self, line: &str) {
        let Some((what, id)) = line.split_once(' ') else { return };
        let Ok(id) = id.parse().map(AccountId) else { return };
        match what {
            "MADE" => self.made.push(id),
            "CLOSING" => self.closing.push(id),
            "CLOSED" => self.closed.push(id),
            _ => {}
        }
    }

    /// Runs a child and kills it some time after the first mailbox.
    fn hear_a_child(&mut self, directory: &Directory, round: u64) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["keys_killed::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(CHILD, format!("{}|{round}", directory.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("MADE"));
        std::thread::sleep(Duration::from_millis(31 * round % 150));
        child.kill().unwrap();
        child.wait().unwrap();
        first.into_iter().chain(lines.map_while(Result::ok)).for_each(|line| self.note(&line));
    }

    /// Before any start can make up for it: of each mailbox that was closed both key files have the tombstone, and of each
    /// that was made the key, at least until its closing began.
    fn check_files(&self, directory: &Directory) {
        for name in ["keys-1", "keys-2"] {
            let bytes = std::fs::read(directory.path().join(name)).unwrap();
            // State, kind of owner and owner of each slot (`src/store/keyring/slot.rs`).
            let slots: Vec<_> = bytes
                .as_chunks::<128>()
                .0
                .iter()
                .skip(1)
                .filter(|slot| slot[1] == 1)
                .map(|slot| (u64::from_le_bytes(slot[4..12].try_into().unwrap()), slot[0]))
                .collect();
            let states = |id: &AccountId| -> Vec<u8> {
                slots.iter().filter(|(owner, _)| *owner == id.0).map(|(_, state)| *state).collect()
            };
            for id in &self.closed {
                assert_eq!(states(id), [2], "{id} was closed: {name}");
            }
            for id in self.made.iter().filter(|id| !self.closing.contains(id)) {
                assert_eq!(states(id), [1], "{id} was made, and nobody closed it: {name}");
            }
        }
    }

    /// Holds what is there against what was said.
    fn check(&self, house: &House) {
        let store = house.room.store();
        for (id, account) in store.scan::<Account>(.., usize::MAX).unwrap() {
            let (owner, opened) = (KeyOwner::Mailbox(id), house.room.open(id).map(drop));
            let is_closed = account.state == AccountState::Closed;
            assert_eq!((store.keys().sealed(owner).is_none(), store.keys().is_wiped(owner)), (is_closed, is_closed));
            assert!(if is_closed { matches!(opened, Err(MailError::Closed)) } else { opened.is_ok() }, "{opened:?}");
        }
        for id in self.made.iter().filter(|id| !self.closing.contains(id)) {
            assert!(house.room.open(*id).is_ok(), "{id} was made, and nobody closed it");
        }
        for id in &self.closed {
            assert!(store.keys().is_wiped(KeyOwner::Mailbox(*id)), "{id} was closed");
        }
    }
}

#[test]
fn killed_while_mailboxes_are_made_and_closed_no_key_is_lost_and_none_is_left() {
    let directory = Directory::new();
    let mut said = Said::default();
    for round in 0..ROUNDS {
        said.hear_a_child(&directory, round);
        said.check_files(&directory);
        let house = House::at(directory.path());
        said.check(&house);
        house.room.store().close();
        drop(house);
        let report = check(directory.path(), &mut |_, _| ()).unwrap();
        assert!(report.keys.is_sound() && report.keyless.is_empty() && report.bad_records.is_empty(), "{report:?}");
    }
    assert!(said.made.len() as u64 >= ROUNDS && !said.closed.is_empty(), "{}", said.made.len());
}
