//! What the server remembers about a message besides its bytes: the envelope and the table of its MIME parts.
//!
//! A [`SummaryBuilder`] watches a message flow by, in pieces of any size, and gives a [`Summary`] at the end. Three
//! rules hold:
//!
//! 1. **Any split of the bytes gives the same summary**, and every range lies within the message (a fuzz target checks
//!    both).
//! 2. **No input is an error and no input costs unbounded memory.** What goes beyond [`SummaryLimits`] becomes one
//!    opaque part (`application/octet-stream`), or is left out of the envelope.
//! 3. **Raw values stay raw.** Header values are unfolded (RFC 5322 §2.2.3) and otherwise kept as they came: encoded
//!    words, RFC 2231 pieces and 8-bit octets are the client's to read. Only address lists and parameters are taken
//!    apart, since IMAP's ENVELOPE and BODYSTRUCTURE (RFC 3501 §7.4.2) ask for that.
//!
//! A summary is content: it is stored sealed and must never be logged.

mod address;
mod builder;
mod codec;
mod fields;
mod frame;

use std::ops::Range;

pub use address::{EnvelopeAddress, parse_address_list};
pub use builder::SummaryBuilder;
pub use codec::SummaryDecodeError;

/// A header value as it came, unfolded: usually ASCII, sometimes raw 8-bit octets in an unknown charset.
pub type RawText = Vec<u8>;

/// Bounds of a [`SummaryBuilder`]'s work and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryLimits {
    /// How deep multiparts and embedded messages may be nested; what is deeper is opaque.
    pub depth: usize,
    /// How many parts a message may have in all; when they are used up the rest is one opaque part.
    pub parts: usize,
    /// How many octets of one header field are looked at (name and value, before unfolding).
    pub field_bytes: usize,
    /// How many octets of header values are kept in all, over every part of the message.
    pub kept_bytes: usize,
    /// How many parameters of one Content-Type or Content-Disposition field are kept.
    pub parameters: usize,
}

impl Default for SummaryLimits {
    fn default() -> Self {
        Self { depth: 32, parts: 500, field_bytes: 16 * 1024, kept_bytes: 32 * 1024, parameters: 32 }
    }
}

/// The envelope and structure of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Size of the whole message in octets (RFC822.SIZE).
    pub size: u64,
    /// The message's envelope and parts.
    pub message: Message,
}

/// A message: the whole one, or one embedded as `message/rfc822`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Values of its header that ENVELOPE shows.
    pub envelope: Envelope,
    /// Its root part, whose header is the message's header.
    pub root: Part,
}

/// The header values behind IMAP's ENVELOPE. `None`: the field is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `Date`.
    pub date: Option<RawText>,
    /// `Subject`.
    pub subject: Option<RawText>,
    /// `From`.
    pub from: Option<RawText>,
    /// `Sender`, only if present; see [`Envelope::senders`].
    pub sender: Option<RawText>,
    /// `Reply-To`, only if present; see [`Envelope::reply_tos`].
    pub reply_to: Option<RawText>,
    /// `To`; several fields are joined with a comma.
    pub to: Option<RawText>,
    /// `Cc`; several fields are joined with a comma.
    pub cc: Option<RawText>,
    /// `Bcc`; several fields are joined with a comma.
    pub bcc: Option<RawText>,
    /// `In-Reply-To`.
    pub in_reply_to: Option<RawText>,
    /// `Message-ID`.
    pub message_id: Option<RawText>,
}

impl Envelope {
    /// The From addresses.
    pub fn froms(&self) -> Vec<EnvelopeAddress> {
        addresses(&self.from)
    }

    /// The Sender address; From's when Sender is absent or empty (RFC 3501 §7.4.2).
    pub fn senders(&self) -> Vec<EnvelopeAddress> {
        self.or_from(&self.sender)
    }

    /// The Reply-To addresses; From's when Reply-To is absent or empty (RFC 3501 §7.4.2).
    pub fn reply_tos(&self) -> Vec<EnvelopeAddress> {
        self.or_from(&self.reply_to)
    }

    /// The To addresses.
    pub fn tos(&self) -> Vec<EnvelopeAddress> {
        addresses(&self.to)
    }

    /// The Cc addresses.
    pub fn ccs(&self) -> Vec<EnvelopeAddress> {
        addresses(&self.cc)
    }

    /// The Bcc addresses.
    pub fn bccs(&self) -> Vec<EnvelopeAddress> {
        addresses(&self.bcc)
    }

    fn or_from(&self, field: &Option<RawText>) -> Vec<EnvelopeAddress> {
        let own = addresses(field);
        if own.is_empty() { self.froms() } else { own }
    }
}

fn addresses(field: &Option<RawText>) -> Vec<EnvelopeAddress> {
    field.as_deref().map(parse_address_list).unwrap_or_default()
}

/// One MIME part: where its octets are and what its header says about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Offset of its header's first octet.
    pub header_start: u64,
    /// Offset of its body's first octet; `header_start..body_start` includes the empty line.
    pub body_start: u64,
    /// Offset just behind its body; the line end before a boundary belongs to the boundary (RFC 2046 §5.1.1).
    pub end: u64,
    /// Lines of the body; a last line without its end counts.
    pub lines: u32,
    /// What the Content-* fields say.
    pub content: Content,
    /// What is inside.
    pub kind: PartKind,
}

/// What a part holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PartKind {
    /// Octets, not looked into.
    #[default]
    Leaf,
    /// `multipart/*` with at least one part.
    Multipart(Vec<Part>),
    /// `message/rfc822`.
    Message(Box<Message>),
}

/// The values of a part's Content-* fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Top-level media type as written; `None`: the default for the place, see [`Part::media_type`].
    pub media: Option<(RawText, RawText)>,
    /// Parameters of Content-Type: names as written (with RFC 2231's `*`), values unquoted.
    pub parameters: Parameters,
    /// `Content-ID`.
    pub id: Option<RawText>,
    /// `Content-Description`.
    pub description: Option<RawText>,
    /// `Content-Transfer-Encoding` as written; absent means `7BIT` (RFC 2045 §6.1).
    pub encoding: Option<RawText>,
    /// `Content-MD5`.
    pub md5: Option<RawText>,
    /// `Content-Disposition`: type and parameters.
    pub disposition: Option<(RawText, Parameters)>,
    /// `Content-Language`: the tags.
    pub language: Vec<RawText>,
    /// `Content-Location`.
    pub location: Option<RawText>,
}

/// Parameters of a structured field: name and unquoted value, in the order of the field.
pub type Parameters = Vec<(RawText, RawText)>;

impl Part {
    /// Range of the part's header with its empty line.
    pub fn header_range(&self) -> Range<u64> {
        self.header_start..self.body_start
    }

    /// Range of the part's body.
    pub fn body_range(&self) -> Range<u64> {
        self.body_start..self.end
    }

    /// Octets of the body: BODYSTRUCTURE's size.
    pub fn body_size(&self) -> u64 {
        self.end - self.body_start
    }

    /// Media type and subtype; `text/plain` where the header says nothing (RFC 2045 §5.2).
    pub fn media_type(&self) -> (&[u8], &[u8]) {
        match &self.content.media {
            Some((top, sub)) => (top, sub),
            None => (b"text", b"plain"),
        }
    }

    /// Whether the top-level media type is this one, without case.
    pub fn is_type(&self, top: &str) -> bool {
        self.media_type().0.eq_ignore_ascii_case(top.as_bytes())
    }

    /// Its direct parts as IMAP numbers them from 1: of a multipart its children, of anything else itself.
    fn numbered(&self, number: u32) -> Option<&Part> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        match &self.kind {
            PartKind::Multipart(children) => children.get(index),
            PartKind::Leaf | PartKind::Message(_) => (index == 0).then_some(self),
        }
    }
}

/// Which octets of a part a section asks for (RFC 3501 §6.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionText {
    /// The part's body, or the whole message when no part is named.
    Whole,
    /// HEADER: the header of the message, or of the message that the part holds.
    Header,
    /// TEXT: the body of the message, or of the message that the part holds.
    Text,
    /// MIME: the part's own header.
    Mime,
}

impl Summary {
    /// The octets that a section names, or `None` when the message has no such section.
    ///
    /// `path` holds the part numbers (empty: the message itself). RFC 3501 §6.4.5: HEADER and TEXT of a part exist only
    /// where the part is a `message/rfc822`; MIME needs a part number; numbers go through an embedded message.
    pub fn section(&self, path: &[u32], text: SectionText) -> Option<Range<u64>> {
        if path.is_empty() {
            let root = &self.message.root;
            return match text {
                SectionText::Whole => Some(0..self.size),
                SectionText::Header => Some(root.header_range()),
                SectionText::Text => Some(root.body_range()),
                SectionText::Mime => None,
            };
        }
        let part = self.part(path)?;
        match (text, &part.kind) {
            (SectionText::Whole, _) => Some(part.body_range()),
            (SectionText::Mime, _) => Some(part.header_range()),
            (SectionText::Header, PartKind::Message(inner)) => Some(inner.root.header_range()),
            (SectionText::Text, PartKind::Message(inner)) => Some(inner.root.body_range()),
            (SectionText::Header | SectionText::Text, _) => None,
        }
    }

    /// The part that IMAP numbers so; `None` for an empty path or a number that does not exist.
    pub fn part(&self, path: &[u32]) -> Option<&Part> {
        let (first, rest) = path.split_first()?;
        let mut part = self.message.root.numbered(*first)?;
        for number in rest {
            part = match &part.kind {
                // RFC 3501 §6.4.5: the parts of an embedded message are numbered under the part that holds it.
                PartKind::Message(inner) => inner.root.numbered(*number)?,
                PartKind::Multipart(_) => part.numbered(*number)?,
                PartKind::Leaf => return None,
            };
        }
        Some(part)
    }
}

#[cfg(test)]
mod tests;
