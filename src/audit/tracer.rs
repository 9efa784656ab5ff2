//! Writing traces down.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::store::{Batch, CommitError, Committed, MailboxKey, Store, TraceKey, WaitingTrace};

use super::Trace;

/// Writes traces down, sealed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tracer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    key: MailboxKey,
    last: AtomicU64,
}

impl Tracer {
    /// A tracer over a store; `key` seals what waits for the scribe.
    pub fn new(store: Store, key: MailboxKey) -> Self {
        Self { inner: Arc::new(Inner { store, key, last: AtomicU64::new(0) }) }
    }

    /// Adds a trace of now to the batch that makes it true.
    pub fn note(&self, mut trace: Trace, batch: &mut Batch) {
        trace.at = self.moment();
        let key = TraceKey(trace.at);
        match serde_json::to_vec(&trace) {
            Ok(plain) => {
                let sealed = self.inner.key.seal_bytes(&place(key), &plain);
                batch.put(&key, &WaitingTrace { sealed });
            }
            // Texts, numbers and lists of them always have a JSON form.
            Err(error) => tracing::error!(%error, "a trace cannot be written down"),
        }
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

    /// Opens a trace that waits; none where it is damaged.
    pub fn open(&self, key: TraceKey, waiting: &WaitingTrace) -> Option<Trace> {
        let plain = self.inner.key.open_bytes(&place(key), &waiting.sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    /// Unix microseconds, each given once and rising: the order of traces is the order of the calls.
    fn moment(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let later = |last: u64| now.max(last.saturating_add(1));
        self.inner.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(later(last))).map_or(now, later)
    }
}

/// What a sealed trace belongs to: the record's kind and its key.
fn place(key: TraceKey) -> [u8; 13] {
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
        let tracer = Tracer::new(store.clone(), MailboxKey::generate());
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
}
