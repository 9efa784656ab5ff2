//! Files that are there after a power cut: written, synced, renamed, and the directory synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Creates or replaces a file so that after a power cut either the old or the new content is there, whole.
pub(in crate::store) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    write_with(OpenOptions::new().mode(0o666), path, content)
}

/// As [`write`], a file that only its owner reads.
pub(in crate::store) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    write_with(OpenOptions::new().mode(0o600), path, content)
}

fn write_with(options: &mut OpenOptions, path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = options.write(true).create(true).truncate(true).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Makes the names in a file's directory durable.
pub(in crate::store) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => sync_directory(parent),
        None => Ok(()),
    }
}

/// Makes the names in a directory durable.
pub(in crate::store) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates a directory, if it is missing, and makes its name durable.
pub(in crate::store) fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    sync_parent(path)
}
