//! An engine in memory, for the tests of other rooms: the same meaning, nothing durable.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::MAX_COMMIT;
use super::batch::{Batch, Op};
use super::body::Chunk;
use super::embedded::frame::{BODY_PREFIX, FRAME_HEADER};
use super::engine::{
    Anchor, AppendReply, CommitReply, Engine, Haste, Raw, RawRange, check_expectations, resolve_references,
};
use super::error::{CommitError, StoreError};
use super::keyring::Keyring;
use super::schema::{Body, BodyId, Place, Record, Table, raw_key};

pub(super) struct Memory {
    state: Mutex<State>,
    keys: Keyring,
    bodies: AtomicU64,
    stopped: watch::Sender<bool>,
}

impl Default for Memory {
    fn default() -> Self {
        let keys = Keyring::in_memory();
        Memory { state: Mutex::default(), keys, bodies: AtomicU64::default(), stopped: watch::Sender::default() }
    }
}

#[derive(Default)]
struct State {
    sequence: u64,
    records: BTreeMap<Vec<u8>, Raw>,
    chunks: HashMap<Place, Chunk>,
    next_place: u32,
    closed: bool,
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn store_chunk(&mut self, chunk: Chunk) -> Place {
        self.next_place += 1;
        let place = Place { segment: 1, offset: self.next_place };
        self.chunks.insert(place, chunk);
        place
    }

    fn drop_chunks(&mut self, key: &[u8]) {
        let body = self.records.get(key).and_then(|raw| Body::decode(&raw.value).ok());
        for place in body.into_iter().flat_map(|body| body.places) {
            self.chunks.remove(&place);
        }
    }

    fn commit(&mut self, batch: Batch) -> Result<u64, CommitError> {
        if self.closed {
            return Err(CommitError::Unknown);
        }
        let size = batch.size();
        if size > MAX_COMMIT {
            return Err(CommitError::TooLarge(size));
        }
        let look_up = |key: &[u8]| Ok(self.records.get(key).map(|raw| (raw.version, raw.value.clone())));
        check_expectations(&batch.expectations, look_up)?;
        let mut ops = batch.ops;
        ops.extend(resolve_references(&batch.references, look_up)?);
        for (staged, references) in batch.adopted {
            let (id, size) = (staged.id, staged.size);
            let (mut places, tail, _) = staged.take();
            places.push(self.store_chunk(tail));
            let mut value = Vec::new();
            Body { size, references, places }.encode(&mut value);
            ops.push(Op::Put { key: raw_key::<Body>(&id), value });
        }
        self.sequence += 1;
        for op in ops {
            match op {
                Op::Put { key, value } => {
                    self.records.insert(key, Raw { version: self.sequence, value });
                }
                Op::Delete { key } => {
                    if key.first() == Some(&(Table::Body as u8)) {
                        self.drop_chunks(&key);
                    }
                    self.records.remove(&key);
                }
            }
        }
        Ok(self.sequence)
    }
}

impl Engine for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Raw>, StoreError> {
        Ok(self.state().records.get(key).cloned())
    }

    fn scan(&self, range: RawRange, limit: usize, backwards: bool) -> Result<Vec<(Vec<u8>, Raw)>, StoreError> {
        if is_empty(&range) {
            return Ok(Vec::new());
        }
        let state = self.state();
        let records = state.records.range(range).map(|(key, raw)| (key.clone(), raw.clone()));
        Ok(if backwards { records.rev().take(limit).collect() } else { records.take(limit).collect() })
    }

    fn keys_in(&self, range: RawRange, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        if is_empty(&range) {
            return Ok(Vec::new());
        }
        Ok(self.state().records.range(range).take(limit).map(|(key, _)| key.clone()).collect())
    }

    fn submit(&self, batch: Batch, _haste: Haste) -> CommitReply {
        let (reply, answer) = oneshot::channel();
        let _ = reply.send(self.state().commit(batch));
        answer
    }

    fn append(&self, chunk: Chunk, _permit: OwnedSemaphorePermit) -> AppendReply {
        let (reply, answer) = oneshot::channel();
        let mut state = self.state();
        let _ = reply.send(if state.closed { Err(StoreError::Stopped) } else { Ok(state.store_chunk(chunk)) });
        answer
    }

    fn chunk(&self, body: BodyId, index: u32, place: Place) -> Result<Vec<u8>, StoreError> {
        match self.state().chunks.get(&place) {
            Some(chunk) if chunk.body == body && chunk.index == index => {
                Ok(chunk.frame[FRAME_HEADER + BODY_PREFIX..].to_vec())
            }
            _ => Err(StoreError::DamagedChunk { body, index, place, reason: "it is not there" }),
        }
    }

    fn next_body(&self) -> BodyId {
        BodyId(self.bodies.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn anchor(&self) -> Anchor {
        Arc::new(())
    }

    fn abandoned(&self, places: &[Place]) {
        let mut state = self.state();
        for place in places {
            state.chunks.remove(place);
        }
    }

    fn keys(&self) -> &Keyring {
        &self.keys
    }

    fn free_space(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn stopped(&self) -> watch::Receiver<bool> {
        self.stopped.subscribe()
    }

    fn close(&self) {
        self.state().closed = true;
    }
}

/// `BTreeMap::range` panics on a range that is turned around; a scan of one is empty.
fn is_empty((from, to): &RawRange) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
        _ => false,
    }
}
