//! The hold on an attempt: what is dropped without having been settled is due again.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use crate::store::ConsignmentKey;

use super::super::now;
use super::Inner;

/// Seconds before a dropped attempt is due again: whatever made it drop shall not spin.
const PAUSE: i64 = 1;

/// An attempt's hold on its consignment. The last clone that is dropped gives it back, unless it was settled. The default
/// holds nothing, for attempts that are made by hand.
#[derive(Clone, Default)]
pub struct Lease(Option<Arc<Holding>>);

struct Holding {
    queue: Weak<Inner>,
    key: ConsignmentKey,
    settled: AtomicBool,
}

impl Lease {
    pub(super) fn new(queue: &Arc<Inner>, key: ConsignmentKey) -> Self {
        Self(Some(Arc::new(Holding { queue: Arc::downgrade(queue), key, settled: AtomicBool::new(false) })))
    }

    /// The consignment has been put back or removed: nothing is left to be given back.
    pub(super) fn settled(&self) {
        if let Some(holding) = &self.0 {
            holding.settled.store(true, Ordering::Release);
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.upgrade()
            && !self.settled.load(Ordering::Acquire)
        {
            let now = now();
            queue.schedule().abandon(self.key, now + PAUSE, now);
            queue.changed.notify_waiters();
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}
