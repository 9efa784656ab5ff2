//! The queue: mail on its way to other operators, and what becomes of it.
//!
//! # What lies in the store
//!
//! ```text
//! QueueMessage ──┬── Consignment (one domain, due, attempts) ──┬── QueueRecipient (address, DSN parameters, last words)
//!   body, times  ├── Consignment                              └── QueueRecipient
//!                └── …
//! ```
//!
//! A *consignment* is the recipients of a message in one domain: what one SMTP transaction carries. A recipient's record
//! goes when it has its message, or never will; a consignment goes with its last recipient, the message (and its hold on
//! the body) with its last consignment.
//!
//! # The way through
//!
//! ```text
//! stage (a batch) ─▶ commit ─▶ announce ─▶ Schedule ─▶ next ─▶ Attempt ─▶ the relay ─▶ Outcome ─▶ settle ─▶ one commit:
//!                                              ▲                                                   │  recipients leave or wait,
//! tend (delays, expiries) ◀────────────────────┴───────────────────────────────────────────────────┘  reports, traces
//! ```
//!
//! # Rules
//!
//! 1. A message enters the queue in the commit that its positive answer is made from ([`Queue::stage`]), and a recipient
//!    leaves it in the commit that also holds what its sender is told (a report in the mailbox, or in the queue again).
//! 2. An attempt's lease lives in memory: the store belongs to one process, and after a crash everything that was under
//!    way is simply due. What was delivered but not yet settled is sent again; that is SMTP's own window (RFC 5321
//!    §4.5.4.1) and no wider; after a power cut, by the 10 ms for which an outcome shares the syncs of others
//!    ([`Store::commit_soon`]). What an operator changed meanwhile is seen by the record's version.
//! 3. What decides when is tried where is [`schedule`], pure: entries, outcomes and time in, attempts out.
//! 4. Nothing of it is lost at a limit: a destination without room waits, it is never dropped.
//! 5. What is done to a message's records is done under its lock, from reading to telling the schedule.
//! 6. All that is sealed of a message is sealed under the key that its record names; that key turns, and an older one goes
//!    when nothing needs it ([`keys`]).

mod deadlines;
mod error;
mod keys;
mod lease;
mod loaded;
mod open;
mod operate;
mod parting;
pub mod schedule;
mod sealed;
mod settle;
mod stage;
#[cfg(test)]
mod tests;
pub mod types;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::audit::{Asker, Tracer};
use crate::store::{Batch, CommitError, Consignment, ConsignmentKey, QueueId, Store};
use crate::telemetry::{Metrics, ResultLabel};

pub use error::QueueError;
pub(super) use keys::TransitKeys;
pub use lease::Lease;
pub(super) use open::{Opened, own_key};
pub use operate::{Handled, Listed, ListedConsignment, ListedRecipient, OnlyCopies, Page, Selection, StateFilter};
pub use stage::Enqueued;
pub use types::{
    Attempt, AttemptRecipient, Destination, Envelope, Kind, Outbound, OutboundRecipient, Outcome, QueueOptions,
    RouteTimes, Verdict, Words,
};

use super::now;
use super::relay::Attempts;
use super::report::{self, Report};
use super::room::WeakRoom;
use schedule::{Counts, Schedule};

/// Locks that messages share: two that meet in one wait for each other, and no more than that.
const LOCKS: usize = 512;

/// The longest sleep: a clock that is set does not leave the queue asleep.
const LONGEST_SLEEP: i64 = 60;

/// How often it is looked whether traces can be written again.
const UNTRACED: Duration = Duration::from_secs(1);

/// Seconds that a message has at least, however old it is, where the operator wants it tried, and after a stop or a time in which
/// nothing could be tried: it is tried once more before it is given up.
const GRACE: i64 = 600;

/// Seconds before what the store could not do now is tried again.
const AGAIN: i64 = 60;

/// The queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    inner: Arc<Inner>,
    /// For whom what is ordered is done.
    asker: Arc<Asker>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    keys: TransitKeys,
    traces: Tracer,
    options: QueueOptions,
    /// Where reports are filed; the room owns the queue.
    room: WeakRoom,
    schedule: Mutex<Schedule>,
    /// Something is due earlier than it was.
    changed: Notify,
    stopped: AtomicBool,
    numbers: Mutex<Range<u64>>,
    reserving: tokio::sync::Mutex<()>,
    locks: Vec<tokio::sync::Mutex<()>>,
    metrics: OnceLock<Metrics>,
}

impl Inner {
    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn lock(&self, message: QueueId) -> tokio::sync::MutexGuard<'_, ()> {
        self.locks[message.0 as usize % LOCKS].lock().await
    }

    /// Commits what became of recipients, with the reports that are owed for it.
    async fn commit(&self, batch: Batch, owed: Vec<Report>) -> Result<(), QueueError> {
        if owed.is_empty() {
            // Nobody waits for it, and until then it is under way.
            self.store.commit_soon(batch).await?;
        } else {
            let room = self.room.upgrade().ok_or(QueueError::Stopped)?;
            report::settle(&room, owed, batch).await?;
        }
        Ok(())
    }

    /// Lets a consignment wait as its record says.
    async fn put_back_as_recorded(self: Arc<Self>, key: ConsignmentKey, lease: Lease) {
        let lock = self.lock(key.message).await;
        match self.store.get::<Consignment>(&key) {
            Ok(Some(it)) => self.schedule().put_back(key, it.due_at, it.attempts, it.held, now()),
            Ok(None) => self.schedule().remove(key, now()),
            Err(error) => {
                tracing::error!(message = %key.message, %error, "a queued message cannot be read now");
                self.schedule().abandon(key, now() + AGAIN, now());
            }
        }
        lease.settled();
        drop(lock);
        self.changed.notify_waiters();
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn counted(&self, result: &'static str) {
        if let Some(metrics) = self.metrics.get() {
            metrics.queue_results.get_or_create(&ResultLabel { result }).inc();
        }
    }
}

impl Queue {
    pub(super) fn new(opened: Opened, traces: Tracer, room: WeakRoom) -> Self {
        let Opened { store, keys, options, schedule } = opened;
        let inner = Inner {
            store,
            keys,
            traces,
            options,
            room,
            schedule: Mutex::new(schedule),
            changed: Notify::new(),
            stopped: AtomicBool::new(false),
            numbers: Mutex::new(0..0),
            reserving: tokio::sync::Mutex::default(),
            locks: (0..LOCKS).map(|_| tokio::sync::Mutex::default()).collect(),
            metrics: OnceLock::new(),
        };
        Self { inner: Arc::new(inner), asker: Arc::new(Asker::server()) }
    }

    /// The same queue, working for somebody: the traces of what is ordered name them.
    pub fn acting_for(&self, asker: Arc<Asker>) -> Self {
        Self { asker, ..self.clone() }
    }

    /// Counts what recipients came to, from now on.
    pub fn count_into(&self, metrics: &Metrics) {
        // A queue is counted once; a second set of figures would be a mistake that costs figures only.
        let _first_stays = self.inner.metrics.set(metrics.clone());
    }

    /// How much is in the queue, and how old.
    pub fn counts(&self) -> Counts {
        self.schedule().counts()
    }

    /// The next consignment to be tried; waits until there is one. `None` once the queue is stopped. Whoever takes an
    /// attempt owes it to [`Queue::settle`]; dropped, it is due again. Cancel-safe, and several may wait at once.
    pub async fn next(&self) -> Option<Attempt> {
        loop {
            let mut changed = std::pin::pin!(self.inner.changed.notified());
            // From here on a change wakes us, also one that comes before we wait.
            changed.as_mut().enable();
            if self.is_stopped() {
                return None;
            }
            if self.inner.traces.is_stuck() {
                // A try is traced; what cannot be is not made.
                let _untraced = tokio::time::timeout(UNTRACED, changed).await;
                continue;
            }
            let found = self.schedule().next(now());
            match found {
                Some(key) => {
                    if let Some(attempt) = self.begin(key) {
                        return Some(attempt);
                    }
                }
                None => {
                    let at = self.schedule().attempt_at();
                    let _changed_or_due = tokio::time::timeout(sleep(at), changed).await;
                }
            }
        }
    }

    /// Reads what an attempt needs. What is gone or damaged leaves the schedule: no order of the operator brings it back.
    /// What is held may be released this moment, and waits for that under its lock (rule 5).
    fn begin(&self, key: ConsignmentKey) -> Option<Attempt> {
        let lease = Lease::new(&self.inner, key);
        let loaded = match self.inner.load(key) {
            Ok(Some(loaded)) if loaded.recipients.is_empty() => Err(QueueError::Malformed),
            Ok(Some(loaded)) if loaded.consignment.held => {
                tokio::spawn(Arc::clone(&self.inner).put_back_as_recorded(key, lease));
                return None;
            }
            Ok(Some(loaded)) => loaded.attempt(lease.clone()).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match loaded {
            Ok(Some(attempt)) => return Some(attempt),
            Ok(None) => self.schedule().remove(key, now()),
            Err(error) if error.is_damage() => {
                tracing::error!(message = %key.message, %error, "a queued message is damaged; it stays in the store");
                self.schedule().remove(key, now());
            }
            Err(error) => {
                tracing::error!(message = %key.message, %error, "a queued message cannot be read now");
                self.schedule().abandon(key, now() + AGAIN, now());
            }
        }
        lease.settled();
        None
    }

    /// No attempt begins any more. Those under way may still be settled.
    pub fn stop(&self) {
        self.inner.stop();
    }

    fn is_stopped(&self) -> bool {
        self.inner.stopped.load(Ordering::Acquire)
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.inner.schedule()
    }

    fn numbers(&self) -> MutexGuard<'_, Range<u64>> {
        self.inner.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempts for Queue {
    async fn next(&self) -> Option<Attempt> {
        Queue::next(self).await
    }

    async fn settle(&self, attempt: Attempt, outcome: Outcome) {
        Queue::settle(self, attempt, outcome).await;
    }
}

/// How long to sleep until a moment.
fn sleep(until: Option<i64>) -> Duration {
    let seconds = until.map_or(LONGEST_SLEEP, |at| (at - now()).clamp(0, LONGEST_SLEEP));
    Duration::from_secs(seconds.unsigned_abs())
}

/// Counts how often a change was made anew.
#[derive(Debug, Default)]
struct Tries(u32);

impl Tries {
    /// How long to wait before the change is made anew: another came between, or the disk has no room. `None`: this is
    /// its outcome.
    ///
    /// A full disk must not make us forget what a peer took: we wait, and what waits for us waits too.
    fn pause_after<T>(&mut self, outcome: &Result<T, QueueError>) -> Option<Duration> {
        self.0 = self.0.saturating_add(1);
        match outcome {
            Err(QueueError::Commit(CommitError::Conflict(_))) => Some(Duration::from_millis(1 << self.0.min(8))),
            Err(QueueError::Commit(CommitError::Full)) => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}
