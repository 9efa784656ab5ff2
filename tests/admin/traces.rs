//! Traces: found, verified, and given out as evidence that holds without us.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use caducee::audit::{Action, Actor, By, MessageFacts, Observer, Origin, Scribe, ScribeOptions, Trace};
use caducee::store::{Batch, Store, StoreError};
use caducee::telemetry::Metrics;
use hyper::Method;
use serde_json::{Value, json};

use crate::follow::a_failed_message;
use crate::harness::{Server, is_there, run, text};

fn options(observers: Vec<Box<dyn Observer>>, most_waiting: usize) -> ScribeOptions {
    ScribeOptions { observers, most_waiting, metrics: Metrics::default() }
}

/// Has the scribe write down all that waits.
async fn written_down(server: &Server) {
    let traces = server.traces.clone();
    let writing = move || Scribe::start(&traces, options(Vec::new(), 1_000)).unwrap().stop();
    tokio::task::spawn_blocking(writing).await.unwrap();
    assert!(server.registry.room().traces().waiting(.., 9).unwrap().is_empty());
}

/// What was found, but for the looks at others' traces.
fn actions(found: &Value) -> Vec<&str> {
    let looks = ["traces-searched", "message-followed", "evidence-made"];
    let found = found["traces"].as_array().unwrap().iter();
    let acts = found.filter(|trace| !trace["what"].as_str().is_some_and(|what| looks.contains(&what)));
    acts.map(|trace| trace["action"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_trace_is_found_the_same_while_it_waits_and_when_it_is_kept() {
    let server = Server::start().await;
    a_failed_message(&server).await;
    let login = Trace {
        actor: Actor { by: Some(By::User), person: Some("899700000001".into()), ..Actor::default() },
        mailbox: Some("lea@aura.mssante.example".into()),
        origin: Origin { door: "imap".into(), peer: Some("192.0.2.7".into()), ..Origin::default() },
        ..Trace::of(Action::LoggedIn)
    };
    server.registry.room().traces().write([login]).await.unwrap();
    for is_kept in [false, true] {
        if is_kept {
            written_down(&server).await;
        }
        for (query, expected) in [
            ("action=logged-in", ["logged-in"].as_slice()),
            ("person=899700000001", &["logged-in"]),
            ("mailbox=LEA@aura.mssante.example", &["logged-in"]),
            ("peer=192.0.2.7", &["logged-in"]),
            ("peer=192.0.2.8", &[]),
            ("message-id=abc@aura.mssante.example", &["reported"]),
            ("mailbox=b@nord.mssante.example", &["reported"]),
            ("mailbox=camille@aura.mssante.example&oldest-first=true", &["administered", "accepted", "reported"]),
            ("mailbox=camille@aura.mssante.example&action=accepted", &["accepted"]),
            ("action=logged-in&from=2100-01-01", &[]),
            ("action=logged-in&to=2020-01-01", &[]),
            ("action=logged-in&from=2020-01-01&to=2100-01-01T00:00:00Z", &["logged-in"]),
        ] {
            let found = server.get(&format!("/v1/traces?{query}")).await.unwrap();
            assert_eq!(actions(&found), expected, "{query}, kept: {is_kept}");
            assert_eq!(found["more"], false);
        }
        let newest = server.get("/v1/traces?action=logged-in&limit=1").await.unwrap();
        assert_eq!((actions(&newest), &newest["more"]), (vec!["logged-in"], &json!(false)));
        let newest = server.get("/v1/traces?limit=1").await.unwrap();
        assert_eq!((&newest["traces"][0]["what"], &newest["more"]), (&json!("traces-searched"), &json!(true)));
        assert_eq!(
            server.get("/v1/follow?message-id=abc@aura.mssante.example").await.unwrap()["events"][0]["action"],
            "reported"
        );
    }
    for query in ["from=yesterday", "to=2026-02-30", "limit=0", "limit=10001", "message-id=", "who=x"] {
        assert_eq!(server.get(&format!("/v1/traces?{query}")).await.unwrap_err().rule, "bad-field", "{query}");
    }
}

#[tokio::test]
async fn the_command_finds_traces_as_text_json_and_csv() {
    let server = Server::start().await;
    a_failed_message(&server).await;
    let search = ["traces", "search", "--mailbox", "b@nord.mssante.example"];
    let with = |more: &[&'static str]| [search.as_slice(), more].concat();
    let text = server.caducee(&search).await.expect(0).stdout;
    assert!(text.contains("sender told") && text.contains("6921b2c0-1f/2"), "{text}");
    let found = server.caducee(&with(&["--format", "json"])).await.expect(0).json();
    assert_eq!(actions(&found), ["reported"]);
    let csv = server.caducee(&with(&["--action", "reported", "--format", "csv"])).await.expect(0).stdout;
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert!(lines.len() == 2 && lines[0].starts_with("at,action,") && lines[1].contains(",reported,"), "{csv}");
    let none = server.caducee(&["traces", "search", "--person", "1"]).await.expect(0).stdout;
    assert_eq!(none.trim(), "Nothing is found.");
}

#[tokio::test]
async fn what_is_acknowledged_is_told_and_traced() {
    let server = Server::start().await;
    a_failed_message(&server).await;
    written_down(&server).await;
    let none = server.caducee(&["traces", "acknowledge"]).await.expect(0).stdout;
    assert_eq!(none.trim(), "Nothing was lost.");
    let traces = server.get("/v1/traces?action=administered&limit=1").await.unwrap();
    assert_eq!(traces["traces"][0]["what"], "traces-acknowledged");
    assert!(traces["traces"][0]["actor"]["login"].as_str().unwrap().starts_with("uid "));
}

#[tokio::test]
async fn what_is_changed_in_a_days_file_shows() {
    let server = Server::start().await;
    a_failed_message(&server).await;
    written_down(&server).await;
    let good = server.caducee(&["traces", "verify"]).await.expect(0).stdout;
    assert!(good.contains("functional: 1 days") && good.contains("all as it was written"), "{good}");
    let heads = server.caducee(&["traces", "heads", "--json"]).await.expect(0).json();
    assert_eq!((heads["heads"].as_array().unwrap().len(), heads["public_key"].as_str().unwrap().len()), (0, 64));
    let day = std::fs::read_dir(server.place.join("traces").join("functional")).unwrap();
    let day =
        day.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|it| it == "day")).unwrap();
    let mut bytes = std::fs::read(&day).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&day, bytes).unwrap();
    let bad = server.caducee(&["traces", "verify"]).await.expect(1).stdout;
    assert!(bad.contains("1 problems"), "{bad}");
    assert_eq!(server.post("/v1/traces/verify", json!({"from": "today"})).await.unwrap_err().rule, "bad-field");
    // Nothing can be held against heads that are none.
    let kept = server.place.join("heads.json");
    std::fs::write(&kept, heads.to_string()).unwrap();
    let verify = ["traces", "verify", "--against", kept.to_str().unwrap()];
    assert_ne!(server.caducee(&verify).await.code, 0);
}

#[tokio::test]
async fn a_proof_holds_without_us_and_a_changed_one_does_not() {
    let server = Server::start().await;
    a_failed_message(&server).await;
    let out = server.place.join("proof");
    let traces = server.traces.clone();
    let scribe = tokio::task::spawn_blocking(move || Scribe::start(&traces, options(Vec::new(), 1_000)).unwrap());
    let scribe = scribe.await.unwrap();
    // The command waits for the scribe.
    let command = ["traces", "proof", "abc@aura.mssante.example", "--out", text(&out)];
    let said = server.caducee(&command).await.expect(0).stdout;
    assert!(said.contains("1 steps of <abc@aura.mssante.example>"), "{said}");
    tokio::task::spawn_blocking(move || scribe.stop()).await.unwrap();
    let page = std::fs::read_to_string(out.join("proof.html")).unwrap();
    for part in ["expéditeur informé", "non remis", "BEGIN PUBLIC KEY", "python3 verify.py proof.json", "pas close"] {
        assert!(page.contains(part), "no `{part}` in:\n{page}");
    }
    let unknown = server.caducee(&["traces", "proof", "unknown@x", "--out", text(&out)]).await.expect(1);
    assert!(unknown.stderr.contains("[rule no-such-message"), "{}", unknown.stderr);
    // It names people, and is not written over.
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files = ["proof.json", "proof.html", "verify.py"].map(|name| mode(&out.join(name)));
    assert_eq!((mode(&out), files), (0o700, [0o600; 3]));
    let again = server.caducee(&command).await.expect(1).stderr;
    assert!(again.contains("File exists"), "{again}");
    let key = server.caducee(&["traces", "heads", "--pem"]).await.expect(0).stdout;
    std::fs::write(out.join("KEY.pem"), &key).unwrap();
    if !(is_there("python3").await && is_there("openssl").await) {
        return;
    }
    // What may be changed of it: tests/admin/evidence.rs.
    let arguments = ["verify.py", "proof.json", "KEY.pem"].map(|name| text(&out.join(name)).to_owned());
    let good = run("python3", &arguments, "", None).await.expect(0).stdout;
    assert!(
        good.contains("Z reported {") && good.contains("\nOK: 1 steps") && !good.contains("the proof's own"),
        "{good}"
    );
}

#[tokio::test]
async fn that_nothing_is_known_is_said_only_where_all_was_read() {
    let server = Server::start().await;
    a_failed_message(&server).await;
    written_down(&server).await;
    let day = std::fs::read_dir(server.place.join("traces").join("functional")).unwrap();
    let day =
        day.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|it| it == "day")).unwrap();
    let mut bytes = std::fs::read(&day).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&day, bytes).unwrap();
    for way in ["/v1/follow", "/v1/traces/proof"] {
        let refused = server.get(&format!("{way}?message-id=abc@aura.mssante.example")).await.unwrap_err();
        assert_eq!((refused.rule.as_str(), refused.status), ("traces-unreadable", 503), "{way}");
        assert!(refused.detail.contains("from octet"), "{}", refused.detail);
        // Of another message nothing stands in that block.
        let unknown = server.get(&format!("{way}?message-id=unknown@x")).await.unwrap_err();
        assert_eq!(unknown.rule, "no-such-message", "{way}");
    }
    // What came since is found, and it is said that there may be more.
    let steps = [Trace {
        message: Some(MessageFacts { message_id: "<abc@aura.mssante.example>".into(), ..MessageFacts::default() }),
        ..Trace::of(Action::Handled { handling: "held".into() })
    }];
    server.registry.room().traces().write(steps).await.unwrap();
    let followed = server.caducee(&["follow", "abc@aura.mssante.example"]).await.expect(5);
    assert!(followed.stdout.contains("held") && followed.stderr.contains("cannot be read"), "{followed:?}");
    written_down(&server).await;
    let out = server.place.join("proof");
    let proof = server.caducee(&["traces", "proof", "abc@aura.mssante.example", "--out", text(&out)]).await.expect(5);
    assert!(proof.stdout.contains("1 steps of") && proof.stderr.contains("There may be further steps"), "{proof:?}");
}

#[tokio::test]
async fn a_search_that_is_cut_says_how_it_goes_on() {
    let server = Server::start().await;
    let logins = (0..3).map(|_| Trace::of(Action::LoggedIn));
    server.registry.room().traces().write(logins).await.unwrap();
    let search = ["traces", "search", "--action", "logged-in", "--format", "csv", "--limit"];
    let moments = |csv: &str| csv.lines().skip(1).map(|line| line[..27].to_owned()).collect::<Vec<_>>();
    for (order, edge) in [([].as_slice(), "--to"), (&["--oldest-first"], "--from")] {
        let cut = server.caducee(&[&search[..], &["2"], order].concat()).await.expect(0);
        let [_, last] = moments(&cut.stdout).try_into().unwrap();
        assert!(cut.stderr.contains(&format!("`{edge} {last}` goes on")), "{}", cut.stderr);
        let rest = server.caducee(&[&search[..], &["2", edge, &last], order].concat()).await.expect(0);
        assert_eq!((&moments(&rest.stdout)[0], rest.stderr.as_str()), (&last, ""));
    }
}

/// Somebody who cannot count, so that the scribe cannot go on.
struct Trouble;

impl Observer for Trouble {
    fn observe(&mut self, _trace: &Trace) {}
    fn put_into(&mut self, _store: &Store, _batch: &mut Batch) -> Result<(), StoreError> {
        Err(StoreError::Stopped)
    }
}

#[tokio::test]
async fn nothing_is_changed_while_it_could_not_be_traced() {
    let server = Server::start().await;
    let traces = server.traces.clone();
    let start = move || Scribe::start(&traces, options(vec![Box::new(Trouble)], 3)).unwrap();
    let scribe = tokio::task::spawn_blocking(start).await.unwrap();
    let mailbox = server.mailbox("camille").await;
    let tracer = server.registry.room().traces().clone();
    tracer.write((0..9).map(|_| Trace::of(Action::LoggedIn))).await.unwrap();
    while !tracer.is_stuck() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.file(&mailbox, "", "Subject: x\r\n\r\ny\r\n").await.unwrap_err().rule, "unavailable");
    let suspend = server.send(Method::POST, &format!("/v1/mailboxes/{mailbox}/suspend"), json!({})).await;
    assert_eq!(suspend.unwrap_err().status, 503);
    // What is merged in beside, too; on a better day it says that nothing is published.
    let order = json!({ "address": mailbox });
    let publish = || server.send(Method::POST, "/v1/directory/publish", order.clone());
    assert_eq!(publish().await.unwrap_err().rule, "unavailable");
    // What is read, and what helps, goes through.
    server.get(&format!("/v1/mailboxes/{mailbox}")).await.unwrap();
    server.post("/v1/reload", json!(null)).await.unwrap();
    server.post("/v1/traces/verify", json!({})).await.unwrap();
    tokio::task::spawn_blocking(move || scribe.stop()).await.unwrap();
    written_down(&server).await;
    assert!(!tracer.is_stuck());
    assert_eq!(publish().await.unwrap_err().rule, "directory-off");
    server.file(&mailbox, "", "Subject: x\r\n\r\ny\r\n").await.unwrap();
}
