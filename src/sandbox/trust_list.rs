//! Making white lists: the sandbox plays the national agency.
//!
//! The shape is the real list's: elements in its order, the signature as the last child of the root, Base64 in lines of 76
//! that end in `&#13;` and a line feed, the signer's certificate in `KeyInfo`.

use std::fmt::Write;

use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bergshamra::c14n::{C14nMode, canonicalize};
use thiserror::Error;

use crate::mss::whitelist::{Entry, NAMESPACE};

/// How many Base64 characters stand on a line.
const LINE: usize = 76;

/// Why a list could not be signed.
#[derive(Debug, Error)]
pub enum SignError {
    /// The list cannot be read or has no root element.
    #[error("the list is not well-formed XML: {0}")]
    Xml(String),
    /// The key is no RSA key in PKCS#8.
    #[error("the key is no RSA key in PKCS#8 DER")]
    Key,
    /// The key could not sign.
    #[error("the key could not sign")]
    Sign,
}

/// Writes a list that is not signed yet. `generated_at` is Unix seconds.
pub fn write<'e>(generated_at: i64, entries: impl IntoIterator<Item = &'e Entry>) -> String {
    let mut xml = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListeBlancheMSSante xmlns=\"{NAMESPACE}\">\n");
    xml.push_str(&format!("    <DateDeGeneration>{}</DateDeGeneration>\n    <ListeDomaines>\n", time(generated_at)));
    for entry in entries {
        xml.push_str("        <Domaine>\n");
        let updated = time(entry.updated_at.unwrap_or(generated_at));
        for (name, value) in [
            ("Nom", entry.domain.as_str()),
            ("Description", &entry.description),
            ("DNCertificatOperateur", &entry.dn.to_string()),
            ("ResponsableContact", &entry.responsible),
            ("SupportContact", &entry.support),
            ("DateMAJ", &updated),
        ] {
            let value = quick_xml::escape::partial_escape(value);
            let _ = writeln!(xml, "            <{name}>{value}</{name}>");
        }
        xml.push_str("        </Domaine>\n");
    }
    xml.push_str("    </ListeDomaines>\n</ListeBlancheMSSante>");
    xml
}

/// `YYYY-MM-DDThh:mm:ssZ`
fn time(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// Signs a list as the national agency does: enveloped, exclusive c14n, RSA-SHA256.
///
/// `key` is an RSA key in PKCS#8 DER, `certificates` its certificate in DER and those that link it to an anchor, if any.
pub fn sign(xml_unsigned: &[u8], key: &[u8], certificates: &[Vec<u8>]) -> Result<Vec<u8>, SignError> {
    let xml = std::str::from_utf8(xml_unsigned).map_err(|error| SignError::Xml(error.to_string()))?;
    let canonical =
        canonicalize::<&str>(xml, C14nMode::Exclusive, None, &[]).map_err(|error| SignError::Xml(error.to_string()))?;
    let digest = STANDARD.encode(digest::digest(&digest::SHA256, &canonical));
    // Already in canonical form: the namespace stands where exclusive c14n writes it, and no element is empty-tagged.
    let signed_info = format!(
        "<SignedInfo xmlns=\"{DSIG}\">\
         <CanonicalizationMethod Algorithm=\"{EXC_C14N}\"></CanonicalizationMethod>\
         <SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"></SignatureMethod>\
         <Reference URI=\"\"><Transforms>\
         <Transform Algorithm=\"{DSIG}enveloped-signature\"></Transform><Transform Algorithm=\"{EXC_C14N}\"></Transform>\
         </Transforms><DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></DigestMethod>\
         <DigestValue>{digest}</DigestValue></Reference></SignedInfo>"
    );
    let value = rsa_sha256(key, signed_info.as_bytes())?;
    let mut signature =
        format!("<Signature xmlns=\"{DSIG}\">{signed_info}<SignatureValue>{}</SignatureValue>", lines(&value));
    signature.push_str("<KeyInfo><X509Data>");
    for certificate in certificates {
        signature.push_str(&format!("<X509Certificate>{}</X509Certificate>", lines(certificate)));
    }
    signature.push_str("</X509Data></KeyInfo></Signature>");

    let end = xml.rfind("</").ok_or_else(|| SignError::Xml("there is no end tag".into()))?;
    Ok([&xml[..end], &signature, &xml[end..]].concat().into_bytes())
}

const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const EXC_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

fn rsa_sha256(key: &[u8], octets: &[u8]) -> Result<Vec<u8>, SignError> {
    let key = RsaKeyPair::from_pkcs8(key).map_err(|_| SignError::Key)?;
    let mut value = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &rand::SystemRandom::new(), octets, &mut value).map_err(|_| SignError::Sign)?;
    Ok(value)
}

/// Base64 in lines, the carriage return as a reference, as Java's tools write it.
fn lines(octets: &[u8]) -> String {
    let base64 = STANDARD.encode(octets);
    let mut text = String::with_capacity(base64.len() + base64.len() / 10);
    for (at, character) in base64.chars().enumerate() {
        if at > 0 && at % LINE == 0 {
            text.push_str("&#13;\n");
        }
        text.push(character);
    }
    text
}
