//! One validation of a token at a time: who sends the same token meanwhile waits for the same answer.
//!
//! The work runs in a task of its own, so that a client that goes away takes nobody else's answer with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::cache::TokenKey;

type UnderWay<T> = Arc<Mutex<HashMap<TokenKey, watch::Receiver<Option<T>>>>>;

#[derive(Debug)]
pub(super) struct Flights<T> {
    under_way: UnderWay<T>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { under_way: UnderWay::default() }
    }
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// What is `known` already, or what the work under way for this key comes to, or else `work`. Work must leave what it
    /// found where `known` finds it before it ends. `None`: it was interrupted by a panic.
    pub(super) async fn join<W>(
        &self,
        key: TokenKey,
        known: impl FnOnce() -> Option<T>,
        work: impl FnOnce() -> W,
    ) -> Option<T>
    where
        W: Future<Output = T> + Send + 'static,
    {
        let mut told = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            // Asked under the lock: between work's end and here nothing is lost.
            if let Some(known) = known() {
                return Some(known);
            }
            match under_way.get(&key) {
                Some(told) => told.clone(),
                None => {
                    let (tell, told) = watch::channel(None);
                    under_way.insert(key, told.clone());
                    let landing = Landing { under_way: Arc::clone(&self.under_way), key };
                    let work = work();
                    tokio::spawn(async move {
                        let found = work.await;
                        drop(landing);
                        tell.send_replace(Some(found));
                    });
                    told
                }
            }
        };
        let told = told.wait_for(Option::is_some).await.ok()?;
        told.clone()
    }
}

/// Takes the work off the list, however it ends.
struct Landing<T> {
    under_way: UnderWay<T>,
    key: TokenKey,
}

impl<T> Drop for Landing<T> {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn the_same_is_worked_on_once_and_other_things_beside_it() {
        let (flights, works) = (Arc::new(Flights::<u32>::default()), Arc::new(AtomicU32::new(0)));
        let go = Arc::new(Notify::new());
        let waiting: Vec<_> = (0..50_u8)
            .map(|n| {
                let (flights, works, go) = (Arc::clone(&flights), Arc::clone(&works), Arc::clone(&go));
                tokio::spawn(async move {
                    let work = || async move {
                        works.fetch_add(1, Ordering::Relaxed);
                        go.notified().await;
                        7
                    };
                    flights.join([n % 2; 32], || None, work).await
                })
            })
            .collect();
        while works.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(flights.join([9; 32], || Some(3), || async { 4 }).await, Some(3), "what is known is not worked on");
        assert_eq!(flights.join([9; 32], || None, || async { 4 }).await, Some(4));
        // One for each of the two; a permit is kept for who is not waiting yet.
        go.notify_one();
        tokio::task::yield_now().await;
        go.notify_one();
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), Some(7));
        }
        assert_eq!(works.load(Ordering::Relaxed), 2);
        assert!(flights.under_way.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn work_goes_on_when_who_asked_first_goes_away() {
        let (flights, go) = (Arc::new(Flights::<u32>::default()), Arc::new(Notify::new()));
        let work = |go: Arc<Notify>| async move {
            go.notified().await;
            7
        };
        let first = {
            let (flights, go) = (Arc::clone(&flights), Arc::clone(&go));
            tokio::spawn(async move { flights.join([1; 32], || None, || work(go)).await })
        };
        while flights.under_way.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        first.abort();
        let second = {
            let flights = Arc::clone(&flights);
            tokio::spawn(async move { flights.join([1; 32], || None, || async { 8 }).await })
        };
        tokio::task::yield_now().await;
        go.notify_one();
        assert_eq!(second.await.unwrap(), Some(7));
    }

    #[tokio::test]
    async fn interrupted_work_is_told_and_leaves_nothing_behind() {
        let flights = Flights::<u32>::default();
        assert_eq!(flights.join([1; 32], || None, || async { panic!("as the test wants it") }).await, None);
        assert!(flights.under_way.lock().unwrap().is_empty());
    }
}
