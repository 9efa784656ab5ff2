//! The door of the other operators: SMTP over mutual TLS.
//!
//! # The way a message takes
//!
//! ```text
//! socket ─▶ TLS (peer verified in the handshake) ─▶ wire::smtp::receiver
//!             MAIL      ─▶ is there room on disk? may this peer speak for this sender?      (mss::admission)
//!             RCPT      ─▶ whose mailbox is it? may the sender write to it? is it full?     (accounts, mss::exchange, mail)
//!             header    ─▶ does it loop? is it from whom the peer may speak for?            (mss::admission)
//!                          our lines go before it, foreign ones of ours go out              (mail::trace_fields)
//!             body      ─▶ straight into the log, sealed; the summary is made on the way    (mail::Incoming)
//!             end       ─▶ one commit for all recipients and the message's trace;           (mail::deliver, mail::trail)
//!                          250 is made from its proof
//! ```
//!
//! # Rules
//!
//! 1. The engine decides what SMTP says, this door what we say. Every refusal is a [`Refused`](super::smtp::Refused): it has a rule's
//!    name, codes, a reference, a counter and a log line.
//! 2. A 250 for a message is made from a [`Delivered`](crate::mail::Delivered) and from nothing else.
//! 3. Nothing of a message is logged: no address but its domain, no header field, no body.
//! 4. A connection that waits holds a small buffer and nothing else.
//!
//! # Lines in the log
//!
//! One vocabulary, in the field `event`: `link` (a connection came), `tls` (by [`Shared::accept_operator`]), `refused`,
//! `tx-begin`, `tx-rcpt`, `tx-commit`, `tx-abort`, `unlink` (it went). `reference` is what refusals name.

mod answers;
mod envelope;
mod session;
mod trail;

use std::sync::Arc;

use super::smtp::{DoorBounds, Driver, Link};
use super::{Connection, Shared};
use crate::telemetry::Door;
use crate::wire::smtp::receiver::{Limits, Role, Settings};

/// Serves one connection to its end.
pub async fn serve(shared: Arc<Shared>, connection: Connection) {
    let Connection { stream, peer, id, permit, .. } = connection;
    tracing::info!(event = "link", "connection from {peer}");
    let settings = Settings {
        host: shared.config.load().server.name.clone(),
        reference: id.to_string(),
        limits: engine_limits(&shared),
        role: Role::Operators,
    };
    let session = session::Session::new(Link { shared, id, address: peer.ip(), door: Door::Smtp.name() });
    let ended = Driver::new(session, settings).run(stream).await;
    tracing::info!(event = "unlink", "connection ended: {ended}");
    drop(permit);
}

/// The engine's bounds, as they are configured now.
fn engine_limits(shared: &Shared) -> Limits {
    let config = shared.config.load();
    let door = &config.smtp;
    let bounds = DoorBounds {
        errors: door.max_errors,
        transactions: door.max_transactions,
        command_timeout: door.command_timeout,
        data_timeout: door.data_timeout,
        message_timeout: door.message_timeout,
        plaintext_timeout: door.plaintext_timeout,
        session_timeout: door.session_timeout,
    };
    bounds.with(&config.limits)
}
