//! Protocols as state machines: bytes in, actions out. Pure: no sockets, no tasks.

pub mod imap;
pub mod sasl;
pub mod smtp;
