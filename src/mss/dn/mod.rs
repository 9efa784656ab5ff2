//! Distinguished names: the white list's text and a certificate's subject, compared as attributes, never as strings.
//!
//! The white list writes `CN=…,OU=…,O=…,ST=Dept (NN),C=FR`, with accents, quotes, doubled spaces, no-break spaces and
//! commas inside values, and the same certificate stands under two spellings (MSSanté §2). So both sides are read into
//! attributes, and the values are compared in Unicode NFKC, case-folded, with spaces collapsed and outer quotes dropped.
//! The order of attributes and their grouping into multi-valued RDNs do not count, their number does: a certificate with
//! a second `OU` is another one.

mod certificate;
mod text;

use std::fmt;

use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

/// A name of the trust space has five attributes; nobody needs more than this many.
pub const MAX_ATTRIBUTES: usize = 32;
/// The longest text of a distinguished name that is read, in octets.
pub const MAX_TEXT_OCTETS: usize = 4096;

/// Why something is no distinguished name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DnError {
    /// There is not one attribute.
    #[error("the distinguished name is empty")]
    Empty,
    /// Longer than [`MAX_TEXT_OCTETS`].
    #[error("the distinguished name is longer than {MAX_TEXT_OCTETS} octets")]
    TooLong,
    /// More than [`MAX_ATTRIBUTES`].
    #[error("the distinguished name has more than {MAX_ATTRIBUTES} attributes")]
    TooManyAttributes,
    /// The text does not start with a known attribute type and `=`.
    #[error("'{0}' does not start with an attribute such as 'CN='")]
    NoAttributeType(String),
    /// An attribute without a value.
    #[error("the attribute {0} has no value")]
    EmptyValue(String),
    /// A control character, which no name holds.
    #[error("the attribute {0} holds a control character")]
    ControlCharacter(String),
    /// The certificate cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// A value of a string type that is not read, or that does not hold what its type says.
    #[error("the value of the certificate's attribute {0} is not text")]
    NotText(String),
}

/// One attribute of a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attribute {
    /// The short name (`CN`, `OU`, `O`, `L`, `ST`, `C` …), or the dotted object identifier where there is none.
    pub kind: String,
    /// The value as it was written, without escapes.
    pub value: String,
}

/// A distinguished name as attributes, in the order they were written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DistinguishedName {
    attributes: Vec<Attribute>,
    normalised: NormalisedName,
}

/// What names are compared and indexed by: sorted (attribute, normalised value) pairs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NormalisedName(Vec<(String, String)>);

/// An attribute in which two names differ. Several attributes of one kind (two `OU`s) are compared as sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeDifference {
    /// The attribute: `CN`, `OU`, …
    pub attribute: String,
    /// The value on the one side, as written there; None when the other has one more.
    pub left: Option<String>,
    /// The value on the other side.
    pub right: Option<String>,
}

impl DistinguishedName {
    /// Reads the white list's text form. RFC 4514 escapes and quoted values are understood, and also values with bare
    /// commas, quotes and plus signs in them: a divider is one only where a known attribute type and `=` follow.
    pub fn parse_text(text: &str) -> Result<Self, DnError> {
        Self::from_attributes(text::parse(text)?)
    }

    /// Reads the subject of a certificate.
    pub fn from_der(certificate: &[u8]) -> Result<Self, DnError> {
        Self::from_attributes(certificate::subject(certificate)?)
    }

    /// Reads a name that x509-parser has already parsed, such as an issuer's.
    pub fn from_x509(name: &x509_parser::x509::X509Name<'_>) -> Result<Self, DnError> {
        Self::from_attributes(certificate::attributes(name)?)
    }

    fn from_attributes(attributes: Vec<Attribute>) -> Result<Self, DnError> {
        if attributes.is_empty() {
            return Err(DnError::Empty);
        }
        if attributes.len() > MAX_ATTRIBUTES {
            return Err(DnError::TooManyAttributes);
        }
        let mut pairs = Vec::with_capacity(attributes.len());
        for attribute in &attributes {
            let value = normalise_value(&attribute.value);
            if value.is_empty() {
                return Err(DnError::EmptyValue(attribute.kind.clone()));
            }
            if value.chars().any(char::is_control) {
                return Err(DnError::ControlCharacter(attribute.kind.clone()));
            }
            pairs.push((attribute.kind.clone(), value));
        }
        pairs.sort_unstable_by(|a, b| rank(&a.0).cmp(&rank(&b.0)).then_with(|| a.cmp(b)));
        Ok(Self { attributes, normalised: NormalisedName(pairs) })
    }

    /// The attributes as written.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// The first common name, as written.
    pub fn common_name(&self) -> Option<&str> {
        self.values("CN").next()
    }

    /// All values of one attribute, as written.
    pub fn values<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes.iter().filter(move |attribute| attribute.kind == kind).map(|attribute| attribute.value.as_str())
    }

    /// The form that is compared and indexed.
    pub fn normalised(&self) -> &NormalisedName {
        &self.normalised
    }

    /// Whether both name the same certificate holder.
    pub fn matches(&self, other: &Self) -> bool {
        self.normalised == other.normalised
    }

    /// In which attributes `self` (left) differs from `other` (right); empty exactly when they match.
    pub fn diff(&self, other: &Self) -> Vec<AttributeDifference> {
        let mut differences = Vec::new();
        let mut kinds: Vec<&str> = self.normalised.kinds().chain(other.normalised.kinds()).collect();
        kinds.sort_unstable_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
        kinds.dedup();
        for kind in kinds {
            let (left, right) = (self.unmatched(other, kind), other.unmatched(self, kind));
            for i in 0..left.len().max(right.len()) {
                differences.push(AttributeDifference {
                    attribute: kind.to_owned(),
                    left: left.get(i).cloned(),
                    right: right.get(i).cloned(),
                });
            }
        }
        differences
    }

    /// The values of this kind, as written here, that the other name does not have.
    fn unmatched(&self, other: &Self, kind: &str) -> Vec<String> {
        let mut theirs: Vec<String> = other.values(kind).map(normalise_value).collect();
        let mut unmatched = Vec::new();
        for value in self.values(kind) {
            let normal = normalise_value(value);
            match theirs.iter().position(|their| *their == normal) {
                Some(at) => drop(theirs.swap_remove(at)),
                None => unmatched.push(value.to_owned()),
            }
        }
        unmatched
    }
}

impl fmt::Display for DistinguishedName {
    /// The white list's form; values that would be read otherwise are quoted (RFC 4514 §2.4 escapes inside).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&text::write(&self.attributes))
    }
}

impl fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistinguishedName({self})")
    }
}

impl NormalisedName {
    fn kinds(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(kind, _)| kind.as_str())
    }

    /// The normalised values of one attribute.
    pub fn values<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == kind).map(|(_, value)| value.as_str())
    }
}

/// NFKC, case folded, spaces collapsed, outer quotes dropped (MSSanté §2).
pub(super) fn normalise_value(value: &str) -> String {
    // Upper, then lower case, character by character, is Unicode's full case folding but for some rare letters; it makes
    // 'ß' and 'ss' one, and both sigmas. NFKC again, because folding can undo it.
    let folded: String =
        value.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect::<String>().nfkc().collect();
    let mut text = collapse_spaces(&folded);
    while let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        text = collapse_spaces(inner);
    }
    text
}

/// NFKC has already made a plain space of the no-break space.
fn collapse_spaces(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace()).filter(|word| !word.is_empty()) {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    collapsed
}

/// The order in which people read a name: the white list's.
fn rank(kind: &str) -> usize {
    ["CN", "OU", "O", "L", "ST", "C"].iter().position(|known| *known == kind).unwrap_or(usize::MAX)
}
