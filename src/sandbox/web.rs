//! What the look-alikes share: HTTPS on loopback with a certificate of the test PKI, where a client may show one too.

use super::SandboxError;
use super::pki::{Identity, Pki};
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::{Extension, Router};
use http_body_util::channel::Channel;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// How long a handshake, and the head of a request, may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The client certificate of a connection, in DER, if one was shown.
#[derive(Clone, Debug)]
pub(super) struct Shown(pub(super) Option<Arc<Vec<u8>>>);

/// A port that is listened on and not served yet.
pub(super) struct Web {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Web {
    /// Listens on a port of 127.0.0.1 as the server whose certificate is called `name`.
    ///
    /// # Errors
    /// The certificate cannot be used, or the port is taken.
    pub(super) async fn open(pki: &Pki, name: &str, port: u16) -> Result<Self, SandboxError> {
        let acceptor = acceptor(pki, name)?;
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
        let listener = listener.map_err(|error| SandboxError::Port { port, error })?;
        Ok(Self { listener, acceptor })
    }

    /// Answers, for as long as the runtime lives.
    pub(super) fn serve(self, router: Router) {
        let Self { listener, acceptor } = self;
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        tokio::spawn(converse(stream, acceptor.clone(), router.clone()));
                    }
                    // Out of descriptors, say: a moment later there may be some again.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
    }
}

/// An answer whose body breaks off: the connection ends in the middle of it.
pub(super) fn broken_off() -> Response {
    let (body, unwritten) = Channel::<Bytes, std::io::Error>::new(1);
    body.abort(std::io::ErrorKind::ConnectionReset.into());
    Response::new(Body::new(unwritten))
}

/// SHA-256 of what was shown, or of a certificate file's leaf.
pub(super) fn digest(der: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der).as_ref().to_vec()
}

/// [`digest`] of the leaf in a PEM file.
///
/// # Errors
/// It is no certificate.
pub(super) fn leaf_digest(path: &Path) -> Result<Vec<u8>, SandboxError> {
    let leaf = CertificateDer::from_pem_file(path);
    leaf.map(|leaf| digest(&leaf)).map_err(|_| SandboxError::Certificate { path: path.to_owned() })
}

/// One connection, request after request. What goes wrong on it is the peer's to notice.
async fn converse(stream: TcpStream, acceptor: TlsAcceptor, router: Router) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await else { return };
    let chain = stream.get_ref().1.peer_certificates();
    let shown = Shown(chain.and_then(|chain| chain.first()).map(|leaf| Arc::new(leaf.to_vec())));
    let service = TowerToHyperService::new(router.layer(Extension(shown)));
    let mut server = hyper::server::conn::http1::Builder::new();
    let served = server.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let _ = served.serve_connection(TokioIo::new(stream), service).await;
}

fn acceptor(pki: &Pki, name: &str) -> Result<TlsAcceptor, SandboxError> {
    let Identity { cert, key } = pki.identity(name);
    let unreadable = |path: &Path| SandboxError::Certificate { path: path.to_owned() };
    let pem = |path: &Path| -> Result<Vec<CertificateDer<'static>>, SandboxError> {
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        read.map_err(|_| unreadable(path))
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(pem(&pki.anchors())?);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unusable = |_| unreadable(&cert);
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|_| unreadable(&pki.anchors()))?;
    let private = PrivateKeyDer::from_pem_file(&key).map_err(|_| unreadable(&key))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_client_cert_verifier(clients)
        .with_single_cert(pem(&cert)?, private)
        .map_err(unusable)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
