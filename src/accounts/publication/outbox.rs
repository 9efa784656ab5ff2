//! The outbox: what goes in with a change, what is due, and what came of it.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Image, Place, Task, is_withheld, wanted};
use crate::accounts::{Account, AccountError, Registry};
use crate::audit::{Action, Actor, Trace};
use crate::store::{self, AccountId, Batch, DirectoryEntry, DirectoryEntryKey, DirectoryState, StoreError};

/// Accounts that a sweep reads at a time.
const PAGE: usize = 500;

/// A mailbox that the directory has to hear of.
#[derive(Clone, Debug)]
pub struct Due {
    /// Its account.
    pub account: AccountId,
    /// Its address.
    pub address: String,
    /// What the directory should show of it.
    pub wanted: Option<Image>,
    /// What the directory shows of it, as far as we know.
    pub published: Option<Image>,
    /// Where a try may have put it, without our knowing.
    pub attempt: Option<Place>,
    /// Tries that went wrong so far.
    pub tries: u32,
    /// Since when it waits, Unix seconds.
    pub since: i64,
    /// Nothing is known of the mailbox any more.
    is_forgotten: bool,
    /// The entries that this is for.
    entries: Vec<DirectoryEntryKey>,
}

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Mailboxes that it put in the outbox.
    pub queued: u64,
    /// Mailboxes that the directory shows and the rules in force do not publish, though nothing has happened to them: they
    /// stay there until an administrator has them taken away.
    pub withheld: u64,
}

/// Some of what is due.
#[derive(Clone, Debug, Default)]
pub struct DuePage {
    /// Due now, by account.
    pub due: Vec<Due>,
    /// Where to go on; none: this was the last page.
    pub next: Option<AccountId>,
    /// When the first of those that are not due yet will be, Unix seconds.
    pub next_due: Option<i64>,
}

impl Registry {
    /// Adds an entry to the batch of a change, if the directory should show another thing after it.
    pub(in crate::accounts) fn note_publication(
        &self,
        id: AccountId,
        before: Option<&store::Account>,
        after: &store::Account,
        batch: &mut Batch,
    ) {
        let options = self.publication_options();
        let (before, after) = (before.and_then(|before| wanted(before, options)), wanted(after, options));
        if before != after {
            self.put_entry(id, cause_of(before.as_ref(), after.as_ref()), batch);
        }
    }

    fn put_entry(&self, account: AccountId, cause: &str, batch: &mut Batch) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let number = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let entry = DirectoryEntry { at: crate::mail::now(), cause: cause.to_owned() };
        batch.put(&DirectoryEntryKey { account, number }, &entry);
        // The job waits a moment before it looks, so that the commit is there by then.
        self.publication_wake().ring();
    }

    /// Resolves when something was put in the outbox since the last time.
    pub async fn publication_waits(&self) {
        self.publication_wake().rung().await;
    }

    /// What is due `now`, from `after` on.
    ///
    /// # Errors
    /// What the store says.
    pub fn publications_due(&self, now: i64, after: Option<AccountId>, most: usize) -> Result<DuePage, AccountError> {
        let from = AccountId(after.map_or(0, |id| id.0.saturating_add(1)));
        let rows = self.store().scan::<DirectoryEntry>(DirectoryEntryKey { account: from, number: 0 }.., most)?;
        let mut page = DuePage::default();
        if rows.len() >= most {
            page.next = rows.last().map(|(key, _)| key.account);
        }
        for rows in rows.chunk_by(|(one, _), (other, _)| one.account == other.account) {
            self.look_at(rows[0].0.account, now, &mut page)?;
        }
        Ok(page)
    }

    /// Adds to a page what is due of a mailbox.
    fn look_at(&self, account: AccountId, now: i64, page: &mut DuePage) -> Result<(), AccountError> {
        let record = match self.store().get::<store::Account>(&account) {
            Ok(record) => record.map(|read| read.record),
            Err(error @ StoreError::Record { .. }) => {
                self.publication_wake().tell_damaged(account, &error.to_string());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let state = self.publication_state_or(account, || presumed(record.as_ref()))?;
        if state.due_at > now {
            page.next_due = Some(page.next_due.map_or(state.due_at, |earliest| earliest.min(state.due_at)));
            return Ok(());
        }
        let (address, wanted) = match (&record, &state.published) {
            (Some(record), _) => (record.address.clone(), wanted(record, self.publication_options())),
            // Of a mailbox that is gone: it leaves from where it was put.
            (None, Some(shown)) => (shown.address.clone(), None),
            (None, None) if state.attempt.is_none() => (String::new(), None),
            (None, None) => {
                self.publication_wake().tell_damaged(account, "its record is not there, and with it its address");
                return Ok(());
            }
        };
        let is_forgotten = record.as_ref().is_none_or(|record| record.forgotten_at.is_some());
        // A page may end in the middle of an account's entries.
        let rows = self.store().scan::<DirectoryEntry>(DirectoryEntryKey::of(account), usize::MAX)?;
        let since = rows.iter().map(|(_, entry)| entry.at).min().unwrap_or(now);
        page.due.push(Due {
            account,
            address,
            wanted,
            published: state.published,
            attempt: state.attempt,
            tries: state.tries,
            since,
            is_forgotten,
            entries: rows.into_iter().map(|(key, _)| key).collect(),
        });
        Ok(())
    }

    /// Mailboxes are about to be put at this place for the first time: what was begun is known after a stop.
    ///
    /// # Errors
    /// What the store says; nothing may be written then.
    pub async fn publication_begins(&self, due: &[&Due], place: &Place) -> Result<(), AccountError> {
        let mut batch = Batch::new();
        for due in due.iter().filter(|due| !due.is_known_at(place)) {
            let state = self.publication_state_or(due.account, || due.known())?;
            batch.put(&due.account, &DirectoryState { attempt: Some(place.clone()), ..state });
        }
        if !batch.is_empty() {
            self.store().commit(batch).await?;
        }
        Ok(())
    }

    /// The directory shows what it should. `operation`: what was done to it just now, if anything was.
    ///
    /// # Errors
    /// What the store says; the mailbox stays due.
    pub async fn publication_done(&self, due: &Due, operation: Option<&str>) -> Result<(), AccountError> {
        let mut batch = due.without_entries();
        let state = DirectoryState {
            published: due.wanted.clone(),
            published_at: Some(crate::mail::now()),
            ..DirectoryState::default()
        };
        if due.is_forgotten {
            batch.delete::<DirectoryState>(&due.account);
        } else {
            batch.put(&due.account, &state);
        }
        // Found done though we know nothing of it: a stop came between the directory's answer and our own commit.
        let unknown = match (&due.published, &due.wanted) {
            (None, Some(_)) => Some("insert"),
            (Some(_), None) => Some("delete"),
            (published, wanted) if published != wanted => Some("replace"),
            _ => None,
        };
        if let Some(operation) = operation.or(unknown) {
            self.trace_publication(due, operation, "done", &mut batch);
        }
        self.store().commit(batch).await?;
        Ok(())
    }

    /// It could not be done, and is due again at `due_at`, Unix seconds.
    ///
    /// # Errors
    /// What the store says.
    pub async fn publication_later(&self, due: &Due, due_at: i64, words: &str) -> Result<(), AccountError> {
        let state = self.publication_state_or(due.account, || due.known())?;
        let state = DirectoryState { tries: due.tries.saturating_add(1), due_at, words: words.to_owned(), ..state };
        let mut batch = Batch::new();
        batch.put(&due.account, &state);
        self.store().commit(batch).await?;
        Ok(())
    }

    /// The directory refuses it: a task for the administrator, until the mailbox changes again.
    ///
    /// # Errors
    /// What the store says.
    pub async fn publication_refused(&self, due: &Due, status: u16, words: &str) -> Result<(), AccountError> {
        let task = Task { since: due.since, at: crate::mail::now(), status, words: words.to_owned() };
        let mut batch = due.without_entries();
        let state = self.publication_state_or(due.account, || due.known())?;
        let state = DirectoryState { task: Some(task), tries: 0, due_at: 0, words: String::new(), ..state };
        batch.put(&due.account, &state);
        let operation = match (&due.published, &due.wanted) {
            (None, _) => "insert",
            (Some(_), Some(_)) => "replace",
            (Some(_), None) => "delete",
        };
        self.trace_publication(due, operation, words, &mut batch);
        self.store().commit(batch).await?;
        Ok(())
    }

    fn trace_publication(&self, due: &Due, operation: &str, result: &str, batch: &mut Batch) {
        let action = Action::Published { operation: operation.to_owned(), result: result.to_owned() };
        let trace = Trace { actor: Actor::server(), mailbox: Some(due.address.clone()), ..Trace::of(action) };
        self.room().traces().note(trace, batch);
    }

    /// Adds to the commit that forgets a mailbox what becomes of its standing: it is forgotten too, unless the directory shows the
    /// mailbox still, or may. Then its place stays, and nothing else of its holder, until it is taken away there.
    /// `known`: its record up to now, which says where it may be if its standing does not read.
    ///
    /// # Errors
    /// What the store says.
    pub(in crate::accounts) fn forget_publication(
        &self,
        id: AccountId,
        known: &store::Account,
        batch: &mut Batch,
    ) -> Result<(), AccountError> {
        let state = self.publication_state_or(id, || presumed(Some(known)))?;
        if state.published.is_none() && state.attempt.is_none() {
            batch.delete::<DirectoryState>(&id);
            for (key, _) in self.store().scan::<DirectoryEntry>(DirectoryEntryKey::of(id), usize::MAX)? {
                batch.delete::<DirectoryEntry>(&key);
            }
            return Ok(());
        }
        tracing::warn!(
            event = "directory.place_kept",
            account = %id,
            "a mailbox is forgotten that the directory may show still: its place is kept until it is taken away there"
        );
        let bare = |image: Image| Image { place: image.place, address: image.address, ..Image::default() };
        let published = state.published.map(bare);
        batch.put(&id, &DirectoryState { published, words: String::new(), ..state });
        Ok(())
    }

    /// Has a mailbox looked at now, whatever was said of it before.
    ///
    /// # Errors
    /// What the store says.
    pub async fn publish_again(&self, id: AccountId) -> Result<(), AccountError> {
        self.look_again_at(id, "asked", |_| {}).await
    }

    /// Has a mailbox looked at that the directory shows wrongly: at `found`, where it shows it at all.
    ///
    /// # Errors
    /// What the store says.
    pub async fn mend_publication(&self, account: &Account, found: Option<&Place>) -> Result<(), AccountError> {
        let shown = found.map(|place| {
            // Of a mailbox that is forgotten the record does not say any more whose it was.
            let bare = || Image { address: account.data.address.clone(), ..Image::default() };
            Image { place: place.clone(), ..super::image::image(&account.data).unwrap_or_else(bare) }
        });
        // What it shows is another thing than what we know: it has to be looked for where it is.
        self.look_again_at(account.id, "mended", |state| state.published = shown.or(state.published.take())).await
    }

    async fn look_again_at(
        &self,
        id: AccountId,
        cause: &str,
        change: impl FnOnce(&mut DirectoryState),
    ) -> Result<(), AccountError> {
        let mut state = self.publication_state(id)?;
        change(&mut state);
        let mut batch = Batch::new();
        batch.put(&id, &DirectoryState { tries: 0, due_at: 0, task: None, ..state });
        self.put_entry(id, cause, &mut batch);
        self.note_on(id, &format!("publication-{cause}"), None, &mut batch);
        self.store().commit(batch).await?;
        self.publication_wake().ring();
        Ok(())
    }

    /// Puts in the outbox whatever the directory should know and, as far as we know, does not: mailboxes that were there before
    /// it was published, or while other rules were in force. What waits already, and tasks, stay as they are; and so does what
    /// only the rules take away: a line lost from the configuration must not empty the directory.
    ///
    /// # Errors
    /// What the store says.
    pub async fn queue_unpublished(&self) -> Result<Swept, AccountError> {
        let (mut from, mut swept) = (AccountId(0), Swept::default());
        loop {
            let page = self.store().scan::<store::Account>(from.., PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(swept) };
            from = AccountId(last.0.saturating_add(1));
            let mut batch = Batch::new();
            for (id, record) in page {
                let state = self.publication_state_or(id, || presumed(Some(&record)))?;
                let wanted = wanted(&record, self.publication_options());
                let waits = || self.store().scan::<DirectoryEntry>(DirectoryEntryKey::of(id), 1);
                let is_as_wanted = wanted == state.published && (wanted.is_some() || state.attempt.is_none());
                if is_as_wanted || state.task.is_some() || !waits()?.is_empty() {
                    continue;
                }
                if is_withheld(&record, self.publication_options()) {
                    swept.withheld += 1;
                    continue;
                }
                self.put_entry(id, cause_of(state.published.as_ref(), wanted.as_ref()), &mut batch);
                swept.queued += 1;
            }
            if !batch.is_empty() {
                self.store().commit(batch).await?;
            }
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn publication_state(&self, id: AccountId) -> Result<DirectoryState, AccountError> {
        self.publication_state_or(id, DirectoryState::default)
    }

    /// How a mailbox stands; `presumed`, where its record does not read.
    fn publication_state_or(
        &self,
        id: AccountId,
        presumed: impl FnOnce() -> DirectoryState,
    ) -> Result<DirectoryState, AccountError> {
        match self.store().get::<DirectoryState>(&id) {
            Ok(state) => Ok(state.map(|state| state.record).unwrap_or_default()),
            Err(error @ StoreError::Record { .. }) => {
                self.publication_wake().tell_damaged(id, &error.to_string());
                Ok(presumed())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// How a mailbox stands of which we know no more than its own record: it may have been put where that says.
fn presumed(record: Option<&store::Account>) -> DirectoryState {
    let image = record.and_then(super::image::image);
    DirectoryState { attempt: image.map(|image| image.place), ..DirectoryState::default() }
}

/// What happens in the directory.
fn cause_of(before: Option<&Image>, after: Option<&Image>) -> &'static str {
    match (before, after) {
        (None, Some(_)) => "appears",
        (Some(_), Some(_)) => "changes",
        (_, None) => "disappears",
    }
}

impl Due {
    /// Where it has to go from: the directory shows it there, or may, and should not.
    pub fn leaves(&self) -> Vec<&Place> {
        let mut places: Vec<&Place> = self.published.iter().map(|image| &image.place).chain(&self.attempt).collect();
        places.retain(|place| self.wanted.as_ref().is_none_or(|wanted| wanted.place != **place));
        places.dedup();
        places
    }

    fn is_known_at(&self, place: &Place) -> bool {
        self.published.as_ref().is_some_and(|image| image.place == *place) && self.attempt.is_none()
            || self.attempt.as_ref() == Some(place)
    }

    /// How it stood when it was looked at.
    fn known(&self) -> DirectoryState {
        let Self { published, attempt, .. } = self;
        DirectoryState { published: published.clone(), attempt: attempt.clone(), ..DirectoryState::default() }
    }

    /// The beginning of a commit that is done with it.
    fn without_entries(&self) -> Batch {
        let mut batch = Batch::new();
        for key in &self.entries {
            batch.delete::<DirectoryEntry>(key);
        }
        batch
    }
}
