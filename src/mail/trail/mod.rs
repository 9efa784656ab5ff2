//! What the traces of a message's way need of the mail room: by which name a message is followed, what is told of it, and
//! whose reports about it are written down. The traces themselves are [`crate::audit`]'s.
//!
//! # Rules
//!
//! 1. A step is noted in the commit that makes it true, so the traces never say what did not happen, and are silent about
//!    nothing that did.
//! 2. What somebody else's report says is linked by [`link`] only to a message that the report's own recipient sent first
//!    ([`crate::store::SentMark`]): nobody writes reports onto others' messages. That a door took a message is noted under
//!    the Message-ID that its sender chose; the door and the reference tell whose it was.
//! 3. Marks are kept as long as `trail.keep` says; [`sweep`] takes the older ones away.

mod link;
mod marks;
mod old;

use aws_lc_rs::digest;

use crate::audit::{Action, MessageFacts, Origin, Trace};

use super::Travels;
use super::summary::Summary;

pub use link::link;
pub use marks::{mark, sweep};
pub use old::move_on;

/// A step of a message's way.
pub(crate) fn step(message: MessageFacts, reference: &str, action: Action) -> Trace {
    Trace { message: Some(message), reference: reference.to_owned(), ..Trace::of(action) }
}

/// What is told of a message that is known by its Message-ID alone, if it has one.
pub(crate) fn named(message_id: Option<&str>) -> MessageFacts {
    MessageFacts { message_id: message_id.unwrap_or_default().to_owned(), ..MessageFacts::default() }
}

/// What is told of a message that was taken whole.
pub(crate) fn whole(message_id: Option<&str>, travels: &Travels) -> MessageFacts {
    let sha256 = travels.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    MessageFacts { size: Some(travels.size), sha256: Some(sha256), ..named(message_id) }
}

/// A door inside the house, which no network address stands behind: `report`, `forward`, `absence`.
pub(crate) fn inside(door: &str) -> Origin {
    Origin { door: door.to_owned(), ..Origin::default() }
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

/// A Message-ID as traces know it: with its angle brackets, without white space or comments around them.
pub fn bracketed(message_id: &str) -> String {
    let inner = message_id.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(inner, _)| inner);
    format!("<{}>", inner.unwrap_or(message_id).trim())
}
