//! A message that comes in: one sink for DATA, BDAT, APPEND and imports.

use crate::store::{BodySink, StagedBody};

use super::MailError;
use super::report::{Sniffer, Told};
use super::summary::{Summary, SummaryBuilder, SummaryLimits};

/// Takes a message in, in pieces of any size: the bytes go sealed to the log, the summary is made on the way, and a
/// report about another message is recognised. Dropping it gives the message up.
#[derive(Debug)]
pub struct Incoming {
    sink: BodySink,
    summary: SummaryBuilder,
    sniffer: Sniffer,
}

/// A whole message that waits for the commit that files it; dropped, it is given up.
#[derive(Debug)]
pub struct ReceivedMessage {
    /// Its bytes.
    pub body: StagedBody,
    /// Its envelope and structure.
    pub summary: Summary,
    /// What it tells of another message, if it is a report.
    pub told: Option<Box<Told>>,
}

impl Incoming {
    pub(super) fn new(sink: BodySink, limits: SummaryLimits) -> Self {
        Self { sink, summary: SummaryBuilder::new(limits), sniffer: Sniffer::default() }
    }

    /// Takes the next bytes. Waits when the disk does not keep up.
    ///
    /// # Errors
    /// [`MailError::Full`], [`MailError::Unknown`] or [`MailError::Store`]: the message is lost, give it up.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), MailError> {
        self.summary.push(bytes);
        self.sniffer.push(bytes);
        Ok(self.sink.write(bytes).await?)
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.sink.size()
    }

    /// The message is complete.
    ///
    /// # Errors
    /// As [`Incoming::write`].
    pub async fn finish(self) -> Result<ReceivedMessage, MailError> {
        let summary = self.summary.finish();
        let told = self.sniffer.finish().map(Box::new);
        Ok(ReceivedMessage { body: self.sink.finish().await?, summary, told })
    }
}

impl ReceivedMessage {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.body.size
    }
}
