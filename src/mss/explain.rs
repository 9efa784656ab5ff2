//! Why a certificate may speak for a domain, or what stands in its way: for `caducee trust explain`.

use std::sync::Arc;

use super::admission;
use super::dn::AttributeDifference;
use super::{Address, Decision, DistinguishedName, Domain, TrustSpace};

/// What the white list says about a certificate's subject and a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateExplanation {
    /// What a peer with this certificate would be answered to a `MAIL FROM` of the domain.
    pub decision: Decision,
    /// The names that are listed for the domain, the one most like the certificate's first; where the domain is not
    /// listed, the one listed name that has the certificate's CN, if any.
    pub listed: Vec<ListedName>,
}

/// A listed name held against the certificate's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedName {
    /// The name, as the list writes it.
    pub name: Arc<DistinguishedName>,
    /// In which attributes the certificate (left) differs from it (right).
    pub differences: Vec<AttributeDifference>,
}

/// Explains whether the peer with this subject may speak for this domain. `now` is Unix seconds.
pub fn certificate(space: &TrustSpace, peer: &DistinguishedName, domain: &Domain, now: i64) -> CertificateExplanation {
    let sender = Address::of_postmaster(domain);
    let decision = admission::sender(space, peer, Some(&sender), now);
    let Some(list) = space.list.as_deref() else {
        return CertificateExplanation { decision, listed: Vec::new() };
    };
    let mut names: Vec<Arc<DistinguishedName>> = Vec::new();
    for entry in list.entries_of(domain) {
        if !names.iter().any(|name| name.matches(&entry.dn)) {
            names.push(Arc::clone(&entry.dn));
        }
    }
    if names.is_empty() {
        names.extend(list.nearest_by_common_name(peer).map(Arc::clone));
    }
    let mut listed: Vec<ListedName> =
        names.into_iter().map(|name| ListedName { differences: peer.diff(&name), name }).collect();
    listed.sort_by_key(|listed| listed.differences.len());
    CertificateExplanation { decision, listed }
}
