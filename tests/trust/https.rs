//! A small HTTP server, with or without TLS, whose answers a test sets.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::Holder;

/// What the server does with a request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// These octets, then the end of the connection.
    Raw(Vec<u8>),
    /// Nothing, and the connection stays open.
    Silence,
}

/// The server: requests in the order they came, answers in the order they are set; the last one stays.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

/// An HTTP answer with these header lines.
pub(crate) fn http(status: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    for header in headers {
        head.push_str(&format!("{header}\r\n"));
    }
    head.push_str("\r\n");
    Answer::Raw([head.as_bytes(), body].concat())
}

/// A list with an entity tag.
pub(crate) fn ok(body: &[u8], etag: &str) -> Answer {
    http("200 OK", &[&format!("ETag: \"{etag}\""), "Last-Modified: Tue, 01 Dec 2026 12:00:00 GMT"], body)
}

impl Server {
    /// A server with a certificate for `localhost` of this authority.
    pub(crate) async fn https(authority: &Holder) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        let certificate = params.signed_by(&key, &authority.issuer()).unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone(), authority.der.clone().into()];
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        Self::start(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    /// A server without TLS.
    pub(crate) async fn plain() -> Self {
        Self::start(None).await
    }

    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { address, answers: Arc::default(), requests: Arc::default() };
        let running = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, tls) = (running.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                server.serve(stream).await;
                            }
                        }
                        None => server.serve(stream).await,
                    }
                });
            }
        });
        server
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                // A TLS handshake is no request.
                Ok(0x16) if request.is_empty() => return,
                Ok(octet) => request.push(octet),
                Err(_) => return,
            }
        }
        self.requests.lock().unwrap().push(String::from_utf8(request).unwrap());
        let answer = {
            let mut answers = self.answers.lock().unwrap();
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
        };
        match answer.expect("the test has set an answer") {
            Answer::Raw(octets) => {
                // The client may have gone away from an answer that is too large.
                let _ = stream.write_all(&octets).await;
                let _ = stream.shutdown().await;
            }
            Answer::Silence => std::future::pending().await,
        }
    }

    /// The answers from now on.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        *self.answers.lock().unwrap() = answers.into_iter().collect();
    }

    /// The requests since the last time this was asked.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    /// An address on this server.
    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }
}

/// The authorities that a client believes.
pub(crate) fn roots(authority: &Holder) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der.clone())).unwrap();
    roots
}
