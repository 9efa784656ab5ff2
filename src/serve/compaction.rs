//! Gives the space of deleted mail back, beside the doors.

use super::Shared;
use crate::store::{Compaction, StoreError};
use std::sync::Arc;
use tracing::{error, info, warn};

/// Compacts the log again and again until the server stops.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut told = false;
    loop {
        let every = shared.config.load().store.compaction.every;
        tokio::select! {
            () = shared.shutdown.begun() => return,
            () = tokio::time::sleep(every) => {}
        }
        if goal(&shared).is_some() {
            compact(&shared, &mut told).await;
        }
    }
}

/// What the settings of this moment ask for. They are asked again at each step: who pauses it for a copy of the log, or gives
/// the copy more time, does not wait for the end of a round.
fn goal(shared: &Shared) -> Option<Compaction> {
    let settings = &shared.config.load().store.compaction;
    settings.enabled.then_some(Compaction {
        dead_percent: settings.dead_percent,
        rate: settings.rate,
        settle: settings.settle,
        whole: false,
        in_spite_of_damage: false,
    })
}

/// One round; the log says what it came to. `told`: it has said that it does not touch a damaged store.
async fn compact(shared: &Arc<Shared>, told: &mut bool) {
    let asked = shared.clone();
    let compacting = tokio::task::spawn_blocking(move || asked.store.compact_while(&|| goal(&asked)));
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
        Err(problem @ StoreError::ShowsDamage) => {
            if !std::mem::replace(told, true) {
                error!(event = "store.damaged", %problem, "the log is not compacted");
            }
        }
        Err(StoreError::Full) => warn!(event = "store.full", "there is no room to compact the log; it is tried again"),
        Err(problem) => error!(event = "job-failed", job = "compaction", %problem, "the log was not compacted"),
    }
}
