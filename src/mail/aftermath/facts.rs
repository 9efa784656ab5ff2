//! What a message's header says to those who would answer it or send it on.
//!
//! Read once from the header section, which the doors bound; whatever it holds, this is no larger.

use std::collections::HashSet;

use mail_parser::MessageParser;

use crate::mail::summary::parse_address_list;
use crate::mail::trace_fields::{Field, fields};
use crate::mss::{Address, citizens};

/// The name of the line that tells by which mailboxes of ours a message was sent on. Loops between operators end by it.
pub const FORWARDED_FIELD: &str = "X-Caducee-Forwarded";

/// Characters of a subject that are kept.
const SUBJECT: usize = 500;
/// Octets of the longest Message-ID that is believed to be one. RFC 5322 §2.1.1: a line has 998.
const MESSAGE_ID: usize = 500;
/// References that are kept, the last ones (RFC 5322 §3.6.4 has them in order).
const REFERENCES: usize = 20;
/// Recipients of `To:` and `Cc:` that are looked at.
const NAMED: usize = 5_000;
/// Addresses in `Reply-To:` that are kept.
const REPLY_TO: usize = 20;
/// Marks of earlier mailboxes that are kept.
const MARKS: usize = 50;

/// What stands in a header section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderFacts {
    /// `Message-ID:`, with its angle brackets.
    pub message_id: Option<String>,
    /// Message-IDs of the messages before it in its thread.
    pub references: Vec<String>,
    /// `Subject:` as people see it, without line ends; cut.
    pub subject: String,
    /// The address in `From:`, if there is one only.
    pub from: Option<Address>,
    /// The addresses in `Reply-To:`, the first ones.
    pub reply_to: Vec<Address>,
    /// Software wrote it (`Auto-Submitted:` other than `no`, RFC 3834 §5).
    pub is_automatic: bool,
    /// Software wrote it in answer to a message (`auto-replied`).
    pub is_automatic_reply: bool,
    /// A delivery or disposition report (RFC 3464, RFC 8098).
    pub is_report: bool,
    /// It came by a mailing list (RFC 2369, RFC 2919), or calls itself bulk.
    pub is_list: bool,
    /// It asks for no automatic answers (`X-Auto-Response-Suppress:`).
    pub wants_no_answer: bool,
    /// There are octets beyond ASCII in it (RFC 6532).
    pub is_utf8: bool,
    /// It closes a conversation with a citizen, if a professional writes it (MSSanté §8).
    pub closes_conversation: bool,
    /// Addresses of mailboxes of ours that have sent it on, as [`Address::key`].
    pub forwarded_by: Vec<String>,
    /// Who stands in `To:` and `Cc:`, as [`Address::key`].
    named: HashSet<String>,
}

impl HeaderFacts {
    /// Reads a header section (CRLF lines, with or without the empty line that ends it).
    pub fn of(header: &[u8]) -> Self {
        let mut facts = Self { is_utf8: !header.is_ascii(), ..Self::default() };
        let mut mes = None;
        for field in fields(header) {
            if field.is("X-MSS-MES") {
                mes = mes.or_else(|| Some(text(&field)));
            } else {
                facts.take(&field);
            }
        }
        facts.closes_conversation = citizens::closes_conversation(mes.as_deref(), &facts.subject);
        facts
    }

    /// Whether the mailbox is one of those that the message was written to by name: not a list's member, not in `Bcc:`.
    pub fn names(&self, address: &Address) -> bool {
        self.named.contains(&address.key())
    }

    /// Whether the mailbox has sent the message on before.
    pub fn was_forwarded_by(&self, address: &Address) -> bool {
        self.forwarded_by.contains(&address.key())
    }

    fn take(&mut self, field: &Field<'_>) {
        let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
        match name.as_str() {
            "message-id" => self.message_id = message_ids(field).pop(),
            "references" => self.references = message_ids(field),
            "subject" => self.subject = decoded(field),
            "from" => self.from = one(addresses(field)),
            "reply-to" => {
                let room = REPLY_TO.saturating_sub(self.reply_to.len());
                self.reply_to.extend(addresses(field).take(room));
            }
            "to" | "cc" => {
                let room = NAMED.saturating_sub(self.named.len());
                self.named.extend(addresses(field).take(room).map(|address| address.key()));
            }
            "auto-submitted" => {
                let word = first_word(field);
                self.is_automatic |= word != "no";
                self.is_automatic_reply |= word == "auto-replied";
            }
            "precedence" => self.is_list |= matches!(first_word(field).as_str(), "bulk" | "list" | "junk"),
            "x-auto-response-suppress" => {
                let words = text(field).to_ascii_lowercase();
                self.wants_no_answer |= words.split([',', ' ']).any(|word| matches!(word, "all" | "oof" | "autoreply"));
            }
            "content-type" => self.is_report |= is_report_type(&text(field)),
            "mailing-list" => self.is_list = true,
            _ if name.starts_with("list-") => self.is_list = true,
            _ if field.is(FORWARDED_FIELD) && self.forwarded_by.len() < MARKS => {
                self.forwarded_by.extend(addresses(field).next().map(|address| address.key()));
            }
            _ => {}
        }
    }
}

/// RFC 6522: reports; and the parts of one that stand alone.
fn is_report_type(value: &str) -> bool {
    let media = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(
        media.as_str(),
        "multipart/report"
            | "message/delivery-status"
            | "message/disposition-notification"
            | "message/global-delivery-status"
    )
}

/// A field's value on one line, without what is no text.
fn text(field: &Field<'_>) -> String {
    let value = String::from_utf8_lossy(field.value);
    let kept: String = value.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    kept.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The first word of a value, in lower case: before a comment, a parameter, a second word.
fn first_word(field: &Field<'_>) -> String {
    let text = text(field).to_ascii_lowercase();
    text.split(|c: char| c.is_whitespace() || matches!(c, ';' | '(')).next().unwrap_or_default().to_owned()
}

/// A value with its encoded words decoded (RFC 2047), on one line, cut.
fn decoded(field: &Field<'_>) -> String {
    let mut alone = b"Subject:".to_vec();
    alone.extend_from_slice(field.value);
    alone.extend_from_slice(b"\r\n\r\n");
    let parsed = MessageParser::new().header_text("Subject").parse_headers(&alone);
    let subject = parsed.as_ref().and_then(|message| message.subject()).map_or_else(|| text(field), str::to_owned);
    let shown: String = subject.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SUBJECT).collect();
    shown.trim().to_owned()
}

/// Message-IDs in a field, the last ones. Only what can stand in a header line of ours again.
fn message_ids(field: &Field<'_>) -> Vec<String> {
    let value = text(field);
    let good = |id: &&str| {
        (3..=MESSAGE_ID).contains(&id.len())
            && id.starts_with('<')
            && id.ends_with('>')
            && id.bytes().all(|byte| byte.is_ascii_graphic())
            && id.bytes().filter(|byte| matches!(byte, b'<' | b'>')).count() == 2
    };
    let mut ids: Vec<String> = value.split_whitespace().filter(good).map(str::to_owned).collect();
    ids.drain(..ids.len().saturating_sub(REFERENCES));
    ids
}

fn addresses(field: &Field<'_>) -> impl Iterator<Item = Address> + use<> {
    parse_address_list(field.value).into_iter().filter_map(|entry| {
        let local = String::from_utf8(entry.mailbox?).ok()?;
        let host = String::from_utf8(entry.host?).ok()?;
        Address::parse(&format!("{local}@{host}")).ok()
    })
}

fn one(mut addresses: impl Iterator<Item = Address>) -> Option<Address> {
    addresses.next().filter(|_| addresses.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(lines: &str) -> HeaderFacts {
        HeaderFacts::of(format!("{lines}\r\n\r\n").as_bytes())
    }

    #[test]
    fn a_final_message_is_known_however_its_subject_is_written() {
        for (lines, closes) in [
            ("Subject: [FIN] Vos résultats", true),
            ("Subject: =?utf-8?q?=5BFIN=5D?= Vos", true),
            ("Subject: =?UTF-8?B?W0ZJTl0=?=", true),
            ("Subject: =?utf-8?q?=5BF?=\r\n =?utf-8?q?IN=5D?=", true),
            ("Subject: =?iso-8859-1?q?R=E9sultats_=5Bfin=5D?=", true),
            ("SUBJECT : [fin]", true),
            ("X-MSS-MES: FIN", true),
            ("x-mss-mes:\r\n fin", true),
            ("Subject: [FIN", false),
            ("Subject: Confin", false),
            ("Subject: =?utf-8?q?=5BFIN", false),
            ("Subject: x\r\nX-MSS-MES2: FIN", false),
            ("X-Subject: [FIN]", false),
            ("X-MSS-MES: OUI\r\nX-MSS-MES: FIN", false),
            ("Subject: x\r\n\r\nSubject: [FIN]", false),
        ] {
            assert_eq!(facts(lines).closes_conversation, closes, "{lines}");
        }
    }

    #[test]
    fn what_software_and_lists_write_is_told_from_what_people_write() {
        type Said = fn(&HeaderFacts) -> bool;
        let (automatic, reply, report): (Said, Said, Said) =
            (|f| f.is_automatic, |f| f.is_automatic_reply, |f| f.is_report);
        let (list, quiet): (Said, Said) = (|f| f.is_list, |f| f.wants_no_answer);
        for (lines, said, expected) in [
            ("Auto-Submitted: no", automatic, false),
            ("Auto-Submitted: No (really)", automatic, false),
            ("Auto-Submitted: auto-generated", automatic, true),
            ("Auto-Submitted: auto-replied (vacation)", reply, true),
            ("Auto-Submitted: auto-generated", reply, false),
            ("Auto-Submitted:", automatic, true),
            ("Auto-Submitted: no\r\nAuto-Submitted: auto-replied", automatic, true),
            ("Content-Type: multipart/report; report-type=delivery-status", report, true),
            ("content-type: Multipart/Report;\r\n\treport-type=\"disposition-notification\"", report, true),
            ("Content-Type: message/delivery-status", report, true),
            ("Content-Type: multipart/mixed; x=multipart/report", report, false),
            ("List-Id: <x.example>", list, true),
            ("LIST-Unsubscribe: <mailto:x@y.example>", list, true),
            ("Listing: x", list, false),
            ("Precedence: bulk", list, true),
            ("Precedence: Junk", list, true),
            ("Precedence: first-class", list, false),
            ("X-Auto-Response-Suppress: DR, OOF", quiet, true),
            ("X-Auto-Response-Suppress: All", quiet, true),
            ("X-Auto-Response-Suppress: DR, NRN", quiet, false),
            ("X-Auto-Response-Suppress: None", quiet, false),
        ] {
            assert_eq!(said(&facts(lines)), expected, "{lines}");
        }
    }

    #[test]
    fn people_are_named_in_to_and_cc_only() {
        let facts = facts(
            "From: Zoé <zoe@x.example>\r\nTo: \"Anne, (Dr)\" <Anne.Roux@aura.example>,\r\n b@x.example\r\n\
             Cc: Groupe: c@x.example;\r\nBcc: d@x.example\r\nX-To: e@x.example\r\nreply-to: \"S\" <s@x.example>, nobody,\r\n t@x.example",
        );
        let names = |text| facts.names(&Address::parse(text).unwrap());
        assert!(names("anne.roux@aura.example") && names("b@x.example") && names("c@x.example"));
        assert!(!names("d@x.example") && !names("e@x.example") && !names("zoe@x.example"));
        assert_eq!(facts.from, Address::parse("zoe@x.example").ok());
        assert_eq!(facts.reply_to, ["s@x.example", "t@x.example"].map(|text| Address::parse(text).unwrap()));
        assert!(!names("s@x.example"));
    }

    #[test]
    fn nothing_that_is_kept_could_break_out_of_a_line() {
        let long = "<a@b> ".repeat(500);
        let facts = facts(&format!(
            "Message-ID: <a b@x>\r\nReferences: <1@x> <>\u{1}<2@x>\t<3@x>x <4@x>\r\n {long}\r\nSubject: =?utf-8?q?a=0D=0ABcc:_x=00?=\r\n\
             X-Caducee-Forwarded: <a@x.example>\r\nX-Caducee-Forwarded: nonsense\r\nX-Caducee-Forwarded: B@X.example"
        ));
        assert_eq!(facts.message_id, None);
        assert_eq!(facts.references.len(), REFERENCES);
        assert!(!facts.subject.chars().any(char::is_control), "{:?}", facts.subject);
        assert!(facts.was_forwarded_by(&Address::parse("b@x.example").unwrap()));
        assert_eq!(facts.forwarded_by.len(), 2);
        for hostile in [&b"\xff\xfe: \x00"[..], b"Subject", b":", b"To: <<<<", b"From: \"", b"References: <", b""] {
            assert!(!HeaderFacts::of(hostile).is_automatic);
        }
    }
}
