//! Whose message a Message-ID is: what others' reports about it are held against. Compact binary.

use super::codec::{Reader, put_bytes, put_int, put_uint};
use super::{DecodeError, Key, Record, Table};

const LAYOUT: u8 = 1;

/// Key of [`SentMark`]: a digest of the Message-ID that nobody can undo or meet without the transit key
/// ([`crate::store::MailboxKey::digest`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SentMarkKey(pub u128);

/// A message that left by a door of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SentMark {
    /// Who sent it: a digest of the address, under the same key.
    pub sender: u128,
    /// Unix seconds.
    pub at: i64,
    /// How many of others' reports about it were written down.
    pub reports: u32,
}

impl Key for SentMarkKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(SentMarkKey(u128::from_be_bytes(bytes.try_into().ok()?)))
    }
}

impl Record for SentMark {
    const TABLE: Table = Table::SentMark;
    type Key = SentMarkKey;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_bytes(out, &self.sender.to_be_bytes());
        put_int(out, self.at);
        put_uint(out, u64::from(self.reports));
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let sender = reader.bytes()?.try_into().map_err(|_| DecodeError::Malformed)?;
        let record = SentMark { sender: u128::from_be_bytes(sender), at: reader.int()?, reports: reader.u32()? };
        reader.end()?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_as_it_was_and_refuses_every_cut() {
        let mark = SentMark { sender: u128::MAX - 7, at: 1_700_000_000, reports: 2_000 };
        let mut bytes = Vec::new();
        mark.encode(&mut bytes);
        assert_eq!(SentMark::decode(&bytes).unwrap(), mark);
        for cut in 0..bytes.len() {
            assert!(SentMark::decode(&bytes[..cut]).is_err(), "{cut} bytes");
        }
        bytes.push(0);
        assert!(SentMark::decode(&bytes).is_err(), "trailing bytes");
        let mut key = Vec::new();
        SentMarkKey(7 << 90).encode(&mut key);
        assert_eq!(SentMarkKey::decode(&key), Some(SentMarkKey(7 << 90)));
    }
}
