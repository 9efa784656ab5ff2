//! Secrets that people read and type: passwords of device files, recovery codes, codes of digits.

use aws_lc_rs::rand;
use zeroize::Zeroizing;

/// Letters and digits that are not mistaken for each other, read aloud or on paper.
const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// A strong password that can be read out and typed: four groups of five letters and digits, 99 bits.
pub fn generated_password() -> Zeroizing<String> {
    readable(4, 5)
}

/// `groups` groups of `letters` letters and digits with dashes between them; each letter is worth 4.95 bits.
pub(super) fn readable(groups: usize, letters: usize) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(groups * (letters + 1)));
    for number in 0..groups * letters {
        if number > 0 && number % letters == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[usize::from(below(ALPHABET.len() as u8))]));
    }
    text
}

/// A code of so many decimal digits.
pub(super) fn digits(count: u32) -> Zeroizing<String> {
    Zeroizing::new((0..count).map(|_| char::from(b'0' + below(10))).collect())
}

/// What somebody has typed, as it is compared: spaces, dashes and case do not count.
pub(super) fn normalised(typed: &str) -> Zeroizing<String> {
    let kept = typed.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}'));
    Zeroizing::new(kept.map(|c| c.to_ascii_lowercase()).collect())
}

/// A random number below `bound`, none likelier than another.
fn below(bound: u8) -> u8 {
    // The largest multiple of the bound: what lies above would make some numbers likelier.
    let most = u8::MAX - u8::MAX % bound;
    loop {
        let mut byte = [0];
        rand::fill(&mut byte).expect("the operating system's random generator answers");
        if byte[0] < most {
            return byte[0] % bound;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readable_secret_has_its_groups_and_only_letters_that_are_not_mistaken() {
        let secret = generated_password();
        assert_eq!(secret.split('-').map(str::len).collect::<Vec<_>>(), [5, 5, 5, 5]);
        assert!(secret.bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)));
        assert_ne!(secret, readable(4, 5));
    }

    #[test]
    fn codes_have_their_digits_and_use_all_ten() {
        let codes: String = (0..100).map(|_| digits(6).to_string()).collect();
        assert_eq!(codes.len(), 600);
        assert!((b'0'..=b'9').all(|digit| codes.bytes().any(|byte| byte == digit)));
    }

    #[test]
    fn spaces_dashes_and_case_do_not_count() {
        assert_eq!(normalised(" abcd-EF 12\u{2013}34 ").as_str(), "abcdef1234");
    }
}
