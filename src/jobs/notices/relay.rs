//! One notice over one session with the relay of ordinary mail.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::accounts::notice::Outcome;
use crate::config::notices::NoticeTls;
use crate::mss::Address;
use crate::wire::smtp::params::{MailParams, RcptParams};
use crate::wire::smtp::path::{ForwardPath, Mailbox, ReversePath};
use crate::wire::smtp::reply::Reply;
use crate::wire::smtp::sender::{self, Failure, Login, Patience, Security, Sender, Step, Transaction, Unfit};

/// How long one of the relay's addresses may take to answer: one that lies in a black hole must not cost those behind it.
const REACH: Duration = Duration::from_secs(10);

/// Addresses of the relay that are tried.
const MOST_ADDRESSES: usize = 4;

/// How long the relay may take to take a piece of what is said.
const PIECE: Duration = Duration::from_secs(30);

/// How long all of it may take, up to the answer to the message: who drips an octet a minute holds no turn for good.
const SESSION: Duration = Duration::from_secs(300);

/// How long it may take for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// How long it may take to answer: shorter than RFC 5321 §4.5.3.2 asks for, because a code is waited for.
const PATIENCE: Patience =
    Patience { command: Duration::from_secs(60), data: Duration::from_secs(60), message: Duration::from_secs(120) };

/// How long its answer to QUIT is waited for: nothing hangs on it.
const COURTESY: Duration = Duration::from_secs(2);

/// Octets that are read at once.
const HEARD: usize = 4 << 10;

/// The relay, and how it is spoken to.
#[derive(Clone, Debug)]
pub(super) struct Relay {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: NoticeTls,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) login: Option<Login>,
    /// Who notices come from.
    pub(super) from: Mailbox,
    /// Our own name, in EHLO.
    pub(super) name: String,
}

/// Why a notice did not leave.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    /// The relay cannot be reached.
    #[error("the relay cannot be reached: {0}")]
    Connect(#[source] io::Error),
    /// Its certificate, or TLS with it, is not in order.
    #[error("no TLS with the relay: {0}")]
    Tls(#[source] io::Error),
    /// The connection broke.
    #[error("the connection with the relay broke: {0}")]
    Broken(#[source] io::Error),
    /// It takes too long.
    #[error("the relay does not answer")]
    Silent,
    /// It refuses the message for now, or the session. The words of its reply may name the address: only its codes are told.
    #[error("the relay answers {0}")]
    Refused(Codes),
    /// It refuses the message for good.
    #[error("the relay refuses it for good: {0}")]
    RefusedForGood(Codes),
    /// It refuses the recipient for good.
    #[error("the relay refuses the address for good: {0}")]
    AddressRefused(Codes),
    /// It cannot take the message.
    #[error("the relay cannot take it: {0}")]
    Unfit(#[from] Unfit),
    /// The session failed.
    #[error("{0}")]
    Failed(&'static str),
    /// An address cannot stand in an SMTP command.
    #[error("the address is not one for SMTP")]
    BadAddress,
}

/// A reply's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Codes(u16, Option<crate::wire::smtp::reply::EnhancedCode>);

impl std::fmt::Display for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.1 {
            Some(enhanced) => write!(f, "{} {enhanced}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl RelayError {
    /// What becomes of the notice, if trying again cannot help.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::AddressRefused(codes) => Some(Outcome::Bounced(codes.to_string())),
            // RFC 3463 §3.2: bad destination mailbox address syntax.
            Self::BadAddress => Some(Outcome::Bounced("5.1.3".to_owned())),
            Self::RefusedForGood(_) | Self::Unfit(Unfit::Utf8 | Unfit::TooLarge { .. }) => Some(Outcome::GivenUp),
            _ => None,
        }
    }

    /// Whether the relay itself is in trouble, whatever the notice.
    pub(super) fn is_the_relays(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Tls(_) | Self::Broken(_) | Self::Silent | Self::Failed(_))
    }

    /// A refusal of the message.
    pub(super) fn of_reply(reply: &Reply) -> Self {
        let codes = Codes(reply.code, reply.enhanced);
        if reply.is_permanent_failure() { Self::RefusedForGood(codes) } else { Self::Refused(codes) }
    }

    /// A refusal of the recipient.
    pub(super) fn of_recipient(reply: &Reply) -> Self {
        let codes = Codes(reply.code, reply.enhanced);
        if reply.is_permanent_failure() { Self::AddressRefused(codes) } else { Self::Refused(codes) }
    }

    /// A refusal of our own address: the operator's mistake, whatever its code; no notice is at fault.
    fn of_sender(reply: &Reply) -> Self {
        Self::Refused(Codes(reply.code, reply.enhanced))
    }

    fn of_failure(failure: &Failure) -> Self {
        match failure {
            // A relay that is set up wrongly, or away: the notice is not at fault.
            Failure::NoSession(reply)
            | Failure::StartTlsRefused(reply)
            | Failure::Ended(reply)
            | Failure::LoginRefused(reply)
            | Failure::Unexpected { reply, .. } => Self::Refused(Codes(reply.code, reply.enhanced)),
            Failure::NoStartTls => Self::Failed("the relay does not offer STARTTLS (notices.tls)"),
            Failure::NoLogin => Self::Failed("the relay offers no login by AUTH PLAIN over TLS"),
            Failure::Injected => Self::Failed("the relay spoke in the clear after STARTTLS"),
            Failure::Reply(_) => Self::Failed("the relay does not speak SMTP"),
            Failure::Body(_) => Self::Failed("the message broke off"),
        }
    }
}

/// A connection, encrypted or not.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Sends a message.
///
/// # Errors
/// Why it did not leave.
pub(super) async fn send(relay: &Relay, to: &Address, message: &[u8]) -> Result<(), RelayError> {
    let transaction = Transaction {
        from: ReversePath::Mailbox(relay.from.clone()),
        params: MailParams::default(),
        to: vec![(ForwardPath::Mailbox(mailbox(to)?), RcptParams::default())],
        size: message.len() as u64,
    };
    let session = async {
        let (mut stream, mut engine) = open(relay).await?;
        engine.begin(&transaction)?;
        let outcome = transmit(&mut *stream, &mut engine, message).await;
        Ok((stream, engine, outcome))
    };
    let session = timeout(SESSION, session).await.unwrap_or(Err(RelayError::Silent));
    let (mut stream, mut engine, outcome) = session?;
    engine.quit();
    // Politeness: what became of the message is known.
    drop(timeout(COURTESY, follow(&mut *stream, &mut engine)).await);
    outcome
}

/// Opens a session and ends it: whether the relay is there again.
///
/// # Errors
/// Why it is not.
pub(super) async fn greet(relay: &Relay) -> Result<(), RelayError> {
    let opening = timeout(SESSION, open(relay)).await.unwrap_or(Err(RelayError::Silent));
    let (mut stream, mut engine) = opening?;
    engine.quit();
    drop(timeout(COURTESY, follow(&mut *stream, &mut engine)).await);
    Ok(())
}

/// An address as SMTP writes it.
pub(super) fn mailbox(address: &Address) -> Result<Mailbox, RelayError> {
    Mailbox::parse(&address.to_string()).map_err(|_| RelayError::BadAddress)
}

/// Opens a session, up to where a message can be sent.
async fn open(relay: &Relay) -> Result<(Box<dyn Wire>, Sender), RelayError> {
    let security = match relay.security {
        NoticeTls::Required => Security::StartTls,
        NoticeTls::Implicit => Security::Implicit,
        NoticeTls::Opportunistic => Security::ClearIfNotOffered,
        NoticeTls::None => Security::Clear,
    };
    let mut engine = Sender::new(&relay.name, security).with_patience(PATIENCE);
    if let Some(login) = &relay.login {
        engine = engine.with_login(login.clone());
    }
    let plain = reach(relay).await?;
    // It costs a round trip at most.
    let _ = plain.set_nodelay(true);
    if security == Security::Implicit {
        let mut stream = secure(relay, plain).await?;
        return match follow(&mut *stream, &mut engine).await? {
            Step::Ready => Ok((stream, engine)),
            _ => Err(out_of_step()),
        };
    }
    let mut plain = plain;
    match follow(&mut plain, &mut engine).await? {
        Step::Ready => Ok((Box::new(plain), engine)),
        Step::StartTls => {
            let mut stream = secure(relay, plain).await?;
            engine.tls_started();
            match follow(&mut *stream, &mut engine).await? {
                Step::Ready => Ok((stream, engine)),
                _ => Err(out_of_step()),
            }
        }
        _ => Err(out_of_step()),
    }
}

/// A connection with the first of the relay's addresses that takes one.
async fn reach(relay: &Relay) -> Result<TcpStream, RelayError> {
    let looking = tokio::net::lookup_host((relay.host.as_str(), relay.port));
    let addresses = timeout(REACH, looking).await.map_err(|_| RelayError::Silent)?.map_err(RelayError::Connect)?;
    let mut failed = RelayError::Connect(io::ErrorKind::AddrNotAvailable.into());
    for address in addresses.take(MOST_ADDRESSES) {
        match timeout(REACH, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = RelayError::Connect(error),
            Err(_) => failed = RelayError::Silent,
        }
    }
    Err(failed)
}

/// The engine opens a session in one order only.
fn out_of_step() -> RelayError {
    RelayError::Failed("the session is out of step")
}

async fn secure(relay: &Relay, plain: TcpStream) -> Result<Box<dyn Wire>, RelayError> {
    let name = ServerName::try_from(relay.host.clone());
    let name = name.map_err(|_| RelayError::Failed("the relay's name cannot stand in a certificate"))?;
    let shaking = TlsConnector::from(Arc::clone(&relay.tls)).connect(name, plain);
    let stream = timeout(HANDSHAKE, shaking).await.map_err(|_| RelayError::Silent)?.map_err(RelayError::Tls)?;
    Ok(Box::new(stream))
}

/// Carries the transaction that was begun.
async fn transmit(stream: &mut dyn Wire, engine: &mut Sender, message: &[u8]) -> Result<(), RelayError> {
    let mut refusal = None;
    loop {
        match follow(stream, engine).await? {
            Step::Recipient(_, reply) if !reply.is_positive() => refusal = Some(RelayError::of_recipient(&reply)),
            Step::Recipient(..) => {}
            Step::Body => {
                engine.body(message);
                engine.body_end();
            }
            Step::Done(sender::Outcome::Answered(reply)) if reply.is_positive() => return Ok(()),
            Step::Done(sender::Outcome::Answered(reply)) => return Err(RelayError::of_reply(&reply)),
            Step::Done(sender::Outcome::SenderRefused(reply)) => return Err(RelayError::of_sender(&reply)),
            Step::Done(sender::Outcome::NoRecipient) => return Err(refusal.unwrap_or_else(out_of_step)),
            _ => return Err(out_of_step()),
        }
    }
}

/// Carries bytes both ways until the engine asks for something else.
async fn follow(stream: &mut dyn Wire, engine: &mut Sender) -> Result<Step, RelayError> {
    loop {
        match engine.step() {
            Some(Step::Send(bytes)) => {
                let writing = async {
                    stream.write_all(&bytes).await?;
                    stream.flush().await
                };
                timeout(PIECE, writing).await.map_err(|_| RelayError::Silent)?.map_err(RelayError::Broken)?;
            }
            Some(Step::Fail(failure)) => return Err(RelayError::of_failure(&failure)),
            Some(step) => return Ok(step),
            None => {
                let Some(patience) = engine.patience() else { return Err(out_of_step()) };
                let mut heard = [0; HEARD];
                let reading = timeout(patience, stream.read(&mut heard));
                match reading.await.map_err(|_| RelayError::Silent)?.map_err(RelayError::Broken)? {
                    0 => return Err(RelayError::Broken(io::ErrorKind::UnexpectedEof.into())),
                    count => engine.input(&heard[..count]),
                }
            }
        }
    }
}
