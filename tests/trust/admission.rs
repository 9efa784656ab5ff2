//! Admission: may this peer speak for this sender? Every combination, in tables.

use std::sync::Arc;

use caducee::mss::admission::{self, HeaderSenders};
use caducee::mss::{Address, CrlState, DistinguishedName, Rule, TrustSpace, WhiteList};

use crate::support::entry;

const AURA: &str = "CN=mss.aura.example,OU=199000001,O=GCS AURA,ST=Rhône (69),C=FR";
const REGION: &str = "CN=mss.region.example,OU=199000002,O=GIP REGION,ST=Gironde (33),C=FR";
/// The CN of Aura, another organisation.
const PRETENDER: &str = "CN=mss.aura.example,OU=199000009,O=AUTRE,ST=Rhône (69),C=FR";
const STRANGER: &str = "CN=mss.stranger.example,C=FR";

const NOW: i64 = 1000;

fn list() -> Option<Arc<WhiteList>> {
    Some(Arc::new(WhiteList::from_entries(
        NOW,
        vec![
            entry("aura.mssante.example", AURA),
            entry("ch.aura.mssante.example", AURA),
            entry("region.mssante.example", REGION),
            // A domain that two operators speak for.
            entry("shared.mssante.example", AURA),
            entry("shared.mssante.example", REGION),
        ],
    )))
}

fn space(with_list: bool, crl_state: CrlState) -> TrustSpace {
    TrustSpace { list: with_list.then(list).flatten(), crl_state, ..TrustSpace::default() }
}

fn name(text: &str) -> DistinguishedName {
    DistinguishedName::parse_text(text).unwrap()
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

const FRESH: CrlState = CrlState::Loaded { fresh_until: NOW, usable_until: NOW + 10 };
const IN_GRACE: CrlState = CrlState::Loaded { fresh_until: NOW - 10, usable_until: NOW };
const PAST_GRACE: CrlState = CrlState::Loaded { fresh_until: NOW - 20, usable_until: NOW - 1 };

#[test]
fn every_combination_of_peer_and_sender_has_its_rule() {
    use Rule::*;
    // The columns: MAIL FROM of aura, ch.aura, region, shared, an unlisted domain, a subdomain of a listed one, and <>.
    let senders = [
        Some("a@aura.mssante.example"),
        Some("a@CH.aura.mssante.example"),
        Some("a@region.mssante.example"),
        Some("a@shared.mssante.example"),
        Some("a@gmail.example"),
        Some("a@x.aura.mssante.example"),
        None,
    ];
    let (yes, other, none, null) =
        (SenderDomainListed, SenderDomainNotPeers, SenderDomainUnlisted, NullSenderOfListedPeer);
    #[rustfmt::skip]
    let table = [
        (AURA,      [yes,           yes,           other,         yes,           none,          none,          null]),
        (REGION,    [other,         other,         yes,           yes,           none,          none,          null]),
        (PRETENDER, [PeerDnDiffers; 7]),
        (STRANGER,  [PeerNotListed; 7]),
    ];
    for (peer, rules) in table {
        for (sender, rule) in senders.iter().zip(rules) {
            let sender = sender.map(address);
            for crl in [CrlState::NotConfigured, FRESH, IN_GRACE] {
                let decision = admission::sender(&space(true, crl), &name(peer), sender.as_ref(), NOW);
                assert_eq!(decision.rule(), rule, "{peer} {sender:?} {crl:?}");
                assert_eq!(decision.is_accepted(), [yes, null].contains(&rule));
                if let Some(refusal) = decision.refusal() {
                    assert_eq!((refusal.smtp, refusal.enhanced), (550, "5.7.1"));
                }
            }
            // Without a list, or past the CRL's grace, nobody is refused for good and nobody comes in.
            for (with_list, crl, rule) in [
                (false, CrlState::NotConfigured, ListNotLoaded),
                (false, FRESH, ListNotLoaded),
                (false, IN_GRACE, ListNotLoaded),
                (true, PAST_GRACE, RevocationUnknown),
                (true, CrlState::Missing, RevocationUnknown),
                (false, PAST_GRACE, RevocationUnknown),
                (false, CrlState::Missing, RevocationUnknown),
            ] {
                let decision = admission::sender(&space(with_list, crl), &name(peer), sender.as_ref(), NOW);
                let refusal = decision.refusal().expect("refused");
                assert_eq!((refusal.rule, refusal.smtp, refusal.enhanced), (rule, 451, "4.7.0"), "{peer} {sender:?}");
                assert!(refusal.is_temporary());
            }
        }
    }
}

#[test]
fn a_refusal_says_which_attribute_of_the_certificate_differs() {
    let decision = admission::sender(&space(true, FRESH), &name(PRETENDER), None, NOW);
    let reason = &decision.refusal().unwrap().reason;
    assert!(reason.contains("OU, O differ"), "{reason}");
}

#[test]
fn the_dn_is_compared_as_attributes_here_too() {
    let peer = name("C=FR,ST=RHÔNE  (69),O=\"gcs aura\",OU=199000001,CN=MSS.aura.example");
    let decision = admission::sender(&space(true, FRESH), &peer, Some(&address("a@aura.mssante.example")), NOW);
    assert_eq!(decision.rule(), Rule::SenderDomainListed);
}

#[test]
fn every_combination_of_peer_and_header_has_its_rule() {
    use Rule::*;
    let domains = ["aura", "region", "shared", "unlisted"];
    // Which of the domains each peer may speak for.
    let table = [
        (AURA, [true, false, true, false]),
        (REGION, [false, true, true, false]),
        (PRETENDER, [false; 4]),
        (STRANGER, [false; 4]),
    ];
    let at = |domain: &str| address(&format!("a@{domain}.mssante.example"));
    for (peer, may) in table {
        for (from, from_good) in domains.iter().zip(may) {
            let alone = HeaderSenders { from_fields: 1, from: vec![at(from)], ..HeaderSenders::default() };
            let expected = if from_good { HeaderDomainsListed } else { HeaderFromNotPeers };
            assert_header(peer, &alone, expected);
            for (sender, sender_good) in domains.iter().zip(may) {
                let both = HeaderSenders { sender_fields: 1, sender: vec![at(sender)], ..alone.clone() };
                let expected = match (from_good, sender_good) {
                    (true, true) => HeaderDomainsListed,
                    (false, _) => HeaderFromNotPeers,
                    (true, false) => HeaderSenderNotPeers,
                };
                assert_header(peer, &both, expected);
            }
        }
    }
}

#[test]
fn a_header_must_name_exactly_one_author() {
    let a = || address("a@aura.mssante.example");
    let good = HeaderSenders { from_fields: 1, from: vec![a()], ..HeaderSenders::default() };
    assert_header(AURA, &HeaderSenders::default(), Rule::HeaderFromMissing);
    assert_header(AURA, &HeaderSenders { from_fields: 2, ..good.clone() }, Rule::HeaderFromSeveral);
    assert_header(
        AURA,
        &HeaderSenders { from_fields: 2, from: vec![a(), a()], ..good.clone() },
        Rule::HeaderFromSeveral,
    );
    assert_header(AURA, &HeaderSenders { from: vec![a(), a()], ..good.clone() }, Rule::HeaderFromSeveral);
    assert_header(AURA, &HeaderSenders { from: vec![], ..good.clone() }, Rule::HeaderSenderUnreadable);
    assert_header(AURA, &HeaderSenders { unreadable: true, ..good.clone() }, Rule::HeaderSenderUnreadable);
    assert_header(AURA, &HeaderSenders { sender_fields: 1, ..good.clone() }, Rule::HeaderSenderUnreadable);
    let two = HeaderSenders { sender_fields: 2, sender: vec![a(), a()], ..good.clone() };
    assert_header(AURA, &two, Rule::HeaderSenderSeveral);
    let group = HeaderSenders { sender_fields: 1, sender: vec![a(), a()], ..good };
    assert_header(AURA, &group, Rule::HeaderSenderSeveral);
}

fn assert_header(peer: &str, senders: &HeaderSenders, rule: Rule) {
    let decision = admission::header(&space(true, FRESH), &name(peer), senders);
    assert_eq!(decision.rule(), rule, "{peer} {senders:?}");
    assert_eq!(decision.is_accepted(), rule == Rule::HeaderDomainsListed);
    if let Some(refusal) = decision.refusal() {
        assert_eq!((refusal.smtp, refusal.enhanced), (550, "5.7.1"));
    }
    let without = admission::header(&space(false, FRESH), &name(peer), senders);
    assert_eq!(without.refusal().map(|refusal| (refusal.rule, refusal.smtp)), Some((Rule::ListNotLoaded, 451)));
}
