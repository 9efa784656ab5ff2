//! How an operator has the sheets' files and columns named, and the files' text.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{Month, Row, Sheet};

/// The files that are written, each with its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    sheets: Vec<SheetLayout>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetLayout {
    sheet: Sheet,
    file: String,
    columns: Vec<(Source, String)>,
}

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Month,
    Dimension(usize),
    Measure(usize),
}

/// Why a layout is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// There is no such sheet.
    #[error("there is no sheet `{0}`; expected one of {names}", names = names(Sheet::ALL.iter().map(|sheet| sheet.name())))]
    NoSheet(String),
    /// A sheet stands twice.
    #[error("the sheet `{0}` stands twice")]
    Twice(String),
    /// The sheet has no such column.
    #[error("`{column}` is no column of `{sheet}`; expected month or one of {columns}")]
    NoColumn {
        /// The sheet.
        sheet: &'static str,
        /// What was asked for.
        column: String,
        /// What there is.
        columns: String,
    },
    /// A file's name that cannot be one, or would be the same every month.
    #[error("`{0}` is no name of a monthly file; expected letters, digits, `.`, `-`, `_`, and {{month}}")]
    BadFile(String),
    /// A heading that would break the file.
    #[error("`{0}` is no heading; expected 1 to 80 characters without control characters")]
    BadHeading(String),
    /// A file would be written twice.
    #[error("two sheets are written to `{0}`")]
    SameFile(String),
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

impl Default for Layout {
    /// Every sheet with every column, under our own names.
    fn default() -> Self {
        Self { sheets: Sheet::ALL.into_iter().map(SheetLayout::whole).collect() }
    }
}

impl Layout {
    /// The default with these sheets as they are told: name, file (empty: the default's), columns as `ours=Theirs` or
    /// `ours` (none: all of them).
    ///
    /// # Errors
    /// [`LayoutError`] for what cannot be.
    pub fn with<'a>(changes: impl IntoIterator<Item = (&'a str, &'a str, &'a [String])>) -> Result<Self, LayoutError> {
        let mut changed = BTreeMap::new();
        for (name, file, columns) in changes {
            let sheet = Sheet::named(name).ok_or_else(|| LayoutError::NoSheet(name.to_owned()))?;
            if changed.insert(sheet, SheetLayout::told(sheet, file, columns)?).is_some() {
                return Err(LayoutError::Twice(name.to_owned()));
            }
        }
        let sheet = |sheet: Sheet| changed.remove(&sheet).unwrap_or_else(|| SheetLayout::whole(sheet));
        let sheets: Vec<SheetLayout> = Sheet::ALL.into_iter().map(sheet).collect();
        let mut files = std::collections::BTreeSet::new();
        match sheets.iter().find(|sheet| !files.insert(&sheet.file)) {
            Some(twice) => Err(LayoutError::SameFile(twice.file.clone())),
            None => Ok(Self { sheets }),
        }
    }

    /// The files, in the order of [`Sheet::ALL`].
    pub fn sheets(&self) -> &[SheetLayout] {
        &self.sheets
    }
}

impl SheetLayout {
    fn whole(sheet: Sheet) -> Self {
        let dimensions =
            sheet.dimensions().iter().enumerate().map(|(at, column)| (Source::Dimension(at), column.heading));
        let measures = sheet.measures().iter().enumerate().map(|(at, column)| (Source::Measure(at), column.heading));
        let all = [(Source::Month, "mois")].into_iter().chain(dimensions).chain(measures);
        let columns = all.map(|(source, heading)| (source, heading.to_owned())).collect();
        Self { sheet, file: sheet.file().to_owned(), columns }
    }

    fn told(sheet: Sheet, file: &str, columns: &[String]) -> Result<Self, LayoutError> {
        let whole = Self::whole(sheet);
        let file = if file.is_empty() { whole.file } else { checked_file(file)? };
        if columns.is_empty() {
            return Ok(Self { file, ..whole });
        }
        let column = |text: &String| {
            let (name, heading) =
                text.split_once('=').map_or((text.trim(), None), |(name, heading)| (name.trim(), Some(heading.trim())));
            let source = source_of(sheet, name)?;
            let default = whole.columns.iter().find(|(other, _)| *other == source).map(|(_, heading)| heading.as_str());
            let heading = heading.or(default).unwrap_or(name);
            let is_good = (1..=80).contains(&heading.chars().count()) && !heading.chars().any(char::is_control);
            if is_good { Ok((source, heading.to_owned())) } else { Err(LayoutError::BadHeading(heading.to_owned())) }
        };
        Ok(Self { sheet, file, columns: columns.iter().map(column).collect::<Result<_, _>>()? })
    }

    /// Which sheet it shows.
    pub fn sheet(&self) -> Sheet {
        self.sheet
    }

    /// The file's name for a month.
    pub fn file(&self, month: Month) -> String {
        self.file.replace("{month}", &month.to_string())
    }

    /// The headings.
    pub fn headings(&self) -> Vec<String> {
        self.columns.iter().map(|(_, heading)| heading.clone()).collect()
    }

    /// The rows as they stand in the file. Rows that only a column that is left out told apart are added up.
    pub fn rows(&self, month: Month, rows: &[Row]) -> Vec<Vec<String>> {
        let mut sums: BTreeMap<Vec<&str>, Vec<u64>> = BTreeMap::new();
        for row in rows {
            let shown = |(source, _): &(Source, String)| match source {
                Source::Dimension(at) => row.dimensions.get(*at).map(String::as_str),
                Source::Month | Source::Measure(_) => None,
            };
            let sum = sums.entry(self.columns.iter().filter_map(shown).collect()).or_default();
            sum.resize(sum.len().max(row.measures.len()), 0);
            sum.iter_mut().zip(&row.measures).for_each(|(sum, value)| *sum += value);
        }
        sums.into_iter().map(|(dimensions, measures)| self.line(month, &dimensions, &measures)).collect()
    }

    fn line(&self, month: Month, dimensions: &[&str], measures: &[u64]) -> Vec<String> {
        let mut dimensions = dimensions.iter();
        let cell = |(source, _): &(Source, String)| match source {
            Source::Month => month.to_string(),
            Source::Dimension(_) => dimensions.next().copied().unwrap_or_default().to_owned(),
            Source::Measure(at) => measures.get(*at).copied().unwrap_or(0).to_string(),
        };
        self.columns.iter().map(cell).collect()
    }
}

fn source_of(sheet: Sheet, name: &str) -> Result<Source, LayoutError> {
    let place = |columns: &[super::Column]| columns.iter().position(|column| column.name == name);
    if name == "month" {
        return Ok(Source::Month);
    }
    let found = place(sheet.dimensions()).map(Source::Dimension).or(place(sheet.measures()).map(Source::Measure));
    found.ok_or_else(|| LayoutError::NoColumn {
        sheet: sheet.name(),
        column: name.to_owned(),
        columns: names(sheet.dimensions().iter().chain(sheet.measures()).map(|column| column.name)),
    })
}

fn checked_file(file: &str) -> Result<String, LayoutError> {
    let rest = file.replacen("{month}", "", 1);
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_name = rest.len() < file.len() && file.len() <= 100 && !file.starts_with('.') && rest.chars().all(is_good);
    if is_name { Ok(file.to_owned()) } else { Err(LayoutError::BadFile(file.to_owned())) }
}

/// The text of a file (RFC 4180): UTF-8, a line of headings, lines that end in CRLF.
pub fn csv(headings: &[String], rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for row in std::iter::once(headings).chain(rows.iter().map(Vec::as_slice)) {
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            put_cell(cell, &mut text);
        }
        text.push_str("\r\n");
    }
    text
}

/// RFC 4180 §2.5 to §2.7.
fn put_cell(cell: &str, text: &mut String) {
    if cell.contains(['"', ',', '\r', '\n']) {
        text.push('"');
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(dimensions: &[&str], measures: &[u64]) -> Row {
        Row { dimensions: dimensions.iter().map(|text| (*text).to_owned()).collect(), measures: measures.to_vec() }
    }

    fn told(name: &str, file: &str, columns: &[&str]) -> Result<Layout, LayoutError> {
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        Layout::with([(name, file, columns.as_slice())])
    }

    #[test]
    fn a_file_has_the_columns_that_it_is_told_under_their_names_and_order() {
        let layout = told("refusals", "Rejets-{month}.csv", &["refusals=Nombre", "rule=Règle", "month"]).unwrap();
        let sheet = layout.sheets().iter().find(|sheet| sheet.sheet() == Sheet::Refusals).unwrap();
        let month: Month = "2026-11".parse().unwrap();
        assert_eq!(sheet.file(month), "Rejets-2026-11.csv");
        assert_eq!(sheet.headings(), ["Nombre", "Règle", "mois"]);
        let rows =
            [row(&["smtp", "over-quota"], &[2]), row(&["submission", "over-quota"], &[3]), row(&["smtp", "a"], &[1])];
        let shown = sheet.rows(month, &rows);
        assert_eq!(
            shown,
            [["1", "a", "2026-11"], ["5", "over-quota", "2026-11"]],
            "what a left-out column told apart is one"
        );
        assert_eq!(layout.sheets().len(), Sheet::ALL.len(), "the others stay as they are");
    }

    #[test]
    fn all_columns_stand_in_the_order_of_the_sheet_where_nothing_is_said() {
        let layout = Layout::default();
        let sheet = layout.sheets().iter().find(|sheet| sheet.sheet() == Sheet::Exchanges).unwrap();
        assert_eq!(
            sheet.headings().join(","),
            "mois,domaine,type_bal,sens,correspondant,taille,messages,destinataires,octets"
        );
    }

    #[test]
    fn what_cannot_be_a_layout_is_refused_by_its_name() {
        assert!(matches!(told("mails", "", &[]), Err(LayoutError::NoSheet(_))));
        assert!(matches!(told("refusals", "", &["colour"]), Err(LayoutError::NoColumn { .. })));
        assert!(matches!(told("refusals", "", &["rule= "]), Err(LayoutError::BadHeading(_))));
        for file in ["../{month}.csv", "Refus.csv", ".{month}", "a b {month}.csv"] {
            assert!(matches!(told("refusals", file, &[]), Err(LayoutError::BadFile(_))), "{file}");
        }
        assert!(matches!(told("refusals", "BAL_{month}.csv", &[]), Err(LayoutError::SameFile(_))));
        let twice = Layout::with([("refusals", "", &[][..]), ("refusals", "", &[][..])]);
        assert!(matches!(twice, Err(LayoutError::Twice(_))));
    }

    #[test]
    fn a_cell_is_quoted_where_it_would_break_the_line() {
        let text = csv(&["a".into(), "b".into()], &[vec!["1, \"2\"".into(), "é".into()]]);
        assert_eq!(text, "a,b\r\n\"1, \"\"2\"\"\",é\r\n");
    }
}
