//! What every black-box test binary shares: a sandbox on free ports, its description, and other people's programs under
//! a time limit.
//!
//! Use it from `tests/<group>/main.rs`:
//!
//! ```ignore
//! #[path = "../support/mod.rs"]
//! mod support;
//! ```
//!
//! Three rules hold here. A sandbox shared by a binary is started once, on first use ([`Sandbox::shared`]); a test that
//! stops, restarts or fills a server takes one of its own ([`Sandbox::start`]). A sandbox ends when its test binary ends,
//! however that happens: it watches a pipe that only we hold. A missing program skips a test aloud, never in silence.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test binary uses the part it needs")]

mod clients;
mod description;
mod sandbox;
mod tools;

pub use clients::{Envelope, fetch, imap, read, search, smtplib, swaks};
pub use description::{Description, Identity, Mailbox, Operator, Peer, Ports};
pub use sandbox::{Sandbox, ScratchDir, free_port, signal};
pub use tools::{Ran, Tool, have, run, run_with_input, wait_until};
