//! The trail of a message: what happened to it, found by its Message-ID (`caducee follow`). A functional trace (MSSanté
//! §11): addresses, times, peers' words; never content, never a subject.
//!
//! # Rules
//!
//! 1. An event is written in the commit that makes it true ([`note`] only adds to a batch), so the trail never says what
//!    did not happen, and is silent about nothing that did.
//! 2. Events are sealed under the operator's transit key, each for its own place: an address may be a citizen's national
//!    health identity. What lies open is a digest of the Message-ID, and the time.
//! 3. What somebody else's report says is linked by [`link`] only to a trail that is there, of a message that the
//!    report's own recipient sent first: nobody writes reports onto others' trails, and nobody makes trails with them. That a
//!    door took a message is noted under the Message-ID that its sender chose; the door and the reference tell whose it was.
//! 4. Events are kept as long as `trail.keep` says; [`sweep`] takes the older ones away.

mod keep;
mod link;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::queue::Words;
use super::summary::Summary;

pub(crate) use keep::note;
pub use keep::{bracketed, follow, sweep};
pub use link::link;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Happening {
    /// We took it, from a client of ours or from another operator.
    Accepted {
        /// `submission`, `smtp`, `report`, `forward`, `absence`.
        door: String,
        /// The envelope's sender; empty: the null sender.
        sender: String,
        /// The recipients that are other operators'.
        queued: Vec<String>,
        /// The own mailboxes that have it from this commit on.
        delivered: Vec<String>,
        /// `X-MSS-*` lines, as they were (they hold codes, no content; MSSanté §7).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mss: Vec<(String, String)>,
        /// Who wrote it, where it came by a login: the envelope's sender may be a mailbox that several share.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Author>,
    },
    /// A try at a recipient of another operator.
    Tried {
        /// Whom.
        recipient: String,
        /// `relayed`, `deferred`, `failed`, `expired`.
        result: String,
        /// The words.
        words: Words,
        /// Which try.
        attempt: u32,
    },
    /// The operator or the holder did something to it in the queue (`held`, `released`, `retried`, `bounced`, `cancelled`).
    Handled {
        /// What.
        action: String,
    },
    /// Its sender was told (RFC 3464).
    Reported {
        /// `failed`, `delayed`, `delivered`, `relayed`.
        action: String,
        /// About whom.
        recipients: Vec<String>,
        /// The report's own Message-ID.
        report: String,
    },
    /// Its sender could not be told: the mailbox is closed, say.
    ReportLost {
        /// As in `Reported`.
        action: String,
        /// About whom.
        recipients: Vec<String>,
        /// Why it could not.
        reason: String,
    },
    /// Somebody's report about it came in: a DSN, or a citizen space's bounce by mail (MSSanté §8).
    ReportCame {
        /// `failed`, `delayed`, `delivered` …
        action: String,
        /// About whom.
        recipient: Option<String>,
        /// The report's own Message-ID.
        report: Option<String>,
        /// The diagnostic, cut.
        text: String,
    },
    /// A disposition notification about it came in (MDN, RFC 8098).
    Disposition {
        /// Who disposed of it.
        recipient: Option<String>,
        /// `displayed`, `processed`, `processed/error` …
        disposition: String,
        /// The notification's own Message-ID.
        notification: Option<String>,
        /// `Error:` of the notification: a platform's code and label (MSSanté §7), cut.
        error: Option<String>,
    },
}

/// Who was logged in where a message was taken (MSSanté §11: who, on which mailbox).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// National id, where the login tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The mailbox that was logged in to.
    pub mailbox: String,
}

/// An event with what finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The whole Message-ID, with its angle brackets: two with one digest are told apart by it.
    pub message_id: String,
    /// The transaction's reference.
    pub reference: String,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// The digest that finds a Message-ID: the first eight bytes of the SHA-256 of its text without white space around it.
pub fn digest_of(message_id: &str) -> u64 {
    let digest = digest::digest(&digest::SHA256, message_id.trim().as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_ref()[..8]);
    u64::from_be_bytes(first)
}

/// The Message-ID of a message, with its angle brackets, if it has one that it can be followed by.
pub fn message_id_of(summary: &Summary) -> Option<String> {
    let raw = summary.message.envelope.message_id.as_deref()?.trim_ascii();
    // RFC 5322 §3.6.4, §2.1.1; what is odd within a line is kept as it is.
    let is_plain = raw.len() <= 998 && raw.iter().all(|byte| (0x20..0x7f).contains(byte));
    let text = std::str::from_utf8(raw).ok().filter(|text| is_plain && !text.is_empty())?;
    Some(bracketed(text))
}
