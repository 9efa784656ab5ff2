//! From the socket to the router: TLS, then request after request, within the limits.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Extension;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;

use super::Portal;
use super::patience::Patient;
use crate::serve::front::Front;
use crate::serve::{Connection, Shared};
use crate::telemetry::Door;

/// Most bytes of a request's head.
const HEAD: usize = 32 << 10;

/// Whom a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Serves one connection until its end, or until the server stops: then the request under way is still answered.
pub async fn serve(portal: Arc<Portal>, shared: Arc<Shared>, connection: Connection) {
    let Connection { stream, peer, permit, .. } = connection;
    let Ok(stream) = shared.accept_client(Door::Portal, &Front::portal(), stream).await else { return };
    let router = portal.router.clone().layer(Extension(Peer(peer.ip().to_canonical())));
    let longest = shared.config.load().portal.request_timeout;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(longest)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(Patient::new(stream, longest)), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shared.shutdown.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(problem) = ended {
        tracing::debug!(%problem, "portal connection ended");
    }
    drop(permit);
}
