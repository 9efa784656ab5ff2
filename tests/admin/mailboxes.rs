//! Mailboxes from their creation to their end, and what opens them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use caducee::accounts::LoginError;
use hyper::Method;
use serde_json::{Value, json};

use crate::harness::{Server, per};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn org(local: &str) -> Value {
    json!({
        "address": format!("{local}@aura.mssante.example"),
        "kind": "org",
        "holder": { "structure_id": "1010000024", "label": "Secrétariat de cardiologie", "entity": "CH exemple" },
        "access_list": [{ "person": "899700000001", "name": "Dr Camille Fontanel", "rights": ["send", "write"] }],
    })
}

/// `value` with `changes` over it.
fn with(mut value: Value, changes: Value) -> Value {
    for (name, change) in changes.as_object().unwrap() {
        value[name] = change.clone();
    }
    value
}

#[tokio::test]
async fn each_kind_is_created_and_shown_as_it_was_asked_for() {
    let server = Server::start().await;
    let created = server
        .post("/v1/mailboxes", with(org("cardio"), json!({ "quota": 5_000_000, "red_list": true })))
        .await
        .unwrap();
    assert_eq!((&created["kind"], &created["state"]), (&json!("ORG"), &json!("open")));
    assert_eq!((&created["quota"], &created["red_list"]), (&json!(5_000_000), &json!(true)));
    assert_eq!(created["access_list"][0]["rights"], json!(["read", "write", "send"]), "who may write may read");
    assert_eq!(created["holder"]["label"], "Secrétariat de cardiologie");
    assert!(created.get("password").is_none());
    assert_eq!(
        server.get("/v1/mailboxes/CARDIO@Aura.MSSante.example").await.unwrap(),
        created,
        "addresses have no case"
    );
    for (kind, local) in [("APP", "labo"), ("CAB", "cabinet"), ("PER", "camille")] {
        let body = match kind {
            "APP" => with(org(local), json!({ "kind": kind, "access_list": [] })),
            _ => with(per(local), json!({ "kind": kind })),
        };
        assert_eq!(server.post("/v1/mailboxes", body).await.unwrap()["kind"], kind);
    }
    let folders = server.get("/v1/mailboxes/cardio@aura.mssante.example/folders").await.unwrap();
    let uses: BTreeSet<_> =
        folders["folders"].as_array().unwrap().iter().filter_map(|f| f["special_use"].as_str()).collect();
    assert_eq!(uses, BTreeSet::from(["\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"]));
}

#[tokio::test]
async fn what_cannot_be_a_mailbox_is_refused_with_rule_and_field() {
    let server = Server::start().await;
    server.post("/v1/mailboxes", per("taken")).await.unwrap();
    for (change, status, rule, field) in [
        (json!({ "address": "taken@aura.mssante.example" }), 409, "address-taken", "address"),
        (json!({ "address": "TAKEN@aura.mssante.example" }), 409, "address-taken", "address"),
        (json!({ "address": "x@other.example" }), 422, "domain-not-own", "address"),
        (json!({ "address": "no address" }), 422, "bad-field", "address"),
        (json!({ "address": "\"quoted words\"@aura.mssante.example" }), 422, "bad-field", "address"),
        (json!({ "kind": "VIP" }), 422, "bad-field", "kind"),
        (json!({ "holder": {} }), 422, "holder-incomplete", "holder"),
        (json!({ "holder": { "last_name": "X", "national_id": "12345" } }), 422, "bad-field", "holder.national_id"),
        (json!({ "access_list": [{ "person": "1", "rights": ["all"] }] }), 422, "bad-field", "access_list[0].rights"),
        (json!({ "access_list": [{ "name": "x" }] }), 422, "bad-field", "access_list[0].person"),
        (
            json!({ "access_list": [{ "person": "1", "mailbox": "a@b.example" }] }),
            422,
            "bad-field",
            "access_list[0].person",
        ),
        (
            json!({ "access_list": [{ "mailbox": "nobody@aura.mssante.example" }] }),
            404,
            "no-such-mailbox",
            "access_list[0].mailbox",
        ),
        (json!({ "notification_address": "nobody" }), 422, "bad-field", "notification_address"),
        (json!({ "quota": -1 }), 422, "bad-field", "quota"),
        (json!({ "allow_password": true, "password": { "set": "court" } }), 422, "password-too-weak", "password"),
        (json!({ "colour": "red" }), 422, "bad-field", "colour"),
    ] {
        let body = with(per("new"), change.clone());
        let problem = server.post("/v1/mailboxes", body).await.unwrap_err();
        let seen = (problem.status, problem.rule.as_str(), problem.field.as_deref());
        assert_eq!(seen, (status, rule, Some(field)), "{change}: {}", problem.detail);
    }
    let left = server.get("/v1/mailboxes?search=new@").await.unwrap();
    assert_eq!(left["mailboxes"], json!([]), "a refused mailbox is not half there");
}

#[tokio::test]
async fn a_list_comes_in_pages_and_by_filters() {
    let server = Server::start().await;
    for number in 0..25 {
        let changes = json!({ "test": number % 5 == 0 });
        server.post("/v1/mailboxes", with(per(&format!("m{number:02}")), changes)).await.unwrap();
    }
    server.post("/v1/mailboxes", org("cardio")).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/v1/mailboxes?kind=PER&limit=10{after}")).await.unwrap();
        seen.extend(page["mailboxes"].as_array().unwrap().iter().map(|m| m["address"].as_str().unwrap().to_owned()));
        match page.get("next_after") {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let expected: Vec<_> = (0..25).map(|number| format!("m{number:02}@aura.mssante.example")).collect();
    assert_eq!(seen, expected, "every one once, in order");
    let count = async |query: &str| {
        let page = server.get(&format!("/v1/mailboxes?{query}")).await.unwrap();
        page["mailboxes"].as_array().unwrap().len()
    };
    assert_eq!(count("test=true").await, 5);
    assert_eq!(count("kind=ORG&state=open").await, 1);
    assert_eq!(count("state=suspended").await, 0);
    assert_eq!(count("search=CARDIOLOGIE").await, 1);
    assert_eq!(count("domain=aura.mssante.example&limit=1000").await, 26);
    for (query, field) in [
        ("limit=0", "?limit"),
        ("limit=1001", "?limit"),
        ("state=new", "?state"),
        ("kind=X", "?kind"),
        ("domain=-", "?domain"),
        ("colour=red", "?"),
    ] {
        let problem = server.get(&format!("/v1/mailboxes?{query}")).await.unwrap_err();
        assert_eq!((problem.rule.as_str(), problem.field.as_deref()), ("bad-field", Some(field)), "{query}");
    }
}

#[tokio::test]
async fn a_change_touches_what_it_names_and_null_clears() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    let way = format!("/v1/mailboxes/{address}");
    let before = server.get(&way).await.unwrap();
    let change =
        json!({ "test": true, "quota": 1000, "comment": "à revoir", "holder": { "title": "Dr", "entity": "CH" } });
    let changed = server.send(Method::PATCH, &way, change).await.unwrap();
    assert_eq!(
        (&changed["test"], &changed["quota"], &changed["comment"]),
        (&json!(true), &json!(1000), &json!("à revoir"))
    );
    assert_eq!(changed["holder"]["title"], "Dr");
    assert_eq!(changed["holder"]["last_name"], "Fontanel", "what is not named stays");
    let cleared = json!({ "test": false, "quota": null, "comment": null, "holder": { "title": null, "entity": null } });
    assert_eq!(server.send(Method::PATCH, &way, cleared).await.unwrap(), before);
    for (change, field) in [
        (json!({ "address": "x@y.example" }), "address"),
        (json!({ "kind": "ORG" }), "kind"),
        (json!({ "holder": { "last_name": null } }), "holder"),
        (json!({ "holder": { "rpps": "1" } }), "holder.rpps"),
    ] {
        let problem = server.send(Method::PATCH, &way, change.clone()).await.unwrap_err();
        assert_eq!(problem.field.as_deref(), Some(field), "{change}");
    }
    assert_eq!(server.get(&way).await.unwrap(), before, "a refused change changes nothing");
}

#[tokio::test]
async fn a_suspended_mailbox_takes_nothing_and_loses_nothing() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    let way = format!("/v1/mailboxes/{address}");
    server.file(&address, "", "Subject: x\r\n\r\nbody\r\n").await.unwrap();
    let suspended = server.post(&format!("{way}/suspend"), json!({ "reason": "congé" })).await.unwrap();
    assert_eq!((&suspended["state"], &suspended["state_reason"]), (&json!("suspended"), &json!("congé")));
    let refused = server.file(&address, "", "Subject: x\r\n\r\nbody\r\n").await.unwrap_err();
    assert_eq!((refused.status, refused.rule.as_str()), (409, "wrong-state"));
    let reopened = server.raw(Method::POST, &format!("{way}/reopen"), None, "").await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&reopened).unwrap()["state"], "open", "a body is not needed");
    assert_eq!(server.listed(&address, "INBOX").await.len(), 1);
}

#[tokio::test]
async fn a_closed_mailbox_is_gone_and_its_address_never_comes_back() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    let way = format!("/v1/mailboxes/{address}");
    server.file(&address, "", "Subject: x\r\n\r\nbody\r\n").await.unwrap();
    let unsure =
        server.post(&format!("{way}/close"), json!({ "confirm": "other@aura.mssante.example" })).await.unwrap_err();
    assert_eq!(unsure.field.as_deref(), Some("confirm"));
    assert_eq!(server.post(&format!("{way}/close"), json!({})).await.unwrap_err().rule, "bad-field");
    let closed = server.post(&format!("{way}/close"), json!({ "confirm": address, "reason": "départ" })).await.unwrap();
    assert_eq!((&closed["state"], &closed["used_messages"]), (&json!("closed"), &json!(0)));
    assert_eq!(server.get(&way).await.unwrap()["state"], "closed");
    for (method, path, body) in [
        (Method::POST, format!("{way}/reopen"), json!({})),
        (Method::POST, format!("{way}/close"), json!({ "confirm": address })),
        (Method::PATCH, way.clone(), json!({ "test": true })),
    ] {
        assert_eq!(server.send(method, &path, body).await.unwrap_err().rule, "wrong-state", "{path}");
    }
    assert_eq!(server.get(&format!("{way}/messages")).await.unwrap_err().rule, "wrong-state");
    assert_eq!(server.post("/v1/mailboxes", per("camille")).await.unwrap_err().rule, "address-taken");
}

#[tokio::test]
async fn passwords_are_generated_set_and_removed() {
    let server = Server::start().await;
    let body = with(per("camille"), json!({ "allow_password": true, "password": "generate" }));
    let created = server.post("/v1/mailboxes", body).await.unwrap();
    let address = created["address"].as_str().unwrap();
    let opens = async |password: &str| server.registry.verify_password(address, None, password, None, PEER).await;
    let generated = created["password"].as_str().unwrap();
    opens(generated).await.unwrap();
    assert!(server.get(&format!("/v1/mailboxes/{address}")).await.unwrap().get("password").is_none(), "shown once");

    let way = format!("/v1/mailboxes/{address}/password");
    let set = server.send(Method::PUT, &way, json!({ "password": { "set": "Sésame, ouvre-toi" } })).await.unwrap();
    assert_eq!(set, json!({}), "a chosen password is not repeated");
    opens("Sésame, ouvre-toi").await.unwrap();
    assert!(matches!(opens(generated).await, Err(LoginError::Refused)), "the one before is gone");
    let weak = server.send(Method::PUT, &way, json!({ "password": { "set": "1234" } })).await.unwrap_err();
    assert_eq!(weak.rule, "password-too-weak");
    assert!(!weak.detail.contains("1234"));
    server.raw(Method::DELETE, &way, None, "").await.unwrap();
    assert_eq!(server.get(&format!("/v1/mailboxes/{address}")).await.unwrap()["has_password"], false);

    let strong = server.mailbox("strong").await;
    let way = format!("/v1/mailboxes/{strong}/password");
    let set = server.send(Method::PUT, &way, json!({ "password": "generate" })).await.unwrap();
    let alone = server.registry.verify_password(&strong, None, set["password"].as_str().unwrap(), None, PEER).await;
    assert!(matches!(alone, Err(LoginError::Refused)), "it goes with a workstation's certificate: {alone:?}");
}

#[tokio::test]
async fn certificates_are_bound_listed_and_unbound() {
    let server = Server::start().await;
    let app = with(org("labo"), json!({ "kind": "APP", "access_list": [] }));
    server.post("/v1/mailboxes", app).await.unwrap();
    let way = "/v1/mailboxes/labo@aura.mssante.example/certificates";
    let pem = certificate("Logiciel du laboratoire");
    let bound = server.post(way, json!({ "pem": pem, "label": "labo 1" })).await.unwrap();
    assert_eq!(bound["fingerprint"].as_str().unwrap().len(), 64);
    let by_subject = server.post(way, json!({ "pem": pem, "by_subject": true })).await.unwrap();
    assert!(by_subject["subject"].as_str().unwrap().contains("Logiciel du laboratoire"));
    let structure = server.post(way, json!({ "structure": true })).await.unwrap();
    assert_eq!(structure["structure_id"], "1010000024");
    server.post(way, json!({ "subject": "CN=autre,O=Exemple,C=FR" })).await.unwrap();
    server.post(way, json!({ "fingerprint": "AB:".repeat(31) + "AB" })).await.unwrap();
    let count = async || server.get(way).await.unwrap()["certificates"].as_array().unwrap().len();
    assert_eq!(count().await, 5);
    server.raw(Method::DELETE, &format!("{way}/{}", bound["id"]), None, "").await.unwrap();
    assert_eq!(count().await, 4);
    assert_eq!(
        server.raw(Method::DELETE, &format!("{way}/999"), None, "").await.unwrap_err().rule,
        "no-such-certificate"
    );
    for (body, rule) in [
        (json!({}), "bad-field"),
        (json!({ "structure": true, "fingerprint": "00" }), "bad-field"),
        (json!({ "fingerprint": "00" }), "bad-certificate"),
        (json!({ "pem": "nonsense" }), "bad-certificate"),
        (json!({ "subject": "nonsense" }), "bad-certificate"),
        (json!({ "subject": "CN=x,C=FR", "by_subject": true }), "bad-field"),
    ] {
        assert_eq!(server.post(way, body.clone()).await.unwrap_err().rule, rule, "{body}");
    }
    let person = server.mailbox("camille").await;
    let problem = server.post(&format!("/v1/mailboxes/{person}/certificates"), json!({ "structure": true })).await;
    assert_eq!(problem.unwrap_err().rule, "bad-certificate", "only an APP mailbox is opened by its structure");
}

/// A certificate of nobody's, PEM.
fn certificate(name: &str) -> String {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    parameters.distinguished_name.push(rcgen::DnType::OrganizationName, "Exemple");
    let key = rcgen::KeyPair::generate().unwrap();
    parameters.self_signed(&key).unwrap().pem()
}
