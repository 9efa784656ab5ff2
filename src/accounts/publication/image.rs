//! Which mailboxes the directory shows, where, and as what. Pure.

use super::{Image, Place};
use crate::mss::Kind;
use crate::store::{self, AccountKind, AccountState};

/// National ids of professionals, and of structures.
const PERSONS: &str = "urn:oid:1.2.250.1.71.4.2.1";
const STRUCTURES: &str = "urn:oid:1.2.250.1.71.4.2.2";
/// FINESS numbers, and numbers of activities in the RPPS.
const FINESS: &str = "https://finess.esante.gouv.fr";
const ACTIVITIES: &str = "https://rpps.esante.gouv.fr";

/// What is published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicationOptions {
    /// Whether anything is.
    pub on: bool,
    /// From when on.
    pub from: PublishFrom,
    /// Test mailboxes too: for a directory that is a test platform's.
    pub test_mailboxes: bool,
}

/// From when on a mailbox is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublishFrom {
    /// The terms of use were accepted (MSSanté §5).
    #[default]
    Acceptance,
    /// It was created.
    Creation,
}

/// What the directory should show of a mailbox; none: nothing.
///
/// MSSanté §5: published within 48 h of the acceptance of the terms, removed when the mailbox closes. A suspended mailbox stays
/// where it is: it comes back. §4: who has no health card writes to nobody outside, and is not looked for there. A mailbox on
/// the red list is published as such: it is the directory that does not show it.
pub fn wanted(account: &store::Account, options: &PublicationOptions) -> Option<Image> {
    let is_in_use = match account.state {
        AccountState::Open | AccountState::Suspended => true,
        AccountState::Closed => false,
    };
    let is_begun = match options.from {
        // Software accepts nothing: its structure has, by contract.
        PublishFrom::Acceptance => account.terms_accepted_at.is_some() || account.kind == AccountKind::App,
        PublishFrom::Creation => true,
    };
    let is_for_others = !account.restricted && (options.test_mailboxes || !account.test);
    if options.on && is_in_use && is_begun && is_for_others { image(account) } else { None }
}

/// Whether only the rules in force keep a mailbox out of the directory: there are others by which it would be shown. Nobody takes
/// it away there unasked: a line that is lost from the configuration must not empty the directory.
pub fn is_withheld(account: &store::Account, options: &PublicationOptions) -> bool {
    let all = PublicationOptions { on: true, from: PublishFrom::Creation, test_mailboxes: true };
    wanted(account, options).is_none() && wanted(account, &all).is_some()
}

/// What the directory shows of a mailbox that it shows; none where the record does not say whose it is.
pub(super) fn image(account: &store::Account) -> Option<Image> {
    let holder = &account.holder;
    let kind = crate::mail::kind_of(account.kind);
    let mut image = Image {
        place: place(kind, holder)?,
        address: account.address.clone(),
        kind: account.kind,
        red_list: account.red_list,
        zero_paper: account.zero_paper,
        ..Image::default()
    };
    match kind {
        Kind::Per => {}
        Kind::Cab => {
            image.description = holder.label.clone().or_else(|| holder.entity.clone());
            image.responsible = holder.national_id.clone();
        }
        Kind::Org | Kind::App => {
            image.description = holder.label.clone();
            image.service = holder.service.clone();
            image.responsible = holder.responsible.clone();
        }
    }
    Some(image)
}

/// Whose contact a mailbox is (MSSanté §9): a professional's, or one of their activities'; a structure's.
fn place(kind: Kind, holder: &store::Holder) -> Option<Place> {
    let (resource, system, value) = match kind {
        Kind::Per => match (&holder.activity_id, &holder.national_id) {
            (Some(activity), _) => ("PractitionerRole", ACTIVITIES, activity.as_str()),
            (None, person) => ("Practitioner", PERSONS, person.as_deref()?),
        },
        Kind::Cab => ("Practitioner", PERSONS, holder.national_id.as_deref()?),
        Kind::Org | Kind::App => {
            let id = holder.structure_id.as_deref()?;
            // MSSanté §1: `1` and the FINESS number.
            match id.strip_prefix('1') {
                Some(finess) => ("Organization", FINESS, finess),
                None => ("Organization", STRUCTURES, id),
            }
        }
    };
    Some(Place { resource: resource.to_owned(), system: system.to_owned(), value: value.to_owned() })
}

/// Whose contact a mailbox is by the national numbers that the directory's extraction gives: the type of the resource, and the
/// identifiers that these numbers are of it.
pub fn numbered(kind: &str, national_id: &str, structure_id: &str) -> (&'static str, Vec<(String, String)>) {
    let identifier = |(system, value): (&str, &str)| (system.to_owned(), value.to_owned());
    if matches!(kind, "PER" | "CAB") {
        return ("Practitioner", vec![identifier((PERSONS, national_id))]);
    }
    let finess = structure_id.strip_prefix('1').map(|number| (FINESS, number));
    ("Organization", finess.into_iter().chain([(STRUCTURES, structure_id)]).map(identifier).collect())
}

/// An image's kind, as the rules know it.
pub fn kind_of(image: &Image) -> Kind {
    crate::mail::kind_of(image.kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AccountKind, Holder};

    const ALL: PublicationOptions = PublicationOptions { on: true, from: PublishFrom::Creation, test_mailboxes: false };

    fn mailbox(kind: AccountKind) -> store::Account {
        let text = |text: &str| Some(text.to_owned());
        let holder = Holder {
            national_id: text("810003456789"),
            structure_id: text("1010000024"),
            label: text("Secrétariat"),
            service: text("Cardiologie"),
            responsible: text("810000000001"),
            ..Holder::default()
        };
        store::Account { address: "a@aura.example".into(), kind, holder, ..store::Account::default() }
    }

    #[test]
    fn each_kind_is_somebodys_contact() {
        for (kind, resource, system, value) in [
            (AccountKind::Per, "Practitioner", PERSONS, "810003456789"),
            (AccountKind::Cab, "Practitioner", PERSONS, "810003456789"),
            (AccountKind::Org, "Organization", FINESS, "010000024"),
            (AccountKind::App, "Organization", FINESS, "010000024"),
        ] {
            let image = wanted(&mailbox(kind), &ALL).unwrap();
            let place = &image.place;
            assert_eq!(
                (place.resource.as_str(), place.system.as_str(), place.value.as_str()),
                (resource, system, value)
            );
            let told = (image.description.is_some(), image.service.is_some(), image.responsible.as_deref());
            let expected = match kind {
                AccountKind::Per => (false, false, None),
                AccountKind::Cab => (true, false, Some("810003456789")),
                AccountKind::Org | AccountKind::App => (true, true, Some("810000000001")),
            };
            assert_eq!(told, expected, "{kind:?}");
        }
        let mut activity = mailbox(AccountKind::Per);
        activity.holder.activity_id = Some("1014196210".into());
        let place = wanted(&activity, &ALL).unwrap().place;
        assert_eq!((place.resource.as_str(), place.value.as_str()), ("PractitionerRole", "1014196210"));
        let mut hospital = mailbox(AccountKind::Org);
        hospital.holder.structure_id = Some("399000000100021".into());
        assert_eq!(wanted(&hospital, &ALL).unwrap().place.value, "399000000100021");
    }

    #[test]
    fn what_is_published_follows_the_rules() {
        let open = mailbox(AccountKind::Per);
        let with = |change: fn(&mut store::Account)| {
            let mut account = open.clone();
            change(&mut account);
            account
        };
        let on_acceptance = PublicationOptions { from: PublishFrom::Acceptance, ..ALL };
        for (account, options, published) in [
            (open.clone(), ALL, true),
            (open.clone(), PublicationOptions { on: false, ..ALL }, false),
            (open.clone(), on_acceptance.clone(), false),
            (mailbox(AccountKind::App), on_acceptance.clone(), true),
            (with(|account| account.terms_accepted_at = Some(1)), on_acceptance, true),
            (with(|account| account.state = AccountState::Suspended), ALL, true),
            (with(|account| account.state = AccountState::Closed), ALL, false),
            (with(|account| account.restricted = true), ALL, false),
            (with(|account| account.test = true), ALL, false),
            (with(|account| account.test = true), PublicationOptions { test_mailboxes: true, ..ALL }, true),
            (with(|account| account.red_list = true), ALL, true),
            (with(|account| account.holder.national_id = None), ALL, false),
        ] {
            assert_eq!(wanted(&account, &options).is_some(), published, "{options:?} {account:?}");
            let is_closed_to_all = account.state == AccountState::Closed || account.restricted;
            let is_withheld = !published && !is_closed_to_all && account.holder.national_id.is_some();
            assert_eq!(super::is_withheld(&account, &options), is_withheld, "{options:?} {account:?}");
        }
    }
}
