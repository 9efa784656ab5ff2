//! OAuth bearer tokens: OAUTHBEARER (RFC 7628) and XOAUTH2, the form that came before it and that most programs speak.
//!
//! ```text
//! XOAUTH2      user=anne@aura.mssante.fr ^A auth=Bearer eyJ… ^A ^A
//! OAUTHBEARER  n,a=anne@aura.mssante.fr, ^A host=… ^A port=143 ^A auth=Bearer eyJ… ^A ^A
//! ```
//!
//! A token that is refused is first answered with a challenge that says so in JSON; the client answers it with a line that
//! says nothing, and only then is told the refusal ([`Exchange::refusal`](super::Exchange::refusal)).

use std::borrow::Cow;

use super::{Credentials, SaslError, Secret, utf8};

/// What separates the pairs (RFC 7628 §3.1, kvsep).
const SEPARATOR: u8 = 1;

/// What refuses an XOAUTH2 token, in the words that its clients know.
pub(super) const XOAUTH2_REFUSAL: &str = r#"{"status":"401","schemes":"bearer","scope":"openid scope_all"}"#;

/// What refuses an OAUTHBEARER token. RFC 7628 §3.2.2; the error is of RFC 6750 §3.1, the scope Pro Santé Connect's.
pub(super) const OAUTHBEARER_REFUSAL: &str = r#"{"status":"invalid_token","scope":"openid scope_all"}"#;

/// `user=` name ^A `auth=Bearer` token ^A ^A, the pairs in any order.
pub(super) fn xoauth2(message: &[u8]) -> Result<Credentials, SaslError> {
    let pairs = Pairs::read(message)?;
    let user = utf8(pairs.value("user").unwrap_or_default())?;
    Ok(Credentials::Token { user, token: pairs.token()? })
}

/// RFC 7628 §3.1: a GS2 header, ^A, then the pairs. `host` and `port` say what the client believes to speak to; they decide
/// nothing here.
pub(super) fn oauthbearer(message: &[u8]) -> Result<Credentials, SaslError> {
    let at = message.iter().position(|&byte| byte == SEPARATOR).ok_or(SaslError::Malformed)?;
    let (header, rest) = message.split_at(at);
    let user = authorisation(header)?;
    let pairs = Pairs::read(rest.get(1..).unwrap_or_default())?;
    Ok(Credentials::Token { user, token: pairs.token()? })
}

/// RFC 5801 §4: `n` or `y`, a comma, perhaps `a=` and a name, a comma. Channel bindings (`p=`) are not for bearer tokens.
fn authorisation(header: &[u8]) -> Result<String, SaslError> {
    let rest = header.strip_prefix(b"n,").or_else(|| header.strip_prefix(b"y,")).ok_or(SaslError::Malformed)?;
    let name = rest.strip_suffix(b",").ok_or(SaslError::Malformed)?;
    if name.is_empty() {
        return Ok(String::new());
    }
    let name = utf8(name.strip_prefix(b"a=").ok_or(SaslError::Malformed)?)?;
    unescape(&name).map(Cow::into_owned).ok_or(SaslError::Malformed)
}

/// RFC 5801 §4, saslname: a comma is `=2C`, an equals sign `=3D`, and neither stands for itself.
fn unescape(name: &str) -> Option<Cow<'_, str>> {
    if name.is_empty() || name.contains(',') {
        return None;
    }
    if !name.contains('=') {
        return Some(Cow::Borrowed(name));
    }
    let mut parts = name.split('=');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (byte, rest) = match part.split_at_checked(2)? {
            ("2C", rest) => (',', rest),
            ("3D", rest) => ('=', rest),
            _ => return None,
        };
        plain.push(byte);
        plain.push_str(rest);
    }
    Some(Cow::Owned(plain))
}

/// The pairs of a message, in which no key stands twice.
struct Pairs<'m>(Vec<(&'m [u8], &'m [u8])>);

impl<'m> Pairs<'m> {
    /// RFC 7628 §3.1: `*(key "=" value kvsep) kvsep`.
    fn read(message: &'m [u8]) -> Result<Self, SaslError> {
        let body = match message {
            // No pair at all.
            [SEPARATOR] => return Ok(Self(Vec::new())),
            _ => message.strip_suffix(&[SEPARATOR, SEPARATOR]).ok_or(SaslError::Malformed)?,
        };
        let mut pairs: Vec<(&[u8], &[u8])> = Vec::new();
        for pair in body.split(|&byte| byte == SEPARATOR) {
            let at = pair.iter().position(|&byte| byte == b'=').ok_or(SaslError::Malformed)?;
            let (key, value) = (&pair[..at], &pair[at + 1..]);
            let is_key = !key.is_empty() && key.iter().all(u8::is_ascii_alphabetic);
            if !is_key || pairs.iter().any(|(known, _)| *known == key) {
                return Err(SaslError::Malformed);
            }
            pairs.push((key, value));
        }
        Ok(Self(pairs))
    }

    fn value(&self, key: &str) -> Option<&'m [u8]> {
        self.0.iter().find(|(known, _)| *known == key.as_bytes()).map(|(_, value)| *value)
    }

    /// The token; empty where the client sent none: it asks what it would need (RFC 7628 §3.2.2), and is told by the refusal.
    fn token(&self) -> Result<Secret, SaslError> {
        let auth = self.value("auth").unwrap_or_default();
        if auth.is_empty() {
            return Ok(Secret::new(Vec::new()));
        }
        // RFC 9110 §11.1: the scheme's name in any case, then one space or more.
        let (scheme, token) = auth.split_at_checked(b"Bearer ".len()).ok_or(SaslError::Malformed)?;
        let token = token.trim_ascii_start();
        if !scheme.eq_ignore_ascii_case(b"Bearer ") || !is_token(token) {
            return Err(SaslError::Malformed);
        }
        Ok(Secret::new(token))
    }
}

/// RFC 6750 §2.1, b64token.
fn is_token(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let body = &text[..text.len() - padding];
    !body.is_empty() && body.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(user: &str, token: &str) -> Result<Credentials, SaslError> {
        Ok(Credentials::Token { user: user.into(), token: Secret::new(token) })
    }

    #[test]
    fn both_forms_are_read() {
        // RFC 7628 §4.1.
        let message = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        assert_eq!(oauthbearer(message), token("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="));
        assert_eq!(oauthbearer(b"y,,\x01auth=bearer  a.b-c_d\x01\x01"), token("", "a.b-c_d"));
        assert_eq!(oauthbearer(b"n,a=a=2Cb=3Dc,\x01auth=Bearer x\x01\x01"), token("a,b=c", "x"));
        assert_eq!(xoauth2(b"user=a@b.example\x01auth=Bearer x.y.z\x01\x01"), token("a@b.example", "x.y.z"));
        assert_eq!(xoauth2(b"auth=Bearer x\x01user=a@b\x01\x01"), token("a@b", "x"));
    }

    #[test]
    fn a_message_without_a_token_asks_what_is_needed() {
        for message in [&b"n,a=a@b,\x01auth=\x01\x01"[..], b"n,a=a@b,\x01host=h\x01\x01", b"n,a=a@b,\x01\x01"] {
            assert_eq!(oauthbearer(message), token("a@b", ""), "{}", message.escape_ascii());
        }
        assert_eq!(xoauth2(b"user=a@b\x01auth=\x01\x01"), token("a@b", ""));
    }

    #[test]
    fn what_breaks_the_syntax_is_no_credentials() {
        for message in [
            &b""[..],
            b"\x01",
            b"n,\x01auth=Bearer x\x01\x01",
            b"p=tls-exporter,,\x01auth=Bearer x\x01\x01",
            b"F,n,,\x01auth=Bearer x\x01\x01",
            b"n,a=,\x01auth=Bearer x\x01\x01",
            b"n,a=a=2cb,\x01auth=Bearer x\x01\x01",
            b"n,a=a,b,\x01auth=Bearer x\x01\x01",
            b"n,a=\xff,\x01auth=Bearer x\x01\x01",
            b"n,,\x01auth=Bearer x\x01",
            b"n,,\x01auth=Bearer x",
            b"n,,\x01auth=Bearer x\x01\x01\x01",
            b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
            b"n,,\x01auth=Basic eA==\x01\x01",
            b"n,,\x01auth=Bearer\x01\x01",
            b"n,,\x01auth=Bearer x y\x01\x01",
            b"n,,\x01auth=Bearer =\x01\x01",
            b"n,,\x01a b=c\x01auth=Bearer x\x01\x01",
        ] {
            assert_eq!(oauthbearer(message), Err(SaslError::Malformed), "{}", message.escape_ascii());
        }
        for message in [&b"user=a@b"[..], b"user=a\0b\x01auth=Bearer x\x01\x01", b"user\x01auth=Bearer x\x01\x01"] {
            assert_eq!(xoauth2(message), Err(SaslError::Malformed), "{}", message.escape_ascii());
        }
    }
}
