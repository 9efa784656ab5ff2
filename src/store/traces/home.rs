//! A stream's directory: what lies in it, and who may open it.
//!
//! ```text
//! heads                    the seals of all days (`heads.rs`)
//! lock                     held while a process has the directory open
//! 2026-11-25.day           a day's blocks (`block.rs`): the truth
//! 2026-11-25.idx           its index (`index.rs`): made again where it is missing
//! 2026-11-25.3.run         a run of the open day's index: removed at the next start
//! 2026-11-25.torn-1234     what a crash left behind the last whole block, which began at that byte
//! heads.altered            the heads as they were found when they were not as we wrote them
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::TraceError;
use super::day::Day;
use crate::store::embedded::durable;

/// An opened directory; the lock is held as long as this lives.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) path: PathBuf,
    _lock: File,
}

impl Home {
    /// Opens a directory of traces, or makes one where there is none (a missing or empty directory).
    pub(super) fn open(path: &Path) -> Result<Home, TraceError> {
        durable::create_directory(path).map_err(TraceError::io("create", path))?;
        let name = path.join("lock");
        let options = OpenOptions::new().write(true).create(true).truncate(false).open(&name);
        let lock = options.map_err(TraceError::io("open", &name))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(TraceError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(TraceError::io("lock", &name)(source)),
        }
        let home = Home { path: path.to_owned(), _lock: lock };
        home.refuse_foreign()?;
        Ok(home)
    }

    /// A directory of something else is not written into.
    fn refuse_foreign(&self) -> Result<(), TraceError> {
        let names = self.names()?;
        let is_ours = |name: &String| {
            matches!(name.as_str(), "lock" | "heads" | "heads.new" | "heads.altered" | "lost+found")
                || day_of(name).is_some()
        };
        if names.iter().all(is_ours) || names.iter().any(|name| name == "heads") {
            return Ok(());
        }
        Err(TraceError::Foreign(self.path.clone()))
    }

    pub(super) fn day(&self, day: Day) -> PathBuf {
        self.path.join(format!("{day}.day"))
    }

    pub(super) fn index(&self, day: Day) -> PathBuf {
        self.path.join(format!("{day}.idx"))
    }

    pub(super) fn aside(&self, day: Day, offset: u64) -> PathBuf {
        self.path.join(format!("{day}.torn-{offset}"))
    }

    /// The days that have a file.
    pub(super) fn days(&self) -> Result<BTreeSet<Day>, TraceError> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(".day")?.parse().ok()).collect())
    }

    /// Removes the files of some days, the days' own last: while one is there, the day is not forgotten wholly.
    pub(super) fn remove(&self, days: &BTreeSet<Day>) -> Result<(), TraceError> {
        let mut names = self.names()?;
        names.retain(|name| day_of(name).is_some_and(|day| days.contains(&day)));
        names.sort_by_key(|name| name.ends_with(".day"));
        names.iter().try_for_each(|name| self.remove_file(name))
    }

    /// Removes what an earlier process left that no later one reads.
    pub(super) fn remove_leavings(&self) -> Result<(), TraceError> {
        let names = self.names()?;
        let leavings = names.iter().filter(|name| name.ends_with(".run") || name.ends_with(".new"));
        leavings.into_iter().try_for_each(|name| self.remove_file(name))
    }

    fn remove_file(&self, name: &str) -> Result<(), TraceError> {
        let path = self.path.join(name);
        fs::remove_file(&path).map_err(TraceError::io("remove", &path))
    }

    fn names(&self) -> Result<Vec<String>, TraceError> {
        let failed = || TraceError::io("list", &self.path);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed())? {
            // No file of ours has a name that is not text.
            names.push(entry.map_err(failed())?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }
}

/// The day that a file's name begins with.
fn day_of(name: &str) -> Option<Day> {
    name.split_once('.')?.0.parse().ok()
}
