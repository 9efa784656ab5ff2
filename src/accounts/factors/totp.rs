//! One-time codes by time (TOTP, RFC 6238) as every authenticator makes them: HMAC-SHA-1, six digits, thirty seconds.

use aws_lc_rs::{hmac, rand};
use zeroize::Zeroizing;

use crate::accounts::https::encoded;
use crate::mss::Address;

/// Seconds of a step (RFC 6238 §5.2).
const STEP: i64 = 30;

/// Digits of a code.
const DIGITS: u32 = 6;

/// Octets of a new secret: as long as the digest (RFC 4226 §4, R6).
const SECRET: usize = 20;

/// Steps before and after the present one whose codes are taken: clocks differ, and typing takes time (RFC 6238 §5.2, §6).
const DRIFT: u64 = 1;

/// A new secret.
pub(super) fn new_secret() -> Zeroizing<Vec<u8>> {
    let mut secret = Zeroizing::new(vec![0; SECRET]);
    rand::fill(&mut secret).expect("the operating system's random generator answers");
    secret
}

/// The step whose code this is, if it is one that was not accepted yet and whose time it is.
pub(super) fn step_of(secret: &[u8], code: &str, last_step: u64, now: i64) -> Option<u64> {
    let is_code = code.len() == DIGITS as usize && code.bytes().all(|byte| byte.is_ascii_digit());
    let given: u32 = code.parse().ok().filter(|_| is_code)?;
    let present = u64::try_from(now / STEP).ok()?;
    // RFC 6238 §5.2: a code is accepted once, so those up to the last accepted one are over.
    let steps = present.saturating_sub(DRIFT).max(last_step.saturating_add(1))..=present.saturating_add(DRIFT);
    steps.into_iter().find(|step| hotp(secret, *step, DIGITS) == given)
}

/// RFC 4226 §5.3.
pub(super) fn hotp(secret: &[u8], counter: u64, digits: u32) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &counter.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[tag.len() - 1] & 0xf);
    let mut word = [0; 4];
    word.copy_from_slice(&tag[offset..offset + 4]);
    (u32::from_be_bytes(word) & 0x7fff_ffff) % 10u32.pow(digits)
}

/// Base32 without padding (RFC 4648 §6): how authenticators take a secret that is typed.
pub(super) fn base32(bytes: &[u8]) -> Zeroizing<String> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(5) * 8));
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in bytes {
        bits = (bits << 8 | u32::from(*byte)) & 0xfff;
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(char::from(ALPHABET[(bits >> held & 31) as usize]));
        }
    }
    if held > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - held) & 31) as usize]));
    }
    text
}

/// The address that an authenticator reads from a QR code (the "Key Uri Format" that all of them follow).
pub(super) fn uri(issuer: &str, mailbox: &Address, secret: &str) -> Zeroizing<String> {
    let (issuer, mailbox) = (encoded(issuer), encoded(&mailbox.to_string()));
    Zeroizing::new(format!(
        "otpauth://totp/{issuer}:{mailbox}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_rfc_6238_appendix_b() {
        let secret = b"12345678901234567890";
        for (time, code) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            assert_eq!(hotp(secret, time / 30, 8), code, "{time}");
        }
    }

    #[test]
    fn the_codes_are_those_of_rfc_4226_appendix_d() {
        let codes = [755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871, 520_489];
        for (counter, code) in codes.into_iter().enumerate() {
            assert_eq!(hotp(b"12345678901234567890", counter as u64, 6), code);
        }
    }

    #[test]
    fn a_code_is_taken_a_step_early_or_late_and_never_twice() {
        let secret = b"12345678901234567890";
        let now = 1_234_567_890;
        let present = (now / 30) as u64;
        let code = |step| format!("{:06}", hotp(secret, step, 6));
        for step in present - 1..=present + 1 {
            assert_eq!(step_of(secret, &code(step), 0, now), Some(step));
        }
        assert_eq!(step_of(secret, &code(present - 2), 0, now), None);
        assert_eq!(step_of(secret, &code(present + 2), 0, now), None);
        assert_eq!(step_of(secret, &code(present), present, now), None, "accepted before");
        assert_eq!(step_of(secret, &code(present - 1), present, now), None, "an older one than that");
        assert_eq!(step_of(secret, &code(present + 1), present, now), Some(present + 1));
        for no_code in ["", "12345", "1234567", "+12345", "abcdef"] {
            assert_eq!(step_of(secret, no_code, 0, now), None, "{no_code}");
        }
    }

    #[test]
    fn base32_is_that_of_rfc_4648_section_10() {
        for (plain, text) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB")]
        {
            assert_eq!(base32(plain.as_bytes()).as_str(), text);
        }
        assert_eq!(base32(b"foobar").as_str(), "MZXW6YTBOI");
    }

    #[test]
    fn an_authenticators_address_names_issuer_and_mailbox() {
        let mailbox = Address::parse("anne.lefèvre@aura.mssante.example").unwrap();
        let uri = uri("mx.aura example", &mailbox, "MZXW6");
        assert_eq!(
            uri.as_str(),
            "otpauth://totp/mx.aura%20example:anne.lef%C3%A8vre%40aura.mssante.example?secret=MZXW6\
             &issuer=mx.aura%20example&algorithm=SHA1&digits=6&period=30"
        );
    }
}
