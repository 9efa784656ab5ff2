//! What is taken away when it has been kept long enough.

use super::Shared;
use crate::mail::{now, trail};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info};

/// The first sweep waits until the start is well over; the others come once a day.
const FIRST: Duration = Duration::from_secs(600);
const EVERY: Duration = Duration::from_secs(86_400);

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
