//! Handshakes within a time, with a typed refusal.

use super::{CertificateProblem, HandshakeRefusal, PeerIdentity};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
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
    let identity = PeerIdentity::of_verified(chain)?;
    Ok((stream, identity))
}

/// Who is at the other end of an accepted connection whose context verified its chain (the operators' door).
///
/// # Errors
/// No certificate was shown, or its subject cannot be read.
pub fn verified_peer<S>(stream: &server::TlsStream<S>) -> Result<PeerIdentity, CertificateProblem> {
    let chain = stream.get_ref().1.peer_certificates().ok_or(CertificateProblem::Missing)?;
    PeerIdentity::of_verified(chain)
}
