//! A report as a message: RFC 6522's three parts. Pure; the original's own bytes stream through between head and tail.

use std::ops::Range;

use crate::mail::queue::Kind;
use crate::mail::trace_fields::date;
use crate::mss::{Address, Domain};
use crate::wire::smtp::params::{BodyKind, MailParams, Return};

use super::lines::{ascii, field, quoted_printable};
use super::{Action, Original, Report, Reported, human, status, texts};

/// A message beyond this many octets does not go back whole: each domain that refuses it makes a report of its own, and
/// reports are filed beyond the quota. RFC 3461 §6.2 leaves the length to us.
const LARGEST_WHOLE: u64 = 1 << 20;

/// Who makes a report, when, and under which name of its own.
#[derive(Clone, Debug)]
pub(super) struct Maker<'a> {
    /// Our name.
    pub(super) host: &'a str,
    /// The domain that it is from: one that our certificate is listed for (MSSanté §3).
    pub(super) domain: &'a Domain,
    /// Unix seconds.
    pub(super) now: i64,
    /// Random, in hexadecimal: in the Message-ID and in the boundary, which nothing that is enclosed can guess.
    pub(super) token: &'a str,
}

/// A report: its head, a range of the original, its tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Composed {
    /// Header section, the first two parts, the third one's header.
    pub(super) head: String,
    /// What stands between, of the original's body as it lies in the store.
    pub(super) original: Range<u64>,
    /// The end.
    pub(super) tail: String,
    /// Octets of the header section with its empty line.
    pub(super) header: u64,
    /// With its angle brackets.
    pub(super) message_id: String,
    /// What SMTP has to say of it: 8-bit, UTF-8 in the header. No SIZE, no RET, no ENVID.
    pub(super) params: MailParams,
    /// The worst that it tells.
    pub(super) action: Action,
}

/// How much of the original goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enclose {
    /// What its sender asked for.
    AsAsked,
    /// Its header section, whatever its sender asked for: the mailbox has no room for more.
    Headers,
    /// Nothing: it cannot be read (RFC 6522 §3 (3) lets the part away).
    Nothing,
}

/// Makes the report for `to`, about recipients that it asked to hear of; there is at least one.
pub(super) fn compose(
    report: &Report,
    to: &Address,
    recipients: &[&Reported],
    maker: &Maker<'_>,
    enclose: Enclose,
) -> Composed {
    let action = worst(recipients);
    let third = Third::of(report, action, enclose);
    let utf8_status = status::needs_utf8(recipients);
    let to = to.to_string();
    let is_eight_bit = utf8_status || !to.is_ascii() || (third != Third::None && is_eight_bit(report));
    let message_id = format!("<{}.remise@{}>", maker.token, maker.host);
    let boundary = format!("=_remise_{}", maker.token);

    let mut head = header_section(report, &to, action, maker, &message_id);
    field(
        &mut head,
        "Content-Type",
        &format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\""),
    );
    field(&mut head, "Content-Transfer-Encoding", if is_eight_bit { "8bit" } else { "7bit" });
    head.push_str("\r\n");
    let header = head.len() as u64;

    head.push_str(&format!("--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n"));
    head.push_str("Content-Language: fr, en\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
    quoted_printable(&human::text(report, recipients, maker.host, third == Third::Whole), &mut head);

    let (kind, encoding) = if utf8_status { ("global-delivery-status", "8bit") } else { ("delivery-status", "7bit") };
    head.push_str(&format!("\r\n--{boundary}\r\nContent-Type: message/{kind}\r\n"));
    head.push_str(&format!("Content-Transfer-Encoding: {encoding}\r\n\r\n"));
    head.push_str(&status::fields(report, recipients, maker.host));
    third.write_header(report, &boundary, &mut head);

    Composed {
        head,
        original: third.range(report),
        tail: format!("\r\n--{boundary}--\r\n"),
        header,
        message_id,
        params: MailParams {
            body: if is_eight_bit { BodyKind::EightBitMime } else { BodyKind::SevenBit },
            smtp_utf8: !to.is_ascii() || (third != Third::None && is_utf8(report)),
            ..MailParams::default()
        },
        action,
    }
}

/// The header section up to the Content fields, without its end.
fn header_section(report: &Report, to: &str, action: Action, maker: &Maker<'_>, message_id: &str) -> String {
    let mut out = String::new();
    field(&mut out, "From", &format!("\"Remise des messages\" <postmaster@{}>", maker.domain));
    field(&mut out, "To", &format!("<{to}>"));
    field(&mut out, "Subject", texts::subject(action));
    field(&mut out, "Date", &date(maker.now));
    field(&mut out, "Message-ID", message_id);
    if let Some(id) = report.original.envelope.message_id.as_deref().filter(|id| is_message_id(id)) {
        field(&mut out, "In-Reply-To", id);
        field(&mut out, "References", id);
    }
    // RFC 3834 §5: a report answers a message, and nothing may answer it by itself.
    field(&mut out, "Auto-Submitted", "auto-replied");
    field(&mut out, "X-Caducee-Reference", &ascii(&report.original.envelope.reference, 200));
    field(&mut out, "MIME-Version", "1.0");
    out
}

/// What can stand in a field as it is.
fn is_message_id(id: &str) -> bool {
    id.len() <= 900 && id.starts_with('<') && id.ends_with('>') && id.bytes().all(|b| (0x21..0x7f).contains(&b))
}

fn worst(recipients: &[&Reported]) -> Action {
    let happened = |action: &&Action| recipients.iter().any(|recipient| recipient.action == **action);
    human::ORDER.iter().find(happened).copied().unwrap_or(Action::Failed)
}

fn is_eight_bit(report: &Report) -> bool {
    report.original.envelope.params.body == BodyKind::EightBitMime || is_utf8(report)
}

fn is_utf8(report: &Report) -> bool {
    report.original.envelope.params.smtp_utf8
}

/// The third part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Third {
    Whole,
    Headers,
    None,
}

impl Third {
    /// RFC 3461 §4.3: RET is about failures; the rest gives back the header section only. Without RET it is ours to
    /// choose: the header section, since content should not travel more than it must.
    fn of(report: &Report, action: Action, enclose: Enclose) -> Third {
        let Original { envelope, size, .. } = &report.original;
        let is_asked = action == Action::Failed && envelope.params.ret == Some(Return::Full);
        match enclose {
            Enclose::Nothing => Third::None,
            // What was sent on may lie nowhere else: then it asks for this itself.
            Enclose::AsAsked if is_asked && (envelope.kind == Kind::Forward || *size <= LARGEST_WHOLE) => Third::Whole,
            Enclose::AsAsked | Enclose::Headers => Third::Headers,
        }
    }

    /// RFC 6522 §3 (3); RFC 6533 §4 and §5 where the header section may be in UTF-8.
    fn write_header(self, report: &Report, boundary: &str, out: &mut String) {
        let kind = match (self, is_utf8(report)) {
            (Third::None, _) => return,
            (Third::Whole, false) => "message/rfc822",
            (Third::Whole, true) => "message/global",
            (Third::Headers, false) => "text/rfc822-headers",
            (Third::Headers, true) => "message/global-headers",
        };
        let encoding = if is_eight_bit(report) { "8bit" } else { "7bit" };
        out.push_str(&format!("\r\n--{boundary}\r\nContent-Type: {kind}\r\n"));
        out.push_str(&format!("Content-Transfer-Encoding: {encoding}\r\n\r\n"));
    }

    fn range(self, report: &Report) -> Range<u64> {
        let original = &report.original;
        let from = u64::from(original.skip);
        match self {
            Third::None => 0..0,
            Third::Whole => from..from + original.size,
            Third::Headers => from..from + original.header.min(original.size),
        }
    }
}

#[cfg(test)]
mod tests;
