//! What FETCH can ask of a message, RFC 3501 §6.4.5.

use super::command::{Command, FetchCommand, Numbers};
use super::cursor::{Cursor, ParseError, text};
use super::sequence::SequenceSet;

/// One data item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// `UID`
    Uid,
    /// `FLAGS`
    Flags,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822.SIZE`
    Size,
    /// `ENVELOPE`
    Envelope,
    /// `BODY`: the structure without extension data.
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `MODSEQ`, RFC 7162
    ModSeq,
    /// `RFC822`, `RFC822.HEADER`, `RFC822.TEXT`
    Rfc822(Rfc822),
    /// `BODY[…]`, `BODY.PEEK[…]`
    Section {
        /// `.PEEK`: `\Seen` is left alone.
        peek: bool,
        /// What is between the brackets.
        section: Section,
        /// `<origin.length>`
        partial: Option<Partial>,
    },
}

impl FetchItem {
    /// True when fetching it sets `\Seen`.
    pub fn sets_seen(&self) -> bool {
        match self {
            FetchItem::Rfc822(part) => *part != Rfc822::Header,
            FetchItem::Section { peek, .. } => !peek,
            _ => false,
        }
    }
}

/// The older names of three sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rfc822 {
    /// `RFC822`, as `BODY[]`.
    Whole,
    /// `RFC822.HEADER`, as `BODY.PEEK[HEADER]`.
    Header,
    /// `RFC822.TEXT`, as `BODY[TEXT]`.
    Text,
}

/// `<origin.length>`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// The first byte.
    pub origin: u32,
    /// How many, greater than zero.
    pub length: u32,
}

/// `section`: a part's number and what of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// `1.2.3`; empty for the message.
    pub part: Vec<u32>,
    /// `HEADER`, `TEXT` …; `None` is all of it.
    pub text: Option<SectionText>,
}

/// What of a message or part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionText {
    /// `HEADER`
    Header,
    /// `HEADER.FIELDS` and, with `not`, `HEADER.FIELDS.NOT`.
    HeaderFields {
        /// All but the named fields.
        not: bool,
        /// Names as the client wrote them.
        names: Vec<Vec<u8>>,
    },
    /// `TEXT`
    Text,
    /// `MIME`, only of a part.
    Mime,
}

/// Deepest part number taken.
const MAX_DEPTH: usize = 128;
/// Most items of one FETCH.
const MAX_ITEMS: usize = 256;

/// Reads what follows `FETCH`.
pub fn fetch(cursor: &mut Cursor<'_>, numbers: Numbers) -> Result<Command, ParseError> {
    cursor.space()?;
    let set = SequenceSet::parse(cursor)?;
    cursor.space()?;
    let mut items = items(cursor)?;
    let mut changed_since = None;
    if cursor.eat(b' ') {
        changed_since = Some(modifiers(cursor)?);
        // RFC 7162 §3.1.4.1: CHANGEDSINCE implies MODSEQ.
        add(&mut items, FetchItem::ModSeq);
    }
    if numbers == Numbers::Uid && !items.contains(&FetchItem::Uid) {
        // RFC 3501 §6.4.8: the UID is always in the answer.
        items.insert(0, FetchItem::Uid);
    }
    if items.len() > MAX_ITEMS {
        return Err(ParseError::bad("Too many FETCH items"));
    }
    Ok(Command::Fetch(FetchCommand { numbers, set, items, changed_since }))
}

fn items(cursor: &mut Cursor<'_>) -> Result<Vec<FetchItem>, ParseError> {
    let mut items = Vec::new();
    if cursor.peek() == Some(b'(') {
        for item in cursor.list(1, item)? {
            add(&mut items, item);
        }
        return Ok(items);
    }
    // RFC 3501 §6.4.5: a macro stands alone.
    const FAST: [FetchItem; 3] = [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Size];
    for (name, more) in
        [("ALL", &[FetchItem::Envelope][..]), ("FULL", &[FetchItem::Envelope, FetchItem::Body][..]), ("FAST", &[][..])]
    {
        let mut ahead = cursor.clone();
        if ahead.eat_word(name) && matches!(ahead.peek(), None | Some(b' ')) {
            *cursor = ahead;
            items.extend(FAST.iter().chain(more).cloned());
            return Ok(items);
        }
    }
    items.push(item(cursor)?);
    Ok(items)
}

fn add(items: &mut Vec<FetchItem>, item: FetchItem) {
    if !items.contains(&item) {
        items.push(item);
    }
}

fn item(cursor: &mut Cursor<'_>) -> Result<FetchItem, ParseError> {
    let name = cursor.run(|byte| byte.is_ascii_alphanumeric() || byte == b'.').to_ascii_uppercase();
    match name.as_slice() {
        b"UID" => Ok(FetchItem::Uid),
        b"FLAGS" => Ok(FetchItem::Flags),
        b"INTERNALDATE" => Ok(FetchItem::InternalDate),
        b"RFC822.SIZE" => Ok(FetchItem::Size),
        b"ENVELOPE" => Ok(FetchItem::Envelope),
        b"BODYSTRUCTURE" => Ok(FetchItem::BodyStructure),
        b"MODSEQ" => Ok(FetchItem::ModSeq),
        b"RFC822" => Ok(FetchItem::Rfc822(Rfc822::Whole)),
        b"RFC822.HEADER" => Ok(FetchItem::Rfc822(Rfc822::Header)),
        b"RFC822.TEXT" => Ok(FetchItem::Rfc822(Rfc822::Text)),
        b"BODY" if cursor.peek() != Some(b'[') => Ok(FetchItem::Body),
        b"BODY" => body(cursor, false),
        b"BODY.PEEK" => body(cursor, true),
        _ => Err(ParseError::bad("Unknown FETCH item")),
    }
}

fn body(cursor: &mut Cursor<'_>, peek: bool) -> Result<FetchItem, ParseError> {
    cursor.expect(b'[', "Expected a section in brackets")?;
    let section = section(cursor)?;
    cursor.expect(b']', "Expected a closing bracket")?;
    let mut partial = None;
    if cursor.eat(b'<') {
        let origin = cursor.number()?;
        cursor.expect(b'.', "Expected <origin.length>")?;
        let length = cursor.nz_number()?;
        cursor.expect(b'>', "Expected <origin.length>")?;
        partial = Some(Partial { origin, length });
    }
    Ok(FetchItem::Section { peek, section, partial })
}

fn section(cursor: &mut Cursor<'_>) -> Result<Section, ParseError> {
    let mut part = Vec::new();
    while cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        part.push(cursor.nz_number()?);
        if part.len() > MAX_DEPTH {
            return Err(ParseError::bad("Part number too deep"));
        }
        if !cursor.eat(b'.') {
            return Ok(Section { part, text: None });
        }
    }
    if part.is_empty() && cursor.peek() == Some(b']') {
        return Ok(Section::default());
    }
    let name = cursor.run(|byte| byte.is_ascii_alphabetic() || byte == b'.').to_ascii_uppercase();
    let text = match name.as_slice() {
        b"HEADER" => SectionText::Header,
        b"HEADER.FIELDS" => SectionText::HeaderFields { not: false, names: field_names(cursor)? },
        b"HEADER.FIELDS.NOT" => SectionText::HeaderFields { not: true, names: field_names(cursor)? },
        b"TEXT" => SectionText::Text,
        // RFC 3501 §6.4.5: MIME needs a part's number before it.
        b"MIME" if !part.is_empty() => SectionText::Mime,
        _ => return Err(ParseError::bad("Unknown section")),
    };
    Ok(Section { part, text: Some(text) })
}

fn field_names(cursor: &mut Cursor<'_>) -> Result<Vec<Vec<u8>>, ParseError> {
    cursor.space()?;
    cursor.list(1, |cursor| Ok(cursor.astring()?.into_owned()))
}

fn modifiers(cursor: &mut Cursor<'_>) -> Result<u64, ParseError> {
    let values = cursor.list(1, |cursor| {
        let name = text(cursor.run(|byte| byte.is_ascii_alphabetic()))?;
        if !name.eq_ignore_ascii_case("CHANGEDSINCE") {
            return Err(ParseError::bad("Unknown FETCH modifier"));
        }
        cursor.space()?;
        match cursor.number64()? {
            0 => Err(ParseError::bad("Expected a number greater than zero")),
            number => Ok(number),
        }
    })?;
    match values.as_slice() {
        [value] => Ok(*value),
        _ => Err(ParseError::bad("A FETCH modifier given twice")),
    }
}
