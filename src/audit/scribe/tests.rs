//! The scribe over a shelf in memory that fails when it is told to.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use super::witness::key_of;
use super::*;
use crate::audit::tracer::place;
use crate::audit::{Action, Asker};
use crate::store::scratch::damage;
use crate::store::traces::{LinePlace, TraceKeys};
use crate::store::{Committed, Expect, MailboxKey, Store, TraceMark, Version, Witness};

/// What stands on a shelf, and what befalls it next.
#[derive(Debug, Default)]
struct Lines {
    kept: Vec<(Day, Line)>,
    is_full: bool,
    /// The place of a mark cannot be read.
    is_unreadable: bool,
    turned: Vec<Day>,
    genesis: [u8; 32],
}

#[derive(Clone, Debug, Default)]
struct Board(Arc<Mutex<Lines>>);

impl Shelf for Board {
    fn append(&self, day: Day, lines: &[Line]) -> Result<Option<Mark>, TraceError> {
        let mut shelf = self.0.lock().unwrap();
        if shelf.is_full {
            return Err(TraceError::Full("traces".into()));
        }
        assert!(lines.iter().all(|line| line.text.len() <= MAX_LINE_TEXT && line.terms.len() <= MAX_LINE_TERMS));
        shelf.kept.extend(lines.iter().map(|line| (day, line.clone())));
        drop(shelf);
        Ok(if lines.is_empty() { None } else { self.last_mark() })
    }

    fn last_lines(&self, count: usize) -> Result<Vec<FoundLine>, TraceError> {
        let shelf = self.0.lock().unwrap();
        let last = shelf.kept.iter().rev().take(count).rev();
        let found = |(day, line): &(Day, Line)| FoundLine {
            place: LinePlace { day: *day, offset: 0, line: 0 },
            at: line.at,
            text: line.text.clone(),
        };
        Ok(last.map(found).collect())
    }

    fn turn(&self, today: Day) -> Result<Option<Day>, TraceError> {
        self.0.lock().unwrap().turned.push(today);
        Ok(None)
    }

    fn holds(&self, mark: &Mark) -> Result<bool, TraceError> {
        let shelf = self.0.lock().unwrap();
        let is_there = u64::from(mark.block) <= shelf.kept.len() as u64;
        if shelf.is_unreadable { Err(TraceError::Full("traces".into())) } else { Ok(is_there) }
    }

    /// A line is a block here, and the first has the number 1.
    fn last_mark(&self) -> Option<Mark> {
        let shelf = self.0.lock().unwrap();
        let (day, _) = shelf.kept.last()?;
        Some(Mark { day: *day, block: shelf.kept.len() as u32, offset: 0, hash: [0; 32] })
    }

    fn heads_mark(&self) -> HeadsMark {
        HeadsMark { genesis: self.0.lock().unwrap().genesis, heads: 0, day: None, hash: [0; 32] }
    }

    fn holds_heads(&self, mark: &HeadsMark) -> bool {
        self.0.lock().unwrap().genesis == mark.genesis
    }
}

/// Counts traces, and remembers what was put into a commit, and what commits were made.
#[derive(Clone, Debug, Default)]
struct Count {
    observed: Arc<Mutex<u64>>,
    put: Arc<Mutex<u64>>,
    committed: Arc<Mutex<Vec<Committed>>>,
    fails: Arc<Mutex<bool>>,
    /// So often it relies on what is not so.
    conflicts: Arc<Mutex<u32>>,
}

impl Observer for Count {
    fn observe(&mut self, _trace: &Trace) {
        *self.observed.lock().unwrap() += 1;
    }

    fn put_into(&mut self, _store: &Store, batch: &mut Batch) -> Result<(), StoreError> {
        let observed = std::mem::take(&mut *self.observed.lock().unwrap());
        let mut conflicts = self.conflicts.lock().unwrap();
        if *conflicts > 0 {
            *conflicts -= 1;
            batch.expect::<WaitingTrace>(&TraceKey(1), Expect::Version(Version(1)));
            return Ok(());
        }
        if *self.fails.lock().unwrap() {
            return Err(StoreError::Stopped);
        }
        *self.put.lock().unwrap() += observed;
        Ok(())
    }

    fn committed(&mut self, committed: Committed) {
        self.committed.lock().unwrap().push(committed);
    }
}

/// A store with a tracer, and the shelves of a scribe.
struct House {
    store: Store,
    key: MailboxKey,
    tracer: Tracer,
    functional: Board,
    technical: Board,
    count: Count,
}

impl House {
    fn new() -> Self {
        let (store, key) = (Store::in_memory(), MailboxKey::generate());
        let tracer = Tracer::new(store.clone(), key.clone()).unwrap();
        let (functional, technical, count) = (Board::default(), Board::default(), Count::default());
        Self { store, key, tracer, functional, technical, count }
    }

    /// A scribe that has just started.
    fn desk(&self, most_waiting: usize) -> Desk<Board> {
        let options =
            ScribeOptions { observers: vec![Box::new(self.count.clone())], most_waiting, metrics: Metrics::default() };
        let shelves = [(Stream::Functional, self.functional.clone()), (Stream::Technical, self.technical.clone())];
        let mut desk = Desk::new(self.tracer.clone(), shelves, TraceKeys::derive(&self.key), options);
        desk.take_up().unwrap();
        desk
    }

    async fn write(&self, count: usize) {
        let trace = |number: usize| Trace { reference: number.to_string(), ..Trace::of(Action::LoggedIn) };
        self.tracer.write((0..count).map(trace)).await.unwrap();
    }

    fn waiting(&self) -> usize {
        self.tracer.waiting(.., usize::MAX).unwrap().len()
    }

    /// The moments on a shelf, in the order of its lines.
    fn kept(&self, board: &Board) -> Vec<u64> {
        board.0.lock().unwrap().kept.iter().map(|(_, line)| line.at).collect()
    }

    fn put(&self) -> u64 {
        *self.count.put.lock().unwrap()
    }

    /// What the store witnesses of the functional traces.
    fn mark(&self) -> Option<TraceMark> {
        let mark = self.store.get::<TraceMark>(&key_of(Stream::Functional)).unwrap();
        mark.map(|mark| mark.record)
    }
}

fn lines(desk: &Desk<Board>, trace: &Trace) -> Vec<Line> {
    desk.lines(trace).into_iter().map(|(_, line)| line).collect()
}

#[tokio::test]
async fn what_waits_is_written_in_its_order_and_goes() {
    let house = House::new();
    house.write(1_300).await;
    let ran = Action::JobRan { job: "j".into(), result: "done".into(), detail: String::new() };
    house.tracer.write([Trace::of(ran)]).await.unwrap();
    let mut desk = house.desk(10);
    assert!(desk.cycle(u64::MAX));
    assert_eq!((house.waiting(), house.put()), (0, 1_301));
    let kept = house.kept(&house.functional);
    assert!(kept.len() == 1_300 && kept.is_sorted());
    assert_eq!(house.kept(&house.technical).len(), 1, "jobs have a stream of their own");
    assert!(desk.written.is_empty());
    assert_eq!(house.functional.0.lock().unwrap().turned.len(), 1);
    assert!(desk.cycle(u64::MAX));
    assert_eq!(house.functional.0.lock().unwrap().turned.len(), 1, "not at each look");
}

#[tokio::test]
async fn what_was_given_a_moment_ago_waits_for_those_before_it() {
    let house = House::new();
    house.write(3).await;
    let ripe = house.tracer.last();
    house.write(2).await;
    assert!(house.desk(10).cycle(ripe));
    assert_eq!((house.kept(&house.functional).len(), house.waiting()), (3, 2));
}

#[tokio::test]
async fn a_crash_between_file_and_commit_writes_nothing_twice_and_counts_nothing_twice() {
    // The last are more lines than a start looks at first.
    for (given, shelved) in [(5, 5), (700, 512), (20, 7), (2_600, 2_500)] {
        let house = House::new();
        house.write(given).await;
        // The scribe ends behind its append: the lines stand there, and all still wait.
        let desk = house.desk(10);
        let rows = house.store.scan::<WaitingTrace>(.., shelved).unwrap();
        let written = rows.iter().map(|(key, row)| house.tracer.open(*key, row).unwrap());
        for trace in written {
            house.functional.append(Day::of(trace.at), &lines(&desk, &trace)).unwrap();
        }
        drop(desk);
        assert_eq!((house.waiting(), house.put()), (given, 0));
        assert!(house.desk(10).cycle(u64::MAX));
        let kept = house.kept(&house.functional);
        assert!(kept.len() == given && kept.is_sorted_by(|one, next| one < next), "{given}, {shelved}");
        assert_eq!((house.waiting(), house.put()), (0, given as u64));
        let mark = house.mark().unwrap().mark;
        assert_eq!(mark.block as usize, given, "also where all of it stood there already, its end is witnessed");
    }
}

#[tokio::test]
async fn what_cannot_be_counted_stays_and_is_written_once() {
    let house = House::new();
    house.write(9).await;
    let mut desk = house.desk(100);
    *house.count.fails.lock().unwrap() = true;
    assert!(!desk.cycle(u64::MAX) && !desk.cycle(u64::MAX));
    assert_eq!((house.waiting(), house.kept(&house.functional).len()), (9, 9));
    assert_eq!(*house.count.committed.lock().unwrap(), []);
    *house.count.fails.lock().unwrap() = false;
    assert!(desk.cycle(u64::MAX));
    assert_eq!((house.waiting(), house.kept(&house.functional).len(), house.put()), (0, 9, 9));
    assert_eq!(house.count.committed.lock().unwrap().len(), 1, "what it has counted is told to be on disk");
}

#[tokio::test]
async fn what_another_commit_came_between_is_counted_again_at_once_and_written_once() {
    let house = House::new();
    house.write(9).await;
    let mut desk = house.desk(100);
    *house.count.conflicts.lock().unwrap() = 1;
    assert!(desk.cycle(u64::MAX), "nobody is alarmed");
    assert_eq!((house.waiting(), house.kept(&house.functional).len(), house.put()), (0, 9, 9));
    house.write(9).await;
    *house.count.conflicts.lock().unwrap() = 2;
    assert!(!desk.cycle(u64::MAX), "twice is no chance");
    assert_eq!((house.waiting(), house.kept(&house.functional).len()), (9, 18));
    assert!(desk.cycle(u64::MAX));
    assert_eq!((house.waiting(), house.kept(&house.functional).len(), house.put()), (0, 18, 18));
}

#[tokio::test]
async fn a_full_disk_stops_mail_once_too_many_wait_and_lets_it_go_by_itself() {
    let house = House::new();
    let mut desk = house.desk(20);
    house.functional.0.lock().unwrap().is_full = true;
    house.write(20).await;
    assert!(!desk.cycle(u64::MAX));
    assert!(!house.tracer.is_stuck(), "twenty may wait");
    house.write(1).await;
    assert!(!desk.cycle(u64::MAX));
    assert!(house.tracer.is_stuck());
    house.functional.0.lock().unwrap().is_full = false;
    assert!(desk.cycle(u64::MAX));
    assert!(!house.tracer.is_stuck());
    assert_eq!((house.waiting(), house.put(), house.kept(&house.functional).len()), (0, 21, 21));
}

#[tokio::test]
async fn a_scribe_that_fails_leaves_nothing_untraced() {
    let house = House::new();
    let desk = house.desk(20);
    let failed = std::thread::spawn(move || {
        let _held = desk;
        panic!("a mistake");
    });
    assert!(failed.join().is_err() && house.tracer.is_stuck());
}

#[tokio::test]
async fn a_damaged_row_costs_itself() {
    let house = House::new();
    house.write(2).await;
    let mut batch = Batch::new();
    batch.put(&TraceKey(1), &WaitingTrace { sealed: vec![1; 40] });
    house.store.commit(batch).await.unwrap();
    assert!(house.desk(20).cycle(u64::MAX));
    assert!(house.store.scan::<WaitingTrace>(.., 9).unwrap().is_empty());
    assert_eq!((house.kept(&house.functional).len(), house.put()), (2, 2));
}

#[tokio::test]
async fn a_mark_that_does_not_read_keeps_nobody_from_the_start_and_is_written_anew() {
    let house = House::new();
    damage::<TraceMark>(&house.store, &key_of(Stream::Functional));
    let mark = || house.store.get::<TraceMark>(&key_of(Stream::Functional));
    house.write(1).await;
    assert!(house.desk(20).cycle(u64::MAX));
    assert!(mark().unwrap().is_some());
    house.functional.0.lock().unwrap().is_unreadable = true;
    house.desk(20);
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_has_given_is_written_down_at_once_and_holds_nothing_up() {
    let house = House::new();
    let years_ahead = house.tracer.horizon() + 10 * 365 * 86_400_000_000;
    let mut batch = Batch::new();
    house.tracer.note_at(Trace::of(Action::LoggedIn), years_ahead, &mut HashSet::new(), &mut batch).unwrap();
    house.store.commit(batch).await.unwrap();
    assert!(house.desk(20).cycle(house.tracer.last()));
    assert_eq!((house.waiting(), house.put()), (0, 1));
    // The next start has that line before it, and the clock goes by itself.
    let mut desk = house.desk(20);
    house.write(1).await;
    assert!(desk.cycle(house.tracer.last()));
    let kept = house.kept(&house.functional);
    assert!(kept[0] == years_ahead && kept[1] <= house.tracer.horizon(), "{kept:?}");
}

#[tokio::test]
async fn a_row_that_lies_damaged_in_the_store_goes_and_is_told_once() {
    let house = House::new();
    house.write(2).await;
    damage::<WaitingTrace>(&house.store, &TraceKey(7));
    assert!(house.desk(20).cycle(u64::MAX));
    assert_eq!(house.store.count::<WaitingTrace>(.., 9).unwrap(), 0);
    assert_eq!((house.kept(&house.functional).len(), house.put()), (2, 2));
}

#[tokio::test]
async fn a_trace_of_a_newer_version_is_filed_as_it_stands_once_and_can_be_found() {
    let house = House::new();
    let text = br#"{"at":9,"mailbox":"anne@aura.example","action":"of-the-future","what":{"more":1}}"#;
    let sealed = house.key.seal_bytes(&place(TraceKey(9)), text);
    let mut batch = Batch::new();
    batch.put(&TraceKey(9), &WaitingTrace { sealed });
    house.store.commit(batch).await.unwrap();
    let mut desk = house.desk(20);
    // The disk is full, then what is written cannot be taken away, then another scribe ends it.
    house.functional.0.lock().unwrap().is_full = true;
    assert!(!desk.cycle(u64::MAX));
    house.functional.0.lock().unwrap().is_full = false;
    *house.count.fails.lock().unwrap() = true;
    assert!(!desk.cycle(u64::MAX) && !desk.cycle(u64::MAX));
    *house.count.fails.lock().unwrap() = false;
    assert!(house.desk(20).cycle(u64::MAX));
    assert_eq!((house.store.count::<WaitingTrace>(.., 9).unwrap(), house.put()), (0, 0));
    let shelf = house.functional.0.lock().unwrap();
    let [(_, line)] = shelf.kept.as_slice() else { panic!("one line: {:?}", shelf.kept) };
    assert_eq!((line.at, line.text.as_slice()), (9, text.as_slice()));
    let keys = TraceKeys::derive(&house.key);
    let terms = [keys.term("mailbox", "anne@aura.example"), keys.term("action", "of-the-future")];
    assert!(line.terms.len() == 2 && terms.iter().all(|term| line.terms.contains(term)));
}

#[tokio::test]
async fn what_a_start_does_not_find_is_told_until_it_is_acknowledged() {
    let house = House::new();
    house.write(9).await;
    assert!(house.desk(20).cycle(u64::MAX));
    let told = || witness::problems(&house.tracer, Stream::Functional);
    assert!(told().is_empty());
    // The end is cut, and the heads are others.
    house.functional.0.lock().unwrap().kept.truncate(4);
    house.functional.0.lock().unwrap().genesis = [9; 32];
    let before = house.mark().unwrap();
    for _ in 0..2 {
        let mut desk = house.desk(20);
        assert_eq!(told().len(), 2, "each once");
        house.write(1).await;
        assert!(desk.cycle(u64::MAX));
        let mark = house.mark().unwrap();
        let lost: Vec<_> = mark.lost.iter().map(|lost| lost.what.clone()).collect();
        assert_eq!(lost, [Witness::End(before.mark), Witness::Heads(before.heads.clone().unwrap())]);
        assert_ne!(mark.mark, before.mark, "where the files stand now is witnessed, too");
    }
    let shelves = [(Stream::Functional, &house.functional), (Stream::Technical, &house.technical)];
    assert_eq!(witness::acknowledge(&house.tracer, &Asker::server(), shelves).unwrap().len(), 2);
    assert!(told().is_empty() && house.mark().unwrap().lost.is_empty());
    assert!(house.desk(20).cycle(u64::MAX));
    assert!(told().is_empty());
    let last: Trace = serde_json::from_slice(&house.functional.0.lock().unwrap().kept.last().unwrap().1.text).unwrap();
    let Action::Administered { what, fields, .. } = &last.action else { panic!("{last:?}") };
    assert_eq!((what.as_str(), fields.len()), ("traces-acknowledged", 2));
}

/// A trace that makes four lines.
fn of_very_many_people() -> Trace {
    let many = |domain: &str| (0..5_000).map(|number| format!("{}{number}@{domain}", "x".repeat(100))).collect();
    Trace::of(Action::Accepted { sender: "a@b".into(), queued: many("nord.example"), delivered: many("aura.example") })
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_trace_in_parts_costs_none_of_them_and_doubles_none() {
    for shelved in 0..=4 {
        let house = House::new();
        house.tracer.write([of_very_many_people()]).await.unwrap();
        let (desk, trace) = (house.desk(20), house.tracer.waiting(.., 1).unwrap().remove(0));
        let all = lines(&desk, &trace);
        assert_eq!(all.len(), 4);
        house.functional.append(Day::of(trace.at), &all[..shelved]).unwrap();
        drop(desk);
        assert!(house.desk(20).cycle(u64::MAX));
        let kept: Vec<Line> = house.functional.0.lock().unwrap().kept.iter().map(|(_, line)| line.clone()).collect();
        assert_eq!((kept, house.put()), (all, 1), "{shelved} parts were written");
    }
}

#[tokio::test]
async fn a_trace_of_very_many_people_is_kept_in_parts_and_counted_once() {
    let house = House::new();
    house.tracer.write([of_very_many_people()]).await.unwrap();
    assert!(house.desk(20).cycle(u64::MAX));
    let shelf = house.functional.0.lock().unwrap();
    let mut named = 0;
    for (_, line) in &shelf.kept {
        let trace: Trace = serde_json::from_slice(&line.text).unwrap();
        let Action::Accepted { sender, queued, delivered } = trace.action else { panic!("the same action") };
        assert_eq!(sender, "a@b");
        named += queued.len() + delivered.len();
    }
    assert!(shelf.kept.len() > 1 && named == 10_000, "{} lines name {named}", shelf.kept.len());
    assert_eq!(house.put(), 1);
}
