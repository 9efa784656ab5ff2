//! What an engine is: the narrow waist between the store's meaning and what keeps it.

use std::io;
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::batch::{Batch, Expect, Op, table_of};
use super::body::Chunk;
use super::embedded::{Compacted, Goal};
use super::error::{CommitError, StoreError};
use super::keyring::Keyring;
use super::schema::{Body, BodyId, Place, Record, raw_key};
use crate::telemetry::Metrics;

/// A record's bytes and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) version: u64,
    pub(super) value: Vec<u8>,
}

/// Bounds of a scan over raw keys.
pub(super) type RawRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Answer to a commit: its sequence.
pub(super) type CommitReply = oneshot::Receiver<Result<u64, CommitError>>;

/// Answer to an appended chunk: where it lies.
pub(super) type AppendReply = oneshot::Receiver<Result<Place, StoreError>>;

/// Held for as long as a body is staged: where its chunks lie, nothing is taken away before. What it is, the engine knows.
pub(super) type Anchor = Arc<dyn Send + Sync>;

/// Whether a commit may wait for others to share their sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// Somebody waits for it.
    Now,
    /// A moment later does as well.
    Soon,
}

/// An engine keeps raw keys and values, in order, and bodies' chunks.
///
/// A dropped reply means that the engine stopped.
pub(super) trait Engine: Send + Sync {
    /// The durable record of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Raw>, StoreError>;

    /// Up to `limit` durable records of a range, from its start, or backwards from its end.
    fn scan(&self, range: RawRange, limit: usize, backwards: bool) -> Result<Vec<(Vec<u8>, Raw)>, StoreError>;

    /// Up to `limit` durable keys of a range, in order; those too whose records do not read.
    fn keys_in(&self, range: RawRange, limit: usize) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Makes a batch durable. The order of calls is the order of commits.
    fn submit(&self, batch: Batch, haste: Haste) -> CommitReply;

    /// Appends a chunk, durable with the next commit. The permit is given back once it is written.
    fn append(&self, chunk: Chunk, permit: OwnedSemaphorePermit) -> AppendReply;

    /// Reads a chunk's sealed bytes (ciphertext ‖ tag), checked as far as the log can. Blocks.
    fn chunk(&self, body: BodyId, index: u32, place: Place) -> Result<Vec<u8>, StoreError>;

    /// A number that no body has had.
    fn next_body(&self) -> BodyId;

    /// Holds what is appended from now on, until it is adopted and can be looked up, or given up.
    fn anchor(&self) -> Anchor;

    /// A staged body was given up: these frames belong to nobody.
    fn abandoned(&self, places: &[Place]);

    /// The keys that can be destroyed.
    fn keys(&self) -> &Keyring;

    /// Bytes free for the store.
    fn free_space(&self) -> io::Result<u64>;

    /// Whether records may be missing that were once written: damage was met, at this start or at an earlier one.
    fn has_met_damage(&self) -> bool {
        false
    }

    /// Gives the space of what is dead back, as far as it is worth it. Blocks, for long. An engine that keeps nothing dead has
    /// nothing to do.
    fn compact(&self, _goal: Goal<'_>) -> Result<Compacted, StoreError> {
        Ok(Compacted::default())
    }

    /// Counts what it writes and syncs from now on, where it does so.
    fn count_into(&self, _metrics: &Metrics) {}

    /// Turns true when the engine stopped after a failure.
    fn stopped(&self) -> watch::Receiver<bool>;

    /// Writes what is worth writing and lets go of files. Later commits are `Unknown`.
    fn close(&self);
}

/// What a lookup finds: the version and value of a key, committed or about to be.
pub(super) type Found = Option<(u64, Vec<u8>)>;

/// Checks a batch's expectations against what `look_up` finds.
pub(super) fn check_expectations(
    expectations: &[(Vec<u8>, Expect)],
    mut look_up: impl FnMut(&[u8]) -> Result<Found, StoreError>,
) -> Result<(), CommitError> {
    for (key, expect) in expectations {
        let version = look_up(key).map_err(|_| CommitError::Unknown)?.map(|(version, _)| version);
        let holds = match expect {
            Expect::Absent => version.is_none(),
            Expect::Version(expected) => version == Some(expected.0),
        };
        if !holds {
            return Err(CommitError::Conflict(table_of(key)));
        }
    }
    Ok(())
}

/// Turns changes of reference counts into puts and deletes of the bodies' records, so that the log holds values, never
/// differences: replaying a commit twice changes nothing.
pub(super) fn resolve_references(
    references: &[(BodyId, i64)],
    mut look_up: impl FnMut(&[u8]) -> Result<Found, StoreError>,
) -> Result<Vec<Op>, CommitError> {
    let mut sums: Vec<(BodyId, i64)> = Vec::with_capacity(references.len());
    let mut sorted = references.to_vec();
    sorted.sort_unstable_by_key(|(body, _)| *body);
    for (body, change) in sorted {
        match sums.last_mut() {
            Some((last, sum)) if *last == body => *sum += change,
            _ => sums.push((body, change)),
        }
    }
    let mut ops = Vec::with_capacity(sums.len());
    for (id, change) in sums {
        let key = raw_key::<Body>(&id);
        let found = look_up(&key).map_err(|_| CommitError::Unknown)?;
        let body = found.and_then(|(_, value)| Body::decode(&value).ok());
        match body {
            Some(mut body) => {
                body.references = body.references.saturating_add_signed(change);
                if body.references == 0 {
                    ops.push(Op::Delete { key });
                } else {
                    let mut value = Vec::new();
                    body.encode(&mut value);
                    ops.push(Op::Put { key, value });
                }
            }
            None if change > 0 => return Err(CommitError::Conflict(table_of(&key))),
            None => {}
        }
    }
    Ok(ops)
}
