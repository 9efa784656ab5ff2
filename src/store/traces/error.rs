//! The errors of day files. None of them shows what a trace says.

use std::io;
use std::path::{Path, PathBuf};

use super::day::Day;

/// Why traces could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The system refused a file.
    #[error("{path}: cannot {action}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The traces' disk is full.
    #[error("{}: the disk of the traces is full", .0.display())]
    Full(PathBuf),
    /// Another process has the directory open.
    #[error("{}: these traces are in use by another process (is the server running?)", .0.display())]
    InUse(PathBuf),
    /// A directory that is not empty and holds no traces: nothing is written into it.
    #[error("{}: not empty, and not a directory of traces", .0.display())]
    Foreign(PathBuf),
    /// The directory has a format that this version does not know.
    #[error("{path}: format {found}, but this version of caducee knows only format {known}", path = path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The traces there were signed with another key.
    #[error("{}: these traces belong to another store: they are signed with another key", .0.display())]
    WrongKey(PathBuf),
    /// A line is longer than a line can be.
    #[error("a trace of {text} bytes and {terms} terms is too long for a line")]
    LineTooLong {
        /// Bytes of its text.
        text: usize,
        /// Its terms.
        terms: usize,
    },
    /// There is no such line, or its day was forgotten.
    #[error("there is no such trace (any more)")]
    NotThere,
    /// The block that the line lies in is damaged.
    #[error("the traces of {day} are damaged at byte {offset}")]
    Damaged {
        /// Its day.
        day: Day,
        /// Where the block begins in the day's file.
        offset: u64,
    },
}

impl TraceError {
    pub(super) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> TraceError + use<'a> {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => TraceError::Full(path.to_owned()),
            _ => TraceError::Io { action, path: path.to_owned(), source },
        }
    }

    /// Whether it is a full disk: it ends by itself when there is room again.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, TraceError::Full(_))
    }
}
