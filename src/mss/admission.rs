//! Admission: may this peer speak for this sender? (MSSanté §3, receiving.)
//!
//! The TLS layer has already checked chain, validity and revocation of the peer's certificate. Here its subject DN is
//! held against the white list: for `MAIL FROM` by [`sender`], for the header's `From:` and `Sender:` by [`header`].

use super::{Address, Decision, DistinguishedName, Domain, Rule, TrustSpace, WhiteList};

/// Who a message's header says it is from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderSenders {
    /// How many `From:` fields the header has.
    pub from_fields: usize,
    /// The addresses in them.
    pub from: Vec<Address>,
    /// How many `Sender:` fields the header has.
    pub sender_fields: usize,
    /// The addresses in them.
    pub sender: Vec<Address>,
    /// Something in these fields could not be read as an address (a group, a missing `@`, a broken quote …).
    pub unreadable: bool,
}

/// May the peer with this subject DN say `MAIL FROM:<mail_from>`? `None` is the null sender. `now` is Unix seconds.
pub fn sender(space: &TrustSpace, peer: &DistinguishedName, mail_from: Option<&Address>, now: i64) -> Decision {
    if !space.crl_state.is_usable(now) {
        let reason = "revocation of your certificate cannot be judged at the moment, try again later";
        return Decision::temporary(Rule::RevocationUnknown, reason);
    }
    let Some(list) = space.list.as_deref() else {
        return no_list();
    };
    if !list.contains_peer(peer) {
        return unlisted_peer(list, peer);
    }
    match mail_from {
        // MSSanté §3: a null sender is accepted when the DN is listed for at least one domain.
        None => Decision::Accept { rule: Rule::NullSenderOfListedPeer },
        Some(address) => sender_domain(list, peer, address.domain()),
    }
}

fn sender_domain(list: &WhiteList, peer: &DistinguishedName, domain: &Domain) -> Decision {
    if list.speaks_for(peer, domain) {
        return Decision::Accept { rule: Rule::SenderDomainListed };
    }
    if !list.contains_domain(domain) {
        let reason = format!("the sender's domain {domain} is not in the white list");
        return Decision::permanent(Rule::SenderDomainUnlisted, "5.7.1", reason);
    }
    let reason = format!("your certificate is not listed for the sender's domain {domain}");
    Decision::permanent(Rule::SenderDomainNotPeers, "5.7.1", reason)
}

/// May the peer with this subject DN deliver a message whose header says this?
///
/// MSSanté §3: the DN must be listed for the domain of `From:`, and of `Sender:` if present; the same with a null sender.
pub fn header(space: &TrustSpace, peer: &DistinguishedName, senders: &HeaderSenders) -> Decision {
    let Some(list) = space.list.as_deref() else {
        return no_list();
    };
    let (from, sender) = match one_sender(senders) {
        Ok(named) => named,
        Err(refusal) => return refusal,
    };
    let refuse = |rule, reason: &str| Decision::permanent(rule, "5.7.1", reason);
    if !list.speaks_for(peer, from.domain()) {
        let reason = format!("your certificate is not listed for the header's From: domain {}", from.domain());
        return refuse(Rule::HeaderFromNotPeers, &reason);
    }
    match sender {
        Some(sender) if !list.speaks_for(peer, sender.domain()) => {
            let reason = format!("your certificate is not listed for the header's Sender: domain {}", sender.domain());
            refuse(Rule::HeaderSenderNotPeers, &reason)
        }
        _ => Decision::Accept { rule: Rule::HeaderDomainsListed },
    }
}

/// The one address of `From:`, and that of `Sender:` if there is one.
///
/// # Errors
/// The refusal of a header that names nobody, several, or somebody who can be read in two ways.
pub fn one_sender(senders: &HeaderSenders) -> Result<(&Address, Option<&Address>), Decision> {
    let refuse = |rule, reason: &str| Err(Decision::permanent(rule, "5.7.1", reason));
    // RFC 5322 §3.6: exactly one From:, at most one Sender:. With several, each reader may believe another.
    if senders.from_fields > 1 || senders.from.len() > 1 {
        return refuse(Rule::HeaderFromSeveral, "the header's From: must hold exactly one address");
    }
    if senders.sender_fields > 1 || senders.sender.len() > 1 {
        return refuse(Rule::HeaderSenderSeveral, "the header's Sender: must hold exactly one address");
    }
    if senders.unreadable || (senders.sender_fields == 1 && senders.sender.is_empty()) {
        return refuse(Rule::HeaderSenderUnreadable, "the header's From: or Sender: is not a readable address");
    }
    let Some(from) = senders.from.first() else {
        return match senders.from_fields {
            0 => refuse(Rule::HeaderFromMissing, "the header has no From:"),
            _ => refuse(Rule::HeaderSenderUnreadable, "the header's From: is not a readable address"),
        };
    };
    Ok((from, senders.sender.first()))
}

fn no_list() -> Decision {
    Decision::temporary(Rule::ListNotLoaded, "no white list is loaded at the moment, try again later")
}

/// Says whether nothing like the peer is listed, or what differs from the listed DN that has its CN.
fn unlisted_peer(list: &WhiteList, peer: &DistinguishedName) -> Decision {
    let Some(listed) = list.nearest_by_common_name(peer) else {
        let reason = "your certificate's subject is not in the white list";
        return Decision::permanent(Rule::PeerNotListed, "5.7.1", reason);
    };
    let mut attributes: Vec<_> = peer.diff(listed).iter().map(|difference| difference.attribute.clone()).collect();
    attributes.dedup();
    let differ = if attributes.len() == 1 { "differs" } else { "differ" };
    let reason =
        format!("your certificate's CN is listed, but with another subject: {} {differ}", attributes.join(", "));
    Decision::permanent(Rule::PeerDnDiffers, "5.7.1", reason)
}
