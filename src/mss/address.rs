//! Mail addresses and domains, as values that cannot be wrong.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

/// RFC 5321 §4.5.3.1.1: a local part has at most 64 octets.
pub const MAX_LOCAL_OCTETS: usize = 64;
/// RFC 5321 §4.5.3.1.2 says 255 octets; RFC 1035 §2.3.4 leaves 253 for the text of a name.
pub const MAX_DOMAIN_OCTETS: usize = 253;
/// RFC 5321 §4.5.3.1.3: a path has at most 256 octets with its angle brackets, which leaves 254 for the address.
pub const MAX_ADDRESS_OCTETS: usize = 254;
/// RFC 1035 §2.3.4: a label has at most 63 octets.
const MAX_LABEL_OCTETS: usize = 63;

/// Why a text is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DomainError {
    /// No text at all.
    #[error("the domain is empty")]
    Empty,
    /// Longer than [`MAX_DOMAIN_OCTETS`].
    #[error("the domain is longer than {MAX_DOMAIN_OCTETS} octets")]
    TooLong,
    /// An empty label, one over 63 octets, or one that starts or ends with a hyphen.
    #[error("a label of the domain is empty, too long, or starts or ends with a hyphen")]
    BadLabel,
    /// An octet that is neither letter, digit, hyphen nor dot. Internationalised names are written as A-labels (`xn--`).
    #[error("the domain holds a character other than a-z, 0-9, '-' and '.'")]
    BadCharacter,
    /// `[192.0.2.1]`: the trust space knows names only.
    #[error("address literals have no place in the trust space")]
    Literal,
}

/// A domain name in lower case, letters, digits and hyphens only (RFC 5321 §4.1.2 `Domain`, RFC 1123 §2.1).
///
/// Domains of the trust space are compared without case (MSSanté §2), so only the lower-case form is kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(Box<str>);

impl Domain {
    /// Reads a domain name, in any case.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        if text.is_empty() {
            return Err(DomainError::Empty);
        }
        if text.len() > MAX_DOMAIN_OCTETS {
            return Err(DomainError::TooLong);
        }
        if text.starts_with('[') {
            return Err(DomainError::Literal);
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') {
            return Err(DomainError::BadCharacter);
        }
        let label_is_good = |label: &str| {
            !label.is_empty() && label.len() <= MAX_LABEL_OCTETS && !label.starts_with('-') && !label.ends_with('-')
        };
        if !text.split('.').all(label_is_good) {
            return Err(DomainError::BadLabel);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels, from left to right.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.0)
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Domain {
    type Error = DomainError;

    fn try_from(text: String) -> Result<Self, DomainError> {
        Self::parse(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> String {
        domain.0.into()
    }
}

/// Why a text is no mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// There is no `@`.
    #[error("the address has no '@'")]
    NoAt,
    /// Longer than [`MAX_ADDRESS_OCTETS`].
    #[error("the address is longer than {MAX_ADDRESS_OCTETS} octets")]
    TooLong,
    /// Nothing before the `@`.
    #[error("the local part is empty")]
    EmptyLocal,
    /// Longer than [`MAX_LOCAL_OCTETS`].
    #[error("the local part is longer than {MAX_LOCAL_OCTETS} octets")]
    LocalTooLong,
    /// Neither a dot-string nor a quoted string (RFC 5321 §4.1.2, RFC 6531 §3.3).
    #[error("the local part is neither a dot-string nor a quoted string")]
    BadLocal,
    /// The part after the `@`.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

/// A mail address: a local part, kept as written, and a domain.
///
/// UTF-8 local parts (RFC 6531) are allowed. A quoted local part that needs no quotes is kept without them
/// (RFC 5321 §4.1.2: both forms are the same mailbox). Two addresses name the same mailbox when their
/// [`key`](Address::key)s are equal; `==` compares the written form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    local: Box<str>,
    domain: Domain,
}

impl Address {
    /// Reads `local@domain`, without angle brackets, display name or source route.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > MAX_ADDRESS_OCTETS {
            return Err(AddressError::TooLong);
        }
        // A quoted local part may hold an '@', a domain never does: the last one divides.
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
        let local = parse_local(local)?;
        Ok(Self { local, domain: Domain::parse(domain)? })
    }

    /// `postmaster` of a domain, which every domain has (RFC 5321 §4.5.1).
    pub fn of_postmaster(domain: &Domain) -> Self {
        Self { local: "postmaster".into(), domain: domain.clone() }
    }

    /// The part before the `@`, as written (quoted only where it must be).
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// What mailboxes are compared by: the whole address in Unicode NFC and lower case.
    pub fn key(&self) -> String {
        let mut key: String = self.local.nfc().flat_map(char::to_lowercase).collect();
        key.push('@');
        key.push_str(self.domain.as_str());
        key
    }

    /// Whether this address can only travel with SMTPUTF8 (RFC 6531 §3.4).
    pub fn needs_smtputf8(&self) -> bool {
        !self.local.is_ascii()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

/// Checks a local part and gives its shortest form.
fn parse_local(local: &str) -> Result<Box<str>, AddressError> {
    if local.is_empty() {
        return Err(AddressError::EmptyLocal);
    }
    if local.len() > MAX_LOCAL_OCTETS {
        return Err(AddressError::LocalTooLong);
    }
    if is_dot_string(local) {
        return Ok(local.into());
    }
    let content = unquote(local).ok_or(AddressError::BadLocal)?;
    if is_dot_string(&content) { Ok(content.into()) } else { Ok(quote(&content).into()) }
}

/// RFC 5321 §4.1.2 `Dot-string`, with RFC 6531 §3.3's UTF8-non-ascii in `atext`.
fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) } else { is_plain_utf8(c) }
}

/// Controls and separators of lines have no place in an address, whatever the standard lets through.
fn is_plain_utf8(c: char) -> bool {
    !c.is_control()
        && !c.is_whitespace()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// RFC 5321 §4.1.2 `Quoted-string` → its content; None when it is not one.
fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if text.len() < 3 {
        return None;
    }
    let mut content = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                escaped @ ' '..='~' => content.push(escaped),
                _ => return None,
            },
            '"' => return None,
            ' '..='~' => content.push(c),
            c if !c.is_ascii() && is_plain_utf8(c) => content.push(c),
            _ => return None,
        }
    }
    Some(content)
}

fn quote(content: &str) -> String {
    let mut quoted = String::with_capacity(content.len() + 2);
    quoted.push('"');
    for c in content.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_kept_in_lower_case() {
        assert_eq!(Domain::parse("Aura.MSSante.FR").unwrap().as_str(), "aura.mssante.fr");
    }

    #[test]
    fn bad_domains_are_refused_with_their_reason() {
        let label = "a".repeat(64);
        let long = vec!["a".repeat(60); 5].join(".");
        for (text, error) in [
            ("", DomainError::Empty),
            ("a..fr", DomainError::BadLabel),
            (".fr", DomainError::BadLabel),
            ("fr.", DomainError::BadLabel),
            ("-a.fr", DomainError::BadLabel),
            ("a-.fr", DomainError::BadLabel),
            (label.as_str(), DomainError::BadLabel),
            (long.as_str(), DomainError::TooLong),
            ("a b.fr", DomainError::BadCharacter),
            ("a_b.fr", DomainError::BadCharacter),
            ("é.fr", DomainError::BadCharacter),
            ("a\0.fr", DomainError::BadCharacter),
            ("[192.0.2.1]", DomainError::Literal),
        ] {
            assert_eq!(Domain::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn addresses_of_the_same_mailbox_have_the_same_key() {
        let key = |text| Address::parse(text).unwrap().key();
        assert_eq!(key("Jeanne.Dupont@AURA.mssante.fr"), key("jeanne.dupont@aura.mssante.fr"));
        assert_eq!(key("\"jeanne.dupont\"@aura.mssante.fr"), key("jeanne.dupont@aura.mssante.fr"));
        // 'é' in one character and in two.
        assert_eq!(key("Ren\u{e9}e@a.fr"), key("ren\u{65}\u{301}e@a.fr"));
    }

    #[test]
    fn an_address_is_shown_as_written() {
        let address = Address::parse("Jeanne.Dupont@AURA.mssante.fr").unwrap();
        assert_eq!(address.to_string(), "Jeanne.Dupont@aura.mssante.fr");
        assert_eq!(Address::parse("\"a b\"@x.fr").unwrap().to_string(), "\"a b\"@x.fr");
        assert_eq!(Address::parse("\"a\\b@c\"@x.fr").unwrap().to_string(), "\"ab@c\"@x.fr");
    }

    #[test]
    fn bad_addresses_are_refused_with_their_reason() {
        let local = format!("{}@x.fr", "a".repeat(65));
        let long = format!("{}@{}", "a".repeat(64), vec!["b".repeat(62); 4].join("."));
        for (text, error) in [
            ("", AddressError::NoAt),
            ("jeanne", AddressError::NoAt),
            ("@x.fr", AddressError::EmptyLocal),
            ("a@", AddressError::Domain(DomainError::Empty)),
            (".a@x.fr", AddressError::BadLocal),
            ("a.@x.fr", AddressError::BadLocal),
            ("a..b@x.fr", AddressError::BadLocal),
            ("a b@x.fr", AddressError::BadLocal),
            ("a@b@x.fr", AddressError::BadLocal),
            ("<a@x.fr>", AddressError::BadLocal),
            ("\"a@x.fr", AddressError::BadLocal),
            ("\"\"@x.fr", AddressError::BadLocal),
            ("\"a\"b\"@x.fr", AddressError::BadLocal),
            ("a\r\n@x.fr", AddressError::BadLocal),
            ("a\u{a0}b@x.fr", AddressError::BadLocal),
            (local.as_str(), AddressError::LocalTooLong),
            (long.as_str(), AddressError::TooLong),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text}");
        }
    }
}
