//! Who speaks to the relay next.
//!
//! Sessions with the relay are few. Who waits for one comes by lanes, in a lane by age; every so often whoever has waited longest
//! comes, whatever the lane. So an announcement to everybody delays no alarm, and no flood of alarms keeps one back for good.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::accounts::notice::Lane;

/// Every so many turns go to who has waited longest.
const OLDEST_EVERY: u64 = 4;

/// A notice's place among all that wait: its lane, and when it was written.
type Rank = (Lane, u64);

/// Sessions with the relay, and who waits for one.
#[derive(Debug)]
pub(super) struct Turns(Mutex<Line>);

#[derive(Debug)]
struct Line {
    free: usize,
    passed_on: u64,
    waiting: BTreeMap<Rank, oneshot::Sender<Turn>>,
}

/// The right to a session with the relay, passed on when it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Turns>>);

impl Turns {
    /// So many at a time.
    pub(super) fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Line { free: at_once, passed_on: 0, waiting: BTreeMap::new() })))
    }

    /// Waits for a turn. There is always one in the end: `None` is for the compiler.
    pub(super) async fn turn(self: &Arc<Self>, rank: Rank) -> Option<Turn> {
        let given = {
            let mut line = self.line();
            if let Some(left) = line.free.checked_sub(1) {
                line.free = left;
                return Some(Turn(Some(Arc::clone(self))));
            }
            let (giving, given) = oneshot::channel();
            line.waiting.insert(rank, giving);
            given
        };
        given.await.ok()
    }

    fn pass_on(self: &Arc<Self>) {
        loop {
            let next = {
                let mut line = self.line();
                let Some(next) = line.next() else {
                    line.free += 1;
                    return;
                };
                next
            };
            match next.send(Turn(Some(Arc::clone(self)))) {
                Ok(()) => return,
                // Who waited has gone away.
                Err(mut unwanted) => unwanted.0 = None,
            }
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let first = self.waiting.keys().next().copied()?;
        self.passed_on += 1;
        let is_the_oldests = self.passed_on.is_multiple_of(OLDEST_EVERY);
        let oldest = || self.waiting.keys().min_by_key(|(_, at)| *at).copied();
        let rank = if is_the_oldests { oldest()? } else { first };
        self.waiting.remove(&rank)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who got a turn, in this order, where all of them wait while one is given after the other.
    async fn order(waiting: Vec<Rank>) -> Vec<Rank> {
        let (turns, count) = (Turns::new(1), waiting.len());
        let held = turns.turn((Lane::Urgent, 0)).await;
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        for rank in waiting {
            let (turns, told) = (Arc::clone(&turns), told.clone());
            tokio::spawn(async move {
                let turn = turns.turn(rank).await;
                told.send(rank).unwrap();
                drop(turn);
            });
        }
        drop(told);
        while turns.line().waiting.len() < count {
            tokio::task::yield_now().await;
        }
        drop(held);
        let mut order = Vec::new();
        while let Some(rank) = heard.recv().await {
            order.push(rank);
        }
        order
    }

    #[tokio::test]
    async fn an_alarm_does_not_stand_behind_an_announcement_to_everybody() {
        let announced = (1..=1_000).map(|at| (Lane::News, at));
        let order = order(announced.chain([(Lane::Life, 2_000), (Lane::Access, 3_000)]).collect()).await;
        assert_eq!(order[..3], [(Lane::Access, 3_000), (Lane::Life, 2_000), (Lane::News, 1)]);
        assert!(order[2..].is_sorted(), "in a lane by age");
        assert_eq!(order.len(), 1_002);
    }

    #[tokio::test]
    async fn a_flood_of_alarms_keeps_an_announcement_back_for_a_few_turns_only() {
        let alarms = (100..1_100).map(|at| (Lane::Access, at));
        let order = order(alarms.chain([(Lane::News, 1), (Lane::News, 2), (Lane::Life, 99)]).collect()).await;
        let place = |rank: Rank| order.iter().position(|each| *each == rank).unwrap();
        assert_eq!([(Lane::News, 1), (Lane::News, 2), (Lane::Life, 99)].map(place), [3, 7, 11]);
    }

    #[tokio::test]
    async fn who_has_gone_away_holds_up_nobody() {
        let turns = Turns::new(1);
        let held = turns.turn((Lane::News, 1)).await;
        for at in 2..2_000 {
            let gone = tokio::time::timeout(std::time::Duration::ZERO, turns.turn((Lane::News, at))).await;
            assert!(gone.is_err());
        }
        drop(held);
        assert!(turns.turn((Lane::News, 3_000)).await.is_some());
        assert_eq!(turns.line().free, 1, "and none is lost");
    }
}
