//! Bytes between a connection and the sender's engine, and the time that each of them may take.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::task::yield_now;
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
    /// Each wait had its end, and all of them together took too long.
    #[error("the server was not done with the message within the time for all of it")]
    Endless,
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

/// A write, in the time for a block.
async fn in_time<T>(block: Duration, write: impl Future<Output = io::Result<T>>) -> Result<T, Broken> {
    match timeout(block, write).await {
        Ok(written) => written.map_err(|error| Broken::Cut(Some(error))),
        Err(_) => Err(Broken::Blocked(block)),
    }
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

    /// Whether the peer has said nothing since it last was asked, and is still there, as far as is known here.
    pub(super) async fn is_quiet(&mut self) -> bool {
        // What has come to the socket is seen once the runtime has looked.
        yield_now().await;
        let mut heard = ReadBuf::new(&mut self.heard);
        poll_fn(|cx| Poll::Ready(Pin::new(&mut self.stream).poll_read(cx, &mut heard).is_pending())).await
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

    /// Ends the message; its answer comes by [`Line::follow`]. All of its octets go before: what the peer says until then
    /// is not yet that answer. Behind the last octet of a chunk it is: BDAT has no end of its own to be sent (RFC 3030 §2).
    pub(super) async fn end_message(&mut self, sender: &mut Sender) -> Result<(), Broken> {
        if !(self.said.is_empty() && sender.is_by_chunks()) {
            self.flush_message(sender).await?;
        }
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

    /// Writes until all is written or something is heard before that; each write has the time for a block.
    async fn write_some(&mut self) -> Result<Came, Broken> {
        let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
        let (said, block, mut at) = (&self.said, self.block, 0);
        let write = async {
            while at < said.len() {
                match in_time(block, writer.write(&said[at..])).await? {
                    0 => return Err(Broken::Cut(Some(io::ErrorKind::WriteZero.into()))),
                    count => at += count,
                }
            }
            in_time(block, writer.flush()).await
        };
        let came = tokio::select! {
            biased;
            heard = reader.read(&mut self.heard) => match heard {
                Ok(0) => Err(Broken::Cut(None)),
                Ok(count) => Ok(Came::Heard(count)),
                Err(error) => Err(Broken::Cut(Some(error))),
            },
            written = write => written.map(|()| Came::AllWritten),
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader, duplex};

    use super::*;
    use crate::wire::smtp::params::{MailParams, RcptParams};
    use crate::wire::smtp::path::{ForwardPath, Mailbox, ReversePath};
    use crate::wire::smtp::sender::{Outcome, Security, Transaction};

    /// Says each of these after a line has come; then reads so much of the message, and takes it.
    async fn peer(stream: tokio::io::DuplexStream, answers: [&str; 4], reads: usize) {
        let mut stream = BufReader::new(stream);
        for answer in answers {
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.read_line(&mut String::new()).await.unwrap();
        }
        stream.read_exact(&mut vec![0; reads]).await.unwrap();
        stream.write_all(b"250 2.0.0 kept\r\n").await.unwrap();
        std::future::pending::<()>().await;
    }

    /// A line on which a message of this size may be sent by BDAT.
    async fn line_with_chunks(ours: tokio::io::DuplexStream, size: u64) -> (Line<tokio::io::DuplexStream>, Sender) {
        let mut line = Line::new(ours, Duration::from_secs(180));
        let mut sender = Sender::new("us.example", Security::Implicit);
        assert_eq!(line.follow(&mut sender).await.unwrap(), Step::Ready);
        let to = ForwardPath::Mailbox(Mailbox::parse("b@y.example").unwrap());
        let to = vec![(to, RcptParams::default())];
        let transaction = Transaction { from: ReversePath::Null, params: MailParams::default(), to, size };
        sender.begin(&transaction).unwrap();
        assert!(matches!(line.follow(&mut sender).await.unwrap(), Step::Recipient(0, _)));
        assert_eq!(line.follow(&mut sender).await.unwrap(), Step::Body);
        (line, sender)
    }

    const ANSWERS: [&str; 4] = ["220 hi\r\n", "250-them\r\n250 CHUNKING\r\n", "250 ok\r\n", "250 ok\r\n"];

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_before_the_last_octet_has_gone_is_not_that_of_the_message() {
        // Less than the message, which is less than what is gathered before it is written.
        let (ours, theirs) = duplex(1000);
        tokio::spawn(peer(theirs, ANSWERS, 0));
        let (mut line, mut sender) = line_with_chunks(ours, 20_000).await;
        line.send_piece(&mut sender, &[b'x'; 20_000]).await.unwrap();
        let ended = line.end_message(&mut sender).await;
        assert!(matches!(&ended, Err(Broken::Failed(Failure::Ended(reply))) if reply.code == 250), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_right_behind_the_last_octet_is_that_of_the_message() {
        let (ours, theirs) = duplex(SAID);
        tokio::spawn(peer(theirs, ANSWERS, SAID));
        let (mut line, mut sender) = line_with_chunks(ours, SAID as u64).await;
        line.send_piece(&mut sender, &[b'x'; SAID]).await.unwrap();
        // Long enough for it to be there.
        tokio::time::sleep(Duration::from_secs(1)).await;
        line.end_message(&mut sender).await.unwrap();
        let ended = line.follow(&mut sender).await;
        assert!(matches!(&ended, Ok(Step::Done(Outcome::Answered(reply))) if reply.code == 250), "{ended:?}");
    }
}
