//! Flags as mailbox files keep them, to and from the names that IMAP gives them.
//!
//! Flags are texts here as on the administration API: `\Seen` and the like are IMAP's own, anything else is a keyword.

/// Maildir's letters (<https://cr.yp.to/proto/maildir.html>), in the order in which they must stand: that of ASCII.
const LETTERS: [(char, &str); 6] = [
    ('D', "\\Draft"),
    ('F', "\\Flagged"),
    ('P', "$Forwarded"),
    ('R', "\\Answered"),
    ('S', "\\Seen"),
    ('T', "\\Deleted"),
];

/// The flags that a Maildir file name carries after `:2,` (some systems write `;2,` or `!2,`). Lower-case letters are
/// Dovecot's: the n-th letter is the n-th of `keywords`.
pub fn of_maildir_name(name: &str, keywords: &[String]) -> Vec<String> {
    let info = [":2,", ";2,", "!2,"].iter().find_map(|mark| name.rsplit_once(mark)).map_or("", |(_, info)| info);
    let mut flags = Vec::new();
    for letter in info.chars() {
        let flag = match letter {
            'a'..='z' => keywords.get(usize::from(letter as u8 - b'a')).filter(|name| !name.is_empty()).cloned(),
            _ => LETTERS.iter().find(|(each, _)| *each == letter).map(|(_, flag)| (*flag).to_owned()),
        };
        flags.extend(flag);
    }
    flags
}

/// The letters for a Maildir file name. Keywords get the letter of their place in `keywords`, which grows up to 26;
/// the second value counts those that found no place.
pub fn to_maildir_letters(flags: &[String], keywords: &mut Vec<String>) -> (String, usize) {
    let mut letters: Vec<char> = Vec::new();
    let mut without_place = 0;
    for flag in flags {
        let known = LETTERS.iter().find(|(_, name)| name.eq_ignore_ascii_case(flag)).map(|(letter, _)| *letter);
        let letter = known.or_else(|| (!flag.starts_with('\\')).then(|| place_of(flag, keywords)).flatten());
        match letter {
            Some(letter) => letters.push(letter),
            None if flag.eq_ignore_ascii_case("\\Recent") => {}
            None => without_place += 1,
        }
    }
    letters.sort_unstable();
    letters.dedup();
    (letters.into_iter().collect(), without_place)
}

fn place_of(keyword: &str, keywords: &mut Vec<String>) -> Option<char> {
    let place = match keywords.iter().position(|name| name.eq_ignore_ascii_case(keyword)) {
        Some(place) => place,
        None if keywords.len() < 26 => {
            keywords.push(keyword.to_owned());
            keywords.len() - 1
        }
        None => return None,
    };
    u8::try_from(place).ok().map(|place| char::from(b'a' + place))
}

/// The keywords of Dovecot's `dovecot-keywords` file: lines of number and name.
pub fn of_keywords_file(text: &str) -> Vec<String> {
    let mut keywords = Vec::new();
    for line in text.lines() {
        if let Some((number, name)) = line.split_once(' ')
            && let Ok(number @ 0..26) = number.parse::<usize>()
        {
            if keywords.len() <= number {
                keywords.resize(number + 1, String::new());
            }
            keywords[number] = name.trim().to_owned();
        }
    }
    keywords
}

/// The `dovecot-keywords` file for `keywords`.
pub fn to_keywords_file(keywords: &[String]) -> String {
    keywords.iter().enumerate().map(|(number, name)| format!("{number} {name}\n")).collect()
}

/// The letters of `Status:` and `X-Status:` (mutt, Dovecot, Python's mailbox). `O`, old, says nothing of interest.
const STATUS: [(char, &str); 5] =
    [('R', "\\Seen"), ('A', "\\Answered"), ('F', "\\Flagged"), ('D', "\\Deleted"), ('T', "\\Draft")];

/// The flags of the pseudo-headers; the names are in lower case.
pub fn of_status(fields: &[(&'static str, String)]) -> Vec<String> {
    let mut flags: Vec<String> = Vec::new();
    for (name, value) in fields {
        match *name {
            "x-keywords" => flags.extend(value.split_ascii_whitespace().map(str::to_owned)),
            _ => {
                let known =
                    |letter| STATUS.iter().find(|(each, _)| *each == letter).map(|(_, flag)| (*flag).to_owned());
                flags.extend(value.chars().filter_map(known));
            }
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    flags.retain(|flag| seen.insert(flag.to_ascii_lowercase()));
    flags
}

/// The three pseudo-headers for `flags`, each with its line end, there even when empty.
pub fn to_status(flags: &[String]) -> String {
    let has = |wanted: &str| flags.iter().any(|flag| flag.eq_ignore_ascii_case(wanted));
    let status = if has("\\Seen") { "RO" } else { "O" };
    let others: String = STATUS[1..].iter().filter(|(_, flag)| has(flag)).map(|(letter, _)| *letter).collect();
    let keywords: Vec<&str> = flags.iter().map(String::as_str).filter(|flag| !flag.starts_with('\\')).collect();
    format!("Status: {status}\nX-Status: {others}\nX-Keywords: {}\n", keywords.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(flags: &[&str]) -> Vec<String> {
        flags.iter().map(|flag| (*flag).to_owned()).collect()
    }

    #[test]
    fn letters_of_a_maildir_name() {
        let keywords = texts(&["$MDNSent", "urgent"]);
        assert_eq!(of_maildir_name("1.2.host,S=3:2,FSab", &keywords), ["\\Flagged", "\\Seen", "$MDNSent", "urgent"]);
        assert_eq!(of_maildir_name("1.2.host,U=5:2,RPz", &keywords), ["\\Answered", "$Forwarded"]);
        assert_eq!(of_maildir_name("1.2.host", &keywords), Vec::<String>::new());
    }

    #[test]
    fn letters_stand_in_order_and_keywords_find_their_place() {
        let mut keywords = texts(&["a"]);
        let flags = texts(&["\\Seen", "\\Draft", "B", "A", "$Forwarded", "\\Recent"]);
        assert_eq!(to_maildir_letters(&flags, &mut keywords), ("DPSab".into(), 0));
        assert_eq!(keywords, ["a", "B"]);
        let mut full: Vec<String> = (0..26).map(|n| format!("k{n}")).collect();
        assert_eq!(to_maildir_letters(&texts(&["more"]), &mut full), (String::new(), 1));
    }

    #[test]
    fn the_keywords_file_is_read_as_it_is_written() {
        let keywords = texts(&["$Junk", "à faire"]);
        assert_eq!(of_keywords_file(&to_keywords_file(&keywords)), keywords);
        assert_eq!(of_keywords_file("1 b\nx\n99 c\n"), ["", "b"]);
    }

    #[test]
    fn status_fields_there_and_back() {
        let flags = texts(&["\\Seen", "\\Answered", "\\Draft", "$Forwarded", "x"]);
        let text = to_status(&flags);
        assert_eq!(text, "Status: RO\nX-Status: AT\nX-Keywords: $Forwarded x\n");
        let fields = [("status", "RO".to_owned()), ("x-status", "AT".into()), ("x-keywords", "$Forwarded x".into())];
        assert_eq!(of_status(&fields), flags);
        assert_eq!(of_status(&[("status", "RRO".into()), ("x-keywords", "x X".into())]), ["\\Seen", "x"]);
    }
}
