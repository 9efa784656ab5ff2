//! From planned files to messages, one at a time, in the form in which they are sent to the server.

use std::fs::{self, File};
use std::io::{self, BufReader};

use aws_lc_rs::digest::{SHA256, digest};

use super::plan::{Format, Plan, Source};
use crate::cli::files::asctime;
use crate::cli::files::mbox::{Item, MboxReader};
use crate::mss::text::hex;
use crate::serve::http::line_ends::LineEnds;

/// A message found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it came from, for people: the file, and within an mbox its number.
    pub origin: String,
    /// The folder that it goes to.
    pub folder: String,
    /// Its bytes, lines ending in CRLF.
    pub bytes: Vec<u8>,
    /// Their SHA-256, hexadecimal.
    pub sha256: String,
    /// Its flags and keywords.
    pub flags: Vec<String>,
    /// When it arrived, in Unix seconds, if anything tells.
    pub date: Option<i64>,
}

/// One step through the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A message.
    Message(Found),
    /// A message or file that cannot be taken.
    Bad {
        /// Where it is.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// So many bytes of files are done.
    Read(u64),
}

/// Reads every message of a plan; messages over `bound` bytes are named and passed over.
#[derive(Debug)]
pub struct Messages {
    sources: std::vec::IntoIter<Source>,
    bound: usize,
    open: Option<OpenMbox>,
    /// Bytes of the source just finished.
    finished: Option<u64>,
}

#[derive(Debug)]
struct OpenMbox {
    reader: MboxReader<BufReader<File>>,
    source: Source,
    number: usize,
}

impl Messages {
    /// Starts with the plan's first file. What the plan could not read comes from the plan itself.
    pub fn of(plan: Plan, bound: u64) -> Self {
        let bound = usize::try_from(bound).unwrap_or(usize::MAX / 2);
        Self { sources: plan.sources.into_iter(), bound, open: None, finished: None }
    }

    fn next_of_mbox(&mut self) -> Option<Step> {
        let open = self.open.as_mut()?;
        let result = open.reader.read();
        open.number += 1;
        let origin = format!("{}, message {}", open.source.path.display(), open.number);
        let step = match result {
            Ok(Some(Item::Message(message))) => {
                let date = message.date;
                found(origin, &open.source.folder, &message.bytes, message.flags, date, self.bound)
            }
            Ok(Some(Item::TooLarge)) => too_large(origin, self.bound),
            Ok(None) => return self.close(),
            Err(problem) => {
                let step = Step::Bad { origin, reason: problem.to_string() };
                self.close();
                step
            }
        };
        Some(step)
    }

    fn close(&mut self) -> Option<Step> {
        self.finished = self.open.take().map(|open| open.source.size);
        None
    }

    fn start(&mut self, source: Source) -> Option<Step> {
        let origin = source.path.display().to_string();
        let bad = |problem: io::Error| Some(Step::Bad { origin: origin.clone(), reason: problem.to_string() });
        match &source.format {
            Format::Mbox => {
                match File::open(&source.path).and_then(|file| MboxReader::new(BufReader::new(file), self.bound)) {
                    Ok(reader) => {
                        self.open = Some(OpenMbox { reader, source, number: 0 });
                        None
                    }
                    Err(problem) => bad(problem),
                }
            }
            Format::Message { flags, date } => {
                self.finished = Some(source.size);
                if source.size > self.bound as u64 {
                    return Some(too_large(origin, self.bound));
                }
                match fs::read(&source.path) {
                    Ok(bytes) => Some(found(origin, &source.folder, &bytes, flags.clone(), *date, self.bound)),
                    Err(problem) => bad(problem),
                }
            }
        }
    }
}

impl Iterator for Messages {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(bytes) = self.finished.take() {
                return Some(Step::Read(bytes));
            }
            if self.open.is_some() {
                if let Some(step) = self.next_of_mbox() {
                    return Some(step);
                }
                continue;
            }
            let source = self.sources.next()?;
            if let Some(step) = self.start(source) {
                return Some(step);
            }
        }
    }
}

fn too_large(origin: String, bound: usize) -> Step {
    Step::Bad { origin, reason: format!("larger than the server takes ({bound} bytes)") }
}

fn found(origin: String, folder: &str, bytes: &[u8], flags: Vec<String>, date: Option<i64>, bound: usize) -> Step {
    let bytes = LineEnds::whole(bytes).into_owned();
    if bytes.is_empty() {
        return Step::Bad { origin, reason: "empty".into() };
    }
    if bytes.len() > bound {
        return too_large(origin, bound);
    }
    let date = date.or_else(|| date_of_header(&bytes));
    Step::Message(Found { origin, folder: folder.to_owned(), sha256: sha256_hex(&bytes), bytes, flags, date })
}

/// SHA-256 in hexadecimal, as the administration API writes it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// When a message arrived, by its own account: the uppermost `Received:`, or else its `Date:`.
fn date_of_header(message: &[u8]) -> Option<i64> {
    let end = memchr::memmem::find(message, b"\r\n\r\n").unwrap_or(message.len()).min(256 << 10);
    let header = String::from_utf8_lossy(message.get(..end)?);
    let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
    let field = |wanted: &str| {
        let value = |line: &str| {
            line.split_once(':')
                .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.to_owned())
        };
        unfolded.split("\r\n").find_map(value)
    };
    let received = field("Received").and_then(|value| asctime::of_header(value.rsplit_once(';')?.1));
    received.or_else(|| asctime::of_header(&field("Date")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_any_other_date_tells_its_own() {
        let date = "Sun, 22 Nov 2026 01:49:54 +0100 (CET)";
        let message =
            format!("Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nReceived: from x\r\n\tby y;\r\n {date}\r\n\r\n");
        assert_eq!(date_of_header(message.as_bytes()), Some(1_795_308_594));
        assert_eq!(date_of_header(b"Date: 1 Jan 1970 00:00:07 +0000\r\n\r\nDate: no"), Some(7));
        assert_eq!(date_of_header(b"Subject: x\r\n\r\nDate: 1 Jan 1970 00:00:07 +0000"), None);
    }

    #[test]
    fn a_digest_is_of_the_bytes_that_are_sent() {
        let Step::Message(found) = found("x".into(), "INBOX", b"A: 1\n\nx\n", vec![], None, 100) else { panic!() };
        assert_eq!(found.bytes, b"A: 1\r\n\r\nx\r\n");
        assert_eq!(found.sha256, sha256_hex(b"A: 1\r\n\r\nx\r\n"));
        assert!(found.sha256.len() == 64);
    }

    #[test]
    fn growing_over_the_bound_by_line_ends_counts() {
        assert!(matches!(found("x".into(), "INBOX", b"A: 1\n\n", vec![], None, 6), Step::Bad { .. }));
    }
}
