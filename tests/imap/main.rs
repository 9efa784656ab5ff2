//! IMAP: framing and parsing, sessions in process, and foreign clients against a sandbox.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "modules of a test binary")]

mod blackbox;
mod commands;
mod folders;
mod framing;
mod harness;
mod login;
mod messages;
mod names;
mod sasl;
mod sessions;
mod several;
mod shared;
#[path = "../support/mod.rs"]
mod support;
mod untraced;
