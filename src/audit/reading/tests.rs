//! What waits and what is kept, read as one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::audit::{Action, Actor, MessageFacts, Scribe, ScribeOptions};
use crate::store::traces::{BLOCK_HEADER, BlockHeader};
use crate::store::{Batch, MailboxKey, Store, TraceKey, WaitingTrace};
use crate::telemetry::Metrics;

/// A directory of one test's own, gone with it.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("cad-traces-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

struct House {
    store: Store,
    traces: Traces,
    place: Place,
}

impl House {
    fn new() -> Self {
        let (store, place) = (Store::in_memory(), Place::new());
        let tracer = Tracer::new(store.clone(), MailboxKey::generate()).unwrap();
        Self { traces: Traces::open(&tracer, &place.0).unwrap(), store, place }
    }

    async fn write(&self, traces: impl IntoIterator<Item = Trace>) {
        self.traces.tracer().write(traces).await.unwrap();
    }

    /// Starts anew over the same store and files.
    fn again(self) -> Self {
        let Self { store, traces, place } = self;
        let key = traces.tracer().key().clone();
        drop(traces);
        let tracer = Tracer::new(store.clone(), key).unwrap();
        Self { traces: Traces::open(&tracer, &place.0).unwrap(), store, place }
    }

    fn problems(&self) -> Vec<String> {
        let reports = self.traces.verify(Day::from_number(0), Day::from_number(u32::MAX)).unwrap();
        reports.iter().flat_map(|(_, report)| &report.problems).map(ToString::to_string).collect()
    }

    /// Has the scribe write down all that waits.
    async fn keep(&self) {
        self.keep_counted(&Metrics::default()).await;
    }

    async fn keep_counted(&self, metrics: &Metrics) {
        let traces = self.traces.clone();
        let options = ScribeOptions { observers: Vec::new(), most_waiting: 9, metrics: metrics.clone() };
        let work = move || Scribe::start(&traces, options).unwrap().stop();
        tokio::task::spawn_blocking(work).await.unwrap();
    }

    fn each(&self, from: u64, to: u64) -> Vec<Trace> {
        let mut found = Vec::new();
        let unreadable = self.traces.each(from, to, &mut |trace| {
            found.push(trace);
            true
        });
        assert!(unreadable.unwrap().is_empty());
        found
    }
}

fn of_person(person: &str) -> Trace {
    let actor = Actor { person: Some(person.into()), ..Actor::default() };
    Trace { actor, ..Trace::of(Action::LoggedIn) }
}

fn step(message_id: &str, handling: &str) -> Trace {
    let message = Some(MessageFacts { message_id: message_id.into(), ..MessageFacts::default() });
    Trace { message, ..Trace::of(Action::Handled { handling: handling.into() }) }
}

fn ran() -> Trace {
    Trace::of(Action::JobRan { job: "crls".into(), result: "done".into(), detail: String::new() })
}

#[tokio::test]
async fn each_trace_is_given_once_whether_it_waits_or_is_kept() {
    let house = House::new();
    house.write((0..700).map(|number| of_person(&number.to_string()))).await;
    house.write([ran()]).await;
    house.keep().await;
    house.write((700..705).map(|number| of_person(&number.to_string()))).await;
    // The scribe has written these two down, and not taken them away yet.
    let kept = house.each(0, u64::MAX);
    let mut batch = Batch::new();
    for trace in &kept[..2] {
        let mut taken = HashSet::new();
        house.traces.tracer().note_at(trace.clone(), trace.at, &mut taken, &mut batch).unwrap();
    }
    house.store.commit(batch).await.unwrap();
    let all = house.each(0, u64::MAX);
    let moments: HashSet<u64> = all.iter().map(|trace| trace.at).collect();
    assert_eq!((all.len(), moments.len()), (706, 706));
    let (third, tenth) = (kept[2].at, kept[9].at);
    assert_eq!(house.each(third, tenth).len(), 7, "the last moment is not meant");
    assert!(house.each(5, 5).is_empty() && house.each(0, 0).is_empty());
    let mut seen = 0;
    let stops = &mut |_| {
        seen += 1;
        seen < 3
    };
    house.traces.each(0, u64::MAX, stops).unwrap();
    assert_eq!(seen, 3);
}

#[tokio::test]
async fn what_is_asked_for_comes_in_its_order_up_to_the_limit() {
    let house = House::new();
    for number in 0..4 {
        house.write([step("<a@b>", &number.to_string()), step("<x@y>", "other"), ran()]).await;
        if number == 1 {
            house.keep().await;
        }
    }
    let handlings = |query: &TraceQuery, limit| {
        let found = house.traces.search(query, limit).unwrap();
        let handling = |trace: Trace| match trace.action {
            Action::Handled { handling } => handling,
            other => other.name().into(),
        };
        (found.traces.into_iter().map(handling).collect::<Vec<_>>().join(" "), found.more)
    };
    let message = TraceQuery::of_message("<a@b>");
    assert_eq!(handlings(&message, 9), ("0 1 2 3".into(), false));
    assert_eq!(handlings(&message, 3), ("0 1 2".into(), true));
    assert_eq!(handlings(&message, 1), ("0".into(), true));
    let newest = TraceQuery { oldest_first: false, ..message };
    assert_eq!(handlings(&newest, 3), ("3 2 1".into(), true));
    let jobs = TraceQuery { action: Some("job-ran".into()), ..TraceQuery::default() };
    assert_eq!(handlings(&jobs, 9).0, "job-ran job-ran job-ran job-ran");
    assert_eq!(house.traces.search(&TraceQuery::default(), 99).unwrap().traces.len(), 12);
}

#[tokio::test]
async fn a_proof_says_that_it_may_lack_what_does_not_read() {
    let house = House::new();
    for handling in ["held", "released"] {
        house.write([step("<a@b>", handling)]).await;
        house.keep().await;
    }
    let day = house.traces.proof("<a@b>").unwrap().steps[0].1.head.day;
    let path = house.place.0.join(Stream::Functional.name()).join(format!("{day}.day"));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[BLOCK_HEADER + 9] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let proof = house.traces.proof("<a@b>").unwrap();
    assert_eq!((proof.steps.len(), proof.gaps.len()), (1, 1), "{:?}", proof.gaps);
}

#[tokio::test]
async fn a_cut_of_the_last_traces_is_in_every_verification_until_it_is_acknowledged() {
    let house = House::new();
    for handling in ["held", "released"] {
        house.write([step("<a@b>", handling)]).await;
        house.keep().await;
    }
    assert!(house.problems().is_empty());
    let day = house.traces.proof("<a@b>").unwrap().steps[0].1.head.day;
    let path = house.place.0.join(Stream::Functional.name()).join(format!("{day}.day"));
    let bytes = std::fs::read(&path).unwrap();
    let last = crate::store::traces::examine(&bytes).last().unwrap().from;
    std::fs::write(&path, &bytes[..last as usize]).unwrap();
    let (mut house, metrics) = (house.again(), Metrics::default());
    for _ in 0..2 {
        house.keep_counted(&metrics).await;
        let problems = house.problems();
        assert!(matches!(problems.as_slice(), [one] if one.contains("block 1: it was the last")), "{problems:?}");
        assert_eq!(metrics.traces_found.get(), 1);
        // What comes later does not cover it up.
        house.write([step("<a@b>", "held")]).await;
        house.keep().await;
        house = house.again();
    }
    house.keep_counted(&metrics).await;
    let told = house.traces.acknowledge(&Asker::server()).unwrap();
    assert_eq!((told.len(), metrics.traces_found.get()), (1, 0));
    house.keep().await;
    let house = house.again();
    house.keep().await;
    assert!(house.problems().is_empty());
}

#[tokio::test]
async fn a_start_counts_what_it_does_not_find_as_it_was_written() {
    let house = House::new();
    house.write([of_person("1")]).await;
    house.keep().await;
    let metrics = Metrics::default();
    let heads = house.place.0.join(Stream::Functional.name()).join("heads");
    std::fs::write(heads, "others'").unwrap();
    let house = house.again();
    house.keep_counted(&metrics).await;
    assert_eq!(metrics.traces_found.get(), 1);
    house.traces.acknowledge(&Asker::server()).unwrap();
    assert_eq!(metrics.traces_found.get(), 0);
}

#[tokio::test]
async fn a_proof_is_whole_or_not_given() {
    let house = House::new();
    house.write([step("<a@b>", "held"), step("<x@y>", "other")]).await;
    assert!(matches!(house.traces.proof("<a@b>"), Err(TracesError::NotYet)));
    house.keep().await;
    house.write([step("<x@y>", "other")]).await;
    let proof = house.traces.proof("<a@b>").unwrap();
    let [(trace, parts)] = proof.steps.as_slice() else { panic!("one step: {proof:?}") };
    assert!(proof.gaps.is_empty());
    assert!(parts.holds() && matches!(&trace.action, Action::Handled { handling } if handling == "held"));
    assert!(!String::from_utf8_lossy(&parts.text).contains("x@y"), "of others it tells nothing");
    assert!(house.traces.proof("<unknown@b>").unwrap().steps.is_empty());
}

#[tokio::test]
async fn the_next_scribe_gives_no_moment_that_stands_in_the_files() {
    let house = House::new();
    let late = house.traces.tracer().horizon() - 60_000_000;
    let mut batch = Batch::new();
    house.traces.tracer().note_at(of_person("1"), late, &mut HashSet::new(), &mut batch).unwrap();
    house.store.commit(batch).await.unwrap();
    house.keep().await;
    assert!(house.store.get::<WaitingTrace>(&TraceKey(late)).unwrap().is_none());
    house.keep().await;
    house.write([of_person("2")]).await;
    assert_eq!(house.traces.tracer().waiting(.., 9).unwrap()[0].at, late + 1);
}

#[tokio::test]
async fn a_step_that_does_not_read_costs_itself_and_a_day_that_is_lost_is_a_gap() {
    let house = House::new();
    house.write([step("<a@b>", "held")]).await;
    house.keep().await;
    let day = house.traces.proof("<a@b>").unwrap().steps[0].1.head.day;
    let path = house.place.0.join(Stream::Functional.name()).join(format!("{day}.day"));
    // The block opens, and is not what was signed: only the proof looks.
    let mut bytes = std::fs::read(&path).unwrap();
    let mut header = BlockHeader::decode(bytes.first_chunk().unwrap()).unwrap();
    header.signature[0] ^= 1;
    bytes[..BLOCK_HEADER].copy_from_slice(&header.encode());
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(house.traces.search(&TraceQuery::of_message("<a@b>"), 9).unwrap().traces.len(), 1);
    let proof = house.traces.proof("<a@b>").unwrap();
    assert_eq!((proof.steps.len(), proof.gaps.len()), (0, 1), "{:?}", proof.gaps);
    house.write([step("<a@b>", "released")]).await;
    house.keep().await;
    let proof = house.traces.proof("<a@b>").unwrap();
    assert_eq!((proof.steps.len(), proof.gaps.len()), (1, 1), "{:?}", proof.gaps);
}

#[tokio::test]
async fn what_an_older_version_left_and_is_moved_late_hides_neither_the_newest_nor_the_oldest() {
    let house = House::new();
    house.write([step("<new@b>", "held")]).await;
    house.keep().await;
    let (old, mut taken, mut batch) = (super::super::now() - 30 * 86_400_000_000, HashSet::new(), Batch::new());
    for number in 0..9 {
        let trace = step("<old@b>", &number.to_string());
        house.traces.tracer().note_at(trace, old + number, &mut taken, &mut batch).unwrap();
    }
    house.store.commit(batch).await.unwrap();
    house.keep().await;
    let moments = |query: &TraceQuery, limit| {
        let found = house.traces.search(query, limit).unwrap();
        (found.traces.iter().map(|trace| trace.at).collect::<Vec<_>>(), found.more)
    };
    let (newest, more) = moments(&TraceQuery::default(), 3);
    assert!(more && newest[0] > old + 86_400_000_000, "{newest:?}");
    assert_eq!(newest[1..], [old + 8, old + 7]);
    let (oldest, _) = moments(&TraceQuery { oldest_first: true, ..TraceQuery::default() }, 2);
    assert_eq!(oldest, [old, old + 1]);
    let until = TraceQuery { to: old + 5, ..TraceQuery::default() };
    assert_eq!(moments(&until, 1), (vec![old + 5], true));
}

#[tokio::test]
async fn a_trace_that_is_kept_in_parts_is_given_whole_and_once() {
    let house = House::new();
    let people = (0..9_000).map(|number| format!("p{number}@nord.example")).collect::<Vec<_>>();
    let accepted = Action::Accepted { sender: "a@b".into(), queued: people.clone(), delivered: Vec::new() };
    house.write([of_person("1"), Trace::of(accepted), of_person("2")]).await;
    house.keep().await;
    let all = house.each(0, u64::MAX);
    let [_, Trace { action: Action::Accepted { queued, .. }, part: None, .. }, _] = all.as_slice() else {
        panic!("{} traces", all.len())
    };
    assert_eq!(*queued, people);
    let shown =
        house.traces.search(&TraceQuery { action: Some("accepted".into()), ..TraceQuery::default() }, 9).unwrap();
    assert!(shown.traces.len() > 1 && shown.traces.iter().all(|trace| trace.part.is_some()), "as it is kept");
}
