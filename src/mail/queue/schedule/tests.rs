//! The schedule on a clock of its own.

mod days;
mod shares;

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

/// `count` messages from `first` on for a domain each, `name` and a number.
fn one_each(schedule: &mut Schedule, name: &str, first: u64, count: u64) {
    for message in first..first + count {
        schedule.add(entry(message, &format!("{name}{}.example", message - first)), NOW);
    }
}

/// Everything that may be tried now is, and answered at once.
fn answer_all(schedule: &mut Schedule, now: i64) {
    while let Some(message) = schedule.next(now).map(|key| key.message.0) {
        schedule.judge(key(message), &Said::Reached, now);
        schedule.remove(key(message), now);
    }
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
    // After about 5, 10, 15, 15 … minutes.
    assert!((90..=110).contains(&tries), "{tries} tries in a day");
    assert_eq!(schedule.last_words(key(900)).unwrap().text, "no answer");
    assert_eq!(schedule.counts().away, 1);
}

#[test]
fn trouble_of_our_own_is_over_a_minute_after_its_end_and_nothing_is_held_against_the_destination() {
    let mut schedule = schedule();
    for message in 1..=100 {
        schedule.add(Entry { delay_at: None, ..entry(message, "a.example") }, NOW);
    }
    // A window of five.
    let mut under_way = all_next(&mut schedule, NOW);
    while under_way.len() < 5 {
        for message in std::mem::take(&mut under_way) {
            schedule.judge(key(message), &Said::Reached, NOW);
            schedule.remove(key(message), NOW);
        }
        under_way = all_next(&mut schedule, NOW);
    }
    let Said::Away(words) = away() else { panic!("away") };
    let unready = Said::Unready(words);
    for message in under_way {
        let due = schedule.judge(key(message), &unready, NOW);
        schedule.abandon(key(message), due, NOW);
    }
    let mut now = NOW;
    while now < NOW + DAY {
        let next = wake_at(&schedule).unwrap();
        assert!(next - now <= 66, "{} s without a probe", next - now);
        now = next;
        let probes = all_next(&mut schedule, now);
        assert_eq!(probes.len(), 1, "one for all that wait");
        let due = schedule.judge(key(probes[0]), &unready, now);
        schedule.abandon(key(probes[0]), due, now);
    }
    now = wake_at(&schedule).unwrap();
    let probe = all_next(&mut schedule, now);
    schedule.judge(key(probe[0]), &Said::Reached, now);
    schedule.remove(key(probe[0]), now);
    assert!(all_next(&mut schedule, now).len() >= 5, "the window that it had");
}

#[test]
fn new_mail_waits_no_longer_for_a_probe_than_three_first_retries_however_long_a_peer_was_away() {
    let mut schedule = schedule();
    schedule.add(Entry { delay_at: None, expires_at: i64::MAX, ..entry(1, "a.example") }, NOW);
    let mut now = NOW;
    while now < NOW + 3 * DAY {
        assert_eq!(schedule.next(now), Some(key(1)));
        now = defer(&mut schedule, key(1), &away(), 1, now);
    }
    let probed = now;
    assert_eq!(schedule.next(now), Some(key(1)));
    defer(&mut schedule, key(1), &away(), 1, now);
    schedule.add(Entry { due: probed, ..entry(2, "a.example") }, probed);
    let Some(Standing::Away { probe }) = schedule.standing(key(2)) else { panic!("{:?}", schedule.standing(key(2))) };
    assert!(probe - probed <= 990, "{} s", probe - probed);
}

#[test]
fn an_attempt_that_hung_until_after_the_gates_time_is_due_now() {
    let mut schedule = schedule();
    schedule.add(entry(1, "a.example"), NOW);
    schedule.add(entry(2, "a.example"), NOW);
    assert_eq!(all_next(&mut schedule, NOW), [1, 2]);
    defer(&mut schedule, key(1), &away(), 1, NOW);
    let late = NOW + 1000;
    assert_eq!(defer(&mut schedule, key(2), &away(), 1, late), late);
    assert_eq!(all_next(&mut schedule, late).len(), 1, "one probe");
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
fn dead_destinations_take_half_of_the_attempts_at_most() {
    let mut schedule = Schedule::new(QueueOptions { at_once: 100, ..QueueOptions::default() }, 1);
    one_each(&mut schedule, "live", 2000, 100);
    answer_all(&mut schedule, NOW);
    for message in 0..500 {
        // As found at a start: tried before.
        schedule.add(Entry { attempts: 3, ..entry(message, &format!("dead{message}.example")) }, NOW);
    }
    assert_eq!(all_next(&mut schedule, NOW).len(), 50);
    one_each(&mut schedule, "live", 1000, 100);
    let live = all_next(&mut schedule, NOW);
    assert_eq!(live.len(), 50);
    assert!(live.iter().all(|message| *message >= 1000));
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
fn a_release_gives_its_time_also_to_what_is_just_being_put_back() {
    let mut schedule = schedule();
    schedule.add(Entry { delay_at: None, ..entry(1, "a.example") }, NOW);
    assert_eq!(schedule.next(NOW), Some(key(1)));
    let late = NOW + 3 * DAY;
    schedule.retry(key(1), late + 600, late);
    schedule.put_back(key(1), NOW, 0, false, late);
    assert_eq!(schedule.tick(late + 599), None);
    assert_eq!(schedule.next(late), Some(key(1)));
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

#[test]
fn after_a_time_in_which_nothing_could_be_tried_nothing_is_given_up_before_it_is_tried_again() {
    let mut schedule = schedule();
    let end = NOW + 2 * DAY;
    for (message, domain) in [(1, "waits.example"), (2, "under-way.example"), (3, "held.example"), (4, "young.example")]
    {
        let expires_at = if message == 4 { end + DAY } else { end };
        schedule.add(Entry { delay_at: None, held: message == 3, expires_at, ..entry(message, domain) }, NOW);
    }
    schedule.hold(key(1), NOW);
    schedule.hold(key(4), NOW);
    assert_eq!(schedule.next(NOW), Some(key(2)));
    schedule.retry(key(1), 0, NOW);
    schedule.retry(key(4), 0, NOW);
    let well = end + 3_600;
    schedule.forbear(well + 600);
    assert_eq!(schedule.tick(well + 599), None);
    assert_eq!(schedule.deadline_at(), Some(well + 600), "the one that waits; the young one has its own time");
    let tried = all_next(&mut schedule, well);
    assert!(tried.contains(&1) && tried.contains(&4), "{tried:?}");
    for message in [1, 2] {
        defer(&mut schedule, key(message), &Said::Reached, 1, well);
    }
    schedule.hold(key(2), well);
    schedule.retry(key(3), 0, well);
    assert_eq!(schedule.tick(well + 600), Some((key(1), Deadline::Expiry)));
    assert_eq!(schedule.tick(well + 600), Some((key(3), Deadline::Expiry)), "held or not");
}
