//! Traces on disk: append-only files of a day each, sealed, chained and signed; found by terms; forgotten in whole days.
//!
//! One directory holds one stream of lines (functional or technical traces). What a line says is its maker's matter
//! (`audit`): here it is a moment, some terms by which it is found, and a text.
//!
//! ```text
//! append(lines) ─▶ block: sealed, hashed onto the block before, signed ─▶ 2026-11-25.day, synced ─▶ index in memory
//!                                                                             │ the day is over
//!                                        seal block ─▶ heads, signed ◀────────┘──▶ 2026-11-25.idx
//! ```
//!
//! # Rules
//!
//! 1. **What was written is never changed.** A day's file only grows, and a sealed day not even that: a line that comes late is
//!    filed in the open day, with its own moment.
//! 2. **A removed, altered or moved line, block or day shows** ([`TraceFiles::verify`]). A line's hash goes into its block's,
//!    that into the next one's and into the day's seal, over days and over forgotten days; each is signed (Ed25519). Only a cut
//!    of the very end needs a witness outside: [`TraceFiles::last_mark`] and [`TraceFiles::heads_mark`], which the caller keeps,
//!    and heads that the operator keeps elsewhere.
//! 3. **Damage costs a block**, not the day and not the start.
//! 4. **The index says nothing that the blocks do not**: it is made again where it is missing or damaged.
//! 5. **Memory is bounded** by [`TraceOptions`] and the limits of a line, whatever the files hold.
//!
//! Everything here blocks: call it from a thread that may. Files: `block.rs` has the blocks and the chain's arithmetic,
//! `tree.rs` its trees, `open.rs` the blocks' reading, `writer.rs` the open day, `heads.rs` the sealed days' heads, `index.rs` and
//! `indexer.rs` the index, `start.rs` what a start finds, `forgetting.rs` how days go, `search.rs`, `ordered.rs`, `verify.rs` and
//! `proof.rs` the reading.

mod block;
mod day;
mod error;
mod forgetting;
mod heads;
mod hex;
mod home;
mod index;
mod indexer;
mod keys;
mod open;
mod ordered;
mod proof;
mod search;
mod start;
#[cfg(test)]
mod tests;
mod tree;
mod verify;
mod walk;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use block::{
    BLOCK_HEAD, BLOCK_HEADER, BlockFormat, BlockHead, BlockHeader, BlockKind, DayEnds, Hash, hash_block, hash_line,
    hash_seal,
};
pub use day::{Day, NotADay};
pub use error::TraceError;
pub use heads::{Head, HeadsMark, TRACES_FORMAT};
pub use keys::{TraceKeys, public_key_pem};
pub use proof::{DayEnd, NoDayEnd, ProofParts, Prover};
pub use search::{FoundLine, LinePlace, Query, Searched};
pub use verify::{Problem, ProblemKind, TraceReport};
pub use walk::{ExaminedBlock, examine};

use heads::Heads;
use home::Home;
use indexer::Indexer;
use start::Started;
use writer::{OpenDay, Tip};

/// Bytes of a line's text, at most.
pub const MAX_LINE_TEXT: usize = 1024 * 1024;
/// Terms of a line, at most.
pub const MAX_LINE_TERMS: usize = 4096;
/// Lines of a block, at most, whatever the options say.
pub const MAX_BLOCK_LINES: usize = 512;

/// A line to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, in Unix microseconds.
    pub at: u64,
    /// By what it is found: see [`TraceKeys::term`].
    pub terms: Vec<u64>,
    /// What it says.
    pub text: Vec<u8>,
}

/// How a stream is kept.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// Lines of a block, at most; from 1 to [`MAX_BLOCK_LINES`]. What one append brings makes one block or more.
    pub block_lines: usize,
    /// Entries of an index that is being made that are held in memory, 16 bytes each.
    pub index_memory: usize,
    /// Problems that one verification lists; further ones are counted.
    pub most_problems: usize,
}

impl Default for TraceOptions {
    fn default() -> Self {
        TraceOptions { block_lines: MAX_BLOCK_LINES, index_memory: 256 * 1024, most_problems: 1000 }
    }
}

/// What the keeper of a stream knows of it at a start: what was said to be on disk, and what was not yet.
#[derive(Clone, Copy)]
pub struct Witnessed<'a> {
    /// Where the chain stood when all that was filed was last known to be on disk.
    pub mark: Mark,
    /// Whether the keeper still has the lines of a moment, and files them again.
    pub waits: &'a dyn Fn(u64) -> bool,
}

/// What a start found. All but `torn` is for the operator's eyes: it does not come from a crash alone.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TraceOpening {
    /// What a crash in the middle of an append left was cut off.
    pub torn: Option<Torn>,
    /// Stretches of the open day that do not read; they stay as they are.
    pub damaged: Vec<Damage>,
    /// Days that were over and not sealed, and had a day after them: their ends were lost.
    pub sealed_late: Vec<Day>,
    /// Days that should have a file and have none.
    pub missing: Vec<Day>,
    /// Files of days that the heads do not name, or that lie under the name of a day that was forgotten. They are left alone, and
    /// not read.
    pub strange: Vec<Day>,
    /// The heads were missing or not as we wrote them (they are kept as `heads.altered`), and were made again from the days'
    /// files: those of days that were forgotten may be lost.
    pub heads_rebuilt: bool,
}

impl TraceOpening {
    /// Whether there is nothing but what a crash may leave.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        TraceOpening { torn: None, ..self.clone() } == TraceOpening::default()
    }
}

/// The end of a file that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// Of which day.
    pub day: Day,
    /// How many bytes.
    pub bytes: u64,
    /// Where a copy of them is; none if the disk had no room for one.
    pub aside: Option<PathBuf>,
}

/// A stretch of a day's file that does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Of which day.
    pub day: Day,
    /// Its first byte.
    pub from: u64,
    /// The byte after its last.
    pub to: u64,
}

/// The last block that was written. Who keeps it somewhere else can tell later whether the end of the traces was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The day whose file it is in.
    pub day: Day,
    /// Its number in the day.
    pub block: u32,
    /// Where in the file it begins.
    pub offset: u64,
    /// Its hash.
    #[serde(with = "hex")]
    pub hash: Hash,
}

/// A day whose file is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DaySummary {
    /// The day.
    pub day: Day,
    /// Its blocks of lines.
    pub blocks: u32,
    /// Its lines.
    pub lines: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// The earliest moment of a line, in Unix microseconds.
    pub first: u64,
    /// The latest.
    pub last: u64,
    /// Whether it is over and closed by its seal.
    pub sealed: bool,
}

/// A stream of traces on disk. Cheap to clone; one process has a directory open at a time.
#[derive(Debug, Clone)]
pub struct TraceFiles {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    home: Home,
    keys: TraceKeys,
    options: TraceOptions,
    /// Held over a whole append, sealing or forgetting; always taken before `state`.
    writer: Mutex<Option<OpenDay>>,
    /// Held for moments: what readers see.
    state: Mutex<State>,
    /// Held while a sealed day's index is made; taken after `writer` and before `state`.
    remaking: Mutex<()>,
}

/// What readers see: all of it is on disk.
#[derive(Debug)]
struct State {
    heads: Heads,
    /// Whether the heads' file has these. A disk that was full at the start had no room for them.
    are_heads_written: bool,
    /// Bytes of the files of sealed days that are there.
    sizes: BTreeMap<Day, u64>,
    open: Option<(Tip, Indexer)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is changed in single steps: a thread that panicked leaves it as it was.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl TraceFiles {
    /// Opens the directory of a stream, or makes one there if it is missing or empty. Takes up the open day's chain, which reads
    /// that day's file; cuts what a crash tore; says in [`TraceOpening`] what was found.
    ///
    /// # Errors
    /// What the system says; a directory in use, of something else, of a newer format or of another store. Damage is no error.
    pub fn open(
        directory: &Path,
        keys: &TraceKeys,
        options: &TraceOptions,
    ) -> Result<(TraceFiles, TraceOpening), TraceError> {
        Self::open_witnessed(directory, keys, options, None)
    }

    /// As [`TraceFiles::open`]. A power cut may leave a later page of an append and not an earlier one: what does not read behind
    /// what is witnessed, with nothing behind it that does not wait to be filed again, is the torn end of an append that nobody
    /// was told was done, and no damage.
    ///
    /// # Errors
    /// As there.
    pub fn open_witnessed(
        directory: &Path,
        keys: &TraceKeys,
        options: &TraceOptions,
        witnessed: Option<Witnessed<'_>>,
    ) -> Result<(TraceFiles, TraceOpening), TraceError> {
        let home = Home::open(directory)?;
        let Started { heads, are_written, sizes, open, opening } = start::start(&home, keys, options, witnessed)?;
        let (open, view) = open
            .map(|(open, indexer)| {
                let tip = open.tip;
                (open, (tip, indexer))
            })
            .unzip();
        let inner = Inner {
            home,
            keys: keys.clone(),
            options: options.clone(),
            writer: Mutex::new(open),
            state: Mutex::new(State { heads, are_heads_written: are_written, sizes, open: view }),
            remaking: Mutex::new(()),
        };
        Ok((TraceFiles { inner: Arc::new(inner) }, opening))
    }

    /// The stream's keys.
    #[must_use]
    pub fn keys(&self) -> &TraceKeys {
        &self.inner.keys
    }

    /// Appends lines, in their order; they are on disk when this returns, which says where the chain stands then (for no lines,
    /// nothing). Lines of a day before the open one, or before a sealed one, are filed in the open one; the first line of a
    /// later day seals the one that is open.
    ///
    /// # Errors
    /// A line that is too long, or what the disk says ([`TraceError::is_full`] ends by itself): none of the lines is filed then,
    /// and the same lines may be appended again. Only a crash leaves a part: whole blocks from the first on.
    pub fn append(&self, day: Day, lines: &[Line]) -> Result<Option<Mark>, TraceError> {
        lines.iter().try_for_each(block::check_length)?;
        if lines.is_empty() {
            return Ok(None);
        }
        let Inner { keys, options, .. } = &*self.inner;
        let mut writer = lock(&self.inner.writer);
        self.write_heads()?;
        if writer.as_ref().is_some_and(|open| open.tip.day < day || open.seal.is_some()) {
            self.seal(&mut writer)?;
        }
        self.begin(&mut writer, day)?;
        let open = writer.as_mut().expect("a day was begun");
        let blocks = open.append(keys, lines, options.block_lines.clamp(1, MAX_BLOCK_LINES))?;
        let mut state = lock(&self.inner.state);
        if let Some((tip, indexer)) = &mut state.open {
            *tip = open.tip;
            blocks.iter().for_each(|(offset, terms)| indexer.add(*offset, terms));
        }
        Ok(open.tip.mark())
    }

    /// Writes the heads that a start could not: they say of which format the blocks are, and so come before any of them.
    fn write_heads(&self) -> Result<(), TraceError> {
        let mut state = lock(&self.inner.state);
        if !state.are_heads_written {
            state.heads.write(&self.inner.home.path, &self.inner.keys)?;
            state.are_heads_written = true;
        }
        Ok(())
    }

    /// Makes sure of a file that takes lines, and of room in its index.
    fn begin(&self, writer: &mut Option<OpenDay>, day: Day) -> Result<(), TraceError> {
        let home = &self.inner.home;
        if writer.is_none() {
            let mut state = lock(&self.inner.state);
            let newest = state.heads.days.last().map(|head| head.day.next());
            let day = newest.map_or(day, |newest| day.max(newest));
            *writer = Some(OpenDay::create(home, day, state.heads.tip())?);
            state.open = writer.as_ref().map(|open| (open.tip, self.indexer(day)));
        }
        // Nobody adds to the index meanwhile: the writer is held. Who reads it goes on.
        loop {
            let load =
                lock(&self.inner.state).open.as_ref().and_then(|(tip, indexer)| Some((tip.day, indexer.load()?)));
            let Some((day, mut load)) = load else { return Ok(()) };
            let run = load.write().map_err(TraceError::io("write", &home.index(day)))?;
            if let Some((_, indexer)) = &mut lock(&self.inner.state).open {
                indexer.take_off(&load, run);
            }
        }
    }

    fn indexer(&self, day: Day) -> Indexer {
        Indexer::new(&self.inner.home.path, day, self.inner.options.index_memory)
    }

    /// Seals the open day if it is over, and says which that was. For a clock to call: a day on which nothing more comes is
    /// sealed too. A day that lies ahead, because a clock did, takes the lines of one day more: those after it go into the
    /// next one, so that no file grows without bound until its day comes.
    ///
    /// # Errors
    /// What the disk says; the next call tries again.
    pub fn turn(&self, today: Day) -> Result<Option<Day>, TraceError> {
        let mut writer = lock(&self.inner.writer);
        self.write_heads()?;
        match writer.as_ref().filter(|open| open.tip.is_over(today)).map(|open| open.tip.day) {
            Some(day) => self.seal(&mut writer).map(|()| Some(day)),
            None => Ok(None),
        }
    }

    /// Closes the open day: its seal block, its head, its index.
    fn seal(&self, writer: &mut Option<OpenDay>) -> Result<(), TraceError> {
        let Inner { home, keys, .. } = &*self.inner;
        let Some(open) = writer.as_mut() else { return Ok(()) };
        let mut heads = lock(&self.inner.state).heads.clone();
        let (day, is_empty) = (open.tip.day, open.tip.blocks == 0);
        if !is_empty {
            heads.days.push(open.seal(keys, heads.tip())?);
            heads.write(&home.path, keys)?;
        }
        let length = open.tip.length;
        *writer = None;
        // Who looks for the day's index waits for it there, and holds nobody else up.
        let _turn = lock(&self.inner.remaking);
        let mut state = lock(&self.inner.state);
        let view = state.open.take();
        if is_empty {
            // Its first append failed.
            return home.remove(&BTreeSet::from([day]));
        }
        state.heads = heads;
        state.sizes.insert(day, length);
        drop(state);
        if let Some((_, mut indexer)) = view
            && let Err(error) = indexer.finish(&home.index(day), length)
        {
            tracing::warn!(%day, %error, "the index of a day's traces is not written; a search makes it again");
        }
        Ok(())
    }

    /// Where the chain stands: the last block of the open day; none if no day is open.
    #[must_use]
    pub fn last_mark(&self) -> Option<Mark> {
        lock(&self.inner.state).open.as_ref().and_then(|(tip, _)| tip.mark())
    }

    /// Where the heads of the sealed days stand.
    #[must_use]
    pub fn heads_mark(&self) -> HeadsMark {
        lock(&self.inner.state).heads.mark()
    }

    /// Whether the heads are still those of which a mark was made, and perhaps later ones. If not, days were cut out of them, or
    /// others put in their place.
    #[must_use]
    pub fn holds_heads(&self, mark: &HeadsMark) -> bool {
        lock(&self.inner.state).heads.hold(mark)
    }

    /// Whether what a mark names is in the files, or was forgotten in good order. If not, the end of the traces was cut off or
    /// put back to an earlier state since the mark was made.
    ///
    /// # Errors
    /// What the disk says.
    pub fn holds(&self, mark: &Mark) -> Result<bool, TraceError> {
        let (is_forgotten, end) = {
            let state = lock(&self.inner.state);
            (state.heads.find(mark.day).is_some_and(|head| head.forgotten.is_some()), state.end(mark.day))
        };
        let Some(end) = end.filter(|end| mark.offset < *end) else { return Ok(is_forgotten) };
        let piece = search::read_piece(&self.inner.home.day(mark.day), mark.offset, end)?;
        let header = piece.and_then(|piece| piece.header);
        Ok(header.is_some_and(|header| header.hash == mark.hash && header.head.number == mark.block))
    }

    /// The days that are kept, rising.
    #[must_use]
    pub fn days(&self) -> Vec<DaySummary> {
        let state = lock(&self.inner.state);
        let sealed = state.heads.kept().map(|head| {
            let bytes = state.sizes.get(&head.day).copied().unwrap_or_default();
            let Head { day, blocks, lines, first, last, .. } = *head;
            DaySummary { day, blocks, lines, bytes, first, last, sealed: true }
        });
        sealed.chain(state.open.as_ref().filter(|(tip, _)| tip.blocks > 0).map(|(tip, _)| tip.summary())).collect()
    }

    /// The heads of all days that were ever sealed, rising.
    #[must_use]
    pub fn heads(&self) -> Vec<Head> {
        lock(&self.inner.state).heads.days.clone()
    }

    /// Bytes of the days' files, without their indexes.
    #[must_use]
    pub fn size(&self) -> u64 {
        let state = lock(&self.inner.state);
        state.sizes.values().sum::<u64>() + state.open.as_ref().map_or(0, |(tip, _)| tip.length)
    }
}

impl State {
    /// Up to where a day's file may be read; none if there is none.
    fn end(&self, day: Day) -> Option<u64> {
        match &self.open {
            Some((tip, _)) if tip.day == day => Some(tip.length),
            _ => self.sizes.get(&day).copied(),
        }
    }
}
