//! The trust space: white list, names, admission, exchange, refresh.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails there")]

mod admission;
mod command;
mod exchange;
mod https;
mod mutations;
mod names;
#[path = "../support/mod.rs"]
mod outside;
mod real_list;
mod refresh;
mod revocation;
mod running;
mod signers;
mod support;
