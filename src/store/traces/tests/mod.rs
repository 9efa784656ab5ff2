//! What holds of day files as a whole.

mod chain;
mod damage;
mod formats;
mod heads;
mod keeping;
mod proving;
mod searching;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::store::MailboxKey;

/// A directory that goes away.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new() -> Directory {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("caducee-traces-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A stream of the tests: its directory and its secret.
struct Stream {
    directory: Directory,
    keys: TraceKeys,
    options: TraceOptions,
}

impl Stream {
    /// Blocks of two lines, and an index that goes to disk in small runs.
    fn new() -> Stream {
        let options = TraceOptions { block_lines: 2, index_memory: 20, most_problems: 50 };
        Stream { directory: Directory::new(), keys: TraceKeys::derive(&MailboxKey::generate()), options }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn open(&self) -> (TraceFiles, TraceOpening) {
        TraceFiles::open(self.path(), &self.keys, &self.options).unwrap()
    }

    /// Opens it; nothing is out of order.
    fn open_well(&self) -> TraceFiles {
        let (files, opening) = self.open();
        assert_eq!(opening, TraceOpening::default());
        files
    }

    fn file(&self, day: Day) -> PathBuf {
        self.path().join(format!("{day}.day"))
    }
}

const FIRST: u32 = 20_000;

fn day(number: u32) -> Day {
    Day::from_number(FIRST + number)
}

/// The line number `number` of a day: its text says which it is.
fn line(day: Day, number: u64) -> Line {
    let at = day.start() + number * 1000;
    Line { at, terms: vec![1, 10 + number % 3, 1000 + number], text: format!("{day} {number}").into() }
}

fn lines(day: Day, numbers: std::ops::Range<u64>) -> Vec<Line> {
    numbers.map(|number| line(day, number)).collect()
}

fn append(files: &TraceFiles, day: Day, numbers: std::ops::Range<u64>) {
    files.append(day, &lines(day, numbers)).unwrap();
}

fn texts(files: &TraceFiles, query: &Query) -> Vec<String> {
    let mut texts = Vec::new();
    let searched = files.search(query, usize::MAX, &mut |line| {
        texts.push(String::from_utf8(line.text).unwrap());
        true
    });
    assert!(!searched.unwrap().stopped);
    texts
}

fn all_texts(files: &TraceFiles) -> Vec<String> {
    texts(files, &Query::default())
}

fn expected(day: Day, numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| format!("{day} {number}")).collect()
}

fn every_day() -> std::ops::RangeInclusive<Day> {
    Day::from_number(0)..=Day::from_number(u32::MAX)
}

fn problems(files: &TraceFiles) -> Vec<String> {
    files.verify(every_day()).unwrap().problems.iter().map(Problem::to_string).collect()
}

fn kinds(files: &TraceFiles) -> Vec<ProblemKind> {
    files.verify(every_day()).unwrap().problems.into_iter().map(|problem| problem.kind).collect()
}
