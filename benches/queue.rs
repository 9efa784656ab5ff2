//! The queue at its largest: `cargo bench --bench queue [-- DIRECTORY [MESSAGES [DOMAINS [CACHE]]]]`, the cache in MiB.
//!
//! Prints a small table: messages taken in, sixteen at once; then, in a process of its own, the start with all of them
//! waiting and the memory that it takes; a round of tries that all find their destination away; what waiting costs; taking
//! everything out.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use caducee::mail::queue::{Destination, Kind, OnlyCopies, Outbound, OutboundRecipient, Outcome, Selection, Words};
use caducee::mail::{MailLimits, MailRoom};
use caducee::mss::Address;
use caducee::store::{MasterKey, Options, Store};
use caducee::wire::smtp::params::{MailParams, RcptParams};

/// Senders at once.
const AT_ONCE: usize = 16;

/// Set for the process that measures the start.
const SECOND: &str = "CADUCEE_BENCH_SECOND";

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let directory = arguments.next().map_or_else(|| std::env::temp_dir().join("caducee-bench-queue"), PathBuf::from);
    let messages = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let domains = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(500);
    let cache = arguments.next().and_then(|text| text.parse::<u64>().ok());
    let cache = cache.map_or(Options::default().cache, |mebibytes| mebibytes << 20);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    if std::env::var_os(SECOND).is_some() {
        return runtime.block_on(started(&directory, cache));
    }
    let _ = std::fs::remove_dir_all(&directory);
    let room = open(&directory, cache);
    runtime.block_on(fill(&room, messages, domains));
    room.store().close();
    drop(room);
    // Memory is told of a process that starts with a full queue, not of the one that filled it.
    let program = std::env::current_exe().expect("this program has a path");
    let status = Command::new(program)
        .env(SECOND, "1")
        .args(std::env::args_os().skip(1))
        .status()
        .expect("this program runs again");
    let _ = std::fs::remove_dir_all(&directory);
    assert!(status.success());
}

fn open(directory: &Path, cache: u64) -> MailRoom {
    let master = MasterKey::from_bytes([7; 32]);
    let (store, _) =
        Store::open(directory, &master, &Options { cache, ..Options::default() }).expect("the store opens");
    MailRoom::new(store, master, MailLimits::default()).expect("the room opens")
}

async fn fill(room: &MailRoom, messages: usize, domains: usize) {
    let begin = Instant::now();
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|task| {
            let room = room.clone();
            tokio::spawn(async move {
                for number in (task..messages).step_by(AT_ONCE) {
                    enqueue(&room, &format!("a@dead{}.mssante.example", number % domains)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task ends");
    }
    let rate = messages as f64 / begin.elapsed().as_secs_f64();
    println!("{:<44} {rate:>12.0} a second", format!("{messages} messages to {domains} domains taken in"));
}

async fn enqueue(room: &MailRoom, recipient: &str) {
    let mut incoming = room.receive();
    incoming.write(&[b'x'; 4_000]).await.expect("the body is taken");
    let address = Address::parse(recipient).expect("an address");
    let outbound = Outbound {
        kind: Kind::Mail,
        sender: Some(Address::parse("u1@bench.mssante.example").expect("an address")),
        account: None,
        params: MailParams::default(),
        recipients: vec![OutboundRecipient { address, params: RcptParams::default() }],
        message_id: Some("<20261122.010000.1@bench.mssante.example>".into()),
        reference: "6921b2c0-1f/2".into(),
        skip: 0,
        header: 400,
        not_before: None,
    };
    let message = incoming.finish().await.expect("the body is whole");
    room.queue().enqueue(outbound, message).await.expect("it is queued");
}

async fn started(directory: &Path, cache: u64) {
    let master = MasterKey::from_bytes([7; 32]);
    let begin = Instant::now();
    let (store, _) =
        Store::open(directory, &master, &Options { cache, ..Options::default() }).expect("the store opens");
    timed("the store opens", begin);
    let before = resident();
    let begin = Instant::now();
    let room = MailRoom::new(store, master, MailLimits::default()).expect("the room opens");
    timed("the queue opens", begin);
    let queue = room.queue().clone();
    let count = queue.counts().consignments;
    println!("{:<44} {:>12}", "consignments in it", count);
    println!("{:<44} {:>12.1} MiB, of which the queue {:.1}", "resident memory", resident(), resident() - before);

    let begin = Instant::now();
    let mut tries = 0;
    while let Ok(Some(attempt)) = tokio::time::timeout(Duration::from_millis(100), queue.next()).await {
        let away = Words { code: None, status: "4.4.1".into(), text: "no answer".into(), host: None, rule: None };
        queue.settle(attempt, Outcome { recipients: Vec::new(), destination: Destination::Away(away) }).await;
        tries += 1;
    }
    timed(&format!("{tries} tries, one by one: all away"), begin);
    let (begin, cpu) = (Instant::now(), processor_seconds());
    let _nothing_is_due =
        tokio::time::timeout(Duration::from_secs(5), async { tokio::join!(queue.next(), queue.tend()) }).await;
    let used = processor_seconds() - cpu;
    println!("{:<44} {:>12.3} % of a processor", "waiting", used / begin.elapsed().as_secs_f64() * 100.0);
    println!("{:<44} {:>12.1} MiB", "resident memory", resident());
    let begin = Instant::now();
    let page = queue.list(&Selection::default(), None, 1_000).expect("it is listed");
    timed(&format!("a page of {}", page.messages.len()), begin);
    let begin = Instant::now();
    let handled = queue.cancel(Selection::default(), OnlyCopies::Spare).await.expect("all are cancelled");
    timed(&format!("{} cancelled", handled.consignments), begin);
}

fn timed(name: &str, begin: Instant) {
    println!("{name:<44} {:>12.1?}", begin.elapsed());
}

/// `VmRSS`, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}

/// Processor time of this process so far, with the kernel's ticks of a hundredth.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name in brackets").split_ascii_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}
