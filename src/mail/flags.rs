//! Flags and keywords as doors name them, and their bits in the folder's keyword table.

use crate::store::{Folder, flags};

use super::MailError;

/// A folder has at most so many user keywords (bits of a message's record).
pub const MAX_KEYWORDS: usize = 60;
/// Octets of a keyword.
pub(super) const MAX_KEYWORD_OCTETS: usize = 64;

/// Every system flag that a client may set.
pub const SYSTEM_FLAGS: u32 = flags::SEEN | flags::ANSWERED | flags::FLAGGED | flags::DELETED | flags::DRAFT;

/// Flags of a message by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFlags {
    /// Bits of [`crate::store::flags`].
    pub system: u32,
    /// Keywords as written.
    pub keywords: Vec<String>,
}

impl MessageFlags {
    /// System flags only.
    pub fn system(bits: u32) -> Self {
        Self { system: bits, keywords: Vec::new() }
    }
}

/// How STORE combines flags (RFC 3501 §6.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagOp {
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
    /// `FLAGS`
    Replace,
}

/// Flags as bits: system flags, and keywords of one folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FlagBits {
    pub(super) system: u32,
    pub(super) keywords: u64,
}

impl FlagOp {
    /// What the operation makes of a message's flags.
    pub(super) fn apply(self, old: FlagBits, with: FlagBits) -> FlagBits {
        match self {
            FlagOp::Add => FlagBits { system: old.system | with.system, keywords: old.keywords | with.keywords },
            FlagOp::Remove => FlagBits { system: old.system & !with.system, keywords: old.keywords & !with.keywords },
            FlagOp::Replace => with,
        }
    }
}

/// RFC 3501 §9: `flag-keyword = atom`, so no specials, blanks or 8-bit octets; and no backslash.
pub fn is_keyword(text: &str) -> bool {
    let special = |byte: u8| matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']');
    (1..=MAX_KEYWORD_OCTETS).contains(&text.len())
        && text.bytes().all(|byte| (33..=126).contains(&byte) && !special(byte))
}

/// The bits of the flags in a folder; keywords that it does not know yet are added to its table.
pub(super) fn define(folder: &mut Folder, wanted: &MessageFlags) -> Result<FlagBits, MailError> {
    let mut keywords = 0;
    for keyword in &wanted.keywords {
        keywords |= 1 << define_keyword(folder, keyword)?;
    }
    Ok(FlagBits { system: wanted.system & SYSTEM_FLAGS, keywords })
}

/// The bits of the flags that the folder knows.
pub(super) fn known(folder: &Folder, wanted: &MessageFlags) -> FlagBits {
    let bits = wanted.keywords.iter().filter_map(|keyword| position(folder, keyword));
    FlagBits { system: wanted.system & SYSTEM_FLAGS, keywords: bits.fold(0, |all, bit| all | 1 << bit) }
}

/// Carries keyword bits from one folder's table to another's; what finds no room there is dropped.
pub(super) fn carry(keywords: u64, from: &[String], to: &mut Folder) -> u64 {
    let set = from.iter().enumerate().filter(|(bit, _)| keywords & (1 << bit) != 0);
    set.filter_map(|(_, keyword)| define_keyword(to, keyword).ok()).fold(0, |all, bit| all | 1 << bit)
}

/// The names of keyword bits.
pub(super) fn keyword_names(keywords: u64, table: &[String]) -> Vec<String> {
    table.iter().enumerate().filter(|(bit, _)| keywords & (1 << bit) != 0).map(|(_, name)| name.clone()).collect()
}

/// Keywords are compared without case, as clients do.
fn position(folder: &Folder, keyword: &str) -> Option<usize> {
    folder.keywords.iter().position(|known| known.eq_ignore_ascii_case(keyword))
}

fn define_keyword(folder: &mut Folder, keyword: &str) -> Result<usize, MailError> {
    if let Some(bit) = position(folder, keyword) {
        return Ok(bit);
    }
    if !is_keyword(keyword) {
        return Err(MailError::BadKeyword);
    }
    if folder.keywords.len() >= MAX_KEYWORDS {
        return Err(MailError::TooManyKeywords);
    }
    folder.keywords.push(keyword.to_owned());
    Ok(folder.keywords.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_takes_sixty_keywords_and_no_more() {
        let mut folder = Folder::default();
        for n in 0..MAX_KEYWORDS {
            define(&mut folder, &MessageFlags { system: 0, keywords: vec![format!("k{n}")] }).unwrap();
        }
        let again = define(&mut folder, &MessageFlags { system: 0, keywords: vec!["K59".into()] }).unwrap();
        assert_eq!(again.keywords, 1 << 59);
        let more = define(&mut folder, &MessageFlags { system: 0, keywords: vec!["one-more".into()] });
        assert!(matches!(more, Err(MailError::TooManyKeywords)));
    }

    #[test]
    fn only_atoms_are_keywords() {
        for good in ["$Forwarded", "NonJunk", "$label1", "a.b"] {
            assert!(is_keyword(good), "{good}");
        }
        for bad in ["", "\\Seen", "a b", "é", "a(b", "x]", "a\"b", &"k".repeat(65)] {
            assert!(!is_keyword(bad), "{bad}");
        }
    }

    #[test]
    fn keywords_are_carried_by_name_between_folders() {
        let from = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let mut to = Folder { keywords: vec!["x".into(), "C".into()], ..Folder::default() };
        let carried = carry(0b110, &from, &mut to);
        assert_eq!(keyword_names(carried, &to.keywords), ["C", "b"]);
    }
}
