//! The house around the rooms: configuration, TLS, the running process.

mod configuration;
mod pki;
mod tls;

#[path = "../support/mod.rs"]
mod support;
