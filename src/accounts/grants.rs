//! Access lists: who else opens a mailbox (delegation, MSSanté §4).

use super::account::{right_of, right_record};
use super::{Account, AccountError, Registry};
use crate::mail::kind_of;
use crate::mss::{Kind, Rights};
use crate::store::{self, AccessGrant, AccountId, AccountState};

/// Whom an entry of an access list lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantee {
    /// A person, by national id.
    Person(String),
    /// Whoever holds this PER mailbox.
    Mailbox(AccountId),
}

impl Grantee {
    /// Of an entry.
    pub fn of(grant: &AccessGrant) -> Grantee {
        match grant.mailbox {
            Some(mailbox) => Grantee::Mailbox(mailbox),
            None => Grantee::Person(grant.person.clone()),
        }
    }
}

impl Registry {
    /// Puts somebody on the access list, or changes what they may do. Sessions that may do less from now on end.
    ///
    /// # Errors
    /// As [`Registry::set`].
    pub async fn grant(&self, id: AccountId, grant: AccessGrant) -> Result<Account, AccountError> {
        self.check_grants(Some(id), std::slice::from_ref(&grant))?;
        let grantee = Grantee::of(&grant);
        self.update(id, |record| {
            record.access_list.retain(|other| Grantee::of(other) != grantee);
            record.access_list.push(grant.clone());
            Ok(())
        })
        .await
    }

    /// Takes somebody off the access list. Their sessions end.
    ///
    /// # Errors
    /// [`AccountError::NoGrant`]; as [`Registry::set`].
    pub async fn take_grant(&self, id: AccountId, grantee: &Grantee) -> Result<Account, AccountError> {
        self.update(id, |record| {
            let before = record.access_list.len();
            record.access_list.retain(|grant| Grantee::of(grant) != *grantee);
            if record.access_list.len() == before { Err(AccountError::NoGrant) } else { Ok(()) }
        })
        .await
    }

    /// What of an access list the list alone does not tell: a mailbox on it stands for the person who holds it.
    pub(super) fn check_grants(&self, of: Option<AccountId>, list: &[AccessGrant]) -> Result<(), AccountError> {
        for grant in list {
            if grant.rights.is_empty() {
                return Err(AccountError::BadGrant("an entry of an access list has at least one right"));
            }
            let Some(mailbox) = grant.mailbox else { continue };
            let named = self.store().get::<store::Account>(&mailbox)?;
            let is_somebodys = named.is_some_and(|named| {
                kind_of(named.kind) == Kind::Per && named.state != AccountState::Closed && of != Some(mailbox)
            });
            if !is_somebodys {
                return Err(AccountError::BadGrant(
                    "an access list names persons, or other PER mailboxes of this operator",
                ));
            }
        }
        Ok(())
    }
}

/// One entry at a time.
impl Registry {
    /// Changes what one entry lets its grantee do, from what it lets them do now. Without a right left the entry goes.
    ///
    /// # Errors
    /// [`AccountError::BadGrant`]; as [`Registry::set`].
    pub async fn change_grant(
        &self,
        id: AccountId,
        who: &Grantee,
        change: impl Fn(Rights) -> Rights,
    ) -> Result<Account, AccountError> {
        if !change(Rights::NONE).is_empty() {
            self.check_grants(Some(id), &[new_entry(who, change(Rights::NONE), crate::mail::now())])?;
        }
        self.update(id, |record| {
            change_entry(&mut record.access_list, who, crate::mail::now(), &change);
            Ok(())
        })
        .await
    }
}

fn change_entry(list: &mut Vec<AccessGrant>, who: &Grantee, now: i64, change: &impl Fn(Rights) -> Rights) {
    // What has run out gives nothing to go on from.
    list.retain(|grant| Grantee::of(grant) != *who || grant.until.is_none_or(|until| now < until));
    let place = list.iter().position(|grant| Grantee::of(grant) == *who);
    let held = place.map_or(Rights::NONE, |place| rights_of(&list[place]));
    let rights = change(held);
    match place {
        _ if rights == held => {}
        Some(place) if rights.is_empty() => drop(list.remove(place)),
        Some(place) => list[place].rights = rights.iter().map(right_record).collect(),
        None => list.push(new_entry(who, rights, now)),
    }
}

/// What a grant lets its grantee do.
fn rights_of(grant: &AccessGrant) -> Rights {
    grant.rights.iter().copied().map(right_of).collect::<Rights>()
}

fn new_entry(who: &Grantee, rights: Rights, now: i64) -> AccessGrant {
    let (person, mailbox) = match who {
        Grantee::Person(person) => (person.clone(), None),
        Grantee::Mailbox(mailbox) => (String::new(), Some(*mailbox)),
    };
    let rights = rights.iter().map(right_record).collect();
    AccessGrant { person, mailbox, rights, since: now, ..AccessGrant::default() }
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
        change_entry(&mut list, &anne, 10, &all);
        change_entry(&mut list, &secretary, 11, &only_read);
        change_entry(&mut list, &anne, 12, &only_read);
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].since, rights_of(&list[0]).to_string()), (10, "read".into()));
        assert_eq!((list[1].person.as_str(), list[1].mailbox), ("", Some(AccountId(7))));
        change_entry(&mut list, &anne, 13, &|_| Rights::NONE);
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn what_has_run_out_is_nothing_to_go_on_from() {
        let anne = Grantee::Person("899700000001".into());
        let rights = vec![right_record(Right::Manage)];
        let old = AccessGrant { person: "899700000001".into(), rights, until: Some(5), ..AccessGrant::default() };
        let mut list = vec![old];
        change_entry(&mut list, &anne, 10, &|held| held.and([Right::Send].into_iter().collect()));
        assert_eq!((list.len(), rights_of(&list[0]).to_string().as_str(), list[0].until), (1, "send", None));
    }
}
