//! Writing traces down.

use std::collections::HashSet;
use std::future::Future;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use crate::store::{Batch, CommitError, Committed, MailboxKey, Store, StoreError, TraceKey, WaitingTrace};

use super::Trace;
use super::witness::Lost;

/// Traces that are read at a time.
const PAGE: usize = 1_000;

/// How far ahead of the clock the last moment may lie, in microseconds: a clock that is put right goes back by less. Beyond, it
/// was wrong, and moments follow it back.
const SLACK: u64 = 10 * 60 * 1_000_000;

/// Writes traces down, sealed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tracer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    key: MailboxKey,
    /// The greatest moment that was given since the clock was last found far behind it.
    last: AtomicU64,
    /// The scribe cannot write, and too many wait for it.
    stuck: AtomicBool,
    /// What the files have lost; held over each commit that writes of it.
    lost: Mutex<Lost>,
}

impl Tracer {
    /// A tracer over a store; `key` seals what waits for the scribe.
    ///
    /// # Errors
    /// What waits already cannot be read.
    pub fn new(store: Store, key: MailboxKey) -> Result<Self, StoreError> {
        let last = last_waiting(&store, horizon_of(now()))?;
        let inner =
            Inner { store, key, last: AtomicU64::new(last), stuck: AtomicBool::new(false), lost: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Adds a trace of now to the batch that makes it true.
    pub fn note(&self, mut trace: Trace, batch: &mut Batch) {
        trace.at = self.moment();
        self.put(&trace, batch);
    }

    /// Adds a trace of the past, at its own moment or at the next free one. `taken` are the moments that the batch has already.
    ///
    /// # Errors
    /// What waits cannot be read.
    pub fn note_at(
        &self,
        mut trace: Trace,
        at: u64,
        taken: &mut HashSet<u64>,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        trace.at = at;
        while taken.contains(&trace.at) || self.inner.store.get::<WaitingTrace>(&TraceKey(trace.at))?.is_some() {
            trace.at += 1;
        }
        taken.insert(trace.at);
        self.put(&trace, batch);
        Ok(())
    }

    /// Writes traces of what changes nothing else (a login, a reading), in a commit of their own that shares the next sync.
    /// It is on its way when this returns, even if the future is dropped.
    ///
    /// # Errors
    /// What the store says: what is to be traced must not go on then.
    pub fn write(
        &self,
        traces: impl IntoIterator<Item = Trace>,
    ) -> impl Future<Output = Result<Committed, CommitError>> + Send + 'static {
        let mut batch = Batch::new();
        traces.into_iter().for_each(|trace| self.note(trace, &mut batch));
        self.inner.store.commit_soon(batch)
    }

    /// As [`Tracer::write`], for traces of the past: each at its own moment, or at the next free one.
    ///
    /// # Errors
    /// What waits cannot be read.
    pub fn write_past(
        &self,
        traces: impl IntoIterator<Item = Trace>,
    ) -> Result<impl Future<Output = Result<Committed, CommitError>> + Send + 'static, StoreError> {
        let (mut batch, mut taken) = (Batch::new(), HashSet::new());
        for trace in traces {
            let at = trace.at;
            self.note_at(trace, at, &mut taken, &mut batch)?;
        }
        Ok(self.inner.store.commit_soon(batch))
    }

    /// Opens a trace that waits; none where it is damaged, or is one that only a newer version reads.
    pub fn open(&self, key: TraceKey, waiting: &WaitingTrace) -> Option<Trace> {
        serde_json::from_slice(&self.open_text(key, waiting)?).ok()
    }

    /// The text of a trace that waits; none where it is damaged.
    pub(super) fn open_text(&self, key: TraceKey, waiting: &WaitingTrace) -> Option<Zeroizing<Vec<u8>>> {
        self.inner.key.open_bytes(&place(key), &waiting.sealed).ok()
    }

    /// Up to `limit` traces that wait for the scribe, in their order, of a range of moments.
    ///
    /// # Errors
    /// What the store says.
    pub fn waiting(&self, moments: impl RangeBounds<u64>, limit: usize) -> Result<Vec<Trace>, StoreError> {
        self.waiting_that(moments, limit, |_| true)
    }

    /// The same of those that a predicate picks: the others are in memory for a moment only.
    ///
    /// # Errors
    /// What the store says.
    pub(super) fn waiting_that(
        &self,
        moments: impl RangeBounds<u64>,
        limit: usize,
        is_wanted: impl Fn(&Trace) -> bool,
    ) -> Result<Vec<Trace>, StoreError> {
        let end = moments.end_bound().cloned().map(TraceKey);
        let mut from = moments.start_bound().cloned().map(TraceKey);
        let mut found = Vec::new();
        loop {
            let page = self.inner.store.scan::<WaitingTrace>((from, end), PAGE)?;
            let last = page.last().filter(|_| page.len() == PAGE).map(|(key, _)| *key);
            let opened = page.iter().filter_map(|(key, waiting)| self.open(*key, waiting));
            found.extend(opened.filter(&is_wanted));
            match last {
                Some(last) if found.len() < limit => from = Bound::Excluded(last),
                _ => break,
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Whether so many traces wait that nothing more may happen: the scribe cannot write them down (rule 3).
    pub fn is_stuck(&self) -> bool {
        self.inner.stuck.load(Ordering::Acquire)
    }

    pub(crate) fn set_stuck(&self, stuck: bool) {
        self.inner.stuck.store(stuck, Ordering::Release);
    }

    /// What the files have lost.
    pub(super) fn lost(&self) -> MutexGuard<'_, Lost> {
        // It is changed in single steps: a thread that panicked leaves it as it was.
        self.inner.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(super) fn key(&self) -> &MailboxKey {
        &self.inner.key
    }

    /// The last moment that was given.
    pub(super) fn last(&self) -> u64 {
        self.inner.last.load(Ordering::Relaxed)
    }

    /// Gives no moment up to this one any more, and says so; not where it is one that only a wrong clock can have given.
    pub(super) fn begin_after(&self, at: u64) -> bool {
        let is_credible = at <= self.horizon();
        if is_credible {
            self.inner.last.fetch_max(at, Ordering::Relaxed);
        }
        is_credible
    }

    /// The last moment that the clock can have given if it is right.
    pub(super) fn horizon(&self) -> u64 {
        horizon_of(now())
    }

    fn put(&self, trace: &Trace, batch: &mut Batch) {
        let key = TraceKey(trace.at);
        match serde_json::to_vec(trace) {
            Ok(plain) => {
                let sealed = self.inner.key.seal_bytes(&place(key), &plain);
                batch.put(&key, &WaitingTrace { sealed });
            }
            // Texts, numbers and lists of them always have a JSON form.
            Err(error) => tracing::error!(%error, "a trace cannot be written down"),
        }
    }

    /// Unix microseconds, each given once and rising: the order of traces is the order of the calls. They go back only with a
    /// clock that was far ahead: a trace says when something happened, and must not say it wrongly for years.
    fn moment(&self) -> u64 {
        self.moment_at(now())
    }

    fn moment_at(&self, now: u64) -> u64 {
        let last = self.last();
        if last > horizon_of(now) {
            self.go_back(last, now);
        }
        let later = |last: u64| now.max(last.saturating_add(1));
        self.inner.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(later(last))).map_or(now, later)
    }

    /// Follows the clock back, behind what waits of the time around.
    fn go_back(&self, last: u64, now: u64) {
        tracing::error!(event = "traces.clock", ahead = last - now, "the clock was ahead, by so many microseconds");
        // A store that cannot be read has stopped mail itself.
        if let Ok(waiting) = last_waiting(&self.inner.store, horizon_of(now)) {
            // Who comes second finds it done.
            let _ = self.inner.last.compare_exchange(last, waiting, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// Unix microseconds.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn horizon_of(now: u64) -> u64 {
    now.saturating_add(SLACK)
}

/// The last moment up to a horizon at which a trace waits: a clock that was set back must not give it twice.
fn last_waiting(store: &Store, horizon: u64) -> Result<u64, StoreError> {
    let last = store.scan_back::<WaitingTrace>(..=TraceKey(horizon), 1)?;
    Ok(last.first().map_or(0, |(key, _)| key.0))
}

/// What a sealed trace belongs to: the record's kind and its key.
pub(super) fn place(key: TraceKey) -> [u8; 13] {
    let mut place = *b"trace\0\0\0\0\0\0\0\0";
    place[5..].copy_from_slice(&key.0.to_be_bytes());
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Action;

    #[tokio::test]
    async fn a_trace_waits_sealed_and_comes_back_as_it_was() {
        let store = Store::in_memory();
        let tracer = Tracer::new(store.clone(), MailboxKey::generate()).unwrap();
        let read = Trace { mailbox: Some("anne@aura.example".into()), ..Trace::of(Action::LoggedIn) };
        tracer.write([read.clone(), read.clone()]).await.unwrap();
        let rows = store.scan::<WaitingTrace>(.., 9).unwrap();
        assert_eq!(rows.len(), 2);
        for (key, waiting) in &rows {
            assert!(!waiting.sealed.windows(4).any(|bytes| bytes == b"anne"), "nothing of it lies open");
            let opened = tracer.open(*key, waiting).unwrap();
            assert_eq!(opened, Trace { at: key.0, ..read.clone() });
            assert!(tracer.open(TraceKey(key.0 + 1), waiting).is_none(), "it opens at its own place only");
        }
    }

    #[tokio::test]
    async fn no_moment_is_given_twice_whatever_the_clock_does() {
        let (store, key) = (Store::in_memory(), MailboxKey::generate());
        let tracer = Tracer::new(store.clone(), key.clone()).unwrap();
        let soon = tracer.moment() + SLACK / 2;
        let (mut taken, mut batch) = (HashSet::new(), Batch::new());
        for _ in 0..3 {
            tracer.note_at(Trace::of(Action::LoggedIn), soon, &mut taken, &mut batch).unwrap();
        }
        store.commit(batch).await.unwrap();
        let mut batch = Batch::new();
        tracer.note_at(Trace::of(Action::LoggedIn), soon, &mut HashSet::new(), &mut batch).unwrap();
        store.commit(batch).await.unwrap();
        // The clock is some minutes behind of what waits.
        let again = Tracer::new(store, key).unwrap();
        again.write([Trace::of(Action::LoggedIn)]).await.unwrap();
        let moments: Vec<u64> = again.waiting(.., 99).unwrap().iter().map(|trace| trace.at - soon).collect();
        assert_eq!(moments, [0, 1, 2, 3, 4]);
        assert_eq!(again.waiting(soon + 1..=soon + 2, 99).unwrap().len(), 2);
        assert_eq!(again.waiting(.., 3).unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_trace_of_the_past_has_its_own_moment_or_the_next_free_one() {
        let tracer = Tracer::new(Store::in_memory(), MailboxKey::generate()).unwrap();
        let at = |at| Trace { at, ..Trace::of(Action::LoggedIn) };
        tracer.write_past([at(1_000), at(1_000), at(2_000)]).unwrap().await.unwrap();
        tracer.write_past([at(1_001)]).unwrap().await.unwrap();
        let moments: Vec<u64> = tracer.waiting(.., 99).unwrap().iter().map(|trace| trace.at).collect();
        assert_eq!(moments, [1_000, 1_001, 1_002, 2_000]);
        assert_eq!(tracer.last(), 0, "no moment of now was given");
    }

    #[tokio::test]
    async fn a_clock_that_was_years_ahead_is_followed_back_at_a_start_and_without_one() {
        let (store, key) = (Store::in_memory(), MailboxKey::generate());
        let tracer = Tracer::new(store.clone(), key.clone()).unwrap();
        let begun = now();
        let years_ahead = begun + 10 * 365 * 86_400_000_000;
        assert_eq!(tracer.moment_at(years_ahead), years_ahead);
        let mut batch = Batch::new();
        tracer.note_at(Trace::of(Action::LoggedIn), years_ahead, &mut HashSet::new(), &mut batch).unwrap();
        // What still waits of this time is not given a second time.
        tracer.note_at(Trace::of(Action::LoggedIn), begun + 9, &mut HashSet::new(), &mut batch).unwrap();
        store.commit(batch).await.unwrap();
        assert_eq!(tracer.moment_at(begun), begun + 10);
        assert_eq!(tracer.moment_at(begun), begun + 11, "they rise again");
        let again = Tracer::new(store, key).unwrap();
        assert!(!again.begin_after(years_ahead) && again.begin_after(begun + 20));
        assert_eq!(again.moment_at(begun), begun + 21);
        assert!(again.moment() <= again.horizon());
    }

    #[tokio::test]
    async fn what_waits_is_read_whole_however_much_it_is() {
        let tracer = Tracer::new(Store::in_memory(), MailboxKey::generate()).unwrap();
        tracer.write((0..2_500).map(|_| Trace::of(Action::LoggedIn))).await.unwrap();
        assert_eq!(tracer.waiting(.., usize::MAX).unwrap().len(), 2_500);
    }
}
