//! A connection whose other side has only so long to take what is written to it.
//!
//! Who asks for pages and reads none of them would else hold a connection, and its place among `portal.max_connections`, for ever:
//! the window stays shut, and keep-alives are answered.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream that fails a write once something has been on its way for `longest` and is not all gone. Drops of it that are taken
/// now and then buy no time.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    longest: Duration,
    /// Runs from the first wait until everything is flushed.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, longest: Duration) -> Self {
        Self { stream, longest, patience: None }
    }

    /// A write as it came, unless it waits and the time is over.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            return written;
        }
        let longest = self.longest;
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(longest)));
        match patience.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.patience = None;
        }
        self.in_time(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.in_time(cx, closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_or_drops_of_it_is_left_in_time() {
        for drips in [false, true] {
            let (ours, mut theirs) = duplex(16);
            tokio::spawn(async move {
                if drips {
                    loop {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        let _ = theirs.read_u8().await;
                    }
                }
                std::future::pending::<()>().await;
            });
            let (mut patient, begun) = (Patient::new(ours, LONGEST), Instant::now());
            let written = patient.write_all(&[b'x'; 1000]).await;
            assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
            let took = begun.elapsed();
            assert!((LONGEST..LONGEST + Duration::from_secs(2)).contains(&took), "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_answer_that_is_taken_has_the_whole_time() {
        let (ours, mut theirs) = duplex(16);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(20)).await;
                let _ = theirs.read_exact(&mut [0; 32]).await;
            }
        });
        let mut patient = Patient::new(ours, LONGEST);
        for _ in 0..4 {
            patient.write_all(&[b'x'; 32]).await.unwrap();
            patient.flush().await.unwrap();
        }
    }
}
