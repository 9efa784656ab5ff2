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
