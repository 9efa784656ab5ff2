//! The sections about mail that leaves: submission, queue, relay, citizens, trail.

use super::human;
use super::sections::{HOUR, MIB, MINUTE, any_address};
use crate::mss::{Address, Domain};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// `[submission]`: the door of those who send.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Submission {
    /// Addresses for STARTTLS; empty closes that door.
    pub listen: Vec<SocketAddr>,
    /// Addresses for TLS from the first byte; empty closes that door.
    pub listen_tls: Vec<SocketAddr>,
    /// Most connections at once.
    pub max_connections: usize,
    /// Most connections at once from one IP address (a hospital's clients share one).
    pub max_connections_per_address: usize,
    /// Most sessions at once of one person in one mailbox.
    pub max_connections_per_account: usize,
    /// Longest time until somebody is logged in.
    #[serde(with = "human::duration")]
    pub login_timeout: Duration,
    /// Longest wait for a command after login (RFC 5321 §4.5.3.2.7 asks for 5 minutes).
    #[serde(with = "human::duration")]
    pub command_timeout: Duration,
    /// Longest wait for the next piece of a message.
    #[serde(with = "human::duration")]
    pub data_timeout: Duration,
    /// Longest time for one whole message.
    #[serde(with = "human::duration")]
    pub message_timeout: Duration,
    /// Longest life of a session; ended between two messages with 421.
    #[serde(with = "human::duration")]
    pub session_timeout: Duration,
    /// Bad commands and refusals after which a session is closed.
    pub max_errors: u32,
    /// Failed logins after which a session is closed.
    pub max_login_failures: u32,
    /// Most messages of one session.
    pub max_transactions: u32,
    /// Longest time that a message may be held back by its sender (FUTURERELEASE, RFC 4865); zero turns it off.
    #[serde(with = "human::duration")]
    pub max_future_release: Duration,
}

impl Default for Submission {
    fn default() -> Self {
        Self {
            listen: any_address(587),
            listen_tls: any_address(465),
            max_connections: 5000,
            max_connections_per_address: 500,
            max_connections_per_account: 20,
            login_timeout: MINUTE,
            command_timeout: 5 * MINUTE,
            data_timeout: 3 * MINUTE,
            message_timeout: 15 * MINUTE,
            session_timeout: 4 * HOUR,
            max_errors: 20,
            max_login_failures: 5,
            max_transactions: 1000,
            max_future_release: 7 * DAY,
        }
    }
}

/// `[queue]`: how long and how often a message is tried.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// Time before the second try; doubled after each.
    #[serde(with = "human::duration")]
    pub first_retry: Duration,
    /// Longest time between two tries.
    #[serde(with = "human::duration")]
    pub longest_retry: Duration,
    /// A message is given up when it is so old.
    #[serde(with = "human::duration")]
    pub lifetime: Duration,
    /// Its sender is told of the delay when it is so old.
    #[serde(with = "human::duration")]
    pub delay_notice: Duration,
    /// What is queued is sealed under another key after this time.
    #[serde(with = "human::duration")]
    pub turn_key_every: Duration,
    /// Tries at once, over all destinations.
    pub at_once: usize,
    /// Tries at once to a destination that is not known yet; more when it goes well.
    pub first_window: usize,
    /// Tries at once to one destination, at most.
    pub largest_window: usize,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            first_retry: 5 * MINUTE,
            longest_retry: 4 * HOUR,
            lifetime: 48 * HOUR,
            delay_notice: 4 * HOUR,
            turn_key_every: 24 * HOUR,
            at_once: 500,
            first_window: 2,
            largest_window: 20,
        }
    }
}

/// `[relay]`: how other operators' servers are found and spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Relay {
    /// DNS servers; empty takes those of `/etc/resolv.conf`.
    pub dns: Vec<SocketAddr>,
    /// Longest time for one DNS question, all tries together.
    #[serde(with = "human::duration")]
    pub dns_timeout: Duration,
    /// Port of other operators' servers.
    pub port: u16,
    /// Longest wait for a TCP connection to one address.
    #[serde(with = "human::duration")]
    pub connect_timeout: Duration,
    /// Longest wait for the answer to a greeting, EHLO, STARTTLS, MAIL or RCPT (RFC 5321 §4.5.3.2.1 to .3).
    #[serde(with = "human::duration")]
    pub command_timeout: Duration,
    /// Longest wait for the answer to DATA (RFC 5321 §4.5.3.2.4).
    #[serde(with = "human::duration")]
    pub data_timeout: Duration,
    /// Longest wait for the peer to take a piece of a message (RFC 5321 §4.5.3.2.5).
    #[serde(with = "human::duration")]
    pub block_timeout: Duration,
    /// Longest wait for the answer to a whole message (RFC 5321 §4.5.3.2.6).
    #[serde(with = "human::duration")]
    pub final_timeout: Duration,
    /// Longest time for a message at one server beside that wait, with a second more for each 16 KiB of it.
    #[serde(with = "human::duration")]
    pub message_timeout: Duration,
    /// How long a session is kept for the next message.
    #[serde(with = "human::duration")]
    pub keep_session: Duration,
    /// Most messages of one session.
    pub max_messages: u32,
    /// Most sessions with one host at once.
    pub max_sessions_per_host: usize,
    /// Domains whose servers are told here in place of the DNS.
    pub routes: Vec<Route>,
}

/// A static route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// The domains; `*` is every domain that no other route names.
    pub domains: Vec<String>,
    /// `host` or `host:port`, in the order of preference. Empty: as the DNS says (a route may change times alone).
    pub hosts: Vec<String>,
    /// As `queue.first_retry`, for these domains.
    #[serde(with = "human::optional_duration", skip_serializing_if = "Option::is_none")]
    pub first_retry: Option<Duration>,
    /// As `queue.longest_retry`.
    #[serde(with = "human::optional_duration", skip_serializing_if = "Option::is_none")]
    pub longest_retry: Option<Duration>,
    /// As `queue.lifetime`.
    #[serde(with = "human::optional_duration", skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Duration>,
}

/// `host`, `host:port`, `[v6]:port` or an address, with `port` where none is said; `None` where it is none of these. Names
/// come in lower case.
pub fn host_and_port(text: &str, port: u16) -> Option<(String, u16)> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((address.ip().to_string(), address.port()));
    }
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some((address.to_string(), port));
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, port.parse().ok().filter(|port| *port != 0)?),
        None => (text, port),
    };
    let name = Domain::parse(name.trim_end_matches('.')).ok()?;
    Some((name.to_string(), port))
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            dns: Vec::new(),
            dns_timeout: Duration::from_secs(15),
            port: 25,
            connect_timeout: Duration::from_secs(30),
            command_timeout: 5 * MINUTE,
            data_timeout: 2 * MINUTE,
            block_timeout: 3 * MINUTE,
            final_timeout: 10 * MINUTE,
            message_timeout: 30 * MINUTE,
            keep_session: Duration::from_secs(5),
            max_messages: 100,
            max_sessions_per_host: 20,
            routes: Vec::new(),
        }
    }
}

/// `[citizens]`: mail with patients (MSSanté §8).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Citizens {
    /// The domains of citizens' addresses.
    pub domains: Vec<String>,
    /// A citizen may only answer: mail from one to whom a mailbox has not written is refused.
    pub only_answer: bool,
    /// Largest message to a citizen, in bytes.
    #[serde(with = "human::size")]
    pub max_message: u64,
}

impl Default for Citizens {
    fn default() -> Self {
        Self { domains: vec!["patient.mssante.fr".into()], only_answer: true, max_message: 25 * MIB }
    }
}

impl Citizens {
    /// The most octets of a message to this address, where it is a citizen's (MSSanté §8).
    pub fn bound_for(&self, to: &Address) -> Option<u64> {
        let is_citizen = self.domains.iter().any(|domain| domain.eq_ignore_ascii_case(to.domain().as_str()));
        is_citizen.then_some(self.max_message)
    }
}

/// `[trail]`: what is kept to know a message of ours by when others report about it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trail {
    /// How long.
    #[serde(with = "human::duration")]
    pub keep: Duration,
}

impl Default for Trail {
    fn default() -> Self {
        Self { keep: 90 * DAY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citizens_message_has_its_own_bound() {
        let bound = |address: &str| Citizens::default().bound_for(&Address::parse(address).unwrap());
        assert_eq!(bound("255069999999934@patient.mssante.fr"), Some(25 * MIB));
        assert_eq!(bound("255069999999934@PATIENT.mssante.fr"), Some(25 * MIB));
        assert_eq!(bound("anne.roux@aura.mssante.example"), None);
    }
}
