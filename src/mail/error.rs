//! What can go wrong with a mailbox, in the words of the doors: each kind has one answer on each protocol.

use crate::store::{CommitError, SealError, StoreError};

use super::names::NameError;

/// Why something could not be done to a mailbox. Never shows content.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MailError {
    /// There is no account with this number.
    #[error("there is no such mailbox")]
    NoMailbox,
    /// The mailbox accepts nothing and opens for nobody for now (MSSanté §5).
    #[error("the mailbox is suspended")]
    Suspended,
    /// The mailbox has been closed for good.
    #[error("the mailbox is closed")]
    Closed,
    /// No folder has this name. For APPEND, COPY and MOVE: `[TRYCREATE]`.
    #[error("there is no such folder")]
    NoFolder,
    /// A folder has this name already.
    #[error("a folder with this name exists")]
    FolderExists,
    /// A level of the hierarchy that holds no messages.
    #[error("this level of the hierarchy holds no messages")]
    NotSelectable,
    /// A level that still has folders below it (RFC 3501 §6.3.4).
    #[error("the level still has folders below it")]
    HasChildren,
    /// INBOX and the special folders stay where they are.
    #[error("this folder cannot be {0}")]
    Protected(&'static str),
    /// The name cannot be a folder's.
    #[error(transparent)]
    BadName(#[from] NameError),
    /// The mailbox has as many folders as it may.
    #[error("the mailbox has as many folders as it may have")]
    TooManyFolders,
    /// The folder has as many keywords as it may.
    #[error("the folder has as many keywords as it may have")]
    TooManyKeywords,
    /// Not an IMAP keyword (RFC 3501 §9, `flag-keyword`).
    #[error("not a keyword")]
    BadKeyword,
    /// The folder was opened by EXAMINE.
    #[error("the folder is open for reading only")]
    ReadOnly,
    /// The message does not fit in the mailbox.
    #[error("the mailbox has no room left")]
    OverQuota,
    /// More than one command may do at once.
    #[error("too much at once")]
    TooMuch,
    /// The message was expunged meanwhile.
    #[error("the message is gone")]
    MessageGone,
    /// The folder was deleted meanwhile.
    #[error("the folder is gone")]
    FolderGone,
    /// Others kept changing the same records; trying again helps.
    #[error("the mailbox is busy")]
    Busy,
    /// The message or mailbox key cannot be read: damaged, or sealed with another key.
    #[error("sealed data does not open: {0}")]
    Sealed(#[from] SealError),
    /// The disk is full, or nearly: nothing was written.
    #[error("the store's disk is full")]
    Full,
    /// Whether the change is on disk is not known: say neither yes nor no for good.
    #[error("the store stopped; whether the change was written is not known")]
    Unknown,
    /// The store cannot read or write.
    #[error(transparent)]
    Store(StoreError),
}

impl MailError {
    /// Whether the same request may succeed later without anybody changing it (an SMTP 4xx).
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            MailError::Busy
                | MailError::Full
                | MailError::Unknown
                | MailError::Store(_)
                | MailError::OverQuota
                | MailError::Suspended
        )
    }
}

impl From<StoreError> for MailError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => MailError::Full,
            StoreError::Stopped => MailError::Unknown,
            StoreError::Seal(error) => MailError::Sealed(error),
            other => MailError::Store(other),
        }
    }
}

impl From<CommitError> for MailError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(_) => MailError::Busy,
            CommitError::Full => MailError::Full,
            CommitError::TooLarge(_) => MailError::TooMuch,
            CommitError::Unknown => MailError::Unknown,
        }
    }
}
