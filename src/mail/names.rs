//! Folder names: UTF-8, `/` between the levels, INBOX in any case (RFC 3501 §5.1).

use std::fmt;

/// Octets of a whole name.
pub(super) const MAX_NAME_OCTETS: usize = 1_000;
/// Levels of a name.
pub(super) const MAX_LEVELS: usize = 20;
/// Octets of one level.
pub(super) const MAX_LEVEL_OCTETS: usize = 255;

/// Why a text is no folder name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or an empty level (`a//b`, `/a`).
    #[error("the folder name is empty or has an empty level")]
    Empty,
    /// Longer or deeper than allowed.
    #[error("the folder name is too long or too deep")]
    TooLong,
    /// A control character, or `*` or `%`, which LIST could not name.
    #[error("the folder name holds a control character or a wildcard")]
    BadCharacter,
    /// A folder moved into itself.
    #[error("a folder cannot move into itself")]
    InsideItself,
}

/// A good folder name; INBOX is written in capitals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderName(String);

/// The one folder that every mailbox has.
pub const INBOX: &str = "INBOX";

impl FolderName {
    /// Reads a name. One trailing `/` is dropped: it only announces folders below (RFC 3501 §6.3.3).
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.len() > MAX_NAME_OCTETS || text.split('/').count() > MAX_LEVELS {
            return Err(NameError::TooLong);
        }
        for level in text.split('/') {
            if level.is_empty() {
                return Err(NameError::Empty);
            }
            if level.len() > MAX_LEVEL_OCTETS {
                return Err(NameError::TooLong);
            }
            if level.chars().any(|c| c.is_control() || matches!(c, '*' | '%')) {
                return Err(NameError::BadCharacter);
            }
        }
        Ok(Self(with_inbox_in_capitals(text)))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        self.0 == INBOX
    }

    /// The names above, the topmost first.
    pub fn ancestors(&self) -> impl Iterator<Item = FolderName> + '_ {
        self.0.match_indices('/').map(|(at, _)| FolderName(self.0[..at].to_owned()))
    }

    /// What follows `parent/` in `name`, if it lies below.
    pub(super) fn below<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.0.as_str())?.strip_prefix('/')
    }

    /// The name of what lies at `rest` below this one.
    pub(super) fn join(&self, rest: &str) -> Result<FolderName, NameError> {
        FolderName::parse(&format!("{}/{rest}", self.0))
    }
}

impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 3501 §5.1: INBOX is compared without case; so is the level above its inferiors, or they would stand apart.
fn with_inbox_in_capitals(text: &str) -> String {
    match text.split_at_checked(INBOX.len()) {
        Some((first, rest)) if first.eq_ignore_ascii_case(INBOX) && (rest.is_empty() || rest.starts_with('/')) => {
            format!("{INBOX}{rest}")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_is_one_folder_in_any_case() {
        for text in ["INBOX", "inbox", "InBox/", "Inbox"] {
            assert!(FolderName::parse(text).unwrap().is_inbox(), "{text}");
        }
        assert_eq!(FolderName::parse("inbox/Été").unwrap().as_str(), "INBOX/Été");
        assert!(!FolderName::parse("inboxes").unwrap().is_inbox());
    }

    #[test]
    fn names_that_could_not_be_listed_are_refused() {
        let long = "é".repeat(128);
        let deep = vec!["a"; MAX_LEVELS + 1].join("/");
        for (text, error) in [
            ("", NameError::Empty),
            ("/", NameError::Empty),
            ("a//b", NameError::Empty),
            ("/a", NameError::Empty),
            ("a*", NameError::BadCharacter),
            ("50%", NameError::BadCharacter),
            ("a\u{0}b", NameError::BadCharacter),
            ("a\u{85}b", NameError::BadCharacter),
            (long.as_str(), NameError::TooLong),
            (deep.as_str(), NameError::TooLong),
        ] {
            assert_eq!(FolderName::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn ancestors_come_from_the_top() {
        let name = FolderName::parse("a/b/c").unwrap();
        let above: Vec<String> = name.ancestors().map(|n| n.to_string()).collect();
        assert_eq!(above, ["a", "a/b"]);
        assert_eq!(FolderName::parse("a").unwrap().below("a/b"), Some("b"));
        assert_eq!(FolderName::parse("a").unwrap().below("ab/c"), None);
    }
}
