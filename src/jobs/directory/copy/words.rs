//! Words, and what has them: found by how they begin.

use super::strings::{Interner, Strings};
use crate::jobs::directory::fold;

/// Words in order, each with the numbers of what has it.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// In order; number 0 is the empty one, which nothing has.
    words: Strings,
    /// Where the numbers of each word begin; one more at the end.
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Words {
    /// The numbers of what has a word that begins so; some more than once.
    pub(super) fn beginning(&self, prefix: &str) -> &[u32] {
        let first = self.first_not(|word| word < prefix);
        let end = self.first_not(|word| word < prefix || word.starts_with(prefix));
        let start = |at: usize| self.starts.get(at).map_or(self.targets.len(), |start| *start as usize);
        self.targets.get(start(first)..start(end)).unwrap_or_default()
    }

    /// The number of the first word for which that does not hold.
    fn first_not(&self, holds: impl Fn(&str) -> bool) -> usize {
        let (mut low, mut high) = (0, self.words.len());
        while low < high {
            let middle = low.midpoint(high);
            if holds(self.words.at(u32::try_from(middle).unwrap_or(u32::MAX))) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        low
    }

    /// Bytes that they take.
    pub(super) fn memory(&self) -> usize {
        self.words.memory() + (self.starts.capacity() + self.targets.capacity()) * size_of::<u32>()
    }
}

/// Words that are being gathered.
#[derive(Debug, Default)]
pub(super) struct WordsBuilder {
    words: Interner,
    /// A word's number in the upper half, and the number of what has it.
    pairs: Vec<u64>,
    word: String,
}

impl WordsBuilder {
    /// What has this number has the words of a text.
    pub(super) fn add(&mut self, text: &str, target: u32) {
        let Self { words, pairs, word } = self;
        fold::words(text, word, |word| pairs.push(u64::from(words.add(word)) << 32 | u64::from(target)));
    }

    /// The words, when all are there.
    pub(super) fn finish(self) -> Words {
        let Self { words, mut pairs, .. } = self;
        let known = words.finish();
        let count = u32::try_from(known.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_unstable_by_key(|&id| known.at(id));
        let (mut rank, mut sorted) = (vec![0u32; known.len()], Strings::default());
        for (at, &id) in (0..).zip(&order) {
            rank[id as usize] = at;
            if id != 0 {
                sorted.push(known.at(id));
            }
        }
        sorted.shrink();
        for pair in &mut pairs {
            let (word, target) = (*pair >> 32, *pair & u64::from(u32::MAX));
            *pair = u64::from(rank[usize::try_from(word).unwrap_or_default()]) << 32 | target;
        }
        pairs.sort_unstable();
        pairs.dedup();
        let mut starts = Vec::with_capacity(known.len() + 1);
        let mut targets = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let word = usize::try_from(pair >> 32).unwrap_or_default();
            let at = u32::try_from(targets.len()).unwrap_or(u32::MAX);
            starts.resize(starts.len().max(word + 1), at);
            targets.push(u32::try_from(pair & u64::from(u32::MAX)).unwrap_or_default());
        }
        starts.resize(known.len() + 1, u32::try_from(targets.len()).unwrap_or(u32::MAX));
        Words { words: sorted, starts, targets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_word_is_found_by_its_beginning() {
        let mut builder = WordsBuilder::default();
        for (target, text) in (0..).zip(["Martin Jean", "MARTINEZ Éloïse", "Dumartin", "", "Jean-Martin Lemartin"]) {
            builder.add(text, target);
        }
        let words = builder.finish();
        let found = |prefix: &str| {
            let mut found = words.beginning(prefix).to_vec();
            found.sort_unstable();
            found.dedup();
            found
        };
        assert_eq!(found("martin"), [0, 1, 4]);
        assert_eq!(found("martine"), [1]);
        assert_eq!(found("jean"), [0, 4]);
        assert_eq!(found("eloise"), [1]);
        assert_eq!(found("dumartin"), [2]);
        assert_eq!(found("zz"), [0; 0]);
        assert_eq!(found("a"), [0; 0]);
        assert_eq!(found(""), [0, 1, 2, 4]);
        assert_eq!(WordsBuilder::default().finish().beginning("a"), [0; 0]);
    }
}
