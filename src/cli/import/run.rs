//! The course of an import: files are read beside, messages are sent in runs, and every fate is noted.

use hyper::Method;
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::existing::Existing;
use super::plan::Plan;
use super::reader::{Found, Messages, Step};
use super::{LeftOut, Report};
use crate::cli::client::{Client, ClientError, collect, full, path};
use crate::mail::is_keyword;
use crate::serve::http::types::{BATCH_TYPE, BatchEntry, BatchResult, BatchResults};

/// A run is sent once it has so many messages …
const RUN_MESSAGES: usize = 200;

/// … or so many bytes.
const RUN_BYTES: usize = 8 << 20;

/// Messages that are read ahead while a run is on its way.
const READ_AHEAD: usize = 4;

/// IMAP's own flags that a message can be given (RFC 3501 §2.3.2).
const SYSTEM_FLAGS: [&str; 5] = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"];

/// An import on its way.
pub(super) struct Run<'a> {
    client: &'a mut Client,
    address: &'a str,
    existing: Existing,
    bar: ProgressBar,
    body: Vec<u8>,
    /// Where the messages in `body` came from, and their sizes.
    origins: Vec<(String, u64)>,
    report: Report,
}

impl<'a> Run<'a> {
    pub(super) fn new(client: &'a mut Client, address: &'a str, bar: ProgressBar) -> Self {
        let (existing, report) = (Existing::default(), Report::default());
        Self { client, address, existing, bar, body: Vec::new(), origins: Vec::new(), report }
    }

    /// Imports all that the plan found.
    ///
    /// # Errors
    /// What made going on pointless; what was done until then is in the report.
    pub(super) async fn import(&mut self, mut plan: Plan, bound: u64) -> Result<(), ClientError> {
        for (path, reason) in std::mem::take(&mut plan.unreadable) {
            self.leave_out(path.display().to_string(), reason);
        }
        let (sender, mut steps) = mpsc::channel(READ_AHEAD);
        let reading = tokio::task::spawn_blocking(move || {
            for step in Messages::of(plan, bound) {
                if sender.blocking_send(step).is_err() {
                    break;
                }
            }
        });
        while let Some(step) = steps.recv().await {
            match step {
                Step::Message(found) => self.add(found).await?,
                Step::Bad { origin, reason } => self.leave_out(origin, reason),
                Step::Read(bytes) => self.bar.inc(bytes),
            }
        }
        self.send().await?;
        reading.await.map_err(|problem| ClientError::Local(format!("reading the files failed: {problem}")))
    }

    pub(super) fn into_report(self) -> Report {
        self.report
    }

    fn leave_out(&mut self, origin: String, reason: String) {
        self.report.left_out.push(LeftOut { origin, reason });
    }

    async fn add(&mut self, found: Found) -> Result<(), ClientError> {
        if self.existing.take(self.client, self.address, &found.folder, &found.sha256).await? {
            self.report.already_there += 1;
            return Ok(());
        }
        if !self.body.is_empty() && self.body.len() + found.bytes.len() > RUN_BYTES {
            self.send().await?;
        }
        let all = found.flags.len();
        let flags: Vec<String> = found.flags.into_iter().filter(|flag| is_flag(flag)).collect();
        self.report.flags_dropped += (all - flags.len()) as u64;
        let size = found.bytes.len() as u64;
        let date = found.date.and_then(|date| jiff::Timestamp::from_second(date).ok()).map(|date| date.to_string());
        let entry = BatchEntry { size, folder: Some(found.folder), flags, date };
        serde_json::to_writer(&mut self.body, &entry).map_err(|problem| ClientError::Local(problem.to_string()))?;
        self.body.push(b'\n');
        self.body.extend_from_slice(&found.bytes);
        self.origins.push((found.origin, size));
        if self.origins.len() >= RUN_MESSAGES { self.send().await } else { Ok(()) }
    }

    /// Sends what has come together.
    async fn send(&mut self) -> Result<(), ClientError> {
        if self.origins.is_empty() {
            return Ok(());
        }
        let body = full(std::mem::take(&mut self.body));
        let way = path(&["mailboxes", self.address, "messages", "batch"]);
        let response = self.client.raw(Method::POST, &way, Some(BATCH_TYPE), body).await?;
        let answer = collect(response.into_body()).await?;
        let answer: BatchResults = serde_json::from_slice(&answer)
            .map_err(|problem| ClientError::Broken(format!("unexpected answer: {problem}")))?;
        let mut pointless = None;
        for ((origin, size), result) in std::mem::take(&mut self.origins).into_iter().zip(answer.results) {
            match result {
                BatchResult::Filed(_) => {
                    self.report.imported += 1;
                    self.report.bytes += size;
                }
                BatchResult::Refused(problem) => {
                    self.report
                        .left_out
                        .push(LeftOut { origin, reason: format!("{} [rule {}]", problem.detail, problem.rule) });
                    // All that follow would meet the same wall.
                    if ["over-quota", "disk-full", "unavailable", "internal", "wrong-state"]
                        .contains(&problem.rule.as_str())
                    {
                        pointless.get_or_insert(problem);
                    }
                }
            }
        }
        pointless.map_or(Ok(()), |problem| Err(ClientError::Refused(Box::new(problem))))
    }
}

fn is_flag(flag: &str) -> bool {
    SYSTEM_FLAGS.iter().any(|known| known.eq_ignore_ascii_case(flag)) || is_keyword(flag)
}
