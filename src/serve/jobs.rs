//! The jobs that run beside, as the running server holds them.

use super::tls::{Contexts, Revocation, TlsError};
use super::{Shared, Shutdown};
use crate::audit::Tracer;
use crate::config::Config;
use crate::jobs::crl::{CrlJob, CrlSettings};
use crate::jobs::trust::{RefreshError, Refreshed, SetupError, TrustJob, TrustSettings};
use crate::mss::trust::TrustHandle;
use crate::telemetry::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tracing::error;

/// White list and revocation lists, kept fresh.
#[derive(Clone, Debug)]
pub struct Jobs {
    /// The white list.
    pub trust: Arc<TrustJob>,
    /// The CRLs of the operators' authorities.
    pub operator_crls: Arc<CrlJob>,
    /// The CRLs of the mailbox doors' authorities.
    pub mailbox_crls: Arc<CrlJob>,
}

/// The settings of all jobs, read from a configuration before any of them is changed.
#[derive(Debug)]
pub struct JobSettings {
    trust: TrustSettings,
    operator_crls: CrlSettings,
    mailbox_crls: CrlSettings,
}

impl JobSettings {
    /// Reads the authorities' files.
    ///
    /// # Errors
    /// A file or address cannot be used.
    pub fn read(config: &Config) -> Result<Self, SetupError> {
        Ok(Self {
            trust: TrustSettings::from_config(config)?,
            operator_crls: CrlSettings::operators(config)?,
            mailbox_crls: CrlSettings::mailboxes(config)?,
        })
    }
}

/// What a refresh of everything came to.
#[derive(Debug)]
pub struct JobsRefreshed {
    /// How the white list's went.
    pub white_list: Result<Refreshed, RefreshError>,
    /// CRL sources that failed; what they gave before is still in force.
    pub failed_crls: usize,
}

impl Jobs {
    /// Jobs that have read their last good copies; blocks for that time.
    pub fn new(settings: JobSettings, space: TrustHandle, metrics: &Metrics) -> Self {
        let operator_crls = Arc::new(CrlJob::new(settings.operator_crls, Some(Arc::clone(&space)), metrics.clone()));
        let mailbox_crls = Arc::new(CrlJob::new(settings.mailbox_crls, None, metrics.clone()));
        let revocation = operator_crls.subscribe();
        let trust = Arc::new(TrustJob::new(settings.trust, space, revocation, metrics.clone()));
        Self { trust, operator_crls, mailbox_crls }
    }

    /// Traces the jobs' runs from now on (MSSanté §11).
    pub fn trace_into(&self, tracer: &Tracer) {
        self.trust.trace_into(tracer);
        self.operator_crls.trace_into(tracer);
        self.mailbox_crls.trace_into(tracer);
    }

    /// Gives the jobs new settings.
    pub fn configure(&self, settings: JobSettings) {
        self.operator_crls.configure(settings.operator_crls);
        self.mailbox_crls.configure(settings.mailbox_crls);
        self.trust.configure(settings.trust);
    }

    /// Asks every source now: the CRLs first, as the white list's signer may be revoked. Failures have raised their
    /// alarms, and what was in force stays.
    pub async fn refresh(&self) -> JobsRefreshed {
        let (operators, mailboxes) = tokio::join!(self.operator_crls.refresh(), self.mailbox_crls.refresh());
        JobsRefreshed { white_list: self.trust.refresh(false).await, failed_crls: operators + mailboxes }
    }

    /// The CRLs in force.
    pub fn revocation(&self, grace: Duration) -> Revocation {
        let operators = self.operator_crls.subscribe().borrow().as_ref().clone();
        let mailboxes = self.mailbox_crls.subscribe().borrow().as_ref().clone();
        Revocation { operators, mailboxes, grace }
    }

    /// Rebuilds the TLS contexts with the CRLs in force.
    ///
    /// # Errors
    /// The lists do not make a verifier; the old contexts stay.
    pub fn put_revocation(&self, contexts: &Contexts, grace: Duration) -> Result<(), TlsError> {
        contexts.replace_revocation(self.revocation(grace))
    }

    /// Starts the jobs' loops, and the one that rebuilds the TLS contexts when a CRL changes; all end with the stop.
    pub(super) fn start(&self, shared: &Arc<Shared>) {
        let begun = |shutdown: &Shutdown| {
            let shutdown = shutdown.clone();
            async move { shutdown.begun().await }
        };
        for job in [&self.operator_crls, &self.mailbox_crls] {
            let (job, stop) = (Arc::clone(job), begun(&shared.shutdown));
            tokio::spawn(async move { job.run(stop).await });
        }
        let (job, stop) = (Arc::clone(&self.trust), begun(&shared.shutdown));
        tokio::spawn(async move { job.run(stop).await });
        tokio::spawn(follow_lists(Arc::clone(shared)));
    }
}

/// Rebuilds the TLS contexts whenever a CRL changes. A handshake on the way keeps the old ones.
async fn follow_lists(shared: Arc<Shared>) {
    let mut operators = shared.jobs.operator_crls.subscribe();
    let mut mailboxes = shared.jobs.mailbox_crls.subscribe();
    loop {
        let grace = shared.config.load().tls.crl_grace;
        if let Err(problem) = shared.jobs.put_revocation(&shared.tls, grace) {
            error!(event = "crl.unusable", "the new CRLs do not make a verifier, the old ones stay: {problem}");
        }
        tokio::select! {
            () = shared.shutdown.begun() => return,
            changed = operators.changed() => if changed.is_err() { return },
            changed = mailboxes.changed() => if changed.is_err() { return },
        }
    }
}
