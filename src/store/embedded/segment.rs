//! Segments: the log's files, and the walk over their frames.
//!
//! A segment is a header of 64 bytes and frames after it, without gaps. Only the last segment is written; a new one is
//! begun when all of the old one is on disk, so a torn tail can only be at the end of the last. A compaction puts a header
//! alone in an older segment's place, so that the numbers have no gap, and removes the lowest of these after a while.
//!
//! ```text
//! header (64 bytes, little-endian)
//!   0  magic        "caducee\n"
//!   8  format       1
//!  12  number
//!  16  salt         of the store, 16 bytes
//!  32  sequence     of the last commit before the segment
//!  40  emptied      1: a compaction has moved what counted
//!  41  fence        of an emptied one: the commit that lies behind all that was moved; 0 in older stores
//!  49  reserved     0
//!  60  crc          CRC32C of the 60 bytes before
//! ```

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memmem;

use super::durable;
use super::frame::{BODY_PREFIX, FRAME_HEADER, Header, Kind, MAGIC, NoHeader, Salt, read_body_prefix, read_records};
use crate::store::error::OpenError;
use crate::store::schema::BodyId;

/// Length of a segment's header in bytes: the offset of its first frame.
pub const SEGMENT_HEADER: u32 = 64;
/// The segment format that this code writes, and the newest that it reads.
pub(super) const SEGMENT_FORMAT: u32 = 1;
const SEGMENT_MAGIC: [u8; 8] = *b"caducee\n";
const WINDOW: usize = 256 * 1024;
const OPEN_FILES: usize = 128;

/// The name of a segment's file.
#[must_use]
pub(super) fn file_name(number: u32) -> String {
    format!("{number:08}.seg")
}

/// Creates a segment durably and opens it for appending at [`SEGMENT_HEADER`].
pub(super) fn create(directory: &Path, number: u32, salt: &Salt, sequence: u64) -> io::Result<File> {
    let path = directory.join(file_name(number));
    durable::write(&path, &encode_header(number, salt, sequence, None))?;
    open_for_append(&path)
}

/// Puts a header alone in a segment's place, durably. Who has the file open goes on reading it. `fence`: the commit behind
/// all that was moved; a log that does not reach it lacks what lay here.
pub(super) fn empty(path: &Path, number: u32, salt: &Salt, sequence: u64, fence: u64) -> io::Result<()> {
    durable::write(path, &encode_header(number, salt, sequence, Some(fence)))
}

/// Opens a segment for appending; the position is its end.
pub(super) fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).open(path)
}

fn encode_header(number: u32, salt: &Salt, sequence: u64, fence: Option<u64>) -> [u8; SEGMENT_HEADER as usize] {
    let mut bytes = [0; SEGMENT_HEADER as usize];
    bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
    bytes[8..12].copy_from_slice(&SEGMENT_FORMAT.to_le_bytes());
    bytes[12..16].copy_from_slice(&number.to_le_bytes());
    bytes[16..32].copy_from_slice(salt);
    bytes[32..40].copy_from_slice(&sequence.to_le_bytes());
    bytes[40] = u8::from(fence.is_some());
    bytes[41..49].copy_from_slice(&fence.unwrap_or(0).to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// What a segment's first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SegmentHead {
    /// A header of ours.
    Whole {
        /// The last commit before the segment.
        sequence: u64,
        /// A compaction has moved what counted.
        emptied: bool,
        /// The commit behind all that was moved.
        fence: u64,
    },
    /// No header of this store: damaged, cut or foreign. Frames are looked for all the same.
    Damaged,
    /// A whole header of a newer format.
    Newer(u32),
}

/// Reads a segment's header.
pub(super) fn read_head(file: &File, number: u32, salt: &Salt) -> io::Result<SegmentHead> {
    let mut bytes = [0; SEGMENT_HEADER as usize];
    if read_up_to(file, &mut bytes, 0)? < bytes.len() {
        return Ok(SegmentHead::Damaged);
    }
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if bytes[..8] != SEGMENT_MAGIC || crc32c::crc32c(&bytes[..60]) != word(60) {
        return Ok(SegmentHead::Damaged);
    }
    if word(8) > SEGMENT_FORMAT {
        return Ok(SegmentHead::Newer(word(8)));
    }
    if word(12) != number || bytes[16..32] != *salt {
        return Ok(SegmentHead::Damaged);
    }
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    Ok(SegmentHead::Whole { sequence: long(32), emptied: bytes[40] == 1, fence: long(41) })
}

/// The numbers of all segments in a directory, rising.
pub(super) fn list(directory: &Path) -> Result<Vec<u32>, OpenError> {
    let mut numbers = Vec::new();
    let entries = std::fs::read_dir(directory).map_err(OpenError::io("list", directory))?;
    for entry in entries {
        let name = entry.map_err(OpenError::io("list", directory))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// What a walk reads: a segment's file, or its bytes in a test.
pub(super) trait Source {
    fn length(&self) -> io::Result<u64>;
    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Source for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buffer, offset)
    }
}

impl Source for &[u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = self.get(offset as usize..).unwrap_or_default();
        let length = buffer.len().min(from.len());
        buffer[..length].copy_from_slice(&from[..length]);
        Ok(length)
    }
}

/// Reads as many bytes as there are, up to the buffer's length.
pub(super) fn read_up_to(source: &impl Source, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match source.read_some(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Open segments for reading: at most [`OPEN_FILES`] at a time.
#[derive(Debug)]
pub(super) struct Segments {
    directory: PathBuf,
    open: Mutex<OpenFiles>,
}

/// Files by segment, each with the moment of its last use, and the moment now.
#[derive(Debug, Default)]
struct OpenFiles {
    now: u64,
    files: HashMap<u32, (u64, Arc<File>)>,
}

impl Segments {
    pub(super) fn new(directory: PathBuf) -> Self {
        Segments { directory, open: Mutex::default() }
    }

    pub(super) fn path(&self, number: u32) -> PathBuf {
        self.directory.join(file_name(number))
    }

    /// A segment, opened for reading; the longest unused one is closed when there are too many.
    pub(super) fn file(&self, number: u32) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.now += 1;
        let now = open.now;
        if let Some((used, file)) = open.files.get_mut(&number) {
            *used = now;
            return Ok(file.clone());
        }
        let file = Arc::new(File::open(self.path(number))?);
        let oldest = open.files.iter().min_by_key(|(_, (used, _))| *used).map(|(number, _)| *number);
        if let Some(oldest) = oldest.filter(|_| open.files.len() >= OPEN_FILES) {
            open.files.remove(&oldest);
        }
        open.files.insert(number, (now, file.clone()));
        Ok(file)
    }

    /// Closes a segment whose file was replaced or taken away: who asks for it from now on gets what is there now.
    pub(super) fn forget(&self, number: u32) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).files.remove(&number);
    }

    /// The length of a segment's file.
    pub(super) fn length(&self, number: u32) -> io::Result<u64> {
        Ok(std::fs::metadata(self.path(number))?.len())
    }
}

/// One step of a walk.
#[derive(Debug)]
pub(super) enum Piece {
    /// A chunk of a body: which of which. Where bodies are skipped, these two are not held against the checksum.
    Body { offset: u32, header: Header, body: BodyId, index: u32 },
    /// A commit or a moved commit with its payload, checksum verified.
    Commit { offset: u32, header: Header, payload: Vec<u8> },
    /// Bytes that are no whole frame. `resumed`: a whole frame follows at `to`; else `to` is the segment's end.
    Damaged { from: u32, to: u32, resumed: bool },
}

/// Whether a walk reads bodies through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bodies {
    /// Their headers only.
    Skip,
    /// Every byte, against the checksum.
    Verify,
}

/// Why a walk cannot go on.
#[derive(Debug)]
pub(super) enum WalkError {
    Io(io::Error),
    /// A frame of a newer version: not for us to step over.
    Newer(u8),
}

impl From<io::Error> for WalkError {
    fn from(error: io::Error) -> Self {
        WalkError::Io(error)
    }
}

/// Walks over a segment's frames, and steps over damage.
pub(super) struct Walk<'a, S> {
    source: &'a S,
    salt: &'a Salt,
    bodies: Bodies,
    offset: u32,
    end: u32,
    window: Vec<u8>,
    window_start: u64,
}

impl<'a, S: Source> Walk<'a, S> {
    pub(super) fn new(source: &'a S, salt: &'a Salt, from: u32, bodies: Bodies) -> io::Result<Self> {
        let length = source.length()?;
        // Segments are far shorter than 4 GiB; what lies beyond could not be addressed and is no frame of ours.
        let end = u32::try_from(length).unwrap_or(u32::MAX);
        Ok(Walk { source, salt, bodies, offset: from, end, window: Vec::new(), window_start: 0 })
    }

    /// The next piece; `None` at the segment's end.
    pub(super) fn step(&mut self) -> Result<Option<Piece>, WalkError> {
        if self.offset >= self.end {
            return Ok(None);
        }
        let offset = self.offset;
        if let Some((header, piece)) = self.frame_at(offset)? {
            self.offset = offset + header.frame_length() as u32;
            return Ok(Some(piece));
        }
        let next = self.find_frame(offset + 1)?;
        self.offset = next.unwrap_or(self.end);
        Ok(Some(Piece::Damaged { from: offset, to: self.offset, resumed: next.is_some() }))
    }

    /// The whole frame at an offset, if there is one.
    fn frame_at(&mut self, offset: u32) -> Result<Option<(Header, Piece)>, WalkError> {
        let Some(bytes) = self.bytes(offset, FRAME_HEADER)?.and_then(|bytes| bytes.first_chunk().copied()) else {
            return Ok(None);
        };
        let header = match Header::decode(&bytes, self.salt) {
            Ok(header) => header,
            Err(NoHeader::Invalid) => return Ok(None),
            Err(NoHeader::Newer(version)) => return Err(WalkError::Newer(version)),
        };
        if u64::from(offset) + header.frame_length() > u64::from(self.end) {
            return Ok(None);
        }
        let skip = header.kind == Kind::Body && self.bodies == Bodies::Skip;
        let length = if skip { BODY_PREFIX.min(header.length as usize) } else { header.length as usize };
        let Some(payload) = self.bytes(offset + FRAME_HEADER as u32, length)? else { return Ok(None) };
        if !skip && crc32c::crc32c(payload) != header.payload_crc {
            return Ok(None);
        }
        let piece = match header.kind {
            Kind::Commit | Kind::Moved => Piece::Commit { offset, header, payload: payload.to_vec() },
            Kind::Body => match read_body_prefix(payload) {
                Some((body, index, _)) => Piece::Body { offset, header, body, index },
                None => return Ok(None),
            },
        };
        Ok(Some((header, piece)))
    }

    /// The first whole frame at or after an offset; its payload is verified whatever it is.
    fn find_frame(&mut self, mut from: u32) -> Result<Option<u32>, WalkError> {
        let bodies = std::mem::replace(&mut self.bodies, Bodies::Verify);
        let mut found = None;
        while let Some(candidate) = self.find_magic(from)? {
            if self.frame_at(candidate)?.is_some() {
                found = Some(candidate);
                break;
            }
            from = candidate + 1;
        }
        self.bodies = bodies;
        Ok(found)
    }

    fn find_magic(&mut self, mut from: u32) -> Result<Option<u32>, WalkError> {
        while from < self.end {
            let length = WINDOW.min((self.end - from) as usize);
            let Some(window) = self.bytes(from, length)? else { return Ok(None) };
            if let Some(at) = memmem::find(window, &MAGIC) {
                return Ok(Some(from + at as u32));
            }
            // The magic may lie across two windows.
            from += (length as u32).saturating_sub(MAGIC.len() as u32 - 1).max(1);
        }
        Ok(None)
    }

    /// Bytes of the segment; `None` when it does not have them.
    fn bytes(&mut self, offset: u32, length: usize) -> io::Result<Option<&[u8]>> {
        let start = u64::from(offset);
        let held = self.window_start..self.window_start + self.window.len() as u64;
        if start < held.start || start + length as u64 > held.end {
            let wanted = length.max(WINDOW).min((self.end - offset.min(self.end)) as usize);
            if wanted < length {
                return Ok(None);
            }
            self.window.resize(wanted, 0);
            let read = read_up_to(self.source, &mut self.window, start)?;
            self.window.truncate(read);
            self.window_start = start;
            if read < length {
                return Ok(None);
            }
        }
        let at = (start - self.window_start) as usize;
        Ok(Some(&self.window[at..at + length]))
    }
}

/// A piece of a segment as [`examine`] tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Examined {
    /// Where it begins.
    pub from: u32,
    /// Where it ends.
    pub to: u32,
    /// A whole frame's header; `None`: damage.
    pub header: Option<Header>,
    /// Operations of a commit or moved commit that reads; 0 for all else.
    pub operations: usize,
}

/// Walks over the bytes of a segment from its first frame on, as a start does: for the fuzzer and for tests. `None` when a
/// frame of a newer version is met.
#[must_use]
pub fn examine(segment: &[u8], salt: &Salt) -> Option<Vec<Examined>> {
    let mut walk = Walk::new(&segment, salt, SEGMENT_HEADER, Bodies::Verify).ok()?;
    let mut pieces = Vec::new();
    while let Some(piece) = walk.step().ok()? {
        pieces.push(match piece {
            Piece::Damaged { from, to, .. } => Examined { from, to, header: None, operations: 0 },
            Piece::Body { offset, header, .. } => Examined::frame(offset, header, 0),
            Piece::Commit { offset, header, payload } => {
                let operations = read_records(&header, &payload).map_or(0, |(_, operations)| operations.len());
                Examined::frame(offset, header, operations)
            }
        });
    }
    Some(pieces)
}

impl Examined {
    fn frame(from: u32, header: Header, operations: usize) -> Self {
        Examined { from, to: from + header.frame_length() as u32, header: Some(header), operations }
    }
}
