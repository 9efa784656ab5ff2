//! The store's errors. None of them shows content, keys or addresses.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::keyring::KeyOwner;
use super::schema::{BodyId, DecodeError, Place, Table};
use super::seal::SealError;

/// Why something could not be read, or a body not be taken in.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk refused; the store may go on.
    #[error("the store cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The disk is full, or nearly: nothing was taken in, the store goes on reading.
    #[error("the store's disk is full")]
    Full,
    /// A write or sync failed earlier: what is on disk is not known until the process starts again and replays the log.
    #[error("the store stopped after a failed write; restart to replay the log")]
    Stopped,
    /// A record's bytes are damaged or of a newer version. It costs this record, nothing else.
    #[error("a record of table {} does not decode: {source}", table.name())]
    Record {
        /// Its table.
        table: Table,
        /// How.
        source: DecodeError,
    },
    /// A chunk of a body is damaged on disk. It costs this message, nothing else.
    #[error("chunk {index} of body {body} is damaged (segment {}, offset {}): {reason}", place.segment, place.offset)]
    DamagedChunk {
        /// The body.
        body: BodyId,
        /// The chunk's number.
        index: u32,
        /// Where it should be.
        place: Place,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no such body (any more).
    #[error("there is no body {0}")]
    NoBody(BodyId),
    /// A sealed value does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Somebody's second key, or one for somebody whose key was destroyed.
    #[error("{0} has a key, or had one that was destroyed")]
    KeyTaken(KeyOwner),
    /// The store shows damage, and what was asked for could make that worse.
    #[error(
        "the store shows damage; see `caducee store check`, mend or accept it, then take `aside/` and `index.unusable-*` away and restart"
    )]
    ShowsDamage,
    /// The index answered with an error.
    #[error("the index fails: {0}")]
    Index(String),
}

impl StoreError {
    pub(super) fn io(action: &'static str) -> impl FnOnce(io::Error) -> StoreError {
        move |source| StoreError::Io { action, source: Arc::new(source) }
    }
}

/// Why a commit was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// An expectation did not hold: someone else changed a record since it was read. Nothing was written; read again, try again.
    #[error("a record of table {} was changed meanwhile", .0.name())]
    Conflict(Table),
    /// The disk is full, or nearly. Nothing was written.
    #[error("the store's disk is full")]
    Full,
    /// The batch is larger than one commit can be ([`super::MAX_COMMIT`]). Nothing was written.
    #[error("a batch of {0} bytes is too large for one commit")]
    TooLarge(usize),
    /// Whether the commit is on disk is not known, and will not be until the process starts again and replays the log. No
    /// positive answer may be given any more.
    #[error("the store stopped after a failed write; whether this commit is on disk is not known")]
    Unknown,
}

/// Why a store was not opened. The server does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refused a file.
    #[error("{path}: cannot {action}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the store open.
    #[error("{}: the store is in use by another process (is the server running?)", .0.display())]
    InUse(PathBuf),
    /// The store was made with another master key.
    #[error("{}: the store was sealed with another master key than the one given", .0.display())]
    WrongMasterKey(PathBuf),
    /// The store, or one file of it, has a format that this version does not know.
    #[error("{path}: format {found}, but this version of caducee knows only format {known}; use the version that wrote it, or a newer one", path = path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Both key files are missing: no message could be read, and what is made anew would be in the way of those that are
    /// brought back.
    #[error("{}: `keys-1` and `keys-2` are missing, and with them every mailbox's key: bring them back from a backup (docs/operator.md, Backup)", .0.display())]
    KeysMissing(PathBuf),
    /// Key files are there, and no key in them, though there should be: what is made anew would be in the way of those that
    /// are brought back.
    #[error("{}: `keys-1` and `keys-2` hold nothing, and every mailbox's key should be there: bring one of them back from a backup (docs/operator.md, Backup)", .0.display())]
    KeysEmpty(PathBuf),
    /// Two whole copies of a slot were written equally often and differ: files of two times, each with keys of its own.
    #[error("{path}: `keys-1` and `keys-2` are of two times and contradict each other in slots {slots:?}: keep both, and leave here the one that belongs to this log (docs/operator.md, At three in the morning)", path = path.display())]
    KeysContradict {
        /// The store's directory.
        path: PathBuf,
        /// Where.
        slots: Vec<u32>,
    },
    /// A store whose keys are in its accounts' records, beside key files that were not made of these records.
    #[error("{path}: `keys-1` and `keys-2` are of another time than the store beside them ({owner} has another key there, or none in the store): if the whole store was brought back from before its upgrade, keep both elsewhere and start again (docs/operator.md, Upgrading)", path = path.display())]
    KeysOfAnotherTime {
        /// The store's directory.
        path: PathBuf,
        /// Whose key shows it.
        owner: KeyOwner,
    },
    /// A key file of another store: it is left as it is.
    #[error("{}: the keys of another store; put this store's own there, or take it away and leave the other copy", .0.display())]
    ForeignKeys(PathBuf),
    /// The keys could not be moved out of the log.
    #[error("{path}: the mailboxes' keys cannot be moved into the key files: {source}", path = path.display())]
    MoveKeys {
        /// The store's directory.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// A directory that is not empty and is no store: nothing is written into it.
    #[error("{}: not empty, and not a caducee store (no readable `store.json`)", .0.display())]
    NotAStore(PathBuf),
    /// No store there, and none was to be made.
    #[error("{}: there is no store here", .0.display())]
    Missing(PathBuf),
    /// A setting cannot be.
    #[error("{0}")]
    Setting(String),
    /// The index could not be opened, nor rebuilt from the log.
    #[error("{path}: the index cannot be opened or rebuilt: {reason}", path = path.display())]
    Index {
        /// The index's directory.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
}

impl OpenError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> OpenError {
        move |source| OpenError::Io { action, path: path.into(), source }
    }
}
