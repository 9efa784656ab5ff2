//! The house around the rooms: configuration, TLS, the running process.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod check;
mod configuration;
mod pki;
mod process;
mod server;
mod tls;

#[path = "../support/mod.rs"]
mod support;
