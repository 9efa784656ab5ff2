//! Finding mailboxes by words.

use super::{Copy, Entry, Groups, Words};
use crate::jobs::directory::fold;

/// Words of a query that are looked for; more say nothing new.
const MOST_WORDS: usize = 12;

/// What a word is looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// A professional's name and first name.
    Name,
    /// Their number: RPPS, with the digit of its kind or without.
    Number,
    /// The mail address.
    Address,
    /// The structure's names and number, and the service.
    Structure,
    /// The profession and what they specialise in.
    Profession,
    /// The town and its postcode.
    Town,
}

/// What is looked for: all the words, each in its field or in any, as the beginning of a word there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Query {
    words: Vec<(Option<Field>, String)>,
}

impl Query {
    /// The words of a text too, in a field or in any.
    #[must_use]
    pub fn with(mut self, field: Option<Field>, text: &str) -> Self {
        let words = &mut self.words;
        fold::words(text, &mut String::new(), |word| {
            let word = (field, word.to_owned());
            if words.len() < MOST_WORDS && !words.contains(&word) {
                words.push(word);
            }
        });
        self
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The words of a field; of none: those that any may have.
    pub fn words(&self, field: Option<Field>) -> impl Iterator<Item = &str> {
        self.words.iter().filter(move |(of, _)| *of == field).map(|(_, word)| word.as_str())
    }
}

/// A set of mailboxes, or of groups.
struct Bits(Vec<u64>);

impl Bits {
    fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn put(&mut self, at: u32) {
        if let Some(word) = self.0.get_mut(at as usize / 64) {
            *word |= 1 << (at % 64);
        }
    }

    fn keep(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= other;
        }
    }

    fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.0).flat_map(|(at, &word): (u32, &u64)| {
            let next = |word: &u64| Some(word & word.wrapping_sub(1)).filter(|rest| *rest != 0);
            let words = std::iter::successors(Some(word).filter(|word| *word != 0), next);
            words.map(move |word| at * 64 + word.trailing_zeros())
        })
    }
}

impl Copy {
    /// How many mailboxes a query finds, and some of them in the order of their names.
    pub fn find(&self, query: &Query, skipped: usize, most: usize) -> (usize, Vec<Entry>) {
        let mut found: Option<Bits> = None;
        for (field, word) in &query.words {
            let with_word = self.with_word(*field, word);
            match &mut found {
                Some(found) => found.keep(&with_word),
                None => found = Some(with_word),
            }
        }
        let Some(found) = found else { return (0, Vec::new()) };
        let mailboxes = found.iter().skip(skipped).take(most).map(|at| self.entry(&self.mailboxes[at as usize]));
        (found.count(), mailboxes.collect())
    }

    fn with_word(&self, field: Option<Field>, word: &str) -> Bits {
        let mut found = Bits::none(self.len());
        let is_asked = |of: Field| field.is_none_or(|field| field == of);
        let own = [
            (Field::Name, &self.names),
            (Field::Number, &self.numbers),
            (Field::Address, &self.locals),
            (Field::Structure, &self.services),
        ];
        for (_, words) in own.into_iter().filter(|(of, _)| is_asked(*of)) {
            words.beginning(word).iter().for_each(|&mailbox| found.put(mailbox));
        }
        let of_groups: [(Field, &Words, &Groups); 4] = [
            (Field::Address, &self.domains, &self.by_domain),
            (Field::Structure, &self.structure_words, &self.by_structure),
            (Field::Town, &self.towns, &self.by_structure),
            (Field::Profession, &self.profession_words, &self.by_profession),
        ];
        for (_, words, groups) in of_groups.into_iter().filter(|(of, ..)| is_asked(*of)) {
            let mut with_word = Bits::none(groups.count());
            words.beginning(word).iter().for_each(|&group| with_word.put(group));
            for group in with_word.iter() {
                groups.of(group).iter().for_each(|&mailbox| found.put(mailbox));
            }
        }
        found
    }
}
