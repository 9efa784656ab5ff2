//! `/metrics`, `/live` and `/ready`, on loopback.
//!
//! *Live* means that the process answers: a supervisor restarts it when it does not. *Ready* means that mail can be
//! taken: a load balancer sends none when it cannot. Both tell why not.

use super::{Shared, facts};
use crate::telemetry;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use serde::Serialize;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The media type of OpenMetrics, as prometheus-client writes it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the handlers read.
struct Health {
    shared: Arc<Shared>,
    registry: Registry,
}

/// The routes.
pub fn router(shared: Arc<Shared>) -> Router {
    let registry = shared.metrics.registry();
    Router::new()
        .route("/metrics", get(metrics))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .with_state(Arc::new(Health { shared, registry }))
}

/// Answers on one listener until the process ends: metrics and liveness are of use while it drains, too.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "metrics and health");
    }
    if let Err(error) = axum::serve(listener, router(shared)).await {
        tracing::error!(%error, "metrics and health have ended");
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> Response {
    match telemetry::render(&health.registry) {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response(),
    }
}

async fn live(State(health): State<Arc<Health>>) -> Response {
    if health.shared.store.is_stopped() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the store has stopped: restart the server\n").into_response();
    }
    "live\n".into_response()
}

async fn ready(State(health): State<Arc<Health>>) -> Response {
    let readiness = Readiness::of(&health.shared);
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, axum::Json(readiness)).into_response()
}

/// Whether mail can be taken, and what stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether it can.
    pub ready: bool,
    /// What stands in the way; empty when ready.
    pub reasons: Vec<&'static str>,
}

impl Readiness {
    /// How it is now.
    pub fn of(shared: &Shared) -> Self {
        let trust = shared.trust.load();
        let now = facts::now();
        let mut reasons = Vec::new();
        if shared.shutdown.has_begun() {
            reasons.push("the server is stopping");
        }
        if shared.store.is_stopped() {
            reasons.push("the store has stopped");
        }
        if shared.mail.traces().is_stuck() {
            reasons.push("traces cannot be written");
        }
        if trust.list.is_none() {
            reasons.push("there is no white list");
        }
        if !trust.crl_state.is_usable(now) {
            reasons.push("the revocation lists are missing or too old");
        }
        Self { ready: reasons.is_empty(), reasons }
    }
}
