//! Traces, and what shows that they are whole.

use serde::{Deserialize, Serialize};

use crate::audit::{Action, Actor, MessageFacts, Origin, Part, Trace};

/// A trace, as people and programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownTrace {
    /// When, to the microsecond.
    pub at: String,
    /// Who asked for it.
    #[serde(default)]
    pub actor: Actor,
    /// The address of the mailbox that it happened on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// Where it was asked from.
    #[serde(default)]
    pub origin: Origin,
    /// The message that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageFacts>,
    /// The transaction's reference, to search the log for.
    #[serde(default)]
    pub reference: String,
    /// Which part this is, where one line does not hold all the people that the trace names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// What happened: `action` is its name.
    #[serde(flatten)]
    pub what: Action,
}

impl From<Trace> for ShownTrace {
    fn from(trace: Trace) -> Self {
        let Trace { at, actor, mailbox, origin, message, reference, part, action } = trace;
        Self { at: instant(at), actor, mailbox, origin, message, reference, part, what: action }
    }
}

/// RFC 3339 with microseconds, from Unix microseconds.
pub fn instant(at: u64) -> String {
    let at = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_microsecond(at).ok());
    format!("{:.6}", at.unwrap_or(jiff::Timestamp::UNIX_EPOCH))
}

/// Which traces: `GET /v1/traces`. What is absent does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct TraceSearch {
    /// An address: of the mailbox, of a login, of a message's sender or recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// A national id: of who did it, or of whom it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// A Message-ID, with or without angle brackets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// A network address, or the subject of another operator's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The name of an action, as `logged-in`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Not before: RFC 3339, or a day (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Not after: RFC 3339, or a day (UTC) with all its hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// At most so many: 1 to 10000, by default 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The oldest first; by default the newest.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub oldest_first: bool,
}

/// The traces that were found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundTraces {
    /// The traces, in the order that was asked for.
    pub traces: Vec<ShownTrace>,
    /// Whether there may be more than the limit let through.
    pub more: bool,
    /// Stretches of days' files that could not be read: what stood there is not among the traces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// Which days to verify, and which heads to list: `POST /v1/traces/verify`, `GET /v1/traces/heads`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceDays {
    /// The first day, as `2026-11-25`; by default the oldest that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The last day; by default today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What the verification of a stream found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedStream {
    /// `functional` or `technical`.
    pub stream: String,
    /// Days, blocks and lines that were read.
    pub days: u64,
    /// Blocks.
    pub blocks: u64,
    /// Lines.
    pub lines: u64,
    /// What is wrong: removed, altered, cut, out of order.
    pub problems: Vec<String>,
    /// How many more problems there are than are listed.
    pub more_problems: u64,
}

/// What a verification found: `POST /v1/traces/verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedTraces {
    /// Whether all is as it was written.
    pub good: bool,
    /// By stream.
    pub streams: Vec<VerifiedStream>,
}

/// What starts had found lost, and is told no more: `POST /v1/traces/acknowledge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcknowledgedTraces {
    /// In words.
    pub acknowledged: Vec<String>,
}

/// The signed end of a day: whoever keeps it elsewhere can show later that the day was not written anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceHead {
    /// `functional` or `technical`.
    pub stream: String,
    /// The day.
    pub day: String,
    /// Its lines.
    pub lines: u64,
    /// The hash that ends its chain, hexadecimal.
    pub hash: String,
    /// Its Ed25519 signature, hexadecimal.
    pub signature: String,
    /// Whether the day itself has been forgotten.
    pub forgotten: bool,
}

/// The heads: `GET /v1/traces/heads`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceHeads {
    /// The Ed25519 key that signs them, hexadecimal.
    pub public_key: String,
    /// The same, PEM (RFC 8410), as evidence has it. An older version did not give it.
    #[serde(default)]
    pub public_key_pem: String,
    /// The heads of all days that ended.
    pub heads: Vec<TraceHead>,
}

/// Which message to prove: `GET /v1/traces/proof`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProofQuery {
    /// Its Message-ID, with or without angle brackets.
    pub message_id: String,
}
