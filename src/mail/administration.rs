//! What the administration does to a mailbox: filing runs of messages, and listing what is there without reading it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::audit::{Action, Asker};
use crate::store::{Batch, Content, Message, MessageKey, Uid};

use super::deliver::{Appended, NewMessage, new_message};
use super::flags::{MessageFlags, define, keyword_names};
use super::mailbox::commit;
use super::messages::{BodyReader, open_digest, seal_content};
use super::names::FolderName;
use super::work::{NewRow, Work};
use super::{MailError, Mailbox};

/// What the administration may know of a message: nothing of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageFacts {
    /// Its number.
    pub uid: Uid,
    /// INTERNALDATE, Unix seconds.
    pub internal_date: i64,
    /// Its size in bytes.
    pub size: u64,
    /// Its flags and keywords.
    pub flags: MessageFlags,
    /// SHA-256 of its bytes; none if the record that keeps it is damaged.
    pub sha256: Option<[u8; 32]>,
}

/// A page of a folder's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactsPage {
    /// The folder's UIDVALIDITY.
    pub uid_validity: u32,
    /// The messages, by rising UID.
    pub messages: Vec<MessageFacts>,
    /// Whether there may be more after the last of them.
    pub more: bool,
}

impl Mailbox {
    /// Files a run of messages, each in its folder, in their order and in one commit. A message that cannot be filed
    /// costs only itself: the results stand in the order of the run.
    ///
    /// Keep a run within some hundred messages: it is built under the mailbox's lock, and a commit is bounded
    /// ([`crate::store::MAX_COMMIT`]). `asker`: who files them, as the traces tell, one a folder.
    ///
    /// # Errors
    /// What keeps the whole run out: the mailbox's state, or the store; then nothing is filed.
    pub async fn append_all(
        self: &Arc<Self>,
        run: Vec<(FolderName, NewMessage)>,
        asker: &Asker,
    ) -> Result<Vec<Result<Appended, MailError>>, MailError> {
        let guard = self.lock().await;
        self.usable()?;
        let mut work = Work::begin(self)?;
        let mut batch = Batch::new();
        let mut places = Vec::with_capacity(run.len());
        let mut filed: BTreeMap<usize, u32> = BTreeMap::new();
        for (folder, new) in run {
            let place = add(self, &mut work, &folder, new, &mut batch);
            places.push(place.map(|(index, uid)| {
                *filed.entry(index).or_default() += 1;
                (work.folder(index).record.uid_validity, uid)
            }));
        }
        for (index, messages) in filed {
            work.note(asker, Action::Appended { folder: work.kind(index), messages }, &mut batch);
        }
        let announcement = work.finish(&mut batch);
        if places.iter().all(Result::is_err) {
            // At most a keyword of a refused message would have been written.
            return Ok(places.into_iter().map(|place| place.and(Err(MailError::Unknown))).collect());
        }
        let committed = commit(self.store(), vec![guard], batch, vec![announcement]).await?;
        let appended = |(uid_validity, uid)| Appended { uid_validity, uid, committed };
        Ok(places.into_iter().map(|place| place.map(appended)).collect())
    }
}

/// Adds one message of a run; gives its folder and its UID.
fn add(
    mailbox: &Arc<Mailbox>,
    work: &mut Work,
    folder: &FolderName,
    new: NewMessage,
    batch: &mut Batch,
) -> Result<(usize, Uid), MailError> {
    let index = work.selectable(folder)?;
    if !work.has_room_for(new.message.size()) {
        return Err(MailError::OverQuota);
    }
    let flags = define(work.record_mut(index), &new.flags)?;
    let content = seal_content(mailbox.key(), &new.message, &new.message.summary.encode());
    let body = new.message.body;
    let row = NewRow { flags, message: new_message(body.id, body.size, new.internal_date), content };
    let uid = work.add(index, row, batch)?;
    batch.adopt(body, 1);
    Ok((index, uid))
}

impl Mailbox {
    /// Up to `limit` messages of a folder above a UID, read from the store as they are: a look at a page of a large
    /// folder costs that page, where a session's view would cost the folder. Works off the async threads.
    ///
    /// # Errors
    /// [`MailError::NoFolder`], [`MailError::NotSelectable`], or what the store says.
    pub async fn facts(
        self: &Arc<Self>,
        folder: &FolderName,
        after: Uid,
        limit: usize,
    ) -> Result<FactsPage, MailError> {
        let (mailbox, folder) = (self.clone(), folder.clone());
        tokio::task::spawn_blocking(move || read_facts(&mailbox, &folder, after, limit))
            .await
            .unwrap_or(Err(MailError::Unknown))
    }

    /// The way to a message's bytes, for who has not selected its folder.
    ///
    /// # Errors
    /// [`MailError::NoFolder`], [`MailError::NotSelectable`], [`MailError::MessageGone`], or what store and key say.
    pub fn body(&self, folder: &FolderName, uid: Uid) -> Result<BodyReader, MailError> {
        self.usable()?;
        let (folder, _) = self.find(folder)?;
        self.open_body(MessageKey { folder, uid })
    }
}

fn read_facts(mailbox: &Mailbox, folder: &FolderName, after: Uid, limit: usize) -> Result<FactsPage, MailError> {
    mailbox.usable()?;
    let (id, folder) = mailbox.find(folder)?;
    let mut page = FactsPage { uid_validity: folder.uid_validity, messages: Vec::new(), more: false };
    let Some(first) = after.checked_add(1) else { return Ok(page) };
    let range = MessageKey { folder: id, uid: first }..=MessageKey { folder: id, uid: Uid::MAX };
    for (key, message) in mailbox.store().scan::<Message>(range, limit)? {
        // A damaged record costs its message's digest, not the list (design, promise 2).
        let content = mailbox.store().get::<Content>(&key).ok().flatten();
        let sha256 = content.and_then(|content| open_digest(mailbox.key(), message.body, &content.sealed_summary));
        if sha256.is_none() {
            tracing::error!(uid = key.uid, body = %message.body, "a message's digest cannot be read");
        }
        let keywords = keyword_names(message.keywords, &folder.keywords);
        let flags = MessageFlags { system: message.flags, keywords };
        let Message { internal_date, size, .. } = message.record;
        page.messages.push(MessageFacts { uid: key.uid, internal_date, size, flags, sha256 });
    }
    page.more = page.messages.last().is_some_and(|last| last.uid.saturating_add(1) < folder.uid_next);
    Ok(page)
}
