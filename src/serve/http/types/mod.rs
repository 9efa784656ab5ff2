//! What travels over the administration API: the requests and answers as types, shared by the server and by
//! `caducee`'s own subcommands, so that the two cannot drift apart.
//!
//! Three rules. Instants are RFC 3339 texts in UTC (`2026-11-22T00:49:54Z`), sizes are bytes. A request with a field that
//! nobody knows is refused (a typing error must not be silently ignored); an answer may grow new fields, so answers are
//! read tolerantly. Nothing here holds a message's content: that only travels as a message body.

mod indicators;
mod life;
mod mailboxes;
mod messages;
mod persons;
mod proof;
mod sessions;
mod traces;

use serde::{Deserialize, Serialize};

pub use indicators::*;
pub use life::*;
pub use mailboxes::*;
pub use messages::*;
pub use persons::*;
pub use proof::*;
pub use sessions::*;
pub use traces::*;

/// The media type of one message as it stands (RFC 2046 §5.2.1).
pub const MESSAGE_TYPE: &str = "message/rfc822";

/// The media type of a run of messages in one request: for each, one line of JSON ([`BatchEntry`]), a line feed, then
/// exactly as many bytes as the line said.
pub const BATCH_TYPE: &str = "application/vnd.caducee.messages";

/// The media type of a refusal (RFC 9457 §3).
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// A refusal as RFC 9457 lays it down, with the rule's name and, where one is at fault, the request's field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemBody {
    /// A stable reference of this kind of problem: `/problems/<rule>` (RFC 9457 §3.1.1).
    #[serde(rename = "type")]
    pub kind: String,
    /// What this kind of problem is, in some words that never change.
    pub title: String,
    /// The HTTP status, again, for those who only keep the body.
    pub status: u16,
    /// What was wrong this time, for people.
    pub detail: String,
    /// The rule's stable kebab-case name: what a program should look at.
    pub rule: String,
    /// The field of the request that was refused, as `holder.last_name` or `?limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The reference under which the server's log tells more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
}

/// What runs behind the socket: `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The server's own name, as it greets.
    pub name: String,
    /// The version of the running program.
    pub version: String,
    /// When it started.
    pub started_at: String,
    /// Its process id.
    pub pid: u32,
    /// How many domains are its own.
    pub domains: u64,
    /// How many mailboxes it keeps, closed ones included.
    pub mailboxes: u64,
    /// How many mailboxes are open to their password alone: for tests.
    #[serde(default)]
    pub password_alone: u64,
    /// When the white list in force was generated, if there is one.
    #[serde(default)]
    pub white_list_generated_at: Option<String>,
    /// How large one message may be, in bytes.
    pub message_limit: u64,
    /// Why the server takes no mail at present, if it does not.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// What a reload did: `POST /v1/reload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What was read again, in words (`certificates`, `white list` …).
    pub reloaded: Vec<String>,
    /// What has changed in the configuration but needs a restart to take effect.
    #[serde(default)]
    pub needs_restart: Vec<String>,
    /// What could not be refreshed; what was in force stays.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// One of the operator's own domains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its name, in lower case.
    pub name: String,
    /// What it is for, as the operator wrote it.
    #[serde(default)]
    pub description: String,
    /// When it was added.
    #[serde(default)]
    pub created_at: Option<String>,
    /// How many mailboxes stand in it, closed ones included.
    pub mailboxes: u64,
    /// Whether the white list in force lists it; unknown while there is no list.
    #[serde(default)]
    pub listed: Option<bool>,
}

/// All of the operator's own domains: `GET /v1/domains`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domains {
    /// The domains, by name.
    pub domains: Vec<Domain>,
}

/// A domain to add: `POST /v1/domains`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDomain {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}
