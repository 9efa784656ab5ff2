//! Flags, RFC 3501 §2.3.2.

use std::fmt;

use super::cursor::{Cursor, ParseError, is_atom_char, text};

/// A flag that a client may set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Flag {
    /// `\Seen`
    Seen,
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Draft`
    Draft,
    /// A keyword, its spelling kept. Keywords compare without case.
    Keyword(String),
}

impl Flag {
    /// The name of a keyword.
    pub fn keyword(&self) -> Option<&str> {
        match self {
            Flag::Keyword(name) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flag::Seen => "\\Seen",
            Flag::Answered => "\\Answered",
            Flag::Flagged => "\\Flagged",
            Flag::Deleted => "\\Deleted",
            Flag::Draft => "\\Draft",
            Flag::Keyword(name) => name,
        })
    }
}

/// Longest keyword taken, in bytes.
pub const MAX_KEYWORD: usize = 128;

/// One flag. `\Recent` is `None`: clients cannot change it (RFC 3501 §2.3.2), and a list that holds it is taken
/// without it, as §7.1 allows for flags that are not permanent.
pub fn flag(cursor: &mut Cursor<'_>) -> Result<Option<Flag>, ParseError> {
    if cursor.eat(b'\\') {
        let name = cursor.atom()?;
        return match () {
            () if name.eq_ignore_ascii_case("Seen") => Ok(Some(Flag::Seen)),
            () if name.eq_ignore_ascii_case("Answered") => Ok(Some(Flag::Answered)),
            () if name.eq_ignore_ascii_case("Flagged") => Ok(Some(Flag::Flagged)),
            () if name.eq_ignore_ascii_case("Deleted") => Ok(Some(Flag::Deleted)),
            () if name.eq_ignore_ascii_case("Draft") => Ok(Some(Flag::Draft)),
            () if name.eq_ignore_ascii_case("Recent") => Ok(None),
            () => Err(ParseError::bad("Unknown system flag")),
        };
    }
    keyword(cursor).map(|name| Some(Flag::Keyword(name)))
}

/// A keyword: an atom.
pub fn keyword(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    let name = text(cursor.run(is_atom_char))?;
    match name.len() {
        0 => Err(ParseError::bad("Expected a flag")),
        1..=MAX_KEYWORD => Ok(name.to_owned()),
        _ => Err(ParseError::bad("Keyword too long")),
    }
}

/// `flag-list`: `(flag flag …)`, which may be empty.
pub fn flag_list(cursor: &mut Cursor<'_>) -> Result<Vec<Flag>, ParseError> {
    Ok(without_double(cursor.list(0, flag)?))
}

/// The flags of STORE: a list, or flags with spaces between (RFC 3501 §9 `store-att-flags`).
pub fn store_flags(cursor: &mut Cursor<'_>) -> Result<Vec<Flag>, ParseError> {
    if cursor.peek() == Some(b'(') {
        return flag_list(cursor);
    }
    let mut flags = vec![flag(cursor)?];
    while cursor.eat(b' ') {
        flags.push(flag(cursor)?);
    }
    Ok(without_double(flags))
}

fn without_double(flags: Vec<Option<Flag>>) -> Vec<Flag> {
    let mut kept: Vec<Flag> = Vec::with_capacity(flags.len());
    for flag in flags.into_iter().flatten() {
        let double = kept.iter().any(|other| match (other, &flag) {
            (Flag::Keyword(one), Flag::Keyword(other)) => one.eq_ignore_ascii_case(other),
            (one, other) => one == other,
        });
        if !double {
            kept.push(flag);
        }
    }
    kept
}
