//! Suspending, reopening and closing mailboxes (MSSanté §5).

use std::future::Future;
use std::ops::{Bound, RangeInclusive};

use crate::store::{
    self, AccountId, AccountState, AddressEntry, Batch, Change, ChangeKey, CommitError, Content, CorrespondentKey,
    Credential, CredentialKey, Folder, FolderId, FolderKey, Message, MessageKey, NoticePart, NoticeState,
    NoticeStateKey, Record, SentCopy, SentCopyKey, Usage, Versioned,
};

use super::registry::ATTEMPTS;
use super::{Account, AccountError, Registry};
use crate::mail::MailError;
use crate::mss::Address;

/// Records that erasing takes away in one commit.
const ERASE_AT_ONCE: usize = 2_000;

impl Registry {
    /// Suspends a mailbox: it accepts nothing and opens for nobody, nothing is lost. Sessions lose it at once.
    ///
    /// # Errors
    /// [`AccountError::NoAccount`], [`AccountError::Closed`], or what the store says.
    pub async fn suspend(&self, id: AccountId, reason: &str) -> Result<Account, AccountError> {
        self.change_state(id, AccountState::Suspended, reason).await
    }

    /// Opens a suspended mailbox again.
    ///
    /// # Errors
    /// As [`Registry::suspend`].
    pub async fn reopen(&self, id: AccountId, reason: &str) -> Result<Account, AccountError> {
        self.change_state(id, AccountState::Open, reason).await
    }

    /// Closes a mailbox for good. One commit destroys its key, its credentials and its claim to the address, which is
    /// never given again; its content cannot be read from then on. The records follow in bounded commits.
    ///
    /// # Errors
    /// [`AccountError::NoAccount`], [`AccountError::Closed`], or what the store says.
    pub async fn close(&self, id: AccountId, reason: &str) -> Result<Account, AccountError> {
        let account = self.change_state(id, AccountState::Closed, reason).await?;
        self.certificates().outdate();
        let registry = self.clone();
        run_to_its_end(async move { registry.erase(id).await }).await?;
        Ok(account)
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

    /// The accounts of these folders in which something remains to be erased.
    fn unfinished(&self, folders: &[(FolderKey, Versioned<Folder>)]) -> Result<Vec<AccountId>, AccountError> {
        let mut found = Vec::new();
        for folders in folders.chunk_by(|(one, _), (other, _)| one.account == other.account) {
            let id = folders[0].0.account;
            let is_erasing = |folder: &Folder| folder.existence == store::FolderExistence::Erasing;
            if folders.iter().any(|(_, folder)| is_erasing(folder)) || self.is_closed(id)? {
                found.push(id);
            }
        }
        Ok(found)
    }

    async fn finish_erasures_of(&self, id: AccountId) -> Result<(), AccountError> {
        if self.is_closed(id)? {
            return self.erase(id).await;
        }
        match self.room().open(id) {
            Ok(mailbox) => Ok(mailbox.finish_erasures().await?),
            // Nothing of a suspended mailbox is touched; the erasure goes on at a start after its reopening.
            Err(MailError::Suspended) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn is_closed(&self, id: AccountId) -> Result<bool, AccountError> {
        let account = self.store().get::<store::Account>(&id)?;
        Ok(account.is_none_or(|account| account.state == AccountState::Closed))
    }

    async fn change_state(&self, id: AccountId, state: AccountState, reason: &str) -> Result<Account, AccountError> {
        let (registry, reason) = (self.clone(), reason.to_owned());
        run_to_its_end(async move { registry.change_state_now(id, state, &reason).await }).await
    }

    /// Changes the state under the mailbox's lock, so that no delivery is under way, and tells its sessions.
    async fn change_state_now(
        &self,
        id: AccountId,
        state: AccountState,
        reason: &str,
    ) -> Result<Account, AccountError> {
        let mailbox = match self.room().open_any(id) {
            Ok(mailbox) => Some(mailbox),
            Err(MailError::NoMailbox) => return Err(AccountError::NoAccount),
            Err(MailError::Closed) => return Err(AccountError::Closed),
            // A mailbox whose key does not open can still be closed.
            Err(_) => None,
        };
        let _guard = match &mailbox {
            Some(mailbox) => Some(mailbox.lock().await),
            None => None,
        };
        for attempt in 0..ATTEMPTS {
            let read = self.store().get::<store::Account>(&id)?.ok_or(AccountError::NoAccount)?;
            if read.state == AccountState::Closed {
                return Err(AccountError::Closed);
            }
            if read.state == state {
                return Account::from_record(id, read.record);
            }
            let mut record = read.record.clone();
            set_state(&mut record, state, reason);
            let mut batch = Batch::new();
            batch.update(&id, read.version, &record);
            if state == AccountState::Closed {
                self.close_address(id, &record, &mut batch)?;
            }
            self.follow_up(id, Some(&read.record), &record, &mut batch);
            match self.store().commit(batch).await {
                Ok(_) => {
                    self.room().revoke(id, state);
                    self.review(id, read.holder.national_id.as_deref());
                    return Account::from_record(id, record);
                }
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::Busy)
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

fn set_state(record: &mut store::Account, state: AccountState, reason: &str) {
    let now = crate::mail::now();
    record.state = state;
    record.state_reason = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
    record.state_changed_at = now;
    record.changed_at = now;
    if state == AccountState::Closed {
        // Without its key nothing of the mailbox's content can be read any more (design, promise 4).
        record.sealed_key = None;
        record.access_list.clear();
    }
}
