//! Header fields: which ones a summary keeps, how they are unfolded and taken apart.

use super::address::trimmed;
use super::{Content, Envelope, Parameters, RawText, SummaryLimits};

/// A header field that a summary keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Date,
    Subject,
    From,
    Sender,
    ReplyTo,
    To,
    Cc,
    Bcc,
    InReplyTo,
    MessageId,
    ContentType,
    ContentId,
    ContentDescription,
    ContentTransferEncoding,
    ContentMd5,
    ContentDisposition,
    ContentLanguage,
    ContentLocation,
}

/// Names in the order of their length, so that most fields are dropped by one comparison.
const NAMES: [(&str, Field); 18] = [
    ("to", Field::To),
    ("cc", Field::Cc),
    ("bcc", Field::Bcc),
    ("date", Field::Date),
    ("from", Field::From),
    ("sender", Field::Sender),
    ("subject", Field::Subject),
    ("reply-to", Field::ReplyTo),
    ("message-id", Field::MessageId),
    ("content-id", Field::ContentId),
    ("in-reply-to", Field::InReplyTo),
    ("content-md5", Field::ContentMd5),
    ("content-type", Field::ContentType),
    ("content-language", Field::ContentLanguage),
    ("content-location", Field::ContentLocation),
    ("content-disposition", Field::ContentDisposition),
    ("content-description", Field::ContentDescription),
    ("content-transfer-encoding", Field::ContentTransferEncoding),
];

impl Field {
    /// The kept field with this name, if any.
    pub(super) fn named(name: &[u8]) -> Option<Field> {
        NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(_, field)| *field)
    }

    fn is_content(self) -> bool {
        matches!(
            self,
            Field::ContentType
                | Field::ContentId
                | Field::ContentDescription
                | Field::ContentTransferEncoding
                | Field::ContentMd5
                | Field::ContentDisposition
                | Field::ContentLanguage
                | Field::ContentLocation
        )
    }
}

/// The end of a field's name (without trailing blanks) and the start of its value, or `None` if the line is no field.
///
/// RFC 5322 §2.2: printable ASCII without the colon; blanks before the colon are the obsolete syntax of §4.5.
pub(super) fn split_name(line: &[u8]) -> Option<(usize, usize)> {
    let name = line.iter().position(|byte| !(33..=126).contains(byte) || *byte == b':')?;
    let colon = name + line[name..].iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    (name > 0 && line[colon] == b':').then_some((name, colon + 1))
}

/// Puts a field's value into the envelope or content. `value` is unfolded and trimmed.
pub(super) fn keep(
    field: Field,
    value: RawText,
    envelope: Option<&mut Envelope>,
    content: &mut Content,
    limits: &SummaryLimits,
) {
    if field.is_content() {
        return keep_content(field, value, content, limits);
    }
    let Some(envelope) = envelope else { return };
    let (slot, joins) = match field {
        Field::Date => (&mut envelope.date, false),
        Field::Subject => (&mut envelope.subject, false),
        Field::From => (&mut envelope.from, false),
        Field::Sender => (&mut envelope.sender, false),
        Field::ReplyTo => (&mut envelope.reply_to, false),
        Field::To => (&mut envelope.to, true),
        Field::Cc => (&mut envelope.cc, true),
        Field::Bcc => (&mut envelope.bcc, true),
        Field::InReplyTo => (&mut envelope.in_reply_to, false),
        _ => (&mut envelope.message_id, false),
    };
    match slot {
        None => *slot = Some(value),
        Some(before) if joins => {
            before.extend_from_slice(b", ");
            before.extend_from_slice(&value);
        }
        // A field that may stand once only (RFC 5322 §3.6): the first one counts.
        Some(_) => {}
    }
}

fn keep_content(field: Field, value: RawText, content: &mut Content, limits: &SummaryLimits) {
    match field {
        Field::ContentType if content.media.is_none() => {
            if let Some((top, sub, parameters)) = content_type(&value, limits.parameters) {
                content.media = Some((top, sub));
                content.parameters = parameters;
            }
        }
        Field::ContentDisposition if content.disposition.is_none() => {
            content.disposition = disposition(&value, limits.parameters);
        }
        Field::ContentLanguage if content.language.is_empty() => {
            content.language = languages(&value, limits.parameters)
        }
        Field::ContentTransferEncoding if content.encoding.is_none() => {
            content.encoding = Some(token(&mut Scanner::new(&value))).filter(|token| !token.is_empty());
        }
        Field::ContentId => first(&mut content.id, value),
        Field::ContentDescription => first(&mut content.description, value),
        Field::ContentMd5 => first(&mut content.md5, value),
        Field::ContentLocation => first(&mut content.location, value),
        _ => {}
    }
}

fn first(slot: &mut Option<RawText>, value: RawText) {
    if slot.is_none() && !value.is_empty() {
        *slot = Some(value);
    }
}

/// Unfolds (RFC 5322 §2.2.3: the line end goes, the white space stays) and trims a raw value.
pub(super) fn unfold(raw: &[u8]) -> RawText {
    let raw = trimmed(raw);
    if memchr::memchr2(b'\r', b'\n', raw).is_none() {
        return raw.to_vec();
    }
    raw.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect()
}

/// RFC 2045 §5.1: `type "/" subtype *(";" parameter)`.
fn content_type(value: &[u8], most: usize) -> Option<(RawText, RawText, Parameters)> {
    let mut scanner = Scanner::new(value);
    let top = token(&mut scanner);
    scanner.skip_blanks();
    if top.is_empty() || scanner.next() != Some(b'/') {
        return None;
    }
    let sub = token(&mut scanner);
    if sub.is_empty() {
        return None;
    }
    Some((top, sub, parameters(&mut scanner, most)))
}

/// RFC 2183 §2.
fn disposition(value: &[u8], most: usize) -> Option<(RawText, Parameters)> {
    let mut scanner = Scanner::new(value);
    let kind = token(&mut scanner);
    if kind.is_empty() {
        return None;
    }
    Some((kind, parameters(&mut scanner, most)))
}

/// RFC 3282: tags between commas.
fn languages(value: &[u8], most: usize) -> Vec<RawText> {
    let mut scanner = Scanner::new(value);
    let mut tags = Vec::new();
    while !scanner.is_done() && tags.len() < most {
        let tag = token(&mut scanner);
        if !tag.is_empty() {
            tags.push(tag);
        }
        scanner.skip_past(b',');
    }
    tags
}

/// Parameters behind the first `;`. Names and values are taken as they stand: RFC 2231 pieces are the client's to join.
fn parameters(scanner: &mut Scanner<'_>, most: usize) -> Parameters {
    let mut found = Parameters::new();
    while scanner.skip_past(b';') && found.len() < most {
        let name = token(scanner);
        scanner.skip_blanks();
        if name.is_empty() || scanner.peek() != Some(b'=') {
            continue;
        }
        scanner.next();
        found.push((name, parameter_value(scanner)));
    }
    found
}

/// A quoted string, or leniently everything to the next `;` (real mail has unquoted file names with blanks).
fn parameter_value(scanner: &mut Scanner<'_>) -> RawText {
    scanner.skip_blanks();
    if scanner.peek() == Some(b'"') {
        return scanner.quoted();
    }
    let mut value = RawText::new();
    while let Some(byte) = scanner.peek() {
        match byte {
            b';' => break,
            b'(' => scanner.skip_comment(),
            _ => {
                scanner.next();
                value.push(byte);
            }
        }
    }
    trimmed(&value).to_vec()
}

/// RFC 2045 §5.1 `token`, with blanks and comments before it skipped; 8-bit octets are let through.
fn token(scanner: &mut Scanner<'_>) -> RawText {
    scanner.skip_blanks();
    let mut text = RawText::new();
    while let Some(byte) = scanner.peek() {
        if byte <= b' '
            || matches!(
                byte,
                b'(' | b')' | b'<' | b'>' | b'@' | b',' | b';' | b':' | b'"' | b'/' | b'[' | b']' | b'?' | b'='
            )
        {
            break;
        }
        scanner.next();
        text.push(byte);
    }
    text
}

/// A cursor over a structured value.
struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// White space and comments (RFC 5322 §3.2.2, CFWS).
    fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.next();
                }
                b'(' => self.skip_comment(),
                _ => break,
            }
        }
    }

    fn skip_comment(&mut self) {
        let mut depth = 0usize;
        while let Some(byte) = self.next() {
            match byte {
                b'(' => depth += 1,
                b')' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        break;
                    }
                }
                b'\\' => {
                    self.next();
                }
                _ => {}
            }
        }
    }

    /// Goes behind the next `stop` outside of quotes and comments; false at the end.
    fn skip_past(&mut self, stop: u8) -> bool {
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.quoted();
                }
                b'(' => self.skip_comment(),
                _ => {
                    self.next();
                    if byte == stop {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// A quoted string from its opening quote, unquoted; an unclosed one runs to the end.
    fn quoted(&mut self) -> RawText {
        self.next();
        let mut text = RawText::new();
        while let Some(byte) = self.next() {
            match byte {
                b'"' => break,
                b'\\' => text.extend(self.next()),
                _ => text.push(byte),
            }
        }
        text
    }
}
