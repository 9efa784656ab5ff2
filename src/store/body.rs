//! Bodies on their way in and out: cut into chunks, sealed, appended to the log as they fill.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::embedded::frame::{BODY_PREFIX, FRAME_HEADER, body_prefix};
use super::engine::{Anchor, AppendReply, Engine};
use super::error::StoreError;
use super::schema::{Body, BodyId, Place};
use super::seal::{BodyCipher, BodyKey, TAG_LEN};

/// Plain bytes in every chunk of a body but the last.
pub const CHUNK: usize = 64 * 1024;
/// Where a chunk's ciphertext starts in the buffer that becomes its frame.
const DATA_START: usize = FRAME_HEADER + BODY_PREFIX;
const BUFFER: usize = DATA_START + CHUNK + TAG_LEN;
/// A first buffer's size: most messages are small.
const FIRST_BUFFER: usize = DATA_START + 8 * 1024;
/// Chunks of one sink that may wait to be written: enough to hide the writer's latency.
const AHEAD: usize = 4;

/// A sealed chunk: the buffer is a whole frame whose header is still to be filled in.
pub(super) struct Chunk {
    pub(super) body: BodyId,
    pub(super) index: u32,
    /// Header (empty) ‖ prefix ‖ ciphertext ‖ tag.
    pub(super) frame: Vec<u8>,
    /// CRC32C of what follows the header, computed where the bytes are warm.
    pub(super) payload_crc: u32,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} #{}, {} bytes)", self.body, self.index, self.frame.len())
    }
}

/// Takes a body in, in pieces of any size. Full chunks go to the log at once, sealed; the last one waits for the commit
/// and rides in its write. Memory is bounded: one chunk being filled, and a store-wide bound on chunks being written.
///
/// Dropping a sink, or the [`StagedBody`] that it becomes, gives the body up.
pub struct BodySink {
    engine: Arc<dyn Engine>,
    budget: Arc<Semaphore>,
    id: BodyId,
    key: BodyKey,
    cipher: BodyCipher,
    size: u64,
    index: u32,
    buffer: Vec<u8>,
    waiting: VecDeque<AppendReply>,
    places: Vec<Place>,
    anchor: Anchor,
}

impl fmt::Debug for BodySink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodySink({}, {} bytes)", self.id, self.size)
    }
}

impl BodySink {
    pub(super) fn new(engine: Arc<dyn Engine>, budget: Arc<Semaphore>) -> Self {
        let key = BodyKey::generate();
        BodySink {
            id: engine.next_body(),
            cipher: key.cipher(),
            anchor: engine.anchor(),
            engine,
            budget,
            key,
            size: 0,
            index: 0,
            buffer: Vec::new(),
            waiting: VecDeque::new(),
            places: Vec::new(),
        }
    }

    /// The number that the body will have.
    #[must_use]
    pub fn id(&self) -> BodyId {
        self.id
    }

    /// Plain bytes taken in so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes bytes in. Waits when the log does not keep up.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Stopped`]: the body is lost, give the sink up.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.buffer.len() == DATA_START + CHUNK {
                self.append_full_chunk().await?;
            }
            let room = DATA_START + CHUNK - self.buffer.len().max(DATA_START);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.fill(now);
            bytes = later;
        }
        Ok(())
    }

    /// The body is complete. It becomes part of the store with the commit that adopts it.
    ///
    /// # Errors
    /// As [`BodySink::write`].
    pub async fn finish(mut self) -> Result<StagedBody, StoreError> {
        while !self.waiting.is_empty() {
            self.collect_place().await?;
        }
        let tail = self.seal_chunk(true);
        Ok(StagedBody {
            id: self.id,
            key: self.key.clone(),
            size: self.size,
            inner: Some(Staged {
                engine: self.engine.clone(),
                places: std::mem::take(&mut self.places),
                tail,
                anchor: self.anchor.clone(),
            }),
        })
    }

    /// Copies bytes into the chunk being filled; a whole chunk's room is taken at once when a small start is outgrown.
    fn fill(&mut self, bytes: &[u8]) {
        if self.buffer.is_empty() {
            self.buffer.reserve_exact(if self.index == 0 { FIRST_BUFFER } else { BUFFER });
            self.buffer.resize(DATA_START, 0);
        }
        if self.buffer.len() + bytes.len() + TAG_LEN > self.buffer.capacity() {
            self.buffer.reserve_exact(BUFFER - self.buffer.len());
        }
        self.buffer.extend_from_slice(bytes);
    }

    async fn append_full_chunk(&mut self) -> Result<(), StoreError> {
        while self.waiting.len() >= AHEAD {
            self.collect_place().await?;
        }
        let permit = self.budget.clone().acquire_owned().await.map_err(|_| StoreError::Stopped)?;
        let chunk = self.seal_chunk(false);
        self.waiting.push_back(self.engine.append(chunk, permit));
        Ok(())
    }

    async fn collect_place(&mut self) -> Result<(), StoreError> {
        if let Some(reply) = self.waiting.pop_front() {
            self.places.push(reply.await.map_err(|_| StoreError::Stopped)??);
        }
        Ok(())
    }

    fn seal_chunk(&mut self, last: bool) -> Chunk {
        let mut frame = std::mem::take(&mut self.buffer);
        if frame.is_empty() {
            frame.resize(DATA_START, 0);
        }
        let index = self.index;
        self.index += 1;
        let tag = self.cipher.seal(self.id, index, last, &mut frame[DATA_START..]);
        frame.extend_from_slice(&tag);
        frame[FRAME_HEADER..DATA_START].copy_from_slice(&body_prefix(self.id, index, last));
        let payload_crc = crc32c::crc32c(&frame[FRAME_HEADER..]);
        Chunk { body: self.id, index, frame, payload_crc }
    }
}

impl Drop for BodySink {
    fn drop(&mut self) {
        if !self.places.is_empty() {
            self.engine.abandoned(&self.places);
        }
    }
}

/// A whole body that waits to be adopted by a commit ([`super::Batch::adopt`]); dropped, it is given up.
pub struct StagedBody {
    /// Its number.
    pub id: BodyId,
    /// Its key, to be sealed for each mailbox that shows it.
    pub key: BodyKey,
    /// Plain bytes.
    pub size: u64,
    inner: Option<Staged>,
}

/// What only the store looks at.
struct Staged {
    engine: Arc<dyn Engine>,
    places: Vec<Place>,
    tail: Chunk,
    anchor: Anchor,
}

impl StagedBody {
    /// The places of the chunks that are in the log, and the last chunk, which is not; and what holds the first ones until
    /// the body's record can be looked up.
    pub(super) fn take(mut self) -> (Vec<Place>, Chunk, Anchor) {
        let staged = self.inner.take().expect("a staged body is taken once, by value");
        (staged.places, staged.tail, staged.anchor)
    }
}

impl fmt::Debug for StagedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StagedBody({}, {} bytes)", self.id, self.size)
    }
}

impl Drop for StagedBody {
    fn drop(&mut self) {
        if let Some(staged) = self.inner.take()
            && !staged.places.is_empty()
        {
            staged.engine.abandoned(&staged.places);
        }
    }
}

/// Reads ranges of a body that no commit has adopted yet, as [`super::Store::read_body`] does of one that is adopted: for a
/// message that is made from another in the same commit. It does not keep the body: once that is given up, nothing is read.
pub struct StagedReader {
    engine: Arc<dyn Engine>,
    id: BodyId,
    key: BodyKey,
    size: u64,
    places: Arc<[Place]>,
    /// The last chunk's ciphertext and tag.
    tail: Arc<[u8]>,
    /// Whatever becomes of the body, its chunks stay where they are for as long as this may read them.
    _anchor: Anchor,
}

impl fmt::Debug for StagedReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StagedReader({}, {} bytes)", self.id, self.size)
    }
}

impl StagedBody {
    /// The way to the bytes of the body before it is adopted.
    ///
    /// # Panics
    /// Never: only [`super::Batch::adopt`] takes the insides, and the body with them.
    #[must_use]
    pub fn reader(&self) -> StagedReader {
        let staged = self.inner.as_ref().expect("a staged body has its insides until it is taken, by value");
        StagedReader {
            engine: staged.engine.clone(),
            id: self.id,
            key: self.key.clone(),
            size: self.size,
            places: staged.places.as_slice().into(),
            tail: staged.tail.frame[DATA_START..].into(),
            _anchor: staged.anchor.clone(),
        }
    }
}

impl StagedReader {
    /// Plain bytes of the whole body.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads a range; what lies beyond the end is left out. Runs in the blocking pool; ask for pieces of a bounded size.
    ///
    /// # Errors
    /// [`StoreError::DamagedChunk`], or what the disk says.
    pub async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let (engine, places, tail) = (self.engine.clone(), self.places.clone(), self.tail.clone());
        let (id, key, size) = (self.id, self.key.clone(), self.size);
        let fetch = move |index: u32| match places.get(index as usize) {
            Some(place) => Ok((engine.chunk(id, index, *place)?, Some(*place))),
            None => Ok((tail.to_vec(), None)),
        };
        let chunks = self.places.len() + 1;
        tokio::task::spawn_blocking(move || read_chunks(id, size, chunks, &key, range, fetch))
            .await
            .unwrap_or(Err(StoreError::Stopped))
    }
}

/// Reads a range of a body: only the chunks that it needs are read and opened. Blocks.
pub(super) fn read(
    engine: &dyn Engine,
    id: BodyId,
    body: &Body,
    key: &BodyKey,
    range: Range<u64>,
) -> Result<Vec<u8>, StoreError> {
    let fetch = |index: u32| {
        let place = *body.places.get(index as usize).ok_or(StoreError::NoBody(id))?;
        Ok((engine.chunk(id, index, place)?, Some(place)))
    };
    read_chunks(id, body.size, body.places.len(), key, range, fetch)
}

/// [`read`], with the chunks from anywhere: `fetch` gives one's ciphertext, and its place if it lies in the log.
fn read_chunks(
    id: BodyId,
    size: u64,
    chunks: usize,
    key: &BodyKey,
    range: Range<u64>,
    fetch: impl Fn(u32) -> Result<(Vec<u8>, Option<Place>), StoreError>,
) -> Result<Vec<u8>, StoreError> {
    let (start, end) = (range.start.min(size), range.end.min(size));
    if start >= end {
        return Ok(Vec::new());
    }
    let cipher = key.cipher();
    let chunk = CHUNK as u64;
    let (first, last) = (start / chunk, (end - 1) / chunk);
    let mut out = Vec::with_capacity((end - start) as usize);
    for index in first..=last {
        let number = index as u32;
        let (mut sealed, place) = fetch(number)?;
        let damaged = |reason| match place {
            Some(place) => StoreError::DamagedChunk { body: id, index: number, place, reason },
            None => StoreError::NoBody(id),
        };
        let is_last = index as usize + 1 == chunks;
        let plain =
            cipher.open(id, number, is_last, &mut sealed).map_err(|_| damaged("it does not open with the key"))?;
        let base = index * chunk;
        let from = start.saturating_sub(base) as usize;
        let to = ((end - base) as usize).min(plain.len());
        out.extend_from_slice(plain.get(from..to).ok_or_else(|| damaged("it is shorter than the body's size says"))?);
    }
    Ok(out)
}
