//! Verification: every block of some days is opened and held against the chain, the signatures and the heads.

use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::ops::{Range, RangeInclusive};

use serde::Serialize;

use super::block::{BlockHeader, BlockKind, Hash, hash_block, hash_seal};
use super::day::Day;
use super::heads::{Head, Heads, Read};
use super::keys::{DAMAGED, EVERY, is_signed};
use super::open::{OpenBlock, open_seal};
use super::search::open_if_there;
use super::tree::GrowingTree;
use super::walk::{BlockHashes, Piece, Walk};
use super::{Inner, TraceError, TraceFiles, lock};

/// What a verification found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct TraceReport {
    /// Days whose file was read.
    pub days: u64,
    /// Whole blocks of lines.
    pub blocks: u64,
    /// Their lines.
    pub lines: u64,
    /// What is not as it was written: see [`super::TraceOptions::most_problems`].
    pub problems: Vec<Problem>,
    /// Problems that are not listed.
    pub more_problems: u64,
}

impl TraceReport {
    /// Whether everything is as it was written.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.more_problems == 0
    }
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// In which day's file; none: in the heads' own.
    pub day: Option<Day>,
    /// In which block, where one is to be named.
    pub block: Option<u32>,
    /// What.
    pub kind: ProblemKind,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// The heads' file is not as the server wrote it.
    HeadsChanged,
    /// A head is not signed, or does not follow the one before.
    HeadChanged,
    /// The day's file is missing, and was not forgotten.
    DayMissing,
    /// A file of a day that no head names.
    DayStrange,
    /// These bytes are no block, or one whose payload is damaged.
    Damaged(Range<u64>),
    /// The block's lines do not open.
    DoesNotOpen,
    /// The block's lines are not those that its hash names.
    LinesChanged,
    /// The block's hash is not signed with the stream's key.
    NotSigned,
    /// The block does not follow the one before: something was taken out, put in or moved.
    ChainBroken,
    /// The day is over, and no seal block closes it: its end was cut off.
    NotSealed,
    /// Something stands behind the day's seal.
    BehindSeal,
    /// The day's seal is not the one that its head names.
    OtherHead,
    /// The day's index left out or made up something. It was made again.
    IndexChanged,
    /// The day was forgotten, and there is a file of it.
    StillThere,
    /// The block was the last of all once, and a start did not find it.
    EndCut,
    /// The day's head was the last of all once, and a start found others before it, or not the head.
    HeadsCut,
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            ProblemKind::HeadsChanged => "the heads' file is not as the server wrote it",
            ProblemKind::HeadChanged => "the head is not signed, or does not follow the one before",
            ProblemKind::DayMissing => "the file is missing, and was not forgotten",
            ProblemKind::DayStrange => "no head names this file",
            ProblemKind::Damaged(range) => return write!(f, "bytes {} to {} are damaged", range.start, range.end),
            ProblemKind::DoesNotOpen => "the lines do not open",
            ProblemKind::LinesChanged => "the lines are not those that were signed",
            ProblemKind::NotSigned => "the block is not signed with this stream's key",
            ProblemKind::ChainBroken => {
                "the block does not follow the one before: something was taken out, put in or moved"
            }
            ProblemKind::NotSealed => "the day is over and has no seal: its end was cut off",
            ProblemKind::BehindSeal => "something stands behind the day's seal",
            ProblemKind::OtherHead => "the seal is not the one that the head names",
            ProblemKind::IndexChanged => "the index did not say what the lines say; it was made again",
            ProblemKind::StillThere => "the day was forgotten, and there is a file of it",
            ProblemKind::EndCut => {
                "it was the last that was written, and a start did not find it: the end was cut off, or an older copy put in \
                 its place"
            }
            ProblemKind::HeadsCut => {
                "its head was the last, and a start did not find the same heads up to it: days were cut out of them, or other \
                 heads put in their place"
            }
        };
        f.write_str(text)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.day, self.block) {
            (Some(day), Some(block)) => write!(f, "{day}, block {block}: {}", self.kind),
            (Some(day), None) => write!(f, "{day}: {}", self.kind),
            (None, _) => self.kind.fmt(f),
        }
    }
}

impl TraceFiles {
    /// Reads all blocks of some days, opens them, and holds them against their hashes, their signatures, the chain over the
    /// days, the heads and the index. Reads what is on disk when it begins; takes a second for some hundred thousand lines.
    ///
    /// # Errors
    /// What the disk says. What is wrong with the traces is in the report.
    pub fn verify(&self, days: RangeInclusive<Day>) -> Result<TraceReport, TraceError> {
        let inner = &*self.inner;
        let mut check = Check { inner, sums: RandomState::new(), report: TraceReport::default() };
        let (heads, open) = {
            let state = lock(&inner.state);
            (state.heads.clone(), state.open.as_ref().map(|(tip, _)| (tip.day, tip.length)))
        };
        if !inner.has_on_disk(&heads) {
            check.problem(None, None, ProblemKind::HeadsChanged);
        }
        let mut before = heads.genesis;
        for head in &heads.days {
            if days.contains(&head.day) {
                check.head(head, before);
                check.sealed_day(head)?;
            }
            before = head.hash;
        }
        if let Some((day, end)) = open.filter(|(day, end)| days.contains(day) && *end > 0) {
            check.open_day(day, end, before)?;
        }
        for day in inner.strange_days()?.into_iter().filter(|day| days.contains(day)) {
            check.problem(Some(day), None, ProblemKind::DayStrange);
        }
        Ok(check.report)
    }
}

impl Inner {
    /// Whether the heads' file has these heads as the server wrote them; days that were sealed since may be there too.
    fn has_on_disk(&self, heads: &Heads) -> bool {
        let Ok(Read::Whole(read, _)) = Heads::read(&self.home.path, &self.keys) else { return false };
        let same = read.days.iter().zip(&heads.days).all(|(read, head)| read.hash == head.hash);
        same && read.genesis == heads.genesis && read.days.len() >= heads.days.len()
    }

    /// The days that have a file, but no head, and are not open.
    fn strange_days(&self) -> Result<Vec<Day>, TraceError> {
        let mut days: Vec<Day> = self.home.days()?.into_iter().collect();
        let state = lock(&self.state);
        days.retain(|day| state.heads.find(*day).is_none() && state.end(*day).is_none());
        Ok(days)
    }
}

/// A verification on its way.
struct Check<'a> {
    inner: &'a Inner,
    /// Keyed anew each time: nobody can make two sets of entries that have the same sum.
    sums: RandomState,
    report: TraceReport,
}

/// What the next block of a day has to follow.
struct Expected {
    day: Day,
    number: u32,
    lines: u64,
    /// Not known behind a damaged stretch.
    previous: Option<Hash>,
    /// The hash of the seal of the day before.
    before: Hash,
    seal: Option<Head>,
    hashes: BlockHashes,
    /// Over the hashes of the blocks.
    tree: GrowingTree,
    /// The sum of the index's entries, as the blocks have it.
    sum: u64,
    is_whole: bool,
}

impl Expected {
    fn first_of(day: Day, before: Hash) -> Expected {
        Expected {
            day,
            number: 0,
            lines: 0,
            previous: Some(before),
            before,
            seal: None,
            hashes: BlockHashes::default(),
            tree: GrowingTree::default(),
            sum: 0,
            is_whole: true,
        }
    }
}

impl Check<'_> {
    fn problem(&mut self, day: Option<Day>, block: Option<u32>, kind: ProblemKind) {
        if self.report.problems.len() < self.inner.options.most_problems {
            self.report.problems.push(Problem { day, block, kind });
        } else {
            self.report.more_problems += 1;
        }
    }

    fn head(&mut self, head: &Head, before: Hash) {
        if head.before != before || !head.is_signed_by(&self.inner.keys.public_key()) {
            self.problem(Some(head.day), None, ProblemKind::HeadChanged);
        }
    }

    fn sealed_day(&mut self, head: &Head) -> Result<(), TraceError> {
        let (day, path) = (head.day, self.inner.home.day(head.day));
        if head.forgotten.is_some() {
            if path.exists() {
                // A forgetting that goes on removes it.
                drop(lock(&self.inner.writer));
                if path.exists() {
                    self.problem(Some(day), None, ProblemKind::StillThere);
                }
            }
            return Ok(());
        }
        let Some(file) = open_if_there(&path)? else {
            // Unless it was forgotten while this went on.
            if lock(&self.inner.state).heads.find(day).is_some_and(|head| head.forgotten.is_none()) {
                self.problem(Some(day), None, ProblemKind::DayMissing);
            }
            return Ok(());
        };
        let end = file.metadata().map_err(TraceError::io("read", &path))?.len();
        let expected = self.day(&file, day, end, head.before)?;
        match &expected.seal {
            None => self.problem(Some(day), None, ProblemKind::NotSealed),
            Some(seal) if Head { forgotten: None, ..head.clone() } != *seal => {
                self.problem(Some(day), None, ProblemKind::OtherHead);
            }
            Some(_) => {}
        }
        if expected.is_whole { self.index(day, end, expected.sum) } else { Ok(()) }
    }

    fn open_day(&mut self, day: Day, end: u64, before: Hash) -> Result<(), TraceError> {
        match open_if_there(&self.inner.home.day(day))? {
            Some(file) => self.day(&file, day, end, before).map(|_| ()),
            None => {
                self.problem(Some(day), None, ProblemKind::DayMissing);
                Ok(())
            }
        }
    }

    /// Walks through a day's file.
    fn day(&mut self, file: &File, day: Day, end: u64, before: Hash) -> Result<Expected, TraceError> {
        let path = self.inner.home.day(day);
        let mut expected = Expected::first_of(day, before);
        self.report.days += 1;
        let mut walk = Walk::new(file, end);
        while let Some(piece) = walk.step().map_err(TraceError::io("read", &path))? {
            if expected.seal.is_some() {
                self.problem(Some(day), None, ProblemKind::BehindSeal);
                expected.is_whole = false;
                break;
            }
            let problems = self.report.problems.len() as u64 + self.report.more_problems;
            self.piece(&piece, &mut expected);
            expected.is_whole &= problems == self.report.problems.len() as u64 + self.report.more_problems;
        }
        Ok(expected)
    }

    fn piece(&mut self, piece: &Piece, expected: &mut Expected) {
        let day = Some(expected.day);
        expected.hashes.of(piece).for_each(|hash| expected.tree.push(&hash));
        let Some(header) = &piece.header else {
            self.problem(day, None, ProblemKind::Damaged(piece.range.clone()));
            expected.previous = None;
            return;
        };
        let number = Some(header.head.number);
        self.link(header, expected);
        if !is_signed(&self.inner.keys.public_key(), &header.hash, &header.signature) {
            self.problem(day, number, ProblemKind::NotSigned);
        }
        match &piece.payload {
            None => self.problem(day, number, ProblemKind::Damaged(piece.range.clone())),
            Some(payload) => {
                if let Err(kind) = self.payload(header, payload, piece.range.start, expected) {
                    self.problem(day, number, kind);
                }
            }
        }
    }

    /// Holds a block's place in the chain against what it should be, and goes on behind it.
    fn link(&mut self, header: &BlockHeader, expected: &mut Expected) {
        let head = &header.head;
        // Behind a damaged stretch, how many blocks and lines it had is not known: not fewer than none.
        let follows = match expected.previous {
            Some(previous) => (head.previous, head.number, head.before) == (previous, expected.number, expected.lines),
            None => head.number >= expected.number && head.before >= expected.lines,
        };
        if !follows || head.day != expected.day {
            self.problem(Some(expected.day), Some(head.number), ProblemKind::ChainBroken);
        }
        expected.previous = Some(header.hash);
        expected.number = head.number.saturating_add(1);
        expected.lines = head.before.saturating_add(u64::from(head.count));
    }

    fn payload(
        &mut self,
        header: &BlockHeader,
        payload: &[u8],
        offset: u64,
        expected: &mut Expected,
    ) -> Result<(), ProblemKind> {
        let keys = &self.inner.keys;
        if header.head.kind == BlockKind::Seal {
            let ends = open_seal(keys, header, payload).ok_or(ProblemKind::DoesNotOpen)?;
            expected.seal = Some(Head::of(header, ends));
            let is_right = hash_seal(&header.head, &ends) == header.hash;
            // A hash that is lost with its block was in the tree all the same.
            let is_tree = expected.hashes.lacks || ends.tree.is_none_or(|tree| tree == expected.tree.root());
            return match (is_right, is_tree && ends.before == expected.before) {
                (false, _) => Err(ProblemKind::LinesChanged),
                (true, false) => Err(ProblemKind::ChainBroken),
                (true, true) => Ok(()),
            };
        }
        let block = OpenBlock::open(keys, &header.head, payload).ok_or(ProblemKind::DoesNotOpen)?;
        if hash_block(header.format, &header.head, &block.hashes()) != header.hash {
            return Err(ProblemKind::LinesChanged);
        }
        self.report.blocks += 1;
        self.report.lines += u64::from(header.head.count);
        let terms = block.terms().into_iter().filter(|term| !matches!(*term, EVERY | DAMAGED));
        let entries = terms.chain([EVERY]).map(|term| self.sums.hash_one((term, offset)));
        expected.sum = entries.fold(expected.sum, u64::wrapping_add);
        Ok(())
    }

    /// Holds the index's entries against the blocks'.
    fn index(&mut self, day: Day, end: u64, sum: u64) -> Result<(), TraceError> {
        // One that is missing or damaged lost nothing: the next search makes it again.
        let Ok(index) = self.inner.index(day, end) else { return Ok(()) };
        let add = |sum: u64, entry| Ok(sum.wrapping_add(self.sums.hash_one::<(u64, u64)>(entry?)));
        let found: std::io::Result<u64> = index.entries().try_fold(0, add);
        if found.is_ok_and(|found| found != sum) {
            self.inner.remake_index(day, end)?;
            self.problem(Some(day), None, ProblemKind::IndexChanged);
        }
        Ok(())
    }
}
