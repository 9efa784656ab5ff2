//! From text to values, telling everything that is wrong at once, each with file, line, key and what was expected.
//!
//! serde stops at the first error. So the text is first parsed into a tree that knows where each value stands; when
//! serde refuses a value, the problem is noted, that value is taken out of the tree, and serde is asked again.

use super::Config;
use serde::Deserialize;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

/// One thing that is wrong in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Line of the key or value, from 1; absent for what is not written in the file.
    pub line: Option<usize>,
    /// The key, with its section: `limits.message`. Empty when the text is not TOML.
    pub key: String,
    /// What is wrong and what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.message)
    }
}

/// A configuration file's text, and where its keys stand.
pub(super) struct Source<'t> {
    file: &'t Path,
    text: &'t str,
    tree: DeTable<'t>,
}

impl<'t> Source<'t> {
    /// Parses `text`; if it is not TOML, says where, for each place.
    pub(super) fn parse(file: &'t Path, text: &'t str) -> Result<Self, Vec<Problem>> {
        let (tree, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(Self { file, text, tree: tree.into_inner() });
        }
        let problem = |error: toml::de::Error| Problem {
            file: file.to_owned(),
            line: error.span().map(|span| line_of(text, span.start)),
            key: String::new(),
            message: format!("not TOML: {}", error.message()),
        };
        let mut problems: Vec<Problem> = errors.into_iter().map(problem).collect();
        problems.sort_by_key(|problem| problem.line);
        Err(problems)
    }

    /// The typed values, and every value that could not be typed (its default stands in).
    pub(super) fn read(&self) -> (Config, Vec<Problem>) {
        let mut tree = self.tree.clone();
        let mut problems = Vec::new();
        loop {
            let attempt = Deserializer::from(Spanned::new(0..self.text.len(), tree.clone()));
            let error = match Config::deserialize(attempt) {
                Ok(config) => return (config, problems),
                Err(error) => error,
            };
            let taken = error.span().and_then(|span| take_out(&mut tree, &span));
            problems.push(Problem {
                file: self.file.to_owned(),
                line: error.span().map(|span| line_of(self.text, span.start)),
                key: taken.clone().unwrap_or_default(),
                message: error.message().replace('\n', " "),
            });
            if taken.is_none() {
                return (Config::default(), problems);
            }
        }
    }

    /// A problem of the key `key` (`section.name`), at its line, or its section's, if it is written.
    pub(super) fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        let line = self.place(key).map(|at| line_of(self.text, at));
        Problem { file: self.file.to_owned(), line, key: key.to_owned(), message: message.into() }
    }

    /// Byte offset of the deepest written part of `key`.
    fn place(&self, key: &str) -> Option<usize> {
        let mut table = Some(&self.tree);
        let mut place = None;
        for part in key.split('.') {
            let Some((found, value)) = table.and_then(|t| t.get_key_value(part)) else { break };
            place = Some(found.span().start);
            table = value.get_ref().as_table();
        }
        place
    }
}

/// Line (from 1) of the byte at `at`.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count()
}

/// Takes the value (or key) at `span` out of `table`; returns its path.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let holds = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let mut whole = None;
    for (key, value) in table.iter_mut() {
        let name = key.get_ref().to_string();
        if holds(key.span()) {
            whole = Some(name);
            break;
        }
        // A table's own span is its header's only, so its values are looked into whatever it says.
        let inner = match value.get_mut() {
            DeValue::Table(inner) => take_out(inner, span),
            DeValue::Array(array) => take_out_of_array(array, span),
            _ => None,
        };
        if let Some(path) = inner {
            return Some(if path.is_empty() { name } else { format!("{name}.{path}") });
        }
        if holds(value.span()) {
            whole = Some(name);
            break;
        }
    }
    let name = whole?;
    table.remove(name.as_str())?;
    Some(name)
}

/// As [`take_out`], for one element of an array; the path is empty, the array's own key says enough.
fn take_out_of_array(array: &mut DeArray<'_>, span: &Range<usize>) -> Option<String> {
    let at = array.iter().position(|item| item.span().start <= span.start && span.end <= item.span().end)?;
    *array = array.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, item)| item.clone()).collect();
    Some(String::new())
}
