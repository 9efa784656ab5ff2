//! The master key, from a file or a systemd credential.

use crate::store::{MasterKey, SealError};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where systemd puts a service's credentials (systemd.exec(5), "Credentials").
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// `credential:NAME`, and the service manager gave no credentials.
    #[error(
        "seal.master_key is `credential:{0}`, but there is no $CREDENTIALS_DIRECTORY; expected LoadCredential={0}:… in the service, or a file"
    )]
    NoCredentials(String),
    /// A credential's name that would leave the directory.
    #[error("seal.master_key: `{0}` is not a credential's name")]
    BadName(String),
    /// The file cannot be read.
    #[error("seal.master_key: {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file does not hold a key.
    #[error("seal.master_key: {path}: {source}")]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What was expected.
        source: SealError,
    },
}

/// The file that `seal.master_key` means.
///
/// # Errors
/// It is a credential, and there are none, or its name is none.
pub fn master_key_path(setting: &str) -> Result<PathBuf, MasterKeyError> {
    let Some(name) = setting.strip_prefix("credential:") else { return Ok(PathBuf::from(setting)) };
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(MasterKeyError::BadName(name.to_owned()));
    }
    let directory =
        std::env::var_os(CREDENTIALS_DIRECTORY).ok_or_else(|| MasterKeyError::NoCredentials(name.to_owned()))?;
    Ok(Path::new(&directory).join(name))
}

/// Reads the master key.
///
/// # Errors
/// Where it should be, there is no key.
pub fn read_master_key(setting: &str) -> Result<MasterKey, MasterKeyError> {
    let path = master_key_path(setting)?;
    let content = match std::fs::read(&path) {
        Ok(content) => Zeroizing::new(content),
        Err(source) => return Err(MasterKeyError::Unreadable { path, source }),
    };
    MasterKey::parse(&content).map_err(|source| MasterKeyError::NotAKey { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credentials_name_cannot_leave_its_directory() {
        for name in ["credential:", "credential:../etc/passwd", "credential:a/b", "credential:.hidden"] {
            assert!(matches!(master_key_path(name), Err(MasterKeyError::BadName(_))), "{name}");
        }
        assert_eq!(master_key_path("/etc/key").unwrap(), Path::new("/etc/key"));
    }
}
