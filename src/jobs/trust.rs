//! Keeping the white list fresh (MSSanté §2; the defaults there are marked **O**).
//!
//! A new list is taken when its signature holds, it is not older than the current one, and it did not lose too many
//! entries. Whatever else comes leaves the current list in force, and raises an alarm. A list older than `trust.max_age`
//! raises one too, and still serves: an agency that is down must not take the trust space with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use thiserror::Error;
use tokio::sync::{Notify, watch};

use super::cache::CachedFile;
use super::fetch::{FetchError, Fetched, Fetcher, Source, Validators};
use super::traced::Runs;
use super::{jittered, unix_now};
use crate::audit::Tracer;
use crate::config::Config;
use crate::mss::test_addresses::{TestAddresses, TestRuleError};
use crate::mss::trust::TrustHandle;
use crate::mss::whitelist::{SignerPolicy, WhiteListError, verify_and_parse};
use crate::mss::{CitizenRules, Domain, DomainError, TrustSpace, WhiteList};
use crate::serve::tls::{CrlSet, TlsError, read_anchors, read_certificates};
use crate::telemetry::{Metrics, RuleLabel};

/// The name of the last good copy in `trust.cache`.
pub const WHITE_LIST_COPY: &str = "white-list.xml";

/// How soon it is tried again while there is no list at all.
const RETRY_WITHOUT_LIST: Duration = Duration::from_secs(30);

/// What the job works with, read from the configuration.
#[derive(Clone, Debug)]
pub struct TrustSettings {
    /// Where the list comes from.
    pub source: Source,
    /// Who may sign it; `crls` are filled in at each refresh.
    pub signer: SignerPolicy,
    /// How to get it.
    pub fetcher: Fetcher,
    /// Time between two refreshes.
    pub refresh: Duration,
    /// The largest loss of entries, in percent of the current list.
    pub max_shrink: u8,
    /// The age from which an alarm stands.
    pub max_age: Duration,
    /// The largest list, in bytes.
    pub max_size: u64,
    /// The directory of the last good copy.
    pub cache: std::path::PathBuf,
    /// How other operators' test mailboxes are recognised.
    pub test_rules: TestAddresses,
    /// Whose addresses are citizens'.
    pub citizens: CitizenRules,
}

/// Why the job cannot be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// A certificate file cannot be read.
    #[error(transparent)]
    Certificates(#[from] TlsError),
    /// The source is no address.
    #[error("trust.source: {0}")]
    Source(#[from] FetchError),
    /// The TLS library refuses the settings.
    #[error("TLS settings: {0}")]
    Tls(#[from] rustls::Error),
    /// `trust.test_addresses` cannot be used.
    #[error("trust.test_addresses: {0}")]
    TestRules(#[from] TestRuleError),
    /// A domain of `trust.test_addresses.domains` is none.
    #[error("trust.test_addresses.domains: '{0}': {1}")]
    TestDomain(String, #[source] DomainError),
    /// A domain of `citizens.domains` is none.
    #[error("citizens.domains: '{0}': {1}")]
    CitizenDomain(String, #[source] DomainError),
}

impl TrustSettings {
    /// Reads the files that `[trust]` names.
    ///
    /// # Errors
    /// The first one that cannot be used.
    pub fn from_config(config: &Config) -> Result<Self, SetupError> {
        let trust = &config.trust;
        let mut anchors = Vec::new();
        for path in &trust.anchors {
            anchors.extend(read_certificates(path)?.into_iter().map(|der| der.to_vec()));
        }
        let https = if trust.https_anchors.is_empty() { &trust.anchors } else { &trust.https_anchors };
        Ok(Self {
            source: Source::parse(&trust.source)?,
            signer: SignerPolicy { anchors, signer_cn: trust.signer_cn.clone(), crls: Vec::new() },
            fetcher: Fetcher::new(read_anchors(https)?, trust.fetch_timeout, trust.max_size)?,
            refresh: trust.refresh,
            max_shrink: trust.max_shrink,
            max_age: trust.max_age,
            max_size: trust.max_size,
            cache: trust.cache.clone(),
            test_rules: test_rules(config)?,
            citizens: citizens(config)?,
        })
    }
}

fn test_rules(config: &Config) -> Result<TestAddresses, SetupError> {
    let rules = &config.trust.test_addresses;
    let domains = rules
        .domains
        .iter()
        .map(|text| Domain::parse(text).map_err(|error| SetupError::TestDomain(text.clone(), error)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(TestAddresses::new(&rules.local_parts, &rules.labels, domains)?)
}

fn citizens(config: &Config) -> Result<CitizenRules, SetupError> {
    let parse = |text: &String| Domain::parse(text).map_err(|error| SetupError::CitizenDomain(text.clone(), error));
    let domains = config.citizens.domains.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    Ok(CitizenRules::new(domains, config.citizens.only_answer))
}

/// What a refresh did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// A new list is in force.
    Taken,
    /// The list in force is the newest.
    Unchanged,
}

impl Refreshed {
    /// A stable name, for counters and scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Why a refresh left the list as it was.
#[derive(Debug, Error)]
pub enum RefreshError {
    /// It could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It cannot be believed or read.
    #[error(transparent)]
    List(#[from] WhiteListError),
    /// Older than the list in force: a replay, or a server that fell back.
    #[error("the list was generated at {}, the one in force at {}", show_time(*.offered), show_time(*.current))]
    Older {
        /// `DateDeGeneration` of the one offered, in Unix seconds.
        offered: i64,
        /// That of the one in force.
        current: i64,
    },
    /// It lost too many entries.
    #[error("the list has {offered} entries, the one in force {current}: a loss of more than {max_shrink} %")]
    Shrunk {
        /// Entries of the one offered.
        offered: usize,
        /// Entries of the one in force.
        current: usize,
        /// The largest loss, in percent.
        max_shrink: u8,
    },
    /// The task that verifies was ended.
    #[error("the verification was ended")]
    Ended,
}

impl RefreshError {
    /// A stable kebab-case name, for alarms and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fetch(error) => error.name(),
            Self::List(error) => error.name(),
            Self::Older { .. } => "older",
            Self::Shrunk { .. } => "shrunk",
            Self::Ended => "ended",
        }
    }
}

/// RFC 3339, for people.
fn show_time(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).map_or_else(|_| unix.to_string(), |time| time.to_string())
}

/// How the list stands, for `caducee trust status`. Times are Unix seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustStatus {
    /// Where the list comes from.
    pub source: String,
    /// The list in force, if there is one.
    pub list: Option<ListStatus>,
    /// When the source was last asked.
    pub last_attempt_at: Option<i64>,
    /// When it last gave a good list, the same one or a new one.
    pub last_success_at: Option<i64>,
    /// The name of the last result: `taken`, `unchanged`, or why not.
    pub last_result: Option<&'static str>,
    /// What was wrong the last time, in words; None when nothing was.
    pub problem: Option<String>,
    /// When it will be asked again.
    pub next_attempt_at: Option<i64>,
}

/// The list in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListStatus {
    /// `DateDeGeneration`.
    pub generated_at: i64,
    /// Entries.
    pub entries: usize,
    /// Distinct domains.
    pub domains: usize,
    /// Distinct DNs.
    pub peers: usize,
    /// Entries that could not be read.
    pub unreadable: usize,
    /// Whether it was read from the last good copy, and not confirmed since.
    pub from_cache: bool,
    /// Whether it is older than `trust.max_age`.
    pub stale: bool,
}

/// The job. One per process, shared by the runtime (which runs it) and the administration (which asks it).
#[derive(Debug)]
pub struct TrustJob {
    settings: ArcSwap<TrustSettings>,
    space: TrustHandle,
    revocation: watch::Receiver<Arc<CrlSet>>,
    metrics: Metrics,
    state: Mutex<State>,
    /// Held during a refresh: two at once would race for the older of two lists.
    refreshing: tokio::sync::Mutex<()>,
    wake: Notify,
    runs: Runs,
}

/// What is remembered between refreshes.
#[derive(Debug, Default)]
struct State {
    validators: Validators,
    /// SHA-256 of the document of the list in force.
    document: Option<Vec<u8>>,
    from_cache: bool,
    last_attempt_at: Option<i64>,
    last_success_at: Option<i64>,
    last_result: Option<&'static str>,
    problem: Option<String>,
    next_attempt_at: Option<i64>,
}

impl TrustJob {
    /// A job that puts lists into `space`, after it has put the last good copy there, if there is one. `revocation`
    /// gives the CRLs in force, by which a signer may be revoked. Blocks for the time of reading the copy.
    pub fn new(
        settings: TrustSettings,
        space: TrustHandle,
        revocation: watch::Receiver<Arc<CrlSet>>,
        metrics: Metrics,
    ) -> Self {
        let job = Self {
            settings: ArcSwap::from_pointee(settings),
            space,
            revocation,
            metrics,
            state: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            runs: Runs::default(),
        };
        job.put_rules();
        job.start_from_cache();
        job
    }

    /// Traces its runs from now on.
    pub fn trace_into(&self, tracer: &Tracer) {
        self.runs.begin(tracer);
    }

    /// Takes new settings: they count from the next refresh, which is made soon. The list in force stays until then.
    pub fn configure(&self, settings: TrustSettings) {
        let old = self.settings.swap(Arc::new(settings));
        let new = self.settings.load();
        if old.source != new.source || old.signer != new.signer {
            // What another source or signer gave is to be fetched and judged anew.
            let mut state = self.state();
            state.validators = Validators::default();
            state.document = None;
        }
        self.put_rules();
        self.wake.notify_one();
    }

    /// Refreshes again and again until `stop` resolves; the first time at once.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = self.refresh(false) => {}
            }
            let has_list = self.space.load().list.is_some();
            let interval = self.settings.load().refresh;
            let wait = jittered(if has_list { interval } else { interval.min(RETRY_WITHOUT_LIST) });
            self.state().next_attempt_at = Some(unix_now().saturating_add(wait.as_secs() as i64));
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(wait) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Asks the source now. With `accept_shrink` the operator has looked at a list that lost many entries and wants it.
    ///
    /// # Errors
    /// Why the list was left as it was; the alarm has been raised.
    pub async fn refresh(&self, accept_shrink: bool) -> Result<Refreshed, RefreshError> {
        let _one_at_a_time = self.refreshing.lock().await;
        let settings = self.settings.load_full();
        let result = self.attempt(&settings, accept_shrink).await;
        self.note(&settings, &result);
        result
    }

    /// How the list stands.
    pub fn status(&self) -> TrustStatus {
        let settings = self.settings.load();
        let list = self.space.load().list.clone();
        let state = self.state();
        TrustStatus {
            source: settings.source.to_string(),
            list: list.map(|list| ListStatus {
                generated_at: list.generated_at(),
                entries: list.entries().len(),
                domains: list.domain_count(),
                peers: list.peer_count(),
                unreadable: list.problems().len(),
                from_cache: state.from_cache,
                stale: is_stale(&list, &settings, unix_now()),
            }),
            last_attempt_at: state.last_attempt_at,
            last_success_at: state.last_success_at,
            last_result: state.last_result,
            problem: state.problem.clone(),
            next_attempt_at: state.next_attempt_at,
        }
    }

    async fn attempt(&self, settings: &TrustSettings, accept_shrink: bool) -> Result<Refreshed, RefreshError> {
        let known = self.state().validators.clone();
        let (content, validators) = match settings.fetcher.fetch(&settings.source, &known).await? {
            Fetched::Unchanged => return Ok(Refreshed::Unchanged),
            Fetched::New { content, validators } => (content, validators),
        };
        let document = document_digest(&content);
        if self.state().document.as_ref() == Some(&document) {
            self.state().validators = validators;
            return Ok(Refreshed::Unchanged);
        }
        let signer = SignerPolicy { crls: self.revoked(), ..settings.signer.clone() };
        let verification = tokio::task::spawn_blocking(move || {
            verify_and_parse(&content, &signer, unix_now()).map(|list| (list, content))
        });
        let (list, content) = verification.await.map_err(|_| RefreshError::Ended)??;
        if let Some(current) = self.space.load().list.as_deref() {
            compare(&list, current, settings.max_shrink, accept_shrink)?;
        }
        keep_copy(&cached(settings), content).await;
        self.put_list(list);
        let mut state = self.state();
        state.validators = validators;
        state.document = Some(document);
        Ok(Refreshed::Taken)
    }

    fn revoked(&self) -> Vec<Vec<u8>> {
        self.revocation.borrow().der().iter().map(|der| der.to_vec()).collect()
    }

    fn put_list(&self, list: WhiteList) {
        for problem in list.problems().iter().take(20) {
            tracing::warn!(event = "trust.entry", entry = problem.entry, "unreadable entry: {}", problem.problem);
        }
        self.metrics.white_list_entries.set(i64::try_from(list.entries().len()).unwrap_or(i64::MAX));
        self.metrics.white_list_generated.set(list.generated_at());
        let list = Some(Arc::new(list));
        self.space.rcu(|space| TrustSpace { list: list.clone(), ..TrustSpace::clone(space) });
    }

    fn put_rules(&self) {
        let settings = self.settings.load();
        let (test_rules, citizens) = (Arc::new(settings.test_rules.clone()), Arc::new(settings.citizens.clone()));
        self.space.rcu(|space| TrustSpace {
            test_rules: Arc::clone(&test_rules),
            citizens: Arc::clone(&citizens),
            ..TrustSpace::clone(space)
        });
    }

    /// Remembers and tells how a refresh went.
    fn note(&self, settings: &TrustSettings, result: &Result<Refreshed, RefreshError>) {
        let now = unix_now();
        let name = result.as_ref().map_or_else(RefreshError::name, |refreshed| refreshed.name());
        self.metrics.white_list_refreshes.get_or_create(&RuleLabel { rule: name }).inc();
        self.runs.ran("white-list", name, settings.source.to_string());
        let mut state = self.state();
        state.last_attempt_at = Some(now);
        state.last_result = Some(name);
        state.problem = result.as_ref().err().map(ToString::to_string);
        if result.is_ok() {
            state.last_success_at = Some(now);
            state.from_cache = false;
        }
        drop(state);
        let source = &settings.source;
        let list = self.space.load().list.clone();
        match (result, &list) {
            (Ok(Refreshed::Taken), Some(list)) => tracing::info!(
                event = "trust.taken",
                entries = list.entries().len(),
                generated_at = show_time(list.generated_at()),
                "a new white list is in force"
            ),
            (Ok(_), _) => tracing::debug!(event = "trust.unchanged", "the white list is unchanged"),
            (Err(error), _) => {
                tracing::error!(event = "trust.refused", reason = name, %source, "white list not refreshed: {error}");
            }
        }
        match list {
            None => tracing::error!(event = "trust.missing", "there is no white list: nobody can be admitted"),
            Some(list) if is_stale(&list, settings, now) => tracing::error!(
                event = "trust.stale",
                generated_at = show_time(list.generated_at()),
                "the white list is older than trust.max_age; it still serves"
            ),
            Some(_) => {}
        }
    }

    /// The last good copy, judged again: a disk may be damaged, and settings may have changed.
    fn start_from_cache(&self) {
        let settings = self.settings.load();
        let cached = cached(&settings);
        let content = match cached.read(settings.max_size) {
            Ok(Some(content)) => content,
            Ok(None) => return,
            Err(error) => {
                let path = cached.path().display();
                tracing::error!(event = "cache.unreadable", %path, "the last good white list cannot be read: {error}");
                return;
            }
        };
        match verify_and_parse(&content, &settings.signer, unix_now()) {
            Ok(list) => {
                let generated_at = show_time(list.generated_at());
                tracing::info!(event = "trust.started", generated_at, "starting with the last good white list");
                self.put_list(list);
                let mut state = self.state();
                state.document = Some(document_digest(&content));
                state.from_cache = true;
            }
            Err(error) => {
                let (path, reason) = (cached.path().display(), error.name());
                tracing::error!(event = "cache.refused", %path, reason, "the last good white list is not: {error}");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds it can leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cached(settings: &TrustSettings) -> CachedFile {
    CachedFile::new(&settings.cache, WHITE_LIST_COPY)
}

fn document_digest(content: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, content).as_ref().to_vec()
}

fn is_stale(list: &WhiteList, settings: &TrustSettings, now: i64) -> bool {
    now.saturating_sub(list.generated_at()) > i64::try_from(settings.max_age.as_secs()).unwrap_or(i64::MAX)
}

/// Holds an offered list against the one in force (MSSanté §2).
fn compare(offered: &WhiteList, current: &WhiteList, max_shrink: u8, accept_shrink: bool) -> Result<(), RefreshError> {
    if offered.generated_at() < current.generated_at() {
        return Err(RefreshError::Older { offered: offered.generated_at(), current: current.generated_at() });
    }
    let (offered, current) = (offered.entries().len(), current.entries().len());
    // In whole numbers: 80 of 100 entries are a loss of exactly 20 %, which is not more.
    if !accept_shrink && offered * 100 < current * usize::from(100 - max_shrink.min(100)) {
        return Err(RefreshError::Shrunk { offered, current, max_shrink });
    }
    Ok(())
}

/// The list is taken even if it cannot be kept: serving comes first, the alarm stands.
async fn keep_copy(cached: &CachedFile, content: Vec<u8>) {
    let file = cached.clone();
    let written = tokio::task::spawn_blocking(move || file.write(&content)).await;
    if let Err(error) = written.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        let path = cached.path().display();
        tracing::error!(event = "cache.unwritable", %path, "the last good copy cannot be kept: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mss::whitelist::Entry;

    fn list(generated_at: i64, count: usize) -> WhiteList {
        let entry = |n| Entry {
            domain: Domain::parse(&format!("d{n}.example")).unwrap(),
            description: String::new(),
            dn: Arc::new(crate::mss::DistinguishedName::parse_text("CN=a").unwrap()),
            responsible: String::new(),
            support: String::new(),
            updated_at: None,
        };
        WhiteList::from_entries(generated_at, (0..count).map(entry).collect())
    }

    #[test]
    fn a_list_may_lose_a_fifth_and_no_more() {
        let current = list(100, 100);
        assert!(compare(&list(100, 80), &current, 20, false).is_ok());
        assert!(matches!(compare(&list(100, 79), &current, 20, false), Err(RefreshError::Shrunk { .. })));
        assert!(compare(&list(100, 79), &current, 20, true).is_ok());
        assert!(compare(&list(100, 1), &current, 100, false).is_ok());
        assert!(compare(&list(101, 1000), &current, 20, false).is_ok());
    }

    #[test]
    fn an_older_list_is_refused_even_if_a_loss_is_accepted() {
        let error = compare(&list(99, 100), &list(100, 100), 20, true).unwrap_err();
        assert_eq!(error.name(), "older");
        assert!(error.to_string().contains("1970-01-01T00:01:39Z"), "{error}");
    }
}
