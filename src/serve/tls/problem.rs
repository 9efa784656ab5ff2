//! Why a certificate, or a whole handshake, was refused: typed, named for logs and counters.

use rustls::{CertificateError, Error, PeerIncompatible};
use std::sync::Arc;

/// What is wrong with a peer's certificate. The names are stable: they stand in logs, counters and answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// None was shown.
    #[error("no client certificate was shown")]
    Missing,
    /// Its validity has ended.
    #[error("the certificate has expired")]
    Expired,
    /// Its validity has not begun.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// It is on its issuer's revocation list.
    #[error("the certificate is revoked")]
    Revoked,
    /// No CRL of its issuer is at hand, or the CRL is too old to be relied upon.
    #[error("the certificate's revocation status is unknown")]
    RevocationUnknown,
    /// It does not chain to a configured authority.
    #[error("the certificate's issuer is not one of the trust space's authorities")]
    UnknownIssuer,
    /// It is not meant for TLS clients (no clientAuth in its extended key usage, or none at all).
    #[error("the certificate is not meant for TLS client authentication")]
    WrongUsage,
    /// It was issued under no policy that opens mailboxes (`tls.mailbox.policies`).
    #[error("the certificate was issued under none of the policies that open mailboxes here")]
    WrongPolicy,
    /// A signature of the chain is wrong, or the peer does not hold the private key.
    #[error("a signature does not verify")]
    BadSignature,
    /// It is not a certificate that can be read.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// The certificate shown is not the server's that was asked for.
    #[error("the certificate is for another name")]
    WrongName,
    /// Anything else the library found.
    #[error("the certificate is refused: {0}")]
    Other(String),
}

impl CertificateProblem {
    /// Stable kebab-case name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Missing => "no-certificate",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::Revoked => "revoked",
            Self::RevocationUnknown => "revocation-unknown",
            Self::UnknownIssuer => "unknown-issuer",
            Self::WrongUsage => "wrong-usage",
            Self::WrongPolicy => "wrong-policy",
            Self::BadSignature => "bad-signature",
            Self::Unreadable(_) => "unreadable",
            Self::WrongName => "wrong-name",
            Self::Other(_) => "other-certificate-problem",
        }
    }
}

impl From<&CertificateError> for CertificateProblem {
    fn from(error: &CertificateError) -> Self {
        use CertificateError as E;
        match error {
            E::Expired | E::ExpiredContext { .. } => Self::Expired,
            E::NotValidYet | E::NotValidYetContext { .. } => Self::NotYetValid,
            E::Revoked => Self::Revoked,
            E::UnknownRevocationStatus | E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => {
                Self::RevocationUnknown
            }
            E::UnknownIssuer => Self::UnknownIssuer,
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => Self::WrongUsage,
            E::BadSignature => Self::BadSignature,
            E::BadEncoding => Self::Unreadable("bad encoding".into()),
            E::NotValidForName | E::NotValidForNameContext { .. } => Self::WrongName,
            E::Other(other) => match other.0.downcast_ref::<CertificateProblem>() {
                Some(ours) => ours.clone(),
                None => Self::Other(error.to_string()),
            },
            _ => Self::Other(error.to_string()),
        }
    }
}

/// Our own findings travel through rustls as its `Other` error, and come back typed.
impl From<CertificateProblem> for Error {
    fn from(problem: CertificateProblem) -> Self {
        use CertificateError as E;
        let inner = match problem {
            // Where rustls has a variant it also sends the fitting TLS alert (RFC 8446 §6.2).
            CertificateProblem::Missing => return Error::NoCertificatesPresented,
            CertificateProblem::WrongUsage => E::InvalidPurpose,
            CertificateProblem::RevocationUnknown => E::UnknownRevocationStatus,
            CertificateProblem::Unreadable(_) => E::BadEncoding,
            other => E::Other(rustls::OtherError(Arc::new(other))),
        };
        Error::InvalidCertificate(inner)
    }
}

/// What a verifier's error says about the certificate.
pub(super) fn problem_of(error: &Error) -> CertificateProblem {
    match error {
        Error::InvalidCertificate(error) => error.into(),
        Error::NoCertificatesPresented => CertificateProblem::Missing,
        other => CertificateProblem::Other(other.to_string()),
    }
}

/// Why a TLS handshake did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeRefusal {
    /// The peer's certificate is refused.
    #[error(transparent)]
    Certificate(#[from] CertificateProblem),
    /// The two sides have no protocol version or cipher suite in common.
    #[error("no TLS version or cipher suite in common: {0}")]
    Incompatible(String),
    /// The peer refused us with this alert.
    #[error("the peer broke the handshake off: {0}")]
    PeerAlert(String),
    /// What came is not TLS, or breaks its rules.
    #[error("not a proper TLS handshake: {0}")]
    Protocol(String),
    /// The connection was lost.
    #[error("the connection was lost: {0}")]
    Lost(std::io::Error),
    /// It took longer than `tls.handshake_timeout`.
    #[error("the handshake took too long")]
    TooSlow,
}

impl HandshakeRefusal {
    /// Stable kebab-case name, for logs and the counter of handshakes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Certificate(problem) => problem.name(),
            Self::Incompatible(_) => "incompatible",
            Self::PeerAlert(_) => "peer-alert",
            Self::Protocol(_) => "protocol",
            Self::Lost(_) => "lost",
            Self::TooSlow => "too-slow",
        }
    }
}

impl From<&Error> for HandshakeRefusal {
    fn from(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::Certificate(error.into()),
            Error::NoCertificatesPresented => Self::Certificate(CertificateProblem::Missing),
            // A TLS 1.2 client that has only CBC suites, say: the log tells exactly that (MSSanté §3).
            Error::PeerIncompatible(why) => Self::Incompatible(incompatibility(why)),
            Error::AlertReceived(alert) => Self::PeerAlert(format!("{alert:?}")),
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl From<std::io::Error> for HandshakeRefusal {
    fn from(error: std::io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(tls) => tls.into(),
            None => Self::Lost(error),
        }
    }
}

fn incompatibility(why: &PeerIncompatible) -> String {
    match why {
        PeerIncompatible::NoCipherSuitesInCommon => {
            "the peer offers no ECDHE suite with AES-GCM or ChaCha20".to_owned()
        }
        other => format!("{other:?}"),
    }
}
