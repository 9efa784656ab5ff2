//! Text of messages as people read it: encoded words, charsets, dates.

use base64::Engine as _;
use mail_parser::decoders::charsets::DecoderFnc;
use mail_parser::decoders::charsets::map::charset_decoder;

use crate::wire::imap::date;

/// Base64 as mail has it: padding may be missing, and stray bits are nobody's business.
pub(super) const LENIENT_BASE64: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Bytes of an unknown charset: UTF-8 if they are that, else what old mail mostly is.
pub(super) fn unlabelled(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => latin(bytes),
    }
}

fn latin(bytes: &[u8]) -> String {
    match charset_decoder(b"windows-1252") {
        Some(decoder) => decoder(bytes),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// A header field's value with its encoded words decoded (RFC 2047), in lower case.
pub(super) fn header(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    let mut after_word = false;
    while let Some(at) = memchr::memmem::find(rest, b"=?") {
        let (before, from) = rest.split_at(at);
        let Some((word, length)) = encoded_word(from) else {
            text.push_str(&unlabelled(&rest[..at + 2]));
            rest = &rest[at + 2..];
            after_word = false;
            continue;
        };
        // RFC 2047 §6.2: white space between two encoded words is not shown.
        if !(after_word && before.iter().all(u8::is_ascii_whitespace)) {
            text.push_str(&unlabelled(before));
        }
        text.push_str(&word);
        rest = &from[length..];
        after_word = true;
    }
    text.push_str(&unlabelled(rest));
    text.to_lowercase()
}

/// `=?charset?B|Q?text?=` at the beginning; with its length.
fn encoded_word(from: &[u8]) -> Option<(String, usize)> {
    let inner = from.strip_prefix(b"=?")?;
    let charset_end = memchr::memchr(b'?', inner)?;
    // RFC 2231 §5: a language may follow the charset.
    let label = inner[..charset_end].split(|byte| *byte == b'*').next()?;
    let (encoding, rest) = inner[charset_end + 1..].split_first()?;
    let text = rest.strip_prefix(b"?")?;
    let end = memchr::memmem::find(text, b"?=")?;
    let encoded = &text[..end];
    let bytes = match encoding.to_ascii_uppercase() {
        b'B' => LENIENT_BASE64.decode(encoded).ok()?,
        b'Q' => q_decode(encoded),
        _ => return None,
    };
    let mut decoder = TextDecoder::of(Some(label));
    let decoded = decoder.push(&bytes) + &decoder.finish();
    Some((decoded, from.len() - text.len() + end + 2))
}

/// RFC 2047 §4.2.
fn q_decode(encoded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, after)) = rest.split_first() {
        let octet = if byte == b'=' { after.get(..2).and_then(hex_octet) } else { None };
        (rest, _) = match octet {
            Some(octet) => (&after[2..], decoded.push(octet)),
            None => (after, decoded.push(if byte == b'_' { b' ' } else { byte })),
        };
    }
    decoded
}

/// Two hexadecimal digits.
pub(super) fn hex_octet(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(*digits.first()?)? * 16 + digit(*digits.get(1)?)?;
    u8::try_from(value).ok()
}

/// Bytes that some charsets are gathered up to before they are decoded: those where a piece needs what came before it.
const GATHERED: usize = 1024 * 1024;

/// A charset, undone piece by piece.
pub(super) struct TextDecoder {
    charset: Charset,
    /// Octets that are not decoded yet.
    held: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Charset {
    /// UTF-8, US-ASCII, none named, or one we do not know: UTF-8 where it is that, Latin else.
    Utf8,
    /// An octet is a character.
    Single(DecoderFnc),
    /// Octets mean something by what came before them.
    Stateful(DecoderFnc),
}

impl TextDecoder {
    /// By its label, RFC 2978.
    pub(super) fn of(label: Option<&[u8]>) -> TextDecoder {
        let single = |label: &[u8]| {
            let label = label.to_ascii_lowercase();
            [&b"iso-8859"[..], b"iso_8859", b"latin", b"windows-", b"cp", b"koi8", b"ibm", b"macintosh"]
                .iter()
                .any(|family| label.starts_with(family))
        };
        let charset = match label.map(<[u8]>::trim_ascii) {
            None => Charset::Utf8,
            Some(label) if [&b"utf-8"[..], b"utf8", b"us-ascii"].iter().any(|l| l.eq_ignore_ascii_case(label)) => {
                Charset::Utf8
            }
            Some(label) => match charset_decoder(label) {
                Some(decoder) if single(label) => Charset::Single(decoder),
                Some(decoder) => Charset::Stateful(decoder),
                None => Charset::Utf8,
            },
        };
        TextDecoder { charset, held: Vec::new() }
    }

    /// What can be read of the octets so far.
    pub(super) fn push(&mut self, octets: &[u8]) -> String {
        match self.charset {
            Charset::Single(decoder) => decoder(octets),
            Charset::Stateful(_) => {
                let room = GATHERED.saturating_sub(self.held.len());
                self.held.extend_from_slice(&octets[..octets.len().min(room)]);
                String::new()
            }
            Charset::Utf8 => {
                self.held.extend_from_slice(octets);
                let whole = complete_utf8(&self.held);
                let rest = self.held.split_off(whole);
                unlabelled(&std::mem::replace(&mut self.held, rest))
            }
        }
    }

    /// What is left.
    pub(super) fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        match self.charset {
            Charset::Stateful(decoder) | Charset::Single(decoder) => decoder(&held),
            Charset::Utf8 => unlabelled(&held),
        }
    }
}

/// How much of the bytes does not end within a character.
fn complete_utf8(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

/// The day of a `Date:` field, its time and zone left out (RFC 3501 §6.4.4), in days since 1970-01-01.
pub(super) fn day_of_date(value: &[u8]) -> Option<i64> {
    // RFC 5322 §3.3: [day-of-week ","] day month year
    let value = memchr::memchr(b',', value).map_or(value, |comma| &value[comma + 1..]);
    let mut words = value.split(|byte| byte.is_ascii_whitespace() || *byte == b'-').filter(|word| !word.is_empty());
    let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse::<i64>().ok();
    let day = number(words.next()?)?;
    let month = date::month(words.next()?.get(..3)?)?;
    let year_word = words.next()?;
    let year = match (number(year_word)?, year_word.len()) {
        // RFC 5322 §4.3: obsolete years of two and three digits.
        (year @ 0..50, 2) => year + 2000,
        (year, 2 | 3) => year + 1900,
        (year, _) => year,
    };
    date::days(year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_read_as_text() {
        assert_eq!(
            header(b"=?ISO-8859-1?Q?Patrik_F=E4ltstr=F6m?= <paf@nada.kth.se>"),
            "patrik fältström <paf@nada.kth.se>"
        );
        assert_eq!(header(b"=?utf-8?B?UsOpc3VsdA==?=\r\n =?utf-8?b?YXRz?= bio"), "résultats bio");
        assert_eq!(header("Été".as_bytes()), "été");
        assert_eq!(header(b"\xc9t\xe9"), "été", "unlabelled Latin");
        assert_eq!(header(b"a =?x?= =?utf-8?X?y?= b"), "a =?x?= =?utf-8?x?y?= b", "what is no word stays");
        assert_eq!(header(b"=?utf-8*fr?q?a=zz=3D?="), "a=zz=");
    }

    #[test]
    fn days_of_dates_leave_time_and_zone_out() {
        let day = date::days(1996, 7, 17);
        for text in ["Wed, 17 Jul 1996 23:59:59 -0700", "17 Jul 96 02:23:25 GMT", "  17  July 1996", "17-Jul-1996"] {
            assert_eq!(day_of_date(text.as_bytes()), day, "{text}");
        }
        for text in ["", "Wed,", "32 Jul 1996", "17 Foo 1996", "Jul 17 1996", "17 Jul"] {
            assert_eq!(day_of_date(text.as_bytes()), None, "{text}");
        }
    }
}
