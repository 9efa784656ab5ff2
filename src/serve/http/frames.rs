//! The form of a run of messages: for each a line of JSON that says how many bytes follow, and those bytes.

use axum::body::Bytes;
use serde::de::DeserializeOwned;

use super::extract::Pieces;
use super::problem::{Problem, Rule};

/// The longest line: a folder's name, sixty keywords and a date fit several times.
const LONGEST_LINE: usize = 16 << 10;

/// Reads a run from a request's body.
#[derive(Debug)]
pub(super) struct Frames {
    pieces: Pieces,
    /// What has come and is not yet read.
    rest: Bytes,
    /// How many lines were read, for the text of a refusal.
    lines: usize,
}

impl Frames {
    pub(super) fn of(pieces: Pieces) -> Self {
        Self { pieces, rest: Bytes::new(), lines: 0 }
    }

    /// The next message's line; none at the end of the run.
    ///
    /// # Errors
    /// A problem that ends the run: nobody knows where the next message would begin.
    pub(super) async fn entry<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Problem> {
        let mut line: Vec<u8> = Vec::new();
        loop {
            if self.rest.is_empty() && !self.fill().await? {
                return if line.is_empty() { Ok(None) } else { Err(broken("within a line")) };
            }
            let end = memchr::memchr(b'\n', &self.rest);
            line.extend_from_slice(&self.rest.split_to(end.unwrap_or(self.rest.len())));
            if line.len() > LONGEST_LINE {
                return Err(self.bad_line("it is too long"));
            }
            if end.is_some() {
                let _line_feed = self.rest.split_to(1);
                break;
            }
        }
        self.lines += 1;
        serde_json::from_slice(&line).map(Some).map_err(|problem| self.bad_line(&problem.to_string()))
    }

    /// Up to `most` bytes of the message at hand, at least one.
    ///
    /// # Errors
    /// A problem if the run ends before them.
    pub(super) async fn piece(&mut self, most: u64) -> Result<Bytes, Problem> {
        if self.rest.is_empty() && !self.fill().await? {
            return Err(broken("within a message"));
        }
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(self.rest.len());
        Ok(self.rest.split_to(length))
    }

    /// Passes over the rest of a message that is not wanted.
    ///
    /// # Errors
    /// As [`Frames::piece`].
    pub(super) async fn skip(&mut self, mut left: u64) -> Result<(), Problem> {
        while left > 0 {
            left -= self.piece(left).await?.len() as u64;
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<bool, Problem> {
        let piece = self.pieces.next().await?;
        let more = piece.is_some();
        self.rest = piece.unwrap_or_default();
        Ok(more)
    }

    fn bad_line(&self, problem: &str) -> Problem {
        Problem::new(Rule::BadJson, format!("The line of message {}: {problem}.", self.lines.max(1)))
    }
}

fn broken(place: &str) -> Problem {
    Problem::new(Rule::BodyBroken, format!("The run ends {place}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::http::types::BatchEntry;
    use axum::body::Body;
    use http_body_util::channel::Channel;

    /// A run that comes in pieces of so many bytes.
    fn frames(text: &'static str, size: usize) -> Frames {
        let (mut sender, channel) = Channel::<Bytes, std::io::Error>::new(1);
        tokio::spawn(async move {
            for piece in text.as_bytes().chunks(size) {
                sender.send_data(Bytes::from_static(piece)).await.unwrap();
            }
        });
        Frames::of(Pieces::of(Body::new(channel)))
    }

    async fn read(text: &'static str, size: usize) -> Result<Vec<String>, Problem> {
        let mut frames = frames(text, size);
        let mut found = Vec::new();
        while let Some(entry) = frames.entry::<BatchEntry>().await? {
            let mut message = Vec::new();
            while (message.len() as u64) < entry.size {
                message.extend_from_slice(&frames.piece(entry.size - message.len() as u64).await?);
            }
            found.push(String::from_utf8(message).unwrap());
        }
        Ok(found)
    }

    #[tokio::test]
    async fn a_run_is_read_the_same_in_all_cuts() {
        let run = "{\"size\":5}\na\nb\n\n{\"size\":0}\n{\"size\":3,\"folder\":\"x\"}\nxyz";
        for size in 1..=run.len() {
            assert_eq!(read(run, size).await.unwrap(), ["a\nb\n\n", "", "xyz"], "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn what_breaks_a_run_is_named() {
        assert_eq!(read("{\"size\":5}\nabc", 4).await.unwrap_err().rule(), Rule::BodyBroken);
        assert_eq!(read("{\"size\":5", 4).await.unwrap_err().rule(), Rule::BodyBroken);
        assert_eq!(read("From x\n", 4).await.unwrap_err().rule(), Rule::BadJson);
        assert_eq!(read("{\"size\":-1}\n", 4).await.unwrap_err().rule(), Rule::BadJson);
        assert_eq!(read("{\"size\":1,\"flagz\":[]}\nx", 4).await.unwrap_err().rule(), Rule::BadJson);
        let long: &'static str = "x".repeat(LONGEST_LINE + 1).leak();
        assert_eq!(read(long, 1000).await.unwrap_err().rule(), Rule::BadJson);
    }
}
