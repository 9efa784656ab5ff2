//! The embedded engine: one log for bodies and records, sled behind it as its index.
//!
//! **The log is the truth.** It is a row of segment files of checksummed, self-describing frames ([`frame`]): chunks of bodies
//! and commits. No frame in it is ever changed; a segment that is mostly dead is emptied once what lives in it has been
//! appended again (`compact.rs`). sled holds, for every key, the newest record (or, for one over 3 KiB, where in
//! the log it lies); it can be made again from the log at any time, and is, when it is lost.
//!
//! # The way of a commit
//!
//! ```text
//!            ┌ writer ───────────────────────────┐   ┌ syncer ─────────────────────────────────────┐
//! commit ──▶ │ expectations against in-flight    │──▶│ one sync_data for all groups written so far │
//! commit ──▶ │ and index; sequence and place;    │   │ their commits into sled, one atomic batch   │──▶ Committed, to each
//! chunk  ──▶ │ one writev for all that wait      │   │                                             │
//!            └───────────────────────────────────┘   └─────────────────────────────────────────────┘
//!                                     checkpointer: sled flush + our own sync of its files, then `checkpoint`
//! ```
//!
//! The writer goes on while the syncer syncs, so all who come during one sync share the next. What is written and not yet in
//! sled is "in flight": expectations see it, readers do not, so nothing is ever read that could be lost again.
//!
//! # Rules
//!
//! - **After a failed write or sync nothing positive is said.** The pages may be gone; trying again would only hide it. The
//!   engine stops ([`crate::store::Store::is_stopped`]), and the next start replays the log. A full disk is the one exception: what the
//!   failed write left is cut off again, and the waiters are told "full".
//! - **A torn tail can only be in the last segment**, since a new one is begun when the old one is wholly synced. Each frame
//!   notes up to where the log was synced when it was written; so a bad frame that a later frame knows to have been on disk is
//!   damage and is stepped over (and copied to `aside/`), and one that is not is torn and is cut.
//! - **Replay is idempotent.** A commit holds values, never differences; each key has the sequence of its last commit and takes
//!   only newer ones. So a start replays from the checkpoint without asking what sled has of it already.
//! - **What must be destroyed one day is not in the log** but in the ring of keys beside it ([`crate::store::Keyring`]).
//! - **The last change of a key in the log's order is its newest**, also when it was moved. So the whole log, with whatever
//!   segments a compaction has left of it, is the rebuild.
//! - **sled is never trusted to be durable, nor to be whole.** It holds up to where it has the log, in the same atomic step as
//!   the records; if that is less than the checkpoint says, or if it does not open, it is moved away and rebuilt.
//!
//! # Files
//!
//! `keys.rs` brings the ring of keys and the records together at a start, `home.rs` has the directory, `segment.rs` the segment
//! files and the walk over them, `frame.rs` the frames, `index.rs` the values in sled. Every format has a number; a newer one
//! is refused by name, never guessed at. `compact.rs` says why nothing is lost when space is given back; `survey.rs` finds what
//! lives, `moving.rs` is the writer's part, `anchors.rs` knows where bodies lie that are still coming in.
//!
//! # Room for what comes
//!
//! A snapshot of the records will be one more place to replay from, as the checkpoint is. Frame kinds from 4 on are free.

mod anchors;
mod check;
mod checkpoint;
mod chunk;
mod compact;
pub(in crate::store) mod durable;
pub mod frame;
mod home;
mod index;
mod keys;
mod mover;
mod moving;
mod replay;
mod segment;
mod shared;
mod stat;
mod survey;
mod syncer;
mod writer;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::batch::Batch;
use super::body::Chunk;
use super::engine::{Anchor, AppendReply, CommitReply, Engine, Haste, Raw, RawRange};
use super::error::{CommitError, OpenError, StoreError};
use super::keyring::Keyring;
use super::schema::{BodyId, Key, Meta, MetaKey, Place, Record, Table, raw_key};
use super::seal::MasterKey;
use crate::telemetry::Metrics;
use home::Home;
use index::Position;
use segment::Segments;
use shared::Shared;
use writer::{Request, Space, Writer};

pub use check::{BadRecord, CheckReport, Miscounted, UnreadableBody, check};
pub use compact::{Compacted, Compaction, Goal};
pub use home::STORE_FORMAT;
pub use keys::KeysOpening;
pub use replay::{Damage, Opening};
pub use segment::{Examined, SEGMENT_HEADER, examine};
pub use stat::{SegmentStat, StoreStat, Upgrade, stat, upgrade};

/// How the embedded engine works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes of memory for sled's cache.
    pub cache: u64,
    /// Bytes after which a segment is closed and a new one begun; 1 MiB to 1 GiB.
    pub segment: u32,
    /// A checkpoint is made after this time …
    pub checkpoint_every: Duration,
    /// … or after so many bytes of log, whichever comes first: it bounds what a start replays.
    pub checkpoint_bytes: u64,
    /// Free bytes on the disk below which no mail is taken in (and below a quarter of it, nothing).
    pub reserve: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            cache: 64 * 1024 * 1024,
            segment: 256 * 1024 * 1024,
            checkpoint_every: Duration::from_secs(30),
            checkpoint_bytes: 64 * 1024 * 1024,
            reserve: 64 * 1024 * 1024,
        }
    }
}

impl Options {
    fn check(&self) -> Result<(), OpenError> {
        let allowed = 1024 * 1024..=1024 * 1024 * 1024;
        if allowed.contains(&self.segment) {
            return Ok(());
        }
        Err(OpenError::Setting(format!("a segment has 1 MiB to 1 GiB, not {} bytes", self.segment)))
    }
}

/// Bytes of memory for sled's cache when a store is only looked at.
const INSPECTION_CACHE: u64 = 64 * 1024 * 1024;

/// Body numbers: the upper 24 bits are the number of the start, the lower 40 count.
const START_SHIFT: u32 = 40;

/// The embedded engine.
pub(super) struct Embedded {
    shared: Arc<Shared>,
    requests: Mutex<Option<Sender<Request>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next_body: AtomicU64,
    /// Held while the log is compacted.
    compaction: Mutex<compact::Memory>,
    home: Home,
    keys: Keyring,
    /// Damage was met at this start or at an earlier one.
    damaged: bool,
}

impl Embedded {
    /// Opens a store, or makes one; replays the log. Blocks.
    pub(super) fn open(path: &Path, master: &MasterKey, options: &Options) -> Result<(Self, Opening), OpenError> {
        options.check()?;
        Self::open_home(Home::open_or_create(path, master)?, options)
    }

    /// Opens a store that is there, without its master key, to look after the log.
    pub(super) fn open_for_upkeep(path: &Path, options: &Options) -> Result<(Self, Opening), OpenError> {
        options.check()?;
        Self::open_home(Home::open_existing(path)?, options)
    }

    fn open_home(home: Home, options: &Options) -> Result<(Self, Opening), OpenError> {
        let (keys, keys_found) = Keyring::open(&home.path, &home.salt, !home.has_ring())?;
        let segments = Arc::new(Segments::new(home.log()));
        let (index, tail, mut opening) = replay::open_index(&home, options.cache, &segments)?;
        opening.keys = KeysOpening::of(keys_found, &home);
        let (file, position) = open_tail(&home, &tail)?;
        let next_body =
            first_body(&index).map_err(|error| OpenError::Index { path: home.index(), reason: error.to_string() })?;
        let shared =
            Arc::new(Shared::new(options.clone(), home.salt, home.log(), home.checkpoint(), segments, index, position));
        if (opening.replayed > 0 || opening.rebuilt)
            && let Err(error) = syncer::checkpoint_now(&shared)
        {
            // The log is whole; the next start replays as much again. A full disk must not keep mail from being read.
            tracing::error!(%error, "the index could not be made durable after the replay");
        }
        let (requests, threads) = start_threads(&shared, file, position, Space::new(home.log(), options.reserve));
        let engine = Embedded {
            shared,
            requests: Mutex::new(Some(requests)),
            threads: Mutex::new(threads),
            next_body: AtomicU64::new(next_body << START_SHIFT | 1),
            compaction: Mutex::default(),
            damaged: opening.rebuilt || !opening.damaged.is_empty() || home.shows_damage(),
            home,
            keys,
        };
        engine.note_start(next_body)?;
        Ok((engine, opening))
    }

    /// Brings ring and records together, as the last step of an opening; says in `opening` what there was to do.
    pub(super) fn settle_keys(&self, store: &super::Store, opening: &mut Opening) -> Result<(), OpenError> {
        keys::settle(store, &self.home, &mut opening.keys)
    }

    /// Makes the number of this start durable, so that no later start gives a body's number again.
    fn note_start(&self, number: u64) -> Result<(), OpenError> {
        let mut batch = Batch::new();
        batch.put(&MetaKey::Starts, &Meta { next: number + 1 });
        let answer = self.submit(batch, Haste::Now);
        // On a thread of its own: the caller may be one that must not block on a tokio channel.
        let answer = thread::scope(|scope| scope.spawn(|| answer.blocking_recv()).join());
        let failed = |error: String| Err(OpenError::io("write to", self.home.log())(io::Error::other(error)));
        match answer {
            Ok(Ok(Ok(_))) => Ok(()),
            // A full disk must not keep people from reading: nothing is taken in while it lasts, and the bodies taken in
            // later tell the next start this number.
            Ok(Ok(Err(CommitError::Full))) => {
                tracing::error!(
                    event = "store.full",
                    "the store's disk is nearly full: it opens, and takes nothing in"
                );
                Ok(())
            }
            Ok(Ok(Err(error))) => failed(error.to_string()),
            _ => failed("the store stopped".to_owned()),
        }
    }

    fn send(&self, request: Request) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a receiver the request is dropped, and its waiter sees that the store stopped.
        if let Some(requests) = requests.as_ref() {
            let _ = requests.send(request);
        }
    }
}

/// The segment that is appended to: the last one, or a new one.
fn open_tail(home: &Home, tail: &replay::Tail) -> Result<(std::fs::File, Position), OpenError> {
    let sequence = tail.end.sequence;
    if let Some(segment) = tail.segment {
        let path = home.log().join(segment::file_name(segment));
        let file = segment::open_for_append(&path).map_err(OpenError::io("open", &path))?;
        let length = file.metadata().map_err(OpenError::io("read", &path))?.len();
        // What was replayed need not be synced: the process may have been killed before it could.
        file.sync_data().map_err(OpenError::io("sync", &path))?;
        return Ok((file, Position { segment, offset: length as u32, sequence }));
    }
    let segment = tail.highest + 1;
    let path = home.log().join(segment::file_name(segment));
    let file = segment::create(&home.log(), segment, &home.salt, sequence).map_err(OpenError::io("create", &path))?;
    Ok((file, Position { segment, offset: SEGMENT_HEADER, sequence }))
}

/// The number of this start: above that of every start before, even if its record was lost to damage.
fn first_body(index: &index::Index) -> Result<u64, StoreError> {
    let noted = index.get(&raw_key::<Meta>(&MetaKey::Starts))?.and_then(|raw| Meta::decode(&raw.value).ok());
    let body_table = vec![Table::Body as u8]..vec![Table::Body as u8 + 1];
    let range = (std::ops::Bound::Included(body_table.start), std::ops::Bound::Excluded(body_table.end));
    let last = index.scan(range, 1, true)?;
    let seen = last.first().and_then(|(key, _)| BodyId::decode(&key[1..])).map_or(0, |body| body.0 >> START_SHIFT);
    Ok(noted.map_or(1, |meta| meta.next).max(seen + 1))
}

fn start_threads(
    shared: &Arc<Shared>,
    file: std::fs::File,
    position: Position,
    space: Space,
) -> (Sender<Request>, Vec<JoinHandle<()>>) {
    let (requests, receive_requests) = mpsc::channel();
    let (written, receive_written) = mpsc::channel();
    let writer =
        Writer { shared: shared.clone(), requests: receive_requests, written, file: Arc::new(file), position, space };
    let (for_syncer, for_checkpoints) = (shared.clone(), shared.clone());
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)
            .expect("the system starts a thread at the store's opening")
    };
    let threads = vec![
        spawn("store-writer", Box::new(move || writer.run())),
        spawn("store-syncer", Box::new(move || syncer::run(&for_syncer, &receive_written))),
        spawn("store-checkpoint", Box::new(move || syncer::run_checkpoints(&for_checkpoints))),
    ];
    (requests, threads)
}

impl Engine for Embedded {
    fn get(&self, key: &[u8]) -> Result<Option<Raw>, StoreError> {
        self.shared.index.get(key)
    }

    fn scan(&self, range: RawRange, limit: usize, backwards: bool) -> Result<Vec<(Vec<u8>, Raw)>, StoreError> {
        self.shared.index.scan(range, limit, backwards)
    }

    fn keys_in(&self, range: RawRange, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        self.shared.index.keys(range, limit)
    }

    fn has_met_damage(&self) -> bool {
        self.damaged || self.shared.index.has_left_out()
    }

    fn submit(&self, batch: Batch, haste: Haste) -> CommitReply {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Commit { batch, haste, reply });
        answer
    }

    fn append(&self, chunk: Chunk, permit: OwnedSemaphorePermit) -> AppendReply {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Append { chunk, permit, reply });
        answer
    }

    fn chunk(&self, body: BodyId, index: u32, place: Place) -> Result<Vec<u8>, StoreError> {
        Ok(chunk::read(&self.shared.segments, &self.shared.salt, (body, index), place, 0)?.bytes)
    }

    fn next_body(&self) -> BodyId {
        BodyId(self.next_body.fetch_add(1, Ordering::Relaxed))
    }

    fn anchor(&self) -> Anchor {
        self.shared.anchors.hold()
    }

    fn compact(&self, goal: Goal<'_>) -> Result<Compacted, StoreError> {
        let mut memory = self.compaction.lock().unwrap_or_else(PoisonError::into_inner);
        compact::Pass::new(self, goal, &mut memory).run()
    }

    fn abandoned(&self, _places: &[Place]) {
        // Living bytes are counted, not dead ones: frames that nobody names are simply not among them.
    }

    fn keys(&self) -> &Keyring {
        &self.keys
    }

    fn free_space(&self) -> io::Result<u64> {
        free_space(&self.home.path)
    }

    fn count_into(&self, metrics: &Metrics) {
        let _ = self.shared.metrics.set(metrics.clone());
    }

    fn stopped(&self) -> watch::Receiver<bool> {
        self.shared.stopped_signal()
    }

    fn close(&self) {
        self.shared.close();
        self.send(Request::Close);
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        // Writer and syncer first: the last checkpoint holds all that they did.
        for (number, thread) in threads.drain(..).enumerate() {
            if number == 2 {
                self.shared.applied.close();
            }
            if thread.join().is_err() {
                self.shared.stop("a thread of the store panicked");
            }
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

/// Bytes that an unprivileged process may still write on the disk of a path.
fn free_space(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
