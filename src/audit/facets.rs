//! What a trace is found by.

use crate::mss::Address;

use super::{Action, Trace};

/// By what kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Facet {
    /// An address: of the mailbox, of a login, of a sender or recipient.
    Mailbox,
    /// A person's national id.
    Person,
    /// A Message-ID.
    MessageId,
    /// A network address, or the subject of an operator's certificate.
    Peer,
    /// What happened.
    Action,
}

impl Facet {
    /// Its name in the index of the day files, which never changes.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mailbox => "mailbox",
            Self::Person => "person",
            Self::MessageId => "message-id",
            Self::Peer => "peer",
            Self::Action => "action",
        }
    }

    /// A value as it is compared: addresses and names are the same in capitals.
    pub(super) fn normal(self, value: &str) -> String {
        match self {
            Self::Mailbox => Address::parse(value).map_or_else(|_| value.to_lowercase(), |address| address.key()),
            Self::Peer => value.to_lowercase(),
            Self::Person | Self::MessageId | Self::Action => value.to_owned(),
        }
    }
}

/// All that a trace is found by, each once.
pub(super) fn facets(trace: &Trace) -> Vec<(Facet, String)> {
    let mut found = vec![(Facet::Action, trace.action.name().to_owned())];
    let mut add = |facet: Facet, value: &str| {
        if !value.is_empty() {
            found.push((facet, facet.normal(value)));
        }
    };
    trace.mailbox.iter().chain(&trace.actor.login).for_each(|address| add(Facet::Mailbox, address));
    addresses(&trace.action).for_each(|address| add(Facet::Mailbox, address));
    trace.actor.person.iter().for_each(|person| add(Facet::Person, person));
    if let Action::Administered { what, about: Some(about), .. } = &trace.action {
        add(Facet::Person, about);
        owner(what, about).into_iter().for_each(|person| add(Facet::Person, person));
    }
    trace.message.iter().for_each(|message| add(Facet::MessageId, &message.message_id));
    trace.origin.peer.iter().chain(&trace.origin.subject).for_each(|peer| add(Facet::Peer, peer));
    found.sort_by(|a, b| (a.0 as u8, &a.1).cmp(&(b.0 as u8, &b.1)));
    found.dedup();
    found
}

/// Whose workstation it is, of one that was enrolled or renewed: `about` has its name first, which may be any, and last the
/// person's id in brackets.
fn owner<'a>(what: &str, about: &'a str) -> Option<&'a str> {
    let is_of_device = matches!(what, "device-enrolled" | "device-renewed");
    let (_, id) = about.strip_suffix(')')?.rsplit_once(" (")?;
    is_of_device.then_some(id)
}

/// What a trace that only a newer version reads is found by, as far as this one makes it out: all but what its action names.
pub(super) fn facets_of_unknown(text: &[u8]) -> Vec<(Facet, String)> {
    let Ok(mut written) = serde_json::from_slice::<serde_json::Value>(text) else { return Vec::new() };
    let Some(action) = written.get_mut("action") else { return Vec::new() };
    let known = Action::LoggedIn.name();
    let name = std::mem::replace(action, known.into());
    let mut found = serde_json::from_value::<Trace>(written).map_or_else(|_| Vec::new(), |trace| facets(&trace));
    found.retain(|(facet, _)| *facet != Facet::Action);
    found.extend(name.as_str().map(|name| (Facet::Action, Facet::Action.normal(name))));
    found
}

/// The addresses that an action names.
fn addresses(action: &Action) -> Box<dyn Iterator<Item = &String> + '_> {
    match action {
        Action::Accepted { sender, queued, delivered } => {
            Box::new(std::iter::once(sender).chain(queued).chain(delivered))
        }
        Action::Refused { sender, recipient, .. } => Box::new(std::iter::once(sender).chain(recipient)),
        Action::Tried { recipient, .. } => Box::new(std::iter::once(recipient)),
        Action::Reported { recipients, .. } | Action::ReportLost { recipients, .. } => Box::new(recipients.iter()),
        Action::ReportCame { recipient, .. } | Action::Disposition { recipient, .. } => Box::new(recipient.iter()),
        Action::LoginRefused { asked, .. } => Box::new(asked.iter()),
        Action::Copied { to_mailbox, .. } | Action::Moved { to_mailbox, .. } => Box::new(to_mailbox.iter()),
        _ => Box::new(std::iter::empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, FolderKind, MessageFacts, Origin};

    #[test]
    fn a_trace_is_found_by_everybody_and_everything_that_it_names() {
        let text = |text: &str| text.to_owned();
        let trace = Trace {
            actor: Actor {
                person: Some(text("899700000001")),
                login: Some(text("Anne@AURA.example")),
                ..Actor::default()
            },
            mailbox: Some(text("anne@aura.example")),
            origin: Origin { peer: Some(text("2001:DB8::1")), subject: Some(text("CN=mx.nord")), ..Origin::default() },
            message: Some(MessageFacts { message_id: text("<A@b>"), ..MessageFacts::default() }),
            ..Trace::of(Action::Accepted {
                sender: text("anne@aura.example"),
                queued: vec![text("b@nord.example")],
                delivered: vec![text("c@aura.example"), text("c@aura.example")],
            })
        };
        let found: Vec<String> =
            facets(&trace).into_iter().map(|(facet, value)| format!("{} {value}", facet.name())).collect();
        let expected = [
            "mailbox anne@aura.example",
            "mailbox b@nord.example",
            "mailbox c@aura.example",
            "person 899700000001",
            "message-id <A@b>",
            "peer 2001:db8::1",
            "peer cn=mx.nord",
            "action accepted",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn who_took_from_another_mailbox_is_found_by_both() {
        let moved =
            Action::Moved { folder: FOLDER, to: FOLDER, to_mailbox: Some("equipe@aura.example".into()), messages: 1 };
        let trace = Trace { mailbox: Some("anne@aura.example".into()), ..Trace::of(moved) };
        let mailboxes = facets(&trace).into_iter().filter(|(facet, _)| *facet == Facet::Mailbox).count();
        assert_eq!(mailboxes, 2);
    }

    #[test]
    fn a_workstation_that_an_administrator_enrols_is_found_by_whose_it_is() {
        let persons = |what: &str, about: &str| {
            let about = Some(about.to_owned());
            let trace = Trace::of(Action::Administered { what: what.to_owned(), fields: Vec::new(), about });
            let facets = facets(&trace).into_iter();
            facets.filter(|(facet, _)| *facet == Facet::Person).map(|(_, value)| value).collect::<Vec<_>>()
        };
        let named = "PC (899700000102) (899700000101)";
        for what in ["device-enrolled", "device-renewed"] {
            assert_eq!(persons(what, named), ["899700000101", named]);
        }
        // Its name alone names nobody, whatever it is.
        assert_eq!(persons("device-revoked", "PC (899700000102)"), ["PC (899700000102)"]);
        assert_eq!(persons("access-granted", "899700000101"), ["899700000101"]);
    }

    const FOLDER: FolderKind = FolderKind::Inbox;
}
