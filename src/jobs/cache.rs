//! The last good copy of something, on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that always holds a whole copy: the last one, or the one before it.
#[derive(Clone, Debug)]
pub(super) struct CachedFile {
    path: PathBuf,
}

impl CachedFile {
    /// A copy of this name in the cache's directory.
    pub(super) fn new(directory: &Path, name: &str) -> Self {
        Self { path: directory.join(name) }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the copy; None when there is none. Blocks.
    pub(super) fn read(&self, max_size: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut content = Vec::new();
        file.take(max_size.saturating_add(1)).read_to_end(&mut content)?;
        if content.len() as u64 > max_size {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than the limit"));
        }
        Ok(Some(content))
    }

    /// Puts a new copy in place: written and synced beside, renamed over, and the directory synced. Blocks.
    pub(super) fn write(&self, content: &[u8]) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
        // Two jobs may keep the same source: each writes beside on its own.
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let beside = self.path.with_added_extension(format!("new-{}", WRITES.fetch_add(1, Ordering::Relaxed)));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        // Without this the rename may be lost in a power cut.
        File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_read_again_replaced_whole_and_bounded() {
        let directory = std::env::temp_dir().join(format!("caducee-cache-{}", std::process::id()));
        let file = CachedFile::new(&directory.join("deep"), "copy");
        assert_eq!(file.read(10).unwrap(), None);
        file.write(b"first and long").unwrap();
        file.write(b"second").unwrap();
        assert_eq!(file.read(6).unwrap().as_deref(), Some(&b"second"[..]));
        assert_eq!(file.read(5).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(fs::read_dir(directory.join("deep")).unwrap().count(), 1, "nothing is left beside it");
        fs::remove_dir_all(directory).unwrap();
    }
}
