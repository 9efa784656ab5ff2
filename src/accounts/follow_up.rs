//! What follows from a change of an account, in the change's own commit: its trace, its lines in the journal.

use crate::store::{self, AccountId, Batch};

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
        self.trace_change(before, after, batch);
        self.note_life(id, before, after, batch);
    }
}
