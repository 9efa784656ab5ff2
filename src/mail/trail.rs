//! The trail of a message: what happened to it, found by its Message-ID (`caducee follow`). A functional trace (MSSanté
//! §11): addresses, times, peers' words; never content, never a subject.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::queue::Words;
use crate::store::{Batch, MailboxKey, TrailEvent, TrailKey};

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

/// Adds an event of now to a batch.
pub(crate) fn note(transit: &MailboxKey, event: &Event, batch: &mut Batch) {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let at = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    let key = TrailKey { message: digest_of(&event.message_id), at };
    match serde_json::to_vec(event) {
        Ok(plain) => {
            let place = [b"trail".as_slice(), &key.message.to_be_bytes(), &key.at.to_be_bytes()].concat();
            batch.put(&key, &TrailEvent { sealed: transit.seal_bytes(&place, &plain) });
        }
        Err(error) => tracing::error!(%error, "an event of the trail cannot be written down"),
    }
}
