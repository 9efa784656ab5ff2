//! Notices to holders by ordinary mail.

use serde::{Deserialize, Serialize};

/// How notices are: `GET /v1/notices`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeStatus {
    /// Whether there is a relay that carries them.
    pub carried: bool,
    /// How many wait for it.
    pub waiting: u64,
    /// When the oldest of them was written.
    #[serde(default)]
    pub oldest: Option<String>,
    /// Mailboxes, closed ones aside, whose holders have no notification address.
    #[serde(default)]
    pub without_address: u64,
    /// Mailboxes whose notification address takes nothing; 1000 at most.
    pub refused: Vec<RefusedAddress>,
    /// How many more there are than are listed.
    #[serde(default)]
    pub more_refused: u64,
}

/// A mailbox whose notification address takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedAddress {
    /// The mailbox.
    pub mailbox: String,
    /// Its notification address.
    pub address: String,
    /// The codes of the refusal.
    pub status: String,
    /// When it was last refused.
    pub at: String,
}

/// What the operator tells many holders: `POST /v1/notices/maintenance`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// The text, in the holders' language: at most 1000 characters, no link.
    pub text: String,
    /// Only holders of mailboxes in this domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// Whom it goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncementAnswer {
    /// Mailboxes whose holders are told.
    pub told: u64,
    /// Mailboxes whose holders are not: they have no notification address.
    pub without_address: u64,
}

/// An address that the operator's relay had a bounce from: `POST /v1/notices/bounces`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounce {
    /// The notification address.
    pub address: String,
    /// The codes of the refusal, as `5.1.1` or `550 5.1.1`.
    #[serde(default)]
    pub status: String,
}

/// The mailboxes that it is noted on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BounceAnswer {
    /// Their addresses.
    pub mailboxes: Vec<String>,
}
