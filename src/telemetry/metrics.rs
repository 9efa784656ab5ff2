//! The figures, as Prometheus reads them (OpenMetrics text). One value, made at start, shared by all rooms.

use super::process::ProcessCollector;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The doors, as labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// Other operators' mail, on port 25.
    Smtp,
    /// IMAP with STARTTLS, on port 143.
    Imap,
    /// IMAP over TLS, on port 993.
    Imaps,
    /// Submission with STARTTLS, on port 587.
    Submission,
    /// Submission over TLS, on port 465.
    Submissions,
    /// The holders' page, over HTTPS.
    Portal,
}

impl Door {
    /// The door's name in logs, metrics and `LISTEN_FDNAMES`.
    pub fn name(self) -> &'static str {
        match self {
            Door::Smtp => "smtp",
            Door::Imap => "imap",
            Door::Imaps => "imaps",
            Door::Submission => "submission",
            Door::Submissions => "submissions",
            Door::Portal => "portal",
        }
    }
}

impl EncodeLabelValue for Door {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.name().encode(encoder)
    }
}

impl std::fmt::Display for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Labels of figures that a door counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DoorLabel {
    /// The door.
    pub door: Door,
}

/// Labels of TLS handshakes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TlsLabel {
    /// The door.
    pub door: Door,
    /// `ok`, or why the handshake or certificate was refused (`no-certificate`, `expired`, `revoked`, …).
    pub result: &'static str,
}

/// Labels of refusals by a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RuleLabel {
    /// The rule's stable name (`mss::decision::Rule::name`, or one of the SMTP engine's).
    pub rule: &'static str,
}

/// Labels of events of one door with a reason from a closed set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// The door.
    pub door: Door,
    /// The reason's stable name.
    pub reason: &'static str,
}

/// Labels of logins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AccountLabel {
    /// `password`, `certificate`, …
    pub means: &'static str,
    /// `ok`, `refused`, `unavailable`.
    pub result: &'static str,
}

/// Labels of what something came to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    /// Recipients in the queue: `relayed`, `deferred`, `failed`, `expired`, `bounced`. Access tokens: `ok`, `remembered`,
    /// `refused`, `unavailable`. Requests to Pro Santé Connect: `ok`, or the trouble's name.
    pub result: &'static str,
}

/// Labels of notices to holders.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct NoticeLabel {
    /// The notice's stable name.
    pub notice: &'static str,
    /// `sent`, `deferred`, `given-up`, `bounced`.
    pub result: &'static str,
}

/// Labels of figures about one configured thing (a certificate, a CRL's issuer): few, named by the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Labelled {
    /// What the figure is about.
    pub name: String,
}

/// A histogram of commit durations, in seconds: from half a millisecond to some ten seconds.
#[derive(Clone, Debug)]
pub struct CommitLatency(pub Histogram);

impl Default for CommitLatency {
    fn default() -> Self {
        const BUCKETS: [f64; 14] =
            [0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 3.0, 10.0];
        Self(Histogram::new(BUCKETS))
    }
}

/// A histogram of requests to another server, in seconds: from ten milliseconds to half a minute.
#[derive(Clone, Debug)]
pub struct RequestDuration(pub Histogram);

impl Default for RequestDuration {
    fn default() -> Self {
        const BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        Self(Histogram::new(BUCKETS))
    }
}

/// All figures of the server. Counters only rise; gauges are what is now.
///
/// Cheap to clone: every figure is shared.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Connections accepted, by door.
    pub connections: Family<DoorLabel, Counter>,
    /// Connections open now, by door.
    pub connections_open: Family<DoorLabel, Gauge>,
    /// Connections turned away at the door (`too-many`, `too-many-of-address`, `too-many-of-peer`, `draining`).
    pub connections_refused: Family<ReasonLabel, Counter>,
    /// Failures of accept(2) (out of descriptors and the like), by door.
    pub accept_errors: Family<DoorLabel, Counter>,
    /// TLS handshakes by result.
    pub tls_handshakes: Family<TlsLabel, Counter>,
    /// SMTP refusals, by rule.
    pub smtp_refusals: Family<RuleLabel, Counter>,
    /// Messages received from other operators and committed.
    pub messages_received: Counter,
    /// Bytes of these messages.
    pub bytes_received: Counter,
    /// Messages taken from those who send here, and committed.
    pub messages_submitted: Counter,
    /// Bytes of these messages.
    pub bytes_submitted: Counter,
    /// Deliveries to mailboxes (one message to three mailboxes counts three).
    pub deliveries: Counter,
    /// Duration of durable commits, from the request to the acknowledgement.
    pub commit_latency: CommitLatency,
    /// Commits that share one `sync_data` (group commit), summed up; divide by syncs for the mean.
    pub commits: Counter,
    /// `sync_data` calls of the log.
    pub log_syncs: Counter,
    /// Bytes appended to the log.
    pub log_bytes: Counter,
    /// Bytes of the log, when it was last compacted.
    pub store_log: Gauge,
    /// Bytes in it of bodies that a message shows, at that time.
    pub store_living: Gauge,
    /// Bytes that compactions had to move.
    pub store_moved: Counter,
    /// Segments of the log that compactions have emptied.
    pub store_emptied: Counter,
    /// Traces that were written down.
    pub traces_written: Counter,
    /// Traces that wait, when they were last counted.
    pub traces_waiting: Gauge,
    /// 1 while they cannot be written down.
    pub traces_trouble: Gauge,
    /// Things that are not as they were written, of which the last start told.
    pub traces_found: Gauge,
    /// 1 when the store answers, 0 when its engine has failed.
    pub store_ready: Gauge,
    /// Free bytes on the store's file system.
    pub store_free: Gauge,
    /// IMAP sessions after login.
    pub imap_sessions: Gauge,
    /// IMAP sessions in IDLE.
    pub imap_idle: Gauge,
    /// Logins by means and result.
    pub logins: Family<AccountLabel, Counter>,
    /// Access tokens of Pro Santé Connect, by what became of them.
    pub psc_validations: Family<ResultLabel, Counter>,
    /// Logins to the portal by Pro Santé Connect, by what became of them.
    pub psc_logins: Family<ResultLabel, Counter>,
    /// Requests to Pro Santé Connect, by result.
    pub psc_requests: Family<ResultLabel, Counter>,
    /// How long they take.
    pub psc_request_duration: RequestDuration,
    /// 1 while nothing is asked of Pro Santé Connect because it has failed too often.
    pub psc_away: Gauge,
    /// What tries at recipients of other operators came to, by result.
    pub queue_results: Family<ResultLabel, Counter>,
    /// Consignments in the queue (a message's recipients in one domain).
    pub queue_consignments: Gauge,
    /// Of these, held by the operator.
    pub queue_held: Gauge,
    /// Attempts under way.
    pub queue_under_way: Gauge,
    /// Destinations that cannot be spoken to and that something waits for.
    pub queue_away: Gauge,
    /// Age of the oldest message in the queue, in seconds; 0 when it is empty.
    pub queue_oldest: Gauge,
    /// Entries of the white list in force.
    pub white_list_entries: Gauge,
    /// When the white list in force was generated, in Unix seconds; 0 when there is none.
    pub white_list_generated: Gauge,
    /// Refreshes of the white list, by result (`taken`, `unchanged`, or why it was refused).
    pub white_list_refreshes: Family<RuleLabel, Counter>,
    /// `nextUpdate` of each CRL in force, in Unix seconds.
    pub crl_next_update: Family<Labelled, Gauge>,
    /// Refreshes of CRLs, by result.
    pub crl_refreshes: Family<RuleLabel, Counter>,
    /// End of validity of each of our certificates, in Unix seconds.
    pub certificate_expiry: Family<Labelled, Gauge>,
    /// Sessions opened with other operators' servers, by result (`ok`, `refused`, or the trouble's name).
    pub relay_sessions: Family<RuleLabel, Counter>,
    /// Notices to holders' unsecured addresses, by what they tell and what the tries came to.
    pub notices: Family<NoticeLabel, Counter>,
    /// Closings and suspensions that wait for the administrator's confirmation.
    pub lifecycle_unconfirmed: Gauge,
    /// Mailboxes that would be closed in time, but whose holders cannot be told.
    pub lifecycle_stuck: Gauge,
    /// Requests to the national directory, by result (`ok`, or the error's name).
    pub directory_requests: Family<ResultLabel, Counter>,
    /// Looks for a new extraction of the directory, by result (`taken`, `unchanged`, or the error's name).
    pub directory_copies: Family<ResultLabel, Counter>,
    /// Mailboxes in the copy of the directory that is held.
    pub directory_copy_mailboxes: Gauge,
    /// Mailboxes that the directory has to hear of.
    pub directory_waiting: Gauge,
    /// How long the one that has waited longest does, tasks included, in seconds.
    pub directory_oldest: Gauge,
    /// Mailboxes that the directory refuses: tasks of the administrator's.
    pub directory_tasks: Gauge,
    /// 1 while nothing is published because the directory refuses our key or certificate.
    pub directory_halted: Gauge,
    /// Reloads of configuration and certificates, by result (`ok`, `failed`).
    pub reloads: Family<RuleLabel, Counter>,
}

impl Metrics {
    /// A registry with every figure, and those of the process (memory, descriptors, processor time).
    ///
    /// Names: `caducee_…`; the text form adds `_total` to counters.
    pub fn registry(&self) -> Registry {
        let mut root = Registry::default();
        root.register_collector(Box::new(ProcessCollector));
        let all = root.sub_registry_with_prefix("caducee");
        self.register_doors(all);
        self.register_psc(all);
        self.register_mail(all);
        self.register_queue(all);
        self.register_trust(all);
        self.register_directory(all);
        root
    }

    fn register_doors(&self, all: &mut Registry) {
        all.register("connections", "Connections accepted", self.connections.clone());
        all.register("connections_open", "Connections open now", self.connections_open.clone());
        all.register("connections_refused", "Connections turned away", self.connections_refused.clone());
        all.register("accept_errors", "Failures of accept", self.accept_errors.clone());
        all.register("tls_handshakes", "TLS handshakes by result", self.tls_handshakes.clone());
        all.register("logins", "Logins by means and result", self.logins.clone());
        all.register("imap_sessions", "IMAP sessions after login", self.imap_sessions.clone());
        all.register("imap_idle", "IMAP sessions in IDLE", self.imap_idle.clone());
        all.register("reloads", "Reloads by result", self.reloads.clone());
        let unconfirmed = self.lifecycle_unconfirmed.clone();
        all.register("lifecycle_unconfirmed", "Closings and suspensions that wait for a confirmation", unconfirmed);
        let stuck = self.lifecycle_stuck.clone();
        all.register("lifecycle_stuck", "Inactive mailboxes whose holders cannot be told", stuck);
        all.register("notices", "Tries at notices to holders by result", self.notices.clone());
    }

    fn register_psc(&self, all: &mut Registry) {
        let validations = self.psc_validations.clone();
        all.register("psc_validations", "Access tokens of Pro Santé Connect by what became of them", validations);
        let logins = self.psc_logins.clone();
        all.register("psc_logins", "Logins to the portal by Pro Santé Connect by what became of them", logins);
        all.register("psc_requests", "Requests to Pro Santé Connect by result", self.psc_requests.clone());
        let duration = self.psc_request_duration.0.clone();
        all.register_with_unit("psc_request_duration", "Requests to Pro Santé Connect", Unit::Seconds, duration);
        all.register("psc_away", "1 while nothing is asked of Pro Santé Connect", self.psc_away.clone());
    }

    fn register_mail(&self, all: &mut Registry) {
        let bytes = || Unit::Bytes;
        all.register("smtp_refusals", "SMTP refusals by rule", self.smtp_refusals.clone());
        all.register("messages_received", "Messages received and committed", self.messages_received.clone());
        all.register_with_unit("received", "Bytes of messages received", bytes(), self.bytes_received.clone());
        all.register("relay_sessions", "Sessions opened with other operators by result", self.relay_sessions.clone());
        all.register("messages_submitted", "Messages taken from own users", self.messages_submitted.clone());
        all.register_with_unit("submitted", "Bytes of messages submitted", bytes(), self.bytes_submitted.clone());
        all.register("deliveries", "Deliveries to mailboxes", self.deliveries.clone());
        let latency = self.commit_latency.0.clone();
        all.register_with_unit("commit_duration", "Duration of durable commits", Unit::Seconds, latency);
        all.register("commits", "Durable commits", self.commits.clone());
        all.register("log_syncs", "Synchronisations of the log", self.log_syncs.clone());
        all.register_with_unit("log_written", "Bytes appended to the log", bytes(), self.log_bytes.clone());
        let living = self.store_living.clone();
        all.register_with_unit("store_log", "Bytes of the log, when last compacted", bytes(), self.store_log.clone());
        all.register_with_unit("store_living", "Bytes of living bodies in the log, at that time", bytes(), living);
        all.register_with_unit("store_moved", "Bytes that compactions had to move", bytes(), self.store_moved.clone());
        all.register("store_emptied_segments", "Segments emptied by compactions", self.store_emptied.clone());
        all.register("traces_written", "Traces that stand in their day's file", self.traces_written.clone());
        all.register(
            "traces_waiting",
            "Traces that wait to be written, when last counted",
            self.traces_waiting.clone(),
        );
        all.register("traces_trouble", "1 while traces cannot be written", self.traces_trouble.clone());
        let words = "Things that the last start did not find as they were written, and that nobody has acknowledged";
        all.register("traces_found", words, self.traces_found.clone());
        all.register("store_ready", "1 when the store answers", self.store_ready.clone());
        all.register_with_unit("store_free", "Free space of the store", bytes(), self.store_free.clone());
    }

    fn register_queue(&self, all: &mut Registry) {
        let results = self.queue_results.clone();
        all.register("queue_results", "What tries at recipients of other operators came to", results);
        all.register("queue_consignments", "Consignments in the queue", self.queue_consignments.clone());
        all.register("queue_held", "Consignments held by the operator", self.queue_held.clone());
        all.register("queue_attempts_under_way", "Attempts under way", self.queue_under_way.clone());
        all.register("queue_destinations_away", "Destinations that cannot be spoken to", self.queue_away.clone());
        let oldest = self.queue_oldest.clone();
        all.register_with_unit("queue_oldest", "Age of the oldest message in the queue", Unit::Seconds, oldest);
    }

    fn register_directory(&self, all: &mut Registry) {
        let requests = self.directory_requests.clone();
        all.register("directory_requests", "Requests to the national directory by result", requests);
        let copies = self.directory_copies.clone();
        all.register("directory_copies", "Looks for a new extraction of the directory by result", copies);
        let copied = self.directory_copy_mailboxes.clone();
        all.register("directory_copy_mailboxes", "Mailboxes in the copy of the directory", copied);
        let waiting = self.directory_waiting.clone();
        all.register("directory_waiting", "Mailboxes that the national directory has to hear of", waiting);
        let oldest = self.directory_oldest.clone();
        all.register_with_unit("directory_oldest", "Longest wait for the national directory", Unit::Seconds, oldest);
        let tasks = self.directory_tasks.clone();
        all.register("directory_tasks", "Mailboxes that the national directory refuses", tasks);
        let halted = self.directory_halted.clone();
        all.register("directory_halted", "1 while the national directory refuses our key or certificate", halted);
    }

    fn register_trust(&self, all: &mut Registry) {
        let seconds = || Unit::Seconds;
        all.register("white_list_entries", "Entries of the white list", self.white_list_entries.clone());
        let generated = self.white_list_generated.clone();
        all.register_with_unit("white_list_generated", "Unix time of the white list", seconds(), generated);
        let refreshes = self.white_list_refreshes.clone();
        all.register("white_list_refreshes", "Refreshes of the white list by result", refreshes);
        let next_update = self.crl_next_update.clone();
        all.register_with_unit("crl_next_update", "Unix time of each CRL's nextUpdate", seconds(), next_update);
        all.register("crl_refreshes", "Refreshes of CRLs by result", self.crl_refreshes.clone());
        let expiry = self.certificate_expiry.clone();
        all.register_with_unit("certificate_expiry", "Unix time of our certificates' end", seconds(), expiry);
    }
}

/// The text that `/metrics` answers.
///
/// # Errors
/// A collector failed to write; the text is then incomplete and must not be served.
pub fn render(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::with_capacity(16 << 10);
    text::encode(&mut text, registry)?;
    Ok(text)
}
