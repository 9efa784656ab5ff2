//! The schedule on a clock of its own.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::mail::queue::types::RouteTimes;
use crate::store::QueueId;

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;

fn key(message: u64) -> ConsignmentKey {
    ConsignmentKey { message: QueueId(message), number: 0 }
}

fn entry(message: u64, domain: &str) -> Entry<'_> {
    Entry {
        key: key(message),
        domain,
        due: NOW,
        attempts: 0,
        held: false,
        accepted_at: NOW,
        delay_at: Some(NOW + 4 * 3600),
        expires_at: NOW + 2 * DAY,
    }
}

fn schedule() -> Schedule {
    Schedule::new(QueueOptions::default(), 1)
}

fn away() -> Said {
    Said::Away(Words { code: None, status: "4.4.1".into(), text: "no answer".into(), host: None, rule: None })
}

/// All that may be tried now.
fn all_next(schedule: &mut Schedule, now: i64) -> Vec<u64> {
    std::iter::from_fn(|| schedule.next(now)).map(|key| key.message.0).collect()
}

fn wake_at(schedule: &Schedule) -> Option<i64> {
    schedule.attempt_at().into_iter().chain(schedule.deadline_at()).min()
}

/// An attempt came to `said` and its consignment waits on.
fn defer(schedule: &mut Schedule, key: ConsignmentKey, said: &Said, attempts: u32, now: i64) -> i64 {
    let due = schedule.judge(key, said, now);
    schedule.put_back(key, due, attempts, false, now);
    due
}

#[test]
fn a_new_consignment_is_tried_at_once_and_one_that_waits_is_not() {
    let mut schedule = schedule();
    schedule.add(entry(1, "a.example"), NOW);
    schedule.add(Entry { due: NOW + 60, ..entry(2, "b.example") }, NOW);
    assert_eq!(all_next(&mut schedule, NOW), [1]);
    assert_eq!(wake_at(&schedule), Some(NOW + 60));
    assert_eq!(all_next(&mut schedule, NOW + 59), [0; 0]);
    assert_eq!(all_next(&mut schedule, NOW + 60), [2]);
}

#[test]
fn retries_wait_twice_as_long_each_time_up_to_the_longest() {
    let mut schedule = schedule();
    schedule.add(Entry { delay_at: None, expires_at: i64::MAX, ..entry(1, "a.example") }, NOW);
    let mut now = NOW;
    for (attempts, expected) in [(1, 300), (2, 600), (3, 1200), (4, 2400), (5, 4800), (6, 9600), (7, 14400), (8, 14400)]
    {
        assert_eq!(schedule.next(now), Some(key(1)));
        let due = defer(&mut schedule, key(1), &Said::Reached, attempts, now);
        let tenth = expected / 10;
        assert!((expected - tenth..=expected + tenth).contains(&(due - now)), "try {attempts}: {}", due - now);
        now = due;
    }
}

#[test]
fn a_route_has_times_of_its_own_and_the_star_is_for_those_that_none_names() {
    let route = |domain: &str, first_retry| RouteTimes {
        domains: vec![domain.into()],
        first_retry: Some(first_retry),
        lifetime: Some(first_retry * 10),
        ..RouteTimes::default()
    };
    let routes = vec![route("*", 1000), route("quick.example", 20)];
    let mut schedule = Schedule::new(QueueOptions { routes, ..QueueOptions::default() }, 1);
    for (message, domain, expected) in [(1, "quick.example", 20), (2, "other.example", 1000)] {
        schedule.add(entry(message, domain), NOW);
        assert_eq!(schedule.next(NOW), Some(key(message)));
        let waits = defer(&mut schedule, key(message), &Said::Reached, 1, NOW) - NOW;
        assert!((waits - expected).abs() <= expected / 10, "{domain}: {waits}");
        assert_eq!(schedule.lifetime(domain), expected * 10);
    }
}

#[test]
fn the_window_grows_with_success_halves_when_busy_and_never_passes_its_largest() {
    let mut schedule = schedule();
    for message in 1..=2000 {
        schedule.add(entry(message, "a.example"), NOW);
    }
    assert_eq!(all_next(&mut schedule, NOW), [1, 2]);
    let mut under_way: Vec<u64> = vec![1, 2];
    let mut widest = 2;
    for _ in 0..60 {
        for message in std::mem::take(&mut under_way) {
            schedule.judge(key(message), &Said::Reached, NOW);
            schedule.remove(key(message), NOW);
        }
        under_way = all_next(&mut schedule, NOW);
        assert!(under_way.len() >= widest && under_way.len() <= widest + 1, "{widest} then {}", under_way.len());
        widest = under_way.len();
    }
    assert_eq!(widest, 20);
    let first = under_way.pop().unwrap();
    defer(&mut schedule, key(first), &Said::Busy, 1, NOW);
    for message in under_way {
        defer(&mut schedule, key(message), &Said::Busy, 1, NOW);
    }
    assert_eq!(all_next(&mut schedule, NOW), [0; 0], "it rests");
    assert_eq!(all_next(&mut schedule, NOW + 12).len(), 10, "what was said at once counts once");
}

#[test]
fn a_dead_destination_costs_one_probe_at_a_time_however_much_waits_for_it() {
    let mut schedule = schedule();
    for message in 1..=1000 {
        schedule.add(Entry { delay_at: None, ..entry(message, "dead.example") }, NOW);
    }
    let first = all_next(&mut schedule, NOW);
    assert_eq!(first, [1, 2], "a destination nobody knows gets its first window");
    let mut now = NOW;
    let due = defer(&mut schedule, key(1), &away(), 1, now);
    assert_eq!(
        defer(&mut schedule, key(2), &away(), 1, now),
        due,
        "what began before the gate closed tells nothing new"
    );
    let mut tries = 2;
    while now < NOW + DAY {
        now = wake_at(&schedule).unwrap();
        let probes = all_next(&mut schedule, now);
        assert_eq!(probes.len(), 1);
        tries += 1;
        defer(&mut schedule, key(probes[0]), &away(), 2, now);
    }
    assert!((10..=15).contains(&tries), "{tries} tries in a day");
    assert_eq!(schedule.last_words(key(900)).unwrap().text, "no answer");
    assert_eq!(schedule.counts().away, 1);
}

#[test]
fn a_probe_that_gets_through_opens_the_gate_for_all() {
    let mut schedule = schedule();
    for message in 1..=50 {
        schedule.add(entry(message, "a.example"), NOW);
    }
    all_next(&mut schedule, NOW);
    defer(&mut schedule, key(1), &away(), 1, NOW);
    defer(&mut schedule, key(2), &away(), 1, NOW);
    let mut now = wake_at(&schedule).unwrap();
    let mut sent = 0;
    while sent < 48 {
        let under_way = all_next(&mut schedule, now);
        assert!(!under_way.is_empty(), "{sent} sent");
        for message in under_way {
            schedule.judge(key(message), &Said::Reached, now);
            schedule.remove(key(message), now);
            sent += 1;
        }
        now += 1;
    }
    assert_eq!(schedule.counts().away, 0);
}

#[test]
fn a_thousand_messages_for_a_black_hole_do_not_hold_up_a_live_peer() {
    let mut schedule = Schedule::new(QueueOptions { at_once: 4, ..QueueOptions::default() }, 1);
    for message in 1..=1000 {
        schedule.add(entry(message, "hole.example"), NOW);
    }
    assert_eq!(all_next(&mut schedule, NOW).len(), 2, "they hang in their connections");
    schedule.add(entry(2000, "live.example"), NOW);
    assert_eq!(all_next(&mut schedule, NOW), [2000]);
}

#[test]
fn dead_destinations_take_half_of_the_attempts_at_most() {
    let mut schedule = Schedule::new(QueueOptions { at_once: 100, ..QueueOptions::default() }, 1);
    let domains: Vec<String> = (0..500).map(|n| format!("dead{n}.example")).collect();
    for (message, domain) in (0..).zip(&domains) {
        // As found at a start: tried before.
        schedule.add(Entry { attempts: 3, ..entry(message, domain) }, NOW);
    }
    assert_eq!(all_next(&mut schedule, NOW).len(), 50);
    for message in 1000..1100 {
        schedule.add(entry(message, &domains[message as usize - 1000].replace("dead", "live")), NOW);
    }
    let live = all_next(&mut schedule, NOW);
    assert_eq!(live.len(), 50);
    assert!(live.iter().all(|message| *message >= 1000));
}

#[test]
fn destinations_take_turns() {
    let mut schedule = Schedule::new(QueueOptions { first_window: 10, at_once: 9, ..QueueOptions::default() }, 1);
    for message in 0..30 {
        schedule.add(entry(message, ["a.example", "b.example", "c.example"][message as usize / 10]), NOW);
    }
    assert_eq!(all_next(&mut schedule, NOW), [0, 10, 20, 1, 11, 21, 2, 12, 22]);
}

#[test]
fn a_delay_is_told_once_and_an_expiry_comes_behind_a_closed_gate_too() {
    let mut schedule = schedule();
    schedule.add(entry(1, "a.example"), NOW);
    schedule.next(NOW);
    defer(&mut schedule, key(1), &away(), 1, NOW);
    assert_eq!(schedule.tick(NOW + 4 * 3600 - 1), None);
    assert_eq!(schedule.tick(NOW + 4 * 3600), Some((key(1), Deadline::Delay)));
    assert_eq!(schedule.next(NOW + 4 * 3600), None, "it settles");
    schedule.told(key(1), false, NOW + 4 * 3600);
    assert_eq!(schedule.tick(NOW + 2 * DAY - 1), None);
    assert_eq!(schedule.tick(NOW + 2 * DAY), Some((key(1), Deadline::Expiry)));
    schedule.remove(key(1), NOW + 2 * DAY);
    assert_eq!((schedule.counts(), wake_at(&schedule)), (Counts::default(), None));
}

#[test]
fn what_is_held_is_neither_tried_nor_given_up_and_its_release_gives_it_time() {
    let mut schedule = schedule();
    schedule.add(entry(1, "a.example"), NOW);
    schedule.hold(key(1), NOW);
    let late = NOW + 3 * DAY;
    assert_eq!((schedule.next(late), schedule.tick(late)), (None, None));
    assert_eq!(schedule.standing(key(1)), Some(Standing::Held));
    schedule.retry(key(1), late + 600, late);
    assert_eq!(schedule.next(late), Some(key(1)));
    schedule.put_back(key(1), late + 300, 1, false, late);
    assert_eq!(schedule.tick(late + 1), Some((key(1), Deadline::Delay)));
}

#[test]
fn an_attempt_that_came_to_nothing_is_due_again_also_as_a_probe() {
    let mut schedule = schedule();
    schedule.add(entry(1, "a.example"), NOW);
    for _ in 0..3 {
        assert_eq!(schedule.next(NOW), Some(key(1)));
        schedule.put_back(key(1), NOW, 0, false, NOW);
    }
    schedule.next(NOW);
    let probe = defer(&mut schedule, key(1), &away(), 1, NOW);
    assert_eq!(schedule.standing(key(1)), Some(Standing::Away { probe }));
    for _ in 0..3 {
        assert_eq!(schedule.next(probe), Some(key(1)));
        schedule.put_back(key(1), probe, 1, false, probe);
    }
}

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
    assert!(probes < 50 * 20, "{probes} tries to fifty dead peers in a day");
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
    // The first try closes the gate; probes after about 5, 15 and 35 minutes.
    assert!((500..=2500).contains(&tries), "{tries}");
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
            for destination in &schedule.destinations {
                // A window that has shrunk lets what is under way end.
                prop_assert!(destination.under_way <= 4 && destination.window() <= 4);
            }
            let troubled = schedule.destinations.iter().filter(|each| each.class == Class::Troubled);
            prop_assert_eq!(schedule.troubled_under_way, troubled.map(|each| each.under_way).sum::<usize>());
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
