//! What all doors share.

use super::connection::ConnectionIds;
use super::shutdown::Shutdown;
use super::tls::Contexts;
use crate::config::Config;
use crate::mss::trust::TrustHandle;
use crate::telemetry::Metrics;
use arc_swap::ArcSwap;

/// What the doors, the administration API and the jobs share: one per process, behind an `Arc`.
///
/// What a reload changes is behind an [`ArcSwap`]: read it once per decision (`shared.config.load()`), never keep it
/// over a wait.
pub struct Shared {
    /// The configuration in force.
    pub config: ArcSwap<Config>,
    /// What is known about the trust space.
    pub trust: TrustHandle,
    /// The figures.
    pub metrics: Metrics,
    /// The TLS contexts in force.
    pub tls: Contexts,
    /// Whether the server is stopping.
    pub shutdown: Shutdown,
    /// Gives connections their ids.
    pub connection_ids: ConnectionIds,
}
