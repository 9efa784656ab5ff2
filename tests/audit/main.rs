//! Traces: who did what, when, on which mailbox, from where; through sessions in process, the administration API, and a whole
//! sandbox.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "modules of a test binary")]

mod administration;
mod changes;
mod doors;
#[path = "../imap/harness.rs"]
#[allow(dead_code, reason = "tests/imap asks for more of it")]
mod harness;
mod logins;
mod looks;
mod scene;
mod secrets;
mod shared_mailbox;
#[path = "../support/mod.rs"]
mod support;
