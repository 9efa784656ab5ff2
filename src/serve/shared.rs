//! What all doors share.

use super::connection::ConnectionIds;
use super::front::Front;
use super::jobs::Jobs;
use super::limits::{Counts, DoorLimits};
use super::reload::Reloader;
use super::shutdown::Shutdown;
use super::tls::{self, CertificateProblem, Contexts, HandshakeRefusal, PeerIdentity};
use crate::accounts::psc::PscHandle;
use crate::accounts::{Registry, Subscriber};
use crate::audit::indicators::Indicators;
use crate::audit::{Refusals, Traces};
use crate::config::Config;
use crate::jobs::directory::DirectoryHandle;
use crate::jobs::directory::search::Lookup;
use crate::mail::MailRoom;
use crate::mss::dn::NormalisedName;
use crate::mss::trust::TrustHandle;
use crate::store::Store;
use crate::telemetry::{Door, Metrics, TlsLabel};
use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

/// What the doors, the administration API and the jobs share: one per process, behind an `Arc`.
///
/// What a reload changes is behind an [`ArcSwap`]: read it once per decision (`shared.config.load()`), never keep it
/// over a wait.
pub struct Shared {
    /// The configuration in force.
    pub config: ArcSwap<Config>,
    /// What is known about the trust space.
    pub trust: TrustHandle,
    /// White list and CRLs, kept fresh.
    pub jobs: Jobs,
    /// The store.
    pub store: Store,
    /// Publication in the national directory, where it is configured.
    pub directory: Option<DirectoryHandle>,
    /// Looking mailboxes up in the national directory.
    pub lookup: Lookup,
    /// Mailboxes and deliveries.
    pub mail: MailRoom,
    /// What was traced.
    pub traces: Traces,
    /// Mail that was refused within the minute.
    pub refused_mail: Refusals<Subscriber>,
    /// Domains, mailboxes, credentials.
    pub registry: Registry,
    /// Pro Santé Connect, where it is configured.
    pub psc: PscHandle,
    /// The month's counters.
    pub indicators: Indicators,
    /// The figures.
    pub metrics: Metrics,
    /// The TLS contexts in force.
    pub tls: Contexts,
    /// Whether the server is stopping.
    pub shutdown: Shutdown,
    /// How everything is read again.
    pub reloader: Reloader,
    /// Gives connections their ids.
    pub connection_ids: ConnectionIds,
    /// Connections of the operators' door.
    pub smtp_connections: DoorLimits,
    /// Connections of the mailbox doors.
    pub imap_connections: DoorLimits,
    /// Connections of the doors of those who send.
    pub submission_connections: DoorLimits,
    /// Connections of the holders' page.
    pub portal_connections: DoorLimits,
    /// Connections of other operators, by certificate subject.
    pub smtp_peers: Counts<NormalisedName>,
}

impl Shared {
    /// The counts of a door, its limit, and its limit for one address.
    pub(super) fn connection_limits(&self, door: Door) -> (&DoorLimits, usize, usize) {
        let config = self.config.load();
        match door {
            Door::Smtp => {
                (&self.smtp_connections, config.smtp.max_connections, config.smtp.max_connections_per_address)
            }
            Door::Imap | Door::Imaps => {
                (&self.imap_connections, config.imap.max_connections, config.imap.max_connections_per_address)
            }
            Door::Submission | Door::Submissions => {
                let submission = &config.submission;
                (&self.submission_connections, submission.max_connections, submission.max_connections_per_address)
            }
            Door::Portal => {
                let portal = &config.portal;
                (&self.portal_connections, portal.max_connections, portal.max_connections_per_address)
            }
        }
    }

    /// TLS with another operator's server: its certificate is verified when this returns. Logged and counted.
    ///
    /// # Errors
    /// Why there is no TLS; the peer has been sent the fitting alert.
    pub async fn accept_operator<S>(&self, stream: S) -> Result<(TlsStream<S>, PeerIdentity), HandshakeRefusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let longest = self.config.load().tls.handshake_timeout;
        let accepted = tls::accept_operator(&self.tls, stream, longest).await;
        self.note_handshake(Door::Smtp, accepted.as_ref().map(|(stream, peer)| (stream, Some(peer))));
        accepted
    }

    /// TLS with a mail client; a certificate may have been shown, see [`Shared::judge_certificate`]. Logged and counted.
    ///
    /// # Errors
    /// Why there is no TLS.
    pub async fn accept_client<S>(&self, door: Door, front: &Front, stream: S) -> Result<TlsStream<S>, HandshakeRefusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let longest = self.config.load().tls.handshake_timeout;
        let accepted = tls::accept(self.tls.mailbox(front.certificates), stream, longest).await;
        self.note_handshake(door, accepted.as_ref().map(|stream| (stream, None)));
        accepted
    }

    /// Judges the chain that a mail client showed in its handshake, for SASL EXTERNAL. Call it at each login. Counted.
    ///
    /// # Errors
    /// What is wrong with it, or that there is none.
    pub fn judge_certificate(
        &self,
        door: Door,
        chain: &[CertificateDer<'_>],
    ) -> Result<PeerIdentity, CertificateProblem> {
        let verified = self.tls.verify_client(chain);
        if let Err(problem) = &verified {
            self.metrics.tls_handshakes.get_or_create(&TlsLabel { door, result: problem.name() }).inc();
            tracing::info!(reason = problem.name(), "client certificate refused at login: {problem}");
        }
        verified
    }

    fn note_handshake<S>(
        &self,
        door: Door,
        outcome: Result<(&TlsStream<S>, Option<&PeerIdentity>), &HandshakeRefusal>,
    ) {
        let result = outcome.as_ref().map_or_else(|refusal| refusal.name(), |_| "ok");
        self.metrics.tls_handshakes.get_or_create(&TlsLabel { door, result }).inc();
        match outcome {
            Ok((stream, peer)) => {
                let connection = stream.get_ref().1;
                tracing::info!(
                    version = ?connection.protocol_version(),
                    suite = ?connection.negotiated_cipher_suite().map(|suite| suite.suite()),
                    subject = peer.map(|peer| peer.subject.to_string()),
                    serial = peer.map(|peer| peer.serial.as_str()),
                    // Mail programs need not show one: whether this one has is the first thing asked when a login fails.
                    certificate_shown = peer.is_none().then(|| connection.peer_certificates().is_some()),
                    "tls established"
                );
            }
            Err(refusal) => tracing::warn!(reason = refusal.name(), "tls refused: {refusal}"),
        }
    }
}
