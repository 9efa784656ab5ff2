//! Making a day's index: entries gather in memory, go to disk as sorted runs, and are merged when the day is over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    runs: Vec<Arc<Index>>,
    next_run: u32,
    has_damage: bool,
}

/// What is on its way out of the memory, or from many runs to one.
pub(super) struct Load {
    day: Day,
    path: PathBuf,
    what: What,
}

enum What {
    Memory(Vec<Entry>),
    Runs(Vec<Arc<Index>>),
}

impl Load {
    /// Writes it as a run.
    pub(super) fn write(&mut self) -> io::Result<Index> {
        match &mut self.what {
            What::Memory(entries) => {
                entries.sort_unstable();
                write_run(&self.path, self.day, entries.iter().map(|entry| Ok(*entry)))
            }
            What::Runs(runs) => write_run(&self.path, self.day, Merge::new(runs, &[])?),
        }
    }
}

impl Indexer {
    pub(super) fn new(directory: &Path, day: Day, most: usize) -> Indexer {
        let (directory, most) = (directory.to_owned(), most.max(1));
        Indexer { directory, day, memory: Vec::new(), most, runs: Vec::new(), next_run: 0, has_damage: false }
    }

    /// Makes room for more: what fills the memory goes to disk. Before each [`Indexer::add`]; on an error nothing is lost.
    pub(super) fn make_room(&mut self) -> io::Result<()> {
        while let Some(mut load) = self.load() {
            let run = load.write()?;
            self.take_off(&load, run);
        }
        Ok(())
    }

    /// What has to go to disk, or there to be merged, before more is added; none where there is room. It is written without the
    /// index, which others read meanwhile; nothing may be added to it until [`Indexer::take_off`].
    pub(super) fn load(&self) -> Option<Load> {
        let what = if self.memory.len() >= self.most {
            What::Memory(self.memory.clone())
        } else if self.runs.len() >= MOST_RUNS {
            What::Runs(self.runs.clone())
        } else {
            return None;
        };
        Some(Load { day: self.day, path: self.run_path(self.next_run), what })
    }

    /// Has the run that was written of a load stand for it.
    pub(super) fn take_off(&mut self, load: &Load, run: Index) {
        match load.what {
            What::Memory(_) => self.memory.clear(),
            What::Runs(_) => self.remove_runs(),
        }
        self.runs.push(Arc::new(run));
        self.next_run += 1;
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
    fn new(runs: &'a [Arc<Index>], memory: &'a [Entry]) -> io::Result<Merge<'a>> {
        let runs: Vec<_> = runs.iter().map(|run| run.entries()).collect();
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
