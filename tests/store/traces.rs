//! Traces: kill -9 in the middle of appends, again and again, in one directory; and power cuts.
//!
//! The test starts itself as a child process that appends and prints a line for each append that was answered; it kills the
//! child at a random moment, opens the directory and holds it against what was said. The child goes on as the scribe does:
//! from the last line that is there.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use caducee::store::traces::{Day, Line, Mark, Query, TraceFiles, TraceKeys, TraceOptions, Witnessed};
use caducee::store::{AccountId, MailboxKey, SealedKey};

use crate::power_cut::disk::{Deaf, Disk};
use crate::power_cut::{cut_again_and_again, moments, recorded};
use crate::support::{Directory, master, noise};

const ROUNDS: u64 = 40;
const CHILD: &str = "CADUCEE_TEST_KILL_TRACES";
/// With so many lines the child ends by itself, which otherwise it does not.
const END: &str = "CADUCEE_TEST_KILL_TRACES_END";
/// Lines of a day: days end often, so that kills fall into their ends too.
const LINES_A_DAY: u64 = 90;

/// The stream's keys, which every process of the test can make.
fn keys(directory: &Path) -> TraceKeys {
    let path = directory.with_extension("key");
    if !path.exists() {
        let sealed = master().seal(AccountId(1), &MailboxKey::generate());
        std::fs::write(&path, serde_json::to_vec(&sealed).unwrap()).unwrap();
    }
    let sealed: SealedKey = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    TraceKeys::derive(&master().open(AccountId(1), &sealed).unwrap())
}

fn options() -> TraceOptions {
    TraceOptions { block_lines: 20, index_memory: 500, most_problems: 10 }
}

/// The line of a number; its moment says the number.
fn line(number: u64) -> Line {
    let text = noise(number, 100 + (number % 400) as usize);
    Line { at: number, terms: vec![1 + number % 7, 100 + number / 10], text }
}

fn day(number: u64) -> Day {
    Day::from_number(20_000 + (number / LINES_A_DAY) as u32)
}

/// The child's work; it ends by being killed.
#[test]
#[ignore = "the child process of `traces_killed_at_any_moment_lose_no_line_and_have_none_twice`"]
fn child() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let path = PathBuf::from(path);
    let (files, _) = TraceFiles::open(&path, &keys(&path), &options()).unwrap();
    say("READY");
    let mut next = files.last_lines(1).unwrap().first().map_or(0, |line| line.at + 1);
    let end = std::env::var(END).map_or(u64::MAX, |end| end.parse().unwrap());
    while next < end {
        let count = 1 + next.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 47;
        let lines: Vec<Line> = (next..next + count).map(line).collect();
        let mark = files.append(day(next), &lines).unwrap().unwrap();
        next += count;
        say(&format!("ACK {next} {}", serde_json::to_string(&mark).unwrap()));
    }
}

/// One line, one write: a kill cannot cut it in two.
fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

/// Runs a child, kills it some time after its answer number `answers`, and returns how many lines it had acknowledged at last,
/// with the mark.
fn kill_a_child(directory: &Path, answers: usize, after: Duration) -> Option<(u64, Mark)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "traces::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line == "READY"), "the child opens what the one before left");
    let mut answered = said.filter(|line| line.starts_with("ACK "));
    let before = answered.by_ref().take(answers).last();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    let last = answered.last().or(before)?;
    let (number, mark) = last["ACK ".len()..].split_once(' ')?;
    Some((number.parse().ok()?, serde_json::from_str(mark).unwrap()))
}

#[test]
fn traces_killed_at_any_moment_lose_no_line_and_have_none_twice() {
    let directory = Directory::new("kill-traces");
    let path = directory.path().join("traces");
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let said = kill_a_child(&path, (round % 7) as usize, Duration::from_micros(round * 7919 % 20_000));
        if let Some((number, _)) = said {
            acknowledged = number;
        }
        let mark = said.map(|(_, mark)| mark);
        holds(&path, &keys(&path), acknowledged, mark.as_ref(), round % 8 == 7, &format!("round {round}"));
    }
    assert!(acknowledged > LINES_A_DAY * 3, "the kills fell into days and into their ends: {acknowledged} lines");
}

/// Panics unless every acknowledged line is there, once and in order, found by its terms, and the chain is whole.
fn holds(path: &Path, keys: &TraceKeys, acknowledged: u64, mark: Option<&Mark>, verified: bool, at: &str) {
    let waits = |at| at >= acknowledged;
    let witnessed = mark.map(|mark| Witnessed { mark: *mark, waits: &waits });
    let opened = TraceFiles::open_witnessed(path, keys, &options(), witnessed);
    let (files, opening) = opened.unwrap_or_else(|error| panic!("{at}: {error}"));
    assert!(opening.is_in_order(), "{at}: {opening:?}");
    let mut next = 0;
    let searched = files.search(&Query::default(), usize::MAX, &mut |found| {
        assert_eq!(found.at, next, "{at}: each line once, in order");
        assert_eq!(found.text, line(next).text, "{at}");
        next += 1;
        true
    });
    assert!(searched.unwrap().damaged.is_empty(), "{at}");
    assert!(mark.is_none_or(|mark| files.holds(mark).unwrap()), "{at}");
    assert!(next >= acknowledged, "{at}: {acknowledged} lines were acknowledged, {next} are there");
    let by_term = Query { all_terms: vec![3], newest_first: true, ..Query::default() };
    let expected = (0..next).filter(|number| number % 7 == 2).count() as u64;
    assert_eq!(files.search(&by_term, usize::MAX, &mut |_| true).unwrap().lines, expected, "{at}");
    if verified {
        let report = files.verify(Day::from_number(0)..=Day::from_number(u32::MAX)).unwrap();
        assert!(report.is_good(), "{at}: {report:?}");
        assert_eq!(report.lines, next, "{at}");
    }
}

#[test]
fn whatever_a_power_cut_leaves_no_line_is_lost_that_was_acknowledged_and_the_chain_is_whole() {
    let directory = Directory::new("power-cut-traces");
    let root = directory.path().join("recorded");
    std::fs::create_dir(&root).unwrap();
    let (path, mut most) = (root.join("traces"), 0);
    let keys = keys(&path);
    let environment = [(CHILD, path.display().to_string()), (END, (LINES_A_DAY * 12).to_string())];
    let Some(events) = recorded(&root, "traces::child", &environment) else { return };
    cut_again_and_again(&events, Disk::new(&root), moments(), &mut |place, said, at| {
        most = most.max(holds_what_was_said(place, &keys, said, at));
    });
    assert!(most > LINES_A_DAY * 3, "the child hardly worked");
    // And it would be seen.
    let broken: [Deaf; 2] =
        [|path| path.extension().is_some_and(|extension| extension == "day"), |path| path.ends_with("traces")];
    for deaf in broken {
        let outcome = std::panic::catch_unwind(|| {
            let disk = Disk::new(&root).deaf_to(deaf);
            cut_again_and_again(&events, disk, moments() / 10, &mut |place, said, at| {
                holds_what_was_said(place, &keys, said, at);
            });
        });
        assert!(outcome.is_err(), "no sync is needed?");
    }
}

/// How many lines were acknowledged.
fn holds_what_was_said(place: &Directory, keys: &TraceKeys, said: &str, at: &str) -> u64 {
    let path = place.path().join("traces");
    let Some(last) = said.lines().filter_map(|line| line.strip_prefix("ACK ")).next_back() else {
        // Nobody witnesses anything yet.
        TraceFiles::open(&path, keys, &options()).unwrap_or_else(|error| panic!("{at}: {error}"));
        return 0;
    };
    let (acknowledged, mark) = last.split_once(' ').unwrap();
    let acknowledged = acknowledged.parse().unwrap();
    holds(&path, keys, acknowledged, Some(&serde_json::from_str(mark).unwrap()), true, at);
    acknowledged
}
