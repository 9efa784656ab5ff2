//! The way of what lives from an old segment to the log's end: read, gathered into small pieces, handed to the writer, and
//! waited for; no faster than it may.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::compact::Goal;
use super::frame::LoggedOp;
use super::moving::Moving;
use super::shared::Shared;
use super::survey::{End, Kept, Living, op_bytes, unreadable};
use super::writer::Request;
use super::{Embedded, chunk};
use crate::store::batch::Op;
use crate::store::body::Chunk;
use crate::store::engine::CommitReply;
use crate::store::error::{CommitError, StoreError};
use crate::store::schema::{BodyId, Place};

/// Bytes that the writer is asked to move in one piece: others' commits wait behind it for some milliseconds at most.
const PIECE: u64 = 128 * 1024;
/// Things in one piece: each costs the writer a look into the index.
const PIECE_THINGS: usize = 256;
/// Pieces on their way to the disk at a time.
const PIECES_AHEAD: usize = 4;
/// Time that the pace may make up for.
const CREDIT: Duration = Duration::from_millis(100);
/// The pace waits when it is so far ahead.
const SLACK: Duration = Duration::from_millis(5);
/// Longest sleep before it is asked again whether the store is closing.
const NAP: Duration = Duration::from_millis(50);

/// Gathers what lives into pieces, and sees them onto the disk.
pub(super) struct Mover<'a> {
    engine: &'a Embedded,
    /// Free bytes that it must leave.
    floor: u64,
    piece: Vec<Moving>,
    things: usize,
    bytes: u64,
    sent: u64,
    on_their_way: VecDeque<CommitReply>,
}

impl<'a> Mover<'a> {
    pub(super) fn new(engine: &'a Embedded, floor: u64) -> Self {
        Mover { engine, floor, piece: Vec::new(), things: 0, bytes: 0, sent: 0, on_their_way: VecDeque::new() }
    }

    pub(super) fn take(&mut self, living: &Living<'_>) -> Result<(), Kept> {
        match living {
            Living::Chunk { body, index, place, bytes } => {
                let chunk = read_chunk(&self.engine.shared, (*body, *index), *place).map_err(|error| match error {
                    StoreError::Io { source, .. } => unreadable(place.offset, &source),
                    error => error.into(),
                })?;
                match self.piece.last_mut() {
                    Some(Moving::Chunks { body: last, chunks }) if last == body => chunks.push((*place, chunk)),
                    _ => self.piece.push(Moving::Chunks { body: *body, chunks: vec![(*place, chunk)] }),
                }
                Ok(self.gathered(*bytes)?)
            }
            // A large commit goes in several pieces: its records have one version in all of them.
            Living::Records { version, ops, .. } => Ok(ops.iter().try_for_each(|op| self.take_record(*version, op))?),
        }
    }

    fn take_record(&mut self, version: u64, op: &LoggedOp<'_>) -> Result<(), StoreError> {
        match self.piece.last_mut() {
            Some(Moving::Records { version: last, ops }) if *last == version => ops.push(owned(op)),
            _ => self.piece.push(Moving::Records { version, ops: vec![owned(op)] }),
        }
        self.gathered(op_bytes(op))
    }

    /// One thing more is in the piece; a full one goes its way.
    fn gathered(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.things += 1;
        self.bytes += bytes;
        if self.bytes >= PIECE || self.things >= PIECE_THINGS { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), StoreError> {
        while self.on_their_way.len() >= PIECES_AHEAD {
            self.wait_for_one()?;
        }
        let (reply, answer) = oneshot::channel();
        self.engine.send(Request::Move { items: std::mem::take(&mut self.piece), floor: self.floor, reply });
        self.on_their_way.push_back(answer);
        if let Some(metrics) = self.engine.shared.metrics.get() {
            metrics.store_moved.inc_by(self.bytes);
        }
        self.sent += std::mem::take(&mut self.bytes);
        self.things = 0;
        Ok(())
    }

    fn wait_for_one(&mut self) -> Result<(), StoreError> {
        match self.on_their_way.pop_front() {
            Some(reply) => wait(&self.engine.shared, reply).map(drop),
            None => Ok(()),
        }
    }

    /// Waits until all is on disk and in the index; how many bytes it was.
    pub(super) fn finish(mut self) -> Result<u64, StoreError> {
        if !self.piece.is_empty() {
            self.send()?;
        }
        while !self.on_their_way.is_empty() {
            self.wait_for_one()?;
        }
        Ok(self.sent)
    }
}

fn read_chunk(shared: &Shared, (body, index): (BodyId, u32), place: Place) -> Result<Chunk, StoreError> {
    let chunk::SealedChunk { head, bytes: mut frame, payload_crc } =
        chunk::read(&shared.segments, &shared.salt, (body, index), place, chunk::HEAD)?;
    frame[..chunk::HEAD].copy_from_slice(&head);
    Ok(Chunk { body, index, frame, payload_crc })
}

fn owned(op: &LoggedOp<'_>) -> Op {
    match op {
        LoggedOp::Put { key, value, .. } => Op::Put { key: key.to_vec(), value: value.to_vec() },
        LoggedOp::Delete { key } => Op::Delete { key: key.to_vec() },
    }
}

/// Waits until a commit is on disk and in the index; its sequence.
pub(super) fn wait(shared: &Shared, reply: CommitReply) -> Result<u64, StoreError> {
    match reply.blocking_recv() {
        Ok(Ok(sequence)) => Ok(sequence),
        Ok(Err(CommitError::Full)) => Err(StoreError::Full),
        // The writer alone says so of a store that goes on: it has named what it could not read.
        Ok(Err(_)) if !shared.is_ending() => Err(StoreError::Index("what was to be moved was not found".to_owned())),
        _ => Err(StoreError::Stopped),
    }
}

/// Keeps the work to the goal's bytes a second, and ends it when there is no goal any more.
pub(super) struct Pace<'a> {
    goal: Goal<'a>,
    /// When what was spent so far is paid for.
    due: Instant,
}

impl<'a> Pace<'a> {
    pub(super) fn new(goal: Goal<'a>) -> Self {
        Pace { goal, due: Instant::now() }
    }

    /// Waits until so many bytes more are due.
    pub(super) fn spend(&mut self, shared: &Shared, bytes: u64) -> Result<(), End> {
        let now = Instant::now();
        let rate = (self.goal)().ok_or(End::Paused)?.rate.max(1);
        let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
        self.due = self.due.max(now.checked_sub(CREDIT).unwrap_or(now)) + cost;
        loop {
            if shared.is_ending() {
                return Err(StoreError::Stopped.into());
            }
            if (self.goal)().is_none() {
                return Err(End::Paused);
            }
            let ahead = self.due.saturating_duration_since(Instant::now());
            if ahead < SLACK {
                return Ok(());
            }
            std::thread::sleep(ahead.min(NAP));
        }
    }
}
