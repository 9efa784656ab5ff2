//! The mail room's speed: `cargo bench --bench mail [-- DIRECTORY [MESSAGES]]`.
//!
//! Prints a small table: the MIME reader on messages of several sizes; deliveries; then a folder of 100,000 messages:
//! opening it, all its summaries, flags of all, a session that looks again after one change.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use caducee::accounts::{AccountOptions, NewMailbox, Registry};
use caducee::audit::Asker;
use caducee::mail::summary::{Summary, SummaryBuilder, SummaryLimits};
use caducee::mail::{Delivery, FlagOp, MailLimits, MailRoom, Mailbox, MessageFlags, NewMessage, deliver};
use caducee::mss::{Address, Kind};
use caducee::store::{AccountId, Holder, MasterKey, Options, Store, flags};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let directory = arguments.next().map_or_else(|| std::env::temp_dir().join("caducee-bench-mail"), PathBuf::from);
    let messages = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    summaries_of_messages();
    let _ = std::fs::remove_dir_all(&directory);
    let master = MasterKey::generate();
    let (store, _) = Store::open(&directory, &master, &Options::default()).expect("a new store opens");
    let room =
        MailRoom::new(store, master, MailLimits { quota: None, ..MailLimits::default() }).expect("the room opens");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(mailboxes(&room, messages));
    drop(room);
    drop(runtime);
    let _ = std::fs::remove_dir_all(&directory);
}

fn summaries_of_messages() {
    for (name, size) in [("4 KB", 4_000), ("136 KB", 136_000), ("25 MiB", 25 << 20)] {
        let message = message(size);
        let rounds = (200_000_000 / message.len()).clamp(4, 20_000);
        let begin = Instant::now();
        let mut encoded = 0;
        for _ in 0..rounds {
            let mut builder = SummaryBuilder::new(SummaryLimits::default());
            for piece in message.chunks(16 * 1024) {
                builder.push(piece);
            }
            encoded = builder.finish().encode().len();
        }
        let each = begin.elapsed() / u32::try_from(rounds).unwrap_or(1);
        println!("summary of a message of {name:<8} {each:>12.1?} each, {encoded} bytes stored");
    }
    let encoded = read(&message(4_000)).encode();
    let begin = Instant::now();
    for _ in 0..100_000 {
        assert!(Summary::decode(&encoded).is_ok());
    }
    println!("a stored summary read back       {:>12.1?} each", begin.elapsed() / 100_000);
}

fn read(message: &[u8]) -> Summary {
    let mut builder = SummaryBuilder::new(SummaryLimits::default());
    builder.push(message);
    builder.finish()
}

async fn mailboxes(room: &MailRoom, messages: usize) {
    let registry = Registry::new(room.clone(), AccountOptions::default());
    let domain = "bench.mssante.example";
    registry.add_domain(&domain.parse().expect("a domain"), "").await.expect("a domain is added");
    let mut accounts = Vec::new();
    let begin = Instant::now();
    for n in 0..50 {
        accounts.push(account(&registry, n).await);
    }
    println!("mailboxes created                {:>12.1?} each", begin.elapsed() / 50);
    for (name, mailboxes, size, at_once) in
        [("to 1 mailbox", 1, 4_000, 16), ("to 50 mailboxes", 50, 4_000, 16), ("of 136 KB to 50", 50, 136_000, 16)]
    {
        deliveries(room, &accounts[..mailboxes], size, at_once, name).await;
    }
    let mailbox = room.open(accounts[0]).expect("it opens");
    mailbox.create("Grand").await.expect("a folder is made");
    fill(room, &mailbox, messages).await;
    large_folder(&mailbox).await;
}

async fn account(registry: &Registry, n: usize) -> AccountId {
    let address = Address::parse(&format!("u{n}@bench.mssante.example")).expect("an address");
    let holder =
        Holder { national_id: Some("899700000001".into()), last_name: Some("Banc".into()), ..Holder::default() };
    registry.create(NewMailbox::new(address, Kind::Per, holder)).await.expect("a mailbox is created").id
}

async fn deliveries(room: &MailRoom, accounts: &[AccountId], size: usize, at_once: usize, name: &str) {
    let until = Instant::now() + Duration::from_secs(3);
    let begin = Instant::now();
    let tasks: Vec<_> = (0..at_once)
        .map(|task| {
            let (room, accounts, message) = (room.clone(), accounts.to_vec(), message(size));
            tokio::spawn(async move {
                let mut count = 0;
                while Instant::now() < until {
                    let mut incoming = room.receive();
                    incoming.write(&message).await.expect("the body is taken");
                    let message = incoming.finish().await.expect("the body is whole");
                    let recipients = vec![accounts[(task + count) % accounts.len()]];
                    deliver(&room, Delivery::new(message, recipients, 0)).await.expect("delivered");
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for task in tasks {
        count += task.await.expect("the task ends");
    }
    println!(
        "deliveries {name:<21} {:>12.0} a second, {at_once} at once",
        count as f64 / begin.elapsed().as_secs_f64()
    );
}

async fn fill(room: &MailRoom, mailbox: &Arc<Mailbox>, messages: usize) {
    let text = message(1_500);
    let folder = caducee::mail::FolderName::parse("Grand").expect("a name");
    let mut left = messages;
    while left > 0 {
        let mut run = Vec::new();
        for _ in 0..left.min(500) {
            let mut incoming = room.receive();
            incoming.write(&text).await.expect("the body is taken");
            let message = incoming.finish().await.expect("the body is whole");
            run.push((folder.clone(), NewMessage { message, flags: MessageFlags::default(), internal_date: 0 }));
        }
        left -= run.len();
        mailbox.append_all(run, &Asker::default()).await.expect("the run is filed");
    }
}

async fn large_folder(mailbox: &Arc<Mailbox>) {
    let timed = |name: &str, begin: Instant| println!("{name:<32} {:>12.1?}", begin.elapsed());
    for name in ["select, first", "select, again"] {
        let begin = Instant::now();
        let session = mailbox.select("Grand", false).await.expect("it opens");
        timed(&format!("{name}: {}", session.exists()), begin);
    }
    let mut session = mailbox.select("Grand", false).await.expect("it opens");
    let mut other = mailbox.select("Grand", false).await.expect("it opens");
    let uids: Vec<u32> = session.iter().map(|(_, entry)| entry.uid).collect();
    for name in ["all summaries, first", "all summaries, again"] {
        let begin = Instant::now();
        let mut found = 0;
        for page in uids.chunks(1_000) {
            found += session.summaries(page.to_vec()).await.expect("they are read").len();
        }
        assert_eq!(found, uids.len());
        timed(name, begin);
    }
    let begin = Instant::now();
    let flagged = MessageFlags::system(flags::FLAGGED);
    session.store_flags(&uids[5_000..5_001], FlagOp::Add, &flagged, None).await.expect("it is stored");
    timed("one flag", begin);
    let begin = Instant::now();
    assert_eq!(other.refresh(true).len(), 1);
    timed("another session looks", begin);
    let begin = Instant::now();
    let seen = MessageFlags::system(flags::SEEN);
    session.store_flags(&uids, FlagOp::Add, &seen, None).await.expect("it is stored");
    timed("flags of all", begin);
    let begin = Instant::now();
    session.copy(&uids[..10_000.min(uids.len())], "Archive").await.expect("they are copied");
    timed("copy of 10,000", begin);
}

/// A message with the headers of real mail, a text and an attachment in base64.
fn message(size: usize) -> Vec<u8> {
    let mut text = b"Return-Path: <dr.martin@nouvelle-aquitaine.mssante.example>\r\n\
Received: from mx.nouvelle-aquitaine.mssante.example by mx.bench.mssante.example with ESMTPS; Sun, 22 Nov 2026 01:00:00 +0000\r\n\
Date: Sun, 22 Nov 2026 01:00:00 +0000\r\n\
From: =?utf-8?q?J=C3=A9r=C3=B4me_Martin?= <dr.martin@nouvelle-aquitaine.mssante.example>\r\n\
To: u1@bench.mssante.example, Secretariat <u2@bench.mssante.example>\r\n\
Subject: =?utf-8?q?Compte_rendu_d=27hospitalisation?=\r\n\
Message-ID: <20261122.010000.1@nouvelle-aquitaine.mssante.example>\r\nMIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=\"=_limite\"\r\n\r\n\
--=_limite\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nBonjour\r\n\
--=_limite\r\nContent-Type: application/zip; name=\"IHE_XDM.zip\"\r\nContent-Transfer-Encoding: base64\r\n\
Content-Disposition: attachment; filename=\"IHE_XDM.zip\"\r\n\r\n"
        .to_vec();
    let line = b"UEsDBBQAAAAIAGNhZHVjZWUgYmVuY2ggbWVzc2FnZSBib2R5IGxpbmUgb2YgNzYgb2N0ZXRzIQ==\r\n";
    while text.len() + line.len() + 20 < size {
        text.extend_from_slice(line);
    }
    text.extend_from_slice(b"\r\n--=_limite--\r\n");
    text
}
