//! The monthly indicators.

use serde::{Deserialize, Serialize};

/// What is asked of a month.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IndicatorQuery {
    /// The month is counted again from its traces, and compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recount: Option<bool>,
}

/// The figures of a month: `GET /v1/indicators/{month}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indicators {
    /// The month, as `2026-11` (UTC).
    pub month: String,
    /// The month is not over: its figures will grow.
    pub running: bool,
    /// When the mailboxes at its end were noted; none: those of this moment are shown.
    #[serde(default)]
    pub mailboxes_noted_at: Option<String>,
    /// Since when nothing says any more which mailboxes were used.
    #[serde(default)]
    pub anonymous_since: Option<String>,
    /// The files.
    pub sheets: Vec<IndicatorSheet>,
    /// The rows that differ from what the month's traces give; none: it was not counted again.
    #[serde(default)]
    pub differences: Option<Vec<IndicatorDifference>>,
}

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndicatorSheet {
    /// `mailboxes`, `exchanges`, `connections` …
    pub sheet: String,
    /// The file's name.
    pub file: String,
    /// Its headings.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

/// A row that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndicatorDifference {
    /// The sheet.
    pub sheet: String,
    /// What tells the row apart.
    pub row: Vec<String>,
    /// What was counted.
    pub counted: Vec<u64>,
    /// What the traces give.
    pub recounted: Vec<u64>,
}

/// The months that something was counted in: `GET /v1/indicators`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndicatorMonths {
    /// The first one first.
    pub months: Vec<String>,
}
