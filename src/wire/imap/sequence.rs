//! Sequence sets of message numbers and UIDs, RFC 3501 §9.

use std::fmt;
use std::ops::RangeInclusive;

use super::cursor::{Cursor, ParseError};

/// A number, or `*`: the greatest in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeqNumber {
    /// A number greater than zero.
    Number(u32),
    /// `*`
    Last,
}

impl SeqNumber {
    fn resolve(self, last: u32) -> u32 {
        match self {
            SeqNumber::Number(number) => number,
            SeqNumber::Last => last,
        }
    }
}

/// `sequence-set`: ranges as the client gave them; the ends of a range may be in either order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceSet(Vec<(SeqNumber, SeqNumber)>);

impl SequenceSet {
    /// The set of given numbers.
    pub fn of(numbers: impl IntoIterator<Item = u32>) -> Self {
        SequenceSet(numbers.into_iter().map(|n| (SeqNumber::Number(n), SeqNumber::Number(n))).collect())
    }

    /// Reads a set.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let mut ranges = Vec::new();
        loop {
            let first = number(cursor)?;
            let last = if cursor.eat(b':') { number(cursor)? } else { first };
            ranges.push((first, last));
            if !cursor.eat(b',') {
                return Ok(SequenceSet(ranges));
            }
        }
    }

    /// The set as rising ranges that neither touch nor overlap, `*` being `last`. With `last` 0 (an empty folder) `*`
    /// names nothing.
    pub fn ranges(&self, last: u32) -> Vec<RangeInclusive<u32>> {
        let mut ranges: Vec<(u32, u32)> = self
            .0
            .iter()
            .map(|&(one, other)| (one.resolve(last), other.resolve(last)))
            .map(|(one, other)| (one.min(other).max(1), one.max(other)))
            .filter(|(low, high)| low <= high)
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match merged.last_mut() {
                Some(before) if low <= before.1.saturating_add(1) => before.1 = before.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        merged.into_iter().map(|(low, high)| low..=high).collect()
    }

    /// The greatest number named. A range with `*` at one end does not count: it always names something, the last
    /// message at least (RFC 3501 §9, `seq-range`).
    pub fn greatest(&self) -> u32 {
        let numbers = |&(one, other): &(SeqNumber, SeqNumber)| match (one, other) {
            (SeqNumber::Number(one), SeqNumber::Number(other)) => one.max(other),
            _ => 0,
        };
        self.0.iter().map(numbers).max().unwrap_or(0)
    }

    /// True when `*` is named.
    pub fn names_last(&self) -> bool {
        self.0.iter().any(|&(one, other)| one == SeqNumber::Last || other == SeqNumber::Last)
    }
}

/// Writes rising numbers as a set: `1:3,5`.
pub fn write(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    use std::io::Write as _;
    let mut numbers = numbers.into_iter();
    let Some(first) = numbers.next() else { return };
    let (mut low, mut high) = (first, first);
    let mut begun = false;
    let mut put = |low: u32, high: u32| {
        if begun {
            out.push(b',');
        }
        begun = true;
        // Writing to a Vec cannot fail.
        let _ = if low == high { write!(out, "{low}") } else { write!(out, "{low}:{high}") };
    };
    for number in numbers {
        if high.checked_add(1) == Some(number) {
            high = number;
        } else {
            put(low, high);
            (low, high) = (number, number);
        }
    }
    put(low, high);
}

impl fmt::Display for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |f: &mut fmt::Formatter<'_>, number| match number {
            SeqNumber::Number(number) => write!(f, "{number}"),
            SeqNumber::Last => f.write_str("*"),
        };
        for (index, &(first, last)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            number(f, first)?;
            if first != last {
                f.write_str(":")?;
                number(f, last)?;
            }
        }
        Ok(())
    }
}

fn number(cursor: &mut Cursor<'_>) -> Result<SeqNumber, ParseError> {
    if cursor.eat(b'*') { Ok(SeqNumber::Last) } else { cursor.nz_number().map(SeqNumber::Number) }
}
