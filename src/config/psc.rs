//! `[psc]`: Pro Santé Connect, the national identity provider of professionals (MSSanté §10).

use super::human;
use super::sections::{HOUR, MINUTE};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

const KIB: u64 = 1 << 10;

/// The certification authorities that Debian's `ca-certificates` keeps.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How an access token is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Validation {
    /// Pro Santé Connect is asked (RFC 7662).
    #[default]
    Introspection,
    /// By its signature, here (RFC 7519, RFC 9068).
    Jwt,
    /// By its signature, and then by asking.
    Both,
}

/// `[psc]`: Pro Santé Connect. Without an issuer it is off, and no token opens a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Psc {
    /// The issuer's address; empty: off.
    pub issuer: String,
    /// What we are known as there.
    pub client_id: String,
    /// Our secret: a file, or `credential:NAME` for a systemd credential; empty: the client certificate says who we are.
    pub client_secret: String,
    /// PEM file: the certificate that we show there (mutual TLS), leaf first; empty: none.
    pub client_certificate: PathBuf,
    /// PEM file: its private key.
    pub client_key: PathBuf,
    /// PEM files: the authorities of Pro Santé Connect's own certificates.
    pub anchors: Vec<PathBuf>,
    /// How an access token is judged.
    pub validation: Validation,
    /// A token must be meant for one of these (`aud`); empty: it is not looked at.
    pub audience: Vec<String>,
    /// A token's person must have been authenticated by one of these (`acr`); empty: it is not looked at.
    pub acr: Vec<String>,
    /// How far the clocks may differ.
    #[serde(with = "human::duration")]
    pub clock_skew: Duration,
    /// Longest wait for a connection, TLS included.
    #[serde(with = "human::duration")]
    pub connect_timeout: Duration,
    /// Longest time for one request.
    #[serde(with = "human::duration")]
    pub timeout: Duration,
    /// Longest time for one login, its wait in line and all tries together.
    #[serde(with = "human::duration")]
    pub deadline: Duration,
    /// How often a request that failed is tried again.
    pub retries: u32,
    /// Requests at once; others wait in line.
    pub at_once: usize,
    /// Largest answer taken, in bytes.
    #[serde(with = "human::size")]
    pub max_answer: u64,
    /// After so many failures in a row nothing is asked for a while.
    pub breaker_failures: u32,
    /// That while; then one request finds out whether it is over.
    #[serde(with = "human::duration")]
    pub breaker_pause: Duration,
    /// Most tokens and authorization codes of one IP address that may be refused within a minute; then nothing is asked for it
    /// until the minute is over.
    pub max_refused_per_address: u32,
    /// Longest time that a good token is remembered, and never longer than it lives; zero: not at all.
    #[serde(with = "human::duration")]
    pub cache: Duration,
    /// How long a refused token is remembered.
    #[serde(with = "human::duration")]
    pub cache_refused: Duration,
    /// Most tokens remembered, of each.
    pub cache_entries: usize,
    /// Time between two readings of what the issuer says of itself, and of its keys.
    #[serde(with = "human::duration")]
    pub refresh: Duration,
    /// Shortest time between two readings of the keys for the sake of a key that is not known.
    #[serde(with = "human::duration")]
    pub keys_pause: Duration,
}

impl Default for Psc {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret: String::new(),
            client_certificate: PathBuf::new(),
            client_key: PathBuf::new(),
            anchors: vec![SYSTEM_AUTHORITIES.into()],
            validation: Validation::default(),
            audience: Vec::new(),
            acr: vec!["eidas1".into()],
            clock_skew: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(8),
            deadline: Duration::from_secs(25),
            retries: 1,
            at_once: 100,
            max_answer: 256 * KIB,
            breaker_failures: 10,
            breaker_pause: Duration::from_secs(15),
            max_refused_per_address: 60,
            cache: 2 * MINUTE,
            cache_refused: Duration::from_secs(10),
            cache_entries: 20_000,
            refresh: HOUR,
            keys_pause: Duration::from_secs(30),
        }
    }
}

impl Psc {
    /// Whether tokens open mailboxes.
    pub fn is_on(&self) -> bool {
        !self.issuer.is_empty()
    }
}
