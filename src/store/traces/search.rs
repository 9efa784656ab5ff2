//! Finding lines: the index names the blocks, the blocks' lines are held against the query.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;

use serde::{Deserialize, Serialize};

use super::day::Day;
use super::index::{Index, Postings};
use super::indexer::Indexer;
use super::keys::EVERY;
use super::open::{OpenBlock, OpenLine};
use super::walk::{Piece, Walk, end_of_damage, read_block};
use super::{Damage, DaySummary, Inner, TraceError, TraceFiles, lock};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The earliest moment, in Unix microseconds.
    pub from: u64,
    /// The latest; it belongs to the range.
    pub to: u64,
    /// What a line must have, all of it: see [`super::TraceKeys::term`]. None: every line.
    pub all_terms: Vec<u64>,
    /// From the last line to the first.
    pub newest_first: bool,
}

impl Default for Query {
    /// Every line, the oldest first.
    fn default() -> Self {
        Query { from: 0, to: u64::MAX, all_terms: Vec::new(), newest_first: false }
    }
}

/// Where a line lies. Right for as long as its day is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinePlace {
    /// In which day's file.
    pub day: Day,
    /// Where in it its block begins.
    pub offset: u64,
    /// Its number in the block, from 0.
    pub line: u32,
}

/// A line that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLine {
    /// Where it lies.
    pub place: LinePlace,
    /// When, in Unix microseconds.
    pub at: u64,
    /// What it says.
    pub text: Vec<u8>,
}

/// How a search went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Searched {
    /// Lines that were given.
    pub lines: u64,
    /// It ended before its time: at the limit, or because the caller had enough.
    pub stopped: bool,
    /// Blocks that may hold what was asked for and do not read. A day whose file is missing stands here as an empty stretch.
    pub damaged: Vec<Damage>,
}

/// The blocks of a day that may hold what is asked for.
pub(super) struct Blocks {
    pub(super) day: Day,
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Up to where the file may be read.
    pub(super) end: u64,
    /// Where they begin.
    pub(super) offsets: Vec<u64>,
}

/// Blocks that do not read that a search lists.
const MOST_DAMAGED: usize = 1000;

impl Searched {
    fn damage(&mut self, damage: Damage) {
        if self.damaged.len() < MOST_DAMAGED {
            self.damaged.push(damage);
        }
    }
}

impl TraceFiles {
    /// Gives lines that match to `found`, in the order in which they were filed or backwards, up to `limit` of them or until
    /// `found` says that it is enough (`false`). Damage is stepped over, and told. What is appended meanwhile may be missed.
    ///
    /// # Errors
    /// What the disk says.
    pub fn search(
        &self,
        query: &Query,
        limit: usize,
        found: &mut dyn FnMut(FoundLine) -> bool,
    ) -> Result<Searched, TraceError> {
        let mut searched = Searched::default();
        let mut days = self.days();
        days.retain(|day| day.first <= query.to && day.last >= query.from);
        if query.newest_first {
            days.reverse();
        }
        for day in &days {
            self.search_day(day, query, limit as u64, found, &mut searched)?;
            if searched.stopped {
                break;
            }
        }
        Ok(searched)
    }

    fn search_day(
        &self,
        day: &DaySummary,
        query: &Query,
        limit: u64,
        found: &mut dyn FnMut(FoundLine) -> bool,
        searched: &mut Searched,
    ) -> Result<(), TraceError> {
        let day = day.day;
        let Some(blocks) = self.blocks(day, query, searched)? else { return Ok(()) };
        for offset in blocks.offsets.iter().copied() {
            let Some(block) = self.block(&blocks, offset, query, searched)? else { continue };
            give(&block, query, limit, LinePlace { day, offset, line: 0 }, found, searched);
            if searched.stopped {
                break;
            }
        }
        Ok(())
    }

    /// Where the blocks of a day lie that may hold what is asked for, in the order that is; none where the day is not kept.
    pub(super) fn blocks(
        &self,
        day: Day,
        query: &Query,
        searched: &mut Searched,
    ) -> Result<Option<Blocks>, TraceError> {
        let path = self.inner.home.day(day);
        let file = open_if_there(&path)?;
        let offsets = if file.is_some() { self.inner.offsets(day, &query.all_terms)? } else { None };
        let Some((file, (end, mut offsets))) = file.zip(offsets) else {
            // Forgotten since the search began, or lost.
            let is_kept = lock(&self.inner.state).heads.find(day).is_some_and(|head| head.forgotten.is_none());
            if is_kept {
                searched.damage(Damage { day, from: 0, to: 0 });
            }
            return Ok(None);
        };
        if query.newest_first {
            offsets.reverse();
        }
        Ok(Some(Blocks { day, path, file, end, offsets }))
    }

    /// The lines of a block; none where none of them is of the time that is asked for, and where it is damaged, which is told.
    pub(super) fn block(
        &self,
        blocks: &Blocks,
        offset: u64,
        query: &Query,
        searched: &mut Searched,
    ) -> Result<Option<OpenBlock>, TraceError> {
        let Blocks { day, path, file, end, .. } = blocks;
        let piece = read_block(file, offset, *end).map_err(TraceError::io("read", path))?;
        let header = piece.as_ref().and_then(|piece| piece.header);
        if header.is_some_and(|header| header.head.first > query.to || header.head.last < query.from) {
            return Ok(None);
        }
        let block = piece.as_ref().and_then(|piece| self.inner.open_block(piece));
        if block.is_none() {
            let to = match piece {
                Some(piece) => piece.range.end,
                None => end_of_damage(file, offset, *end).map_err(TraceError::io("read", path))?,
            };
            searched.damage(Damage { day: *day, from: offset, to });
        }
        Ok(block)
    }

    /// The last lines that were filed, at most so many; the newest last.
    ///
    /// # Errors
    /// What the disk says.
    pub fn last_lines(&self, count: usize) -> Result<Vec<FoundLine>, TraceError> {
        let mut lines = Vec::new();
        let query = Query { newest_first: true, ..Query::default() };
        self.search(&query, count, &mut |line| {
            lines.push(line);
            true
        })?;
        lines.reverse();
        Ok(lines)
    }

    /// The line at a place.
    ///
    /// # Errors
    /// [`TraceError::NotThere`], [`TraceError::Damaged`], or what the disk says.
    pub fn line(&self, place: LinePlace) -> Result<FoundLine, TraceError> {
        let (_, block) = self.inner.block_at(place)?;
        let line = block.lines().nth(place.line as usize).ok_or(TraceError::NotThere)?;
        Ok(found_line(place, line))
    }
}

/// Gives the matching lines of a block.
fn give(
    block: &OpenBlock,
    query: &Query,
    limit: u64,
    place: LinePlace,
    found: &mut dyn FnMut(FoundLine) -> bool,
    searched: &mut Searched,
) {
    let count = block.lines().len();
    for step in 0..count {
        let number = if query.newest_first { count - 1 - step } else { step };
        let Some(line) = block.lines().nth(number) else { return };
        if !(query.from..=query.to).contains(&line.at()) || !line.has_all(&query.all_terms) {
            continue;
        }
        if searched.lines >= limit {
            searched.stopped = true;
            return;
        }
        searched.lines += 1;
        if !found(found_line(LinePlace { line: number as u32, ..place }, line)) {
            searched.stopped = true;
            return;
        }
    }
}

pub(super) fn found_line(place: LinePlace, line: OpenLine<'_>) -> FoundLine {
    FoundLine { place, at: line.at(), text: line.text.to_vec() }
}

/// The block at an offset of a file; none where there is no header of one.
pub(super) fn read_piece(path: &Path, offset: u64, end: u64) -> Result<Option<Piece>, TraceError> {
    match open_if_there(path)? {
        Some(file) => read_block(&file, offset, end).map_err(TraceError::io("read", path)),
        None => Ok(None),
    }
}

pub(super) fn open_if_there(path: &Path) -> Result<Option<File>, TraceError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TraceError::io("open", path)(error)),
    }
}

impl Inner {
    /// The lines of a block; none where it is damaged.
    pub(super) fn open_block(&self, piece: &Piece) -> Option<OpenBlock> {
        let (header, payload) = piece.whole()?;
        OpenBlock::open(&self.keys, &header.head, payload)
    }

    /// The block that a line lies in.
    pub(super) fn block_at(&self, place: LinePlace) -> Result<(Piece, OpenBlock), TraceError> {
        let LinePlace { day, offset, .. } = place;
        let end = lock(&self.state).end(day).filter(|end| offset < *end).ok_or(TraceError::NotThere)?;
        let piece = read_piece(&self.home.day(day), offset, end)?;
        let block = piece.as_ref().and_then(|piece| self.open_block(piece));
        piece.zip(block).ok_or(TraceError::Damaged { day, offset })
    }

    /// Where the blocks of a day begin that have all of the terms (of no terms, all blocks), and up to where the day's file
    /// may be read; none where the day is not kept.
    fn offsets(&self, day: Day, terms: &[u64]) -> Result<Option<(u64, Vec<u64>)>, TraceError> {
        let terms = if terms.is_empty() { &[EVERY] } else { terms };
        let path = self.home.index(day);
        let end = {
            let state = lock(&self.state);
            if let Some((tip, indexer)) = state.open.as_ref().filter(|(tip, _)| tip.day == day) {
                let offsets = candidates(indexer, terms).map_err(TraceError::io("read", &path))?;
                return Ok(Some((tip.length, offsets)));
            }
            state.end(day)
        };
        let Some(end) = end else { return Ok(None) };
        let find = |index: Index| candidates(&index, terms).map_err(TraceError::io("read", &path));
        let look = || self.index(day, end).and_then(find);
        let offsets = match look() {
            Err(error) if is_unusable(&error) => {
                let turn = lock(&self.remaking);
                // Who had the turn before may have made it.
                match look() {
                    Err(error) if is_unusable(&error) => {
                        tracing::warn!(%day, %error, "the index of a day's traces is made again");
                        match self.make_index(&turn, day, end).and_then(find) {
                            Ok(offsets) => offsets,
                            Err(error) => {
                                drop(turn);
                                tracing::warn!(%day, %error, "it cannot be made: the day is looked through");
                                return Ok(self.look_through(day, end, terms)?.map(|offsets| (end, offsets)));
                            }
                        }
                    }
                    answer => answer?,
                }
            }
            answer => answer?,
        };
        Ok(Some((end, offsets)))
    }

    /// Where the blocks of a sealed day begin that have all of the terms, found without an index; none where its file is gone.
    fn look_through(&self, day: Day, end: u64, terms: &[u64]) -> Result<Option<Vec<u64>>, TraceError> {
        let path = self.home.day(day);
        let Some(file) = open_if_there(&path)? else { return Ok(None) };
        let mut offsets = Vec::new();
        let mut walk = Walk::new(&file, end);
        while let Some(piece) = walk.step().map_err(TraceError::io("read", &path))? {
            let is_wanted = match self.open_block(&piece) {
                Some(block) => {
                    let found = block.terms();
                    terms.iter().all(|term| *term == EVERY || found.binary_search(term).is_ok())
                }
                None => piece.may_hold_lines(),
            };
            if is_wanted {
                offsets.push(piece.range.start);
            }
        }
        Ok(Some(offsets))
    }

    /// The index of a sealed day.
    pub(super) fn index(&self, day: Day, end: u64) -> Result<Index, TraceError> {
        let path = self.home.index(day);
        let index = Index::open(&path, day).map_err(TraceError::io("open", &path))?;
        if index.covered == end {
            return Ok(index);
        }
        let reason = "the index speaks of another length of the day's file";
        Err(TraceError::io("use", &path)(io::Error::new(io::ErrorKind::InvalidData, reason)))
    }

    /// Makes a sealed day's index again from its blocks.
    pub(super) fn remake_index(&self, day: Day, end: u64) -> Result<Index, TraceError> {
        self.make_index(&lock(&self.remaking), day, end)
    }

    fn make_index(&self, _turn: &MutexGuard<'_, ()>, day: Day, end: u64) -> Result<Index, TraceError> {
        let (path, index) = (self.home.day(day), self.home.index(day));
        let mut indexer = Indexer::new(&self.home.path, day, self.options.index_memory);
        let file = File::open(&path).map_err(TraceError::io("open", &path))?;
        let mut walk = Walk::new(&file, end);
        while let Some(piece) = walk.step().map_err(TraceError::io("read", &path))? {
            if !piece.may_hold_lines() {
                continue;
            }
            indexer.make_room().map_err(TraceError::io("write", &index))?;
            match self.open_block(&piece) {
                Some(block) => indexer.add(piece.range.start, &block.terms()),
                None => indexer.add_damaged(piece.range.start),
            }
        }
        indexer.finish(&index, end).map_err(TraceError::io("write", &index))?;
        Index::open(&index, day).map_err(TraceError::io("open", &index))
    }
}

/// Whether it says that the index is missing or damaged.
fn is_unusable(error: &TraceError) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    matches!(error, TraceError::Io { source, .. } if matches!(source.kind(), NotFound | InvalidData | UnexpectedEof))
}

/// The blocks that may have all of the terms, rising: those that have them, and what did not read when the index was made.
fn candidates(index: &impl Postings, terms: &[u64]) -> io::Result<Vec<u64>> {
    let (mut offsets, mut damaged) = (all_of(index, terms)?, index.damaged()?);
    if !damaged.is_empty() {
        offsets.append(&mut damaged);
        offsets.sort_unstable();
        offsets.dedup();
    }
    Ok(offsets)
}

/// The blocks that have all of the terms, rising; where those are few, perhaps some more.
fn all_of(index: &impl Postings, terms: &[u64]) -> io::Result<Vec<u64>> {
    let mut terms = terms.to_vec();
    terms.sort_by_key(|term| index.weight(*term));
    let mut all = Vec::new();
    for (number, term) in terms.into_iter().enumerate() {
        match number {
            0 => all = index.find(term)?,
            // So few blocks are opened sooner than a frequent term's list is read; their lines are looked at anyway.
            _ if all.len() <= FEW => break,
            _ => {
                let offsets = index.find(term)?;
                all.retain(|offset| offsets.binary_search(offset).is_ok());
            }
        }
    }
    Ok(all)
}

/// Blocks that are opened rather than sought in another term's list.
const FEW: usize = 8;
