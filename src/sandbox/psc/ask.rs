//! Asking a running sandbox for a token: `caducee sandbox token`.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long the sandbox may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest answer in bytes.
const LARGEST: usize = 64 << 10;

/// Why there is no token.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nothing runs there.
    #[error("no sandbox runs in {0} (there is no sandbox.json); start one with `caducee sandbox --dir {0}`")]
    NotRunning(PathBuf),
    /// What `sandbox.json` says cannot be used.
    #[error("{0}/sandbox.json is not of this program's version: start the sandbox anew")]
    Description(PathBuf),
    /// The look-alike cannot be reached.
    #[error("the sandbox's Pro Santé Connect cannot be reached: {0}")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It knows no such person.
    #[error("nobody in the sandbox is {0}: see psc.persons in sandbox.json")]
    Nobody(String),
    /// It was told to fail, or has.
    #[error("the sandbox's Pro Santé Connect answered {0}")]
    Refused(StatusCode),
}

/// An access token of a person, by national id or by the address of a personal mailbox.
///
/// # Errors
/// [`AskError`].
pub async fn token(dir: &Path, person: &str) -> Result<String, AskError> {
    let description = std::fs::read(dir.join("sandbox.json")).map_err(|_| AskError::NotRunning(dir.to_owned()))?;
    let unusable = || AskError::Description(dir.to_owned());
    let description: Value = serde_json::from_slice(&description).map_err(|_| unusable())?;
    let endpoint: Uri = description["psc"]["token"].as_str().and_then(|uri| uri.parse().ok()).ok_or_else(unusable)?;
    let anchor = description["ca"].as_str().map(|ca| dir.join(ca)).ok_or_else(unusable)?;
    let anchor = CertificateDer::from_pem_file(anchor).map_err(|_| unusable())?;
    let body = form_urlencoded::Serializer::new(String::new()).append_pair("person", person).finish();
    let asked = tokio::time::timeout(PATIENCE, post(&endpoint, anchor, body)).await;
    let (status, answer) = asked.map_err(|elapsed| AskError::Unreachable(elapsed.into()))??;
    match status {
        StatusCode::OK => {
            let tokens: Value = serde_json::from_slice(&answer).map_err(|_| AskError::Refused(status))?;
            tokens["access_token"].as_str().map(str::to_owned).ok_or(AskError::Refused(status))
        }
        StatusCode::NOT_FOUND => Err(AskError::Nobody(person.to_owned())),
        other => Err(AskError::Refused(other)),
    }
}

async fn post(to: &Uri, anchor: CertificateDer<'static>, body: String) -> Result<(StatusCode, Bytes), AskError> {
    fn away(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AskError {
        AskError::Unreachable(error.into())
    }
    let host = to.host().unwrap_or("localhost").to_owned();
    let mut roots = RootCertStore::empty();
    roots.add(anchor).map_err(away)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(away)?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect((host.as_str(), to.port_u16().unwrap_or(443))).await.map_err(away)?;
    let name = ServerName::try_from(host.clone()).map_err(away)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(away)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(away)?;
    tokio::spawn(connection);
    let request = Request::post(to.path())
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(body)))
        .map_err(away)?;
    let answer = sender.send_request(request).await.map_err(away)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LARGEST).collect().await.map_err(away)?;
    Ok((status, body.to_bytes()))
}
