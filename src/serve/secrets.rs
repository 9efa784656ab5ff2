//! The master key and other secrets, from files or systemd credentials.

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

/// Why a password that a key names cannot be had. The key's name stands before it where it is told.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// `credential:NAME`, and the service manager gave no credentials.
    #[error(
        "`credential:{0}`, but there is no $CREDENTIALS_DIRECTORY; expected LoadCredential={0}:… in the service, or a file"
    )]
    NoCredentials(String),
    /// A credential's name that would leave the directory.
    #[error("`{0}` is not a credential's name")]
    BadName(String),
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no line of text.
    #[error("{0}: expected one line of text")]
    NotText(PathBuf),
}

/// The file that the setting of a secret means, be it a path or `credential:NAME`.
///
/// # Errors
/// It is a credential, and there are none, or its name is none.
pub fn secret_path(setting: &str) -> Result<PathBuf, SecretError> {
    master_key_path(setting).map_err(|error| match error {
        MasterKeyError::BadName(name) => SecretError::BadName(name),
        MasterKeyError::NoCredentials(name) => SecretError::NoCredentials(name),
        MasterKeyError::Unreadable { path, source } => SecretError::Unreadable { path, source },
        MasterKeyError::NotAKey { path, .. } => SecretError::NotText(path),
    })
}

/// Reads a password or the like: the first line of its file.
///
/// # Errors
/// There is none.
pub fn read_secret(setting: &str) -> Result<Zeroizing<String>, SecretError> {
    let path = secret_path(setting)?;
    let content = match std::fs::read(&path) {
        Ok(content) => Zeroizing::new(content),
        Err(source) => return Err(SecretError::Unreadable { path, source }),
    };
    let line = std::str::from_utf8(&content).ok().and_then(|text| text.lines().next()).filter(|line| !line.is_empty());
    line.map(|line| Zeroizing::new(line.to_owned())).ok_or(SecretError::NotText(path))
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

    #[test]
    fn a_secret_is_the_first_line_of_its_file() {
        let path = std::env::temp_dir().join(format!("caducee-secret-{}", std::process::id()));
        std::fs::write(&path, "mot de passe\nune note\n").unwrap();
        let setting = path.to_str().unwrap();
        assert_eq!(read_secret(setting).unwrap().as_str(), "mot de passe");
        for (content, is_secret) in [(&b""[..], false), (b"\n", false), (b"\xff\n", false), (b"x", true)] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read_secret(setting).is_ok(), is_secret, "{content:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read_secret(setting), Err(SecretError::Unreadable { .. })));
        assert!(matches!(read_secret("credential:../x"), Err(SecretError::BadName(_))));
    }
}
