//! Proofs: what shows somebody who has none of our keys that a line stood in the chain.

use super::block::{BlockFormat, BlockHead, BlockHeader, Hash, hash_block, hash_head, hash_line};
use super::day::Day;
use super::heads::Head;
use super::keys::is_signed;
use super::search::{LinePlace, open_if_there};
use super::tree::{Tree, climb};
use super::walk::{BlockHashes, Walk};
use super::{TraceError, TraceFiles, lock};

/// All that a proof of one line needs; it tells nothing of the block's other lines but salted hashes.
///
/// To check it: the line's hash from `prefix` and `text`; from there the block's hash, with its head and `hashes`; the signature
/// over it; and from the block's hash the seal of its day. The arithmetic is at the top of `block.rs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofParts {
    /// What the line says.
    pub text: Vec<u8>,
    /// What is hashed before the text: salt, moment, terms.
    pub prefix: Vec<u8>,
    /// The line's number in the block.
    pub line: u32,
    /// In which way the block's hash is made.
    pub format: BlockFormat,
    /// What leads from the line to the root of the block's tree; of a block of format 1 the hashes of all its lines.
    pub hashes: Vec<Hash>,
    /// The block's head as it is hashed: see [`BlockHead`].
    pub head: BlockHead,
    /// The block's hash.
    pub hash: Hash,
    /// Ed25519 over the hash.
    pub signature: [u8; 64],
    /// The key that signed.
    pub public_key: [u8; 32],
    /// What leads from the block to the end of its day.
    pub day_end: Result<DayEnd, NoDayEnd>,
}

/// What shows that a block stands under the head of its day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayEnd {
    /// The head.
    pub head: Head,
    /// What leads from the block to the root of the day's tree.
    pub path: Vec<Hash>,
}

/// Why nothing leads from a block to the head of its day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoDayEnd {
    /// The day is not over.
    Running,
    /// An earlier version closed the day: its head has no tree.
    OlderFormat,
    /// Other blocks of the day do not read.
    Damaged,
}

impl ProofParts {
    /// Whether the proof holds: what whoever gets it computes.
    #[must_use]
    pub fn holds(&self) -> bool {
        let line = hash_line(&self.prefix, &self.text);
        let hash = match self.format {
            BlockFormat::One => (self.hashes.get(self.line as usize) == Some(&line))
                .then(|| hash_block(self.format, &self.head, &self.hashes)),
            BlockFormat::Two => climb(&line, self.line.into(), self.head.count.into(), &self.hashes)
                .map(|root| hash_head(self.format, &self.head, &[root])),
        };
        let is_under_head =
            self.day_end.as_ref().map_or(true, |end| end.holds(&self.head, &self.hash, &self.public_key));
        hash == Some(self.hash) && is_signed(&self.public_key, &self.hash, &self.signature) && is_under_head
    }
}

impl DayEnd {
    fn holds(&self, block: &BlockHead, hash: &Hash, public_key: &[u8; 32]) -> bool {
        let root = climb(hash, block.number.into(), self.head.blocks.into(), &self.path);
        root.is_some() && root == self.head.tree && self.head.day == block.day && self.head.is_signed_by(public_key)
    }
}

/// Makes proofs of lines. It reads a day's file once for lines of one day that are asked for one after the other.
#[derive(Debug)]
pub struct Prover<'a> {
    files: &'a TraceFiles,
    /// The last day that was asked for.
    last: Option<(Day, Sealed)>,
}

/// The end of a day, and the tree over its blocks as it stands under that.
type Sealed = Result<(Head, Tree), NoDayEnd>;

impl TraceFiles {
    /// What makes proofs.
    #[must_use]
    pub fn prover(&self) -> Prover<'_> {
        Prover { files: self, last: None }
    }

    fn sealed(&self, day: Day) -> Result<Sealed, TraceError> {
        let (head, end) = {
            let state = lock(&self.inner.state);
            (state.heads.find(day).cloned(), state.end(day))
        };
        let Some(head) = head else { return Ok(Err(NoDayEnd::Running)) };
        if head.tree.is_none() {
            return Ok(Err(NoDayEnd::OlderFormat));
        }
        let path = self.inner.home.day(day);
        let Some((file, end)) = open_if_there(&path)?.zip(end) else { return Ok(Err(NoDayEnd::Damaged)) };
        let (mut walk, mut found, mut hashes) = (Walk::new(&file, end), BlockHashes::default(), Vec::new());
        while let Some(piece) = walk.step().map_err(TraceError::io("read", &path))? {
            hashes.extend(found.of(&piece));
        }
        let tree = Tree::of(&hashes);
        Ok(if Some(tree.root()) == head.tree { Ok((head, tree)) } else { Err(NoDayEnd::Damaged) })
    }
}

impl Prover<'_> {
    /// What a proof of a line is made from.
    ///
    /// # Errors
    /// [`TraceError::NotThere`]; [`TraceError::Damaged`], also where the block is not what was signed; what the disk says.
    pub fn parts(&mut self, place: LinePlace) -> Result<ProofParts, TraceError> {
        let LinePlace { day, offset, line } = place;
        let (piece, block) = self.files.inner.block_at(place)?;
        let header = piece.header.ok_or(TraceError::Damaged { day, offset })?;
        let shown = block.lines().nth(line as usize).ok_or(TraceError::NotThere)?;
        let BlockHeader { format, head, hash, signature, .. } = header;
        let hashes = match format {
            BlockFormat::One => block.hashes(),
            BlockFormat::Two => Tree::of(&block.hashes()).path(line as usize),
        };
        let (text, prefix) = (shown.text.to_vec(), shown.prefix.to_vec());
        let public_key = self.files.inner.keys.public_key();
        let day_end = self.day_end(day, &header)?;
        let parts = ProofParts { text, prefix, line, format, hashes, head, hash, signature, public_key, day_end };
        if parts.holds() { Ok(parts) } else { Err(TraceError::Damaged { day, offset }) }
    }

    fn day_end(&mut self, day: Day, block: &BlockHeader) -> Result<Result<DayEnd, NoDayEnd>, TraceError> {
        let last = match self.last.take().filter(|(last, _)| *last == day) {
            Some(last) => last,
            None => (day, self.files.sealed(day)?),
        };
        let (_, sealed) = self.last.insert(last);
        let public_key = self.files.inner.keys.public_key();
        let end = sealed.as_ref().map_err(|why| *why).and_then(|(head, tree)| {
            let end = DayEnd { head: head.clone(), path: tree.path(block.head.number as usize) };
            if end.holds(&block.head, &block.hash, &public_key) { Ok(end) } else { Err(NoDayEnd::Damaged) }
        });
        Ok(end)
    }
}
