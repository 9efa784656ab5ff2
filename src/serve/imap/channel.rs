//! A client's byte stream with the two buffers of a session. Both are given back while nothing is in them: a session
//! that waits holds no buffer.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// What a session reads from and writes to: TCP, TLS over it, or a pipe in a test.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Most bytes read at once. They are read on the stack, so that waiting costs nothing.
const READ: usize = 16 * 1024;

/// Output is written when so much has come together.
const FULL: usize = 32 * 1024;

/// The stream and its buffers.
pub(super) struct Channel {
    transport: Box<dyn Transport>,
    input: Vec<u8>,
    /// How much of `input` is used up.
    used: usize,
    /// What is to be written; append to it freely, then [`Channel::flush_if_full`].
    pub(super) out: Vec<u8>,
    /// Longest wait for a client that does not read.
    stall: Duration,
}

impl Channel {
    pub(super) fn new(transport: Box<dyn Transport>, stall: Duration) -> Self {
        Channel { transport, input: Vec::new(), used: 0, out: Vec::new(), stall }
    }

    /// What has arrived and is not used yet.
    pub(super) fn pending(&self) -> &[u8] {
        self.input.get(self.used..).unwrap_or_default()
    }

    /// Marks bytes of [`Channel::pending`] as used.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.used += bytes;
        if self.used >= self.input.len() {
            self.used = 0;
            self.input.clear();
        }
    }

    /// Waits for more bytes; gives how many, 0 at the end of the stream. Cancel-safe. Gives the buffers back first, if
    /// nothing is in them.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        if self.pending().is_empty() {
            self.input = Vec::new();
            self.used = 0;
        }
        if self.out.is_empty() {
            self.out = Vec::new();
        }
        poll_fn(|cx| {
            let mut space = [MaybeUninit::<u8>::uninit(); READ];
            let mut read = ReadBuf::uninit(&mut space);
            let polled = Pin::new(&mut self.transport).poll_read(cx, &mut read);
            polled.map_ok(|()| {
                self.input.extend_from_slice(read.filled());
                read.filled().len()
            })
        })
        .await
    }

    /// Writes all output.
    ///
    /// # Errors
    /// The connection is lost, or the client does not read ([`io::ErrorKind::TimedOut`]).
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let write = async {
            self.transport.write_all(&self.out).await?;
            self.transport.flush().await
        };
        let written = tokio::time::timeout(self.stall, write).await;
        self.out.clear();
        written.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }

    /// Writes the output if much has come together: this is where a client that reads slowly holds its own command up.
    ///
    /// # Errors
    /// As [`Channel::flush`].
    pub(super) async fn flush_if_full(&mut self) -> io::Result<()> {
        if self.out.len() >= FULL { self.flush().await } else { Ok(()) }
    }

    /// Ends the stream politely; what goes wrong no longer matters.
    pub(super) async fn close(&mut self) {
        let _ = self.flush().await;
        let _ = tokio::time::timeout(Duration::from_secs(2), self.transport.shutdown()).await;
    }

    /// Takes the stream out, to put TLS around it. What the client sent beforehand is thrown away: it came in plain
    /// text (RFC 3501 §6.2.1; the injection of CVE-2011-0411).
    pub(super) fn take_transport(&mut self) -> Box<dyn Transport> {
        (self.input, self.used) = (Vec::new(), 0);
        self.out = Vec::new();
        std::mem::replace(&mut self.transport, Box::new(tokio::io::empty()))
    }

    /// Goes on over another stream.
    pub(super) fn put_transport(&mut self, transport: Box<dyn Transport>) {
        self.transport = transport;
    }
}
