//! The store's speed: `cargo bench --bench store [-- DIRECTORY]`. Every figure is durable: synced before it is counted.
//!
//! Prints a small table: commits a second with 1, 8 and 64 waiting; deliveries of several sizes with the CPU time that each
//! costs; the peak of memory with 200 bodies of 25 MiB at once; how long commits take while the log is compacted beside them.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use caducee::store::{
    AccountId, Batch, Compaction, Content, Folder, FolderId, FolderKey, MailboxKey, MasterKey, Message, MessageKey,
    Options, Store, Usage,
};
use caducee::telemetry::Metrics;

const TIME: Duration = Duration::from_secs(4);

fn main() {
    let directory = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let directory = directory.map_or_else(|| std::env::temp_dir().join("caducee-bench-store"), PathBuf::from);
    let _ = std::fs::remove_dir_all(&directory);
    let master = MasterKey::generate();
    let (store, _) = Store::open(&directory, &master, &Options::default()).expect("a new store opens");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(measure(&store));
    drop(store);
    for rate in [0, 16 << 20, u64::MAX] {
        runtime.block_on(beside_compaction(&directory, &master, rate));
    }
    let _ = std::fs::remove_dir_all(&directory);
}

async fn measure(store: &Store) {
    println!("{:<44} {:>10} {:>12} {:>10}", "work", "per second", "CPU each", "MB/s");
    for waiting in [1, 8, 64] {
        let name = format!("small commits, {waiting} waiting");
        report(&name, run_for(waiting, |writer| small_commits(store.clone(), writer)).await);
    }
    for waiting in [1, 8, 64] {
        let name = format!("deliveries of 3 KB, {waiting} waiting");
        report(&name, run_for(waiting, |_| deliveries(store.clone(), 3_000)).await);
    }
    report("deliveries of 136 KB, 16 waiting", run_for(16, |_| deliveries(store.clone(), 136_000)).await);
    report("deliveries of 25 MiB, 16 waiting", run_for(16, |_| deliveries(store.clone(), 25 << 20)).await);
    let before = memory("VmRSS");
    report("deliveries of 25 MiB, 200 waiting", run_for(200, |_| deliveries(store.clone(), 25 << 20)).await);
    println!("memory: {} MiB before the 200, {} MiB at the peak", before / 1024, memory("VmHWM") / 1024);
}

/// How long commits take while the log is compacted at a rate beside them.
async fn beside_compaction(directory: &Path, master: &MasterKey, rate: u64) {
    let metrics = Metrics::default();
    let (store, _) = Store::open(directory, master, &Options::default()).expect("the store opens again");
    let store = store.counted_by(&metrics);
    // Whatever has a dead byte in it is moved: there is always something to do.
    let goal = Compaction { dead_percent: 0, rate, settle: Duration::ZERO, whole: true, in_spite_of_damage: false };
    let at_work = store.clone();
    let compacting = std::thread::spawn(move || while rate > 0 && at_work.compact_blocking(&goal).is_ok() {});
    let name = match rate {
        0 => "small commits, 8 waiting".to_owned(),
        u64::MAX => "… and a compaction that knows no bounds".to_owned(),
        rate => format!("… and a compaction of {} MiB/s", rate >> 20),
    };
    // A segment is read through before anything is moved: at a rate, that takes some time.
    let time = if rate == 0 { TIME } else { 8 * TIME };
    latencies(&name, &store, time).await;
    let moved = metrics.store_moved.get();
    // Ends the compaction too.
    store.close();
    compacting.join().expect("a compaction does not panic");
    if rate > 0 {
        println!("  {} MB were moved meanwhile", moved / 1_000_000);
    }
}

/// Prints how long small commits take, from the request to the answer.
async fn latencies(name: &str, store: &Store, time: Duration) {
    let all = Arc::new(Mutex::new(Vec::new()));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let (store, all) = (store.clone(), all.clone());
            tokio::spawn(async move {
                let (start, mut mine) = (Instant::now(), Vec::new());
                while start.elapsed() < time {
                    let begun = Instant::now();
                    let mut batch = Batch::new();
                    batch.put(&AccountId(writer), &Usage { bytes: mine.len() as u64, ..Usage::default() });
                    store.commit(batch).await.expect("a commit is made");
                    mine.push(begun.elapsed());
                }
                all.lock().expect("no writer panics").extend(mine);
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer does not panic");
    }
    let mut all = all.lock().expect("no writer panics");
    all.sort_unstable();
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
    println!("{name:<44} {:>10} commits: median {:?}, 99 % {:?}, longest {:?}", all.len(), at(0.5), at(0.99), at(1.0));
}

/// What was done: number, bytes, wall time, CPU time.
struct Done {
    number: u64,
    bytes: u64,
    wall: Duration,
    cpu: Duration,
}

fn report(name: &str, done: Done) {
    let seconds = done.wall.as_secs_f64();
    let each = done.cpu.as_secs_f64() * 1e3 / done.number.max(1) as f64;
    let (rate, megabytes) = (done.number as f64 / seconds, done.bytes as f64 / seconds / 1e6);
    println!("{name:<44} {rate:>10.0} {each:>9.3} ms {megabytes:>10.1}");
}

/// Runs writers side by side for [`TIME`]; each returns what it did.
async fn run_for<F: Future<Output = (u64, u64)> + Send + 'static>(writers: u64, work: impl Fn(u64) -> F) -> Done {
    let (start, cpu) = (Instant::now(), cpu_time());
    let tasks: Vec<_> = (0..writers).map(|writer| tokio::spawn(work(writer))).collect();
    let (mut number, mut bytes) = (0, 0);
    for task in tasks {
        let (done, size) = task.await.expect("a writer does not panic");
        number += done;
        bytes += size;
    }
    Done { number, bytes, wall: start.elapsed(), cpu: cpu_time().saturating_sub(cpu) }
}

async fn small_commits(store: Store, writer: u64) -> (u64, u64) {
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed() < TIME {
        let mut batch = Batch::new();
        batch.put(&AccountId(writer), &Usage { bytes: done, ..Usage::default() });
        store.commit(batch).await.expect("a commit is made");
        done += 1;
    }
    (done, 0)
}

/// Deliveries as mail makes them: body, message, content, folder and usage in one commit.
async fn deliveries(store: Store, size: usize) -> (u64, u64) {
    let (start, key) = (Instant::now(), MailboxKey::generate());
    let piece = vec![b'x'; 16 * 1024];
    static NEXT: AtomicU64 = AtomicU64::new(1_000_000);
    let account = AccountId(NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = FolderKey { account, folder: FolderId(account.0) };
    let mut record = Folder { name: "INBOX".into(), uid_next: 1, ..Folder::default() };
    while start.elapsed() < TIME {
        let mut sink = store.body_sink();
        let mut left = size;
        while left > 0 {
            let now = left.min(piece.len());
            sink.write(&piece[..now]).await.expect("a body is taken in");
            left -= now;
        }
        let staged = sink.finish().await.expect("a body is taken in");
        let message = MessageKey { folder: folder.folder, uid: record.uid_next };
        record.uid_next += 1;
        record.messages += 1;
        let mut batch = Batch::new();
        let (body, size) = (staged.id, staged.size);
        let entry = Message { modseq: 1, flags: 0, keywords: 0, internal_date: 0, saved_at: 0, size, body };
        let sealed_body_key = key.seal_body_key(body, &staged.key);
        batch.insert(&message, &entry);
        batch.insert(&message, &Content { sealed_body_key, sealed_summary: key.seal_bytes(b"", &[b's'; 700]) });
        batch.put(&folder, &record);
        batch.put(&account, &Usage { bytes: record.messages.into(), ..Usage::default() });
        batch.adopt(staged, 1);
        store.commit(batch).await.expect("a commit is made");
    }
    (u64::from(record.messages), u64::from(record.messages) * size as u64)
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    // Linux counts in hundredths of a second here, on every architecture that we run on.
    Duration::from_millis(ticks * 10)
}

/// A line of `/proc/self/status`, in KiB.
fn memory(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(what));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse().ok()).unwrap_or(0)
}
