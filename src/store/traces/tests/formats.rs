//! What an earlier version wrote, and what a later one did.

use super::block::{close, make, make_seal};
use super::open::OpenBlock;
use super::*;
use crate::store::schema::codec::put_bytes;

/// A day as a version wrote it that knew only format 1: blocks of two lines; its seal, if it is over.
struct OldDay {
    file: Vec<u8>,
    head: Option<Head>,
}

fn old_day(keys: &TraceKeys, day: Day, before: Hash, count: u64, is_over: bool) -> OldDay {
    let (mut file, mut tip) = (Vec::new(), writer::Tip::begin(day, before));
    let lines = lines(day, 0..count);
    for lines in lines.chunks(2) {
        let (made, _) = make(keys, tip.next(BlockKind::Lines), lines, 2);
        let block = OpenBlock::open(keys, &made.header.head, &made.bytes[BLOCK_HEADER..]).unwrap();
        let mut plain = Vec::new();
        for line in block.lines() {
            put_bytes(&mut plain, line.prefix);
            put_bytes(&mut plain, line.text);
        }
        let hash = hash_block(BlockFormat::One, &made.header.head, &block.hashes());
        let (header, bytes) = close(keys, BlockFormat::One, made.header.head, hash, &plain);
        tip.follow(file.len() as u64, &header);
        file.extend(bytes);
    }
    let head = is_over.then(|| {
        let ends = DayEnds { before, tree: None };
        let (header, bytes) = make_seal(keys, tip.next(BlockKind::Seal), &ends);
        file.extend(bytes);
        Head::of(&header, ends)
    });
    OldDay { file, head }
}

/// A directory of format 1: a day that is forgotten, one that is sealed, one that is open.
fn old_stream() -> (Stream, Vec<Head>) {
    let stream = Stream::new();
    let (keys, genesis) = (&stream.keys, [9; 32]);
    let forgotten = Head { forgotten: Some(1_700_000_000), ..old_day(keys, day(0), genesis, 3, true).head.unwrap() };
    let sealed = old_day(keys, day(1), forgotten.hash, 5, true);
    let head = sealed.head.unwrap();
    fs::write(stream.file(day(1)), sealed.file).unwrap();
    fs::write(stream.file(day(2)), old_day(keys, day(2), head.hash, 4, false).file).unwrap();
    let heads = Heads { genesis, days: vec![forgotten, head] };
    let text = heads.encode(keys, 1);
    assert!(text.starts_with("{\"format\":1,") && !text.contains("tree") && !text.contains("vouched"));
    fs::write(stream.path().join("heads"), text).unwrap();
    (stream, heads.days)
}

fn proof(files: &TraceFiles, day: Day, number: u64) -> ProofParts {
    let mut place = None;
    let query =
        Query { from: day.start(), to: day.next().start() - 1, all_terms: vec![1000 + number], newest_first: false };
    let searched = files.search(&query, 1, &mut |line| {
        place = Some(line.place);
        true
    });
    searched.unwrap();
    files.prover().parts(place.unwrap()).unwrap()
}

#[test]
fn what_an_earlier_version_wrote_is_read_verified_proved_and_gone_on_with() {
    let (stream, old_heads) = old_stream();
    let mut files = stream.open_well();
    let all = [expected(day(1), 0..5), expected(day(2), 0..4)].concat();
    assert_eq!((all_texts(&files), problems(&files)), (all.clone(), vec![]));
    append(&files, day(2), 4..7);
    files.turn(day(3)).unwrap();
    append(&files, day(3), 0..3);
    let all = [expected(day(1), 0..5), expected(day(2), 0..7), expected(day(3), 0..3)].concat();
    for is_opened_again in [false, true] {
        if is_opened_again {
            drop(files);
            files = stream.open_well();
        }
        assert_eq!((all_texts(&files), problems(&files)), (all.clone(), vec![]));
        // A day that the earlier version closed; one that it began; one that it did not know.
        let shown = |day, number| {
            let parts = proof(&files, day, number);
            assert!(parts.holds());
            (parts.format, parts.hashes.len(), parts.day_end.map(|end| end.head.day))
        };
        assert_eq!(shown(day(1), 3), (BlockFormat::One, 2, Err(NoDayEnd::OlderFormat)));
        assert_eq!(shown(day(2), 3), (BlockFormat::One, 2, Ok(day(2))));
        assert_eq!(shown(day(2), 4), (BlockFormat::Two, 1, Ok(day(2))));
        assert_eq!(shown(day(3), 1), (BlockFormat::Two, 1, Err(NoDayEnd::Running)));
        let heads = files.heads();
        assert_eq!(heads.len(), 3);
        assert_eq!((heads[0].hash, heads[0].forgotten), (old_heads[0].hash, old_heads[0].forgotten));
        assert_eq!(heads[1], old_heads[1]);
    }
}

#[test]
fn no_block_of_a_format_is_written_before_the_heads_say_so() {
    let (stream, _) = old_stream();
    let files = stream.open_well();
    let format = || fs::read_to_string(stream.path().join("heads")).unwrap()[..11].to_owned();
    assert_eq!(format(), "{\"format\":2");
    // Heads that a start had no room for: the first append writes them, or appends nothing.
    fs::write(stream.path().join("heads"), "").unwrap();
    lock(&files.inner.state).are_heads_written = false;
    fs::create_dir(stream.path().join("heads.new")).unwrap();
    files.append(day(2), &lines(day(2), 4..5)).unwrap_err();
    assert_eq!(all_texts(&files).len(), 9);
    fs::remove_dir(stream.path().join("heads.new")).unwrap();
    append(&files, day(2), 4..5);
    assert_eq!((format().as_str(), problems(&files)), ("{\"format\":2", vec![]));
}
