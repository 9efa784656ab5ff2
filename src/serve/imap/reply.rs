//! How a command ends: a tagged answer, or the end of the session.

use std::borrow::Cow;
use std::io;

use crate::accounts::{AccountError, RuleBreach};
use crate::mail::MailError;
use crate::wire::imap::cursor::ParseError;
use crate::wire::imap::response::{Code, Status};

/// The tagged answer of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: Status,
    pub(super) code: Option<Code>,
    pub(super) text: Cow<'static, str>,
}

impl Reply {
    /// OK, made where the work is done.
    pub(super) fn ok(text: &'static str) -> Reply {
        Reply { status: Status::Ok, code: None, text: Cow::Borrowed(text) }
    }

    /// NO: it could not be done.
    pub(super) fn no(code: Option<Code>, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { status: Status::No, code, text: text.into() }
    }

    /// BAD: it should not have been asked so.
    pub(super) fn bad(text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { status: Status::Bad, code: None, text: text.into() }
    }

    /// The same with a code.
    pub(super) fn with(self, code: Code) -> Reply {
        Reply { code: Some(code), ..self }
    }
}

/// Why a session ends. The name goes to the log.
#[derive(Debug)]
pub(super) enum End {
    /// The client said LOGOUT.
    Logout,
    /// The client went without it.
    Closed,
    /// The connection was lost, or the client stopped reading.
    Lost(io::Error),
    /// We end it: this is said in an untagged BYE.
    Bye(&'static str),
}

impl End {
    /// Stable name, for traces.
    pub(super) fn name(&self) -> &'static str {
        match self {
            End::Logout => "logout",
            End::Closed => "closed",
            End::Lost(_) => "connection-lost",
            End::Bye(_) => "by-server",
        }
    }
}

/// What keeps a command from its good end.
#[derive(Debug)]
pub(super) enum Stop {
    /// It is answered with this.
    Reply(Reply),
    /// It has been answered already.
    Answered,
    /// The session is over.
    End(End),
}

impl From<Reply> for Stop {
    fn from(reply: Reply) -> Self {
        Stop::Reply(reply)
    }
}

impl From<End> for Stop {
    fn from(end: End) -> Self {
        Stop::End(end)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::End(End::Lost(error))
    }
}

/// A command's outcome.
pub(super) type Outcome = Result<Reply, Stop>;

/// The one place that turns what mail says into IMAP's words (RFC 5530). The detail goes to the log, not to the client.
impl From<MailError> for Stop {
    fn from(error: MailError) -> Self {
        let say = |code: Code, text: &'static str| Stop::Reply(Reply::no(Some(code), text));
        match &error {
            MailError::NoFolder => say(Code::NonExistent, "There is no such folder"),
            MailError::FolderExists => say(Code::AlreadyExists, "A folder with this name exists"),
            MailError::NotSelectable => say(Code::NonExistent, "This level of the hierarchy holds no messages"),
            MailError::HasChildren => say(Code::Cannot, "There are folders below this one"),
            MailError::Protected(verb) => {
                Stop::Reply(Reply::no(Some(Code::Cannot), format!("This folder cannot be {verb}")))
            }
            MailError::BadName(why) => {
                Stop::Reply(Reply::no(Some(Code::Cannot), format!("Not a folder's name: {why}")))
            }
            MailError::TooManyFolders => say(Code::Limit, "The mailbox has as many folders as it may have"),
            MailError::TooManyKeywords => say(Code::Limit, "The folder has as many keywords as it may have"),
            MailError::BadKeyword => say(Code::Cannot, "Not a keyword"),
            MailError::ReadOnly => say(Code::NoPerm, "The folder is open for reading only"),
            MailError::OverQuota => say(Code::OverQuota, "The mailbox has no room left"),
            MailError::TooMuch => say(Code::Limit, "Too much at once; take fewer messages"),
            MailError::MessageGone => say(Code::ExpungeIssued, "Some of the messages are gone"),
            MailError::Busy => say(Code::InUse, "The mailbox is busy; try again"),
            MailError::FolderGone => Stop::End(End::Bye("The selected folder was deleted")),
            MailError::NoMailbox | MailError::Closed => Stop::End(End::Bye("The mailbox is closed")),
            MailError::Suspended => Stop::End(End::Bye("The mailbox is suspended")),
            MailError::Full => {
                tracing::warn!(%error, "a command was refused");
                say(Code::Unavailable, "The server has no room left; try later")
            }
            MailError::Sealed(_) | MailError::Unknown | MailError::Store(_) => {
                tracing::error!(%error, "a command failed");
                say(Code::Unavailable, "The server cannot do this now; try later")
            }
        }
    }
}

/// What the registry says, where it is asked who may do what.
impl From<AccountError> for Stop {
    fn from(error: AccountError) -> Self {
        let say = |code: Code, text: &'static str| Stop::Reply(Reply::no(Some(code), text));
        match error {
            AccountError::Mail(error) => error.into(),
            AccountError::Rule(RuleBreach::NotForKind { .. }) => {
                say(Code::Cannot, "A mailbox of this kind is opened to nobody else")
            }
            AccountError::Rule(RuleBreach::BadAccessList(_)) => {
                say(Code::Limit, "The access list has as many entries as it may have")
            }
            AccountError::BadGrant(_) => {
                say(Code::Cannot, "An access list names persons, or other PER mailboxes of this operator")
            }
            AccountError::Rule(_) => say(Code::Cannot, "This is no national id, and no mailbox's address"),
            AccountError::NoAccount | AccountError::Closed => say(Code::NonExistent, "The mailbox is closed"),
            AccountError::Busy => say(Code::InUse, "Others are changing the same; try again"),
            error => {
                tracing::error!(%error, "a command failed");
                say(Code::Unavailable, "The server cannot do this now; try later")
            }
        }
    }
}

/// For the destination of APPEND, COPY and MOVE: a folder that could be created (RFC 3501 §7.1, TRYCREATE).
pub(super) fn destination(error: MailError) -> Stop {
    match error {
        MailError::NoFolder | MailError::NotSelectable => {
            Stop::Reply(Reply::no(Some(Code::TryCreate), "There is no such folder; create it first"))
        }
        other => other.into(),
    }
}

/// What a command that was not understood is answered with.
impl From<&ParseError> for Reply {
    fn from(error: &ParseError) -> Self {
        match error {
            ParseError::Bad(reason) => Reply::bad(reason.clone()),
            ParseError::BadCharset => Reply::no(Some(Code::BadCharset), "Charset not supported"),
            ParseError::BadName(_) => Reply::no(Some(Code::Cannot), error.to_string()),
        }
    }
}
