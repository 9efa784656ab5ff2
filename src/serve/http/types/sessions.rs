//! Sessions of the doors.

use serde::{Deserialize, Serialize};

/// Somebody who is in: one session of IMAP or submission after its login.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its number, given once in the life of the server's process.
    pub id: u64,
    /// The mailbox that is open.
    pub mailbox: String,
    /// National id of the person, where the login tells.
    #[serde(default)]
    pub person: Option<String>,
    /// What may be done in the mailbox: `read`, `write`, `send`, `manage`.
    pub rights: Vec<String>,
    /// `password`, `password-and-code`, `device`, `certificate` or `pro-sante-connect`.
    pub means: String,
    /// `imap`, `submission`.
    pub door: String,
    /// Where the client is.
    pub peer: String,
    /// When it logged in.
    pub began_at: String,
    /// When its last command came.
    pub last_command_at: String,
}

/// The sessions: `GET /v1/sessions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// In the order in which they came.
    pub sessions: Vec<Session>,
}

/// Which sessions; every filter that is given must hold. `DELETE /v1/sessions` wants one at least.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionQuery {
    /// Those in this mailbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// Those of this person, by national id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
}

/// How many sessions were ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedSessions {
    /// So many.
    pub ended: u64,
}
