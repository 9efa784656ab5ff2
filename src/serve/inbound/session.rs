//! One connection of another operator's, as this door knows it.

use std::time::Duration;

use tokio_rustls::server::TlsStream;

use super::envelope::Envelope;
use crate::audit::{Actor, Asker, By, Origin};
use crate::mss::dn::NormalisedName;
use crate::serve::limits::CountPermit;
use crate::serve::smtp::{Answers, Link, Refused, Wire};
use crate::serve::tls::{HandshakeRefusal, PeerIdentity};
use crate::telemetry::Door;
use crate::wire::smtp::receiver::{Answer, Hello, Question, Receiver};
use crate::wire::smtp::reply::Reply;

/// Who is at the other end, once TLS is up.
pub(super) struct Peer {
    pub(super) identity: PeerIdentity,
    /// TLS version and cipher suite.
    pub(super) tls: String,
    /// Its place in the count of its operator's connections.
    _place: CountPermit<NormalisedName>,
}

/// One connection.
pub(super) struct Session {
    pub(super) link: Link,
    pub(super) peer: Option<Peer>,
    pub(super) envelope: Option<Envelope>,
    pub(super) transactions: u32,
}

impl Session {
    pub(super) fn new(link: Link) -> Session {
        Session { link, peer: None, envelope: None, transactions: 0 }
    }

    /// Who is at the other end, as traces tell it.
    pub(super) fn asker(&self) -> Asker {
        let actor = Actor { by: Some(By::Operator), ..Actor::default() };
        let subject = self.peer.as_ref().map(|peer| peer.identity.subject.to_string());
        let peer = Some(self.link.address.to_string());
        Asker { actor, origin: Origin { door: Door::Smtp.name().to_owned(), peer, subject, session: None } }
    }
}

impl Answers for Session {
    type Shown = PeerIdentity;

    fn link(&self) -> &Link {
        &self.link
    }

    fn patience(&self) -> Duration {
        self.link.shared.config.load().smtp.data_timeout
    }

    fn is_receiving(&self) -> bool {
        self.envelope.as_ref().is_some_and(|envelope| envelope.incoming.is_some())
    }

    /// MSSanté §3: the peer's certificate is verified within the handshake; a bad one gets a TLS alert.
    async fn handshake<S: Wire>(&mut self, stream: S) -> Result<(TlsStream<S>, PeerIdentity), HandshakeRefusal> {
        self.link.shared.accept_operator(stream).await
    }

    fn tls_is_up(&mut self, identity: PeerIdentity, tls: String, receiver: &mut Receiver) {
        let most = self.link.shared.config.load().smtp.max_connections_per_peer;
        match self.link.shared.smtp_peers.take(identity.subject.normalised().clone(), most) {
            Some(place) => self.peer = Some(Peer { identity, tls, _place: place }),
            None => receiver.end(&self.link.refuse(&Refused::too_many_of_peer(), &self.link.id.to_string())),
        }
    }

    async fn decide(&mut self, question: Question, hello: Option<&Hello>) -> Answer {
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
