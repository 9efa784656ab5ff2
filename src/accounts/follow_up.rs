//! What follows from a change of an account, in the change's own commit: its trace, and what the directory has to know.

use crate::audit::{Action, Trace};
use crate::store::{self, AccountId, AccountState, Batch};

use super::Registry;

impl Registry {
    /// Adds what follows from a change to the batch that makes it: called wherever an account's record is written.
    /// `before` is none at a creation.
    pub(super) fn follow_up(
        &self,
        id: AccountId,
        before: Option<&store::Account>,
        after: &store::Account,
        batch: &mut Batch,
    ) {
        let what = what_happened(before, after);
        let fields = before.map_or_else(Vec::new, |before| changed_fields(before, after));
        let action = Action::Administered { what: what.to_owned(), fields, about: None };
        let trace = Trace { actor: self.actor().clone(), mailbox: Some(after.address.clone()), ..Trace::of(action) };
        self.room().traces().note(trace, batch);
        self.note_publication(id, before, after, batch);
    }
}

/// The name that a change goes by in the traces.
fn what_happened(before: Option<&store::Account>, after: &store::Account) -> &'static str {
    match before {
        None => "mailbox-created",
        Some(before) if before.state != after.state => match after.state {
            AccountState::Open => "mailbox-reopened",
            AccountState::Suspended => "mailbox-suspended",
            AccountState::Closed => "mailbox-closed",
        },
        Some(_) => "mailbox-changed",
    }
}

/// The names of the fields that differ, as the record spells them; never their values.
fn changed_fields(before: &store::Account, after: &store::Account) -> Vec<String> {
    let fields = |account: &store::Account| match serde_json::to_value(account) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let differs = |name: &&String| before.get(*name) != after.get(*name);
    // These go with every change and tell nothing.
    let tells = |name: &&String| !matches!(name.as_str(), "changed_at" | "state_changed_at" | "sealed_key");
    after.keys().filter(differs).filter(tells).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_by_the_names_of_its_fields() {
        let before = store::Account { address: "a@b".into(), ..store::Account::default() };
        let after = store::Account { red_list: true, changed_at: 7, quota: Some(1), ..before.clone() };
        assert_eq!(changed_fields(&before, &after), ["quota", "red_list"]);
        assert_eq!(what_happened(Some(&before), &after), "mailbox-changed");
        let suspended = store::Account { state: AccountState::Suspended, ..before.clone() };
        assert_eq!(what_happened(Some(&before), &suspended), "mailbox-suspended");
        assert_eq!(what_happened(None, &after), "mailbox-created");
    }
}
