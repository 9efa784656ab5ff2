//! Which data a mailbox must have, by its kind (MSSanté §4). Pure.

use crate::mail::kind_of;
use crate::mss::{Address, Kind};
use crate::store::{self, Absence, AccessGrant, Forward};

/// A rule of MSSanté §4, or one of ours, that the data break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleBreach {
    /// A field that the kind needs is missing.
    #[error("a {kind} mailbox needs {field} (MSSanté §4)")]
    Missing {
        /// The kind.
        kind: Kind,
        /// What is missing.
        field: &'static str,
    },
    /// A field that the kind cannot have.
    #[error("a {kind} mailbox cannot have {field} (MSSanté §4)")]
    NotForKind {
        /// The kind.
        kind: Kind,
        /// What it has.
        field: &'static str,
    },
    /// A national id is badly formed.
    #[error("{field}: {expected}")]
    BadId {
        /// Which.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A text is empty, too long, or has control characters.
    #[error("{0} is empty, longer than 200 characters, or has control characters")]
    BadText(&'static str),
    /// There is no notification address, and it is required.
    #[error("a {0} mailbox needs a notification address for its holder, or who answers for it (MSSanté §5)")]
    NoNotificationAddress(Kind),
    /// The notification address is none.
    #[error("the notification address is not a mail address")]
    BadNotificationAddress,
    /// The local part cannot be a mailbox's here.
    #[error("mailboxes are named with letters, digits and . - _ + only, or in UTF-8 letters; no quotes")]
    BadLocalPart,
    /// What is to be sent on cannot be, as it is set.
    #[error("mail is sent on to {0}")]
    BadForward(&'static str),
    /// The access list is too long, or an entry of it cannot be.
    #[error("an access list has {0}")]
    BadAccessList(&'static str),
    /// The absence notice cannot be sent as it is set.
    #[error("an absence notice has {0}")]
    BadAbsence(&'static str),
}

/// Characters of a text field.
const TEXT_CHARS: usize = 200;
/// Addresses that a mailbox has its mail sent on to.
const FORWARDS: usize = 5;
/// Characters of an absence notice.
const ABSENCE_CHARS: usize = 2_000;
/// Entries of an access list: each may cost a look at another mailbox whenever somebody asks what they may do.
const GRANTS: usize = 200;
/// Octets of an id given by an employer.
const ID_OCTETS: usize = 64;

/// Checks a whole record, as it is to be written.
pub(super) fn check(record: &store::Account) -> Result<(), RuleBreach> {
    let kind = kind_of(record.kind);
    let holder = &record.holder;
    texts_are_good(record)?;
    if let Some(id) = &holder.national_id {
        check_person("holder.national_id", id)?;
    }
    if let Some(id) = &holder.responsible {
        check_person("holder.responsible", id)?;
    }
    if let Some(id) = &holder.structure_id {
        check_structure(id)?;
    }
    if let Some(id) = &holder.activity_id {
        check_activity(kind, id)?;
    }
    if let Some(address) = &record.notification_address {
        Address::parse(address).map_err(|_| RuleBreach::BadNotificationAddress)?;
    }
    record.forward.as_ref().map_or(Ok(()), |forward| check_forward(&record.address, forward))?;
    record.absence.as_ref().map_or(Ok(()), check_absence)?;
    let missing = |field| Err(RuleBreach::Missing { kind, field });
    match kind {
        Kind::Per | Kind::Cab if holder.national_id.is_none() => return missing("the professional's national id"),
        Kind::Per | Kind::Cab if holder.last_name.is_none() => return missing("the professional's last name"),
        Kind::Org | Kind::App if holder.structure_id.is_none() => return missing("the structure's id"),
        Kind::Org | Kind::App if holder.label.is_none() && holder.entity.is_none() => {
            return missing("a label or the structure's name");
        }
        _ => {}
    }
    check_access_list(kind, &record.access_list)
}

/// MSSanté §5: a notification address is mandatory. A test mailbox has nobody to be told.
pub(super) fn check_can_be_told(record: &store::Account) -> Result<(), RuleBreach> {
    let is_good = record.test || record.notification_address.is_some();
    is_good.then_some(()).ok_or(RuleBreach::NoNotificationAddress(kind_of(record.kind)))
}

/// Which local parts a new mailbox may have: dot-strings without the rarer atom characters, so that every client, list
/// and command line can write them.
pub(super) fn check_local_part(address: &Address) -> Result<(), RuleBreach> {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '\'');
    address.local().chars().all(good).then_some(()).ok_or(RuleBreach::BadLocalPart)
}

/// MSSanté §4: ORG and CAB are opened by the persons on their access list, PER by its holder, who may let a secretary in; APP
/// by software alone.
fn check_access_list(kind: Kind, list: &[AccessGrant]) -> Result<(), RuleBreach> {
    if !list.is_empty() && kind == Kind::App {
        return Err(RuleBreach::NotForKind { kind, field: "an access list" });
    }
    if list.len() > GRANTS {
        return Err(RuleBreach::BadAccessList("at most 200 entries"));
    }
    for grant in list {
        match grant.mailbox {
            None => check_person("access list", &grant.person)?,
            Some(_) if grant.person.is_empty() => {}
            Some(_) => return Err(RuleBreach::BadAccessList("entries of a person or of a mailbox, not of both")),
        }
        if grant.name.chars().count() > TEXT_CHARS || grant.name.chars().any(char::is_control) {
            return Err(RuleBreach::BadAccessList("names of at most 200 characters, without control characters"));
        }
    }
    Ok(())
}

/// What can be said of a forward without the trust space.
fn check_forward(own: &str, forward: &Forward) -> Result<(), RuleBreach> {
    if !(1..=FORWARDS).contains(&forward.to.len()) {
        return Err(RuleBreach::BadForward("one to five addresses"));
    }
    let mut seen: Vec<String> = Address::parse(own).iter().map(Address::key).collect();
    for text in &forward.to {
        let key = Address::parse(text).map_err(|_| RuleBreach::BadForward("mail addresses only"))?.key();
        if seen.contains(&key) {
            return Err(RuleBreach::BadForward("each address once, and not to the mailbox itself"));
        }
        seen.push(key);
    }
    Ok(())
}

fn check_absence(absence: &Absence) -> Result<(), RuleBreach> {
    if absence.from >= absence.until {
        return Err(RuleBreach::BadAbsence("an end after its beginning"));
    }
    let text = &absence.text;
    let is_good = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    let fits = !text.trim().is_empty() && text.chars().count() <= ABSENCE_CHARS && text.chars().all(is_good);
    fits.then_some(()).ok_or(RuleBreach::BadAbsence("a text of 1 to 2000 characters, without control characters"))
}

/// `8` + RPPS: 12 digits (MSSanté §1); or an id given by the employer, which cannot look like one.
fn check_person(field: &'static str, id: &str) -> Result<(), RuleBreach> {
    let is_digits = id.bytes().all(|byte| byte.is_ascii_digit());
    let is_good = if is_digits { id.len() == 12 && id.starts_with('8') } else { is_token(id) };
    let expected = "12 digits, 8 + RPPS; or an employer's id that is not digits alone";
    is_good.then_some(()).ok_or(RuleBreach::BadId { field, expected })
}

/// `1` + FINESS (9), `3` + SIRET (14) (MSSanté §1); others begin otherwise.
fn check_structure(id: &str) -> Result<(), RuleBreach> {
    let is_good = match id.as_bytes().first() {
        // FINESS numbers of Corsica have a letter.
        Some(b'1') => id.len() == 10 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        Some(b'3') => id.len() == 15 && id.bytes().all(|byte| byte.is_ascii_digit()),
        _ => is_token(id),
    };
    let expected = "1 + FINESS (9 characters), 3 + SIRET (14 digits), or an id that begins otherwise";
    is_good.then_some(()).ok_or(RuleBreach::BadId { field: "holder.structure_id", expected })
}

/// Only a PER mailbox may be an activity's (MSSanté §9: PractitionerRole).
fn check_activity(kind: Kind, id: &str) -> Result<(), RuleBreach> {
    if kind != Kind::Per {
        return Err(RuleBreach::NotForKind { kind, field: "the number of an activity" });
    }
    let is_good = (1..=ID_OCTETS).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
    is_good.then_some(()).ok_or(RuleBreach::BadId { field: "holder.activity_id", expected: "digits" })
}

fn is_token(id: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/');
    (1..=ID_OCTETS).contains(&id.len()) && id.bytes().all(good)
}

fn texts_are_good(record: &store::Account) -> Result<(), RuleBreach> {
    let holder = &record.holder;
    let fields = [
        ("title", &holder.title),
        ("first name", &holder.first_name),
        ("last name", &holder.last_name),
        ("entity", &holder.entity),
        ("service", &holder.service),
        ("label", &holder.label),
        ("profession", &holder.profession),
        ("speciality", &holder.speciality),
        ("comment", &record.comment),
    ];
    let is_good = |text: &str| {
        !text.trim().is_empty() && text.chars().count() <= TEXT_CHARS && !text.chars().any(char::is_control)
    };
    for (name, value) in fields {
        if value.as_deref().is_some_and(|text| !is_good(text)) {
            return Err(RuleBreach::BadText(name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::store::{AccountId, AccountKind, Holder};

    use super::*;

    fn per() -> store::Account {
        let holder =
            Holder {
                national_id: Some("899700000001".into()), last_name: Some("Lefèvre".into()), ..Holder::default()
            };
        store::Account { kind: AccountKind::Per, holder, ..store::Account::default() }
    }

    fn org(kind: AccountKind) -> store::Account {
        let holder =
            Holder { structure_id: Some("1010000024".into()), label: Some("Secrétariat".into()), ..Holder::default() };
        store::Account { kind, holder, ..store::Account::default() }
    }

    #[test]
    fn each_kind_is_bound_to_what_the_rules_say() {
        for kind in [AccountKind::Per, AccountKind::Cab] {
            let mut record = store::Account { kind, ..per() };
            assert_eq!(check(&record), Ok(()));
            record.holder.national_id = None;
            assert!(matches!(check(&record), Err(RuleBreach::Missing { .. })), "{kind:?}");
        }
        for kind in [AccountKind::Org, AccountKind::App] {
            let mut record = org(kind);
            assert_eq!(check(&record), Ok(()));
            record.holder.structure_id = None;
            assert!(matches!(check(&record), Err(RuleBreach::Missing { .. })), "{kind:?}");
        }
    }

    #[test]
    fn ids_have_the_national_form() {
        for (id, good) in [
            ("899700000001", true),
            ("89970000001", false),
            ("799700000001", false),
            ("chu-lyon/4711", true),
            ("", false),
            ("a b", false),
        ] {
            let mut record = per();
            record.holder.national_id = Some(id.into());
            assert_eq!(check(&record).is_ok(), good, "{id}");
        }
        for (id, good) in [
            ("1010000024", true),
            ("12A0000014", true),
            ("101000002", false),
            ("312345678901234", true),
            ("31234567890123", false),
            ("4123", true),
        ] {
            let mut record = org(AccountKind::Org);
            record.holder.structure_id = Some(id.into());
            assert_eq!(check(&record).is_ok(), good, "{id}");
        }
    }

    #[test]
    fn mail_is_sent_on_to_one_to_five_other_mailboxes() {
        let many: Vec<String> = (0..6).map(|n| format!("m{n}@x.example")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (to, good) in [
            (&["anne@x.example"][..], true),
            (&many[..5], true),
            (&many[..], false),
            (&[], false),
            (&["nobody"], false),
            (&["anne@x.example", "ANNE@x.example"], false),
            (&["Zoe@aura.example"], false),
        ] {
            let to = to.iter().map(|text| (*text).to_owned()).collect();
            let forward = Some(Forward { to, ..Forward::default() });
            let record = store::Account { address: "zoe@aura.example".into(), forward, ..per() };
            assert_eq!(check(&record).is_ok(), good, "{:?}", record.forward);
        }
    }

    #[test]
    fn an_absence_ends_after_it_begins_and_says_something() {
        let long = "é".repeat(ABSENCE_CHARS);
        let too_long = format!("{long}x");
        for (from, until, text, good) in [
            (1, 2, "Absente jusqu'au 3.\nMerci.", true),
            (1, 2, long.as_str(), true),
            (1, 2, too_long.as_str(), false),
            (2, 2, "Absente", false),
            (3, 2, "Absente", false),
            (1, 2, " \n", false),
            (1, 2, "a\u{0}b", false),
        ] {
            let absence = Absence { from, until, text: text.to_owned(), citizens: false };
            let record = store::Account { absence: Some(absence), ..per() };
            assert_eq!(check(&record).is_ok(), good, "{from} {until} {text}");
        }
    }

    #[test]
    fn software_lets_nobody_in_by_an_access_list() {
        let grant = AccessGrant { person: "899700000002".into(), ..AccessGrant::default() };
        for (mut record, good) in [
            (per(), true),
            (org(AccountKind::App), false),
            (org(AccountKind::Org), true),
            (store::Account { kind: AccountKind::Cab, ..per() }, true),
        ] {
            record.access_list = vec![grant.clone()];
            assert_eq!(check(&record).is_ok(), good, "{:?}", record.kind);
        }
    }

    #[test]
    fn an_access_list_is_bounded_and_its_entries_are_somebodys() {
        let person = |id: &str| AccessGrant { person: id.into(), ..AccessGrant::default() };
        let mailbox = AccessGrant { mailbox: Some(AccountId(7)), ..AccessGrant::default() };
        let of_both = AccessGrant { person: "899700000002".into(), ..mailbox.clone() };
        let named = |name: &str| AccessGrant { name: name.into(), ..person("899700000002") };
        let many = |count| vec![person("899700000002"); count];
        for (list, good) in [
            (many(200), true),
            (many(201), false),
            (vec![mailbox], true),
            (vec![of_both], false),
            (vec![person("")], false),
            (vec![named("Mme Léa Martin")], true),
            (vec![named("a\nb")], false),
            (vec![named(&"é".repeat(201))], false),
        ] {
            let record = store::Account { access_list: list.clone(), ..org(AccountKind::Org) };
            assert_eq!(check(&record).is_ok(), good, "{list:?}");
        }
    }
}
