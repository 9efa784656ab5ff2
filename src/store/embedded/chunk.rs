//! Reading a body's chunk out of the log, held against all that the log knows of it.

use std::io;
use std::os::unix::fs::FileExt;

use super::frame::{BODY_PREFIX, FRAME_HEADER, Header, Kind, Salt, read_body_prefix};
use super::segment::Segments;
use crate::store::body::CHUNK;
use crate::store::error::StoreError;
use crate::store::schema::{BodyId, Place};
use crate::store::seal::TAG_LEN;

/// Length of what stands before the ciphertext in a chunk's frame.
pub(super) const HEAD: usize = FRAME_HEADER + BODY_PREFIX;

/// A chunk that was read; its checksum was right.
pub(super) struct SealedChunk {
    /// What stands before the ciphertext.
    pub(super) head: [u8; HEAD],
    /// As many zeros as were asked for, then ciphertext and tag.
    pub(super) bytes: Vec<u8>,
    /// CRC32C of the frame's payload.
    pub(super) payload_crc: u32,
}

/// Reads a chunk, with room for `room` bytes before its ciphertext. Blocks.
pub(super) fn read(
    segments: &Segments,
    salt: &Salt,
    (body, index): (BodyId, u32),
    place: Place,
    room: usize,
) -> Result<SealedChunk, StoreError> {
    let damaged = |reason| StoreError::DamagedChunk { body, index, place, reason };
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => damaged("its segment is missing"),
        io::ErrorKind::UnexpectedEof => damaged("the segment ends before it"),
        _ => StoreError::io("read a segment")(error),
    };
    let file = segments.file(place.segment).map_err(unreadable)?;
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, u64::from(place.offset)).map_err(unreadable)?;
    let (header, prefix) = head.split_first_chunk::<FRAME_HEADER>().expect("the head is longer than a header");
    let header = Header::decode(header, salt).map_err(|_| damaged("no frame begins there"))?;
    let length = (header.length as usize).saturating_sub(BODY_PREFIX);
    let ours = read_body_prefix(prefix).is_some_and(|(id, number, _)| id == body && number == index);
    if header.kind != Kind::Body || !ours || !(TAG_LEN..=CHUNK + TAG_LEN).contains(&length) {
        return Err(damaged("another frame lies there"));
    }
    let mut bytes = vec![0; room + length];
    file.read_exact_at(&mut bytes[room..], u64::from(place.offset) + HEAD as u64).map_err(unreadable)?;
    if crc32c::crc32c_append(crc32c::crc32c(prefix), &bytes[room..]) != header.payload_crc {
        return Err(damaged("its checksum is wrong"));
    }
    Ok(SealedChunk { head, bytes, payload_crc: header.payload_crc })
}
