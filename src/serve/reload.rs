//! Reading certificates, CRLs, white list and configuration again, without dropping a connection.
//!
//! All or nothing for what is read from files here: everything is read and built before anything is swapped, so that a
//! mistake in one file leaves the server as it was. White list and CRLs are refreshed by their jobs, which keep the last
//! good ones by themselves. Keys that only count at start are named, and keep their running values until then.

use super::facts::Facts;
use super::jobs::{JobSettings, JobsRefreshed};
use super::psc::{self, PscConfigError};
use super::tls::{Material, TlsError};
use super::{Shared, systemd};
use crate::config::{Changes, Config, ConfigError, changes};
use crate::jobs::trust::SetupError;
use crate::telemetry::RuleLabel;
use crate::telemetry::logging::{LevelHandle, LoggingError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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
    /// What the jobs need.
    #[error(transparent)]
    Jobs(#[from] SetupError),
    /// What Pro Santé Connect needs.
    #[error(transparent)]
    Psc(#[from] PscConfigError),
    /// A task of the reload failed to run.
    #[error("the reload was interrupted")]
    Interrupted,
}

/// How long a reload waits for white list and CRLs; a slow network's come when they come.
const REFRESH_WAIT: Duration = Duration::from_secs(10);

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// What was read again, in words.
    pub read: Vec<String>,
    /// Keys whose change is in force, and those that need a restart.
    pub changes: Changes,
    /// What could not be refreshed; what was in force stays, and its alarm has been raised.
    pub problems: Vec<String>,
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
                tracing::info!(read = ?done.read, applied = ?done.changes.applied, problems = ?done.problems, "reloaded");
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
        let metrics = self.metrics.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let written = Config::load(&path)?;
            let changes = changes(&running, &written);
            let config = written.keeping_start_keys_of(&running);
            let material = Material::read(&config.tls)?;
            let settings = JobSettings::read(&config)?;
            let psc = psc::client(&config.psc, &metrics)?;
            Ok::<_, ReloadError>((config, changes, material, settings, psc))
        });
        let (config, changes, material, settings, psc) = reading.await.map_err(|_| ReloadError::Interrupted)??;
        let (facts, grace) = (Facts::of(&material), config.tls.crl_grace);
        self.tls.replace_material(material)?;
        facts.note(&self.metrics);
        if let Some(level) = &self.reloader.level {
            level.set(&config.log.level)?;
        }
        self.psc.replace(psc);
        self.config.store(Arc::new(config));
        self.jobs.configure(settings);
        let refreshed = tokio::time::timeout(REFRESH_WAIT, self.jobs.refresh()).await.ok();
        // At once, so that who asked for the reload can rely on the lists; `jobs::follow_lists` would do it in a moment.
        self.jobs.put_revocation(&self.tls, grace)?;
        Ok(report(changes, refreshed))
    }
}

fn report(changes: Changes, refreshed: Option<JobsRefreshed>) -> Reloaded {
    let mut done = Reloaded { changes, ..Reloaded::default() };
    done.read = vec!["configuration".into(), "certificates".into()];
    match refreshed {
        None => done.problems.push("white list and CRLs: still being fetched".into()),
        Some(JobsRefreshed { white_list, failed_crls }) => {
            match failed_crls {
                0 => done.read.push("CRLs".into()),
                n => done.problems.push(format!("CRLs: {n} sources failed, see `caducee trust status`")),
            }
            match white_list {
                Ok(_) => done.read.push("white list".into()),
                Err(error) => done.problems.push(format!("white list: {error}")),
            }
        }
    }
    done
}
