//! What a proof shows, and of what.

use super::tree::climb;
use super::*;

/// Where the lines are that have a term.
fn places(files: &TraceFiles, term: u64) -> Vec<LinePlace> {
    let mut places = Vec::new();
    let query = Query { all_terms: vec![term], ..Query::default() };
    let searched = files.search(&query, usize::MAX, &mut |line| {
        places.push(line.place);
        true
    });
    assert!(!searched.unwrap().stopped);
    places
}

fn part(files: &TraceFiles, place: LinePlace) -> ProofParts {
    files.prover().parts(place).unwrap()
}

#[test]
fn a_proof_holds_until_any_part_of_it_is_changed() {
    let stream = Stream::new();
    let files = stream.open_well();
    (0..3).for_each(|number| append(&files, day(number), 0..5));
    let places = places(&files, 1003);
    assert_eq!(places.len(), 3);
    let parts = part(&files, places[1]);
    assert!(parts.holds());
    assert_eq!(parts.text, format!("{} 3", day(1)).into_bytes());
    assert_eq!((parts.format, parts.hashes.len()), (BlockFormat::Two, 1));
    let end = parts.day_end.clone().unwrap();
    assert_eq!((&end.head, end.path.len()), (&files.heads()[1], 2));
    assert_eq!(part(&files, places[2]).day_end, Err(NoDayEnd::Running));
    let with_end = |end: DayEnd| ProofParts { day_end: Ok(end), ..parts.clone() };
    let first = files.heads().remove(0);
    let others = [
        ProofParts { text: b"another".to_vec(), ..parts.clone() },
        ProofParts { prefix: [&parts.prefix[..], &[0; 8]].concat(), ..parts.clone() },
        ProofParts { line: 0, ..parts.clone() },
        ProofParts { line: 9, ..parts.clone() },
        ProofParts { format: BlockFormat::One, ..parts.clone() },
        ProofParts { hashes: vec![[1; 32]], ..parts.clone() },
        ProofParts { hashes: vec![], ..parts.clone() },
        ProofParts { head: BlockHead { day: day(0), ..parts.head }, ..parts.clone() },
        ProofParts { hash: [1; 32], ..parts.clone() },
        ProofParts { signature: [1; 64], ..parts.clone() },
        ProofParts { public_key: TraceKeys::derive(&MailboxKey::generate()).public_key(), ..parts.clone() },
        with_end(DayEnd { path: end.path.iter().rev().copied().collect(), ..end.clone() }),
        with_end(DayEnd { path: vec![], ..end.clone() }),
        with_end(DayEnd { head: first, ..end.clone() }),
        with_end(DayEnd { head: Head { tree: None, ..end.head.clone() }, ..end.clone() }),
        with_end(DayEnd { head: Head { blocks: 4, ..end.head.clone() }, ..end.clone() }),
        with_end(DayEnd { head: Head { before: [1; 32], ..end.head.clone() }, ..end.clone() }),
        with_end(DayEnd { head: Head { signature: [1; 64], ..end.head.clone() }, ..end }),
    ];
    for (number, parts) in others.iter().enumerate() {
        assert!(!parts.holds(), "{number}");
    }
    let missing = LinePlace { line: 2, ..places[1] };
    assert!(matches!(files.prover().parts(missing), Err(TraceError::NotThere)));
    let elsewhere = LinePlace { offset: places[1].offset + 1, ..places[1] };
    assert!(matches!(files.prover().parts(elsewhere), Err(TraceError::Damaged { .. })));
}

#[test]
fn every_line_of_a_long_day_is_shown_under_its_head_with_a_few_hashes() {
    let stream = Stream::new();
    let files = stream.open_well();
    // Over several starts, so that the tree is taken up again.
    append(&files, day(0), 0..401);
    drop(files);
    let files = stream.open_well();
    append(&files, day(0), 401..600);
    files.turn(day(1)).unwrap();
    assert_eq!(problems(&files), [""; 0]);
    let (places, head) = (places(&files, 1), files.heads().remove(0));
    assert_eq!((places.len(), head.blocks), (600, 301));
    let mut prover = files.prover();
    for place in places {
        let parts = prover.parts(place).unwrap();
        let end = parts.day_end.as_ref().unwrap();
        assert!(parts.holds() && end.head == head);
        assert!(parts.hashes.len() + end.path.len() <= 1 + 9, "{} and {}", parts.hashes.len(), end.path.len());
        let other = u64::from(parts.head.number) ^ 1;
        assert_ne!(climb(&parts.hash, other, head.blocks.into(), &end.path), head.tree, "only at its own place");
    }
}

#[test]
fn a_line_of_a_block_of_the_greatest_length_is_shown_with_nine_hashes() {
    let stream = Stream { options: TraceOptions::default(), ..Stream::new() };
    let files = stream.open_well();
    append(&files, day(0), 0..1024);
    for place in places(&files, 1).into_iter().step_by(97) {
        let parts = part(&files, place);
        assert_eq!((parts.head.count, parts.hashes.len()), (512, 9));
        assert!(parts.holds());
    }
}

/// A stream with one sealed day of seven blocks, and where they begin and end.
fn a_day_of_seven(stream: &Stream) -> (TraceFiles, Vec<(usize, usize)>) {
    let files = stream.open_well();
    append(&files, day(0), 0..14);
    files.turn(day(1)).unwrap();
    let blocks = examine(&fs::read(stream.file(day(0))).unwrap());
    assert_eq!(blocks.len(), 8);
    (files, blocks.iter().map(|block| (block.from as usize, block.to as usize)).collect())
}

#[test]
fn damage_of_one_block_costs_its_own_proofs_only() {
    for damaged in 0..7 {
        let stream = Stream::new();
        let (files, blocks) = a_day_of_seven(&stream);
        let (places, path) = (places(&files, 1), stream.file(day(0)));
        let whole = fs::read(&path).unwrap();
        // Its header, and what it holds.
        for at in [blocks[damaged].0 + 50, blocks[damaged].1 - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).unwrap();
            for place in &places {
                let block = blocks.iter().position(|(from, _)| *from as u64 == place.offset).unwrap();
                match files.prover().parts(*place) {
                    Ok(parts) => assert!(block != damaged && parts.day_end.is_ok(), "{damaged}, {block}"),
                    Err(TraceError::Damaged { .. }) => assert_eq!(block, damaged),
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}

#[test]
fn where_blocks_in_a_row_are_lost_the_others_are_still_proved_but_not_under_the_head() {
    let stream = Stream::new();
    let (files, blocks) = a_day_of_seven(&stream);
    let places = places(&files, 1);
    let mut changed = fs::read(stream.file(day(0))).unwrap();
    changed[blocks[2].0..blocks[3].1].fill(0);
    fs::write(stream.file(day(0)), changed).unwrap();
    let parts = part(&files, places[0]);
    assert!(parts.holds());
    assert_eq!(parts.day_end, Err(NoDayEnd::Damaged));
    assert!(kinds(&files).iter().all(|kind| matches!(kind, ProblemKind::Damaged(_))), "{:?}", kinds(&files));
}

#[test]
fn a_day_that_was_damaged_before_its_end_is_sealed_with_what_is_known_of_it() {
    let stream = Stream::new();
    let files = stream.open_well();
    append(&files, day(0), 0..14);
    let places = places(&files, 1);
    drop(files);
    let path = stream.file(day(0));
    let mut changed = fs::read(&path).unwrap();
    let blocks = examine(&changed);
    changed[blocks[1].from as usize..blocks[3].to as usize].fill(0);
    fs::write(&path, changed).unwrap();
    let (files, opening) = stream.open();
    assert_eq!(opening.damaged.len(), 1);
    append(&files, day(0), 14..16);
    files.turn(day(1)).unwrap();
    assert_eq!(kinds(&files).len(), 1, "{:?}", kinds(&files));
    for (number, place) in places.into_iter().enumerate() {
        match files.prover().parts(place) {
            Ok(parts) => assert!(parts.day_end.is_ok(), "{number}"),
            Err(_) => assert!((2..8).contains(&number), "{number}"),
        }
    }
}
