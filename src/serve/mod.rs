//! The doors: listeners, TLS, limits, and the running process around them.

mod connection;
pub mod http;
pub mod imap;
pub mod inbound;
pub mod limits;
mod shared;
mod shutdown;
pub mod tls;

pub use connection::{Connection, ConnectionId, ConnectionIds};
pub use shared::Shared;
pub use shutdown::{Shutdown, ShutdownSwitch, shutdown};
