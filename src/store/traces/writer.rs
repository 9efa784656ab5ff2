//! The open day's file, and what is written to it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::block::{BlockHead, BlockHeader, BlockKind, DayEnds, Hash, make, make_seal};
use super::day::Day;
use super::heads::Head;
use super::home::Home;
use super::keys::TraceKeys;
use super::tree::GrowingTree;
use super::{DaySummary, Line, Mark, TraceError};
use crate::store::embedded::durable;

/// Where a day's chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) day: Day,
    /// Bytes of the day's file that are on disk.
    pub(super) length: u64,
    /// Blocks, and so the next block's number.
    pub(super) blocks: u32,
    pub(super) lines: u64,
    /// The earliest moment of a line; of none the latest there is.
    pub(super) first: u64,
    pub(super) last: u64,
    /// The last block's hash.
    pub(super) previous: Hash,
    /// Where the last block begins.
    pub(super) offset: u64,
}

impl Tip {
    /// Of a day that has no block yet.
    pub(super) fn begin(day: Day, previous: Hash) -> Tip {
        Tip { day, length: 0, blocks: 0, lines: 0, first: u64::MAX, last: 0, previous, offset: 0 }
    }

    /// The head of the next block.
    pub(super) fn next(&self, kind: BlockKind) -> BlockHead {
        let Tip { day, blocks: number, lines: before, first, last, previous, .. } = *self;
        BlockHead { kind, day, number, before, first, last, count: 0, previous }
    }

    /// Goes on behind a block of lines that lies at an offset.
    pub(super) fn follow(&mut self, offset: u64, header: &BlockHeader) {
        let head = &header.head;
        self.offset = offset;
        self.length = offset + header.block_length();
        self.blocks = head.number.saturating_add(1);
        self.lines = head.before.saturating_add(u64::from(head.count));
        (self.first, self.last) = (self.first.min(head.first), self.last.max(head.last));
        self.previous = header.hash;
    }

    /// Whether the day is over; one that lies ahead: whether the day of its earliest line is.
    pub(super) fn is_over(&self, today: Day) -> bool {
        self.day < today || (self.day > today && Day::of(self.first) < today)
    }

    pub(super) fn summary(&self) -> DaySummary {
        let Tip { day, blocks, lines, length: bytes, first, last, .. } = *self;
        DaySummary { day, blocks, lines, bytes, first, last, sealed: false }
    }

    /// The last block of lines.
    pub(super) fn mark(&self) -> Option<Mark> {
        let block = self.blocks.checked_sub(1)?;
        Some(Mark { day: self.day, block, offset: self.offset, hash: self.previous })
    }
}

/// A block that was appended: where it begins, and the terms of its lines.
pub(super) type Appended = (u64, Vec<u64>);

/// The file that takes today's lines.
#[derive(Debug)]
pub(super) struct OpenDay {
    path: PathBuf,
    file: File,
    pub(super) tip: Tip,
    /// Over the hashes of its blocks.
    tree: GrowingTree,
    /// Its seal block is written: all that is left is to note its head.
    pub(super) seal: Option<Head>,
    /// Something behind the tip may be in the file: an append failed.
    is_dirty: bool,
}

impl OpenDay {
    /// Makes the file of a new day.
    pub(super) fn create(home: &Home, day: Day, previous: Hash) -> Result<OpenDay, TraceError> {
        let open = OpenDay::at(home, Tip::begin(day, previous), GrowingTree::default())?;
        durable::sync_parent(&open.path).map_err(TraceError::io("create", &open.path))?;
        if open.file.metadata().map_err(TraceError::io("read", &open.path))?.len() > 0 {
            return Err(TraceError::io("create", &open.path)(io::ErrorKind::AlreadyExists.into()));
        }
        Ok(open)
    }

    /// Opens the file of a day whose chain stands at `tip`; `tree` is over the hashes of its blocks.
    pub(super) fn at(home: &Home, tip: Tip, tree: GrowingTree) -> Result<OpenDay, TraceError> {
        let path = home.day(tip.day);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(TraceError::io("open", &path))?;
        Ok(OpenDay { path, file, tip, tree, seal: None, is_dirty: false })
    }

    /// Appends lines as blocks of at most `most` lines. On disk when this returns; after an error none of them is.
    pub(super) fn append(
        &mut self,
        keys: &TraceKeys,
        lines: &[Line],
        most: usize,
    ) -> Result<Vec<Appended>, TraceError> {
        let (mut tip, mut tree, mut blocks, mut rest) = (self.tip, self.tree.clone(), Vec::new(), lines);
        self.begin_writing()?;
        while !rest.is_empty() {
            let (made, taken) = make(keys, tip.next(BlockKind::Lines), rest, most);
            let offset = tip.length;
            self.write(&made.bytes, offset)?;
            tip.follow(offset, &made.header);
            tree.push(&made.header.hash);
            blocks.push((offset, made.terms));
            rest = &rest[taken..];
        }
        self.sync()?;
        (self.tip, self.tree) = (tip, tree);
        Ok(blocks)
    }

    /// Appends the block that closes the day. `before` is the hash of the seal of the day before.
    pub(super) fn seal(&mut self, keys: &TraceKeys, before: Hash) -> Result<Head, TraceError> {
        if let Some(head) = &self.seal {
            return Ok(head.clone());
        }
        self.begin_writing()?;
        let ends = DayEnds { before, tree: Some(self.tree.root()) };
        let (header, bytes) = make_seal(keys, self.tip.next(BlockKind::Seal), &ends);
        self.write(&bytes, self.tip.length)?;
        self.sync()?;
        self.tip.length += bytes.len() as u64;
        Ok(self.seal.insert(Head::of(&header, ends)).clone())
    }

    /// What an append that failed left behind the tip is cut off first, or a shorter one would leave its end in the file.
    fn begin_writing(&mut self) -> Result<(), TraceError> {
        if self.is_dirty {
            self.file.set_len(self.tip.length).map_err(TraceError::io("cut", &self.path))?;
        }
        self.is_dirty = true;
        Ok(())
    }

    fn write(&self, bytes: &[u8], offset: u64) -> Result<(), TraceError> {
        self.file.write_all_at(bytes, offset).map_err(|error| self.give_up("write", error))
    }

    fn sync(&mut self) -> Result<(), TraceError> {
        self.file.sync_data().map_err(|error| self.give_up("sync", error))?;
        self.is_dirty = false;
        Ok(())
    }

    /// What was on disk before stays: earlier blocks were synced when they were written. What comes later is written anew,
    /// so that the next sync speaks of it.
    fn give_up(&self, action: &'static str, error: io::Error) -> TraceError {
        // If this fails too, the next append or start cuts.
        let _ = self.file.set_len(self.tip.length);
        TraceError::io(action, &self.path)(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MailboxKey;
    use crate::store::traces::examine;
    use crate::store::traces::tests::Directory;

    #[test]
    fn an_append_that_fails_files_nothing_and_can_be_made_again() {
        let directory = Directory::new();
        let (home, keys) = (Home::open(directory.path()).unwrap(), TraceKeys::derive(&MailboxKey::generate()));
        let day = Day::from_number(7);
        let lines: Vec<Line> = (0..9).map(|at| Line { at, terms: vec![], text: vec![b'x'; 500] }).collect();
        let mut open = OpenDay::create(&home, day, [0; 32]).unwrap();
        open.append(&keys, &lines[..2], 1).unwrap();
        let (tip, path) = (open.tip, home.day(day));
        // A file that takes no writing stands for a disk that does not; what it took before, behind the tip, is left there.
        open.file = File::open(&path).unwrap();
        assert!(matches!(open.append(&keys, &lines, 4), Err(TraceError::Io { action: "write", .. })));
        assert!(open.seal(&keys, [0; 32]).is_err());
        assert_eq!((open.tip, &open.seal), (tip, &None));
        let left = [std::fs::read(&path).unwrap(), vec![0xAA; 5000]].concat();
        std::fs::write(&path, left).unwrap();
        open.file = File::options().read(true).write(true).open(&path).unwrap();
        open.append(&keys, &lines[2..3], 4).unwrap();
        let blocks = examine(&std::fs::read(&path).unwrap());
        assert_eq!(blocks.iter().map(|block| block.is_whole).collect::<Vec<_>>(), [true; 3]);
        assert_eq!(blocks[2].header.unwrap().head.previous, tip.previous);
    }
}
