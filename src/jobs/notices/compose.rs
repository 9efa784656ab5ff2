//! A notice as a message of ordinary mail (RFC 5322): plain text in UTF-8, seven bits on the way.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::texts::{closing, text};
use crate::accounts::notice::OutgoingNotice;
use crate::mss::Address;

/// Octets of plain text in a line of base64 (RFC 2045 §6.8: 76 characters at most).
const LINE: usize = 57;

/// Octets of text in an encoded word (RFC 2047 §2: 75 characters at most, `=?utf-8?B?` and `?=` among them).
const WORD: usize = 45;

/// Who notices come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    pub(super) address: Address,
    pub(super) name: String,
    pub(super) contact: String,
}

/// The message's bytes.
pub(super) fn message(from: &Sender, notice: &OutgoingNotice) -> Vec<u8> {
    let words = text(&notice.notice, &notice.mailbox.to_string());
    let mut paragraphs = vec!["Bonjour,".to_owned()];
    paragraphs.extend(words.body);
    paragraphs.push(closing(&from.name, &from.contact));
    let body = paragraphs.join("\n\n").replace('\n', "\r\n") + "\r\n";
    let mut message = header(from, notice, words.subject);
    for line in body.as_bytes().chunks(LINE) {
        message.push_str(&BASE64_STANDARD.encode(line));
        message.push_str("\r\n");
    }
    message.into_bytes()
}

fn header(from: &Sender, notice: &OutgoingNotice, subject: &str) -> String {
    let date = jiff::Timestamp::from_second(notice.at).unwrap_or_default();
    let date = jiff::fmt::rfc2822::to_string(&date.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default();
    let mut header = String::new();
    let fields = [
        ("From", format!("{} <{}>", phrase(&from.name), from.address)),
        ("To", format!("<{}>", notice.to)),
        ("Subject", phrase(subject)),
        ("Date", date),
        // The same at each try: who gets it twice, because an answer was lost, sees that.
        ("Message-ID", format!("<{}@{}>", notice.id, from.address.domain())),
        // RFC 3834 §5: nobody's absence notice is to answer it.
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("Content-Language", "fr".to_owned()),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Transfer-Encoding", "base64".to_owned()),
    ];
    for (name, value) in fields {
        // Writing to a String cannot fail.
        let _ = write!(header, "{name}: {value}\r\n");
    }
    header + "\r\n"
}

/// Text as encoded words (RFC 2047 §2), folded; no character is cut in two.
fn phrase(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut piece = String::new();
    for c in text.chars() {
        if piece.len() + c.len_utf8() > WORD {
            words.push(std::mem::take(&mut piece));
        }
        piece.push(c);
    }
    words.push(piece);
    let encoded = words.iter().map(|word| format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(word)));
    encoded.collect::<Vec<_>>().join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::notice::{By, Notice};
    use crate::store::{AccountId, NoticeKey, NoticeLane};

    fn sender() -> Sender {
        Sender {
            address: Address::parse("ne-pas-repondre@operateur.example").unwrap(),
            name: "Messagerie sécurisée de santé de l'opérateur d'exemple".into(),
            contact: "assistance@operateur.example".into(),
        }
    }

    fn outgoing(notice: Notice) -> OutgoingNotice {
        OutgoingNotice {
            key: NoticeKey { lane: NoticeLane::Access, at: 7 },
            id: "0123456789abcdef".into(),
            account: AccountId(7),
            mailbox: Address::parse("anne@aura.mssante.example").unwrap(),
            to: Address::parse("anne@fai.example").unwrap(),
            notice,
            at: 1_795_633_200,
        }
    }

    #[test]
    fn a_notice_is_read_back_by_another_reader_as_it_was_meant() {
        let notice = Notice::DeviceRevoked { device: "Téléphone d'Anne".into(), by: By::Administrator };
        let bytes = message(&sender(), &outgoing(notice));
        assert!(bytes.is_ascii());
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        assert!(lines.iter().all(|line| line.len() <= 79), "RFC 5322 §2.1.1");
        let read = mail_parser::MessageParser::default().parse(&bytes).unwrap();
        assert_eq!(read.subject(), Some("Appareil révoqué"));
        let from = read.from().unwrap().first().unwrap();
        assert_eq!(from.name(), Some("Messagerie sécurisée de santé de l'opérateur d'exemple"));
        assert_eq!(from.address(), Some("ne-pas-repondre@operateur.example"));
        assert_eq!(read.to().unwrap().first().unwrap().address(), Some("anne@fai.example"));
        assert_eq!(read.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
        assert_eq!(read.date().unwrap().to_timestamp(), 1_795_633_200);
        let body = read.body_text(0).unwrap();
        let wanted = "L'accès de l'appareil « Téléphone d'Anne » à la boîte aux lettres anne@aura.mssante.example a été \
                      révoqué par l'administrateur.";
        assert!(body.contains(wanted), "{body}");
        assert!(body.contains("assistance@operateur.example"));
        assert!(!body.contains("http"), "no link");
    }

    #[test]
    fn a_notice_is_the_same_message_at_each_try() {
        let one = message(&sender(), &outgoing(Notice::FactorsReset));
        let again = message(&sender(), &outgoing(Notice::FactorsReset));
        assert_eq!(one, again);
        let other = OutgoingNotice { id: "fedcba9876543210".into(), ..outgoing(Notice::FactorsReset) };
        assert!(
            String::from_utf8(message(&sender(), &other)).unwrap().contains("<fedcba9876543210@operateur.example>")
        );
    }
}
