//! Many strings in one, each kept once.

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
    /// By their hashes, each in its place or in one of those behind it; no more than half of the places are taken.
    places: Vec<Place>,
    taken: usize,
    hasher: RandomState,
}

/// A string's number and its hash; number 0: nobody's place.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    hash: u32,
    id: u32,
}

/// Places of the first table.
const FIRST_PLACES: usize = 1 << 10;

impl Interner {
    /// The number of a string.
    pub(super) fn add(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if self.taken * 2 >= self.places.len() {
            self.grow();
        }
        let hash = half(self.hasher.hash_one(text));
        let mut at = hash as usize & (self.places.len() - 1);
        loop {
            match self.places[at] {
                Place { id: 0, .. } => {
                    let id = self.strings.push(text);
                    self.places[at] = Place { hash, id };
                    self.taken += 1;
                    return id;
                }
                // Where the hashes differ the string need not be looked at: it lies elsewhere in memory.
                Place { hash: other, id } if other == hash && self.strings.at(id) == text => return id,
                _ => at = (at + 1) & (self.places.len() - 1),
            }
        }
    }

    /// The number of a string that is likely to come once: it is not looked for, and found by nobody.
    pub(super) fn push(&mut self, text: &str) -> u32 {
        if text.is_empty() { 0 } else { self.strings.push(text) }
    }

    fn grow(&mut self) {
        let count = (self.places.len() * 2).max(FIRST_PLACES);
        let before = std::mem::replace(&mut self.places, vec![Place::default(); count]);
        for place in before.into_iter().filter(|place| place.id != 0) {
            let mut at = place.hash as usize & (count - 1);
            while self.places[at].id != 0 {
                at = (at + 1) & (count - 1);
            }
            self.places[at] = place;
        }
    }

    /// The strings, when all are there.
    pub(super) fn finish(mut self) -> Strings {
        self.strings.shrink();
        self.strings
    }
}

/// Half of a hash: enough for as many strings as an extraction can have.
fn half(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or_default()
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

    #[test]
    fn many_strings_are_told_apart_however_the_table_grows() {
        let mut interner = Interner::default();
        let text = |number: u32| format!("{number:x}");
        let ids: Vec<u32> = (0..20_000).map(|number| interner.add(&text(number))).collect();
        assert_eq!(interner.push("7"), 20_001, "it is not looked for");
        for (number, id) in (0..).zip(ids) {
            assert_eq!(interner.add(&text(number)), id);
            assert_eq!(interner.strings.at(id), text(number));
        }
    }
}
