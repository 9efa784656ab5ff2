//! Who is logged in to a session.

use std::sync::Arc;

use crate::accounts::Login;
use crate::mail::Mailbox;
use crate::serve::limits::CountPermit;
use crate::store::AccountId;
use crate::telemetry::Metrics;

/// The mailbox of a session, and its place in the counts.
pub(super) struct User {
    pub(super) mailbox: Arc<Mailbox>,
    /// Who it is, and what they may do.
    pub(super) login: Login,
    metrics: Metrics,
    _permit: CountPermit<AccountId>,
}

impl User {
    pub(super) fn new(mailbox: Arc<Mailbox>, login: Login, metrics: Metrics, permit: CountPermit<AccountId>) -> User {
        metrics.imap_sessions.inc();
        User { mailbox, login, metrics, _permit: permit }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.metrics.imap_sessions.dec();
    }
}
