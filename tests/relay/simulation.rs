//! A day with two hundred peers, some of which are dead, busy, slow or mended in the afternoon, in a few seconds.

use crate::peer::{Manners, Say};
use crate::world::{Place, Stage};
use caducee::mail::queue::{Attempt, Outcome, Verdict};
use caducee::mail::relay::Attempts;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

const PEERS: usize = 200;
const MESSAGES: usize = 5;
const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

/// What each peer is like, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Good,
    Hole,
    Busy,
    Silent,
    Stripped,
    Refusing,
    /// A hole until three hours have passed.
    Mended,
}

fn kind(number: usize) -> Kind {
    match number {
        0..10 => Kind::Hole,
        10..20 => Kind::Busy,
        20..30 => Kind::Silent,
        30..40 => Kind::Stripped,
        40..50 => Kind::Refusing,
        50..60 => Kind::Mended,
        _ => Kind::Good,
    }
}

/// What became of a message.
#[derive(Clone, Debug)]
struct Fate {
    peer: usize,
    tries: u32,
    last: &'static str,
    at: Duration,
}

/// A queue as simple as can be: five minutes, doubled to four hours, for a day.
struct Day {
    begun: Instant,
    due: Mutex<BinaryHeap<Reverse<(Instant, usize)>>>,
    fates: Mutex<Vec<Fate>>,
    attempts: Vec<Attempt>,
    changed: Notify,
}

impl Attempts for Day {
    async fn next(&self) -> Option<Attempt> {
        loop {
            let first = self.due.lock().unwrap().peek().map(|Reverse((due, _))| *due);
            match first {
                Some(due) if due <= Instant::now() => {
                    let Reverse((_, message)) = self.due.lock().unwrap().pop()?;
                    return Some(self.attempts[message].clone());
                }
                Some(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    async fn settle(&self, attempt: Attempt, outcome: Outcome) {
        let message = attempt.key.message.0 as usize;
        let mut fates = self.fates.lock().unwrap();
        let fate = &mut fates[message];
        fate.tries += 1;
        fate.at = self.begun.elapsed();
        fate.last = match &outcome.recipients[0].1 {
            Verdict::Relayed { .. } => "relayed",
            Verdict::Deferred(_) => "deferred",
            Verdict::Failed(_) => "failed",
        };
        if fate.last == "deferred" {
            let wait = Duration::from_secs(300 << (fate.tries - 1).min(10)).min(4 * HOUR);
            self.due.lock().unwrap().push(Reverse((Instant::now() + wait, message)));
        }
        self.changed.notify_one();
    }
}

async fn stage() -> Arc<Stage> {
    let domains: Vec<String> = (0..PEERS).map(|number| format!("d{number}.example")).collect();
    let pairs: Vec<(&str, &str)> = domains.iter().map(|domain| (domain.as_str(), "there")).collect();
    let stage = Stage::new(&pairs).await;
    for (number, domain) in domains.iter().enumerate() {
        let host = format!("mx{number}.example");
        let mut manners = Manners { delay: Duration::from_millis(20), ..Manners::default() };
        match kind(number) {
            Kind::Busy => manners.greeting = Say::last("421 4.7.0 too many connections\r\n"),
            Kind::Silent => manners.greeting = Say::Nothing,
            Kind::Stripped => manners.ehlo = Say::text("250-peer\r\n250 HELP\r\n"),
            Kind::Refusing => manners.rcpt = Say::text("550 5.1.1 unknown\r\n"),
            Kind::Good | Kind::Hole | Kind::Mended => {}
        }
        let peer = stage.peer(domain, &host, manners);
        if matches!(kind(number), Kind::Hole | Kind::Mended) {
            stage.world.place(&host, Place::Hole);
        }
        if kind(number) == Kind::Mended {
            let world = Arc::clone(&stage.world);
            tokio::spawn(async move {
                tokio::time::sleep(3 * HOUR).await;
                world.place(&host, Place::Server("there", peer));
            });
        }
    }
    Arc::new(stage)
}

#[tokio::test(start_paused = true)]
async fn a_day_with_two_hundred_peers_brings_each_message_where_its_peer_lets_it() {
    let stage = stage().await;
    let begun = Instant::now();
    let mut attempts = Vec::new();
    for peer in 0..PEERS {
        for _ in 0..MESSAGES {
            let mut attempt = stage.attempt(&format!("d{peer}.example"), &["b"]);
            attempt.key.message.0 = attempts.len() as u64;
            attempts.push(attempt);
        }
    }
    let fate = |message| Fate { peer: message / MESSAGES, tries: 0, last: "waiting", at: Duration::ZERO };
    let day = Arc::new(Day {
        begun,
        due: Mutex::new((0..attempts.len()).map(|message| Reverse((begun, message))).collect()),
        fates: Mutex::new((0..attempts.len()).map(fate).collect()),
        attempts,
        changed: Notify::new(),
    });
    Arc::clone(&stage.relay).run(Arc::clone(&day), sleep_until(begun + DAY), ()).await;

    let mut found: BTreeMap<Kind, Vec<Fate>> = BTreeMap::new();
    for fate in day.fates.lock().unwrap().iter() {
        found.entry(kind(fate.peer)).or_default().push(fate.clone());
    }
    for (kind, fates) in &found {
        for fate in fates {
            let fits = match kind {
                // One dead peer never slows the others.
                Kind::Good => fate.last == "relayed" && fate.tries == 1 && fate.at < Duration::from_secs(5),
                Kind::Refusing => fate.last == "failed" && fate.tries == 1,
                // The try after 5 h 15 min is the first after three hours.
                Kind::Mended => fate.last == "relayed" && fate.at > 3 * HOUR && fate.at < 6 * HOUR,
                Kind::Hole | Kind::Busy | Kind::Silent | Kind::Stripped => {
                    fate.last == "deferred" && (9..=12).contains(&fate.tries)
                }
            };
            assert!(fits, "{kind:?}: {fate:?}");
        }
    }
    assert_eq!(found[&Kind::Good].len(), 140 * MESSAGES);
}
