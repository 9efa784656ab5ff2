//! IMAP: framing and parsing, sessions in process, and foreign clients against a sandbox.

mod commands;
mod framing;
mod harness;
mod login;
mod names;
mod sasl;
