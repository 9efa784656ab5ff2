//! Where the day files of traces stood at the scribe's last commit. JSON.
//!
//! Layout 1 is the mark (and, since the heads are witnessed, where they stood); an older version reads it. Layout 2 has beside it
//! what a start found lost and nobody has acknowledged: an older version, which would forget that, does not read it, and says so.

use serde::{Deserialize, Serialize};

use super::accounts::{decode_json, encode_json};
use super::{DecodeError, Key, Record, Table};
use crate::store::traces::{HeadsMark, Mark};

const LAYOUT_LOST: u8 = 2;

/// Key of [`TraceMark`]: the number of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey(pub u8);

/// Where a stream's files stood: at a start they must still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceMark {
    /// The last block that the scribe knows of.
    pub mark: Mark,
    /// The heads of the sealed days; none in what an older version wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heads: Option<HeadsMark>,
    /// What starts did not find, until somebody acknowledges it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostTraces>,
}

/// Something that stood in the files, and that a start did not find there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostTraces {
    /// When that was, in Unix seconds.
    pub found_at: u64,
    /// What.
    pub what: Witness,
}

/// What witnesses that more stood in the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// The last block of all.
    End(Mark),
    /// The heads up to a day.
    Heads(HeadsMark),
}

impl Key for StreamKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.0);
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [number] => Some(StreamKey(*number)),
            _ => None,
        }
    }
}

impl Record for TraceMark {
    const TABLE: Table = Table::TraceMark;
    type Key = StreamKey;
    fn encode(&self, out: &mut Vec<u8>) {
        let at = out.len();
        encode_json(self, out);
        if !self.lost.is_empty() {
            out[at] = LAYOUT_LOST;
        }
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.split_first() {
            Some((&LAYOUT_LOST, json)) => serde_json::from_slice(json).map_err(|_| DecodeError::Malformed),
            _ => decode_json(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::traces::Day;

    #[test]
    fn a_mark_is_read_by_an_older_version_unless_that_would_forget_what_was_lost() {
        let mark = Mark { day: Day::from_number(20_000), block: 7, offset: 99, hash: [3; 32] };
        let heads = HeadsMark { genesis: [1; 32], heads: 2, day: Some(Day::from_number(19_999)), hash: [2; 32] };
        let whole = TraceMark { mark, heads: Some(heads.clone()), lost: Vec::new() };
        let lost = [Witness::End(mark), Witness::Heads(heads)].map(|what| LostTraces { found_at: 5, what });
        for (record, layout) in [(whole.clone(), 1), (TraceMark { lost: lost.to_vec(), ..whole }, 2)] {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!((bytes[0], TraceMark::decode(&bytes).unwrap()), (layout, record));
        }
        let old = [&[1][..], &serde_json::to_vec(&serde_json::json!({ "mark": mark })).unwrap()].concat();
        assert_eq!(TraceMark::decode(&old).unwrap(), TraceMark { mark, heads: None, lost: Vec::new() });
    }
}
