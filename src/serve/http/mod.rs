//! The administration API on the Unix socket.

pub mod problem;
pub mod types;
