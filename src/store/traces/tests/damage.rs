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
        // What is asked for may have stood there.
        let asked = Query { all_terms: vec![1002], ..Query::default() };
        let gaps = || files.search(&asked, 9, &mut |_| true).unwrap().damaged;
        let told = gaps();
        assert_eq!(told, opening.damaged);
        append(&files, day(0), 10..12);
        append(&files, day(1), 0..1);
        assert_eq!(gaps(), told, "from the index");
        fs::remove_file(stream.path().join(format!("{}.idx", day(0)))).unwrap();
        assert_eq!(gaps(), told, "from an index that was made again");
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

#[test]
fn a_search_goes_on_where_no_index_can_be_written_and_leaves_nothing_on_the_disk() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..20);
    append(&files, day(0), 20..30);
    let block = examine(&fs::read(stream.file(day(0))).unwrap())[2];
    let left = |end: &str| {
        let names = fs::read_dir(stream.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(end)).count()
    };
    assert!(left(".run") > 0);
    // Something stands in its way, as a full disk would: at the day's end, and when a search makes it again.
    let in_the_way = stream.path().join(format!("{}.new", day(0)));
    fs::create_dir(&in_the_way).unwrap();
    files.turn(day(1)).unwrap();
    assert_eq!((left(".run"), left(".idx")), (0, 0));
    let query = Query { all_terms: vec![1, 1007], ..Query::default() };
    assert_eq!(texts(&files, &query), expected(day(0), 7..8));
    assert_eq!(files.last_lines(2).unwrap().len(), 2);
    scratch(&stream.file(day(0)), block.from + 200..block.from + 210);
    let searched = files.search(&query, 9, &mut |_| true).unwrap();
    assert_eq!((searched.lines, searched.damaged.len()), (1, 1), "what does not read may be it, too");
    assert_eq!(left(".run"), 0);
    fs::remove_dir(in_the_way).unwrap();
    assert_eq!(texts(&files, &query), expected(day(0), 7..8));
    assert_eq!(left(".idx"), 1);
}

#[test]
fn heads_that_are_lost_leave_no_runs_and_an_index_of_each_day() {
    let stream = Stream::new();
    let files = stream.open_well();
    (0..3).for_each(|number| append(&files, day(number), 0..30));
    drop(files);
    for name in ["heads".to_owned(), format!("{}.idx", day(0))] {
        fs::remove_file(stream.path().join(name)).unwrap();
    }
    let (files, _) = stream.open();
    let names = fs::read_dir(stream.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let runs = names.iter().filter(|name| name.ends_with(".run"));
    assert!(runs.clone().all(|name| name.starts_with(&day(2).to_string())), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.ends_with(".idx")).count(), 2);
    assert_eq!(problems(&files), [""; 0]);
}

/// Opens a stream whose keeper has the mark, and the lines of these numbers of this day.
fn open_witnessed(
    stream: &Stream,
    mark: Option<Mark>,
    waiting: (Day, std::ops::Range<u64>),
) -> (TraceFiles, TraceOpening) {
    let waits = |at: u64| waiting.1.clone().any(|number| line(waiting.0, number).at == at);
    let witnessed = mark.map(|mark| Witnessed { mark, waits: &waits });
    TraceFiles::open_witnessed(stream.path(), &stream.keys, &stream.options, witnessed).unwrap()
}

#[test]
fn behind_what_is_witnessed_a_hole_is_the_torn_end_of_an_append_that_nobody_was_told_of() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..4);
    let mark = files.last_mark();
    append(&files, day(0), 4..10);
    drop(files);
    let whole = fs::read(stream.file(day(0))).unwrap();
    let blocks = examine(&whole);
    let opened = |mark: Option<Mark>, waiting: std::ops::Range<u64>, block: usize| {
        fs::write(stream.file(day(0)), &whole).unwrap();
        scratch(&stream.file(day(0)), blocks[block].from + 200..blocks[block].from + 210);
        open_witnessed(&stream, mark, (day(0), waiting))
    };
    // The third of five blocks, which was never witnessed: what is whole behind it goes with it, for it waits to be filed again.
    let (files, opening) = opened(mark, 4..10, 2);
    assert!(opening.is_in_order());
    let torn = opening.torn.unwrap();
    assert_eq!((torn.day, torn.bytes), (day(0), whole.len() as u64 - blocks[2].from));
    assert_eq!(fs::read(torn.aside.unwrap()).unwrap().len() as u64, torn.bytes);
    assert_eq!(all_texts(&files), expected(day(0), 0..4));
    append(&files, day(0), 4..10);
    assert_eq!((all_texts(&files), problems(&files)), (expected(day(0), 0..10), vec![]));
    drop(files);
    // What was witnessed is damage, whatever comes behind it; so is a hole before a line that does not wait any more (an older
    // store was put beside the files), and anything where nobody witnesses.
    for (mark, waiting, block) in
        [(mark, 4..10, 1), (mark, 4..10, 0), (mark, 4..9, 2), (mark, 0..0, 2), (None, 4..10, 2)]
    {
        let (files, opening) = opened(mark, waiting.clone(), block);
        assert_eq!((opening.damaged.len(), opening.torn), (1, None), "{waiting:?}, block {block}");
        assert_eq!(all_texts(&files).len(), 8);
    }
}

#[test]
fn a_day_that_began_after_what_is_witnessed_may_be_torn_in_its_first_block() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..4);
    let mark = files.last_mark();
    append(&files, day(1), 0..6);
    drop(files);
    scratch(&stream.file(day(1)), 10..20);
    let (files, opening) = open_witnessed(&stream, mark, (day(1), 0..6));
    assert!(opening.is_in_order() && opening.torn.is_some(), "{opening:?}");
    assert_eq!(all_texts(&files), expected(day(0), 0..4));
    append(&files, day(1), 0..6);
    assert_eq!(problems(&files), [""; 0]);
}

#[test]
fn a_hole_before_and_one_behind_what_is_witnessed_are_damage_and_a_torn_end() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..6);
    let mark = files.last_mark();
    append(&files, day(0), 6..12);
    drop(files);
    let blocks = examine(&fs::read(stream.file(day(0))).unwrap());
    for block in [1, 4] {
        scratch(&stream.file(day(0)), blocks[block].from + 200..blocks[block].from + 210);
    }
    let (files, opening) = open_witnessed(&stream, mark, (day(0), 6..12));
    assert_eq!((opening.damaged.len(), opening.damaged[0].from), (1, blocks[1].from));
    assert_eq!(opening.torn.unwrap().bytes, blocks[5].to - blocks[4].from);
    assert_eq!(all_texts(&files), [expected(day(0), 0..2), expected(day(0), 4..8)].concat());
}
