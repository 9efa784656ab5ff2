//! Which data a mailbox must have, by its kind (MSSanté §4). Pure.

use crate::mail::kind_of;
use crate::mss::{Address, Kind};
use crate::store::{self, AccessGrant};

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
    /// The notification address is none.
    #[error("the notification address is not a mail address")]
    BadNotificationAddress,
    /// The local part cannot be a mailbox's here.
    #[error("mailboxes are named with letters, digits and . - _ + only, or in UTF-8 letters; no quotes")]
    BadLocalPart,
}

/// Characters of a text field.
const TEXT_CHARS: usize = 200;
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
    if let Some(address) = &record.notification_address {
        Address::parse(address).map_err(|_| RuleBreach::BadNotificationAddress)?;
    }
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

/// Which local parts a new mailbox may have: dot-strings without the rarer atom characters, so that every client, list
/// and command line can write them.
pub(super) fn check_local_part(address: &Address) -> Result<(), RuleBreach> {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '\'');
    address.local().chars().all(good).then_some(()).ok_or(RuleBreach::BadLocalPart)
}

/// MSSanté §4: ORG and CAB are opened by the persons on their access list; PER by its holder, APP by software.
fn check_access_list(kind: Kind, list: &[AccessGrant]) -> Result<(), RuleBreach> {
    if !list.is_empty() && matches!(kind, Kind::Per | Kind::App) {
        return Err(RuleBreach::NotForKind { kind, field: "an access list" });
    }
    list.iter().try_for_each(|grant| check_person("access list", &grant.person))
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
    use crate::store::{AccountKind, Holder};

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
    fn only_shared_kinds_have_an_access_list() {
        let grant = AccessGrant { person: "899700000002".into(), ..AccessGrant::default() };
        for (mut record, good) in [
            (per(), false),
            (org(AccountKind::App), false),
            (org(AccountKind::Org), true),
            (store::Account { kind: AccountKind::Cab, ..per() }, true),
        ] {
            record.access_list = vec![grant.clone()];
            assert_eq!(check(&record).is_ok(), good, "{:?}", record.kind);
        }
    }
}
