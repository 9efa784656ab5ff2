//! A document that is read now and then, and asked for all the time: what the issuer says of itself, its keys.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Trouble;

/// An old copy serves while a new one cannot be had, but not for ever: a key that was withdrawn must end.
const OLDEST: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug)]
pub(super) struct Fresh<T> {
    state: Mutex<State<T>>,
    /// One reading at a time; who waits for it takes what came.
    gate: tokio::sync::Mutex<()>,
    /// After a failed reading the old copy serves so long without another.
    pause: Duration,
}

#[derive(Debug)]
struct State<T> {
    copy: Option<(Instant, Arc<T>)>,
    failed: Option<(Instant, Trouble)>,
}

impl<T> Fresh<T> {
    pub(super) fn new(pause: Duration) -> Self {
        let state = Mutex::new(State { copy: None, failed: None });
        Self { state, gate: tokio::sync::Mutex::default(), pause }
    }

    /// The copy, if it is no older than `oldest`; else another one, by `read`.
    pub(super) async fn get(
        &self,
        oldest: Duration,
        read: impl Future<Output = Result<T, Trouble>> + Send,
    ) -> Result<Arc<T>, Trouble> {
        let asked = Instant::now();
        if let Some(copy) = self.usable(oldest, asked) {
            return Ok(copy);
        }
        let _one_at_a_time = self.gate.lock().await;
        if let Some(copy) = self.usable(oldest, asked) {
            return Ok(copy);
        }
        if let Some(trouble) = self.failed_since(asked) {
            return self.old_copy().ok_or(trouble);
        }
        let mut reading = Reading { of: self, is_over: false };
        let outcome = read.await;
        reading.is_over = true;
        self.note(outcome)
    }

    /// Why the last reading failed, if it did: then an old copy serves, and newer things are not in it.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.lock().failed.as_ref().map(|(_, trouble)| trouble.clone())
    }

    fn note(&self, outcome: Result<T, Trouble>) -> Result<Arc<T>, Trouble> {
        let now = Instant::now();
        match outcome {
            Ok(value) => {
                let copy = Arc::new(value);
                let mut state = self.lock();
                *state = State { copy: Some((now, Arc::clone(&copy))), failed: None };
                Ok(copy)
            }
            Err(trouble) => {
                self.lock().failed = Some((now, trouble.clone()));
                let copy = self.old_copy().ok_or_else(|| trouble.clone())?;
                tracing::warn!(event = "psc.stale", %trouble, "Pro Santé Connect's document is not read anew; the old one serves");
                Ok(copy)
            }
        }
    }

    fn usable(&self, oldest: Duration, now: Instant) -> Option<Arc<T>> {
        let state = self.lock();
        let (read, copy) = state.copy.as_ref()?;
        let age = now.saturating_duration_since(*read);
        let rests = state.failed.as_ref().is_some_and(|(at, _)| now.saturating_duration_since(*at) < self.pause);
        (age <= oldest || (rests && age < OLDEST)).then(|| Arc::clone(copy))
    }

    fn old_copy(&self) -> Option<Arc<T>> {
        let state = self.lock();
        state.copy.as_ref().filter(|(read, _)| read.elapsed() < OLDEST).map(|(_, copy)| Arc::clone(copy))
    }

    fn failed_since(&self, asked: Instant) -> Option<Trouble> {
        self.lock().failed.as_ref().filter(|(at, _)| *at >= asked).map(|(_, trouble)| trouble.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reading under way. Whoever asked for it may run out of time before it does: then it has failed like any other, and the old
/// copy serves those who come next.
struct Reading<'a, T> {
    of: &'a Fresh<T>,
    is_over: bool,
}

impl<T> Drop for Reading<'_, T> {
    fn drop(&mut self) {
        if !self.is_over {
            self.of.lock().failed = Some((Instant::now(), Trouble::TimedOut));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn many_who_ask_at_once_read_once_and_share_a_failure() {
        let (fresh, reads) = (Fresh::new(HOUR), AtomicU32::new(0));
        let read = async |outcome: Result<u32, Trouble>| {
            reads.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            outcome
        };
        let failing = || fresh.get(HOUR, read(Err(Trouble::TimedOut)));
        let (a, b, c) = tokio::join!(failing(), failing(), failing());
        assert_eq!((a, b, c), (Err(Trouble::TimedOut), Err(Trouble::TimedOut), Err(Trouble::TimedOut)));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        let reading = || fresh.get(HOUR, read(Ok(7)));
        let (a, b) = tokio::join!(reading(), reading());
        assert_eq!((a.as_deref(), b.as_deref()), (Ok(&7), Ok(&7)));
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn an_old_copy_serves_while_a_new_one_cannot_be_had_and_is_not_asked_for_all_the_time() {
        let (fresh, reads) = (Fresh::new(HOUR), AtomicU32::new(0));
        fresh.get(HOUR, async { Ok(1) }).await.unwrap();
        for _ in 0..3 {
            let read = async {
                reads.fetch_add(1, Ordering::Relaxed);
                Err(Trouble::TimedOut)
            };
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert_eq!(fresh.get(Duration::ZERO, read).await.as_deref(), Ok(&1));
        }
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        let eager = Fresh::new(Duration::ZERO);
        eager.get(HOUR, async { Ok(1) }).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(eager.get(Duration::ZERO, async { Ok(2) }).await.as_deref(), Ok(&2));
    }

    #[tokio::test]
    async fn a_reading_that_nobody_waits_for_to_its_end_has_failed() {
        let fresh = Fresh::new(HOUR);
        fresh.get(HOUR, async { Ok(1) }).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
        let endless = fresh.get(Duration::ZERO, std::future::pending());
        assert!(tokio::time::timeout(Duration::from_millis(5), endless).await.is_err());
        assert_eq!(fresh.trouble(), Some(Trouble::TimedOut));
        let unasked = async { unreachable!("the old copy serves") };
        assert_eq!(fresh.get(Duration::ZERO, unasked).await.as_deref(), Ok(&1));
    }
}
