//! Flags and dates of messages as the API writes them.

use crate::mail::{MessageFlags, is_keyword};
use crate::serve::http::problem::Problem;
use crate::store::flags;

/// IMAP's own flags that can be set (RFC 3501 §2.3.2); `\Recent` is the server's alone.
const SYSTEM: [(&str, u32); 5] = [
    ("\\Seen", flags::SEEN),
    ("\\Answered", flags::ANSWERED),
    ("\\Flagged", flags::FLAGGED),
    ("\\Deleted", flags::DELETED),
    ("\\Draft", flags::DRAFT),
];

/// The last second that RFC 3339 can write: the end of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// Reads flags and keywords.
///
/// # Errors
/// A problem that names `field` for what is neither.
pub(super) fn parse<'a>(names: impl IntoIterator<Item = &'a str>, field: &str) -> Result<MessageFlags, Problem> {
    let mut found = MessageFlags::default();
    for name in names {
        match SYSTEM.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, bit)) => found.system |= bit,
            None if is_keyword(name) => found.keywords.push(name.to_owned()),
            None => return Err(Problem::field(field, format!("{name:?} is neither a flag nor a keyword."))),
        }
    }
    Ok(found)
}

/// Writes flags and keywords.
pub(super) fn names(flags: MessageFlags) -> Vec<String> {
    let system = SYSTEM.iter().filter(|(_, bit)| flags.system & bit != 0).map(|(name, _)| (*name).to_owned());
    system.chain(flags.keywords).collect()
}

/// Reads an internal date: RFC 3339, within the years that IMAP can show.
///
/// # Errors
/// A problem that names `field`.
pub(super) fn parse_date(text: &str, field: &str) -> Result<i64, Problem> {
    let seconds = text.parse::<jiff::Timestamp>().map(|date| date.as_second());
    match seconds {
        Ok(seconds @ 0..=LAST_SECOND) => Ok(seconds),
        _ => Err(Problem::field(field, "Expected an RFC 3339 instant from 1970 on, as 2026-11-22T00:49:54Z.")),
    }
}

/// Writes an instant in RFC 3339, UTC.
pub(super) fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_there_and_back() {
        let parsed = parse(["\\seen", "$MDNSent", "\\Draft"], "flags").unwrap();
        assert_eq!(names(parsed), ["\\Seen", "\\Draft", "$MDNSent"]);
        for bad in ["\\Recent", "\\Nonsense", "two words", "é", ""] {
            assert!(parse([bad], "flags").is_err(), "{bad}");
        }
    }

    #[test]
    fn dates_there_and_back() {
        assert_eq!(parse_date("2026-11-22T01:49:54+01:00", "date").unwrap(), 1_795_308_594);
        assert_eq!(date(1_795_308_594), "2026-11-22T00:49:54Z");
        for bad in ["1969-12-31T23:59:59Z", "yesterday", "2026-11-22", ""] {
            assert!(parse_date(bad, "date").is_err(), "{bad}");
        }
    }
}
