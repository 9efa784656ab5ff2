//! From bytes to a white list that can be believed.

use aws_lc_rs::digest;
use bergshamra::c14n::{C14nMode, canonicalize_doc};
use bergshamra::dsig::verify::verify_document_with_source;
use bergshamra::keys::loader::load_x509_cert_der;
use bergshamra::xml::uppsala::parser::Parser;
use bergshamra::xml::{Document, NodeSet};
use bergshamra::{DsigContext, KeysManager, VerifyResult};

use super::form::{self, SignatureForm};
use super::parse::{self, MAX_DEPTH};
use super::{SignerPolicy, WhiteList, WhiteListError};

/// The largest list that is read, in octets: four times the real one of 2025, which has 6,494 entries.
pub const MAX_OCTETS: usize = 16 * 1024 * 1024;

/// How many tags and how many attributes are read into a tree; the real list has 91,000 tags. It bounds the memory.
const MAX_MARKS: usize = 500_000;

/// How far the signer's clock may be ahead of ours, in seconds.
const CLOCK_TOLERANCE: i64 = 3600;

/// Reads a white list whose signature holds. `now` is Unix seconds.
///
/// One tree is made of the document. On this tree the signature's form is checked, the signature is verified with the key
/// of the judged signer, and the canonical bytes are made and compared with the signed digest. Only these bytes are parsed.
pub fn verify_and_parse(xml: &[u8], policy: &SignerPolicy, now: i64) -> Result<WhiteList, WhiteListError> {
    let text = bounded_text(xml)?;
    // Without DTD there are no entities but XML's five, and no default attributes.
    let parser = Parser::new().with_max_depth(MAX_DEPTH).with_forbid_dtd(true).with_forbid_entities(true);
    let tree = parser.parse(text).map_err(|error| WhiteListError::Xml(error.to_string()))?;
    let form = form::read(&tree)?;
    let generated_at = parse::parse_time(&form.generated)
        .ok_or_else(|| WhiteListError::Xml(format!("'{}' is no DateDeGeneration", form.generated)))?;
    if generated_at > now.saturating_add(CLOCK_TOLERANCE) {
        return Err(WhiteListError::FromTheFuture(generated_at));
    }
    policy.judge(&form.certificates, generated_at)?;
    verify_signature(&tree, text, &form)?;
    let canonical = signed_octets(&tree, &form)?;
    drop(tree);
    let list = parse::parse(&canonical)?;
    // The signer was judged at this time.
    if list.generated_at() != generated_at {
        return Err(WhiteListError::Xml("DateDeGeneration is ambiguous".into()));
    }
    Ok(list)
}

/// Parses canonical bytes as if a good signature covered them. It is there so that the fuzzer reaches the parser; nothing
/// may be decided on what it gives.
pub fn dangerous_parse_unverified(canonical: &[u8]) -> Result<WhiteList, WhiteListError> {
    bounded_text(canonical)?;
    parse::parse(canonical)
}

fn bounded_text(xml: &[u8]) -> Result<&str, WhiteListError> {
    let count = |octet| memchr::memchr_iter(octet, xml).take(MAX_MARKS + 1).count();
    // The equals sign also stands in DNs, five times an entry.
    if xml.len() > MAX_OCTETS || count(b'<') > MAX_MARKS || count(b'=') > MAX_MARKS {
        return Err(WhiteListError::TooLarge);
    }
    std::str::from_utf8(xml).map_err(|error| WhiteListError::Xml(error.to_string()))
}

/// Lets bergshamra verify `SignatureValue` and the digest with the signer's key, which [`SignerPolicy`] has judged. Keys
/// in the document count for nothing.
fn verify_signature(tree: &Document<'_>, text: &str, form: &SignatureForm) -> Result<(), WhiteListError> {
    let leaf = form.certificates.first().ok_or_else(|| WhiteListError::SignatureForm("no certificate".into()))?;
    let mut key = load_x509_cert_der(leaf).map_err(|error| WhiteListError::Signer(error.to_string()))?;
    // The certificate has been judged; bergshamra gets a bare key and has nothing to judge again.
    key.x509_chain.clear();
    let mut keys = KeysManager::new();
    keys.add_key(key);
    let context = DsigContext::new(keys);
    let result = verify_document_with_source(&context, tree, Some(text))
        .map_err(|error| WhiteListError::BadSignature(error.to_string()))?;
    let all_digests = result.all_reference_digests_verified();
    match result {
        VerifyResult::Valid { signature_node, references, .. } => {
            let covers_root = references.len() == 1 && references.iter().all(|reference| reference.uri.is_empty());
            if all_digests && covers_root && signature_node == form.node {
                Ok(())
            } else {
                Err(WhiteListError::BadSignature("it does not cover the whole list".into()))
            }
        }
        VerifyResult::Invalid { reason } => Err(WhiteListError::BadSignature(reason)),
    }
}

/// The canonical bytes of the document without its signature; their digest is the signed one, or there are none.
fn signed_octets(tree: &Document<'_>, form: &SignatureForm) -> Result<Vec<u8>, WhiteListError> {
    let covered = NodeSet::all_without_comments(tree).subtract(&NodeSet::tree_with_comments(form.node, tree));
    let canonical = canonicalize_doc::<&str>(tree, C14nMode::Exclusive, Some(&covered), &[])
        .map_err(|error| WhiteListError::BadSignature(error.to_string()))?;
    if digest::digest(&digest::SHA256, &canonical).as_ref() != form.digest {
        return Err(WhiteListError::BadSignature("the digest of the canonical bytes differs".into()));
    }
    Ok(canonical)
}
