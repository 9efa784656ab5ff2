//! Frames: the self-describing pieces of the log.
//!
//! ```text
//! header (32 bytes, little-endian)
//!   0  magic        CA D0 CE E5
//!   4  version      1; of a moved commit 2, so that a program that does not know these refuses them by name
//!   5  kind         1 body chunk, 2 commit, 3 moved commit
//!   6  reserved     0 0
//!   8  length       of the payload, bytes
//!  12  synced       offset in this segment below which all was on disk when this frame was written
//!  16  sequence     of this commit, or of the last commit before this chunk
//!  24  payload_crc  CRC32C of the payload
//!  28  header_crc   CRC32C of the store's salt and the 28 bytes before
//! payload of a body chunk: body id (8), chunk number (4), last (1), reserved (3), ciphertext, GCM tag (16)
//! payload of a commit: number of operations, then each: 1 key value | 2 key (lengths are LEB128)
//! payload of a moved commit: the version that its records keep (LEB128), then as a commit
//! ```
//!
//! `synced` tells a torn tail from damage: bytes that were on disk when a later frame was written cannot be torn. The
//! salt keeps a frame of another store, or one that somebody planted in a name, from being taken for ours.

use crate::store::batch::Op;
use crate::store::schema::BodyId;
use crate::store::schema::codec::{Reader, put_bytes, put_uint};

/// Length of a frame's header in bytes.
pub const FRAME_HEADER: usize = 32;
/// Length of what a body frame says before its ciphertext.
pub const BODY_PREFIX: usize = 16;
/// The newest frame version that this code writes and reads.
pub const FRAME_VERSION: u8 = 2;
/// The first bytes of every frame.
pub const MAGIC: [u8; 4] = [0xCA, 0xD0, 0xCE, 0xE5];
/// No payload is longer: a header that says so is no header.
pub const MAX_PAYLOAD: usize = crate::store::MAX_COMMIT + 16 * 1024 * 1024;

/// Distinguishes the frames of one store from all others.
pub type Salt = [u8; 16];

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A sealed chunk of a body.
    Body,
    /// A commit: all changes of one batch.
    Commit,
    /// What still counts of an older commit, moved here by a compaction: its records keep their version.
    Moved,
}

impl Kind {
    /// The bytes for version and kind in a header.
    fn encode(self) -> [u8; 2] {
        match self {
            Kind::Body => [1, 1],
            Kind::Commit => [1, 2],
            Kind::Moved => [2, 3],
        }
    }

    fn decode(bytes: [u8; 2]) -> Option<Kind> {
        [Kind::Body, Kind::Commit, Kind::Moved].into_iter().find(|kind| kind.encode() == bytes)
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame holds.
    pub kind: Kind,
    /// Length of the payload.
    pub length: u32,
    /// Offset in the segment below which all was on disk when the frame was written.
    pub synced: u32,
    /// The commit's sequence; for a chunk that of the last commit before it.
    pub sequence: u64,
    /// CRC32C of the payload.
    pub payload_crc: u32,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoHeader {
    /// No frame, or a damaged one.
    Invalid,
    /// A whole header of a newer version.
    Newer(u8),
}

impl Header {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self, salt: &Salt) -> [u8; FRAME_HEADER] {
        let mut bytes = [0; FRAME_HEADER];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.kind.encode());
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.synced.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = header_crc(salt, &bytes);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; the checksum is right in every header that this returns.
    ///
    /// # Errors
    /// [`NoHeader`].
    pub fn decode(bytes: &[u8; FRAME_HEADER], salt: &Salt) -> Result<Header, NoHeader> {
        if bytes[..4] != MAGIC || header_crc(salt, bytes) != word(bytes, 28) {
            return Err(NoHeader::Invalid);
        }
        if bytes[4] > FRAME_VERSION {
            return Err(NoHeader::Newer(bytes[4]));
        }
        let kind = Kind::decode([bytes[4], bytes[5]]).ok_or(NoHeader::Invalid)?;
        let sequence = u64::from(word(bytes, 16)) | u64::from(word(bytes, 20)) << 32;
        let header =
            Header { kind, length: word(bytes, 8), synced: word(bytes, 12), sequence, payload_crc: word(bytes, 24) };
        if header.length as usize > MAX_PAYLOAD { Err(NoHeader::Invalid) } else { Ok(header) }
    }

    /// Header and payload together, in bytes.
    #[must_use]
    pub fn frame_length(&self) -> u64 {
        FRAME_HEADER as u64 + u64::from(self.length)
    }
}

fn word(bytes: &[u8; FRAME_HEADER], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn header_crc(salt: &Salt, bytes: &[u8; FRAME_HEADER]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(salt), &bytes[..28])
}

/// What a body frame says before its ciphertext.
#[must_use]
pub fn body_prefix(body: BodyId, index: u32, last: bool) -> [u8; BODY_PREFIX] {
    let mut prefix = [0; BODY_PREFIX];
    prefix[..8].copy_from_slice(&body.0.to_le_bytes());
    prefix[8..12].copy_from_slice(&index.to_le_bytes());
    prefix[12] = u8::from(last);
    prefix
}

/// Reads [`body_prefix`]; `None` when there are too few bytes.
#[must_use]
pub fn read_body_prefix(payload: &[u8]) -> Option<(BodyId, u32, bool)> {
    let prefix = payload.first_chunk::<BODY_PREFIX>()?;
    let (body, rest) = prefix.split_first_chunk::<8>()?;
    let (index, rest) = rest.split_first_chunk::<4>()?;
    Some((BodyId(u64::from_le_bytes(*body)), u32::from_le_bytes(*index), rest[0] == 1))
}

/// A commit's frame, its header still to be filled in.
#[must_use]
pub(in crate::store) fn commit_frame(ops: &[Op]) -> Vec<u8> {
    let mut frame = empty_frame(ops);
    put_ops(&mut frame, ops);
    frame
}

/// A moved commit's frame, its header still to be filled in; `version` is the sequence of the commit that made the changes.
#[must_use]
pub(in crate::store) fn moved_frame(version: u64, ops: &[Op]) -> Vec<u8> {
    let mut frame = empty_frame(ops);
    put_uint(&mut frame, version);
    put_ops(&mut frame, ops);
    frame
}

/// A header's room, with capacity for operations behind it.
fn empty_frame(ops: &[Op]) -> Vec<u8> {
    let size: usize = ops.iter().map(|op| op.key().len() + 12 + op.value().map_or(0, <[u8]>::len)).sum();
    let mut frame = Vec::with_capacity(FRAME_HEADER + 16 + size);
    frame.resize(FRAME_HEADER, 0);
    frame
}

fn put_ops(frame: &mut Vec<u8>, ops: &[Op]) {
    put_uint(frame, ops.len() as u64);
    for op in ops {
        match op {
            Op::Put { key, value } => {
                frame.push(1);
                put_bytes(frame, key);
                put_bytes(frame, value);
            }
            Op::Delete { key } => {
                frame.push(2);
                put_bytes(frame, key);
            }
        }
    }
}

/// One operation of a commit as it lies in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedOp<'a> {
    /// A record was written.
    Put {
        /// The raw key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
        /// Where in the payload the value starts.
        at: u32,
    },
    /// A record was deleted.
    Delete {
        /// The raw key.
        key: &'a [u8],
    },
}

impl<'a> LoggedOp<'a> {
    /// The raw key.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        match self {
            LoggedOp::Put { key, .. } | LoggedOp::Delete { key } => key,
        }
    }
}

/// Reads the payload of a commit or of a moved commit: the version of its records, and the operations. `None` when it is badly
/// formed (its checksum was right, so this is another program's doing), and for a body's chunk.
#[must_use]
pub fn read_records<'a>(header: &Header, payload: &'a [u8]) -> Option<(u64, Vec<LoggedOp<'a>>)> {
    match header.kind {
        Kind::Body => None,
        Kind::Commit => Some((header.sequence, read_ops(Reader::new(payload), payload)?)),
        Kind::Moved => {
            let mut reader = Reader::new(payload);
            // What is moved was made before.
            let version = reader.uint().ok().filter(|version| *version < header.sequence)?;
            Some((version, read_ops(reader, payload)?))
        }
    }
}

/// Reads operations to the payload's end.
fn read_ops<'a>(mut reader: Reader<'a>, payload: &[u8]) -> Option<Vec<LoggedOp<'a>>> {
    let count = reader.count().ok()?;
    let mut ops = Vec::with_capacity(count.min(4096));
    for _ in 0..count {
        let kind = reader.byte().ok()?;
        let key = reader.bytes().ok()?;
        ops.push(match kind {
            1 => {
                let value = reader.bytes().ok()?;
                let at = payload.len() - reader.left() - value.len();
                LoggedOp::Put { key, value, at: at as u32 }
            }
            2 => LoggedOp::Delete { key },
            _ => return None,
        });
    }
    reader.end().ok().map(|()| ops)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = *b"0123456789abcdef";

    #[test]
    fn a_header_reads_back_and_refuses_every_changed_bit() {
        let header = Header { kind: Kind::Commit, length: 77, synced: 12, sequence: 1 << 40, payload_crc: 9 };
        let bytes = header.encode(&SALT);
        assert_eq!(Header::decode(&bytes, &SALT), Ok(header));
        assert_eq!(Header::decode(&bytes, b"another store's "), Err(NoHeader::Invalid));
        for bit in 0..FRAME_HEADER * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&changed, &SALT), Err(NoHeader::Invalid), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut bytes = Header { kind: Kind::Body, length: 1, synced: 0, sequence: 1, payload_crc: 0 }.encode(&SALT);
        bytes[4] = 3;
        seal(&mut bytes);
        assert_eq!(Header::decode(&bytes, &SALT), Err(NoHeader::Newer(3)));
    }

    #[test]
    fn a_moved_commit_has_a_version_of_its_own_and_no_other_kind_has_it() {
        let header = Header { kind: Kind::Moved, length: 1, synced: 0, sequence: 1, payload_crc: 0 };
        let bytes = header.encode(&SALT);
        assert_eq!((bytes[4], Header::decode(&bytes, &SALT)), (2, Ok(header)));
        for (version, kind) in [(1, 3), (2, 1), (2, 2), (0, 1), (1, 0), (2, 4)] {
            let mut changed = bytes;
            changed[4..6].copy_from_slice(&[version, kind]);
            seal(&mut changed);
            assert_eq!(Header::decode(&changed, &SALT), Err(NoHeader::Invalid), "kind {kind} in version {version}");
        }
    }

    /// Makes a changed header's checksum right again.
    fn seal(bytes: &mut [u8; FRAME_HEADER]) {
        let crc = header_crc(&SALT, bytes);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
    }

    #[test]
    fn a_moved_commit_reads_back_with_its_version_and_the_places_of_its_values() {
        let ops = [Op::Put { key: vec![1, 2], value: vec![7; 300] }, Op::Delete { key: vec![3] }];
        let frame = moved_frame(1 << 40, &ops);
        let payload = &frame[FRAME_HEADER..];
        let header = |sequence| Header { kind: Kind::Moved, length: 0, synced: 0, sequence, payload_crc: 0 };
        let later = header((1 << 40) + 1);
        let (version, read) = read_records(&later, payload).unwrap();
        assert_eq!((version, read.len()), (1 << 40, 2));
        assert_eq!(read_records(&header(1 << 40), payload), None, "moved before it was made");
        let LoggedOp::Put { value, at, .. } = read[0] else { panic!("the first operation is a put") };
        assert_eq!(&payload[at as usize..at as usize + 300], value);
        for cut in 0..payload.len() {
            assert_eq!(read_records(&later, &payload[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_commit_reads_back_with_the_places_of_its_values() {
        let ops = [
            Op::Put { key: vec![1, 2], value: vec![7; 300] },
            Op::Delete { key: vec![3] },
            Op::Put { key: vec![4], value: vec![] },
        ];
        let frame = commit_frame(&ops);
        let payload = &frame[FRAME_HEADER..];
        let header = Header { kind: Kind::Commit, length: 0, synced: 0, sequence: 9, payload_crc: 0 };
        let (version, read) = read_records(&header, payload).unwrap();
        assert_eq!((version, read.len()), (9, 3));
        let LoggedOp::Put { value, at, .. } = read[0] else { panic!("the first operation is a put") };
        assert_eq!(&payload[at as usize..at as usize + 300], value);
        assert_eq!(read[1], LoggedOp::Delete { key: &[3] });
        for cut in 0..payload.len() {
            assert_eq!(read_records(&header, &payload[..cut]), None, "cut at {cut}");
        }
    }
}
