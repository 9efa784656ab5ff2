//! `BODY[section]<partial>` and its older names: ranges of a message, streamed, RFC 3501 §6.4.5 and §7.4.2.

use std::ops::Range;

use super::channel::Channel;
use super::fields::FieldFilter;
use super::reply::Stop;
use super::source::{PIECE, Source};
use crate::mail::summary::SectionText as Place;
use crate::mail::{MailError, StoredMessage};
use crate::wire::imap::cursor::is_astring_char;
use crate::wire::imap::fetch::{FetchItem, Partial, Rfc822, Section, SectionText};
use crate::wire::imap::response::{self, decimal, literal_head};

/// What is asked of a message's bytes.
pub(super) struct Asked<'a> {
    /// The item's name in the answer.
    name: Name<'a>,
    part: &'a [u32],
    place: Place,
    /// HEADER.FIELDS: which.
    fields: Option<(bool, &'a [Vec<u8>])>,
    partial: Option<Partial>,
}

enum Name<'a> {
    Rfc822(&'static str),
    Section(&'a Section),
}

impl<'a> Asked<'a> {
    /// What an item asks of the bytes, if it does.
    pub(super) fn of(item: &'a FetchItem) -> Option<Asked<'a>> {
        let older = |name, place| Asked { name: Name::Rfc822(name), part: &[], place, fields: None, partial: None };
        match item {
            FetchItem::Rfc822(Rfc822::Whole) => Some(older("RFC822", Place::Whole)),
            FetchItem::Rfc822(Rfc822::Header) => Some(older("RFC822.HEADER", Place::Header)),
            FetchItem::Rfc822(Rfc822::Text) => Some(older("RFC822.TEXT", Place::Text)),
            FetchItem::Section { section, partial, .. } => {
                let (place, fields) = match &section.text {
                    None => (Place::Whole, None),
                    Some(SectionText::Header) => (Place::Header, None),
                    Some(SectionText::HeaderFields { not, names }) => (Place::Header, Some((*not, names.as_slice()))),
                    Some(SectionText::Text) => (Place::Text, None),
                    Some(SectionText::Mime) => (Place::Mime, None),
                };
                Some(Asked { name: Name::Section(section), part: &section.part, place, fields, partial: *partial })
            }
            _ => None,
        }
    }
}

impl Asked<'_> {
    /// Whether its bytes begin where the message does.
    pub(super) fn begins_with_message(&self) -> bool {
        self.part.is_empty() && self.partial.is_none_or(|partial| u64::from(partial.origin) < PIECE)
    }
}

/// How an item was written. When its bytes could not all be read the answer is well formed, but not true, and the command
/// must end in NO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Written {
    /// As it is.
    Whole,
    /// The message was expunged for good meanwhile.
    Gone,
    /// It is damaged on disk.
    Damaged,
}

/// Writes the item.
pub(super) async fn write(
    channel: &mut Channel,
    asked: &Asked<'_>,
    message: &StoredMessage,
    body: &mut Source,
) -> Result<Written, Stop> {
    name(&mut channel.out, asked);
    let Some(range) = message.summary.section(asked.part, asked.place) else {
        response::nstring(&mut channel.out, None);
        return Ok(Written::Whole);
    };
    match asked.fields {
        None => stream(channel, body, cut(range, asked.partial)).await,
        Some((not, names)) => fields(channel, body, range, FieldFilter::new(not, names), asked.partial).await,
    }
}

/// Writes `BODY[…]<origin> `.
fn name(out: &mut Vec<u8>, asked: &Asked<'_>) {
    let section = match &asked.name {
        Name::Rfc822(name) => {
            out.extend_from_slice(name.as_bytes());
            return out.push(b' ');
        }
        Name::Section(section) => section,
    };
    out.extend_from_slice(b"BODY[");
    for (index, number) in section.part.iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        decimal(out, u64::from(*number));
    }
    if let Some(text) = &section.text {
        if !section.part.is_empty() {
            out.push(b'.');
        }
        section_text(out, text);
    }
    out.push(b']');
    if let Some(partial) = asked.partial {
        out.push(b'<');
        decimal(out, u64::from(partial.origin));
        out.push(b'>');
    }
    out.push(b' ');
}

fn section_text(out: &mut Vec<u8>, text: &SectionText) {
    let (not, names) = match text {
        SectionText::Header => return out.extend_from_slice(b"HEADER"),
        SectionText::Text => return out.extend_from_slice(b"TEXT"),
        SectionText::Mime => return out.extend_from_slice(b"MIME"),
        SectionText::HeaderFields { not, names } => (not, names),
    };
    out.extend_from_slice(if *not { b"HEADER.FIELDS.NOT (" } else { b"HEADER.FIELDS (" });
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        if !name.is_empty() && name.iter().all(|&byte| is_astring_char(byte)) {
            out.extend_from_slice(name);
        } else {
            response::string(out, name);
        }
    }
    out.push(b')');
}

/// What `<origin.length>` leaves of a range.
fn cut(range: Range<u64>, partial: Option<Partial>) -> Range<u64> {
    let Some(partial) = partial else { return range };
    let start = range.start.saturating_add(u64::from(partial.origin)).min(range.end);
    start..start.saturating_add(u64::from(partial.length)).min(range.end)
}

/// Streams a range as a literal.
async fn stream(channel: &mut Channel, body: &mut Source, range: Range<u64>) -> Result<Written, Stop> {
    literal_head(&mut channel.out, range.end - range.start);
    for piece in Source::pieces(range.clone()) {
        let at = piece.start;
        match read(body, piece).await? {
            Ok(piece) => push(&mut channel.out, piece),
            Err(missing) => {
                fill(channel, range.end - at).await?;
                return Ok(missing);
            }
        }
        channel.flush_if_full().await?;
    }
    Ok(Written::Whole)
}

/// A piece of the body, or why it is not there, which costs this message and not the session.
async fn read(body: &mut Source, range: Range<u64>) -> Result<Result<&[u8], Written>, Stop> {
    let wanted = range.end - range.start;
    match body.read(range).await {
        Ok(piece) if piece.len() as u64 == wanted => Ok(Ok(piece)),
        Ok(_) => {
            tracing::error!("a message is shorter than its record says");
            Ok(Err(Written::Damaged))
        }
        Err(MailError::MessageGone) => Ok(Err(Written::Gone)),
        Err(error @ (MailError::Store(_) | MailError::Sealed(_))) => {
            tracing::error!(%error, "a message cannot be read");
            Ok(Err(Written::Damaged))
        }
        Err(error) => Err(error.into()),
    }
}

/// The announced rest of a literal that cannot be read.
async fn fill(channel: &mut Channel, bytes: u64) -> Result<(), Stop> {
    let mut left = bytes;
    while left > 0 {
        let now = left.min(PIECE);
        let length = channel.out.len() + usize::try_from(now).unwrap_or_default();
        channel.out.resize(length, b' ');
        channel.flush_if_full().await?;
        left -= now;
    }
    Ok(())
}

/// NUL has no place in a literal (RFC 3501 §9, CHAR8); no door takes one in, but an old import may have.
fn push(out: &mut Vec<u8>, piece: &[u8]) {
    let start = out.len();
    out.extend_from_slice(piece);
    while let Some(at) = memchr::memchr(0, &out[start..]) {
        out[start + at] = b'?';
    }
}

/// Some fields of a header. It is read twice, to count and to write, so that a huge one is never in memory.
async fn fields(
    channel: &mut Channel,
    body: &mut Source,
    range: Range<u64>,
    filter: FieldFilter<'_>,
    partial: Option<Partial>,
) -> Result<Written, Stop> {
    if range.end <= PIECE {
        let mut kept = Vec::new();
        let mut filter = filter;
        match read(body, range).await? {
            Ok(header) => filter.push(header, &mut kept),
            Err(missing) => return Ok(nothing(channel, missing)),
        }
        filter.finish(&mut kept);
        let part = cut(0..kept.len() as u64, partial);
        let part = usize::try_from(part.start).unwrap_or_default()..usize::try_from(part.end).unwrap_or_default();
        response::literal(&mut channel.out, &kept[part]);
        return Ok(Written::Whole);
    }
    big_fields(channel, body, range, &filter, partial).await
}

async fn big_fields(
    channel: &mut Channel,
    body: &mut Source,
    range: Range<u64>,
    filter: &FieldFilter<'_>,
    partial: Option<Partial>,
) -> Result<Written, Stop> {
    let mut kept = Vec::new();
    let mut size = 0;
    let mut counting = filter.clone();
    for piece in Source::pieces(range.clone()) {
        match read(body, piece).await? {
            Ok(piece) => counting.push(piece, &mut kept),
            Err(missing) => return Ok(nothing(channel, missing)),
        }
        size += kept.len() as u64;
        kept.clear();
    }
    counting.finish(&mut kept);
    size += kept.len() as u64;
    kept.clear();
    let wanted = cut(0..size, partial);
    literal_head(&mut channel.out, wanted.end - wanted.start);
    let mut writing = filter.clone();
    let mut at = 0;
    for piece in Source::pieces(range) {
        match read(body, piece).await? {
            Ok(piece) => writing.push(piece, &mut kept),
            Err(missing) => {
                fill(channel, wanted.end - at.clamp(wanted.start, wanted.end)).await?;
                return Ok(missing);
            }
        }
        at = push_within(&mut channel.out, &mut kept, at, &wanted);
        channel.flush_if_full().await?;
    }
    writing.finish(&mut kept);
    push_within(&mut channel.out, &mut kept, at, &wanted);
    Ok(Written::Whole)
}

/// An empty string in place of what is missing.
fn nothing(channel: &mut Channel, missing: Written) -> Written {
    response::string(&mut channel.out, b"");
    missing
}

/// Writes what of `kept`, which begins at `at`, lies in `wanted`; gives where it ends.
fn push_within(out: &mut Vec<u8>, kept: &mut Vec<u8>, at: u64, wanted: &Range<u64>) -> u64 {
    let end = at + kept.len() as u64;
    let (from, to) = (wanted.start.clamp(at, end) - at, wanted.end.clamp(at, end) - at);
    let (from, to) = (usize::try_from(from).unwrap_or_default(), usize::try_from(to).unwrap_or_default());
    if from < to {
        push(out, &kept[from..to]);
    }
    kept.clear();
    end
}
