//! The white list's text form of a name ↔ attributes.

use super::{Attribute, DnError, MAX_ATTRIBUTES, MAX_TEXT_OCTETS};

/// Attribute types: the short name that we keep, other names for it, its object identifier.
const TYPES: [(&str, &[&str], &str); 19] = [
    ("CN", &["COMMONNAME"], "2.5.4.3"),
    ("OU", &["ORGANIZATIONALUNITNAME"], "2.5.4.11"),
    ("O", &["ORGANIZATIONNAME"], "2.5.4.10"),
    ("L", &["LOCALITYNAME"], "2.5.4.7"),
    ("ST", &["S", "SP", "STATEORPROVINCENAME"], "2.5.4.8"),
    ("C", &["COUNTRYNAME"], "2.5.4.6"),
    ("SN", &["SURNAME"], "2.5.4.4"),
    ("SERIALNUMBER", &[], "2.5.4.5"),
    ("STREET", &["STREETADDRESS"], "2.5.4.9"),
    ("TITLE", &["T"], "2.5.4.12"),
    ("DESCRIPTION", &[], "2.5.4.13"),
    ("BUSINESSCATEGORY", &[], "2.5.4.15"),
    ("POSTALCODE", &[], "2.5.4.17"),
    ("GN", &["GIVENNAME", "G"], "2.5.4.42"),
    ("DNQUALIFIER", &["DNQ"], "2.5.4.46"),
    ("ORGANIZATIONIDENTIFIER", &[], "2.5.4.97"),
    ("UID", &["USERID"], "0.9.2342.19200300.100.1.1"),
    ("DC", &["DOMAINCOMPONENT"], "0.9.2342.19200300.100.1.25"),
    ("E", &["EMAILADDRESS", "EMAIL"], "1.2.840.113549.1.9.1"),
];

/// The short name of an object identifier.
pub(super) fn short_name(oid: &str) -> Option<&'static str> {
    TYPES.iter().find(|(_, _, known)| *known == oid).map(|(short, _, _)| *short)
}

/// Reads `CN=…,OU=…`.
pub(super) fn parse(text: &str) -> Result<Vec<Attribute>, DnError> {
    if text.len() > MAX_TEXT_OCTETS {
        return Err(DnError::TooLong);
    }
    let mut rest = text.trim();
    let mut attributes = Vec::new();
    while !rest.is_empty() {
        let (kind, after_type) = attribute_type(rest).ok_or_else(|| DnError::NoAttributeType(excerpt(rest)))?;
        let (value, after_value) = value(after_type.trim_start());
        if value.trim().is_empty() {
            return Err(DnError::EmptyValue(kind));
        }
        if attributes.len() == MAX_ATTRIBUTES {
            return Err(DnError::TooManyAttributes);
        }
        attributes.push(Attribute { kind, value });
        rest = after_value;
    }
    Ok(attributes)
}

/// `type =` at the start of the text → the type's short name (or object identifier), and what follows.
fn attribute_type(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))?;
    let (name, rest) = text.split_at(end);
    let rest = rest.trim_start().strip_prefix('=')?;
    let upper = name.to_ascii_uppercase();
    let name = upper.strip_prefix("OID.").unwrap_or(&upper);
    if let Some((short, ..)) =
        TYPES.iter().find(|(short, others, oid)| *short == name || others.contains(&name) || *oid == name)
    {
        return Some(((*short).to_owned(), rest));
    }
    // RFC 4514 §2.3: a type without a short name is written as dotted decimal.
    let is_oid = name.split('.').count() > 2
        && name.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()));
    is_oid.then(|| (name.to_owned(), rest))
}

/// A value and what follows its divider.
fn value(text: &str) -> (String, &str) {
    quoted_value(text).unwrap_or_else(|| bare_value(text))
}

/// `"…"` that ends at a divider (RFC 2253 §4). A value such as `"A" B` is not one, and is read as bare text.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                if let Some(rest) = after_divider(&inner[at + 1..]) {
                    return Some((unescape(&inner[..at]), rest));
                }
            }
            _ => {}
        }
    }
    None
}

fn bare_value(text: &str) -> (String, &str) {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' | '+' | ';' => {
                if let Some(rest) = after_divider(&text[at..]) {
                    return (unescape(trim_bare(&text[..at])), rest);
                }
            }
            _ => {}
        }
    }
    (unescape(trim_bare(text)), "")
}

/// Spaces around a bare value do not belong to it (RFC 4514 §2.4 has them escaped if they do).
fn trim_bare(text: &str) -> &str {
    let trimmed = text.trim();
    let backslashes = trimmed.len() - trimmed.trim_end_matches('\\').len();
    // `value\ ` ends in an escaped space, which belongs to it.
    let escaped_space = backslashes % 2 == 1 && text.trim_start()[trimmed.len()..].starts_with(' ');
    if escaped_space { &text.trim_start()[..trimmed.len() + 1] } else { trimmed }
}

/// If the text is at the end or at a divider with an attribute behind it: what follows the divider.
fn after_divider(text: &str) -> Option<&str> {
    let text = text.trim_start();
    if text.is_empty() {
        return Some("");
    }
    let rest = text.strip_prefix([',', '+', ';'])?;
    attribute_type(rest).map(|_| rest)
}

/// RFC 4514 §3: `\` and a character, or `\` and two hexadecimal digits for an octet of UTF-8. What is not a well-formed
/// escape stands for itself, since the list's names were written by hand.
fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        if octet != b'\\' {
            octets.push(octet);
            continue;
        }
        match after {
            [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |b: u8| char::from(b).to_digit(16).unwrap_or(0) as u8;
                octets.push(digit(*high) << 4 | digit(*low));
                rest = &after[2..];
            }
            [special, ..] if b" \"#+,;<=>\\".contains(special) => {
                octets.push(*special);
                rest = &after[1..];
            }
            _ => octets.push(b'\\'),
        }
    }
    String::from_utf8(octets).unwrap_or_else(|_| text.to_owned())
}

/// Writes names so that [`parse`] reads the same attributes again.
pub(super) fn write(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&attribute.kind);
        text.push('=');
        if reads_as_itself(&attribute.value) {
            text.push_str(&attribute.value);
        } else {
            text.push('"');
            for c in attribute.value.chars() {
                if matches!(c, '"' | '\\') {
                    text.push('\\');
                }
                text.push(c);
            }
            text.push('"');
        }
    }
    text
}

fn reads_as_itself(value: &str) -> bool {
    value.trim() == value && !value.starts_with('"') && !value.contains([',', '+', ';', '\\'])
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}
