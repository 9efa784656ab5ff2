//! From the socket to the router: who is there, how long it may take, and a reference for every request.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::HeaderValue;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::given_out::GivenOut;
use super::peer::{Allowed, Caller};
use super::problem::{Problem, Rule, response_of};
use super::socket::AdminSocket;
use crate::serve::Shutdown;

/// Bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// How many connections are served at once; more wait to be accepted.
    pub connections: usize,
    /// How long a request's head may take, and how long a connection may stay idle between requests.
    pub head: Duration,
    /// How long running requests may still take once the server stops.
    pub drain: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { connections: 64, head: Duration::from_secs(30), drain: Duration::from_secs(10) }
    }
}

/// How many peers that may not come in are told so at once; more are just closed on.
const REFUSALS: usize = 8;

/// How long telling them may take.
const REFUSAL_TIME: Duration = Duration::from_secs(5);

/// The reference of a request: found again in the log.
#[derive(Clone, Debug)]
pub struct Reference(pub Arc<str>);

/// Serves `router` on `socket` to those who are `allowed` until `stop` begins; then lets running requests finish within
/// `limits.drain`.
pub async fn serve(socket: AdminSocket, allowed: Allowed, router: Router, limits: ConnectionLimits, stop: Shutdown) {
    let slots = Arc::new(Semaphore::new(limits.connections.max(1)));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let router = router.layer(from_fn(with_reference));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            biased;
            () = stop.begun() => break,
            Some(_ended) = connections.join_next(), if !connections.is_empty() => continue,
            stream = accept(&socket) => stream,
        };
        match Caller::of(&stream) {
            Ok(caller) if allowed.permits(&caller) => {
                let Ok(slot) = slots.clone().acquire_owned().await else { break };
                let slot = Arc::new(slot);
                let router = router
                    .clone()
                    .layer(axum::Extension(caller))
                    .layer(axum::Extension(GivenOut::default()))
                    .layer(axum::Extension(Arc::clone(&slot)));
                let stop = stop.clone();
                connections.spawn(async move {
                    converse(stream, router, limits, stop).await;
                    drop(slot);
                });
            }
            Ok(caller) => {
                tracing::warn!(
                    uid = caller.uid,
                    gid = caller.gid,
                    pid = caller.pid,
                    "administration refused to this user"
                );
                if let Ok(slot) = refusals.clone().try_acquire_owned() {
                    connections.spawn(async move {
                        let _too_slow = tokio::time::timeout(REFUSAL_TIME, refuse(stream, caller)).await;
                        drop(slot);
                    });
                }
            }
            Err(problem) => tracing::warn!(%problem, "administration connection without credentials closed"),
        }
    }
    drop(socket);
    let all_slots = u32::try_from(limits.connections.max(1)).unwrap_or(u32::MAX);
    let drained = tokio::time::timeout(limits.drain, async {
        while connections.join_next().await.is_some() {}
        // Requests go on whose connections have ended.
        let _all = slots.acquire_many(all_slots).await;
    });
    if drained.await.is_err() {
        tracing::warn!("administration requests still running at the end of the drain time were cut off");
        connections.shutdown().await;
    }
}

/// The next connection. A failing accept (no file descriptors left) must not spin.
async fn accept(socket: &AdminSocket) -> UnixStream {
    loop {
        match socket.listener().accept().await {
            Ok((stream, _)) => return stream,
            Err(problem) => {
                tracing::warn!(%problem, "administration socket: accept failed");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// One connection, request after request.
async fn converse(stream: UnixStream, router: Router, limits: ConnectionLimits, stop: Shutdown) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(128 << 10)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(problem) = ended {
        tracing::debug!(%problem, "administration connection ended");
    }
}

/// Answers whatever a peer asks that may not ask anything, and closes.
async fn refuse(stream: UnixStream, caller: Caller) {
    let reference = next_reference();
    let text = format!("User {} (group {}) may not administer this server.", caller.uid, caller.gid);
    let body = Problem::new(Rule::PeerNotAllowed, text).body(&reference);
    let service = service_fn(move |_request| {
        let response = response_of(&body);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    let _gone = connection.await;
}

/// Gives each request its reference, completes refusals with it, and writes one line about each request. The line has the
/// route, never the path: paths hold addresses.
async fn with_reference(mut request: Request<Body>, next: Next) -> Response {
    let reference = next_reference();
    request.extensions_mut().insert(Reference(reference.clone()));
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let uid = request.extensions().get::<Caller>().map(|caller| caller.uid);

    let mut response = to_its_end(request, next).await;
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        problem.log(&reference);
        response = response_of(&problem.body(&reference));
    }
    if let Ok(value) = HeaderValue::from_str(&reference) {
        response.headers_mut().insert("x-reference", value);
    }
    tracing::debug!(%reference, %method, route, uid, status = response.status().as_u16(), "administration request");
    response.into_response()
}

/// Runs a request that changes something to its end, whoever goes away meanwhile: of an announcement, an erasure, a run of the
/// mailboxes' lives that is cut in two, half is done, and nobody is told nor finds a trace of it. It keeps its connection's slot.
async fn to_its_end(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let slot = request.extensions().get::<Arc<OwnedSemaphorePermit>>().cloned();
    let running = tokio::spawn(async move {
        let response = next.run(request).await;
        drop(slot);
        response
    });
    running.await.unwrap_or_else(|problem| {
        Problem::new(Rule::Internal, "The server failed; its log says how.").because(problem).into_response()
    })
}

/// A reference that no other request of this process has.
fn next_reference() -> Arc<str> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("adm-{:x}-{:x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)).into()
}
