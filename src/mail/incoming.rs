//! A message that comes in: one sink for DATA, BDAT, APPEND and imports, and a plainer one for what only passes.

use aws_lc_rs::digest;

use crate::store::{BodySink, StagedBody};

use super::MailError;
use super::report::{Sniffer, Told};
use super::summary::{Summary, SummaryBuilder, SummaryLimits};

/// Takes in a message that no mailbox here shows, because it only passes to other operators: the bytes go sealed to the
/// log, and a report about another message is recognised. Dropping it gives the message up.
#[derive(Debug)]
pub struct Passing {
    sink: BodySink,
    sniffer: Sniffer,
}

/// A whole message that waits for the commit that queues it; dropped, it is given up.
#[derive(Debug)]
pub struct PassingMessage {
    /// Its bytes.
    pub body: StagedBody,
    /// What it tells of another message, if it is a report.
    pub told: Option<Box<Told>>,
}

/// Takes a message in, in pieces of any size: as [`Passing`], and what mailboxes keep of it besides, its summary and its
/// digest, is made on the way.
#[derive(Debug)]
pub struct Incoming {
    passing: Passing,
    summary: SummaryBuilder,
    digest: Digest,
}

/// A whole message that waits for the commit that files it; dropped, it is given up.
#[derive(Debug)]
pub struct ReceivedMessage {
    /// Its bytes.
    pub body: StagedBody,
    /// SHA-256 of them. Kept sealed: in the clear it would tell who holds a known document.
    pub sha256: [u8; 32],
    /// Its envelope and structure.
    pub summary: Summary,
    /// What it tells of another message, if it is a report.
    pub told: Option<Box<Told>>,
}

impl Passing {
    pub(super) fn new(sink: BodySink) -> Self {
        Self { sink, sniffer: Sniffer::default() }
    }

    /// Takes the next bytes. Waits when the disk does not keep up.
    ///
    /// # Errors
    /// [`MailError::Full`], [`MailError::Unknown`] or [`MailError::Store`]: the message is lost, give it up.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), MailError> {
        self.sniffer.push(bytes);
        Ok(self.sink.write(bytes).await?)
    }

    /// The message is complete.
    ///
    /// # Errors
    /// As [`Passing::write`].
    pub async fn finish(self) -> Result<PassingMessage, MailError> {
        let told = self.sniffer.finish().map(Box::new);
        Ok(PassingMessage { body: self.sink.finish().await?, told })
    }
}

impl Incoming {
    pub(super) fn new(sink: BodySink, limits: SummaryLimits) -> Self {
        Self { passing: Passing::new(sink), summary: SummaryBuilder::new(limits), digest: Digest::default() }
    }

    /// Takes the next bytes. Waits when the disk does not keep up.
    ///
    /// # Errors
    /// As [`Passing::write`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), MailError> {
        self.summary.push(bytes);
        self.digest.0.update(bytes);
        self.passing.write(bytes).await
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
        let (summary, sha256) = (self.summary.finish(), self.digest.finish());
        let PassingMessage { body, told } = self.passing.finish().await?;
        Ok(ReceivedMessage { body, sha256, summary, told })
    }
}

impl ReceivedMessage {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.body.size
    }
}

/// SHA-256 under way.
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
        }
    }
}
