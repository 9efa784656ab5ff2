//! Whatever is changed, taken out, put in or moved shows.

use super::block::{hash_block as hash, make, make_seal};
use super::index::{Index, IndexWriter};
use super::open::OpenBlock;
use super::*;

/// Three days: two sealed, the third open.
fn three_days(stream: &Stream) -> TraceFiles {
    let files = stream.open_well();
    (0..3).for_each(|number| append(&files, day(number), 0..5));
    assert_eq!(problems(&files), [""; 0]);
    files
}

/// The blocks of a file.
fn blocks(file: &[u8]) -> Vec<Vec<u8>> {
    examine(file).iter().map(|block| file[block.from as usize..block.to as usize].to_vec()).collect()
}

#[test]
fn every_changed_bit_of_a_days_file_shows_and_costs_its_block_at_most() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..3);
    append(&files, day(1), 0..1);
    let path = stream.file(day(0));
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> = examine(&whole).iter().map(|block| block.to as usize).collect();
    assert_eq!(ends.len(), 3, "two blocks of lines and the seal");
    // Every bit of the first block, one of each byte behind it.
    let bits = (0..ends[0] * 8).chain((ends[0]..whole.len()).map(|byte| byte * 8 + byte % 8));
    for bit in bits {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &changed).unwrap();
        assert!(!files.verify(day(0)..=day(0)).unwrap().is_good(), "bit {bit}");
        if bit % 31 == 0 {
            let found = all_texts(&files);
            let hit = ends.iter().position(|end| bit / 8 < *end).unwrap();
            let lost: &[u64] = [&[0, 1][..], &[2], &[]][hit];
            let numbers = (0..3).filter(|number| !lost.contains(number));
            let expected: Vec<_> =
                numbers.map(|number| format!("{} {number}", day(0))).chain(expected(day(1), 0..1)).collect();
            assert_eq!(found, expected, "bit {bit}");
        }
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(problems(&files), [""; 0]);
}

#[test]
fn every_block_that_is_dropped_swapped_or_repeated_shows() {
    let stream = Stream::new();
    let files = three_days(&stream);
    for number in 0..3 {
        let path = stream.file(day(number));
        let whole = fs::read(&path).unwrap();
        let (blocks, is_open) = (blocks(&whole), number == 2);
        let check = |what: String, changed: Vec<Vec<u8>>| {
            let changed = changed.concat();
            // Behind the open day's end a running server does not look: the next block goes there.
            if is_open && changed.starts_with(&whole) {
                return;
            }
            fs::write(&path, changed).unwrap();
            assert!(!problems(&files).is_empty(), "day {number}: {what}");
        };
        for one in 0..blocks.len() {
            let mut changed = blocks.clone();
            changed.remove(one);
            check(format!("without {one}"), changed);
            check(format!("cut before {one}"), blocks[..one].to_vec());
            for other in 0..blocks.len() {
                let mut changed = blocks.clone();
                changed.swap(one, other);
                if one != other {
                    check(format!("{one} and {other} swapped"), changed);
                }
                let mut changed = blocks.clone();
                changed.insert(other, blocks[one].clone());
                check(format!("{one} again before {other}"), changed);
            }
        }
        if !is_open {
            check("something behind the seal".into(), [blocks.clone(), vec![blocks[0].clone()]].concat());
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(problems(&files), [""; 0]);
    }
}

#[test]
fn a_day_that_is_taken_away_put_in_or_swapped_with_another_shows() {
    let stream = Stream::new();
    let files = three_days(&stream);
    let [first, second] = [0, 1].map(|number| fs::read(stream.file(day(number))).unwrap());
    fs::write(stream.file(day(0)), &second).unwrap();
    fs::write(stream.file(day(1)), &first).unwrap();
    assert!(kinds(&files).contains(&ProblemKind::OtherHead));
    fs::write(stream.file(day(0)), &first).unwrap();
    fs::remove_file(stream.file(day(1))).unwrap();
    assert_eq!(problems(&files), [format!("{}: the file is missing, and was not forgotten", day(1))]);
    let found = files.search(&Query::default(), 99, &mut |_| true).unwrap();
    assert_eq!((found.lines, found.damaged.len()), (10, 1), "a search tells of the day that it could not read");
    fs::write(stream.file(day(1)), &second).unwrap();
    let strange = Day::from_number(FIRST - 1);
    fs::write(stream.file(strange), &first).unwrap();
    assert_eq!(kinds(&files), [ProblemKind::DayStrange]);
    drop(files);
    let (files, opening) = stream.open();
    assert_eq!((opening.strange.as_slice(), opening.is_in_order()), ([strange].as_slice(), false));
    assert_eq!(all_texts(&files).len(), 15);
}

#[test]
fn a_cut_of_the_open_days_end_shows_by_the_mark_that_was_kept() {
    let stream = Stream::new();
    let files = three_days(&stream);
    let mark = files.last_mark().unwrap();
    assert!(files.holds(&mark).unwrap());
    drop(files);
    let whole = fs::read(stream.file(day(2))).unwrap();
    let mut cut = blocks(&whole);
    cut.pop();
    fs::write(stream.file(day(2)), cut.concat()).unwrap();
    let files = stream.open_well();
    assert_eq!(problems(&files), [""; 0], "the chain alone cannot know");
    assert!(!files.holds(&mark).unwrap());
    // Nor does a line that was made up in its place stand for it.
    append(&files, day(2), 4..5);
    assert!(!files.holds(&mark).unwrap());
}

#[test]
fn lines_changed_by_somebody_who_can_seal_and_not_sign_show() {
    let stream = Stream::new();
    let files = three_days(&stream);
    let path = stream.file(day(0));
    let whole = fs::read(&path).unwrap();
    let mut changed = blocks(&whole);
    let old = examine(&whole)[1].header.unwrap();
    let (made, _) = make(&stream.keys, old.head, &lines(day(0), 7..9), 2);
    // All is computed anew but the signature, which takes the key.
    let header = BlockHeader { signature: old.signature, ..made.header };
    changed[1] = [&header.encode()[..], &made.bytes[BLOCK_HEADER..]].concat();
    fs::write(&path, changed.concat()).unwrap();
    assert_eq!(kinds(&files)[..2], [ProblemKind::NotSigned, ProblemKind::ChainBroken]);
    // Even the server's own key changes no block without changing all that follow, to the head.
    changed[1] = made.bytes.clone();
    fs::write(&path, changed.concat()).unwrap();
    assert_eq!(kinds(&files)[0], ProblemKind::ChainBroken);
    // Other lines under the old hash and signature.
    let header = BlockHeader { hash: old.hash, signature: old.signature, ..made.header };
    changed[1] = [&header.encode()[..], &made.bytes[BLOCK_HEADER..]].concat();
    fs::write(&path, changed.concat()).unwrap();
    assert_eq!(kinds(&files)[0], ProblemKind::LinesChanged);
}

#[test]
fn a_whole_day_written_anew_shows_by_its_head() {
    let stream = Stream::new();
    let files = three_days(&stream);
    let path = stream.file(day(1));
    let first = examine(&fs::read(&path).unwrap())[0].header.unwrap();
    let (made, _) = make(&stream.keys, first.head, &lines(day(1), 7..9), 2);
    let head =
        BlockHead { kind: BlockKind::Seal, number: 1, before: 2, previous: made.header.hash, ..made.header.head };
    let ends = DayEnds { before: files.heads()[0].hash, tree: Some(tree::root(&[made.header.hash])) };
    let (_, seal) = make_seal(&stream.keys, BlockHead { count: 0, ..head }, &ends);
    fs::write(&path, [made.bytes, seal].concat()).unwrap();
    assert_eq!(kinds(&files)[0], ProblemKind::OtherHead);
}

#[test]
fn every_changed_byte_of_the_heads_shows_and_a_start_makes_them_again() {
    let stream = Stream::new();
    let files = three_days(&stream);
    let (path, heads) = (stream.path().join("heads"), files.heads());
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).unwrap();
        let report = files.verify(day(9)..=day(9)).unwrap();
        assert_eq!(report.problems.len(), 1, "byte {at}");
        assert_eq!(report.problems[0].kind, ProblemKind::HeadsChanged);
    }
    drop(files);
    for at in (0..whole.len()).step_by(37).filter(|at| whole[*at] != b'\n') {
        let mut changed = whole.clone();
        changed[at] = b'~';
        fs::write(&path, &changed).unwrap();
        let (files, opening) = stream.open();
        assert!(opening.heads_rebuilt, "byte {at}");
        let aside = stream.path().join("heads.altered");
        assert_eq!(fs::read(&aside).unwrap(), changed);
        fs::remove_file(aside).unwrap();
        assert_eq!((files.heads(), problems(&files)), (heads.clone(), vec![]), "byte {at}");
        assert_eq!(all_texts(&files).len(), 15);
    }
    fs::remove_file(&path).unwrap();
    let (files, opening) = stream.open();
    assert!(opening.heads_rebuilt);
    assert_eq!((files.heads(), problems(&files)), (heads, vec![]));
}

#[test]
fn an_index_that_hides_a_line_shows_and_is_made_again() {
    let stream = Stream::new();
    let files = three_days(&stream);
    let path = stream.path().join(format!("{}.idx", day(1)));
    let index = Index::open(&path, day(1)).unwrap();
    let mut writer = IndexWriter::create(&path, day(1)).unwrap();
    for entry in index.entries().map(Result::unwrap).filter(|entry| entry.0 != 1003) {
        writer.push(entry).unwrap();
    }
    writer.finish(index.covered, true).unwrap();
    let query = Query { all_terms: vec![1003], from: day(1).start(), to: day(2).start(), ..Query::default() };
    assert!(texts(&files, &query).is_empty());
    assert_eq!(kinds(&files), [ProblemKind::IndexChanged]);
    assert_eq!(texts(&files, &query), expected(day(1), 3..4));
    assert_eq!(problems(&files), [""; 0]);
}

#[test]
fn an_index_that_makes_up_blocks_shows_and_misleads_no_search() {
    let stream = Stream::new();
    let files = three_days(&stream);
    let path = stream.path().join(format!("{}.idx", day(0)));
    let index = Index::open(&path, day(0)).unwrap();
    let mut writer = IndexWriter::create(&path, day(0)).unwrap();
    let mut entries: Vec<_> = index.entries().map(Result::unwrap).collect();
    // Another block's, the middle of one, and none at all.
    entries.extend([(1003, 0), (1003, 7), (1003, u64::MAX)]);
    entries.sort_unstable();
    entries.into_iter().for_each(|entry| writer.push(entry).unwrap());
    writer.finish(index.covered, true).unwrap();
    let query = Query { all_terms: vec![1003], to: day(1).start() - 1, ..Query::default() };
    let mut found = Vec::new();
    let searched = files.search(&query, 9, &mut |line| {
        found.push(line.text);
        true
    });
    assert_eq!(found, [format!("{} 3", day(0)).into_bytes()]);
    assert_eq!(searched.unwrap().damaged.len(), 2);
    assert_eq!(kinds(&files), [ProblemKind::IndexChanged]);
    assert_eq!(files.search(&query, 9, &mut |_| true).unwrap().damaged, []);
}

#[test]
fn a_seal_whose_tree_is_not_that_of_its_day_shows() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..5);
    let path = stream.file(day(0));
    let lines = fs::read(&path).unwrap();
    let last = examine(&lines).last().unwrap().header.unwrap();
    files.turn(day(1)).unwrap();
    let head = files.heads().remove(0);
    // Made with our key, as the seal that belongs there but for one thing.
    let ends = DayEnds { before: head.before, tree: Some(tree::root(&[last.hash])) };
    let (_, seal) = make_seal(&stream.keys, head.block_head(), &ends);
    fs::write(&path, [lines, seal].concat()).unwrap();
    assert_eq!(kinds(&files), [ProblemKind::ChainBroken, ProblemKind::OtherHead]);
}

#[test]
fn a_block_tells_nothing_of_its_lines_by_their_hashes() {
    let stream = Stream::new();
    let files = stream.open_well();
    files.append(day(0), &[line(day(0), 1), line(day(0), 1)]).unwrap();
    let file = fs::read(stream.file(day(0))).unwrap();
    let header = examine(&file)[0].header.unwrap();
    let block = OpenBlock::open(&stream.keys, &header.head, &file[BLOCK_HEADER..]).unwrap();
    let hashes = block.hashes();
    assert_ne!(hashes[0], hashes[1], "the same line twice has two hashes");
    assert_eq!(hash(header.format, &header.head, &hashes), header.hash);
}
