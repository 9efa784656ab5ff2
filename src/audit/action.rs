//! What a trace says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One trace. Empty parts are left out of its written form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Unix microseconds, unique and rising within a server: given by [`super::Tracer`] when it is written down.
    #[serde(default)]
    pub at: u64,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Actor::is_empty")]
    pub actor: Actor,
    /// The address of the mailbox that it happened on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// Where it was asked from.
    #[serde(default, skip_serializing_if = "Origin::is_empty")]
    pub origin: Origin,
    /// The message that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageFacts>,
    /// The reference that refusals and log lines show.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// Which part this is of a trace that names more people than a line of the day files holds; none: it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// What happened.
    #[serde(flatten)]
    pub action: Action,
}

/// Who asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Actor {
    /// In which role; none: nobody who is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// National id, where the login tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The mailbox that was logged in to; the administrator's system user (`uid 0`) for [`By::Administrator`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// `password`, `certificate`, `device`, `pro-sante-connect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub means: Option<String>,
    /// The enrolled workstation's or the software's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// A part of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part {
    /// Which, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

/// In which role something was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The holder, somebody on the access list, or an application.
    User,
    /// The operator's administrator.
    Administrator,
    /// Another operator.
    Operator,
    /// The server itself: a job.
    Server,
}

/// Where it was asked from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// `smtp`, `submission`, `imap`, `portal`, `admin`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub door: String,
    /// The network address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The subject of the other operator's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The session, as `caducee session list` numbers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
}

/// What is told of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageFacts {
    /// The whole Message-ID, with its angle brackets.
    pub message_id: String,
    /// Octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 of its octets as they were sent or received, lower-case hexadecimal; only where it was made on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// `X-MSS-*` lines, as they were (codes, no content; MSSanté §7).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mss: Vec<(String, String)>,
}

/// Which folder; its name is the holder's own and is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FolderKind {
    /// `INBOX`.
    Inbox,
    /// `\Sent`.
    Sent,
    /// `\Drafts`.
    Drafts,
    /// `\Trash`.
    Trash,
    /// `\Junk`.
    Junk,
    /// `\Archive`.
    Archive,
    /// One that the holder made.
    Other,
}

/// Functional traces are kept for years, technical ones for one (MSSanté §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// What people and other operators did.
    Functional,
    /// Jobs, refreshes, errors.
    Technical,
}

/// What happened. The name in kebab-case is what `caducee traces search --action` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub enum Action {
    // ---- a message's way ----
    /// We took it, from a client of ours or from another operator. `origin.door`: `submission`, `smtp`, `report`, `forward`,
    /// `absence`.
    Accepted {
        /// The envelope's sender; empty: the null sender.
        sender: String,
        /// The recipients that are other operators'.
        queued: Vec<String>,
        /// The own mailboxes that have it from this commit on.
        delivered: Vec<String>,
    },
    /// A message or a recipient was refused by a rule.
    Refused {
        /// The rule, as `docs/refusals.md` names it.
        rule: String,
        /// The envelope's sender, as far as it was known.
        sender: String,
        /// The recipient, where the refusal was about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recipient: Option<String>,
    },
    /// So many more were refused from there within a minute, beyond those that have a trace of their own; without a peer: from
    /// everywhere else. Its moment is the beginning of that minute.
    ManyRefused {
        /// How many, by rule.
        rules: BTreeMap<String, u32>,
    },
    /// A try at a recipient of another operator.
    Tried {
        /// Whom.
        recipient: String,
        /// `relayed`, `deferred`, `failed`, `expired`.
        result: String,
        /// The peer's or our own words.
        words: String,
        /// Which try.
        attempt: u32,
    },
    /// The operator or the holder did something to it in the queue (`held`, `released`, `retried`, `bounced`, `cancelled`).
    Handled {
        /// What.
        handling: String,
    },
    /// Its sender was told (RFC 3464).
    Reported {
        /// `failed`, `delayed`, `delivered`, `relayed`.
        result: String,
        /// About whom.
        recipients: Vec<String>,
        /// The report's own Message-ID.
        report: String,
    },
    /// Its sender could not be told: the mailbox is closed, say.
    ReportLost {
        /// As in `Reported`.
        result: String,
        /// About whom.
        recipients: Vec<String>,
        /// Why it could not.
        reason: String,
    },
    /// Somebody's report about it came in: a DSN, or a citizen space's bounce by mail (MSSanté §8).
    ReportCame {
        /// `failed`, `delayed`, `delivered` …
        result: String,
        /// About whom.
        recipient: Option<String>,
        /// The report's own Message-ID.
        report: Option<String>,
        /// The diagnostic, cut.
        text: String,
    },
    /// A disposition notification about it came in (MDN, RFC 8098).
    Disposition {
        /// Who disposed of it.
        recipient: Option<String>,
        /// `displayed`, `processed`, `processed/error` …
        disposition: String,
        /// The notification's own Message-ID.
        notification: Option<String>,
        /// `Error:` of the notification: a platform's code and label (MSSanté §7), cut.
        error: Option<String>,
    },

    // ---- who was in ----
    /// Somebody was let in; who and how is in the actor.
    LoggedIn,
    /// Somebody was not let in.
    LoginRefused {
        /// The refusal's name.
        reason: String,
        /// The address that was asked for, if it is one of ours.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked: Option<String>,
    },
    /// So many more were not let in from there within a minute, beyond those that have a trace of their own; without a peer:
    /// from everywhere else. Its moment is the beginning of that minute.
    LoginsRefused {
        /// How many.
        count: u32,
    },
    /// The session ended.
    LoggedOut {
        /// Why: `logout`, or what ended it.
        reason: String,
    },

    // ---- what was done in a mailbox: one trace a command, with how many messages ----
    /// A folder was opened.
    Opened {
        /// Which.
        folder: FolderKind,
    },
    /// Messages were read (their text or an attachment, not their list).
    Read {
        /// Of which folder.
        folder: FolderKind,
        /// How many.
        messages: u32,
    },
    /// Messages were searched for.
    Searched {
        /// In which folder.
        folder: FolderKind,
        /// How many were found.
        messages: u32,
    },
    /// A message was filed by a client.
    Appended {
        /// Where.
        folder: FolderKind,
        /// How many.
        messages: u32,
    },
    /// Messages were copied.
    Copied {
        /// From where.
        folder: FolderKind,
        /// To where.
        to: FolderKind,
        /// To which mailbox, where it is another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to_mailbox: Option<String>,
        /// How many.
        messages: u32,
    },
    /// Messages were moved.
    Moved {
        /// From where.
        folder: FolderKind,
        /// To where.
        to: FolderKind,
        /// To which mailbox, where it is another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to_mailbox: Option<String>,
        /// How many.
        messages: u32,
    },
    /// Messages were deleted for good (EXPUNGE, or their folder was deleted).
    Deleted {
        /// Of which folder.
        folder: FolderKind,
        /// How many.
        messages: u32,
    },
    /// The mailbox's content was given out whole (`caducee export`, a leaving holder).
    Exported {
        /// How many messages.
        messages: u32,
    },

    // ---- administration and life ----
    /// A mailbox, a domain or a means of access was changed. `what` is one of a small set of kebab-case names:
    /// `mailbox-created`, `mailbox-opened`, `mailbox-changed`, `mailbox-suspended`, `mailbox-reopened`, `mailbox-closed`,
    /// `access-granted`, `access-taken`, `password-set`, `password-removed`, `device-enrolled`, `device-renewed`, `device-revoked`,
    /// `device-authority-made`, `factor-set`, `factor-removed`, `factors-reset`, `recovery-codes-made`, `recovery-code-used`,
    /// `certificate-bound`, `certificate-unbound`, `domain-added`, `domain-removed`, `session-ended`, `person-told`,
    /// `person-erased`, `directory-searched`, `traces-searched`, `message-followed`, `evidence-made` …
    Administered {
        /// What.
        what: String,
        /// The names of the fields that changed; never their values.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fields: Vec<String>,
        /// Whom or what it concerns: a person's national id, a device's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<String>,
    },
    /// A step in a mailbox's life: `terms-accepted`, `closing-announced`, `reminded`, `forgotten` …
    Lived {
        /// Which step.
        step: String,
        /// A version or a date that belongs to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// A notice was handed to the relay of ordinary mail, or given up. Never what it says.
    Noticed {
        /// The notice's name.
        notice: String,
        /// `sent`, `given-up`, `bounced`.
        result: String,
    },
    /// The national directory was told about the mailbox.
    Published {
        /// `insert`, `replace`, `delete`.
        operation: String,
        /// `done`, or the directory's own words, cut.
        result: String,
    },

    // ---- technical ----
    /// A job ran.
    JobRan {
        /// Which.
        job: String,
        /// `done`, or what went wrong.
        result: String,
        /// Figures, for people.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
}

/// The name of what jobs do: alone in its stream.
pub(super) const JOB_RAN: &str = "job-ran";

impl Stream {
    /// Its name, as its directory has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Functional => "functional",
            Self::Technical => "technical",
        }
    }
}

impl Trace {
    /// A trace of an action that nobody has asked for.
    pub fn of(action: Action) -> Self {
        let (actor, origin) = (Actor::default(), Origin::default());
        Self { at: 0, actor, mailbox: None, origin, message: None, reference: String::new(), part: None, action }
    }

    /// Which stream it belongs to.
    pub fn stream(&self) -> Stream {
        match self.action {
            Action::JobRan { .. } => Stream::Technical,
            _ => Stream::Functional,
        }
    }
}

impl Actor {
    /// The server itself.
    pub fn server() -> Self {
        Self { by: Some(By::Server), ..Self::default() }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Origin {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Action {
    /// Its name in kebab-case, as in its written form.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Refused { .. } => "refused",
            Self::ManyRefused { .. } => "many-refused",
            Self::Tried { .. } => "tried",
            Self::Handled { .. } => "handled",
            Self::Reported { .. } => "reported",
            Self::ReportLost { .. } => "report-lost",
            Self::ReportCame { .. } => "report-came",
            Self::Disposition { .. } => "disposition",
            Self::LoggedIn => "logged-in",
            Self::LoginRefused { .. } => "login-refused",
            Self::LoginsRefused { .. } => "logins-refused",
            Self::LoggedOut { .. } => "logged-out",
            Self::Opened { .. } => "opened",
            Self::Read { .. } => "read",
            Self::Searched { .. } => "searched",
            Self::Appended { .. } => "appended",
            Self::Copied { .. } => "copied",
            Self::Moved { .. } => "moved",
            Self::Deleted { .. } => "deleted",
            Self::Exported { .. } => "exported",
            Self::Administered { .. } => "administered",
            Self::Lived { .. } => "lived",
            Self::Noticed { .. } => "noticed",
            Self::Published { .. } => "published",
            Self::JobRan { .. } => JOB_RAN,
        }
    }
}
