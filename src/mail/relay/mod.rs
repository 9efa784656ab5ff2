//! The relay: mail to other operators, over mutual TLS, and nowhere else.
//!
//! # The way of an attempt
//!
//! ```text
//! Attempts::next ─▶ may it go? (white list, own domains) ─▶ hosts (Network::route, `route`) ─▶ pool: an idle session,
//!                                                                                                 or one that is opened
//!                   Outcome ◀── verdicts ◀── transaction (wire::smtp::sender, body in pieces) ◀── is this peer listed
//! Attempts::settle ◀───┘                                                                          for this domain?
//! ```
//!
//! # Rules
//!
//! 1. Nothing is said about a message before the peer's certificate was verified within TLS *and* its subject is listed
//!    for the recipients' domain in the white list now in force, whatever the MX is called (MSSanté §3). A session that
//!    is used again is asked again.
//! 2. What the world does to us (DNS, TCP, TLS, a greeting that refuses) is temporary. Permanent is what the peer says
//!    about a message or a recipient, and what our own rules say about a destination. Trouble that is ours alone
//!    ([`Trouble::ours`]) is no try, and nothing is held against the destination.
//! 3. Positive is only the answer to the whole message. Without it the message is tried again: that is SMTP's window
//!    (RFC 5321 §4.5.4.1), and it is all of it.
//! 4. A message is never whole in memory, a peer's words are cut and cleaned, every wait has an end, and so has
//!    their sum.
//! 5. Sockets, TLS, DNS and time are [`Network`]'s: `serve::outbound` has the real ones, a simulation its own.
//!
//! What happens is logged with the message's reference, the domain and the host; addresses are on the trail alone.

mod attempt;
mod line;
mod network;
mod pool;
mod route;
mod session;
mod standing;
mod transaction;
mod verdict;

pub use network::{Exchanger, Host, Network, Peer, Route, Settings, Trouble};

use std::future::Future;
use std::sync::Arc;

use crate::mss::trust::TrustHandle;
use crate::store::Store;
use crate::telemetry::Metrics;

use super::queue::{Attempt, Destination, Outcome, Verdict};
use pool::Pool;

/// Where attempts come from and outcomes go: the queue.
pub trait Attempts: Send + Sync + 'static {
    /// The next attempt, as soon as one may be made; `None` once there will be no more.
    fn next(&self) -> impl Future<Output = Option<Attempt>> + Send;

    /// What an attempt came to.
    fn settle(&self, attempt: Attempt, outcome: Outcome) -> impl Future<Output = ()> + Send;
}

/// Carries attempts to their hosts. One per process; cheap to share.
#[derive(Debug)]
pub struct Relay<N: Network> {
    store: Store,
    trust: TrustHandle,
    network: N,
    metrics: Metrics,
    pool: Arc<Pool<N::Secure>>,
}

impl<N: Network> Relay<N> {
    /// A relay of the bodies of `store`, over `network`.
    pub fn new(store: Store, trust: TrustHandle, network: N, metrics: Metrics) -> Self {
        Self { store, trust, network, metrics, pool: Arc::default() }
    }

    /// Carries attempts, each in a task of its own, until there are no more or `stop` resolves. Each task holds a clone
    /// of `token` until its outcome is settled; one that is cut off leaves its attempt due again.
    pub async fn run<A, T>(self: Arc<Self>, attempts: Arc<A>, stop: impl Future<Output = ()>, token: T)
    where
        A: Attempts,
        T: Clone + Send + 'static,
    {
        let mut stop = std::pin::pin!(stop);
        loop {
            let next = tokio::select! {
                biased;
                () = &mut stop => None,
                next = attempts.next() => next,
            };
            let Some(attempt) = next else { break };
            let (relay, attempts, token) = (Arc::clone(&self), Arc::clone(&attempts), token.clone());
            tokio::spawn(async move {
                let outcome = relay.carry(&attempt).await;
                attempts.settle(attempt, outcome).await;
                drop(token);
            });
        }
        self.pool.close();
    }

    /// Makes one attempt. Whatever goes wrong is in the outcome.
    pub async fn carry(&self, attempt: &Attempt) -> Outcome {
        let outcome = self.attempt(attempt).await;
        self.note(attempt, &outcome);
        outcome
    }

    fn note(&self, attempt: &Attempt, outcome: &Outcome) {
        let mut counts = [0; 3];
        for (_, verdict) in &outcome.recipients {
            match verdict {
                Verdict::Relayed { .. } => counts[0] += 1,
                Verdict::Deferred(_) => counts[1] += 1,
                Verdict::Failed(_) => counts[2] += 1,
            }
        }
        let words = outcome.recipients.iter().map(|(_, verdict)| verdict::words_of(verdict)).next();
        let [relayed, deferred, failed] = counts;
        tracing::info!(
            event = "relay",
            reference = attempt.envelope.reference,
            domain = %attempt.domain,
            attempt = attempt.number,
            relayed,
            deferred,
            failed,
            host = words.and_then(|words| words.host.as_deref()),
            code = words.and_then(|words| words.code),
            rule = words.and_then(|words| words.rule.as_deref()),
            away = matches!(outcome.destination, Destination::Away(_)),
            unready = matches!(outcome.destination, Destination::Unready(_)),
            "attempt made"
        );
    }
}
