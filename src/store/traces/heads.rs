//! The heads: the seal of every day that there ever was, kept when the day itself is forgotten.
//!
//! ```text
//! heads        {"format":1,"public_key":…,"genesis":…}
//!              {"day":"2026-11-24","blocks":…,"lines":…,…,"before":…,"hash":…,"signature":…}
//!              …
//!              {"signature":…}      over all lines above, with their ends
//! ```
//!
//! A head is its day's seal block written out, so each can be checked by itself, and `before` links it to the day before: the
//! heads are a chain too, over forgotten days. The last line's signature covers which days were forgotten.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};

use super::block::{BlockHead, BlockHeader, BlockKind, Hash, hash_block};
use super::day::Day;
use super::keys::{TraceKeys, is_signed};
use super::{TraceError, hex};
use crate::store::embedded::durable;

/// The format of a directory of traces that this code writes, and the newest that it reads.
pub const TRACES_FORMAT: u32 = 1;

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
    /// The hash of its seal: the head of the chain at its end.
    #[serde(with = "hex")]
    pub hash: Hash,
    /// Ed25519 over the hash.
    #[serde(with = "hex")]
    pub signature: [u8; 64],
    /// When its lines were forgotten, in Unix seconds; none while they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<u64>,
}

impl Head {
    pub(super) fn of(seal: &BlockHeader, before: Hash) -> Head {
        let BlockHead { day, number: blocks, before: lines, first, last, previous, .. } = seal.head;
        let (hash, signature) = (seal.hash, seal.signature);
        Head { day, blocks, lines, first, last, previous, before, hash, signature, forgotten: None }
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
        hash_block(&self.block_head(), &[self.before]) == self.hash
            && is_signed(public_key, &self.hash, &self.signature)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Beginning {
    format: u32,
    #[serde(with = "hex")]
    public_key: [u8; 32],
    #[serde(with = "hex")]
    genesis: Hash,
}

#[derive(Serialize, Deserialize)]
struct Ending {
    #[serde(with = "hex")]
    signature: [u8; 64],
}

/// The file `heads` of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heads {
    /// What the first day's first block follows.
    pub(super) genesis: Hash,
    /// By day, rising.
    pub(super) days: Vec<Head>,
}

/// What was read.
pub(super) enum Read {
    /// As it was written.
    Whole(Heads),
    /// Not as it was written: the heads in it that are each signed, as far as it could be read.
    Altered(Option<Heads>),
    /// No such file.
    Missing,
}

impl Heads {
    /// The heads of a stream that begins, or whose heads are lost.
    pub(super) fn begin() -> Heads {
        let mut genesis = [0; 32];
        rand::fill(&mut genesis).expect("the operating system's random generator answers");
        Heads { genesis, days: Vec::new() }
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

    /// Writes the file, durably and whole or not at all.
    pub(super) fn write(&self, directory: &Path, keys: &TraceKeys) -> Result<(), TraceError> {
        let path = Heads::path(directory);
        durable::write(&path, self.encode(keys).as_bytes()).map_err(TraceError::io("write", &path))
    }

    fn encode(&self, keys: &TraceKeys) -> String {
        let beginning = Beginning { format: TRACES_FORMAT, public_key: keys.public_key(), genesis: self.genesis };
        let mut text = json(&beginning);
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
        if beginning.format != TRACES_FORMAT {
            return Err(TraceError::Format { path, found: beginning.format, known: TRACES_FORMAT });
        }
        if beginning.public_key != keys.public_key() {
            return Err(TraceError::WrongKey(directory.to_owned()));
        }
        let days = lines.filter_map(|line| serde_json::from_str::<Head>(line).ok()).collect();
        let heads = Heads { genesis: beginning.genesis, days };
        // Written again it must be the same, octet for octet: Ed25519 gives one signature for a message.
        if heads.encode(keys).as_bytes() == bytes {
            return Ok(Read::Whole(heads));
        }
        Ok(Read::Altered(Some(heads.signed_ones(keys))))
    }

    /// Those that are each signed, once and rising.
    fn signed_ones(mut self, keys: &TraceKeys) -> Heads {
        self.days.retain(|head| head.is_signed_by(&keys.public_key()));
        self.days.sort_by_key(|head| head.day);
        self.days.dedup_by_key(|head| head.day);
        self
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data with text keys") + "\n"
}
