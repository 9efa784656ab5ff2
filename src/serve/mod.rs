//! The doors: listeners, TLS, limits, and the running process around them.

mod connection;
pub mod health;
pub mod http;
pub mod imap;
pub mod inbound;
pub mod limits;
pub mod listen;
mod shared;
mod shutdown;
pub mod systemd;
pub mod tls;

pub use connection::{Connection, ConnectionId, ConnectionIds};
pub use shared::Shared;
pub use shutdown::{Shutdown, ShutdownSwitch, shutdown};
