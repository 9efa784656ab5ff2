//! Folder names as names of files and directories, and back.
//!
//! A folder may be called `..` or `a.b`; a directory on the caller's disk must neither lead elsewhere nor be taken for something
//! else. What cannot stand is written `\` and two hexadecimal digits, as Dovecot's listescape does.

use crate::wire::imap::utf7;

/// A level of a folder's name as a level of Maildir++: modified UTF-7 (RFC 3501 §5.1.3), without dots, which part levels there.
pub fn to_maildir(level: &str) -> String {
    utf7::encode(&escape_backslashes(level)).replace('.', "\\2e")
}

/// A level of a folder's name as a directory or the stem of a file. Never hidden, never `..`, never taken for one of the
/// files that lie beside mail.
pub fn to_file(level: &str) -> String {
    let level = escape_backslashes(level);
    // ASCII names go through modified UTF-7, so that an `&` that happens to look like it is not read as it.
    let level = if level.is_ascii() { utf7::encode(&level) } else { level };
    match level.rfind('.') {
        Some(0) => format!("\\2e{}", &level[1..]),
        Some(_) if level.starts_with('.') => format!("\\2e{}", &level[1..]),
        // An extension would be taken off, or make it something else, when it is read again.
        Some(at) => format!("{}\\2e{}", &level[..at], &level[at + 1..]),
        None => level,
    }
}

fn escape_backslashes(level: &str) -> String {
    level.replace('\\', "\\5c")
}

/// A level of a folder's name from the name of a file or directory: modified UTF-7 (Dovecot, mbsync) or plain.
pub fn of_file(name: &str) -> String {
    let name = utf7::decode(name.as_bytes()).unwrap_or_else(|_| name.to_owned());
    // A slash would part levels that were one.
    name.replace("\\2e", ".").replace("\\2f", "_").replace("\\5c", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_lead_nowhere_else() {
        assert_eq!(to_file(".."), "\\2e.");
        assert_eq!(to_file("messages.jsonl"), "messages\\2ejsonl");
        assert_eq!(to_maildir("a.b & Été"), "a\\2eb &- &AMk-t&AOk-");
        assert_eq!(to_file("Été 2024"), "Été 2024");
    }

    #[test]
    fn names_of_other_programs_are_read() {
        assert_eq!(of_file("&AMk-t&AOk-"), "Été");
        assert_eq!(of_file("R&D"), "R&D");
        assert_eq!(of_file("v1\\2e2"), "v1.2");
    }

    proptest! {
        #[test]
        fn there_and_back(level in "[a-c.&é\\\\ -]{1,12}") {
            prop_assert_eq!(of_file(&to_file(&level)), level.clone());
            prop_assert_eq!(of_file(&to_maildir(&level)), level.clone());
            prop_assert!(!to_file(&level).starts_with('.') && !to_maildir(&level).contains('.'));
        }
    }
}
