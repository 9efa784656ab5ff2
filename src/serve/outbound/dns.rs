//! The DNS: MX records of a domain, addresses of a host.
//!
//! Answers are believed as they come, without DNSSEC: who a server is, its certificate says, and for which domains it
//! speaks, the white list. A forged MX leads to a server that gets nothing.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData};
use hickory_resolver::{ResolverBuilder, TokioResolver};
use tokio::time::timeout;

use crate::config::sending::Relay;
use crate::mail::relay::{Exchanger, Route, Trouble};
use crate::mss::Domain;

/// Tries of one question, over all of the time that it may take.
const TRIES: u32 = 3;

/// How long an answer that something is not there is remembered: a zone that was mended counts at the next attempt.
const LONGEST_NO: Duration = Duration::from_secs(60);

/// How long any answer is remembered, whatever its zone says.
const LONGEST_YES: Duration = Duration::from_secs(3600);

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The name does not exist (NXDOMAIN).
    #[error("the name does not exist")]
    NoSuchName,
    /// The name exists and has no such record.
    #[error("there is no such record")]
    NoRecord,
    /// An answer came that says nothing (SERVFAIL, REFUSED …).
    #[error("{0}")]
    Failed(String),
    /// No answer came: our own DNS does not serve us.
    #[error("{0}")]
    NoAnswer(String),
}

/// What the relay asks of the DNS.
pub trait Resolver: Send + Sync + 'static {
    /// A domain's MX records, in any order.
    fn mx(&self, domain: &str) -> impl Future<Output = Result<Vec<Exchanger>, LookupError>> + Send;

    /// A host's addresses, of both families.
    fn addresses(&self, name: &str) -> impl Future<Output = Result<Vec<IpAddr>, LookupError>> + Send;
}

/// Where a domain's mail goes, as its MX records say, within `longest`.
pub(super) async fn exchangers<R: Resolver>(
    resolver: &R,
    domain: &Domain,
    longest: Duration,
) -> Result<Route, Trouble> {
    match within(longest, resolver.mx(domain.as_str())).await {
        Ok(found) => Ok(Route::Exchangers(found)),
        Err(LookupError::NoRecord) => Ok(Route::Exchangers(Vec::new())),
        Err(LookupError::NoSuchName) => Ok(Route::NoSuchDomain),
        Err(error @ (LookupError::Failed(_) | LookupError::NoAnswer(_))) => {
            Err(failed(&error, &format!("which server takes the mail of {domain}")))
        }
    }
}

/// A host's addresses, within `longest`. A host may be named by its address.
pub(super) async fn addresses<R: Resolver>(
    resolver: &R,
    name: &str,
    longest: Duration,
) -> Result<Vec<IpAddr>, Trouble> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    match within(longest, resolver.addresses(name)).await {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(LookupError::NoRecord | LookupError::NoSuchName) => {
            Err(Trouble::new("no-address", "4.4.4", format!("the DNS knows no address of the server {name}")))
        }
        Err(error @ (LookupError::Failed(_) | LookupError::NoAnswer(_))) => {
            Err(failed(&error, &format!("the address of the server {name}")))
        }
    }
}

fn failed(error: &LookupError, asked: &str) -> Trouble {
    let trouble = Trouble::new("dns-failed", "4.4.3", format!("the DNS does not tell {asked}: {error}"));
    if matches!(error, LookupError::NoAnswer(_)) { trouble.ours() } else { trouble }
}

async fn within<T>(
    longest: Duration,
    question: impl Future<Output = Result<T, LookupError>>,
) -> Result<T, LookupError> {
    let late = |_| LookupError::NoAnswer(format!("no answer within {} seconds", longest.as_secs()));
    timeout(longest, question).await.map_err(late)?
}

/// The system's resolver, or one that asks the servers of `relay.dns`. It remembers answers for as long as they allow.
#[derive(Debug)]
pub struct SystemResolver {
    /// Absent where the machine has no usable DNS configuration: static routes by address still work.
    inner: Result<TokioResolver, String>,
}

impl SystemResolver {
    /// A resolver as `[relay]` says. A machine without DNS is told in the log, and with each question.
    pub fn new(relay: &Relay) -> Self {
        let inner = build(&relay.dns, relay.dns_timeout).map_err(|error| error.to_string());
        if let Err(error) = &inner {
            tracing::error!("no DNS: {error}; only hosts named by address in relay.routes can be reached");
        }
        Self { inner }
    }

    fn inner(&self) -> Result<&TokioResolver, LookupError> {
        self.inner.as_ref().map_err(|error| LookupError::NoAnswer(error.clone()))
    }
}

fn build(servers: &[SocketAddr], longest: Duration) -> Result<TokioResolver, NetError> {
    let mut builder = match servers {
        [] => TokioResolver::builder_tokio()?,
        servers => asking(servers),
    };
    let options: &mut ResolverOpts = builder.options_mut();
    options.timeout = longest / TRIES;
    options.attempts = TRIES as usize - 1;
    options.negative_max_ttl = Some(LONGEST_NO);
    options.positive_max_ttl = Some(LONGEST_YES);
    builder.build()
}

fn asking(servers: &[SocketAddr]) -> ResolverBuilder<TokioRuntimeProvider> {
    let server = |address: &SocketAddr| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        server.connections.iter_mut().for_each(|connection| connection.port = address.port());
        server
    };
    let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

/// The name with its final dot: no search list is gone through.
fn absolute(name: &str) -> Result<Name, LookupError> {
    let mut name = Name::from_ascii(name).map_err(|error| LookupError::Failed(error.to_string()))?;
    name.set_fqdn(true);
    Ok(name)
}

impl SystemResolver {
    /// A domain's MX records.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn exchangers_of(&self, domain: &str) -> Result<Vec<Exchanger>, LookupError> {
        self.mx(domain).await
    }

    /// A host's addresses.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn addresses_of(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        self.addresses(name).await
    }

    /// A name's SRV records (RFC 2782): priority, weight, port, target.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn services_of(&self, name: &str) -> Result<Vec<(u16, u16, u16, String)>, LookupError> {
        let found = self.inner()?.srv_lookup(absolute(name)?).await?;
        let service = |data: &RData| match data {
            RData::SRV(srv) => {
                let target = srv.target.to_ascii().trim_end_matches('.').to_owned();
                Some((srv.priority, srv.weight, srv.port, target))
            }
            _ => None,
        };
        Ok(found.answers().iter().filter_map(|record| service(&record.data)).collect())
    }
}

impl Resolver for SystemResolver {
    async fn mx(&self, domain: &str) -> Result<Vec<Exchanger>, LookupError> {
        let found = self.inner()?.mx_lookup(absolute(domain)?).await?;
        let exchanger = |data: &RData| match data {
            RData::MX(mx) => Some(Exchanger {
                preference: mx.preference,
                name: mx.exchange.to_ascii().trim_end_matches('.').to_owned(),
            }),
            _ => None,
        };
        Ok(found.answers().iter().filter_map(|record| exchanger(&record.data)).collect())
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        Ok(self.inner()?.lookup_ip(absolute(name)?).await?.iter().collect())
    }
}

impl From<NetError> for LookupError {
    fn from(error: NetError) -> Self {
        match error {
            error if error.is_nx_domain() => Self::NoSuchName,
            NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NoError => {
                Self::NoRecord
            }
            NetError::Timeout => Self::NoAnswer("no answer in time".into()),
            unheard @ (NetError::Io(_) | NetError::NoConnections) => Self::NoAnswer(unheard.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}
