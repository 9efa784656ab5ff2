//! A stream's directory: what lies in it, and who may open it.
//!
//! ```text
//! heads                    the seals of all days (`heads.rs`)
//! lock                     held while a process has the directory open
//! 2026-11-25.day           a day's blocks (`block.rs`): the truth
//! 2026-11-25.idx           its index (`index.rs`): made again where it is missing
//! 2026-11-25.3.run         a run of the open day's index: removed at the next start
//! 2026-11-25.torn-1234     what a crash left behind the last whole block, which began at that byte
//! heads.altered            the heads as they were found when they were not as we wrote them; later ones are heads.altered-2 …
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::TraceError;
use super::day::Day;
use crate::store::embedded::durable;

/// What the names of heads begin with that were not as we wrote them.
const ALTERED: &str = "heads.altered";

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
            matches!(name.as_str(), "lock" | "heads" | "heads.new" | "lost+found")
                || name.starts_with(ALTERED)
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

    /// Of some days, those that have a file of any sort.
    pub(super) fn any_of(&self, days: &BTreeSet<Day>) -> Result<BTreeSet<Day>, TraceError> {
        Ok(self.names()?.iter().filter_map(|name| day_of(name)).filter(|day| days.contains(day)).collect())
    }

    /// Removes the files of some days, the days' own last: while one is there, the day is not forgotten wholly. A file that
    /// cannot be removed keeps no other from it; the first such is the error.
    pub(super) fn remove(&self, days: &BTreeSet<Day>) -> Result<(), TraceError> {
        let mut names = self.names()?;
        names.retain(|name| day_of(name).is_some_and(|day| days.contains(&day)));
        names.sort_by_key(|name| name.ends_with(".day"));
        let mut done = Ok(());
        for name in &names {
            let removed = self.remove_file(name);
            done = done.and(removed);
        }
        done
    }

    /// Keeps heads that were altered beside the new ones, under a name of their own. Takes no room on the disk where the file
    /// can have two names.
    pub(super) fn keep_altered(&self, heads: &Path) -> io::Result<PathBuf> {
        let name = |number: u32| if number == 1 { ALTERED.to_owned() } else { format!("{ALTERED}-{number}") };
        let mut names = (1..).map(|number| self.path.join(name(number)));
        let aside = names.find(|path| !path.exists()).ok_or(io::ErrorKind::AlreadyExists)?;
        fs::hard_link(heads, &aside).or_else(|_| fs::copy(heads, &aside).map(drop))?;
        Ok(aside)
    }

    /// Removes what an earlier process left that no later one reads.
    pub(super) fn remove_leavings(&self) -> Result<(), TraceError> {
        let names = self.names()?;
        let leavings = names.iter().filter(|name| name.ends_with(".run") || name.ends_with(".new"));
        leavings.into_iter().try_for_each(|name| self.remove_file(name))
    }

    fn remove_file(&self, name: &str) -> Result<(), TraceError> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            // Somebody else was there first: a search that made an index, say.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome.map_err(TraceError::io("remove", &path)),
        }
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
