//! `caducee export`: a mailbox of the running server into a directory, as other programs read it.
//!
//! What is written belongs to the caller and is readable by nobody else. Every message is checked against the size and digest
//! that the server gave for it.

pub mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use indicatif::ProgressBar;
use serde::Serialize;

use self::target::{ExportFormat, Exported, Target};
use super::client::{Client, ClientError, ServerArguments, collect, empty, path, query};
use super::import::progress;
use super::import::reader::sha256_hex;
use super::output::{Exit, Output, size};
use crate::serve::http::types::{Folder, Folders, Message, MessageQuery, Messages};

/// How many messages are listed at once.
const PAGE: u32 = 1000;

/// Exports a mailbox into a directory
#[derive(Args, Debug)]
pub(super) struct Export {
    #[command(flatten)]
    server: ServerArguments,
    /// The mailbox's address
    address: String,
    /// The directory to fill: new, or empty
    directory: PathBuf,
    /// Only this folder and those below it
    #[arg(long)]
    folder: Option<String>,
    /// The form that it takes
    #[arg(long, value_enum)]
    format: ExportFormat,
}

/// What an export did.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Folders written.
    folders: u64,
    /// Messages written.
    exported: u64,
    /// Their bytes.
    bytes: u64,
    /// Messages that were deleted by someone while the export ran.
    gone_meanwhile: u64,
    /// Keywords that Maildir names have no letter for.
    keywords_dropped: usize,
    /// What could not be exported, and why.
    left_out: Vec<LeftOut>,
}

/// A message that was not exported.
#[derive(Debug, Serialize)]
struct LeftOut {
    folder: String,
    uid: u32,
    reason: String,
}

impl Export {
    pub(super) fn run(self) -> ExitCode {
        let server = self.server.clone();
        server.run(async |client, output| self.export(client, output).await)
    }

    async fn export(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        let folders: Folders = client.get(&path(&["mailboxes", &self.address, "folders"])).await?;
        let folders: Vec<Folder> = folders.folders.into_iter().filter(|folder| self.wants(&folder.name)).collect();
        if folders.is_empty() {
            return Err(ClientError::Local("there is no such folder".into()));
        }
        let local = |problem: std::io::Error| ClientError::Local(format!("{}: {problem}", self.directory.display()));
        let mut target = Target::create(&self.directory, self.format).map_err(local)?;
        let bar = progress(output, folders.iter().map(|folder| folder.bytes).sum());
        let mut report = Report::default();
        for folder in &folders {
            target.open(&folder.name).map_err(local)?;
            let mut course = Course { client, address: &self.address, folder, bar: &bar, report: &mut report };
            course.export(&mut target).await?;
            report.folders += 1;
        }
        report.keywords_dropped = target.finish().map_err(local)?;
        bar.finish_and_clear();
        output.result(&report, |report| told(report, &self));
        Ok(if report.left_out.is_empty() { Exit::Done } else { Exit::Partly })
    }

    fn wants(&self, name: &str) -> bool {
        let Some(wanted) = self.folder.as_deref() else { return true };
        let same_inbox = wanted.eq_ignore_ascii_case("INBOX") && name == "INBOX";
        same_inbox || name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// One folder's export.
struct Course<'a> {
    client: &'a mut Client,
    address: &'a str,
    folder: &'a Folder,
    bar: &'a ProgressBar,
    report: &'a mut Report,
}

impl Course<'_> {
    async fn export(&mut self, target: &mut Target) -> Result<(), ClientError> {
        let mut filter = MessageQuery { folder: Some(self.folder.name.clone()), after: None, limit: Some(PAGE) };
        loop {
            let way = path(&["mailboxes", self.address, "messages"]) + &query(&filter)?;
            let page: Messages = self.client.get(&way).await?;
            for message in &page.messages {
                if let Some(bytes) = self.fetch(message).await? {
                    self.write(target, message, page.uid_validity, &bytes)?;
                }
                self.bar.inc(message.size);
            }
            filter.after = page.next_after;
            if page.next_after.is_none() {
                return Ok(());
            }
        }
    }

    /// The message's bytes; none if it is gone, or left out.
    async fn fetch(&mut self, message: &Message) -> Result<Option<Vec<u8>>, ClientError> {
        let filter = MessageQuery { folder: Some(self.folder.name.clone()), ..MessageQuery::default() };
        let way = path(&["mailboxes", self.address, "messages", &message.uid.to_string()]) + &query(&filter)?;
        let bytes = match self.client.raw(Method::GET, &way, None, empty()).await {
            Ok(response) => collect(response.into_body()).await,
            Err(problem) => Err(problem),
        };
        match bytes {
            Ok(bytes) if Some(sha256_hex(&bytes)) == message.sha256 => Ok(Some(bytes.into())),
            Ok(_) => {
                self.leave_out(message, "its bytes do not match its digest".into());
                Ok(None)
            }
            Err(ClientError::Refused(problem)) if problem.rule == "no-such-message" => {
                self.report.gone_meanwhile += 1;
                Ok(None)
            }
            // One damaged message costs one message; a stream that breaks off is how the server says so in the middle.
            Err(problem @ (ClientError::Refused(_) | ClientError::Broken(_))) => {
                self.leave_out(message, problem.to_string());
                *self.client = self.client.another().await?;
                Ok(None)
            }
            Err(problem) => Err(problem),
        }
    }

    fn write(
        &mut self,
        target: &mut Target,
        message: &Message,
        uid_validity: u32,
        bytes: &[u8],
    ) -> Result<(), ClientError> {
        let date = message.date.parse::<jiff::Timestamp>().map_or(0, |date| date.as_second());
        let exported = Exported { bytes, flags: &message.flags, date, identity: (uid_validity, message.uid) };
        match target.write(&self.folder.name, exported) {
            Ok(()) => {
                self.report.exported += 1;
                self.report.bytes += message.size;
                Ok(())
            }
            // A full disk is the end; a name that this disk does not take costs one message.
            Err(problem) if problem.kind() == std::io::ErrorKind::StorageFull => {
                Err(ClientError::Local(format!("the export is not complete: {problem}")))
            }
            Err(problem) => {
                self.leave_out(message, problem.to_string());
                Ok(())
            }
        }
    }

    fn leave_out(&mut self, message: &Message, reason: String) {
        self.report.left_out.push(LeftOut { folder: self.folder.name.clone(), uid: message.uid, reason });
    }
}

fn told(report: &Report, export: &Export) -> String {
    let mut text = format!(
        "{} message(s), {} in {} folder(s) exported from {} to {}.",
        report.exported,
        size(report.bytes),
        report.folders,
        export.address,
        export.directory.display()
    );
    if report.gone_meanwhile > 0 {
        text.push_str(&format!("\n{} were deleted by someone meanwhile.", report.gone_meanwhile));
    }
    if report.keywords_dropped > 0 {
        text.push_str(&format!(
            "\n{} keyword(s) found no letter in a Maildir name (26 a folder).",
            report.keywords_dropped
        ));
    }
    if !report.left_out.is_empty() {
        text.push_str(&format!("\nLeft out ({}):", report.left_out.len()));
        for left_out in &report.left_out {
            text.push_str(&format!("\n  {} UID {}: {}", left_out.folder, left_out.uid, left_out.reason));
        }
    }
    text
}
