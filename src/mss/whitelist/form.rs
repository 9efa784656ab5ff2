//! The one form of signature that a white list may have (XML-DSig, MSSanté §2).
//!
//! XML signatures can sign nearly anything in nearly any way, and most attacks on them live in that freedom. So the form
//! is fixed, element by element: enveloped, one reference `URI=""`, the transforms enveloped-signature and exclusive c14n
//! in this order and no other, RSA-SHA256, SHA-256, certificates in `KeyInfo` and nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bergshamra::core::{algorithm, ns};
use bergshamra::xml::{Document, NodeId, NodeKind};

use super::{NAMESPACE, WhiteListError};

/// The leaf and some authorities; nobody sends more.
const MAX_CERTIFICATES: usize = 4;

/// What the verification needs to know of a signature of the accepted form.
pub(super) struct SignatureForm {
    /// The `Signature` element.
    pub(super) node: NodeId,
    /// `DigestValue`, the SHA-256 of the canonical bytes.
    pub(super) digest: Vec<u8>,
    /// The certificates of `KeyInfo` in DER, the signer's first. Nobody has judged them yet.
    pub(super) certificates: Vec<Vec<u8>>,
    /// The text of `DateDeGeneration`, from the same tree.
    pub(super) generated: String,
}

/// Checks the document's form. Nothing is verified by this.
pub(super) fn read(tree: &Document<'_>) -> Result<SignatureForm, WhiteListError> {
    only_elements_and_text(tree)?;
    let root = tree.document_element().ok_or_else(|| xml("there is no root element"))?;
    if !is(tree, root, NAMESPACE, "ListeBlancheMSSante") {
        return Err(xml("the root is not ListeBlancheMSSante"));
    }
    let generated = tree
        .first_child_element_by_name_ns(root, NAMESPACE, "DateDeGeneration")
        .map(|node| tree.text_content_deep(node))
        .ok_or_else(|| xml("there is no DateDeGeneration"))?;
    let node = the_signature(tree, root)?;
    let [info, value, keys] = children(tree, node, ["SignedInfo", "SignatureValue", "KeyInfo"])?;
    no_attributes(tree, info)?;
    text(tree, value)?;
    Ok(SignatureForm { node, digest: signed_info(tree, info)?, certificates: certificates(tree, keys)?, generated })
}

/// Comments and processing instructions are not covered by the digest or could split a text in two; CDATA is another way
/// to write the same. None of them stands in a white list.
fn only_elements_and_text(tree: &Document<'_>) -> Result<(), WhiteListError> {
    for node in tree.descendants(tree.root()) {
        match tree.node_kind(node) {
            Some(NodeKind::Comment(_)) => return Err(xml("there is a comment")),
            Some(NodeKind::ProcessingInstruction(_)) => return Err(xml("there is a processing instruction")),
            Some(NodeKind::CData(_)) => return Err(xml("there is a CDATA section")),
            _ => {}
        }
    }
    Ok(())
}

/// The only `Signature` of the document, the last child of the root.
fn the_signature(tree: &Document<'_>, root: NodeId) -> Result<NodeId, WhiteListError> {
    match tree.get_elements_by_tag_name_ns(ns::DSIG, "Signature")[..] {
        [] => Err(form("there is no signature")),
        [node] => {
            let last = tree.children(root).into_iter().rev().find(|child| tree.element(*child).is_some());
            if last == Some(node) { Ok(node) } else { Err(form("the signature is not the last child of the root")) }
        }
        _ => Err(form("there is more than one signature")),
    }
}

/// `SignedInfo` → the digest that it states.
fn signed_info(tree: &Document<'_>, info: NodeId) -> Result<Vec<u8>, WhiteListError> {
    let [canonicalization, method, reference] =
        children(tree, info, ["CanonicalizationMethod", "SignatureMethod", "Reference"])?;
    algorithm_is(tree, canonicalization, algorithm::EXC_C14N)?;
    algorithm_is(tree, method, algorithm::RSA_SHA256)?;

    match attributes(tree, reference)[..] {
        [("URI", "")] => {}
        _ => return Err(form("the reference is not exactly URI=\"\"")),
    }
    let [transforms, digest_method, digest_value] =
        children(tree, reference, ["Transforms", "DigestMethod", "DigestValue"])?;
    no_attributes(tree, transforms)?;
    let [enveloped, exclusive] = children(tree, transforms, ["Transform", "Transform"])?;
    algorithm_is(tree, enveloped, algorithm::ENVELOPED_SIGNATURE)?;
    algorithm_is(tree, exclusive, algorithm::EXC_C14N)?;
    algorithm_is(tree, digest_method, algorithm::SHA256)?;
    base64_text(tree, digest_value)
}

/// `KeyInfo` → the certificates in it.
fn certificates(tree: &Document<'_>, keys: NodeId) -> Result<Vec<Vec<u8>>, WhiteListError> {
    no_attributes(tree, keys)?;
    let [data] = children(tree, keys, ["X509Data"])?;
    no_attributes(tree, data)?;
    let nodes = element_children(tree, data)?;
    if nodes.is_empty() || nodes.len() > MAX_CERTIFICATES {
        return Err(form(format!("X509Data must hold 1 to {MAX_CERTIFICATES} certificates")));
    }
    nodes
        .into_iter()
        .map(|node| match is(tree, node, ns::DSIG, "X509Certificate") {
            true => base64_text(tree, node),
            false => Err(form("X509Data holds something other than certificates")),
        })
        .collect()
}

/// Exactly these child elements of the signature's namespace, in this order, and white space.
fn children<const N: usize>(
    tree: &Document<'_>,
    parent: NodeId,
    names: [&str; N],
) -> Result<[NodeId; N], WhiteListError> {
    let found = element_children(tree, parent)?;
    let fits = |nodes: &[NodeId; N]| nodes.iter().zip(names).all(|(node, name)| is(tree, *node, ns::DSIG, name));
    let expected = if N == 0 { "nothing".to_owned() } else { names.join(", ") };
    let problem = || form(format!("{} must hold exactly {expected}", name_of(tree, parent)));
    <[NodeId; N]>::try_from(found).ok().filter(fits).ok_or_else(problem)
}

/// The child elements; text between them must be white.
fn element_children(tree: &Document<'_>, parent: NodeId) -> Result<Vec<NodeId>, WhiteListError> {
    let mut elements = Vec::new();
    for child in tree.children_iter(parent) {
        match tree.node_kind(child) {
            Some(NodeKind::Element(_)) => elements.push(child),
            Some(NodeKind::Text(text)) if text.trim().is_empty() => {}
            _ => return Err(form(format!("{} holds text", name_of(tree, parent)))),
        }
    }
    Ok(elements)
}

/// `Algorithm` and nothing else, neither another attribute nor a child (a prefix list, an output length, an XPath …).
fn algorithm_is(tree: &Document<'_>, node: NodeId, expected: &str) -> Result<(), WhiteListError> {
    match attributes(tree, node)[..] {
        [("Algorithm", found)] if found == expected => {}
        _ => return Err(form(format!("{} must be {expected}", name_of(tree, node)))),
    }
    children(tree, node, []).map(|[]| ())
}

fn no_attributes(tree: &Document<'_>, node: NodeId) -> Result<(), WhiteListError> {
    if attributes(tree, node).is_empty() {
        Ok(())
    } else {
        Err(form(format!("{} has attributes", name_of(tree, node))))
    }
}

/// The attributes; one with a namespace shows as its prefixed name, and so is none that is expected.
fn attributes<'t>(tree: &'t Document<'_>, node: NodeId) -> Vec<(&'t str, &'t str)> {
    let attributes = tree.element(node).map_or(&[][..], |element| &element.attributes);
    attributes
        .iter()
        .map(|attribute| match attribute.name.namespace_uri {
            None => (&*attribute.name.local_name, &*attribute.value),
            Some(_) => ("an attribute of another namespace", &*attribute.value),
        })
        .collect()
}

/// The text of an element without attributes and children.
fn text(tree: &Document<'_>, node: NodeId) -> Result<String, WhiteListError> {
    no_attributes(tree, node)?;
    if tree.children_iter(node).any(|child| tree.element(child).is_some()) {
        return Err(form(format!("{} holds elements", name_of(tree, node))));
    }
    Ok(tree.text_content_deep(node))
}

/// Base64 in lines; the real list ends its lines in `&#13;` and a line feed.
fn base64_text(tree: &Document<'_>, node: NodeId) -> Result<Vec<u8>, WhiteListError> {
    let text: String = text(tree, node)?.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(text).map_err(|error| form(format!("{} is not Base64: {error}", name_of(tree, node))))
}

fn is(tree: &Document<'_>, node: NodeId, namespace: &str, name: &str) -> bool {
    tree.element(node).is_some_and(|element| element.name.matches(Some(namespace), name))
}

fn name_of(tree: &Document<'_>, node: NodeId) -> String {
    tree.element(node).map_or_else(String::new, |element| element.name.local_name.chars().take(40).collect())
}

fn xml(problem: impl Into<String>) -> WhiteListError {
    WhiteListError::Xml(problem.into())
}

fn form(problem: impl Into<String>) -> WhiteListError {
    WhiteListError::SignatureForm(problem.into())
}
