//! Who is logged in to a session.

use std::sync::Arc;

use crate::accounts::{Ending, SessionTicket};
use crate::audit::Asker;
use crate::mail::Mailbox;
use crate::telemetry::Metrics;

/// The mailbox of a session, and its place on the list of sessions, which knows who is in it and what they may do.
pub(super) struct User {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) ticket: SessionTicket,
    metrics: Metrics,
}

impl User {
    pub(super) fn new(mailbox: Arc<Mailbox>, metrics: Metrics, ticket: SessionTicket) -> User {
        metrics.imap_sessions.inc();
        User { mailbox, ticket, metrics }
    }

    /// Who is in, as the traces of what they do tell.
    pub(super) fn asker(&self) -> &Arc<Asker> {
        self.ticket.session().asker()
    }
}

/// Waits until the session of somebody who is logged in is to end; before a login, for ever.
pub(super) async fn ended(user: Option<&User>) -> Ending {
    match user {
        Some(user) => user.ticket.ended().await,
        None => std::future::pending().await,
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.metrics.imap_sessions.dec();
    }
}
