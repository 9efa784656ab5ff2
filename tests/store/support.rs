//! Directories that go away, and stores in them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use caducee::store::{MasterKey, OpenError, Opening, Options, Store};

/// A directory under the build's own, removed when dropped.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A copy of what is there now: what a crash at this moment would leave.
    pub fn copy(&self) -> Directory {
        let copy = Directory::new("copy");
        copy_all(&self.0, &copy.0);
        copy
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The master key of all tests.
pub fn master() -> MasterKey {
    MasterKey::from_bytes([42; 32])
}

/// Small segments and no checkpoint but the last: so that a start has something to replay.
pub fn options() -> Options {
    Options {
        cache: 8 * 1024 * 1024,
        segment: 1024 * 1024,
        checkpoint_every: Duration::from_secs(3600),
        checkpoint_bytes: u64::MAX,
        reserve: 0,
    }
}

/// Opens a store that nobody has open. A test beside this one may be starting a program: until that has begun, the fork holds
/// every lock of ours with us.
pub fn open(path: &Path) -> (Store, Opening) {
    patiently(|| Store::open(path, &master(), &options())).unwrap()
}

/// What opens a store that nobody has open, as [`open`].
pub fn patiently<T>(open: impl Fn() -> Result<T, OpenError>) -> Result<T, OpenError> {
    for _ in 0..100 {
        match open() {
            Err(OpenError::InUse(_)) => std::thread::sleep(Duration::from_millis(20)),
            outcome => return outcome,
        }
    }
    open()
}

/// Runs a future on a small runtime.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

/// The segments of a store, by rising number.
pub fn segments(store: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(store.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    paths
}

/// Bytes that look random and depend on a seed alone.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(length);
    out
}
