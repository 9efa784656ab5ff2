//! What the contexts are made of, read from files.

use super::crl::{Crl, CrlProblem, CrlSet};
use crate::config::sections;
use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Why TLS could not be set up. Each names the file or key to look at.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not what its key says.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A certificate and a key do not belong together, or the key is of an unknown kind.
    #[error("{certificate} and {key}: {source}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The anchors or CRLs do not make a verifier.
    #[error("the authorities' certificates or CRLs cannot be used: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The library refuses the settings.
    #[error("TLS settings: {0}")]
    Settings(#[source] rustls::Error),
}

impl TlsError {
    pub(super) fn file(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), problem: problem.to_string() }
    }
}

/// A certificate chain and its private key.
#[derive(Debug)]
pub struct Identity {
    /// Where the chain was read from.
    pub certificate: PathBuf,
    /// Where the key was read from.
    pub key: PathBuf,
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    pub(super) private_key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads both files.
    ///
    /// # Errors
    /// One is unreadable, or holds no certificate or key.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = read_certificates(certificate)?;
        let private_key = read_key(key)?;
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), chain, private_key })
    }

    pub(super) fn mismatch(&self, source: rustls::Error) -> TlsError {
        TlsError::Pair { certificate: self.certificate.clone(), key: self.key.clone(), source }
    }
}

/// What one kind of door shows and believes.
#[derive(Debug)]
pub struct Side {
    /// What we show.
    pub identity: Identity,
    /// The authorities we believe.
    pub roots: Arc<RootCertStore>,
}

/// All of the files that the contexts are made of.
#[derive(Debug)]
pub struct Material {
    /// Towards other operators.
    pub operators: Side,
    /// Towards mailbox users.
    pub mailboxes: Side,
    /// How long a session of the operators' door may be resumed; zero: never.
    pub resumption: Duration,
    /// Policies (OIDs) of which an application's certificate must name one; empty: any does.
    pub policies: Vec<String>,
}

impl Material {
    /// Reads everything that `[tls]` names, CRLs excepted: those come from the job that refreshes them.
    ///
    /// # Errors
    /// The first file that cannot serve.
    pub fn read(tls: &sections::Tls) -> Result<Self, TlsError> {
        let mailbox = &tls.mailbox;
        let own = !mailbox.certificate.as_os_str().is_empty();
        let (certificate, key) = if own { (&mailbox.certificate, &mailbox.key) } else { (&tls.certificate, &tls.key) };
        let anchors = if mailbox.anchors.is_empty() { &tls.anchors } else { &mailbox.anchors };
        Ok(Self {
            operators: Side {
                identity: Identity::read(&tls.certificate, &tls.key)?,
                roots: Arc::new(read_anchors(&tls.anchors)?),
            },
            mailboxes: Side { identity: Identity::read(certificate, key)?, roots: Arc::new(read_anchors(anchors)?) },
            resumption: tls.resumption,
            policies: mailbox.policies.clone(),
        })
    }
}

/// Reads the certificates of a PEM file, in their order.
///
/// # Errors
/// The file is unreadable, or holds none.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let problem = |error: PemError| TlsError::file(path, pem_problem(&error, "a certificate"));
    let found =
        CertificateDer::pem_file_iter(path).map_err(problem)?.collect::<Result<Vec<_>, _>>().map_err(problem)?;
    if found.is_empty() {
        return Err(TlsError::file(path, "no certificate in it; expected PEM"));
    }
    Ok(found)
}

/// Reads a private key.
///
/// # Errors
/// The file is unreadable, or holds none.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::file(path, pem_problem(&error, "a private key")))
}

/// Reads authorities' certificates.
///
/// # Errors
/// A file is unreadable, or holds none, or one that cannot be an anchor.
pub fn read_anchors(paths: &[PathBuf]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for path in paths {
        for certificate in read_certificates(path)? {
            roots.add(certificate).map_err(|error| TlsError::file(path, error))?;
        }
    }
    Ok(roots)
}

/// Reads CRL files (PEM or DER) and keeps the newest of each issuer.
///
/// # Errors
/// A file is unreadable or holds none that can serve.
pub fn read_crls<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Result<CrlSet, TlsError> {
    let mut all = Vec::new();
    for path in paths {
        let content = std::fs::read(path).map_err(|error| TlsError::file(path, error))?;
        all.extend(Crl::read_all(&content).map_err(|error: CrlProblem| TlsError::file(path, error))?);
    }
    Ok(CrlSet::newest_of_each_issuer(all))
}

fn pem_problem(error: &PemError, expected: &str) -> String {
    match error {
        PemError::Io(error) => error.to_string(),
        PemError::NoItemsFound => format!("no section of {expected} in it; expected PEM"),
        other => format!("{other}; expected {expected} in PEM"),
    }
}
