//! A connection as a door gets it.

use super::front::Front;
use super::limits::ConnectionPermit;
use crate::telemetry::Door;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;

/// Names a connection on every log line, in refusals ("ref …") and in traces. Not used twice, not even after a restart:
/// the start's second, then a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    start: u32,
    number: u32,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:x}", self.start, self.number)
    }
}

/// Gives ids.
#[derive(Debug)]
pub struct ConnectionIds {
    start: u32,
    next: AtomicU32,
}

impl Default for ConnectionIds {
    fn default() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Truncation is meant: 32 bits of seconds repeat after 136 years.
        Self { start: since_epoch.as_secs() as u32, next: AtomicU32::new(1) }
    }
}

impl ConnectionIds {
    /// The next id.
    pub fn next(&self) -> ConnectionId {
        ConnectionId { start: self.start, number: self.next.fetch_add(1, Ordering::Relaxed) }
    }
}

/// An accepted connection, TCP_NODELAY set, before any byte is read or written.
///
/// A door is `async fn serve(shared: Arc<Shared>, connection: Connection)`; it runs in a span that carries the id and the
/// peer's address. The permit counts the connection until it is dropped.
#[derive(Debug)]
pub struct Connection {
    /// The stream.
    pub stream: TcpStream,
    /// The other end.
    pub peer: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// Which door it came through.
    pub door: Door,
    /// What its listener wants and offers.
    pub front: Front,
    /// Its name.
    pub id: ConnectionId,
    /// Its place in the counts of connections; keep it as long as the connection.
    pub permit: ConnectionPermit,
}
