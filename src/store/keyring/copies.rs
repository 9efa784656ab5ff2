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

/// A copy as it was read.
struct Copy {
    head_is_whole: bool,
    bytes: Vec<u8>,
}

/// Both copies, read against each other.
pub(super) struct Merged {
    /// By number; `None`: damaged in both copies.
    pub(super) slots: Vec<Option<Written>>,
    /// Slots and headers that one copy has wrong or has not, by copy: `None` stands for the header.
    wrong: [Vec<Option<u32>>; 2],
    /// Which copies are there.
    there: [bool; 2],
}

/// Reads the copies in a store's directory, and changes nothing. Without any, no slots.
pub(super) fn read(directory: &Path, salt: &Salt) -> Result<Merged, OpenError> {
    let [one, two] = NAMES.map(|name| directory.join(name));
    Ok(merge([read_copy(&one, salt)?, read_copy(&two, salt)?], salt))
}

fn read_copy(path: &Path, salt: &Salt) -> Result<Option<Copy>, OpenError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::io("read", path)(error)),
    };
    let head = bytes.first_chunk().map_or(Head::Damaged, |head| slot::read_head(head, salt));
    match head {
        Head::Newer(found) => Err(OpenError::Format { path: path.to_owned(), found, known: KEYS_FORMAT }),
        // It may be all that another store has of its keys: it is not mended into one of ours.
        Head::Foreign => Err(OpenError::ForeignKeys(path.to_owned())),
        Head::Ours | Head::Damaged => Ok(Some(Copy { head_is_whole: head == Head::Ours, bytes })),
    }
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
    let there = [copies[0].is_some(), copies[1].is_some()];
    let mut merged = Merged { slots: Vec::with_capacity(count), wrong: Default::default(), there };
    for (copy, wrong) in copies.iter().zip(&mut merged.wrong) {
        if copy.as_ref().is_some_and(|copy| !copy.head_is_whole) {
            wrong.push(None);
        }
    }
    for number in 0..count as u32 {
        let read = copies.each_ref().map(|copy| copy.as_ref().and_then(|copy| copy.slot(number, salt)));
        let [one, two] = read.each_ref().map(|read| read.as_ref());
        // Both are written whole, the first one first: where they differ the later writing is what was meant.
        let newest =
            one.into_iter().chain(two).reduce(|one, two| if two.generation > one.generation { two } else { one });
        for (read, wrong) in read.iter().zip(&mut merged.wrong) {
            if read.as_ref() != newest {
                wrong.push(Some(number));
            }
        }
        merged.slots.push(newest.cloned());
    }
    merged
}

impl Merged {
    /// The copies that are missing.
    pub(super) fn missing(&self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().zip(self.there).filter(|(_, there)| !there).map(|(name, _)| name)
    }

    /// How many slots and headers of a copy that is there are not as they should be.
    pub(super) fn wrong(&self) -> u64 {
        let wrong = self.wrong.iter().zip(self.there).filter(|(_, there)| *there);
        wrong.map(|(wrong, _)| wrong.len() as u64).sum()
    }

    /// Slots that are damaged in both copies.
    pub(super) fn lost(&self) -> impl Iterator<Item = u32> {
        let slots = (0u32..).zip(&self.slots);
        slots.filter(|(_, slot)| slot.is_none()).map(|(number, _)| number)
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
