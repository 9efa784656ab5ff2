//! What follows from a change of an account, in the change's own commit: its trace, its lines in the journal, what the holder is
//! told of it, and what the directory has to know.

use crate::store::{self, AccountId, Batch};

use super::notice::Notice;
use super::{Account, Registry};

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
        self.trace_change(before, after, batch);
        self.note_life(id, before, after, batch);
        self.tell_where_it_went(id, before, after, batch);
        self.note_publication(id, before, after, batch);
    }

    /// Who takes a mailbox over has notices sent elsewhere: the address before is told.
    fn tell_where_it_went(
        &self,
        id: AccountId,
        before: Option<&store::Account>,
        after: &store::Account,
        batch: &mut Batch,
    ) {
        let Some(before) = before.filter(|before| before.notification_address != after.notification_address) else {
            return;
        };
        if let Ok(account) = Account::from_record(id, before.clone()) {
            self.tell_in(batch, &account, Notice::AddressChanged);
        }
    }
}
