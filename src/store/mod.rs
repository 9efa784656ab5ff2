//! The store: the only room that touches disk.
//!
//! Mail's meaning is written once, over a narrow waist: get a record, scan a range of them, commit a batch, take a body in,
//! read a piece of one. What keeps them is an engine: [`embedded`] in a server, one in memory for the tests of other rooms;
//! `tests/store/conformance.rs` holds both to the same meaning.
//!
//! # The rules
//!
//! 1. **A [`Committed`] means: on disk, synced, found again after a power cut.** Only the store makes one, and every positive
//!    answer of the server is made from one. [`CommitError::Unknown`] means that nobody knows; the server then stops answering.
//! 2. **A batch is made whole or not at all**, and only if its expectations hold at that moment ("this record still has this
//!    version"). That is how UIDs, modification sequences, quotas and counters stay right.
//! 3. **One damaged record costs one message**, never a mailbox and never the start.
//! 4. **What is content is sealed** ([`seal`]) before it comes here or on its way in; the log holds no plain body.
//! 5. **A key that must be destroyed one day never comes into the log**: it lives in the ring ([`Keyring`]).
//!
//! # The way of a message
//!
//! ```text
//! bytes ─▶ BodySink ─▶ chunks of 64 KiB, sealed under a key of the body's own ─▶ the log        (not yet anybody's)
//!             │
//!          finish() ─▶ StagedBody {id, key, size}, its last chunk still in memory
//!                          │ adopt
//! Message, Content, ──▶ Batch ─▶ commit() ─▶ last chunk and commit in one write, one sync for all who wait ─▶ Committed
//! Folder, Usage, Change
//! ```
//!
//! Reading goes the other way: [`Store::get`] and [`Store::scan`] ask the index and never wait for a write;
//! [`Store::read_body`] reads and opens just the chunks that a range touches. What nobody shows any more gives its space back
//! when [`Store::compact_blocking`] has moved what lives beside it.
//!
//! What the records are is in [`schema`]; how they lie on disk in [`embedded`]. Traces lie beside the store, in files of a day
//! each: [`traces`].

mod batch;
mod body;
pub mod embedded;
mod engine;
mod error;
mod keyring;
mod memory;
pub mod schema;
#[cfg(test)]
pub(crate) mod scratch;
pub mod seal;
pub mod traces;

use std::future::Future;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use tokio::sync::Semaphore;

use crate::telemetry::Metrics;

use embedded::Embedded;
use engine::{Engine, Haste, Raw, RawRange};
use memory::Memory;

pub use batch::{Batch, Committed, Expect, Versioned};
pub use body::{BodySink, CHUNK, StagedBody, StagedReader};
pub use embedded::{Compacted, Compaction, Damage, Goal, Opening, Options, check, stat, upgrade};
pub use error::{CommitError, OpenError, StoreError};
pub use keyring::{KEYS_FORMAT, KeyFate, KeyOwner, Keyring, KeysFound};
pub use schema::*;
pub use seal::{BodyKey, MailboxKey, MasterKey, SealError, SealedKey};

/// Bytes of records that one commit may hold. Cut larger work (copying 100,000 messages) into several.
pub const MAX_COMMIT: usize = 32 * 1024 * 1024;

/// Keys that are counted at a time.
const KEYS: usize = 4_096;

/// Chunks of bodies that may be on their way to the log at one time, over all sinks: 16 MiB.
const CHUNKS_IN_FLIGHT: usize = 256;

/// What a scan gives: records with their keys, in order.
pub type Rows<R> = Vec<(<R as Record>::Key, Versioned<R>)>;

/// A handle of the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    budget: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    /// A list has left a damaged record out.
    left_out: Arc<AtomicBool>,
}

/// Wakes a thread that waits for a future.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    fn with_engine(engine: Arc<dyn Engine>) -> Self {
        Store {
            engine,
            budget: Arc::new(Semaphore::new(CHUNKS_IN_FLIGHT)),
            metrics: Arc::default(),
            left_out: Arc::default(),
        }
    }

    /// Opens the store in a directory, or makes one there if the directory is missing or empty. Replays what the log has and
    /// the index has not; says in [`Opening`] what was found. Blocks: a start after a crash reads up to
    /// [`Options::checkpoint_bytes`] of log, a rebuild of the index all of it.
    ///
    /// # Errors
    /// See [`OpenError`]: in use, another master key, a newer format, not a store. Damage is no error.
    pub fn open(path: &Path, master: &MasterKey, options: &Options) -> Result<(Self, Opening), OpenError> {
        let (engine, mut opening) = Embedded::open(path, master, options)?;
        let engine = Arc::new(engine);
        let store = Store::with_engine(engine.clone());
        engine.settle_keys(&store, &mut opening)?;
        Ok((store, opening))
    }

    /// Opens a store that is there, without its master key: to look after the log. What is sealed stays sealed.
    ///
    /// # Errors
    /// As [`Store::open`]; [`OpenError::Missing`] where there is none.
    pub fn open_for_upkeep(path: &Path, options: &Options) -> Result<(Self, Opening), OpenError> {
        let (engine, opening) = Embedded::open_for_upkeep(path, options)?;
        Ok((Store::with_engine(Arc::new(engine)), opening))
    }

    /// Counts commits, their duration, and what is written and synced, from now on and for handles cloned from this one.
    #[must_use]
    pub fn counted_by(mut self, metrics: &Metrics) -> Self {
        self.engine.count_into(metrics);
        self.metrics = Arc::new(metrics.clone());
        self
    }

    /// A store in memory, for tests: the same meaning, nothing durable.
    #[must_use]
    pub fn in_memory() -> Self {
        Store::with_engine(Arc::new(Memory::default()))
    }

    /// Reads a record. Quick (the index is in memory or in the page cache): may be called from async code.
    ///
    /// # Errors
    /// [`StoreError::Record`] when it is damaged.
    pub fn get<R: Record>(&self, key: &R::Key) -> Result<Option<Versioned<R>>, StoreError> {
        match self.engine.get(&raw_key::<R>(key))? {
            Some(raw) => decode(&raw).map(Some),
            None => Ok(None),
        }
    }

    /// Up to `limit` records of a range of keys, in order. A damaged record is left out, and logged: it costs itself, not
    /// the list. Fewer than `limit` records mean that the range ends there.
    ///
    /// # Errors
    /// [`StoreError`] when the index fails.
    pub fn scan<R: Record>(&self, range: impl RangeBounds<R::Key>, limit: usize) -> Result<Rows<R>, StoreError> {
        self.scan_raw(raw_range::<R>(&range), limit, false)
    }

    /// As [`Store::scan`], backwards from the range's end.
    ///
    /// # Errors
    /// [`StoreError`] when the index fails.
    pub fn scan_back<R: Record>(&self, range: impl RangeBounds<R::Key>, limit: usize) -> Result<Rows<R>, StoreError> {
        self.scan_raw(raw_range::<R>(&range), limit, true)
    }

    /// Up to `limit` keys of a range, in order: those too whose records do not read, so that who has to end with each of them
    /// meets it ([`Store::get`] says that it is damaged).
    ///
    /// # Errors
    /// [`StoreError`] when the index fails.
    pub fn keys_of<R: Record>(&self, range: impl RangeBounds<R::Key>, limit: usize) -> Result<Vec<R::Key>, StoreError> {
        let keys = self.engine.keys_in(raw_range::<R>(&range), limit)?;
        Ok(keys.iter().filter_map(|key| R::Key::decode(&key[1..])).collect())
    }

    /// How many records a range has, counted up to `most`; no more than a page of keys is in memory.
    ///
    /// # Errors
    /// [`StoreError`] when the index fails.
    pub fn count<R: Record>(&self, range: impl RangeBounds<R::Key>, most: usize) -> Result<usize, StoreError> {
        let ((mut from, to), mut count) = (raw_range::<R>(&range), 0);
        while count < most {
            let keys = self.engine.keys_in((from, to.clone()), KEYS.min(most - count))?;
            count += keys.len();
            match keys.into_iter().next_back() {
                Some(last) if count % KEYS == 0 => from = Bound::Excluded(last),
                _ => break,
            }
        }
        Ok(count)
    }

    fn scan_raw<R: Record>(
        &self,
        (mut from, mut to): RawRange,
        limit: usize,
        backwards: bool,
    ) -> Result<Rows<R>, StoreError> {
        let mut out = Vec::new();
        loop {
            let wanted = limit - out.len();
            let rows = self.engine.scan((from.clone(), to.clone()), wanted, backwards)?;
            let last = rows.last().filter(|_| rows.len() == wanted).map(|(key, _)| Bound::Excluded(key.clone()));
            out.extend(rows.into_iter().filter_map(|row| self.decode_row::<R>(row)));
            // Damaged rows were left out of a full page: go on behind it.
            match last {
                Some(last) if out.len() < limit && backwards => to = last,
                Some(last) if out.len() < limit => from = last,
                _ => return Ok(out),
            }
        }
    }

    fn decode_row<R: Record>(&self, (key, raw): (Vec<u8>, Raw)) -> Option<(R::Key, Versioned<R>)> {
        let row = R::Key::decode(&key[1..]).zip(decode::<R>(&raw).ok());
        if row.is_none() {
            self.left_out.store(true, Ordering::Relaxed);
            tracing::error!(table = R::TABLE.name(), version = raw.version, "a damaged record is left out");
        }
        row
    }

    /// Whether records may be missing that were once written: damage was met at this start or at an earlier one, or a list
    /// has left a damaged record out since. What can be made again of what is missing is worth looking for then.
    #[must_use]
    pub fn has_met_damage(&self) -> bool {
        self.engine.has_met_damage() || self.left_out.load(Ordering::Relaxed)
    }

    /// Makes a batch durable. The commit is on its way when this returns, in the order of the calls, even if the future is
    /// dropped; the future says how it went. Its records are seen by [`Store::get`] once it has answered.
    ///
    /// # Errors
    /// See [`CommitError`]; only [`CommitError::Unknown`] leaves doubt.
    pub fn commit(&self, batch: Batch) -> impl Future<Output = Result<Committed, CommitError>> + Send + 'static {
        self.submit(batch, Haste::Now)
    }

    /// [`Store::commit`] of what nobody waits for: it may wait some milliseconds for others to share their sync. It is written
    /// at once, and seen and answered as late as any: after the sync.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_soon(&self, batch: Batch) -> impl Future<Output = Result<Committed, CommitError>> + Send + 'static {
        self.submit(batch, Haste::Soon)
    }

    fn submit(
        &self,
        batch: Batch,
        haste: Haste,
    ) -> impl Future<Output = Result<Committed, CommitError>> + Send + 'static + use<> {
        let reply = self.engine.submit(batch, haste);
        let (metrics, begun) = (Arc::clone(&self.metrics), Instant::now());
        async move {
            let sequence = reply.await.unwrap_or(Err(CommitError::Unknown))?;
            metrics.commits.inc();
            metrics.commit_latency.0.observe(begun.elapsed().as_secs_f64());
            Ok(Committed::new(sequence))
        }
    }

    /// [`Store::commit`] for a thread that may block.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_blocking(&self, batch: Batch) -> Result<Committed, CommitError> {
        // The engine answers from threads of its own, so this ends also on a thread of the runtime, which must not give
        // up its turn in the middle of it.
        let mut outcome = std::pin::pin!(tokio::task::coop::unconstrained(self.commit(batch)));
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        loop {
            match outcome.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    /// Takes `count` numbers from a counter, durably, and returns the first. Numbers start at 1 and are never given twice;
    /// those of a caller that fails afterwards are lost.
    ///
    /// # Errors
    /// As [`Store::commit`], but never a conflict.
    pub async fn allocate(&self, counter: MetaKey, count: u64) -> Result<u64, CommitError> {
        loop {
            let current = self.get::<Meta>(&counter).map_err(|_| CommitError::Unknown)?;
            let first = current.as_ref().map_or(1, |meta| meta.next);
            let expect = current.map_or(Expect::Absent, |meta| Expect::Version(meta.version));
            let mut batch = Batch::new();
            batch.expect::<Meta>(&counter, expect).put(&counter, &Meta { next: first + count });
            match self.commit(batch).await {
                Ok(_) => return Ok(first),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The keys that can be destroyed: mailboxes', and the queue's.
    #[must_use]
    pub fn keys(&self) -> &Keyring {
        self.engine.keys()
    }

    /// [`Keyring::insert`] from async code: in the blocking pool.
    ///
    /// # Errors
    /// As [`Keyring::insert`].
    pub async fn insert_key(&self, owner: KeyOwner, key: SealedKey) -> Result<(), StoreError> {
        let store = self.clone();
        let inserted = tokio::task::spawn_blocking(move || store.keys().insert(owner, &key)).await;
        inserted.unwrap_or(Err(StoreError::Stopped))
    }

    /// [`Keyring::wipe`] from async code: in the blocking pool. Goes on to its end if nobody waits for it.
    ///
    /// # Errors
    /// As [`Keyring::wipe`].
    pub async fn wipe_keys(&self, owners: Vec<KeyOwner>) -> Result<(), StoreError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.keys().wipe(&owners)).await.unwrap_or(Err(StoreError::Stopped))
    }

    /// A sink for a new body.
    #[must_use]
    pub fn body_sink(&self) -> BodySink {
        BodySink::new(self.engine.clone(), self.budget.clone())
    }

    /// Reads a range of a body's plain bytes; what lies beyond its end is left out. Runs in the blocking pool, reads and
    /// opens only the chunks of [`CHUNK`] bytes that the range touches. Ask for pieces of a bounded size.
    ///
    /// # Errors
    /// [`StoreError::NoBody`], [`StoreError::DamagedChunk`], or what the disk says.
    pub async fn read_body(&self, id: &BodyId, key: &BodyKey, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let (store, id, key) = (self.clone(), *id, key.clone());
        tokio::task::spawn_blocking(move || store.read_body_blocking(&id, &key, range))
            .await
            .unwrap_or(Err(StoreError::Stopped))
    }

    /// [`Store::read_body`] for a thread that may block.
    ///
    /// # Errors
    /// As [`Store::read_body`].
    pub fn read_body_blocking(&self, id: &BodyId, key: &BodyKey, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let look_up = || self.get::<Body>(id)?.ok_or(StoreError::NoBody(*id));
        let mut body = look_up()?;
        loop {
            let error = match body::read(self.engine.as_ref(), *id, &body, key, range.clone()) {
                Err(error @ StoreError::DamagedChunk { .. }) => error,
                read => return read,
            };
            // A compaction may have moved the chunk since, or the body may be gone: only what is to be found where its
            // record still says, and is not, is damaged.
            let now = look_up()?;
            if now.places == body.places {
                return Err(error);
            }
            body = now;
        }
    }

    /// Gives the space of what is dead back: moves what lives out of segments that are dead for the larger part, and empties
    /// them. Blocks, for as long as there is much to move at the goal's rate; one at a time, whoever asks. Mail goes on beside
    /// it. Ends early when the store is closed.
    ///
    /// # Errors
    /// [`StoreError::Full`] when there is no room to move to, [`StoreError::ShowsDamage`], [`StoreError::Stopped`], or what the
    /// disk says. Nothing is lost then: what was moved lies there twice until a later call has emptied the place where it was.
    pub fn compact_blocking(&self, goal: &Compaction) -> Result<Compacted, StoreError> {
        self.compact_while(&|| Some(goal.clone()))
    }

    /// As [`Store::compact_blocking`], with a goal that is asked for again at each step: with `None` the work ends there, and
    /// nothing more is moved or emptied.
    ///
    /// # Errors
    /// As there.
    pub fn compact_while(&self, goal: Goal<'_>) -> Result<Compacted, StoreError> {
        self.engine.compact(goal)
    }

    /// Bytes free on the store's disk, for the check before mail is taken in.
    ///
    /// # Errors
    /// What the system says.
    pub fn free_space(&self) -> io::Result<u64> {
        self.engine.free_space()
    }

    /// Whether the store stopped after a failed write: no commit succeeds any more, and the process should be restarted.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.engine.stopped().borrow()
    }

    /// Resolves when the store has stopped (see [`Store::is_stopped`]).
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stopped = self.engine.stopped();
        async move {
            if stopped.wait_for(|stopped| *stopped).await.is_err() {
                // The store was closed in good order: it will never stop.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Notes the state for a quick next start and stops: later commits are [`CommitError::Unknown`]. Blocks for a moment.
    /// A store that is not closed loses nothing; its next start replays a little more.
    pub fn close(&self) {
        self.budget.close();
        self.engine.close();
    }
}

fn decode<R: Record>(raw: &Raw) -> Result<Versioned<R>, StoreError> {
    match R::decode(&raw.value) {
        Ok(record) => Ok(Versioned { version: Version(raw.version), record }),
        Err(source) => Err(StoreError::Record { table: R::TABLE, source }),
    }
}

fn raw_range<R: Record>(range: &impl RangeBounds<R::Key>) -> RawRange {
    let from = match range.start_bound() {
        Bound::Included(key) => Bound::Included(raw_key::<R>(key)),
        Bound::Excluded(key) => Bound::Excluded(raw_key::<R>(key)),
        Bound::Unbounded => Bound::Included(vec![R::TABLE as u8]),
    };
    let to = match range.end_bound() {
        Bound::Included(key) => Bound::Included(raw_key::<R>(key)),
        Bound::Excluded(key) => Bound::Excluded(raw_key::<R>(key)),
        Bound::Unbounded => Bound::Excluded(vec![R::TABLE as u8 + 1]),
    };
    (from, to)
}
