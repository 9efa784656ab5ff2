//! Who has how much of all attempts.

use std::collections::VecDeque;

use super::*;

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
fn destinations_that_never_answered_leave_a_quarter_to_those_that_do() {
    let mut schedule = Schedule::new(QueueOptions { at_once: 100, ..QueueOptions::default() }, 1);
    one_each(&mut schedule, "live", 0, 25);
    answer_all(&mut schedule, NOW);
    one_each(&mut schedule, "fresh", 1000, 300);
    assert_eq!(all_next(&mut schedule, NOW).len(), 75, "each of them may be a black hole");
    one_each(&mut schedule, "live", 2000, 25);
    assert_eq!(all_next(&mut schedule, NOW), (2000..2025).collect::<Vec<_>>());
}

#[test]
fn destinations_in_trouble_do_not_keep_one_that_is_new_from_its_first_try() {
    let mut schedule = Schedule::new(QueueOptions { at_once: 100, ..QueueOptions::default() }, 1);
    for message in 0..300 {
        schedule.add(Entry { attempts: 3, ..entry(message, &format!("dead{message}.example")) }, NOW);
    }
    assert_eq!(all_next(&mut schedule, NOW).len(), 50);
    one_each(&mut schedule, "new", 1000, 1);
    assert_eq!(all_next(&mut schedule, NOW), [1000]);
}

#[test]
fn a_host_behind_many_domains_that_falls_silent_holds_up_the_others_once_and_not_again() {
    let mut schedule = Schedule::new(QueueOptions { at_once: 100, ..QueueOptions::default() }, 1);
    // All have answered; then the host behind forty of them takes connections and says nothing.
    one_each(&mut schedule, "hole", 0, 40);
    one_each(&mut schedule, "live", 500, 40);
    answer_all(&mut schedule, NOW);
    for round in 0..10 {
        one_each(&mut schedule, "hole", 1000 + 40 * round, 40);
    }
    let mut hanging: VecDeque<u64> = all_next(&mut schedule, NOW).into();
    assert_eq!(hanging.len(), 80, "two to each");
    let late = NOW + SLOW;
    // Each of them ends without having learnt anything, one after the other; nothing takes the places of the first ones.
    while hanging.len() > 75 {
        schedule.put_back(key(hanging.pop_front().unwrap()), late, 0, false, late);
        assert!(all_next(&mut schedule, late).is_empty(), "{} hang", hanging.len());
    }
    one_each(&mut schedule, "live", 3000, 25);
    assert_eq!(all_next(&mut schedule, late), (3000..3025).collect::<Vec<_>>());
}

#[test]
fn a_destination_that_took_its_time_and_answered_is_believed_again() {
    let mut schedule = Schedule::new(QueueOptions { at_once: 4, ..QueueOptions::default() }, 1);
    one_each(&mut schedule, "slow", 0, 1);
    answer_all(&mut schedule, NOW);
    one_each(&mut schedule, "slow", 10, 1);
    assert_eq!(all_next(&mut schedule, NOW), [10]);
    let class = |schedule: &mut Schedule, now| {
        schedule.next(now);
        schedule.destinations[0].class()
    };
    assert_eq!(class(&mut schedule, NOW + SLOW - 1), Class::Calm);
    assert_eq!(class(&mut schedule, NOW + SLOW), Class::Doubtful);
    schedule.judge(key(10), &Said::Reached, NOW + 60);
    assert_eq!(class(&mut schedule, NOW + 60), Class::Calm);
}

#[test]
fn destinations_take_turns() {
    let mut schedule = Schedule::new(QueueOptions { first_window: 10, at_once: 12, ..QueueOptions::default() }, 1);
    for message in 0..30 {
        schedule.add(entry(message, ["a.example", "b.example", "c.example"][message as usize / 10]), NOW);
    }
    assert_eq!(all_next(&mut schedule, NOW), [0, 10, 20, 1, 11, 21, 2, 12, 22]);
}
