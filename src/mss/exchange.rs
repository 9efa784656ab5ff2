//! Exchange: may A write to B? (MSSanté §3 and §4.)
//!
//! Doors that take mail ask at `RCPT TO`, the sending side asks before it queues. The order of the checks is the order
//! of what an answer may give away: the sender's own standing first, then the recipient's.

use std::fmt;

use super::citizens::{self, Conversation};
use super::{Address, Decision, Kind, MailboxState, Rule, TrustSpace};

/// One end of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// A mailbox of this operator.
    Own(OwnMailbox),
    /// An address in no domain of this operator's.
    Other {
        /// The address.
        address: Address,
    },
    /// An address in a domain of this operator's that no mailbox has.
    Unknown {
        /// The address.
        address: Address,
    },
    /// The null path `<>` of reports (RFC 5321 §4.5.5), and from whom it came.
    Null(Origin),
}

/// What the rules need to know about a mailbox of this operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnMailbox {
    /// Its address.
    pub address: Address,
    /// Its kind.
    pub kind: Kind,
    /// Whether it is a test mailbox.
    pub test: bool,
    /// Whether its user may exchange with the operator's own domains only.
    pub restricted: bool,
    /// The state of its life.
    pub state: MailboxState,
}

impl fmt::Display for Party {
    /// In words, for `caducee trust explain`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::Own(own) => {
                let test = if own.test { ", test" } else { "" };
                let restricted = if own.restricted { ", own domains only" } else { "" };
                write!(f, "{} (own mailbox: {}, {}{test}{restricted})", own.address, own.kind, own.state)
            }
            Party::Other { address } => write!(f, "{address} (another operator's)"),
            Party::Unknown { address } => write!(f, "{address} (own domain, no such mailbox)"),
            Party::Null(Origin::Own) => f.write_str("<> (null sender of this operator)"),
            Party::Null(Origin::Other) => f.write_str("<> (null sender of another operator)"),
        }
    }
}

/// On which side a null sender's message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This operator: its own reports, or a client that it has authenticated.
    Own,
    /// Another operator.
    Other,
}

/// May `from` write to `to`, where they have no conversation? Enough for every pair but a citizen and an own mailbox: there
/// the citizen is taken for one who was never written to. See [`decide_in`].
pub fn decide(space: &TrustSpace, from: &Party, to: &Party) -> Decision {
    decide_in(space, from, to, Conversation::NotStarted)
}

/// May `from` write to `to`, as their conversation stands? It counts where `from` is a citizen and `to` an own mailbox.
///
/// For a message of another operator, [`admission`](super::admission) has been asked before: that the peer may speak for
/// `from` is not looked at again here.
pub fn decide_in(space: &TrustSpace, from: &Party, to: &Party, conversation: Conversation) -> Decision {
    if let Some(refusal) = sender_standing(space, from) {
        return refusal;
    }
    match (from, to) {
        (_, Party::Null(_)) => Decision::permanent(Rule::RecipientNull, "5.1.3", "the null path is no recipient"),
        (Party::Other { .. } | Party::Null(Origin::Other), Party::Other { address }) => {
            let reason = format!("nothing is relayed: {} is not a domain of this operator", address.domain());
            Decision::permanent(Rule::Relaying, "5.7.1", reason)
        }
        (_, Party::Unknown { .. }) => Decision::permanent(Rule::RecipientUnknown, "5.1.1", "no such mailbox here"),
        (_, Party::Own(to)) => into_own(space, from, to, conversation),
        (_, Party::Other { address }) => out_to_other(space, from, address),
    }
}

/// What forbids the sender to write to anybody at all.
fn sender_standing(space: &TrustSpace, from: &Party) -> Option<Decision> {
    match from {
        Party::Unknown { .. } => {
            Some(Decision::permanent(Rule::SenderUnknown, "5.1.0", "no such sender's mailbox here"))
        }
        Party::Own(own) => match own.state {
            MailboxState::Open => None,
            MailboxState::Suspended => {
                Some(Decision::permanent(Rule::SenderSuspended, "5.7.1", "the sender's mailbox is suspended"))
            }
            MailboxState::Closed => {
                Some(Decision::permanent(Rule::SenderClosed, "5.7.1", "the sender's mailbox is closed"))
            }
        },
        Party::Other { address } => outside_domain(space, address, Rule::SenderDomainUnlisted, "sender"),
        Party::Null(_) => None,
    }
}

/// Nothing comes from or goes to a domain that is not in the white list.
fn outside_domain(space: &TrustSpace, address: &Address, rule: Rule, role: &str) -> Option<Decision> {
    let Some(list) = &space.list else {
        let reason = "no white list is loaded at the moment, try again later";
        return Some(Decision::temporary(Rule::ListNotLoaded, reason));
    };
    if list.contains_domain(address.domain()) {
        return None;
    }
    let reason = format!("the {role}'s domain {} is not in the white list", address.domain());
    Some(Decision::permanent(rule, "5.7.1", reason))
}

fn into_own(space: &TrustSpace, from: &Party, to: &OwnMailbox, conversation: Conversation) -> Decision {
    match to.state {
        MailboxState::Open => {}
        MailboxState::Suspended => {
            return Decision::permanent(Rule::RecipientSuspended, "5.2.1", "the recipient's mailbox is suspended");
        }
        MailboxState::Closed => {
            return Decision::permanent(Rule::RecipientClosed, "5.1.1", "the recipient's mailbox is closed");
        }
    }
    let from_outside = matches!(from, Party::Other { .. } | Party::Null(Origin::Other));
    if to.restricted && from_outside {
        let reason = "the recipient exchanges with its operator's own domains only";
        return Decision::permanent(Rule::RecipientRestricted, "5.7.1", reason);
    }
    match from {
        Party::Own(_) => Decision::Accept { rule: Rule::OwnToOwn },
        // A report answers a message that these same rules let pass, so the test rule has been asked already. Its header
        // is a postmaster's and could not be held against the rule anyway.
        Party::Null(_) => Decision::Accept { rule: Rule::NullSender },
        Party::Other { address } => test_rule(space.test_rules.is_test(address), to.test)
            .or_else(|| citizens_turn(space, address, conversation))
            .unwrap_or(Decision::Accept { rule: Rule::OtherToOwn }),
        Party::Unknown { .. } => Decision::permanent(Rule::SenderUnknown, "5.1.0", "no such sender's mailbox here"),
    }
}

/// From an own mailbox or an own report to another operator.
fn out_to_other(space: &TrustSpace, from: &Party, to: &Address) -> Decision {
    if matches!(from, Party::Own(own) if own.restricted) {
        let reason = "the sender exchanges with its operator's own domains only";
        return Decision::permanent(Rule::SenderRestricted, "5.7.1", reason);
    }
    // MSSanté §3: nothing leaves the trust space.
    if let Some(refusal) = outside_domain(space, to, Rule::RecipientDomainUnlisted, "recipient") {
        return refusal;
    }
    match from {
        Party::Own(own) => test_rule(own.test, space.test_rules.is_test(to))
            .or_else(|| citizen_form(space, to))
            .unwrap_or(Decision::Accept { rule: Rule::OwnToOther }),
        _ => Decision::Accept { rule: Rule::NullSender },
    }
}

/// MSSanté §8: a citizen may only answer, and not once the professional has closed the conversation. A closed one stays
/// closed where citizens may write first. The citizens' operator makes a report of the text, which the patient reads.
fn citizens_turn(space: &TrustSpace, from: &Address, conversation: Conversation) -> Option<Decision> {
    if !space.citizens.is_citizen(from) {
        return None;
    }
    match conversation {
        Conversation::NotStarted if space.citizens.only_answer() => {
            let reason = "Ce professionnel ne vous a pas ecrit : vous pouvez repondre a un message, pas en envoyer un \
                          premier / a citizen may only answer a mailbox that has written first";
            Some(Decision::permanent(Rule::CitizenNotStarted, "5.7.1", reason))
        }
        Conversation::Closed => {
            let reason = "Le professionnel a clos cet echange : votre message ne lui a pas ete remis / \
                          the professional has closed this conversation";
            Some(Decision::permanent(Rule::CitizenConversationClosed, "5.7.1", reason))
        }
        Conversation::NotStarted | Conversation::Open => None,
    }
}

/// MSSanté §8: who mistypes an INS learns it at once, and nobody else learns the identity.
fn citizen_form(space: &TrustSpace, to: &Address) -> Option<Decision> {
    if !space.citizens.is_citizen(to) || citizens::has_citizen_form(to) {
        return None;
    }
    let reason = format!("a citizen's address is the 15 characters of their INS, then @{}", to.domain());
    Some(Decision::permanent(Rule::CitizenAddressForm, "5.1.3", reason))
}

/// MSSanté §4: across operators, test mailboxes exchange with test mailboxes only, both ways.
fn test_rule(from_test: bool, to_test: bool) -> Option<Decision> {
    match (from_test, to_test) {
        (true, false) => {
            let reason = "a test mailbox may write to test mailboxes of other domains only";
            Some(Decision::permanent(Rule::TestToReal, "5.7.1", reason))
        }
        (false, true) => {
            let reason = "a test mailbox takes mail from test mailboxes of other domains only";
            Some(Decision::permanent(Rule::RealToTest, "5.7.1", reason))
        }
        _ => None,
    }
}
