//! IMAP: framing and parsing, sessions in process, and foreign clients against a sandbox.

mod commands;
mod folders;
mod framing;
mod harness;
mod login;
mod messages;
mod names;
mod sasl;
mod several;
