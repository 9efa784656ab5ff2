//! What a client can ask, typed: a value of these types is a command that keeps the grammar.

use std::fmt;

use super::acl::RightsChange;
use super::fetch::FetchItem;
use super::flag::Flag;
use super::list::{ListCommand, ListUseAttribute, StatusItem};
use super::search::SearchCommand;
use super::sequence::SequenceSet;
use super::utf7;
use crate::wire::sasl::Secret;

/// A command's tag, as the client wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// A tag of one or more ASTRING-CHARs without `+`, RFC 3501 §9.
    pub fn new(tag: &[u8]) -> Option<Tag> {
        let fits = (1..=MAX_TAG).contains(&tag.len())
            && tag.iter().all(|&byte| super::cursor::is_astring_char(byte) && byte != b'+');
        let tag = std::str::from_utf8(tag).ok().filter(|_| fits)?;
        Some(Tag(tag.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Longest tag taken, in bytes.
pub const MAX_TAG: usize = 128;

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A folder's name, decoded. INBOX, in any case, is `INBOX`, also as the first level of a name; all else is
/// case-sensitive (RFC 3501 §5.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FolderName(String);

impl FolderName {
    /// A name in its decoded form.
    pub fn new(name: &str) -> FolderName {
        let first = name.split('/').next().unwrap_or_default();
        if first.eq_ignore_ascii_case("INBOX") {
            return FolderName(format!("INBOX{}", &name[first.len()..]));
        }
        FolderName(name.to_owned())
    }

    /// A name as it came over the wire.
    pub fn from_wire(name: &[u8]) -> Result<FolderName, utf7::Utf7Error> {
        utf7::decode(name).map(|name| FolderName::new(&name))
    }

    /// Decoded, UTF-8.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A command with its tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Tagged {
    /// To be repeated in the answer.
    pub tag: Tag,
    /// What is asked.
    pub command: Command,
}

/// Message numbers or UIDs: what a set in a command, and the numbers in its answer, mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Message sequence numbers.
    Sequence,
    /// Unique identifiers, of a `UID …` command.
    Uid,
}

/// A command, RFC 3501 §6 and the extensions' own.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// STARTTLS
    StartTls,
    /// AUTHENTICATE, with the initial response of SASL-IR (RFC 4959), still in base64; `=` is an empty one.
    Authenticate {
        /// The mechanism's name in upper case.
        mechanism: String,
        /// The initial response.
        initial: Option<Secret>,
    },
    /// LOGIN
    Login {
        /// As sent.
        user: String,
        /// As sent.
        password: Secret,
    },
    /// ENABLE (RFC 5161): capability names in upper case.
    Enable(Vec<String>),
    /// ID (RFC 2971): what the client says of itself.
    Id(Vec<(String, Option<String>)>),
    /// NAMESPACE (RFC 2342)
    Namespace,
    /// SELECT or EXAMINE.
    Select(SelectCommand),
    /// CREATE, with the special use of RFC 6154 §3.
    Create {
        /// The folder.
        folder: FolderName,
        /// `(USE (\…))`
        uses: Vec<ListUseAttribute>,
    },
    /// DELETE
    Delete(FolderName),
    /// RENAME
    Rename {
        /// The folder as it is.
        from: FolderName,
        /// As it shall be.
        to: FolderName,
    },
    /// SUBSCRIBE
    Subscribe(FolderName),
    /// UNSUBSCRIBE
    Unsubscribe(FolderName),
    /// LIST or LSUB.
    List(ListCommand),
    /// STATUS
    Status {
        /// The folder.
        folder: FolderName,
        /// What is asked of it.
        items: Vec<StatusItem>,
    },
    /// CHECK
    Check,
    /// CLOSE
    Close,
    /// UNSELECT (RFC 3691)
    Unselect,
    /// EXPUNGE, or UID EXPUNGE with its set (RFC 4315).
    Expunge(Option<SequenceSet>),
    /// SEARCH
    Search(SearchCommand),
    /// FETCH
    Fetch(FetchCommand),
    /// STORE
    Store(StoreCommand),
    /// COPY or MOVE (RFC 6851).
    Copy(CopyCommand),
    /// IDLE (RFC 2177)
    Idle,
    /// GETQUOTA (RFC 9208)
    GetQuota(String),
    /// GETQUOTAROOT
    GetQuotaRoot(FolderName),
    /// SETQUOTA: root and limits.
    SetQuota(String, Vec<(String, u64)>),
    /// GETACL (RFC 4314 §3.3)
    GetAcl(FolderName),
    /// SETACL (§3.1)
    SetAcl {
        /// The folder.
        folder: FolderName,
        /// Who.
        identifier: String,
        /// What becomes of their rights.
        change: RightsChange,
    },
    /// DELETEACL (§3.2)
    DeleteAcl {
        /// The folder.
        folder: FolderName,
        /// Who.
        identifier: String,
    },
    /// LISTRIGHTS (§3.4)
    ListRights {
        /// The folder.
        folder: FolderName,
        /// Who.
        identifier: String,
    },
    /// MYRIGHTS (§3.5)
    MyRights(FolderName),
}

/// SELECT and EXAMINE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectCommand {
    /// The folder.
    pub folder: FolderName,
    /// EXAMINE.
    pub read_only: bool,
    /// `(CONDSTORE)`, RFC 7162 §3.1.8.
    pub condstore: bool,
}

/// FETCH and UID FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchCommand {
    /// What the set means.
    pub numbers: Numbers,
    /// Which messages.
    pub set: SequenceSet,
    /// What of them, macros spelt out.
    pub items: Vec<FetchItem>,
    /// `(CHANGEDSINCE …)`, RFC 7162 §3.1.4.1.
    pub changed_since: Option<u64>,
}

/// What STORE does with its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOperation {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// STORE and UID STORE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreCommand {
    /// What the set means.
    pub numbers: Numbers,
    /// Which messages.
    pub set: SequenceSet,
    /// What to do.
    pub operation: StoreOperation,
    /// `.SILENT`
    pub silent: bool,
    /// With these.
    pub flags: Vec<Flag>,
    /// `(UNCHANGEDSINCE …)`, RFC 7162 §3.1.3.
    pub unchanged_since: Option<u64>,
}

/// COPY, MOVE and their UID forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyCommand {
    /// What the set means.
    pub numbers: Numbers,
    /// Which messages.
    pub set: SequenceSet,
    /// Where to.
    pub folder: FolderName,
    /// MOVE.
    pub remove: bool,
}

/// APPEND up to its message.
#[derive(Debug, Clone, PartialEq)]
pub struct AppendCommand {
    /// The tag.
    pub tag: Tag,
    /// Where to.
    pub folder: FolderName,
    /// The message's flags.
    pub flags: Vec<Flag>,
    /// Its internal date, seconds since 1970-01-01 UTC; now if absent.
    pub internal_date: Option<i64>,
}
