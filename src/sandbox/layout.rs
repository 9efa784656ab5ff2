//! Where things lie in the sandbox's directory, and who may use it.

use super::SandboxError;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The longest path a Unix socket can have (`sun_path` of unix(7), less its final NUL).
const SOCKET_PATH_MAX: usize = 107;

/// The sandbox's directory, held by this process alone for as long as the value lives.
#[derive(Debug)]
pub struct Layout {
    dir: PathBuf,
    /// Its lock ends with the process, however that ends.
    _lock: File,
}

impl Layout {
    /// Makes the directory (readable by its owner only: it holds private keys) and takes it.
    pub fn take(dir: &Path) -> Result<Self, SandboxError> {
        fs::create_dir_all(dir).map_err(SandboxError::file(dir))?;
        let dir = dir.canonicalize().map_err(SandboxError::file(dir))?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).map_err(SandboxError::file(&dir))?;
        let longest = dir.join("a/notify.sock");
        if longest.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(SandboxError::DirTooLong { dir, max: SOCKET_PATH_MAX - "/a/notify.sock".len() });
        }
        let lock = lock(&dir)?;
        let layout = Self { dir, _lock: lock };
        for sub in ["pki", "trust", "a", "b"] {
            let path = layout.path(sub);
            fs::create_dir_all(&path).map_err(SandboxError::file(&path))?;
        }
        Ok(layout)
    }

    /// The directory itself, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path below the directory.
    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.join(below)
    }

    /// The signed white list.
    pub fn white_list(&self) -> PathBuf {
        self.path("trust/liste.xml")
    }

    /// The contract that tests and tools start from.
    pub fn description(&self) -> PathBuf {
        self.path("sandbox.json")
    }
}

/// Takes `DIR/lock`; its text is the holder's process id, for the message to whoever comes second.
fn lock(dir: &Path) -> Result<File, SandboxError> {
    let path = dir.join("lock");
    let mut options = fs::OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).open(&path).map_err(SandboxError::file(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
            return Err(SandboxError::Running { dir: dir.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(SandboxError::File { path, error }),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(SandboxError::file(&path))?;
    Ok(file)
}

/// Writes a file so that a reader sees the old one or the new one and nothing between. `mode` is its permission bits.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<(), SandboxError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&new)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(SandboxError::file(path))
}
