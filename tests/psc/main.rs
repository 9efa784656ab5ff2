//! Pro Santé Connect: what tokens are worth, what happens while it fails, the portal's login, and the doors.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "modules of a test binary")]

#[path = "../imap/harness.rs"]
#[allow(dead_code, reason = "another group's harness; this one takes a part of it")]
mod harness;

mod bound;
mod code;
mod doors;
mod failures;
mod fake;
mod judged;
mod logged;
mod put_off;
mod signed;
