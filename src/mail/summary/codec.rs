//! The stored form of a [`Summary`]: a version octet, then numbers as LEB128 and texts with their length in front.
//!
//! A part's offsets are kept as differences to what stands before, so a part without a header costs a dozen octets.

use super::{Content, Envelope, Message, Parameters, Part, PartKind, RawText, Summary};

/// Version 1: the only one so far.
const VERSION: u8 = 1;

/// Deeper nesting is never written (see `SummaryLimits::depth`); a damaged record must not exhaust the stack.
const DEEPEST: usize = 200;

/// A stored summary that cannot be read: damaged, or written by a newer server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SummaryDecodeError {
    /// The version octet is unknown.
    #[error("summary version {0} is not known to this server")]
    Version(u8),
    /// The record ends early, or a number, text or kind in it cannot be.
    #[error("summary record is damaged")]
    Damaged,
}

impl Summary {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.push(VERSION);
        put_number(&mut out, self.size);
        put_message(&mut out, &self.message, 0);
        out
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Summary, SummaryDecodeError> {
        let mut reader = Reader { rest: bytes };
        match reader.octet()? {
            VERSION => {}
            other => return Err(SummaryDecodeError::Version(other)),
        }
        let size = reader.number()?;
        let message = reader.message(0, 0)?;
        let fits = message.root.end <= size && reader.rest.is_empty();
        fits.then_some(Summary { size, message }).ok_or(SummaryDecodeError::Damaged)
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// 0: absent; otherwise the length plus one.
fn put_optional(out: &mut Vec<u8>, text: &Option<RawText>) {
    match text {
        None => out.push(0),
        Some(text) => {
            put_number(out, text.len() as u64 + 1);
            out.extend_from_slice(text);
        }
    }
}

fn put_parameters(out: &mut Vec<u8>, parameters: &Parameters) {
    put_number(out, parameters.len() as u64);
    for (name, value) in parameters {
        put_text(out, name);
        put_text(out, value);
    }
}

fn put_message(out: &mut Vec<u8>, message: &Message, base: u64) {
    let envelope = &message.envelope;
    for field in [
        &envelope.date,
        &envelope.subject,
        &envelope.from,
        &envelope.sender,
        &envelope.reply_to,
        &envelope.to,
        &envelope.cc,
        &envelope.bcc,
        &envelope.in_reply_to,
        &envelope.message_id,
    ] {
        put_optional(out, field);
    }
    put_part(out, &message.root, base);
}

fn put_part(out: &mut Vec<u8>, part: &Part, base: u64) {
    put_number(out, part.header_start - base);
    put_number(out, part.body_start - part.header_start);
    put_number(out, part.end - part.body_start);
    put_number(out, u64::from(part.lines));
    put_content(out, &part.content);
    match &part.kind {
        PartKind::Leaf => out.push(0),
        PartKind::Multipart(children) => {
            out.push(1);
            put_number(out, children.len() as u64);
            let mut base = part.body_start;
            for child in children {
                put_part(out, child, base);
                base = child.end;
            }
        }
        PartKind::Message(inner) => {
            out.push(2);
            put_message(out, inner, part.body_start);
        }
    }
}

fn put_content(out: &mut Vec<u8>, content: &Content) {
    let media = content.media.as_ref();
    put_optional(out, &media.map(|(top, _)| top.clone()));
    if let Some((_, sub)) = media {
        put_text(out, sub);
    }
    put_parameters(out, &content.parameters);
    for field in [&content.id, &content.description, &content.encoding, &content.md5, &content.location] {
        put_optional(out, field);
    }
    let disposition = content.disposition.as_ref();
    put_optional(out, &disposition.map(|(kind, _)| kind.clone()));
    if let Some((_, parameters)) = disposition {
        put_parameters(out, parameters);
    }
    put_number(out, content.language.len() as u64);
    for tag in &content.language {
        put_text(out, tag);
    }
}

type Read<T> = Result<T, SummaryDecodeError>;

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn octet(&mut self) -> Read<u8> {
        let (first, rest) = self.rest.split_first().ok_or(SummaryDecodeError::Damaged)?;
        self.rest = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Read<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            let bits = u64::from(octet & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if octet & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(SummaryDecodeError::Damaged)
    }

    /// A count of things that take at least one octet each.
    fn count(&mut self) -> Read<usize> {
        let count = usize::try_from(self.number()?).map_err(|_| SummaryDecodeError::Damaged)?;
        if count > self.rest.len() {
            return Err(SummaryDecodeError::Damaged);
        }
        Ok(count)
    }

    fn octets(&mut self, count: usize) -> Read<RawText> {
        let (text, rest) = self.rest.split_at_checked(count).ok_or(SummaryDecodeError::Damaged)?;
        self.rest = rest;
        Ok(text.to_vec())
    }

    fn text(&mut self) -> Read<RawText> {
        let count = self.count()?;
        self.octets(count)
    }

    fn optional(&mut self) -> Read<Option<RawText>> {
        match self.number()? {
            0 => Ok(None),
            length => {
                let count = usize::try_from(length - 1).map_err(|_| SummaryDecodeError::Damaged)?;
                self.octets(count).map(Some)
            }
        }
    }

    fn parameters(&mut self) -> Read<Parameters> {
        let count = self.count()?;
        (0..count).map(|_| Ok((self.text()?, self.text()?))).collect()
    }

    fn message(&mut self, base: u64, depth: usize) -> Read<Message> {
        let envelope = Envelope {
            date: self.optional()?,
            subject: self.optional()?,
            from: self.optional()?,
            sender: self.optional()?,
            reply_to: self.optional()?,
            to: self.optional()?,
            cc: self.optional()?,
            bcc: self.optional()?,
            in_reply_to: self.optional()?,
            message_id: self.optional()?,
        };
        Ok(Message { envelope, root: self.part(base, depth)? })
    }

    fn part(&mut self, base: u64, depth: usize) -> Read<Part> {
        if depth > DEEPEST {
            return Err(SummaryDecodeError::Damaged);
        }
        let header_start = self.offset(base)?;
        let body_start = self.offset(header_start)?;
        let end = self.offset(body_start)?;
        let lines = u32::try_from(self.number()?).map_err(|_| SummaryDecodeError::Damaged)?;
        let content = self.content()?;
        let kind = match self.octet()? {
            0 => PartKind::Leaf,
            1 => PartKind::Multipart(self.children(body_start, end, depth)?),
            2 => {
                let inner = self.message(body_start, depth + 1)?;
                within(inner.root.end, end)?;
                PartKind::Message(Box::new(inner))
            }
            _ => return Err(SummaryDecodeError::Damaged),
        };
        Ok(Part { header_start, body_start, end, lines, content, kind })
    }

    fn children(&mut self, mut base: u64, end: u64, depth: usize) -> Read<Vec<Part>> {
        let count = self.count()?;
        let mut children = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            let child = self.part(base, depth + 1)?;
            within(child.end, end)?;
            base = child.end;
            children.push(child);
        }
        Ok(children)
    }

    fn offset(&mut self, base: u64) -> Read<u64> {
        base.checked_add(self.number()?).ok_or(SummaryDecodeError::Damaged)
    }

    fn content(&mut self) -> Read<Content> {
        let media = match self.optional()? {
            None => None,
            Some(top) => Some((top, self.text()?)),
        };
        let parameters = self.parameters()?;
        let [id, description, encoding, md5, location] =
            [self.optional()?, self.optional()?, self.optional()?, self.optional()?, self.optional()?];
        let disposition = match self.optional()? {
            None => None,
            Some(kind) => Some((kind, self.parameters()?)),
        };
        let tags = self.count()?;
        let language = (0..tags).map(|_| self.text()).collect::<Read<_>>()?;
        Ok(Content { media, parameters, id, description, encoding, md5, disposition, language, location })
    }
}

fn within(inner_end: u64, end: u64) -> Read<()> {
    (inner_end <= end).then_some(()).ok_or(SummaryDecodeError::Damaged)
}
