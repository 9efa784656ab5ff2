//! What this door does to a message's header section, and to nothing else of it (RFC 6409 §8).
//!
//! | field | what becomes of it |
//! |---|---|
//! | `Received:` | ours goes on top (RFC 5321 §4.4), `Return-Path:` above it where an own mailbox has the message |
//! | `Message-ID:`, `Date:` | added where missing (RFC 6409 §8.3, §8.2) |
//! | `Bcc:`, `Resent-Bcc:` | taken out (RFC 5322 §3.6.3): programs that file their own copy keep it there |
//! | `Return-Path:`, `X-Caducee-*:` | taken out: only servers, and only ours, write them |
//! | `X-MSS-*:` | kept, and told in the message's trace (MSSanté §7) |

use std::borrow::Cow;

use crate::mail::trace_fields::{Field, date, fields, without};
use crate::mail::trail::bracketed;

/// A Message-ID beyond this is not taken for one (RFC 5322 §2.1.1: it must fit in a line).
const LONGEST_ID: usize = 900;

/// The header section as it goes on, with what was read out of it.
pub(super) struct Mended<'h> {
    /// Lines that go before it, after our `Received:`.
    pub(super) added: String,
    /// The section itself.
    pub(super) kept: Cow<'h, [u8]>,
    /// Its Message-ID.
    pub(super) message_id: String,
}

/// Mends a header section; `now` is Unix seconds, `unique` what makes a Message-ID of ours.
pub(super) fn mend<'h>(header: &'h [u8], now: i64, unique: impl FnOnce() -> String) -> Mended<'h> {
    let mut added = String::new();
    let message_id = fields(header).find_map(|field| message_id(&field));
    if message_id.is_none() {
        added.push_str(&format!("Message-ID: {}\r\n", unique()));
    }
    let message_id = message_id.unwrap_or_else(|| added.trim_start_matches("Message-ID: ").trim_end().to_owned());
    if !fields(header).any(|field| field.is("Date")) {
        added.push_str(&format!("Date: {}\r\n", date(now)));
    }
    Mended { added, kept: without(header, is_unwanted), message_id }
}

/// The field's Message-ID as traces know it, if it is one that has a value. The field itself stays as it is.
fn message_id(field: &Field<'_>) -> Option<String> {
    let value = field.is("Message-ID").then_some(field.value)?;
    let id = bracketed(std::str::from_utf8(value).ok()?);
    let is_one = id != "<>" && id.len() <= LONGEST_ID && !id.contains(|c: char| c.is_control());
    is_one.then_some(id)
}

fn is_unwanted(field: &Field<'_>) -> bool {
    let names = ["Bcc", "Resent-Bcc", "Return-Path"];
    names.iter().any(|name| field.is(name))
        || starts_with(field.name, "X-Caducee-")
        // An empty one, or one that cannot be: ours stands in its place.
        || (field.is("Message-ID") && message_id(field).is_none())
}

fn starts_with(name: &[u8], prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(header: &str) -> Mended<'_> {
        mend(header.as_bytes(), 1_763_769_600, || "<unique@mx.example>".to_owned())
    }

    #[test]
    fn what_is_missing_is_added_and_what_is_there_stays() {
        let Mended { added, kept, message_id, .. } = mended("From: a@b.example\r\n\r\n");
        assert_eq!(added, "Message-ID: <unique@mx.example>\r\nDate: Sat, 22 Nov 2025 00:00:00 +0000\r\n");
        assert_eq!((&*kept, message_id.as_str()), (&b"From: a@b.example\r\n\r\n"[..], "<unique@mx.example>"));
        let whole = "message-id:\r\n <x@y>\r\nDATE: whenever\r\nFrom: a@b.example\r\n\r\n";
        let Mended { added, kept, message_id, .. } = mended(whole);
        assert_eq!((added.as_str(), &*kept, message_id.as_str()), ("", whole.as_bytes(), "<x@y>"));
    }

    #[test]
    fn a_message_is_followed_by_its_id_however_its_program_writes_it() {
        for written in ["<x@y>", "x@y", " x@y\t", "<x@y> (par L\u{e9}a)", "(nouveau) <x@y>", "<x@y>\r\n (plié)"] {
            let header = format!("Message-ID: {written}\r\nDate: whenever\r\n\r\n");
            let Mended { added, kept, message_id, .. } = mended(&header);
            assert_eq!((message_id.as_str(), added.as_str()), ("<x@y>", ""), "{written:?}");
            assert_eq!(&*kept, header.as_bytes(), "{written:?}");
        }
    }

    #[test]
    fn a_message_id_without_a_value_gives_way_to_ours() {
        for bad in ["Message-ID:", "Message-ID: \r\n\t", "Message-ID: <>", "Message-ID: <a\u{1}b@c>"] {
            let header = format!("{bad}\r\nFrom: a@b.example\r\n\r\n");
            let Mended { added, kept, .. } = mended(&header);
            assert!(added.starts_with("Message-ID: <unique@mx.example>\r\n"), "{bad:?}");
            assert_eq!(&*kept, b"From: a@b.example\r\n\r\n", "{bad:?}");
        }
    }

    #[test]
    fn blind_recipients_and_forged_lines_are_taken_out_with_their_folds() {
        let header = "Return-Path: <x@y>\r\nBCC: a@b,\r\n\tc@d\r\nTo: e@f\r\nx-caducee-trust: rule=forged\r\nResent-Bcc: g@h\r\nSubject: Bcc: stays\r\n\r\n";
        assert_eq!(&*mended(header).kept, b"To: e@f\r\nSubject: Bcc: stays\r\n\r\n");
    }
}
