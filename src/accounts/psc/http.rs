//! Requests to Pro Santé Connect: HTTP/1.1 over TLS on connections that are kept, within bounds of time and size.
//!
//! No redirection is followed and no other scheme than https spoken: a token goes to the endpoints that the issuer named, and
//! nowhere else (MSSanté §10).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Trouble;

/// How long a connection is kept for the next request: less than servers usually keep theirs.
const KEPT_FOR: Duration = Duration::from_secs(20);

/// An https address that requests are sent to.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
    authority: String,
    target: String,
}

impl Endpoint {
    /// Reads an address: https only, with a host, without a user or a fragment.
    pub(super) fn parse(text: &str) -> Option<Self> {
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
pub(super) struct Call<'e> {
    endpoint: &'e Endpoint,
    authorization: Option<HeaderValue>,
    form: Option<Bytes>,
    once: bool,
}

impl<'e> Call<'e> {
    /// `GET`.
    pub(super) fn get(endpoint: &'e Endpoint) -> Self {
        Self { endpoint, authorization: None, form: None, once: false }
    }

    /// `POST` of a form.
    pub(super) fn post(endpoint: &'e Endpoint, fields: &[(&str, &str)]) -> Self {
        Self { form: Some(Bytes::from(form(fields))), ..Self::get(endpoint) }
    }

    /// With an `Authorization` field.
    pub(super) fn authorized(self, value: &str) -> Self {
        let value = HeaderValue::from_str(value).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Self { authorization: value, ..self }
    }

    /// Never sent twice: a code is good once.
    pub(super) fn once(self) -> Self {
        Self { once: true, ..self }
    }

    pub(super) fn may_be_repeated(&self) -> bool {
        !self.once
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, Trouble> {
        let mut request = Request::builder()
            .uri(self.endpoint.target.as_str())
            .header(HOST, self.endpoint.authority.as_str())
            .header(USER_AGENT, concat!("caducee/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let request = match &self.form {
            Some(form) => request
                .method(Method::POST)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Full::new(form.clone())),
            None => request.method(Method::GET).body(Full::default()),
        };
        request.map_err(|error| Trouble::Broken(error.to_string()))
    }
}

/// An answer, whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Bounds of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) connect: Duration,
    pub(super) whole: Duration,
    pub(super) answer: usize,
}

/// Sends requests.
pub(super) struct Http {
    tls: TlsConnector,
    bounds: Bounds,
    kept: Mutex<HashMap<String, Vec<Kept>>>,
}

/// A connection that waits for its next request.
struct Kept {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

impl Http {
    pub(super) fn new(tls: ClientConfig, bounds: Bounds) -> Self {
        Self { tls: TlsConnector::from(Arc::new(tls)), bounds, kept: Mutex::default() }
    }

    /// Sends one request and reads its answer, whatever its status.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Answer, Trouble> {
        tokio::time::timeout(self.bounds.whole, self.exchange(call)).await.unwrap_or(Err(Trouble::TimedOut))
    }

    async fn exchange(&self, call: &Call<'_>) -> Result<Answer, Trouble> {
        let (mut sender, response) = match self.on_kept(call).await? {
            Some(answered) => answered,
            None => {
                let mut sender = self.connect(call.endpoint).await?;
                let response = sender.send_request(call.request()?).await.map_err(broken)?;
                (sender, response)
            }
        };
        let status = response.status();
        let body = self.body(response).await?;
        if sender.ready().await.is_ok() {
            self.keep(call.endpoint, sender);
        }
        Ok(Answer { status, body })
    }

    /// The answer by a connection that was kept, if there is one that still works. A server may close such a connection at
    /// the very moment: what may be repeated is then sent anew.
    async fn on_kept(
        &self,
        call: &Call<'_>,
    ) -> Result<Option<(SendRequest<Full<Bytes>>, Response<Incoming>)>, Trouble> {
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

    async fn connect(&self, endpoint: &Endpoint) -> Result<SendRequest<Full<Bytes>>, Trouble> {
        let connecting = async {
            let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await;
            let stream = stream.map_err(|error| Trouble::Connect(error.to_string()))?;
            // What does not help need not hinder.
            drop(stream.set_nodelay(true));
            let name = ServerName::try_from(endpoint.host.clone());
            let name = name.map_err(|error| Trouble::Tls(error.to_string()))?;
            self.tls.connect(name, stream).await.map_err(|error| Trouble::Tls(error.to_string()))
        };
        let stream = tokio::time::timeout(self.bounds.connect, connecting).await.unwrap_or(Err(Trouble::TimedOut))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // It ends when its sender is dropped, or the server closes it.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn body(&self, response: Response<Incoming>) -> Result<Bytes, Trouble> {
        let body = Limited::new(response.into_body(), self.bounds.answer).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| match error.is::<LengthLimitError>() {
            true => Trouble::TooLarge,
            false => Trouble::Broken(error.to_string()),
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

fn broken(error: hyper::Error) -> Trouble {
    Trouble::Broken(error.to_string())
}

/// `application/x-www-form-urlencoded`.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Percent-encoded but for RFC 3986 §2.3's unreserved characters: good in a form, and in a query.
pub(super) fn encoded(text: &str) -> String {
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
