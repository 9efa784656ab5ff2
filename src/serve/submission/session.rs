//! One connection of somebody who sends, as this door knows it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio_rustls::server::TlsStream;

use super::envelope::Envelope;
use crate::accounts::{Login, SessionTicket, Tried};
use crate::serve::front::Front;
use crate::serve::smtp::{Answers, Link, Refused, Wire};
use crate::serve::tls::HandshakeRefusal;
use crate::telemetry::Door;
use crate::wire::smtp::receiver::{Answer, Hello, Question, Receiver};
use crate::wire::smtp::reply::Reply;

/// Who is logged in: a place on the list of sessions.
pub(super) struct User(pub(super) SessionTicket);

impl User {
    pub(super) fn login(&self) -> &Login {
        self.0.login()
    }
}

/// One connection.
pub(super) struct Session {
    pub(super) link: Link,
    pub(super) door: Door,
    pub(super) front: Front,
    /// TLS version and cipher suite.
    pub(super) tls: String,
    /// The client's certificate chain as shown, leaf first; judged at SASL EXTERNAL, kept no longer than until a login.
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) user: Option<User>,
    /// Failed logins so far.
    pub(super) login_failures: u32,
    /// What was tried in them.
    pub(super) tried: Tried,
    pub(super) envelope: Option<Envelope>,
    pub(super) transactions: u32,
}

impl Session {
    pub(super) fn new(link: Link, door: Door, front: Front) -> Session {
        Session {
            link,
            door,
            front,
            tls: String::new(),
            chain: Vec::new(),
            user: None,
            login_failures: 0,
            tried: Tried::default(),
            envelope: None,
            transactions: 0,
        }
    }
}

impl Answers for Session {
    type Shown = Vec<CertificateDer<'static>>;

    fn link(&self) -> &Link {
        &self.link
    }

    fn patience(&self) -> Duration {
        self.link.shared.config.load().submission.data_timeout
    }

    fn is_receiving(&self) -> bool {
        self.envelope.as_ref().is_some_and(|envelope| envelope.incoming.is_some())
    }

    async fn handshake<S: Wire>(&mut self, stream: S) -> Result<(TlsStream<S>, Self::Shown), HandshakeRefusal> {
        let stream = self.link.shared.accept_client(self.door, &self.front, stream).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain = shown.iter().map(|certificate| certificate.clone().into_owned()).collect();
        Ok((stream, chain))
    }

    /// EXTERNAL is offered to those who showed a certificate (RFC 4954 §4: only what can be used).
    fn tls_is_up(&mut self, chain: Self::Shown, tls: String, receiver: &mut Receiver) {
        receiver.offer(super::mechanisms(&self.link.shared, &self.front, !chain.is_empty()));
        (self.chain, self.tls) = (chain, tls);
    }

    fn ended(&self) -> impl Future<Output = Refused> + Send + 'static {
        let session = self.user.as_ref().map(|User(ticket)| Arc::clone(ticket.session()));
        async move {
            match session {
                Some(session) => Refused::session_ended(session.ended().await),
                None => std::future::pending().await,
            }
        }
    }

    async fn decide(&mut self, question: Question, hello: Option<&Hello>) -> Answer {
        if let Some(User(ticket)) = &self.user {
            ticket.touch();
        }
        self.decided(question, hello).await
    }

    fn header(&mut self, piece: &[u8]) {
        self.keep_header(piece);
    }

    async fn body(&mut self, piece: &[u8]) -> Result<(), Reply> {
        self.keep_body(piece).await
    }

    fn discard(&mut self, why: &'static str) {
        if let Some(envelope) = self.envelope.take() {
            tracing::info!(event = "tx-abort", reference = envelope.reference, why);
        }
    }
}
