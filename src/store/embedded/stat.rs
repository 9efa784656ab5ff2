//! `store stat` and `store upgrade`, offline: what a store holds, and whether its format is today's.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::home::Home;
use super::index::{Index, Position};
use super::segment::{self, SegmentHead, Segments};
use super::{INSPECTION_CACHE, checkpoint, free_space, keys};
use crate::store::error::OpenError;
use crate::store::keyring;
use crate::store::schema::Table;

/// What a store holds.
#[derive(Debug, Serialize)]
pub struct StoreStat {
    /// The store's format.
    pub format: u32,
    /// Its segments.
    pub segments: Vec<SegmentStat>,
    /// Bytes of all segments.
    pub log_bytes: u64,
    /// Bytes of frames of bodies that a message shows.
    pub living_bytes: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Keys in the ring: mailboxes', and the queue's.
    pub keys: u64,
    /// Records by table.
    pub records: BTreeMap<&'static str, u64>,
    /// The last commit that the index holds.
    pub applied: u64,
    /// The last commit that a start need not replay.
    pub checkpoint: u64,
    /// Bytes free on the disk.
    pub free_bytes: u64,
}

/// One segment.
#[derive(Debug, Serialize)]
pub struct SegmentStat {
    /// Its number.
    pub number: u32,
    /// Its length in bytes.
    pub bytes: u64,
    /// Bytes of frames of bodies in it that a message shows. The rest: records, and bodies that nobody shows any more.
    pub living_bytes: u64,
    /// A compaction has emptied it.
    pub emptied: bool,
}

/// Tells what a store holds that no process has open. Quick: reads the index, not the log.
///
/// # Errors
/// [`OpenError`]: in use, no store, a newer format, an unusable index.
pub fn stat(path: &Path) -> Result<StoreStat, OpenError> {
    let home = Home::open_existing(path)?;
    let files = Arc::new(Segments::new(home.log()));
    let index_error = |reason: String| OpenError::Index { path: home.index(), reason };
    let index = Index::open(&home.index(), INSPECTION_CACHE, files.clone()).map_err(index_error)?;
    let living = index.living_bytes();
    let is_emptied = |number| {
        let head = files.file(number).and_then(|file| segment::read_head(&file, number, &home.salt));
        matches!(head, Ok(SegmentHead::Whole { emptied: true, .. }))
    };
    let segments: Vec<_> = segment::list(&home.log())?
        .into_iter()
        .map(|number| SegmentStat {
            number,
            bytes: files.length(number).unwrap_or(0),
            living_bytes: living.get(&number).copied().unwrap_or(0),
            emptied: is_emptied(number),
        })
        .collect();
    let mut records = BTreeMap::new();
    for row in index.versions() {
        let (key, _) = row.map_err(|error| index_error(error.to_string()))?;
        let table = key.first().copied().and_then(Table::from_byte).map_or("unknown", Table::name);
        *records.entry(table).or_default() += 1;
    }
    let applied: Position = index.applied().map_err(|error| index_error(error.to_string()))?;
    Ok(StoreStat {
        format: home.format,
        keys: keyring::inspect(&home.path, &home.salt)?.0.living,
        log_bytes: segments.iter().map(|segment| segment.bytes).sum(),
        living_bytes: segments.iter().map(|segment| segment.living_bytes).sum(),
        segments,
        index_bytes: directory_bytes(&home.index()),
        records,
        applied: applied.sequence,
        checkpoint: checkpoint::read(&home.checkpoint()).unwrap_or_default().sequence,
        free_bytes: free_space(&home.path).unwrap_or(0),
    })
}

fn directory_bytes(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => directory_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// What an upgrade did.
#[derive(Debug, Serialize)]
pub struct Upgrade {
    /// The format that was found.
    pub from: u32,
    /// The format that the store has now.
    pub to: u32,
}

/// Brings a store that no process has open to today's format, as a start does by itself: from 1 to 2, mailboxes' keys move out
/// of the log. A newer one is refused and left as it is.
///
/// # Errors
/// [`OpenError`]: in use, no store, a newer format, an unusable index, no room for the keys.
pub fn upgrade(path: &Path) -> Result<Upgrade, OpenError> {
    keys::upgrade(&Home::open_existing(path)?)
}
