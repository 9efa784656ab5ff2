//! Which accounts a person may open: those that they hold, and those whose access lists name them or a mailbox of theirs.
//!
//! Hints: the accounts' records decide. They are only ever added; changes that come out of order cost nothing but an entry that
//! leads to a record which says no.

use super::hints::{HintTable, Hints};
use crate::store::{self, AccountId, AccountKind, Store, StoreError};

/// Accounts read at a time while the index is read.
const PAGE: usize = 1_000;

/// By what an account is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Opener {
    /// National id: of the holder, or on the access list.
    Person(Box<str>),
    /// A mailbox on the access list.
    Mailbox(AccountId),
}

/// The index. Read from the store at its first use, kept up to date from then on.
#[derive(Debug, Default)]
pub(super) struct AccessIndex(Hints<Opener, AccountId>);

impl AccessIndex {
    /// Accounts that these may open, each once, in the order of their numbers.
    pub(super) fn opened_by(&self, store: &Store, openers: &[Opener]) -> Result<Vec<AccountId>, StoreError> {
        self.build(store)?;
        let mut found = self.0.find(openers).unwrap_or_default();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// An account was made, or its holder or access list changed; its record is in the store already.
    pub(super) fn note(&self, id: AccountId, record: &store::Account) {
        openers_of(record).for_each(|opener| self.0.add(opener, id));
    }

    /// Builds it, unless it is there. Reads every account: at the server's start, or at the first use.
    pub(super) fn build(&self, store: &Store) -> Result<(), StoreError> {
        self.0.read(|table| read_all(store, table))
    }
}

fn read_all(store: &Store, table: &mut HintTable<Opener, AccountId>) -> Result<(), StoreError> {
    let mut from = AccountId(0);
    loop {
        let page = store.scan::<store::Account>(from.., PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        from = AccountId(last.0.saturating_add(1));
        for (id, account) in page {
            openers_of(&account.record).for_each(|opener| table.add(opener, id));
        }
    }
}

/// MSSanté §4: PER and CAB are bound to a professional, ORG and APP to a structure, whose responsible person opens nothing by that
/// but accepts the terms of use for it.
fn openers_of(record: &store::Account) -> impl Iterator<Item = Opener> {
    let is_held = matches!(record.kind, AccountKind::Per | AccountKind::Cab);
    let holder = if is_held { &record.holder.national_id } else { &record.holder.responsible };
    let granted = record.access_list.iter().map(|grant| match grant.mailbox {
        Some(mailbox) => Opener::Mailbox(mailbox),
        None => Opener::Person(grant.person.as_str().into()),
    });
    holder.iter().map(|id| Opener::Person(id.as_str().into())).chain(granted)
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
    fn a_structures_responsible_person_is_told_of_it() {
        let (store, index) = (Store::in_memory(), AccessIndex::default());
        let holder = Holder { responsible: Some("p1".into()), structure_id: Some("s".into()), ..Holder::default() };
        index.build(&store).unwrap();
        index.note(AccountId(4), &store::Account { kind: AccountKind::Org, holder, ..store::Account::default() });
        assert_eq!(index.opened_by(&store, &[person("p1")]).unwrap(), [AccountId(4)]);
    }
}
