//! The heads: what is taken from them where they are not as they were written, and what is not.

use super::*;

/// Two sealed days, and a third that is open; the first is forgotten.
fn one_forgotten(stream: &Stream) -> TraceFiles {
    let files = stream.open_well();
    (0..3).for_each(|number| append(&files, day(number), 0..4));
    assert_eq!(files.forget(day(1)).unwrap(), [day(0)]);
    files
}

fn heads_of(stream: &Stream) -> PathBuf {
    stream.path().join("heads")
}

/// Rewrites the lines of the heads' file.
fn rewrite(stream: &Stream, change: impl Fn(usize, &str) -> Option<String>) {
    let text = fs::read_to_string(heads_of(stream)).unwrap();
    let lines = text.lines().enumerate().filter_map(|(number, line)| change(number, line));
    fs::write(heads_of(stream), lines.map(|line| line + "\n").collect::<String>()).unwrap();
}

#[test]
fn a_day_that_somebody_marks_as_forgotten_is_kept_and_read() {
    let stream = Stream::new();
    let files = one_forgotten(&stream);
    drop(files);
    // With no signature of ours, and with the one that was given for another day.
    let line = fs::read_to_string(heads_of(&stream)).unwrap().lines().nth(1).unwrap().to_owned();
    let (_, vouched) = line.split_once(",\"vouched\":").unwrap();
    for mark in [",\"forgotten\":1}".to_owned(), format!(",\"forgotten\":1,\"vouched\":{vouched}")] {
        rewrite(&stream, |number, line| match number {
            2 => Some(line.trim_end_matches('}').to_owned() + &mark),
            _ => Some(line.to_owned()),
        });
        let (files, opening) = stream.open();
        assert!(opening.heads_rebuilt && opening.missing.is_empty(), "{opening:?}");
        assert!(files.heads()[0].forgotten.is_some(), "that the server forgot a day itself is still known");
        assert_eq!(files.heads()[1].forgotten, None);
        assert_eq!(all_texts(&files), [expected(day(1), 0..4), expected(day(2), 0..4)].concat());
        assert_eq!(problems(&files), [""; 0]);
    }
}

#[test]
fn a_day_whose_file_is_gone_is_missing_whatever_altered_heads_say() {
    let stream = Stream::new();
    drop(one_forgotten(&stream));
    fs::remove_file(stream.file(day(1))).unwrap();
    rewrite(&stream, |number, line| match number {
        2 => Some(line.trim_end_matches('}').to_owned() + ",\"forgotten\":1}"),
        _ => Some(line.to_owned()),
    });
    for _ in 0..2 {
        let (files, opening) = stream.open();
        assert_eq!(opening.missing, [day(1)]);
        assert_eq!(kinds(&files), [ProblemKind::DayMissing]);
    }
}

#[test]
fn heads_of_an_older_format_are_read_and_the_next_write_is_of_this_one() {
    let stream = Stream::new();
    let files = one_forgotten(&stream);
    let heads = files.heads();
    drop(files);
    let genesis = heads[0].before;
    let old = Heads { genesis, days: heads.clone() }.encode(&stream.keys, 1);
    assert!(old.starts_with("{\"format\":1,") && !old.contains("vouched"));
    fs::write(heads_of(&stream), old).unwrap();
    let files = stream.open_well();
    assert_eq!(files.heads(), heads);
    append(&files, day(3), 0..1);
    let written = fs::read_to_string(heads_of(&stream)).unwrap();
    assert!(written.starts_with("{\"format\":2,") && written.contains("vouched"), "{written}");
    assert_eq!(problems(&files), [""; 0]);
}

#[test]
fn a_bit_that_falls_over_in_the_heads_keeps_no_server_from_its_start() {
    let (whole, none_sealed) = (Stream::new(), Stream::new());
    drop(one_forgotten(&whole));
    append(&none_sealed.open_well(), day(2), 0..4);
    for stream in [&whole, &none_sealed] {
        let bytes = fs::read(heads_of(stream)).unwrap();
        let first_line = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        for at in (0..first_line).chain((first_line..bytes.len()).step_by(101)) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(heads_of(stream), &changed).unwrap();
            let (files, opening) = stream.open();
            assert!(opening.heads_rebuilt, "byte {at}");
            assert!(all_texts(&files).ends_with(&expected(day(2), 0..4)), "byte {at}");
            drop(files);
            fs::remove_file(stream.path().join("heads.altered")).unwrap();
        }
    }
}

#[test]
fn heads_that_are_altered_again_do_not_take_the_place_of_those_that_were_kept() {
    let stream = Stream::new();
    drop(one_forgotten(&stream));
    for name in ["heads.altered", "heads.altered-2", "heads.altered-3"] {
        fs::write(heads_of(&stream), name).unwrap();
        assert!(stream.open().1.heads_rebuilt);
        assert_eq!(fs::read_to_string(stream.path().join(name)).unwrap(), name);
    }
    stream.open_well();
}

#[test]
fn the_heads_of_another_stream_remove_no_file_of_this_one() {
    let stream = Stream::new();
    let files = stream.open_well();
    (0..3).for_each(|number| append(&files, day(number), 0..4));
    let (mark, first) = (files.heads_mark(), fs::read(stream.file(day(0))).unwrap());
    drop(files);
    let other = Stream { directory: Directory::new(), keys: stream.keys.clone(), options: stream.options.clone() };
    drop(one_forgotten(&other));
    fs::copy(heads_of(&other), heads_of(&stream)).unwrap();
    let (files, opening) = stream.open();
    assert_eq!(opening.strange, [day(0)]);
    assert!(!files.holds_heads(&mark), "who kept where the heads stood knows");
    assert!(kinds(&files).contains(&ProblemKind::StillThere));
    let _tried = files.forget(day(1));
    assert_eq!(fs::read(stream.file(day(0))).unwrap(), first);
}

#[test]
fn days_cut_out_of_the_heads_show_by_the_mark_that_was_kept() {
    let stream = Stream::new();
    let files = stream.open_well();
    let begun = files.heads_mark();
    (0..4).for_each(|number| append(&files, day(number), 0..4));
    let mark = files.heads_mark();
    assert_eq!((mark.heads, mark.day), (3, Some(day(2))));
    assert!(files.holds_heads(&begun) && files.holds_heads(&mark));
    files.forget(day(1)).unwrap();
    append(&files, day(4), 0..1);
    assert!(files.holds_heads(&begun) && files.holds_heads(&mark), "they may grow, and days be forgotten");
    drop(files);
    let whole = fs::read(heads_of(&stream)).unwrap();
    // The first days are cut out, and their files are removed: what is left holds together.
    for number in 0..2 {
        let _ = fs::remove_file(stream.file(day(number)));
    }
    rewrite(&stream, |number, line| (!matches!(number, 1 | 2)).then(|| line.to_owned()));
    drop(stream.open());
    let files = stream.open_well();
    assert!(problems(&files).is_empty(), "the chain alone cannot know: {:?}", problems(&files));
    assert!(!files.holds_heads(&mark) && !files.holds_heads(&begun));
    drop(files);
    fs::write(heads_of(&stream), whole).unwrap();
    assert!(stream.open().0.holds_heads(&mark));
}
