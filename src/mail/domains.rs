//! What domains hold and may hold, and what follows for each of their mailboxes.
//!
//! Only domains with bounds of their own are here. What the mailboxes of one hold is counted in memory, from what each holds
//! after its last commit: derived, counted anew at each start, and in no commit's way.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::{Account, AccountId, AccountKind, AccountState, Domain, Store, StoreError, Usage};

/// Accounts read at a time.
const PAGE: usize = 1_000;

/// Bytes that a mailbox may hold which has no quota of its own, nor its domain one for it. By kind; `None`: as all kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaByKind {
    /// PER mailboxes.
    pub per: Option<u64>,
    /// ORG mailboxes.
    pub org: Option<u64>,
    /// APP mailboxes.
    pub app: Option<u64>,
    /// CAB mailboxes.
    pub cab: Option<u64>,
}

impl QuotaByKind {
    pub(super) fn of(self, kind: AccountKind) -> Option<u64> {
        match kind {
            AccountKind::Per => self.per,
            AccountKind::Org => self.org,
            AccountKind::App => self.app,
            AccountKind::Cab => self.cab,
        }
    }
}

/// What bounds a mailbox now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Bytes that it may hold.
    pub(super) quota: Option<u64>,
    /// Bytes that its domain may still take.
    pub(super) left: Option<u64>,
}

/// The operator's domains that have bounds of their own.
#[derive(Debug, Default)]
pub(super) struct Domains {
    by_name: Mutex<HashMap<String, Held>>,
}

/// What one of them may hold, and holds.
#[derive(Debug, Default)]
struct Held {
    total: Option<u64>,
    each: Option<u64>,
    /// Counted only where there is a bound for all.
    by_account: HashMap<AccountId, u64>,
    used: u64,
}

impl Held {
    fn note(&mut self, account: AccountId, bytes: u64) {
        let before = self.by_account.insert(account, bytes).unwrap_or_default();
        self.used = (self.used - before).saturating_add(bytes);
    }
}

impl Domains {
    /// Reads the domains' records, and counts where that is needed.
    pub(super) fn read(store: &Store) -> Result<Self, StoreError> {
        let domains = Self::default();
        for (_, domain) in store.scan::<Domain>(.., usize::MAX)? {
            domains.set_bounds(&domain);
        }
        domains.count(store, None)?;
        Ok(domains)
    }

    /// The bounds of a mailbox; `default` where nobody has said anything of its own.
    pub(super) fn bounds(&self, account: &Account, default: Option<u64>) -> Bounds {
        let held = self.held();
        // Most operators bound no domain: that costs nothing at each message.
        let domain = if held.is_empty() { None } else { held.get(&domain_of(&account.address)) };
        let quota = account.quota.or_else(|| domain.and_then(|domain| domain.each));
        Bounds {
            quota: quota.or(default),
            left: domain.and_then(|domain| domain.total.map(|total| total.saturating_sub(domain.used))),
        }
    }

    /// What a mailbox holds after a commit of its own. Called under its lock.
    pub(super) fn note(&self, address: &str, account: AccountId, bytes: u64) {
        let mut held = self.held();
        if held.is_empty() {
            return;
        }
        if let Some(domain) = held.get_mut(&domain_of(address)).filter(|domain| domain.total.is_some()) {
            domain.note(account, bytes);
        }
    }

    /// What all mailboxes of a domain hold, where that is counted.
    pub(super) fn used(&self, name: &str) -> Option<u64> {
        self.held().get(name).filter(|domain| domain.total.is_some()).map(|domain| domain.used)
    }

    /// A domain's record has changed. Reads every account where it has got a bound for all.
    pub(super) fn changed(&self, record: &Domain, store: &Store) -> Result<(), StoreError> {
        self.set_bounds(record);
        if record.quota.is_some() { self.count(store, Some(&record.name)) } else { Ok(()) }
    }

    fn set_bounds(&self, record: &Domain) {
        let mut held = self.held();
        if record.quota.is_none() && record.mailbox_quota.is_none() {
            held.remove(&record.name);
            return;
        }
        let domain = held.entry(record.name.clone()).or_default();
        (domain.total, domain.each) = (record.quota, record.mailbox_quota);
        if domain.total.is_none() {
            // Nobody tells what they hold any more.
            domain.by_account.clear();
            domain.used = 0;
        }
    }

    /// Counts what the mailboxes of one domain hold, or of all that have a bound for all. What a mailbox has told meanwhile is
    /// newer than what is read here.
    fn count(&self, store: &Store, only: Option<&str>) -> Result<(), StoreError> {
        let is_counted = |domain: &Held| domain.total.is_some();
        if !self.held().values().any(is_counted) {
            return Ok(());
        }
        let mut from = AccountId(0);
        loop {
            let page = store.scan::<Account>(from.., PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = AccountId(last.0.saturating_add(1));
            for (id, account) in page.iter().filter(|(_, account)| account.state != AccountState::Closed) {
                let name = domain_of(&account.address);
                if only.is_some_and(|only| only != name) {
                    continue;
                }
                let usage = held_by(store, *id)?;
                let mut held = self.held();
                if let Some(domain) = held.get_mut(&name).filter(|domain| is_counted(domain))
                    && !domain.by_account.contains_key(id)
                {
                    domain.note(*id, usage);
                }
            }
        }
    }

    /// Held for moments; nobody panics while holding it.
    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that a mailbox holds. One whose figure is damaged counts as empty until it tells itself: no figure keeps the server
/// from its start.
fn held_by(store: &Store, id: AccountId) -> Result<u64, StoreError> {
    match store.get::<Usage>(&id) {
        Ok(usage) => Ok(usage.map_or(0, |usage| usage.bytes)),
        Err(error @ StoreError::Record { .. }) => {
            tracing::error!(account = %id, %error, "what a mailbox holds does not read: its domain is counted without it");
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

/// The domain of an address, as domains' records are named.
fn domain_of(address: &str) -> String {
    address.rsplit_once('@').map_or_else(String::new, |(_, domain)| domain.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, scratch};

    #[tokio::test]
    async fn a_damaged_figure_costs_itself_and_no_start() {
        let store = Store::in_memory();
        let mut batch = Batch::new();
        for id in [1, 2].map(AccountId) {
            batch.put(&id, &account("x@aura.example")).put(&id, &Usage { bytes: 100, ..Usage::default() });
        }
        let record = Domain { name: "aura.example".into(), quota: Some(1_000), ..Domain::default() };
        batch.put(&record.name.clone(), &record);
        store.commit(batch).await.unwrap();
        scratch::damage::<Usage>(&store, &AccountId(1));
        assert_eq!(Domains::read(&store).unwrap().used("aura.example"), Some(100));
    }

    fn account(address: &str) -> Account {
        Account { address: address.into(), ..Account::default() }
    }

    #[tokio::test]
    async fn a_domain_is_counted_from_what_is_there_and_from_what_its_mailboxes_tell() {
        let store = Store::in_memory();
        let mut batch = Batch::new();
        for (id, bytes) in [(1, 100), (2, 50)] {
            batch.put(&AccountId(id), &account("x@Aura.example"));
            batch.put(&AccountId(id), &Usage { bytes, ..Usage::default() });
        }
        batch.put(&AccountId(3), &account("x@elsewhere.example"));
        batch.put(&AccountId(3), &Usage { bytes: 7, ..Usage::default() });
        let mut record = Domain { name: "aura.example".into(), quota: Some(1_000), ..Domain::default() };
        batch.put(&record.name.clone(), &record);
        store.commit(batch).await.unwrap();
        let domains = Domains::read(&store).unwrap();
        assert_eq!(domains.used("aura.example"), Some(150));
        assert_eq!(domains.used("elsewhere.example"), None);
        domains.note("x@AURA.example", AccountId(2), 20);
        domains.note("y@elsewhere.example", AccountId(3), 9_999);
        assert_eq!(domains.used("aura.example"), Some(120));
        let mine = account("x@aura.example");
        assert_eq!(domains.bounds(&mine, Some(5)), Bounds { quota: Some(5), left: Some(880) });
        // What is counted anew keeps what was told.
        record.mailbox_quota = Some(77);
        domains.changed(&record, &store).unwrap();
        assert_eq!(domains.bounds(&mine, Some(5)), Bounds { quota: Some(77), left: Some(880) });
        let own = Account { quota: Some(3), ..mine.clone() };
        assert_eq!(domains.bounds(&own, Some(5)).quota, Some(3), "a mailbox's own goes before all others");
        // What was told before a bound was taken away is not believed when there is one again.
        for quota in [None, Some(1_000)] {
            record.quota = quota;
            domains.changed(&record, &store).unwrap();
        }
        assert_eq!(domains.used("aura.example"), Some(150));
        (record.quota, record.mailbox_quota) = (None, None);
        domains.changed(&record, &store).unwrap();
        assert_eq!(domains.bounds(&mine, Some(5)), Bounds { quota: Some(5), left: None });
    }
}
