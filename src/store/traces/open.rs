//! Blocks, opened: their lines, and what a seal holds.

use std::ops::Range;

use zeroize::Zeroizing;

use super::block::{BlockFormat, BlockHead, BlockHeader, BlockKind, DayEnds, Hash, SALT, array, hash_line};
use super::keys::TraceKeys;
use crate::store::schema::codec::Reader;

/// A block's payload, opened.
pub(super) struct OpenBlock {
    plain: Zeroizing<Vec<u8>>,
    lines: Vec<(Range<usize>, Range<usize>)>,
}

/// A line of an open block.
#[derive(Clone, Copy)]
pub(super) struct OpenLine<'a> {
    pub(super) prefix: &'a [u8],
    pub(super) text: &'a [u8],
}

impl OpenLine<'_> {
    pub(super) fn at(&self) -> u64 {
        u64::from_be_bytes(array(&self.prefix[SALT..]))
    }

    pub(super) fn terms(&self) -> impl Iterator<Item = u64> {
        self.prefix[SALT + 8..].chunks_exact(8).map(|term| u64::from_be_bytes(array(term)))
    }

    pub(super) fn has_all(&self, terms: &[u64]) -> bool {
        terms.iter().all(|wanted| self.terms().any(|term| term == *wanted))
    }

    pub(super) fn hash(&self) -> Hash {
        hash_line(self.prefix, self.text)
    }
}

impl OpenBlock {
    /// Opens the payload of a block of lines; `None` where it does not open, or is not what its header says.
    pub(super) fn open(keys: &TraceKeys, head: &BlockHead, payload: &[u8]) -> Option<OpenBlock> {
        let plain = keys.open(&head.place(), payload).ok()?;
        let lines = split(&plain)?;
        (head.kind == BlockKind::Lines && lines.len() == head.count as usize).then_some(OpenBlock { plain, lines })
    }

    pub(super) fn lines(&self) -> impl DoubleEndedIterator<Item = OpenLine<'_>> + ExactSizeIterator {
        let line = |(prefix, text): &(Range<usize>, Range<usize>)| OpenLine {
            prefix: &self.plain[prefix.clone()],
            text: &self.plain[text.clone()],
        };
        self.lines.iter().map(line)
    }

    pub(super) fn hashes(&self) -> Vec<Hash> {
        self.lines().map(|line| line.hash()).collect()
    }

    /// The terms of all lines, each once, rising.
    pub(super) fn terms(&self) -> Vec<u64> {
        let mut terms: Vec<u64> = self.lines().flat_map(|line| line.terms().collect::<Vec<_>>()).collect();
        terms.sort_unstable();
        terms.dedup();
        terms
    }
}

/// Opens a seal block.
pub(super) fn open_seal(keys: &TraceKeys, header: &BlockHeader, payload: &[u8]) -> Option<DayEnds> {
    let BlockHeader { format, head, .. } = header;
    let plain = keys.open(&head.place(), payload).ok()?;
    (head.kind == BlockKind::Seal && head.count == 0).then_some(())?;
    let (before, tree) = plain.split_at_checked(32)?;
    let tree = match format {
        BlockFormat::One => tree.is_empty().then_some(None)?,
        BlockFormat::Two => Some(tree.try_into().ok()?),
    };
    Some(DayEnds { before: array(before), tree })
}

/// Where the prefixes and the texts lie.
fn split(plain: &[u8]) -> Option<Vec<(Range<usize>, Range<usize>)>> {
    let mut reader = Reader::new(plain);
    let mut lines = Vec::new();
    while reader.left() > 0 {
        let prefix = piece(&mut reader, plain.len())?;
        if prefix.len() < SALT + 8 || prefix.len() % 8 != 0 {
            return None;
        }
        lines.push((prefix, piece(&mut reader, plain.len())?));
    }
    Some(lines)
}

fn piece(reader: &mut Reader<'_>, length: usize) -> Option<Range<usize>> {
    let bytes = reader.bytes().ok()?;
    let end = length - reader.left();
    Some(end - bytes.len()..end)
}
