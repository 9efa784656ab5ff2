//! What the two doors of SMTP have in common: other operators' ([`super::inbound`]) and that of those who send
//! ([`super::submission`]).
//!
//! ```text
//! socket ─▶ Driver ─▶ wire::smtp::receiver ─▶ questions ─▶ Answers (the door's) ─▶ mss, accounts, mail
//! ```
//!
//! * [`driver`] moves bytes between the socket and the engine, keeps its time, does TLS and the ends. What a door answers
//!   it asks of the door's [`Answers`].
//! * [`link`] is the connection for logs and counters, with what both doors look up.
//! * [`refusal`] is the one place where an error of ours becomes an SMTP reply.
//! * [`traced`] says of refused mail what is traced of it.
//! * [`header`] reads who a message says it is from.

mod driver;
mod header;
mod link;
mod mss;
mod refusal;
mod traced;

use std::time::{Duration, SystemTime};

use crate::config::sections;
use crate::wire::smtp::receiver::Limits;

pub(super) use driver::{Answers, Driver, Wire};
pub(super) use header::senders;
pub(super) use link::{Link, accepted, delivery_failed};
pub(super) use mss::mss_fields;
pub(super) use refusal::Refused;
pub(super) use traced::{Named, RefusedMail, write_many};

/// Commands without effect that a connection may say between two messages: far above what a real peer says.
const IDLE_COMMANDS: u32 = 100;

/// The engine's bounds that each door has a key of its own for.
pub(super) struct DoorBounds {
    pub(super) errors: u32,
    pub(super) transactions: u32,
    pub(super) command_timeout: Duration,
    pub(super) data_timeout: Duration,
    pub(super) message_timeout: Duration,
    pub(super) plaintext_timeout: Duration,
    pub(super) session_timeout: Duration,
}

impl DoorBounds {
    /// All bounds of the engine, with those that hold at every door.
    pub(super) fn with(self, limits: &sections::Limits) -> Limits {
        let octets = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        Limits {
            message: limits.message,
            header: limits.header,
            text_line: octets(limits.text_line),
            command_line: octets(limits.command_line),
            recipients: limits.recipients as usize,
            errors: self.errors,
            idle_commands: IDLE_COMMANDS,
            transactions: self.transactions,
            command_timeout: self.command_timeout,
            data_timeout: self.data_timeout,
            message_timeout: self.message_timeout,
            plaintext_timeout: self.plaintext_timeout,
            session_timeout: self.session_timeout,
        }
    }
}

/// Unix seconds.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
