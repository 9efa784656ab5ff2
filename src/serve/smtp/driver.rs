//! One connection: bytes between the socket and the engine, time, and the ends. Both doors of SMTP run on it; what differs
//! is what they answer ([`Answers`]).

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tokio_rustls::server::TlsStream;

use super::{Link, Refused};
use crate::serve::tls::HandshakeRefusal;
use crate::wire::smtp::receiver::{Answer, Hello, Question, Receiver, Settings, Step};
use crate::wire::smtp::reply::Reply;

/// Buffer of a connection that waits for a command, and of one that a message comes through.
const QUIET: usize = 2 << 10;
const BUSY: usize = 32 << 10;

/// How long, and for how much, a closed connection is still read so that the peer gets to see the last reply: closing with
/// unread bytes makes the kernel send a reset that can overtake it.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 << 20;

/// A stream that SMTP can be spoken over.
pub(in crate::serve) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {}

/// What a door answers. The driver asks; it is never asked anything itself.
pub(in crate::serve) trait Answers: Send {
    /// What the TLS layer learnt of the other end.
    type Shown: Send;

    /// The connection.
    fn link(&self) -> &Link;

    /// The longest wait for the other end to read our replies.
    fn patience(&self) -> Duration;

    /// Whether a message is coming in: then larger pieces are read.
    fn is_receiving(&self) -> bool;

    /// The server's part of a TLS handshake, logged and counted.
    fn handshake<S: Wire>(
        &mut self,
        stream: S,
    ) -> impl Future<Output = Result<(TlsStream<S>, Self::Shown), HandshakeRefusal>> + Send;

    /// TLS is up; the engine knows. `facts`: TLS version and cipher suite.
    fn tls_is_up(&mut self, shown: Self::Shown, facts: String, receiver: &mut Receiver);

    /// Waits until the session is to end for a reason outside of it; why. Where there is none, for ever.
    fn ended(&self) -> impl Future<Output = Refused> + Send + 'static {
        std::future::pending()
    }

    /// Answers a question; a refusal has been counted and logged.
    fn decide(&mut self, question: Question, hello: Option<&Hello>) -> impl Future<Output = Answer> + Send;

    /// A piece of the header section.
    fn header(&mut self, piece: &[u8]);

    /// A piece of the body.
    ///
    /// # Errors
    /// What is answered at the message's end, if it cannot be kept.
    fn body(&mut self, piece: &[u8]) -> impl Future<Output = Result<(), Reply>> + Send;

    /// The transaction is over without a message.
    fn discard(&mut self, why: &'static str);
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(in crate::serve) enum Ended {
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
pub(in crate::serve) struct Driver<A> {
    answers: A,
    receiver: Receiver,
    started: Instant,
    buffer: Vec<u8>,
    draining: bool,
}

impl<A: Answers> Driver<A> {
    pub(in crate::serve) fn new(answers: A, settings: Settings) -> Driver<A> {
        let receiver = Receiver::new(settings);
        Driver { answers, receiver, started: Instant::now(), buffer: Vec::new(), draining: false }
    }

    /// Plain text, TLS after `STARTTLS`, the end.
    pub(in crate::serve) async fn run<S: Wire>(mut self, mut stream: S) -> Ended {
        match self.converse(&mut stream).await {
            Ok(Next::StartTls) => self.run_within_tls(stream).await,
            Ok(Next::Close { linger }) => self.left(&mut stream, linger).await,
            Err(ended) => self.lost(ended),
        }
    }

    /// TLS from here on, the end. Called first where the door has TLS from the first byte (RFC 8314 §3.3): the greeting is
    /// said within.
    pub(in crate::serve) async fn run_within_tls<S: Wire>(mut self, stream: S) -> Ended {
        let (mut stream, shown) = match self.answers.handshake(stream).await {
            Ok(accepted) => accepted,
            Err(refusal) => return Ended::NoTls(refusal.name()),
        };
        self.receiver.tls_started(self.started.elapsed());
        self.answers.tls_is_up(shown, tls_facts(&stream), &mut self.receiver);
        match self.converse(&mut stream).await {
            Ok(Next::Close { linger }) => self.left(&mut stream, linger).await,
            Ok(Next::StartTls) => Ended::Closed,
            Err(ended) => self.lost(ended),
        }
    }

    /// Everything is said. Who was logged in is in no more, however long the other end takes to hang up.
    async fn left<S: Wire>(self, stream: &mut S, linger: bool) -> Ended {
        drop(self);
        close(stream, linger).await
    }

    /// The connection is gone: so is the transaction.
    fn lost(&mut self, ended: Ended) -> Ended {
        self.answers.discard("the connection was lost");
        ended
    }

    async fn converse<S: Wire>(&mut self, stream: &mut S) -> Result<Next, Ended> {
        let shutdown = self.answers.link().shared.shutdown.clone();
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
    async fn follow<S: Wire>(&mut self, mut input: &[u8], stream: &mut S) -> Option<Next> {
        loop {
            match self.receiver.step(&mut input, self.started.elapsed()) {
                Step::NeedBytes => return None,
                Step::Body(piece) => {
                    if let Err(reply) = self.answers.body(piece).await {
                        self.receiver.fail_message(reply);
                    }
                }
                Step::Header(piece) => self.answers.header(piece),
                Step::Ask(Question::StartTls) => self.before_tls(stream).await,
                Step::Ask(question) => {
                    let answer = self.answers.decide(question, self.receiver.hello()).await;
                    self.receiver.answer(answer);
                }
                Step::Refused(refusal) => self.answers.link().note(&refusal),
                Step::Discard => self.answers.discard("refused, or given up by the peer"),
                Step::StartTls => return Some(Next::StartTls),
                Step::Close { linger } => return Some(Next::Close { linger }),
                // Every question is answered above, at once.
                Step::NeedAnswer => return Some(Next::Close { linger: false }),
            }
        }
    }

    /// RFC 3207 §4.2: a peer waits for the answer to STARTTLS. What came before it was put there by somebody else, and
    /// may still be in the socket.
    async fn before_tls<S: Wire>(&mut self, stream: &mut S) {
        let mut byte = [0];
        match timeout(Duration::ZERO, stream.read(&mut byte)).await {
            Ok(Ok(1)) => self.receiver.plaintext_behind_starttls(),
            _ => self.receiver.answer(Answer::Accept),
        }
    }

    async fn write<S: Wire>(&mut self, stream: &mut S) -> Result<(), Ended> {
        let output = self.receiver.take_output();
        if output.is_empty() {
            return Ok(());
        }
        let written = timeout(self.answers.patience(), async {
            stream.write_all(&output).await?;
            stream.flush().await
        });
        Ok(written.await.map_err(|_| Ended::NotRead)??)
    }

    async fn read<S, F>(&mut self, stream: &mut S, stop: Pin<&mut F>) -> Result<Heard, Ended>
    where
        S: Wire,
        F: Future<Output = ()>,
    {
        let size = if self.answers.is_receiving() { BUSY } else { QUIET };
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
        let ended = self.answers.ended();
        tokio::select! {
            biased;
            // First: whoever keeps sending is ended as well.
            why = ended => {
                let link = self.answers.link();
                self.receiver.end(&link.refuse(&why, &link.id.to_string()));
                Ok(Heard::Nothing)
            }
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
async fn close<S: Wire>(stream: &mut S, linger: bool) -> Ended {
    let _ = timeout(LINGER, stream.shutdown()).await;
    if linger {
        let _ = timeout(LINGER, throw_away(stream)).await;
    }
    Ended::Closed
}

async fn throw_away<S: Wire>(stream: &mut S) {
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
