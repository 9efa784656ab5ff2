//! A store's directory: what lies in it, who may open it, and with which master key.
//!
//! ```text
//! store.json   format, identity, check value of the master key
//! keys-1, -2   the ring of keys, twice: what is no longer there cannot be read again
//! lock         held while a process has the store open
//! checkpoint   up to where in the log the index is durable
//! log/         segments: the truth
//! index/       sled: can be made again from the log
//! aside/       copies of damaged pieces that were stepped over
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::durable;
use super::frame::Salt;
use crate::store::error::OpenError;
use crate::store::seal::MasterKey;

/// The format of a store's directory that this code writes, and the newest that it reads.
///
/// 1: mailboxes' keys stood in accounts' records. 2: they live in the ring of keys.
pub const STORE_FORMAT: u32 = 2;

/// A store begins with this format, as the oldest one did, and is raised by the same step ([`Home::raise_format`]): a crash in
/// its making leaves nothing that the next start does not go on with.
const FIRST_FORMAT: u32 = 1;

/// `store.json`. Fields may be added; a change that an older version must not overlook raises `format`.
#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    format: u32,
    /// 16 random bytes, base64: the salt of all frames' checksums.
    id: String,
    /// Tells the right master key from a wrong one, base64.
    key_check: String,
    created_by: String,
}

/// An opened directory; the lock is held as long as this lives.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) path: PathBuf,
    pub(super) salt: Salt,
    /// The format that was found.
    pub(super) format: u32,
    _lock: File,
}

impl Home {
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(super) fn index(&self) -> PathBuf {
        self.path.join("index")
    }

    /// Where the `number`th index that could not be used was moved to.
    pub(super) fn unusable_index(&self, number: u32) -> PathBuf {
        self.path.join(format!("index.unusable-{number}"))
    }

    /// Whether a start or a check met damage: what they left here stays until the operator takes it away.
    pub(super) fn shows_damage(&self) -> bool {
        let has_entries = fs::read_dir(self.aside()).is_ok_and(|mut entries| entries.next().is_some());
        has_entries || self.unusable_index(1).exists()
    }

    pub(super) fn aside(&self) -> PathBuf {
        self.path.join("aside")
    }

    pub(super) fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// Opens a store's directory, or makes one where there is none (a missing or empty directory).
    pub(super) fn open_or_create(path: &Path, master: &MasterKey) -> Result<Home, OpenError> {
        durable::create_directory(path).map_err(OpenError::io("create", path))?;
        let lock = lock(path)?;
        let json = path.join("store.json");
        if !is_there(&json)? {
            refuse_foreign(path)?;
            create_identity(&json, master)?;
        }
        let (format, salt) = check_identity(path, &json, Some(master))?;
        let home = Home { path: path.to_owned(), salt, format, _lock: lock };
        for directory in [home.log(), home.index()] {
            durable::create_directory(&directory).map_err(OpenError::io("create", &directory))?;
        }
        Ok(home)
    }

    /// Opens what is there, without a master key and without changing anything: for `store check` and its like.
    pub(super) fn open_existing(path: &Path) -> Result<Home, OpenError> {
        let json = path.join("store.json");
        if !is_there(&json)? {
            return Err(OpenError::Missing(path.to_owned()));
        }
        let lock = lock(path)?;
        let (format, salt) = check_identity(path, &json, None)?;
        Ok(Home { path: path.to_owned(), salt, format, _lock: lock })
    }

    /// Whether the ring has all keys: from then on its files may not be missing.
    pub(super) fn has_ring(&self) -> bool {
        self.format == STORE_FORMAT
    }

    /// From here on an older version refuses the store: it would take mailboxes whose keys it does not see for closed ones.
    pub(super) fn raise_format(&self) -> Result<(), OpenError> {
        if self.has_ring() {
            return Ok(());
        }
        let json = self.path.join("store.json");
        let text = fs::read(&json).map_err(OpenError::io("read", &json))?;
        let read = serde_json::from_slice::<Identity>(&text);
        let identity = read.map_err(|_| OpenError::NotAStore(self.path.clone()))?;
        write_identity(&json, &Identity { format: STORE_FORMAT, ..identity })
    }
}

/// A file that nobody may look at is not missing.
fn is_there(path: &Path) -> Result<bool, OpenError> {
    path.try_exists().map_err(OpenError::io("look at", path))
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let name = path.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(OpenError::io("open", &name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { action: "lock", path: name, source }),
    }
}

/// A directory that holds anything but what an interrupted creation leaves behind is not made a store: above all not one
/// with a log in it, whose `store.json` was lost.
fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    let not_a_store = || OpenError::NotAStore(path.to_owned());
    for entry in fs::read_dir(path).map_err(OpenError::io("list", path))? {
        let name = entry.map_err(OpenError::io("list", path))?.file_name();
        match name.to_str() {
            Some("lock" | "store.new" | "lost+found") => {}
            _ => return Err(not_a_store()),
        }
    }
    Ok(())
}

fn create_identity(json: &Path, master: &MasterKey) -> Result<(), OpenError> {
    let mut id = [0; 16];
    rand::fill(&mut id).map_err(|_| OpenError::io("make an identity for", json)(io::Error::other("no randomness")))?;
    let identity = Identity {
        format: FIRST_FORMAT,
        id: STANDARD.encode(id),
        key_check: STANDARD.encode(master.check_value(&id)),
        created_by: concat!("caducee ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    write_identity(json, &identity)
}

fn write_identity(json: &Path, identity: &Identity) -> Result<(), OpenError> {
    let mut text = serde_json::to_vec_pretty(identity).expect("plain data with text keys");
    text.push(b'\n');
    durable::write(json, &text).map_err(OpenError::io("write", json))
}

fn check_identity(path: &Path, json: &Path, master: Option<&MasterKey>) -> Result<(u32, Salt), OpenError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let text = fs::read(json).map_err(OpenError::io("read", json))?;
    let not_a_store = || OpenError::NotAStore(path.to_owned());
    // The format is read first and alone: a newer store's other fields need not be ours.
    let format = serde_json::from_slice::<Format>(&text).map_err(|_| not_a_store())?.format;
    if !(FIRST_FORMAT..=STORE_FORMAT).contains(&format) {
        return Err(OpenError::Format { path: json.to_owned(), found: format, known: STORE_FORMAT });
    }
    let identity: Identity = serde_json::from_slice(&text).map_err(|_| not_a_store())?;
    let salt = STANDARD.decode(&identity.id).ok().and_then(|id| Salt::try_from(id).ok()).ok_or_else(not_a_store)?;
    if let Some(master) = master
        && STANDARD.encode(master.check_value(&salt)) != identity.key_check
    {
        return Err(OpenError::WrongMasterKey(path.to_owned()));
    }
    Ok((format, salt))
}
