//! `caducee check`: everything that is wrong with a configuration, at once, before the server is started with it.

use super::output::{Exit, Output};
use crate::config::Config;
use crate::serve::check::{Report, check};
use crate::serve::facts::now;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Tell everything that is wrong with a configuration, at once
///
/// Looks at the file's keys and at what they name: certificates and keys (a pair? expired, or within 30 days? revoked?),
/// authorities, CRLs, the white list and its signature, the national directory's extraction, the master key, directories, and
/// ports. Changes nothing, fetches nothing. Ends with 1 when anything is wrong.
#[derive(Args, Debug)]
pub(super) struct Check {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/caducee/caducee.toml")]
    config: PathBuf,
    /// Answer in JSON: {"ok", "problems", "notes"}, each with file, line, key and message
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    #[serde(flatten)]
    report: Report,
}

impl Check {
    pub(super) fn run(self) -> ExitCode {
        let examined = match Config::examine(&self.config) {
            Ok(examined) => examined,
            Err(error) => {
                eprintln!("caducee: {error}");
                return Exit::Failed.into();
            }
        };
        let report = check(&examined, now());
        let answer = Answer { ok: report.problems.is_empty(), report };
        Output::new(self.json).result(&answer, for_people);
        if answer.ok { Exit::Done.into() } else { Exit::Failed.into() }
    }
}

fn for_people(answer: &Answer) -> String {
    let Report { problems, notes } = &answer.report;
    let mut lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.extend(notes.iter().map(|note| format!("note: {note}")));
    lines.push(match problems.len() {
        0 => "Nothing is wrong.".to_owned(),
        1 => "1 problem.".to_owned(),
        n => format!("{n} problems."),
    });
    lines.join("\n")
}
