//! ENVELOPE, BODY and BODYSTRUCTURE from a message's summary, RFC 3501 §7.4.2.

use crate::mail::summary::{Envelope, EnvelopeAddress, Parameters, Part, PartKind, RawText, parse_address_list};
use crate::wire::imap::response::{decimal, nstring, string};

/// Writes `envelope`.
pub(super) fn envelope(out: &mut Vec<u8>, envelope: &Envelope) {
    out.push(b'(');
    nstring(out, envelope.date.as_deref());
    out.push(b' ');
    nstring(out, envelope.subject.as_deref());
    out.push(b' ');
    let from = out.len();
    addresses(out, envelope.from.as_ref());
    let from = from..out.len();
    // RFC 3501 §7.4.2: Sender and Reply-To that are absent or empty are those of From.
    for field in [&envelope.sender, &envelope.reply_to] {
        out.push(b' ');
        let start = out.len();
        addresses(out, field.as_ref());
        if &out[start..] == b"NIL" {
            out.truncate(start);
            out.extend_from_within(from.clone());
        }
    }
    for field in [&envelope.to, &envelope.cc, &envelope.bcc] {
        out.push(b' ');
        addresses(out, field.as_ref());
    }
    out.push(b' ');
    nstring(out, envelope.in_reply_to.as_deref());
    out.push(b' ');
    nstring(out, envelope.message_id.as_deref());
    out.push(b')');
}

fn addresses(out: &mut Vec<u8>, field: Option<&RawText>) {
    let list = field.map(|field| parse_address_list(field)).unwrap_or_default();
    if list.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    out.push(b'(');
    for EnvelopeAddress { name, route, mailbox, host } in &list {
        out.push(b'(');
        nstring(out, name.as_deref());
        out.push(b' ');
        nstring(out, route.as_deref());
        out.push(b' ');
        nstring(out, mailbox.as_deref());
        out.push(b' ');
        nstring(out, host.as_deref());
        out.push(b')');
    }
    out.push(b')');
}

/// Writes `body`; with `extension` BODYSTRUCTURE, without it BODY.
pub(super) fn body(out: &mut Vec<u8>, part: &Part, extension: bool) {
    out.push(b'(');
    match &part.kind {
        PartKind::Multipart(parts) if !parts.is_empty() => multipart(out, part, parts, extension),
        _ => single(out, part, extension),
    }
    out.push(b')');
}

/// `body-type-mpart`.
fn multipart(out: &mut Vec<u8>, part: &Part, parts: &[Part], extension: bool) {
    for inner in parts {
        body(out, inner, extension);
    }
    out.push(b' ');
    string(out, part.media_type().1);
    if extension {
        out.push(b' ');
        parameters(out, &part.content.parameters);
        disposition_and_more(out, part);
    }
}

/// `body-type-1part`.
fn single(out: &mut Vec<u8>, part: &Part, extension: bool) {
    let (top, sub) = single_type(part);
    string(out, top);
    out.push(b' ');
    string(out, sub);
    out.push(b' ');
    parameters(out, &part.content.parameters);
    for field in [&part.content.id, &part.content.description] {
        out.push(b' ');
        nstring(out, field.as_deref());
    }
    out.push(b' ');
    string(out, part.content.encoding.as_deref().unwrap_or(b"7BIT"));
    out.push(b' ');
    decimal(out, part.body_size());
    if let PartKind::Message(message) = &part.kind {
        out.push(b' ');
        envelope(out, &message.envelope);
        out.push(b' ');
        body(out, &message.root, extension);
    }
    if top.eq_ignore_ascii_case(b"text") || matches!(part.kind, PartKind::Message(_)) {
        out.push(b' ');
        decimal(out, u64::from(part.lines));
    }
    if extension {
        out.push(b' ');
        nstring(out, part.content.md5.as_deref());
        disposition_and_more(out, part);
    }
}

/// The type to show. What says multipart or message/rfc822 but was not taken apart (too deep, too many parts, empty) is
/// shown as bytes: the grammar has no other form for it.
fn single_type(part: &Part) -> (&[u8], &[u8]) {
    let (top, sub) = part.media_type();
    let message = top.eq_ignore_ascii_case(b"message") && sub.eq_ignore_ascii_case(b"rfc822");
    match &part.kind {
        PartKind::Message(_) if message => (top, sub),
        PartKind::Message(_) => (b"message", b"rfc822"),
        _ if message || top.eq_ignore_ascii_case(b"multipart") => (b"application", b"octet-stream"),
        _ => (top, sub),
    }
}

/// ` body-fld-dsp body-fld-lang body-fld-loc`.
fn disposition_and_more(out: &mut Vec<u8>, part: &Part) {
    match &part.content.disposition {
        None => out.extend_from_slice(b" NIL"),
        Some((kind, values)) => {
            out.extend_from_slice(b" (");
            string(out, kind);
            out.push(b' ');
            parameters(out, values);
            out.push(b')');
        }
    }
    match part.content.language.as_slice() {
        [] => out.extend_from_slice(b" NIL"),
        [language] => {
            out.push(b' ');
            string(out, language);
        }
        [first, others @ ..] => {
            out.extend_from_slice(b" (");
            string(out, first);
            for language in others {
                out.push(b' ');
                string(out, language);
            }
            out.push(b')');
        }
    }
    out.push(b' ');
    nstring(out, part.content.location.as_deref());
}

/// `body-fld-param`.
fn parameters(out: &mut Vec<u8>, parameters: &Parameters) {
    if parameters.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    for (index, (name, value)) in parameters.iter().enumerate() {
        out.push(if index == 0 { b'(' } else { b' ' });
        string(out, name);
        out.push(b' ');
        string(out, value);
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::summary::{Summary, SummaryBuilder, SummaryLimits};

    fn summary(message: &str) -> Summary {
        let mut builder = SummaryBuilder::new(SummaryLimits::default());
        builder.push(message.replace('\n', "\r\n").as_bytes());
        builder.finish()
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_envelope_fills_sender_and_reply_to_from_from() {
        let summary = summary(
            "Date: Wed, 17 Jul 1996 02:23:25 -0700\nFrom: Terry Gray <gray@cac.washington.edu>\nSubject: a \"b\"\n\
             To: imap@cac.washington.edu\nMessage-ID: <B27397@cac>\n\nhi\n",
        );
        assert_eq!(
            written(|out| envelope(out, &summary.message.envelope)),
            "(\"Wed, 17 Jul 1996 02:23:25 -0700\" \"a \\\"b\\\"\" \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((NIL NIL \"imap\" \"cac.washington.edu\")) NIL NIL NIL \"<B27397@cac>\")"
        );
    }

    #[test]
    fn a_structure_shows_every_kind_of_part() {
        let summary = summary(
            "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain; charset=utf-8\n\na\nb\n--x\n\
             Content-Type: message/rfc822\nContent-Disposition: attachment; filename=m.eml\n\nSubject: s\n\ninner\n--x\n\
             Content-Type: application/pdf\nContent-Transfer-Encoding: base64\nContent-Language: fr, en\n\nAAAA\n--x--\n",
        );
        let root = &summary.message.root;
        assert_eq!(
            written(|out| body(out, root, false)),
            "((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7BIT\" 4 2)\
             (\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 19 (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) \
             (\"text\" \"plain\" NIL NIL NIL \"7BIT\" 5 1) 3)\
             (\"application\" \"pdf\" NIL NIL NIL \"base64\" 4) \"mixed\")"
        );
        let whole = written(|out| body(out, root, true));
        assert!(whole.contains("NIL (\"attachment\" (\"filename\" \"m.eml\")) NIL NIL)"), "{whole}");
        assert!(whole.contains("\"base64\" 4 NIL NIL (\"fr\" \"en\") NIL)"), "{whole}");
        assert!(whole.ends_with("\"mixed\" (\"boundary\" \"x\") NIL NIL NIL)"), "{whole}");
    }

    #[test]
    fn an_empty_multipart_is_shown_as_bytes() {
        let summary = summary("Content-Type: multipart/mixed; boundary=x\n\nnothing\n");
        let shown = written(|out| body(out, &summary.message.root, false));
        assert!(!shown.contains("multipart"), "{shown}");
    }
}
