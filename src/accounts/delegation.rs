//! One entry of a mailbox's access list: whom it lets in, and its change in one step. Sessions that have the mailbox open
//! look again what they may do as soon as the change is on disk.

use crate::mss::Rights;
use crate::store::{AccessGrant, AccountId};

use super::account::{right_of, right_record};
use super::{Account, AccountError, Registry};

/// Whom an entry of an access list lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantee {
    /// A person, by national id.
    Person(String),
    /// Whoever holds a mailbox.
    Mailbox(AccountId),
}

impl Grantee {
    /// Whom a grant lets in.
    pub fn of(grant: &AccessGrant) -> Grantee {
        match grant.mailbox {
            Some(mailbox) => Grantee::Mailbox(mailbox),
            None => Grantee::Person(grant.person.clone()),
        }
    }
}

impl Registry {
    /// Changes what one entry lets its grantee do, from what it lets them do now; `name` is for people, where the entry is
    /// new. Without a right left the entry goes.
    ///
    /// # Errors
    /// As [`Registry::set`].
    pub async fn change_grant(
        &self,
        id: AccountId,
        who: &Grantee,
        name: &str,
        change: impl Fn(Rights) -> Rights,
    ) -> Result<Account, AccountError> {
        self.update(id, |record| {
            change_entry(&mut record.access_list, who, name, crate::mail::now(), &change);
            Ok(())
        })
        .await
    }
}

fn change_entry(list: &mut Vec<AccessGrant>, who: &Grantee, name: &str, now: i64, change: &impl Fn(Rights) -> Rights) {
    // What has run out gives nothing to go on from.
    list.retain(|grant| Grantee::of(grant) != *who || grant.until.is_none_or(|until| now < until));
    let place = list.iter().position(|grant| Grantee::of(grant) == *who);
    let held = place.map_or(Rights::NONE, |place| rights_of(&list[place]));
    let rights = change(held);
    match place {
        _ if rights == held => {}
        Some(place) if rights.is_empty() => drop(list.remove(place)),
        Some(place) => list[place].rights = rights.iter().map(right_record).collect(),
        None => {
            let (person, mailbox) = match who {
                Grantee::Person(person) => (person.clone(), None),
                Grantee::Mailbox(mailbox) => (String::new(), Some(*mailbox)),
            };
            let rights = rights.iter().map(right_record).collect();
            list.push(AccessGrant { person, mailbox, name: name.to_owned(), rights, since: now, until: None });
        }
    }
}

/// What a grant lets its grantee do.
fn rights_of(grant: &AccessGrant) -> Rights {
    grant.rights.iter().copied().map(right_of).collect::<Rights>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mss::Right;

    #[test]
    fn an_entry_is_made_changed_in_its_place_and_taken_away() {
        let (anne, secretary) = (Grantee::Person("899700000001".into()), Grantee::Mailbox(AccountId(7)));
        let all = |_: Rights| Rights::all();
        let only_read = |_: Rights| [Right::Read].into_iter().collect();
        let mut list = Vec::new();
        change_entry(&mut list, &anne, "Anne", 10, &all);
        change_entry(&mut list, &secretary, "Secrétariat", 11, &only_read);
        change_entry(&mut list, &anne, "autre", 12, &only_read);
        assert_eq!(list.len(), 2);
        assert_eq!(
            (list[0].name.as_str(), list[0].since, rights_of(&list[0]).to_string()),
            ("Anne", 10, "read".into())
        );
        assert_eq!((list[1].person.as_str(), list[1].mailbox), ("", Some(AccountId(7))));
        change_entry(&mut list, &anne, "", 13, &|_| Rights::NONE);
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn what_has_run_out_is_nothing_to_go_on_from() {
        let anne = Grantee::Person("899700000001".into());
        let rights = vec![right_record(Right::Manage)];
        let old = AccessGrant { person: "899700000001".into(), rights, until: Some(5), ..AccessGrant::default() };
        let mut list = vec![old];
        change_entry(&mut list, &anne, "", 10, &|held| held.and([Right::Send].into_iter().collect()));
        assert_eq!((list.len(), rights_of(&list[0]).to_string().as_str(), list[0].until), (1, "send", None));
    }
}
