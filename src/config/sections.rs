//! The sections of the configuration file, one struct each, with every key's default.
//!
//! Required keys have an empty default (`""`, `[]`); [`super::validate`] asks for them by name. Every key is explained
//! for the operator in `conf/caducee.toml`; a test holds that file and these structs together.

use super::compaction::Compaction;
use super::human;
use crate::telemetry::logging::Format;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// `[server]`: who we are and how we stop.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Our host name, in greetings, `Received:` lines and traces. Required.
    pub name: String,
    /// How long a stop waits for sessions to end by themselves.
    #[serde(with = "human::duration")]
    pub drain: Duration,
    /// Worker threads; 0 means one for each processor.
    pub workers: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self { name: String::new(), drain: Duration::from_secs(30), workers: 0 }
    }
}

/// `[store]`: where mail lives.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Directory of the log and its index.
    pub path: PathBuf,
    /// Memory for the index's cache, in bytes.
    #[serde(with = "human::size")]
    pub cache: u64,
    /// Size at which a log segment is closed and the next begun, in bytes.
    #[serde(with = "human::size")]
    pub segment: u64,
    /// Longest time between two checkpoints of the index.
    #[serde(with = "human::duration")]
    pub checkpoint: Duration,
    /// Log bytes after which a checkpoint is made early; bounds the replay at start.
    #[serde(with = "human::size")]
    pub checkpoint_bytes: u64,
    /// Free disk space under which new mail gets `452 4.3.1`, in bytes.
    #[serde(with = "human::size")]
    pub min_free: u64,
    /// How the space of deleted mail comes back.
    pub compaction: Compaction,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            path: "/var/lib/caducee/store".into(),
            cache: 64 * MIB,
            segment: 256 * MIB,
            checkpoint: MINUTE,
            checkpoint_bytes: 128 * MIB,
            min_free: GIB,
            compaction: Compaction::default(),
        }
    }
}

/// `[seal]`: the key that seals the mailboxes' keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seal {
    /// Path of the master key, or `credential:NAME` for a systemd credential.
    pub master_key: String,
}

impl Default for Seal {
    fn default() -> Self {
        Self { master_key: "credential:master-key".into() }
    }
}

/// `[tls]`: our certificate, and whom we believe. Used by the operators' door and for our own connections.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// PEM file: our certificate and its intermediates, leaf first. Required.
    pub certificate: PathBuf,
    /// PEM file: its private key. Required.
    pub key: PathBuf,
    /// PEM files: the certification authorities (IGC-Santé) that peers' certificates must chain to. Required.
    pub anchors: Vec<PathBuf>,
    /// CRLs of these authorities: files (PEM or DER) or `http(s)://` addresses fetched to `trust.cache`. Required.
    pub crls: Vec<String>,
    /// Time between two readings of the CRLs.
    #[serde(with = "human::duration")]
    pub crl_refresh: Duration,
    /// How long past `nextUpdate` a CRL is still used (with an alarm) before peers are refused for the time being.
    #[serde(with = "human::duration")]
    pub crl_grace: Duration,
    /// Longest duration of a TLS handshake.
    #[serde(with = "human::duration")]
    pub handshake_timeout: Duration,
    /// How long another operator may resume a TLS session of the operators' door; zero turns resumption off.
    #[serde(with = "human::duration")]
    pub resumption: Duration,
    /// The mailbox doors' own certificate and client authorities, where they differ.
    pub mailbox: MailboxTls,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            anchors: Vec::new(),
            crls: Vec::new(),
            crl_refresh: HOUR,
            crl_grace: 24 * HOUR,
            handshake_timeout: Duration::from_secs(15),
            resumption: 10 * MINUTE,
            mailbox: MailboxTls::default(),
        }
    }
}

/// `[tls.mailbox]`: what the mailbox doors (IMAP) show and believe; empty keys take those of `[tls]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailboxTls {
    /// PEM file: the certificate shown to mail clients, leaf first.
    pub certificate: PathBuf,
    /// PEM file: its private key.
    pub key: PathBuf,
    /// PEM files: the authorities of applications' client certificates (SASL EXTERNAL).
    pub anchors: Vec<PathBuf>,
    /// CRLs of these authorities.
    pub crls: Vec<String>,
    /// Certificate policies (OIDs) of which an application's certificate must name one; empty: any does.
    pub policies: Vec<String>,
}

/// `[trust]`: the white list of the trust space.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trust {
    /// The list: an `https://` address or a file. Required.
    pub source: String,
    /// PEM files: issuers that the list's signer must chain to. Required.
    pub anchors: Vec<PathBuf>,
    /// Common name of the list's signer.
    pub signer_cn: String,
    /// PEM files: authorities of the list's web server; empty takes `trust.anchors`.
    pub https_anchors: Vec<PathBuf>,
    /// Time between two refreshes; each waits up to a tenth more or less.
    #[serde(with = "human::duration")]
    pub refresh: Duration,
    /// A new list that lost more than this share of its entries, in percent, is not taken.
    pub max_shrink: u8,
    /// Age of the list's generation from which an alarm is raised; it still serves.
    #[serde(with = "human::duration")]
    pub max_age: Duration,
    /// Longest time for one fetch (list or CRL).
    #[serde(with = "human::duration")]
    pub fetch_timeout: Duration,
    /// Largest list or CRL accepted, in bytes.
    #[serde(with = "human::size")]
    pub max_size: u64,
    /// Directory of the last good list and of fetched CRLs.
    pub cache: PathBuf,
    /// How other operators' test mailboxes are recognised.
    pub test_addresses: TestAddresses,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            source: String::new(),
            anchors: Vec::new(),
            signer_cn: "alb.mssante.fr".into(),
            https_anchors: Vec::new(),
            refresh: 15 * MINUTE,
            max_shrink: 20,
            max_age: 24 * HOUR,
            fetch_timeout: Duration::from_secs(60),
            max_size: 64 * MIB,
            cache: "/var/lib/caducee/trust".into(),
            test_addresses: TestAddresses::default(),
        }
    }
}

/// `[trust.test_addresses]`: patterns of test mailboxes (MSSanté §4, our default).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TestAddresses {
    /// Patterns of local parts; `*` at one end stands for anything.
    pub local_parts: Vec<String>,
    /// Domain labels that are, or have as a `-` token, one of these words.
    pub labels: Vec<String>,
    /// Whole domains of test mailboxes.
    pub domains: Vec<String>,
}

impl Default for TestAddresses {
    fn default() -> Self {
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Self {
            local_parts: owned(&["test", "test-*", "*-test", "test.*", "*.test"]),
            labels: owned(&["test", "preprod", "formation", "recette", "audit"]),
            domains: Vec::new(),
        }
    }
}

/// `[smtp]`: the door of other operators.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smtp {
    /// Addresses to listen on; empty closes the door.
    pub listen: Vec<SocketAddr>,
    /// Most connections at once, all peers together.
    pub max_connections: usize,
    /// Most connections at once from one IP address.
    pub max_connections_per_address: usize,
    /// Most connections at once of one peer (by certificate subject).
    pub max_connections_per_peer: usize,
    /// Longest wait for a command (RFC 5321 §4.5.3.2.7 asks for 5 minutes).
    #[serde(with = "human::duration")]
    pub command_timeout: Duration,
    /// Longest wait for the next piece of a message.
    #[serde(with = "human::duration")]
    pub data_timeout: Duration,
    /// Longest time for one whole message, from DATA or the first BDAT to its end.
    #[serde(with = "human::duration")]
    pub message_timeout: Duration,
    /// Longest life of a connection before TLS is up.
    #[serde(with = "human::duration")]
    pub plaintext_timeout: Duration,
    /// Longest life of a connection; ended between two transactions with 421.
    #[serde(with = "human::duration")]
    pub session_timeout: Duration,
    /// Bad commands and refusals after which a connection is closed.
    pub max_errors: u32,
    /// Most transactions on one connection.
    pub max_transactions: u32,
    /// `Received:` lines from which a message is taken for a loop (RFC 5321 §6.3).
    pub max_received: u32,
    /// The mailbox that gets mail for `postmaster` of an own domain that has no such mailbox (RFC 5321 §4.5.1); empty: none.
    pub postmaster: String,
}

impl Default for Smtp {
    fn default() -> Self {
        Self {
            listen: any_address(25),
            max_connections: 1000,
            max_connections_per_address: 100,
            max_connections_per_peer: 50,
            command_timeout: 5 * MINUTE,
            data_timeout: 3 * MINUTE,
            message_timeout: 15 * MINUTE,
            plaintext_timeout: MINUTE,
            session_timeout: HOUR,
            max_errors: 20,
            max_transactions: 1000,
            max_received: 50,
            postmaster: String::new(),
        }
    }
}

/// `[imap]`: the door of mail clients.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Imap {
    /// Addresses for STARTTLS; empty closes that door.
    pub listen: Vec<SocketAddr>,
    /// Addresses for TLS from the first byte; empty closes that door.
    pub listen_tls: Vec<SocketAddr>,
    /// Most sessions at once.
    pub max_connections: usize,
    /// Most sessions at once from one IP address (a hospital's clients share one).
    pub max_connections_per_address: usize,
    /// Most sessions at once of one person in one mailbox.
    pub max_connections_per_account: usize,
    /// Longest time without a command before login.
    #[serde(with = "human::duration")]
    pub login_timeout: Duration,
    /// Longest time without a command after login, IDLE excepted (RFC 3501 §5.4: 30 minutes at least).
    #[serde(with = "human::duration")]
    pub idle_timeout: Duration,
    /// Longest IDLE; the client is expected to renew it every 29 minutes (RFC 2177).
    #[serde(with = "human::duration")]
    pub max_idle: Duration,
    /// Longest life of a session (MSSanté §6: as Pro Santé Connect's own).
    #[serde(with = "human::duration")]
    pub session_timeout: Duration,
    /// Longest wait for a slow client to read or to send the rest of a command.
    #[serde(with = "human::duration")]
    pub stall_timeout: Duration,
    /// Longest command line, literals not counted, in bytes.
    #[serde(with = "human::size")]
    pub max_line: u64,
    /// Most bytes of all literals of a command other than APPEND's message.
    #[serde(with = "human::size")]
    pub max_literals: u64,
    /// Bad commands after which a session is closed.
    pub max_errors: u32,
    /// Failed logins after which a session is closed.
    pub max_login_failures: u32,
}

impl Default for Imap {
    fn default() -> Self {
        Self {
            listen: any_address(143),
            listen_tls: any_address(993),
            max_connections: 20_000,
            max_connections_per_address: 2000,
            max_connections_per_account: 50,
            login_timeout: MINUTE,
            idle_timeout: 30 * MINUTE,
            max_idle: 30 * MINUTE,
            session_timeout: 4 * HOUR,
            stall_timeout: 2 * MINUTE,
            max_line: 64 * KIB,
            max_literals: 64 * KIB,
            max_errors: 20,
            max_login_failures: 5,
        }
    }
}

/// `[limits]`: what bounds a message, whichever door it takes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest message as sent, in bytes; announced by SIZE (MSSanté §3, our default 25 MiB).
    #[serde(with = "human::size")]
    pub message: u64,
    /// Most recipients of one transaction (RFC 5321 §4.5.3.1.8 asks for 100 at least).
    pub recipients: u32,
    /// Longest SMTP command line, in bytes (RFC 5321 §4.5.3.1.4 and extensions ask for more than 512).
    #[serde(with = "human::size")]
    pub command_line: u64,
    /// Longest line of a message, in bytes, CRLF included (RFC 5321 §4.5.3.1.6: 1000; real senders exceed it).
    #[serde(with = "human::size")]
    pub text_line: u64,
    /// Largest header section of a message, in bytes.
    #[serde(with = "human::size")]
    pub header: u64,
    /// Deepest nesting of MIME parts that is looked into.
    pub mime_depth: u32,
    /// Most MIME parts that are looked into.
    pub mime_parts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 25 * MIB,
            recipients: 100,
            command_line: 4 * KIB,
            text_line: 8 * KIB,
            header: 256 * KIB,
            mime_depth: 32,
            mime_parts: 1000,
        }
    }
}

/// `[accounts]`: mailboxes and their passwords.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    /// Quota of a new mailbox when none is given, in bytes.
    #[serde(with = "human::size")]
    pub quota: u64,
    /// Most folders of one mailbox.
    pub max_folders: u32,
    /// Passwords checked at the same time; each takes some 20 MiB of memory and one processor.
    pub password_checks: usize,
    /// Memory of one password check (argon2id), in bytes.
    #[serde(with = "human::size")]
    pub password_memory: u64,
    /// Passes of argon2id over that memory.
    pub password_passes: u32,
    /// Lanes of argon2id.
    pub password_lanes: u32,
    /// Wrong passwords a minute, of one mailbox, after which all are turned away for the rest of it; an address has five
    /// times as many.
    pub password_tries: u32,
    /// Wrong passwords of one mailbox that cost nothing but the try.
    pub password_free_tries: u32,
    /// The wait after the first one beyond; doubled by each further one.
    #[serde(with = "human::duration")]
    pub password_first_delay: Duration,
    /// The longest wait between two tries.
    #[serde(with = "human::duration")]
    pub password_longest_delay: Duration,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            quota: 5 * GIB,
            max_folders: 1000,
            password_checks: 2,
            password_memory: 19 * MIB,
            password_passes: 2,
            password_lanes: 1,
            password_tries: 10,
            password_free_tries: 3,
            password_first_delay: Duration::from_millis(500),
            password_longest_delay: MINUTE,
        }
    }
}

/// `[admin]`: the administration API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Path of the Unix socket.
    pub socket: PathBuf,
    /// User ids that may use it, beside the one the server runs as.
    pub allowed_uids: Vec<u32>,
    /// Group ids that may use it.
    pub allowed_gids: Vec<u32>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { socket: "/run/caducee/admin.sock".into(), allowed_uids: vec![0], allowed_gids: Vec::new() }
    }
}

/// `[metrics]`: Prometheus metrics, liveness and readiness.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Loopback addresses to listen on; empty turns them off.
    pub listen: Vec<SocketAddr>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: vec![SocketAddr::from(([127, 0, 0, 1], 9125))] }
    }
}

/// `[log]`: what is told, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Form of the lines.
    pub format: Format,
    /// Least level told (`error`, `warn`, `info`, `debug`, `trace`), or a list such as `info,caducee::serve=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: Format::Auto, level: "info".into() }
    }
}

/// A port on every IPv4 and every IPv6 address.
pub(super) fn any_address(port: u16) -> Vec<SocketAddr> {
    vec![SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([0u16; 8], port))]
}
