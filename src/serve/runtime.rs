//! The running process: from the configuration file to the last connection's end.
//!
//! ```text
//! configuration ─▶ logging ─▶ master key ─▶ store ─▶ TLS contexts ─▶ doors bound ─▶ jobs ─▶ READY=1
//!       ▲                                                                                  │
//!       └──────────── SIGHUP, `caducee reload` (nothing is dropped) ◀──────────────────────┤
//!                     SIGTERM, SIGINT: accept no more, drain within `server.drain`, exit 0 ┘  a second one: at once
//! ```
//!
//! Memory: glibc gives each thread its own arena and keeps what it freed there. The service unit sets
//! `MALLOC_ARENA_MAX=2`; nothing here depends on it.

use super::connection::ConnectionIds;
use super::facts::Facts;
use super::http::AdminDoor;
use super::http::socket::SocketError;
use super::jobs::{JobSettings, Jobs};
use super::limits::{Counts, DoorLimits};
use super::listen::{ListenError, Listener, TaskToken, accept_loop};
use super::options::{self, account_options, indicator_options, mail_limits, store_options};
use super::portal::{self, Portal};
use super::psc::{self, PscConfigError};
use super::reload::Reloader;
use super::secrets::{MasterKeyError, SecretError, read_master_key, read_secret};
use super::shutdown::{ShutdownSwitch, shutdown};
use super::tls::{Contexts, Material, TlsError};
use super::{
    Shared, compaction, devices, front, health, imap, inbound, listen, outbound, published, submission, sweep, systemd,
    watch,
};
use crate::accounts::devices::DeviceError;
use crate::accounts::psc::PscHandle;
use crate::accounts::{AccountError, Registry};
use crate::audit::indicators::Indicators;
use crate::audit::{Refusals, Scribe, ScribeOptions, Traces, TracesError};
use crate::config::{Config, ConfigError};
use crate::jobs::directory::search::Lookup;
use crate::jobs::directory::{CopyJob, DirectoryJob, DirectorySetupError};
use crate::jobs::indicators;
use crate::jobs::lifecycle::LifecycleJob;
use crate::jobs::notices::{NoticeJob, NoticeSetupError};
use crate::jobs::trust::SetupError;
use crate::mail::aftermath::absence;
use crate::mail::{MailError, MailRoom};
use crate::mss::Domain;
use crate::mss::trust::{TrustHandle, TrustSpace};
use crate::store::{self, OpenError, Store};
use crate::telemetry::logging::{self, LoggingError};
use crate::telemetry::{Door, Metrics};
use arc_swap::ArcSwap;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// How long the start waits for white list and CRLs.
const FIRST_REFRESH: Duration = Duration::from_secs(5);

/// How long the stop waits for absence notices that are being written.
const LAST_NOTICES: Duration = Duration::from_secs(2);

/// Why the server does not start, or did not stop well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logging.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// The master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The store does not open.
    #[error("store.path: {0}")]
    Store(#[from] OpenError),
    /// The key of what is on its way does not open, or the store does not read.
    #[error("the queue cannot be opened: {0}")]
    Queue(#[from] MailError),
    /// Certificates, keys, anchors, CRLs.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What Pro Santé Connect needs.
    #[error(transparent)]
    Psc(#[from] PscConfigError),
    /// What the jobs need.
    #[error(transparent)]
    Jobs(#[from] SetupError),
    /// The relay of notices cannot be used.
    #[error(transparent)]
    Notices(#[from] NoticeSetupError),
    /// The directory's API key or certificates.
    #[error(transparent)]
    Directory(#[from] DirectorySetupError),
    /// Its password cannot be had.
    #[error("notices.password: {0}")]
    NoticePassword(#[from] SecretError),
    /// There is no authority for devices' certificates.
    #[error("the device authority cannot be opened: {0}")]
    Devices(#[from] DeviceError),
    /// A domain cannot be the operator's and the citizens'.
    #[error("citizens.domains: '{0}' is one of the operator's own domains (caducee domain list)")]
    OwnCitizens(String),
    /// No password could be checked.
    #[error("password.at_once: the system refuses every thread that passwords are checked on")]
    Passwords,
    /// The domains cannot be read.
    #[error(transparent)]
    Domains(#[from] AccountError),
    /// The day files of traces cannot be used.
    #[error("traces.path: {0}")]
    Traces(#[from] TracesError),
    /// A door does not open.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The administration's socket.
    #[error("admin.socket: {0}")]
    Admin(#[from] SocketError),
    /// The store stopped after a failed write: only a new start finds out what is on the disk.
    #[error("the store has stopped; start again: the log is replayed")]
    StoreStopped,
    /// The runtime or its signals.
    #[error("the runtime cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// A part of the start was interrupted by a panic.
    #[error("the start was interrupted: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Runs the server that `path` configures until a signal, or `until`, ends it.
///
/// # Errors
/// Why it does not start. Once started it ends well, or the process does not end here.
pub fn run(path: &Path, until: impl Future<Output = ()>) -> Result<(), ServeError> {
    let config = Config::load(path)?;
    let level = logging::install(config.log.format, &config.log.level)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if config.server.workers > 0 {
        builder.worker_threads(config.server.workers);
    }
    let runtime = builder.thread_name("caducee").enable_all().build().map_err(ServeError::Runtime)?;
    let outcome = runtime.block_on(async {
        let server = Server::start(config, Reloader::new(path, Some(level))).await?;
        server.run(until).await
    });
    // What is still running was cut off by the drain's end; it must not hold up the exit.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// A started server.
struct Server {
    shared: Arc<Shared>,
    switch: ShutdownSwitch,
    /// Closed when the last connection's task has ended.
    tasks: mpsc::Receiver<std::convert::Infallible>,
    signals: Signals,
    /// Writes traces down.
    scribe: Scribe,
}

/// The signals that are listened to.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

/// What a signal asks for.
enum Asked {
    Reload,
    Stop(&'static str),
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next one. Cancel-safe.
    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// The next that asks for the end. Cancel-safe.
    async fn stop(&mut self) -> &'static str {
        loop {
            if let Asked::Stop(signal) = self.next().await {
                return signal;
            }
        }
    }
}

/// Goes on with erasures that the last stop cut short: beside the doors, which need not wait for it.
async fn finish_erasures(shared: Arc<Shared>) {
    if let Err(error) = shared.registry.finish_erasures().await {
        tracing::error!(%error, "erasures that a stop cut short are not finished; they go on at the next start");
    }
}

/// Tends the month's counters until the server stops.
async fn tend_indicators(shared: Arc<Shared>) {
    indicators::run(shared.indicators.clone(), shared.registry.clone(), shared.shutdown.begun()).await;
}

/// Reads once who may open what: before the doors, so that no login has to.
async fn prepare_access(shared: &Shared) {
    let registry = shared.registry.clone();
    let preparing = move || {
        registry.prepare_access()?;
        registry.is_any_bound_by_structure()
    };
    let is_any_bound = match tokio::task::spawn_blocking(preparing).await {
        Ok(Err(error)) => {
            tracing::error!(%error, "who may open what is not read; it is at the first login that asks");
            return;
        }
        prepared => matches!(prepared, Ok(Ok(true))),
    };
    if is_any_bound && front::any_certificate_of_a_structure_opens(&shared.config.load()) {
        warn!(
            "tls.mailbox.policies is empty: any certificate of a structure, a server's too, opens the APP mailboxes bound to it"
        );
    }
}

impl Server {
    async fn start(config: Config, reloader: Reloader) -> Result<Self, ServeError> {
        // Before anything slow, so that a signal during the start is not lost.
        let signals = Signals::new().map_err(ServeError::Runtime)?;
        systemd::status("opening the store");
        let (switch, shutdown) = shutdown();
        let metrics = Metrics::default();
        let trust = TrustSpace::default().into_handle();
        let opening = {
            let (config, metrics, trust) = (config.clone(), metrics.clone(), Arc::clone(&trust));
            move || Rooms::open(&config, &metrics, trust)
        };
        let Rooms { store, mail, traces, scribe, indicators, tls, psc, jobs, notices, directory, copy } =
            tokio::task::spawn_blocking(opening).await??;
        let listeners = listen::open(&config)?;
        let health = health_listeners(&config).await?;
        let plain = published::plain::listen(&config.published.autoconfig_listen)?;
        let admin = AdminDoor::open(&config)?;
        let shared = Arc::new(Shared {
            registry: Registry::new(mail.clone(), account_options(&config)),
            refused_mail: Refusals::new(options::refused_mail(&config)),
            indicators,
            psc,
            lookup: lookup(copy.as_ref(), directory.as_ref()),
            directory: directory.as_ref().map(DirectoryJob::handle),
            config: ArcSwap::from_pointee(config),
            trust,
            jobs,
            store,
            mail,
            traces,
            metrics,
            tls,
            shutdown,
            reloader,
            connection_ids: ConnectionIds::default(),
            smtp_connections: DoorLimits::default(),
            imap_connections: DoorLimits::default(),
            submission_connections: DoorLimits::default(),
            portal_connections: DoorLimits::default(),
            smtp_peers: Counts::default(),
        });
        citizens_are_no_domain_of_ours(&shared)?;
        if !shared.registry.checks_passwords() {
            return Err(ServeError::Passwords);
        }
        devices::start(&shared).await?;
        let (token, tasks) = mpsc::channel(1);
        start_notices(&shared, notices, &token).await?;
        start_directory(&shared, directory, copy);
        first_refresh(&shared).await?;
        shared.jobs.start(&shared);
        prepare_access(&shared).await;
        open_doors(&shared, listeners, &token);
        tokio::spawn(admin.serve(Arc::clone(&shared), token.clone()));
        for listener in health {
            tokio::spawn(health::serve(Arc::clone(&shared), listener));
        }
        let limits = DoorLimits::default();
        for listener in plain {
            tokio::spawn(published::plain::serve(Arc::clone(&shared), listener, limits.clone()));
        }
        tokio::spawn(watch::run(Arc::clone(&shared)));
        tokio::spawn(sweep::run(Arc::clone(&shared)));
        tokio::spawn(sweep::old_trail(Arc::clone(&shared)));
        tokio::spawn(sweep::sessions(Arc::clone(&shared)));
        tokio::spawn(compaction::run(Arc::clone(&shared)));
        start_lifecycle(&shared);
        tokio::spawn(finish_erasures(Arc::clone(&shared)));
        tokio::spawn(tend_indicators(Arc::clone(&shared)));
        let queue = shared.mail.queue().clone();
        tokio::spawn(async move { queue.tend().await });
        outbound::start(&shared, Arc::new(shared.mail.queue().clone()), token);
        Ok(Self { shared, switch, tasks, signals, scribe })
    }

    /// Serves until told to stop; then drains.
    async fn run(mut self, until: impl Future<Output = ()>) -> Result<(), ServeError> {
        systemd::ready();
        let name = self.shared.config.load().server.name.clone();
        systemd::status(&format!("serving as {name}"));
        info!(%name, version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), "ready");
        let mut until = std::pin::pin!(until);
        let mut store_stopped = std::pin::pin!(self.shared.store.stopped());
        let cause = loop {
            let asked = tokio::select! {
                asked = self.signals.next() => asked,
                () = &mut until => Asked::Stop("the starter's end"),
                () = &mut store_stopped => {
                    error!(event = "store.stopped", "the store has stopped: ending, to be started again");
                    self.drain().await;
                    return Err(ServeError::StoreStopped);
                }
            };
            match asked {
                Asked::Stop(cause) => break cause,
                // The outcome has been logged; a refused reload changes nothing.
                Asked::Reload => drop(self.shared.reload().await),
            }
        };
        info!(cause, "stopping");
        self.drain().await;
        Ok(())
    }

    /// Lets sessions end within `server.drain`, then closes the store. A second signal ends the process at once.
    async fn drain(mut self) {
        systemd::stopping();
        self.switch.begin();
        self.shared.mail.queue().stop();
        let longest = self.shared.config.load().server.drain;
        let drained = tokio::select! {
            drained = tokio::time::timeout(longest, self.tasks.recv()) => drained.is_ok(),
            signal = self.signals.stop() => {
                warn!(signal, "second signal: ending at once");
                std::process::exit(1);
            }
        };
        if !drained {
            let (smtp, imap) = (self.shared.smtp_connections.open(), self.shared.imap_connections.open());
            let submission = self.shared.submission_connections.open();
            let portal = self.shared.portal_connections.open();
            warn!(smtp, imap, submission, portal, "sessions still open at the end of server.drain are cut off");
        }
        // They are short, and their correspondents would wait for another message to be told.
        drop(tokio::time::timeout(LAST_NOTICES, absence::idle(&self.shared.mail)).await);
        sweep::last_counts(&self.shared).await;
        let (store, scribe) = (self.shared.store.clone(), self.scribe);
        let closing = tokio::task::spawn_blocking(move || {
            scribe.stop();
            store.close();
        });
        tokio::select! {
            _ = closing => info!("stopped"),
            signal = self.signals.stop() => {
                // Every acknowledged message is in the log: the next start replays what was not checkpointed.
                warn!(signal, "second signal: not waiting for the store's last checkpoint");
                std::process::exit(1);
            }
        }
    }
}

/// The parts of the start that read files and wait for disks.
struct Rooms {
    store: Store,
    mail: MailRoom,
    traces: Traces,
    scribe: Scribe,
    indicators: Indicators,
    tls: Contexts,
    psc: PscHandle,
    jobs: Jobs,
    notices: Option<NoticeJob>,
    directory: Option<DirectoryJob>,
    copy: Option<CopyJob>,
}

impl Rooms {
    fn open(config: &Config, metrics: &Metrics, trust: TrustHandle) -> Result<Self, ServeError> {
        // TLS first: a mistake there should not have to wait for a log's replay.
        let material = Material::read(&config.tls)?;
        let facts = Facts::of(&material);
        let jobs = Jobs::new(JobSettings::read(config)?, Arc::clone(&trust), metrics);
        let tls = Contexts::new(material, jobs.revocation(config.tls.crl_grace))?;
        facts.note(metrics);
        let psc = PscHandle::new(psc::client(&config.psc, metrics)?);
        let notices = open_notices(config, metrics)?;
        let directory = open_directory(config, metrics)?;
        let copy = CopyJob::open(config, metrics.clone())?;
        let master = read_master_key(&config.seal.master_key)?;
        let (store, opening) = Store::open(&config.store.path, &master, &store_options(config))?;
        info!(?opening, path = %config.store.path.display(), "store open");
        let store = store.counted_by(metrics);
        let mail = MailRoom::new(store.clone(), master, mail_limits(config))?;
        mail.queue().count_into(metrics);
        jobs.trace_into(mail.traces());
        let traces = Traces::open(mail.traces(), &config.traces.directory(&config.store.path))?;
        let indicators = Indicators::new(store.clone(), indicator_options(config, &trust.load().citizens));
        let scribe = Scribe::start(&traces, scribe_options(config, metrics, &indicators))?;
        Ok(Self { store, mail, traces, scribe, indicators, tls, psc, jobs, notices, directory, copy })
    }
}

/// What the scribe works with. Who counts traces as they are written down goes into `observers`.
fn scribe_options(config: &Config, metrics: &Metrics, indicators: &Indicators) -> ScribeOptions {
    ScribeOptions {
        observers: vec![indicators.observer()],
        most_waiting: config.traces.most_waiting as usize,
        metrics: metrics.clone(),
    }
}

fn open_notices(config: &Config, metrics: &Metrics) -> Result<Option<NoticeJob>, ServeError> {
    let setting = Some(&config.notices.password).filter(|setting| !setting.is_empty());
    let password = setting.map(|setting| read_secret("notices.password", setting)).transpose()?;
    let password = password.as_ref().and_then(|password| password.expose_str());
    Ok(NoticeJob::new(config, password, metrics.clone())?)
}

fn open_directory(config: &Config, metrics: &Metrics) -> Result<Option<DirectoryJob>, ServeError> {
    let setting = config.directory.api_key.clone();
    let read_key = Box::new(move || match setting.as_str() {
        "" => Ok(None),
        setting => read_secret("directory.api_key", setting).map(Some).map_err(|error| error.to_string()),
    });
    Ok(DirectoryJob::open(&config.directory, read_key, metrics.clone())?)
}

fn lookup(copy: Option<&CopyJob>, directory: Option<&DirectoryJob>) -> Lookup {
    Lookup::new(copy.map(CopyJob::handle), directory.map(|job| job.handle().client().clone()))
}

/// Starts the job that publishes mailboxes, where there is a directory for them, and the one that keeps a copy of it.
fn start_directory(shared: &Arc<Shared>, job: Option<DirectoryJob>, copy: Option<CopyJob>) {
    if let Some(copy) = copy {
        let shutdown = shared.shutdown.clone();
        tokio::spawn(async move { copy.run(shutdown.begun()).await });
    }
    if let Some(job) = job {
        let (registry, shutdown) = (shared.registry.clone(), shared.shutdown.clone());
        tokio::spawn(async move { job.run(registry, shutdown.begun()).await });
    }
}

/// Starts the job that carries notices, where there is a relay for them. Where there is none any more, what waited for it goes.
async fn start_notices(shared: &Arc<Shared>, job: Option<NoticeJob>, token: &TaskToken) -> Result<(), ServeError> {
    let Some(job) = job else {
        let given_up = shared.registry.give_up_notices().await?;
        if given_up > 0 {
            warn!(given_up, "notices waited for a relay, and there is none (notices.host)");
        }
        return Ok(());
    };
    if let Some(inbox) = shared.registry.take_notices() {
        let (shutdown, token) = (shared.shutdown.clone(), token.clone());
        tokio::spawn(async move {
            job.run(inbox, shutdown.begun()).await;
            drop(token);
        });
    }
    Ok(())
}

/// Starts the job that lets mailboxes live on.
fn start_lifecycle(shared: &Arc<Shared>) {
    let (job, metrics) = (LifecycleJob::new(shared.registry.clone()), shared.metrics.clone());
    let shutdown = shared.shutdown.clone();
    tokio::spawn(async move { job.run_daily(metrics, shutdown.begun()).await });
}

/// An own mailbox in a citizens' domain would be under both sets of rules.
fn citizens_are_no_domain_of_ours(shared: &Shared) -> Result<(), ServeError> {
    let citizens = &shared.trust.load().citizens;
    let both = |domain: &store::Domain| Domain::parse(&domain.name).is_ok_and(|domain| citizens.has_domain(&domain));
    match shared.registry.domains()?.into_iter().find(both) {
        Some(domain) => Err(ServeError::OwnCitizens(domain.name)),
        None => Ok(()),
    }
}

/// Gets white list and CRLs before the doors open, so that the first peers are not refused for want of them; but a network
/// that is away does not keep the mailboxes closed.
async fn first_refresh(shared: &Shared) -> Result<(), ServeError> {
    systemd::status("getting the white list and the CRLs");
    if tokio::time::timeout(FIRST_REFRESH, shared.jobs.refresh()).await.is_err() {
        warn!("the white list and the CRLs are slow to come: starting with the last good ones");
    }
    let grace = shared.config.load().tls.crl_grace;
    Ok(shared.jobs.put_revocation(&shared.tls, grace)?)
}

fn open_doors(shared: &Arc<Shared>, listeners: Vec<Listener>, token: &TaskToken) {
    let portal = Arc::new(Portal::new(shared));
    tokio::spawn(Arc::clone(&portal).tend());
    for listener in listeners {
        info!(door = %listener.door, address = %listener.address, "listening");
        let (shared, token) = (Arc::clone(shared), token.clone());
        match listener.door {
            Door::Smtp => tokio::spawn(accept_loop(shared, listener, token, inbound::serve)),
            Door::Imap | Door::Imaps => tokio::spawn(accept_loop(shared, listener, token, imap::serve)),
            Door::Submission | Door::Submissions => {
                tokio::spawn(accept_loop(shared, listener, token, submission::serve))
            }
            Door::Portal => {
                let portal = Arc::clone(&portal);
                let serve = move |shared, connection| portal::serve(Arc::clone(&portal), shared, connection);
                tokio::spawn(accept_loop(shared, listener, token, serve))
            }
        };
    }
}

async fn health_listeners(config: &Config) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners = Vec::new();
    for address in &config.metrics.listen {
        let bound = TcpListener::bind(address).await;
        listeners.push(bound.map_err(|source| ListenError::Bind {
            key: "metrics.listen",
            address: *address,
            source,
        })?);
    }
    Ok(listeners)
}
