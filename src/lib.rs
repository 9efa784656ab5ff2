//! Caducée: the mail server of an MSSanté operator.
//!
//! # The map
//!
//! | room | what it is for |
//! |---|---|
//! | [`config`] | one TOML file → typed, validated settings |
//! | [`mss`] | the trust space's vocabulary and rules; pure: no I/O, no clock of its own |
//! | [`wire`] | SMTP and IMAP as state machines: bytes in, actions out; pure: no sockets, no tasks |
//! | [`store`] | the only room that touches disk: the log, its index, sealing |
//! | [`mail`] | what happens to mail: delivery, folders, flags, changes |
//! | [`accounts`] | who people are: domains, mailboxes, credentials |
//! | [`telemetry`] | logging set-up and metrics |
//! | [`jobs`] | what runs beside: white list and CRL refresh |
//! | [`serve`] | the doors: listeners, TLS, limits; one folder a door |
//! | [`cli`] | one file a subcommand; a client of the administration API |
//! | [`sandbox`] | a whole trust space on loopback |
//!
//! # Who may call whom
//!
//! `cli`, `sandbox`, `serve`, `jobs` → `mail`, `accounts` → `store`. `mss` and `wire` call nobody and may be called by all.
//! `telemetry` calls nobody and may be called by all but those two. Nothing calls upward. `tests/architecture.rs` walks
//! the `use` lines and fails on a call against this rule.

pub mod accounts;
pub mod cli;
pub mod config;
pub mod jobs;
pub mod mail;
pub mod mss;
pub mod sandbox;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod wire;
