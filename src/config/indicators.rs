//! `[indicators]`: the monthly figures that operators owe (MSSanté §11).

use super::validate::Found;
use crate::mss::indicators::{Layout, LayoutError};
use serde::{Deserialize, Serialize};

/// `[indicators]`: how long figures are kept, and what their files are called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Indicators {
    /// Months after which it is not told apart any more which mailboxes were used, only how many (MSSanté §5).
    pub anonymous_after: u32,
    /// Months that figures are kept.
    pub keep: u32,
    /// Most rows of a file that others' words can make: their domains, software, document codes.
    pub most_rows: u64,
    /// Files and columns that have other names than ours.
    pub sheets: Vec<SheetNames>,
}

/// How one sheet's file and columns are called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SheetNames {
    /// Which sheet: `mailboxes`, `exchanges`, `connections` …
    pub sheet: String,
    /// Its file, with `{month}` in it; empty: as it is.
    pub file: String,
    /// Its columns in their order, as `domain=Domaine`; what is not named is left out. Empty: as they are.
    pub columns: Vec<String>,
}

impl Default for Indicators {
    fn default() -> Self {
        Self { anonymous_after: 3, keep: 120, most_rows: 100_000, sheets: Vec::new() }
    }
}

impl Indicators {
    /// Files and columns.
    ///
    /// # Errors
    /// What cannot be; a configuration that was taken has none.
    pub fn layout(&self) -> Result<Layout, LayoutError> {
        let told = self.sheets.iter();
        Layout::with(told.map(|sheet| (sheet.sheet.as_str(), sheet.file.as_str(), sheet.columns.as_slice())))
    }
}

/// What is wrong with the section.
pub(super) fn problems(indicators: &Indicators, found: &mut Found<'_, '_>) {
    let numbers = [
        ("indicators.anonymous_after", u64::from(indicators.anonymous_after), 1, 12),
        ("indicators.keep", u64::from(indicators.keep), 13, 1200),
        ("indicators.most_rows", indicators.most_rows, 100, 300_000),
    ];
    for (key, value, least, most) in numbers {
        found.check((least..=most).contains(&value), key, || format!("{value}; expected {least} to {most}"));
    }
    if let Err(error) = indicators.layout() {
        found.check(false, "indicators.sheets", || error.to_string());
    }
}
