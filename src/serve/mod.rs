//! The doors.

pub mod http;
pub mod imap;
pub mod inbound;
