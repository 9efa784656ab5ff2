//! The header sections and texts of messages that the server writes for a holder.

use std::fmt::{self, Write};

use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::mail::trace_fields;
use crate::mss::Domain;
use crate::mss::text::hex;

/// Octets of a line of base64 (RFC 2045 §6.8), and of one with encoded words.
const LINE: usize = 76;
/// Octets of a header line that is written plain; longer values are folded or encoded (RFC 5322 §2.1.1).
const PLAIN: usize = 70;

/// A header section that grows field by field.
#[derive(Debug, Default)]
pub(super) struct Header(String);

impl Header {
    /// A field whose value is ours, or was checked to have no line ends.
    pub(super) fn field(&mut self, name: &str, value: impl fmt::Display) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{name}: {value}\r\n");
        self
    }

    /// A field of several values, one a line.
    pub(super) fn list<T: fmt::Display>(&mut self, name: &str, values: &[T], divider: &str) -> &mut Self {
        let values: Vec<String> = values.iter().map(T::to_string).collect();
        self.field(name, values.join(&format!("{divider}\r\n\t")))
    }

    /// A field of text that people wrote: as it is where it is short and plain, else as encoded words (RFC 2047).
    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        let is_plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && !text.contains("=?");
        if is_plain && text.len() + name.len() <= PLAIN {
            return self.field(name, text);
        }
        let words = trace_fields::encoded_words(text);
        // RFC 2047 §2: a line with encoded words has at most 76 octets.
        let fits = words.first().is_none_or(|word| name.len() + 2 + word.len() <= LINE);
        let start = if fits { "" } else { "\r\n\t" };
        self.field(name, format_args!("{start}{}", words.join("\r\n\t")))
    }

    /// The empty line that ends it, and what it has come to.
    pub(super) fn end(mut self) -> String {
        self.0.push_str("\r\n");
        self.0
    }
}

/// 96 random bits in hexadecimal.
pub(super) fn unique() -> String {
    let mut bytes = [0; 12];
    rand::fill(&mut bytes).expect("the operating system's random generator answers");
    hex(&bytes)
}

/// A new Message-ID in a domain of ours. RFC 5322 §3.6.4.
pub(super) fn message_id(domain: &Domain) -> String {
    format!("<{}@{domain}>", unique())
}

/// A text as `Content-Transfer-Encoding: base64`, its line ends those of mail.
pub(super) fn base64_lines(text: &str) -> String {
    let canonical = text.replace("\r\n", "\n").replace(['\r', '\n'], "\r\n");
    let encoded = BASE64_STANDARD.encode(canonical);
    let mut lines = String::with_capacity(encoded.len() + encoded.len() / LINE * 2 + 4);
    for at in (0..encoded.len()).step_by(LINE) {
        lines.push_str(&encoded[at..encoded.len().min(at + LINE)]);
        lines.push_str("\r\n");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_text_stays_one_field_whatever_is_in_it() {
        for text in ["Bonjour", "Été", "=?utf-8?q?x?=", "a\r\nBcc: x@y.example", &"long ".repeat(200), ""] {
            let mut header = Header::default();
            header.text("Subject", text).field("X", "y");
            let header = header.end();
            assert_eq!(trace_fields::fields(header.as_bytes()).count(), 2, "{header}");
            assert!(header.is_ascii() && header.split("\r\n").all(|line| line.len() <= LINE), "{header}");
        }
    }

    #[test]
    fn base64_has_short_lines_and_mails_line_ends() {
        let lines = base64_lines(&"Je suis absente.\nÀ bientôt\r\n".repeat(20));
        assert!(lines.split_terminator("\r\n").all(|line| line.len() <= LINE && !line.is_empty()));
        let plain = BASE64_STANDARD.decode(lines.replace("\r\n", "")).unwrap();
        assert_eq!(String::from_utf8(plain).unwrap(), "Je suis absente.\r\nÀ bientôt\r\n".repeat(20));
        assert_eq!(base64_lines(""), "");
    }

    #[test]
    fn message_ids_differ() {
        let domain = Domain::parse("aura.example").unwrap();
        assert_ne!(message_id(&domain), message_id(&domain));
    }
}
