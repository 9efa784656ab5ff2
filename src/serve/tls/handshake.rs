//! Handshakes within a time, with a typed refusal.

use super::{Authority, CertificateProblem, Contexts, HandshakeRefusal, PeerIdentity};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, ServerConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// Takes the server's part. On a refusal the fitting alert has been sent.
///
/// # Errors
/// Why there is no TLS.
pub async fn accept<S>(
    config: Arc<ServerConfig>,
    stream: S,
    longest: Duration,
) -> Result<server::TlsStream<S>, HandshakeRefusal>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = TlsAcceptor::from(config).accept(stream);
    match tokio::time::timeout(longest, handshake).await {
        Ok(result) => result.map_err(HandshakeRefusal::from),
        Err(_) => Err(HandshakeRefusal::TooSlow),
    }
}

/// Takes the server's part on the operators' door. Whoever is told here has been verified: within the handshake, or, where
/// a session was resumed and no verifier ran, behind it.
///
/// # Errors
/// Why there is no TLS, or who the peer is cannot be read.
pub async fn accept_operator<S>(
    contexts: &Contexts,
    stream: S,
    longest: Duration,
) -> Result<(server::TlsStream<S>, PeerIdentity), HandshakeRefusal>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = accept(contexts.inbound(), stream, longest).await?;
    let connection = stream.get_ref().1;
    let chain = connection.peer_certificates().ok_or(CertificateProblem::Missing)?;
    if connection.handshake_kind() == Some(HandshakeKind::Resumed) {
        contexts.verify_operator(chain)?;
    }
    let identity = PeerIdentity::of_verified(chain, Authority::Igc)?;
    Ok((stream, identity))
}

/// Takes the client's part; the peer's identity is to be held against the white list before any `MAIL`.
///
/// # Errors
/// Why there is no TLS, or who the server is cannot be read.
pub async fn connect<S>(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: S,
    longest: Duration,
) -> Result<(client::TlsStream<S>, PeerIdentity), HandshakeRefusal>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = TlsConnector::from(config).connect(name, stream);
    let stream = match tokio::time::timeout(longest, handshake).await {
        Ok(result) => result?,
        Err(_) => return Err(HandshakeRefusal::TooSlow),
    };
    let chain = stream.get_ref().1.peer_certificates().ok_or(CertificateProblem::Missing)?;
    let identity = PeerIdentity::of_verified(chain, Authority::Igc)?;
    Ok((stream, identity))
}
