//! Start-up: replay what the log has and the index has not, cut a torn tail, step over damage.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::frame::{FRAME_HEADER, Header, LoggedOp, Salt, read_records};
use super::home::Home;
use super::index::{Index, IndexedCommit, LoggedValue, Position, Replay};
use super::segment::{self, Bodies, Piece, SEGMENT_FORMAT, SEGMENT_HEADER, SegmentHead, Segments, Walk, WalkError};
use super::{KeysOpening, checkpoint, durable, frame};
use crate::store::error::OpenError;

/// Commits that go into the index in one step of a replay.
const STEP: usize = 256;
/// What a copy of the log is told to be that has an emptied segment and not what was moved from it.
pub(super) const FENCE_NOT_REACHED: &str = "the log ends before what a compaction has moved";
/// Longest piece of damage that is copied aside.
const ASIDE_MAX: u32 = 16 * 1024 * 1024;

/// A damaged piece of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The segment's file.
    pub path: PathBuf,
    /// Offset of the first damaged byte's frame.
    pub from: u32,
    /// Offset at which the log goes on, or the segment's end.
    pub to: u32,
    /// What it is.
    pub reason: &'static str,
}

/// What a start found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opening {
    /// Commits replayed from the log.
    pub replayed: u64,
    /// Bytes of a torn tail, never acknowledged, that were cut off.
    pub cut: u64,
    /// Damage that was stepped over.
    pub damaged: Vec<Damage>,
    /// The index was missing or unusable and was rebuilt from the log.
    pub rebuilt: bool,
    /// What there was to do about keys.
    pub keys: KeysOpening,
}

/// Where the log ends and goes on.
#[derive(Debug)]
pub(super) struct Tail {
    /// The segment to append to; `None`: begin a new one.
    pub(super) segment: Option<u32>,
    /// The highest segment number there is.
    pub(super) highest: u32,
    pub(super) end: Position,
}

/// Opens the index and brings it up to the log's end.
pub(super) fn open_index(
    home: &Home,
    cache: u64,
    segments: &Arc<Segments>,
) -> Result<(Index, Tail, Opening), OpenError> {
    let numbers = segment::list(&home.log())?;
    let fence = check_heads(home, segments, &numbers)?;
    let mut opening = Opening::default();
    let noted = checkpoint::read(&home.checkpoint()).unwrap_or_default();
    let (index, applied) = open_or_replace(home, cache, segments, (noted, fence), &numbers, &mut opening)?;
    // What the index has applied was on disk before; what lies before the checkpoint is durable in the index.
    let from = if opening.rebuilt { Position::default() } else { noted };
    let mut replay = Replayer {
        home,
        segments,
        index: &index,
        pending: Vec::new(),
        end: applied.max(from),
        applied: applied.sequence,
        fence,
        opening,
    };
    let tail = replay.run(&numbers, from, applied)?;
    let opening = replay.opening;
    Ok((index, tail, opening))
}

/// Refuses a log of a newer format before anything is touched. Says which commit the log must reach at least: behind it lies
/// what compactions have moved.
fn check_heads(home: &Home, segments: &Segments, numbers: &[u32]) -> Result<u64, OpenError> {
    let mut highest = 0;
    for &number in numbers {
        let path = segments.path(number);
        let file = segments.file(number).map_err(OpenError::io("open", &path))?;
        match segment::read_head(&file, number, &home.salt).map_err(OpenError::io("read", &path))? {
            SegmentHead::Newer(found) => return Err(OpenError::Format { path, found, known: SEGMENT_FORMAT }),
            SegmentHead::Whole { fence, .. } => highest = highest.max(fence),
            SegmentHead::Damaged => {}
        }
    }
    Ok(highest)
}

/// Opens sled; an index that does not open, or that lacks what the checkpoint promises, is moved away and begun anew. So is
/// one that is older than a compaction: what was deleted since may have left the log, the deletion too.
fn open_or_replace(
    home: &Home,
    cache: u64,
    segments: &Arc<Segments>,
    (noted, fence): (Position, u64),
    numbers: &[u32],
    opening: &mut Opening,
) -> Result<(Index, Position), OpenError> {
    let path = home.index();
    let index_error = |reason: String| OpenError::Index { path: path.clone(), reason };
    let reason = match open_checked(&path, cache, segments) {
        Ok((_, applied)) if applied.sequence > 0 && numbers.is_empty() => {
            // The log is the truth: an index beside no log is a log that was lost, not a new store.
            return Err(index_error("the index has records, but the log has no segment".to_owned()));
        }
        Ok((_, applied)) if is_older_than(applied, fence) => {
            format!("it ends at commit {}, a compaction has changed the log up to commit {fence}", applied.sequence)
        }
        Ok((index, applied)) if applied.sequence >= noted.sequence => return Ok((index, applied)),
        Ok((_, applied)) => format!("it ends at commit {}, the checkpoint says {}", applied.sequence, noted.sequence),
        Err(reason) if numbers.is_empty() && noted == Position::default() => {
            tracing::warn!(%reason, "the index of a store without a log is begun anew");
            // The store was cut off in its making: nothing is lost, and nobody has to look at it.
            fs::remove_dir_all(&path).map_err(OpenError::io("remove", &path))?;
            durable::create_directory(&path).map_err(OpenError::io("create", &path))?;
            return open_checked(&path, cache, segments).map_err(index_error);
        }
        Err(reason) => reason,
    };
    tracing::error!(%reason, "the index is unusable and is rebuilt from the log");
    opening.rebuilt = true;
    let away = (1..).map(|number| home.unusable_index(number)).find(|path| !path.exists());
    fs::rename(&path, away.expect("some number is free")).map_err(OpenError::io("move away", &path))?;
    durable::create_directory(&path).map_err(OpenError::io("create", &path))?;
    open_checked(&path, cache, segments).map_err(index_error)
}

/// Whether an index that has something does not reach a compaction's fence.
pub(super) fn is_older_than(applied: Position, fence: u64) -> bool {
    (1..fence).contains(&applied.sequence)
}

fn open_checked(path: &Path, cache: u64, segments: &Arc<Segments>) -> Result<(Index, Position), String> {
    let index = Index::open(path, cache, segments.clone())?;
    let applied = index.applied().map_err(|error| error.to_string())?;
    if applied == Position::default() {
        // Before anything hangs on it: of one whose first pages a power cut took sled says that it is damaged.
        index.flush().map_err(|error| error.to_string())?;
    }
    Ok((index, applied))
}

struct Replayer<'a> {
    home: &'a Home,
    segments: &'a Segments,
    index: &'a Index,
    pending: Vec<IndexedCommit>,
    end: Position,
    /// The last commit that the index said it held.
    applied: u64,
    /// The commit that the log must reach at least.
    fence: u64,
    opening: Opening,
}

impl Replayer<'_> {
    fn run(&mut self, numbers: &[u32], from: Position, applied: Position) -> Result<Tail, OpenError> {
        let last = numbers.last().copied();
        let mut expected = numbers.first().copied().unwrap_or(1);
        let mut append_to = None;
        for &number in numbers {
            if number != expected {
                self.note_damage(expected, 0, 0, "segments are missing before the next one");
            }
            expected = number + 1;
            if number < from.segment {
                continue;
            }
            let start = if number == from.segment { from.offset.max(SEGMENT_HEADER) } else { SEGMENT_HEADER };
            let known = if number == applied.segment { applied.offset } else { 0 };
            let whole = self.segment(number, start, known, Some(number) == last)?;
            append_to = whole.then_some(number);
        }
        if self.end.sequence < self.fence {
            self.note_unreached_fence(last.unwrap_or(0));
        }
        self.apply(true)?;
        if let Some(number) = append_to
            && self.is_shorter_than_known(number)?
        {
            // What is appended must lie after all that was ever noted, or the next replay would pass it by.
            self.note_damage(number, 0, 0, "the log ends before what was known to be on disk");
            append_to = None;
        }
        Ok(Tail { segment: append_to, highest: last.unwrap_or(0).max(self.end.segment), end: self.end })
    }

    fn is_shorter_than_known(&self, number: u32) -> Result<bool, OpenError> {
        let path = self.segments.path(number);
        let length = fs::metadata(&path).map_err(OpenError::io("read", &path))?.len();
        Ok(number < self.end.segment || length < u64::from(self.end.offset))
    }

    /// Replays one segment; whether frames can be appended to it.
    fn segment(&mut self, number: u32, start: u32, known: u32, last: bool) -> Result<bool, OpenError> {
        let path = self.segments.path(number);
        let file = self.segments.file(number).map_err(OpenError::io("open", &path))?;
        let salt = self.home.salt;
        // In the last segment a body's chunk may be torn: then the commits after it must not be taken for whole.
        let bodies = if last { Bodies::Verify } else { Bodies::Skip };
        let mut walk = Walk::new(&*file, &salt, start, bodies).map_err(OpenError::io("read", &path))?;
        if number > self.end.segment {
            self.end = Position { segment: number, offset: start, ..self.end };
        }
        // Commits that a compaction has left nothing of leave their number in the headers behind them.
        if let SegmentHead::Whole { sequence, .. } =
            segment::read_head(&file, number, &salt).map_err(OpenError::io("read", &path))?
        {
            self.end.sequence = self.end.sequence.max(sequence);
        }
        loop {
            match walk.step().map_err(|error| walk_error(&path, error))? {
                None => return Ok(true),
                Some(Piece::Body { offset, header, .. }) => self.advance(number, offset, &header),
                Some(Piece::Commit { offset, header, payload }) => self.commit(number, offset, &header, &payload)?,
                Some(Piece::Damaged { from, to, resumed }) => {
                    let synced = from < known || (resumed && synced_after(&file, &salt, to, from));
                    if last && !synced {
                        self.cut(&path, from, to)?;
                        return Ok(true);
                    }
                    self.note_damage(number, from, to, "bytes that are no whole frame");
                    if !resumed {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn advance(&mut self, number: u32, offset: u32, header: &Header) {
        let end = Position {
            segment: number,
            offset: offset + header.frame_length() as u32,
            sequence: self.end.sequence.max(header.sequence),
        };
        self.end = self.end.max(end);
    }

    fn commit(&mut self, number: u32, offset: u32, header: &Header, payload: &[u8]) -> Result<(), OpenError> {
        self.advance(number, offset, header);
        let Some(commit) = indexed_commit(number, offset, header, payload) else {
            self.note_damage(number, offset, offset + header.frame_length() as u32, "a commit that does not read");
            return Ok(());
        };
        self.pending.push(commit);
        self.opening.replayed += 1;
        self.apply(false)
    }

    fn apply(&mut self, all: bool) -> Result<(), OpenError> {
        let due =
            if all { !self.pending.is_empty() || self.end.sequence > self.applied } else { self.pending.len() >= STEP };
        if !due {
            return Ok(());
        }
        let path = self.home.index();
        // Within one step a later commit may be older than what the index has; each key decides for itself.
        self.index
            .apply(&self.pending, self.end, Replay::Yes)
            .map_err(|error| OpenError::Index { path, reason: error.to_string() })?;
        self.pending.clear();
        Ok(())
    }

    /// The log lacks what a compaction moved: a copy that took too long, or was cut off. New commits get numbers behind the
    /// fence, so later starts would not see it any more: a note stays until somebody takes it away.
    fn note_unreached_fence(&mut self, number: u32) {
        self.note_damage(number, 0, 0, FENCE_NOT_REACHED);
        let note = self.home.aside().join(format!("commits-{}-to-{}", self.end.sequence + 1, self.fence));
        let written = durable::create_directory(&self.home.aside())
            .and_then(|()| durable::write(&note, format!("{FENCE_NOT_REACHED}\n").as_bytes()));
        if let Err(error) = written {
            tracing::error!(%error, "no note could be left of what the log lacks");
        }
        self.end.sequence = self.fence;
    }

    fn cut(&mut self, path: &Path, from: u32, to: u32) -> Result<(), OpenError> {
        let file = OpenOptions::new().write(true).open(path).map_err(OpenError::io("open", path))?;
        let length = file.metadata().map_err(OpenError::io("read", path))?.len();
        file.set_len(u64::from(from)).map_err(OpenError::io("cut", path))?;
        file.sync_all().map_err(OpenError::io("sync", path))?;
        self.opening.cut = length - u64::from(from);
        tracing::info!(bytes = self.opening.cut, from, to, "a torn tail was cut: nothing in it was acknowledged");
        Ok(())
    }

    fn note_damage(&mut self, number: u32, from: u32, to: u32, reason: &'static str) {
        let damage = Damage { path: self.segments.path(number), from, to, reason };
        tracing::error!(segment = number, from, to, reason, "the log is damaged; stepping over");
        if let Err(error) = set_aside(&self.home.aside(), &damage) {
            tracing::error!(%error, "the damaged piece could not be copied aside");
        }
        self.opening.damaged.push(damage);
    }
}

/// A walk's end as an error of the opening.
pub(super) fn walk_error(path: &Path, error: WalkError) -> OpenError {
    match error {
        WalkError::Io(source) => OpenError::Io { action: "read", path: path.to_owned(), source },
        WalkError::Newer(version) => OpenError::Format {
            path: path.to_owned(),
            found: u32::from(version),
            known: u32::from(frame::FRAME_VERSION),
        },
    }
}

/// A commit, or a moved one, as the index takes it.
pub(super) fn indexed_commit(segment: u32, offset: u32, header: &Header, payload: &[u8]) -> Option<IndexedCommit> {
    let (version, ops) = read_records(header, payload)?;
    let base = offset + FRAME_HEADER as u32;
    let op = |op: LoggedOp<'_>| match op {
        LoggedOp::Put { key, value, at } => {
            (key.to_vec(), Some(LoggedValue { bytes: value.to_vec(), segment, offset: base + at }))
        }
        LoggedOp::Delete { key } => (key.to_vec(), None),
    };
    Some(IndexedCommit { sequence: header.sequence, version, ops: ops.into_iter().map(op).collect() })
}

/// Whether a frame after `to` was written when `offset` was already on disk: then what lies at `offset` is not torn, it is
/// damaged.
pub(super) fn synced_after(file: &fs::File, salt: &Salt, to: u32, offset: u32) -> bool {
    let Ok(mut walk) = Walk::new(file, salt, to, Bodies::Skip) else { return false };
    while let Ok(Some(piece)) = walk.step() {
        if let Piece::Body { header, .. } | Piece::Commit { header, .. } = piece
            && header.synced > offset
        {
            return true;
        }
    }
    false
}

/// Copies a damaged piece to where nothing will ever overwrite it.
pub(super) fn set_aside(directory: &Path, damage: &Damage) -> io::Result<()> {
    if damage.to <= damage.from {
        return Ok(());
    }
    let name = damage.path.file_name().and_then(|name| name.to_str()).unwrap_or("segment");
    let target = directory.join(format!("{name}-{}-{}", damage.from, damage.to));
    if target.exists() {
        return Ok(());
    }
    durable::create_directory(directory)?;
    let mut bytes = vec![0; (damage.to - damage.from).min(ASIDE_MAX) as usize];
    fs::File::open(&damage.path)?.read_exact_at(&mut bytes, u64::from(damage.from))?;
    durable::write(&target, &bytes)
}
