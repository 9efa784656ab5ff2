//! `[portal]`: the page where holders enrol workstations and mind what opens their mailbox.

use super::human;
use super::sections::{HOUR, MINUTE};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// `[portal]`: the holders' page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Portal {
    /// Addresses for HTTPS; empty closes that door.
    pub listen: Vec<SocketAddr>,
    /// The page's address as holders write it, without a path: `https://portail.example.mssante.fr`. Required with `listen`.
    pub url: String,
    /// The operator's name, as the page's head shows it; empty takes `server.name`.
    pub title: String,
    /// Whom holders ask for help: a telephone number, an office; empty shows nothing.
    pub contact: String,
    /// Most connections at once.
    pub max_connections: usize,
    /// Most connections at once from one IP address (a practice's browsers share one).
    pub max_connections_per_address: usize,
    /// Most people logged in at once; the one that was quiet for longest gives way.
    pub max_sessions: usize,
    /// Most searches of one person in the national directory within a minute; 0: the page offers none.
    pub searches: u32,
    /// A session ends after so long without a request.
    #[serde(with = "human::duration")]
    pub idle_timeout: Duration,
    /// Longest life of a session.
    #[serde(with = "human::duration")]
    pub session_timeout: Duration,
    /// How long the head of a request, its body, and the answer may each take.
    #[serde(with = "human::duration")]
    pub request_timeout: Duration,
}

impl Default for Portal {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            url: String::new(),
            title: String::new(),
            contact: String::new(),
            max_connections: 1000,
            max_connections_per_address: 200,
            max_sessions: 10_000,
            searches: 30,
            idle_timeout: 30 * MINUTE,
            session_timeout: 4 * HOUR,
            request_timeout: Duration::from_secs(30),
        }
    }
}

impl Portal {
    /// What is wrong with `url`, if something is.
    pub(super) fn url_problem(&self) -> Option<String> {
        let expected = "expected https://HOST or https://HOST:PORT, without a path";
        if self.url.is_empty() {
            let needed = !self.listen.is_empty();
            return needed.then(|| format!("required with portal.listen; {expected}"));
        }
        let host = self.url.strip_prefix("https://").unwrap_or_default();
        let is_host = !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'[' | b']'));
        (!is_host).then(|| format!("`{}`; {expected}", self.url))
    }
}
