//! Suspending, reopening and closing mailboxes (MSSanté §5).

use std::future::Future;
use std::ops::{Bound, RangeInclusive};

use crate::store::{
    self, AccountId, AccountState, AddressEntry, Batch, Change, ChangeKey, CommitError, Content, CorrespondentKey,
    Credential, CredentialKey, Folder, FolderId, FolderKey, KeyOwner, Message, MessageKey, NoticePart, NoticeState,
    NoticeStateKey, Record, SentCopy, SentCopyKey, StoreError, Usage, Versioned,
};

use super::journal::name_of;
use super::registry::ATTEMPTS;
use super::{Account, AccountError, Registry, lives};
use crate::mail::MailError;
use crate::mss::Address;
use crate::mss::lifecycle::{Event, Life, Standing};

/// Records that erasing takes away in one commit.
const ERASE_AT_ONCE: usize = 2_000;

/// When something happens to a mailbox, and why.
#[derive(Clone, Debug)]
pub(super) struct Occasion {
    /// Unix seconds.
    pub(super) at: i64,
    /// As the operator wrote it.
    pub(super) reason: Option<String>,
}

impl Occasion {
    /// Whether there is a reason that is not written down yet.
    fn says_more_than(&self, known: Option<&str>) -> bool {
        self.reason.as_deref().is_some_and(|reason| !reason.is_empty() && Some(reason) != known)
    }
}

impl Registry {
    /// Suspends a mailbox: it accepts nothing and opens for nobody, nothing is lost. Sessions lose it at once.
    ///
    /// # Errors
    /// [`AccountError::NoAccount`], [`AccountError::Closed`], or what the store says.
    pub async fn suspend(&self, id: AccountId, reason: &str) -> Result<Account, AccountError> {
        self.ask_for(id, Event::Suspended, reason).await
    }

    /// Opens a suspended mailbox again, whatever it was suspended for, and calls a closing off that was announced.
    ///
    /// # Errors
    /// As [`Registry::suspend`].
    pub async fn reopen(&self, id: AccountId, reason: &str) -> Result<Account, AccountError> {
        self.ask_for(id, Event::Reopened, reason).await
    }

    /// Closes a mailbox for good. One commit takes its credentials and its claim to the address, which is never given again;
    /// then its key is destroyed, and its content cannot be read from then on. The records follow in bounded commits.
    ///
    /// # Errors
    /// [`AccountError::NoAccount`], [`AccountError::Closed`], or what the store says.
    pub async fn close(&self, id: AccountId, reason: &str) -> Result<Account, AccountError> {
        self.ask_for(id, Event::Closed, reason).await
    }

    /// Goes on with what a stop of the server cut short: closed mailboxes that still have records, deleted folders that
    /// still have messages. Called once after the start; looks at the folders in pages.
    ///
    /// # Errors
    /// What the store says.
    pub async fn finish_erasures(&self) -> Result<(), AccountError> {
        let mut after: Option<FolderKey> = None;
        loop {
            let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
            let page = self.store().scan::<Folder>(range, ERASE_AT_ONCE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for id in self.unfinished(&page)? {
                // One damaged mailbox does not keep the others from being erased.
                if let Err(error) = self.finish_erasures_of(id).await {
                    tracing::warn!(account = %id, %error, "an erasure that a stop cut short cannot be finished");
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// The accounts of these folders in which something remains to be erased. Of a mailbox whose account is not there, or does not
    /// read, nothing does: a record that is missing is damage that may be mended yet, and no order to erase what it named.
    fn unfinished(&self, folders: &[(FolderKey, Versioned<Folder>)]) -> Result<Vec<AccountId>, AccountError> {
        let mut found = Vec::new();
        for folders in folders.chunk_by(|(one, _), (other, _)| one.account == other.account) {
            let id = folders[0].0.account;
            let is_erasing = |folder: &Folder| folder.existence == store::FolderExistence::Erasing;
            let has_begun = folders.iter().any(|(_, folder)| is_erasing(folder));
            if self.has_closed(id)?.is_some_and(|closed| closed || has_begun) {
                found.push(id);
            }
        }
        Ok(found)
    }

    async fn finish_erasures_of(&self, id: AccountId) -> Result<(), AccountError> {
        if self.has_closed(id)? == Some(true) {
            return self.erase(id).await;
        }
        match self.room().open(id) {
            Ok(mailbox) => Ok(mailbox.finish_erasures().await?),
            // Nothing of a suspended mailbox is touched; the erasure goes on at a start after its reopening.
            Err(MailError::Suspended) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a mailbox is closed; none: its record is not there, or does not read, and says nothing.
    fn has_closed(&self, id: AccountId) -> Result<Option<bool>, AccountError> {
        const EVENT: &str = "store.orphan-folders";
        match self.store().get::<store::Account>(&id) {
            Ok(Some(account)) => return Ok(Some(account.state == AccountState::Closed)),
            Ok(None) => {
                tracing::error!(event = EVENT, account = %id, "folders are there without their mailbox's record")
            }
            Err(error @ StoreError::Record { .. }) => {
                tracing::error!(event = EVENT, account = %id, %error, "the record of a mailbox that has folders does not read");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(None)
    }

    async fn ask_for(&self, id: AccountId, event: Event, reason: &str) -> Result<Account, AccountError> {
        let occasion = Occasion { at: crate::mail::now(), reason: Some(reason.to_owned()) };
        let (account, _) = self.happen(id, occasion, move |_: &Life| Some(event.clone())).await?;
        Ok(account)
    }

    /// Lets an event happen to a mailbox, which is chosen over the life that it changes; what follows from its closing is done
    /// when this returns. The event, if there was one.
    pub(super) async fn happen(
        &self,
        id: AccountId,
        occasion: Occasion,
        choose: impl Fn(&Life) -> Option<Event> + Send + Sync + 'static,
    ) -> Result<(Account, Option<Event>), AccountError> {
        let registry = self.clone();
        run_to_its_end(async move {
            let (account, event) = registry.happen_now(id, &occasion, choose).await?;
            if event.is_some() && account.data.state == AccountState::Closed {
                registry.certificates().forget_all_of(id);
                let destroyed = registry.destroy_key(id).await;
                registry.erase(id).await?;
                destroyed?;
            }
            Ok((account, event))
        })
        .await
    }

    /// Changes the life under the mailbox's lock, so that no delivery is under way, and tells its sessions and its holder.
    async fn happen_now(
        &self,
        id: AccountId,
        occasion: &Occasion,
        choose: impl Fn(&Life) -> Option<Event>,
    ) -> Result<(Account, Option<Event>), AccountError> {
        // One that is closed, or whose key does not open, has nothing to be locked.
        let mailbox = self.room().open_any(id).ok();
        let _guard = match &mailbox {
            Some(mailbox) => Some(mailbox.lock().await),
            None => None,
        };
        for attempt in 0..ATTEMPTS {
            let read = self.store().get::<store::Account>(&id)?.ok_or(AccountError::NoAccount)?;
            let before = self.life_of(&read.record);
            let Some(event) = choose(&before) else { return Ok((Account::from_record(id, read.record)?, None)) };
            let after = before.after(&event, lives::day_of(occasion.at)).map_err(|_| lives::refused(&read.record))?;
            let is_as_before = after == (Life { alive: after.alive, ..before.clone() });
            if is_as_before && !occasion.says_more_than(read.state_reason.as_deref()) {
                return Ok((Account::from_record(id, read.record)?, None));
            }
            let mut record = read.record.clone();
            lives::write(&before, &after, occasion, &name_of(self.actor()), &mut record);
            let mut batch = Batch::new();
            batch.update(&id, read.version, &record);
            let is_closing = record.state == AccountState::Closed && read.state != AccountState::Closed;
            if is_closing {
                self.close_address(id, &record, &mut batch)?;
            }
            self.follow_up(id, Some(&read.record), &record, &mut batch);
            if after.standing == Standing::Forgotten {
                self.forget_publication(id, &read.record, &mut batch)?;
            }
            let account = Account::from_record(id, record.clone())?;
            for notice in self.notices_of_life(&before, &after) {
                self.tell_in(&mut batch, &account, notice);
            }
            match self.store().commit(batch).await {
                Ok(_) => {
                    if record.state != read.state {
                        self.room().revoke(id, record.state);
                        self.review(id, read.holder.national_id.as_deref());
                    }
                    self.wake_notices();
                    return Ok((account, Some(event)));
                }
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::Busy)
    }

    /// Destroys the key of a mailbox whose closing is on disk (design, promise 4): without it nothing of the content can be
    /// read any more, in whatever frame of the log. What the mailbox has sent goes the same way when the queue needs its key
    /// no longer. A stop before this is made up for by the next start of the store, and of the queue. What a full disk has
    /// kept from being written is tried again when the queue's keys are seen to.
    async fn destroy_key(&self, id: AccountId) -> Result<(), AccountError> {
        let owner = KeyOwner::Mailbox(id);
        if !self.store().keys().is_wiped(owner) {
            self.room().queue().turn_key_soon();
        }
        let wiped = self.store().wipe_keys(vec![owner]).await;
        if let Err(error) = &wiped {
            tracing::error!(event = "store.keys", account = %id, %error, "a closed mailbox's key is not destroyed yet: it is tried again; if the disk failed, restart the server");
        }
        Ok(wiped?)
    }

    /// The address becomes a tombstone; what opened the mailbox goes.
    fn close_address(&self, id: AccountId, record: &store::Account, batch: &mut Batch) -> Result<(), AccountError> {
        let address = Address::parse(&record.address)?;
        batch.put(&address.key(), &AddressEntry::Closed { account: id, closed_at: record.state_changed_at });
        for (key, _) in self.store().scan::<Credential>(CredentialKey::of(id), usize::MAX)? {
            batch.delete::<Credential>(&key);
        }
        batch.delete::<store::SecondFactor>(&id);
        Ok(())
    }

    /// Takes the records of a closed mailbox away, a bounded number a commit. Nobody can come between: it is closed.
    async fn erase(&self, id: AccountId) -> Result<(), AccountError> {
        for (key, _) in self.store().scan::<Folder>(FolderKey::of(id), usize::MAX)? {
            self.erase_messages(key.folder).await?;
            let mut batch = Batch::new();
            batch.delete::<Folder>(&key);
            self.store().commit(batch).await?;
        }
        self.erase_records::<Change>(ChangeKey::of(id)).await?;
        self.erase_records::<SentCopy>(SentCopyKey::of(id)).await?;
        // With whom the mailbox wrote goes with what was written.
        self.erase_records::<store::Conversation>(CorrespondentKey::of(id)).await?;
        self.erase_records::<store::AbsenceAnswer>(CorrespondentKey::of(id)).await?;
        let mut batch = Batch::new();
        batch.delete::<Usage>(&id);
        for part in [NoticePart::Marks, NoticePart::Places] {
            batch.delete::<NoticeState>(&NoticeStateKey { part, account: id });
        }
        self.store().commit(batch).await?;
        if let Some(account) = self.store().get::<store::Account>(&id)? {
            self.room().note_held(&account.address, id, 0);
        }
        Ok(())
    }

    async fn erase_records<R: Record<Key: Clone>>(&self, range: RangeInclusive<R::Key>) -> Result<(), AccountError> {
        loop {
            let records = self.store().scan::<R>(range.clone(), ERASE_AT_ONCE)?;
            if records.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            for (key, _) in records {
                batch.delete::<R>(&key);
            }
            self.store().commit(batch).await?;
        }
    }

    async fn erase_messages(&self, folder: FolderId) -> Result<(), AccountError> {
        loop {
            let messages = self.store().scan::<Message>(MessageKey::of(folder), ERASE_AT_ONCE)?;
            if messages.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            for (key, message) in messages {
                batch.delete::<Message>(&key).delete::<Content>(&key).release_body(message.body, 1);
            }
            self.store().commit(batch).await?;
        }
    }
}

/// Runs as a task of its own: a caller that goes away does not cut a change of state in two.
async fn run_to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, AccountError>> + Send + 'static,
) -> Result<T, AccountError> {
    tokio::spawn(work).await.unwrap_or(Err(AccountError::Busy))
}

#[cfg(test)]
mod tests;
