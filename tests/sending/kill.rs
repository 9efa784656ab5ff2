//! Kill -9 of the sending server while 5,000 messages flow to a peer that counts.

use crate::site::{FaultPeer, SOON, Site};
use crate::support::{have, wait_until};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

const MESSAGES: usize = 5_000;
const KILLS: usize = 6;
/// Sessions with one host at once: what can be in SMTP's own window when the server dies.
const SESSIONS: usize = 10;

#[test]
fn no_acknowledged_message_is_lost_by_kills_and_doubles_are_only_those_under_way() {
    if !have("python3") {
        return;
    }
    let domain = "compte.operateur-f.mssante.example".to_owned();
    let mut site = Site::new(std::slice::from_ref(&domain));
    let peer = FaultPeer::start(&site, &["none"]);
    site.route(&BTreeMap::from([(domain.clone(), peer.ports["none"])]));
    site.configure(toml::toml! {
        [queue]
        first_retry = "1s"
        longest_retry = "1s"
        [relay]
        max_sessions_per_host = 10
        [submission]
        max_transactions = 100000
    });
    let mut server = site.start();
    let acknowledged = site.path("acknowledged");
    let mut submitter = submitting(&site, &domain, MESSAGES, &acknowledged);
    for kill in 1..=KILLS {
        let part = MESSAGES * kill / (KILLS + 1);
        let flows = wait_until(Duration::from_secs(240), || lines(&acknowledged).len() >= part);
        assert!(flows, "{} acknowledged after {} kills:\n{}", lines(&acknowledged).len(), kill - 1, site.log());
        server.kill();
        server = site.start();
    }
    let status = submitter.wait().expect("a child can be waited for");
    assert!(status.success(), "the submitter: {status}\n{}", site.log());

    let acknowledged: BTreeSet<String> = lines(&acknowledged).into_iter().collect();
    assert_eq!(acknowledged.len(), MESSAGES);
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut missing = acknowledged.len();
    let arrived = wait_until(SOON, || {
        taken.clear();
        for note in peer.taken() {
            *taken.entry(note["message_id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        missing = acknowledged.iter().filter(|id| !taken.contains_key(*id)).count();
        missing == 0
    });
    assert!(arrived, "{missing} of {MESSAGES} acknowledged messages did not arrive:\n{}", site.log());
    let empty = wait_until(SOON, || server.json(&["queue", "list"])["messages"].as_array().is_some_and(Vec::is_empty));
    assert!(empty, "the queue is not empty");
    let doubles: usize = taken.values().map(|times| times - 1).sum();
    println!("{doubles} doubles after {KILLS} kills");
    assert!(doubles <= KILLS * SESSIONS, "{doubles} doubles after {KILLS} kills with {SESSIONS} sessions");
}

/// Somebody who submits `count` messages, and writes down which were acknowledged.
pub(crate) fn submitting(
    site: &Site,
    domain: &str,
    count: usize,
    acknowledged: &std::path::Path,
) -> std::process::Child {
    let (login, password) = site.operator().mailbox("PER").credentials();
    Command::new("python3")
        .arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sending/submitter.py"))
        .arg(site.operator().ports.submission.to_string())
        .arg(&site.known.ca)
        .args([login, password, &format!("dr.compte@{domain}"), &count.to_string(), "8"])
        .arg(acknowledged)
        .stdin(Stdio::null())
        .spawn()
        .expect("python3 can be started")
}

pub(crate) fn lines(path: &std::path::Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}
