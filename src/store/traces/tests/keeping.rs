//! Writing, days, starts, forgetting.

use super::*;

#[test]
fn lines_come_back_in_their_order_over_days_and_starts() {
    let stream = Stream::new();
    let files = stream.open_well();
    assert_eq!(files.append(day(0), &[]).unwrap(), None);
    append(&files, day(0), 0..5);
    append(&files, day(0), 5..6);
    append(&files, day(3), 0..3);
    drop(files);
    let files = stream.open_well();
    let mark = files.append(day(3), &lines(day(3), 3..4)).unwrap().unwrap();
    assert_eq!(files.last_mark(), Some(mark));
    assert_eq!(all_texts(&files), [expected(day(0), 0..6), expected(day(3), 0..4)].concat());
    let summaries: Vec<_> = files.days().iter().map(|day| (day.day, day.blocks, day.lines, day.sealed)).collect();
    assert_eq!(summaries, [(day(0), 4, 6, true), (day(3), 3, 4, false)]);
    let report = files.verify(every_day()).unwrap();
    assert!(report.is_good(), "{report:?}");
    assert_eq!((report.days, report.blocks, report.lines), (2, 7, 10));
    let last: Vec<_> = files.last_lines(5).unwrap().into_iter().map(|line| line.text).collect();
    let expected = [expected(day(0), 5..6), expected(day(3), 0..4)].concat();
    assert_eq!(last, expected.into_iter().map(String::into_bytes).collect::<Vec<_>>());
    let lengths = [day(0), day(3)].map(|day| fs::metadata(stream.file(day)).unwrap().len());
    assert_eq!(files.size(), lengths[0] + lengths[1]);
}

#[test]
fn nothing_of_a_line_lies_open() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..3);
    files.turn(day(1)).unwrap();
    for entry in fs::read_dir(stream.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(memchr::memmem::find(&bytes, format!("{} 1", day(0)).as_bytes()).is_none());
    }
}

#[test]
fn a_line_that_comes_late_is_filed_in_the_open_day_with_its_own_moment() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(1), 0..2);
    let mark = files.append(day(0), &lines(day(0), 0..1)).unwrap().unwrap();
    assert_eq!(mark.day, day(1));
    assert_eq!(files.turn(day(2)).unwrap(), Some(day(1)));
    assert_eq!(files.turn(day(2)).unwrap(), None);
    // The day is sealed and stays so: what is still of it goes to the next.
    assert_eq!(files.append(day(1), &lines(day(1), 2..3)).unwrap().unwrap().day, day(2));
    let of_day = |number| Query { from: day(number).start(), to: day(number).next().start() - 1, ..Query::default() };
    assert_eq!(texts(&files, &of_day(0)), expected(day(0), 0..1));
    assert_eq!(texts(&files, &of_day(1)), expected(day(1), 0..3));
    assert!(files.verify(every_day()).unwrap().is_good());
}

#[test]
fn a_line_that_is_too_long_files_nothing() {
    let stream = Stream::new();
    let files = stream.open_well();
    let long = Line { text: vec![b' '; MAX_LINE_TEXT + 1], ..line(day(0), 1) };
    let refused = files.append(day(0), &[line(day(0), 0), long]);
    assert!(matches!(refused, Err(TraceError::LineTooLong { terms: 3, .. })));
    assert!(all_texts(&files).is_empty());
}

#[test]
fn directories_of_others_are_refused_by_name() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..2);
    let open = |keys: &TraceKeys| TraceFiles::open(stream.path(), keys, &stream.options).map(|_| ());
    assert!(matches!(open(&stream.keys), Err(TraceError::InUse(_))));
    drop(files);
    let other = TraceKeys::derive(&MailboxKey::generate());
    assert!(matches!(open(&other), Err(TraceError::WrongKey(_))));
    let newer = Heads { genesis: [1; 32], days: Vec::new() }.encode(&stream.keys, TRACES_FORMAT + 1);
    fs::write(stream.path().join("heads"), newer).unwrap();
    assert!(matches!(open(&stream.keys), Err(TraceError::Format { found: 3, known: 2, .. })));
    let foreign = Directory::new();
    fs::write(foreign.path().join("letters"), "").unwrap();
    let opened = TraceFiles::open(foreign.path(), &stream.keys, &stream.options);
    assert!(matches!(opened, Err(TraceError::Foreign(_))));
}

#[test]
fn forgotten_days_are_gone_and_their_heads_still_hold_the_chain_together() {
    let stream = Stream::new();
    let files = stream.open_well();
    (0..5).for_each(|number| append(&files, day(number), 0..3));
    let old = files.search(&Query::default(), 1, &mut |line| {
        assert_eq!(files.line(line.place).unwrap(), line);
        true
    });
    assert!(old.unwrap().stopped);
    let mark = Mark { day: day(1), block: 0, offset: 0, hash: [0; 32] };
    assert!(!files.holds(&mark).unwrap());
    assert_eq!(files.forget(day(3)).unwrap(), [day(0), day(1), day(2)]);
    assert_eq!(files.forget(day(3)).unwrap(), []);
    assert!(files.holds(&mark).unwrap(), "what was forgotten in good order is not missed");
    assert_eq!(all_texts(&files), [expected(day(3), 0..3), expected(day(4), 0..3)].concat());
    for number in 0..3 {
        assert!(
            fs::read_dir(stream.path())
                .unwrap()
                .all(|entry| { !entry.unwrap().file_name().to_string_lossy().starts_with(&day(number).to_string()) })
        );
    }
    // The open day is not over: it is not forgotten.
    assert_eq!(files.forget(day(9)).unwrap(), [day(3)]);
    drop(files);
    let files = stream.open_well();
    assert_eq!(all_texts(&files), expected(day(4), 0..3));
    let heads = files.heads();
    assert_eq!(heads.len(), 4);
    assert!(heads.iter().all(|head| head.forgotten.is_some() && head.is_signed_by(&stream.keys.public_key())));
    assert!(heads.windows(2).all(|pair| pair[1].before == pair[0].hash));
    assert!(files.verify(every_day()).unwrap().is_good());
}

#[test]
fn a_day_that_bears_the_name_of_a_year_to_come_is_forgotten_when_its_lines_are_old_enough() {
    let stream = Stream::new();
    let files = stream.open_well();
    let far = day(3650);
    append(&files, far, 0..1);
    // From then on the days bear names behind that one.
    for number in 1..6 {
        append(&files, day(number), 0..2);
        files.turn(day(number + 1)).unwrap();
    }
    assert_eq!(files.days().len(), 5);
    assert_eq!(files.forget(day(4)).unwrap(), [far.next(), far.next().next()], "those of the second and third day");
    let left = [expected(far, 0..1), expected(day(1), 0..2), expected(day(4), 0..2), expected(day(5), 0..2)].concat();
    assert_eq!(all_texts(&files), left, "the first holds a line of the year to come");
    assert!(problems(&files).is_empty());
    drop(files);
    let files = stream.open_well();
    assert_eq!(all_texts(&files), left);
    assert_eq!(files.forget(far.next()).unwrap().len(), 3);
    assert!(files.verify(every_day()).unwrap().is_good());
}

#[test]
fn a_forgetting_that_a_crash_cut_short_is_ended_at_the_next_start() {
    let stream = Stream::new();
    let files = stream.open_well();
    (0..3).for_each(|number| append(&files, day(number), 0..3));
    let file = fs::read(stream.file(day(0))).unwrap();
    files.forget(day(1)).unwrap();
    drop(files);
    fs::write(stream.file(day(0)), file).unwrap();
    let files = stream.open_well();
    assert!(!stream.file(day(0)).exists());
    assert!(files.verify(every_day()).unwrap().is_good());
}

#[test]
fn what_one_forgetting_could_not_remove_the_next_one_does_and_until_then_it_shows() {
    let stream = Stream::new();
    let files = stream.open_well();
    (0..4).for_each(|number| append(&files, day(number), 0..3));
    let [first, second] = [0, 1].map(|number| fs::read(stream.file(day(number))).unwrap());
    // No file, and it goes before the others: what is behind it goes all the same.
    let in_the_way = stream.path().join(format!("{}.idx", day(0)));
    fs::remove_file(&in_the_way).unwrap();
    fs::create_dir(&in_the_way).unwrap();
    assert!(files.forget(day(2)).is_err());
    assert!(!stream.file(day(0)).exists() && !stream.file(day(1)).exists());
    fs::remove_dir(in_the_way).unwrap();
    fs::write(stream.file(day(0)), &first).unwrap();
    assert_eq!(problems(&files), [format!("{}: the day was forgotten, and there is a file of it", day(0))]);
    assert_eq!(files.forget(day(2)).unwrap(), []);
    assert!(!stream.file(day(0)).exists());
    assert_eq!(problems(&files), [""; 0]);
    // Another's file is not what was forgotten.
    fs::write(stream.file(day(0)), &second).unwrap();
    assert_eq!(files.forget(day(2)).unwrap(), []);
    assert_eq!(kinds(&files), [ProblemKind::StillThere]);
    drop(files);
    let (_files, opening) = stream.open();
    assert_eq!(opening.strange, [day(0)]);
    assert!(stream.file(day(0)).exists());
}

#[test]
fn a_crash_at_any_step_of_a_days_end_is_made_good() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..5);
    let heads = stream.path().join("heads");
    let old_heads = fs::read(&heads).unwrap();
    let open_length = files.size();
    files.turn(day(1)).unwrap();
    let (sealed_heads, file) = (fs::read(&heads).unwrap(), fs::read(stream.file(day(0))).unwrap());
    drop(files);
    // Before the seal, in the middle of it, after it and before the heads, after the heads and before the index.
    let half = open_length as usize + 100;
    for (length, heads_now) in
        [(open_length as usize, &old_heads), (half, &old_heads), (file.len(), &old_heads), (file.len(), &sealed_heads)]
    {
        fs::write(stream.file(day(0)), &file[..length]).unwrap();
        fs::write(&heads, heads_now).unwrap();
        let _ = fs::remove_file(stream.path().join(format!("{}.idx", day(0))));
        let (files, opening) = stream.open();
        assert_eq!(opening.torn.is_some(), length == half);
        append(&files, day(1), 0..1);
        assert_eq!(all_texts(&files), [expected(day(0), 0..5), expected(day(1), 0..1)].concat());
        assert_eq!(problems(&files), [""; 0]);
        assert!(files.heads()[0].is_signed_by(&stream.keys.public_key()));
        fs::remove_file(stream.file(day(1))).unwrap();
    }
}

#[test]
fn whatever_a_crash_leaves_of_an_append_whole_blocks_stay_and_the_rest_is_cut() {
    let stream = Stream::new();
    let files = stream.open_well();
    let before = files.append(day(0), &lines(day(0), 0..3)).unwrap().unwrap();
    let synced = files.size() as usize;
    append(&files, day(0), 3..8);
    drop(files);
    let whole = fs::read(stream.file(day(0))).unwrap();
    let ends: Vec<usize> = examine(&whole).iter().map(|block| block.to as usize).collect();
    for cut in (synced..whole.len()).step_by(29).chain(ends.iter().copied().filter(|end| *end >= synced)) {
        // The rest is missing, or has its length and not its bytes.
        for zeros in [0, whole.len() - cut] {
            let mut left = whole[..cut].to_vec();
            left.resize(cut + zeros, 0);
            fs::write(stream.file(day(0)), &left).unwrap();
            let kept = ends.iter().rev().find(|end| **end <= cut).copied().unwrap();
            let (files, opening) = stream.open();
            assert_eq!(opening.torn.as_ref().map_or(0, |torn| torn.bytes) as usize, left.len() - kept);
            if let Some(torn) = &opening.torn {
                assert_eq!(fs::read(torn.aside.as_ref().unwrap()).unwrap(), left[kept..]);
            }
            assert!(opening.is_in_order());
            let blocks = ends.iter().filter(|end| **end <= kept).count();
            let lines_kept = [0, 2, 3, 5, 7, 8][blocks];
            assert_eq!(all_texts(&files), expected(day(0), 0..lines_kept));
            assert!(files.holds(&before).unwrap());
            append(&files, day(0), lines_kept..9);
            assert_eq!(all_texts(&files), expected(day(0), 0..9));
            assert!(files.verify(every_day()).unwrap().is_good());
        }
    }
}

#[test]
fn a_start_cuts_what_a_crash_tore_even_where_no_copy_of_it_can_be_kept() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..2);
    let whole = files.size();
    drop(files);
    let torn = [fs::read(stream.file(day(0))).unwrap(), vec![7; 99]].concat();
    fs::write(stream.file(day(0)), torn).unwrap();
    // Something stands in the copy's way.
    fs::create_dir(stream.path().join(format!("{}.torn-{whole}", day(0)))).unwrap();
    let (files, opening) = stream.open();
    assert_eq!(opening.torn, Some(Torn { day: day(0), bytes: 99, aside: None }));
    assert_eq!(all_texts(&files), expected(day(0), 0..2));
    assert_eq!(files.size(), whole);
}

#[test]
fn a_day_that_lies_ahead_because_a_clock_did_does_not_grow_until_it_comes() {
    let stream = Stream::new();
    let files = stream.open_well();
    let far = day(3650);
    append(&files, far, 0..2);
    assert_eq!(files.turn(day(1)).unwrap(), None, "nothing of another day is in it yet");
    append(&files, day(1), 0..2);
    assert_eq!(files.turn(day(1)).unwrap(), None);
    assert_eq!(files.turn(day(2)).unwrap(), Some(far));
    append(&files, day(2), 0..2);
    assert_eq!(files.turn(day(2)).unwrap(), None);
    assert_eq!(files.turn(day(3)).unwrap(), Some(far.next()));
    let all = [expected(far, 0..2), expected(day(1), 0..2), expected(day(2), 0..2)].concat();
    assert_eq!(all_texts(&files), all);
    assert!(problems(&files).is_empty());
    drop(files);
    assert_eq!(all_texts(&stream.open_well()), all);
}
