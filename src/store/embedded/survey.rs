//! What still lives in a segment: a walk over it, held against the index.
//!
//! The index is what was made durable; the writer may have newer things on their way. So what is told to live here may be
//! dead by now, and the writer decides again; but what is told to be dead is dead for good, since nothing that was superseded
//! or deleted comes back: a record written again is a new one, with a new version, at the log's end.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::frame::{FRAME_HEADER, Header, LoggedOp, read_records};
use super::segment::{self, Bodies, Piece, SEGMENT_HEADER, SegmentHead, Walk, WalkError};
use super::shared::Shared;
use crate::store::error::StoreError;
use crate::store::schema::{Body, BodyId, Place, Record, raw_key};

/// Something that lives.
#[derive(Debug)]
pub(super) enum Living<'a> {
    /// A chunk that its body's record names.
    Chunk { body: BodyId, index: u32, place: Place, bytes: u64 },
    /// The newest changes of their keys, of one commit.
    Records { version: u64, ops: Vec<LoggedOp<'a>>, bytes: u64 },
}

/// Why a segment is left as it is.
#[derive(Debug)]
pub(super) enum Kept {
    /// Something in it is damaged, or is not what the index says: it stays, for whoever looks into it.
    AsEvidence { offset: u32, reason: &'static str },
    /// The work ended.
    Ended(End),
}

/// Why the work ends before all is done.
#[derive(Debug)]
pub(super) enum End {
    /// Whoever asked for it wants it no more.
    Paused,
    /// It cannot go on.
    Failed(StoreError),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        End::Failed(error)
    }
}

impl From<End> for Kept {
    fn from(end: End) -> Self {
        Kept::Ended(end)
    }
}

impl From<StoreError> for Kept {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DamagedChunk { place, reason, .. } => Kept::AsEvidence { offset: place.offset, reason },
            error => Kept::Ended(error.into()),
        }
    }
}

/// What the system's refusal to read a segment means: a bad sector costs this segment its compaction, and no other; a want
/// of files or memory says nothing about it.
pub(super) fn unreadable(offset: u32, error: &io::Error) -> Kept {
    let wants = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].map(Errno::raw_os_error);
    if error.raw_os_error().is_some_and(|number| wants.contains(&number)) {
        return StoreError::Io { action: "read a segment", source: Arc::new(io::Error::from(error.kind())) }.into();
    }
    tracing::error!(%error, offset, "a segment cannot be read");
    Kept::AsEvidence { offset, reason: "it cannot be read" }
}

impl Living<'_> {
    /// Bytes of log that it takes: less than the frame it was found in if anything else is in that.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Living::Chunk { bytes, .. } | Living::Records { bytes, .. } => *bytes,
        }
    }
}

/// A closed segment, opened to look at.
pub(super) struct Survey<'a> {
    shared: &'a Shared,
    number: u32,
    file: Arc<File>,
    /// The last commit before the segment, as its header says.
    pub(super) sequence: u64,
    /// Older segments hold frames: what was deleted there must stay deleted.
    has_older: bool,
    /// The body whose chunk was met last: chunks of one body lie together.
    body: Option<(BodyId, Option<Body>)>,
}

impl<'a> Survey<'a> {
    pub(super) fn new(shared: &'a Shared, number: u32, has_older: bool) -> Result<Self, Kept> {
        let file = shared.segments.file(number).map_err(|error| unreadable(0, &error))?;
        let head = segment::read_head(&file, number, &shared.salt).map_err(|error| unreadable(0, &error))?;
        let SegmentHead::Whole { sequence, .. } = head else {
            return Err(Kept::AsEvidence { offset: 0, reason: "the segment's header is damaged" });
        };
        Ok(Survey { shared, number, file, sequence, has_older, body: None })
    }

    /// Tells each living thing of the segment, in order; `read` is told how many bytes were walked over.
    pub(super) fn walk(
        &mut self,
        mut read: impl FnMut(u64) -> Result<(), End>,
        mut living: impl FnMut(Living<'_>) -> Result<(), Kept>,
    ) -> Result<(), Kept> {
        let (file, salt) = (self.file.clone(), self.shared.salt);
        let walk = Walk::new(&*file, &salt, SEGMENT_HEADER, Bodies::Skip);
        let mut walk = walk.map_err(|error| unreadable(SEGMENT_HEADER, &error))?;
        while let Some(piece) = walk.step().map_err(ended)? {
            match piece {
                Piece::Body { offset, header, body, index } => {
                    read(header.frame_length())?;
                    let place = Place { segment: self.number, offset };
                    if self.body(body, offset)?.is_some_and(|body| body.places.get(index as usize) == Some(&place)) {
                        living(Living::Chunk { body, index, place, bytes: header.frame_length() })?;
                    }
                }
                Piece::Commit { offset, header, payload } => {
                    read(header.frame_length())?;
                    if let Some(records) = self.records(offset, &header, &payload)? {
                        living(records)?;
                    }
                }
                Piece::Damaged { from, .. } => {
                    return Err(Kept::AsEvidence { offset: from, reason: "bytes that are no whole frame" });
                }
            }
        }
        Ok(())
    }

    /// A body's record, if it has one.
    fn body(&mut self, id: BodyId, offset: u32) -> Result<Option<&Body>, Kept> {
        if self.body.as_ref().is_none_or(|(last, _)| *last != id) {
            let unreadable = Kept::AsEvidence { offset, reason: "the record of a body in it does not read" };
            let record = match self.shared.index.get(&raw_key::<Body>(&id)) {
                Ok(None) => None,
                Ok(Some(raw)) => Some(Body::decode(&raw.value).map_err(|_| unreadable)?),
                // An error of the disk is of another segment, where a large record lies.
                Err(StoreError::Record { .. } | StoreError::Io { .. }) => return Err(unreadable),
                Err(error) => return Err(error.into()),
            };
            self.body = Some((id, record));
        }
        Ok(self.body.as_ref().and_then(|(_, record)| record.as_ref()))
    }

    /// What lives of a commit.
    fn records<'p>(&self, offset: u32, header: &Header, payload: &'p [u8]) -> Result<Option<Living<'p>>, Kept> {
        let Some((version, ops)) = read_records(header, payload) else {
            return Err(Kept::AsEvidence { offset, reason: "a commit that does not read" });
        };
        // Where a commit writes a key twice, the last one stands.
        let all = ops.len();
        let mut met = HashSet::with_capacity(all);
        let mut living = Vec::with_capacity(all);
        for op in ops.into_iter().rev() {
            if met.insert(op.key()) && self.lives(offset, version, &op)? {
                living.push(op);
            }
        }
        living.reverse();
        let bytes = if living.len() == all {
            header.frame_length()
        } else {
            FRAME_HEADER as u64 + 1 + living.iter().map(op_bytes).sum::<u64>()
        };
        Ok((!living.is_empty()).then_some(Living::Records { version, ops: living, bytes }))
    }

    /// Whether a change is its key's newest. All that a closed segment holds was applied, so an index that has an older
    /// version of it has lost something: then nothing here is told to be dead.
    fn lives(&self, offset: u32, version: u64, op: &LoggedOp<'_>) -> Result<bool, Kept> {
        let index = &self.shared.index;
        let entry = match index.entry(op.key()) {
            Ok(entry) => entry,
            Err(StoreError::Record { .. }) => {
                return Err(Kept::AsEvidence { offset, reason: "the index has a record that does not read" });
            }
            Err(error) => return Err(error.into()),
        };
        if entry.is_some_and(|entry| entry.version < version) {
            return Err(Kept::AsEvidence { offset, reason: "the index has an older version than the log" });
        }
        let LoggedOp::Put { at, .. } = op else { return Ok(self.has_older && entry.is_none()) };
        let Some(entry) = entry.filter(|entry| entry.version == version) else { return Ok(false) };
        let here = (self.number, offset + FRAME_HEADER as u32 + at);
        // A copy that was left here by a compaction that did not come to its end is dead, if the other one reads.
        let lies_elsewhere = entry.place.is_some_and(|place| place != here);
        Ok(!(lies_elsewhere && index.get(op.key()).is_ok()))
    }
}

/// Bytes of a frame that a change takes.
pub(super) fn op_bytes(op: &LoggedOp<'_>) -> u64 {
    let value = match op {
        LoggedOp::Put { value, .. } => with_length(value),
        LoggedOp::Delete { .. } => 0,
    };
    1 + with_length(op.key()) + value
}

/// Bytes, with their length before them as LEB128: seven bits a byte.
fn with_length(bytes: &[u8]) -> u64 {
    let bits = usize::BITS - bytes.len().leading_zeros();
    u64::from(bits.div_ceil(7).max(1)) + bytes.len() as u64
}

fn ended(error: WalkError) -> Kept {
    match error {
        WalkError::Io(error) => unreadable(0, &error),
        WalkError::Newer(_) => Kept::AsEvidence { offset: 0, reason: "a frame of a newer version" },
    }
}
