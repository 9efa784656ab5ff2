//! What the writer does for a compaction: it appends once more what still lives at that moment.
//!
//! The compaction looks at the index, which is behind; the writer alone knows what is on its way, and it is the one that
//! gives commits their order. So it decides, at the point of the log where the copy will stand:
//!
//! - a record is moved if its newest version is the one that lies in the old segment, with that version;
//! - a deletion is moved if its key has no record;
//! - a chunk is moved if the body's newest record names the old place; the record then gets the new one, in a commit.
//!
//! One frame for each commit that was moved, and one commit for each body: damage to one of them costs as little as damage
//! to what it was moved from.

use super::frame::{Kind, moved_frame};
use super::index::IndexedCommit;
use super::writer::{CommitAnswer, Group, Need, Writer, WrittenCommit};
use crate::store::batch::Op;
use crate::store::body::Chunk;
use crate::store::engine::Haste;
use crate::store::error::{CommitError, StoreError};
use crate::store::schema::{Body, BodyId, Place, Record, raw_key};

/// Something that may have to be moved.
#[derive(Debug)]
pub(super) enum Moving {
    /// Chunks of one body, each with the place that it is moved from.
    Chunks { body: BodyId, chunks: Vec<(Place, Chunk)> },
    /// Changes that one commit made.
    Records { version: u64, ops: Vec<Op> },
}

impl Writer {
    /// Lays what still lives into the group. The answer comes when all of it is on disk and in the index; where nothing of
    /// it lives any more, once the group is written: what it died of may be in the group.
    pub(super) fn take_move(&mut self, items: Vec<Moving>, floor: u64, reply: CommitAnswer, group: &mut Group) {
        let mut moved = Vec::new();
        let outcome = self.admit(Need::Moving { floor }).and_then(|()| self.move_all(items, group, &mut moved));
        let mut commits: Vec<_> = moved
            .into_iter()
            .map(|indexed| WrittenCommit { indexed, haste: Haste::Soon, reply: None, anchors: Vec::new() })
            .collect();
        match (outcome, commits.last_mut()) {
            (Ok(()), Some(last)) => last.reply = Some(reply),
            (Ok(()), None) => group.nothing_moved.push((self.position.sequence, reply)),
            (Err(error), _) => drop(reply.send(Err(error))),
        }
        group.commits.extend(commits);
    }

    fn move_all(
        &mut self,
        items: Vec<Moving>,
        group: &mut Group,
        moved: &mut Vec<IndexedCommit>,
    ) -> Result<(), CommitError> {
        for item in items {
            let indexed = match item {
                Moving::Chunks { body, chunks } => self.move_chunks(body, chunks, group),
                Moving::Records { version, ops } => self.move_records(version, ops, group),
            };
            moved.extend(indexed.map_err(|error| {
                tracing::error!(%error, "what was to be moved could not be looked up");
                CommitError::Unknown
            })?);
        }
        Ok(())
    }

    fn move_chunks(
        &mut self,
        id: BodyId,
        chunks: Vec<(Place, Chunk)>,
        group: &mut Group,
    ) -> Result<Option<IndexedCommit>, StoreError> {
        let key = raw_key::<Body>(&id);
        let Some(mut body) = self.look_up(&key)?.and_then(|(_, value)| Body::decode(&value).ok()) else {
            return Ok(None);
        };
        let mut is_moved = false;
        for (from, chunk) in chunks {
            let named = body.places.get_mut(chunk.index as usize).filter(|place| **place == from);
            if let Some(place) = named {
                *place = self.push_chunk(chunk, group);
                is_moved = true;
            }
        }
        if !is_moved {
            return Ok(None);
        }
        let mut value = Vec::new();
        body.encode(&mut value);
        Ok(Some(self.push_commit(&[Op::Put { key, value }], group)))
    }

    /// What is moved is not entered as in flight: who looks it up meanwhile finds the same version and value as ever.
    fn move_records(
        &mut self,
        version: u64,
        ops: Vec<Op>,
        group: &mut Group,
    ) -> Result<Option<IndexedCommit>, StoreError> {
        let mut living = Vec::with_capacity(ops.len());
        for op in ops {
            let newest = self.look_up(op.key())?.map(|(version, _)| version);
            let lives = match op {
                Op::Put { .. } => newest == Some(version),
                Op::Delete { .. } => newest.is_none(),
            };
            if lives {
                living.push(op);
            }
        }
        if living.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.push_records(moved_frame(version, &living), Kind::Moved, group)))
    }
}
