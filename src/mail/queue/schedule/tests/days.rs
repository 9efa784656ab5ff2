//! Long runs: a day among peers of every kind, and any steps in any order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What a peer of the simulation does.
#[derive(Clone, Copy)]
enum Peer {
    /// Takes everything.
    Well,
    /// Cannot be spoken to during these hours.
    AwayDuring(i64, i64),
    /// Takes a message only at its third try.
    Greylists,
    /// Never answers.
    Dead,
}

#[test]
fn a_day_of_retries_to_two_hundred_peers_leaves_only_what_the_dead_were_sent() {
    let mut schedule = Schedule::new(QueueOptions { lifetime: DAY / 2, ..QueueOptions::default() }, 7);
    let peer = |number: u64| match number % 4 {
        0 => Peer::Well,
        1 => Peer::AwayDuring(1, 1 + number as i64 % 5),
        2 => Peer::Greylists,
        _ => Peer::Dead,
    };
    let mut tries: BTreeMap<u64, u32> = BTreeMap::new();
    let (mut relayed, mut expired, mut delayed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut now, mut sent) = (NOW, 0);
    while now < NOW + DAY {
        // Fifty messages an hour to each peer, for six hours.
        if now < NOW + 6 * 3600 && (now - NOW) % 72 == 0 {
            for number in 0..200 {
                let domain = format!("peer{number}.example");
                let message = sent * 200 + number;
                let life =
                    Entry { delay_at: Some(now + 4 * 3600), expires_at: now + DAY / 2, ..entry(message, &domain) };
                schedule.add(Entry { due: now, accepted_at: now, ..life }, now);
            }
            sent += 1;
        }
        while let Some((key, deadline)) = schedule.tick(now) {
            match deadline {
                Deadline::Delay => {
                    assert!(delayed.insert(key.message.0), "told twice");
                    schedule.told(key, false, now);
                }
                Deadline::Expiry => {
                    expired.insert(key.message.0);
                    schedule.remove(key, now);
                }
            }
        }
        while let Some(key) = schedule.next(now) {
            let message = key.message.0;
            let count = tries.entry(message).or_default();
            *count += 1;
            let hour = (now - NOW) / 3600;
            let said = match peer(message % 200) {
                Peer::AwayDuring(from, to) if (from..=to).contains(&hour) => away(),
                Peer::Dead => away(),
                _ => Said::Reached,
            };
            let greylisted = matches!(peer(message % 200), Peer::Greylists) && *count < 3;
            if said == Said::Reached && !greylisted {
                schedule.judge(key, &said, now);
                schedule.remove(key, now);
                assert!(relayed.insert(message), "sent twice");
            } else {
                let count = *count;
                defer(&mut schedule, key, &said, count, now);
            }
        }
        now += 1;
    }
    let dead = |message: &u64| matches!(peer(message % 200), Peer::Dead);
    assert_eq!(relayed.len() + expired.len(), sent as usize * 200, "nothing is lost");
    assert!(expired.iter().all(dead) && !relayed.iter().any(dead));
    assert!(expired.is_subset(&delayed), "whoever is failed was told of the delay before");
    let probes: u32 = tries.iter().filter(|(message, _)| dead(message)).map(|(_, count)| count).sum();
    // Twelve hours after the first message and six hours of messages, every quarter of an hour.
    assert!(probes < 50 * 90, "{probes} tries to fifty dead peers in a day");
}

#[test]
fn a_hundred_thousand_messages_for_five_hundred_dead_domains_cost_five_hundred_probes_a_round() {
    let mut schedule = schedule();
    for message in 0..100_000 {
        schedule.add(Entry { delay_at: None, ..entry(message, &format!("dead{}.example", message % 500)) }, NOW);
    }
    let mut tries = 0;
    for now in NOW..NOW + 3600 {
        while let Some(key) = schedule.next(now) {
            tries += 1;
            defer(&mut schedule, key, &away(), 1, now);
        }
    }
    // The first try closes the gate; probes after about 5, 15, 30 and 45 minutes.
    assert!((500..=3000).contains(&tries), "{tries}");
    assert_eq!(schedule.counts().consignments, 100_000);
}

#[derive(Clone, Debug)]
enum Step {
    Add { domain: u8, held: bool },
    Next,
    Judge { pick: usize, said: u8, done: bool },
    Drop { pick: usize },
    Hold { pick: usize },
    Retry { pick: usize },
    Remove { pick: usize },
    Pass { seconds: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pick = || any::<usize>();
    let step = prop_oneof![
        (0..5u8, any::<bool>()).prop_map(|(domain, held)| Step::Add { domain, held }),
        Just(Step::Next),
        Just(Step::Next),
        (pick(), 0..3u8, any::<bool>()).prop_map(|(pick, said, done)| Step::Judge { pick, said, done }),
        pick().prop_map(|pick| Step::Drop { pick }),
        pick().prop_map(|pick| Step::Hold { pick }),
        pick().prop_map(|pick| Step::Retry { pick }),
        pick().prop_map(|pick| Step::Remove { pick }),
        (0..10_000i64).prop_map(|seconds| Step::Pass { seconds }),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn nothing_is_lost_nor_tried_twice_at_once_and_no_bound_is_passed(steps in steps()) {
        let options = QueueOptions { at_once: 6, first_window: 2, largest_window: 4, ..QueueOptions::default() };
        let mut schedule = Schedule::new(options, 3);
        let (mut now, mut all, mut under_way) = (NOW, BTreeSet::new(), Vec::<ConsignmentKey>::new());
        let chosen = |from: &[ConsignmentKey], pick: usize| from.get(pick % from.len().max(1)).copied();
        for (step, message) in steps.into_iter().zip(0..) {
            let known: Vec<_> = all.iter().copied().collect();
            match step {
                Step::Add { domain, held } => {
                    let domain = format!("d{domain}.example");
                    let far = Entry { delay_at: None, expires_at: i64::MAX, held, ..entry(message, &domain) };
                    schedule.add(far, now);
                    all.insert(key(message));
                }
                Step::Next => if let Some(key) = schedule.next(now) {
                    prop_assert!(all.contains(&key) && !under_way.contains(&key));
                    under_way.push(key);
                },
                Step::Judge { pick, said, done } => if let Some(key) = chosen(&under_way, pick) {
                    under_way.retain(|each| *each != key);
                    let said = [Said::Reached, Said::Busy, away()][said as usize].clone();
                    let due = schedule.judge(key, &said, now);
                    prop_assert!(due >= now);
                    if done {
                        schedule.remove(key, now);
                        all.remove(&key);
                    } else {
                        schedule.put_back(key, due, 1, false, now);
                    }
                },
                Step::Drop { pick } => if let Some(key) = chosen(&under_way, pick) {
                    under_way.retain(|each| *each != key);
                    schedule.put_back(key, now, 0, false, now);
                },
                Step::Hold { pick } => if let Some(key) = chosen(&known, pick) { schedule.hold(key, now); },
                Step::Retry { pick } => if let Some(key) = chosen(&known, pick) { schedule.retry(key, now, now); },
                Step::Remove { pick } => if let Some(key) = chosen(&known, pick) {
                    schedule.remove(key, now);
                    under_way.retain(|each| *each != key);
                    all.remove(&key);
                },
                Step::Pass { seconds } => now += seconds,
            }
            prop_assert_eq!(schedule.counts().consignments, all.len());
            prop_assert_eq!(schedule.counts().under_way, under_way.len());
            prop_assert!(under_way.len() <= 6);
            for class in [Class::Calm, Class::Doubtful, Class::Troubled] {
                let of_class = schedule.destinations.iter().filter(|each| each.class() == class);
                prop_assert_eq!(schedule.under_way[class as usize], of_class.map(|each| each.under_way).sum::<usize>());
            }
            for destination in &schedule.destinations {
                // A window that has shrunk lets what is under way end.
                prop_assert!(destination.under_way <= 4 && destination.window() <= 4);
            }
        }
        // In the end, with peers that answer and nothing held, everything goes out.
        for key in under_way.drain(..) {
            schedule.put_back(key, now, 0, false, now);
        }
        for key in &all {
            schedule.retry(*key, now, now);
        }
        for _ in 0..2_000 {
            now += 1;
            while let Some(key) = schedule.next(now) {
                schedule.judge(key, &Said::Reached, now);
                schedule.remove(key, now);
                all.remove(&key);
            }
        }
        prop_assert_eq!(schedule.counts().consignments, 0, "{:?} left", all);
    }
}
