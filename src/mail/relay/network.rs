//! What lies outside of the relay: names, connections, TLS, time, settings.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::mss::{DistinguishedName, Domain};

/// A server that may take mail: what sessions are pooled by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// Its name in lower case, or an address.
    pub name: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// An MX record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanger {
    /// The lower, the sooner.
    pub preference: u16,
    /// The host's name without a final dot; empty for the root, the null MX (RFC 7505).
    pub name: String,
}

/// Where a domain's mail goes, as the configuration or the DNS says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A static route: these hosts, in this order.
    Hosts(Vec<Host>),
    /// The domain's MX records, in any order; none where it has none.
    Exchangers(Vec<Exchanger>),
    /// The DNS does not know the domain (NXDOMAIN).
    NoSuchDomain,
}

/// Who is at the other end of a session, from its verified certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The certificate's subject.
    pub subject: DistinguishedName,
    /// The end of its validity, in Unix seconds.
    pub not_after: i64,
}

/// What the configuration says, read anew for each attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our host name.
    pub name: String,
    /// The port that MX hosts are asked on.
    pub port: u16,
    /// Longest wait for the answer to a command (RFC 5321 §4.5.3.2.1 to .3).
    pub command_timeout: Duration,
    /// Longest wait for the answer to DATA (§4.5.3.2.4).
    pub data_timeout: Duration,
    /// Longest wait for the peer to take a piece of a message (§4.5.3.2.5).
    pub block_timeout: Duration,
    /// Longest wait for the answer to a whole message (§4.5.3.2.6).
    pub final_timeout: Duration,
    /// Longest time for a message beside that wait, all else together; a message of some size has more.
    pub message_timeout: Duration,
    /// How long an idle session is kept.
    pub keep_session: Duration,
    /// Most messages of a session.
    pub max_messages: u32,
    /// Most sessions with a host at once.
    pub max_sessions_per_host: usize,
    /// Age of the white list, in seconds, up to which "not listed" is the last word.
    pub list_max_age: i64,
}

/// Something of our own that stands in a message's way: found by us, not said by a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Trouble {
    /// Stable kebab-case name.
    pub rule: &'static str,
    /// Enhanced status code (RFC 3463); its class says whether it passes (4) or lasts (5).
    pub status: &'static str,
    /// In plain words, safe to show to a sender.
    pub text: String,
    /// It is ours alone, whatever the destination: nothing was asked of anybody there.
    pub is_ours: bool,
}

impl Trouble {
    /// Trouble with its rule's name, status and words.
    pub fn new(rule: &'static str, status: &'static str, text: impl Into<String>) -> Self {
        Self { rule, status, text: text.into(), is_ours: false }
    }

    /// The same, of our own making: a list that is not there, a DNS that does not answer us.
    #[must_use]
    pub fn ours(self) -> Self {
        Self { is_ours: true, ..self }
    }

    /// Whether another try cannot help.
    pub fn lasts(&self) -> bool {
        self.status.starts_with('5')
    }
}

/// The world, as the relay sees it.
pub trait Network: Send + Sync + 'static {
    /// A connection before TLS.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// A connection with TLS.
    type Secure: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// What the configuration says now.
    fn settings(&self) -> Settings;

    /// Unix seconds.
    fn now(&self) -> i64;

    /// Changes when our certificate, the authorities or their CRLs do: sessions made before are not used again.
    fn epoch(&self) -> u64;

    /// Where a domain's mail goes.
    fn route(&self, domain: &Domain) -> impl Future<Output = Result<Route, Trouble>> + Send;

    /// A connection to a host, by whichever of its addresses answers.
    fn connect(&self, host: &Host) -> impl Future<Output = Result<Self::Stream, Trouble>> + Send;

    /// TLS with our certificate shown and the peer's verified (chain, validity, revocation), never resumed: a resumed
    /// session would not be verified.
    fn secure(
        &self,
        host: &Host,
        stream: Self::Stream,
    ) -> impl Future<Output = Result<(Self::Secure, Peer), Trouble>> + Send;
}
