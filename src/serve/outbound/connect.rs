//! TCP to a host, by whichever of its addresses answers first in their order.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::mail::relay::{Host, Trouble};

/// Addresses of one host that are tried in one attempt.
const MOST_ADDRESSES: usize = 6;

/// A connection to one of the addresses, each tried for at most `longest`.
pub(super) async fn any(host: &Host, addresses: &[IpAddr], longest: Duration) -> Result<TcpStream, Trouble> {
    let mut last = None;
    for address in addresses.iter().take(MOST_ADDRESSES) {
        match timeout(longest, TcpStream::connect((*address, host.port))).await {
            Ok(Ok(stream)) => {
                // Commands are written whole: waiting for more of them would only cost time.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = Some((*address, reason(&error))),
            Err(_) => last = Some((*address, format!("no answer within {} seconds", longest.as_secs()))),
        }
    }
    let text = match last {
        Some((address, reason)) => format!("the server {host} cannot be reached at {address}: {reason}"),
        None => format!("the server {host} has no address"),
    };
    Err(Trouble::new("connect-failed", "4.4.1", text))
}

/// The system's words without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
