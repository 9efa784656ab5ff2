//! Folders, messages, their ways, and runs of them.

use serde::{Deserialize, Serialize};

use super::{ProblemBody, ShownTrace};

/// A folder of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// Its name, levels parted by `/`.
    pub name: String,
    /// Its special use (RFC 6154), as `\Sent`.
    #[serde(default)]
    pub special_use: Option<String>,
    /// Its UIDVALIDITY.
    pub uid_validity: u32,
    /// How many messages it holds.
    pub messages: u64,
    /// How many of them are unseen.
    pub unseen: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// The folders of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folders {
    /// The folders, by name.
    pub folders: Vec<Folder>,
}

/// A message in a folder, without anything of its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its UID.
    pub uid: u32,
    /// Its size in bytes, lines ending in CRLF.
    pub size: u64,
    /// SHA-256 of its bytes, hexadecimal: tells whether a message is there already. Absent if its record is damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Its flags and keywords, as IMAP writes them (`\Seen`, `$Forwarded`).
    #[serde(default)]
    pub flags: Vec<String>,
    /// Its internal date: when it arrived.
    pub date: String,
}

/// A page of a folder's messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// The folder's UIDVALIDITY: the UIDs mean nothing under another one.
    pub uid_validity: u32,
    /// The messages, by rising UID.
    pub messages: Vec<Message>,
    /// Ask again with `after` at this UID for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u32>,
}

/// Which message to follow: `GET /v1/follow`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FollowQuery {
    /// Its Message-ID, with or without angle brackets.
    pub message_id: String,
}

/// A message's way, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// Its Message-ID, with angle brackets.
    pub message_id: String,
    /// What happened to it.
    pub events: Vec<ShownTrace>,
    /// Whether there are further events than one answer holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Stretches of days' files that could not be read: what stood there is not among the events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// Which messages to list: `GET /v1/mailboxes/{address}/messages`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageQuery {
    /// The folder; `INBOX` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Only UIDs above this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
    /// At most so many: 1 to 5000, by default 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Where and how to file one message: the query of `POST /v1/mailboxes/{address}/messages`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileQuery {
    /// The folder, made if it is not there; `INBOX` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Flags and keywords, parted by spaces (`\Seen $Forwarded`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
    /// The internal date; the present where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

/// Where a message was filed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filed {
    /// The folder's UIDVALIDITY.
    pub uid_validity: u32,
    /// The message's UID.
    pub uid: u32,
    /// Its size in bytes, lines ending in CRLF.
    pub size: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// The line before each message of a [`BATCH_TYPE`] request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchEntry {
    /// How many bytes of message follow the line.
    pub size: u64,
    /// The folder, made if it is not there; `INBOX` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Flags and keywords.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// The internal date; the present where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

/// What became of one message of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchResult {
    /// It is filed, on disk and synced.
    Filed(Filed),
    /// It was refused; the messages after it are not touched by that.
    Refused(ProblemBody),
}

/// What became of a run of messages, in the order in which they came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchResults {
    /// One result a message.
    pub results: Vec<BatchResult>,
}
