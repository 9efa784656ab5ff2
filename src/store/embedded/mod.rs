//! The embedded engine: one log for bodies and records, sled behind it as its index.

pub mod frame;
