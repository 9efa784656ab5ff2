//! A world in memory: peers, the network between them and the relay, a white list, a store with a message in it.

use crate::peer::{Manners, Peer};
use caducee::mail::queue::{Attempt, AttemptRecipient, Destination, Envelope, Kind, Lease, Outcome, Verdict};
use caducee::mail::relay::{self, Exchanger, Host, Network, Relay, Route, Settings, Trouble};
use caducee::mss::trust::{CrlState, TrustSpace};
use caducee::mss::whitelist::Entry;
use caducee::mss::{Address, DistinguishedName, Domain, TrustHandle, WhiteList};
use caducee::store::{Batch, BodyId, BodyKey, ConsignmentKey, QueueId, Store, Version};
use caducee::telemetry::Metrics;
use caducee::wire::smtp::params::{MailParams, RcptParams};
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Unix seconds at which all of it happens.
pub const NOW: i64 = 1_796_169_600;

const MESSAGE: &[u8] = b"Return-Path: <a@us.example>\r\nSubject: essai\r\n\r\n.Bonjour\r\n..\r\nfin\r\n";

/// Octets at the message's start that are not sent.
pub const SKIP: u32 = 29;

/// The message as it must arrive.
pub fn message() -> Vec<u8> {
    MESSAGE[SKIP as usize..].to_vec()
}

pub fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

/// The subject that peers show: of an operator with this name.
pub fn subject(name: &str) -> DistinguishedName {
    DistinguishedName::parse_text(&format!("CN={name},O=HOPITAL,C=FR")).unwrap()
}

/// A white list made at `at` that gives each domain to the operator with this name.
pub fn list(at: i64, pairs: &[(&str, &str)]) -> WhiteList {
    let entry = |(name, operator): &(&str, &str)| Entry {
        domain: domain(name),
        description: String::new(),
        dn: Arc::new(subject(operator)),
        responsible: String::new(),
        support: String::new(),
        updated_at: None,
    };
    WhiteList::from_entries(at, pairs.iter().map(entry).collect())
}

/// What stands at a host's name.
#[derive(Clone, Debug)]
pub enum Place {
    /// A server of this operator.
    Server(&'static str, Arc<Peer>),
    /// Nothing that answers: a connection takes its time and fails.
    Hole,
}

/// The network of the world.
#[derive(Debug)]
pub struct World {
    pub settings: Mutex<Settings>,
    pub places: Mutex<HashMap<String, Place>>,
    pub routes: Mutex<HashMap<Domain, Result<Route, Trouble>>>,
    pub epoch: AtomicU64,
    /// Connections asked for, by host.
    pub knocks: Mutex<Vec<String>>,
}

impl World {
    pub fn knocks(&self) -> Vec<String> {
        self.knocks.lock().unwrap().clone()
    }

    /// A domain whose MX are these, by rising preference.
    pub fn route(&self, name: &str, hosts: &[&str]) {
        let exchanger = |(at, name): (usize, &&str)| Exchanger { preference: at as u16, name: (*name).to_owned() };
        let route = Route::Exchangers(hosts.iter().enumerate().map(exchanger).collect());
        self.routes.lock().unwrap().insert(domain(name), Ok(route));
    }

    pub fn place(&self, host: &str, place: Place) {
        self.places.lock().unwrap().insert(host.to_owned(), place);
    }
}

/// A connection before TLS, and whose certificate will be shown.
#[derive(Debug)]
pub struct Plain {
    operator: &'static str,
    stream: DuplexStream,
}

impl AsyncRead for Plain {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Plain {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The network as the relay holds it.
#[derive(Clone, Debug)]
pub struct Wires(pub Arc<World>);

impl Network for Wires {
    type Stream = Plain;
    type Secure = DuplexStream;

    fn settings(&self) -> Settings {
        self.0.settings.lock().unwrap().clone()
    }

    fn now(&self) -> i64 {
        NOW
    }

    fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::SeqCst)
    }

    async fn route(&self, domain: &Domain) -> Result<Route, Trouble> {
        self.0.routes.lock().unwrap().get(domain).cloned().unwrap_or(Ok(Route::NoSuchDomain))
    }

    async fn connect(&self, host: &Host) -> Result<Self::Stream, Trouble> {
        self.0.knocks.lock().unwrap().push(host.name.clone());
        let place = self.0.places.lock().unwrap().get(&host.name).cloned();
        match place {
            Some(Place::Server(operator, peer)) => {
                let (ours, theirs) = tokio::io::duplex(64 << 10);
                tokio::spawn(async move { peer.serve(theirs).await });
                Ok(Plain { operator, stream: ours })
            }
            Some(Place::Hole) => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                Err(Trouble::new("connect-failed", "4.4.1", "no answer"))
            }
            None => Err(Trouble::new("no-address", "4.4.4", "no address")),
        }
    }

    async fn secure(&self, _: &Host, plain: Plain) -> Result<(DuplexStream, relay::Peer), Trouble> {
        Ok((plain.stream, relay::Peer { subject: subject(plain.operator), not_after: NOW + 1000 }))
    }
}

/// The whole of it.
pub struct Stage {
    pub world: Arc<World>,
    pub trust: TrustHandle,
    pub relay: Arc<Relay<Wires>>,
    pub store: Store,
    pub metrics: Metrics,
    body: (BodyId, BodyKey, u64),
}

impl Stage {
    /// Domains of the list with their operators, one message in the store.
    pub async fn new(pairs: &[(&str, &str)]) -> Self {
        Self::with_message(pairs, MESSAGE).await
    }

    pub async fn with_message(pairs: &[(&str, &str)], bytes: &[u8]) -> Self {
        Self::over(Store::in_memory(), pairs, bytes).await
    }

    /// Over a store that others use too.
    pub async fn over(store: Store, pairs: &[(&str, &str)], bytes: &[u8]) -> Self {
        let world = Arc::new(World {
            settings: Mutex::new(settings()),
            places: Mutex::default(),
            routes: Mutex::default(),
            epoch: AtomicU64::new(0),
            knocks: Mutex::default(),
        });
        let mut sink = store.body_sink();
        sink.write(bytes).await.unwrap();
        let staged = sink.finish().await.unwrap();
        let body = (staged.id, staged.key.clone(), staged.size);
        let mut batch = Batch::new();
        batch.adopt(staged, 1);
        store.commit(batch).await.unwrap();
        let crl_state = CrlState::Loaded { fresh_until: NOW + 100, usable_until: NOW + 200 };
        let trust = TrustSpace { list: Some(Arc::new(list(NOW - 60, pairs))), crl_state, ..TrustSpace::default() };
        let trust = trust.into_handle();
        let metrics = Metrics::default();
        let relay = Relay::new(store.clone(), Arc::clone(&trust), Wires(Arc::clone(&world)), metrics.clone());
        Self { world, trust, relay: Arc::new(relay), store, metrics, body }
    }

    /// One domain, one host, one peer of the right operator.
    pub async fn simple(manners: Manners) -> (Self, Arc<Peer>) {
        let stage = Self::new(&[("there.example", "there")]).await;
        let peer = stage.peer("there.example", "mx.there.example", manners);
        (stage, peer)
    }

    /// A peer at a host that is the domain's MX, of the operator `there`.
    pub fn peer(&self, name: &str, host: &str, manners: Manners) -> Arc<Peer> {
        let peer = Arc::new(Peer::with(manners));
        self.world.route(name, &[host]);
        self.world.place(host, Place::Server("there", Arc::clone(&peer)));
        peer
    }

    pub fn change_list(&self, at: i64, pairs: &[(&str, &str)]) {
        let mut space = TrustSpace::clone(&self.trust.load());
        space.list = Some(Arc::new(list(at, pairs)));
        self.trust.store(Arc::new(space));
    }

    /// An attempt at the message for these local parts of a domain.
    pub fn attempt(&self, name: &str, locals: &[&str]) -> Attempt {
        let recipient = |(number, local): (usize, &&str)| AttemptRecipient {
            number: number as u32,
            address: Address::parse(&format!("{local}@{name}")).unwrap(),
            params: RcptParams::default(),
        };
        let (body, body_key, size) = self.body.clone();
        Attempt {
            key: ConsignmentKey { message: QueueId(1), number: 0 },
            version: Version(1),
            domain: domain(name),
            number: 1,
            envelope: Envelope {
                kind: Kind::Mail,
                sender: Some(Address::parse("a@us.example").unwrap()),
                account: None,
                params: MailParams::default(),
                message_id: None,
                reference: "r/1".into(),
            },
            recipients: locals.iter().enumerate().map(recipient).collect(),
            body,
            body_key,
            skip: SKIP,
            size: size - u64::from(SKIP),
            lease: Lease::default(),
        }
    }

    /// What an attempt for one recipient comes to, as [`shown`].
    pub async fn send(&self, name: &str) -> String {
        shown(&self.relay.carry(&self.attempt(name, &["b"])).await)
    }
}

pub fn settings() -> Settings {
    let seconds = Duration::from_secs;
    Settings {
        name: "mx.us.example".into(),
        port: 25,
        command_timeout: seconds(300),
        data_timeout: seconds(120),
        block_timeout: seconds(180),
        final_timeout: seconds(600),
        message_timeout: seconds(1800),
        keep_session: seconds(5),
        max_messages: 100,
        max_sessions_per_host: 20,
        list_max_age: 86_400,
    }
}

/// An outcome in a line: each recipient's verdict, status, code, rule; then the destination.
pub fn shown(outcome: &Outcome) -> String {
    let verdict = |verdict: &Verdict| {
        let (kind, words) = match verdict {
            Verdict::Relayed { words, .. } => ("relayed", words),
            Verdict::Deferred(words) => ("deferred", words),
            Verdict::Failed(words) => ("failed", words),
        };
        let code = words.code.map(|code| format!(" {code}")).unwrap_or_default();
        let rule = words.rule.as_ref().map(|rule| format!(" {rule}")).unwrap_or_default();
        format!("{kind} {}{code}{rule}", words.status)
    };
    let all: Vec<String> = outcome.recipients.iter().map(|(_, found)| verdict(found)).collect();
    let destination = match &outcome.destination {
        Destination::Reached => "reached",
        Destination::Busy => "busy",
        Destination::Crowded => "crowded",
        Destination::Away(_) => "away",
        Destination::Unready(_) => "unready",
    };
    format!("{}; {destination}", all.join(", "))
}
