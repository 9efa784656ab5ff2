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
//! * [`header`] reads who a message says it is from.

mod driver;
mod header;
mod link;
mod refusal;

use std::time::SystemTime;

pub(super) use driver::{Answers, Driver, Wire};
pub(super) use header::senders;
pub(super) use link::{Link, accepted, delivery_failed};
pub(super) use refusal::Refused;

/// Commands without effect that a connection may say between two messages: far above what a real peer says.
pub(super) const IDLE_COMMANDS: u32 = 100;

/// Unix seconds.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
