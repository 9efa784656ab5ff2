//! What goes into the queue, what an attempt is, and what comes out of one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Lease;
use crate::mss::{Address, Domain};
use crate::store::{AccountId, BodyId, BodyKey, ConsignmentKey, Version};
use crate::wire::smtp::params::{MailParams, RcptParams, Return};

/// What a message in the queue is: it decides who is told of its fate, and who is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A holder's message.
    Mail,
    /// A report (RFC 3464): its own failure is told to nobody.
    Report,
    /// A message sent on for a holder.
    Forward,
    /// A holder's absence notice: its own failure is told to nobody.
    Absence,
}

/// A message for other operators, before it is in the queue. It is staged into the batch that also files its local
/// copies; all share one body.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// What it is.
    pub kind: Kind,
    /// The envelope's sender; `None`: the null sender.
    pub sender: Option<Address>,
    /// The own mailbox that is told of its fate; `None`: another operator's sender, or nobody.
    pub account: Option<AccountId>,
    /// BODY, SMTPUTF8, RET, ENVID.
    pub params: MailParams,
    /// The recipients, all in domains of other operators; each once.
    pub recipients: Vec<OutboundRecipient>,
    /// `Message-ID:` with its angle brackets, to follow the message by.
    pub message_id: Option<String>,
    /// What the operator can search in the logs: the transaction that brought it.
    pub reference: String,
    /// Octets at the body's start that are not sent on (our `Return-Path:`).
    pub skip: u32,
    /// Octets of the header section and its empty line, after `skip`.
    pub header: u64,
    /// Unix seconds before which nothing is sent (FUTURERELEASE, RFC 4865); `None`: at once.
    pub not_before: Option<i64>,
}

/// A recipient on its way into the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundRecipient {
    /// Whom.
    pub address: Address,
    /// NOTIFY and ORCPT.
    pub params: RcptParams,
}

/// The sealed part of a [`crate::store::QueueMessage`].
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// See [`Outbound::kind`].
    pub kind: Kind,
    /// See [`Outbound::sender`].
    pub sender: Option<Address>,
    /// See [`Outbound::account`].
    pub account: Option<AccountId>,
    /// See [`Outbound::params`].
    pub params: MailParams,
    /// See [`Outbound::message_id`].
    pub message_id: Option<String>,
    /// See [`Outbound::reference`].
    pub reference: String,
}

impl Envelope {
    /// A holder sent it on and keeps no copy: the message lies nowhere else. Then, and then alone, its sender asks for all
    /// of it back (`mail::aftermath`).
    pub fn is_only_copy(&self) -> bool {
        self.kind == Kind::Forward && self.params.ret == Some(Return::Full)
    }
}

/// A try at one consignment. Whoever takes it owes the queue its [`Outcome`]; dropped, it is due again at once.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Which.
    pub key: ConsignmentKey,
    /// The consignment's record when it was read.
    pub version: Version,
    /// Where it goes.
    pub domain: Domain,
    /// Which try this is, from 1.
    pub number: u32,
    /// Sender, parameters, Message-ID.
    pub envelope: Envelope,
    /// Who has not got it yet.
    pub recipients: Vec<AttemptRecipient>,
    /// The bytes: read from `skip`, `size` of them.
    pub body: BodyId,
    /// Opens them.
    pub body_key: BodyKey,
    /// See [`Outbound::skip`].
    pub skip: u32,
    /// Octets to be sent.
    pub size: u64,
    /// Gives the consignment back if the attempt is dropped.
    pub lease: Lease,
}

/// A recipient of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecipient {
    /// Number within the consignment.
    pub number: u32,
    /// Whom.
    pub address: Address,
    /// NOTIFY and ORCPT.
    pub params: RcptParams,
}

/// What somebody said about a recipient: a peer's reply, or our own reason for not having got that far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// The peer's reply code; `None`: these are our own words.
    pub code: Option<u16>,
    /// Enhanced status code (RFC 3463), `X.Y.Z`.
    pub status: String,
    /// The text: a reply's lines joined, cut to a bounded length, control characters gone; or our own.
    pub text: String,
    /// The host that was asked, if any.
    pub host: Option<String>,
    /// The rule that decided (`mss::decision::Rule::name`, or the relay's own: `no-starttls`, `dn-not-listed` …).
    pub rule: Option<String>,
}

impl fmt::Display for Words {
    /// As traces hold it: `250 2.6.0 taken [mx.other.example]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map(|code| code.to_string());
        let host = self.host.as_ref().map(|host| format!("[{host}]"));
        let rule = self.rule.as_ref().map(|rule| format!("[rule {rule}]"));
        let parts = [code, Some(self.status.clone()), Some(self.text.clone()), host, rule];
        let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        f.write_str(&parts.join(" "))
    }
}

/// What an attempt came to for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The peer has it.
    Relayed {
        /// Its words.
        words: Words,
        /// It makes the sender's success report itself (it offered DSN, RFC 3461 §5.2.2).
        takes_dsn: bool,
    },
    /// Not now.
    Deferred(Words),
    /// Never.
    Failed(Words),
}

/// What an attempt says about its destination: it moves the destination's concurrency and its next try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// It answered a transaction to its end, whatever the answers.
    Reached,
    /// It is there and wants less (421, 45x to a session, refuses another connection).
    Busy,
    /// All the sessions that we allow ourselves with its host are in use: nothing was tried.
    Crowded,
    /// It could not be spoken to: DNS, TCP, TLS, its certificate. All that waits for it waits longer.
    Away(Words),
    /// We could not speak to anybody: no white list, no usable CRLs, no DNS. It was no try, and nothing is held against it;
    /// all that waits for it waits for a moment.
    Unready(Words),
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// By [`AttemptRecipient::number`]. A recipient that is not here is deferred without words.
    pub recipients: Vec<(u32, Verdict)>,
    /// About the destination.
    pub destination: Destination,
}

/// Bounds and times of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// Seconds before the second try; doubled after each, with a jitter of a tenth.
    pub first_retry: i64,
    /// Longest time between two tries, in seconds.
    pub longest_retry: i64,
    /// A message is given up this many seconds after it was taken.
    pub lifetime: i64,
    /// Its sender is told of the delay after so many seconds.
    pub delay_notice: i64,
    /// Seconds after which what is queued is sealed under another key.
    pub turn_key_every: i64,
    /// Tries under way at once, over all destinations.
    pub at_once: usize,
    /// Tries at once to a destination that is not known yet.
    pub first_window: usize,
    /// Tries at once to one destination, at most.
    pub largest_window: usize,
    /// Domains with times of their own; the first that names a domain counts.
    pub routes: Vec<RouteTimes>,
}

/// Times of some destinations that differ from the queue's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTimes {
    /// The domains, in lower case; `*` is every domain that no other route names.
    pub domains: Vec<String>,
    /// As [`QueueOptions::first_retry`].
    pub first_retry: Option<i64>,
    /// As [`QueueOptions::longest_retry`].
    pub longest_retry: Option<i64>,
    /// As [`QueueOptions::lifetime`].
    pub lifetime: Option<i64>,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            first_retry: 300,
            longest_retry: 4 * 3600,
            lifetime: 48 * 3600,
            delay_notice: 4 * 3600,
            turn_key_every: 86_400,
            at_once: 500,
            first_window: 2,
            largest_window: 20,
            routes: Vec::new(),
        }
    }
}
