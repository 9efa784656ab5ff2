//! White lists: nothing that the fuzzer makes is taken, since it has no signer's key; the parser behind the signature is
//! reached by `dangerous_parse_unverified`.

use caducee::mss::whitelist::{SignerPolicy, dangerous_parse_unverified, verify_and_parse};

/// A moment after every date that a list could rightly bear (2100, Unix seconds).
const NOW: i64 = 4_102_444_800;

/// One input of the fuzzer: a document, taken once as it came over the network and once as if its signature held.
pub fn check(data: &[u8]) {
    let policy = SignerPolicy { anchors: Vec::new(), signer_cn: "liste.mssante.example".into(), crls: Vec::new() };
    assert!(verify_and_parse(data, &policy, NOW).is_err(), "nobody is pinned, so nobody can sign");
    if let Ok(list) = dangerous_parse_unverified(data) {
        for entry in list.entries() {
            assert!(list.speaks_for(&entry.dn, &entry.domain));
            assert!(list.contains_peer(&entry.dn) && list.contains_domain(&entry.domain));
            assert!(list.entries_of(&entry.domain).any(|other| other == entry));
        }
        assert_eq!(list.domain_count() == 0, list.entries().is_empty());
    }
}
