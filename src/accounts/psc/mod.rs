//! Pro Santé Connect, the national identity provider of professionals (MSSanté §10): who stands behind an access token, and
//! who logs in at the portal.
//!
//! # The way of a token
//!
//! ```text
//! verify(token, certificate shown) ─▶ cache (by SHA-256) ──────────────────────────────────────────────┐
//!        │ not known                                                                                   ▼
//!        └▶ flights: one at a time for a token ─▶ judge: jwt (keys) · introspection ─▶ claims ─▶ userinfo ─▶ bound to that
//!                                                          └────────┬────────┘     where the id lacks       certificate?
//!                                                    caller: turns, breaker, retries ─▶ http               ─▶ Person
//! ```
//!
//! # Rules
//!
//! 1. A token is sent to the issuer's own endpoints only, over TLS, and kept nowhere: what is remembered is its SHA-256. No
//!    text, log line or error of this room holds one.
//! 2. What is remembered of a token lives no longer than the token, and is asked for its certificate each time.
//! 3. A token that is refused is told apart from a Pro Santé Connect that cannot say ([`PscError`]): the one is for good, the
//!    other for a while.
//! 4. While Pro Santé Connect is away nobody waits for it longer than `deadline`, and soon nobody at all ([`breaker`]). Nothing
//!    here holds a lock or a thread while it waits.
//! 5. Who sends one refused token or code after the other is put off before Pro Santé Connect is asked ([`refusals`]).

mod breaker;
mod cache;
mod caller;
mod claims;
mod code;
mod error;
mod flights;
mod fresh;
mod http;
mod judge;
mod jwt;
mod metadata;
mod refusals;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

use crate::accounts::Subscriber;
use crate::telemetry::{Metrics, ResultLabel};
use crate::wire::sasl::Secret;

use breaker::Breaker;
use cache::{Cache, key_of};
use caller::Caller;
use claims::{Rules, Validated};
pub use code::challenge_of;
pub use error::{PscError, TokenRefusal, Trouble};
use flights::Flights;
use fresh::Fresh;
use http::{Bounds, Endpoint, Http};
use jwt::Keys;
use metadata::Metadata;
use refusals::Refusals;

/// Longest token that is looked at.
const LONGEST_TOKEN: usize = 16 << 10;

/// A person, as Pro Santé Connect knows them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// `SubjectNameID`: `8` and the RPPS number (MSSanté §1, §10).
    pub national_id: String,
    /// `sub`: what Pro Santé Connect itself knows them as.
    pub subject: String,
    /// Given name, where it is told.
    pub given_name: Option<String>,
    /// Family name, where it is told.
    pub family_name: Option<String>,
}

/// How a token is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judging {
    /// Pro Santé Connect is asked.
    Introspection,
    /// By its signature.
    Signature,
    /// By its signature, then by asking.
    Both,
}

/// Settings; the keys of `[psc]` say what they are for.
#[derive(Debug)]
#[allow(missing_docs, reason = "each is the key of its name")]
pub struct PscOptions {
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<Secret>,
    /// Certificate chain and key for mutual TLS.
    pub identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    pub anchors: RootCertStore,
    pub judging: Judging,
    pub audience: Vec<String>,
    pub acr: Vec<String>,
    pub clock_skew: Duration,
    pub connect_timeout: Duration,
    pub timeout: Duration,
    pub deadline: Duration,
    pub retries: u32,
    pub at_once: usize,
    /// In bytes.
    pub max_answer: usize,
    pub breaker_failures: u32,
    pub breaker_pause: Duration,
    pub max_refused_per_address: u32,
    pub cache: Duration,
    pub cache_refused: Duration,
    pub cache_entries: usize,
    pub refresh: Duration,
    pub keys_pause: Duration,
    /// What time it is, in Unix seconds.
    pub clock: fn() -> i64,
}

/// Why there can be no client of Pro Santé Connect.
#[derive(Debug, thiserror::Error)]
pub enum PscSetupError {
    /// The issuer is no https address.
    #[error("psc.issuer: `{0}` is no https:// address")]
    Issuer(String),
    /// The certificate and the key for mutual TLS do not belong together, or the like.
    #[error("psc.client_certificate: {0}")]
    Tls(#[from] rustls::Error),
}

/// A client of Pro Santé Connect. Cheap to clone.
#[derive(Clone)]
pub struct Psc {
    inner: Arc<Inner>,
    /// Whom what is refused counts for.
    sender: Option<Subscriber>,
}

struct Inner {
    client: Client,
    rules: Rules,
    judging: Judging,
    deadline: Duration,
    refresh: Duration,
    keys_pause: Duration,
    clock: fn() -> i64,
    discovery: Endpoint,
    caller: Caller,
    metadata: Fresh<Metadata>,
    keys: Fresh<Keys>,
    cache: Cache,
    flights: Flights<Outcome>,
    refusals: Refusals,
    metrics: Metrics,
}

/// What we are known as.
struct Client {
    id: String,
    secret: Option<Secret>,
    has_certificate: bool,
}

/// What a validation comes to.
type Outcome = Result<Arc<Validated>, PscError>;

impl Psc {
    /// A client that has asked nothing yet.
    ///
    /// # Errors
    /// What of the settings cannot be used.
    pub fn new(options: PscOptions, metrics: &Metrics) -> Result<Self, PscSetupError> {
        let discovery = metadata::place(&options.issuer).ok_or(PscSetupError::Issuer(options.issuer.clone()))?;
        let client = Client {
            id: options.client_id,
            secret: options.client_secret,
            has_certificate: options.identity.is_some(),
        };
        let tls = tls_of(options.anchors, options.identity)?;
        let bounds = Bounds { connect: options.connect_timeout, whole: options.timeout, answer: options.max_answer };
        let breaker = Breaker::new(options.breaker_failures, options.breaker_pause, metrics.clone());
        let caller = Caller::new(Http::new(tls, bounds), breaker, options.at_once, options.retries, metrics.clone());
        let rules =
            Rules { issuer: options.issuer, audience: options.audience, acr: options.acr, skew: options.clock_skew };
        let inner = Inner {
            client,
            rules,
            judging: options.judging,
            deadline: options.deadline,
            refresh: options.refresh,
            keys_pause: options.keys_pause,
            clock: options.clock,
            discovery,
            caller,
            metadata: Fresh::new(options.keys_pause),
            keys: Fresh::new(options.keys_pause),
            cache: Cache::new(options.cache_entries, options.cache, options.cache_refused),
            flights: Flights::default(),
            refusals: Refusals::new(options.max_refused_per_address),
            metrics: metrics.clone(),
        };
        Ok(Self { inner: Arc::new(inner), sender: None })
    }

    /// The same client, asked by somebody at this address: what is refused counts for them, and after
    /// `max_refused_per_address` within a minute they are put off.
    pub fn asked_by(&self, address: IpAddr) -> Self {
        Self { inner: Arc::clone(&self.inner), sender: Some(Subscriber::of(address)) }
    }

    /// Who stands behind an access token. `shown`: the certificate (DER) that the client showed on the connection that the
    /// token came by; a token may be bound to it (RFC 8705 §3).
    ///
    /// # Errors
    /// The token is refused, its sender put off, or Pro Santé Connect cannot say now.
    pub async fn verify(&self, token: &Secret, shown: Option<&[u8]>) -> Result<Person, PscError> {
        let judged = self.judged(token).await;
        let verified = judged.and_then(|(validated, how)| {
            validated.may_be_used_with(shown)?;
            Ok((validated.person.clone(), how))
        });
        let result = match &verified {
            Ok((_, Known::Before)) => "remembered",
            Ok((_, Known::Now)) => "ok",
            Err(error) => error.name(),
        };
        self.inner.metrics.psc_validations.get_or_create(&ResultLabel { result }).inc();
        verified.map(|(person, _)| person)
    }

    async fn judged(&self, token: &Secret) -> Result<(Arc<Validated>, Known), PscError> {
        if token.expose().is_empty() {
            return Err(TokenRefusal::Missing.into());
        }
        if token.expose().len() > LONGEST_TOKEN {
            return Err(TokenRefusal::Malformed.into());
        }
        let (inner, key) = (&self.inner, key_of(token));
        if let Some(outcome) = inner.recall(&key) {
            return outcome.map(|validated| (validated, Known::Before));
        }
        inner.refusals.admit(self.sender, Instant::now())?;
        let work = || {
            let (inner, token, sender) = (Arc::clone(inner), token.clone(), self.sender);
            async move {
                let asking = inner.refusals.asking(sender);
                let outcome = inner.validate(key, &token).await;
                asking.ends(&outcome);
                outcome
            }
        };
        let outcome = inner.flights.join(key, || inner.recall(&key), work).await;
        let outcome = outcome.unwrap_or(Err(PscError::Unavailable(Trouble::Interrupted)));
        outcome.map(|validated| (validated, Known::Now))
    }
}

/// When a token was judged.
#[derive(Clone, Copy)]
enum Known {
    Before,
    Now,
}

impl Inner {
    fn recall(&self, key: &cache::TokenKey) -> Option<Outcome> {
        self.cache.recall(key, (self.clock)()).map(|outcome| outcome.map_err(PscError::Refused))
    }

    /// Judges a token, and remembers what came.
    async fn validate(&self, key: cache::TokenKey, token: &Secret) -> Outcome {
        let judged = tokio::time::timeout(self.deadline, self.judge(token)).await;
        let outcome = judged.unwrap_or(Err(PscError::Unavailable(Trouble::TimedOut))).map(Arc::new);
        match &outcome {
            Ok(validated) => self.cache.remember(key, &Ok(Arc::clone(validated)), (self.clock)()),
            Err(PscError::Refused(refusal)) => self.cache.remember(key, &Err(*refusal), (self.clock)()),
            Err(PscError::Unavailable(trouble)) => {
                tracing::warn!(reason = trouble.name(), "an access token could not be judged: {trouble}");
            }
            Err(PscError::PutOff(_)) => {}
        }
        outcome
    }

    /// What the issuer says of itself.
    async fn metadata(&self) -> Result<Arc<Metadata>, Trouble> {
        let read = async {
            let document: metadata::Document = self.caller.document(&http::Call::get(&self.discovery)).await?;
            document.endpoints(&self.rules.issuer, self.client.has_certificate)
        };
        self.metadata.get(self.refresh, read).await
    }
}

fn tls_of(
    anchors: RootCertStore,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(anchors);
    let mut tls = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

/// The client in force, if Pro Santé Connect is configured; a reload puts another in its place. Cheap to clone.
#[derive(Clone, Default)]
pub struct PscHandle(Arc<ArcSwapOption<Psc>>);

impl PscHandle {
    /// A handle on this client.
    pub fn new(psc: Option<Psc>) -> Self {
        let handle = Self::default();
        handle.replace(psc);
        handle
    }

    /// The client in force; `None`: Pro Santé Connect is not configured.
    pub fn current(&self) -> Option<Arc<Psc>> {
        self.0.load_full()
    }

    /// Puts another in its place. What is under way with the old one goes on with it.
    pub fn replace(&self, psc: Option<Psc>) {
        self.0.store(psc.map(Arc::new));
    }
}
