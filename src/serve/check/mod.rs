//! What `caducee check` looks at beyond the configuration file itself: everything that its keys name, at once.
//!
//! A *problem* keeps the server from starting, from being believed by its peers, or will within thirty days. A *note* is
//! what could not be looked at from here, or may be meant. Nothing is changed, nothing is fetched.

mod certificates;
mod directory;
mod places;
mod psc;
mod trust;

use crate::config::{Examined, Problem};
use serde::Serialize;

/// Everything that is wrong, and what is to be known.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What is to be known.
    pub notes: Vec<Problem>,
}

/// Looks at everything at `now` (Unix seconds).
pub fn check(examined: &Examined, now: i64) -> Report {
    let mut look = Look { examined, now, report: Report::default() };
    look.report.problems.clone_from(&examined.problems);
    certificates::check(&mut look);
    trust::check(&mut look);
    psc::check(&mut look);
    directory::check(&mut look);
    places::check(&mut look);
    let mut report = look.report;
    for list in [&mut report.problems, &mut report.notes] {
        list.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        list.dedup();
    }
    report
}

/// What the checks work with.
struct Look<'e> {
    examined: &'e Examined,
    now: i64,
    report: Report,
}

impl Look<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.report.problems.push(self.examined.problem(key, message));
    }

    fn note(&mut self, key: &str, message: impl Into<String>) {
        self.report.notes.push(self.examined.problem(key, message));
    }

    /// The value, or a problem of `key`.
    fn value<T, E: std::fmt::Display>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.problem(key, error.to_string())).ok()
    }

    /// Whether `key` has a value that can be looked at.
    fn is_readable(&self, key: &str) -> bool {
        !self.examined.is_wrong(key)
    }

    /// A file that everybody may read and nobody but the server should.
    fn is_private(&mut self, key: &str, path: &std::path::Path) {
        use std::os::unix::fs::PermissionsExt;
        let Ok(metadata) = std::fs::metadata(path) else { return };
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o007 != 0 {
            self.problem(key, format!("{} may be read by everybody (mode {mode:04o}); expected 0600", path.display()));
        }
    }
}
