//! The schema: every table, its ordered key and its record, in one place.
//!
//! | table | key | record | layout |
//! |---|---|---|---|
//! | `Meta` | [`MetaKey`] | [`Meta`]: counters of ids | compact |
//! | `Domain` | name | [`Domain`] | JSON |
//! | `Account` | [`AccountId`] | [`Account`] | JSON |
//! | `AddressIndex` | address key | [`AddressEntry`]: account, or the tombstone of a closed one | JSON |
//! | `Credential` | (account, number) | [`Credential`] | JSON |
//! | `Usage` | account | [`Usage`]: what a mailbox holds; number of its last change | compact |
//! | `Folder` | (account, folder) | [`Folder`] | compact |
//! | `Message` | (folder, UID) | [`Message`]: flags, dates, size, body | compact |
//! | `Content` | (folder, UID) | [`Content`]: what is sealed: body key and summary | compact |
//! | `Body` | [`BodyId`] | [`Body`]: size, references, places in the log | compact |
//! | `Change` | (account, number) | [`Change`]: what a commit did to a mailbox | compact |
//! | `Secret` | [`SecretKey`] | [`Secret`]: a key of the operator's own, sealed | compact |
//! | `QueueMessage` | [`QueueId`] | [`QueueMessage`]: a message on its way | compact |
//! | `Consignment` | (queue id, number) | [`Consignment`]: its recipients in one domain, and when they are due | compact |
//! | `QueueRecipient` | (consignment, number) | [`QueueRecipient`]: one that has not got it yet | compact |
//! | `Trail` | (Message-ID's digest, time) | [`TrailEvent`]: what happened to a message, before there was `Trace` | compact |
//! | `Trace` | time | [`WaitingTrace`]: one that is not in its day's file yet | compact |
//! | `Counter` | (month, sheet, row) | [`Counter`]: sums for the month's indicators | compact |
//! | `TraceMark` | stream | [`TraceMark`]: where its day files stood | JSON |
//! | `SentMark` | Message-ID's digest | [`SentMark`]: whose message it is | compact |
//! | `Conversation` | (account, citizen's digest) | [`Conversation`]: whether a citizen may answer | compact |
//! | `AbsenceAnswer` | (account, correspondent's digest) | [`AbsenceAnswer`]: who was told of an absence, when | compact |
//! | `SentCopy` | (account, Message-ID's digest) | [`SentCopy`]: where a sent message was filed | compact |
//! | `DeviceAuthority` | [`AuthorityId`] | [`DeviceAuthority`]: who signs enrolled devices' certificates | JSON |
//! | `SecondFactor` | account | [`SecondFactor`]: what is shown beside the password | JSON |
//! | `Journal` | (time, account) | [`JournalEntry`]: what happened in a mailbox's life | JSON |
//! | `Terms` | (version, piece) | [`Terms`]: the terms of use | JSON |
//! | `Notice` | (lane, time) | [`WaitingNotice`]: what a holder is to be told by ordinary mail | compact |
//! | `NoticeState` | (part, account) | [`NoticeState`]: what notices are to be made of | JSON |
//! | `DirectoryEntry` | (account, number) | [`DirectoryEntry`]: a mailbox that the directory has to hear of | JSON |
//! | `DirectoryState` | account | [`DirectoryState`]: how a mailbox stands in the directory | JSON |
//!
//! Rules: keys are big-endian, so that byte order is the order of ids; the first byte of a record is the number of its
//! layout; a new layout gets a new number and the old one stays readable. No other room knows any of this.

mod accounts;
pub(crate) mod codec;
mod counters;
mod directory;
mod identity;
mod keys;
mod life;
mod mail;
mod notices;
mod sent_mark;
mod trace_mark;
mod transit;

pub(in crate::store) use accounts::KeyInRecord;
pub use accounts::{
    Absence, AccessGrant, AccessRight, Account, AccountKind, AccountState, AddressEntry, AnnouncedClosing, Credential,
    CredentialKind, Domain, Forward, Holder, JsonRecord, NewMailPace, NoticeBounce, SuspendedFor,
};
pub use codec::DecodeError;
pub use counters::{Counter, CounterKey};
pub use directory::{DirectoryEntry, DirectoryImage, DirectoryPlace, DirectoryState, DirectoryTask};
pub use identity::{Authenticator, DeviceAuthority, MailedCode, SecondFactor};
pub use keys::{
    AccountId, AuthorityId, BodyId, ChangeKey, ConsignmentKey, CorrespondentKey, CredentialKey, DirectoryEntryKey,
    FolderId, FolderKey, Key, MessageKey, MetaKey, QueueId, QueueRecipientKey, SecretKey, SentCopyKey, TraceKey,
    TrailKey, Uid, Version,
};
pub use life::{JournalEntry, JournalKey, Terms, TermsHead, TermsKey};
pub use mail::{
    Body, Change, ChangeEntry, Content, Folder, FolderExistence, Message, Meta, Place, SpecialUse, UidSet, Usage, flags,
};
pub use notices::{
    KnownPlace, NewMailMark, NoticeKey, NoticeLane, NoticePart, NoticeState, NoticeStateKey, WaitingNotice,
};
pub use sent_mark::{SentMark, SentMarkKey};
pub use trace_mark::{LostTraces, StreamKey, TraceMark, Witness};
pub use transit::{
    AbsenceAnswer, Consignment, Conversation, QueueMessage, QueueRecipient, Secret, SentCopy, TrailEvent, WaitingTrace,
};

/// A table's number: the first byte of every key. Numbers are never given to another table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Counters of ids.
    Meta = 1,
    /// The operator's own mail domains.
    Domain = 2,
    /// Accounts (mailboxes).
    Account = 3,
    /// From address to account.
    AddressIndex = 4,
    /// Passwords and certificates that open an account.
    Credential = 5,
    /// What an account's mailbox holds.
    Usage = 6,
    /// Folders.
    Folder = 7,
    /// Messages: what is not content.
    Message = 8,
    /// Messages: what is sealed.
    Content = 9,
    /// Bodies: where their chunks lie.
    Body = 10,
    /// The ordered list of changes of an account.
    Change = 11,
    /// Keys of the operator's own.
    Secret = 12,
    /// Messages on their way.
    QueueMessage = 13,
    /// Their recipients by domain, and when each is due.
    Consignment = 14,
    /// Recipients that have not got their message yet.
    QueueRecipient = 15,
    /// What happened to messages, as older versions wrote it; a start moves it to [`Table::Trace`].
    Trail = 16,
    /// Citizens that a mailbox has written to.
    Conversation = 17,
    /// Who was told of a holder's absence.
    AbsenceAnswer = 18,
    /// Where sent messages were filed.
    SentCopy = 19,
    /// Who signs enrolled devices' certificates.
    DeviceAuthority = 20,
    /// What is shown beside the password.
    SecondFactor = 21,
    /// Traces that wait for their day's file.
    Trace = 22,
    /// Whose messages have left.
    SentMark = 23,
    /// What the month's indicators are made from.
    Counter = 24,
    /// What happened in mailboxes' lives.
    Journal = 25,
    /// The terms of use.
    Terms = 26,
    /// Notices that wait for the relay of ordinary mail.
    Notice = 27,
    /// What notices are to be made of.
    NoticeState = 28,
    /// Mailboxes that the directory has to hear of.
    DirectoryEntry = 29,
    /// How mailboxes stand in the directory.
    DirectoryState = 30,
    /// Where the day files of traces stood.
    TraceMark = 31,
}

impl Table {
    /// All tables, in the order of their numbers.
    pub const ALL: [Table; 31] = [
        Table::Meta,
        Table::Domain,
        Table::Account,
        Table::AddressIndex,
        Table::Credential,
        Table::Usage,
        Table::Folder,
        Table::Message,
        Table::Content,
        Table::Body,
        Table::Change,
        Table::Secret,
        Table::QueueMessage,
        Table::Consignment,
        Table::QueueRecipient,
        Table::Trail,
        Table::Conversation,
        Table::AbsenceAnswer,
        Table::SentCopy,
        Table::DeviceAuthority,
        Table::SecondFactor,
        Table::Trace,
        Table::SentMark,
        Table::Counter,
        Table::Journal,
        Table::Terms,
        Table::Notice,
        Table::NoticeState,
        Table::DirectoryEntry,
        Table::DirectoryState,
        Table::TraceMark,
    ];

    /// The table of a raw key's first byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Table> {
        Table::ALL.into_iter().find(|table| *table as u8 == byte)
    }

    /// The table's name, for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Domain => "domain",
            Table::Account => "account",
            Table::AddressIndex => "address-index",
            Table::Credential => "credential",
            Table::Usage => "usage",
            Table::Folder => "folder",
            Table::Message => "message",
            Table::Content => "content",
            Table::Body => "body",
            Table::Change => "change",
            Table::Secret => "secret",
            Table::QueueMessage => "queue-message",
            Table::Consignment => "consignment",
            Table::QueueRecipient => "queue-recipient",
            Table::Trail => "trail",
            Table::Conversation => "conversation",
            Table::AbsenceAnswer => "absence-answer",
            Table::SentCopy => "sent-copy",
            Table::DeviceAuthority => "device-authority",
            Table::SecondFactor => "second-factor",
            Table::Trace => "trace",
            Table::Counter => "counter",
            Table::SentMark => "sent-mark",
            Table::TraceMark => "trace-mark",
            Table::Journal => "journal",
            Table::Terms => "terms",
            Table::Notice => "notice",
            Table::NoticeState => "notice-state",
            Table::DirectoryEntry => "directory-entry",
            Table::DirectoryState => "directory-state",
        }
    }
}

/// A record: it has a table, an ordered key and a layout.
pub trait Record: Sized {
    /// The table that holds it.
    const TABLE: Table;
    /// The type of its key.
    type Key: Key;

    /// Appends the record's bytes; the first one is the number of the layout.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads a record.
    ///
    /// # Errors
    /// [`DecodeError`] for bytes that are damaged or of a newer layout.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// Decodes a raw value as a record of `table` and says whether that worked: for `store check` and the fuzzer.
///
/// # Errors
/// [`DecodeError`] for bytes that are no such record.
pub fn probe(table: Table, bytes: &[u8]) -> Result<(), DecodeError> {
    match table {
        Table::Meta => Meta::decode(bytes).map(drop),
        Table::Domain => Domain::decode(bytes).map(drop),
        Table::Account => Account::decode(bytes).map(drop),
        Table::AddressIndex => AddressEntry::decode(bytes).map(drop),
        Table::Credential => Credential::decode(bytes).map(drop),
        Table::Usage => Usage::decode(bytes).map(drop),
        Table::Folder => Folder::decode(bytes).map(drop),
        Table::Message => Message::decode(bytes).map(drop),
        Table::Content => Content::decode(bytes).map(drop),
        Table::Body => Body::decode(bytes).map(drop),
        Table::Change => Change::decode(bytes).map(drop),
        Table::Secret => Secret::decode(bytes).map(drop),
        Table::QueueMessage => QueueMessage::decode(bytes).map(drop),
        Table::Consignment => Consignment::decode(bytes).map(drop),
        Table::QueueRecipient => QueueRecipient::decode(bytes).map(drop),
        Table::Trail => TrailEvent::decode(bytes).map(drop),
        Table::Conversation => Conversation::decode(bytes).map(drop),
        Table::AbsenceAnswer => AbsenceAnswer::decode(bytes).map(drop),
        Table::SentCopy => SentCopy::decode(bytes).map(drop),
        Table::DeviceAuthority => DeviceAuthority::decode(bytes).map(drop),
        Table::SecondFactor => SecondFactor::decode(bytes).map(drop),
        Table::Trace => WaitingTrace::decode(bytes).map(drop),
        Table::Counter => Counter::decode(bytes).map(drop),
        Table::SentMark => SentMark::decode(bytes).map(drop),
        Table::TraceMark => TraceMark::decode(bytes).map(drop),
        Table::Journal => JournalEntry::decode(bytes).map(drop),
        Table::Terms => Terms::decode(bytes).map(drop),
        Table::Notice => WaitingNotice::decode(bytes).map(drop),
        Table::NoticeState => NoticeState::decode(bytes).map(drop),
        Table::DirectoryEntry => DirectoryEntry::decode(bytes).map(drop),
        Table::DirectoryState => DirectoryState::decode(bytes).map(drop),
    }
}

/// The raw key of a record: its table's byte, then its ordered key.
pub(crate) fn raw_key<R: Record>(key: &R::Key) -> Vec<u8> {
    let mut raw = Vec::with_capacity(24);
    raw.push(R::TABLE as u8);
    key.encode(&mut raw);
    raw
}
