//! Others' reports coming in: recognised while their bytes stream by, without a second read.
//!
//! ```text
//! bytes ─▶ header section (64 KiB at most) ─▶ interesting? ──no──▶ nothing is kept
//!                                                 │ yes
//!                                       64 KiB of the body ─▶ finish() ─▶ Told
//! ```
//!
//! Three kinds are known: delivery status notifications (RFC 3464), disposition notifications (RFC 8098), and bounces that
//! come as plain mail, as the citizens' space sends them (MSSanté §8). Pure: any split of the bytes gives the same, no
//! input is an error, and no input costs more memory than the two bounds (a fuzz target checks that). What is told is
//! *hearsay*: [`crate::mail::trail::link`] decides whether it is written down.

mod fields;
mod read;

use crate::audit::{Action, Trace};
use crate::mail::trace_fields::{Field, fields as header_fields};
use crate::mail::trail;

/// A header section that is longer is not looked at.
const HEADER: usize = 64 << 10;
/// Octets of the body that are looked at.
const BODY: usize = 64 << 10;

/// What a message tells of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Message-IDs that the other one may have, the surest first.
    pub about: Vec<String>,
    /// The report's own Message-ID.
    pub message_id: Option<String>,
    /// What it says.
    pub what: What,
}

/// What a report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A delivery status notification (RFC 3464): one entry a recipient.
    Delivery(Vec<Status>),
    /// A disposition notification (RFC 8098).
    Disposition {
        /// Who disposed of it.
        recipient: Option<String>,
        /// `displayed`, `processed`, `processed/error` …
        disposition: String,
        /// `Error:`, as a field or behind the disposition: a platform's code and label (MSSanté §7).
        error: Option<String>,
    },
    /// A bounce in plain mail. It counts only where it comes from the citizens' space.
    Bounce {
        /// The domain of its `From:`, in lower case.
        domain: String,
        /// `X-Failed-Recipients`, where the sender has that.
        recipient: Option<String>,
        /// An enhanced status code in its text (RFC 3463). Nothing else of the text is kept: it is content.
        status: Option<String>,
    },
}

/// One recipient of a delivery status notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whom: the original recipient, else the final one.
    pub recipient: Option<String>,
    /// `failed`, `delayed`, `delivered`, `relayed`, `expanded`, or what it says.
    pub action: String,
    /// Status and diagnostic, cut.
    pub text: String,
}

impl Told {
    /// What is traced of the message that it turned out to be about.
    pub fn traces(&self, message_id: &str, reference: &str) -> Vec<Trace> {
        let report = || self.message_id.clone();
        let actions: Vec<Action> = match self.what.clone() {
            What::Delivery(statuses) => statuses
                .into_iter()
                .map(|Status { recipient, action: result, text }| Action::ReportCame {
                    result,
                    recipient,
                    report: report(),
                    text,
                })
                .collect(),
            What::Disposition { recipient, disposition, error } => {
                vec![Action::Disposition { recipient, disposition, notification: report(), error }]
            }
            What::Bounce { recipient, status, .. } => vec![Action::ReportCame {
                result: "failed".into(),
                recipient,
                report: report(),
                text: status.unwrap_or_default(),
            }],
        };
        actions.into_iter().map(|action| trail::step(trail::named(Some(message_id)), reference, action)).collect()
    }
}

/// Watches a message flow by.
#[derive(Debug)]
pub struct Sniffer {
    /// The header section, then the beginning of the body.
    kept: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// In the header section; its lines up to here have been looked at.
    Header { looked_at: usize },
    /// In the body of a message that may be a report: the body began here.
    Body { begins: usize },
    /// Nothing more is wanted.
    Over,
}

/// Why a message is looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Interest {
    Report,
    /// The domain that it is from.
    Bounce(String),
}

impl Default for Sniffer {
    fn default() -> Self {
        Self { kept: Vec::new(), state: State::Header { looked_at: 0 } }
    }
}

impl Sniffer {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        match self.state {
            State::Over => {}
            State::Body { begins } => {
                let room = (begins + BODY).saturating_sub(self.kept.len());
                self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            State::Header { looked_at } => self.push_header(looked_at, bytes),
        }
    }

    /// The message is complete: what does it tell?
    pub fn finish(self) -> Option<Told> {
        let State::Body { begins } = self.state else { return None };
        let interest = interest(&self.kept[..begins])?;
        read::read(&self.kept, begins, interest)
    }

    fn push_header(&mut self, looked_at: usize, bytes: &[u8]) {
        // The header section and whatever of the body came in the same piece, within the bounds of both.
        let room = (HEADER + BODY).saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        match header_end(&self.kept, looked_at) {
            Ok(end) if end <= HEADER && interest(&self.kept[..end]).is_some() => {
                self.kept.truncate(end + BODY);
                self.state = State::Body { begins: end };
                let taken = bytes.len().min(room);
                self.push(&bytes[taken..]);
            }
            Err(looked_at) if self.kept.len() <= HEADER => self.state = State::Header { looked_at },
            _ => self.give_up(),
        }
    }

    fn give_up(&mut self) {
        self.state = State::Over;
        self.kept = Vec::new();
    }
}

/// Just behind the empty line that ends a header section; else the beginning of the line that is not whole yet. Messages
/// that come in by SMTP have no line ends but CRLF.
fn header_end(kept: &[u8], looked_at: usize) -> Result<usize, usize> {
    let mut line = looked_at;
    while let Some(length) = memchr::memmem::find(&kept[line..], b"\r\n") {
        let next = line + length + 2;
        if length == 0 {
            return Ok(next);
        }
        line = next;
    }
    Err(line)
}

/// Whether a header section is that of a report, or of a bounce.
fn interest(header: &[u8]) -> Option<Interest> {
    let named = |name: &str| header_fields(header).find(|field| field.is(name));
    let is_report = |field: Field<'_>| fields::text(field.value).to_ascii_lowercase().starts_with("multipart/report");
    if named("Content-Type").is_some_and(is_report) {
        return Some(Interest::Report);
    }
    let from = named("From").and_then(|field| fields::one_address(field.value))?;
    let null_sender = named("Return-Path").is_some_and(|field| field.value.trim_ascii() == b"<>");
    let (local, domain) = from.rsplit_once('@')?;
    // RFC 5321 §4.5.1 and custom: who else sends bounces.
    let daemon = ["postmaster", "mailer-daemon"].iter().any(|name| local.eq_ignore_ascii_case(name));
    (null_sender || daemon).then(|| Interest::Bounce(domain.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
