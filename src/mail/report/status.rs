//! The part of a report that machines read: `message/delivery-status` (RFC 3464), or its form for addresses in UTF-8
//! (RFC 6533 §3).

use crate::mail::queue::Words;
use crate::mail::trace_fields::{address_literal, date};
use crate::wire::smtp::params::OriginalRecipient;

use super::lines::{ascii, field, harmless};
use super::{Action, Report, Reported};

/// Characters of a diagnostic.
const DIAGNOSTIC: usize = 500;

impl Action {
    /// As RFC 3464 §2.3.3 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
        }
    }
}

/// Whether one of the addresses is not ASCII, so that the part has to be `message/global-delivery-status`.
pub(super) fn needs_utf8(recipients: &[&Reported]) -> bool {
    let original = |recipient: &Reported| recipient.params.original.as_ref().is_some_and(|o| !o.address.is_ascii());
    recipients.iter().any(|recipient| !recipient.address.to_string().is_ascii() || original(recipient))
}

/// The groups of fields, with CRLF line ends.
pub(super) fn fields(report: &Report, recipients: &[&Reported], host: &str) -> String {
    let mut out = String::new();
    let utf8 = needs_utf8(recipients);
    let envelope = &report.original.envelope;
    // RFC 3464 §2.2.1: the envelope id goes first, as the sender gave it, decoded.
    if let Some(id) = &envelope.params.envelope_id {
        field(&mut out, "Original-Envelope-Id", &ascii(id, 100));
    }
    field(&mut out, "Reporting-MTA", &format!("dns; {host}"));
    field(&mut out, "Arrival-Date", &date(report.original.accepted_at));
    for recipient in recipients {
        out.push_str("\r\n");
        one(recipient, utf8, &mut out);
    }
    out
}

/// RFC 3464 §2.3, in the order of its subsections.
fn one(recipient: &Reported, utf8: bool, out: &mut String) {
    if let Some(original) = &recipient.params.original {
        field(out, "Original-Recipient", &typed(original, utf8));
    }
    let address = recipient.address.to_string();
    let kind = if address.is_ascii() { "rfc822" } else { "utf-8" };
    field(out, "Final-Recipient", &format!("{kind}; {address}"));
    field(out, "Action", recipient.action.name());
    let words = &recipient.words;
    field(out, "Status", &status(recipient.action, &words.status));
    if let (Some(_), Some(host)) = (words.code, &words.host) {
        field(out, "Remote-MTA", &format!("dns; {}", host_name(host)));
    }
    if let Some(code) = diagnostic(words, utf8) {
        field(out, "Diagnostic-Code", &code);
    }
    if let Some(at) = recipient.last_attempt {
        field(out, "Last-Attempt-Date", &date(at));
    }
    if let Some(until) = recipient.retry_until.filter(|_| recipient.action == Action::Delayed) {
        field(out, "Will-Retry-Until", &date(until));
    }
}

/// A host's name, or its address as a literal where a route or an MX named no more than that.
fn host_name(host: &str) -> String {
    host.parse().map_or_else(|_| ascii(host, 255), address_literal)
}

/// RFC 3464 §2.3.1: as the sender gave it, decoded from xtext; its type too.
fn typed(original: &OriginalRecipient, utf8: bool) -> String {
    let kind = ascii(&original.address_type, 60);
    let address = if utf8 { harmless(&original.address, DIAGNOSTIC) } else { ascii(&original.address, DIAGNOSTIC) };
    format!("{kind}; {address}")
}

/// RFC 3464 §2.3.6: a peer's reply under the type `smtp`; else our own rule under a type of our own.
fn diagnostic(words: &Words, utf8: bool) -> Option<String> {
    let text = if utf8 { harmless(&words.text, DIAGNOSTIC) } else { ascii(&words.text, DIAGNOSTIC) };
    match (words.code, &words.rule) {
        (Some(code), _) => Some(format!("smtp; {code} {} {text}", ascii(&words.status, 20)).trim_end().to_owned()),
        (None, Some(rule)) => Some(format!("x-caducee-rule; {} ({text})", ascii(rule, 60))),
        (None, None) => (!text.is_empty()).then(|| format!("x-caducee; {text}")),
    }
}

/// RFC 3463 §2: a code of three numbers, whose class fits what happened; else the class alone.
fn status(action: Action, status: &str) -> String {
    let class = match action {
        Action::Failed => '5',
        Action::Delayed => '4',
        Action::Delivered | Action::Relayed => '2',
    };
    let numbers: Vec<&str> = status.split('.').collect();
    let is_number = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    match numbers.as_slice() {
        // RFC 3464 §2.3.4: a failure may have the code of a trouble that lasted too long, 4.4.7 say.
        [own, subject, detail] if matches!(*own, "2" | "4" | "5") && is_number(subject) && is_number(detail) => {
            let class = if action == Action::Failed && *own == "4" { '4' } else { class };
            format!("{class}.{subject}.{detail}")
        }
        _ => format!("{class}.0.0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_always_has_the_form_and_class_that_it_must() {
        for (action, given, told) in [
            (Action::Failed, "5.1.1", "5.1.1"),
            (Action::Failed, "4.4.7", "4.4.7"),
            (Action::Failed, "", "5.0.0"),
            (Action::Failed, "5.1", "5.0.0"),
            (Action::Failed, "5.1.1\r\nX: y", "5.0.0"),
            (Action::Failed, "5.1.1000", "5.0.0"),
            (Action::Failed, "2.0.0", "5.0.0"),
            (Action::Delayed, "4.2.2", "4.2.2"),
            (Action::Delayed, "5.7.1", "4.7.1"),
            (Action::Delivered, "2.1.5", "2.1.5"),
            (Action::Relayed, "9.1.1", "2.0.0"),
        ] {
            assert_eq!(status(action, given), told, "{action:?} {given}");
        }
    }

    #[test]
    fn an_address_stands_as_a_literal_where_a_name_is_expected() {
        for (host, told) in [
            ("mx.other.example", "mx.other.example"),
            ("127.0.0.1", "[127.0.0.1]"),
            ("2001:db8::1", "[IPv6:2001:db8::1]"),
            ("evil\r\nX: y", "evil X: y"),
        ] {
            assert_eq!(host_name(host), told);
        }
    }
}
