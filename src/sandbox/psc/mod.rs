//! A Pro Santé Connect look-alike: the same paths, shapes and times as the real one (MSSanté §10), on loopback, with knobs to
//! make it fail.
//!
//! ```text
//! TLS (our test PKI; a client certificate may be shown) ─▶ endpoints ─▶ state: people, clients, keys, grants, knobs
//! ```
//!
//! Everybody logs in by saying who they are: on the page of `/auth`, by `sandbox_person=` in its query, by CIBA (the phone
//! agrees by itself after a second), or with no login at all at `/_sandbox/token`. `/_sandbox/knobs` takes [`knobs::Knobs`] as
//! JSON; `/_sandbox/rotate` changes the signing key.

mod ask;
mod endpoints;
mod grants;
mod keys;
mod knobs;
mod page;
mod people;
mod state;

pub use ask::{AskError, token};
pub(super) use people::Person;

use super::SandboxError;
use super::cast::Operator;
use super::layout::Layout;
use super::pki::{Identity, Pki};
use axum::{Extension, Router};
use endpoints::Shown;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use keys::SigningKey;
use people::everybody;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use state::{Client, Keys, State};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The client of practice software: whoever wants to try how that logs in.
pub(super) const SOFTWARE: &str = "logiciel-exemple";

/// The secret of every client.
pub(super) const SECRET: &str = "secret-du-bac-a-sable";

/// How long a handshake, and the head of a request, may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The look-alike, listening.
pub(super) struct ProSanteConnect {
    issuer: String,
    people: Vec<Person>,
    listener: TcpListener,
    acceptor: TlsAcceptor,
    router: Router,
}

impl ProSanteConnect {
    /// Makes its keys and listens; nothing is answered before [`ProSanteConnect::serve`].
    ///
    /// # Errors
    /// A key cannot be made, or the port is taken.
    pub(super) async fn open(
        layout: &Layout,
        pki: &Pki,
        operators: &[Operator],
        port: u16,
    ) -> Result<Self, SandboxError> {
        let issuer = format!("https://localhost:{port}{}", endpoints::REALM);
        let people = everybody(operators);
        let directory = layout.path("psc");
        std::fs::create_dir_all(&directory).map_err(SandboxError::file(&directory))?;
        let keys = Keys {
            current: SigningKey::load_or_make(&directory.join("token.key"))?,
            before: None,
            stranger: SigningKey::load_or_make(&directory.join("stranger.key"))?,
        };
        let state = State::new(issuer.clone(), people.clone(), clients(pki, operators)?, keys);
        let acceptor = acceptor(pki)?;
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
        let listener = listener.map_err(|error| SandboxError::Port { port, error })?;
        Ok(Self { issuer, people, listener, acceptor, router: endpoints::router(Arc::new(state)) })
    }

    /// `iss` of its tokens.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom it knows.
    pub(super) fn people(&self) -> &[Person] {
        &self.people
    }

    /// Answers, for as long as the runtime lives.
    pub(super) fn serve(self) {
        let Self { listener, acceptor, router, .. } = self;
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

/// One client for each operator's server, which may come with the operator's own certificate too, and [`SOFTWARE`].
fn clients(pki: &Pki, operators: &[Operator]) -> Result<Vec<Client>, SandboxError> {
    let client = |id: String, certificate| Client { id, secret: SECRET.to_owned(), certificate };
    let mut clients = vec![client(SOFTWARE.to_owned(), None)];
    for operator in operators {
        let Identity { cert, .. } = pki.identity(operator.id);
        let leaf = CertificateDer::from_pem_file(&cert);
        let leaf = leaf.map_err(|_| SandboxError::Certificate { path: cert.clone() })?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &leaf);
        clients.push(client(client_id(operator), Some(digest.as_ref().to_vec())));
    }
    Ok(clients)
}

/// The `client_id` of an operator's server.
pub(super) fn client_id(operator: &Operator) -> String {
    format!("caducee-{}", operator.id)
}

fn acceptor(pki: &Pki) -> Result<TlsAcceptor, SandboxError> {
    let Identity { cert, key } = pki.identity("psc");
    let unreadable = |path: &std::path::Path| SandboxError::Certificate { path: path.to_owned() };
    let pem = |path: &std::path::Path| -> Result<Vec<CertificateDer<'static>>, SandboxError> {
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
