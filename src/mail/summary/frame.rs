//! A part that is being read: what its header says about its body, and how it is closed.

use super::builder::LONGEST_BOUNDARY;
use super::{Envelope, Message, Part, PartKind, RawText};

/// A part on the builder's stack.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) part: Part,
    /// Of a message's root part: its envelope.
    pub(super) envelope: Option<Envelope>,
    /// Line ends seen before the body.
    pub(super) newlines_before: u64,
    pub(super) holds: Holds,
    /// Whether the header has a field.
    pub(super) has_field: bool,
    /// RFC 2046 §5.1.5: in a digest the default type is `message/rfc822`.
    in_digest: bool,
    /// No part may end before the parts in it do.
    least_end: u64,
}

/// What the body holds.
#[derive(Debug)]
pub(super) enum Holds {
    Leaf,
    Multipart {
        boundary: RawText,
        digest: bool,
        /// False behind the closing boundary.
        open: bool,
        children: Vec<Part>,
    },
    /// The embedded message, known when its frame is closed.
    Message(Option<Box<Message>>),
}

/// Where a body ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    /// Offset just behind it.
    pub(super) at: u64,
    /// Line ends of the message before `at`.
    pub(super) newlines: u64,
    /// The octet before `at`.
    pub(super) last: u8,
}

impl Frame {
    pub(super) fn new(header_start: u64, envelope: Option<Envelope>, in_digest: bool) -> Self {
        let part = Part { header_start, body_start: header_start, end: header_start, ..Part::default() };
        Self {
            part,
            envelope,
            newlines_before: 0,
            holds: Holds::Leaf,
            has_field: false,
            in_digest,
            least_end: header_start,
        }
    }

    /// The header is complete. `full`: no part may be opened within, so a composite body is opaque.
    pub(super) fn enter_body(&mut self, start: u64, newlines: u64, full: bool) {
        self.part.body_start = start;
        self.newlines_before = newlines;
        if self.in_digest && self.part.content.media.is_none() {
            self.part.content.media = Some((b"message".to_vec(), b"rfc822".to_vec()));
        }
        let is_multipart = self.part.is_type("multipart");
        let is_message = self.part.is_type("message") && self.part.media_type().1.eq_ignore_ascii_case(b"rfc822");
        if !is_multipart && !is_message {
            return;
        }
        // RFC 2045 §6.4: composite types are never encoded. A message that is encoded all the same cannot be read
        // without decoding, so its octets stay closed; a multipart's boundaries are looked for whatever it claims.
        if full || (is_message && !self.is_identity_encoded()) {
            self.make_opaque(start, newlines);
        } else if is_message {
            self.holds = Holds::Message(None);
        } else if let Some(boundary) = self.boundary() {
            let digest = self.part.media_type().1.eq_ignore_ascii_case(b"digest");
            self.holds = Holds::Multipart { boundary, digest, open: true, children: Vec::new() };
        } else {
            self.make_text();
        }
    }

    fn boundary(&self) -> Option<RawText> {
        let (_, value) =
            self.part.content.parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"boundary"))?;
        // RFC 2046 §5.1.1: a boundary does not end with white space.
        let boundary = value.trim_ascii_end();
        (1..=LONGEST_BOUNDARY).contains(&boundary.len()).then(|| boundary.to_vec())
    }

    fn is_identity_encoded(&self) -> bool {
        match &self.part.content.encoding {
            None => true,
            Some(name) => [&b"7bit"[..], b"8bit", b"binary"].iter().any(|known| name.eq_ignore_ascii_case(known)),
        }
    }

    /// The body is octets that nobody looked into.
    pub(super) fn make_opaque(&mut self, body_start: u64, newlines: u64) {
        self.part.body_start = body_start;
        self.newlines_before = newlines;
        self.part.content.media = Some((b"application".to_vec(), b"octet-stream".to_vec()));
        self.part.content.parameters.clear();
        self.holds = Holds::Leaf;
    }

    /// A multipart without parts: IMAP has no way to say so, and a reader wants to see its text.
    fn make_text(&mut self) {
        self.part.content.media = Some((b"text".to_vec(), b"plain".to_vec()));
        self.part.content.parameters.clear();
        self.holds = Holds::Leaf;
    }

    pub(super) fn is_digest(&self) -> bool {
        matches!(self.holds, Holds::Multipart { digest: true, .. })
    }

    pub(super) fn is_open_multipart(&self) -> bool {
        matches!(self.holds, Holds::Multipart { open: true, .. })
    }

    pub(super) fn close_multipart(&mut self) {
        if let Holds::Multipart { open, .. } = &mut self.holds {
            *open = false;
        }
    }

    /// Takes a closed part that stood above this one on the stack.
    pub(super) fn adopt(&mut self, part: Part, envelope: Option<Envelope>) {
        self.least_end = self.least_end.max(part.end);
        match &mut self.holds {
            Holds::Multipart { children, .. } => children.push(part),
            Holds::Message(inner) => {
                *inner = Some(Box::new(Message { envelope: envelope.unwrap_or_default(), root: part }));
            }
            Holds::Leaf => {}
        }
    }

    /// The part as it is when its body ends so.
    pub(super) fn close(mut self, ending: Ending) -> (Part, Option<Envelope>) {
        if matches!(&self.holds, Holds::Multipart { children, .. } if children.is_empty()) {
            self.make_text();
        }
        let mut part = self.part;
        part.end = ending.at.max(part.body_start).max(self.least_end);
        if part.end > part.body_start {
            let unended = u64::from(ending.last != b'\n');
            let lines = ending.newlines.saturating_sub(self.newlines_before) + unended;
            part.lines = u32::try_from(lines).unwrap_or(u32::MAX);
        }
        part.kind = match self.holds {
            Holds::Leaf => PartKind::Leaf,
            Holds::Multipart { children, .. } => PartKind::Multipart(children),
            Holds::Message(inner) => PartKind::Message(inner.unwrap_or_default()),
        };
        (part, self.envelope)
    }
}
