//! One connection: bytes between the socket and the engine, time, and the ends.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tokio_rustls::server::TlsStream;

use super::envelope::Envelope;
use super::refusal::Refused;
use super::{engine_limits, now};
use crate::mss::dn::NormalisedName;
use crate::serve::limits::CountPermit;
use crate::serve::tls::PeerIdentity;
use crate::serve::{ConnectionId, Shared};
use crate::telemetry::RuleLabel;
use crate::wire::smtp::receiver::{Answer, Question, Receiver, Refusal, Role, Settings, Step};
use crate::wire::smtp::reply::Reply;

/// Buffer of a connection that waits for a command, and of one that a message comes through.
const QUIET: usize = 2 << 10;
const BUSY: usize = 32 << 10;

/// How long, and for how much, a closed connection is still read so that the peer gets to see the last reply: closing with
/// unread bytes makes the kernel send a reset that can overtake it.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 << 20;

/// Who is at the other end, once TLS is up.
pub(super) struct Peer {
    pub(super) identity: PeerIdentity,
    /// TLS version and cipher suite.
    pub(super) tls: String,
    /// Its place in the count of its operator's connections.
    _place: CountPermit<NormalisedName>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("closed")]
    Closed,
    #[error("the peer went away")]
    PeerGone,
    #[error("no TLS: {0}")]
    NoTls(&'static str),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the peer does not read our replies")]
    NotRead,
}

/// What a conversation came to.
enum Next {
    StartTls,
    Close { linger: bool },
}

enum Heard {
    Bytes(usize),
    Nothing,
    End,
}

/// One connection.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) id: ConnectionId,
    pub(super) address: IpAddr,
    pub(super) receiver: Receiver,
    pub(super) peer: Option<Peer>,
    pub(super) envelope: Option<Envelope>,
    pub(super) transactions: u32,
    started: Instant,
    buffer: Vec<u8>,
    draining: bool,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, id: ConnectionId, address: IpAddr) -> Session {
        let host = shared.config.load().server.name.clone();
        let settings =
            Settings { host, reference: id.to_string(), limits: engine_limits(&shared), role: Role::Operators };
        let receiver = Receiver::new(settings);
        Session {
            shared,
            id,
            address,
            receiver,
            peer: None,
            envelope: None,
            transactions: 0,
            started: Instant::now(),
            buffer: Vec::new(),
            draining: false,
        }
    }

    /// Plain text, TLS, the end.
    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(mut self, mut stream: S) -> Ended {
        match self.converse(&mut stream).await {
            Ok(Next::StartTls) => {}
            Ok(Next::Close { linger }) => return close(&mut stream, linger).await,
            Err(ended) => return self.lost(ended),
        }
        // MSSanté §3: the peer's certificate is verified within the handshake; a bad one gets a TLS alert.
        let (mut stream, identity) = match self.shared.accept_operator(stream).await {
            Ok(accepted) => accepted,
            Err(refusal) => return Ended::NoTls(refusal.name()),
        };
        self.tls_is_up(&stream, identity);
        match self.converse(&mut stream).await {
            Ok(Next::Close { linger }) => close(&mut stream, linger).await,
            Ok(Next::StartTls) => Ended::Closed,
            Err(ended) => self.lost(ended),
        }
    }

    fn tls_is_up<S>(&mut self, stream: &TlsStream<S>, identity: PeerIdentity) {
        self.receiver.tls_started(self.started.elapsed());
        let most = self.shared.config.load().smtp.max_connections_per_peer;
        match self.shared.smtp_peers.take(identity.subject.normalised().clone(), most) {
            Some(place) => self.peer = Some(Peer { identity, tls: tls_facts(stream), _place: place }),
            None => {
                let reply = self.refuse(&Refused::too_many_of_peer(), &self.id.to_string());
                self.receiver.end(&reply);
            }
        }
    }

    /// The connection is gone: so is the transaction.
    fn lost(&mut self, ended: Ended) -> Ended {
        self.discard("the connection was lost");
        ended
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) -> Result<Next, Ended> {
        let shutdown = self.shared.shutdown.clone();
        let mut begun = std::pin::pin!(shutdown.begun());
        let mut filled = 0;
        loop {
            // The buffer is lent to the engine, which gives pieces of it back while the session acts on them.
            let buffer = std::mem::take(&mut self.buffer);
            let next = self.follow(&buffer[..filled], stream).await;
            self.buffer = buffer;
            self.write(stream).await?;
            if let Some(next) = next {
                return Ok(next);
            }
            filled = match self.read(stream, begun.as_mut()).await? {
                Heard::Bytes(count) => count,
                Heard::Nothing => 0,
                Heard::End => return Err(Ended::PeerGone),
            };
        }
    }

    /// Does what the engine says until it needs bytes.
    async fn follow<S: AsyncRead + Unpin>(&mut self, mut input: &[u8], stream: &mut S) -> Option<Next> {
        loop {
            match self.receiver.step(&mut input, self.started.elapsed()) {
                Step::NeedBytes => return None,
                Step::Body(piece) => self.body(piece).await,
                Step::Header(piece) => self.header(piece),
                Step::Ask(Question::StartTls) => self.before_tls(stream).await,
                Step::Ask(question) => {
                    let answer = self.decide(question).await;
                    self.receiver.answer(answer);
                }
                Step::Refused(refusal) => self.note(&refusal),
                Step::Discard => self.discard("refused, or given up by the peer"),
                Step::StartTls => return Some(Next::StartTls),
                Step::Close { linger } => return Some(Next::Close { linger }),
                // Every question is answered above, at once.
                Step::NeedAnswer => return Some(Next::Close { linger: false }),
            }
        }
    }

    /// RFC 3207 §4.2: a peer waits for the answer to STARTTLS. What came before it was put there by somebody else, and
    /// may still be in the socket.
    async fn before_tls<S: AsyncRead + Unpin>(&mut self, stream: &mut S) {
        let mut byte = [0];
        match timeout(Duration::ZERO, stream.read(&mut byte)).await {
            Ok(Ok(1)) => self.receiver.plaintext_behind_starttls(),
            _ => self.receiver.answer(Answer::Accept),
        }
    }

    async fn write<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> Result<(), Ended> {
        let output = self.receiver.take_output();
        if output.is_empty() {
            return Ok(());
        }
        let patience = self.shared.config.load().smtp.data_timeout;
        let written = timeout(patience, async {
            stream.write_all(&output).await?;
            stream.flush().await
        });
        Ok(written.await.map_err(|_| Ended::NotRead)??)
    }

    async fn read<S, F>(&mut self, stream: &mut S, stop: Pin<&mut F>) -> Result<Heard, Ended>
    where
        S: AsyncRead + Unpin,
        F: Future<Output = ()>,
    {
        let size =
            if self.envelope.as_ref().is_some_and(|envelope| envelope.incoming.is_some()) { BUSY } else { QUIET };
        if self.buffer.len() != size {
            self.buffer = vec![0; size];
        }
        let deadline = self.receiver.deadline().map(|deadline| self.started + deadline);
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            read = stream.read(&mut self.buffer) => Ok(match read? {
                0 => Heard::End,
                count => Heard::Bytes(count),
            }),
            () = late => {
                self.receiver.tick(self.started.elapsed());
                Ok(Heard::Nothing)
            }
            () = stop, if !self.draining => {
                self.draining = true;
                self.receiver.drain();
                Ok(Heard::Nothing)
            }
        }
    }

    /// Counts and logs a refusal of this door's; the reply.
    pub(super) fn refuse(&self, refused: &Refused, reference: &str) -> Reply {
        self.count(refused.rule);
        let reply = refused.reply(reference);
        tracing::info!(event = "refused", rule = refused.rule, code = refused.code(), reference);
        reply
    }

    /// Counts and logs a refusal of the engine's.
    fn note(&self, refusal: &Refusal) {
        self.count(refusal.rule);
        let reference = self.id.to_string();
        tracing::info!(event = "refused", rule = refusal.rule, code = refusal.reply.code, reference);
    }

    fn count(&self, rule: &'static str) {
        self.shared.metrics.smtp_refusals.get_or_create(&RuleLabel { rule }).inc();
    }

    pub(super) fn discard(&mut self, why: &'static str) {
        if let Some(envelope) = self.envelope.take() {
            tracing::info!(event = "tx-abort", reference = envelope.reference, why);
        }
    }

    /// Unix seconds.
    pub(super) fn now(&self) -> i64 {
        now()
    }
}

/// `TLSv1.3 TLS_AES_256_GCM_SHA384`
fn tls_facts<S>(stream: &TlsStream<S>) -> String {
    let connection = stream.get_ref().1;
    let version = connection.protocol_version().map(|version| format!("{version:?}").replace('_', "."));
    let suite = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    let suite = suite.unwrap_or_default().replace("TLS13_", "TLS_");
    format!("{} {suite}", version.unwrap_or_default())
}

/// Says that no more is to come, and lets the peer see what was said.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, linger: bool) -> Ended {
    let _ = timeout(LINGER, stream.shutdown()).await;
    if linger {
        let _ = timeout(LINGER, throw_away(stream)).await;
    }
    Ended::Closed
}

async fn throw_away<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut buffer = vec![0; QUIET];
    let mut total = 0;
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        total += count;
        if total > LINGER_BYTES {
            return;
        }
        if buffer.len() < BUSY {
            buffer.resize(BUSY, 0);
        }
    }
}
