//! Reports: what a sender is told about its message (RFC 3464), and what others' reports tell us.

pub mod types;

pub use types::{Action, Original, Report, Reported};
