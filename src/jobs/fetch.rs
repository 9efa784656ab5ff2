//! Getting a list from a file or over HTTP, within bounds of time and size.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_LENGTH, ETAG, HOST, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use hyper::header::{HeaderMap, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How many redirections are followed, each to the same scheme, host and port only.
const MAX_REDIRECTIONS: usize = 3;

/// Where a list comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A file on this machine.
    File(PathBuf),
    /// An `https://` or `http://` address.
    Web(Uri),
}

impl Source {
    /// Reads a configuration value: an address, or else a path.
    ///
    /// # Errors
    /// [`FetchError::BadAddress`] when it starts like an address and is none.
    pub fn parse(text: &str) -> Result<Self, FetchError> {
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return Ok(Self::File(text.into()));
        }
        let uri: Uri = text.parse().map_err(|_| FetchError::BadAddress(text.into()))?;
        match uri.host() {
            Some(host) if !host.is_empty() && !uri.authority().is_some_and(|a| a.as_str().contains('@')) => {
                Ok(Self::Web(uri))
            }
            _ => Err(FetchError::BadAddress(text.into())),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Web(uri) => uri.fmt(f),
        }
    }
}

/// Why a list could not be had.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// Larger than the limit: `trust.max_size`, `directory.extraction_max`.
    #[error("larger than the limit of {0} bytes")]
    TooLarge(u64),
    /// Not an address that can be fetched.
    #[error("'{0}' is no address that can be fetched")]
    BadAddress(String),
    /// The server cannot be reached.
    #[error("the server cannot be reached: {0}")]
    Connect(#[source] io::Error),
    /// There is no TLS with the server: its certificate is not of the configured authorities, or the like.
    #[error("no TLS with the server: {0}")]
    Tls(#[source] io::Error),
    /// The conversation broke.
    #[error("the conversation with the server broke: {0}")]
    Http(String),
    /// The server answered with something other than the list.
    #[error("the server answered HTTP {0}")]
    Status(u16),
    /// The server pointed to another host, or in circles.
    #[error("the server redirects to {0}, which is not followed")]
    Redirected(String),
    /// It took longer than the limit: `trust.fetch_timeout`, `directory.extraction_timeout`.
    #[error("took longer than {} s", .0.as_secs_f32())]
    TimedOut(Duration),
}

impl FetchError {
    /// A stable kebab-case name, for alarms and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::TooLarge(_) => "too-large",
            Self::BadAddress(_) => "bad-address",
            Self::Connect(_) => "unreachable",
            Self::Tls(_) => "no-tls",
            Self::Http(_) => "broken-http",
            Self::Status(_) => "http-status",
            Self::Redirected(_) => "redirected",
            Self::TimedOut(_) => "timed-out",
        }
    }
}

/// What a server gave to recognise its copy again (RFC 9110 §8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

/// What came.
#[derive(Debug)]
pub enum Fetched {
    /// The server says that its copy is the one we know.
    Unchanged,
    /// A copy, perhaps the same as before.
    New {
        /// The list.
        content: Vec<u8>,
        /// For the next time.
        validators: Validators,
    },
}

/// Gets lists, each within the same bounds.
#[derive(Clone, Debug)]
pub struct Fetcher {
    tls: Arc<ClientConfig>,
    timeout: Duration,
    max_size: u64,
}

impl Fetcher {
    /// Servers must show a certificate of these authorities: those of the trust space stand in no public store.
    ///
    /// # Errors
    /// The TLS library refuses its own protocol versions, which does not happen.
    pub fn new(authorities: RootCertStore, timeout: Duration, max_size: u64) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_root_certificates(authorities)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls), timeout, max_size })
    }

    /// Gets the list, unless the server says that it is still the one of `known`.
    ///
    /// # Errors
    /// Why it could not be had.
    pub async fn fetch(&self, source: &Source, known: &Validators) -> Result<Fetched, FetchError> {
        let fetching = async {
            match source {
                Source::File(path) => self.read_file(path.clone()).await,
                Source::Web(uri) => self.get(uri.clone(), known).await,
            }
        };
        tokio::time::timeout(self.timeout, fetching).await.unwrap_or(Err(FetchError::TimedOut(self.timeout)))
    }

    async fn read_file(&self, path: PathBuf) -> Result<Fetched, FetchError> {
        let file = tokio::fs::File::open(path).await.map_err(FetchError::Unreadable)?;
        let metadata = file.metadata().await.map_err(FetchError::Unreadable)?;
        if !metadata.is_file() {
            return Err(FetchError::Unreadable(io::Error::other("not a file")));
        }
        let mut content = Vec::new();
        let mut bounded = file.take(self.max_size.saturating_add(1));
        bounded.read_to_end(&mut content).await.map_err(FetchError::Unreadable)?;
        if content.len() as u64 > self.max_size {
            return Err(FetchError::TooLarge(self.max_size));
        }
        Ok(Fetched::New { content, validators: Validators::default() })
    }

    async fn get(&self, mut uri: Uri, known: &Validators) -> Result<Fetched, FetchError> {
        for _ in 0..=MAX_REDIRECTIONS {
            let response = self.ask(&uri, known).await?;
            let status = response.status();
            if status == StatusCode::OK {
                return self.take(response).await;
            }
            // RFC 9110 §15.4.5: only an answer to a conditional request; otherwise the server is confused.
            if status == StatusCode::NOT_MODIFIED && *known != Validators::default() {
                return Ok(Fetched::Unchanged);
            }
            if !is_redirection(status) {
                return Err(FetchError::Status(status.as_u16()));
            }
            uri = same_host(&uri, response.headers())?;
        }
        Err(FetchError::Redirected(uri.to_string()))
    }

    /// One request on a connection of its own: a list is fetched a few times an hour.
    async fn ask(&self, uri: &Uri, known: &Validators) -> Result<Response<Incoming>, FetchError> {
        let host = uri.host().ok_or_else(|| FetchError::BadAddress(uri.to_string()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await.map_err(FetchError::Connect)?;
        let request = request(uri, known)?;
        if !secure {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| FetchError::BadAddress(uri.to_string()))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.map_err(FetchError::Tls)?;
        exchange(stream, request).await
    }

    async fn take(&self, response: Response<Incoming>) -> Result<Fetched, FetchError> {
        let headers = response.headers();
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > self.max_size) {
            return Err(FetchError::TooLarge(self.max_size));
        }
        let validators =
            Validators { etag: headers.get(ETAG).cloned(), last_modified: headers.get(LAST_MODIFIED).cloned() };
        let bound = usize::try_from(self.max_size).unwrap_or(usize::MAX);
        let body = Limited::new(response.into_body(), bound).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                FetchError::TooLarge(self.max_size)
            } else {
                FetchError::Http(error.to_string())
            }
        })?;
        Ok(Fetched::New { content: body.to_bytes().to_vec(), validators })
    }
}

fn request(uri: &Uri, known: &Validators) -> Result<Request<Empty<Bytes>>, FetchError> {
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::builder()
        .method(Method::GET)
        .uri(target)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("caducee/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .body(Empty::new())
        .map_err(|error| FetchError::Http(error.to_string()))?;
    let headers = request.headers_mut();
    if let Some(etag) = &known.etag {
        headers.insert(IF_NONE_MATCH, etag.clone());
    }
    if let Some(last_modified) = &known.last_modified {
        headers.insert(IF_MODIFIED_SINCE, last_modified.clone());
    }
    Ok(request)
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| FetchError::Http(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // It ends when the answer has been read or dropped, which the timeout of the whole fetch sees to.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(broken)
}

fn is_redirection(status: StatusCode) -> bool {
    [301, 302, 303, 307, 308].contains(&status.as_u16())
}

/// The address of a redirection, if it stays on the same scheme, host and port.
fn same_host(from: &Uri, headers: &HeaderMap) -> Result<Uri, FetchError> {
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok()).unwrap_or_default();
    let refused = || FetchError::Redirected(location.chars().take(200).collect());
    // RFC 3986 §4.2: two slashes begin a reference to another host, which `Uri` reads as a path.
    if location.starts_with("//") {
        return Err(refused());
    }
    let to: Uri = location.parse().map_err(|_| refused())?;
    if to.authority().is_none() && to.scheme().is_none() && to.path().starts_with('/') {
        let mut parts = from.clone().into_parts();
        parts.path_and_query = to.into_parts().path_and_query;
        return Uri::from_parts(parts).map_err(|_| refused());
    }
    if to.scheme() == from.scheme() && to.authority() == from.authority() { Ok(to) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_files_or_addresses() {
        assert_eq!(Source::parse("/etc/list.xml").unwrap(), Source::File("/etc/list.xml".into()));
        assert!(matches!(Source::parse("https://x.example/l.xml").unwrap(), Source::Web(_)));
        for text in ["https://", "http:///x", "https://a b/", "https://user:secret@x.example/"] {
            assert!(matches!(Source::parse(text), Err(FetchError::BadAddress(_))), "{text}");
        }
    }

    #[test]
    fn redirections_stay_on_the_host() {
        let to = |location: &'static str| {
            let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
            same_host(&Uri::from_static("https://x.example:8443/a?b"), &headers).map(|uri| uri.to_string())
        };
        assert_eq!(to("/c?d").unwrap(), "https://x.example:8443/c?d");
        assert_eq!(to("https://x.example:8443/e").unwrap(), "https://x.example:8443/e");
        for location in
            ["https://x.example/e", "http://x.example:8443/e", "https://y.example:8443/", "//y.example/", ""]
        {
            assert!(to(location).is_err(), "{location}");
        }
    }
}
