//! Traces of logins that were refused: for each its own, as far as strangers may make the store grow by them.
//!
//! Who guesses is slowed down and turned away, but costs a trace all the same. So within a minute an address has so many
//! traces of its own, and all addresses together have; what is beyond is counted, and the count is one trace.

use std::net::IpAddr;

use crate::audit::{self, Action, Actor, Asker, Beyond, Origin, Refusals, Trace};
use crate::mss::Address;
use crate::store::{CommitError, Committed, StoreError};

use super::{AccountError, LoginError, Registry, Subscriber};

/// What is counted of them: nothing tells one from another beyond its own trace.
const LOGIN: &str = "login";

/// A login that was refused.
#[derive(Clone, Copy, Debug)]
pub struct RefusedLogin<'a> {
    /// The door.
    pub door: &'static str,
    /// Where the client is.
    pub peer: IpAddr,
    /// What was tried: `password`, `certificate`, `token` …
    pub means: &'static str,
    /// Who it was, where that was known all the same (national id).
    pub person: Option<&'a str>,
    /// The mailbox that was asked for, as the client wrote it; told only where it is one of ours.
    pub asked: &'a str,
    /// Why, by a stable name.
    pub reason: &'a str,
}

/// What was refused within the minute: who comes from one address counts as one, and each door by itself.
pub(super) type RefusedLogins = Refusals<Subscriber>;

/// What one address had beyond its own traces, as a trace.
fn trace_of_many(beyond: &Beyond<Subscriber>) -> Trace {
    let peer = beyond.peer.map(|peer| peer.to_string());
    let origin = Origin { door: beyond.door.to_owned(), peer, ..Origin::default() };
    Trace { at: beyond.began, origin, ..Trace::of(Action::LoginsRefused { count: beyond.sum() }) }
}

impl Registry {
    /// Writes down that somebody was not let in. On its way when this returns; nobody's answer waits for it.
    pub fn note_refused(&self, refused: RefusedLogin<'_>) {
        let peer = Subscriber::of(refused.peer);
        let (own, over) = self.refused().count(peer, refused.door, LOGIN, 1, audit::now());
        if own > 0 {
            drop(self.room().traces().write([self.trace_of_refused(refused)]));
        }
        match self.write_many(&over) {
            Ok(written) => drop(written),
            Err(error) => tracing::error!(%error, "how many logins were refused is not written down"),
        }
    }

    /// Writes down how many were refused in a minute that is over, beyond those that have a trace. To be called once a
    /// minute or so.
    ///
    /// # Errors
    /// What the store says.
    pub async fn note_refused_beyond(&self) -> Result<(), AccountError> {
        self.write_all(self.refused().ended(audit::now())).await
    }

    /// The same of the minute that is under way: nobody comes any more.
    ///
    /// # Errors
    /// What the store says.
    pub async fn note_last_refused(&self) -> Result<(), AccountError> {
        self.write_all(self.refused().last()).await
    }

    async fn write_all(&self, beyond: Vec<Beyond<Subscriber>>) -> Result<(), AccountError> {
        if let Some(written) = self.write_many(&beyond)? {
            written.await?;
        }
        Ok(())
    }

    fn write_many(
        &self,
        beyond: &[Beyond<Subscriber>],
    ) -> Result<Option<impl Future<Output = Result<Committed, CommitError>> + Send + 'static>, StoreError> {
        let traces = beyond.iter().map(trace_of_many);
        if beyond.is_empty() { Ok(None) } else { self.room().traces().write_past(traces).map(Some) }
    }

    fn trace_of_refused(&self, refused: RefusedLogin<'_>) -> Trace {
        let RefusedLogin { door, peer, means, person, asked, reason } = refused;
        // What strangers write is not kept: only what is an address of ours.
        let ours = Address::parse(asked.trim()).ok().and_then(|asked| self.by_address(&asked).ok().flatten());
        let actor = Actor { person: person.map(str::to_owned), means: Some(means.to_owned()), ..Actor::default() };
        let origin = Origin { door: door.to_owned(), peer: Some(peer.to_string()), ..Origin::default() };
        let asked = ours.map(|account| account.address.to_string());
        let action = Action::LoginRefused { reason: reason.to_owned(), asked: asked.clone() };
        Asker { actor, origin }.trace(asked.as_deref(), action)
    }
}

impl LoginError {
    /// Its stable kebab-case name, for traces.
    pub fn name(&self) -> &'static str {
        match self {
            LoginError::Refused => "wrong-password",
            LoginError::CertificateRefused => "certificate-opens-nothing",
            LoginError::NeedsPassword => "needs-password",
            LoginError::PersonRefused => "not-on-access-list",
            LoginError::Ambiguous => "several-mailboxes",
            LoginError::TooManySessions => "too-many-sessions",
            LoginError::Ended(_) => "ended",
            LoginError::NotOpen(_) => "mailbox-not-open",
            LoginError::TermsNotAccepted => "terms-not-accepted",
            LoginError::Throttled(_) => "too-many-failures",
            LoginError::Busy => "busy",
            LoginError::Unavailable(_) => "unavailable",
        }
    }
}
