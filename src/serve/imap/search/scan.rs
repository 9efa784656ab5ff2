//! Looks for texts in a message's bytes: header fields, and text parts with their transfer encoding and charset undone.
//! The message flows by in pieces; memory is bounded whatever its size.

use std::ops::Range;

use base64::Engine as _;

use super::decode::{self, TextDecoder, hex_octet};
use crate::mail::summary::{Part, PartKind, Summary};
use crate::mail::{BodyReader, MailError};
use crate::serve::imap::source::Source;

/// A header field is looked at to this length.
const LONGEST_FIELD: usize = 64 * 1024;

/// Where a text is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// In a header field of the message, its name in lower case.
    Field(String),
    /// In the body: text parts, and the headers of parts and embedded messages.
    Body,
    /// In the header or the body.
    Text,
}

/// A text that is looked for, without case.
#[derive(Debug)]
pub(super) struct Needle {
    pub(super) scope: Scope,
    text: String,
}

impl Needle {
    pub(super) fn new(scope: Scope, text: &str) -> Needle {
        Needle { scope, text: text.to_lowercase() }
    }

    /// Whether it is in a text that is in lower case.
    pub(super) fn is_in(&self, lower: &str) -> bool {
        lower.contains(&self.text)
    }
}

/// Which of the needles are in the message.
pub(super) async fn scan(body: BodyReader, summary: &Summary, needles: &[Needle]) -> Result<Vec<bool>, MailError> {
    let mut search = Search { needles, found: vec![false; needles.len()] };
    let source = &mut Source::new(body);
    let root = &summary.message.root;
    search.header(source, root.header_range(), true).await?;
    // A stack in place of recursion: the depth is the sender's choice.
    let mut parts = vec![root];
    while let Some(part) = parts.pop() {
        if search.is_over() {
            break;
        }
        match &part.kind {
            PartKind::Multipart(children) => {
                for child in children {
                    search.header(source, child.header_range(), false).await?;
                    parts.push(child);
                }
            }
            PartKind::Message(message) => {
                search.header(source, message.root.header_range(), false).await?;
                parts.push(&message.root);
            }
            PartKind::Leaf if part.is_type("text") => search.text(source, part).await?,
            PartKind::Leaf => {}
        }
    }
    Ok(search.found)
}

struct Search<'a> {
    needles: &'a [Needle],
    found: Vec<bool>,
}

impl Search<'_> {
    /// Everything is found, or what is not can be no more.
    fn is_over(&self) -> bool {
        self.pending(|scope| !matches!(scope, Scope::Field(_))).next().is_none()
    }

    /// Needles of a scope that are not found yet.
    fn pending(&self, of: impl Fn(&Scope) -> bool) -> impl Iterator<Item = usize> {
        let open = self.needles.iter().zip(&self.found).enumerate();
        open.filter(move |(_, (needle, found))| !**found && of(&needle.scope)).map(|(index, _)| index)
    }

    /// Looks through a header; `own` when it is the message's.
    async fn header(&mut self, source: &mut Source, range: Range<u64>, own: bool) -> Result<(), MailError> {
        let mut fields = Fields::default();
        for piece in Source::pieces(range) {
            let bytes = source.read(piece).await?;
            fields.push(bytes, &mut |field| self.field(field, own));
        }
        fields.finish(&mut |field| self.field(field, own));
        Ok(())
    }

    fn field(&mut self, field: &[u8], own: bool) {
        let colon = memchr::memchr(b':', field);
        let name = colon.map(|at| field[..at].trim_ascii().to_ascii_lowercase()).unwrap_or_default();
        let wanted = |scope: &Scope| match scope {
            Scope::Field(wanted) => own && wanted.as_bytes() == name,
            Scope::Body => !own,
            Scope::Text => true,
        };
        let pending: Vec<usize> = self.pending(wanted).collect();
        if pending.is_empty() {
            return;
        }
        let whole = decode::header(field);
        let value = decode::header(colon.map_or(field, |at| &field[at + 1..]));
        for index in pending {
            let needle = &self.needles[index];
            self.found[index] = match needle.scope {
                Scope::Field(_) => needle.is_in(&value),
                Scope::Body | Scope::Text => needle.is_in(&whole),
            };
        }
    }

    /// Looks through a text part.
    async fn text(&mut self, source: &mut Source, part: &Part) -> Result<(), MailError> {
        let mut transfer = Transfer::of(part.content.encoding.as_deref());
        let parameter = part.content.parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"charset"));
        let mut decoder = TextDecoder::of(parameter.map(|(_, value)| value.as_slice()));
        let longest = self.needles.iter().map(|needle| needle.text.len()).max().unwrap_or_default();
        let mut window = Window { text: String::new(), longest };
        for piece in Source::pieces(part.body_range()) {
            let octets = transfer.push(source.read(piece).await?);
            window.push(&decoder.push(&octets));
            self.look(&mut window);
            if self.is_over() {
                return Ok(());
            }
        }
        window.push(&decoder.push(&transfer.finish()));
        window.push(&decoder.finish());
        self.look(&mut window);
        Ok(())
    }

    fn look(&mut self, window: &mut Window) {
        let pending: Vec<usize> = self.pending(|scope| !matches!(scope, Scope::Field(_))).collect();
        for index in pending {
            self.found[index] = self.needles[index].is_in(&window.text);
        }
        window.slide();
    }
}

/// Cuts a header into unfolded fields.
#[derive(Default)]
struct Fields {
    field: Vec<u8>,
    /// A line has ended: what comes next says whether the field goes on.
    line_ended: bool,
}

impl Fields {
    fn push(&mut self, piece: &[u8], field: &mut impl FnMut(&[u8])) {
        for &byte in piece {
            if self.line_ended {
                self.line_ended = false;
                if !matches!(byte, b' ' | b'\t') {
                    field(&self.field);
                    self.field.clear();
                }
            }
            match byte {
                b'\n' => self.line_ended = true,
                b'\r' => {}
                _ if self.field.len() < LONGEST_FIELD => self.field.push(byte),
                _ => {}
            }
        }
    }

    fn finish(&mut self, field: &mut impl FnMut(&[u8])) {
        if !self.field.is_empty() {
            field(&self.field);
        }
    }
}

/// Text as it was decoded last, in lower case, with as much of what came before as a needle may begin in.
struct Window {
    text: String,
    longest: usize,
}

impl Window {
    fn push(&mut self, decoded: &str) {
        self.text.push_str(&decoded.to_lowercase());
    }

    /// Forgets what no needle can begin in any more.
    fn slide(&mut self) {
        let from = self.text.floor_char_boundary(self.text.len().saturating_sub(self.longest));
        self.text.drain(..from);
    }
}

/// A content transfer encoding, undone piece by piece (RFC 2045 §6).
enum Transfer {
    Identity,
    /// Characters that do not make four yet.
    Base64(Vec<u8>),
    /// An escape that is not complete yet.
    QuotedPrintable(Vec<u8>),
}

impl Transfer {
    fn of(encoding: Option<&[u8]>) -> Transfer {
        match encoding.map(<[u8]>::trim_ascii) {
            Some(name) if name.eq_ignore_ascii_case(b"base64") => Transfer::Base64(Vec::new()),
            Some(name) if name.eq_ignore_ascii_case(b"quoted-printable") => Transfer::QuotedPrintable(Vec::new()),
            _ => Transfer::Identity,
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Transfer::Identity => bytes.to_vec(),
            Transfer::Base64(held) => {
                held.extend(bytes.iter().filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')));
                let rest = held.split_off(held.len() / 4 * 4);
                let whole = std::mem::replace(held, rest);
                // Only characters of the alphabet are left, in fours.
                decode::LENIENT_BASE64.decode(whole).unwrap_or_default()
            }
            Transfer::QuotedPrintable(held) => {
                held.extend_from_slice(bytes);
                let bytes = std::mem::take(held);
                let (decoded, rest) = quoted_printable(&bytes, false);
                *held = rest.to_vec();
                decoded
            }
        }
    }

    fn finish(&mut self) -> Vec<u8> {
        match self {
            Transfer::Identity => Vec::new(),
            Transfer::Base64(held) => decode::LENIENT_BASE64.decode(std::mem::take(held)).unwrap_or_default(),
            Transfer::QuotedPrintable(held) => quoted_printable(&std::mem::take(held), true).0,
        }
    }
}

/// Decodes what is complete; gives the rest, an escape that may go on.
fn quoted_printable(bytes: &[u8], last: bool) -> (Vec<u8>, &[u8]) {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'=', rest) {
        decoded.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        if rest.len() < 3 && !last {
            return (decoded, rest);
        }
        if let Some(octet) = rest.get(1..3).and_then(hex_octet) {
            decoded.push(octet);
            rest = &rest[3..];
        } else if rest.get(1..3) == Some(b"\r\n") {
            rest = &rest[3..];
        } else if rest.get(1) == Some(&b'\n') {
            rest = &rest[2..];
        } else {
            decoded.push(b'=');
            rest = &rest[1..];
        }
    }
    decoded.extend_from_slice(rest);
    (decoded, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(encoding: &str, text: &str, size: usize) -> String {
        let mut transfer = Transfer::of(Some(encoding.as_bytes()));
        let mut octets: Vec<u8> = text.as_bytes().chunks(size).flat_map(|piece| transfer.push(piece)).collect();
        octets.extend(transfer.finish());
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn transfer_encodings_are_undone_however_the_text_is_cut() {
        for size in 1..30 {
            assert_eq!(undone("Base64", "UsOpc3Vs\r\ndGF0cw==\r\n", size), "Résultats");
            assert_eq!(undone("quoted-printable", "R=C3=A9sul=\r\ntats =3D =zz", size), "Résultats = =zz");
            assert_eq!(undone("8bit", "R=C3", size), "R=C3");
        }
    }

    #[test]
    fn fields_are_unfolded_however_the_header_is_cut() {
        let header = b"A: 1\r\n 2\r\nB: 3\r\n\r\n";
        for size in 1..header.len() {
            let mut seen = Vec::new();
            let mut fields = Fields::default();
            for piece in header.chunks(size) {
                fields.push(piece, &mut |field| seen.push(String::from_utf8_lossy(field).into_owned()));
            }
            fields.finish(&mut |field| seen.push(String::from_utf8_lossy(field).into_owned()));
            assert_eq!(seen, ["A: 1 2", "B: 3"], "pieces of {size}");
        }
    }
}
