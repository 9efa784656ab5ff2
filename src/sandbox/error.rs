//! Why a sandbox could not be had.

use super::post::PostError;
use crate::cli::client::ClientError;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// Everything that stops a sandbox; each text says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A file or directory of the sandbox cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        error: io::Error,
    },
    /// Unix sockets below the directory would have names that are too long for the system.
    #[error("{} is too long a path for the Unix sockets in it: at most {max} bytes; choose another one with --dir", dir.display())]
    DirTooLong {
        /// The directory.
        dir: PathBuf,
        /// What its path may have.
        max: usize,
    },
    /// Another process has the directory.
    #[error("a sandbox is running in {} (process {holder}); stop it first, or choose another directory with --dir", dir.display())]
    Running {
        /// The directory.
        dir: PathBuf,
        /// The other's process id, as its lock file says.
        holder: String,
    },
    /// A certificate, key or CRL could not be made.
    #[error("making the test PKI, {what}: {error}")]
    Pki {
        /// Which part.
        what: String,
        /// The reason.
        #[source]
        error: rcgen::Error,
    },
    /// A PKCS#12 file could not be made.
    #[error("making {name}.p12, {what}: {error}")]
    Pkcs12 {
        /// The certificate's name.
        name: String,
        /// Which part.
        what: &'static str,
        /// The reason.
        #[source]
        error: p12_keystore::error::Error,
    },
    /// A certificate that the sandbox made is not one any more.
    #[error("{} is no certificate: remove the sandbox's directory to have a new one", path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
    },
    /// A key was asked for that was not made: a mistake in the sandbox's own cast.
    #[error("the test PKI has no key called {name}")]
    NoKey {
        /// Which.
        name: String,
    },
    /// The white list could not be signed.
    #[error("signing the white list: {0}")]
    List(#[from] super::trust_list::SignError),
    /// A name in the cast follows no rule of the trust space: a mistake in the sandbox itself.
    #[error("the sandbox's cast: {0}")]
    Cast(String),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// A port of the sandbox is taken.
    #[error("port {port} on 127.0.0.1: {error}; choose other ports with --base-port (0 takes free ones)")]
    Port {
        /// Which.
        port: u16,
        /// The system's reason.
        #[source]
        error: io::Error,
    },
    /// The base port leaves no room for the ports counted from it.
    #[error("--base-port {base} is too high: at most {max}")]
    BasePort {
        /// What was asked for.
        base: u16,
        /// The highest possible.
        max: u16,
    },
    /// There are not enough free ports.
    #[error("127.0.0.1 has not enough free ports")]
    NoFreePorts,
    /// A server could not be started or watched.
    #[error("{name}, {doing}: {error}")]
    Operator {
        /// The operator.
        name: &'static str,
        /// What was being done.
        doing: &'static str,
        /// The system's reason.
        #[source]
        error: io::Error,
    },
    /// A server ended by itself.
    #[error("{name}: its server ended ({status}){}", quoted(log))]
    Died {
        /// The operator.
        name: &'static str,
        /// How.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// A server did not become ready.
    #[error("{name}: its server was not ready after {after:?}{}", quoted(log))]
    NotReady {
        /// The operator.
        name: &'static str,
        /// How long we waited.
        after: Duration,
        /// The end of its log.
        log: String,
    },
    /// A server did not stop and was killed.
    #[error("{name}: its server did not stop within {after:?} and was killed")]
    NotStopped {
        /// The operator.
        name: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// The administration API refused something.
    #[error("{name}, making its mailboxes: {error}")]
    Admin {
        /// The operator.
        name: &'static str,
        /// The refusal.
        #[source]
        error: ClientError,
    },
    /// A sample message was not delivered.
    #[error("{name}, sending its messages: {error}")]
    Post {
        /// The sending operator.
        name: &'static str,
        /// The reason.
        #[source]
        error: PostError,
    },
    /// Something of ours could not be written down.
    #[error("writing {what}: {error}")]
    Internal {
        /// What.
        what: &'static str,
        /// The reason.
        #[source]
        error: serde_json::Error,
    },
}

impl SandboxError {
    /// For `map_err`: an I/O error of `path`.
    pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| Self::File { path: path.clone(), error }
    }

    /// For `map_err`: an error of the certificate maker.
    pub(super) fn pki(what: &str) -> impl Fn(rcgen::Error) -> Self + use<> {
        let what = what.to_owned();
        move |error| Self::Pki { what: what.clone(), error }
    }

    /// For `map_err`: a refusal of an operator's administration API.
    pub(super) fn admin(name: &'static str) -> impl Fn(ClientError) -> Self {
        move |error| Self::Admin { name, error }
    }

    /// For `map_err`: a serialisation error.
    pub(super) fn internal(what: &'static str) -> impl Fn(serde_json::Error) -> Self {
        move |error| Self::Internal { what, error }
    }
}

/// For `map_err`: an I/O error about an operator's server.
pub(super) fn operator_error(name: &'static str, doing: &'static str) -> impl Fn(io::Error) -> SandboxError {
    move |error| SandboxError::Operator { name, doing, error }
}

/// A log's end below a message, or nothing.
fn quoted(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("; the end of its log:\n{log}") }
}
