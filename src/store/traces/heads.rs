//! The heads: the seal of every day that there ever was, kept when the day itself is forgotten.
//!
//! ```text
//! heads        {"format":2,"public_key":…,"genesis":…}
//!              {"day":"2026-11-24","blocks":…,"lines":…,…,"before":…,"tree":…,"hash":…,"signature":…}
//!              {"day":…,…,"signature":…,"forgotten":…,"vouched":…}
//!              …
//!              {"signature":…}      over all lines above, with their ends
//! ```
//!
//! A head is its day's seal block written out, so each can be checked by itself, and `before` links it to the day before: the
//! heads are a chain too, over forgotten days. That a day was forgotten is signed by itself (`vouched`: Ed25519 over
//! `"caducee trace forgotten 1\n"` ‖ genesis ‖ hash ‖ forgotten, 8 octets big-endian; since format 2), so of a file that was
//! altered nobody's word is taken for it. The last line's signature is over the whole, in every format.
//!
//! A file of format 1 is written anew before the first block of format 2 (`block.rs`): a version that knows only format 1 says
//! so, and does not take those blocks for damage.

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

/// The first, in which only the last line says that a day was forgotten in good order.
const FIRST_FORMAT: u32 = 1;

const FORGOTTEN_TAG: &[u8] = b"caducee trace forgotten 1\n";

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
}

impl Head {
    pub(super) fn of(seal: &BlockHeader, DayEnds { before, tree }: DayEnds) -> Head {
        let BlockHead { day, number: blocks, before: lines, first, last, previous, .. } = seal.head;
        let (hash, signature) = (seal.hash, seal.signature);
        Head { day, blocks, lines, first, last, previous, before, tree, hash, signature, forgotten: None }
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
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Beginning {
    format: u32,
    #[serde(with = "hex")]
    public_key: [u8; 32],
    #[serde(with = "hex")]
    genesis: Hash,
}

/// A head as its line has it.
#[derive(Serialize, Deserialize)]
struct HeadLine {
    #[serde(flatten)]
    head: Head,
    /// The signature over its having been forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex::optional")]
    vouched: Option<[u8; 64]>,
}

impl HeadLine {
    /// The head; it is forgotten only if that is vouched for.
    fn vouched(mut self, genesis: &Hash, public_key: &[u8; 32]) -> Head {
        let is_vouched = |at: &u64| {
            let text = forgotten_text(genesis, &self.head.hash, *at);
            self.vouched.is_some_and(|signature| is_signed(public_key, &text, &signature))
        };
        self.head.forgotten = self.head.forgotten.filter(is_vouched);
        self.head
    }
}

/// What is signed of a day that was forgotten. The genesis keeps it from being said of another stream's day.
fn forgotten_text(genesis: &Hash, hash: &Hash, at: u64) -> Vec<u8> {
    [FORGOTTEN_TAG, genesis, hash, &at.to_be_bytes()].concat()
}

#[derive(Serialize, Deserialize)]
struct Ending {
    #[serde(with = "hex")]
    signature: [u8; 64],
}

/// Where the heads stood. Who keeps it somewhere else can tell later whether days were cut out of them, or others put in their
/// place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadsMark {
    /// What the first day's first block follows.
    #[serde(with = "hex")]
    pub genesis: Hash,
    /// How many heads there were.
    pub heads: u64,
    /// The day of the last of them.
    pub day: Option<Day>,
    /// Its hash; of none, the genesis.
    #[serde(with = "hex")]
    pub hash: Hash,
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
    /// As it was written, and in which format.
    Whole(Heads, u32),
    /// Not as it was written: the heads in it that are each signed, as far as it could be read. Those of them are forgotten of
    /// which that is vouched for.
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

    /// Where they stand.
    pub(super) fn mark(&self) -> HeadsMark {
        let day = self.days.last().map(|head| head.day);
        HeadsMark { genesis: self.genesis, heads: self.days.len() as u64, day, hash: self.tip() }
    }

    /// Whether they are those of which a mark was made, and perhaps later ones.
    pub(super) fn hold(&self, mark: &HeadsMark) -> bool {
        let last = mark.heads.checked_sub(1).map(|at| usize::try_from(at).ok().and_then(|at| self.days.get(at)));
        let hash = last.map_or(Some(self.genesis), |head| head.map(|head| head.hash));
        self.genesis == mark.genesis && hash == Some(mark.hash)
    }

    /// Writes the file, durably and whole or not at all.
    pub(super) fn write(&self, directory: &Path, keys: &TraceKeys) -> Result<(), TraceError> {
        let path = Heads::path(directory);
        let text = self.encode(keys, TRACES_FORMAT);
        durable::write(&path, text.as_bytes()).map_err(TraceError::io("write", &path))
    }

    pub(super) fn encode(&self, keys: &TraceKeys, format: u32) -> String {
        let beginning = Beginning { format, public_key: keys.public_key(), genesis: self.genesis };
        let mut text = json(&beginning);
        for head in &self.days {
            let forgotten = head.forgotten.filter(|_| format > FIRST_FORMAT);
            let vouched = forgotten.map(|at| keys.sign(&forgotten_text(&self.genesis, &head.hash, at)));
            text.push_str(&json(&HeadLine { head: head.clone(), vouched }));
        }
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
        let beginning: Option<Beginning> = text.lines().next().and_then(|line| serde_json::from_str(line).ok());
        let lines: Vec<HeadLine> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if let Some(beginning) = &beginning {
            let days = lines.iter().map(|line| line.head.clone()).collect();
            let heads = Heads { genesis: beginning.genesis, days };
            let is_known = (FIRST_FORMAT..=TRACES_FORMAT).contains(&beginning.format);
            // Written again it must be the same, octet for octet: Ed25519 gives one signature for a message.
            if is_known && heads.encode(keys, beginning.format).as_bytes() == bytes {
                return Ok(Read::Whole(heads, beginning.format));
            }
            let is_ours = beginning.public_key == keys.public_key();
            if !(is_known && is_ours) && (beginning.has_signed(&text) || !heads.are_of(&text, keys)) {
                let (found, known) = (beginning.format, TRACES_FORMAT);
                return Err(if is_ours {
                    TraceError::Format { path, found, known }
                } else {
                    TraceError::WrongKey(directory.to_owned())
                });
            }
        }
        Ok(Read::Altered(Heads::vouched_ones(beginning.map(|beginning| beginning.genesis), lines, keys)))
    }

    /// Whether an altered file was ours: a head in it is signed by us, or its last line is what we sign where its first was
    /// another.
    fn are_of(&self, text: &str, keys: &TraceKeys) -> bool {
        let is_last = |format| self.encode(keys, format).lines().next_back() == text.lines().next_back();
        self.days.iter().any(|head| head.is_signed_by(&keys.public_key()))
            || (FIRST_FORMAT..=TRACES_FORMAT).any(is_last)
    }

    /// Those that are each signed, once and rising; none where it cannot be said either what the first of them follows.
    fn vouched_ones(genesis: Option<Hash>, mut lines: Vec<HeadLine>, keys: &TraceKeys) -> Option<Heads> {
        lines.retain(|line| line.head.is_signed_by(&keys.public_key()));
        lines.sort_by_key(|line| line.head.day);
        lines.dedup_by_key(|line| line.head.day);
        let genesis = genesis.or_else(|| lines.first().map(|line| line.head.before))?;
        let days = lines.into_iter().map(|line| line.vouched(&genesis, &keys.public_key())).collect();
        Some(Heads { genesis, days })
    }
}

impl Beginning {
    /// Whether the file that begins so is whole by the key that it names, whatever its format.
    fn has_signed(&self, text: &str) -> bool {
        let above = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
        let (above, ending) = text.split_at(above);
        serde_json::from_str(ending)
            .is_ok_and(|ending: Ending| is_signed(&self.public_key, above.as_bytes(), &ending.signature))
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data with text keys") + "\n"
}
