//! The monthly indicators (MSSanté §11): counted as traces are written into their day's file, never by scanning mail.
//!
//! ```text
//! traces ─▶ count ─▶ Tally ─▶ the commit that deletes the waiting traces ─▶ counters of the month, sheet by sheet
//!             │ which kind of mailbox is it?      (each trace counts once)      │
//!          Known                                                             Counted ─▶ CSV files
//! accounts ─▶ the month's last state of the mailboxes ──────────────────────────┘
//! ```
//!
//! # Rules
//!
//! 1. **A trace counts once**: what it adds is written in the commit that takes it off the waiting ones. The same traces counted
//!    again in their order make the same figures ([`recount`]).
//! 2. **Rows are told apart by what never changes** (MSSanté §4: address and kind) and by what the trace itself says, so that
//!    counting again years later finds the same rows.
//! 3. **Counters hold no person**: domains, kinds, classes. What must be told apart by mailbox until the month is over, which ones
//!    were used, is a mark with the account's number; [`Indicators::tend`] makes numbers of marks when they are three months old
//!    (MSSanté §5), and they are gone.
//! 4. **What others write makes only so many rows**; what is beyond stands in one row, [`OTHERS`].

mod count;
mod counted;
mod known;
mod recount;
mod tally;
mod tend;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::audit::{Observer, Trace};
use crate::mss::CitizenRules;
use crate::mss::indicators::{Layout, Month};
use crate::store::{Batch, CommitError, Committed, Store, StoreError};

pub use counted::Counted;
pub use recount::{Difference, TraceSource};
pub use tend::Tended;

use known::Known;
use tally::Tally;

/// What stands for all values beyond those that have rows of their own.
pub const OTHERS: &str = "(autres)";

/// Settings.
#[derive(Clone, Debug)]
pub struct IndicatorOptions {
    /// Most rows of a sheet and month that others' words can make.
    pub most_rows: u64,
    /// Months after which it is not told apart any more which mailboxes were used. At least one.
    pub anonymous_after: u32,
    /// Months that counters are kept.
    pub keep: u32,
    /// Whose addresses are citizens'.
    pub citizens: CitizenRules,
    /// Files and columns.
    pub layout: Layout,
    /// What is kept in memory for speed.
    pub remembered: Remembered,
}

/// How much is kept in memory, those that were counted by last: nothing but speed depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Remembered {
    /// Counters, some 230 octets each.
    pub counters: usize,
    /// Mailboxes, some 150 octets each.
    pub mailboxes: usize,
}

impl Default for Remembered {
    /// Some 15 MB of the counters and 20 of the mailboxes of a large region.
    fn default() -> Self {
        Self { counters: 65_536, mailboxes: 131_072 }
    }
}

impl Default for IndicatorOptions {
    fn default() -> Self {
        Self {
            most_rows: 100_000,
            anonymous_after: 3,
            keep: 120,
            citizens: CitizenRules::default(),
            layout: Layout::default(),
            remembered: Remembered::default(),
        }
    }
}

/// Why indicators cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum IndicatorError {
    /// The store does not read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It does not write.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The traces do not come.
    #[error("the traces cannot be read: {0}")]
    Traces(String),
    /// Some of what was counted again waits for the scribe, and is not counted yet.
    #[error("the scribe has not written down all of it yet")]
    NotYet,
}

/// The counters. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Indicators {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    options: IndicatorOptions,
    known: Known,
}

impl Indicators {
    /// Counters in a store.
    pub fn new(store: Store, options: IndicatorOptions) -> Self {
        let known = Known::new(store.clone(), options.remembered.mailboxes);
        Self { inner: Arc::new(Inner { store, options, known }) }
    }

    /// Files and columns.
    pub fn layout(&self) -> &Layout {
        &self.inner.options.layout
    }

    /// Counts what the scribe writes.
    pub fn observer(&self) -> Box<dyn Observer> {
        Box::new(Counting { indicators: self.clone(), tally: Ok(self.tally()), is_submitted: false })
    }

    fn tally(&self) -> Tally {
        let Inner { store, options, .. } = &*self.inner;
        Tally::over(store, options.most_rows, options.remembered.counters)
    }

    /// What is counted of a month. Of the running month, and one whose last state was not noted yet, the mailboxes are those of
    /// this moment.
    ///
    /// # Errors
    /// What the store says.
    pub fn month(&self, month: Month) -> Result<Counted, StoreError> {
        let mut counted = Counted::read(&self.inner.store, month)?;
        if counted.snapshot_at.is_none() && !counted.is_empty() {
            tend::each_state(&self.inner.store, |row| counted.add(row))?;
        }
        Ok(counted)
    }
}

/// Counts traces for the commit that takes them off the waiting ones. It remembers what it has written, and expects that nobody
/// else has written it meanwhile: after a conflict it forgets, and the traces are observed again.
#[derive(Debug)]
struct Counting {
    indicators: Indicators,
    tally: Result<Tally, StoreError>,
    /// In a commit that is not known to have been made.
    is_submitted: bool,
}

impl Counting {
    fn begin_anew(&mut self) {
        self.tally = Ok(self.indicators.tally());
        self.is_submitted = false;
    }
}

impl Observer for Counting {
    fn observe(&mut self, trace: &Trace) {
        if self.is_submitted {
            self.begin_anew();
        }
        let Inner { known, options, .. } = &*self.indicators.inner;
        if let Ok(tally) = &mut self.tally
            && let Err(error) = count::count(trace, known, &options.citizens, tally)
        {
            self.tally = Err(error);
        }
    }

    fn put_into(&mut self, _store: &Store, batch: &mut Batch) -> Result<(), StoreError> {
        if self.is_submitted {
            self.begin_anew();
        }
        match &mut self.tally {
            Ok(tally) => tally.put_into(batch),
            Err(_) => std::mem::replace(&mut self.tally, Ok(self.indicators.tally())).map(drop)?,
        }
        self.is_submitted = true;
        Ok(())
    }

    fn committed(&mut self, committed: Committed) {
        if let Ok(tally) = &mut self.tally {
            tally.settle(committed.version());
        }
        self.is_submitted = false;
    }
}
