//! Kill -9 of the whole server while messages flow and its scribe writes: what was acknowledged is traced, and once.

use crate::kill::{lines, submitting};
use crate::site::{FaultPeer, SOON, Server, Site};
use crate::support::{have, wait_until};
use caducee::audit::{Action, Scribe, ScribeOptions, Stream, Trace, Traces};
use caducee::mail::{MailLimits, MailRoom};
use caducee::serve::read_master_key;
use caducee::store::traces::Day;
use caducee::store::{Batch, Options, Store};
use caducee::telemetry::Metrics;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, SystemTime};

const MESSAGES: usize = 1_800;
const KILLS: u32 = 7;

#[test]
fn what_was_acknowledged_is_traced_once_whenever_the_server_is_killed() {
    if !have("python3") {
        return;
    }
    let domain = "trace.operateur-f.mssante.example".to_owned();
    let mut site = Site::new(std::slice::from_ref(&domain));
    let peer = FaultPeer::start(&site, &["none"]);
    site.route(&BTreeMap::from([(domain.clone(), peer.ports["none"])]));
    site.configure(toml::toml! {
        [queue]
        first_retry = "1s"
        longest_retry = "1s"
        [submission]
        max_transactions = 100000
    });
    let mut server = site.start();
    let acknowledged = site.path("acknowledged");
    let mut submitter = submitting(&site, &domain, MESSAGES, &acknowledged);
    for kill in 1..=KILLS {
        let part = MESSAGES * kill as usize / (KILLS as usize + 1);
        let flows = wait_until(Duration::from_secs(240), || lines(&acknowledged).len() >= part);
        assert!(flows, "{} acknowledged after {} kills:\n{}", lines(&acknowledged).len(), kill - 1, site.log());
        // The scribe works once a second: each time at another moment of that.
        std::thread::sleep(Duration::from_millis(140) * kill);
        server.kill();
        server = site.start();
    }
    let status = submitter.wait().expect("a child can be waited for");
    assert!(status.success(), "the submitter: {status}\n{}", site.log());
    let acknowledged: BTreeSet<String> = lines(&acknowledged).into_iter().collect();
    assert_eq!(acknowledged.len(), MESSAGES);
    let empty = wait_until(SOON, || server.json(&["queue", "list"])["messages"].as_array().is_some_and(Vec::is_empty));
    assert!(empty, "the queue is not empty");

    // What still waits for the scribe is found as well.
    let accepted = by_message(&server, "accepted", |_| true);
    let relayed = by_message(&server, "tried", |trace| trace["result"] == "relayed");
    for id in &acknowledged {
        assert_eq!((accepted.get(id), relayed.get(id)), (Some(&1), Some(&1)), "{id} was taken, and sent on");
    }
    // What was committed when the server died and never answered is traced as well, once.
    assert!(accepted.values().chain(relayed.values()).all(|times| *times == 1));
    println!("{} messages were taken without an answer", accepted.len() - acknowledged.len());

    let month = server.json(&["traces", "search", "--limit", "1", "--action", "accepted"])["traces"][0]["at"].clone();
    let month = month.as_str().and_then(|at| at.get(..7)).expect("a moment").to_owned();
    server.caducee(&["indicators", &month, "--recount"]).expect_ok("counting again what was counted through the kills");
    server.caducee(&["traces", "verify"]).expect_ok("the chain");
    drop(server);
    the_day_ends_with_a_signed_head(&site);
}

/// How many traces of an action there are that `is_meant`, by Message-ID.
fn by_message(server: &Server, action: &str, is_meant: impl Fn(&Value) -> bool) -> BTreeMap<String, usize> {
    let found = server.json(&["traces", "search", "--action", action, "--limit", "10000"]);
    assert_eq!((&found["more"], &found["unreadable"]), (&Value::Bool(false), &Value::Null), "all of them");
    let mut times = BTreeMap::new();
    for trace in found["traces"].as_array().into_iter().flatten().filter(|trace| is_meant(trace)) {
        let id = trace["message"]["message_id"].as_str().unwrap_or_default();
        // Those of the submitter; the sandbox had some of its own.
        if id.ends_with("@essai.example>") {
            *times.entry(id.to_owned()).or_default() += 1;
        }
    }
    times
}

/// A trace of a day to come ends this one: its head is signed, over what was written between the kills.
fn the_day_ends_with_a_signed_head(site: &Site) {
    let master = || read_master_key(site.configured("seal", "master_key").to_str().expect("a path")).expect("the key");
    let place = site.configured("store", "path");
    let (store, opening) = Store::open(&place, &master(), &Options::default()).expect("the store");
    assert!(opening.damaged.is_empty(), "{opening:?}");
    let room = MailRoom::new(store.clone(), master(), MailLimits::default()).expect("the room");
    let traces = Traces::open(room.traces(), &place.with_file_name("store-traces")).expect("the day files");
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
    let in_two_days = (since + Duration::from_secs(2 * 86_400)).as_micros() as u64;
    let mut batch = Batch::new();
    let late = Trace::of(Action::LoggedIn);
    room.traces().note_at(late, in_two_days, &mut HashSet::new(), &mut batch).expect("noted");
    store.commit_blocking(batch).expect("committed");
    let options = ScribeOptions { observers: Vec::new(), most_waiting: 1_000, metrics: Metrics::default() };
    Scribe::start(&traces, options).expect("a scribe").stop();

    let heads = traces.heads();
    let today = heads.iter().rfind(|(stream, _)| *stream == Stream::Functional).map(|(_, head)| head);
    let today = today.expect("the day has ended");
    assert!(today.is_signed_by(&traces.public_key()) && today.lines > 3 * MESSAGES as u64 / 2, "{today:?}");
    let reports = traces.verify(Day::from_number(0), Day::from_number(u32::MAX)).expect("read");
    assert!(reports.iter().all(|(_, report)| report.is_good()), "{reports:#?}");
    store.close();
}
