//! The heads: the seal of every day that there ever was, kept when the day itself is forgotten.
//!
//! ```text
//! heads        {"format":2,"public_key":…,"genesis":…,"signature":…}      over format and genesis
//!              {"day":"2026-11-24","blocks":…,"lines":…,…,"before":…,"tree":…,"hash":…,"signature":…}
//!              …
//!              {"signature":…}      over all lines above, with their ends
//! ```
//!
//! A head is its day's seal block written out, so each can be checked by itself, and `before` links it to the day before: the
//! heads are a chain too, over forgotten days. That a day was forgotten is signed by itself, and so is the first line: what
//! is taken over from a file that somebody changed is only what we signed.
//!
//! Format 1 had neither those two signatures nor `tree`. It is read and written anew at a start, before the first block of
//! format 2, so that a version that knows only format 1 says so and does not take the blocks for damage. The first line and
//! its signature have this form in every later format.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};

use super::block::{BlockHead, BlockHeader, BlockKind, DayEnds, Hash, hash_seal};
use super::day::Day;
use super::keys::{TraceKeys, is_signed};
use super::{TraceError, hex};
use crate::store::embedded::durable;

/// The format of a directory of traces that this code writes, and the newest that it reads.
pub const TRACES_FORMAT: u32 = 2;
/// The oldest that it reads.
const OLDEST_FORMAT: u32 = 1;

const BEGINNING_TAG: &[u8] = b"caducee trace heads\n";
const FORGOTTEN_TAG: &[u8] = b"caducee trace forgotten\n";

/// The signed head of a sealed day. Kept elsewhere (printed, sent to somebody), it proves the day's traces and all before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The day.
    pub day: Day,
    /// How many blocks of lines it has.
    pub blocks: u32,
    /// How many lines.
    pub lines: u64,
    /// The earliest moment of a line, in Unix microseconds.
    pub first: u64,
    /// The latest.
    pub last: u64,
    /// The hash of its last block of lines.
    #[serde(with = "hex")]
    pub previous: Hash,
    /// The hash of the seal of the day before that had traces; of the first of all, the stream's random beginning.
    #[serde(with = "hex")]
    pub before: Hash,
    /// The root of the tree over the hashes of its blocks of lines; none where an earlier version sealed the day.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex::optional")]
    pub tree: Option<Hash>,
    /// The hash of its seal: the head of the chain at its end.
    #[serde(with = "hex")]
    pub hash: Hash,
    /// Ed25519 over the hash.
    #[serde(with = "hex")]
    pub signature: [u8; 64],
    /// When its lines were forgotten, in Unix seconds; none while they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<u64>,
    /// Ed25519 over that, with the hash; heads of format 1 have none.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex::optional")]
    pub forgotten_signature: Option<[u8; 64]>,
}

impl Head {
    pub(super) fn of(seal: &BlockHeader, DayEnds { before, tree }: DayEnds) -> Head {
        let BlockHead { day, number: blocks, before: lines, first, last, previous, .. } = seal.head;
        let (hash, signature, forgotten, forgotten_signature) = (seal.hash, seal.signature, None, None);
        Head {
            day,
            blocks,
            lines,
            first,
            last,
            previous,
            before,
            tree,
            hash,
            signature,
            forgotten,
            forgotten_signature,
        }
    }

    /// The seal block's head.
    #[must_use]
    pub fn block_head(&self) -> BlockHead {
        BlockHead {
            kind: BlockKind::Seal,
            day: self.day,
            number: self.blocks,
            before: self.lines,
            first: self.first,
            last: self.last,
            count: 0,
            previous: self.previous,
        }
    }

    /// Whether the hash is that of what the head says, and the signature that of the key.
    #[must_use]
    pub fn is_signed_by(&self, public_key: &[u8; 32]) -> bool {
        let ends = DayEnds { before: self.before, tree: self.tree };
        hash_seal(&self.block_head(), &ends) == self.hash && is_signed(public_key, &self.hash, &self.signature)
    }

    /// Notes that the day's lines go.
    pub(super) fn forget(&mut self, at: u64, keys: &TraceKeys) {
        self.forgotten = Some(at);
        self.forgotten_signature = Some(keys.sign(&self.forgetting(at)));
    }

    /// Takes back that its lines were forgotten, if that is not signed: somebody else wrote it, to have them removed.
    fn doubt_forgetting(&mut self, public_key: &[u8; 32]) {
        let signed = self.forgotten.zip(self.forgotten_signature);
        if !signed.is_some_and(|(at, signature)| is_signed(public_key, &self.forgetting(at), &signature)) {
            (self.forgotten, self.forgotten_signature) = (None, None);
        }
    }

    /// What is signed of a forgetting.
    fn forgetting(&self, at: u64) -> Vec<u8> {
        [FORGOTTEN_TAG, &self.hash, &at.to_be_bytes()].concat()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Beginning {
    format: u32,
    #[serde(with = "hex")]
    public_key: [u8; 32],
    #[serde(with = "hex")]
    genesis: Hash,
    /// None in format 1.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex::optional")]
    signature: Option<[u8; 64]>,
}

impl Beginning {
    fn of(format: u32, genesis: Hash, keys: &TraceKeys) -> Beginning {
        let mut beginning = Beginning { format, public_key: keys.public_key(), genesis, signature: None };
        if format > OLDEST_FORMAT {
            beginning.signature = Some(keys.sign(&beginning.signed()));
        }
        beginning
    }

    fn signed(&self) -> Vec<u8> {
        [BEGINNING_TAG, &self.format.to_be_bytes(), &self.genesis].concat()
    }

    fn is_signed_by(&self, keys: &TraceKeys) -> bool {
        self.signature.is_some_and(|signature| is_signed(&keys.public_key(), &self.signed(), &signature))
    }
}

#[derive(Serialize, Deserialize)]
struct Ending {
    #[serde(with = "hex")]
    signature: [u8; 64],
}

/// The file `heads` of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heads {
    /// The format that it has on disk.
    pub(super) format: u32,
    /// What the first day's first block follows.
    pub(super) genesis: Hash,
    /// By day, rising.
    pub(super) days: Vec<Head>,
}

/// What was read.
pub(super) enum Read {
    /// As it was written.
    Whole(Heads),
    /// Not as it was written: what of it is signed, as far as it could be read, and whether its genesis is.
    Altered(Option<(Heads, bool)>),
    /// No such file.
    Missing,
}

impl Heads {
    /// The heads of a stream that begins, or whose heads are lost.
    pub(super) fn begin() -> Heads {
        let mut genesis = [0; 32];
        rand::fill(&mut genesis).expect("the operating system's random generator answers");
        Heads { format: TRACES_FORMAT, genesis, days: Vec::new() }
    }

    /// What the next day's first block follows.
    pub(super) fn tip(&self) -> Hash {
        self.days.last().map_or(self.genesis, |head| head.hash)
    }

    /// What a day's first block follows.
    pub(super) fn before(&self, day: Day) -> Hash {
        self.days.iter().rev().find(|head| head.day < day).map_or(self.genesis, |head| head.hash)
    }

    pub(super) fn find(&self, day: Day) -> Option<&Head> {
        self.days.binary_search_by_key(&day, |head| head.day).ok().map(|at| &self.days[at])
    }

    /// The days whose files are there.
    pub(super) fn kept(&self) -> impl DoubleEndedIterator<Item = &Head> {
        self.days.iter().filter(|head| head.forgotten.is_none())
    }

    pub(super) fn path(directory: &Path) -> PathBuf {
        directory.join("heads")
    }

    /// Replaces the file, whole or not at all.
    pub(super) fn write(&self, directory: &Path, keys: &TraceKeys) -> Result<(), TraceError> {
        let path = Heads::path(directory);
        durable::write(&path, self.encode(keys).as_bytes()).map_err(TraceError::io("write", &path))
    }

    fn encode(&self, keys: &TraceKeys) -> String {
        let mut text = json(&Beginning::of(self.format, self.genesis, keys));
        self.days.iter().for_each(|head| text.push_str(&json(head)));
        let ending = json(&Ending { signature: keys.sign(text.as_bytes()) });
        text + &ending
    }

    /// Reads the file.
    ///
    /// # Errors
    /// What the system says; another key's file, or one of a newer format.
    pub(super) fn read(directory: &Path, keys: &TraceKeys) -> Result<Read, TraceError> {
        let path = Heads::path(directory);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Read::Missing),
            Err(error) => return Err(TraceError::io("read", &path)(error)),
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.split_inclusive('\n');
        let Some(beginning) = lines.next().and_then(|line| serde_json::from_str::<Beginning>(line).ok()) else {
            return Ok(Read::Altered(None));
        };
        let days = lines.filter_map(|line| serde_json::from_str::<Head>(line).ok()).collect();
        let heads = Heads { format: beginning.format, genesis: beginning.genesis, days };
        let is_signed = beginning.is_signed_by(keys);
        // A digit of the key or of the format may be damaged; what is signed tells ours from others'.
        let is_ours = |head: &Head| head.is_signed_by(&keys.public_key());
        if beginning.public_key != keys.public_key() && !is_signed && !heads.days.iter().any(is_ours) {
            return Err(TraceError::WrongKey(directory.to_owned()));
        }
        if beginning.format > TRACES_FORMAT && is_signed {
            return Err(TraceError::Format { path, found: beginning.format, known: TRACES_FORMAT });
        }
        // Written again it must be the same, octet for octet: Ed25519 gives one signature for a message.
        let is_known = (OLDEST_FORMAT..=TRACES_FORMAT).contains(&heads.format);
        if is_known && heads.encode(keys).as_bytes() == bytes {
            return Ok(Read::Whole(heads));
        }
        Ok(Read::Altered(Some((heads.signed_ones(keys), is_signed))))
    }

    /// Those that are each signed, once and rising; forgotten are those of which that is signed.
    fn signed_ones(mut self, keys: &TraceKeys) -> Heads {
        let public_key = keys.public_key();
        self.days.retain(|head| head.is_signed_by(&public_key));
        self.days.sort_by_key(|head| head.day);
        self.days.dedup_by_key(|head| head.day);
        self.days.iter_mut().for_each(|head| head.doubt_forgetting(&public_key));
        self
    }

    /// Gives heads that are whole the form of today: what their one signature said of forgotten days, each says by itself.
    pub(super) fn renew(&mut self, keys: &TraceKeys) {
        self.format = TRACES_FORMAT;
        for head in self.days.iter_mut().filter(|head| head.forgotten_signature.is_none()) {
            if let Some(at) = head.forgotten {
                head.forget(at, keys);
            }
        }
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data with text keys") + "\n"
}
