//! Access control lists, RFC 4314: letters of rights, and the commands that carry them.

use std::fmt;

use super::command::Command;
use super::cursor::{Cursor, ParseError, text};
use super::parse::spaced_folder;

/// Letters in the order in which they are written: the standard rights of RFC 4314 §2.1, the virtual ones beside their
/// members (§2.1.1).
const LETTERS: [char; 13] = ['l', 'r', 's', 'w', 'i', 'k', 'x', 't', 'e', 'c', 'd', 'p', 'a'];

/// RFC 4314 §2.1.1: `c` stands for making and deleting folders, `d` for deleting messages. Of the two readings that the
/// RFC allows this is the first.
const VIRTUAL: [(char, &str); 2] = [('c', "kx"), ('d', "te")];

/// Longest identifier taken, in octets.
const MAX_IDENTIFIER: usize = 512;

/// A set of rights' letters. `c` and `d` are never in it: they are read as their members, and shown with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Letters(u16);

impl Letters {
    /// The rights of a text; `None` when one of its characters is no right (RFC 4314 §3.1: never passed over).
    pub fn parse(text: &str) -> Option<Letters> {
        text.chars().try_fold(Letters::default(), |all, letter| {
            let members = VIRTUAL.iter().find(|(name, _)| *name == letter).map(|(_, members)| *members);
            match members {
                Some(members) => Some(all.with(Letters::parse(members)?)),
                None => Some(Letters(all.0 | bit(letter)?)),
            }
        })
    }

    /// These and those.
    #[must_use]
    pub fn with(self, others: Letters) -> Letters {
        Letters(self.0 | others.0)
    }

    /// These without those.
    #[must_use]
    pub fn without(self, others: Letters) -> Letters {
        Letters(self.0 & !others.0)
    }

    /// Whether all of `others` are in it.
    pub fn has_all(self, others: Letters) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether one of `others` is in it.
    fn has_any(self, others: Letters) -> bool {
        self.0 & others.0 != 0
    }
}

/// RFC 4314 §2.1.1: a virtual right is shown when any of its members is.
impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |letter: char| {
            let members = VIRTUAL.iter().find(|(name, _)| *name == letter).map_or("", |(_, members)| *members);
            let virtual_one = Letters::parse(members).is_some_and(|members| self.has_any(members));
            virtual_one || bit(letter).is_some_and(|bit| self.0 & bit != 0)
        };
        let letters: String = LETTERS.into_iter().filter(|letter| shown(*letter)).collect();
        f.pad(&letters)
    }
}

/// The bit of a right that is not virtual.
fn bit(letter: char) -> Option<u16> {
    let is_virtual = VIRTUAL.iter().any(|(name, _)| *name == letter);
    let place = LETTERS.iter().position(|known| *known == letter)?;
    (!is_virtual).then(|| 1 << place)
}

/// What SETACL does with its rights (RFC 4314 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightsChange {
    /// They take the place of those that were there.
    Replace(Letters),
    /// `+`: they come to them.
    Add(Letters),
    /// `-`: they are taken from them.
    Remove(Letters),
}

impl RightsChange {
    /// What becomes of the rights that are there.
    #[must_use]
    pub fn apply(self, now: Letters) -> Letters {
        match self {
            RightsChange::Replace(letters) => letters,
            RightsChange::Add(letters) => now.with(letters),
            RightsChange::Remove(letters) => now.without(letters),
        }
    }
}

/// Reads what follows `SETACL`.
pub(super) fn set_acl(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    let folder = spaced_folder(cursor)?;
    let identifier = spaced_identifier(cursor)?;
    cursor.space()?;
    let change = cursor.astring()?;
    let change = text(&change)?;
    let (how, letters): (fn(Letters) -> RightsChange, &str) = match change.as_bytes().first() {
        Some(b'+') => (RightsChange::Add, &change[1..]),
        Some(b'-') => (RightsChange::Remove, &change[1..]),
        _ => (RightsChange::Replace, change),
    };
    // RFC 4314 §3.1: "an unrecognized right MUST cause the command to return the BAD response".
    let letters = Letters::parse(letters).ok_or(ParseError::bad("Unknown right; known are lrswikxtecdpa"))?;
    Ok(Command::SetAcl { folder, identifier, change: how(letters) })
}

/// Reads what follows `DELETEACL`.
pub(super) fn delete_acl(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    Ok(Command::DeleteAcl { folder: spaced_folder(cursor)?, identifier: spaced_identifier(cursor)? })
}

/// Reads what follows `LISTRIGHTS`.
pub(super) fn list_rights(cursor: &mut Cursor<'_>) -> Result<Command, ParseError> {
    Ok(Command::ListRights { folder: spaced_folder(cursor)?, identifier: spaced_identifier(cursor)? })
}

/// RFC 4314 §3: an identifier that cannot be prepared, or is empty, is BAD. Ours are addresses and national ids: neither
/// holds blanks or control characters, which is what preparing would take away.
fn spaced_identifier(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    cursor.space()?;
    let identifier = cursor.astring()?;
    let identifier = text(&identifier)?;
    let is_good = (1..=MAX_IDENTIFIER).contains(&identifier.len())
        && !identifier.chars().any(|c| c.is_whitespace() || c.is_control());
    if !is_good {
        return Err(ParseError::bad("Expected an identifier: an address, or a national id"));
    }
    Ok(identifier.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_rights_are_read_as_their_members_and_shown_with_them() {
        for (read, shown) in [
            ("", ""),
            ("lr", "lr"),
            ("rl", "lr"),
            ("lrswipcda", "lrswikxtecdpa"),
            ("k", "kc"),
            ("e", "ed"),
            ("aa", "a"),
        ] {
            assert_eq!(Letters::parse(read).map(|letters| letters.to_string()).as_deref(), Some(shown), "{read}");
        }
    }

    #[test]
    fn what_is_no_right_is_never_passed_over() {
        for text in ["q", "lrQ", "l r", "lr0", "-lr", "é"] {
            assert_eq!(Letters::parse(text), None, "{text}");
        }
    }

    #[test]
    fn rights_are_replaced_added_and_taken_away() {
        let letters = |text| Letters::parse(text).unwrap();
        let now = letters("lrs");
        for (change, wanted) in [
            (RightsChange::Replace(letters("p")), "p"),
            (RightsChange::Add(letters("pa")), "lrspa"),
            (RightsChange::Remove(letters("sp")), "lr"),
            (RightsChange::Replace(letters("")), ""),
        ] {
            assert_eq!(change.apply(now).to_string(), wanted, "{change:?}");
        }
    }
}
