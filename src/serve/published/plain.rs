//! Plain HTTP: mail programs ask `http://autoconfig.DOMAIN/` before anything else, and people write an address without its
//! scheme. The former are told what is public anyway, the latter sent on to the portal; nothing else is said here.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use super::autoconfig::{self, Autoconfig};
use crate::serve::Shared;
use crate::serve::limits::DoorLimits;
use crate::serve::listen::{ListenError, bind};

/// Connections answered at once.
const AT_ONCE: usize = 64;
/// Of one subscriber: a practice's programs ask once, when they are set up. Who leaves sockets open takes no more.
const OF_ADDRESS: usize = 8;
/// How long a connection may last: one question, one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest head of a request, in bytes.
const LARGEST_HEAD: usize = 16 << 10;

/// Listens where `published.autoconfig_listen` says.
///
/// # Errors
/// The first address that cannot be listened on.
pub fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ListenError> {
    let key = "published.autoconfig_listen";
    let one = |address: &SocketAddr| {
        let bound = bind(*address).and_then(TcpListener::from_std);
        bound.map_err(|source| ListenError::Bind { key, address: *address, source })
    };
    addresses.iter().map(one).collect()
}

/// Answers on one listener until the server stops; all listeners share their `limits`. Who is one too many has the connection
/// closed: mail programs go on to HTTPS.
pub async fn serve(shared: Arc<Shared>, listener: TcpListener, limits: DoorLimits) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "autoconfiguration over plain HTTP");
    }
    let router = router(&shared);
    loop {
        let accepted = tokio::select! {
            () = shared.shutdown.begun() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Ok(permit) = limits.take(peer.ip(), AT_ONCE, OF_ADDRESS) else { continue };
                let router = router.clone();
                tokio::spawn(async move {
                    // Who is too slow, or breaks off, has its connection closed; that is all.
                    let _ = tokio::time::timeout(PATIENCE, converse(stream, router)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "autoconfiguration: accept failed");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, router: Router) -> Result<(), hyper::Error> {
    let mut server = http1::Builder::new();
    let server =
        server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(LARGEST_HEAD).keep_alive(false);
    pin!(server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))).await
}

fn router(shared: &Arc<Shared>) -> Router {
    let (asking, leading) = (Arc::clone(shared), Arc::clone(shared));
    let autoconfig =
        Autoconfig { registry: shared.registry.clone(), config: Arc::new(move || asking.config.load_full()) };
    autoconfig::router(autoconfig).fallback(move || {
        let url = leading.config.load().portal.url.clone();
        async move { to_portal(&url) }
    })
}

/// To the portal's first page, never to what was asked for.
fn to_portal(url: &str) -> Response {
    match url {
        "" => StatusCode::NOT_FOUND.into_response(),
        url => (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, format!("{url}/"))]).into_response(),
    }
}
