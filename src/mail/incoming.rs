//! A message that comes in: one sink for DATA, BDAT, APPEND and imports, and a plainer one for what only passes.

use aws_lc_rs::digest;

use crate::store::{BodySink, StagedBody};

use super::MailError;
use super::report::{Sniffer, Told};
use super::summary::{Summary, SummaryBuilder, SummaryLimits};

/// Takes in a message that no mailbox here shows, because it only passes to other operators: the bytes go sealed to the
/// log, and their digest is made. Dropping it gives the message up.
#[derive(Debug)]
pub struct Passing {
    sink: BodySink,
    digest: Digest,
    size: u64,
}

/// A whole message that waits for the commit that queues it; dropped, it is given up.
#[derive(Debug)]
pub struct PassingMessage {
    /// Its bytes.
    pub body: StagedBody,
    /// The message as it travels.
    pub travels: Travels,
}

/// A message as it travels between operators: without the lines that go above it in a mailbox here. What its trace says of
/// it, so that either side can show which message it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Travels {
    /// Octets.
    pub size: u64,
    /// SHA-256 of them.
    pub sha256: [u8; 32],
}

/// Takes a message in, in pieces of any size: as [`Passing`], and what mailboxes keep of it besides, its summary and its
/// digest, is made on the way. A report about another message is recognised: it is of use to whose mailbox it comes to.
#[derive(Debug)]
pub struct Incoming {
    passing: Passing,
    sniffer: Sniffer,
    summary: SummaryBuilder,
    /// Of all bytes, where that is another one than of those that travel.
    whole: Option<Digest>,
}

/// A whole message that waits for the commit that files it; dropped, it is given up.
#[derive(Debug)]
pub struct ReceivedMessage {
    /// Its bytes.
    pub body: StagedBody,
    /// SHA-256 of them. Kept sealed: in the clear it would tell who holds a known document.
    pub sha256: [u8; 32],
    /// The message as it travels.
    pub travels: Travels,
    /// Its envelope and structure.
    pub summary: Summary,
    /// What it tells of another message, if it is a report.
    pub told: Option<Box<Told>>,
}

impl Passing {
    pub(super) fn new(sink: BodySink) -> Self {
        Self { sink, digest: Digest::default(), size: 0 }
    }

    /// Takes the next bytes. Waits when the disk does not keep up.
    ///
    /// # Errors
    /// [`MailError::Full`], [`MailError::Unknown`] or [`MailError::Store`]: the message is lost, give it up.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), MailError> {
        self.digest.0.update(bytes);
        self.size += bytes.len() as u64;
        self.keep(bytes).await
    }

    async fn keep(&mut self, bytes: &[u8]) -> Result<(), MailError> {
        Ok(self.sink.write(bytes).await?)
    }

    /// The message is complete.
    ///
    /// # Errors
    /// As [`Passing::write`].
    pub async fn finish(self) -> Result<PassingMessage, MailError> {
        let travels = Travels { size: self.size, sha256: self.digest.finish() };
        Ok(PassingMessage { body: self.sink.finish().await?, travels })
    }
}

impl Incoming {
    pub(super) fn new(sink: BodySink, limits: SummaryLimits) -> Self {
        let summary = SummaryBuilder::new(limits);
        Self { passing: Passing::new(sink), sniffer: Sniffer::default(), summary, whole: None }
    }

    /// Takes the next bytes. Waits when the disk does not keep up.
    ///
    /// # Errors
    /// As [`Passing::write`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), MailError> {
        self.sniffer.push(bytes);
        self.summary.push(bytes);
        if let Some(whole) = &mut self.whole {
            whole.0.update(bytes);
        }
        self.passing.write(bytes).await
    }

    /// Takes lines of our own that go above the message in a mailbox here, and are no part of what travels.
    ///
    /// # Errors
    /// As [`Passing::write`].
    pub async fn write_above(&mut self, bytes: &[u8]) -> Result<(), MailError> {
        self.sniffer.push(bytes);
        self.summary.push(bytes);
        let travelling = &self.passing.digest;
        self.whole.get_or_insert_with(|| travelling.clone()).0.update(bytes);
        self.passing.keep(bytes).await
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.passing.sink.size()
    }

    /// The message is complete.
    ///
    /// # Errors
    /// As [`Passing::write`].
    pub async fn finish(self) -> Result<ReceivedMessage, MailError> {
        let (summary, told) = (self.summary.finish(), self.sniffer.finish().map(Box::new));
        let PassingMessage { body, travels } = self.passing.finish().await?;
        let sha256 = self.whole.map_or(travels.sha256, Digest::finish);
        Ok(ReceivedMessage { body, sha256, travels, summary, told })
    }
}

impl ReceivedMessage {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.body.size
    }
}

/// SHA-256 under way.
#[derive(Clone)]
struct Digest(digest::Context);

impl Default for Digest {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest")
    }
}

impl Digest {
    fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{MailLimits, MailRoom};
    use crate::store::{MasterKey, Store};

    #[tokio::test]
    async fn the_digest_is_of_all_bytes_whatever_the_pieces() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let message = [b"Subject: x\r\n\r\n".to_vec(), vec![b'y'; 150_000]].concat();
        for piece in [1, 1_000, 65_536, message.len()] {
            let mut incoming = room.receive();
            for piece in message.chunks(piece) {
                incoming.write(piece).await.unwrap();
            }
            let received = incoming.finish().await.unwrap();
            assert_eq!(received.sha256, digest::digest(&digest::SHA256, &message).as_ref());
            assert_eq!(received.travels, Travels { size: message.len() as u64, sha256: received.sha256 });
        }
    }

    #[tokio::test]
    async fn what_travels_is_told_apart_from_the_lines_above_it() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let (above, message) = (b"Return-Path: <>\r\n".as_slice(), b"Subject: x\r\n\r\ny\r\n".as_slice());
        let mut incoming = room.receive();
        incoming.write_above(above).await.unwrap();
        incoming.write(message).await.unwrap();
        let received = incoming.finish().await.unwrap();
        let sha256 = |bytes: &[u8]| <[u8; 32]>::try_from(digest::digest(&digest::SHA256, bytes).as_ref()).unwrap();
        assert_eq!(received.sha256, sha256(&[above, message].concat()));
        assert_eq!(received.travels, Travels { size: message.len() as u64, sha256: sha256(message) });
    }
}
