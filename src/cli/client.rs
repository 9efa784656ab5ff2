//! The client side of the administration API: HTTP/1.1 over the running server's Unix socket.
//!
//! One [`Client`] is one connection, used again for one request after the other. A refusal comes back as the problem that the server
//! sent, whole, so that the verbs can show it and scripts can read it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::output::{Exit, Output};
use crate::serve::http::types::ProblemBody;

/// Where the socket is when neither `--socket` nor `--config` says.
pub const DEFAULT_SOCKET: &str = "/run/caducee/admin.sock";

/// An answer that is no stream of messages is never larger than this.
const LARGEST_ANSWER: usize = 64 << 20;

/// The options that every verb of the administration shares.
#[derive(Args, Clone, Debug)]
pub struct ServerArguments {
    /// The administration socket of the running server [default: what --config says, or /run/caducee/admin.sock]
    #[arg(long, value_name = "PATH", global = true, help_heading = "Server")]
    pub socket: Option<PathBuf>,
    /// The server's configuration, read only to find its socket
    #[arg(long, value_name = "FILE", global = true, help_heading = "Server")]
    pub config: Option<PathBuf>,
    /// Answer in JSON, as the administration API gives it
    #[arg(long, global = true, help_heading = "Server")]
    pub json: bool,
}

impl ServerArguments {
    /// Runs one verb against the server: finds the socket, gives it a client and an output, and turns what comes back
    /// into the process's exit code.
    pub fn run<F>(&self, verb: F) -> ExitCode
    where
        F: AsyncFnOnce(&mut Client, &Output) -> Result<Exit, ClientError>,
    {
        let output = Output::new(self.json);
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(problem) => return output.failure(&ClientError::Local(format!("cannot start: {problem}"))),
        };
        let result = runtime.block_on(async {
            let mut client = Client::connect(&self.socket_path()?).await?;
            verb(&mut client, &output).await
        });
        match result {
            Ok(exit) => exit.into(),
            Err(problem) => output.failure(&problem),
        }
    }

    /// The socket to speak to.
    fn socket_path(&self) -> Result<PathBuf, ClientError> {
        match (&self.socket, &self.config) {
            (Some(socket), _) => Ok(socket.clone()),
            (None, Some(config)) => socket_of_config(config),
            (None, None) => Ok(PathBuf::from(DEFAULT_SOCKET)),
        }
    }
}

/// The `admin.socket` key of a configuration file. Only that key is looked at: whoever may administer need not be able
/// to read all that the configuration names, nor has a mistake elsewhere in it to stop them.
fn socket_of_config(config: &Path) -> Result<PathBuf, ClientError> {
    let unreadable = |problem: &dyn std::fmt::Display| {
        ClientError::Local(format!("cannot read {}: {problem} (or say --socket)", config.display()))
    };
    let text = std::fs::read_to_string(config).map_err(|problem| unreadable(&problem))?;
    let table: toml::Table = text.parse().map_err(|problem: toml::de::Error| unreadable(&problem.message()))?;
    let socket = table.get("admin").and_then(|admin| admin.get("socket")).and_then(toml::Value::as_str);
    // A relative path stands relative to the configuration file, as in the server.
    let base = config.parent().unwrap_or(Path::new("."));
    Ok(socket.map_or_else(|| PathBuf::from(DEFAULT_SOCKET), |socket| base.join(socket)))
}

/// Why a verb did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the socket, or the way there is barred.
    #[error("cannot reach the server at {}: {source}", socket.display())]
    Unreachable {
        /// The socket that was tried.
        socket: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server refused.
    #[error("{}", describe(.0))]
    Refused(Box<ProblemBody>),
    /// The connection ended or the answer makes no sense.
    #[error("the conversation with the server broke: {0}")]
    Broken(String),
    /// Something on this side: a file, the terminal, the caller's own input.
    #[error("{0}")]
    Local(String),
}

/// A refusal in one line for people.
fn describe(problem: &ProblemBody) -> String {
    let field = problem.field.as_deref().map(|field| format!("{field}: ")).unwrap_or_default();
    let reference = match problem.reference.as_str() {
        "" => String::new(),
        reference => format!(", ref {reference}"),
    };
    format!("{field}{} [rule {}{reference}]", problem.detail, problem.rule)
}

impl From<hyper::Error> for ClientError {
    fn from(problem: hyper::Error) -> Self {
        Self::Broken(chain(&problem))
    }
}

/// An error and its causes in one line: hyper's own words alone say little.
fn chain(problem: &dyn std::error::Error) -> String {
    let mut text = problem.to_string();
    let mut cause = problem.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// The body of a request: JSON, nothing, or a stream of messages.
pub type RequestBody = BoxBody<Bytes, std::io::Error>;

/// A connection to the administration API.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    sender: SendRequest<RequestBody>,
}

impl Client {
    /// Connects to the socket of a running server.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when nobody listens there or the system forbids it.
    pub async fn connect(socket: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|source| ClientError::Unreachable { socket: socket.to_owned(), source })?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { socket: socket.to_owned(), sender })
    }

    /// A second connection to the same server.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn another(&self) -> Result<Self, ClientError> {
        Self::connect(&self.socket).await
    }

    /// `GET`, answered in JSON.
    ///
    /// # Errors
    /// The server's refusal, or a broken conversation.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        self.exchange(Method::GET, path, None::<&()>).await
    }

    /// A request with a JSON body, answered in JSON.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn send<B: Serialize, T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.exchange(method, path, Some(body)).await
    }

    /// A request without a body, answered in JSON.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn call<T: DeserializeOwned>(&mut self, method: Method, path: &str) -> Result<T, ClientError> {
        self.exchange(method, path, None::<&()>).await
    }

    /// A request whose answer has no body of interest.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn order(&mut self, method: Method, path: &str) -> Result<(), ClientError> {
        let response = self.raw(method, path, None, empty()).await?;
        collect(response.into_body()).await.map(drop)
    }

    async fn exchange<B: Serialize, T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, ClientError> {
        let (kind, bytes) = match body {
            Some(body) => {
                let bytes = serde_json::to_vec(body).map_err(|problem| ClientError::Local(problem.to_string()))?;
                (Some("application/json"), full(bytes))
            }
            None => (None, empty()),
        };
        let response = self.raw(method, path, kind, bytes).await?;
        let bytes = collect(response.into_body()).await?;
        // An empty answer (204) reads as `null`, for callers that expect nothing.
        let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(bytes).map_err(|problem| ClientError::Broken(format!("unexpected answer: {problem}")))
    }

    /// Sends a request with whatever body and returns the answer once it is known to be no refusal.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn raw(
        &mut self,
        method: Method,
        path: &str,
        kind: Option<&'static str>,
        body: RequestBody,
    ) -> Result<Response<Incoming>, ClientError> {
        let uri: Uri = path.parse().map_err(|problem| ClientError::Local(format!("{path}: {problem}")))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().insert(HOST, HeaderValue::from_static("caducee"));
        if let Some(kind) = kind {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        // The server may have closed an idle connection since the last request.
        if self.sender.ready().await.is_err() {
            *self = self.another().await?;
        }
        let response = self.sender.send_request(request).await?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }
}

/// Reads a refusal; an answer that is none of ours is told as what it is.
async fn refusal(response: Response<Incoming>) -> ClientError {
    let status = response.status();
    let bytes = match collect(response.into_body()).await {
        Ok(bytes) => bytes,
        Err(problem) => return problem,
    };
    match serde_json::from_slice::<ProblemBody>(&bytes) {
        Ok(problem) => ClientError::Refused(Box::new(problem)),
        Err(_) if status == StatusCode::NOT_FOUND => {
            ClientError::Broken("the server does not know this request; is it of another version?".into())
        }
        Err(_) => ClientError::Broken(format!("unexpected answer, HTTP {status}")),
    }
}

/// A whole answer.
///
/// # Errors
/// [`ClientError::Broken`] if it ends early or is larger than any answer is.
pub async fn collect(body: Incoming) -> Result<Bytes, ClientError> {
    let limited = http_body_util::Limited::new(body, LARGEST_ANSWER);
    let collected = limited.collect().await.map_err(|problem| ClientError::Broken(chain(&*problem)))?;
    Ok(collected.to_bytes())
}

/// No body.
pub fn empty() -> RequestBody {
    full(Vec::new())
}

/// A body that is all there.
pub fn full(bytes: impl Into<Bytes>) -> RequestBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A path of the API from its segments, each percent-encoded (RFC 3986 §2.1).
pub fn path(segments: &[&str]) -> String {
    segments.iter().fold(String::from("/v1"), |mut path, segment| {
        path.push('/');
        percent_encode(segment, &mut path);
        path
    })
}

/// A query string from a request's fields; those that are absent are left out.
///
/// # Errors
/// [`ClientError::Local`] if `fields` is no flat structure, which none of ours is.
pub fn query(fields: &impl Serialize) -> Result<String, ClientError> {
    let value = serde_json::to_value(fields).map_err(|problem| ClientError::Local(problem.to_string()))?;
    let mut text = String::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        text.push(if text.is_empty() { '?' } else { '&' });
        percent_encode(name, &mut text);
        text.push('=');
        match value {
            serde_json::Value::String(value) => percent_encode(value, &mut text),
            value => percent_encode(&value.to_string(), &mut text),
        }
    }
    Ok(text)
}

/// Everything but RFC 3986's unreserved characters and `@` is encoded.
fn percent_encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => into.push(char::from(byte)),
            _ => into.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::http::types::MailboxQuery;

    #[test]
    fn a_path_encodes_what_would_change_its_meaning() {
        assert_eq!(path(&["mailboxes", "a/b?c@d.example"]), "/v1/mailboxes/a%2Fb%3Fc@d.example");
    }

    #[test]
    fn a_query_leaves_out_what_is_absent() {
        let fields = MailboxQuery { search: Some("été &".into()), limit: Some(5), ..MailboxQuery::default() };
        assert_eq!(query(&fields).unwrap(), "?limit=5&search=%C3%A9t%C3%A9%20%26");
        assert_eq!(query(&MailboxQuery::default()).unwrap(), "");
    }

    #[test]
    fn the_socket_of_a_configuration_stands_beside_it() {
        let directory = std::env::temp_dir().join(format!("caducee-client-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("caducee.toml");
        std::fs::write(&file, "[server]\nname = \"x\"\n[admin]\nsocket = \"admin.sock\"\n").unwrap();
        assert_eq!(socket_of_config(&file).unwrap(), directory.join("admin.sock"));
        std::fs::write(&file, "[admin]\n").unwrap();
        assert_eq!(socket_of_config(&file).unwrap(), PathBuf::from(DEFAULT_SOCKET));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
