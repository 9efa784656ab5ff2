//! A day's index, and the sorted runs that it is merged from: term → offsets of the blocks that have it.
//!
//! ```text
//! page 0, page 1, …   4,096 bytes each:   used (2) ‖ groups ‖ zeros ‖ CRC32C (4)
//!                     group: term (8) ‖ count (2) ‖ offsets, each the difference to the one before (LEB128)
//! fence               the first term of each page (8 each)
//! footer (48 bytes)   magic (8) ‖ day (4) ‖ pages (4) ‖ entries (8) ‖ covered (8) ‖ damaged (8) ‖ CRC of the fence (4) ‖ CRC (4)
//! ```
//!
//! Numbers are little-endian. A term's offsets may go on over pages; the first of a page is written whole. `covered` is the
//! length of the day's file that the index speaks of; `damaged` how many stretches did not read when it was made: they are the
//! offsets of the greatest term (0 in an index of an older version, which left them out). The index says nothing that the blocks do not, so it is made again
//! where it is missing or damaged.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::day::Day;
use super::keys::DAMAGED;
use super::walk::read_up_to;
use crate::store::embedded::durable;
use crate::store::schema::codec::{Reader, put_uint};

const PAGE: usize = 4096;
const PAGE_HEAD: usize = 2;
const PAGE_END: usize = PAGE - 4;
const GROUP_HEAD: usize = 10;
const FOOTER: usize = 48;
const MAGIC: [u8; 8] = *b"cadidx1\n";

/// A term and where a block lies that has it.
pub(super) type Entry = (u64, u64);

/// Writes an index from entries that rise.
pub(super) struct IndexWriter {
    file: BufWriter<File>,
    temporary: Temporary,
    path: PathBuf,
    day: Day,
    page: Vec<u8>,
    /// Where in the page the present group begins.
    group: Option<usize>,
    last: Entry,
    fence: Vec<u8>,
    entries: u64,
    damaged: u64,
}

/// A file on its way: one that does not get its lasting name goes, and gives the disk its room back.
struct Temporary {
    path: PathBuf,
    is_named: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_named {
            // What is left behind is removed at the next opening.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl IndexWriter {
    pub(super) fn create(path: &Path, day: Day) -> io::Result<IndexWriter> {
        let temporary = path.with_extension("new");
        let file = BufWriter::with_capacity(16 * PAGE, File::create(&temporary)?);
        let temporary = Temporary { path: temporary, is_named: false };
        let (page, fence) = (vec![0; PAGE_HEAD], Vec::new());
        let path = path.to_owned();
        Ok(IndexWriter { file, temporary, path, day, page, group: None, last: (0, 0), fence, entries: 0, damaged: 0 })
    }

    /// Adds an entry; one that comes twice in a row counts once.
    pub(super) fn push(&mut self, entry: Entry) -> io::Result<()> {
        if self.entries > 0 && entry == self.last {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(20);
        match self.group.filter(|_| entry.0 == self.last.0) {
            Some(group) => {
                put_uint(&mut bytes, entry.1 - self.last.1);
                if self.page.len() + bytes.len() <= PAGE_END {
                    let count = u16::from_le_bytes([self.page[group + 8], self.page[group + 9]]) + 1;
                    self.page[group + 8..group + GROUP_HEAD].copy_from_slice(&count.to_le_bytes());
                    self.page.extend_from_slice(&bytes);
                } else {
                    self.end_page()?;
                    self.begin_group(entry)?;
                }
            }
            None => self.begin_group(entry)?,
        }
        (self.last, self.entries) = (entry, self.entries + 1);
        self.damaged += u64::from(entry.0 == DAMAGED);
        Ok(())
    }

    fn begin_group(&mut self, (term, offset): Entry) -> io::Result<()> {
        let mut bytes = term.to_le_bytes().to_vec();
        bytes.extend_from_slice(&1u16.to_le_bytes());
        put_uint(&mut bytes, offset);
        if self.page.len() + bytes.len() > PAGE_END {
            self.end_page()?;
        }
        if self.page.len() == PAGE_HEAD {
            self.fence.extend_from_slice(&term.to_le_bytes());
        }
        self.group = Some(self.page.len());
        self.page.extend_from_slice(&bytes);
        Ok(())
    }

    fn end_page(&mut self) -> io::Result<()> {
        let used = self.page.len() as u16;
        self.page[..PAGE_HEAD].copy_from_slice(&used.to_le_bytes());
        self.page.resize(PAGE_END, 0);
        let crc = crc32c::crc32c(&self.page);
        self.page.extend_from_slice(&crc.to_le_bytes());
        self.file.write_all(&self.page)?;
        self.page.clear();
        self.page.resize(PAGE_HEAD, 0);
        self.group = None;
        Ok(())
    }

    /// Ends the index and gives it its name: there, after a power cut, whole or not at all. `lasting`: not a run, which is made
    /// again after a crash anyway.
    pub(super) fn finish(mut self, covered: u64, lasting: bool) -> io::Result<()> {
        if self.page.len() > PAGE_HEAD {
            self.end_page()?;
        }
        let mut footer = MAGIC.to_vec();
        footer.extend_from_slice(&self.day.number().to_le_bytes());
        footer.extend_from_slice(&((self.fence.len() / 8) as u32).to_le_bytes());
        footer.extend_from_slice(&self.entries.to_le_bytes());
        footer.extend_from_slice(&covered.to_le_bytes());
        footer.extend_from_slice(&self.damaged.to_le_bytes());
        footer.extend_from_slice(&crc32c::crc32c(&self.fence).to_le_bytes());
        footer.extend_from_slice(&crc32c::crc32c(&footer).to_le_bytes());
        self.file.write_all(&self.fence)?;
        self.file.write_all(&footer)?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        if lasting {
            file.sync_all()?;
        }
        drop(file);
        fs::rename(&self.temporary.path, &self.path)?;
        self.temporary.is_named = true;
        if lasting { durable::sync_parent(&self.path) } else { Ok(()) }
    }
}

/// Where terms are looked up.
pub(super) trait Postings {
    /// The offsets of the blocks that have the term, rising.
    fn find(&self, term: u64) -> io::Result<Vec<u64>>;

    /// About how much there is to read for a term: the rarer, the less.
    fn weight(&self, term: u64) -> usize;

    /// Where the stretches begin of which it is not known what terms they have, rising.
    fn damaged(&self) -> io::Result<Vec<u64>>;
}

/// An index or a run, opened. What does not look right in it is [`io::ErrorKind::InvalidData`].
#[derive(Debug)]
pub(super) struct Index {
    file: File,
    fence: Vec<u64>,
    /// How long the day's file was that it speaks of.
    pub(super) covered: u64,
    has_damage: bool,
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the index is damaged")
}

impl Index {
    pub(super) fn open(path: &Path, day: Day) -> io::Result<Index> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let at = length.checked_sub(FOOTER as u64).ok_or_else(damaged)?;
        let mut footer = [0; FOOTER];
        file.read_exact_at(&mut footer, at)?;
        let word = |at: usize| u32::from_le_bytes([footer[at], footer[at + 1], footer[at + 2], footer[at + 3]]);
        let covered = u64::from(word(24)) | u64::from(word(28)) << 32;
        let has_damage = (word(32), word(36)) != (0, 0);
        let is_ours = footer[..8] == MAGIC && crc32c::crc32c(&footer[..44]) == word(44) && word(8) == day.number();
        let pages = u64::from(word(12));
        if !is_ours || pages * (PAGE as u64 + 8) != at {
            return Err(damaged());
        }
        let mut bytes = vec![0; pages as usize * 8];
        file.read_exact_at(&mut bytes, pages * PAGE as u64)?;
        if crc32c::crc32c(&bytes) != word(40) {
            return Err(damaged());
        }
        let term = |bytes: &[u8]| u64::from_le_bytes(*bytes.first_chunk().expect("a chunk of eight"));
        Ok(Index { file, fence: bytes.chunks_exact(8).map(term).collect(), covered, has_damage })
    }

    /// The entries of a page.
    fn page(&self, number: usize) -> io::Result<Vec<Entry>> {
        let mut bytes = [0; PAGE];
        if read_up_to(&self.file, &mut bytes, number as u64 * PAGE as u64)? < PAGE {
            return Err(damaged());
        }
        read_page(&bytes).ok_or_else(damaged)
    }

    /// All entries, rising.
    pub(super) fn entries(&self) -> Entries<'_> {
        Entries { index: self, page: 0, read: Vec::new().into_iter() }
    }
}

impl Postings for Index {
    fn find(&self, term: u64) -> io::Result<Vec<u64>> {
        // The page before the first that begins at or behind the term may end with it.
        let mut page = self.fence.partition_point(|first| *first < term).saturating_sub(1);
        let mut offsets = Vec::new();
        while self.fence.get(page).is_some_and(|first| *first <= term) {
            let entries = self.page(page)?;
            offsets.extend(entries.iter().filter(|entry| entry.0 == term).map(|entry| entry.1));
            page += 1;
        }
        Ok(offsets)
    }

    fn weight(&self, term: u64) -> usize {
        let before = self.fence.partition_point(|first| *first < term);
        self.fence.partition_point(|first| *first <= term) - before
    }

    fn damaged(&self) -> io::Result<Vec<u64>> {
        if self.has_damage { self.find(DAMAGED) } else { Ok(Vec::new()) }
    }
}

/// The entries of a page's bytes; `None` where they are damaged.
fn read_page(bytes: &[u8; PAGE]) -> Option<Vec<Entry>> {
    let (content, crc) = bytes.split_at(PAGE_END);
    if crc32c::crc32c(content).to_le_bytes() != crc {
        return None;
    }
    let used = usize::from(u16::from_le_bytes([content[0], content[1]]));
    let mut reader = Reader::new(content.get(PAGE_HEAD..used)?);
    let mut entries = Vec::with_capacity(512);
    while reader.left() > 0 {
        let head: [u8; GROUP_HEAD] = reader.take(GROUP_HEAD).ok()?.try_into().ok()?;
        let (term, count) = head.split_first_chunk::<8>()?;
        let mut offset = 0u64;
        for _ in 0..u16::from_le_bytes([count[0], count[1]]) {
            offset = offset.checked_add(reader.uint().ok()?)?;
            entries.push((u64::from_le_bytes(*term), offset));
        }
    }
    Some(entries)
}

/// All entries of an index, a page in memory at a time. After an error it ends.
pub(super) struct Entries<'a> {
    index: &'a Index,
    page: usize,
    read: std::vec::IntoIter<Entry>,
}

impl Iterator for Entries<'_> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.read.next() {
                return Some(Ok(entry));
            }
            if self.page >= self.index.fence.len() {
                return None;
            }
            match self.index.page(self.page) {
                Ok(entries) => (self.read, self.page) = (entries.into_iter(), self.page + 1),
                Err(error) => {
                    self.page = self.index.fence.len();
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::traces::tests::Directory;

    fn written(directory: &Directory, entries: &[Entry]) -> Index {
        let (path, day) = (directory.path().join("x.idx"), Day::from_number(3));
        let mut writer = IndexWriter::create(&path, day).unwrap();
        entries.iter().for_each(|entry| writer.push(*entry).unwrap());
        writer.finish(77, true).unwrap();
        Index::open(&path, day).unwrap()
    }

    #[test]
    fn terms_of_one_block_and_of_thousands_are_found_again_over_pages() {
        let directory = Directory::new();
        let mut entries: Vec<Entry> = (0..3000).map(|n| (n * 7, n * 1000 + 13)).collect();
        entries.extend((0..9000).map(|n| (700, n * 300)));
        entries.sort_unstable();
        let index = written(&directory, &entries);
        assert!(index.fence.len() > 5);
        assert_eq!(index.covered, 77);
        assert_eq!(index.entries().collect::<io::Result<Vec<_>>>().unwrap(), entries);
        for term in [0, 7, 700, 20_993, 1, 699, 701, u64::MAX] {
            let expected: Vec<u64> = entries.iter().filter(|entry| entry.0 == term).map(|entry| entry.1).collect();
            assert_eq!(index.find(term).unwrap(), expected, "term {term}");
        }
        assert!(written(&directory, &[]).find(0).unwrap().is_empty());
    }

    #[test]
    fn an_index_that_is_not_ended_gives_the_disk_its_room_back() {
        let directory = Directory::new();
        let mut writer = IndexWriter::create(&directory.path().join("x.idx"), Day::from_number(3)).unwrap();
        (0..9_000).for_each(|n| writer.push((n, n)).unwrap());
        drop(writer);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn every_changed_bit_is_damage() {
        let directory = Directory::new();
        let entries: Vec<Entry> = (0..600).map(|n| (n / 3, n * 100)).collect();
        drop(written(&directory, &entries));
        let path = directory.path().join("x.idx");
        let whole = fs::read(&path).unwrap();
        for byte in 0..whole.len() {
            let mut changed = whole.clone();
            changed[byte] ^= 1 << (byte % 8);
            fs::write(&path, &changed).unwrap();
            let read = Index::open(&path, Day::from_number(3));
            let all = read.and_then(|index| index.entries().collect::<io::Result<Vec<_>>>());
            assert!(all.is_err(), "byte {byte}");
        }
    }
}
