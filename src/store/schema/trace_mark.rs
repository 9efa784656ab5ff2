//! Where the day files of traces stood at the scribe's last commit. JSON.

use serde::{Deserialize, Serialize};

use super::accounts::JsonRecord;
use super::{Key, Table};
use crate::store::traces::Mark;

/// Key of [`TraceMark`]: the number of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey(pub u8);

/// The last block that the scribe knows of: at a start the files must still hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceMark {
    /// It.
    pub mark: Mark,
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

impl JsonRecord for TraceMark {
    const TABLE: Table = Table::TraceMark;
    type Key = StreamKey;
}
