//! Bytes between a connection and the sender's engine, and the time that each of them may take.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::wire::smtp::sender::{Awaited, Failure, Sender, Step};

/// What is read at once: a reply is short.
const HEARD: usize = 4 << 10;

/// What is gathered before it is written: commands go together, and a small message with its BDAT line.
const SAID: usize = 64 << 10;

/// What an idle line keeps of that.
const IDLE: usize = 8 << 10;

/// How long a peer that broke off may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why a conversation came to no end of its own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The engine gave it up.
    #[error(transparent)]
    Failed(Failure),
    /// No answer came in time.
    #[error("the server gave no answer to {0} within {seconds} seconds", seconds = .1.as_secs())]
    Silent(Awaited, Duration),
    /// The peer takes no more bytes.
    #[error("the server took no more of the message for {seconds} seconds", seconds = .0.as_secs())]
    Blocked(Duration),
    /// The connection was lost while an answer was awaited.
    #[error("the connection was lost before the answer to {0}{cause}", cause = because(.1))]
    Lost(Awaited, Option<io::Error>),
    /// The connection was lost while we spoke.
    #[error("the connection was lost while the message was sent{cause}", cause = because(.0))]
    Cut(Option<io::Error>),
}

/// What a write came to.
enum Came {
    AllWritten,
    /// So many octets were heard before.
    Heard(usize),
}

fn because(error: &Option<io::Error>) -> String {
    error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default()
}

/// A connection and what is on its way over it.
#[derive(Debug)]
pub(super) struct Line<S> {
    stream: S,
    said: Vec<u8>,
    heard: Box<[u8]>,
    block: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    /// A line on which the peer may take `block` for each piece of what is said.
    pub(super) fn new(stream: S, block: Duration) -> Self {
        Self { stream, said: Vec::new(), heard: vec![0; HEARD].into_boxed_slice(), block }
    }

    /// The connection, for TLS. Nothing is on its way: a peer that spoke before TLS was left.
    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    /// Gives back what a message has needed.
    pub(super) fn rest(&mut self) {
        self.said.shrink_to(IDLE);
    }

    /// Carries bytes both ways until the engine asks for something else. What goes before a message is written with it.
    pub(super) async fn follow(&mut self, sender: &mut Sender) -> Result<Step, Broken> {
        let mut deadline = None;
        loop {
            match sender.step() {
                Some(Step::Send(bytes)) => self.said.extend_from_slice(&bytes),
                Some(Step::Fail(failure)) => return Err(Broken::Failed(failure)),
                Some(step) => return Ok(step),
                None if !self.said.is_empty() => self.flush(sender).await?,
                None => self.hear(sender, &mut deadline).await?,
            }
        }
    }

    /// Sends a piece of the message. A peer that speaks meanwhile has ended the session, and is heard.
    pub(super) async fn send_piece(&mut self, sender: &mut Sender, piece: &[u8]) -> Result<(), Broken> {
        sender.body(piece);
        self.gather(sender)?;
        if self.said.len() >= SAID { self.flush_message(sender).await } else { Ok(()) }
    }

    /// Ends the message; its answer comes by [`Line::follow`].
    pub(super) async fn end_message(&mut self, sender: &mut Sender) -> Result<(), Broken> {
        sender.body_end();
        self.gather(sender)
    }

    fn gather(&mut self, sender: &mut Sender) -> Result<(), Broken> {
        while let Some(step) = sender.step() {
            match step {
                Step::Send(bytes) => self.said.extend_from_slice(&bytes),
                Step::Fail(failure) => return Err(Broken::Failed(failure)),
                // A piece of a message asks for nothing else.
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes what is to be said, and hears what the peer says meanwhile: a peer may answer the first of many commands
    /// before it reads the last, and neither side shall wait for the other (RFC 2920 §3.1).
    async fn flush(&mut self, sender: &mut Sender) -> Result<(), Broken> {
        loop {
            match self.write_some().await {
                Ok(Came::AllWritten) => return Ok(()),
                Ok(Came::Heard(count)) => sender.input(&self.heard[..count]),
                Err(blocked @ Broken::Blocked(_)) => return Err(blocked),
                // What the peer said before it broke off is still to be read; then the reader finds the end.
                Err(_) => {
                    self.said.clear();
                    return Ok(());
                }
            }
        }
    }

    /// As [`Line::flush`], in the middle of a message, where the peer has nothing to say: unless it wants no more.
    async fn flush_message(&mut self, sender: &mut Sender) -> Result<(), Broken> {
        let broken = match self.write_some().await {
            Ok(Came::AllWritten) => return Ok(()),
            Ok(Came::Heard(count)) => {
                sender.input(&self.heard[..count]);
                Broken::Cut(None)
            }
            Err(blocked @ Broken::Blocked(_)) => return Err(blocked),
            Err(broken) => broken,
        };
        Err(self.last_words(sender, broken).await)
    }

    /// Writes until all is written or something is heard; each write has the time for a block.
    async fn write_some(&mut self) -> Result<Came, Broken> {
        let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
        let mut at = 0;
        let came = loop {
            let write = async {
                match self.said.get(at..).filter(|rest| !rest.is_empty()) {
                    Some(rest) => writer.write(rest).await.map(Some),
                    None => writer.flush().await.map(|()| None),
                }
            };
            let progress = tokio::select! {
                biased;
                heard = reader.read(&mut self.heard) => match heard {
                    Ok(0) => break Err(Broken::Cut(None)),
                    Ok(count) => break Ok(Came::Heard(count)),
                    Err(error) => break Err(Broken::Cut(Some(error))),
                },
                written = timeout(self.block, write) => written,
            };
            match progress {
                Ok(Ok(Some(0))) => break Err(Broken::Cut(Some(io::ErrorKind::WriteZero.into()))),
                Ok(Ok(Some(count))) => at += count,
                Ok(Ok(None)) => break Ok(Came::AllWritten),
                Ok(Err(error)) => break Err(Broken::Cut(Some(error))),
                Err(_) => break Err(Broken::Blocked(self.block)),
            }
        };
        self.said.drain(..at);
        came
    }

    /// Waits for a piece of the answer that is owed; all of the answer has one time.
    async fn hear(&mut self, sender: &mut Sender, deadline: &mut Option<Instant>) -> Result<(), Broken> {
        let (Some(awaited), Some(patience)) = (sender.waits_for(), sender.patience()) else {
            // The engine asks for nothing and waits for nothing: it is over.
            return Err(Broken::Cut(None));
        };
        let until = *deadline.get_or_insert_with(|| Instant::now() + patience);
        match timeout_at(until, self.stream.read(&mut self.heard)).await {
            Err(_) => Err(Broken::Silent(awaited, patience)),
            Ok(Err(error)) => Err(Broken::Lost(awaited, Some(error))),
            Ok(Ok(0)) => Err(Broken::Lost(awaited, None)),
            Ok(Ok(count)) => {
                sender.input(&self.heard[..count]);
                Ok(())
            }
        }
    }

    /// Where the connection broke: what the peer said before that tells more than the break does.
    async fn last_words(&mut self, sender: &mut Sender, otherwise: Broken) -> Broken {
        let until = Instant::now() + LAST_WORDS;
        loop {
            while let Some(step) = sender.step() {
                if let Step::Fail(failure) = step {
                    return Broken::Failed(failure);
                }
            }
            match timeout_at(until, self.stream.read(&mut self.heard)).await {
                Ok(Ok(count @ 1..)) => sender.input(&self.heard[..count]),
                _ => return otherwise,
            }
        }
    }
}
