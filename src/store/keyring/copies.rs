//! The two key files: read against each other, mended from each other, written one after the other.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::slot::{self, Bytes, Head, KEYS_FORMAT, SLOT, Written};
use crate::store::embedded::durable;
use crate::store::embedded::frame::Salt;
use crate::store::error::OpenError;

/// Their names in the store's directory.
pub(super) const NAMES: [&str; 2] = ["keys-1", "keys-2"];

/// What a disk gives or refuses at once.
const BLOCK: usize = 4096;

/// A copy as it was read.
struct Copy {
    head_is_whole: bool,
    /// The disk refused some of it, which stands in `bytes` as damage.
    is_unreadable: bool,
    bytes: Vec<u8>,
}

/// Both copies, read against each other.
pub(super) struct Merged {
    /// By number; `None`: damaged in both copies.
    pub(super) slots: Vec<Option<Written>>,
    /// Slots and headers that one copy has wrong or has not, by copy: `None` stands for the header.
    wrong: [Vec<Option<u32>>; 2],
    /// Slots that both copies have whole, written equally often, and not the same: neither may be written over.
    pub(super) contradicting: Vec<u32>,
    /// One of the copies has the store's header.
    has_head: bool,
    /// Which copies are there, and can be read from one end to the other.
    there: [bool; 2],
    /// Which copies the disk does not give whole.
    unreadable: [bool; 2],
}

/// Reads the copies in a store's directory, and changes nothing. Without any, no slots.
pub(super) fn read(directory: &Path, salt: &Salt) -> Result<Merged, OpenError> {
    let [one, two] = NAMES.map(|name| directory.join(name));
    Ok(merge([read_copy(&one, salt)?, read_copy(&two, salt)?], salt))
}

fn read_copy(path: &Path, salt: &Salt) -> Result<Option<Copy>, OpenError> {
    let (bytes, is_unreadable) = match fs::read(path) {
        Ok(bytes) => (bytes, false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(OpenError::io("read", path)(error));
        }
        Err(error) => {
            tracing::error!(event = "store.keys", path = %path.display(), %error, "a key file cannot be read whole");
            (read_what_can_be(path).map_err(OpenError::io("read", path))?, true)
        }
    };
    let head = bytes.first_chunk().map_or(Head::Damaged, |head| slot::read_head(head, salt));
    match head {
        Head::Newer(found) => Err(OpenError::Format { path: path.to_owned(), found, known: KEYS_FORMAT }),
        // It may be all that another store has of its keys: it is not mended into one of ours.
        Head::Foreign => Err(OpenError::ForeignKeys(path.to_owned())),
        Head::Ours | Head::Damaged => Ok(Some(Copy { head_is_whole: head == Head::Ours, is_unreadable, bytes })),
    }
}

/// What the disk gives of a file that it does not give whole.
fn read_what_can_be(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    // What is no file holds nothing.
    let length = if metadata.is_file() { usize::try_from(metadata.len()).map_err(io::Error::other)? } else { 0 };
    Ok(read_by_blocks(length, |at, block| file.read_exact_at(block, at)))
}

/// Reads block by block; one that is refused is damage, which no slot and no header decodes from.
pub(super) fn read_by_blocks(length: usize, read: impl Fn(u64, &mut [u8]) -> io::Result<()>) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for (number, block) in bytes.chunks_mut(BLOCK).enumerate() {
        if read((number * BLOCK) as u64, block).is_err() {
            block.fill(u8::MAX);
        }
    }
    bytes
}

impl Copy {
    /// How many slots it has, a half one at its end too.
    fn count(&self) -> usize {
        self.bytes.len().saturating_sub(SLOT).div_ceil(SLOT)
    }

    /// A slot; `None`: damaged or cut. What lies beyond its end was never written there.
    fn slot(&self, number: u32, salt: &Salt) -> Option<Written> {
        let from = offset(number) as usize;
        match self.bytes.get(from..).filter(|rest| !rest.is_empty()) {
            Some(rest) => Written::decode(rest.first_chunk()?, number, salt),
            None => Some(Written::FREE),
        }
    }
}

/// Where a slot begins in its file.
fn offset(number: u32) -> u64 {
    (u64::from(number) + 1) * SLOT as u64
}

fn merge(copies: [Option<Copy>; 2], salt: &Salt) -> Merged {
    let count = copies.iter().flatten().map(Copy::count).max().unwrap_or(0);
    let unreadable = copies.each_ref().map(|copy| copy.as_ref().is_some_and(|copy| copy.is_unreadable));
    let there = copies.each_ref().map(|copy| copy.as_ref().is_some_and(|copy| !copy.is_unreadable));
    let has_head = copies.iter().flatten().any(|copy| copy.head_is_whole);
    let slots = Vec::with_capacity(count);
    let mut merged =
        Merged { slots, wrong: Default::default(), contradicting: Vec::new(), has_head, there, unreadable };
    for (copy, wrong) in copies.iter().zip(&mut merged.wrong) {
        if copy.as_ref().is_some_and(|copy| !copy.head_is_whole) {
            wrong.push(None);
        }
    }
    for number in 0..count as u32 {
        let read = copies.each_ref().map(|copy| copy.as_ref().and_then(|copy| copy.slot(number, salt)));
        let newest = match read.each_ref().map(|read| read.as_ref()) {
            [Some(one), Some(two)] if one.generation == two.generation && one != two => {
                merged.contradicting.push(number);
                None
            }
            // The first file is written first: a crash damages the second one only when the first one has the slot. What
            // the first one has not was somebody's.
            [Some(one), None] if one.generation == 0 && copies[1].is_some() => None,
            // Both are written whole, the first one first: where they differ the later writing is what was meant.
            [one, two] => {
                one.into_iter().chain(two).reduce(|one, two| if two.generation > one.generation { two } else { one })
            }
        };
        for (read, wrong) in read.iter().zip(&mut merged.wrong) {
            if newest.is_some() && read.as_ref() != newest {
                wrong.push(Some(number));
            }
        }
        merged.slots.push(newest.cloned());
    }
    merged
}

impl Merged {
    /// The copies that are missing, or that the disk does not give whole.
    pub(super) fn missing(&self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().zip(self.there).filter(|(_, there)| !there).map(|(name, _)| name)
    }

    /// Whether there is neither copy.
    pub(super) fn are_absent(&self) -> bool {
        self.there == [false; 2] && self.unreadable == [false; 2]
    }

    /// How many slots and headers of a copy that is there are not as they should be.
    pub(super) fn wrong(&self) -> u64 {
        let wrong = self.wrong.iter().zip(self.there).filter(|(_, there)| *there);
        wrong.map(|(wrong, _)| wrong.len() as u64).sum()
    }

    /// Slots that are damaged in both copies, or in one and not in the other at all.
    pub(super) fn lost(&self) -> impl Iterator<Item = u32> {
        let slots = (0u32..).zip(&self.slots);
        slots
            .filter(|(number, slot)| slot.is_none() && self.contradicting.binary_search(number).is_err())
            .map(|(number, _)| number)
    }

    /// Whether this is anybody's ring: it has a header, or a slot that somebody has or had. Not so where both files were cut
    /// to nothing.
    pub(super) fn is_a_ring(&self) -> bool {
        self.has_head || self.slots.iter().flatten().any(|written| written.generation > 0)
    }

    /// The slot's bytes as they should be; of one that is lost, nothing is known.
    fn bytes(&self, number: u32, salt: &Salt) -> Option<Bytes> {
        Some(self.slots.get(number as usize)?.as_ref()?.encode(number, salt))
    }
}

/// Both files, open.
pub(super) struct Copies {
    files: [File; 2],
}

impl Copies {
    /// Opens the files and mends each from the other: one that is missing is made anew. Without any, both are.
    ///
    /// What cannot be mended now is said, and keeps nobody from reading: the other copy has it.
    pub(super) fn open(directory: &Path, merged: &Merged, salt: &Salt) -> Result<Self, OpenError> {
        let [one, two] = [0, 1].map(|copy| open_copy(&directory.join(NAMES[copy]), merged, copy, salt));
        Ok(Copies { files: [one?, two?] })
    }

    #[cfg(test)]
    pub(super) fn of(files: [File; 2]) -> Self {
        Copies { files }
    }

    /// Writes slots into both copies; on disk when this returns. After a failure it is not known what is there.
    pub(super) fn write(&self, slots: &[(u32, Bytes)]) -> io::Result<()> {
        for file in &self.files {
            for (number, bytes) in slots {
                file.write_all_at(bytes, offset(*number))?;
            }
            file.sync_data()?;
        }
        Ok(())
    }
}

fn open_copy(path: &Path, merged: &Merged, copy: usize, salt: &Salt) -> Result<File, OpenError> {
    if merged.unreadable[copy] {
        move_away(path)?;
    }
    if !merged.there[copy] {
        create(path, merged, salt).map_err(OpenError::io("create", path))?;
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(OpenError::io("open", path))?;
    if merged.there[copy]
        && let Err(error) = mend(&file, &merged.wrong[copy], merged, salt)
    {
        tracing::error!(path = %path.display(), %error, "a key file could not be mended from the other one");
    }
    Ok(file)
}

/// A file that the disk does not give whole makes room for one on another place of it, and is kept.
fn move_away(path: &Path) -> Result<(), OpenError> {
    let aside =
        (1u32..).map(|number| path.with_extension(format!("unreadable-{number}"))).find(|aside| !aside.exists());
    let aside = aside.expect("a directory has not four billion of them");
    fs::rename(path, &aside).map_err(OpenError::io("move away", path))?;
    tracing::error!(
        event = "store.keys", path = %aside.display(),
        "a key file that cannot be read was moved away and is made again from the other one; it holds keys: destroy it with its disk"
    );
    durable::sync_parent(path).map_err(OpenError::io("move away", path))
}

fn create(path: &Path, merged: &Merged, salt: &Salt) -> io::Result<()> {
    let mut content = slot::head(salt).to_vec();
    for number in 0..merged.slots.len() as u32 {
        // A slot that is lost is lost here too: nobody is given it.
        content.extend(merged.bytes(number, salt).unwrap_or([u8::MAX; SLOT]));
    }
    durable::write_private(path, &content)
}

/// Before anything is answered from the merged slots, both files have them: what was read of a killed process's writing need
/// not be on disk yet.
fn mend(file: &File, wrong: &[Option<u32>], merged: &Merged, salt: &Salt) -> io::Result<()> {
    for number in wrong {
        match number {
            None => file.write_all_at(&slot::head(salt), 0)?,
            Some(number) => {
                if let Some(bytes) = merged.bytes(*number, salt) {
                    file.write_all_at(&bytes, offset(*number))?;
                }
            }
        }
    }
    file.sync_data()
}
