//! The list of a folder's messages that sessions share: (UID, modification sequence, flags, keywords), by rising UID.
//!
//! It is copy on write in chunks: a session keeps the list that it has shown to its client, a change copies the one or
//! two chunks that it touches, and comparing two lists skips the chunks that are the same memory. 100,000 messages
//! cost 2.4 MB once, however many sessions look at them.

use std::sync::Arc;

use crate::store::Uid;

/// Entries of a full chunk. A change copies at most so many entries of 24 bytes.
const CHUNK_ENTRIES: usize = 512;

/// What a session knows of every message without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the folder.
    pub uid: Uid,
    /// System flags, the bits of [`crate::store::flags`].
    pub flags: u32,
    /// Its modification sequence (RFC 7162).
    pub modseq: u64,
    /// Bit `i`: keyword `i` of the folder.
    pub keywords: u64,
}

/// A list of entries by rising UID; a clone shares all chunks.
#[derive(Clone, Debug, Default)]
pub struct FolderList {
    chunks: Vec<Chunk>,
    len: usize,
}

/// Entries of a part of the list; never empty.
#[derive(Clone, Debug)]
struct Chunk {
    /// Index of its first entry in the whole list.
    start: usize,
    entries: Arc<Vec<Entry>>,
}

impl FolderList {
    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entry at an index (a sequence number minus one).
    pub fn at(&self, index: usize) -> Option<&Entry> {
        let chunk = self.chunk_of(index)?;
        chunk.entries.get(index - chunk.start)
    }

    /// The index of a UID.
    pub fn index_of(&self, uid: Uid) -> Option<usize> {
        let index = self.first_from(uid);
        (self.at(index)?.uid == uid).then_some(index)
    }

    /// The index of the first entry with this UID or a higher one; `len()` when there is none.
    pub fn first_from(&self, uid: Uid) -> usize {
        let after = self.chunks.partition_point(|chunk| chunk.first_uid() <= uid);
        let Some(chunk) = after.checked_sub(1).and_then(|at| self.chunks.get(at)) else { return 0 };
        chunk.start + chunk.entries.partition_point(|entry| entry.uid < uid)
    }

    /// All entries by rising UID.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.chunks.iter().flat_map(|chunk| chunk.entries.iter())
    }

    /// The entries from an index on.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = &Entry> {
        let first = self.chunks.partition_point(|chunk| chunk.start + chunk.entries.len() <= index);
        let skip = self.chunks.get(first).map_or(0, |chunk| index.saturating_sub(chunk.start));
        self.chunks[first..].iter().flat_map(|chunk| chunk.entries.iter()).skip(skip)
    }

    /// The highest UID.
    pub fn last_uid(&self) -> Option<Uid> {
        self.chunks.last()?.entries.last().map(|entry| entry.uid)
    }

    /// Adds an entry at the end. Its UID must be above all others; one that is not is left out, and that is said.
    #[must_use]
    pub fn push(&mut self, entry: Entry) -> bool {
        if self.last_uid().is_some_and(|last| last >= entry.uid) {
            return false;
        }
        match self.chunks.last_mut() {
            Some(chunk) if chunk.entries.len() < CHUNK_ENTRIES => Arc::make_mut(&mut chunk.entries).push(entry),
            _ => self.chunks.push(Chunk { start: self.len, entries: Arc::new(vec![entry]) }),
        }
        self.len += 1;
        true
    }

    /// Puts new flags in place of the entry with the same UID; false when there is none.
    pub fn replace(&mut self, entry: Entry) -> bool {
        let Some(index) = self.index_of(entry.uid) else { return false };
        let at = self.chunk_index(index);
        let Some(chunk) = self.chunks.get_mut(at) else { return false };
        Arc::make_mut(&mut chunk.entries)[index - chunk.start] = entry;
        true
    }

    /// Takes entries out; `uids` rise.
    pub fn remove(&mut self, uids: &[Uid]) {
        let mut rest = uids;
        for chunk in &mut self.chunks {
            let (first, last) = (chunk.first_uid(), chunk.last_uid());
            let from = rest.partition_point(|uid| *uid < first);
            let to = rest.partition_point(|uid| *uid <= last);
            let (here, later) = (&rest[from..to], &rest[to..]);
            rest = later;
            if !here.is_empty() && chunk.entries.iter().any(|entry| here.binary_search(&entry.uid).is_ok()) {
                Arc::make_mut(&mut chunk.entries).retain(|entry| here.binary_search(&entry.uid).is_err());
            }
        }
        self.chunks.retain(|chunk| !chunk.entries.is_empty());
        self.renumber();
    }

    fn renumber(&mut self) {
        let mut start = 0;
        for chunk in &mut self.chunks {
            chunk.start = start;
            start += chunk.entries.len();
        }
        self.len = start;
    }

    fn chunk_index(&self, index: usize) -> usize {
        self.chunks.partition_point(|chunk| chunk.start <= index).saturating_sub(1)
    }

    fn chunk_of(&self, index: usize) -> Option<&Chunk> {
        self.chunks.get(self.chunk_index(index))
    }

    /// What leads from this list to a newer one, with chunks that both share passed over.
    pub fn diff(&self, newer: &FolderList) -> Diff {
        let mut diff = Diff::default();
        let (mut old, mut new) = (Cursor::new(self), Cursor::new(newer));
        loop {
            if old.skip_shared(&mut new) {
                continue;
            }
            match (old.peek(), new.peek()) {
                (None, None) => return diff,
                (Some(gone), next) if next.is_none_or(|entry| entry.uid > gone.uid) => {
                    diff.removed.push(gone.uid);
                    old.step();
                }
                (before, Some(entry)) => {
                    match before {
                        Some(before) if before.uid == entry.uid => {
                            if before != entry {
                                diff.changed.push(*entry);
                            }
                            old.step();
                        }
                        _ => diff.arrived.push(*entry),
                    }
                    new.step();
                }
                (Some(_), None) => old.step(),
            }
        }
    }
}

/// What leads from one list to another; each part by rising UID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// UIDs that are gone.
    pub removed: Vec<Uid>,
    /// Entries with other flags, keywords or modification sequence, as they are now.
    pub changed: Vec<Entry>,
    /// New entries.
    pub arrived: Vec<Entry>,
}

impl Chunk {
    fn first_uid(&self) -> Uid {
        self.entries.first().map_or(Uid::MAX, |entry| entry.uid)
    }

    fn last_uid(&self) -> Uid {
        self.entries.last().map_or(0, |entry| entry.uid)
    }
}

/// A place in a list: chunk and entry within.
struct Cursor<'a> {
    chunks: &'a [Chunk],
    entry: usize,
}

impl<'a> Cursor<'a> {
    fn new(list: &'a FolderList) -> Self {
        Self { chunks: &list.chunks, entry: 0 }
    }

    fn peek(&self) -> Option<&'a Entry> {
        self.chunks.first()?.entries.get(self.entry)
    }

    fn step(&mut self) {
        self.entry += 1;
        if self.chunks.first().is_some_and(|chunk| self.entry >= chunk.entries.len()) {
            self.chunks = &self.chunks[1..];
            self.entry = 0;
        }
    }

    /// When both stand at the beginning of the same memory: goes behind it in both.
    fn skip_shared(&mut self, other: &mut Cursor<'_>) -> bool {
        match (self.chunks.split_first(), other.chunks.split_first()) {
            (Some((mine, rest)), Some((theirs, others)))
                if self.entry == 0 && other.entry == 0 && Arc::ptr_eq(&mine.entries, &theirs.entries) =>
            {
                self.chunks = rest;
                other.chunks = others;
                true
            }
            _ => false,
        }
    }
}

impl FromIterator<Entry> for FolderList {
    /// Builds a list from entries by rising UID; one out of order is left out.
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut list = FolderList::default();
        let mut chunk = Vec::with_capacity(CHUNK_ENTRIES);
        let mut last: Option<Uid> = None;
        for entry in entries {
            if last.is_some_and(|last| last >= entry.uid) {
                continue;
            }
            last = Some(entry.uid);
            chunk.push(entry);
            if chunk.len() == CHUNK_ENTRIES {
                list.seal_chunk(&mut chunk);
            }
        }
        list.seal_chunk(&mut chunk);
        list
    }
}

impl FolderList {
    fn seal_chunk(&mut self, entries: &mut Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let mut entries = std::mem::take(entries);
        entries.shrink_to_fit();
        let start = self.len;
        self.len += entries.len();
        self.chunks.push(Chunk { start, entries: Arc::new(entries) });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(uid: Uid) -> Entry {
        Entry { uid, flags: 0, modseq: u64::from(uid), keywords: 0 }
    }

    fn list(uids: impl IntoIterator<Item = Uid>) -> FolderList {
        uids.into_iter().map(entry).collect()
    }

    #[test]
    fn entries_are_found_by_index_and_by_uid() {
        let list = list((1..=2_000).map(|n| n * 3));
        assert_eq!(list.len(), 2_000);
        for index in [0, 1, 511, 512, 513, 1_999] {
            let uid = (index as Uid + 1) * 3;
            assert_eq!(list.at(index).unwrap().uid, uid);
            assert_eq!(list.index_of(uid), Some(index));
            assert_eq!(list.index_of(uid + 1), None);
            assert_eq!(list.first_from(uid - 2), index);
            assert_eq!(list.iter_from(index).next().unwrap().uid, uid);
        }
        assert_eq!(list.at(2_000), None);
        assert_eq!(list.first_from(6_001), 2_000);
        assert_eq!(list.iter_from(2_000).count(), 0);
    }

    #[test]
    fn a_uid_that_does_not_rise_is_left_out() {
        let mut list = list([5]);
        assert!(!list.push(entry(5)));
        assert!(!list.push(entry(4)));
        assert!(list.push(entry(6)));
        assert_eq!(list.len(), 2);
    }

    #[test]
    fn a_change_copies_one_chunk_and_a_diff_finds_it() {
        let old = list(1..=10_000);
        let mut new = old.clone();
        assert!(new.replace(Entry { flags: 1, ..entry(5_000) }));
        let shared = old.chunks.iter().zip(&new.chunks).filter(|(a, b)| Arc::ptr_eq(&a.entries, &b.entries)).count();
        assert_eq!(shared, old.chunks.len() - 1);
        let diff = old.diff(&new);
        assert_eq!(diff.changed, [Entry { flags: 1, ..entry(5_000) }]);
        assert!(diff.removed.is_empty() && diff.arrived.is_empty());
    }

    proptest! {
        #[test]
        fn a_diff_leads_from_any_list_to_any_later_one(
            start in 0u32..1500,
            gone in proptest::collection::btree_set(1u32..1500, 0..60),
            flagged in proptest::collection::btree_set(1u32..1500, 0..60),
            more in 0u32..700,
        ) {
            let old = list(1..=start);
            let mut new = old.clone();
            let gone: Vec<Uid> = gone.into_iter().collect();
            new.remove(&gone);
            for &uid in &flagged {
                new.replace(Entry { flags: 9, ..entry(uid) });
            }
            for uid in start + 1..=start + more {
                prop_assert!(new.push(entry(uid)));
            }
            let diff = old.diff(&new);
            let mut walked = old.clone();
            walked.remove(&diff.removed);
            for changed in &diff.changed {
                prop_assert!(walked.replace(*changed));
            }
            for arrived in &diff.arrived {
                prop_assert!(walked.push(*arrived));
            }
            prop_assert!(walked.iter().eq(new.iter()));
            prop_assert_eq!(walked.len(), new.iter().count());
            for (index, entry) in new.iter().enumerate() {
                prop_assert_eq!(new.at(index).map(|e| e.uid), Some(entry.uid));
                prop_assert_eq!(new.index_of(entry.uid), Some(index));
            }
            let changed: Vec<Uid> = diff.changed.iter().map(|e| e.uid).collect();
            let expected: Vec<Uid> =
                flagged.into_iter().filter(|uid| *uid <= start && !gone.contains(uid)).collect();
            prop_assert_eq!(changed, expected);
        }
    }
}
