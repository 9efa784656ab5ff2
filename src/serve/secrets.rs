//! The master key and other secrets, each from a file or a systemd credential.

use crate::store::{MasterKey, SealError};
use crate::wire::sasl::Secret;
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
    path_of(setting).map_err(|problem| match problem {
        NoPath::NoCredentials(name) => MasterKeyError::NoCredentials(name),
        NoPath::BadName(name) => MasterKeyError::BadName(name),
    })
}

/// Why a setting means no file.
enum NoPath {
    NoCredentials(String),
    BadName(String),
}

/// The file that a setting means: itself, or a credential of `credential:NAME`.
fn path_of(setting: &str) -> Result<PathBuf, NoPath> {
    let Some(name) = setting.strip_prefix("credential:") else { return Ok(PathBuf::from(setting)) };
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(NoPath::BadName(name.to_owned()));
    }
    let directory = std::env::var_os(CREDENTIALS_DIRECTORY).ok_or_else(|| NoPath::NoCredentials(name.to_owned()))?;
    Ok(Path::new(&directory).join(name))
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// `credential:NAME`, and the service manager gave no credentials.
    #[error(
        "{key} is `credential:{name}`, but there is no $CREDENTIALS_DIRECTORY; expected LoadCredential={name}:… in the service, or a file"
    )]
    NoCredentials {
        /// The configuration's key.
        key: &'static str,
        /// The credential.
        name: String,
    },
    /// A credential's name that would leave the directory.
    #[error("{key}: `{name}` is not a credential's name")]
    BadName {
        /// The configuration's key.
        key: &'static str,
        /// What it says.
        name: String,
    },
    /// The file cannot be read.
    #[error("{key}: {path}: {source}")]
    Unreadable {
        /// The configuration's key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file does not hold one line of text.
    #[error("{key}: {path}: expected one line of text")]
    NoLine {
        /// The configuration's key.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
}

/// Reads the secret that the setting of `key` means: the one line of a file, without its end.
///
/// # Errors
/// Where it should be, there is none.
pub fn read_secret(key: &'static str, setting: &str) -> Result<Secret, SecretError> {
    let path = path_of(setting).map_err(|problem| match problem {
        NoPath::NoCredentials(name) => SecretError::NoCredentials { key, name },
        NoPath::BadName(name) => SecretError::BadName { key, name },
    })?;
    let content = match std::fs::read(&path) {
        Ok(content) => Zeroizing::new(content),
        Err(source) => return Err(SecretError::Unreadable { key, path, source }),
    };
    let line = content.strip_suffix(b"\n").unwrap_or(&content);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let is_one = !line.is_empty() && std::str::from_utf8(line).is_ok_and(|text| !text.contains(char::is_control));
    if is_one { Ok(Secret::new(line)) } else { Err(SecretError::NoLine { key, path }) }
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
    fn a_secret_is_the_one_line_of_its_file() {
        let path = std::env::temp_dir().join(format!("caducee-secret-{}", std::process::id()));
        let setting = path.to_str().unwrap();
        for (content, secret) in [
            (&b"mot de passe\n"[..], Some("mot de passe")),
            (b"x\r\n", Some("x")),
            (b"x", Some("x")),
            (b"", None),
            (b"\n", None),
            (b"\xff\n", None),
            (b"mot de passe\nune note\n", None),
        ] {
            std::fs::write(&path, content).unwrap();
            let read = read_secret("psc.client_secret", setting);
            assert_eq!(read.ok().as_ref().and_then(Secret::expose_str), secret, "{content:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read_secret("psc.client_secret", setting), Err(SecretError::Unreadable { .. })));
        assert!(matches!(read_secret("notices.password", "credential:../x"), Err(SecretError::BadName { .. })));
    }
}
