//! The way out: other operators' servers found, connected to and authenticated, for [`crate::mail::relay`].
//!
//! ```text
//! domain ─▶ static route (routes) ─┐
//!              or MX (dns) ────────┴▶ host ─▶ addresses (dns) ─▶ TCP (connect) ─▶ TLS with our certificate (handshake)
//! ```
//!
//! # Rules
//!
//! 1. The peer's chain, validity and revocation are verified within the handshake, with the lists in force at that moment;
//!    whether its subject may have a domain's mail is the relay's question, asked before each message.
//! 2. TLS is never resumed on this side: a resumed session does not run the verifier again (`serve::tls`, trap 9).
//! 3. What goes wrong here passes: DNS, TCP and TLS trouble is temporary (MSSanté §3).
//! 4. Only [`dns`] knows the DNS library.

mod connect;
pub mod dns;
mod handshake;
mod routes;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::config::Config;
use crate::mail::relay::{Attempts, Host, Network, Peer, Relay, Route, Settings, Trouble};
use crate::mss::Domain;

use super::Shared;
use super::listen::TaskToken;
use super::tls::Contexts;
use dns::{Resolver, SystemResolver};

/// What the network reads of the running server.
pub trait Surroundings: Send + Sync + 'static {
    /// The configuration in force.
    fn config(&self) -> Arc<Config>;

    /// The TLS contexts in force.
    fn tls(&self) -> &Contexts;
}

impl Surroundings for Arc<Shared> {
    fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    fn tls(&self) -> &Contexts {
        &self.tls
    }
}

/// The real network.
#[derive(Debug)]
pub struct Outbound<W, R> {
    surroundings: W,
    resolver: R,
}

impl<W: Surroundings, R: Resolver> Outbound<W, R> {
    /// A network with these surroundings, that asks this resolver.
    pub fn new(surroundings: W, resolver: R) -> Self {
        Self { surroundings, resolver }
    }
}

impl<W: Surroundings, R: Resolver> Network for Outbound<W, R> {
    type Stream = TcpStream;
    type Secure = TlsStream<TcpStream>;

    fn settings(&self) -> Settings {
        let config = self.surroundings.config();
        let relay = &config.relay;
        Settings {
            name: config.server.name.clone(),
            port: relay.port,
            command_timeout: relay.command_timeout,
            data_timeout: relay.data_timeout,
            block_timeout: relay.block_timeout,
            final_timeout: relay.final_timeout,
            message_timeout: relay.message_timeout,
            keep_session: relay.keep_session,
            max_messages: relay.max_messages,
            max_sessions_per_host: relay.max_sessions_per_host,
            list_max_age: i64::try_from(config.trust.max_age.as_secs()).unwrap_or(i64::MAX),
        }
    }

    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    fn epoch(&self) -> u64 {
        self.surroundings.tls().epoch()
    }

    async fn route(&self, domain: &Domain) -> Result<Route, Trouble> {
        let config = self.surroundings.config();
        match routes::of(&config.relay, domain) {
            Some(hosts) => Ok(Route::Hosts(hosts)),
            None => dns::exchangers(&self.resolver, domain, config.relay.dns_timeout).await,
        }
    }

    async fn connect(&self, host: &Host) -> Result<TcpStream, Trouble> {
        let config = self.surroundings.config();
        let addresses = dns::addresses(&self.resolver, &host.name, config.relay.dns_timeout).await?;
        connect::any(host, &addresses, config.relay.connect_timeout).await
    }

    async fn secure(&self, host: &Host, stream: TcpStream) -> Result<(TlsStream<TcpStream>, Peer), Trouble> {
        let longest = self.surroundings.config().tls.handshake_timeout;
        handshake::with(self.surroundings.tls().outbound(), host, stream, longest).await
    }
}

/// Starts carrying the attempts of `attempts` to other operators, until the server stops. Those under way have until
/// the end of the drain, for which `token` stands.
pub fn start<A: Attempts>(shared: &Arc<Shared>, attempts: Arc<A>, token: TaskToken) {
    let resolver = SystemResolver::new(&shared.config.load().relay);
    let network = Outbound::new(Arc::clone(shared), resolver);
    let (trust, metrics) = (Arc::clone(&shared.trust), shared.metrics.clone());
    let relay = Arc::new(Relay::new(shared.store.clone(), trust, network, metrics));
    let shutdown = shared.shutdown.clone();
    tokio::spawn(async move { relay.run(attempts, shutdown.begun(), token).await });
}
