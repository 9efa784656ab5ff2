//! Making a day's index: entries gather in memory, go to disk as sorted runs, and are merged when the day is over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::day::Day;
use super::index::{Entries, Entry, Index, IndexWriter, Postings};
use super::keys::{DAMAGED, EVERY};

/// Runs of a day on disk, from which they are merged to one.
const MOST_RUNS: usize = 32;

/// The index of a day that is not over, or that is made again.
#[derive(Debug)]
pub(super) struct Indexer {
    directory: PathBuf,
    day: Day,
    /// Not in a run yet, in the order of the blocks.
    memory: Vec<Entry>,
    /// Entries that memory holds at most.
    most: usize,
    runs: Vec<Index>,
    next_run: u32,
    has_damage: bool,
}

impl Indexer {
    pub(super) fn new(directory: &Path, day: Day, most: usize) -> Indexer {
        let (directory, most) = (directory.to_owned(), most.max(1));
        Indexer { directory, day, memory: Vec::new(), most, runs: Vec::new(), next_run: 0, has_damage: false }
    }

    /// Makes room for more: what fills the memory goes to disk. Before each [`Indexer::add`]; on an error nothing is lost.
    pub(super) fn make_room(&mut self) -> io::Result<()> {
        if self.memory.len() >= self.most {
            self.spill()?;
        }
        if self.runs.len() >= MOST_RUNS { self.merge_runs() } else { Ok(()) }
    }

    /// Adds a block with its terms, each once.
    pub(super) fn add(&mut self, offset: u64, terms: &[u64]) {
        self.memory.push((EVERY, offset));
        let terms = terms.iter().filter(|term| !matches!(**term, EVERY | DAMAGED));
        self.memory.extend(terms.map(|term| (*term, offset)));
    }

    /// Adds a stretch that does not read: each search has to tell of it.
    pub(super) fn add_damaged(&mut self, offset: u64) {
        self.has_damage = true;
        self.memory.push((DAMAGED, offset));
    }

    fn spill(&mut self) -> io::Result<()> {
        self.memory.sort_unstable();
        let entries = self.memory.iter().map(|entry| Ok(*entry));
        let run = write_run(&self.run_path(self.next_run), self.day, entries)?;
        self.runs.push(run);
        self.next_run += 1;
        self.memory.clear();
        Ok(())
    }

    fn merge_runs(&mut self) -> io::Result<()> {
        let merged = write_run(&self.run_path(self.next_run), self.day, Merge::new(&self.runs, &[])?)?;
        self.remove_runs();
        self.runs = vec![merged];
        self.next_run += 1;
        Ok(())
    }

    /// Writes the whole index under its lasting name.
    pub(super) fn finish(&mut self, path: &Path, covered: u64) -> io::Result<()> {
        self.memory.sort_unstable();
        let mut writer = IndexWriter::create(path, self.day)?;
        for entry in Merge::new(&self.runs, &self.memory)? {
            writer.push(entry?)?;
        }
        writer.finish(covered, true)?;
        self.remove_runs();
        Ok(())
    }

    fn remove_runs(&mut self) {
        let last = self.next_run;
        self.runs.clear();
        // What is left behind is removed at the next opening.
        (0..last).for_each(|number| drop(fs::remove_file(self.run_path(number))));
    }

    fn run_path(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{}.{number}.run", self.day))
    }
}

/// Whatever became of the index: its runs say nothing to anybody else.
impl Drop for Indexer {
    fn drop(&mut self) {
        self.remove_runs();
    }
}

impl Postings for Indexer {
    fn find(&self, term: u64) -> io::Result<Vec<u64>> {
        let mut offsets = Vec::new();
        for run in &self.runs {
            offsets.extend(run.find(term)?);
        }
        offsets.extend(self.memory.iter().filter(|entry| entry.0 == term).map(|entry| entry.1));
        Ok(offsets)
    }

    fn weight(&self, term: u64) -> usize {
        self.runs.iter().map(|run| run.weight(term)).sum()
    }

    fn damaged(&self) -> io::Result<Vec<u64>> {
        if self.has_damage { self.find(DAMAGED) } else { Ok(Vec::new()) }
    }
}

/// Writes a run; nothing of it need outlast a crash.
fn write_run(path: &Path, day: Day, entries: impl Iterator<Item = io::Result<Entry>>) -> io::Result<Index> {
    let mut writer = IndexWriter::create(path, day)?;
    for entry in entries {
        writer.push(entry?)?;
    }
    writer.finish(0, false)?;
    Index::open(path, day)
}

/// All entries of some runs and of memory, rising.
struct Merge<'a> {
    runs: Vec<Entries<'a>>,
    memory: std::slice::Iter<'a, Entry>,
    next: BinaryHeap<Reverse<(Entry, usize)>>,
}

impl<'a> Merge<'a> {
    /// `memory` is sorted.
    fn new(runs: &'a [Index], memory: &'a [Entry]) -> io::Result<Merge<'a>> {
        let runs: Vec<_> = runs.iter().map(Index::entries).collect();
        let mut merge = Merge { runs, memory: memory.iter(), next: BinaryHeap::new() };
        (0..=merge.runs.len()).try_for_each(|source| merge.pull(source))?;
        Ok(merge)
    }

    /// Takes the next entry of a source: a run, or behind the last run memory.
    fn pull(&mut self, source: usize) -> io::Result<()> {
        let entry = match self.runs.get_mut(source) {
            Some(run) => run.next().transpose()?,
            None => self.memory.next().copied(),
        };
        self.next.extend(entry.map(|entry| Reverse((entry, source))));
        Ok(())
    }
}

impl Iterator for Merge<'_> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((entry, source)) = self.next.pop()?;
        Some(self.pull(source).map(|()| entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::traces::tests::Directory;

    #[test]
    fn what_is_in_runs_and_in_memory_is_found_before_and_after_the_merge() {
        let (directory, day) = (Directory::new(), Day::from_number(9));
        let mut indexer = Indexer::new(directory.path(), day, 50);
        let terms = |block: u64| [1, 2 + block % 5, 100 + block];
        for block in 0..2000 {
            indexer.make_room().unwrap();
            indexer.add(block * 10, &terms(block));
        }
        assert!((1..MOST_RUNS).contains(&indexer.runs.len()), "runs were merged on the way");
        let expected = |term: u64| -> Vec<u64> {
            (0..2000).filter(|block| term == EVERY || terms(*block).contains(&term)).map(|block| block * 10).collect()
        };
        let path = directory.path().join("whole.idx");
        for term in [EVERY, 1, 2, 6, 7, 100, 2099, 2100] {
            assert_eq!(indexer.find(term).unwrap(), expected(term), "term {term}");
        }
        indexer.finish(&path, 5).unwrap();
        let index = Index::open(&path, day).unwrap();
        for term in [EVERY, 1, 2, 6, 7, 100, 2099, 2100] {
            assert_eq!(index.find(term).unwrap(), expected(term), "term {term}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no run is left behind");
    }
}
