//! A message's bytes, read from the store a chunk at a time: items of one FETCH, and fields and parts of one SEARCH, that
//! lie in the same chunk cost one reading.

use std::ops::Range;

use crate::mail::{BodyReader, MailError};

/// Bytes read at a time: as many as the store seals together.
pub(super) const PIECE: u64 = crate::store::CHUNK as u64;

/// A message's bytes.
#[derive(Debug)]
pub(super) struct Source {
    body: BodyReader,
    /// The chunk read last, and where it begins.
    chunk: Option<(u64, Vec<u8>)>,
}

impl Source {
    pub(super) fn new(body: BodyReader) -> Source {
        Source { body, chunk: None }
    }

    /// With the first chunk read already, if it can be: what is wrong with it shows when it is asked for.
    pub(super) async fn warm(body: BodyReader) -> Source {
        let mut source = Source::new(body);
        let _ = source.load(0).await;
        source
    }

    /// The ranges of `range` to be read one after another.
    pub(super) fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let mut at = range.start;
        std::iter::from_fn(move || {
            let start = at;
            at = ((start / PIECE + 1) * PIECE).min(range.end);
            (start < range.end).then_some(start..at)
        })
    }

    /// Reads one of [`Source::pieces`]. Shorter than asked for where the message ends before.
    ///
    /// # Errors
    /// [`MailError::MessageGone`], or what the store says.
    pub(super) async fn read(&mut self, piece: Range<u64>) -> Result<&[u8], MailError> {
        let start = piece.start / PIECE * PIECE;
        if self.chunk.as_ref().is_none_or(|(at, _)| *at != start) {
            self.load(start).await?;
        }
        let chunk = self.chunk.as_ref().map_or(&[][..], |(_, chunk)| chunk);
        let place = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX).min(chunk.len());
        Ok(&chunk[place(piece.start)..place(piece.end)])
    }

    async fn load(&mut self, start: u64) -> Result<(), MailError> {
        self.chunk = None;
        let chunk = self.body.read(start..start + PIECE).await?;
        self.chunk = Some((start, chunk));
        Ok(())
    }
}
