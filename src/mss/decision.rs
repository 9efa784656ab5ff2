//! What the rules answer: accepted or refused, by which rule, with which words and codes.

use std::fmt;

/// A rule of the trust space that decided something. Its [`name`](Rule::name) is stable: it stands in SMTP replies, in
/// traces, in counters and in the operator's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    // ── admission: may this peer speak for this sender? ──
    /// Accepts: the peer's DN is listed for the sender's domain.
    SenderDomainListed,
    /// Accepts: a null sender from a peer whose DN is listed for at least one domain.
    NullSenderOfListedPeer,
    /// Accepts: the header's `From:` and `Sender:` domains are listed for the peer's DN.
    HeaderDomainsListed,
    /// Refuses for now: no white list has been loaded yet.
    ListNotLoaded,
    /// Refuses for now: the revocation list is past `nextUpdate` and its grace, or was never loaded.
    RevocationUnknown,
    /// Refuses: the peer's DN is not in the white list.
    PeerNotListed,
    /// Refuses: a DN with the peer's CN is listed, but another attribute differs.
    PeerDnDiffers,
    /// Refuses: the sender's domain is not in the white list.
    SenderDomainUnlisted,
    /// Refuses: the sender's domain is listed, but for another operator.
    SenderDomainNotPeers,
    /// Refuses: the header has no `From:`.
    HeaderFromMissing,
    /// Refuses: the header has more than one `From:` field, or several addresses in it.
    HeaderFromSeveral,
    /// Refuses: the header has more than one `Sender:` field, or several addresses in it.
    HeaderSenderSeveral,
    /// Refuses: `From:` or `Sender:` cannot be read as an address.
    HeaderSenderUnreadable,
    /// Refuses: the `From:` domain is not one of the peer's.
    HeaderFromNotPeers,
    /// Refuses: the `Sender:` domain is not one of the peer's.
    HeaderSenderNotPeers,

    // ── exchange: may A write to B? ──
    /// Accepts: both mailboxes are of this operator's own domains.
    OwnToOwn,
    /// Accepts: own mailbox to another operator's.
    OwnToOther,
    /// Accepts: another operator's mailbox to an own one.
    OtherToOwn,
    /// Accepts: a report (null sender) to a mailbox that may take it.
    NullSender,
    /// Refuses: the recipient does not exist here.
    RecipientUnknown,
    /// Refuses: the recipient's mailbox is suspended.
    RecipientSuspended,
    /// Refuses: the recipient's mailbox is closed for good.
    RecipientClosed,
    /// Refuses: the recipient exchanges with the operator's own domains only.
    RecipientRestricted,
    /// Refuses: the recipient's domain is not in the white list.
    RecipientDomainUnlisted,
    /// Refuses: nothing can be sent to the null path.
    RecipientNull,
    /// Refuses: the sender claims an address of ours that does not exist.
    SenderUnknown,
    /// Refuses: the sender's mailbox is suspended.
    SenderSuspended,
    /// Refuses: the sender's mailbox is closed.
    SenderClosed,
    /// Refuses: the sender exchanges with the operator's own domains only.
    SenderRestricted,
    /// Refuses: outsider to outsider; nothing is ever relayed.
    Relaying,
    /// Refuses: a test mailbox writes to a mailbox of another domain that is no test mailbox.
    TestToReal,
    /// Refuses: a mailbox that is no test mailbox writes to a test mailbox of another domain.
    RealToTest,
    /// Refuses: a professional writes to an address in a citizens' domain that no citizen can have.
    CitizenAddressForm,
    /// Refuses: a citizen writes to a mailbox that has never written to them.
    CitizenNotStarted,
    /// Refuses: a citizen answers in a conversation that the mailbox has closed.
    CitizenConversationClosed,
}

impl Rule {
    /// Every rule, for tables, counters and documentation.
    pub const ALL: [Rule; 35] = [
        Rule::SenderDomainListed,
        Rule::NullSenderOfListedPeer,
        Rule::HeaderDomainsListed,
        Rule::ListNotLoaded,
        Rule::RevocationUnknown,
        Rule::PeerNotListed,
        Rule::PeerDnDiffers,
        Rule::SenderDomainUnlisted,
        Rule::SenderDomainNotPeers,
        Rule::HeaderFromMissing,
        Rule::HeaderFromSeveral,
        Rule::HeaderSenderSeveral,
        Rule::HeaderSenderUnreadable,
        Rule::HeaderFromNotPeers,
        Rule::HeaderSenderNotPeers,
        Rule::OwnToOwn,
        Rule::OwnToOther,
        Rule::OtherToOwn,
        Rule::NullSender,
        Rule::RecipientUnknown,
        Rule::RecipientSuspended,
        Rule::RecipientClosed,
        Rule::RecipientRestricted,
        Rule::RecipientDomainUnlisted,
        Rule::RecipientNull,
        Rule::SenderUnknown,
        Rule::SenderSuspended,
        Rule::SenderClosed,
        Rule::SenderRestricted,
        Rule::Relaying,
        Rule::TestToReal,
        Rule::RealToTest,
        Rule::CitizenAddressForm,
        Rule::CitizenNotStarted,
        Rule::CitizenConversationClosed,
    ];

    /// The stable kebab-case name.
    pub fn name(self) -> &'static str {
        match self {
            Rule::SenderDomainListed => "sender-domain-listed",
            Rule::NullSenderOfListedPeer => "null-sender-of-listed-peer",
            Rule::HeaderDomainsListed => "header-domains-listed",
            Rule::ListNotLoaded => "list-not-loaded",
            Rule::RevocationUnknown => "revocation-unknown",
            Rule::PeerNotListed => "peer-not-listed",
            Rule::PeerDnDiffers => "peer-dn-differs",
            Rule::SenderDomainUnlisted => "sender-domain-unlisted",
            Rule::SenderDomainNotPeers => "sender-domain-not-peers",
            Rule::HeaderFromMissing => "header-from-missing",
            Rule::HeaderFromSeveral => "header-from-several",
            Rule::HeaderSenderSeveral => "header-sender-several",
            Rule::HeaderSenderUnreadable => "header-sender-unreadable",
            Rule::HeaderFromNotPeers => "header-from-not-peers",
            Rule::HeaderSenderNotPeers => "header-sender-not-peers",
            Rule::OwnToOwn => "own-to-own",
            Rule::OwnToOther => "own-to-other",
            Rule::OtherToOwn => "other-to-own",
            Rule::NullSender => "null-sender",
            Rule::RecipientUnknown => "recipient-unknown",
            Rule::RecipientSuspended => "recipient-suspended",
            Rule::RecipientClosed => "recipient-closed",
            Rule::RecipientRestricted => "recipient-restricted",
            Rule::RecipientDomainUnlisted => "recipient-domain-unlisted",
            Rule::RecipientNull => "recipient-null",
            Rule::SenderUnknown => "sender-unknown",
            Rule::SenderSuspended => "sender-suspended",
            Rule::SenderClosed => "sender-closed",
            Rule::SenderRestricted => "sender-restricted",
            Rule::Relaying => "relaying",
            Rule::TestToReal => "test-to-real",
            Rule::RealToTest => "real-to-test",
            Rule::CitizenAddressForm => "citizen-address-form",
            Rule::CitizenNotStarted => "citizen-not-started",
            Rule::CitizenConversationClosed => "citizen-conversation-closed",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A refusal: which rule, what goes on the wire, and why in one plain sentence without a final stop.
///
/// The reason is safe to show to the peer: it names domains, attributes and rules, never content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule that refused.
    pub rule: Rule,
    /// The SMTP reply code, 4xx or 5xx (RFC 5321 §4.2.1).
    pub smtp: u16,
    /// The enhanced status code (RFC 3463), such as `5.7.1`; its class agrees with [`smtp`](Self::smtp).
    pub enhanced: &'static str,
    /// Why, in ASCII where the names in it are.
    pub reason: String,
}

impl Refusal {
    /// Whether the peer should try again later (a 4xx code).
    pub fn is_temporary(&self) -> bool {
        self.smtp < 500
    }
}

impl fmt::Display for Refusal {
    /// `550 5.7.1 <reason> [rule <name>]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} [rule {}]", self.smtp, self.enhanced, self.reason, self.rule)
    }
}

/// What a rule answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// It may pass, by this rule.
    Accept {
        /// The rule that allowed it.
        rule: Rule,
    },
    /// It may not.
    Refuse(Refusal),
}

impl Decision {
    /// The rule that decided.
    pub fn rule(&self) -> Rule {
        match self {
            Decision::Accept { rule } => *rule,
            Decision::Refuse(refusal) => refusal.rule,
        }
    }

    /// Whether it may pass.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Decision::Accept { .. })
    }

    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Decision::Accept { .. } => None,
            Decision::Refuse(refusal) => Some(refusal),
        }
    }

    /// A permanent refusal, `550` with the given enhanced code.
    pub(super) fn permanent(rule: Rule, enhanced: &'static str, reason: impl Into<String>) -> Self {
        Decision::Refuse(Refusal { rule, smtp: 550, enhanced, reason: reason.into() })
    }

    /// A temporary refusal, `451 4.7.0`: a matter of security that the operator is mending.
    pub(super) fn temporary(rule: Rule, reason: impl Into<String>) -> Self {
        Decision::Refuse(Refusal { rule, smtp: 451, enhanced: "4.7.0", reason: reason.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn rule_names_are_unique_kebab_case() {
        let names: HashSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }

    #[test]
    fn a_refusal_shows_code_reason_and_rule() {
        let Decision::Refuse(refusal) = Decision::permanent(Rule::Relaying, "5.7.1", "nothing is relayed") else {
            panic!("not a refusal");
        };
        assert_eq!(refusal.to_string(), "550 5.7.1 nothing is relayed [rule relaying]");
    }
}
