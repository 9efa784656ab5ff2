//! Where a folder's name leads: into the session's own mailbox, or into one that is opened to its user (RFC 2342; the
//! delegation of MSSanté §4).
//!
//! | name | leads to |
//! |---|---|
//! | `Other Users/<address>/<folder>` | a folder of a professional who lets somebody in |
//! | `Shared/<address>/<folder>` | a folder of a structure's or a practice's mailbox |
//! | any other | a folder of the own mailbox |
//!
//! What may be done there is asked anew for each command. A mailbox that one may not look into cannot be told from one that
//! is not there: its name leads into the own mailbox, which has no such folder.

use std::sync::Arc;

use super::reply::{End, Reply, Stop, destination};
use super::session::{LIVED, Session};
use super::updates;
use super::user::User;
use crate::accounts::{AccountError, SharedMailbox};
use crate::mail::{MailError, Mailbox};
use crate::mss::{Address, Kind, Right, Rights};
use crate::store::AccountId;
use crate::wire::imap::command::FolderName;
use crate::wire::imap::response::{self, Code, Status};

/// A namespace of other mailboxes, RFC 2342 §5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Namespace {
    /// Professionals' own mailboxes.
    OtherUsers,
    /// Mailboxes of structures and practices.
    Shared,
}

impl Namespace {
    /// Both, in the order in which NAMESPACE tells them.
    pub(super) const ALL: [Namespace; 2] = [Namespace::OtherUsers, Namespace::Shared];

    /// Where mailboxes of a kind stand.
    pub(super) fn of(kind: Kind) -> Namespace {
        match kind {
            Kind::Per => Namespace::OtherUsers,
            Kind::Org | Kind::App | Kind::Cab => Namespace::Shared,
        }
    }

    /// The first level of its names.
    pub(super) fn name(self) -> &'static str {
        match self {
            Namespace::OtherUsers => "Other Users",
            Namespace::Shared => "Shared",
        }
    }

    /// The namespace that a name begins with, and the rest of it.
    fn split(name: &str) -> Option<(Namespace, &str)> {
        let (first, rest) = name.split_once('/').unwrap_or((name, ""));
        let namespace = Namespace::ALL.into_iter().find(|namespace| namespace.name() == first)?;
        Some((namespace, rest))
    }
}

/// Where a mailbox stands in the namespaces.
pub(super) fn root_of(kind: Kind, address: &Address) -> String {
    format!("{}/{address}", Namespace::of(kind).name())
}

/// Where a name leads, and what may be done there now: reading at least.
pub(super) struct Place {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) rights: Rights,
    /// The mailbox' root, where it is not the own one.
    pub(super) root: Option<String>,
    /// The folder's name in its mailbox; empty: none, but the mailbox as a whole.
    folder: String,
}

impl Place {
    /// The folder's name in its mailbox.
    pub(super) fn folder(&self) -> Result<&str, Stop> {
        if self.root.is_some() && self.folder.is_empty() {
            return Err(Reply::no(Some(Code::Cannot), "This is a whole mailbox; name a folder in it").into());
        }
        Ok(&self.folder)
    }

    /// The folder's name in the namespace that it belongs to.
    pub(super) fn whole_name(&self) -> String {
        match &self.root {
            Some(root) => format!("{root}/{}", FolderName::new(&self.folder)),
            None => self.folder.clone(),
        }
    }

    /// Whether it names the mailbox as a whole, which its INBOX stands for as well.
    pub(super) fn is_whole_mailbox(&self) -> bool {
        self.folder.is_empty() || self.folder.eq_ignore_ascii_case(crate::mail::INBOX)
    }

    /// Refuses what needs a right that its user has not.
    pub(super) fn needs(&self, right: Right) -> Result<(), Stop> {
        if self.rights.has(right) {
            return Ok(());
        }
        let text = match right {
            Right::Read => "You may not look into this mailbox",
            Right::Write => "You may only read this mailbox",
            Right::Send => "You may not send in this mailbox's name",
            Right::Manage => "You may not say who opens this mailbox",
        };
        Err(Reply::no(Some(Code::NoPerm), text).into())
    }

    /// Refuses to make a folder where other mailboxes stand, in others' mailboxes too: their holders see them there.
    pub(super) fn may_be_made(&self) -> Result<(), Stop> {
        if Namespace::split(&self.folder).is_some() {
            return Err(Reply::no(Some(Code::Cannot), "Names below this level are other mailboxes'").into());
        }
        self.needs(Right::Write)
    }

    /// In IMAP's words what the mailbox says. Another mailbox that is closed costs the command and not the session.
    pub(super) fn said<T>(&self, outcome: Result<T, MailError>) -> Result<T, Stop> {
        outcome.map_err(|error| if self.root.is_some() { elsewhere(error) } else { error.into() })
    }

    /// As [`Place::said`], of the destination of APPEND, COPY and MOVE.
    pub(super) fn said_of_destination<T>(&self, outcome: Result<T, MailError>) -> Result<T, Stop> {
        match outcome {
            Err(error @ (MailError::NoFolder | MailError::NotSelectable)) => Err(destination(error)),
            outcome => self.said(outcome),
        }
    }
}

/// What another mailbox than the own says.
fn elsewhere(error: MailError) -> Stop {
    let (code, text) = match error {
        MailError::NoMailbox | MailError::Closed => (Code::NonExistent, "This mailbox is closed"),
        MailError::Suspended => (Code::Unavailable, "This mailbox is suspended"),
        other => return other.into(),
    };
    Reply::no(Some(code), text).into()
}

impl Session {
    /// Who is logged in.
    pub(super) fn user(&self) -> Result<&User, Stop> {
        self.user.as_ref().ok_or_else(|| Reply::bad("Log in first").into())
    }

    /// Where a name leads.
    pub(super) fn place(&self, name: &FolderName) -> Result<Place, Stop> {
        if let Some(place) = self.foreign_place(name.as_str())? {
            return Ok(place);
        }
        let mailbox = self.user()?.mailbox.clone();
        let rights = self.rights_in(mailbox.account())?;
        let place = Place { mailbox, rights, root: None, folder: name.as_str().to_owned() };
        place.needs(Right::Read)?;
        Ok(place)
    }

    /// Where a name leads outside of the own mailbox.
    pub(super) fn foreign_place(&self, name: &str) -> Result<Option<Place>, Stop> {
        let Some((namespace, rest)) = Namespace::split(name) else { return Ok(None) };
        let (address, folder) = rest.split_once('/').unwrap_or((rest, ""));
        let Ok(address) = Address::parse(address) else { return Ok(None) };
        let own = self.user()?.mailbox.account();
        let account = self.services.registry.by_address(&address)?;
        let Some(account) = account.filter(|found| found.id != own && Namespace::of(found.kind) == namespace) else {
            return Ok(None);
        };
        let rights = self.rights_in(account.id)?;
        if !rights.has(Right::Read) {
            return Ok(None);
        }
        let mailbox = self.services.room.open(account.id).map_err(elsewhere)?;
        let root = Some(root_of(account.kind, &account.address));
        Ok(Some(Place { mailbox, rights, root, folder: folder.to_owned() }))
    }

    /// The mailboxes that are opened to the user for reading, by namespace and address.
    pub(super) fn opened_to_me(&self) -> Result<Vec<SharedMailbox>, Stop> {
        let user = self.user()?;
        let mut opened = self.services.registry.shared_with(user.ticket.login())?;
        opened.retain(|other| other.rights.has(Right::Read) && other.account != user.mailbox.account());
        opened.sort_by_cached_key(|other| (Namespace::of(other.kind), other.address.key()));
        Ok(opened)
    }

    /// What may be done in a mailbox now. In the own one it is what it was at the login: who takes of it ends the session.
    fn rights_in(&self, account: AccountId) -> Result<Rights, AccountError> {
        match &self.user {
            Some(user) if account == user.mailbox.account() => Ok(user.ticket.login().rights),
            Some(user) => self.services.registry.rights_on(user.ticket.login(), account),
            None => Ok(Rights::NONE),
        }
    }

    /// Whether the session goes on, and what may be done in the open folder, if one is: asked before each command, and within
    /// those that may take as long as a client reads slowly.
    pub(super) fn stands(&self) -> Result<Option<Rights>, Stop> {
        if let Some(ending) = self.user.as_ref().and_then(|user| user.ticket.session().ending()) {
            return Err(End::Bye(ending.told()).into());
        }
        if self.user.is_some() && self.left().is_zero() {
            return Err(End::Bye(LIVED).into());
        }
        let Some(selected) = &self.selected else { return Ok(None) };
        let rights = match self.rights_in(selected.mailbox().account()) {
            Ok(rights) => rights,
            Err(error) => {
                tracing::error!(%error, "what may be done in the open folder is not known");
                return Err(End::Bye("The server cannot do this now; try later").into());
            }
        };
        if !rights.has(Right::Read) {
            return Err(End::Bye("You may no longer look into this mailbox").into());
        }
        Ok(Some(rights))
    }

    /// Asks again whether the session goes on, before each command, and before changes are told. RFC 4314 §5.1.1: who may no
    /// longer read is said goodbye, since most clients do not understand a folder that refuses everything; who may only read
    /// now is told so.
    pub(super) fn recheck(&mut self) -> Result<(), Stop> {
        let Some(rights) = self.stands()? else { return Ok(()) };
        let Session { channel, selected, told_keywords, .. } = self;
        if let Some(selected) = selected.as_mut().filter(|open| !rights.has(Right::Write) && !open.is_read_only()) {
            selected.restrict();
            *told_keywords = selected.keywords().len();
            updates::flags_of_folder(&mut channel.out, selected);
            let text = "You may only read this mailbox now";
            response::untagged(&mut channel.out, Status::Ok, Some(&Code::ReadOnly), text);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_first_levels_are_namespaces() {
        for (name, wanted) in [
            ("Shared", Some((Namespace::Shared, ""))),
            ("Shared/org@x/INBOX", Some((Namespace::Shared, "org@x/INBOX"))),
            ("Other Users/per@x", Some((Namespace::OtherUsers, "per@x"))),
            ("Shared folders/x", None),
            ("shared/x", None),
            ("INBOX/Shared", None),
        ] {
            assert_eq!(Namespace::split(name), wanted, "{name}");
        }
    }
}
