//! Requests to other people's servers: HTTP/1.1 over TLS on connections that are kept, within bounds of time and size.
//!
//! No redirection is followed and no other scheme than https spoken: a token or a key goes to the address that was meant, and
//! nowhere else. Pro Santé Connect is asked this way (MSSanté §10), and the national directory (§9).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a connection is kept for the next request: less than servers usually keep theirs.
const KEPT_FOR: Duration = Duration::from_secs(20);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpsError {
    /// No connection.
    #[error("it cannot be reached: {0}")]
    Connect(String),
    /// No TLS: its certificate is of no authority that is believed, or the like.
    #[error("no TLS with it: {0}")]
    Tls(String),
    /// The conversation broke.
    #[error("the conversation with it broke: {0}")]
    Broken(String),
    /// It took too long.
    #[error("it takes too long")]
    TimedOut,
    /// The answer is larger than it may be.
    #[error("its answer is too large")]
    TooLarge,
}

impl HttpsError {
    /// A stable kebab-case name, for logs and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "unreachable",
            Self::Tls(_) => "no-tls",
            Self::Broken(_) => "broken",
            Self::TimedOut => "timed-out",
            Self::TooLarge => "too-large",
        }
    }
}

/// Settings of TLS: whom we believe, and the certificate that we show.
///
/// # Errors
/// The certificate and its key are of no use.
pub fn tls(
    anchors: RootCertStore,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(anchors);
    let mut tls = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

/// An https address that requests are sent to.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    authority: String,
    target: String,
}

impl Endpoint {
    /// Reads an address: https only, with a host, without a user or a fragment.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let authority = uri.authority()?.as_str();
        if uri.scheme_str() != Some("https") || authority.contains('@') || text.contains('#') {
            return None;
        }
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return None;
        }
        Some(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(443),
            authority: authority.to_owned(),
            target: uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        })
    }
}

impl Endpoint {
    /// Whether another address is of the same server.
    pub fn is_beside(&self, other: &Endpoint) -> bool {
        self.authority == other.authority
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority, self.target)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A request. It may hold a token or our secret, so it does not show itself.
#[derive(Clone)]
pub struct Call<'e> {
    endpoint: &'e Endpoint,
    method: Method,
    headers: Vec<(HeaderName, HeaderValue)>,
    accepts: &'static str,
    body: Bytes,
    once: bool,
}

impl<'e> Call<'e> {
    /// `GET`.
    pub fn get(endpoint: &'e Endpoint) -> Self {
        let (method, headers, body) = (Method::GET, Vec::new(), Bytes::new());
        Self { endpoint, method, headers, accepts: "application/json", body, once: false }
    }

    /// `POST` of a form.
    pub fn post(endpoint: &'e Endpoint, fields: &[(&str, &str)]) -> Self {
        let media = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = vec![(CONTENT_TYPE, media)];
        Self { method: Method::POST, headers, body: Bytes::from(form(fields)), ..Self::get(endpoint) }
    }

    /// `PATCH` (RFC 5789) with a body of this media type. Never sent twice: doing it again may do more.
    pub fn patch(endpoint: &'e Endpoint, media: &'static str, body: Vec<u8>) -> Self {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static(media))];
        Self { method: Method::PATCH, headers, body: Bytes::from(body), once: true, ..Self::get(endpoint) }
    }

    /// With an `Authorization` field.
    pub fn authorized(self, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => self.with_secret(AUTHORIZATION, value),
            Err(_) => self,
        }
    }

    /// With a field that nobody shows.
    pub fn with_secret(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.push((name, value));
        self
    }

    /// The media type that the answer should have.
    pub fn accepting(self, media: &'static str) -> Self {
        Self { accepts: media, ..self }
    }

    /// Never sent twice: a code is good once.
    pub fn once(self) -> Self {
        Self { once: true, ..self }
    }

    /// Whether sending it a second time does no harm.
    pub fn may_be_repeated(&self) -> bool {
        !self.once
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, HttpsError> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.endpoint.target.as_str())
            .header(HOST, self.endpoint.authority.as_str())
            .header(USER_AGENT, concat!("caducee/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, self.accepts);
        for (name, value) in &self.headers {
            request = request.header(name, value.clone());
        }
        request.body(Full::new(self.body.clone())).map_err(|error| HttpsError::Broken(error.to_string()))
    }
}

/// An answer, whole.
pub struct Answer {
    /// What it came to.
    pub status: StatusCode,
    /// How long we are asked to wait (RFC 9110 §10.2.3), where it is told in seconds.
    pub retry_after: Option<Duration>,
    /// The whole body.
    pub body: Bytes,
}

/// Bounds of a request.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Longest wait for a connection, TLS included.
    pub connect: Duration,
    /// Longest time for the whole request.
    pub whole: Duration,
    /// Largest answer, in bytes.
    pub answer: usize,
}

/// Sends requests.
pub struct Https {
    tls: TlsConnector,
    bounds: Bounds,
    kept: Mutex<HashMap<String, Vec<Kept>>>,
}

/// A connection that waits for its next request.
struct Kept {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

impl Https {
    /// A client with these settings of TLS.
    pub fn new(tls: ClientConfig, bounds: Bounds) -> Self {
        Self { tls: TlsConnector::from(Arc::new(tls)), bounds, kept: Mutex::default() }
    }

    /// Sends one request and reads its answer, whatever its status.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn send(&self, call: &Call<'_>) -> Result<Answer, HttpsError> {
        tokio::time::timeout(self.bounds.whole, self.exchange(call)).await.unwrap_or(Err(HttpsError::TimedOut))
    }

    async fn exchange(&self, call: &Call<'_>) -> Result<Answer, HttpsError> {
        let (mut sender, response) = match self.on_kept(call).await? {
            Some(answered) => answered,
            None => {
                let mut sender = self.connect(call.endpoint).await?;
                let response = sender.send_request(call.request()?).await.map_err(broken)?;
                (sender, response)
            }
        };
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        let body = self.body(response).await?;
        if sender.ready().await.is_ok() {
            self.keep(call.endpoint, sender);
        }
        Ok(Answer { status, retry_after, body })
    }

    /// The answer by a connection that was kept, if there is one that still works. A server may close such a connection at
    /// the very moment: what may be repeated is then sent anew.
    async fn on_kept(
        &self,
        call: &Call<'_>,
    ) -> Result<Option<(SendRequest<Full<Bytes>>, Response<Incoming>)>, HttpsError> {
        if !call.may_be_repeated() {
            return Ok(None);
        }
        while let Some(mut sender) = self.take(call.endpoint) {
            if let Ok(response) = sender.send_request(call.request()?).await {
                return Ok(Some((sender, response)));
            }
        }
        Ok(None)
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<SendRequest<Full<Bytes>>, HttpsError> {
        let connecting = async {
            let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await;
            let stream = stream.map_err(|error| HttpsError::Connect(error.to_string()))?;
            // What does not help need not hinder.
            drop(stream.set_nodelay(true));
            let name = ServerName::try_from(endpoint.host.clone());
            let name = name.map_err(|error| HttpsError::Tls(error.to_string()))?;
            self.tls.connect(name, stream).await.map_err(|error| HttpsError::Tls(error.to_string()))
        };
        let stream =
            tokio::time::timeout(self.bounds.connect, connecting).await.unwrap_or(Err(HttpsError::TimedOut))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // It ends when its sender is dropped, or the server closes it.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn body(&self, response: Response<Incoming>) -> Result<Bytes, HttpsError> {
        let body = Limited::new(response.into_body(), self.bounds.answer).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| match error.is::<LengthLimitError>() {
            true => HttpsError::TooLarge,
            false => HttpsError::Broken(error.to_string()),
        })
    }

    fn take(&self, endpoint: &Endpoint) -> Option<SendRequest<Full<Bytes>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = kept.get_mut(&endpoint.authority)?;
        connections.retain(|kept| kept.since.elapsed() < KEPT_FOR && kept.sender.is_ready());
        connections.pop().map(|kept| kept.sender)
    }

    fn keep(&self, endpoint: &Endpoint, sender: SendRequest<Full<Bytes>>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = kept.entry(endpoint.authority.clone()).or_default();
        connections.retain(|kept| kept.since.elapsed() < KEPT_FOR && kept.sender.is_ready());
        connections.push(Kept { sender, since: Instant::now() });
    }
}

fn broken(error: hyper::Error) -> HttpsError {
    HttpsError::Broken(error.to_string())
}

/// `application/x-www-form-urlencoded`.
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Percent-encoded but for RFC 3986 §2.3's unreserved characters: good in a form, and in a query.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                encoded.push('%');
                encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
                encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_https_addresses() {
        let endpoint = Endpoint::parse("https://psc.example:8443/realms/x/token?a=b").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("psc.example", 8443));
        assert_eq!(
            (endpoint.authority.as_str(), endpoint.target.as_str()),
            ("psc.example:8443", "/realms/x/token?a=b")
        );
        assert_eq!(Endpoint::parse("https://[::1]/x").map(|endpoint| endpoint.host).as_deref(), Some("::1"));
        for text in
            ["http://psc.example/", "https:///x", "https://u@psc.example/", "psc.example", "/token", "https://a/#b", ""]
        {
            assert_eq!(Endpoint::parse(text), None, "{text}");
        }
    }

    #[test]
    fn forms_are_encoded() {
        assert_eq!(form(&[("a b", "c&d=é"), ("e", "-._~")]), "a%20b=c%26d%3D%C3%A9&e=-._~");
    }
}
