//! What the engine's threads share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::Options;
use super::anchors::Anchors;
use super::frame::Salt;
use super::index::{Index, Position};
use super::segment::Segments;
use crate::store::batch::Op;
use crate::store::schema::Table;
use crate::telemetry::Metrics;

/// Bytes written and not yet synced and applied that the writer runs ahead at most: it bounds memory (the page cache) and
/// how long a sync takes.
const UNSYNCED_MAX: u64 = 32 * 1024 * 1024;

pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) salt: Salt,
    pub(super) log: PathBuf,
    pub(super) checkpoint: PathBuf,
    pub(super) segments: Arc<Segments>,
    pub(super) index: Index,
    /// Offset in the segment being written below which all is on disk.
    pub(super) synced: AtomicU32,
    pub(super) progress: Progress,
    pub(super) applied: Applied,
    /// Where staged bodies lie.
    pub(super) anchors: Arc<Anchors>,
    /// Held while a checkpoint is made: one at a time.
    pub(super) checkpointing: Mutex<()>,
    in_flight: Mutex<HashMap<Vec<u8>, InFlight>>,
    /// Where synced bytes are counted, once somebody wants to know.
    pub(super) metrics: OnceLock<Metrics>,
    stopped: AtomicBool,
    closing: AtomicBool,
    stopped_signal: watch::Sender<bool>,
}

/// The newest version of a key whose commit is written but not applied.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    pub(super) sequence: u64,
    pub(super) deleted: bool,
    /// The value, for bodies' records only: their reference counts are computed from it.
    pub(super) body: Option<Vec<u8>>,
}

impl Shared {
    pub(super) fn new(
        options: Options,
        salt: Salt,
        log: PathBuf,
        checkpoint: PathBuf,
        segments: Arc<Segments>,
        index: Index,
        applied: Position,
    ) -> Self {
        Shared {
            options,
            salt,
            log,
            checkpoint,
            segments,
            index,
            synced: AtomicU32::new(applied.offset),
            progress: Progress::default(),
            applied: Applied::new(applied),
            anchors: Anchors::new(applied.segment),
            checkpointing: Mutex::default(),
            in_flight: Mutex::default(),
            metrics: OnceLock::new(),
            stopped: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            stopped_signal: watch::Sender::new(false),
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The store is being closed: what takes long ends.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Stopped, or being closed.
    pub(super) fn is_ending(&self) -> bool {
        self.closing.load(Ordering::Acquire) || self.is_stopped()
    }

    pub(super) fn stopped_signal(&self) -> watch::Receiver<bool> {
        self.stopped_signal.subscribe()
    }

    /// Something failed that leaves doubt about what is on disk: nothing positive is answered from now on. After a failed
    /// sync the pages may be gone, so nothing is tried again; the next start replays the log.
    pub(super) fn stop(&self, reason: &str) {
        if !self.stopped.swap(true, Ordering::AcqRel) {
            tracing::error!(reason, "the store stops; restart the server to replay the log");
        }
        let _ = self.stopped_signal.send(true);
        self.progress.wake();
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Vec<u8>, InFlight>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn in_flight(&self, key: &[u8]) -> Option<InFlight> {
        self.flights().get(key).cloned()
    }

    pub(super) fn enter_in_flight(&self, sequence: u64, ops: &[Op]) {
        let mut flights = self.flights();
        for op in ops {
            let is_body = op.key().first() == Some(&(Table::Body as u8));
            let body = op.value().filter(|_| is_body).map(<[u8]>::to_vec);
            flights.insert(op.key().to_vec(), InFlight { sequence, deleted: op.value().is_none(), body });
        }
    }

    /// A commit is in the index: its keys are found there, unless a later commit is on its way.
    pub(super) fn leave_in_flight<'a>(&self, sequence: u64, keys: impl Iterator<Item = &'a [u8]>) {
        let mut flights = self.flights();
        for key in keys {
            if flights.get(key).is_some_and(|flight| flight.sequence == sequence) {
                flights.remove(key);
            }
        }
    }

    pub(super) fn clear_in_flight(&self) {
        self.flights().clear();
    }
}

/// How far the syncer is behind the writer.
#[derive(Default)]
pub(super) struct Progress {
    state: Mutex<ProgressState>,
    changed: Condvar,
}

#[derive(Default)]
struct ProgressState {
    groups: u64,
    bytes: u64,
    stopped: bool,
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, ProgressState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn written(&self, bytes: u64) {
        let mut state = self.state();
        state.groups += 1;
        state.bytes += bytes;
    }

    pub(super) fn done(&self, groups: u64, bytes: u64) {
        let mut state = self.state();
        state.groups -= groups;
        state.bytes -= bytes;
        drop(state);
        self.changed.notify_all();
    }

    fn wake(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    pub(super) fn wait_for_room(&self) {
        self.wait_while(|state| state.bytes > UNSYNCED_MAX);
    }

    pub(super) fn wait_for_all(&self) {
        self.wait_while(|state| state.groups > 0);
    }

    fn wait_while(&self, busy: impl Fn(&ProgressState) -> bool) {
        let waiting = |state: &mut ProgressState| busy(state) && !state.stopped;
        drop(self.changed.wait_while(self.state(), waiting).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Up to where the index has applied the log; the checkpointer waits on it.
pub(super) struct Applied {
    state: Mutex<AppliedState>,
    changed: Condvar,
}

struct AppliedState {
    position: Position,
    since_checkpoint: u64,
    closing: bool,
}

impl Applied {
    fn new(position: Position) -> Self {
        Applied {
            state: Mutex::new(AppliedState { position, since_checkpoint: 0, closing: false }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, AppliedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn position(&self) -> Position {
        self.state().position
    }

    pub(super) fn advance(&self, position: Position, bytes: u64, threshold: u64) {
        let mut state = self.state();
        state.position = position;
        state.since_checkpoint += bytes;
        if state.since_checkpoint >= threshold {
            self.changed.notify_all();
        }
    }

    pub(super) fn close(&self) {
        self.state().closing = true;
        self.changed.notify_all();
    }

    /// Waits until a checkpoint is due; `None`: closing.
    pub(super) fn wait_for_checkpoint(&self, every: Duration, threshold: u64) -> Option<Position> {
        let idle = |state: &mut AppliedState| !state.closing && state.since_checkpoint < threshold;
        let (mut state, _) =
            self.changed.wait_timeout_while(self.state(), every, idle).unwrap_or_else(PoisonError::into_inner);
        state.since_checkpoint = 0;
        (!state.closing).then_some(state.position)
    }
}
