//! The walk through a day's file: every byte of it belongs to one piece, a block or a damaged stretch.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use memchr::memmem;

use super::block::{BLOCK_HEADER, BlockHeader, BlockKind, Hash, MAGIC};

const WINDOW: usize = 64 * 1024;

/// What is read: a day's file, or its bytes in a test.
pub(super) trait Source {
    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Source for File {
    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buffer, offset)
    }
}

impl Source for &[u8] {
    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let count = buffer.len().min(self.len() - from);
        buffer[..count].copy_from_slice(&self[from..from + count]);
        Ok(count)
    }
}

/// Reads until the buffer is full or the source ends; says how many bytes that were.
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

/// A stretch of a day's file.
#[derive(Debug)]
pub(super) struct Piece {
    /// Where it lies.
    pub(super) range: Range<u64>,
    /// The block's header, if it is whole.
    pub(super) header: Option<BlockHeader>,
    /// The block's payload, if its checksum is right too.
    pub(super) payload: Option<Vec<u8>>,
}

impl Piece {
    /// Whether lines may lie in it, as far as can be said: it has the header of a block of lines, or none.
    pub(super) fn may_hold_lines(&self) -> bool {
        self.header.is_none_or(|header| header.head.kind == BlockKind::Lines)
    }

    /// The block, if it is whole.
    pub(super) fn whole(&self) -> Option<(&BlockHeader, &[u8])> {
        self.header.as_ref().zip(self.payload.as_deref())
    }
}

/// Reads the block at an offset; `None` where there is no header of one.
pub(super) fn read_block(source: &impl Source, offset: u64, end: u64) -> io::Result<Option<Piece>> {
    // Most blocks are smaller than this: one reading gets header and payload.
    let mut bytes = vec![0; 4096.min(end.saturating_sub(offset)) as usize];
    let read = read_up_to(source, &mut bytes, offset)?;
    bytes.truncate(read);
    let Some(header) = bytes.first_chunk::<BLOCK_HEADER>().and_then(BlockHeader::decode) else { return Ok(None) };
    let to = (offset + header.block_length()).min(end);
    let have = bytes.len();
    bytes.resize((to - offset) as usize, 0);
    if bytes.len() > have {
        let read = read_up_to(source, &mut bytes[have..], offset + have as u64)?;
        bytes.truncate(have + read);
    }
    let payload = bytes.split_off(BLOCK_HEADER);
    let is_whole = payload.len() == header.length as usize && crc32c::crc32c(&payload) == header.payload_crc;
    Ok(Some(Piece { range: offset..to, header: Some(header), payload: is_whole.then_some(payload) }))
}

/// The header of the block at an offset.
pub(super) fn read_header(source: &impl Source, offset: u64) -> io::Result<Option<BlockHeader>> {
    let mut bytes = [0; BLOCK_HEADER];
    let is_whole = read_up_to(source, &mut bytes, offset)? == BLOCK_HEADER;
    Ok(if is_whole { BlockHeader::decode(&bytes) } else { None })
}

/// Where a stretch ends that begins at `from` and that no block begins: at the next header, or at `end`.
pub(super) fn end_of_damage(source: &impl Source, from: u64, end: u64) -> io::Result<u64> {
    if from >= end { Ok(from.saturating_add(1)) } else { Walk { source, at: from, end }.next_header() }
}

/// A walk from the first byte to `end`.
pub(super) struct Walk<'a, S> {
    source: &'a S,
    at: u64,
    end: u64,
}

impl<'a, S: Source> Walk<'a, S> {
    pub(super) fn new(source: &'a S, end: u64) -> Self {
        Walk { source, at: 0, end }
    }

    /// The next piece; `None` at the end.
    pub(super) fn step(&mut self) -> io::Result<Option<Piece>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let piece = match read_block(self.source, self.at, self.end)? {
            Some(piece) => piece,
            None => Piece { range: self.at..self.next_header()?, header: None, payload: None },
        };
        self.at = piece.range.end;
        Ok(Some(piece))
    }

    /// Where behind the present place the next header lies, or the end.
    fn next_header(&self) -> io::Result<u64> {
        let mut from = self.at + 1;
        let mut window = vec![0; WINDOW];
        while from < self.end {
            let wanted = (WINDOW as u64).min(self.end - from) as usize;
            let read = read_up_to(self.source, &mut window[..wanted], from)?;
            for at in memmem::find_iter(&window[..read], &MAGIC) {
                let found = from + at as u64;
                if self.is_header(found)? {
                    return Ok(found);
                }
            }
            // A magic may lie across the windows' border.
            match read.checked_sub(MAGIC.len() - 1) {
                Some(step) if step > 0 && from + (read as u64) < self.end => from += step as u64,
                _ => break,
            }
        }
        Ok(self.end)
    }

    fn is_header(&self, offset: u64) -> io::Result<bool> {
        Ok(offset + BLOCK_HEADER as u64 <= self.end && read_header(self.source, offset)?.is_some())
    }
}

/// Follows a walk through a day's file, and gives the hashes of its blocks of lines by their numbers: of damaged ones too, as
/// far as they are known. The hash of one that is lost altogether stands in the block behind it; of several in a row only the
/// last one's does, and zeros stand for the others.
#[derive(Debug, Default)]
pub(super) struct BlockHashes {
    /// The number of the next block.
    next: u32,
    /// Bytes since the last header: no more blocks than have room there are lost.
    lost: u64,
    /// Whether zeros stand for a hash that is not known.
    pub(super) lacks: bool,
}

impl BlockHashes {
    /// The hashes that a piece adds.
    pub(super) fn of(&mut self, piece: &Piece) -> impl Iterator<Item = Hash> + use<> {
        let lost = match &piece.header {
            Some(header) => self.lost_before(header),
            None => {
                self.lost += piece.range.end - piece.range.start;
                0
            }
        };
        let unknown = lost.saturating_sub(1);
        self.lacks |= unknown > 0;
        let last = piece.header.filter(|_| lost > 0).map(|header| header.head.previous);
        let own = piece.header.filter(|header| header.head.kind == BlockKind::Lines).map(|header| header.hash);
        self.next = self.next.saturating_add(lost).saturating_add(own.is_some().into());
        std::iter::repeat_n([0; 32], unknown as usize).chain(last).chain(own)
    }

    /// How many blocks are lost before one. None where it does not lie where its number says: somebody put it there.
    fn lost_before(&mut self, header: &BlockHeader) -> u32 {
        let room = std::mem::take(&mut self.lost) / BLOCK_HEADER as u64;
        let lost = header.head.number.checked_sub(self.next).filter(|lost| u64::from(*lost) <= room);
        lost.unwrap_or_default()
    }
}

/// A piece of a day's file, as the fuzzer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExaminedBlock {
    /// Where it begins.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// The block's header, if it is whole.
    pub header: Option<BlockHeader>,
    /// Whether the payload is whole too.
    pub is_whole: bool,
}

/// Walks over the bytes of a day's file.
#[must_use]
pub fn examine(file: &[u8]) -> Vec<ExaminedBlock> {
    let mut walk = Walk::new(&file, file.len() as u64);
    let mut pieces = Vec::new();
    // Reading from memory does not fail.
    while let Ok(Some(Piece { range, header, payload })) = walk.step() {
        pieces.push(ExaminedBlock { from: range.start, to: range.end, header, is_whole: payload.is_some() });
    }
    pieces
}
