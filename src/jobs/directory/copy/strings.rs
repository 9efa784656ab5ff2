//! Many strings in one, each kept once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Strings behind one another, by number. Number 0 is the empty one.
#[derive(Debug)]
pub(super) struct Strings {
    text: String,
    ends: Vec<u32>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { text: String::new(), ends: vec![0] }
    }
}

impl Strings {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The string of a number; the empty one where there is none.
    pub(super) fn at(&self, id: u32) -> &str {
        let at = id as usize;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.ends.get(at).map_or("", |end| &self.text[start..*end as usize])
    }

    /// Bytes that they take.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    /// One more. An extraction has a bound (1 GiB) below that of the numbers.
    pub(super) fn push(&mut self, text: &str) -> u32 {
        self.text.push_str(text);
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        u32::try_from(self.ends.len() - 1).unwrap_or(u32::MAX)
    }

    /// Gives back room that is not needed.
    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// Strings that are being gathered: the same one has the same number.
#[derive(Debug, Default)]
pub(super) struct Interner {
    strings: Strings,
    /// By their hashes; where two strings have the same, the second one is beside.
    known: HashMap<u64, u32>,
    hasher: RandomState,
}

impl Interner {
    /// The number of a string.
    pub(super) fn add(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let mut hash = self.hasher.hash_one(text);
        loop {
            match self.known.get(&hash) {
                Some(&id) if self.strings.at(id) == text => return id,
                Some(_) => hash = hash.wrapping_add(1),
                None => {
                    let id = self.strings.push(text);
                    self.known.insert(hash, id);
                    return id;
                }
            }
        }
    }

    /// The strings, when all are there.
    pub(super) fn finish(mut self) -> Strings {
        self.strings.shrink();
        self.strings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_string_has_the_same_number() {
        let mut interner = Interner::default();
        let ids: Vec<u32> = ["", "a", "bé", "a", "", "ab"].iter().map(|text| interner.add(text)).collect();
        assert_eq!(ids, [0, 1, 2, 1, 0, 3]);
        let strings = interner.finish();
        let texts: Vec<&str> = (0..5).map(|id| strings.at(id)).collect();
        assert_eq!(texts, ["", "a", "bé", "ab", ""]);
    }
}
