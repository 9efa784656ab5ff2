//! What a session needs of the rest of the server.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::channel::Transport;
use super::session::Security;
use crate::accounts::Registry;
use crate::accounts::psc::PscHandle;
use crate::config::Config;
use crate::mail::MailRoom;
use crate::serve::Shutdown;
use crate::serve::front::Front;
use crate::serve::tls::{CertificateProblem, HandshakeRefusal, PeerIdentity};
use crate::telemetry::Metrics;

/// What a session needs of the rest of the server. One for many sessions.
pub struct Services {
    /// The way to mailboxes.
    pub room: MailRoom,
    /// Who may open which.
    pub registry: Registry,
    /// Whose tokens open them.
    pub psc: PscHandle,
    /// What may be logged in with here.
    pub front: Front,
    /// STARTTLS, and the judging of client certificates.
    pub tls: Arc<dyn ClientTls>,
    /// The figures.
    pub metrics: Metrics,
    /// Whether the server is stopping.
    pub shutdown: Shutdown,
    /// Bounds.
    pub options: Options,
}

/// The server's side of TLS with mail clients.
pub trait ClientTls: Send + Sync {
    /// Takes the server's part of a handshake.
    fn accept(&self, stream: Box<dyn Transport>) -> Accepting<'_>;

    /// Judges the certificate chain that a client showed.
    ///
    /// # Errors
    /// What is wrong with it.
    fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<PeerIdentity, CertificateProblem>;
}

/// A handshake under way: the stream within, and what TLS says of the client.
pub type Accepting<'a> =
    Pin<Box<dyn Future<Output = Result<(Box<dyn Transport>, Security), HandshakeRefusal>> + Send + 'a>>;

/// Bounds of a session; the configuration's keys of the same names say what they are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `limits.message`, in bytes.
    pub max_message: u64,
    /// `tls.handshake_timeout`
    pub handshake_timeout: Duration,
    /// `imap.login_timeout`
    pub login_timeout: Duration,
    /// `imap.idle_timeout`
    pub idle_timeout: Duration,
    /// `imap.max_idle`
    pub max_idle: Duration,
    /// `imap.session_timeout`
    pub session_timeout: Duration,
    /// `imap.stall_timeout`
    pub stall_timeout: Duration,
    /// `imap.max_line`, in bytes.
    pub max_line: usize,
    /// `imap.max_literals`, in bytes.
    pub max_literals: usize,
    /// `imap.max_errors`
    pub max_errors: u32,
    /// `imap.max_login_failures`
    pub max_login_failures: u32,
    /// `imap.max_connections_per_account`
    pub max_sessions: usize,
}

impl Options {
    /// The options that a configuration asks for.
    pub fn of(config: &Config) -> Options {
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let imap = &config.imap;
        Options {
            max_message: config.limits.message,
            handshake_timeout: config.tls.handshake_timeout,
            login_timeout: imap.login_timeout,
            idle_timeout: imap.idle_timeout,
            max_idle: imap.max_idle,
            session_timeout: imap.session_timeout,
            stall_timeout: imap.stall_timeout,
            max_line: bytes(imap.max_line),
            max_literals: bytes(imap.max_literals),
            max_errors: imap.max_errors,
            max_login_failures: imap.max_login_failures,
            max_sessions: imap.max_connections_per_account,
        }
    }
}
