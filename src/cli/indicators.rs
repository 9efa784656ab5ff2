//! `caducee indicators`: the files of a month.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::client::{ClientError, ServerArguments, path, query};
use super::output::{Exit, Output, table};
use crate::mss::indicators::{Month, csv};
use crate::serve::http::types::{IndicatorDifference, IndicatorMonths, IndicatorQuery, IndicatorSheet, Indicators};

/// The monthly indicators: mailboxes, exchanges, connections, refusals; listed, or written with --out
#[derive(Args, Debug)]
pub(super) struct IndicatorsCommand {
    #[command(flatten)]
    server: ServerArguments,
    /// The month, as 2026-11; without it the months that there are are listed
    month: Option<Month>,
    /// Writes one CSV file a sheet into this directory, which is made if it is not there
    #[arg(long, value_name = "DIR", requires = "month")]
    out: Option<PathBuf>,
    /// Counts the month again from its traces and shows what differs (minutes)
    #[arg(long, requires = "month")]
    recount: bool,
}

impl IndicatorsCommand {
    pub(super) fn run(self) -> ExitCode {
        let server = self.server.clone();
        server.run(async |client, output| {
            let Some(month) = self.month else {
                let months: IndicatorMonths = client.get(&path(&["indicators"])).await?;
                output.result(&months, |months| months.months.join("\n"));
                return Ok(Exit::Done);
            };
            let wanted = IndicatorQuery { recount: self.recount.then_some(true) };
            let indicators: Indicators =
                client.get(&(path(&["indicators", &month.to_string()]) + &query(&wanted)?)).await?;
            self.show(&indicators, output)
        })
    }

    fn show(&self, indicators: &Indicators, output: &Output) -> Result<Exit, ClientError> {
        let mut written = Vec::new();
        if let Some(directory) = &self.out {
            let local = |problem: std::io::Error| ClientError::Local(format!("{}: {problem}", directory.display()));
            std::fs::create_dir_all(directory).map_err(local)?;
            for sheet in &indicators.sheets {
                written.push(write(directory, sheet).map_err(local)?);
            }
        }
        output.result(indicators, |indicators| told(indicators, &written));
        let differs = indicators.differences.as_ref().is_some_and(|rows| !rows.is_empty());
        Ok(if differs { Exit::Failed } else { Exit::Done })
    }
}

/// Writes a sheet beside its place and moves it there: who looks sees the old file or the new one, whole. What stands beside
/// was left by a run that was cut off, or put there by somebody: it is not written through.
fn write(directory: &Path, sheet: &IndicatorSheet) -> std::io::Result<PathBuf> {
    let name = Path::new(&sheet.file).file_name().unwrap_or_default();
    let place = directory.join(name);
    let beside = directory.join(format!(".{}.new", name.to_string_lossy()));
    match std::fs::remove_file(&beside) {
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => {}
        outcome => outcome?,
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&beside)?;
    file.write_all(csv(&sheet.columns, &sheet.rows).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, &place)?;
    Ok(place)
}

fn told(indicators: &Indicators, written: &[PathBuf]) -> String {
    let mut text = match (indicators.running, &indicators.mailboxes_noted_at) {
        (true, _) => format!("{}: the month is not over.", indicators.month),
        (false, Some(at)) => format!("{}: mailboxes as noted at {at}.", indicators.month),
        (false, None) => format!("{}: mailboxes as they are now.", indicators.month),
    };
    if written.is_empty() {
        let row = |sheet: &IndicatorSheet| [sheet.sheet.clone(), sheet.file.clone(), sheet.rows.len().to_string()];
        text = format!("{text}\n{}", table(["sheet", "file", "rows"], indicators.sheets.iter().map(row)));
    }
    written.iter().for_each(|file| text.push_str(&format!("\n{}", file.display())));
    match indicators.differences.as_deref() {
        None => {}
        Some([]) => text.push_str("\nCounted again from the traces: the same."),
        Some(rows) => {
            let row = |row: &IndicatorDifference| {
                [row.sheet.clone(), row.row.join(", "), numbers(&row.counted), numbers(&row.recounted)]
            };
            let rows = table(["sheet", "row", "counted", "traces"], rows.iter().map(row));
            text.push_str(&format!("\nCounted again from the traces, these differ:\n{rows}"));
        }
    }
    text
}

fn numbers(numbers: &[u64]) -> String {
    if numbers.is_empty() { "–".into() } else { numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_into_the_directory_and_nowhere_else() {
        let directory = std::env::temp_dir().join(format!("caducee-indicators-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let sheet = IndicatorSheet {
            sheet: "refusals".into(),
            file: "../Refus_2026-11.csv".into(),
            columns: vec!["mois".into(), "refus".into()],
            rows: vec![vec!["2026-11".into(), "2".into()]],
        };
        // Somebody else's file, under the name that ours has for a moment.
        let other = directory.join("other");
        std::fs::write(&other, "other").unwrap();
        std::os::unix::fs::symlink(&other, directory.join(".Refus_2026-11.csv.new")).unwrap();
        let place = write(&directory, &sheet).unwrap();
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "other");
        assert_eq!(place, directory.join("Refus_2026-11.csv"), "a server's answer names no other directory");
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "mois,refus\r\n2026-11,2\r\n");
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
