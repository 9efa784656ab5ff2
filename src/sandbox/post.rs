//! The sandbox as a playing peer: it sends the sample messages as each operator sends to the other, by SMTP over mutual TLS.

use super::SandboxError;
use super::cast::Operator;
use super::layout::{Layout, write_whole};
use super::messages::{Sample, samples};
use super::pki::Pki;
use crate::wire::smtp::params::{MailParams, RcptParams};
use crate::wire::smtp::path::{ForwardPath, Mailbox, ReversePath};
use crate::wire::smtp::sender::{Failure, Outcome, Security, Sender, Step, Transaction, Unfit};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Why a sample was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The certificates of the test PKI cannot be used.
    #[error("the client certificate: {0}")]
    Tls(#[from] rustls::Error),
    /// The server ended the session.
    #[error(transparent)]
    Session(#[from] Failure),
    /// The server has announced that it could not take the message.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The server refused the message or one of its recipients.
    #[error("{key} was refused: {reply}")]
    Refused {
        /// The sample.
        key: String,
        /// The server's words.
        reply: String,
    },
    /// An address of the cast is none: a mistake in the sandbox itself.
    #[error("{0} is no address")]
    Address(String),
    /// The server said nothing for too long.
    #[error("the server did not answer within {0:?}")]
    Silent(Duration),
    /// The connection was closed in the middle of the conversation.
    #[error("the server closed the connection")]
    Closed,
}

/// Sends what `from` has for `to` and has not been sent by an earlier start.
pub(super) async fn send(
    layout: &Layout,
    pki: &Pki,
    from: &Operator,
    to: &Operator,
    smtp: u16,
) -> Result<(), SandboxError> {
    let record = layout.path(from.id).join("sent.json");
    let mut sent: BTreeSet<String> = read_record(&record)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) as i64;
    let samples =
        samples(from, to, now).map_err(|error| SandboxError::Post { name: from.name, error: error.into() })?;
    let waiting: Vec<Sample> = samples.into_iter().filter(|sample| !sent.contains(&sample.key)).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let failed = |error: PostError| SandboxError::Post { name: from.name, error };
    let mut session = Session::open(pki, from, to, smtp).await.map_err(failed)?;
    for sample in waiting {
        session.send(&sample).await.map_err(failed)?;
        // After each one: what was acknowledged is there for good, and must not come a second time.
        sent.insert(sample.key);
        let text = serde_json::to_vec(&sent).map_err(SandboxError::internal("sent.json"))?;
        write_whole(&record, &text, 0o600)?;
    }
    session.quit().await.map_err(failed)
}

fn read_record(path: &Path) -> Result<BTreeSet<String>, SandboxError> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(SandboxError::internal("reading sent.json")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(SandboxError::File { path: path.to_owned(), error }),
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A session with an operator's server, open and encrypted.
struct Session {
    engine: Sender,
    stream: Box<dyn Stream>,
}

impl Session {
    async fn open(pki: &Pki, from: &Operator, to: &Operator, port: u16) -> Result<Self, PostError> {
        let connector = connector(pki, from)?;
        let name = ServerName::try_from(to.subject.cn).map_err(|_| PostError::Address(to.subject.cn.to_owned()))?;
        let mut tcp = TcpStream::connect(("127.0.0.1", port)).await?;
        tcp.set_nodelay(true)?;
        let mut engine = Sender::new(from.subject.cn, Security::StartTls);
        match advance(&mut engine, &mut tcp).await? {
            Step::StartTls => {}
            other => return Err(unexpected(&other)),
        }
        let tls = connector.connect(name, tcp).await?;
        engine.tls_started();
        let mut session = Self { engine, stream: Box::new(tls) };
        session.until_ready().await?;
        Ok(session)
    }

    async fn until_ready(&mut self) -> Result<(), PostError> {
        match advance(&mut self.engine, &mut self.stream).await? {
            Step::Ready => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn send(&mut self, sample: &Sample) -> Result<(), PostError> {
        let mailbox = |text: &str| Mailbox::parse(text).map_err(|_| PostError::Address(text.to_owned()));
        let to: Result<Vec<_>, PostError> = sample
            .to
            .iter()
            .map(|address| Ok((ForwardPath::Mailbox(mailbox(address)?), RcptParams::default())))
            .collect();
        self.engine.begin(&Transaction {
            from: ReversePath::Mailbox(mailbox(&sample.from)?),
            params: MailParams::default(),
            to: to?,
            size: sample.bytes.len() as u64,
        })?;
        let refused = |reply: String| PostError::Refused { key: sample.key.clone(), reply };
        loop {
            match advance(&mut self.engine, &mut self.stream).await? {
                Step::Recipient(_, reply) if !reply.is_positive() => return Err(refused(reply.to_string())),
                Step::Recipient(..) => {}
                Step::Body => {
                    self.engine.body(&sample.bytes);
                    self.engine.body_end();
                }
                Step::Done(Outcome::Answered(reply)) if reply.is_positive() => return self.until_ready().await,
                Step::Done(Outcome::Answered(reply) | Outcome::SenderRefused(reply)) => {
                    return Err(refused(reply.to_string()));
                }
                other => return Err(unexpected(&other)),
            }
        }
    }

    async fn quit(&mut self) -> Result<(), PostError> {
        self.engine.quit();
        match advance(&mut self.engine, &mut self.stream).await? {
            Step::Close => Ok(self.stream.shutdown().await?),
            other => Err(unexpected(&other)),
        }
    }
}

/// Carries bytes both ways until the engine wants something that is not about bytes.
async fn advance<S: Stream>(engine: &mut Sender, stream: &mut S) -> Result<Step, PostError> {
    let mut buffer = [0u8; 4096];
    loop {
        match engine.step() {
            Some(Step::Send(bytes)) => stream.write_all(&bytes).await?,
            Some(Step::Fail(failure)) => return Err(failure.into()),
            Some(step) => return Ok(step),
            None => {
                stream.flush().await?;
                let patience = engine.patience().ok_or(PostError::Closed)?;
                let read = timeout(patience, stream.read(&mut buffer)).await;
                let length = read.map_err(|_| PostError::Silent(patience))??;
                if length == 0 {
                    return Err(PostError::Closed);
                }
                engine.input(&buffer[..length]);
            }
        }
    }
}

fn unexpected(step: &Step) -> PostError {
    PostError::Io(std::io::Error::other(format!("unexpected in this place: {step:?}")))
}

/// Mutual TLS with the operator's certificate, believing the sandbox's root alone.
fn connector(pki: &Pki, from: &Operator) -> Result<TlsConnector, PostError> {
    let files = pki.identity(from.id);
    let pem = |path: PathBuf| {
        move |error: rustls::pki_types::pem::Error| std::io::Error::other(format!("{}: {error}", path.display()))
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.root()).map_err(pem(pki.root()))?)?;
    let chain = CertificateDer::pem_file_iter(&files.cert).map_err(pem(files.cert.clone()))?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(pem(files.cert.clone()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(pem(files.key.clone()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    Ok(TlsConnector::from(Arc::new(config)))
}
