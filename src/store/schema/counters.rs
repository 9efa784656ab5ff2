//! Monthly counters: what the indicators are made from.

use super::codec::{Reader, put_uint};
use super::{DecodeError, Key, Record, Table};

const LAYOUT: u8 = 1;

/// Key of [`Counter`]: all counters of a month lie together, and within it those of a sheet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey {
    /// The month's number.
    pub month: u32,
    /// The sheet's number.
    pub sheet: u8,
    /// Which row.
    pub cell: String,
}

/// Sums of one row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counter {
    /// In the order of the sheet's measures; what an older version did not count is missing at the end.
    pub values: Vec<u64>,
}

impl CounterKey {
    /// The first key of a month's sheet: those of it go from here to the first of the next.
    #[must_use]
    pub fn first(month: u32, sheet: u8) -> CounterKey {
        CounterKey { month, sheet, cell: String::new() }
    }
}

impl Key for CounterKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.month.to_be_bytes());
        out.push(self.sheet);
        out.extend_from_slice(self.cell.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (month, rest) = bytes.split_first_chunk::<4>()?;
        let (&sheet, cell) = rest.split_first()?;
        Some(CounterKey { month: u32::from_be_bytes(*month), sheet, cell: String::from_utf8(cell.to_vec()).ok()? })
    }
}

impl Record for Counter {
    const TABLE: Table = Table::Counter;
    type Key = CounterKey;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_uint(out, self.values.len() as u64);
        self.values.iter().for_each(|value| put_uint(out, *value));
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let count = reader.count()?;
        let values = (0..count).map(|_| reader.uint()).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Counter { values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_come_back_as_they_were_and_refuse_every_cut() {
        let counter = Counter { values: vec![0, 1, 300, u64::MAX] };
        let mut bytes = Vec::new();
        counter.encode(&mut bytes);
        assert_eq!(Counter::decode(&bytes).unwrap(), counter);
        for cut in 0..bytes.len() {
            assert!(Counter::decode(&bytes[..cut]).is_err(), "{cut} bytes");
        }
        bytes.push(0);
        assert!(Counter::decode(&bytes).is_err(), "trailing bytes");
    }

    #[test]
    fn a_months_counters_lie_together_sheet_by_sheet() {
        let key = |month, sheet, cell: &str| CounterKey { month, sheet, cell: cell.into() };
        let keys = [key(7, 1, ""), key(7, 1, "a"), key(7, 1, "é"), key(7, 2, "a"), key(8, 0, "")];
        let bytes: Vec<Vec<u8>> = keys
            .iter()
            .map(|key| {
                let mut bytes = Vec::new();
                key.encode(&mut bytes);
                assert_eq!(CounterKey::decode(&bytes).as_ref(), Some(key));
                bytes
            })
            .collect();
        assert!(bytes.is_sorted() && keys.is_sorted());
        assert_eq!(CounterKey::decode(&[0, 0, 0, 7]), None);
        assert_eq!(CounterKey::decode(&[0, 0, 0, 7, 1, 0xff]), None);
    }
}
