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
    /// They are not looked for before all are there.
    come_once: bool,
    words: Interner,
    /// A word's number, and the number of what has it; in the order of the latter.
    pairs: Vec<(u32, u32)>,
    /// By a word's number, what had it last: one more than that number.
    last: Vec<u32>,
    word: String,
}

impl WordsBuilder {
    /// For words of which most come once, as numbers do.
    pub(super) fn of_rare_words() -> Self {
        Self { come_once: true, ..Self::default() }
    }

    /// What has this number has the words of a text. Numbers rise.
    pub(super) fn add(&mut self, text: &str, target: u32) {
        let Self { come_once, words, pairs, last, word } = self;
        fold::words(text, word, |word| {
            if *come_once {
                return pairs.push((words.push(word), target));
            }
            let word = words.add(word);
            let at = word as usize;
            last.resize(last.len().max(at + 1), 0);
            if last[at] != target + 1 {
                last[at] = target + 1;
                pairs.push((word, target));
            }
        });
    }

    /// The words, when all are there.
    pub(super) fn finish(self) -> Words {
        let (known, pairs) = (self.words.finish(), self.pairs);
        let order = in_order(&known);
        let (mut rank, mut words) = (vec![0u32; known.len()], Strings::default());
        let (mut at, mut last) = (0, "");
        for id in order {
            let word = known.at(id);
            if word != last {
                (at, last) = (words.push(word), word);
            }
            rank[id as usize] = at;
        }
        words.shrink();
        let rank = |word: u32| rank[word as usize] as usize;
        // Sorted by counting: how many each word has says where they begin; they come in order as it is.
        let mut starts = vec![0u32; words.len() + 1];
        for (word, _) in &pairs {
            starts[rank(*word) + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let (mut next, mut targets) = (starts.clone(), vec![0; pairs.len()]);
        for (word, target) in pairs {
            let next = &mut next[rank(word)];
            targets[*next as usize] = target;
            *next += 1;
        }
        Words { words, starts, targets }
    }
}

/// The numbers of strings, but for the empty one, in the order of the strings.
fn in_order(known: &Strings) -> Vec<u32> {
    let count = u32::try_from(known.len()).unwrap_or(u32::MAX);
    // Most differ in how they begin, and then need not be fetched from memory to be compared.
    let mut order: Vec<(u128, u32)> = (1..count).map(|id| (beginning(known.at(id)), id)).collect();
    order.sort_unstable_by(|(a, one), (b, other)| a.cmp(b).then_with(|| known.at(*one).cmp(known.at(*other))));
    order.into_iter().map(|(_, id)| id).collect()
}

/// The first octets of a string, as a number that compares as they do.
fn beginning(text: &str) -> u128 {
    let mut octets = [0; 16];
    let length = text.len().min(octets.len());
    octets[..length].copy_from_slice(&text.as_bytes()[..length]);
    u128::from_be_bytes(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_word_is_found_by_its_beginning() {
        found_by_beginning(WordsBuilder::default());
        found_by_beginning(WordsBuilder::of_rare_words());
    }

    fn found_by_beginning(mut builder: WordsBuilder) {
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

    #[test]
    fn words_are_in_the_order_of_their_octets_however_long_they_are() {
        let long = |end: &str| format!("hospitalo-universitaire{end}");
        let texts =
            [long("b"), "a".to_owned(), long("a"), "œuvre".to_owned(), long(""), "ab".to_owned(), "é".to_owned()];
        let mut interner = Interner::default();
        for text in &texts {
            interner.add(text);
        }
        let known = interner.finish();
        let ordered: Vec<&str> = in_order(&known).into_iter().map(|id| known.at(id)).collect();
        let mut wanted: Vec<&str> = texts.iter().map(String::as_str).collect();
        wanted.sort_unstable();
        assert_eq!(ordered, wanted);
    }
}
