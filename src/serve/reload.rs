//! Reading certificates, CRLs, white list and configuration again, without dropping a connection.
//!
//! All or nothing for what is read from files here: everything is read and built before anything is swapped, so that a
//! mistake in one file leaves the server as it was. The white list is refreshed by its own job, which keeps the last good
//! one by itself. Keys that only count at start are named, and keep their running values until then.

use super::tls::{Material, Revocation, TlsError};
use super::{Shared, facts, systemd};
use crate::config::{Changes, Config, ConfigError, changes};
use crate::telemetry::RuleLabel;
use crate::telemetry::logging::{LevelHandle, LoggingError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a reload was refused; everything is as before.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Certificates, keys, anchors or CRLs.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The log level.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// A task of the reload failed to run.
    #[error("the reload was interrupted")]
    Interrupted,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Keys whose change is in force, and those that need a restart.
    pub changes: Changes,
}

/// What a reload needs to know; part of [`Shared`].
pub struct Reloader {
    /// The configuration's file.
    pub config_path: PathBuf,
    /// How the log level is changed; absent where somebody else set up logging (tests).
    pub level: Option<LevelHandle>,
    /// One reload at a time.
    pub(super) gate: tokio::sync::Mutex<()>,
}

impl Reloader {
    /// For a server configured by `config_path`.
    pub fn new(config_path: &Path, level: Option<LevelHandle>) -> Self {
        Self { config_path: config_path.to_owned(), level, gate: tokio::sync::Mutex::new(()) }
    }
}

impl Shared {
    /// Reads everything again; called on SIGHUP and by the administration API. Open connections stay.
    ///
    /// # Errors
    /// What could not be read; everything is as before.
    pub async fn reload(self: &Arc<Self>) -> Result<Reloaded, ReloadError> {
        let _one_at_a_time = self.reloader.gate.lock().await;
        systemd::reloading();
        let outcome = self.read_and_swap().await;
        systemd::ready();
        let result = if outcome.is_ok() { "ok" } else { "failed" };
        self.metrics.reloads.get_or_create(&RuleLabel { rule: result }).inc();
        match &outcome {
            Ok(done) => {
                tracing::info!(applied = ?done.changes.applied, "reloaded");
                if !done.changes.need_restart.is_empty() {
                    tracing::warn!(keys = ?done.changes.need_restart, "changed keys that count only after a restart");
                }
            }
            Err(error) => tracing::error!("reload refused, everything stays as it was: {error}"),
        }
        outcome
    }

    async fn read_and_swap(self: &Arc<Self>) -> Result<Reloaded, ReloadError> {
        let path = self.reloader.config_path.clone();
        let running = self.config.load_full();
        let reading = tokio::task::spawn_blocking(move || {
            let written = Config::load(&path)?;
            let changes = changes(&running, &written);
            let config = written.keeping_start_keys_of(&running);
            let material = Material::read(&config.tls)?;
            let revocation = Revocation::read(&config.tls, &config.trust.cache)?;
            Ok::<_, ReloadError>((config, changes, material, revocation))
        });
        let (config, changes, material, revocation) = reading.await.map_err(|_| ReloadError::Interrupted)??;
        if let Some(level) = &self.reloader.level {
            level.set(&config.log.level)?;
        }
        let facts = facts::of(&material, &revocation);
        self.tls.replace(material, &revocation)?;
        facts.note(&self.metrics);
        self.config.store(Arc::new(config));
        Ok(Reloaded { changes })
    }
}
