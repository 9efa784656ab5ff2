//! Forgetting: the heads say first that a day is to be missing, then its files go.
//!
//! What a crash or an error left of an earlier forgetting is ended by the next one and by the next start. A file that only lies
//! under the name of a day that was forgotten, and is not that day's, is not removed: whatever the heads say, and whoever wrote
//! them, no file goes but the one that the head was made of.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use super::block::{BLOCK_HEADER, BlockHeader, Hash, SEAL_LENGTHS};
use super::day::Day;
use super::heads::Heads;
use super::home::Home;
use super::search::open_if_there;
use super::walk::read_up_to;
use super::{TraceError, TraceFiles, lock, unix_now};

impl TraceFiles {
    /// Forgets the sealed days all of whose lines are of days before one: their files go, their heads stay. Says which they were.
    /// A line is as old as its moment says, whatever the day is called that it is filed in: a clock that was ahead once gave days
    /// names of years to come.
    ///
    /// # Errors
    /// What the disk says; what was begun is ended at the next call or start.
    pub fn forget(&self, before: Day) -> Result<Vec<Day>, TraceError> {
        let home = &self.inner.home;
        let _writer = lock(&self.inner.writer);
        let mut heads = lock(&self.inner.state).heads.clone();
        let (now, mut days) = (unix_now(), Vec::new());
        for head in heads.days.iter_mut().filter(|head| Day::of(head.last) < before && head.forgotten.is_none()) {
            head.forgotten = Some(now);
            days.push(head.day);
        }
        let gone: BTreeSet<Day> = days.iter().copied().collect();
        if !days.is_empty() {
            // First what says that they are to be missing, then the files.
            heads.write(&home.path, &self.inner.keys)?;
            let mut state = lock(&self.inner.state);
            state.heads = heads.clone();
            state.sizes.retain(|day, _| !gone.contains(day));
        }
        let removed = home.remove(&gone);
        removed.and(end(home, &heads))?;
        Ok(days)
    }
}

/// Ends what was begun earlier. Gives the forgotten days under whose name there is another file.
pub(super) fn end(home: &Home, heads: &Heads) -> Result<Vec<Day>, TraceError> {
    let forgotten = heads.days.iter().filter(|head| head.forgotten.is_some());
    let mut left = home.any_of(&forgotten.map(|head| head.day).collect())?;
    let mut strange = Vec::new();
    for day in left.clone() {
        if heads.find(day).is_some_and(|head| is_anothers(&home.day(day), &head.hash)) {
            left.remove(&day);
            strange.push(day);
        }
    }
    home.remove(&left)?;
    Ok(strange)
}

/// Whether there is a file, and it does not end with the seal that a head was made of.
fn is_anothers(path: &Path, seal: &Hash) -> bool {
    let last = |file: &File, length: u64| {
        let at = file.metadata().ok()?.len().checked_sub(length)?;
        let mut header = [0; BLOCK_HEADER];
        let is_whole = read_up_to(file, &mut header, at).ok()? == BLOCK_HEADER;
        BlockHeader::decode(&header).filter(|_| is_whole).map(|header| header.hash)
    };
    match open_if_there(path) {
        Ok(None) => false,
        Ok(Some(file)) => SEAL_LENGTHS.iter().all(|length| last(&file, *length).as_ref() != Some(seal)),
        Err(_) => true,
    }
}
