//! The writer: one thread that turns waiting requests into groups, and each group into one write.
//!
//! It checks expectations against what is on its way (`in_flight`) and the index, gives each commit its sequence and each
//! frame its place, appends, and hands the group to the syncer. It does not wait for the sync: the next group is written
//! meanwhile, so that all who come during a sync share the next one.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::frame::{FRAME_HEADER, Header, Kind, commit_frame};
use super::index::{IndexedCommit, Position};
use super::moving::Moving;
use super::replay::indexed_commit;
use super::segment::{self, SEGMENT_HEADER};
use super::shared::{InFlight, Shared};
use crate::store::MAX_COMMIT;
use crate::store::batch::{Batch, Op};
use crate::store::body::Chunk;
use crate::store::engine::{Anchor, Found, Haste, check_expectations, resolve_references};
use crate::store::error::{CommitError, StoreError};
use crate::store::schema::{Body, Place, Record, Table, raw_key};

/// A group is closed when it holds so many bytes …
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// … or so many frames: about what one `writev` takes.
const GROUP_FRAMES: usize = 960;
/// How often the free space is asked for.
const SPACE_EVERY: Duration = Duration::from_millis(50);

/// Tells how a commit went: its sequence.
pub(super) type CommitAnswer = oneshot::Sender<Result<u64, CommitError>>;

/// What the writer is asked to do.
pub(super) enum Request {
    Append {
        chunk: Chunk,
        permit: OwnedSemaphorePermit,
        reply: oneshot::Sender<Result<Place, StoreError>>,
    },
    Commit {
        batch: Batch,
        haste: Haste,
        reply: CommitAnswer,
    },
    /// Append what lives of an old segment once more, as far as it still lives then.
    Move {
        items: Vec<Moving>,
        /// Free bytes on the disk below which it is refused.
        floor: u64,
        reply: CommitAnswer,
    },
    /// Close the segment that is written, unless nothing is in it; whether it is closed.
    BeginSegment {
        reply: oneshot::Sender<bool>,
    },
    Close,
}

/// A group that was written, on its way to the syncer.
pub(super) struct Written {
    pub(super) file: Arc<File>,
    pub(super) end: Position,
    pub(super) bytes: u64,
    pub(super) commits: Vec<WrittenCommit>,
    /// Sync even if nobody waits.
    pub(super) sync: bool,
}

/// A commit that was written and its waiter.
pub(super) struct WrittenCommit {
    pub(super) indexed: IndexedCommit,
    pub(super) haste: Haste,
    /// `None`: whoever waits waits for one behind it.
    pub(super) reply: Option<CommitAnswer>,
    /// What holds the chunks of the bodies that it adopts.
    pub(super) anchors: Vec<Anchor>,
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) requests: Receiver<Request>,
    pub(super) written: Sender<Written>,
    pub(super) file: Arc<File>,
    pub(super) position: Position,
    pub(super) space: Space,
}

/// A group being put together.
#[derive(Default)]
pub(super) struct Group {
    frames: Vec<Vec<u8>>,
    bytes: usize,
    pub(super) commits: Vec<WrittenCommit>,
    appended: Vec<(Place, oneshot::Sender<Result<Place, StoreError>>)>,
    /// Who asked to move what does not live any more, and the last commit before. What it was decided from may be in this
    /// group: until that is written it can be taken back.
    pub(super) nothing_moved: Vec<(u64, CommitAnswer)>,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Writer {
    /// Runs until it is told to close or all senders are gone.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.requests.recv() {
            let mut group = Group::default();
            let mut open = self.take(first, &mut group);
            while open && group.bytes < GROUP_BYTES && group.frames.len() < GROUP_FRAMES {
                match self.requests.try_recv() {
                    Ok(request) => open = self.take(request, &mut group),
                    Err(_) => break,
                }
            }
            self.write(group);
            if !open {
                return;
            }
        }
    }

    /// Puts a request into the group, or answers it; false: close.
    fn take(&mut self, request: Request, group: &mut Group) -> bool {
        match request {
            Request::Append { chunk, permit, reply } => {
                if let Err(error) = self.admit(Need::Mail) {
                    let _ = reply.send(Err(match error {
                        CommitError::Full => StoreError::Full,
                        _ => StoreError::Stopped,
                    }));
                    return true;
                }
                let place = self.push_chunk(chunk, group);
                group.appended.push((place, reply));
                group.permits.push(permit);
            }
            Request::Commit { batch, haste, reply } => match self.prepare(batch, group) {
                Ok((indexed, anchors)) => {
                    group.commits.push(WrittenCommit { indexed, haste, reply: Some(reply), anchors });
                }
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            },
            Request::Move { items, floor, reply } => self.take_move(items, floor, reply, group),
            Request::BeginSegment { reply } => {
                self.write(std::mem::take(group));
                if self.position.offset > SEGMENT_HEADER && !self.shared.is_stopped() {
                    self.begin_segment();
                }
                let _ = reply.send(self.position.offset == SEGMENT_HEADER);
            }
            Request::Close => return false,
        }
        true
    }

    pub(super) fn admit(&mut self, need: Need) -> Result<(), CommitError> {
        if self.shared.is_stopped() {
            return Err(CommitError::Unknown);
        }
        self.space.admit(need)
    }

    /// Checks a batch and lays its frames into the group.
    fn prepare(&mut self, batch: Batch, group: &mut Group) -> Result<(IndexedCommit, Vec<Anchor>), CommitError> {
        self.admit(if batch.adopted.is_empty() { Need::Upkeep } else { Need::Mail })?;
        let size = batch.size();
        if size > MAX_COMMIT {
            return Err(CommitError::TooLarge(size));
        }
        check_expectations(&batch.expectations, |key| self.look_up(key))?;
        let references = resolve_references(&batch.references, |key| self.look_up(key))?;
        let mut ops = batch.ops;
        ops.extend(references);
        let mut anchors = Vec::with_capacity(batch.adopted.len());
        for (staged, references) in batch.adopted {
            let (id, size) = (staged.id, staged.size);
            let (mut places, tail, anchor) = staged.take();
            anchors.push(anchor);
            places.push(self.push_chunk(tail, group));
            let mut value = Vec::new();
            Body { size, references, places }.encode(&mut value);
            ops.push(Op::Put { key: raw_key::<Body>(&id), value });
        }
        Ok((self.push_commit(&ops, group), anchors))
    }

    pub(super) fn push_commit(&mut self, ops: &[Op], group: &mut Group) -> IndexedCommit {
        let indexed = self.push_records(commit_frame(ops), Kind::Commit, group);
        self.shared.enter_in_flight(indexed.sequence, ops);
        indexed
    }

    /// Gives a frame of records the next sequence, and lays it into the group.
    pub(super) fn push_records(&mut self, mut frame: Vec<u8>, kind: Kind, group: &mut Group) -> IndexedCommit {
        self.position.sequence += 1;
        let payload_crc = crc32c::crc32c(&frame[FRAME_HEADER..]);
        let (place, header) = self.seal_header(&mut frame, kind, payload_crc);
        let indexed = indexed_commit(place.segment, place.offset, &header, &frame[FRAME_HEADER..])
            .expect("a commit just encoded decodes");
        group.push(frame);
        indexed
    }

    pub(super) fn push_chunk(&mut self, chunk: Chunk, group: &mut Group) -> Place {
        let Chunk { mut frame, payload_crc, .. } = chunk;
        let (place, _) = self.seal_header(&mut frame, Kind::Body, payload_crc);
        group.push(frame);
        place
    }

    /// Fills in a frame's header and gives the frame its place.
    fn seal_header(&mut self, frame: &mut [u8], kind: Kind, payload_crc: u32) -> (Place, Header) {
        let header = Header {
            kind,
            length: (frame.len() - FRAME_HEADER) as u32,
            synced: self.shared.synced.load(Ordering::Acquire),
            sequence: self.position.sequence,
            payload_crc,
        };
        frame[..FRAME_HEADER].copy_from_slice(&header.encode(&self.shared.salt));
        let place = Place { segment: self.position.segment, offset: self.position.offset };
        self.position.offset += frame.len() as u32;
        (place, header)
    }

    /// The newest version of a key, on disk or on its way there.
    pub(super) fn look_up(&self, key: &[u8]) -> Result<Found, StoreError> {
        match self.shared.in_flight(key) {
            Some(InFlight { deleted: true, .. }) => Ok(None),
            Some(InFlight { sequence, body, .. }) => Ok(Some((sequence, body.unwrap_or_default()))),
            None if key.first() == Some(&(Table::Body as u8)) => {
                Ok(self.shared.index.get(key)?.map(|raw| (raw.version, raw.value)))
            }
            None => Ok(self.shared.index.version(key)?.map(|version| (version, Vec::new()))),
        }
    }

    /// Appends the group and passes it on.
    fn write(&mut self, group: Group) {
        if self.shared.is_stopped() {
            return group.fail(|| CommitError::Unknown, || StoreError::Stopped);
        }
        if group.frames.is_empty() {
            return answer(group.nothing_moved);
        }
        if let Err(error) = write_all(&self.file, &group.frames) {
            return self.take_back(group, &error);
        }
        let bytes = group.bytes as u64;
        self.space.used(bytes);
        let Group { commits, appended, nothing_moved, .. } = group;
        answer(nothing_moved);
        for (place, reply) in appended {
            let _ = reply.send(Ok(place));
        }
        self.pass_on(bytes, commits, false);
        self.shared.progress.wait_for_room();
        if self.position.offset >= self.shared.options.segment && !self.shared.is_stopped() {
            self.begin_segment();
        }
    }

    fn pass_on(&self, bytes: u64, commits: Vec<WrittenCommit>, sync: bool) {
        self.shared.progress.written(bytes);
        let written = Written { file: self.file.clone(), end: self.position, bytes, commits, sync };
        // The syncer ends only when it has failed; the commits in what it did not take are answered as unknown.
        if self.written.send(written).is_err() {
            self.shared.stop("the syncer is gone");
        }
    }

    /// A write failed. What it left is cut off again, so that a full disk costs these requests only; if even that fails,
    /// or the failure is of another kind, the store stops.
    fn take_back(&mut self, group: Group, error: &io::Error) {
        let start = self.position.offset - group.bytes as u32;
        self.shared.progress.wait_for_all();
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        if !full || self.shared.is_stopped() || self.file.set_len(u64::from(start)).is_err() {
            self.shared.stop(&format!("a write to the log failed: {error}"));
            return group.fail(|| CommitError::Unknown, || StoreError::Stopped);
        }
        tracing::error!(%error, "the store's disk is full");
        self.position.offset = start;
        // All earlier commits are applied by now: what is left are those of this group.
        self.shared.clear_in_flight();
        self.space.exhausted();
        group.fail(|| CommitError::Full, || StoreError::Full);
    }

    /// Begins a new segment once the old one is wholly on disk: a torn tail can only be in the last.
    fn begin_segment(&mut self) {
        self.pass_on(0, Vec::new(), true);
        self.shared.progress.wait_for_all();
        if self.shared.is_stopped() {
            return;
        }
        let number = self.position.segment + 1;
        match segment::create(&self.shared.log, number, &self.shared.salt, self.position.sequence) {
            Ok(file) => {
                self.file = Arc::new(file);
                self.position = Position { segment: number, offset: SEGMENT_HEADER, ..self.position };
                self.shared.synced.store(SEGMENT_HEADER, Ordering::Release);
                self.shared.anchors.begin(number);
            }
            // The old segment can still grow: nothing is lost yet, and the next group tries again.
            Err(error) if self.position.offset < self.shared.options.segment.saturating_mul(2) => {
                tracing::error!(%error, "a new segment could not be begun");
            }
            Err(error) => self.shared.stop(&format!("a new segment could not be begun: {error}")),
        }
    }
}

impl Group {
    fn push(&mut self, frame: Vec<u8>) {
        self.bytes += frame.len();
        self.frames.push(frame);
    }

    fn fail(self, commit: impl Fn() -> CommitError, append: impl Fn() -> StoreError) {
        for reply in self.commits.into_iter().filter_map(|commit| commit.reply) {
            let _ = reply.send(Err(commit()));
        }
        for (_, reply) in self.appended {
            let _ = reply.send(Err(append()));
        }
        for (_, reply) in self.nothing_moved {
            let _ = reply.send(Err(commit()));
        }
    }
}

fn answer(nothing_moved: Vec<(u64, CommitAnswer)>) {
    for (sequence, reply) in nothing_moved {
        let _ = reply.send(Ok(sequence));
    }
}

/// Writes all frames with as few calls as the system allows.
fn write_all(mut file: &File, frames: &[Vec<u8>]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match file.write_vectored(&rest[..rest.len().min(1024)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a request needs the disk for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Mail that comes in: refused first.
    Mail,
    /// What is moved to make room: it needs some itself, and must leave so many bytes free.
    Moving { floor: u64 },
    /// Flags, deletions, accounts: they are what makes room, and small.
    Upkeep,
}

/// Keeps an eye on free space, so that the log stops before the index has no room: mail is refused below the reserve,
/// moving below the floor that it names, everything below a quarter.
pub(super) struct Space {
    directory: std::path::PathBuf,
    reserve: u64,
    free: u64,
    asked: Option<Instant>,
}

impl Space {
    pub(super) fn new(directory: std::path::PathBuf, reserve: u64) -> Self {
        Space { directory, reserve, free: 0, asked: None }
    }

    fn admit(&mut self, need: Need) -> Result<(), CommitError> {
        if self.asked.is_none_or(|asked| asked.elapsed() > SPACE_EVERY) {
            // If the system does not say, the write itself will.
            self.free = super::free_space(&self.directory).unwrap_or(u64::MAX);
            self.asked = Some(Instant::now());
        }
        let floor = match need {
            Need::Mail => self.reserve,
            Need::Moving { floor } => floor,
            Need::Upkeep => self.reserve / 4,
        };
        if self.free < floor { Err(CommitError::Full) } else { Ok(()) }
    }

    fn used(&mut self, bytes: u64) {
        self.free = self.free.saturating_sub(bytes);
    }

    fn exhausted(&mut self) {
        self.free = 0;
        self.asked = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::sync::mpsc;

    use super::*;
    use crate::store::embedded::index::{Index, LoggedValue, Replay};
    use crate::store::embedded::segment::Segments;
    use crate::store::embedded::{Options, shared};
    use crate::store::schema::{AccountId, Usage};

    /// Asks the writer to move a record of this version.
    fn ask_to_move(
        writer: &mut Writer,
        version: u64,
        group: &mut Group,
    ) -> oneshot::Receiver<Result<u64, CommitError>> {
        let (reply, answer) = oneshot::channel();
        let ops = vec![Op::Put { key: raw_key::<Usage>(&AccountId(1)), value: vec![7] }];
        let items = vec![Moving::Records { version, ops }];
        assert!(writer.take(Request::Move { items, floor: 0, reply }, group));
        answer
    }

    #[test]
    fn what_died_of_a_commit_is_not_told_to_be_dead_when_that_commit_is_taken_back() {
        let directory = std::env::temp_dir().join(format!("caducee-writer-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let log = directory.join("log");
        fs::create_dir_all(&log).unwrap();
        let segments = Arc::new(Segments::new(log.clone()));
        let index = Index::open(&directory.join("index"), 1 << 20, segments.clone()).unwrap();
        let position = Position { segment: 1, offset: 200, sequence: 2 };
        let value = LoggedValue { bytes: vec![7], segment: 1, offset: 100 };
        let ops = vec![(raw_key::<Usage>(&AccountId(1)), Some(value))];
        index.apply(&[IndexedCommit { sequence: 2, version: 2, ops }], position, Replay::No).unwrap();
        let options = Options { reserve: 0, ..Options::default() };
        let checkpoint = directory.join("checkpoint");
        let shared =
            Arc::new(shared::Shared::new(options, [0; 16], log.clone(), checkpoint, segments, index, position));
        let (written, _receive_written) = mpsc::channel();
        let (_requests, requests) = mpsc::channel();
        // Its writes fail as those to a full disk do.
        let file = Arc::new(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let mut writer = Writer { shared, requests, written, file, position, space: Space::new(log, 0) };

        let mut alone = Group::default();
        let mut superseded = ask_to_move(&mut writer, 1, &mut alone);
        writer.write(alone);
        assert_eq!(superseded.try_recv().unwrap(), Ok(2), "nothing in its group can be taken back");

        let mut group = Group::default();
        let (reply, mut deleted) = oneshot::channel();
        let mut batch = Batch::new();
        batch.delete::<Usage>(&AccountId(1));
        assert!(writer.take(Request::Commit { batch, haste: Haste::Now, reply }, &mut group));
        let mut moved = ask_to_move(&mut writer, 2, &mut group);
        assert!(moved.try_recv().is_err(), "the deletion is not written yet");
        writer.write(group);
        assert!(deleted.try_recv().unwrap().is_err());
        assert!(moved.try_recv().unwrap().is_err(), "the record lives, and was not moved");
        let _ = fs::remove_dir_all(&directory);
    }
}
