//! Keeping the certificate revocation lists fresh (MSSanté §3; RFC 5280 §5).
//!
//! Each source is asked on its own, and each list is judged on its own: it must be signed by one of the configured
//! authorities, and not be older than what is known of its issuer. All good lists together, the newest of each issuer,
//! go out through a watch channel, from which the TLS contexts are rebuilt. A source that fails keeps its last good
//! lists: past `nextUpdate` with an alarm, and past `tls.crl_grace` the admission of peers stops for the time being.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use tokio::sync::{Notify, watch};
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::cache::CachedFile;
use super::fetch::{FetchError, Fetched, Fetcher, Source, Validators};
use super::traced::Runs;
use super::trust::SetupError;
use super::{jittered, unix_now};
use crate::audit::Tracer;
use crate::config::Config;
use crate::mss::trust::TrustHandle;
use crate::mss::{CrlState, TrustSpace};
use crate::serve::tls::{Crl, CrlProblem, CrlSet, read_anchors, read_certificates};
use crate::telemetry::{Labelled, Metrics, RuleLabel};

/// How far an issuer's clock may be ahead of ours, in seconds.
const CLOCK_TOLERANCE: i64 = 3600;

/// The shortest time between two readings that the end of a list can bring about.
const SOONEST: Duration = Duration::from_secs(60);

/// What the job works with, read from the configuration.
#[derive(Clone, Debug)]
pub struct CrlSettings {
    /// Where the lists come from.
    pub sources: Vec<Source>,
    /// The authorities that may sign them.
    pub issuers: Vec<CertificateDer<'static>>,
    /// How to get them.
    pub fetcher: Fetcher,
    /// Time between two readings.
    pub refresh: Duration,
    /// How long past `nextUpdate` a list is still used.
    pub grace: Duration,
    /// The largest list, in bytes.
    pub max_size: u64,
    /// The directory of the last good copies.
    pub cache: PathBuf,
}

impl CrlSettings {
    /// The lists of the operators' authorities: `tls.crls`, signed by `tls.anchors`.
    ///
    /// # Errors
    /// A file or address cannot be used.
    pub fn operators(config: &Config) -> Result<Self, SetupError> {
        Self::new(config, &config.tls.crls, &config.tls.anchors)
    }

    /// The lists of the mailbox doors' authorities; empty keys take those of `[tls]`.
    ///
    /// # Errors
    /// A file or address cannot be used.
    pub fn mailboxes(config: &Config) -> Result<Self, SetupError> {
        let mailbox = &config.tls.mailbox;
        if mailbox.anchors.is_empty() {
            return Self::operators(config);
        }
        Self::new(config, &mailbox.crls, &mailbox.anchors)
    }

    fn new(config: &Config, crls: &[String], anchors: &[PathBuf]) -> Result<Self, SetupError> {
        let trust = &config.trust;
        let mut issuers = Vec::new();
        for path in anchors {
            issuers.extend(read_certificates(path)?);
        }
        let https = if trust.https_anchors.is_empty() { anchors } else { &trust.https_anchors };
        Ok(Self {
            sources: crls.iter().map(|text| Source::parse(text)).collect::<Result<_, _>>()?,
            issuers,
            fetcher: Fetcher::new(read_anchors(https)?, trust.fetch_timeout, trust.max_size)?,
            refresh: config.tls.crl_refresh,
            grace: config.tls.crl_grace,
            max_size: trust.max_size,
            cache: trust.cache.clone(),
        })
    }
}

/// Why a source's lists were left as they were.
#[derive(Debug, Error)]
pub enum CrlError {
    /// They could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// They cannot be read.
    #[error(transparent)]
    Crl(#[from] CrlProblem),
    /// Nobody who could sign it is configured.
    #[error("the CRL of {issuer} is of no authority in the configured anchors")]
    UnknownIssuer {
        /// The issuer that it names.
        issuer: String,
    },
    /// The signature does not fit.
    #[error("the signature of the CRL of {issuer} is not its issuer's")]
    BadSignature {
        /// The issuer that it names.
        issuer: String,
    },
    /// Older than the one in force: a replay, or a server that fell back.
    #[error("the CRL of {issuer} is older than the one in force")]
    Older {
        /// The issuer.
        issuer: String,
    },
    /// Made in the future.
    #[error("the CRL of {issuer} says that it was made in the future")]
    FromTheFuture {
        /// The issuer.
        issuer: String,
    },
}

impl CrlError {
    /// A stable kebab-case name, for alarms and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fetch(error) => error.name(),
            Self::Crl(CrlProblem::Unreadable(_)) => "unreadable-crl",
            Self::Crl(CrlProblem::Endless { .. }) => "no-next-update",
            Self::Crl(CrlProblem::Partial { .. }) => "delta-or-indirect",
            Self::UnknownIssuer { .. } => "unknown-issuer",
            Self::BadSignature { .. } => "bad-signature",
            Self::Older { .. } => "older",
            Self::FromTheFuture { .. } => "from-the-future",
        }
    }
}

/// How one source stands, for `caducee trust status`. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlStatus {
    /// The file or address.
    pub source: String,
    /// The lists that it gave.
    pub lists: Vec<CrlListStatus>,
    /// When it last gave good lists, the same ones or new ones.
    pub last_success_at: Option<i64>,
    /// The name of the last result: `taken`, `unchanged`, or why not.
    pub last_result: Option<&'static str>,
    /// What was wrong the last time; None when nothing was.
    pub problem: Option<String>,
}

/// One list in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlListStatus {
    /// Its issuer.
    pub issuer: String,
    /// When it was made.
    pub this_update: i64,
    /// When its successor was promised for.
    pub next_update: i64,
    /// How many certificates it revokes.
    pub revoked: usize,
    /// Whether it is past `nextUpdate`.
    pub stale: bool,
}

/// The job. One for each set of authorities.
#[derive(Debug)]
pub struct CrlJob {
    settings: ArcSwap<CrlSettings>,
    /// Where the operators' state is put; the mailbox doors judge at login.
    space: Option<TrustHandle>,
    metrics: Metrics,
    lists: watch::Sender<Arc<CrlSet>>,
    state: Mutex<HashMap<Source, SourceState>>,
    refreshing: tokio::sync::Mutex<()>,
    wake: Notify,
    runs: Runs,
}

#[derive(Debug, Default)]
struct SourceState {
    lists: Vec<Crl>,
    validators: Validators,
    document: Option<Vec<u8>>,
    last_success_at: Option<i64>,
    last_result: Option<&'static str>,
    problem: Option<String>,
}

impl CrlJob {
    /// A job that has read the last good copies; `space` is where admission looks, for the operators' lists. Blocks for
    /// the time of reading them.
    pub fn new(settings: CrlSettings, space: Option<TrustHandle>, metrics: Metrics) -> Self {
        let job = Self {
            settings: ArcSwap::from_pointee(settings),
            space,
            metrics,
            lists: watch::Sender::new(Arc::default()),
            state: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            runs: Runs::default(),
        };
        job.start_from_cache();
        job.publish();
        job
    }

    /// Traces its runs from now on.
    pub fn trace_into(&self, tracer: &Tracer) {
        self.runs.begin(tracer);
    }

    /// The lists in force, and when they change.
    pub fn subscribe(&self) -> watch::Receiver<Arc<CrlSet>> {
        self.lists.subscribe()
    }

    /// Takes new settings: what sources that are gone gave is dropped, and all are asked soon.
    pub fn configure(&self, settings: CrlSettings) {
        let old = self.settings.swap(Arc::new(settings));
        let new = self.settings.load_full();
        let mut state = self.state();
        if old.issuers == new.issuers {
            state.retain(|source, _| new.sources.contains(source));
        } else {
            state.clear();
        }
        drop(state);
        self.start_from_cache();
        self.publish();
        self.wake.notify_one();
    }

    /// Refreshes again and again until `stop` resolves; the first time at once.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = self.refresh() => {}
            }
            let wait = self.until_next();
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(wait) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Asks every source now. Gives how many of them failed; the alarms have been raised.
    pub async fn refresh(&self) -> usize {
        let _one_at_a_time = self.refreshing.lock().await;
        let settings = self.settings.load_full();
        let mut failed = 0;
        for source in &settings.sources {
            let result = self.attempt(&settings, source).await;
            failed += usize::from(result.is_err());
            self.note(source, &result);
        }
        self.publish();
        failed
    }

    /// How the sources stand, in the configuration's order.
    pub fn status(&self) -> Vec<CrlStatus> {
        let now = unix_now();
        let settings = self.settings.load();
        let state = self.state();
        let none = SourceState::default();
        settings
            .sources
            .iter()
            .map(|source| {
                let known = state.get(source).unwrap_or(&none);
                CrlStatus {
                    source: source.to_string(),
                    lists: known.lists.iter().map(|crl| list_status(crl, now)).collect(),
                    last_success_at: known.last_success_at,
                    last_result: known.last_result,
                    problem: known.problem.clone(),
                }
            })
            .collect()
    }

    /// The state that admission reads.
    pub fn crl_state(&self) -> CrlState {
        let settings = self.settings.load();
        let lists = self.lists.borrow();
        if settings.sources.is_empty() {
            return CrlState::NotConfigured;
        }
        match lists.iter().map(|crl| crl.next_update).min() {
            None => CrlState::Missing,
            Some(fresh_until) => {
                let grace = i64::try_from(settings.grace.as_secs()).unwrap_or(i64::MAX);
                CrlState::Loaded { fresh_until, usable_until: fresh_until.saturating_add(grace) }
            }
        }
    }

    async fn attempt(&self, settings: &CrlSettings, source: &Source) -> Result<&'static str, CrlError> {
        let known = self.state().get(source).map(|state| state.validators.clone()).unwrap_or_default();
        let (content, validators) = match settings.fetcher.fetch(source, &known).await? {
            Fetched::Unchanged => return Ok("unchanged"),
            Fetched::New { content, validators } => (content, validators),
        };
        let document = Some(digest::digest(&digest::SHA256, &content).as_ref().to_vec());
        if self.state().get(source).is_some_and(|state| state.document == document) {
            return Ok("unchanged");
        }
        let lists = judge(&content, &settings.issuers, unix_now())?;
        self.refuse_older(source, &lists)?;
        let cached = cached(settings, source);
        let written = tokio::task::spawn_blocking(move || (cached.write(&content), cached)).await;
        if let Ok((Err(error), cached)) = written {
            let path = cached.path().display();
            tracing::error!(event = "cache.unwritable", %path, "the last good CRL cannot be kept: {error}");
        }
        let mut state = self.state();
        let state = state.entry(source.clone()).or_default();
        state.lists = lists;
        state.validators = validators;
        state.document = document;
        Ok("taken")
    }

    /// A list of the same issuer that was made before the one in force.
    fn refuse_older(&self, source: &Source, lists: &[Crl]) -> Result<(), CrlError> {
        let state = self.state();
        let Some(known) = state.get(source) else { return Ok(()) };
        for crl in lists {
            let newest = known.lists.iter().filter(|old| old.issuer == crl.issuer).map(|old| old.this_update).max();
            if newest.is_some_and(|newest| crl.this_update < newest) {
                return Err(CrlError::Older { issuer: crl.issuer.clone() });
            }
        }
        Ok(())
    }

    fn note(&self, source: &Source, result: &Result<&'static str, CrlError>) {
        let name = result.as_ref().copied().unwrap_or_else(CrlError::name);
        self.metrics.crl_refreshes.get_or_create(&RuleLabel { rule: name }).inc();
        self.runs.ran("crl", name, source.to_string());
        let mut state = self.state();
        let state = state.entry(source.clone()).or_default();
        state.last_result = Some(name);
        state.problem = result.as_ref().err().map(ToString::to_string);
        match result {
            Ok(_) => {
                state.last_success_at = Some(unix_now());
                tracing::debug!(event = "crl.read", %source, result = name, "CRL read");
            }
            Err(error) => tracing::error!(event = "crl.refused", %source, reason = name, "CRL not refreshed: {error}"),
        }
    }

    /// Hands out the newest list of each issuer, if something changed, and tells how they stand.
    fn publish(&self) {
        let set = CrlSet::newest_of_each_issuer(self.state().values().flat_map(|state| state.lists.clone()));
        for crl in set.iter() {
            let next_update =
                self.metrics.crl_next_update.get_or_create(&Labelled { name: crl.issuer.clone() }).clone();
            next_update.set(crl.next_update);
        }
        self.lists.send_if_modified(|current| {
            let changed = **current != set;
            if changed {
                *current = Arc::new(set);
            }
            changed
        });
        let state = self.crl_state();
        if let Some(space) = &self.space {
            space.rcu(|space| TrustSpace { crl_state: state, ..TrustSpace::clone(space) });
        }
        let now = unix_now();
        match state {
            CrlState::Missing => tracing::error!(event = "crl.missing", "no CRL is loaded: peers are refused for now"),
            state if !state.is_usable(now) => {
                tracing::error!(event = "crl.unusable", "a CRL is past tls.crl_grace: peers are refused for now");
            }
            state if !state.is_fresh(now) => {
                tracing::error!(
                    event = "crl.stale",
                    "a CRL is past its nextUpdate; it is still used for tls.crl_grace"
                );
            }
            _ => {}
        }
    }

    /// The configured interval, or sooner when a list ends before: halfway to its end, and then minute by minute.
    fn until_next(&self) -> Duration {
        let settings = self.settings.load();
        let remaining = match self.crl_state() {
            CrlState::Loaded { fresh_until, .. } => fresh_until.saturating_sub(unix_now()).max(0),
            CrlState::Missing => 0,
            CrlState::NotConfigured => i64::MAX,
        };
        let halfway = Duration::from_secs(u64::try_from(remaining / 2).unwrap_or(0)).max(SOONEST);
        jittered(settings.refresh.min(halfway))
    }

    /// The last good copies of sources of which nothing is known yet.
    fn start_from_cache(&self) {
        let settings = self.settings.load();
        for source in &settings.sources {
            let mut state = self.state();
            if state.get(source).is_some_and(|known| !known.lists.is_empty()) {
                continue;
            }
            let cached = cached(&settings, source);
            let path = cached.path().display();
            match cached.read(settings.max_size) {
                Ok(None) => {}
                Ok(Some(content)) => match judge(&content, &settings.issuers, unix_now()) {
                    Ok(lists) => state.entry(source.clone()).or_default().lists = lists,
                    Err(error) => {
                        let reason = error.name();
                        tracing::error!(event = "cache.refused", %path, reason, "the last good CRL is not: {error}");
                    }
                },
                Err(error) => {
                    tracing::error!(event = "cache.unreadable", %path, "the last good CRL cannot be read: {error}");
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, HashMap<Source, SourceState>> {
        // Nothing that holds it can leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The copy of a source, named by a digest of its address.
fn cached(settings: &CrlSettings, source: &Source) -> CachedFile {
    let digest = digest::digest(&digest::SHA256, source.to_string().as_bytes());
    let name: String = digest.as_ref().iter().take(8).map(|octet| format!("{octet:02x}")).collect();
    CachedFile::new(&settings.cache, &format!("crl-{name}"))
}

fn list_status(crl: &Crl, now: i64) -> CrlListStatus {
    CrlListStatus {
        issuer: crl.issuer.clone(),
        this_update: crl.this_update,
        next_update: crl.next_update,
        revoked: crl.revoked,
        stale: now > crl.next_update,
    }
}

/// Reads a source's content and checks each list's signature; `now` is Unix seconds.
///
/// # Errors
/// The first list that cannot be used: a source is taken as a whole.
pub fn judge(content: &[u8], issuers: &[CertificateDer<'_>], now: i64) -> Result<Vec<Crl>, CrlError> {
    let lists = Crl::read_all(content)?;
    for crl in &lists {
        if crl.this_update > now.saturating_add(CLOCK_TOLERANCE) {
            return Err(CrlError::FromTheFuture { issuer: crl.issuer.clone() });
        }
        verify_signature(crl, issuers)?;
    }
    Ok(lists)
}

/// webpki verifies a CRL again in each handshake; but a list that is wrong must not take a good one's place before.
fn verify_signature(crl: &Crl, issuers: &[CertificateDer<'_>]) -> Result<(), CrlError> {
    let unreadable = |error: &dyn std::fmt::Display| CrlError::Crl(CrlProblem::Unreadable(error.to_string()));
    let (_, parsed) = CertificateRevocationList::from_der(crl.der()).map_err(|error| unreadable(&error))?;
    let mut known = false;
    for der in issuers {
        let Ok((_, issuer)) = X509Certificate::from_der(der) else { continue };
        if issuer.subject().as_raw() != parsed.issuer().as_raw() {
            continue;
        }
        known = true;
        let Ok(issuer) = EndEntityCert::try_from(der) else { continue };
        let signed = |algorithm: &&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
            issuer.verify_signature(*algorithm, parsed.tbs_cert_list.as_ref(), &parsed.signature_value.data).is_ok()
        };
        // The algorithm that the list names counts for nothing: whichever fits the issuer's key must verify.
        if webpki::ALL_VERIFICATION_ALGS.iter().any(signed) {
            return Ok(());
        }
    }
    let issuer = crl.issuer.clone();
    Err(if known { CrlError::BadSignature { issuer } } else { CrlError::UnknownIssuer { issuer } })
}
