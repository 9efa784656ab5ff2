//! The doors: listeners, TLS, limits, and the running process around them.

mod alerts;
pub mod check;
mod compaction;
mod connection;
mod devices;
pub mod facts;
pub mod front;
pub mod health;
pub mod http;
pub mod imap;
pub mod inbound;
pub mod jobs;
pub mod limits;
pub mod listen;
mod login;
mod options;
pub mod outbound;
pub mod portal;
pub mod psc;
pub mod published;
pub mod reload;
pub mod runtime;
mod secrets;
mod shared;
mod shutdown;
mod smtp;
pub mod submission;
mod sweep;
pub mod systemd;
pub mod tls;
mod watch;

pub use connection::{Connection, ConnectionId, ConnectionIds};
pub use secrets::{MasterKeyError, SecretError, master_key_path, read_master_key, read_secret};
pub use shared::Shared;
pub use shutdown::{Shutdown, ShutdownSwitch, shutdown};
