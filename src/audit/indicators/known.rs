//! Which kind of mailbox an address is: what the traces do not say.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use crate::mss::Address;
use crate::store::{Account, AccountId, AccountKind, AddressEntry, Store, StoreError};

/// Looks mailboxes up, and remembers them: address and kind never change, and no address is given twice (MSSanté §4, §5).
#[derive(Debug)]
pub(super) struct Known {
    store: Store,
    most: usize,
    remembered: Mutex<Remembered>,
}

#[derive(Debug)]
struct Remembered {
    mailboxes: LruCache<Box<str>, Mailbox>,
    /// Each name once: mailboxes are many and domains are few.
    domains: HashSet<Arc<str>>,
}

impl Remembered {
    fn domain(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.domains.get(name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        self.domains.insert(new.clone());
        new
    }
}

/// What the indicators want to know of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mailbox {
    pub(super) account: AccountId,
    pub(super) domain: Arc<str>,
    pub(super) kind: &'static str,
}

impl Known {
    pub(super) fn new(store: Store, most: usize) -> Self {
        let remembered = Remembered { mailboxes: LruCache::unbounded(), domains: HashSet::new() };
        Self { store, most, remembered: Mutex::new(remembered) }
    }

    /// The own mailbox with an address, closed ones included. One whose records are damaged counts as another operator's.
    pub(super) fn find(&self, address: &str) -> Result<Option<Mailbox>, StoreError> {
        if let Some(mailbox) = self.remembered().mailboxes.get(address) {
            return Ok(Some(mailbox.clone()));
        }
        let Ok(parsed) = Address::parse(address) else { return Ok(None) };
        let account = match readable(self.store.get::<AddressEntry>(&parsed.key()))?.map(|entry| entry.record) {
            Some(AddressEntry::Account(account) | AddressEntry::Closed { account, .. }) => account,
            None => return Ok(None),
        };
        let Some(record) = readable(self.store.get::<Account>(&account))? else { return Ok(None) };
        let mut remembered = self.remembered();
        let domain = remembered.domain(parsed.domain().as_str());
        let mailbox = Mailbox { account, domain, kind: code_of(record.kind) };
        // As it is spelled everywhere but by strangers: each way of theirs would want a place.
        if address == record.address || address == parsed.key() {
            remembered.mailboxes.put(address.into(), mailbox.clone());
        }
        while remembered.mailboxes.len() > self.most {
            remembered.mailboxes.pop_lru();
        }
        Ok(Some(mailbox))
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
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
