//! Reports: what a sender is told about its message (RFC 3464), and what others' reports tell us.
//!
//! ```text
//! Report (who is owed what) ─▶ notify: who asked for it? ─▶ compose ─▶ settle ─▶ one commit with what made it true
//!                                                                       │  an own mailbox's INBOX, beyond its quota
//!                                                                       └▶ the queue, for another operator's sender
//! a message that comes in ─▶ Sniffer ─▶ Told ─▶ trail::link
//! ```
//!
//! # Rules
//!
//! 1. One report for all recipients that something happened to at one moment; each only if the sender asked (NOTIFY).
//! 2. Never a report about a report: a null sender is told nothing (RFC 3461 §6.2, RFC 5321 §4.5.5).
//! 3. A report that can never be delivered (a closed mailbox) keeps nothing else from being committed; one that can later
//!    is owed until then. A suspended mailbox takes its reports.
//! 4. Words are French first and English second, in one place ([`texts`]); whatever a peer said goes out harmless.

mod compose;
mod human;
mod lines;
mod notify;
mod settle;
mod sniff;
mod status;
mod texts;
pub mod types;

pub use settle::{SettleError, settle, stage};
pub use sniff::{Sniffer, Status, Told, What};
pub use types::{Action, Original, Report, Reported};
