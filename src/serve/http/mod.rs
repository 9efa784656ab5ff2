//! The administration API on the Unix socket.

pub mod connection;
pub mod extract;
pub mod line_ends;
pub mod peer;
pub mod problem;
pub mod socket;
pub mod types;
