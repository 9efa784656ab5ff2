//! A mail room with some mailboxes, on either engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use caducee::accounts::{Account, AccountOptions, HashingOptions, NewMailbox, Registry};
use caducee::audit::Asker;
use caducee::mail::{
    Delivered, Delivery, MailError, MailLimits, MailRoom, Mailbox, MessageFlags, NewMessage, ReceivedMessage, Selected,
    deliver,
};
use caducee::mss::{Address, Domain, Kind};
use caducee::store::{
    AccountId, Body, Content, Folder, FolderExistence, FolderKey, Holder, MasterKey, Message, MessageKey, OpenError,
    Options, QueueMessage, Store, Usage, flags,
};

/// A room, its registry and the directory of its store, if it has one.
pub struct House {
    pub room: MailRoom,
    pub registry: Registry,
    directory: Option<Directory>,
}

/// How many steps of messages are traced.
pub fn steps(room: &MailRoom) -> usize {
    let traces = room.traces().waiting(.., usize::MAX).unwrap();
    traces.iter().filter(|trace| trace.message.is_some()).count()
}

/// A directory under the build's own, removed when dropped.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mail-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Directory {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn master() -> MasterKey {
    MasterKey::from_bytes([7; 32])
}

/// Cheap hashes: tests verify rules, not the algorithm.
pub fn account_options() -> AccountOptions {
    let hashing = HashingOptions { memory: 64, passes: 1, ..HashingOptions::default() };
    AccountOptions { hashing, ..AccountOptions::default() }
}

impl House {
    pub fn in_memory() -> Self {
        Self::with_limits(MailLimits::default())
    }

    pub fn with_limits(limits: MailLimits) -> Self {
        Self::over(Store::in_memory(), limits, None)
    }

    pub fn embedded() -> Self {
        Self::embedded_with(MailLimits::default())
    }

    pub fn embedded_with(limits: MailLimits) -> Self {
        let directory = Directory::new();
        let store = open(directory.path());
        Self::over(store, limits, Some(directory))
    }

    fn over(store: Store, limits: MailLimits, directory: Option<Directory>) -> Self {
        let room = MailRoom::new(store, master(), limits).unwrap();
        let registry = Registry::new(room.clone(), account_options());
        Self { room, registry, directory }
    }

    /// A server on a store that is there, or is made, and stays.
    pub fn at(path: &Path) -> Self {
        Self::over(open(path), MailLimits::default(), None)
    }

    /// Stops the server and starts it again on the same store.
    pub fn restarted(self) -> Self {
        let House { room, registry, directory } = self;
        let directory = directory.expect("only a store on disk is there again");
        let limits = room.limits().clone();
        room.store().close();
        drop((room, registry));
        let store = open(directory.path());
        Self::over(store, limits, Some(directory))
    }

    /// As [`House::restarted`], of a store that has stepped over damage before, as what it set aside shows.
    pub fn restarted_after_damage(self) -> Self {
        let aside = self.directory.as_ref().expect("a store on disk").path().join("aside");
        std::fs::create_dir_all(&aside).unwrap();
        std::fs::write(aside.join("00000001-4096"), b"a damaged frame").unwrap();
        self.restarted()
    }

    /// Where a store on disk lies.
    pub fn path(&self) -> &Path {
        self.directory.as_ref().expect("a store on disk").path()
    }

    /// Stops the server and leaves its files.
    pub fn into_directory(self) -> Directory {
        self.room.store().close();
        self.directory.expect("a store on disk")
    }

    /// A test mailbox of a professional.
    pub async fn account(&self, name: &str) -> Account {
        self.create(new_mailbox(name)).await
    }

    pub async fn create(&self, new: NewMailbox) -> Account {
        let domain = new.address.domain().clone();
        if !self.registry.is_own(&domain).unwrap() {
            self.registry.add_domain(&domain, "").await.unwrap();
        }
        self.registry.create(new).await.unwrap()
    }

    pub async fn mailbox(&self, name: &str) -> Arc<Mailbox> {
        let account = self.account(name).await;
        self.room.open(account.id).unwrap()
    }

    pub async fn received(&self, message: &[u8]) -> ReceivedMessage {
        let mut incoming = self.room.receive();
        for piece in message.chunks(10_000) {
            incoming.write(piece).await.unwrap();
        }
        incoming.finish().await.unwrap()
    }

    pub async fn deliver(&self, recipients: &[AccountId], message: &[u8]) -> Delivered {
        let message = self.received(message).await;
        let delivery = Delivery::new(message, recipients.to_vec(), 1_700_000_000);
        deliver(&self.room, delivery).await.unwrap()
    }

    pub async fn append(&self, mailbox: &Arc<Mailbox>, folder: &str, text: &str) -> Result<u32, MailError> {
        let message = self.received(message(text).as_bytes()).await;
        let flags = MessageFlags::system(flags::SEEN);
        let new = NewMessage { message, flags, internal_date: 1_700_000_000 };
        mailbox.append(folder, new, &Asker::default()).await.map(|appended| appended.uid)
    }

    /// Every counter is what the records say, every message has its content, every body as many messages as it counts.
    pub fn check_counters(&self) {
        let store = self.room.store();
        let folders = store.scan::<Folder>(.., usize::MAX).unwrap();
        let mut references = std::collections::HashMap::new();
        let mut usages = std::collections::HashMap::new();
        let mut total = 0;
        for (FolderKey { account, folder }, record) in &folders {
            let messages = store.scan::<Message>(MessageKey::of(*folder), usize::MAX).unwrap();
            let contents = store.scan::<Content>(MessageKey::of(*folder), usize::MAX).unwrap();
            total += messages.len();
            assert!(messages.iter().map(|(key, _)| key).eq(contents.iter().map(|(key, _)| key)), "{}", record.name);
            let bytes: u64 = messages.iter().map(|(_, message)| message.size).sum();
            let unseen = messages.iter().filter(|(_, message)| message.flags & flags::SEEN == 0).count();
            assert_eq!(
                (record.messages as usize, record.unseen as usize, record.bytes),
                (messages.len(), unseen, bytes),
                "{} of {account}",
                record.name
            );
            assert!(messages.iter().all(|(key, _)| key.uid < record.uid_next));
            assert!(messages.iter().all(|(_, message)| message.modseq <= record.highest_modseq));
            assert!(record.existence == FolderExistence::Selectable || messages.is_empty());
            let usage: &mut (u64, u64) = usages.entry(*account).or_default();
            *usage = (usage.0 + bytes, usage.1 + messages.len() as u64);
            for (_, message) in &messages {
                *references.entry(message.body).or_insert(0u64) += 1;
            }
        }
        for (_, queued) in store.scan::<QueueMessage>(.., usize::MAX).unwrap() {
            *references.entry(queued.body).or_insert(0u64) += 1;
        }
        for (account, usage) in store.scan::<Usage>(.., usize::MAX).unwrap() {
            let counted = usages.remove(&account).unwrap_or_default();
            assert_eq!((usage.bytes, usage.messages), counted, "usage of {account}");
        }
        let bodies = store.scan::<Body>(.., usize::MAX).unwrap();
        for (id, body) in bodies {
            assert_eq!(references.remove(&id), Some(body.references), "body {id}");
        }
        assert!(references.is_empty(), "messages without a body");
        assert_eq!(store.scan::<Message>(.., usize::MAX).unwrap().len(), total, "a message without a folder");
    }
}

fn open(directory: &Path) -> Store {
    let options = Options { cache: 8 << 20, reserve: 0, ..Options::default() };
    // A program that another test is starting holds the lock as well, from its fork to its exec.
    for _ in 0..100 {
        match Store::open(directory, &master(), &options) {
            Err(OpenError::InUse(_)) => std::thread::sleep(Duration::from_millis(20)),
            opened => return opened.unwrap().0,
        }
    }
    panic!("the store stays in use")
}

pub fn address(name: &str) -> Address {
    let text = if name.contains('@') { name.to_owned() } else { format!("{name}@aura.mssante.example") };
    Address::parse(&text).unwrap()
}

pub fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

pub fn professional() -> Holder {
    Holder {
        national_id: Some("899700000001".into()),
        first_name: Some("Zoé".into()),
        last_name: Some("Lefèvre".into()),
        ..Holder::default()
    }
}

pub fn structure() -> Holder {
    Holder { structure_id: Some("1010000024".into()), label: Some("Logiciel".into()), ..Holder::default() }
}

pub fn new_mailbox(name: &str) -> NewMailbox {
    NewMailbox { allow_password: true, ..NewMailbox::new(address(name), Kind::Per, professional()) }
}

/// A small message.
pub fn message(text: &str) -> String {
    format!("From: a@nouvelle-aquitaine.mssante.example\r\nSubject: {text}\r\n\r\nBonjour {text}\r\n")
}

pub fn uids(selected: &Selected) -> Vec<u32> {
    selected.iter().map(|(_, entry)| entry.uid).collect()
}

/// The whole text of a message.
pub async fn text_of(selected: &Selected, uid: u32) -> String {
    let body = selected.body(uid).await.unwrap();
    String::from_utf8(body.read(0..body.size).await.unwrap()).unwrap()
}

/// Runs a scenario on both engines.
#[macro_export]
macro_rules! on_both_engines {
    ($name:ident, $scenario:expr) => {
        mod $name {
            use super::*;
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_memory() {
                let scenario = $scenario;
                scenario($crate::support::House::in_memory()).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                let scenario = $scenario;
                scenario($crate::support::House::embedded()).await;
            }
        }
    };
}
