//! Which mailboxes are opened to somebody beside their own (delegation, MSSanté §4).

use crate::mss::{Address, Kind, Rights};
use crate::store::AccountId;

use super::{Account, AccountError, ListFilter, Login, Registry};

/// A mailbox that is opened to somebody, and what they may do in it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedMailbox {
    /// Its account.
    pub account: AccountId,
    /// Its address.
    pub address: Address,
    /// Its kind.
    pub kind: Kind,
    /// What may be done.
    pub rights: Rights,
}

impl Registry {
    /// The mailboxes that are opened to who is logged in, their own left out.
    ///
    /// # Errors
    /// What the store says.
    pub fn shared_with(&self, login: &Login) -> Result<Vec<SharedMailbox>, AccountError> {
        let accounts = self.list(&ListFilter::default(), None, usize::MAX)?;
        let shared = accounts.into_iter().filter(|account| account.id != login.account).map(|account| {
            let rights = rights(&account, login);
            SharedMailbox { account: account.id, address: account.address, kind: account.kind, rights }
        });
        Ok(shared.filter(|shared| !shared.rights.is_empty()).collect())
    }

    /// What who is logged in may do in a mailbox now.
    ///
    /// # Errors
    /// What the store says.
    pub fn rights_on(&self, login: &Login, id: AccountId) -> Result<Rights, AccountError> {
        let account = self.by_id(id)?;
        Ok(account.map_or(Rights::NONE, |account| rights(&account, login)))
    }
}

fn rights(account: &Account, login: &Login) -> Rights {
    let is_holder = login.rights == Rights::all();
    match () {
        () if !account.is_open() => Rights::NONE,
        () if account.id == login.account && is_holder => Rights::all(),
        () => {
            let mailbox = is_holder.then_some(login.account);
            account.granted(login.person.as_deref(), mailbox, crate::mail::now())
        }
    }
}
