//! Text on its way into a report: harmless, in ASCII where it must be, within the length of lines.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Octets of a line that we aim at. RFC 5322 §2.1.1.
const LINE: usize = 78;
/// Octets of a line in quoted-printable. RFC 2045 §6.7 (5).
const QUOTED_LINE: usize = 76;

/// Somebody else's words on one line, cut to so many characters: no control characters, so that nothing breaks out of the
/// field it stands in, and nothing that turns the direction of writing round.
pub(super) fn harmless(text: &str, most: usize) -> String {
    let plain = text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c });
    let visible = plain.filter(
        |c| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'),
    );
    // Bounded before it is taken apart: what comes may be long.
    let bounded: String = visible.take(4 * most).collect();
    let words: Vec<&str> = bounded.split_whitespace().collect();
    words.join(" ").chars().take(most).collect()
}

/// The same in ASCII: accents go, what has no ASCII letter becomes a question mark (RFC 3464 §2.1.1 has no encoding).
pub(super) fn ascii(text: &str, most: usize) -> String {
    let folded = text.nfkd().filter(|c| !is_combining_mark(*c)).map(|c| match c {
        '\u{2018}' | '\u{2019}' => '\'',
        '«' | '»' | '\u{201c}' | '\u{201d}' => '"',
        '\u{2010}'..='\u{2015}' => '-',
        c => c,
    });
    let folded: String = folded.take(4 * most).collect();
    harmless(&folded, most).chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// A field, folded at spaces (RFC 5322 §2.2.3); the value is harmless already.
pub(super) fn field(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push(':');
    let mut length = name.len() + 1;
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        let start = if length + 1 + word.len() > LINE && length > name.len() + 1 { "\r\n " } else { " " };
        length = if start == " " { length + 1 } else { 1 } + word.len();
        out.push_str(start);
        out.push_str(word);
    }
    out.push_str("\r\n");
}

/// Text with CRLF line ends in quoted-printable (RFC 2045 §6.7).
pub(super) fn quoted_printable(text: &str, out: &mut String) {
    for line in text.split_terminator("\r\n") {
        let mut length = 0;
        let last = line.len().saturating_sub(1);
        for (at, byte) in line.bytes().enumerate() {
            let is_plain = match byte {
                b' ' | b'\t' => at != last,
                b'=' => false,
                byte => (0x21..0x7f).contains(&byte),
            };
            let width = if is_plain { 1 } else { 3 };
            // One octet is kept for the soft line end.
            if length + width > QUOTED_LINE - 1 {
                out.push_str("=\r\n");
                length = 0;
            }
            length += width;
            if is_plain { out.push(char::from(byte)) } else { out.push_str(&format!("={byte:02X}")) }
        }
        out.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::decoders::quoted_printable::quoted_printable_decode;

    #[test]
    fn a_peers_words_cannot_break_out() {
        assert_eq!(harmless("550 no\r\nBcc: x\0\u{202e}evil", 100), "550 no Bcc: x evil");
        assert_eq!(ascii("Boîte « pleine » — désolé\u{1F600}", 100), "Boite \" pleine \" - desole?");
        assert_eq!(harmless(&"a".repeat(100_000), 500).len(), 500);
        assert_eq!(ascii(&"é".repeat(100_000), 500), "e".repeat(500));
        assert_eq!(harmless(&"\r\n".repeat(100_000), 500), "");
    }

    #[test]
    fn fields_are_folded_within_the_length_of_a_line() {
        let mut out = String::new();
        field(&mut out, "Diagnostic-Code", &format!("smtp; 550 {}", "mot ".repeat(60)));
        assert!(out.lines().count() > 3 && out.split("\r\n").all(|line| line.len() <= LINE), "{out}");
        let unfolded = out.replace("\r\n ", " ");
        assert_eq!(unfolded, format!("Diagnostic-Code: smtp; 550 {}\r\n", ["mot"; 60].join(" ")));
        let mut long = String::new();
        field(&mut long, "To", &"x".repeat(300));
        assert_eq!(long, format!("To: {}\r\n", "x".repeat(300)), "no fold before a first word");
    }

    #[test]
    fn quoted_printable_is_read_as_it_was_written() {
        for text in ["", "a\r\n", "é\r\n", " \r\n", "x \r\n\r\n=3D\t\r\n", &format!("{}\r\n", "À faire : ".repeat(40))]
        {
            let mut out = String::new();
            quoted_printable(text, &mut out);
            assert!(out.is_ascii() && out.split("\r\n").all(|line| line.len() <= QUOTED_LINE), "{out}");
            assert!(out.split("\r\n").all(|line| !line.ends_with([' ', '\t'])), "{out:?}");
            assert_eq!(quoted_printable_decode(out.as_bytes()).unwrap(), text.as_bytes(), "{out:?}");
        }
    }
}
