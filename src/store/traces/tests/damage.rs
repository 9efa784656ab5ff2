//! Damage costs a block: not the day, not the start.

use super::*;

/// Overwrites some bytes of a file.
fn scratch(path: &Path, range: std::ops::Range<u64>) {
    let mut bytes = fs::read(path).unwrap();
    bytes[range.start as usize..range.end as usize].fill(0xEE);
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_open_day_with_a_damaged_middle_is_taken_up_and_goes_on() {
    // Its payload; its header; a whole block; the end of one and the beginning of the next.
    for (from, to, lost) in [(250, 260, 2..4), (10, 20, 2..4), (0, 330, 2..4), (300, 400, 2..6)] {
        let stream = Stream::new();
        let files = stream.open_well();
        append(&files, day(0), 0..10);
        drop(files);
        let blocks = examine(&fs::read(stream.file(day(0))).unwrap());
        let (second, third) = (blocks[1], blocks[2]);
        let range = match (from, to) {
            (0, _) => second.from..second.to,
            (300, _) => second.to - 20..third.from + 30,
            _ => second.from + from..second.from + to,
        };
        scratch(&stream.file(day(0)), range);
        let (files, opening) = stream.open();
        assert!(!opening.damaged.is_empty());
        assert_eq!(opening.torn, None);
        append(&files, day(0), 10..12);
        append(&files, day(1), 0..1);
        let all = || (0..12).filter(|number| !lost.contains(number)).map(|number| format!("{} {number}", day(0)));
        let expected: Vec<_> = all().chain(expected(day(1), 0..1)).collect();
        assert_eq!(all_texts(&files), expected);
        assert!(kinds(&files).iter().all(|kind| matches!(kind, ProblemKind::Damaged(_))), "{:?}", kinds(&files));
        assert_eq!(files.days()[0].lines, 12, "the chain counts what is lost too");
        drop(files);
        let files = stream.open_well();
        assert_eq!(all_texts(&files), expected);
    }
}

#[test]
fn a_search_names_the_blocks_that_it_could_not_read() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..10);
    files.turn(day(1)).unwrap();
    let block = examine(&fs::read(stream.file(day(0))).unwrap())[1];
    scratch(&stream.file(day(0)), block.from + 200..block.from + 210);
    let searched = files.search(&Query::default(), 99, &mut |_| true).unwrap();
    assert_eq!(searched.damaged, [Damage { day: day(0), from: block.from, to: block.to }]);
    assert_eq!(searched.lines, 8);
    let place = LinePlace { day: day(0), offset: block.from, line: 0 };
    assert!(matches!(files.line(place), Err(TraceError::Damaged { .. })));
}

#[test]
fn an_index_that_is_damaged_is_made_again_by_the_search_that_meets_it() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..30);
    files.turn(day(1)).unwrap();
    let path = stream.path().join(format!("{}.idx", day(0)));
    let whole = fs::read(&path).unwrap();
    let query = Query { all_terms: vec![1, 1007], ..Query::default() };
    for at in (0..whole.len()).step_by(97) {
        let mut changed = whole.clone();
        changed[at] ^= 4;
        fs::write(&path, &changed).unwrap();
        assert_eq!(texts(&files, &query), expected(day(0), 7..8), "byte {at}");
    }
    for length in [0, 40, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(texts(&files, &query), expected(day(0), 7..8));
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn a_day_that_lost_its_end_and_its_head_is_sealed_late_and_shows() {
    let stream = Stream::new();
    let files = stream.open_well();
    (0..3).for_each(|number| append(&files, day(number), 0..4));
    drop(files);
    let file = fs::read(stream.file(day(1))).unwrap();
    let seal = examine(&file).last().unwrap().from;
    fs::write(stream.file(day(1)), &file[..seal as usize]).unwrap();
    fs::remove_file(stream.path().join("heads")).unwrap();
    let (files, opening) = stream.open();
    assert!(opening.heads_rebuilt);
    assert_eq!(opening.sealed_late, [day(1)]);
    assert_eq!(all_texts(&files).len(), 12);
    // The same lines give the same seal: nothing is lost but the time.
    assert_eq!(problems(&files), [""; 0]);
    drop(files);
    let cut = examine(&file)[1].from;
    fs::write(stream.file(day(1)), &file[..cut as usize]).unwrap();
    fs::remove_file(stream.path().join("heads")).unwrap();
    let (files, opening) = stream.open();
    assert_eq!(opening.sealed_late, [day(1)]);
    assert_eq!(kinds(&files), [ProblemKind::ChainBroken], "the next day followed another seal");
    assert_eq!(all_texts(&files).len(), 10);
}
