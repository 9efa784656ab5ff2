//! Who a client is: what every door of mail programs does to find out. Each says the outcome in its own protocol's words.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;

use super::tls::{CertificateProblem, PeerIdentity};
use crate::accounts::psc::{PscError, PscHandle};
use crate::accounts::{CertificateFacts, Login, LoginError, Origin, RefusedLogin, Registry, Tried};
use crate::telemetry::{AccountLabel, Metrics};
use crate::wire::sasl::{Credentials, Secret};

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// By the registry.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// A password was refused, and no certificate that holds was shown with it. Said whenever that is so, whatever else is wrong
    /// and whoever asks: it tells nothing of the mailbox.
    #[error("wrong address or password, or this workstation is not enrolled for the mailbox: {0}")]
    PasswordAlone(CertificateProblem),
    /// The client certificate does not hold.
    #[error(transparent)]
    Certificate(#[from] CertificateProblem),
    /// The access token is refused, or Pro Santé Connect cannot say now.
    #[error(transparent)]
    Token(#[from] PscError),
    /// Traces cannot be written, and nobody is let in untraced.
    #[error("the login cannot be traced now; try later")]
    Untraced,
    /// Pro Santé Connect is not configured.
    #[error("access tokens open no mailbox here")]
    NoTokens,
}

impl Refused {
    /// Whether trying the same again later can succeed.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Refused::Login(error) => error.is_temporary(),
            Refused::Untraced => true,
            Refused::Token(error) => matches!(error, PscError::Unavailable(_) | PscError::PutOff(_)),
            Refused::PasswordAlone(_) | Refused::Certificate(_) | Refused::NoTokens => false,
        }
    }

    /// Its stable name, for traces.
    fn name(&self) -> &'static str {
        match self {
            Refused::Login(error) => error.name(),
            Refused::PasswordAlone(_) => LoginError::Refused.name(),
            Refused::Certificate(problem) => problem.name(),
            Refused::Token(error) => error.reason(),
            Refused::Untraced => "untraced",
            Refused::NoTokens => "no-tokens",
        }
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
        Credentials::Token { .. } => "token",
    }
}

/// The mailbox that is asked for, as the client wrote it.
fn asked(credentials: &Credentials) -> &str {
    match credentials {
        Credentials::Password { authorisation, user, .. } if authorisation.trim().is_empty() => user,
        Credentials::Password { authorisation, .. } | Credentials::Certificate { authorisation } => authorisation,
        Credentials::Token { user, .. } => user,
    }
}

/// Whom to ask.
pub(super) struct Verifiers<'a> {
    pub(super) registry: &'a Registry,
    pub(super) psc: &'a PscHandle,
    pub(super) metrics: &'a Metrics,
}

/// At which door and from where somebody logs in, what their connection has tried already, and the certificate chain that they showed, leaf
/// first: not judged yet.
pub(super) struct Client<'a> {
    pub(super) door: &'static str,
    pub(super) peer: IpAddr,
    pub(super) tried: &'a Tried,
    pub(super) chain: &'a [CertificateDer<'static>],
}

/// Verifies what a client gave; counted, a refusal logged. `judge` judges the certificate chain that it showed: at each login,
/// with the lists in force now, whatever the handshake was (resumption runs no verifier).
pub(super) async fn verify(
    verifiers: Verifiers<'_>,
    credentials: Credentials,
    client: Client<'_>,
    judge: impl FnOnce() -> Result<PeerIdentity, CertificateProblem>,
) -> Result<Login, Refused> {
    let (means, metrics, registry) = (means(&credentials), verifiers.metrics, verifiers.registry);
    let (door, peer, asked) = (client.door, client.peer, asked(&credentials).to_owned());
    let mut person = None;
    let verified = check(verifiers, credentials, client, judge, &mut person).await;
    let result = match &verified {
        Ok(_) => "ok",
        Err(refused) if refused.is_temporary() => "unavailable",
        Err(_) => "refused",
    };
    metrics.logins.get_or_create(&AccountLabel { means, result }).inc();
    if let Err(reason) = &verified {
        tracing::info!(means, %reason, "login refused");
        // What is refused because no trace can be kept leaves none.
        if !matches!(reason, Refused::Untraced) {
            let (person, asked, reason) = (person.as_deref(), asked.as_str(), reason.name());
            registry.note_refused(RefusedLogin { door, peer, means, person, asked, reason });
        }
    }
    verified
}

async fn check(
    verifiers: Verifiers<'_>,
    credentials: Credentials,
    client: Client<'_>,
    judge: impl FnOnce() -> Result<PeerIdentity, CertificateProblem>,
    person: &mut Option<String>,
) -> Result<Login, Refused> {
    let registry = verifiers.registry;
    if registry.room().traces().is_stuck() {
        return Err(Refused::Untraced);
    }
    match credentials {
        Credentials::Password { authorisation, user, password } => {
            // A password that is no text is nobody's; the same work is done for it.
            let password = password.expose_str().unwrap_or_default();
            // With the certificate of an enrolled workstation, where one was shown and holds.
            let device = if client.chain.is_empty() { Err(CertificateProblem::Missing) } else { judge().map(facts) };
            let from = Origin { peer: client.peer, tried: Some(client.tried) };
            let shown = device.as_ref().ok();
            let verified = registry.verify_password(&user, Some(&authorisation), password, shown, from).await;
            verified.map_err(|error| match (error, device) {
                (LoginError::Refused, Err(problem)) => Refused::PasswordAlone(problem),
                (error, _) => error.into(),
            })
        }
        Credentials::Certificate { authorisation } => {
            let certificate = facts(judge()?);
            Ok(registry.verify_external(&certificate, Some(&authorisation)).await?)
        }
        Credentials::Token { user, token } => by_token(verifiers, &user, &token, &client, person).await,
    }
}

/// By an access token of Pro Santé Connect: its person must have the mailbox, or stand on its access list (MSSanté §6). A token
/// that is bound to a certificate comes with it on this connection (RFC 8705 §3); that certificate need not be one that opens a
/// mailbox by itself.
/// `known` is told whose token it is, let in or not.
async fn by_token(
    verifiers: Verifiers<'_>,
    user: &str,
    token: &Secret,
    client: &Client<'_>,
    known: &mut Option<String>,
) -> Result<Login, Refused> {
    let psc = verifiers.psc.current().ok_or(Refused::NoTokens)?;
    let person = psc.asked_by(client.peer).verify(token, client.chain.first().map(|leaf| leaf.as_ref())).await?;
    let person = known.insert(person.national_id);
    Ok(verifiers.registry.open_for_person(person, user)?)
}

fn facts(PeerIdentity { authority, fingerprint, subject, .. }: PeerIdentity) -> CertificateFacts {
    CertificateFacts { authority, fingerprint, subject }
}
