//! The house around the rooms: configuration, TLS, the running process.

mod configuration;

#[path = "../support/mod.rs"]
mod support;
