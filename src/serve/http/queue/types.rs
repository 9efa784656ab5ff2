//! What travels about the queue. The rules of [`super::super::types`] hold here too.

use serde::{Deserialize, Serialize};

/// Which part of the queue: `GET /v1/queue`. Filters are joined: all of them must let a consignment through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueQuery {
    /// The envelope's sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// A recipient that has not got the message yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The recipients' domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// `waiting`, `away`, `trying` or `held`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Only messages with a number above this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many: 1 to 1000, by default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A page of the queue, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedMessages {
    /// The messages.
    pub messages: Vec<QueuedMessage>,
    /// Ask again with `after` at this number for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// A message in the queue, without anything of its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedMessage {
    /// Its number.
    pub id: u64,
    /// `mail`, `report`, `forward` or `absence`.
    pub kind: String,
    /// The envelope's sender; absent for the null sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Its `Message-ID:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The transaction that brought it: what the logs are searched for.
    pub reference: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was taken.
    pub accepted_at: String,
    /// Until when its sender holds it back, if so (FUTURERELEASE).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// When it is given up.
    pub expires_at: String,
    /// Its recipients, by domain.
    pub consignments: Vec<QueuedConsignment>,
}

/// The recipients of a message in one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedConsignment {
    /// The domain.
    pub domain: String,
    /// `waiting`, `away` (its destination cannot be spoken to), `trying` or `held`; absent while it comes or goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// When it is tried next, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<String>,
    /// Tries so far.
    pub attempts: u32,
    /// Whether its sender has been told of the delay.
    pub delay_told: bool,
    /// Who has not got it yet.
    pub recipients: Vec<QueuedRecipient>,
}

/// A recipient that has not got its message yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedRecipient {
    /// Whom.
    pub address: String,
    /// What was last said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastWords>,
    /// When it was last tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_at: Option<String>,
}

/// What a peer said about a recipient, or why it was not got that far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// The peer's reply code; absent for reasons of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Enhanced status code (RFC 3463).
    pub status: String,
    /// The text.
    pub text: String,
    /// The host that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The rule of ours that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// An order: `POST /v1/queue/retry`, `hold`, `release`, `bounce`, `cancel`. At least one filter, or `all`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueOrder {
    /// The message with this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The envelope's sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// A recipient. `bounce` and `cancel` end this one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The recipients' domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The whole queue.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// What the senders are told (`bounce` alone).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Also messages that lie nowhere else: forwards whose holder keeps no copy (`cancel` alone).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// What an order came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueHandled {
    /// Consignments (the recipients of a message in one domain) that it changed.
    pub consignments: u64,
    /// Recipients that it concerned.
    pub recipients: u64,
    /// Recipients that a `cancel` without `force` left as they were, because their message lies nowhere else.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spared: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
