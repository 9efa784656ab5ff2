//! Which traces are looked for.

use super::Trace;
use super::facets::{Facet, facets};

/// Which traces are looked for; what is none does not matter. All that is given must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceQuery {
    /// An address: of the mailbox, of a login, of a sender or recipient.
    pub mailbox: Option<String>,
    /// A person's national id.
    pub person: Option<String>,
    /// A whole Message-ID.
    pub message_id: Option<String>,
    /// A network address, or the subject of an operator's certificate.
    pub peer: Option<String>,
    /// The name of an action, in kebab-case.
    pub action: Option<String>,
    /// Unix microseconds: not before.
    pub from: u64,
    /// Unix microseconds: not after.
    pub to: u64,
    /// The oldest first; else the newest.
    pub oldest_first: bool,
}

impl Default for TraceQuery {
    fn default() -> Self {
        Self {
            mailbox: None,
            person: None,
            message_id: None,
            peer: None,
            action: None,
            from: 0,
            to: u64::MAX,
            oldest_first: false,
        }
    }
}

impl TraceQuery {
    /// All that is known of a message, in its order.
    pub fn of_message(message_id: &str) -> Self {
        Self { message_id: Some(message_id.to_owned()), oldest_first: true, ..Self::default() }
    }

    /// What a trace must be found by.
    pub(super) fn wanted(&self) -> Vec<(Facet, String)> {
        let all = [
            (Facet::Mailbox, &self.mailbox),
            (Facet::Person, &self.person),
            (Facet::MessageId, &self.message_id),
            (Facet::Peer, &self.peer),
            (Facet::Action, &self.action),
        ];
        let given = all.into_iter().filter_map(|(facet, value)| Some((facet, value.as_ref()?)));
        given.map(|(facet, value)| (facet, facet.normal(value))).collect()
    }

    /// Whether a trace is one of those.
    pub(super) fn is_met_by(&self, trace: &Trace) -> bool {
        let facets = facets(trace);
        (self.from..=self.to).contains(&trace.at) && self.wanted().iter().all(|wanted| facets.contains(wanted))
    }
}
