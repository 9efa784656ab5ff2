//! What the engine is told, what it asks, and what it says.

use std::time::Duration;

use super::super::command::{MailFrom, RcptTo};
use super::super::reply::Reply;
use super::{Refusal, Role};
use crate::wire::sasl::Credentials;

/// Time since the connection was accepted.
pub type Tick = Duration;

/// The bounds of a connection.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Biggest message in octets; announced by SIZE.
    pub message: u64,
    /// Longest header section in octets.
    pub header: u64,
    /// Longest line of a message in octets, CRLF included. RFC 5321 §4.5.3.1.6 has 1000.
    pub text_line: usize,
    /// Longest line of `MAIL`, `RCPT` and `VRFY` in octets, CRLF included; other commands have 512 (RFC 5321 §4.5.3.1.4).
    pub command_line: usize,
    /// Most recipients of a transaction.
    pub recipients: usize,
    /// Errors after which the connection is closed. All refused recipients of a transaction count as one; a message that
    /// is taken sets the count to zero.
    pub errors: u32,
    /// Commands without effect (`NOOP`, `RSET`, `HELP` …) between two messages, after which each counts as an error.
    pub idle_commands: u32,
    /// Most transactions.
    pub transactions: u32,
    /// Longest wait for a command. RFC 5321 §4.5.3.2.7.
    pub command_timeout: Duration,
    /// Longest wait for the next piece of a message. RFC 5321 §4.5.3.2.5.
    pub data_timeout: Duration,
    /// Longest time for one message.
    pub message_timeout: Duration,
    /// Longest time without TLS; at the door of those who send, without a login.
    pub plaintext_timeout: Duration,
    /// Age from which no new transaction begins.
    pub session_timeout: Duration,
}

/// What the engine is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our host name.
    pub host: String,
    /// What the operator can search in the logs; stands in every refusal.
    pub reference: String,
    /// The bounds.
    pub limits: Limits,
    /// Whose door it is.
    pub role: Role,
}

/// How the peer greeted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The name it gave. Not verified; safe to write into a header field.
    pub name: String,
    /// `EHLO`, not `HELO`.
    pub extended: bool,
}

/// What the engine asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// May TLS start?
    StartTls,
    /// May this client log in? A yes lets it say `MAIL`; a no leaves the connection as it was.
    Auth(Credentials),
    /// May this sender begin a transaction?
    Mail(MailFrom),
    /// May this recipient be part of it?
    Rcpt(RcptTo),
    /// A message is about to come: where does it go?
    Open,
    /// The header section is complete: may the message go on?
    HeaderEnd,
    /// The message is complete: is it taken? A yes is [`Answer::Reply`] with a 2xx reply.
    Message {
        /// Its size in octets, as it was given out.
        size: u64,
    },
}

/// What is answered to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes, in the engine's words. No answer to [`Question::Message`], where only words made from a commit are a yes.
    Accept,
    /// Yes (2xx) or no (4xx, 5xx), in these words. 421 ends the connection too (RFC 5321 §3.8).
    Reply(Reply),
    /// No, and the connection ends.
    Close(Reply),
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'i> {
    /// Write the output, read bytes.
    NeedBytes,
    /// Answer the question that was asked.
    NeedAnswer,
    /// Answer this.
    Ask(Question),
    /// A piece of the message's header section, up to and with the empty line.
    Header(&'i [u8]),
    /// A piece of the message's body.
    Body(&'i [u8]),
    /// For counters and logs: the engine refused something; the reply is in the output, or follows when the message ends.
    Refused(Refusal),
    /// The transaction is over without a message: drop what belongs to it.
    Discard,
    /// Write the output, start TLS, call [`Receiver::tls_started`].
    StartTls,
    /// Write the output, close the connection.
    Close {
        /// The peer may be in the middle of sending: read and throw away for a moment, or it never sees the reply.
        linger: bool,
    },
}
