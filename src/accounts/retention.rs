//! How far back something must still be known of the mailboxes that there are, or were.

use std::ops::Bound;

use crate::store::{self, AccountState};

use super::{AccountError, Registry};

/// Accounts that are read at a time.
const PAGE: usize = 1_000;

impl Registry {
    /// When the oldest mailbox was made that is not closed, or was closed at `closed_since` or later (Unix seconds); none:
    /// there is no such mailbox. What happened before it concerns nobody whose traces are still kept (MSSanté §5).
    ///
    /// # Errors
    /// [`AccountError::MayBeMissing`] where damage was met: the oldest may be the one that does not read, and what is forgotten of
    /// it is forgotten for good. Or what the store says.
    pub fn oldest_remembered(&self, closed_since: i64) -> Result<Option<i64>, AccountError> {
        let mut after = Bound::Unbounded;
        let mut oldest = None;
        loop {
            let page = self.store().scan::<store::Account>((after, Bound::Unbounded), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Bound::Excluded(*last);
            let remembered = page.iter().filter(|(_, account)| {
                account.state != AccountState::Closed || account.state_changed_at >= closed_since
            });
            oldest = remembered.map(|(_, account)| account.created_at).chain(oldest).min();
        }
        if self.store().has_met_damage() { Err(AccountError::MayBeMissing) } else { Ok(oldest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::AccountOptions;
    use crate::mail::{MailLimits, MailRoom};
    use crate::store::scratch::damage;
    use crate::store::{AccountId, Batch, MasterKey, Store};

    #[tokio::test]
    async fn a_mailbox_is_remembered_until_its_closing_is_long_past() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let registry = Registry::new(room, AccountOptions::default());
        assert_eq!(registry.oldest_remembered(0).unwrap(), None);
        let mut batch = Batch::new();
        for (id, created_at, state, state_changed_at) in [
            (1, 100, AccountState::Closed, 500),
            (2, 200, AccountState::Closed, 900),
            (3, 300, AccountState::Suspended, 310),
            (4, 400, AccountState::Open, 400),
        ] {
            let account = store::Account { created_at, state, state_changed_at, ..store::Account::default() };
            batch.put(&AccountId(id), &account);
        }
        registry.store().commit(batch).await.unwrap();
        for (closed_since, expected) in [(0, 100), (500, 100), (501, 200), (900, 200), (901, 300), (i64::MAX, 300)] {
            assert_eq!(registry.oldest_remembered(closed_since).unwrap(), Some(expected), "{closed_since}");
        }
        damage::<store::Account>(registry.store(), &AccountId(1));
        let unknown = registry.oldest_remembered(0);
        assert!(
            matches!(unknown, Err(AccountError::MayBeMissing)),
            "nobody knows since when it was there: {unknown:?}"
        );
    }
}
