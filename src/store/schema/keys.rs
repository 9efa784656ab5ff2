//! Ids and ordered keys.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// An ordered key: byte order is the order of the values.
pub trait Key: Sized + Clone + fmt::Debug {
    /// Appends the key's bytes.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads a whole key; `None` when the bytes are none.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// An account's number. Never reused, and the key of every cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub u64);

/// A folder's number, unique in the whole store. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FolderId(pub u64);

/// A body's number. Given by the store; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BodyId(pub u64);

/// A message's number in the queue. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(pub u64);

/// A device authority's number; the newest has the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorityId(pub u32);

/// A message's number in its folder (RFC 3501 §2.3.1.1): rising, never reused under one UIDVALIDITY.
pub type Uid = u32;

/// The sequence of the commit that last wrote a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

macro_rules! shown_as_number {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
shown_as_number!(AccountId FolderId BodyId QueueId AuthorityId Version);

/// Which counter of [`super::Meta`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MetaKey {
    /// The next account's number.
    NextAccount = 1,
    /// The next folder's number.
    NextFolder = 2,
    /// The next UIDVALIDITY.
    NextUidValidity = 3,
    /// How often the store was opened for writing: the upper part of body numbers. The store's own.
    Starts = 4,
    /// The next number in the queue.
    NextQueued = 5,
    /// No counter: Unix seconds of the last moment at which the clock was believed, where what goes by it cannot be taken back.
    Clock = 6,
}

/// Key of [`super::Folder`]: all folders of an account lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderKey {
    /// The owner.
    pub account: AccountId,
    /// The folder.
    pub folder: FolderId,
}

impl FolderKey {
    /// The range of all folders of an account.
    #[must_use]
    pub fn of(account: AccountId) -> RangeInclusive<FolderKey> {
        FolderKey { account, folder: FolderId(0) }..=FolderKey { account, folder: FolderId(u64::MAX) }
    }
}

/// Key of [`super::Message`] and [`super::Content`]: all messages of a folder lie together, by rising UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey {
    /// The folder.
    pub folder: FolderId,
    /// The message's UID.
    pub uid: Uid,
}

impl MessageKey {
    /// The range of all messages of a folder.
    #[must_use]
    pub fn of(folder: FolderId) -> RangeInclusive<MessageKey> {
        MessageKey { folder, uid: 0 }..=MessageKey { folder, uid: Uid::MAX }
    }
}

/// Key of [`super::Credential`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialKey {
    /// The account that it opens.
    pub account: AccountId,
    /// Number within the account.
    pub number: u32,
}

impl CredentialKey {
    /// The range of all credentials of an account.
    #[must_use]
    pub fn of(account: AccountId) -> RangeInclusive<CredentialKey> {
        CredentialKey { account, number: 0 }..=CredentialKey { account, number: u32::MAX }
    }
}

/// Key of [`super::Change`]: the changes of an account in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeKey {
    /// The account.
    pub account: AccountId,
    /// Rising by one with each change of the account.
    pub number: u64,
}

impl ChangeKey {
    /// The range of all changes of an account.
    #[must_use]
    pub fn of(account: AccountId) -> RangeInclusive<ChangeKey> {
        ChangeKey { account, number: 0 }..=ChangeKey { account, number: u64::MAX }
    }
}

/// Which secret of the operator's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SecretKey {
    /// Seals what is on its way: the queue's messages and envelopes, and the trail.
    Transit = 1,
    /// Seals the private keys of the device authorities.
    Devices = 2,
    /// Seals traces, waiting and kept.
    Traces = 3,
}

/// Key of [`super::Consignment`]: all consignments of a message lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsignmentKey {
    /// The message.
    pub message: QueueId,
    /// Number within the message.
    pub number: u32,
}

impl ConsignmentKey {
    /// The range of all consignments of a message.
    #[must_use]
    pub fn of(message: QueueId) -> RangeInclusive<ConsignmentKey> {
        ConsignmentKey { message, number: 0 }..=ConsignmentKey { message, number: u32::MAX }
    }
}

/// Key of [`super::QueueRecipient`]: all recipients of a consignment lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueRecipientKey {
    /// The consignment.
    pub consignment: ConsignmentKey,
    /// Number within the consignment.
    pub number: u32,
}

impl QueueRecipientKey {
    /// The range of all recipients of a consignment.
    #[must_use]
    pub fn of(consignment: ConsignmentKey) -> RangeInclusive<QueueRecipientKey> {
        QueueRecipientKey { consignment, number: 0 }..=QueueRecipientKey { consignment, number: u32::MAX }
    }

    /// The range of all recipients of a message.
    #[must_use]
    pub fn of_message(message: QueueId) -> RangeInclusive<QueueRecipientKey> {
        let (first, last) = ConsignmentKey::of(message).into_inner();
        *QueueRecipientKey::of(first).start()..=*QueueRecipientKey::of(last).end()
    }
}

/// Key of [`super::TrailEvent`]: all events of a Message-ID lie together, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrailKey {
    /// The first eight bytes of the SHA-256 of the Message-ID.
    pub message: u64,
    /// Unix microseconds, moved on where two events would share one.
    pub at: u64,
}

impl TrailKey {
    /// The range of all events of a Message-ID.
    #[must_use]
    pub fn of(message: u64) -> RangeInclusive<TrailKey> {
        TrailKey { message, at: 0 }..=TrailKey { message, at: u64::MAX }
    }
}

/// Key of [`super::WaitingTrace`]: Unix microseconds, each given once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceKey(pub u64);

/// Key of [`super::DirectoryEntry`]: all entries of an account lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryEntryKey {
    /// The mailbox.
    pub account: AccountId,
    /// Unix microseconds.
    pub number: u64,
}

impl DirectoryEntryKey {
    /// The range of all entries of a mailbox.
    #[must_use]
    pub fn of(account: AccountId) -> RangeInclusive<DirectoryEntryKey> {
        DirectoryEntryKey { account, number: 0 }..=DirectoryEntryKey { account, number: u64::MAX }
    }
}

/// Key of what is kept of a mailbox's correspondent: [`super::Conversation`], [`super::AbsenceAnswer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CorrespondentKey {
    /// The mailbox.
    pub account: AccountId,
    /// The correspondent's address, as a digest that nobody can undo without the mailbox's key
    /// ([`crate::store::MailboxKey::digest`]).
    pub digest: u128,
}

impl CorrespondentKey {
    /// The range of all correspondents of a mailbox.
    #[must_use]
    pub fn of(account: AccountId) -> RangeInclusive<CorrespondentKey> {
        CorrespondentKey { account, digest: 0 }..=CorrespondentKey { account, digest: u128::MAX }
    }
}

/// Key of [`super::SentCopy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SentCopyKey {
    /// The mailbox.
    pub account: AccountId,
    /// The Message-ID, as in [`TrailKey::message`].
    pub message: u64,
}

impl SentCopyKey {
    /// The range of all of a mailbox.
    #[must_use]
    pub fn of(account: AccountId) -> RangeInclusive<SentCopyKey> {
        SentCopyKey { account, message: 0 }..=SentCopyKey { account, message: u64::MAX }
    }
}

fn pair(bytes: &[u8]) -> Option<(u64, u64)> {
    let (first, second) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*first), u64::from_be_bytes(second.try_into().ok()?)))
}

fn pair32(bytes: &[u8]) -> Option<(u64, u32)> {
    let (first, second) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*first), u32::from_be_bytes(second.try_into().ok()?)))
}

impl Key for AccountId {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(AccountId(u64::from_be_bytes(bytes.try_into().ok()?)))
    }
}

impl Key for BodyId {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(BodyId(u64::from_be_bytes(bytes.try_into().ok()?)))
    }
}

impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        String::from_utf8(bytes.to_vec()).ok()
    }
}

impl Key for MetaKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [1] => Some(MetaKey::NextAccount),
            [2] => Some(MetaKey::NextFolder),
            [3] => Some(MetaKey::NextUidValidity),
            [4] => Some(MetaKey::Starts),
            [5] => Some(MetaKey::NextQueued),
            [6] => Some(MetaKey::Clock),
            _ => None,
        }
    }
}

impl Key for FolderKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.account.0.to_be_bytes());
        out.extend_from_slice(&self.folder.0.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        pair(bytes).map(|(account, folder)| FolderKey { account: AccountId(account), folder: FolderId(folder) })
    }
}

impl Key for MessageKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.folder.0.to_be_bytes());
        out.extend_from_slice(&self.uid.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        pair32(bytes).map(|(folder, uid)| MessageKey { folder: FolderId(folder), uid })
    }
}

impl Key for CredentialKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.account.0.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        pair32(bytes).map(|(account, number)| CredentialKey { account: AccountId(account), number })
    }
}

impl Key for ChangeKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.account.0.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        pair(bytes).map(|(account, number)| ChangeKey { account: AccountId(account), number })
    }
}

impl Key for QueueId {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(QueueId(u64::from_be_bytes(bytes.try_into().ok()?)))
    }
}

impl Key for SecretKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [1] => Some(SecretKey::Transit),
            [2] => Some(SecretKey::Devices),
            [3] => Some(SecretKey::Traces),
            _ => None,
        }
    }
}

impl Key for AuthorityId {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(AuthorityId(u32::from_be_bytes(bytes.try_into().ok()?)))
    }
}

impl Key for ConsignmentKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.message.0.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        pair32(bytes).map(|(message, number)| ConsignmentKey { message: QueueId(message), number })
    }
}

impl Key for QueueRecipientKey {
    fn encode(&self, out: &mut Vec<u8>) {
        self.consignment.encode(out);
        out.extend_from_slice(&self.number.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (consignment, number) = bytes.split_last_chunk::<4>()?;
        let consignment = ConsignmentKey::decode(consignment)?;
        Some(QueueRecipientKey { consignment, number: u32::from_be_bytes(*number) })
    }
}

impl Key for TrailKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.message.to_be_bytes());
        out.extend_from_slice(&self.at.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        pair(bytes).map(|(message, at)| TrailKey { message, at })
    }
}

impl Key for TraceKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(TraceKey(u64::from_be_bytes(bytes.try_into().ok()?)))
    }
}

impl Key for DirectoryEntryKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.account.0.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        pair(bytes).map(|(account, number)| DirectoryEntryKey { account: AccountId(account), number })
    }
}

impl Key for CorrespondentKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.account.0.to_be_bytes());
        out.extend_from_slice(&self.digest.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (account, digest) = bytes.split_first_chunk::<8>()?;
        let digest = u128::from_be_bytes(digest.try_into().ok()?);
        Some(CorrespondentKey { account: AccountId(u64::from_be_bytes(*account)), digest })
    }
}

impl Key for SentCopyKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.account.0.to_be_bytes());
        out.extend_from_slice(&self.message.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        pair(bytes).map(|(account, message)| SentCopyKey { account: AccountId(account), message })
    }
}
