//! Compaction: what lives in segments that are mostly dead is appended once more, and the segments are emptied.
//!
//! ```text
//! survey: a walk over the segment, against the index ─▶ is enough of it dead?
//! move:   what lives, in small pieces ─▶ the writer decides again, and appends ([`super::moving`]) ─▶ synced, in the index
//! fence:  an empty commit, behind all that decided ─▶ a checkpoint: the index is durable, with every new place
//! settle: `settle` goes by: who copies the log meanwhile has the old place or the new one
//! empty:  the index counts no body there? ─▶ a header alone in the file's place; the lowest are removed after some weeks
//! ```
//!
//! # Why nothing is lost
//!
//! **The last change of a key in the log's order is its newest.** Commits are appended in their order; a record is moved only
//! while it is its key's newest (the writer decides where it appends), so no newer one stands before the copy. Of a key that
//! was deleted, the copies are of deletions alone, and whatever their order the end is the same. So a replay, of the whole
//! log or from any checkpoint, comes to the records that there were, each with its version: a moved commit says which.
//!
//! **A deletion is moved as long as an older segment holds frames**, since a rebuild would else find there the record that
//! it deleted. All that was written of a key before its deletion lies before it, copies too: once nothing lies before the
//! segment, it has done its work.
//!
//! **What kept something from being moved is on disk before the segment is emptied.** A record is not moved because a newer
//! commit is on its way; were that lost in a crash, the old one would have to be there still. The fence is behind it in the
//! log, so when it is durable, so is all that the decisions were made from.
//!
//! **Chunks that no record names yet** are those of staged bodies. Nothing at or behind the first of them is looked at
//! ([`super::anchors`]); what is staged later lies behind.
//!
//! **Readers** hold the old file, or look the record up again: [`crate::store::Store::read_body`] and the index, when what they
//! found a moment ago is no longer where it was. Numbers of segments are never used again, so an old place never means
//! something new.
//!
//! **A crash**, or an end of the work at any point, leaves things twice at most; the next compaction finds one of them dead
//! or moves it again. **Damage** in a segment keeps it as it is; it is evidence, and perhaps somebody can read it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::oneshot;

use super::mover::{Mover, Pace, wait};
use super::segment::{self, SEGMENT_HEADER, SegmentHead};
use super::shared::Shared;
use super::survey::{End, Kept, Survey};
use super::writer::Request;
use super::{Embedded, durable, free_space, syncer};
use crate::store::batch::Batch;
use crate::store::engine::{Engine, Haste};
use crate::store::error::StoreError;

/// A segment that was not worth moving is surveyed again after this time, or when a tenth of it has died since.
const AGAIN: Duration = Duration::from_secs(86_400);

/// An emptied segment is removed when it has been empty for so long, more than any month: a copy of the log that keeps what is no longer there
/// (rsync without `--delete`) has it empty by then. In one that still had its old content what was deleted would come back.
const EMPTY_FOR: Duration = Duration::from_secs(45 * 86_400);

/// What a compaction is to reach, and how fast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    /// The share of a segment that must be dead for the rest to be moved; with 0, any dead byte is enough.
    pub dead_percent: u8,
    /// Bytes a second that are read and moved at most.
    pub rate: u64,
    /// How long a segment stays as it was after its content has been moved.
    pub settle: Duration,
    /// Closes the segment that is being written first, so that it is looked at too.
    pub whole: bool,
    /// Goes on where the store shows damage. What is missing may make dead what is only orphaned: somebody has looked.
    pub in_spite_of_damage: bool,
}

/// What is asked for now; `None`: no more.
pub type Goal<'a> = &'a dyn Fn() -> Option<Compaction>;

/// What a compaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Segments that were read.
    pub surveyed: u64,
    /// Segments whose living content was moved.
    pub moved_segments: u64,
    /// Bytes that were moved.
    pub moved_bytes: u64,
    /// Segments that were emptied, moved now or earlier.
    pub emptied: u64,
    /// Bytes that this gave back.
    pub freed_bytes: u64,
    /// Segments that wait for their time after having been moved.
    pub settling: u64,
    /// Segments that are kept as they are because of damage.
    pub kept_damaged: u64,
    /// Segments for whose living content there is no room.
    pub without_room: u64,
    /// Bytes of the log afterwards.
    pub log_bytes: u64,
    /// Bytes in it of bodies that a message shows.
    pub living_bytes: u64,
}

/// What is remembered from one compaction to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Segments that were not worth it: when, and the living bytes of bodies then.
    not_worth: BTreeMap<u32, (Instant, u64)>,
    /// Segments that are kept as evidence.
    evidence: BTreeSet<u32>,
    /// Segments whose content was moved.
    settling: BTreeMap<u32, Settling>,
}

/// A segment whose content was moved, and is still there.
#[derive(Debug, Clone, Copy)]
struct Settling {
    since: Instant,
    /// The last commit before the segment.
    sequence: u64,
    /// The commit behind all that was moved.
    fence: u64,
}

/// A segment that may be worth moving.
struct Candidate {
    number: u32,
    /// Bytes of its frames.
    bytes: u64,
    /// Bytes of living bodies in it; records are not counted.
    living: u64,
}

impl Candidate {
    /// Whether so many living bytes leave enough that is dead.
    fn is_worth_it(&self, living: u64, dead_percent: u8) -> bool {
        let dead = self.bytes.saturating_sub(living);
        dead > 0 && u128::from(dead) * 100 >= u128::from(self.bytes) * u128::from(dead_percent)
    }
}

/// One compaction.
pub(super) struct Pass<'a> {
    engine: &'a Embedded,
    shared: &'a Shared,
    goal: Goal<'a>,
    memory: &'a mut Memory,
    pace: Pace<'a>,
    /// Segments that could not be emptied this time.
    refused: BTreeSet<u32>,
    done: Compacted,
}

impl<'a> Pass<'a> {
    pub(super) fn new(engine: &'a Embedded, goal: Goal<'a>, memory: &'a mut Memory) -> Self {
        let (shared, refused) = (&engine.shared, BTreeSet::new());
        Pass { engine, shared, goal, memory, pace: Pace::new(goal), refused, done: Compacted::default() }
    }

    pub(super) fn run(mut self) -> Result<Compacted, StoreError> {
        match self.work() {
            Ok(()) | Err(End::Paused) => {}
            Err(End::Failed(error)) => return Err(error),
        }
        self.measure()?;
        Ok(self.done)
    }

    fn work(&mut self) -> Result<(), End> {
        if self.goal()?.whole {
            self.close_the_last_segment()?;
        }
        self.empty_what_has_settled()?;
        for candidate in self.candidates()? {
            match self.compact(&candidate) {
                Ok(()) => {}
                Err(Kept::AsEvidence { offset, reason }) => self.keep(candidate.number, offset, reason),
                Err(Kept::Ended(end)) => return Err(end),
            }
            self.empty_what_has_settled()?;
        }
        Ok(self.remove_the_lowest()?)
    }

    /// What is asked for now. Where the log has lost something, what depends on that looks dead, and is not: a segment that is
    /// only late in coming back from a backup may hold the record of a body, or the deletion of one.
    fn goal(&self) -> Result<Compaction, End> {
        let goal = (self.goal)().ok_or(End::Paused)?;
        if self.engine.has_met_damage() && !goal.in_spite_of_damage {
            return Err(StoreError::ShowsDamage.into());
        }
        Ok(goal)
    }

    fn close_the_last_segment(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.engine.send(Request::BeginSegment { reply });
        match answer.blocking_recv() {
            Ok(true) => Ok(()),
            Ok(false) if !self.shared.is_ending() => Err(StoreError::Full),
            _ => Err(StoreError::Stopped),
        }
    }

    /// Numbers and lengths of the segments that are closed.
    fn closed(&self) -> Result<Vec<(u32, u64)>, StoreError> {
        let written = self.shared.anchors.written();
        let numbers = segment::list(&self.shared.log)
            .map_err(|error| StoreError::io("list the log")(std::io::Error::other(error)))?;
        let numbers = numbers.into_iter().filter(|number| *number < written);
        numbers
            .map(|number| Ok((number, self.shared.segments.length(number).map_err(StoreError::io("read a segment"))?)))
            .collect()
    }

    /// The segments to look at, those that are dead for the larger part first: they give most, and need least room.
    fn candidates(&self) -> Result<Vec<Candidate>, End> {
        let dead_percent = self.goal()?.dead_percent;
        let first_held = self.shared.anchors.first_held();
        let living = self.shared.index.living_bytes();
        let mut candidates: Vec<_> = self
            .closed()?
            .into_iter()
            .filter(|(number, length)| *number < first_held && *length > u64::from(SEGMENT_HEADER))
            .map(|(number, length)| Candidate {
                number,
                bytes: length - u64::from(SEGMENT_HEADER),
                living: living.get(&number).copied().unwrap_or(0),
            })
            .filter(|candidate| candidate.is_worth_it(candidate.living, dead_percent))
            .filter(|candidate| self.memory.is_open(candidate))
            .collect();
        candidates.sort_by_key(|candidate| u128::from(candidate.living) * 10_000 / u128::from(candidate.bytes));
        Ok(candidates)
    }

    /// Moves what lives in a segment, if it is worth it.
    fn compact(&mut self, candidate: &Candidate) -> Result<(), Kept> {
        let number = candidate.number;
        let Compaction { dead_percent, settle, .. } = self.goal()?;
        // Bodies alone may be too much already: then it need not be read.
        if self.floor(number, candidate.living, settle).is_none() {
            return Ok(());
        }
        let has_older = self.closed()?.iter().any(|(older, length)| *older < number && *length > SEGMENT_HEADER.into());
        let mut survey = Survey::new(self.shared, number, has_older)?;
        let (shared, pace, mut living) = (self.shared, &mut self.pace, 0);
        survey.walk(
            |bytes| pace.spend(shared, bytes),
            |found| {
                living += found.bytes();
                Ok(())
            },
        )?;
        self.done.surveyed += 1;
        if !candidate.is_worth_it(living, dead_percent) {
            self.memory.not_worth.insert(number, (Instant::now(), candidate.living));
            return Ok(());
        }
        let Some(floor) = self.floor(number, living, settle) else { return Ok(()) };
        self.move_all(&mut survey, floor)?;
        let (fence, sequence) = (self.fence()?, survey.sequence);
        tracing::info!(event = "store.moved", segment = number, bytes = candidate.bytes, living, "a segment was moved");
        self.memory.settling.insert(number, Settling { since: Instant::now(), sequence, fence });
        self.done.moved_segments += 1;
        Ok(())
    }

    /// The free bytes that moving so much must leave; `None`: there is no room.
    ///
    /// What is moved is given back only when it has settled, so it must not take the disk to where mail is refused: above the
    /// reserve there must be room for mail too, the more when something settles already. Where mail is refused as it is, or
    /// nothing has to settle, half of the reserve is there to come out of that, one segment at a time.
    fn floor(&mut self, number: u32, living: u64, settle: Duration) -> Option<u64> {
        let free = free_space(&self.shared.log).unwrap_or(u64::MAX);
        let reserve = self.shared.options.reserve;
        let has_room_for_mail = free >= reserve && !settle.is_zero();
        let (floor, for_mail) = match (has_room_for_mail, self.memory.settling.is_empty()) {
            (true, true) => (reserve, reserve / 4),
            (true, false) => (reserve, reserve),
            (false, true) => (reserve / 2, 0),
            (false, false) => (u64::MAX, 0),
        };
        if free >= living.saturating_add(floor).saturating_add(for_mail) {
            return Some(floor);
        }
        tracing::warn!(segment = number, living, free, "there is no room to move what lives in a segment");
        self.done.without_room += 1;
        None
    }

    fn move_all(&mut self, survey: &mut Survey<'_>, floor: u64) -> Result<(), Kept> {
        let mut mover = Mover::new(self.engine, floor);
        let (shared, pace) = (self.shared, &mut self.pace);
        survey.walk(
            |_| Ok(()),
            |living| {
                pace.spend(shared, living.bytes())?;
                mover.take(&living)
            },
        )?;
        self.done.moved_bytes += mover.finish()?;
        Ok(())
    }

    /// Makes durable all that was decided from, and the index with it; the commit that lies behind all of it.
    fn fence(&self) -> Result<u64, StoreError> {
        let fence = wait(self.shared, self.engine.submit(Batch::new(), Haste::Now))?;
        syncer::checkpoint_now(self.shared)?;
        Ok(fence)
    }

    /// Empties each segment whose time is over, by what is asked for at that moment. One that the disk refuses to empty is
    /// tried again another time, and keeps no other from it.
    fn empty_what_has_settled(&mut self) -> Result<(), End> {
        let settling: Vec<_> = self.memory.settling.iter().map(|(number, settling)| (*number, *settling)).collect();
        for (number, settling) in settling {
            if self.shared.is_ending() {
                return Err(StoreError::Stopped.into());
            }
            if settling.since.elapsed() < self.goal()?.settle || self.refused.contains(&number) {
                continue;
            }
            match self.empty(number, settling) {
                Ok(()) => drop(self.memory.settling.remove(&number)),
                Err(error) => {
                    tracing::error!(segment = number, %error, "a segment could not be emptied; it is tried again");
                    self.refused.insert(number);
                }
            }
        }
        Ok(())
    }

    /// Puts a header alone in the place of a segment whose content was moved.
    fn empty(&mut self, number: u32, Settling { sequence, fence, .. }: Settling) -> Result<(), StoreError> {
        if self.shared.index.living_bytes().get(&number).is_some_and(|bytes| *bytes > 0) {
            self.keep(number, 0, "a body's record names a place in it at which nothing of it was found");
            return Ok(());
        }
        let path = self.shared.segments.path(number);
        let length = self.shared.segments.length(number).map_err(StoreError::io("read a segment"))?;
        segment::empty(&path, number, &self.shared.salt, sequence, fence).map_err(StoreError::io("empty a segment"))?;
        self.shared.segments.forget(number);
        let freed = length - u64::from(SEGMENT_HEADER);
        tracing::info!(event = "store.emptied", segment = number, freed, "a segment was emptied");
        self.done.emptied += 1;
        self.done.freed_bytes += freed;
        if let Some(metrics) = self.shared.metrics.get() {
            metrics.store_emptied.inc();
        }
        Ok(())
    }

    /// Removes segments that were emptied long ago, from the lowest on, each durably: never is there a gap between those
    /// that are left.
    fn remove_the_lowest(&self) -> Result<(), StoreError> {
        for (number, length) in self.closed()? {
            if length > u64::from(SEGMENT_HEADER) || !self.was_emptied_long_ago(number).unwrap_or(false) {
                return Ok(());
            }
            let removed = std::fs::remove_file(self.shared.segments.path(number))
                .and_then(|()| durable::sync_directory(&self.shared.log));
            removed.map_err(StoreError::io("remove an emptied segment"))?;
            self.shared.segments.forget(number);
        }
        Ok(())
    }

    fn was_emptied_long_ago(&self, number: u32) -> std::io::Result<bool> {
        let file = self.shared.segments.file(number)?;
        let SegmentHead::Whole { emptied: true, .. } = segment::read_head(&file, number, &self.shared.salt)? else {
            return Ok(false);
        };
        Ok(file.metadata()?.modified()?.elapsed().is_ok_and(|since| since >= EMPTY_FOR))
    }

    /// Leaves a segment as it is, for good, and says so once.
    fn keep(&mut self, number: u32, offset: u32, reason: &'static str) {
        tracing::error!(
            event = "store.damaged",
            segment = number,
            offset,
            reason,
            "a segment is damaged and is not compacted; see `caducee store check`"
        );
        self.memory.evidence.insert(number);
    }

    fn measure(&mut self) -> Result<(), StoreError> {
        let written = self.shared.segments.length(self.shared.anchors.written());
        self.done.log_bytes = written.map_err(StoreError::io("read a segment"))?;
        self.done.log_bytes += self.closed()?.iter().map(|(_, length)| length).sum::<u64>();
        self.done.living_bytes = self.shared.index.living_bytes().values().sum();
        self.done.settling = self.memory.settling.len() as u64;
        self.done.kept_damaged = self.memory.evidence.len() as u64;
        if let Some(metrics) = self.shared.metrics.get() {
            metrics.store_log.set(gauge(self.done.log_bytes));
            metrics.store_living.set(gauge(self.done.living_bytes));
        }
        Ok(())
    }
}

fn gauge(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Memory {
    /// Whether there is something to find out about a segment.
    fn is_open(&self, candidate: &Candidate) -> bool {
        if self.evidence.contains(&candidate.number) || self.settling.contains_key(&candidate.number) {
            return false;
        }
        self.not_worth.get(&candidate.number).is_none_or(|(since, living)| {
            since.elapsed() >= AGAIN || living.saturating_sub(candidate.living) > candidate.bytes / 10
        })
    }
}
