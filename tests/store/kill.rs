//! Kill -9 under load, again and again, in one store.
//!
//! The test starts itself as a child process that delivers, copies and deletes with many writers and prints a line for each
//! answer; it kills the child at a random moment, opens the store and holds it against the lines: every acknowledged
//! message whole, UIDs rising and unique, counters right. [`crate::power_cut`] records the same child's calls instead.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use caducee::store::{AccountId, Body, Compaction, KeyOwner, MailboxKey, Message, MessageKey, Options, Rows, Store};

use crate::mailbox::Mailbox;
use crate::support::{Directory, master, noise, segments};

const ROUNDS: u64 = 60;
const COMPACTED_ROUNDS: u64 = 40;
pub const ACCOUNTS: u64 = 4;
const FOLDERS: u64 = 3;
const WRITERS: u64 = 16;
/// Keys that a recorded child makes before it ends.
const RECORDED_KEYS: u64 = 40;
pub const CHILD: &str = "CADUCEE_TEST_KILL";

/// Segments and checkpoints as small as can be, so that kills fall into their making too.
pub fn options() -> Options {
    Options {
        cache: 8 * 1024 * 1024,
        segment: 1024 * 1024,
        checkpoint_every: Duration::from_millis(40),
        checkpoint_bytes: 1024 * 1024,
        reserve: 0,
    }
}

/// A mailbox's key that every process of the test can make: an account's number under the test's master key.
pub fn mailbox_keys(store: &Path) -> Vec<MailboxKey> {
    let path = store.with_extension("keys");
    if !path.exists() {
        let sealed: Vec<_> = (1..=ACCOUNTS).map(|id| master().seal(AccountId(id), &MailboxKey::generate())).collect();
        std::fs::write(&path, serde_json::to_vec(&sealed).unwrap()).unwrap();
    }
    let sealed: Vec<caducee::store::SealedKey> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    (1..=ACCOUNTS).zip(sealed).map(|(id, sealed)| master().open(AccountId(id), &sealed).unwrap()).collect()
}

fn message(seed: u64) -> Vec<u8> {
    let size = match seed % 10 {
        0..=5 => 500 + seed % 4000,
        6..=8 => 20_000 + seed % 90_000,
        _ => 200_000 + seed % 300_000,
    };
    noise(seed, size as usize)
}

/// What a child does beside its deliveries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// Deletes most of what it has delivered, and compacts the log all the time.
    Compacting,
    /// The same with small mail; makes keys and destroys them; and ends by itself, soon.
    Recorded,
}

impl Beside {
    fn named(name: &str) -> Self {
        match name {
            "compacting" => Beside::Compacting,
            "recorded" => Beside::Recorded,
            _ => Beside::Nothing,
        }
    }

    fn writers(self) -> u64 {
        if self == Beside::Recorded { 4 } else { WRITERS }
    }

    /// Which message a writer's dice stand for: of ten, three are large, of those that are recorded one in some thirty.
    fn message(self, dice: u64) -> u64 {
        if self == Beside::Recorded && !dice.is_multiple_of(10) { dice - dice % 10 + dice / 10 % 6 } else { dice }
    }
}

/// The child's work; it ends by being killed.
#[test]
#[ignore = "the child process of the tests that kill one"]
fn child() {
    let Ok(argument) = std::env::var(CHILD) else { return };
    let [path, seed, beside] = argument.splitn(3, '|').collect::<Vec<_>>().try_into().unwrap();
    let (path, seed) = (Path::new(path).to_owned(), seed.parse::<u64>().unwrap());
    let beside = Beside::named(beside);
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(async move {
        let (store, _) = Store::open(&path, &master(), &options()).unwrap();
        if beside != Beside::Nothing {
            let store = store.clone();
            let size = if beside == Beside::Recorded { 100_000 } else { 700_000 };
            tokio::spawn(give_up_for_ever(store.clone(), size));
            std::thread::spawn(move || compact_for_ever(&store));
        }
        let mut mailboxes = Vec::new();
        for (id, key) in (1..=ACCOUNTS).zip(mailbox_keys(&path)) {
            let mailbox = Mailbox::create(&store, id, key, FOLDERS).await;
            mailboxes.push(Arc::new((tokio::sync::Mutex::new(()), mailbox)));
        }
        say("READY");
        if beside == Beside::Recorded {
            std::thread::spawn(move || make_keys_and_end(&store, &path));
        }
        let writers: Vec<_> = (0..beside.writers())
            .map(|writer| tokio::spawn(write_for_ever(mailboxes.clone(), seed * 1_000_003 + writer * 7919, beside)))
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// Begins to take large bodies in, and gives each up: what fills segments with what is dead.
async fn give_up_for_ever(store: Store, size: usize) {
    let bytes = noise(1, size);
    loop {
        let mut sink = store.body_sink();
        sink.write(&bytes).await.unwrap();
        drop(sink);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Makes keys and destroys every second one; ends the process in the middle of everything after the last.
fn make_keys_and_end(store: &Store, path: &Path) {
    for number in 0..RECORDED_KEYS {
        std::thread::sleep(Duration::from_millis(30));
        let account = AccountId(1_000 + number);
        let sealed = master().seal(account, &MailboxKey::generate());
        store.keys().insert(KeyOwner::Mailbox(account), &sealed).unwrap();
        say(&format!("KEY {} {}", account.0, serde_json::to_string(&sealed).unwrap()));
        if number % 2 == 1 {
            say(&format!("WIPING {}", account.0));
            store.keys().wipe(&[KeyOwner::Mailbox(account)]).unwrap();
            say(&format!("WIPED {}", account.0));
        }
    }
    let emptied =
        || segments(path).iter().filter(|path| std::fs::metadata(path).is_ok_and(|it| it.len() == 64)).count();
    while DELIVERED.load(Ordering::Relaxed) < 150 || emptied() == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::process::exit(0);
}

/// Deliveries that this process has acknowledged.
static DELIVERED: AtomicU64 = AtomicU64::new(0);

fn compact_for_ever(store: &Store) {
    let goal = Compaction {
        dead_percent: 25,
        rate: u64::MAX,
        settle: Duration::ZERO,
        whole: false,
        in_spite_of_damage: false,
    };
    loop {
        store.compact_blocking(&goal).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
}

async fn write_for_ever(mailboxes: Vec<Arc<(tokio::sync::Mutex<()>, Mailbox)>>, mut seed: u64, beside: Beside) {
    loop {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let dice = beside.message(seed >> 33);
        let mailbox = mailboxes[(dice % ACCOUNTS) as usize].clone();
        let folder = mailbox.1.folder(dice / 7 % FOLDERS);
        let body = message(dice);
        let guard = mailbox.0.lock().await;
        let uid = match mailbox.1.deliver(folder, &body, 30_000).await {
            Ok(delivered) => delivered.uid,
            Err(error) => panic!("{error}"),
        };
        say(&format!("ACK {} {uid} {dice}", folder.folder));
        DELIVERED.fetch_add(1, Ordering::Relaxed);
        let deleted = if beside == Beside::Nothing { 0..1 } else { 0..8 };
        match dice % 13 {
            chance if deleted.contains(&chance) => {
                say(&format!("DEL {} {uid}", folder.folder));
                mailbox.1.delete(folder, uid).await.unwrap();
            }
            8 => {
                let other = mailbox.1.folder((dice / 7 + 1) % FOLDERS);
                let copied = mailbox.1.copy(folder, uid, other).await.unwrap();
                say(&format!("ACK {} {copied} {dice}", other.folder));
            }
            _ => {}
        }
        drop(guard);
    }
}

/// One line, one write: a kill cannot cut it in two.
fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

/// What the child said over all rounds.
#[derive(Default)]
pub struct Said {
    /// Folder and UID → the message's seed.
    pub acknowledged: BTreeMap<(u64, u32), u64>,
    /// Deletions that were asked for: they may be done or not.
    deleting: BTreeSet<(u64, u32)>,
}

impl Said {
    pub fn hear(&mut self, line: &str) -> Option<(u64, u32)> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let key = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        match kind {
            "ACK" => {
                let before = self.acknowledged.insert(key, words.next()?.parse().ok()?);
                assert_eq!(before, None, "UID {} of folder {} was given twice", key.1, key.0);
                Some(key)
            }
            "DEL" => {
                self.deleting.insert(key);
                None
            }
            _ => None,
        }
    }
}

/// Runs a child for a while, kills it, and returns what it had acknowledged.
fn kill_a_child(store: &Path, round: u64, beside: Beside, said: &mut Said) -> Vec<(u64, u32)> {
    let (beside, longest) = if beside == Beside::Compacting { ("compacting", 700_000) } else { ("", 250_000) };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{}|{round}|{beside}", store.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| sender.send(line).unwrap()));
    let ready = receiver.iter().any(|line| line == "READY");
    if ready {
        std::thread::sleep(Duration::from_micros(2_000 + round * 7_919_000 % longest));
    }
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    reader.join().unwrap();
    assert!(ready, "the child never got ready: {}", String::from_utf8_lossy(&output.stderr));
    receiver.iter().filter_map(|line| said.hear(&line)).collect()
}

/// Panics unless a message is there, whole; a deletion that was asked for may have been done.
pub fn check_message(store: &Store, keys: &[MailboxKey], said: &Said, (folder, uid): (u64, u32)) {
    let key = MessageKey { folder: caducee::store::FolderId(folder), uid };
    if store.get::<Message>(&key).unwrap().is_none() {
        assert!(
            said.deleting.contains(&(folder, uid)),
            "message {uid} of folder {folder} was acknowledged and is gone"
        );
        return;
    }
    let account = folder / 100;
    let known = (AccountId(account), keys[account as usize - 1].clone());
    let read = Mailbox::back(store, &known).read(key.folder, uid).unwrap();
    let expected = message(said.acknowledged[&(folder, uid)]);
    assert_eq!(
        digest(&SHA256, &read).as_ref(),
        digest(&SHA256, &expected).as_ref(),
        "message {uid} of folder {folder}"
    );
}

#[test]
fn killed_at_any_moment_it_loses_nothing_that_it_acknowledged() {
    let directory = Directory::new("kill");
    kill_again_and_again(&directory.path().join("store"), ROUNDS, Beside::Nothing);
}

#[test]
fn killed_in_the_middle_of_compactions_it_loses_nothing_either_and_a_rebuild_finds_the_same() {
    let directory = Directory::new("kill-compacting");
    let path = directory.path().join("store");
    let said = kill_again_and_again(&path, COMPACTED_ROUNDS, Beside::Compacting);
    let emptied = segments(&path).iter().filter(|path| std::fs::metadata(path).unwrap().len() == 64).count();
    println!("{emptied} segments were emptied");
    assert!(emptied as u64 > COMPACTED_ROUNDS, "{emptied} segments were emptied: too few to tell");
    let all = records(&Store::open(&path, &master(), &options()).unwrap().0);
    std::fs::remove_dir_all(path.join("index")).unwrap();
    let (store, opening) = Store::open(&path, &master(), &options()).unwrap();
    assert!(opening.rebuilt && opening.damaged.is_empty(), "{opening:?}");
    assert!(records(&store) == all, "a rebuild from the log finds other records");
    let keys = mailbox_keys(&path);
    said.acknowledged.keys().for_each(|message| check_message(&store, &keys, &said, *message));
    drop(store);
    assert!(caducee::store::check(&path, &mut |_, _| {}).unwrap().is_sound());
}

/// Messages and bodies with their versions.
type Records = (Rows<Message>, Rows<Body>);

fn records(store: &Store) -> Records {
    (store.scan::<Message>(.., usize::MAX).unwrap(), store.scan::<Body>(.., usize::MAX).unwrap())
}

fn kill_again_and_again(path: &Path, rounds: u64, beside: Beside) -> Said {
    let mut said = Said::default();
    let (mut replayed, mut cut, started) = (0, 0, Instant::now());
    for round in 1..=rounds {
        let new = kill_a_child(path, round, beside, &mut said);
        let (store, opening) = Store::open(path, &master(), &options()).unwrap();
        assert!(opening.damaged.is_empty() && !opening.rebuilt, "round {round}: {opening:?}");
        replayed += opening.replayed;
        cut += u64::from(opening.cut > 0);
        let keys = mailbox_keys(path);
        // The new messages each time, all of them at the end.
        let all = said.acknowledged.keys().copied();
        let checked: Vec<_> = if round == rounds { all.collect() } else { new };
        checked.into_iter().for_each(|message| check_message(&store, &keys, &said, message));
        for (id, key) in (1..=ACCOUNTS).zip(&keys) {
            Mailbox::back(&store, &(AccountId(id), key.clone())).check_counters();
        }
        check_references(&store);
    }
    println!(
        "{rounds} kills in {:?}: {} messages acknowledged, {replayed} commits replayed, {cut} torn tails",
        started.elapsed(),
        said.acknowledged.len()
    );
    assert!(said.acknowledged.len() as u64 > rounds, "the children hardly worked");
    said
}

/// Every body is referred to as often as its record says.
pub fn check_references(store: &Store) {
    let mut shown = BTreeMap::<_, u64>::new();
    for (_, message) in store.scan::<Message>(.., usize::MAX).unwrap() {
        *shown.entry(message.body).or_default() += 1;
    }
    let bodies: BTreeMap<_, _> =
        store.scan::<Body>(.., usize::MAX).unwrap().into_iter().map(|(id, body)| (id, body.references)).collect();
    assert_eq!(shown, bodies);
}
