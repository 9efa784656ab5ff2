//! The lines that a server puts on top of a message it takes in, and those that it must not believe.
//!
//! * `Return-Path:` — who gets reports; one, written at final delivery (RFC 5321 §4.4).
//! * `Received:` — the hop (RFC 5321 §4.4).
//! * `X-Caducee-Trust:` — who the peer was and by which rule the message was let in (MSSanté §3), for the reader's
//!   software and for support. Only this server writes it: such a line that comes from outside is removed, and so is a
//!   foreign `Return-Path:`.
//!
//! Nothing else of a message is ever rewritten.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::net::IpAddr;
use std::ops::Range;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The name of our own line.
pub const TRUST_FIELD: &str = "X-Caducee-Trust";

/// Octets of a folded line that we aim at. RFC 5322 §2.1.1.
const LINE: usize = 78;
/// The longest encoded word. RFC 2047 §2.
const ENCODED_WORD: usize = 75;

/// One hop, ours. RFC 5321 §4.4.
#[derive(Clone, Debug)]
pub struct Received<'a> {
    /// The name the peer gave in `EHLO` or `HELO`.
    pub hello: &'a str,
    /// Where it connected from.
    pub address: IpAddr,
    /// Our name.
    pub by: &'a str,
    /// `ESMTPS`, `UTF8SMTPS` … (RFC 3848, RFC 6531 §4.3).
    pub protocol: &'a str,
    /// TLS version and cipher suite, for the comment.
    pub tls: &'a str,
    /// What the operator can search in the traces.
    pub id: &'a str,
    /// The recipient, if there is only one: a message must not tell its recipients about each other.
    pub recipient: Option<&'a str>,
    /// When, in Unix seconds.
    pub at: i64,
}

impl fmt::Display for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let literal = address_literal(self.address);
        write!(f, "Received: from {} ({literal})\r\n\tby {} (Caducee)", self.hello, self.by)?;
        write!(f, " with {} ({})\r\n\tid {}", self.protocol, self.tls, self.id)?;
        if let Some(recipient) = self.recipient {
            write!(f, "\r\n\tfor <{recipient}>")?;
        }
        write!(f, ";\r\n\t{}\r\n", date(self.at))
    }
}

/// RFC 5321 §4.1.3.
pub fn address_literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    }
}

/// RFC 5322 §3.3, in UTC.
pub fn date(at: i64) -> String {
    let at = jiff::Timestamp::from_second(at).unwrap_or_default();
    // The printer fails for years before 0 and after 9999 only.
    jiff::fmt::rfc2822::to_string(&at.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default()
}

/// `Return-Path:`; `path` has its angle brackets, `<>` is the null sender.
pub fn return_path(path: &str) -> String {
    format!("Return-Path: {path}\r\n")
}

/// What our own line says.
#[derive(Clone, Debug)]
pub struct Trust<'a> {
    /// The rule that let the message in.
    pub rule: &'a str,
    /// The domain that the peer spoke for; none with a null sender.
    pub domain: Option<&'a str>,
    /// The subject of the peer's certificate.
    pub peer: &'a str,
    /// The serial number of the peer's certificate.
    pub serial: &'a str,
}

impl fmt::Display for Trust<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TRUST_FIELD}: rule={}", self.rule)?;
        if let Some(domain) = self.domain {
            write!(f, "; domain={domain}")?;
        }
        write!(f, ";\r\n\tserial={};\r\n\tpeer=", self.serial)?;
        write_text(self.peer, f)?;
        f.write_str("\r\n")
    }
}

/// A text that is not ours: as a quoted string where it is short and plain, else as encoded words (RFC 2047), which cannot
/// break out of the line whatever it holds. An encoded word is set off by white space (RFC 2047 §5).
fn write_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let plain = text.bytes().all(|b| (0x20..0x7f).contains(&b));
    if plain && !text.contains("=?") && text.len() < LINE - 16 {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        return write!(f, "\"{escaped}\"");
    }
    encoded_words(text).iter().try_for_each(|word| write!(f, "\r\n\t{word}"))
}

/// RFC 2047 §4.1, each word within its length and none cutting a character in two (§5).
pub(super) fn encoded_words(text: &str) -> Vec<String> {
    const START: &str = "=?utf-8?B?";
    const ROOM: usize = (ENCODED_WORD - START.len() - "?=".len()) / 4 * 3;
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let cut = (0..=ROOM.min(rest.len())).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
        let (now, later) = rest.split_at(cut);
        words.push(format!("{START}{}?=", BASE64_STANDARD.encode(now)));
        rest = later;
    }
    words
}

/// A field of a header section: where it lies (with its folded lines and its last CRLF), and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'h> {
    /// Its bytes.
    pub range: Range<usize>,
    /// Its name, as written, without white space around it.
    pub name: &'h [u8],
    /// What follows the colon, with its folds, without the last CRLF.
    pub value: &'h [u8],
}

impl Field<'_> {
    /// Whether the field has this name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of a header section (CRLF lines, with or without the empty line that ends it). A line without a colon is a
/// field with an empty value, so that nothing is passed over.
pub fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = header.get(at..).filter(|rest| !rest.is_empty() && !rest.starts_with(b"\r\n"))?;
        let length = field_length(rest);
        let range = at..at + length;
        at += length;
        let line = rest[..length].strip_suffix(b"\r\n").unwrap_or(&rest[..length]);
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        // RFC 5322 §4.5 lets white space stand before the colon.
        let name = line[..colon].trim_ascii();
        let value = line.get(colon + 1..).unwrap_or_default();
        Some(Field { range, name, value })
    })
}

/// To the first line end that no white space follows. RFC 5322 §2.2.3.
fn field_length(rest: &[u8]) -> usize {
    let line_ends = memchr::memmem::find_iter(rest, b"\r\n").map(|end| end + 2);
    let mut last = line_ends.filter(|end| !matches!(rest.get(*end), Some(b' ' | b'\t')));
    last.next().unwrap_or(rest.len())
}

/// The header section without the lines that only we write.
pub fn without_ours(header: &[u8]) -> Cow<'_, [u8]> {
    without(header, |field| field.is("Return-Path") || field.is(TRUST_FIELD))
}

/// The header section without some fields; all others as they are.
pub fn without<'h>(header: &'h [u8], unwanted: impl Fn(&Field<'_>) -> bool) -> Cow<'h, [u8]> {
    let ranges: Vec<Range<usize>> = fields(header).filter(|field| unwanted(field)).map(|field| field.range).collect();
    if ranges.is_empty() {
        return Cow::Borrowed(header);
    }
    let mut kept = Vec::with_capacity(header.len());
    let mut from = 0;
    for range in ranges {
        kept.extend_from_slice(&header[from..range.start]);
        from = range.end;
    }
    kept.extend_from_slice(&header[from..]);
    Cow::Owned(kept)
}

/// The way a message has come, as its `Received:` fields tell it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hops {
    /// How many there are.
    pub all: usize,
    /// How many of them are ours.
    pub ours: usize,
}

impl Hops {
    /// A message that comes by here more often than this goes round in a circle.
    pub const MOST_OF_OURS: usize = 3;

    /// Counts the `Received:` fields, and those written by `host`.
    pub fn of(header: &[u8], host: &str) -> Hops {
        let mut hops = Hops::default();
        for field in fields(header).filter(|field| field.is("Received")) {
            hops.all += 1;
            hops.ours += usize::from(is_by(field.value, host));
        }
        hops
    }

    /// RFC 5321 §6.3: whether the message is taken for one that loops.
    pub fn is_loop(self, most: usize) -> bool {
        self.all > most || self.ours > Hops::MOST_OF_OURS
    }
}

/// Whether a `Received:` field has the clause `by host`, outside of comments.
fn is_by(value: &[u8], host: &str) -> bool {
    let outside = without_comments(value);
    let mut words = outside.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.any(|word| word.eq_ignore_ascii_case(b"by"))
        && words
            .next()
            .is_some_and(|word| word.strip_suffix(b";").unwrap_or(word).eq_ignore_ascii_case(host.as_bytes()))
}

fn without_comments(value: &[u8]) -> Vec<u8> {
    let mut depth = 0_usize;
    let mut outside = Vec::with_capacity(value.len());
    for &byte in value {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => outside.push(byte),
            _ => {}
        }
    }
    outside
}

/// All our lines, in the order they stand on top of the message.
pub fn compose(return_path_of: &str, received: &Received<'_>, trust: &Trust<'_>) -> String {
    let mut text = return_path(return_path_of);
    // Writing to a String cannot fail.
    let _ = write!(text, "{received}{trust}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received() -> Received<'static> {
        Received {
            hello: "mx.other.example",
            address: IpAddr::from([192, 0, 2, 1]),
            by: "mx.aura.example",
            protocol: "ESMTPS",
            tls: "TLSv1.3 TLS13_AES_256_GCM_SHA384",
            id: "6921b2c0-1f/2",
            recipient: Some("anne.roux@aura.example"),
            at: 1_763_769_600,
        }
    }

    #[test]
    fn a_hop_is_told_as_the_standard_asks() {
        let wanted = "Received: from mx.other.example ([192.0.2.1])\r\n\tby mx.aura.example (Caducee) with ESMTPS \
            (TLSv1.3 TLS13_AES_256_GCM_SHA384)\r\n\tid 6921b2c0-1f/2\r\n\tfor <anne.roux@aura.example>;\r\n\t\
            Sat, 22 Nov 2025 00:00:00 +0000\r\n";
        assert_eq!(received().to_string(), wanted);
        let address = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]);
        let several = Received { recipient: None, address, ..received() }.to_string();
        assert!(several.contains("([IPv6:2001:db8::1])") && !several.contains("for <"));
        let mapped = Received { address: "::ffff:192.0.2.1".parse().unwrap(), ..received() };
        assert!(mapped.to_string().contains("([192.0.2.1])"));
    }

    #[test]
    fn our_own_line_holds_any_name_safely() {
        let line = |peer| Trust { rule: "r", domain: Some("d.example"), peer, serial: "0a" }.to_string();
        let plain = "X-Caducee-Trust: rule=r; domain=d.example;\r\n\tserial=0a;\r\n\tpeer=\"CN=a \\\"b\\\",C=FR\"\r\n";
        assert_eq!(line("CN=a \"b\",C=FR"), plain);
        let long = format!("CN={}", "Hôpital d’Évreux ".repeat(20));
        for peer in ["CN=Hôpital", "CN=a\r\nBcc: x", "CN==?utf-8?Q?a?=", &long, ""] {
            let text = line(peer);
            assert_eq!(fields(text.as_bytes()).count(), 1, "{text}");
            assert!(text.is_ascii() && text.split_inclusive("\r\n").all(|l| l.len() <= LINE), "{text}");
        }
        let written = line(&long);
        let parser = mail_parser::MessageParser::new().header_text(TRUST_FIELD);
        let parsed = parser.parse(written.as_bytes()).unwrap();
        let text = parsed.header(TRUST_FIELD).and_then(|value| value.as_text()).unwrap();
        assert!(text.ends_with(&long), "{text}");
    }

    #[test]
    fn foreign_lines_of_ours_are_removed_and_nothing_else() {
        let header = b"Return-Path: <a@b>\r\nFrom: a\r\nX-caducee-trust : rule=forged;\r\n\tpeer=x\r\nSubject: Return-Path:\r\n x\r\nRETURN-PATH: x\r\n\r\n";
        assert_eq!(&*without_ours(header), b"From: a\r\nSubject: Return-Path:\r\n x\r\n\r\n");
        let clean = b"From: a\r\n\r\n";
        assert!(matches!(without_ours(clean), Cow::Borrowed(_)));
    }

    #[test]
    fn fields_are_found_however_odd() {
        let header = b"From: a\r\n b\r\nodd line\r\n: empty\r\nTo:\r\n\tx\r\n";
        let found: Vec<(&[u8], &[u8])> = fields(header).map(|field| (field.name, field.value)).collect();
        assert_eq!(
            found,
            [(&b"From"[..], &b" a\r\n b"[..]), (b"odd line", b""), (b"", b" empty"), (b"To", b"\r\n\tx"),]
        );
        assert_eq!(fields(b"\r\nbody: x\r\n").count(), 0);
        assert_eq!(fields(b"").count(), 0);
        assert_eq!(fields(b" From: x\r\n").next().map(|f| f.name.to_vec()), Some(b"From".to_vec()));
        assert_eq!(fields(b"A: b").next().map(|f| f.range), Some(0..4));
    }

    #[test]
    fn hops_are_counted_and_ours_recognised() {
        let mut header = Vec::new();
        for by in ["mx.aura.example", "MX.aura.example;", "mx.other.example", "(by mx.aura.example) mx2.aura.example"] {
            header.extend_from_slice(
                format!("Received: from by.example (by mx.aura.example)\r\n\tby {by} with ESMTP\r\n").as_bytes(),
            );
        }
        header.extend_from_slice(received().to_string().as_bytes());
        let hops = Hops::of(&header, "mx.aura.example");
        assert_eq!(hops, Hops { all: 5, ours: 3 });
        assert!(!hops.is_loop(5));
        assert!(hops.is_loop(4));
        assert!(Hops { all: 4, ours: 4 }.is_loop(50));
    }
}
