//! Which kind of mailbox an address is: what the traces do not say.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::mss::Address;
use crate::store::{Account, AccountId, AccountKind, AddressEntry, Store, StoreError};

/// Mailboxes that are remembered: some megabytes. Beyond, all are forgotten and looked up anew.
const MOST: usize = 50_000;

/// Looks mailboxes up, and remembers them: address and kind never change, and no address is given twice (MSSanté §4, §5).
#[derive(Debug)]
pub(super) struct Known {
    store: Store,
    remembered: Mutex<HashMap<String, Mailbox>>,
}

/// What the indicators want to know of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mailbox {
    pub(super) account: AccountId,
    pub(super) domain: Box<str>,
    pub(super) kind: &'static str,
}

impl Known {
    pub(super) fn new(store: Store) -> Self {
        Self { store, remembered: Mutex::default() }
    }

    /// The own mailbox with an address, closed ones included. One whose records are damaged counts as another operator's.
    pub(super) fn find(&self, address: &str) -> Result<Option<Mailbox>, StoreError> {
        if let Some(mailbox) = self.remembered().get(address) {
            return Ok(Some(mailbox.clone()));
        }
        let Ok(parsed) = Address::parse(address) else { return Ok(None) };
        let account = match readable(self.store.get::<AddressEntry>(&parsed.key()))?.map(|entry| entry.record) {
            Some(AddressEntry::Account(account) | AddressEntry::Closed { account, .. }) => account,
            None => return Ok(None),
        };
        let Some(record) = readable(self.store.get::<Account>(&account))? else { return Ok(None) };
        let mailbox = Mailbox { account, domain: parsed.domain().as_str().into(), kind: code_of(record.kind) };
        let mut remembered = self.remembered();
        if remembered.len() >= MOST {
            remembered.clear();
        }
        remembered.insert(address.to_owned(), mailbox.clone());
        Ok(Some(mailbox))
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<String, Mailbox>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was read, where it reads: damage costs its record, and keeps no trace from being written down.
fn readable<R>(read: Result<Option<R>, StoreError>) -> Result<Option<R>, StoreError> {
    match read {
        Err(error @ StoreError::Record { .. }) => {
            tracing::warn!(event = "indicators.damaged", %error, "a mailbox is not known: its traces are counted without it");
            Ok(None)
        }
        read => read,
    }
}

/// The national code of a kind.
pub(super) fn code_of(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::Per => "PER",
        AccountKind::Org => "ORG",
        AccountKind::App => "APP",
        AccountKind::Cab => "CAB",
    }
}
