//! The administration: the API over a socket with a store in memory, and the command line as its client.
#![allow(
    clippy::unwrap_used,
    clippy::result_large_err,
    reason = "helpers of tests fail the test, and are not called often"
)]

mod access;
mod cli;
mod connection;
mod devices;
mod domains;
mod evidence;
mod follow;
mod handling;
mod harness;
mod hostile;
mod import_export;
mod indicators;
mod mailboxes;
mod messages;
mod other_programs;
mod person;
mod process;
mod queue;
mod traces;
