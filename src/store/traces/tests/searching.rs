//! Searching, against a list that is looked through from end to end.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// One append of the property, and what comes after it.
#[derive(Debug, Clone)]
struct Step {
    days_later: u32,
    lines: Vec<(u64, Vec<u64>)>,
    reopens: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let line = (0..90_000_000_000u64, vec(1..12u64, 0..4));
    let step = (0..2u32, vec(line, 1..9), prop::bool::weighted(0.2));
    vec(step.prop_map(|(days_later, lines, reopens)| Step { days_later, lines, reopens }), 1..14)
}

fn query() -> impl Strategy<Value = Query> {
    let moment = (0..9u32, 0..86_400_000_000u64).prop_map(|(number, at)| day(number).start() + at);
    let range = prop_oneof![Just((0, u64::MAX)), (moment.clone(), moment).prop_map(|(a, b)| (a.min(b), a.max(b)))];
    (range, vec(1..13u64, 0..3), any::<bool>()).prop_map(|((from, to), all_terms, newest_first)| Query {
        from,
        to,
        all_terms,
        newest_first,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_search_finds_what_looking_through_everything_finds(
        steps in steps(),
        queries in vec((query(), 0..40usize), 1..20),
        loses_an_index in any::<bool>(),
    ) {
        let stream = Stream::new();
        let (mut files, mut today, mut all) = (stream.open_well(), day(0), Vec::new());
        for step in steps {
            today = Day::from_number(today.number() + step.days_later);
            let made: Vec<Line> = step.lines.iter().map(|(at, terms)| {
                let text = format!("{}", all.len());
                let line = Line { at: today.start() + at, terms: terms.clone(), text: text.into() };
                all.push(line.clone());
                line
            }).collect();
            files.append(today, &made).unwrap();
            if step.reopens {
                drop(files);
                files = stream.open_well();
            }
        }
        if loses_an_index {
            let _ = fs::remove_file(stream.path().join(format!("{}.idx", day(0))));
        }
        for (query, limit) in queries {
            let matches = |line: &&Line| {
                (query.from..=query.to).contains(&line.at) && query.all_terms.iter().all(|term| line.terms.contains(term))
            };
            let mut expected: Vec<&Line> = all.iter().filter(matches).collect();
            if query.newest_first {
                expected.reverse();
            }
            let mut found = Vec::new();
            let searched = files.search(&query, limit, &mut |line| { found.push(line); true }).unwrap();
            prop_assert_eq!(searched.stopped, expected.len() > limit);
            expected.truncate(limit);
            prop_assert_eq!(searched.lines, expected.len() as u64);
            prop_assert_eq!(searched.damaged, vec![]);
            let texts: Vec<&[u8]> = expected.iter().map(|line| line.text.as_slice()).collect();
            prop_assert_eq!(found.iter().map(|line| line.text.as_slice()).collect::<Vec<_>>(), texts);
            prop_assert!(found.iter().zip(expected).all(|(found, line)| found.at == line.at));
        }
        let report = files.verify(every_day()).unwrap();
        prop_assert!(report.is_good(), "{:?}", report);
        prop_assert_eq!(report.lines, all.len() as u64);
    }
}

#[test]
fn a_search_ends_when_its_caller_has_enough() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..9);
    let mut seen = 0;
    let searched = files.search(&Query::default(), 100, &mut |_| {
        seen += 1;
        seen < 4
    });
    let searched = searched.unwrap();
    assert_eq!((seen, searched.lines, searched.stopped), (4, 4, true));
}

#[test]
fn the_first_lines_by_their_moments_are_found_wherever_late_ones_were_filed() {
    let stream = Stream::new();
    let files = stream.open_well();
    let mut all = Vec::new();
    let mut file = |of: Day, lines: Vec<Line>| {
        files.append(of, &lines).unwrap();
        all.extend(lines);
    };
    let line = |at: u64, number: u64| Line { at, terms: vec![1, 10 + number % 3], text: format!("{at}").into() };
    let is_even = |at: u64| (at / 1_000_000_000).is_multiple_of(2);
    for number in 0..6 {
        let today = day(100 + number);
        // Nearly in order; then an older trail, in its own order, and some more of today.
        let of_today = |n: u64| line(today.start() + n * 3_600_000_000 - (n % 4) * 60_000_000, n);
        file(today, (1..12).map(of_today).collect());
        if number % 3 == 2 {
            let old = |n: u64| line(day(number).start() + n * 7_000_000_000, n);
            (0..9).for_each(|n| file(day(number), vec![old(2 * n), old(2 * n + 1)]));
        }
        file(today, (12..20).map(of_today).collect());
    }
    for newest_first in [false, true] {
        for terms in [vec![], vec![1], vec![11]] {
            for (from, to) in [(0, u64::MAX), (day(3).start(), day(103).start()), (day(104).start(), u64::MAX)] {
                let query = Query { from, to, all_terms: terms.clone(), newest_first };
                let matches =
                    |line: &&Line| (from..=to).contains(&line.at) && terms.iter().all(|term| line.terms.contains(term));
                let mut expected: Vec<u64> = all.iter().filter(matches).map(|line| line.at).collect();
                expected.sort_unstable();
                if newest_first {
                    expected.reverse();
                }
                for limit in [0, 1, 2, 5, 13, 60, 999] {
                    let (found, searched) = files.first(&query, limit, &mut |line| Some(line.at)).unwrap();
                    assert_eq!(found, expected[..limit.min(expected.len())], "{query:?}, {limit}");
                    assert_eq!(searched.damaged, []);
                }
                let mut seen = 0;
                let some = files.first(&query, 3, &mut |line| {
                    seen += 1;
                    is_even(line.at).then_some(line.at)
                });
                let even = expected.iter().copied().filter(|at| is_even(*at)).take(3);
                assert!(some.unwrap().0.into_iter().eq(even) && seen <= all.len());
            }
        }
    }
    // What cannot be among the first is not even looked at.
    let newest = Query { newest_first: true, ..Query::default() };
    let mut seen = 0;
    let mut count = |line: FoundLine| {
        seen += 1;
        Some(line.at)
    };
    files.first(&newest, 1, &mut count).unwrap();
    assert!(seen <= 4, "{seen}");
}

#[test]
fn searches_and_appends_go_on_beside_each_other_over_the_ends_of_days() {
    let stream = Stream::new();
    let files = stream.open_well();
    let writer = {
        let files = files.clone();
        std::thread::spawn(move || {
            for number in 0..12 {
                (0..10).for_each(|n| append(&files, day(number), n * 3..n * 3 + 3));
                files.forget(day(number).back(6)).unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let mut last = None;
        let searched = files.search(&Query { all_terms: vec![1], ..Query::default() }, usize::MAX, &mut |line| {
            assert!(last < Some(line.at), "in order, and none twice");
            last = Some(line.at);
            true
        });
        assert_eq!(searched.unwrap().damaged, [], "what is being written or forgotten is no damage");
    }
    writer.join().unwrap();
    assert_eq!(all_texts(&files).len(), 7 * 30);
    assert!(files.verify(every_day()).unwrap().is_good());
}
