//! Who a client is: what every door of mail programs does to find out. Each says the outcome in its own protocol's words.

use std::net::IpAddr;

use super::tls::{CertificateProblem, PeerIdentity};
use crate::accounts::{CertificateFacts, Login, LoginError, Registry};
use crate::telemetry::{AccountLabel, Metrics};
use crate::wire::sasl::Credentials;

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// By the registry.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The client certificate does not hold.
    #[error(transparent)]
    Certificate(#[from] CertificateProblem),
}

impl Refused {
    /// Whether trying the same again later can succeed.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, Refused::Login(error) if error.is_temporary())
    }

    /// What the client is told; the whole reason is in the log.
    pub(super) fn told(&self) -> String {
        match self {
            Refused::Login(error) if error.is_secret() => "The login cannot be checked now; try later".to_owned(),
            refused => refused.to_string(),
        }
    }
}

/// How a login is tried, for logs and counters.
pub(super) fn means(credentials: &Credentials) -> &'static str {
    match credentials {
        Credentials::Password { .. } => "password",
        Credentials::Certificate { .. } => "certificate",
    }
}

/// Verifies what a client at `peer` gave; counted, a refusal logged. `shown`: it showed a certificate; `judge` judges the certificate chain that it showed: at
/// each login, with the lists in force now, whatever the handshake was (resumption runs no verifier).
pub(super) async fn verify(
    registry: &Registry,
    metrics: &Metrics,
    credentials: Credentials,
    peer: IpAddr,
    shown: bool,
    judge: impl FnOnce() -> Result<PeerIdentity, CertificateProblem>,
) -> Result<Login, Refused> {
    let means = means(&credentials);
    let verified = check(registry, credentials, peer, shown, judge).await;
    let result = match &verified {
        Ok(_) => "ok",
        Err(refused) if refused.is_temporary() => "unavailable",
        Err(_) => "refused",
    };
    metrics.logins.get_or_create(&AccountLabel { means, result }).inc();
    if let Err(reason) = &verified {
        tracing::info!(means, %reason, "login refused");
    }
    verified
}

async fn check(
    registry: &Registry,
    credentials: Credentials,
    peer: IpAddr,
    shown: bool,
    judge: impl FnOnce() -> Result<PeerIdentity, CertificateProblem>,
) -> Result<Login, Refused> {
    match credentials {
        Credentials::Password { authorisation, user, password } => {
            // A password that is no text is nobody's; the same work is done for it.
            let password = password.expose_str().unwrap_or_default();
            // With the certificate of an enrolled workstation, where one was shown and holds.
            let device = if shown { judge().ok().map(facts) } else { None };
            Ok(registry.verify_password(&user, Some(&authorisation), password, device.as_ref(), peer).await?)
        }
        Credentials::Certificate { authorisation } => {
            let certificate = facts(judge()?);
            Ok(registry.verify_external(&certificate, Some(&authorisation)).await?)
        }
    }
}

fn facts(PeerIdentity { fingerprint, subject, .. }: PeerIdentity) -> CertificateFacts {
    CertificateFacts { fingerprint, subject }
}
