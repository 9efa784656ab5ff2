//! Access lists: who else opens a mailbox (delegation, MSSanté §4).

use super::{Account, AccountError, Registry};
use crate::mail::kind_of;
use crate::mss::Kind;
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
