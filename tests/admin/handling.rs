//! Forward and absence notice of a mailbox: set, shown, refused, taken away.

use caducee::mss::Domain;
use caducee::mss::dn::DistinguishedName;
use caducee::mss::whitelist::{Entry, WhiteList};
use hyper::Method;
use serde_json::{Value, json};

use crate::harness::Server;

const WAY: &str = "/v1/mailboxes/zoe@aura.mssante.example";

/// A server with some mailboxes, in a trust space with one other operator and the citizens.
async fn server() -> Server {
    let server = Server::start().await;
    for local in ["zoe", "anne", "parti"] {
        server.mailbox(local).await;
    }
    let entry = |domain| Entry {
        domain: Domain::parse(domain).unwrap(),
        description: String::new(),
        dn: DistinguishedName::parse_text("CN=mx.region.example,C=FR").unwrap().into(),
        responsible: String::new(),
        support: String::new(),
        updated_at: None,
    };
    server.install_list(WhiteList::from_entries(0, ["region.mssante.example", "patient.mssante.fr"].map(entry).into()));
    server
}

async fn set(server: &Server, change: Value) -> Result<Value, (u16, String, Option<String>, String)> {
    let answer = server.send(Method::PATCH, WAY, change).await;
    answer.map_err(|problem| (problem.status, problem.rule, problem.field, problem.detail))
}

#[tokio::test]
async fn what_is_set_is_shown_until_it_is_taken_away() {
    let server = server().await;
    let forward = json!({ "to": ["anne@aura.mssante.example", "marc@region.mssante.example"], "keep_copy": true });
    let absence =
        json!({ "from": "2026-08-01T00:00:00Z", "until": "2026-08-16T00:00:00+02:00", "text": "Absente.\nMerci." });
    let shown = set(&server, json!({ "forward": forward, "absence": absence })).await.unwrap();
    assert_eq!(shown["forward"]["to"], forward["to"]);
    assert_eq!(shown["forward"]["keep_copy"], true);
    let since = shown["forward"]["since"].as_str().unwrap().to_owned();
    let expected = json!({ "from": "2026-08-01T00:00:00Z", "until": "2026-08-15T22:00:00Z", "text": "Absente.\nMerci.",
        "citizens": false });
    assert_eq!(shown["absence"], expected);
    let other = set(&server, json!({ "zero_paper": true })).await.unwrap();
    assert_eq!((&other["forward"], &other["absence"]), (&shown["forward"], &shown["absence"]), "they stay");
    let again = set(&server, json!({ "forward": forward })).await.unwrap();
    assert_eq!(again["forward"]["since"], since, "what does not change keeps its beginning");
    let gone = set(&server, json!({ "forward": null, "absence": null })).await.unwrap();
    assert_eq!((&gone["forward"], &gone["absence"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_forward_that_would_not_do_is_refused_with_its_rule() {
    let server = server().await;
    server.post("/v1/mailboxes/parti@aura.mssante.example/suspend", json!({})).await.unwrap();
    for (to, field, says) in [
        (json!([]), "forward.to", "one to five"),
        (json!(["nobody"]), "forward.to[0]", "no '@'"),
        (json!(["anne@aura.mssante.example", "Anne@aura.mssante.example"]), "forward.to", "each address once"),
        (json!(["zoe@aura.mssante.example"]), "forward.to[0]", "[rule forward-itself]"),
        (json!(["anne@aura.mssante.example", "x@gmail.example"]), "forward.to[1]", "[rule recipient-domain-unlisted]"),
        (json!(["rien@aura.mssante.example"]), "forward.to[0]", "[rule recipient-unknown]"),
        (json!(["parti@aura.mssante.example"]), "forward.to[0]", "[rule recipient-suspended]"),
        (json!(["184127512345678@patient.mssante.fr"]), "forward.to[0]", "[rule forward-citizen]"),
        (json!(["test@region.mssante.example"]), "forward.to[0]", "[rule real-to-test]"),
    ] {
        let refused = set(&server, json!({ "forward": { "to": to } })).await.unwrap_err();
        assert_eq!((refused.0, refused.1.as_str(), refused.2.as_deref()), (422, "bad-field", Some(field)), "{to}");
        assert!(refused.3.contains(says), "{to}: {}", refused.3);
    }
    assert_eq!(server.get(WAY).await.unwrap()["forward"], Value::Null);
}

#[tokio::test]
async fn without_a_white_list_nothing_is_sent_on_to_other_operators_yet() {
    let server = Server::start().await;
    server.mailbox("zoe").await;
    server.mailbox("anne").await;
    let refused = set(&server, json!({ "forward": { "to": ["marc@region.mssante.example"] } })).await.unwrap_err();
    assert_eq!((refused.0, refused.1.as_str()), (503, "unavailable"));
    set(&server, json!({ "forward": { "to": ["anne@aura.mssante.example"] } })).await.unwrap();
}

#[tokio::test]
async fn an_absence_that_would_not_do_is_refused() {
    let server = server().await;
    let (first, last) = ("2026-08-01T00:00:00Z", "2026-08-16T00:00:00Z");
    for (absence, field) in [
        (json!({ "from": last, "until": first, "text": "x" }), "absence"),
        (json!({ "from": first, "until": last, "text": " " }), "absence"),
        (json!({ "from": first, "until": last, "text": "x".repeat(2_001) }), "absence"),
        (json!({ "from": "hier", "until": last, "text": "x" }), "absence.from"),
        (json!({ "from": first, "until": "demain", "text": "x" }), "absence.until"),
    ] {
        let refused = set(&server, json!({ "absence": absence })).await.unwrap_err();
        assert_eq!((refused.0, refused.2.as_deref()), (422, Some(field)), "{absence}");
    }
    assert!(set(&server, json!({ "absence": { "from": first, "until": last } })).await.is_err(), "no text");
}

#[tokio::test]
async fn the_command_line_sets_shows_and_takes_away() {
    let server = server().await;
    let zoe = "zoe@aura.mssante.example";
    let set = ["mailbox", "set", zoe, "--forward-to", "anne@aura.mssante.example", "--forward-keep-copy"];
    server
        .caducee(&[&set[..], &["--absence-text", "Absente", "--absence-until", "2099-08-15"]].concat())
        .await
        .expect(0);
    let shown = server.caducee(&["mailbox", "show", zoe]).await.expect(0).stdout;
    assert!(shown.contains("sent on to") && shown.contains("anne@aura.mssante.example (a copy is kept"), "{shown}");
    assert!(shown.contains("absence") && shown.contains(": Absente"), "{shown}");
    let refused = server.caducee(&["mailbox", "set", zoe, "--forward-to", "x@gmail.example"]).await.expect(1);
    assert!(refused.stderr.contains("recipient-domain-unlisted"), "{}", refused.stderr);
    server.caducee(&["mailbox", "set", zoe, "--no-forward", "--no-absence"]).await.expect(0);
    let shown = server.caducee(&["mailbox", "show", zoe]).await.expect(0).stdout;
    assert!(!shown.contains("sent on to") && !shown.contains("absence"), "{shown}");
}
