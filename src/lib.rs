//! Caducée: the mail server of an MSSanté operator.
//!
//! # The map
//!
//! | room | what it is for | may call |
//! |---|---|---|
//! | [`mss`] | the trust space's vocabulary and rules; pure: no I/O, no clock of its own | – |
//! | [`wire`] | SMTP and IMAP as state machines: bytes in, actions out; pure: no sockets, no tasks | – |
//! | [`telemetry`] | logging set-up and metrics | – |
//! | [`store`] | the only room that touches the mail's disk: the log, its index, sealing | telemetry |
//! | [`config`] | one TOML file → typed, validated settings | mss, telemetry |
//! | [`audit`] | traces: who did what, when, on which mailbox | store, mss, telemetry |
//! | [`mail`] | what happens to mail: delivery, folders, flags, changes | audit, store, mss, wire, telemetry |
//! | [`accounts`] | who people are: domains, mailboxes, credentials | audit, mail, store, mss, wire, telemetry |
//! | [`jobs`] | what runs beside: white list and CRL refresh, notices, the directory, the life of mailboxes | serve::tls, accounts, audit, config, mss, wire, telemetry |
//! | [`serve`] | the doors: listeners, TLS, limits; one folder a door | jobs, accounts, audit, mail, store, config, mss, wire, telemetry |
//! | [`cli`] | one file a subcommand; a client of the administration API | sandbox, serve, jobs, audit, mail, store, config, mss, wire |
//! | [`sandbox`] | a whole trust space on loopback; a client of the administration API | cli::client, serve::http, store, config, mss, wire |
//!
//! # Who may call whom
//!
//! The last column is the rule: `tests/architecture.rs` reads it, walks the paths of every source file, and fails on a call
//! that it does not name. Nothing calls upward: from the doors (`serve`, `jobs`, `cli`, `sandbox`) down to what happens
//! (`mail`, `accounts`, `audit`), down to what is kept (`store`); `mss` and `wire` know nobody and are known to all. The same test
//! holds the purity of those two, and that only `store` knows its database.

pub mod accounts;
pub mod audit;
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
