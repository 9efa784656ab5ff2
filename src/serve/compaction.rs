//! Gives the space of deleted mail back, beside the doors.

use super::Shared;
use crate::config::compaction;
use crate::store::{Compaction, StoreError};
use std::sync::Arc;
use tracing::{error, info, warn};

/// Compacts the log again and again until the server stops.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        let every = shared.config.load().store.compaction.every;
        tokio::select! {
            () = shared.shutdown.begun() => return,
            () = tokio::time::sleep(every) => {}
        }
        let settings = shared.config.load().store.compaction.clone();
        if settings.enabled {
            compact(&shared, &settings).await;
        }
    }
}

/// One round; the log says what it came to.
async fn compact(shared: &Shared, settings: &compaction::Compaction) {
    let goal =
        Compaction { dead_percent: settings.dead_percent, rate: settings.rate, settle: settings.settle, whole: false };
    let store = shared.store.clone();
    let compacting = tokio::task::spawn_blocking(move || store.compact_blocking(&goal));
    match compacting.await.unwrap_or(Err(StoreError::Stopped)) {
        Ok(done) if done.emptied > 0 || done.moved_segments > 0 => {
            info!(
                event = "store.compacted",
                emptied = done.emptied,
                freed = done.freed_bytes,
                moved = done.moved_bytes,
                settling = done.settling,
                log = done.log_bytes,
                "the log was compacted"
            );
        }
        // Where the store is closed, or has stopped, it has said so.
        Ok(_) | Err(StoreError::Stopped) => {}
        Err(StoreError::Full) => warn!(event = "store.full", "there is no room to compact the log; it is tried again"),
        Err(problem) => error!(event = "job-failed", job = "compaction", %problem, "the log was not compacted"),
    }
}
