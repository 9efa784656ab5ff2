//! Finding lines by their moments, which is not quite the order in which they were filed.
//!
//! Most days took their lines nearly in order. A day that took late ones (an older version's trail, the lines of a day that a
//! clock had put years ahead) is known by its first moment, which is not of that day, and looked through by its blocks' headers.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::search::{Blocks, found_line};
use super::walk::read_header;
use super::{DaySummary, FoundLine, LinePlace, Query, Searched, TraceError, TraceFiles};

/// How far lines may be out of order in a day that took no late ones, in microseconds: those of a moment that are committed one
/// after the other, counts of a minute that is over, a clock that is put right.
const DISORDER: u64 = 15 * 60 * 1_000_000;

/// A line's place in the order that is asked for: what comes first is less.
type Rank = (u64, u32, u64, u32);

fn rank(at: u64, place: LinePlace, newest_first: bool) -> Rank {
    let LinePlace { day, offset, line } = place;
    let day = day.number();
    if newest_first { (!at, !day, !offset, !line) } else { (at, day, offset, line) }
}

/// The moment's part of the least rank that lines between two moments can have.
fn least(first: u64, last: u64, newest_first: bool) -> u64 {
    if newest_first { !last } else { first }
}

/// What was found, and where it stands.
struct Ranked<T>(Rank, T);

impl<T> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Ranked<T> {}

impl<T> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

/// The first so many of what was seen; the last of them on top.
struct First<T> {
    limit: usize,
    kept: BinaryHeap<Ranked<T>>,
}

impl<T> First<T> {
    fn is_full(&self) -> bool {
        self.kept.len() >= self.limit
    }

    /// The last of those that are kept, once there are as many as may be.
    fn last(&self) -> Option<Rank> {
        self.kept.peek().filter(|_| self.is_full()).map(|last| last.0)
    }

    /// Whether nothing from this moment's part on is among the first any more.
    fn is_beyond(&self, least: u64) -> bool {
        self.last().is_some_and(|last| least > last.0)
    }

    fn keep(&mut self, rank: Rank, found: T) {
        self.kept.push(Ranked(rank, found));
        if self.kept.len() > self.limit {
            self.kept.pop();
        }
    }
}

impl TraceFiles {
    /// The first `limit` of the lines that match and that `read` makes something of, by their moments: the oldest first, or the
    /// newest. Damage is stepped over, and told. What is appended meanwhile may be missed.
    ///
    /// # Errors
    /// What the disk says.
    pub fn first<T>(
        &self,
        query: &Query,
        limit: usize,
        read: &mut dyn FnMut(FoundLine) -> Option<T>,
    ) -> Result<(Vec<T>, Searched), TraceError> {
        let (mut searched, mut first) = (Searched::default(), First { limit, kept: BinaryHeap::new() });
        let of_day = |day: &DaySummary| least(day.first, day.last, query.newest_first);
        let mut days = self.days();
        days.retain(|day| day.first <= query.to && day.last >= query.from);
        days.sort_by_key(of_day);
        for day in days.iter().filter(|_| limit > 0) {
            if first.is_beyond(of_day(day)) {
                searched.stopped = true;
                break;
            }
            if let Some(blocks) = self.blocks(day.day, query, &mut searched)? {
                self.first_of_day(day, &blocks, query, &mut first, read, &mut searched)?;
            }
        }
        let found = first.kept.into_sorted_vec();
        searched.lines = found.len() as u64;
        Ok((found.into_iter().map(|Ranked(_, found)| found).collect(), searched))
    }

    fn first_of_day<T>(
        &self,
        day: &DaySummary,
        blocks: &Blocks,
        query: &Query,
        first: &mut First<T>,
        read: &mut dyn FnMut(FoundLine) -> Option<T>,
        searched: &mut Searched,
    ) -> Result<(), TraceError> {
        let took_late_ones = day.first.saturating_add(DISORDER) < day.day.start();
        for offset in blocks.offsets.iter().copied() {
            if first.is_full()
                && let Some(header) = read_header(&blocks.file, offset).map_err(TraceError::io("read", &blocks.path))?
            {
                let least = least(header.head.first, header.head.last, query.newest_first);
                if !took_late_ones && first.is_beyond(least.saturating_sub(DISORDER)) {
                    searched.stopped = true;
                    return Ok(());
                }
                if first.is_beyond(least) {
                    searched.stopped = true;
                    continue;
                }
            }
            let Some(block) = self.block(blocks, offset, query, searched)? else { continue };
            for (number, line) in (0..).zip(block.lines()) {
                let place = LinePlace { day: day.day, offset, line: number };
                let rank = rank(line.at(), place, query.newest_first);
                let matches = (query.from..=query.to).contains(&line.at()) && line.has_all(&query.all_terms);
                if !matches || first.last().is_some_and(|last| rank > last) {
                    continue;
                }
                if let Some(found) = read(found_line(place, line)) {
                    first.keep(rank, found);
                }
            }
        }
        Ok(())
    }
}
