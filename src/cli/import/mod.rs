//! `caducee import`: mail from mbox files, Maildirs and `.eml` files into a mailbox of the running server.
//!
//! The files are read by this process, with its caller's rights; the server only sees messages. They go in runs, in the order in which they
//! were found, so that UIDs rise as they did. Before a message is sent, its SHA-256 is looked up among those of its folder: a
//! message that is there already is passed over, as many times as it is there. So an import that was cut short is simply run again.

mod existing;
pub mod plan;
pub mod reader;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use self::plan::Plan;
use self::run::Run;
use super::client::{Client, ClientError, ServerArguments, path};
use super::output::{Exit, Output, size};
use crate::serve::http::types::{Mailbox, Status};

/// Imports messages from mbox files, Maildirs and .eml files into a mailbox
#[derive(Args, Debug)]
#[command(
    after_help = "What is what is found out by looking: a file that begins with \"From \" is an mbox, one that begins \
    with a header field is a message, a directory with cur or new in it is a Maildir. Directories below become folders. \
    Run the same import again to go on after a break: what is there already (same folder, same bytes) is not imported twice."
)]
pub(super) struct Import {
    #[command(flatten)]
    server: ServerArguments,
    /// The mailbox's address
    address: String,
    /// What to import
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The folder to import into, made if it is not there; folders of the source go below it
    #[arg(long, default_value = "INBOX")]
    folder: String,
}

/// What an import did.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Messages filed.
    imported: u64,
    /// Their bytes.
    bytes: u64,
    /// Messages that were there already.
    already_there: u64,
    /// Flags that IMAP does not know how to name.
    flags_dropped: u64,
    /// What was left out, and why.
    left_out: Vec<LeftOut>,
    /// Why the import ended before its end, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
}

/// A message or file that was not imported.
#[derive(Debug, Serialize)]
struct LeftOut {
    /// Where it is.
    origin: String,
    /// What is wrong with it.
    reason: String,
}

impl Import {
    pub(super) fn run(self) -> ExitCode {
        let server = self.server.clone();
        server.run(async |client, output| self.import(client, output).await)
    }

    async fn import(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        let status: Status = client.get(&path(&["status"])).await?;
        // Asked first: a mistyped address should not cost the reading of a thousand files.
        let mailbox: Mailbox = client.get(&path(&["mailboxes", &self.address])).await?;
        let plan = Plan::of(&self.paths, &self.folder);
        let bar = progress(output, plan.bytes());
        let mut run = Run::new(client, &mailbox.address, bar.clone());
        let stopped = run.import(plan, status.message_limit).await;
        let mut report = run.into_report();
        bar.finish_and_clear();
        let exit = match stopped {
            Ok(()) if report.left_out.is_empty() => Exit::Done,
            Ok(()) => Exit::Partly,
            Err(problem) => {
                report.stopped = Some(problem.to_string());
                Exit::of(&problem)
            }
        };
        output.result(&report, |report| told(report, &mailbox.address));
        Ok(exit)
    }
}

/// A bar in bytes, on a terminal only.
pub(super) fn progress(output: &Output, bytes: u64) -> ProgressBar {
    use std::io::IsTerminal;
    if output.is_json() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left {msg}");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn told(report: &Report, address: &str) -> String {
    let mut text = format!("{} message(s), {} imported into {address}.", report.imported, size(report.bytes));
    if report.already_there > 0 {
        text.push_str(&format!("\n{} were there already.", report.already_there));
    }
    if report.flags_dropped > 0 {
        text.push_str(&format!("\n{} flag(s) that IMAP cannot name were dropped.", report.flags_dropped));
    }
    if !report.left_out.is_empty() {
        text.push_str(&format!("\nLeft out ({}):", report.left_out.len()));
        for left_out in &report.left_out {
            text.push_str(&format!("\n  {}: {}", left_out.origin, left_out.reason));
        }
    }
    if let Some(stopped) = &report.stopped {
        text.push_str(&format!("\nStopped before the end: {stopped}\nRun the same import again to go on from here."));
    }
    text
}
