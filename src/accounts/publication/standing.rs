//! How mailboxes stand in the directory, for who asks.

use super::{Image, Place, Task, wanted};
use crate::accounts::{Account, AccountError, Registry};
use crate::store::{AccountId, DirectoryEntry, DirectoryEntryKey, DirectoryState};

/// Records read at a time.
const PAGE: usize = 1_000;

/// How a mailbox stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What the directory should show.
    pub wanted: Option<Image>,
    /// What it shows, as far as we know.
    pub published: Option<Image>,
    /// When that was last known to be so, Unix seconds.
    pub published_at: Option<i64>,
    /// Where a try may have put it since, without our knowing.
    pub attempt: Option<Place>,
    /// What waits.
    pub waiting: Vec<Pending>,
    /// What an administrator has to put right.
    pub task: Option<Task>,
}

/// Something that waits.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The mailbox.
    pub account: AccountId,
    /// Since when, Unix seconds.
    pub at: i64,
    /// Why.
    pub cause: String,
    /// Tries that went wrong.
    pub tries: u32,
    /// Unix seconds of the next try; 0: as soon as possible.
    pub due_at: i64,
    /// What was said at the last try.
    pub words: String,
}

/// How many stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Mailboxes that the directory shows, as far as we know.
    pub published: u64,
    /// Mailboxes that wait.
    pub waiting: u64,
    /// Since when the one that has waited longest does, Unix seconds: tasks too.
    pub oldest: Option<i64>,
    /// Mailboxes that wait for the administrator.
    pub tasks: u64,
}

impl Registry {
    /// How one mailbox stands.
    ///
    /// # Errors
    /// What the store says.
    pub fn publication_of(&self, account: &Account) -> Result<Standing, AccountError> {
        let state = self.publication_state(account.id)?;
        let rows = self.store().scan::<DirectoryEntry>(DirectoryEntryKey::of(account.id), usize::MAX)?;
        Ok(Standing {
            wanted: wanted(&account.data, self.publication_options()),
            waiting: rows.iter().map(|(key, entry)| pending(*key, entry, &state)).collect(),
            published: state.published,
            published_at: state.published_at,
            attempt: state.attempt,
            task: state.task,
        })
    }

    /// What waits, by mailbox, from `after` on.
    ///
    /// # Errors
    /// What the store says.
    pub fn publications_pending(&self, after: Option<AccountId>, most: usize) -> Result<Vec<Pending>, AccountError> {
        let mut found: Vec<Pending> = Vec::new();
        let mut from =
            DirectoryEntryKey { account: AccountId(after.map_or(0, |id| id.0.saturating_add(1))), number: 0 };
        loop {
            let rows = self.store().scan::<DirectoryEntry>(from.., PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(found) };
            from = DirectoryEntryKey { number: last.number.saturating_add(1), ..*last };
            for (key, entry) in rows {
                if found.last().is_some_and(|last| last.account == key.account) {
                    continue;
                }
                if found.len() >= most {
                    return Ok(found);
                }
                found.push(pending(key, &entry, &self.publication_state(key.account)?));
            }
        }
    }

    /// The tasks, by mailbox, from `after` on.
    ///
    /// # Errors
    /// What the store says.
    pub fn publication_tasks(
        &self,
        after: Option<AccountId>,
        most: usize,
    ) -> Result<Vec<(AccountId, Task)>, AccountError> {
        let mut found = Vec::new();
        self.each_publication(after, |id, state| {
            found.extend(state.task.map(|task| (id, task)));
            found.len() < most
        })?;
        Ok(found)
    }

    /// Counts them: reads them all.
    ///
    /// # Errors
    /// What the store says.
    pub fn publication_counts(&self) -> Result<Counts, AccountError> {
        let mut counts = Counts::default();
        let older = |one: Option<i64>, other: i64| Some(one.map_or(other, |one| one.min(other)));
        self.each_publication(None, |_, state| {
            counts.published += u64::from(state.published.is_some());
            counts.tasks += u64::from(state.task.is_some());
            if let Some(task) = state.task {
                counts.oldest = older(counts.oldest, task.since);
            }
            true
        })?;
        let mut after = None;
        loop {
            let page = self.publications_pending(after, PAGE)?;
            let Some(last) = page.last() else { return Ok(counts) };
            after = Some(last.account);
            for pending in page {
                counts.waiting += 1;
                counts.oldest = older(counts.oldest, pending.at);
            }
        }
    }

    /// How each mailbox stands, by number, until `visit` says no.
    pub(in crate::accounts) fn each_publication(
        &self,
        after: Option<AccountId>,
        mut visit: impl FnMut(AccountId, DirectoryState) -> bool,
    ) -> Result<(), AccountError> {
        let mut from = AccountId(after.map_or(0, |id| id.0.saturating_add(1)));
        loop {
            let rows = self.store().scan::<DirectoryState>(from.., PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = AccountId(last.0.saturating_add(1));
            for (id, state) in rows {
                if !visit(id, state.record) {
                    return Ok(());
                }
            }
        }
    }
}

fn pending(key: DirectoryEntryKey, entry: &DirectoryEntry, state: &DirectoryState) -> Pending {
    Pending {
        account: key.account,
        at: entry.at,
        cause: entry.cause.clone(),
        tries: state.tries,
        due_at: state.due_at,
        words: state.words.clone(),
    }
}
