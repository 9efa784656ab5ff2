//! Who looks at each trace once, as it is written down for good.

use crate::store::{Batch, Committed, Store, StoreError};

use super::Trace;

/// Counts traces as the scribe writes them down: each once, whatever crashes between.
///
/// ```text
/// observe × n ─▶ put_into(batch) ─▶ the commit that takes the n waiting traces away ─▶ committed
/// ```
///
/// Where that commit fails, [`Observer::committed`] is not called, and the same traces are observed again before the next
/// [`Observer::put_into`].
pub trait Observer: Send {
    /// Counts one.
    fn observe(&mut self, trace: &Trace);

    /// Adds what was counted since the last call to the batch that takes the traces away. What is observed then is another
    /// batch's: also where it fails.
    ///
    /// # Errors
    /// What the store says; nothing is committed then.
    fn put_into(&mut self, store: &Store, batch: &mut Batch) -> Result<(), StoreError>;

    /// The batch of the last [`Observer::put_into`] is on disk.
    fn committed(&mut self, _committed: Committed) {}
}
