//! Addresses and accounts as the exchange rules see them.

use crate::mss::exchange::{OwnMailbox, Party};
use crate::mss::{Address, Conversation, Domain, Kind, MailboxState, TrustSpace};
use crate::store::{self, AccountId, AccountKind, AccountState, AddressEntry};

use super::{MailError, MailRoom, conversation};

impl MailRoom {
    /// What an address is: a mailbox of ours, nobody in a domain of ours, or another operator's.
    ///
    /// # Errors
    /// What the store says.
    pub fn party(&self, address: &Address) -> Result<Party, MailError> {
        if !self.is_own(address.domain())? {
            return Ok(Party::Other { address: address.clone() });
        }
        match self.account_of(address)? {
            Some(account) => Ok(Party::Own(self.own_mailbox(account)?)),
            None => Ok(Party::Unknown { address: address.clone() }),
        }
    }

    /// How a pair stands, for [`exchange::decide_in`](crate::mss::exchange::decide_in): looked up where a citizen writes to
    /// a mailbox of ours, else there is nothing to know.
    ///
    /// # Errors
    /// As [`conversation::state`].
    pub fn conversation_of(&self, space: &TrustSpace, from: &Party, to: &Party) -> Result<Conversation, MailError> {
        match (from, to) {
            (Party::Other { address }, Party::Own(own))
                if space.citizens.is_citizen(address) && own.state == MailboxState::Open =>
            {
                match self.account_of(&own.address)? {
                    Some(account) => conversation::state(self, account, address),
                    None => Ok(Conversation::NotStarted),
                }
            }
            _ => Ok(Conversation::NotStarted),
        }
    }

    /// The account with an address, in any case; also a closed one.
    pub(crate) fn account_of(&self, address: &Address) -> Result<Option<AccountId>, MailError> {
        let entry = self.store().get::<AddressEntry>(&address.key())?;
        Ok(entry.map(|entry| match entry.record {
            AddressEntry::Account(account) | AddressEntry::Closed { account, .. } => account,
        }))
    }

    /// What the rules ask about a mailbox of ours.
    pub(crate) fn own_mailbox(&self, account: AccountId) -> Result<OwnMailbox, MailError> {
        own_mailbox(&self.account(account)?.record)
    }

    fn is_own(&self, domain: &Domain) -> Result<bool, MailError> {
        Ok(self.store().get::<store::Domain>(&domain.as_str().to_owned())?.is_some())
    }
}

pub(super) fn own_mailbox(record: &store::Account) -> Result<OwnMailbox, MailError> {
    // An account is created from an address; a record that holds none is damaged, and nobody's mailbox.
    let address = Address::parse(&record.address).map_err(|_| MailError::NoMailbox)?;
    Ok(OwnMailbox {
        address,
        kind: kind_of(record.kind),
        test: record.test,
        restricted: record.restricted,
        state: state_of(record.state),
    })
}

/// A record's kind in the trust space's words.
pub(crate) fn kind_of(kind: AccountKind) -> Kind {
    match kind {
        AccountKind::Per => Kind::Per,
        AccountKind::Org => Kind::Org,
        AccountKind::App => Kind::App,
        AccountKind::Cab => Kind::Cab,
    }
}

/// A record's state in the trust space's words.
pub(crate) fn state_of(state: AccountState) -> MailboxState {
    match state {
        AccountState::Open => MailboxState::Open,
        AccountState::Suspended => MailboxState::Suspended,
        AccountState::Closed => MailboxState::Closed,
    }
}
