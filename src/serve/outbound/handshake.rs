//! TLS with another operator's server, and what its failure is called.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::mail::relay::{Host, Peer, Trouble};
use crate::serve::tls::{self, CertificateProblem, HandshakeRefusal};

/// The handshake, within `longest`; who the verified peer is.
pub(super) async fn with(
    config: Arc<ClientConfig>,
    host: &Host,
    stream: TcpStream,
    longest: Duration,
) -> Result<(TlsStream<TcpStream>, Peer), Trouble> {
    let name = ServerName::try_from(host.name.clone()).map_err(|_| {
        Trouble::new("bad-host-name", "4.4.4", format!("the server's name {} is no host name", host.name))
    })?;
    let (stream, identity) =
        tls::connect(config, name, stream, longest).await.map_err(|refusal| trouble(host, &refusal))?;
    tracing::info!(
        %host,
        version = ?stream.get_ref().1.protocol_version(),
        suite = ?stream.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite()),
        subject = %identity.subject,
        serial = identity.serial,
        "tls established with another operator's server"
    );
    Ok((stream, Peer { subject: identity.subject, not_after: identity.not_after }))
}

/// All of it passes: certificates are renewed, servers reconfigured (MSSanté §3).
fn trouble(host: &Host, refusal: &HandshakeRefusal) -> Trouble {
    match refusal {
        HandshakeRefusal::Certificate(problem) => {
            let (rule, what) = certificate(problem);
            Trouble::new(rule, "4.7.5", format!("the certificate of the server {host} is refused: {what}"))
        }
        HandshakeRefusal::Incompatible(why) => incompatible(host, why),
        // RFC 8446 §6.2, RFC 5246 §7.2.2: what a server says that finds nothing in our offer.
        HandshakeRefusal::PeerAlert(alert) if is_of_incompatibility(alert) => {
            incompatible(host, &format!("its alert: {alert}"))
        }
        HandshakeRefusal::PeerAlert(alert) => {
            let text = format!("the server {host} refuses our TLS connection (its alert: {alert})");
            Trouble::new("tls-refused", "4.7.5", text)
        }
        HandshakeRefusal::TooSlow | HandshakeRefusal::Lost(_) | HandshakeRefusal::Protocol(_) => {
            Trouble::new("tls-failed", "4.7.5", format!("TLS with the server {host} failed: {refusal}"))
        }
    }
}

fn is_of_incompatibility(alert: &str) -> bool {
    matches!(alert, "HandshakeFailure" | "ProtocolVersion" | "InsufficientSecurity")
}

/// In the words that the operator looks for: MSSanté §3 names CBC suites, which are refused here.
fn incompatible(host: &Host, why: &str) -> Trouble {
    let text = format!(
        "the server {host} offers TLS only with cipher suites or versions that this operator refuses ({why}); \
         accepted are TLS 1.3, and TLS 1.2 with ECDHE and AES-GCM or ChaCha20"
    );
    Trouble::new("tls-incompatible", "4.7.4", text)
}

fn certificate(problem: &CertificateProblem) -> (&'static str, String) {
    let own_words = problem.to_string();
    match problem {
        CertificateProblem::Missing => ("certificate-missing", "none was shown".into()),
        CertificateProblem::Expired => ("certificate-expired", own_words),
        CertificateProblem::NotYetValid => ("certificate-not-yet-valid", own_words),
        CertificateProblem::Revoked => ("certificate-revoked", own_words),
        CertificateProblem::RevocationUnknown => ("certificate-revocation-unknown", own_words),
        CertificateProblem::UnknownIssuer => ("certificate-unknown-issuer", own_words),
        CertificateProblem::WrongUsage => ("certificate-wrong-usage", "it is not meant for TLS servers".into()),
        CertificateProblem::BadSignature => ("certificate-bad-signature", own_words),
        CertificateProblem::Unreadable(_) => ("certificate-unreadable", own_words),
        // The name is not compared with the MX's (MSSanté §3).
        // Policies are asked of applications only.
        CertificateProblem::WrongName | CertificateProblem::WrongPolicy | CertificateProblem::Other(_) => {
            ("certificate-refused", own_words)
        }
    }
}
