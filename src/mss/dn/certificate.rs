//! A certificate's names → attributes.

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use super::{Attribute, DnError, text};

/// The attributes of a certificate's subject.
pub(super) fn subject(der: &[u8]) -> Result<Vec<Attribute>, DnError> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|error| DnError::Certificate(error.to_string()))?;
    if !rest.is_empty() {
        return Err(DnError::Certificate("there is something behind it".into()));
    }
    attributes(certificate.subject())
}

/// The attributes of a parsed name; the values of a multi-valued RDN stand side by side.
pub(super) fn attributes(name: &X509Name<'_>) -> Result<Vec<Attribute>, DnError> {
    let mut attributes = Vec::new();
    for attribute in name.iter_attributes() {
        let oid = attribute.attr_type().to_id_string();
        let kind = text::short_name(&oid).map_or(oid, str::to_owned);
        let value = decode(attribute.attr_value()).ok_or_else(|| DnError::NotText(kind.clone()))?;
        attributes.push(Attribute { kind, value });
    }
    Ok(attributes)
}

/// The string types of RFC 5280 §4.1.2.4, and IA5String, which older names use.
fn decode(value: &Any<'_>) -> Option<String> {
    let octets = value.data;
    match value.tag() {
        Tag::Utf8String => String::from_utf8(octets.to_vec()).ok(),
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            octets.is_ascii().then(|| String::from_utf8_lossy(octets).into_owned())
        }
        // Written as T.61, in fact always Latin-1.
        Tag::T61String => Some(octets.iter().map(|&octet| char::from(octet)).collect()),
        Tag::BmpString => {
            let (units, rest) = octets.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            if rest.is_empty() { String::from_utf16(&units).ok() } else { None }
        }
        Tag::UniversalString => {
            let (units, rest) = octets.as_chunks::<4>();
            let text: Option<String> = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit))).collect();
            if rest.is_empty() { text } else { None }
        }
        _ => None,
    }
}
