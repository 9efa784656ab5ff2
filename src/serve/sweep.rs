//! What is taken away when its time is over.

use super::Shared;
use crate::mail::{now, trail};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info};

/// The first sweep waits until the start is well over; the others come once a day.
const FIRST: Duration = Duration::from_secs(600);
const EVERY: Duration = Duration::from_secs(86_400);

/// How often sessions are looked at whose grant or certificate ends with time, and refused logins counted.
const SESSIONS: Duration = Duration::from_secs(60);

/// Ends the sessions whose right has run out, until the server stops. What is taken away by somebody ends them at once.
pub(super) async fn sessions(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.shutdown.begun() => return,
            () = tokio::time::sleep(SESSIONS) => {}
        }
        let registry = shared.registry.clone();
        // Reads some records of each session: not for an async thread.
        if let Err(error) = tokio::task::spawn_blocking(move || registry.review_sessions()).await {
            error!(%error, "the sessions were not looked at");
        }
        if let Err(error) = shared.registry.note_refused_beyond().await {
            error!(%error, "how many logins were refused is not written down");
        }
    }
}

/// Takes old events of the trail away, until the server stops.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = shared.shutdown.begun() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = EVERY;
        let keep = i64::try_from(shared.config.load().trail.keep.as_secs()).unwrap_or(i64::MAX);
        match trail::sweep(&shared.mail, now().saturating_sub(keep)).await {
            Ok(swept) => info!(event = "trail.swept", swept, "old events of the trail are gone"),
            Err(error) => error!(%error, "old events of the trail stay for a day more"),
        }
    }
}
