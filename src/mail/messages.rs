//! Reading messages: summaries in pages, bodies in ranges.

use std::ops::Range;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::store::{BodyId, BodyKey, Content, FolderId, MailboxKey, Message, MessageKey, SealError, Store, Uid};

use super::selected::Selected;
use super::summary::{Content as PartContent, Part, Summary};
use super::{MailError, Mailbox, ReceivedMessage};

/// Where UIDs lie at least this close, a range is scanned; else each is looked up.
const SCAN_DENSITY: usize = 4;

/// Octets of a SHA-256, which stands before the summary.
const DIGEST: usize = 32;

/// What the server knows of a message without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its number.
    pub uid: Uid,
    /// INTERNALDATE, Unix seconds.
    pub internal_date: i64,
    /// When it came into this folder, Unix seconds (RFC 8514).
    pub saved_at: i64,
    /// RFC822.SIZE in bytes.
    pub size: u64,
    /// Envelope and structure. Of a damaged record: empty, so that the rest of the folder can be listed.
    pub summary: Summary,
}

/// Reads ranges of a message's bytes.
#[derive(Clone, Debug)]
pub struct BodyReader {
    store: Store,
    body: BodyId,
    key: BodyKey,
    /// Size in bytes.
    pub size: u64,
}

impl BodyReader {
    /// Reads a range; what lies beyond the end is left out. Ask for pieces of a bounded size (some hundred KiB).
    ///
    /// # Errors
    /// [`MailError::MessageGone`] when it was expunged for good meanwhile, or what the store says.
    pub async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, MailError> {
        match self.store.read_body(&self.body, &self.key, range).await {
            Err(crate::store::StoreError::NoBody(_)) => Err(MailError::MessageGone),
            read => Ok(read?),
        }
    }
}

impl Selected {
    /// Dates, sizes, envelopes and structures of messages, by rising UID; messages that are gone are left out. Works off
    /// the async threads; ask for pages of some thousand, so that memory stays bounded.
    ///
    /// # Errors
    /// What the store says.
    pub async fn summaries(&self, uids: Vec<Uid>) -> Result<Vec<StoredMessage>, MailError> {
        self.mailbox().usable()?;
        let (mailbox, folder) = (self.mailbox().clone(), self.folder());
        tokio::task::spawn_blocking(move || read_summaries(&mailbox, folder, uids))
            .await
            .unwrap_or(Err(MailError::Unknown))
    }

    /// The way to a message's bytes.
    ///
    /// # Errors
    /// [`MailError::MessageGone`], or what store and key say.
    pub async fn body(&self, uid: Uid) -> Result<BodyReader, MailError> {
        self.mailbox().usable()?;
        self.mailbox().open_body(MessageKey { folder: self.folder(), uid })
    }
}

impl Mailbox {
    /// The way to the bytes of the message with this key.
    pub(super) fn open_body(&self, key: MessageKey) -> Result<BodyReader, MailError> {
        let message = self.store().get::<Message>(&key)?.ok_or(MailError::MessageGone)?;
        let content = self.store().get::<Content>(&key)?.ok_or(MailError::MessageGone)?;
        let body_key = self.key().open_body_key(message.body, &content.sealed_body_key)?;
        Ok(BodyReader { store: self.store().clone(), body: message.body, key: body_key, size: message.size })
    }
}

fn read_summaries(
    mailbox: &Arc<Mailbox>,
    folder: FolderId,
    mut uids: Vec<Uid>,
) -> Result<Vec<StoredMessage>, MailError> {
    uids.sort_unstable();
    uids.dedup();
    let (Some(&first), Some(&last)) = (uids.first(), uids.last()) else { return Ok(Vec::new()) };
    let is_dense = ((last - first) as usize) < uids.len() * SCAN_DENSITY;
    if is_dense {
        return scan_summaries(mailbox, folder, &uids, first, last);
    }
    let store = mailbox.store();
    let mut found = Vec::with_capacity(uids.len());
    for uid in uids {
        let key = MessageKey { folder, uid };
        let Some(message) = store.get::<Message>(&key)? else { continue };
        let content = store.get::<Content>(&key).ok().flatten().map(|content| content.record);
        if content.is_none() && is_gone(store, &key) {
            continue;
        }
        found.push(open(mailbox.key(), uid, &message.record, content.as_ref()));
    }
    Ok(found)
}

fn scan_summaries(
    mailbox: &Mailbox,
    folder: FolderId,
    uids: &[Uid],
    first: Uid,
    last: Uid,
) -> Result<Vec<StoredMessage>, MailError> {
    let range = MessageKey { folder, uid: first }..=MessageKey { folder, uid: last };
    let messages = mailbox.store().scan::<Message>(range.clone(), usize::MAX)?;
    let contents = mailbox.store().scan::<Content>(range, usize::MAX)?;
    let mut contents = contents.into_iter().peekable();
    let mut found = Vec::with_capacity(uids.len());
    for (key, message) in messages {
        while contents.next_if(|(other, _)| other.uid < key.uid).is_some() {}
        let content = contents.next_if(|(other, _)| other.uid == key.uid).map(|(_, content)| content.record);
        if uids.binary_search(&key.uid).is_ok() && !(content.is_none() && is_gone(mailbox.store(), &key)) {
            found.push(open(mailbox.key(), key.uid, &message.record, content.as_ref()));
        }
    }
    Ok(found)
}

/// Whether the message was expunged between the readings of its two records; else its content is damaged or missing.
fn is_gone(store: &Store, key: &MessageKey) -> bool {
    matches!(store.get::<Message>(key), Ok(None))
}

/// One damaged record costs one message's envelope, never the list (design, promise 2).
fn open(key: &MailboxKey, uid: Uid, message: &Message, content: Option<&Content>) -> StoredMessage {
    let summary = content.and_then(|content| open_summary(key, message.body, &content.sealed_summary));
    let summary = summary.unwrap_or_else(|| {
        tracing::error!(uid, body = %message.body, "a message's summary cannot be read");
        unreadable(message.size)
    });
    let Message { internal_date, saved_at, size, .. } = *message;
    StoredMessage { uid, internal_date, saved_at, size, summary }
}

fn open_summary(key: &MailboxKey, body: BodyId, sealed: &[u8]) -> Option<Summary> {
    let plain = open_sealed(key, body, sealed)?;
    Summary::decode(plain.get(DIGEST..)?).ok()
}

/// SHA-256 of a message's bytes, from its sealed part.
pub(super) fn open_digest(key: &MailboxKey, body: BodyId, sealed: &[u8]) -> Option<[u8; DIGEST]> {
    open_sealed(key, body, sealed)?.first_chunk().copied()
}

fn open_sealed(key: &MailboxKey, body: BodyId, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    key.open_bytes(&summary_place(body), sealed).ok()
}

fn unreadable(size: u64) -> Summary {
    let mut summary = Summary { size, ..Summary::default() };
    summary.message.root = Part {
        end: size,
        content: PartContent {
            media: Some((b"application".to_vec(), b"octet-stream".to_vec())),
            ..PartContent::default()
        },
        ..Part::default()
    };
    summary
}

/// What a message's sealed part holds, for a mailbox: the body's key; its digest and summary. The digest is sealed as
/// well: in clear it would tell who holds the same message, and who holds a known one.
pub(super) fn seal_content(key: &MailboxKey, message: &ReceivedMessage, encoded_summary: &[u8]) -> Content {
    let body = &message.body;
    let plain = [&message.sha256[..], encoded_summary].concat();
    Content {
        sealed_body_key: key.seal_body_key(body.id, &body.key),
        sealed_summary: key.seal_bytes(&summary_place(body.id), &plain),
    }
}

/// What a message's sealed part holds, sealed for another mailbox. A summary that does not open is one there as well: it
/// costs the message's envelope, not the message.
pub(super) fn reseal_content(
    from: &MailboxKey,
    to: &MailboxKey,
    body: BodyId,
    content: &Content,
) -> Result<Content, SealError> {
    let body_key = from.open_body_key(body, &content.sealed_body_key)?;
    let place = summary_place(body);
    let summary = from.open_bytes(&place, &content.sealed_summary).unwrap_or_default();
    Ok(Content { sealed_body_key: to.seal_body_key(body, &body_key), sealed_summary: to.seal_bytes(&place, &summary) })
}

/// What a sealed summary belongs to: the body, so that COPY and MOVE need not seal it again.
fn summary_place(body: BodyId) -> [u8; 15] {
    let mut place = *b"summary\0\0\0\0\0\0\0\0";
    place[7..].copy_from_slice(&body.0.to_be_bytes());
    place
}
