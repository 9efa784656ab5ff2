//! Which accounts a person may open: those that they hold, and those whose access lists name them or a mailbox of theirs.
//!
//! Entries are hints, and the accounts' records decide: so they are only ever added, and changes that come out of order, or
//! while the index is being built, cost nothing but an entry that leads to a record which says no.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::{self, AccountId, AccountKind, Store, StoreError};

/// Accounts read at a time while the index is built.
const PAGE: usize = 1_000;

/// By what an account is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Opener {
    /// National id: of the holder, or on the access list.
    Person(Box<str>),
    /// A mailbox on the access list.
    Mailbox(AccountId),
}

/// The index. Built from the store at its first use, kept up to date from then on.
#[derive(Debug, Default)]
pub(super) struct AccessIndex {
    state: Mutex<State>,
    /// Held while it is built: one at a time.
    building: Mutex<()>,
}

type Index = HashMap<Opener, Vec<AccountId>>;

#[derive(Debug, Default)]
enum State {
    #[default]
    Unbuilt,
    /// With what changed meanwhile.
    Building(Vec<(Opener, AccountId)>),
    Built(Index),
}

impl AccessIndex {
    /// Accounts that these may open, each once, in the order of their numbers.
    pub(super) fn opened_by(&self, store: &Store, openers: &[Opener]) -> Result<Vec<AccountId>, StoreError> {
        self.build(store)?;
        let mut found = Vec::new();
        if let State::Built(index) = &*self.state() {
            found.extend(openers.iter().filter_map(|opener| index.get(opener)).flatten());
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// An account was made, or its holder or access list changed; its record is in the store already.
    pub(super) fn note(&self, id: AccountId, record: &store::Account) {
        match &mut *self.state() {
            State::Unbuilt => {}
            State::Building(meanwhile) => meanwhile.extend(openers_of(record).map(|opener| (opener, id))),
            State::Built(index) => openers_of(record).for_each(|opener| add(index, opener, id)),
        }
    }

    /// Builds it, unless it is there. Reads every account: at the server's start, or at the first use.
    pub(super) fn build(&self, store: &Store) -> Result<(), StoreError> {
        if self.is_built() {
            return Ok(());
        }
        let _alone = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_built() {
            return Ok(());
        }
        *self.state() = State::Building(Vec::new());
        let read = read_all(store);
        let mut state = self.state();
        let meanwhile = std::mem::take(&mut *state);
        let mut index = read?;
        if let State::Building(meanwhile) = meanwhile {
            meanwhile.into_iter().for_each(|(opener, id)| add(&mut index, opener, id));
        }
        *state = State::Built(index);
        Ok(())
    }

    fn is_built(&self) -> bool {
        matches!(*self.state(), State::Built(_))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_all(store: &Store) -> Result<Index, StoreError> {
    let mut index = Index::new();
    let mut from = AccountId(0);
    loop {
        let page = store.scan::<store::Account>(from.., PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(index) };
        from = AccountId(last.0.saturating_add(1));
        for (id, account) in page {
            openers_of(&account.record).for_each(|opener| add(&mut index, opener, id));
        }
    }
}

fn add(index: &mut Index, opener: Opener, id: AccountId) {
    let ids = index.entry(opener).or_default();
    if !ids.contains(&id) {
        ids.push(id);
    }
}

/// MSSanté §4: PER and CAB are bound to a professional, ORG and APP to a structure.
fn openers_of(record: &store::Account) -> impl Iterator<Item = Opener> {
    let is_held = matches!(record.kind, AccountKind::Per | AccountKind::Cab);
    let holder = record.holder.national_id.as_deref().filter(|_| is_held);
    let granted = record.access_list.iter().map(|grant| match grant.mailbox {
        Some(mailbox) => Opener::Mailbox(mailbox),
        None => Opener::Person(grant.person.as_str().into()),
    });
    holder.map(|id| Opener::Person(id.into())).into_iter().chain(granted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AccessGrant, Batch, Holder};

    fn held_by(person: &str) -> store::Account {
        let holder = Holder { national_id: Some(person.into()), ..Holder::default() };
        store::Account { holder, ..store::Account::default() }
    }

    fn person(id: &str) -> Opener {
        Opener::Person(id.into())
    }

    #[tokio::test]
    async fn accounts_are_found_by_holder_and_access_list_from_the_store_and_from_changes() {
        let (store, index) = (Store::in_memory(), AccessIndex::default());
        let shared = store::Account {
            kind: AccountKind::Org,
            access_list: vec![
                AccessGrant { person: "p2".into(), ..AccessGrant::default() },
                AccessGrant { mailbox: Some(AccountId(1)), ..AccessGrant::default() },
            ],
            ..held_by("structure's")
        };
        let mut batch = Batch::new();
        batch.put(&AccountId(1), &held_by("p1")).put(&AccountId(2), &shared);
        store.commit(batch).await.unwrap();
        let found = |openers: &[Opener]| index.opened_by(&store, openers).unwrap();
        assert_eq!(found(&[person("p1"), Opener::Mailbox(AccountId(1))]), [AccountId(1), AccountId(2)]);
        assert_eq!(found(&[person("p2")]), [AccountId(2)]);
        assert!(found(&[person("structure's")]).is_empty(), "nobody holds an ORG mailbox");
        index.note(AccountId(3), &held_by("p1"));
        index.note(AccountId(3), &held_by("p1"));
        assert_eq!(found(&[person("p1")]), [AccountId(1), AccountId(3)]);
    }

    #[test]
    fn what_changes_while_it_is_built_is_in_it() {
        let index = AccessIndex::default();
        *index.state() = State::Building(Vec::new());
        index.note(AccountId(3), &held_by("p1"));
        assert!(matches!(&*index.state(), State::Building(meanwhile) if meanwhile.len() == 1));
    }
}
