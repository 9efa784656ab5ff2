//! SEARCH, RFC 3501 §6.4.4, with ESEARCH's results (RFC 4731), WITHIN (RFC 5032) and MODSEQ (RFC 7162).

use super::command::{Command, Numbers};
use super::cursor::{Cursor, ParseError};
use super::date;
use super::flag::{self, Flag};
use super::sequence::SequenceSet;

/// SEARCH or UID SEARCH.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchCommand {
    /// What the answer's numbers are.
    pub numbers: Numbers,
    /// `RETURN (…)`; `None` asks for the untagged SEARCH of RFC 3501.
    pub results: Option<SearchResults>,
    /// All must hold.
    pub keys: Vec<SearchKey>,
}

/// What ESEARCH shall say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SearchResults {
    /// The least number.
    pub min: bool,
    /// The greatest.
    pub max: bool,
    /// All, as a set.
    pub all: bool,
    /// How many.
    pub count: bool,
}

/// One criterion. Strings are UTF-8 and compare without case.
#[derive(Debug, Clone, PartialEq)]
pub enum SearchKey {
    /// `ALL`
    All,
    /// A flag's presence, e.g. `SEEN`, `KEYWORD x`.
    Flag(Flag),
    /// `RECENT`
    Recent,
    /// `BEFORE`: the internal date's day is earlier. Days since 1970-01-01.
    Before(i64),
    /// `ON`
    On(i64),
    /// `SINCE`
    Since(i64),
    /// `SENTBEFORE`: the `Date:` field's day, its zone left out, is earlier.
    SentBefore(i64),
    /// `SENTON`
    SentOn(i64),
    /// `SENTSINCE`
    SentSince(i64),
    /// `OLDER`, in seconds.
    Older(u32),
    /// `YOUNGER`, in seconds.
    Younger(u32),
    /// `LARGER`
    Larger(u32),
    /// `SMALLER`
    Smaller(u32),
    /// `HEADER`, and `BCC`, `CC`, `FROM`, `SUBJECT`, `TO`: field name and text.
    Header(String, String),
    /// `BODY`
    Body(String),
    /// `TEXT`
    Text(String),
    /// A set of message numbers.
    Sequence(SequenceSet),
    /// `UID`
    Uid(SequenceSet),
    /// `MODSEQ`: at least this.
    ModSeq(u64),
    /// `NOT`
    Not(Box<SearchKey>),
    /// `OR`
    Or(Box<SearchKey>, Box<SearchKey>),
    /// A list in parentheses: all must hold.
    And(Vec<SearchKey>),
}

impl SearchKey {
    /// True when `wanted` holds for this key or one within it.
    pub fn any(&self, wanted: &impl Fn(&SearchKey) -> bool) -> bool {
        wanted(self)
            || match self {
                SearchKey::Not(key) => key.any(wanted),
                SearchKey::Or(one, other) => one.any(wanted) || other.any(wanted),
                SearchKey::And(keys) => keys.iter().any(|key| key.any(wanted)),
                _ => false,
            }
    }
}

/// Deepest nesting of NOT, OR and parentheses.
const MAX_DEPTH: usize = 64;
/// Most keys of one SEARCH.
const MAX_KEYS: usize = 1024;

/// Reads what follows `SEARCH`.
pub fn search(cursor: &mut Cursor<'_>, numbers: Numbers) -> Result<Command, ParseError> {
    cursor.space()?;
    let mut results = None;
    let mut ahead = cursor.clone();
    if ahead.eat_word("RETURN (") {
        *cursor = ahead;
        results = Some(search_results(cursor)?);
        cursor.space()?;
    }
    if cursor.eat_word("CHARSET ") {
        charset(cursor)?;
        cursor.space()?;
    }
    let mut parser = Keys { left: MAX_KEYS };
    let mut keys = vec![parser.key(cursor, 0)?];
    while cursor.eat(b' ') {
        keys.push(parser.key(cursor, 0)?);
    }
    Ok(Command::Search(SearchCommand { numbers, results, keys }))
}

/// After `RETURN (`.
fn search_results(cursor: &mut Cursor<'_>) -> Result<SearchResults, ParseError> {
    let mut results = SearchResults::default();
    if cursor.eat(b')') {
        // RFC 4731 §3.1: an empty list means ALL.
        return Ok(SearchResults { all: true, ..results });
    }
    loop {
        match cursor.atom()?.to_ascii_uppercase().as_str() {
            "MIN" => results.min = true,
            "MAX" => results.max = true,
            "ALL" => results.all = true,
            "COUNT" => results.count = true,
            _ => return Err(ParseError::bad("Unknown SEARCH return option")),
        }
        if cursor.eat(b')') {
            return Ok(results);
        }
        cursor.space()?;
    }
}

fn charset(cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
    let charset = cursor.astring()?;
    let known = [&b"UTF-8"[..], b"US-ASCII"].iter().any(|known| charset.eq_ignore_ascii_case(known));
    if known { Ok(()) } else { Err(ParseError::BadCharset) }
}

struct Keys {
    left: usize,
}

impl Keys {
    fn key(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<SearchKey, ParseError> {
        self.left = self.left.checked_sub(1).ok_or(ParseError::bad("Too many SEARCH keys"))?;
        if depth > MAX_DEPTH {
            return Err(ParseError::bad("SEARCH keys nested too deep"));
        }
        match cursor.peek() {
            Some(b'(') => {
                let keys = cursor.list(1, |cursor| self.key(cursor, depth + 1))?;
                return Ok(SearchKey::And(keys));
            }
            Some(b'0'..=b'9' | b'*') => return SequenceSet::parse(cursor).map(SearchKey::Sequence),
            _ => {}
        }
        let name = cursor.atom()?.to_ascii_uppercase();
        match name.as_str() {
            "NOT" => {
                cursor.space()?;
                Ok(SearchKey::Not(Box::new(self.key(cursor, depth + 1)?)))
            }
            "OR" => {
                cursor.space()?;
                let one = self.key(cursor, depth + 1)?;
                cursor.space()?;
                Ok(SearchKey::Or(Box::new(one), Box::new(self.key(cursor, depth + 1)?)))
            }
            _ => match flag_key(&name) {
                Some(key) => Ok(key),
                None => argument_key(&name, cursor),
            },
        }
    }
}

/// Keys without an argument.
fn flag_key(name: &str) -> Option<SearchKey> {
    let not = |key| SearchKey::Not(Box::new(key));
    let has = |flag| SearchKey::Flag(flag);
    Some(match name {
        "ALL" => SearchKey::All,
        "ANSWERED" => has(Flag::Answered),
        "DELETED" => has(Flag::Deleted),
        "DRAFT" => has(Flag::Draft),
        "FLAGGED" => has(Flag::Flagged),
        "SEEN" => has(Flag::Seen),
        "UNANSWERED" => not(has(Flag::Answered)),
        "UNDELETED" => not(has(Flag::Deleted)),
        "UNDRAFT" => not(has(Flag::Draft)),
        "UNFLAGGED" => not(has(Flag::Flagged)),
        "UNSEEN" => not(has(Flag::Seen)),
        "RECENT" => SearchKey::Recent,
        "OLD" => not(SearchKey::Recent),
        "NEW" => SearchKey::And(vec![SearchKey::Recent, not(has(Flag::Seen))]),
        _ => return None,
    })
}

fn argument_key(name: &str, cursor: &mut Cursor<'_>) -> Result<SearchKey, ParseError> {
    if !cursor.eat(b' ') {
        return Err(ParseError::bad("Unknown SEARCH key, or one without its argument"));
    }
    Ok(match name {
        "KEYWORD" => SearchKey::Flag(Flag::Keyword(flag::keyword(cursor)?)),
        "UNKEYWORD" => SearchKey::Not(Box::new(SearchKey::Flag(Flag::Keyword(flag::keyword(cursor)?)))),
        "BEFORE" => SearchKey::Before(date::date(cursor)?),
        "ON" => SearchKey::On(date::date(cursor)?),
        "SINCE" => SearchKey::Since(date::date(cursor)?),
        "SENTBEFORE" => SearchKey::SentBefore(date::date(cursor)?),
        "SENTON" => SearchKey::SentOn(date::date(cursor)?),
        "SENTSINCE" => SearchKey::SentSince(date::date(cursor)?),
        "OLDER" => SearchKey::Older(cursor.nz_number()?),
        "YOUNGER" => SearchKey::Younger(cursor.nz_number()?),
        "LARGER" => SearchKey::Larger(cursor.number()?),
        "SMALLER" => SearchKey::Smaller(cursor.number()?),
        "HEADER" => {
            let field = string(cursor)?;
            cursor.space()?;
            SearchKey::Header(field, string(cursor)?)
        }
        "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => SearchKey::Header(name.to_ascii_lowercase(), string(cursor)?),
        "BODY" => SearchKey::Body(string(cursor)?),
        "TEXT" => SearchKey::Text(string(cursor)?),
        "UID" => SearchKey::Uid(SequenceSet::parse(cursor)?),
        "MODSEQ" => mod_seq(cursor)?,
        _ => return Err(ParseError::bad("Unknown SEARCH key")),
    })
}

/// A string to search. Without CHARSET 8-bit text should not come (RFC 3501 §6.4.4); where it is UTF-8 it means just that.
fn string(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    String::from_utf8(cursor.astring()?.into_owned()).map_err(|_| ParseError::bad("Text to search is not UTF-8"))
}

/// `MODSEQ [entry-name entry-type] n`, RFC 7162 §3.1.5. One mod-sequence covers all of a message's flags, so an entry changes nothing.
fn mod_seq(cursor: &mut Cursor<'_>) -> Result<SearchKey, ParseError> {
    if cursor.peek() == Some(b'"') {
        cursor.string()?;
        cursor.space()?;
        if !["all", "priv", "shared"].iter().any(|kind| cursor.eat_word(kind)) {
            return Err(ParseError::bad("Expected priv, shared or all"));
        }
        cursor.space()?;
    }
    cursor.number64().map(SearchKey::ModSeq)
}
