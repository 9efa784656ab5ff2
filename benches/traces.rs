//! Traces on disk: `cargo bench --bench traces [-- LINES [DIRECTORY]]`, 10 million lines of 365 days unless told otherwise
//! (some 5 GB on disk while it runs).
//!
//! Prints how many lines a second are appended, durably; what a line costs on disk; how long a start, searches (with the files
//! in the system's memory, and with none of them there), a verification and a forgetting take; the peak of memory.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use caducee::audit::{Action, Actor, By, FolderKind, MessageFacts, Origin, Trace};
use caducee::store::MailboxKey;
use caducee::store::traces::{Day, Line, Query, TraceFiles, TraceKeys, TraceOptions};

const DAYS: u32 = 365;
const FIRST_DAY: u32 = 20_000;
const MAILBOXES: u64 = 105_000;
const PEERS: u64 = 5_000;
/// Lines of a block in the year: what a second brings on a busy day, not what fits into one.
const BLOCK_LINES: usize = 4;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let lines: u64 = arguments.next().map_or(10_000_000, |text| text.parse().expect("a number of lines"));
    let directory = arguments.next().map_or_else(|| std::env::temp_dir().join("caducee-bench-traces"), PathBuf::from);
    let _ = fs::remove_dir_all(&directory);
    let keys = TraceKeys::derive(&MailboxKey::generate());
    let maker = Maker::new(&keys);
    append(&directory.join("append"), &keys, &maker);
    let year = directory.join("year");
    build(&year, &keys, &maker, lines);
    let begun = Instant::now();
    let (files, _) = TraceFiles::open(&year, &keys, &options()).unwrap();
    println!("a start: {}", shown(begun.elapsed()));
    search(&files, &year, &keys, &maker, lines);
    keep(&files);
    println!("memory: {} MiB at the peak", memory("VmHWM") / 1024);
    drop(files);
    let _ = fs::remove_dir_all(&directory);
}

fn options() -> TraceOptions {
    TraceOptions { block_lines: BLOCK_LINES, ..TraceOptions::default() }
}

/// Appends of some sizes, each synced.
fn append(directory: &Path, keys: &TraceKeys, maker: &Maker) {
    let (files, _) = TraceFiles::open(directory, keys, &TraceOptions::default()).unwrap();
    let day = Day::from_number(FIRST_DAY);
    for count in [1, 16, 256, 4096] {
        let lines: Vec<Line> = (0..count).map(|number| maker.line(number, day.start() + number)).collect();
        let (begun, mut appends) = (Instant::now(), 0);
        while begun.elapsed() < Duration::from_secs(3) {
            files.append(day, &lines).unwrap();
            appends += 1;
        }
        let (seconds, each) = (begun.elapsed().as_secs_f64(), begun.elapsed() / appends);
        let rate = f64::from(appends) * count as f64 / seconds;
        println!("appends of {count:>4} lines, synced: {rate:>9.0} lines a second, {} each", shown(each));
    }
}

/// A year of lines, a day's in one append.
fn build(directory: &Path, keys: &TraceKeys, maker: &Maker, lines: u64) {
    let (files, _) = TraceFiles::open(directory, keys, &options()).unwrap();
    let (begun, mut number) = (Instant::now(), 0);
    for passed in 0..DAYS {
        let day = Day::from_number(FIRST_DAY + passed);
        let end = lines * u64::from(passed + 1) / u64::from(DAYS);
        let step = 86_400_000_000 / (end - number + 1);
        let first = number;
        // Bounded pieces: the day's lines need not be in memory at once.
        while number < end {
            let piece = number..end.min(number + 10_000);
            let made: Vec<Line> = piece.clone().map(|n| maker.line(n, day.start() + (n - first) * step)).collect();
            files.append(day, &made).unwrap();
            number = piece.end;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let index: u64 = file_sizes(directory, "idx");
    println!(
        "a year of {lines} lines in {seconds:.0} s ({:.0} a second), {BLOCK_LINES} a block; a line: {:.0} bytes of text, {:.0} on disk, and {:.0} of index",
        lines as f64 / seconds,
        (0..1000).map(|n| maker.line(n, 1).text.len()).sum::<usize>() as f64 / 1000.0,
        files.size() as f64 / lines as f64,
        index as f64 / lines as f64,
    );
}

fn search(files: &TraceFiles, directory: &Path, keys: &TraceKeys, maker: &Maker, lines: u64) {
    let mailbox = |number: usize| maker.mailboxes[number].1;
    let month = Day::from_number(FIRST_DAY + 200).start()..Day::from_number(FIRST_DAY + 230).start();
    let id = |number: u64| keys.term("message-id", &message_id(number));
    // One of the first that there are: not each has a line of its own kind.
    let is_there = |message: &u64| (message * 3..message * 3 + 3).any(|line| mixed(line) % 4 >= 2);
    let message = (123_456.min(lines / 6)..lines / 3).find(is_there).expect("enough lines for a message");
    let year = Query { newest_first: true, ..Query::default() };
    let of = |all_terms| Query { all_terms, ..year.clone() };
    let queries = [
        ("a mailbox, of the middle", of(vec![mailbox(MAILBOXES as usize / 2)])),
        ("a mailbox, the quietest", of(vec![mailbox(MAILBOXES as usize - 1)])),
        ("a mailbox, the busiest", of(vec![mailbox(0)])),
        ("a mailbox and what it did", of(vec![mailbox(500), keys.term("action", "read")])),
        ("a message", of(vec![id(message)])),
        ("a message that there is not", of(vec![keys.term("message-id", "no@such.example")])),
        ("a peer", of(vec![maker.peers[PEERS as usize / 2 + 2].1])),
        ("a mailbox in a month", Query { from: month.start, to: month.end, ..of(vec![mailbox(500)]) }),
        ("everything, the newest 1,000", of(vec![])),
    ];
    println!("{:<32} {:>8} {:>12} {:>12} {:>12}", "search of the year", "lines", "files cold", "warm", "first 20");
    for (name, query) in queries {
        forget_pages(directory);
        let (cold, found) = timed(files, &query, 1000);
        let (warm, _) = timed(files, &query, 1000);
        let (first, _) = timed(files, &query, 20);
        // Nothing is found fast by finding nothing.
        assert!(found > 0 || name != "a message", "it is not there");
        println!("{name:<32} {found:>8} {:>12} {:>12} {:>12}", shown(cold), shown(warm), shown(first));
    }
}

fn timed(files: &TraceFiles, query: &Query, limit: usize) -> (Duration, u64) {
    let begun = Instant::now();
    let searched = files.search(query, limit, &mut |_| true).unwrap();
    (begun.elapsed(), searched.lines)
}

/// Verifies a month, and forgets another.
fn keep(files: &TraceFiles) {
    let begun = Instant::now();
    let report = files.verify(Day::from_number(FIRST_DAY + 100)..=Day::from_number(FIRST_DAY + 129)).unwrap();
    assert!(report.is_good());
    let rate = report.lines as f64 / begun.elapsed().as_secs_f64();
    println!("verifying {} lines of 30 days: {} ({rate:.0} a second)", report.lines, shown(begun.elapsed()));
    let begun = Instant::now();
    let days = files.forget(Day::from_number(FIRST_DAY + 30)).unwrap();
    println!("forgetting {} days: {}", days.len(), shown(begun.elapsed()));
}

/// Makes lines as the server writes them.
struct Maker {
    keys: TraceKeys,
    /// Names and their terms.
    mailboxes: Vec<(String, u64)>,
    people: Vec<(String, u64)>,
    peers: Vec<(String, u64)>,
}

impl Maker {
    fn new(keys: &TraceKeys) -> Maker {
        let named = |kind: &str, name: String| {
            let term = keys.term(kind, &name);
            (name, term)
        };
        Maker {
            mailboxes: (0..MAILBOXES)
                .map(|n| named("mailbox", format!("prenom.nom{n}@aura.mssante.example")))
                .collect(),
            people: (0..MAILBOXES).map(|n| named("person", format!("8997{n:08}"))).collect(),
            peers: (0..PEERS).map(|n| named("peer", format!("chu-{n}.mssante.example"))).collect(),
            keys: keys.clone(),
        }
    }

    fn line(&self, number: u64, at: u64) -> Line {
        let dice = mixed(number);
        // Some mailboxes have much more than others: the number is one of the unit interval, cubed.
        let part = (dice >> 40) as f64 / (1 << 24) as f64;
        let chosen = ((part * part * part) * MAILBOXES as f64) as usize;
        let ((mailbox, of_mailbox), (person, of_person)) = (&self.mailboxes[chosen], &self.people[chosen]);
        let (peer, of_peer) = &self.peers[(dice % PEERS) as usize];
        let mut terms = vec![*of_mailbox];
        let actor = Actor {
            by: Some(By::User),
            person: Some(person.clone()),
            login: Some(mailbox.clone()),
            ..Actor::default()
        };
        let origin = Origin { door: "imap".into(), peer: Some("192.0.2.17".into()), ..Origin::default() };
        let (size, sha256) = (Some(dice % 100_000), Some(format!("{dice:064x}")));
        let message = MessageFacts { message_id: message_id(number / 3), size, sha256, ..MessageFacts::default() };
        let action = match dice % 4 {
            0 => Action::LoggedIn,
            1 => Action::Read { folder: FolderKind::Inbox, messages: 1 },
            _ => Action::Accepted { sender: format!("envoi@{peer}"), queued: vec![], delivered: vec![mailbox.clone()] },
        };
        terms.push(self.keys.term("action", action.name()));
        let mut trace =
            Trace { at, mailbox: Some(mailbox.clone()), reference: format!("{dice:012x}"), ..Trace::of(action) };
        if dice % 4 < 2 {
            terms.push(*of_person);
            (trace.actor, trace.origin) = (actor, origin);
        } else {
            terms.extend([*of_peer, self.keys.term("message-id", &message.message_id)]);
            trace.origin = Origin { door: "smtp".into(), subject: Some(format!("CN={peer},O=CHU,C=FR")), ..origin };
            trace.message = Some(message);
        }
        Line { at, terms, text: serde_json::to_vec(&trace).unwrap() }
    }
}

fn message_id(number: u64) -> String {
    format!("{:016x}.{number}@mssante.example", mixed(number))
}

/// A number that looks like chance (splitmix64).
fn mixed(number: u64) -> u64 {
    let a = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let b = (a ^ (a >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let c = (b ^ (b >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    c ^ (c >> 31)
}

fn file_sizes(directory: &Path, extension: &str) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let ours = entries.filter(|entry| entry.path().extension().is_some_and(|found| found == extension));
    ours.map(|entry| entry.metadata().unwrap().len()).sum()
}

/// Asks the system to drop the files' pages from its memory.
fn forget_pages(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let file = File::open(entry.unwrap().path()).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// A line of the process's state, in KiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}
