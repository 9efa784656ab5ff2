//! The index: sled, as a cache of what the log says.
//!
//! One tree. A key is a raw key (its first byte is the table, from 1 on) or one of the index's own (first byte 0):
//! `0 a` up to where the log was applied, `0 l segment` living bytes of bodies in a segment. A value is eight bytes,
//! `sequence << 1 | referred`, big-endian, and then the record, or where in the log it lies when it is larger than
//! [`INLINE_MAX`] (sled keeps large values in files that it never syncs, and small ones fast).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sled::IVec;

use super::durable;
use super::frame::{BODY_PREFIX, FRAME_HEADER};
use super::segment::Segments;
use crate::store::MAX_COMMIT;
use crate::store::batch::table_of;
use crate::store::body::CHUNK;
use crate::store::engine::{Raw, RawRange};
use crate::store::error::StoreError;
use crate::store::schema::{Body, DecodeError, Record, Table};
use crate::store::seal::TAG_LEN;

/// Longest record that the index holds itself; a longer one stays in the log and the index says where.
pub(super) const INLINE_MAX: usize = 3 * 1024;
const APPLIED: &[u8] = &[0, b'a'];
const LIVING: &[u8] = &[0, b'l'];
const VALUE_HEAD: usize = 8;
const REFERENCE: usize = 16;

/// A point between two frames of the log: all before it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Position {
    pub(super) segment: u32,
    pub(super) offset: u32,
    /// The last commit before it.
    pub(super) sequence: u64,
}

/// A value and where in the log it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoggedValue {
    pub(super) bytes: Vec<u8>,
    pub(super) segment: u32,
    pub(super) offset: u32,
}

/// A commit, or a moved one, on its way into the index.
#[derive(Debug)]
pub(super) struct IndexedCommit {
    /// Its place in the order of all commits.
    pub(super) sequence: u64,
    /// The version of its records: its own sequence; of a moved commit that of the one that was moved.
    pub(super) version: u64,
    /// Keys with their new values; `None` deletes.
    pub(super) ops: Vec<(Vec<u8>, Option<LoggedValue>)>,
}

/// What the index says of a record without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) version: u64,
    /// Segment and offset of its value, if that lies in the log.
    pub(super) place: Option<(u32, u32)>,
}

/// Whether commits may have been applied before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replay {
    /// Each commit is new.
    No,
    /// A key that has a newer version is left as it is.
    Yes,
}

/// How long a closed index may go on holding its file.
const LETTING_GO: Duration = Duration::from_secs(5);

pub(super) struct Index {
    directory: PathBuf,
    db: sled::Db,
    segments: Arc<Segments>,
    living: Mutex<BTreeMap<u32, u64>>,
    /// A record was left out of a list.
    left_out: AtomicBool,
}

impl Index {
    /// Opens sled. Its panics on damaged files come back as errors.
    pub(super) fn open(directory: &Path, cache: u64, segments: Arc<Segments>) -> Result<Index, String> {
        let db = open_sled(directory, cache)?;
        let index = Index {
            directory: directory.to_owned(),
            db,
            segments,
            living: Mutex::default(),
            left_out: AtomicBool::new(false),
        };
        *index.living() = index.read_living().map_err(|error| error.to_string())?;
        Ok(index)
    }

    fn living(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, u64>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_living(&self) -> Result<BTreeMap<u32, u64>, StoreError> {
        let mut living = BTreeMap::new();
        for row in self.db.scan_prefix(LIVING) {
            let (key, value) = row.map_err(index_error)?;
            if let (Some(segment), Ok(bytes)) = (key.last_chunk::<4>(), <[u8; 8]>::try_from(value.as_ref())) {
                living.insert(u32::from_be_bytes(*segment), u64::from_be_bytes(bytes));
            }
        }
        Ok(living)
    }

    /// Up to where the log was applied; zero for an empty index.
    pub(super) fn applied(&self) -> Result<Position, StoreError> {
        let found = self.db.get(APPLIED).map_err(index_error)?;
        Ok(found.as_deref().and_then(decode_position).unwrap_or_default())
    }

    /// Bytes of frames of living bodies, for each segment.
    pub(super) fn living_bytes(&self) -> BTreeMap<u32, u64> {
        self.living().clone()
    }

    /// The version of a key.
    pub(super) fn version(&self, key: &[u8]) -> Result<Option<u64>, StoreError> {
        let found = self.db.get(key).map_err(index_error)?;
        Ok(found.as_deref().and_then(split_value).map(|(version, _, _)| version))
    }

    /// What the index has of a key.
    pub(super) fn entry(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        let Some(found) = self.db.get(key).map_err(index_error)? else { return Ok(None) };
        let damaged = || StoreError::Record { table: table_of(key), source: DecodeError::Malformed };
        let (version, referred, rest) = split_value(&found).ok_or_else(damaged)?;
        let place = if referred {
            let [segment, offset, ..] = split_reference(rest).ok_or_else(damaged)?;
            Some((segment, offset))
        } else {
            None
        };
        Ok(Some(Entry { version, place }))
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Raw>, StoreError> {
        match self.db.get(key).map_err(index_error)? {
            Some(value) => self.read_current(key, value),
            None => Ok(None),
        }
    }

    /// Reads a value that was found. One that lies in the log may have been moved since, and its segment emptied: what has
    /// changed meanwhile is read again, what was deleted is none; only what still stands and does not read is damaged.
    fn read_current(&self, key: &[u8], mut value: IVec) -> Result<Option<Raw>, StoreError> {
        loop {
            let error = match self.read_value(key, &value) {
                Err(error @ StoreError::Record { .. }) => error,
                read => return read.map(Some),
            };
            match self.db.get(key).map_err(index_error)? {
                None => return Ok(None),
                Some(now) if now == value => return Err(error),
                Some(now) => value = now,
            }
        }
    }

    pub(super) fn scan(
        &self,
        range: RawRange,
        limit: usize,
        backwards: bool,
    ) -> Result<Vec<(Vec<u8>, Raw)>, StoreError> {
        let rows = self.db.range::<Vec<u8>, _>(range);
        if backwards { self.collect(rows.rev(), limit) } else { self.collect(rows, limit) }
    }

    /// The keys of a range, whether their records read or not.
    pub(super) fn keys(&self, range: RawRange, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = self.db.range::<Vec<u8>, _>(range).take(limit);
        rows.map(|row| row.map(|(key, _)| key.to_vec()).map_err(index_error)).collect()
    }

    fn collect(
        &self,
        rows: impl Iterator<Item = sled::Result<(IVec, IVec)>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Raw)>, StoreError> {
        let mut out = Vec::new();
        for row in rows {
            if out.len() == limit {
                break;
            }
            let (key, value) = row.map_err(index_error)?;
            match self.read_current(&key, value) {
                Ok(raw) => out.extend(raw.map(|raw| (key.to_vec(), raw))),
                // One damaged record costs one record, not the list.
                Err(StoreError::Record { table, .. }) => {
                    self.left_out.store(true, Ordering::Relaxed);
                    tracing::error!(table = table.name(), "a record that lies in the log is damaged and is left out");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(out)
    }

    /// Whether a damaged record was met since the start.
    pub(super) fn has_left_out(&self) -> bool {
        self.left_out.load(Ordering::Relaxed)
    }

    /// All keys with their versions, in order; the index's own are left out.
    pub(super) fn versions(&self) -> impl Iterator<Item = Result<(IVec, u64), StoreError>> {
        self.db.range::<&[u8], _>(&[1u8][..]..).map(|row| {
            let (key, value) = row.map_err(index_error)?;
            let version = split_value(&value).map_or(0, |(version, _, _)| version);
            Ok((key, version))
        })
    }

    fn read_value(&self, key: &[u8], value: &[u8]) -> Result<Raw, StoreError> {
        let damaged = || StoreError::Record { table: table_of(key), source: DecodeError::Malformed };
        let (version, referred, rest) = split_value(value).ok_or_else(damaged)?;
        if !referred {
            return Ok(Raw { version, value: rest.to_vec() });
        }
        let [segment, offset, length, crc] = split_reference(rest).ok_or_else(damaged)?;
        if length as usize > MAX_COMMIT {
            return Err(damaged());
        }
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => damaged(),
            _ => StoreError::io("read a record in the log")(error),
        };
        let file = self.segments.file(segment).map_err(gone)?;
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, u64::from(offset)).map_err(gone)?;
        if crc32c::crc32c(&bytes) != crc {
            return Err(damaged());
        }
        Ok(Raw { version, value: bytes })
    }

    /// Brings the index up to date with commits, in their order, in one atomic step of sled's.
    pub(super) fn apply(&self, commits: &[IndexedCommit], until: Position, replay: Replay) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        let mut changed = BTreeMap::<u32, i64>::new();
        // What this batch makes of the bodies' records, for commits of the same group.
        let mut bodies = BTreeMap::<&[u8], Option<&[u8]>>::new();
        for commit in commits {
            for (key, value) in &commit.ops {
                if replay == Replay::Yes && self.version(key)?.is_some_and(|version| version > commit.version) {
                    continue;
                }
                if key.first() == Some(&(Table::Body as u8)) {
                    let new = value.as_ref().map(|value| value.bytes.as_slice());
                    self.count_body(&mut changed, bodies.get(key.as_slice()).copied(), key, new)?;
                    bodies.insert(key, new);
                }
                match value {
                    Some(value) => batch.insert(key.as_slice(), encode_value(commit.version, value)),
                    None => batch.remove(key.as_slice()),
                }
            }
        }
        let mut living = self.living();
        for (segment, change) in changed.into_iter().filter(|(_, change)| *change != 0) {
            let bytes = living.entry(segment).or_default();
            *bytes = bytes.saturating_add_signed(change);
            batch.insert([LIVING, &segment.to_be_bytes()].concat(), &bytes.to_be_bytes());
        }
        batch.insert(APPLIED, &encode_position(until));
        self.db.apply_batch(batch).map_err(index_error)
    }

    /// Notes what a body's new record means for the living bytes of segments.
    fn count_body(
        &self,
        changed: &mut BTreeMap<u32, i64>,
        pending: Option<Option<&[u8]>>,
        key: &[u8],
        new: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let mut add = |record: &[u8], sign: i64| {
            for (segment, bytes) in Body::decode(record).iter().flat_map(frame_bytes) {
                *changed.entry(segment).or_default() += sign * bytes;
            }
        };
        match pending {
            Some(Some(old)) => add(old, -1),
            Some(None) => {}
            None => match self.get(key) {
                Ok(old) => old.iter().for_each(|old| add(&old.value, -1)),
                // A compaction may have emptied the place of a record that this replay is about to replace.
                Err(StoreError::Record { .. }) => {
                    tracing::error!("an old record of a body does not read; the living bytes are counted too high");
                }
                Err(error) => return Err(error),
            },
        }
        if let Some(new) = new {
            add(new, 1);
        }
        Ok(())
    }

    /// Makes all that was applied before this call durable. `sled::flush` alone is not enough: on Linux it only starts the
    /// writing (`sync_file_range`), so its files and their directory are synced here.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.db.flush().map_err(io::Error::other)?;
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.is_file() {
                File::open(&path)?.sync_data()?;
            }
        }
        durable::sync_directory(&self.directory)
    }
}

/// The directory is this process's alone ([`super::home`]); where sled's file is locked all the same, a store that was closed
/// a moment ago holds it until sled's threads have ended.
fn open_sled(directory: &Path, cache: u64) -> Result<sled::Db, String> {
    // Of a relative path sled makes one from the root directory, by which this user need not be able to come there.
    let directory = Path::new("/proc/self/cwd").join(directory);
    let config = sled::Config::new().path(directory).cache_capacity(cache).flush_every_ms(None);
    let begun = Instant::now();
    loop {
        let opened = catch_unwind(AssertUnwindSafe(|| config.open())).map_err(|_| "sled panicked".to_owned())?;
        match opened.map_err(|error| error.to_string()) {
            Err(error) if error.contains("could not acquire lock") && begun.elapsed() < LETTING_GO => {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened,
        }
    }
}

fn index_error(error: sled::Error) -> StoreError {
    StoreError::Index(error.to_string())
}

/// Where the chunks of a body count, and how much.
fn frame_bytes(body: &Body) -> impl Iterator<Item = (u32, i64)> {
    let last = body.places.len().saturating_sub(1);
    body.places.iter().enumerate().map(move |(index, place)| {
        let plain = if index == last { body.size.saturating_sub((last * CHUNK) as u64) } else { CHUNK as u64 };
        (place.segment, (plain as usize + FRAME_HEADER + BODY_PREFIX + TAG_LEN) as i64)
    })
}

fn encode_value(sequence: u64, value: &LoggedValue) -> Vec<u8> {
    let referred = value.bytes.len() > INLINE_MAX;
    let mut out = Vec::with_capacity(VALUE_HEAD + if referred { REFERENCE } else { value.bytes.len() });
    out.extend_from_slice(&(sequence << 1 | u64::from(referred)).to_be_bytes());
    if referred {
        for number in [value.segment, value.offset, value.bytes.len() as u32, crc32c::crc32c(&value.bytes)] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    } else {
        out.extend_from_slice(&value.bytes);
    }
    out
}

fn split_value(value: &[u8]) -> Option<(u64, bool, &[u8])> {
    let (head, rest) = value.split_first_chunk::<VALUE_HEAD>()?;
    let head = u64::from_be_bytes(*head);
    Some((head >> 1, head & 1 == 1, rest))
}

fn split_reference(rest: &[u8]) -> Option<[u32; 4]> {
    let bytes = <[u8; REFERENCE]>::try_from(rest).ok()?;
    let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Some([number(0), number(4), number(8), number(12)])
}

fn encode_position(position: Position) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&position.segment.to_be_bytes());
    bytes[4..8].copy_from_slice(&position.offset.to_be_bytes());
    bytes[8..].copy_from_slice(&position.sequence.to_be_bytes());
    bytes
}

fn decode_position(bytes: &[u8]) -> Option<Position> {
    let (segment, rest) = bytes.split_first_chunk::<4>()?;
    let (offset, sequence) = rest.split_first_chunk::<4>()?;
    Some(Position {
        segment: u32::from_be_bytes(*segment),
        offset: u32::from_be_bytes(*offset),
        sequence: u64::from_be_bytes(sequence.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = &[Table::Domain as u8, b'd'];

    fn commit(sequence: u64, version: u64, value: Option<LoggedValue>) -> IndexedCommit {
        IndexedCommit { sequence, version, ops: vec![(KEY.to_vec(), value)] }
    }

    fn apply(index: &Index, commit: IndexedCommit) {
        let until = Position { segment: 9, offset: 0, sequence: commit.sequence };
        index.apply(&[commit], until, Replay::No).unwrap();
    }

    #[test]
    fn a_value_whose_place_went_after_it_was_found_is_looked_up_again() {
        let directory = std::env::temp_dir().join(format!("caducee-index-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let log = directory.join("log");
        fs::create_dir_all(&log).unwrap();
        let segments = Arc::new(Segments::new(log.clone()));
        let index = Index::open(&directory.join("index"), 1 << 20, segments.clone()).unwrap();
        let value = |segment, byte| LoggedValue { bytes: vec![byte; INLINE_MAX + 1], segment, offset: 64 };
        let write = |segment: u32, bytes: &[u8]| {
            fs::write(segments.path(segment), [&[0; 64], bytes].concat()).unwrap();
            segments.forget(segment);
        };

        write(1, &[7; INLINE_MAX + 1]);
        apply(&index, commit(1, 1, Some(value(1, 7))));
        let found = index.db.get(KEY).unwrap().unwrap();
        write(1, &[]);
        let damaged = index.read_current(KEY, found.clone());
        assert!(matches!(damaged, Err(StoreError::Record { .. })), "nobody has moved it: {damaged:?}");

        write(2, &[7; INLINE_MAX + 1]);
        apply(&index, commit(2, 1, Some(value(2, 7))));
        let moved = index.read_current(KEY, found.clone()).unwrap().unwrap();
        assert_eq!((moved.version, moved.value), (1, vec![7; INLINE_MAX + 1]), "it keeps its version");

        apply(&index, commit(3, 3, None));
        assert_eq!(index.read_current(KEY, found).unwrap(), None, "it was deleted");
        let _ = fs::remove_dir_all(&directory);
    }
}
