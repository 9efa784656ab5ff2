//! Blocks: what a day's file is made of.
//!
//! ```text
//! header (192 bytes, little-endian but for the head)
//!    0  magic        CA D0 7A CE
//!    4  format       2; 1 where an earlier version wrote it
//!    5  reserved     0 0 0
//!    8  length       of the payload, bytes
//!   12  payload_crc  CRC32C of the payload
//!   16  head         69 bytes: see `BlockHead`
//!   85  hash         of the block
//!  117  signature    Ed25519 over the hash
//!  181  reserved     0 × 7
//!  188  header_crc   CRC32C of the 188 bytes before
//! payload: sealed (AES-256-GCM), bound to day, number and previous hash. Opened, for each line:
//!    length (LEB128), prefix = salt (16) ‖ at (8, big-endian) ‖ terms (8 each, big-endian); length, text
//! of a seal block: the hash of the day before's seal block; root of the tree over the hashes of the day's blocks
//! ```
//!
//! # The arithmetic
//!
//! ```text
//! line  = SHA-256("caducee trace line 1\n" ‖ length of the prefix (4, big-endian) ‖ prefix ‖ text)
//! block = SHA-256("caducee trace block 2\n" ‖ head ‖ root of the tree over its lines' hashes)
//! seal  = SHA-256("caducee trace block 2\n" ‖ head ‖ hash of the day before's seal ‖ root of the tree over its blocks' hashes)
//! ```
//!
//! The trees (`tree.rs`) let a proof lead from a line to its block, and from there to the day's seal, with some twenty hashes,
//! however many lines the day has. A line's salt keeps who is shown the hash of another line from guessing what it says.
//!
//! Format 1 has no trees:
//!
//! ```text
//! block = SHA-256("caducee trace block 1\n" ‖ head ‖ its lines' hashes)
//! seal  = SHA-256("caducee trace block 1\n" ‖ head ‖ hash of the day before's seal)
//! ```
//!
//! Its blocks are read, verified and proved, and no longer written. The tree of a day that an earlier version began is over
//! the hashes of all its blocks, whatever their format.

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::day::Day;
use super::keys::TraceKeys;
use super::tree;
use super::{Line, MAX_LINE_TERMS, MAX_LINE_TEXT, TraceError};
use crate::store::schema::codec::put_bytes;
use crate::store::seal::SEALED_OVERHEAD;

/// SHA-256.
pub type Hash = [u8; 32];

/// Length of a block's header in bytes.
pub const BLOCK_HEADER: usize = 192;
/// Length of the part of it that is hashed.
pub const BLOCK_HEAD: usize = 69;
/// No payload is longer: a header that says so is no header. A block of one line of the greatest length fits.
pub(super) const MAX_PAYLOAD: usize = 2 * 1024 * 1024;
/// Lengths of the block that closes a day: of format 1, of format 2.
pub(super) const SEAL_LENGTHS: [u64; 2] = [seal_length(1), seal_length(2)];
/// Plain bytes from which a block takes no further line.
const FULL: usize = 256 * 1024;

pub(super) const MAGIC: [u8; 4] = [0xCA, 0xD0, 0x7A, 0xCE];
pub(super) const SALT: usize = 16;
const LINE_TAG: &[u8] = b"caducee trace line 1\n";

/// The form of a block, which says how its hash is made: see the arithmetic above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockFormat {
    /// Over all its lines' hashes.
    One = 1,
    /// Over the root of a tree.
    Two = 2,
}

impl BlockFormat {
    fn decode(byte: u8) -> Option<BlockFormat> {
        match byte {
            1 => Some(BlockFormat::One),
            2 => Some(BlockFormat::Two),
            _ => None,
        }
    }

    fn tag(self) -> &'static [u8] {
        match self {
            BlockFormat::One => b"caducee trace block 1\n",
            BlockFormat::Two => b"caducee trace block 2\n",
        }
    }
}

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// Lines.
    Lines = 1,
    /// Nothing: it closes its day, and says how many lines the day has.
    Seal = 2,
}

/// The part of a block's header that its hash covers. As bytes, big-endian and without gaps, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHead {
    /// What it holds (1 byte: lines 1, seal 2).
    pub kind: BlockKind,
    /// Its day (4 bytes: days since 1970-01-01).
    pub day: Day,
    /// Its number in the day, from 0 (4 bytes).
    pub number: u32,
    /// Lines of the day before it (8 bytes).
    pub before: u64,
    /// The earliest moment of its lines, of a seal that of the day (8 bytes, Unix microseconds).
    pub first: u64,
    /// The latest (8 bytes).
    pub last: u64,
    /// How many lines it has (4 bytes).
    pub count: u32,
    /// The hash of the block before it; of a day's first block that of the seal of the day before that had traces (32 bytes).
    pub previous: Hash,
}

impl BlockHead {
    /// Its bytes, as they are hashed.
    #[must_use]
    pub fn encode(&self) -> [u8; BLOCK_HEAD] {
        let mut bytes = [0; BLOCK_HEAD];
        bytes[0] = self.kind as u8;
        bytes[1..5].copy_from_slice(&self.day.number().to_be_bytes());
        bytes[5..9].copy_from_slice(&self.number.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.before.to_be_bytes());
        bytes[17..25].copy_from_slice(&self.first.to_be_bytes());
        bytes[25..33].copy_from_slice(&self.last.to_be_bytes());
        bytes[33..37].copy_from_slice(&self.count.to_be_bytes());
        bytes[37..].copy_from_slice(&self.previous);
        bytes
    }

    fn decode(bytes: &[u8; BLOCK_HEAD]) -> Option<BlockHead> {
        let word = |at: usize| u32::from_be_bytes(array(&bytes[at..]));
        let long = |at: usize| u64::from_be_bytes(array(&bytes[at..]));
        let kind = match bytes[0] {
            1 => BlockKind::Lines,
            2 => BlockKind::Seal,
            _ => return None,
        };
        let day = Day::from_number(word(1));
        let head = BlockHead {
            kind,
            day,
            number: word(5),
            before: long(9),
            first: long(17),
            last: long(25),
            count: word(33),
            previous: array(&bytes[37..]),
        };
        (day.number() == word(1)).then_some(head)
    }

    /// What its payload is bound to.
    pub(super) fn place(&self) -> Vec<u8> {
        let mut place = b"trace block".to_vec();
        place.extend_from_slice(&self.day.number().to_be_bytes());
        place.extend_from_slice(&self.number.to_be_bytes());
        place.extend_from_slice(&self.previous);
        place
    }
}

/// The first bytes of `bytes`, which has enough of them.
pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("the caller gives enough bytes")
}

/// A block's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// How its hash is made.
    pub format: BlockFormat,
    /// Length of the payload.
    pub length: u32,
    /// CRC32C of the payload.
    pub payload_crc: u32,
    /// What the hash covers beside the lines.
    pub head: BlockHead,
    /// The block's hash.
    pub hash: Hash,
    /// Ed25519 over the hash.
    pub signature: [u8; 64],
}

impl BlockHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; BLOCK_HEADER] {
        let mut bytes = [0; BLOCK_HEADER];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = self.format as u8;
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[16..85].copy_from_slice(&self.head.encode());
        bytes[85..117].copy_from_slice(&self.hash);
        bytes[117..181].copy_from_slice(&self.signature);
        let crc = crc32c::crc32c(&bytes[..188]);
        bytes[188..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; its checksum is right in every one that this returns. That nobody changed it on purpose, only the
    /// signature says.
    #[must_use]
    pub fn decode(bytes: &[u8; BLOCK_HEADER]) -> Option<BlockHeader> {
        let word = |at: usize| u32::from_le_bytes(array(&bytes[at..]));
        if bytes[..4] != MAGIC || word(8) as usize > MAX_PAYLOAD {
            return None;
        }
        let header = BlockHeader {
            format: BlockFormat::decode(bytes[4])?,
            length: word(8),
            payload_crc: word(12),
            head: BlockHead::decode(&array(&bytes[16..]))?,
            hash: array(&bytes[85..]),
            signature: array(&bytes[117..]),
        };
        // Its checksum, and that what is reserved is as it should be.
        (header.encode() == *bytes).then_some(header)
    }

    /// Header and payload together, in bytes.
    #[must_use]
    pub fn block_length(&self) -> u64 {
        BLOCK_HEADER as u64 + u64::from(self.length)
    }
}

/// A block that was made, as it goes to disk.
pub(super) struct Made {
    pub(super) header: BlockHeader,
    /// The terms of all its lines, each once.
    pub(super) terms: Vec<u64>,
    /// Header and payload.
    pub(super) bytes: Vec<u8>,
}

/// Makes a block of as many of the lines as fit into one, and says how many those are. `head` has the day, number, lines before
/// and previous hash already.
pub(super) fn make(keys: &TraceKeys, mut head: BlockHead, lines: &[Line], most: usize) -> (Made, usize) {
    let (mut plain, mut terms, mut hashes) = (Zeroizing::new(Vec::new()), Vec::new(), Vec::new());
    (head.first, head.last) = (u64::MAX, 0);
    for line in lines.iter().take(most) {
        if plain.len() >= FULL {
            break;
        }
        let prefix = prefix_of(line);
        hashes.push(hash_line(&prefix, &line.text));
        put_bytes(&mut plain, &prefix);
        put_bytes(&mut plain, &line.text);
        terms.extend_from_slice(&line.terms);
        (head.first, head.last) = (head.first.min(line.at), head.last.max(line.at));
    }
    terms.sort_unstable();
    terms.dedup();
    head.count = hashes.len() as u32;
    let hash = hash_block(BlockFormat::Two, &head, &hashes);
    let (header, bytes) = close(keys, BlockFormat::Two, head, hash, &plain);
    (Made { header, terms, bytes }, hashes.len())
}

/// Makes the block that closes a day.
pub(super) fn make_seal(keys: &TraceKeys, head: BlockHead, ends: &DayEnds) -> (BlockHeader, Vec<u8>) {
    let format = if ends.tree.is_some() { BlockFormat::Two } else { BlockFormat::One };
    close(keys, format, head, hash_seal(&head, ends), &ends.parts().concat())
}

const fn seal_length(hashes: usize) -> u64 {
    (BLOCK_HEADER + hashes * size_of::<Hash>() + SEALED_OVERHEAD) as u64
}

/// Signs and seals a block.
pub(super) fn close(
    keys: &TraceKeys,
    format: BlockFormat,
    head: BlockHead,
    hash: Hash,
    plain: &[u8],
) -> (BlockHeader, Vec<u8>) {
    let payload = keys.seal(&head.place(), plain);
    let header = BlockHeader {
        format,
        length: payload.len() as u32,
        payload_crc: crc32c::crc32c(&payload),
        head,
        hash,
        signature: keys.sign(&hash),
    };
    let mut bytes = Vec::with_capacity(BLOCK_HEADER + payload.len());
    bytes.extend_from_slice(&header.encode());
    bytes.extend_from_slice(&payload);
    (header, bytes)
}

/// Whether the line fits into a block by itself.
pub(super) fn check_length(line: &Line) -> Result<(), TraceError> {
    let (text, terms) = (line.text.len(), line.terms.len());
    if text > MAX_LINE_TEXT || terms > MAX_LINE_TERMS {
        return Err(TraceError::LineTooLong { text, terms });
    }
    Ok(())
}

fn prefix_of(line: &Line) -> Vec<u8> {
    let mut prefix = vec![0; SALT];
    rand::fill(&mut prefix).expect("the operating system's random generator answers");
    prefix.extend_from_slice(&line.at.to_be_bytes());
    line.terms.iter().for_each(|term| prefix.extend_from_slice(&term.to_be_bytes()));
    prefix
}

/// A line's hash: see the arithmetic above.
#[must_use]
pub fn hash_line(prefix: &[u8], text: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(LINE_TAG);
    context.update(&(prefix.len() as u32).to_be_bytes());
    context.update(prefix);
    context.update(text);
    array(context.finish().as_ref())
}

/// The hash of a block of lines, by their hashes: see the arithmetic above.
#[must_use]
pub fn hash_block(format: BlockFormat, head: &BlockHead, lines: &[Hash]) -> Hash {
    match format {
        BlockFormat::One => hash_head(format, head, lines),
        BlockFormat::Two => hash_head(format, head, &[tree::root(lines)]),
    }
}

/// A block's hash, by its head and what is hashed behind that: of a block of format 2 the root of its lines' tree.
pub(super) fn hash_head(format: BlockFormat, head: &BlockHead, behind: &[Hash]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(format.tag());
    context.update(&head.encode());
    behind.iter().for_each(|hash| context.update(hash));
    array(context.finish().as_ref())
}

/// What a seal block holds: its day's two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayEnds {
    /// The hash of the seal of the day before that had traces.
    pub before: Hash,
    /// The root of the tree over the hashes of the day's blocks; none in a seal of format 1.
    pub tree: Option<Hash>,
}

impl DayEnds {
    fn parts(&self) -> Vec<Hash> {
        [self.before].into_iter().chain(self.tree).collect()
    }
}

/// The hash of a seal block: see the arithmetic above.
#[must_use]
pub fn hash_seal(head: &BlockHead, ends: &DayEnds) -> Hash {
    let format = if ends.tree.is_some() { BlockFormat::Two } else { BlockFormat::One };
    hash_head(format, head, &ends.parts())
}

#[cfg(test)]
mod tests {
    use super::super::open::{OpenBlock, open_seal};
    use super::*;
    use crate::store::MailboxKey;

    fn head(number: u32) -> BlockHead {
        let day = Day::from_number(20_000);
        BlockHead { kind: BlockKind::Lines, day, number, before: 7, first: 0, last: 0, count: 0, previous: [3; 32] }
    }

    fn line(at: u64, text: &str) -> Line {
        Line { at, terms: vec![at % 3 + 1, 9], text: text.into() }
    }

    #[test]
    fn a_block_opens_at_its_own_place_to_the_lines_it_was_made_of() {
        let keys = TraceKeys::derive(&MailboxKey::generate());
        let lines = [line(12, "one"), line(10, ""), line(15, "three")];
        let (made, count) = make(&keys, head(4), &lines, 512);
        assert_eq!((count, made.terms.as_slice()), (3, [1, 2, 9].as_slice()));
        assert_eq!((made.header.head.first, made.header.head.last, made.header.head.count), (10, 15, 3));
        let read = BlockHeader::decode(&array(&made.bytes)).unwrap();
        assert_eq!(read, made.header);
        let open = OpenBlock::open(&keys, &read.head, &made.bytes[BLOCK_HEADER..]).unwrap();
        let again: Vec<_> = open.lines().map(|line| (line.at(), line.terms().collect(), line.text.to_vec())).collect();
        assert_eq!(again, lines.map(|line| (line.at, line.terms, line.text)));
        assert_eq!((read.format, hash_block(read.format, &read.head, &open.hashes())), (BlockFormat::Two, read.hash));
        let elsewhere = BlockHead { number: 5, ..read.head };
        assert!(OpenBlock::open(&keys, &elsewhere, &made.bytes[BLOCK_HEADER..]).is_none());
    }

    #[test]
    fn a_header_refuses_every_changed_bit() {
        let keys = TraceKeys::derive(&MailboxKey::generate());
        let (made, _) = make(&keys, head(4), &[line(1, "x")], 512);
        for bit in 0..BLOCK_HEADER * 8 {
            let mut bytes: [u8; BLOCK_HEADER] = array(&made.bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BlockHeader::decode(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn a_block_takes_no_more_than_its_share_and_always_one() {
        let keys = TraceKeys::derive(&MailboxKey::generate());
        let text = "x".repeat(MAX_LINE_TEXT);
        let long = Line { at: 1, terms: vec![2; MAX_LINE_TERMS], text: text.into() };
        assert!(check_length(&long).is_ok());
        let (made, count) = make(&keys, head(0), &[long.clone(), long.clone()], 512);
        assert_eq!(count, 1);
        assert!(made.bytes.len() <= BLOCK_HEADER + MAX_PAYLOAD);
        assert!(check_length(&Line { text: vec![0; MAX_LINE_TEXT + 1], ..long.clone() }).is_err());
        assert!(check_length(&Line { terms: vec![0; MAX_LINE_TERMS + 1], ..long }).is_err());
        assert_eq!(make(&keys, head(0), &[line(1, "a"), line(2, "b"), line(3, "c")], 2).1, 2);
    }

    #[test]
    fn the_arithmetic_is_what_it_was() {
        // Whoever checks a proof in ten years does it with the scripts of today.
        let hash = hash_line(&[1; 24], b"text");
        assert_eq!(super::super::hex::encode(&hash), LINE_HASH);
        let of_block = |format| super::super::hex::encode(&hash_block(format, &head(4), &[hash]));
        assert_eq!([of_block(BlockFormat::One), of_block(BlockFormat::Two)], BLOCK_HASHES);
        let seal = BlockHead { kind: BlockKind::Seal, ..head(4) };
        let ends = DayEnds { before: [5; 32], tree: Some([6; 32]) };
        assert_eq!(super::super::hex::encode(&hash_seal(&seal, &ends)), SEAL_HASH);
    }

    const LINE_HASH: &str = "194d58c6bbbce0945a8e19a65586c195ade1605283730622a24204f1071d2973";
    const BLOCK_HASHES: [&str; 2] = [
        "247c66f22efcdc3436a2b64231b0c1add9f1eff5d768b25df927b91798bb3136",
        "ea069236f2af7fc7ccf49980b9aa5f440539275fb8f09c3443d34177d344b27f",
    ];
    const SEAL_HASH: &str = "666ba50103d16cbaec1ad98b2e38aada309312fbad3d8cc96d2965f78f470840";

    #[test]
    fn a_seal_opens_to_the_ends_it_was_made_of_in_its_own_format_only() {
        let keys = TraceKeys::derive(&MailboxKey::generate());
        let head = BlockHead { kind: BlockKind::Seal, ..head(4) };
        for tree in [None, Some([6; 32])] {
            let ends = DayEnds { before: [5; 32], tree };
            let (header, bytes) = make_seal(&keys, head, &ends);
            assert_eq!((header.hash, BlockHeader::decode(&array(&bytes))), (hash_seal(&head, &ends), Some(header)));
            assert_eq!(open_seal(&keys, &header, &bytes[BLOCK_HEADER..]), Some(ends));
            let other = if tree.is_some() { BlockFormat::One } else { BlockFormat::Two };
            let other = BlockHeader { format: other, ..header };
            assert_eq!(open_seal(&keys, &other, &bytes[BLOCK_HEADER..]), None);
        }
    }
}
