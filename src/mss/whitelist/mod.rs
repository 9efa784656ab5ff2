//! The white list (liste blanche): which certificate may speak for which domain (MSSanté §2).
//!
//! The list is authorisation *domain name ↔ subject DN*: no wildcards, no MX, no serial number. A domain may have several
//! DNs, one DN may serve thousands of domains. [`WhiteList`] is immutable and answers from an index.

//!
//! The way of a document: [`verify_and_parse`] reads it into one tree (bounded; DTDs, entities, comments and processing
//! instructions are refused), checks that the signature has the one accepted form, judges the signer's certificate
//! against the pinned anchors and name, lets bergshamra verify the signature, and then parses **the canonical bytes whose
//! digest was signed**. What is not in those bytes is never seen, so a wrapped or added element has no way in.

mod form;
mod parse;
mod signer;
mod verify;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use thiserror::Error;

pub use self::parse::{EntryProblem, NAMESPACE};
pub use self::signer::SignerPolicy;
pub use self::verify::{MAX_OCTETS, dangerous_parse_unverified, verify_and_parse};
use super::dn::NormalisedName;
use super::{DistinguishedName, Domain};

/// One `Domaine` of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `Nom`: the domain.
    pub domain: Domain,
    /// `Description`: free text.
    pub description: String,
    /// `DNCertificatOperateur`: the subject of the certificate that may speak for the domain. Entries of one spelling share it.
    pub dn: Arc<DistinguishedName>,
    /// `ResponsableContact`: free text.
    pub responsible: String,
    /// `SupportContact`: free text.
    pub support: String,
    /// `DateMAJ`: when the entry was last changed, in Unix seconds, where it can be read.
    pub updated_at: Option<i64>,
}

/// A verified white list and its index.
#[derive(Debug)]
pub struct WhiteList {
    generated_at: i64,
    entries: Vec<Entry>,
    problems: Vec<EntryProblem>,
    /// A number for each distinct DN.
    peers: HashMap<NormalisedName, u32>,
    /// Entries by domain.
    by_domain: HashMap<Domain, Vec<u32>>,
    /// The domains of each peer, by the peer's number, each once, sorted.
    domains: Vec<Vec<Domain>>,
    /// Which peer may speak for which domain: (peer, first entry of the domain).
    pairs: HashSet<(u32, u32)>,
    /// Entries by normalised CN, one for each distinct DN.
    by_common_name: HashMap<String, Vec<u32>>,
}

/// Why a white list cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WhiteListError {
    /// Larger than [`MAX_OCTETS`], or with more tags than a list of that size has.
    #[error("the list is too large")]
    TooLarge,
    /// The XML is broken, or has what a white list never has (a DTD, entities, comments, a second `ListeDomaines` …).
    #[error("the list is not the XML of a white list: {0}")]
    Xml(String),
    /// The signature is missing, or is not of the one form that is accepted.
    #[error("the signature is not of the accepted form: {0}")]
    SignatureForm(String),
    /// The signer's certificate is not the pinned one's, or cannot be trusted.
    #[error("the signer is not trusted: {0}")]
    Signer(String),
    /// The signature or the digest does not fit the list.
    #[error("the signature does not fit the list: {0}")]
    BadSignature(String),
    /// Not one entry could be read.
    #[error("the list has no entry")]
    Empty,
    /// `DateDeGeneration` lies in the future.
    #[error("the list says that it was generated in the future (Unix time {0})")]
    FromTheFuture(i64),
}

impl WhiteListError {
    /// A stable kebab-case name, for alarms and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::Xml(_) => "bad-xml",
            Self::SignatureForm(_) => "signature-form",
            Self::Signer(_) => "signer-not-trusted",
            Self::BadSignature(_) => "bad-signature",
            Self::Empty => "empty",
            Self::FromTheFuture(_) => "from-the-future",
        }
    }
}

impl WhiteList {
    /// A list of these entries. For lists made by ourselves and for tests: what comes from outside goes through the
    /// verification. `generated_at` is Unix seconds.
    pub fn from_entries(generated_at: i64, entries: Vec<Entry>) -> Self {
        let mut list = Self {
            generated_at,
            problems: Vec::new(),
            peers: HashMap::new(),
            by_domain: HashMap::with_capacity(entries.len()),
            domains: Vec::new(),
            pairs: HashSet::with_capacity(entries.len()),
            by_common_name: HashMap::new(),
            entries,
        };
        for at in 0..list.entries.len() {
            list.index(at);
        }
        list.domains.iter_mut().for_each(|domains| domains.sort_unstable());
        list
    }

    fn index(&mut self, at: usize) {
        let entry = &self.entries[at];
        let at = at as u32;
        let of_domain = self.by_domain.entry(entry.domain.clone()).or_default();
        of_domain.push(at);
        let first_of_domain = of_domain[0];
        let next_peer = self.domains.len() as u32;
        let peer = match self.peers.get(entry.dn.normalised()) {
            Some(peer) => *peer,
            None => {
                self.peers.insert(entry.dn.normalised().clone(), next_peer);
                self.domains.push(Vec::new());
                for name in entry.dn.normalised().values("CN") {
                    self.by_common_name.entry(name.to_owned()).or_default().push(at);
                }
                next_peer
            }
        };
        // The real list holds exact duplicates.
        if self.pairs.insert((peer, first_of_domain)) {
            self.domains[peer as usize].push(entry.domain.clone());
        }
    }

    /// `DateDeGeneration`, in Unix seconds.
    pub fn generated_at(&self) -> i64 {
        self.generated_at
    }

    /// Every entry, in the list's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries that could not be read, and so authorise nobody. One damaged entry does not cost the list.
    pub fn problems(&self) -> &[EntryProblem] {
        &self.problems
    }

    /// How many distinct domains are listed.
    pub fn domain_count(&self) -> usize {
        self.by_domain.len()
    }

    /// How many distinct peers (DNs) are listed.
    pub fn peer_count(&self) -> usize {
        self.domains.len()
    }

    /// Whether the peer with this subject may speak for this domain.
    pub fn speaks_for(&self, peer: &DistinguishedName, domain: &Domain) -> bool {
        let peer = self.peers.get(peer.normalised());
        let first_of_domain = self.by_domain.get(domain).and_then(|entries| entries.first());
        peer.zip(first_of_domain).is_some_and(|(peer, first)| self.pairs.contains(&(*peer, *first)))
    }

    /// Whether the peer is listed for at least one domain.
    pub fn contains_peer(&self, peer: &DistinguishedName) -> bool {
        self.peers.contains_key(peer.normalised())
    }

    /// Whether the domain is in the trust space.
    pub fn contains_domain(&self, domain: &Domain) -> bool {
        self.by_domain.contains_key(domain)
    }

    /// The domains that the peer may speak for, sorted, each once.
    pub fn domains_of(&self, peer: &DistinguishedName) -> impl Iterator<Item = &Domain> {
        self.peers.get(peer.normalised()).map_or(&[][..], |peer| &self.domains[*peer as usize]).iter()
    }

    /// The entries of a domain, in the list's order.
    pub fn entries_of(&self, domain: &Domain) -> impl Iterator<Item = &Entry> {
        self.by_domain.get(domain).map_or(&[][..], Vec::as_slice).iter().map(|at| &self.entries[*at as usize])
    }

    /// The listed DN that shares its CN with this one and differs from it in the fewest attributes, to explain a refusal.
    pub fn nearest_by_common_name(&self, peer: &DistinguishedName) -> Option<&Arc<DistinguishedName>> {
        peer.normalised()
            .values("CN")
            .flat_map(|name| self.by_common_name.get(name).into_iter().flatten())
            .map(|at| &self.entries[*at as usize].dn)
            .min_by_key(|listed| peer.diff(listed).len())
    }
}
