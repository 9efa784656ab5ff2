//! The white list (liste blanche): which certificate may speak for which domain (MSSanté §2).
//!
//! The list is authorisation *domain name ↔ subject DN*: no wildcards, no MX, no serial number. A domain may have several
//! DNs, one DN may serve thousands of domains. [`WhiteList`] is immutable and answers from an index.

use std::collections::{HashMap, HashSet};

use thiserror::Error;

use super::dn::NormalisedName;
use super::{DistinguishedName, Domain};

/// One `Domaine` of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `Nom`: the domain.
    pub domain: Domain,
    /// `Description`: free text.
    pub description: String,
    /// `DNCertificatOperateur`: the subject of the certificate that may speak for the domain.
    pub dn: DistinguishedName,
    /// `ResponsableContact`: free text.
    pub responsible: String,
    /// `SupportContact`: free text.
    pub support: String,
    /// `DateMAJ`: when the entry was last changed, in Unix seconds.
    pub updated_at: i64,
}

/// A verified white list and its index.
#[derive(Debug)]
pub struct WhiteList {
    generated_at: i64,
    entries: Vec<Entry>,
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
    /// Larger than the parser takes.
    #[error("the list is larger than {0} octets")]
    TooLarge(usize),
    /// The XML is broken, or has what a white list never has (a DTD, entities, unknown elements …).
    #[error("the list is not the XML of a white list: {0}")]
    Xml(String),
    /// The signature is missing, or is not of the one form that is accepted.
    #[error("the signature is not of the accepted form: {0}")]
    SignatureForm(String),
    /// The signature or a digest does not fit the list.
    #[error("the signature does not fit the list: {0}")]
    BadSignature(String),
    /// The signer is not the pinned one, or cannot be trusted.
    #[error("the signer is not trusted: {0}")]
    Signer(String),
    /// A value that should be a date, a domain or a DN is none.
    #[error("line {line}: {problem}")]
    Value {
        /// The line of the document, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// `DateDeGeneration` lies in the future.
    #[error("the list says it was generated in the future (Unix time {0})")]
    FromTheFuture(i64),
}

impl WhiteList {
    /// A list of these entries. For lists made by ourselves and for tests: what comes from outside goes through the
    /// verification. `generated_at` is Unix seconds.
    pub fn from_entries(generated_at: i64, entries: Vec<Entry>) -> Self {
        let mut list = Self {
            generated_at,
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
    pub fn nearest_by_common_name(&self, peer: &DistinguishedName) -> Option<&DistinguishedName> {
        peer.normalised()
            .values("CN")
            .flat_map(|name| self.by_common_name.get(name).into_iter().flatten())
            .map(|at| &self.entries[*at as usize].dn)
            .min_by_key(|listed| peer.diff(listed).len())
    }
}
