//! Notices of what the mail room has marked: new messages, how full a mailbox is.

use super::Notice;
use crate::accounts::{Account, AccountError, Registry};
use crate::mail::MailError;
use crate::store::{
    AccountId, Batch, Message, MessageKey, NewMailMark, NoticePart, NoticeState, NoticeStateKey, Uid, flags,
};

/// Marks that are read at a time.
const PAGE: usize = 1_000;

/// New messages that are counted at most: "1000 or more" says as much.
const MOST_COUNTED: usize = 1_000;

/// A mailbox whose marks cannot be taken is looked at again after so long.
const LATER: i64 = 60;

/// A holder whose address was refused is told of no new messages for so long: relays turn away who goes on.
const AFTER_BOUNCE: i64 = 7 * 86_400;

impl Registry {
    /// Makes notices of the marks that are due at `now` (Unix seconds); says how many mailboxes' were. Where this is not
    /// called, marks wait and grow no further: new messages of one mailbox are one notice, however long it takes.
    ///
    /// # Errors
    /// What the store says.
    pub async fn tend_notices(&self, now: i64) -> Result<usize, AccountError> {
        if !self.room().first_due().has_come(now) {
            return Ok(0);
        }
        let registry = self.clone();
        let looking = tokio::task::spawn_blocking(move || registry.marks_due(now));
        let tended = match looking.await.unwrap_or(Err(AccountError::Busy)) {
            Ok(due) => Ok(self.tend_mailboxes(&due, now).await),
            Err(error) => Err(error),
        };
        if tended.is_err() {
            self.room().first_due().note(now);
        }
        tended
    }

    /// One mailbox that fails costs itself, and is looked at again a little later.
    async fn tend_mailboxes(&self, due: &[NoticeStateKey], now: i64) -> usize {
        let (mut tended, mut failed) = (0, 0_usize);
        for key in due {
            match self.tend_mailbox(*key, now).await {
                Ok(told) => tended += usize::from(told),
                Err(error) => {
                    if failed == 0 {
                        tracing::error!(account = %key.account, %error, "no notice is made of a mailbox's marks: they wait");
                    }
                    failed += 1;
                    self.room().first_due().note(now.saturating_add(LATER));
                }
            }
        }
        if failed > 1 {
            tracing::error!(failed, "so many mailboxes' marks wait, the first of them for that reason");
        }
        tended
    }

    /// The mailboxes that have marks which are due at `now`; notes when the first of the others is. Reads all marks: not for an
    /// async thread.
    fn marks_due(&self, now: i64) -> Result<Vec<NoticeStateKey>, AccountError> {
        let first_due = self.room().first_due();
        first_due.begin_anew();
        let (mut due, mut from) = (Vec::new(), AccountId(0));
        loop {
            let range = NoticeStateKey { part: NoticePart::Marks, account: from }..=NoticeStateKey {
                part: NoticePart::Marks,
                account: AccountId(u64::MAX),
            };
            let page = self.store().scan::<NoticeState>(range, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(due) };
            from = AccountId(last.account.0.saturating_add(1));
            for (key, state) in &page {
                match state.new_mail {
                    _ if state.quota.is_some() => due.push(*key),
                    Some(mark) if mark.due <= now => due.push(*key),
                    Some(mark) => first_due.note(mark.due),
                    None => {}
                }
            }
        }
    }

    /// Takes one mailbox's marks, under the lock under which they are made.
    async fn tend_mailbox(&self, key: NoticeStateKey, now: i64) -> Result<bool, AccountError> {
        let mailbox = match self.room().open_any(key.account) {
            Ok(mailbox) => mailbox,
            Err(MailError::NoMailbox | MailError::Closed) => return self.forget_marks(key).await,
            Err(error) => {
                tracing::debug!(account = %key.account, %error, "a mailbox's marks wait");
                self.room().first_due().note(now.saturating_add(LATER));
                return Ok(false);
            }
        };
        let guard = mailbox.lock().await;
        let Some(read) = self.store().get::<NoticeState>(&key)? else { return Ok(false) };
        let Some(account) = self.by_id(key.account)? else { return Ok(false) };
        let (mut state, mut batch) = (read.record, Batch::new());
        if let Some(mark) = state.new_mail.take_if(|mark| mark.due <= now) {
            self.tell_of_new_mail(&account, mark, now, &mut batch)?;
        }
        if let Some(percent) = state.quota.take() {
            let notice = if percent < 100 { Notice::QuotaReached { percent } } else { Notice::QuotaFull };
            self.tell_in(&mut batch, &account, notice);
        }
        if state == NoticeState::default() {
            batch.delete::<NoticeState>(&key);
        } else {
            batch.put(&key, &state);
        }
        self.store().commit(batch).await?;
        if let Some(mark) = state.new_mail {
            self.room().first_due().note(mark.due);
        }
        drop(guard);
        Ok(true)
    }

    async fn forget_marks(&self, key: NoticeStateKey) -> Result<bool, AccountError> {
        let mut batch = Batch::new();
        batch.delete::<NoticeState>(&key);
        self.store().commit(batch).await?;
        Ok(false)
    }

    /// Tells how many of the messages from the mark on nobody has read; nothing where all are read or gone.
    fn tell_of_new_mail(
        &self,
        account: &Account,
        mark: NewMailMark,
        now: i64,
        batch: &mut Batch,
    ) -> Result<(), AccountError> {
        let bounced_at = account.data.notice_bounce.as_ref().map(|bounce| bounce.at);
        if bounced_at.is_some_and(|at| now < at.saturating_add(AFTER_BOUNCE)) {
            return Ok(());
        }
        let range =
            MessageKey { folder: mark.folder, uid: mark.first }..=MessageKey { folder: mark.folder, uid: Uid::MAX };
        let rows = self.store().scan::<Message>(range, MOST_COUNTED)?;
        let unread = rows.iter().filter(|(_, message)| message.flags & flags::SEEN == 0).count();
        if unread > 0 {
            let messages = u32::try_from(unread).unwrap_or(u32::MAX);
            self.tell_in(batch, account, Notice::NewMail { messages, or_more: rows.len() == MOST_COUNTED });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{AccountOptions, NewMailbox};
    use crate::mail::{MailLimits, MailRoom};
    use crate::mss::{Address, Domain, Kind};
    use crate::store::scratch::damage;
    use crate::store::{self, Holder, MasterKey, Store};

    #[tokio::test]
    async fn a_mailbox_that_fails_costs_itself_and_those_behind_it_tell_what_they_have_to() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let registry = Registry::new(room, AccountOptions::default());
        registry.add_domain(&Domain::parse("aura.mssante.example").unwrap(), "").await.unwrap();
        let _inbox = registry.take_notices().unwrap();
        let text = |text: &str| Some(text.to_owned());
        let mut mailboxes = Vec::new();
        for name in ["anne", "bea"] {
            let holder = Holder { national_id: text("899700000001"), last_name: text("Lefèvre"), ..Holder::default() };
            let address = Address::parse(&format!("{name}@aura.mssante.example")).unwrap();
            let notification_address = Some(format!("{name}@fai.example"));
            let new = NewMailbox { notification_address, ..NewMailbox::new(address, Kind::Per, holder) };
            let account = registry.create(new).await.unwrap().id;
            let mut batch = Batch::new();
            let marks = NoticeState { quota: Some(80), ..NoticeState::default() };
            batch.put(&NoticeStateKey { part: NoticePart::Marks, account }, &marks);
            registry.store().commit(batch).await.unwrap();
            mailboxes.push(account);
        }
        // The first one's mailbox is open while its record comes to harm.
        let _open = registry.room().open(mailboxes[0]).unwrap();
        damage::<store::Account>(registry.store(), &mailboxes[0]);
        let now = crate::mail::now();
        assert_eq!(registry.tend_notices(now).await.unwrap(), 1);
        assert_eq!(registry.waiting_notices().unwrap().notices, 1);
        let first_due = registry.room().first_due();
        assert!(!first_due.has_come(now) && first_due.has_come(now + LATER), "it is looked at again");
    }
}
