//! The client of Pro Santé Connect that a configuration asks for.

use super::secrets::{SecretError, read_secret};
use super::tls::{TlsError, read_certificates, read_key};
use crate::accounts::psc::{Judging, Psc, PscOptions, PscSetupError};
use crate::config::psc::{self, Validation};
use crate::telemetry::Metrics;
use rustls::RootCertStore;
use std::path::PathBuf;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum PscConfigError {
    /// The secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Certificates, keys, authorities.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No certificate of a file can be an authority's.
    #[error("psc.anchors: {0}: no certificate in it can be an authority's")]
    Anchors(PathBuf),
    /// What was read does not make a client.
    #[error(transparent)]
    Setup(#[from] PscSetupError),
}

/// Reads what `[psc]` names; `None`: it is off.
///
/// # Errors
/// A file that cannot be used.
pub fn client(config: &psc::Psc, metrics: &Metrics) -> Result<Option<Psc>, PscConfigError> {
    if !config.is_on() {
        return Ok(None);
    }
    Ok(Some(Psc::new(options(config)?, metrics)?))
}

fn options(config: &psc::Psc) -> Result<PscOptions, PscConfigError> {
    let secret = Some(&config.client_secret).filter(|setting| !setting.is_empty());
    let secret = secret.map(|setting| read_secret("psc.client_secret", setting)).transpose()?;
    let identity = match config.client_certificate.as_os_str().is_empty() {
        true => None,
        false => Some((read_certificates(&config.client_certificate)?, read_key(&config.client_key)?)),
    };
    Ok(PscOptions {
        issuer: config.issuer.clone(),
        client_id: config.client_id.clone(),
        client_secret: secret,
        identity,
        anchors: anchors(&config.anchors)?,
        judging: match config.validation {
            Validation::Introspection => Judging::Introspection,
            Validation::Jwt => Judging::Signature,
            Validation::Both => Judging::Both,
        },
        audience: config.audience.clone(),
        acr: config.acr.clone(),
        clock_skew: config.clock_skew,
        connect_timeout: config.connect_timeout,
        timeout: config.timeout,
        deadline: config.deadline,
        retries: config.retries,
        at_once: config.at_once,
        max_answer: usize::try_from(config.max_answer).unwrap_or(usize::MAX),
        breaker_failures: config.breaker_failures,
        breaker_pause: config.breaker_pause,
        max_refused_per_address: config.max_refused_per_address,
        cache: config.cache,
        cache_refused: config.cache_refused,
        cache_entries: config.cache_entries,
        refresh: config.refresh,
        keys_pause: config.keys_pause,
        clock: crate::mail::now,
    })
}

/// Reads the authorities. The system's file holds more than a hundred of all kinds: one that the library cannot take is passed
/// over, a file of nothing else is a mistake.
pub(super) fn anchors(paths: &[PathBuf]) -> Result<RootCertStore, PscConfigError> {
    let mut roots = RootCertStore::empty();
    for path in paths {
        let (taken, passed_over) = roots.add_parsable_certificates(read_certificates(path)?);
        if taken == 0 {
            return Err(PscConfigError::Anchors(path.clone()));
        }
        if passed_over > 0 {
            tracing::debug!(path = %path.display(), passed_over, "certificates that can be no authority's");
        }
    }
    Ok(roots)
}
