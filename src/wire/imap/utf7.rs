//! Modified UTF-7, the spelling of folder names, RFC 3501 §5.1.3. One name has one spelling: what another encoder would
//! have written differently is refused, so that two spellings never name one folder.

use base64::Engine as _;
use base64::alphabet::Alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::sync::LazyLock;

/// Why a name is no modified UTF-7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Utf7Error {
    /// A byte outside of printable US-ASCII.
    #[error("only printable US-ASCII stands for itself")]
    NotAscii,
    /// `&` without `-`.
    #[error("an & without its -")]
    Unfinished,
    /// No base64 in the alphabet of RFC 3501.
    #[error("not base64 between & and -")]
    NotBase64,
    /// An odd number of bytes, or half a surrogate pair.
    #[error("not UTF-16 between & and -")]
    NotUtf16,
    /// Printable US-ASCII written in base64, or two runs where one would do.
    #[error("written in base64 without need")]
    Superfluous,
}

/// Base64 with `,` for `/`, no padding, and no stray bits at the end.
static BASE64: LazyLock<GeneralPurpose> = LazyLock::new(|| {
    let alphabet = Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,")
        .expect("64 different printable bytes");
    let config = GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(false);
    GeneralPurpose::new(&alphabet, config)
});

/// A name as sent → the name.
pub fn decode(name: &[u8]) -> Result<String, Utf7Error> {
    let mut decoded = String::with_capacity(name.len());
    let mut rest = name;
    let mut after_run = false;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'&' {
            if !matches!(byte, 0x20..=0x7e) {
                return Err(Utf7Error::NotAscii);
            }
            decoded.push(char::from(byte));
            (rest, after_run) = (after, false);
            continue;
        }
        let end = memchr::memchr(b'-', after).ok_or(Utf7Error::Unfinished)?;
        let run = &after[..end];
        rest = &after[end + 1..];
        if run.is_empty() {
            decoded.push('&');
            after_run = false;
            continue;
        }
        if after_run {
            return Err(Utf7Error::Superfluous);
        }
        decode_run(run, &mut decoded)?;
        after_run = true;
    }
    Ok(decoded)
}

fn decode_run(run: &[u8], decoded: &mut String) -> Result<(), Utf7Error> {
    let bytes = BASE64.decode(run).map_err(|_| Utf7Error::NotBase64)?;
    let (units, odd) = bytes.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(Utf7Error::NotUtf16);
    }
    for unit in char::decode_utf16(units.iter().map(|unit| u16::from_be_bytes(*unit))) {
        match unit.map_err(|_| Utf7Error::NotUtf16)? {
            ' '..='~' => return Err(Utf7Error::Superfluous),
            other => decoded.push(other),
        }
    }
    Ok(())
}

/// A name → as it is sent.
pub fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    let mut run: Vec<u8> = Vec::new();
    let flush = |run: &mut Vec<u8>, encoded: &mut String| {
        if !run.is_empty() {
            encoded.push('&');
            BASE64.encode_string(&run, encoded);
            encoded.push('-');
            run.clear();
        }
    };
    for character in name.chars() {
        match character {
            ' '..='~' => {
                flush(&mut run, &mut encoded);
                encoded.push(character);
                if character == '&' {
                    encoded.push('-');
                }
            }
            other => {
                run.extend(other.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()));
            }
        }
    }
    flush(&mut run, &mut encoded);
    encoded
}
