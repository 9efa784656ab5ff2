//! Submission from outside: other people's programs at the door of those who send.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../smtp/door.rs"]
#[allow(dead_code, reason = "tests/smtp knocks at another door")]
mod door;
#[path = "../support/mod.rs"]
mod support;

mod delivered;
mod programs;
mod reconfigured;
mod refusals;
mod scene;
mod sent;
