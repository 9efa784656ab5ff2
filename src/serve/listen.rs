//! Listeners and accept loops.
//!
//! A socket is passed by systemd or bound here. Each has a loop that accepts, counts, and starts the door's task in a span
//! with the connection's id. A loop never ends on an error: out of descriptors or memory, it waits and tries again,
//! while the connections that wait keep their place in the kernel's queue.

use super::front::Front;
use super::{Connection, Shared, limits::TooMany, systemd};
use crate::config::Config;
use crate::telemetry::{Door, DoorLabel, ReasonLabel};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tracing::{Instrument, error, info, info_span, warn};

/// Connections that may wait in the kernel for their accept. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// First and longest pause after a failed accept.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// A client that vanished without a word is noticed after about this long: first probe, then three at intervals.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(300)).with_interval(Duration::from_secs(30)).with_retries(3);

/// Why the doors cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An address cannot be listened on.
    #[error("{key}: cannot listen on {address}: {source}")]
    Bind {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A socket passed by systemd cannot serve.
    #[error(transparent)]
    Passed(#[from] systemd::PassedSocketError),
    /// A passed socket cannot be handed to the runtime.
    #[error("a passed socket cannot be used: {0}")]
    Unusable(#[source] io::Error),
}

/// A door's listening socket.
#[derive(Debug)]
pub struct Listener {
    /// The door behind it.
    pub door: Door,
    /// What it listens on, the real port included.
    pub address: SocketAddr,
    /// One of `[[fronts]]`; `None`: the main one, as it is configured at each connection.
    front: Option<Front>,
    socket: TcpListener,
}

/// Opens every door: passed sockets where the manager passed some for a door, our own otherwise.
///
/// # Errors
/// The first address that cannot be listened on. IPv6 being absent from the machine is none.
pub fn open(config: &Config) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::new();
    for (door, socket) in systemd::passed_sockets(config)? {
        socket.set_nonblocking(true).map_err(ListenError::Unusable)?;
        let socket = TcpListener::from_std(socket).map_err(ListenError::Unusable)?;
        let address = socket.local_addr().map_err(ListenError::Unusable)?;
        listeners.push(Listener { door, address, front: None, socket });
    }
    let passed: Vec<Door> = listeners.iter().map(|listener| listener.door).collect();
    for (door, key, addresses) in doors(config) {
        if passed.contains(&door) {
            continue;
        }
        for address in addresses {
            listeners.extend(listen_on(door, key, *address, None)?);
        }
    }
    for front in &config.fronts {
        for (key, addresses) in front.addresses() {
            for address in addresses {
                listeners.extend(listen_on(door_of(key), "fronts", *address, Some(Front::of(front)))?);
            }
        }
    }
    Ok(listeners)
}

/// Which door is behind a key of a front's addresses.
fn door_of(key: &str) -> Door {
    match key {
        "imap" => Door::Imap,
        "imap_tls" => Door::Imaps,
        "submission" => Door::Submission,
        _ => Door::Submissions,
    }
}

/// A listener of ours; none where the machine has no such addresses.
fn listen_on(
    door: Door,
    key: &'static str,
    address: SocketAddr,
    front: Option<Front>,
) -> Result<Option<Listener>, ListenError> {
    match bind(address).and_then(TcpListener::from_std) {
        Ok(socket) => Ok(Some(Listener { door, address: socket.local_addr().unwrap_or(address), front, socket })),
        Err(error) if address.is_ipv6() && is_no_such_family(&error) => {
            warn!(%door, %address, "this machine has no IPv6: not listening there");
            Ok(None)
        }
        Err(source) => Err(ListenError::Bind { key, address, source }),
    }
}

/// The doors, their keys, and their addresses.
pub fn doors(config: &Config) -> [(Door, &'static str, &[SocketAddr]); 6] {
    [
        (Door::Smtp, "smtp.listen", &config.smtp.listen),
        (Door::Imap, "imap.listen", &config.imap.listen),
        (Door::Imaps, "imap.listen_tls", &config.imap.listen_tls),
        (Door::Submission, "submission.listen", &config.submission.listen),
        (Door::Submissions, "submission.listen_tls", &config.submission.listen_tls),
        (Door::Portal, "portal.listen", &config.portal.listen),
    ]
}

/// Listens on one address.
///
/// # Errors
/// What the system said.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // So that [::] and 0.0.0.0 can both be listened on, whatever net.ipv6.bindv6only says.
        socket.set_only_v6(true)?;
    }
    // A restart need not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether an error of [`bind`] says that the machine has no such addresses (no IPv6).
pub(super) fn is_no_such_family(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// Held by each connection's task; when all are gone, the drain is done.
pub type TaskToken = mpsc::Sender<std::convert::Infallible>;

/// Accepts until the stop begins; `serve` is the door's protocol.
pub async fn accept_loop<S, F>(shared: Arc<Shared>, listener: Listener, token: TaskToken, serve: S)
where
    S: Fn(Arc<Shared>, Connection) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut pause = PAUSES.0;
    loop {
        let accepted = tokio::select! {
            () = shared.shutdown.begun() => return,
            accepted = listener.socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = PAUSES.0;
                if let Some(connection) = admit(&shared, &listener, stream, peer) {
                    start(&shared, connection, token.clone(), &serve);
                }
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                shared.metrics.accept_errors.get_or_create(&DoorLabel { door: listener.door }).inc();
                error!(door = %listener.door, %error, pause_ms = pause.as_millis() as u64, "cannot accept; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// Errors of accept(2) that concern the one connection that is gone, not the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused | Kind::Interrupted
    )
}

/// Counts the connection in, or turns it away with a word.
fn admit(shared: &Shared, listener: &Listener, stream: TcpStream, peer: SocketAddr) -> Option<Connection> {
    let door = listener.door;
    let (limits, most, most_of_address) = shared.connection_limits(door);
    let permit = match limits.take(peer.ip(), most, most_of_address) {
        Ok(permit) => permit,
        Err(too_many) => {
            turn_away(shared, door, &stream, peer, too_many);
            return None;
        }
    };
    // Neither failure is worth a connection: the first costs latency, the second a dead session's memory for longer.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE);
    // Only a connection that is gone already has no address of ours.
    let local = stream.local_addr().ok()?;
    shared.metrics.connections.get_or_create(&DoorLabel { door }).inc();
    let front = listener.front.clone().unwrap_or_else(|| Front::main(&shared.config.load()));
    Some(Connection { stream, peer, local, door, front, id: shared.connection_ids.next(), permit })
}

/// Starts the connection's task, in a span that puts its id on every line.
fn start<S, F>(shared: &Arc<Shared>, connection: Connection, token: TaskToken, serve: &S)
where
    S: Fn(Arc<Shared>, Connection) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let span = info_span!("connection", id = %connection.id, door = %connection.door, peer = %connection.peer);
    let open = OpenGauge::count(shared, connection.door);
    let session = serve(Arc::clone(shared), connection);
    let task = async move {
        session.await;
        drop((open, token));
    };
    tokio::spawn(task.instrument(span));
}

/// Counts an open connection as long as it lives, a panicking task's too.
struct OpenGauge(prometheus_client::metrics::gauge::Gauge);

impl OpenGauge {
    fn count(shared: &Shared, door: Door) -> Self {
        let gauge = shared.metrics.connections_open.get_or_create_owned(&DoorLabel { door });
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for OpenGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Says in the door's protocol that it is full (RFC 5321 §3.8, RFC 3501 §7.1.5), as far as the socket takes it at once.
fn turn_away(shared: &Shared, door: Door, stream: &TcpStream, peer: SocketAddr, why: TooMany) {
    shared.metrics.connections_refused.get_or_create(&ReasonLabel { door, reason: why.name() }).inc();
    info!(%door, %peer, reason = why.name(), "connection turned away");
    let farewell = match door {
        Door::Smtp | Door::Submission => {
            format!("421 4.7.0 {} {why}, try again later\r\n", shared.config.load().server.name)
        }
        Door::Imap => format!("* BYE {why}, try again later\r\n"),
        Door::Imaps | Door::Submissions | Door::Portal => return,
    };
    let _ = stream.try_write(farewell.as_bytes());
}
