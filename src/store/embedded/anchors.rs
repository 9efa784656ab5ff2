//! Where staged bodies lie: chunks in the log that no record names yet, so that nothing in the index says they live.
//!
//! Whoever takes a body in casts an anchor at the segment that is being written when it begins: none of the body's chunks
//! lies before it. The anchor goes with the body, into the commit that adopts it, and is weighed once the index has that
//! commit; or with whoever gives the body up. A compaction keeps to what lies before all anchors.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The segment that is written, and how many bodies began to come in while each older one was.
pub(super) struct Anchors {
    written: AtomicU32,
    held: Mutex<BTreeMap<u32, u64>>,
}

/// One body's; weighed when dropped.
struct Anchor {
    segment: u32,
    anchors: Arc<Anchors>,
}

impl Anchors {
    pub(super) fn new(written: u32) -> Arc<Self> {
        Arc::new(Anchors { written: AtomicU32::new(written), held: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<u32, u64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A segment was begun: all that is appended from now on lies in it or behind it.
    pub(super) fn begin(&self, segment: u32) {
        self.written.store(segment, Ordering::Release);
    }

    /// The segment that is being written.
    pub(super) fn written(&self) -> u32 {
        self.written.load(Ordering::Acquire)
    }

    /// Holds what is appended from now on, for as long as what this returns lives.
    pub(super) fn hold(self: &Arc<Self>) -> crate::store::engine::Anchor {
        let mut held = self.held();
        let segment = self.written();
        *held.entry(segment).or_default() += 1;
        Arc::new(Anchor { segment, anchors: self.clone() })
    }

    /// The first segment that a staged body may have a chunk in, or that is still written. What lies before it can have no
    /// chunk of a body that is staged now or later.
    pub(super) fn first_held(&self) -> u32 {
        let held = self.held();
        let written = self.written();
        held.keys().next().map_or(written, |first| written.min(*first))
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        let mut held = self.anchors.held();
        if let Some(count) = held.get_mut(&self.segment) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.segment);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_anchor_holds_its_segment_and_all_behind_it_until_it_is_weighed() {
        let anchors = Anchors::new(3);
        assert_eq!(anchors.first_held(), 3);
        let (first, second) = (anchors.hold(), anchors.hold());
        anchors.begin(4);
        let third = anchors.hold();
        anchors.begin(5);
        assert_eq!(anchors.first_held(), 3);
        drop(first);
        assert_eq!(anchors.first_held(), 3, "another body began there");
        let copy = second.clone();
        drop(second);
        assert_eq!(anchors.first_held(), 3, "its reader may still read");
        drop(copy);
        assert_eq!(anchors.first_held(), 4);
        drop(third);
        assert_eq!(anchors.first_held(), 5);
    }
}
