//! How the verbs show their results: JSON for scripts, tables for people, and exit codes for both.
//!
//! Results go to standard output, everything else (refusals, hints, progress) to standard error. With `--json` standard output
//! holds one JSON value as the API gives it, and a refusal is the RFC 9457 problem, as JSON, on standard error.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::client::ClientError;

/// What the process ends with. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The server refused, or something failed.
    Failed = 1,
    /// The command line makes no sense (clap uses the same number).
    Usage = 2,
    /// The server cannot be reached.
    Unreachable = 3,
    /// This user may not administer the server.
    NotAllowed = 4,
    /// Finished, but something was left out (messages, stretches of the traces, mailboxes); it is listed.
    Partly = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The exit code that goes with a failure.
    pub fn of(problem: &ClientError) -> Self {
        match problem {
            // The socket is there, its permissions forbid it: the same for the caller as the server's own refusal.
            ClientError::Unreachable { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Self::NotAllowed
            }
            ClientError::Unreachable { .. } => Self::Unreachable,
            ClientError::Refused(problem) if problem.rule == "peer-not-allowed" => Self::NotAllowed,
            ClientError::Refused(_) | ClientError::Broken(_) | ClientError::Local(_) => Self::Failed,
        }
    }
}

/// Where results go.
#[derive(Clone, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// For people, or in JSON.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Shows a result: the value itself as JSON, or what `people` makes of it.
    pub fn result<T: Serialize>(&self, value: &T, people: impl FnOnce(&T) -> String) {
        let text = if self.json {
            serde_json::to_string_pretty(value).unwrap_or_else(|problem| format!("{{\"error\":\"{problem}\"}}"))
        } else {
            people(value)
        };
        print(&text);
    }

    /// Says something beside the result, to people only.
    pub fn note(&self, text: &str) {
        if !self.json {
            eprintln!("{text}");
        }
    }

    /// Tells why it did not work and gives the exit code for it.
    pub fn failure(&self, problem: &ClientError) -> ExitCode {
        match problem {
            ClientError::Refused(body) if self.json => {
                eprintln!("{}", serde_json::to_string(body).unwrap_or_default());
            }
            other if self.json => {
                let kind = match other {
                    ClientError::Unreachable { .. } => "unreachable",
                    ClientError::Broken(_) => "broken",
                    ClientError::Refused(_) | ClientError::Local(_) => "local",
                };
                eprintln!("{}", serde_json::json!({ "rule": kind, "detail": other.to_string() }));
            }
            other => eprintln!("caducee: {other}"),
        }
        if let (ClientError::Unreachable { .. }, false) = (problem, self.json) {
            eprintln!("{}", hint(Exit::of(problem)));
        }
        Exit::of(problem).into()
    }
}

fn hint(exit: Exit) -> &'static str {
    match exit {
        Exit::NotAllowed => {
            "hint: run it as root, as the server's user, or as one that admin.allowed_uids or admin.allowed_gids names"
        }
        _ => "hint: is the server running? Another socket is named with --socket PATH or --config FILE",
    }
}

/// Writes to standard output; a reader that has gone away (`| head`) is no reason to panic.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _gone =
        out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
}

/// A table for people: a frame and the terminal's width on a terminal, plain columns otherwise.
pub fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.set_header(head);
    table.add_rows(rows);
    if std::io::stdout().is_terminal() {
        table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(terminal_width());
    } else {
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    }
    table.to_string()
}

/// What a list of names and values looks like to people.
pub fn pairs<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<_> = rows.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let lines = rows.iter().map(|(name, value)| format!("{name:<width$}  {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn terminal_width() -> u16 {
    console::Term::stdout().size_checked().map_or(100, |(_, columns)| columns)
}

/// A size for people, in powers of 1024.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut rest = 0;
    let mut unit = 0;
    while value >= 1024 && unit + 1 < UNITS.len() {
        rest = value % 1024;
        value /= 1024;
        unit += 1;
    }
    if unit == 0 || value >= 100 {
        format!("{value} {}", UNITS[unit])
    } else {
        format!("{value}.{} {}", rest * 10 / 1024, UNITS[unit])
    }
}

/// `yes` or nothing: a column of these is read at a glance.
pub fn tick(on: bool) -> String {
    if on { "yes".into() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        let shown: Vec<_> = [0, 1023, 1024, 1536, 25 << 20, 1 << 30, 300 << 40].map(size).into();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "25.0 MiB", "1.0 GiB", "300 TiB"]);
    }

    #[test]
    fn pairs_line_up_and_leave_out_what_is_empty() {
        assert_eq!(pairs([("a", "1".into()), ("longer", "2".into()), ("none", String::new())]), "a       1\nlonger  2");
    }

    #[test]
    fn a_closed_door_and_an_absent_server_are_two_things() {
        let unreachable =
            |kind: std::io::ErrorKind| ClientError::Unreachable { socket: "s".into(), source: kind.into() };
        assert_eq!(Exit::of(&unreachable(std::io::ErrorKind::NotFound)), Exit::Unreachable);
        assert_eq!(Exit::of(&unreachable(std::io::ErrorKind::PermissionDenied)), Exit::NotAllowed);
    }
}
