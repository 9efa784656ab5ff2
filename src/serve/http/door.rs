//! The administration API as a door of the running server.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use super::connection::{self, ConnectionLimits};
use super::directory::{self, DirectoryAdministration};
use super::indicators::{self, IndicatorAdministration};
use super::peer::Allowed;
use super::socket::{AdminSocket, SocketError};
use super::trust::{self, TrustAdministration};
use super::types::Reloaded;
use super::{Administration, Keeping, Process, complete, router};
use crate::config::Config;
use crate::serve::Shared;
use crate::serve::health::Readiness;
use crate::serve::listen::TaskToken;

/// The door, its socket made, not yet answering.
#[derive(Debug)]
pub struct AdminDoor {
    socket: AdminSocket,
    allowed: Allowed,
}

impl AdminDoor {
    /// Makes the socket that the configuration names. Needs a tokio runtime.
    ///
    /// # Errors
    /// Why the server should not start.
    pub fn open(config: &Config) -> Result<Self, SocketError> {
        let path: &Path = &config.admin.socket;
        let allowed = Allowed::new(&config.admin.allowed_uids, &config.admin.allowed_gids)
            .map_err(|source| SocketError::System { path: path.to_owned(), source })?;
        Ok(Self { socket: AdminSocket::bind(path, &allowed)?, allowed })
    }

    /// Answers until the server stops.
    pub async fn serve(self, shared: Arc<Shared>, token: TaskToken) {
        tracing::info!(path = %shared.config.load().admin.socket.display(), "administration");
        let (registry, space) = (shared.registry.clone(), shared.trust.clone());
        let process = Arc::new(Running(Arc::clone(&shared)));
        let administration = Arc::new(Administration::new(registry, space, process, shared.traces.clone()));
        let limits = ConnectionLimits { drain: shared.config.load().server.drain, ..ConnectionLimits::default() };
        let counters = IndicatorAdministration { indicators: shared.indicators.clone(), traces: shared.traces.clone() };
        let router = router(Arc::clone(&administration))
            .merge(trust::router(TrustAdministration::of(&shared)))
            .merge(indicators::router(counters))
            .merge(directory::router(DirectoryAdministration::of(&shared)));
        let router = complete(router, administration);
        connection::serve(self.socket, self.allowed, router, limits, shared.shutdown.clone()).await;
        drop(token);
    }
}

/// The running server, as the API asks after it.
struct Running(Arc<Shared>);

impl Process for Running {
    fn name(&self) -> String {
        self.0.config.load().server.name.clone()
    }

    fn message_limit(&self) -> u64 {
        self.0.config.load().limits.message
    }

    fn trouble(&self) -> Option<String> {
        let readiness = Readiness::of(&self.0);
        (!readiness.ready).then(|| readiness.reasons.join("; "))
    }

    fn keeping(&self) -> Keeping {
        Keeping::of(&self.0.config.load())
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<Reloaded, String>> + Send + '_>> {
        Box::pin(async {
            let done = self.0.reload().await.map_err(|problem| problem.to_string())?;
            Ok(Reloaded { reloaded: done.read, needs_restart: done.changes.need_restart, problems: done.problems })
        })
    }
}
