//! The patterns of LIST, RFC 3501 §6.3.8: `*` stands for anything, `%` for anything within a level.

/// Whether a name matches. Time is bounded by the product of the lengths, whatever the pattern.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    // RFC 3501 §5.1: INBOX is without case.
    if name == "INBOX" || name.starts_with("INBOX/") {
        let (level, rest) = pattern.split_at(pattern.find(['/', '*']).unwrap_or(pattern.len()));
        if run(&format!("{}{rest}", level.to_ascii_uppercase()), name) {
            return true;
        }
    }
    run(pattern, name)
}

/// Whether a pattern may match a name that begins so.
pub(super) fn reaches(pattern: &str, beginning: &str) -> bool {
    walk(pattern, beginning).is_some()
}

fn run(pattern: &str, name: &str) -> bool {
    walk(pattern, name).and_then(|reached| reached.last().copied()).unwrap_or_default()
}

/// Walks through all places of the pattern that the name may have reached; `None` when there is none.
fn walk(pattern: &str, name: &str) -> Option<Vec<bool>> {
    let pattern: Vec<char> = pattern.chars().collect();
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    pass_wildcards(&pattern, &mut reached);
    for character in name.chars() {
        let mut next = vec![false; pattern.len() + 1];
        for (at, wanted) in pattern.iter().enumerate().filter(|(at, _)| reached[*at]) {
            match wanted {
                '*' => next[at] = true,
                '%' => next[at] |= character != '/',
                wanted => next[at + 1] |= *wanted == character,
            }
        }
        pass_wildcards(&pattern, &mut next);
        if !next.contains(&true) {
            return None;
        }
        reached = next;
    }
    Some(reached)
}

/// A wildcard also stands for nothing.
fn pass_wildcards(pattern: &[char], reached: &mut [bool]) {
    for (at, wanted) in pattern.iter().enumerate() {
        if reached[at] && matches!(wanted, '*' | '%') {
            reached[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_what_rfc_3501_says() {
        for (pattern, name, wanted) in [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("%/%", "a/b", true),
            ("%/%", "a/b/c", false),
            ("a/*", "a", false),
            ("a*", "a/b", true),
            ("*b*", "a/b/c", true),
            ("%b%", "a/b", false),
            ("inbox", "INBOX", true),
            ("inb%", "INBOX", true),
            ("Inbox/*", "INBOX/Work", true),
            ("inbox/work", "INBOX/Work", false),
            ("sent", "Sent", false),
            ("é%", "été", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_reaches_what_it_may_match_below() {
        for (pattern, beginning, wanted) in [
            ("*", "Shared/", true),
            ("%", "Shared/", false),
            ("Shared/%", "Shared/a@x/", false),
            ("Shared/%/INBOX", "Shared/a@x/", true),
            ("Shared/a@x/INBOX", "Shared/a@x/", true),
            ("Shared/a@x/INBOX", "Shared/b@x/", false),
            ("Sent", "Shared/", false),
            ("S*", "Shared/a@x/", true),
        ] {
            assert_eq!(reaches(pattern, beginning), wanted, "{pattern} {beginning}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_bounded_time() {
        let pattern = format!("{}b", "*a%".repeat(300));
        assert!(!matches(&pattern, &"a".repeat(1000)));
    }
}
