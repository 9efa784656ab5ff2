//! Who else uses a mailbox, and who is in: the API and its verbs.

use std::net::{IpAddr, Ipv4Addr};

use caducee::accounts::{Ending, SessionTicket};
use hyper::Method;
use serde_json::{Value, json};

use crate::harness::{Server, per};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const SERVICE: &str = "service@aura.mssante.example";
const CAMILLE: &str = "camille@aura.mssante.example";
const PERSON: &str = "899700000001";

/// A professional's mailbox, and a service's.
async fn server() -> Server {
    let server = Server::start().await;
    server.post("/v1/mailboxes", per("camille")).await.unwrap();
    let service = json!({
        "address": SERVICE, "kind": "ORG", "holder": { "structure_id": "1010000024", "label": "Secrétariat" },
    });
    server.post("/v1/mailboxes", service).await.unwrap();
    server
}

fn come_in(server: &Server, address: &str, door: &'static str) -> SessionTicket {
    let login = server.registry.open_for_person(PERSON, address).unwrap();
    server.registry.enter(&login, door, PEER, 10).unwrap()
}

/// Who stands on the list, and what they may do.
fn list(mailbox: &Value) -> Vec<(String, String)> {
    let entries = mailbox["access_list"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let entry = |entry: &Value| {
        let rights: Vec<_> = entry["rights"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        (text(&entry["person"]).or(text(&entry["mailbox"])).unwrap(), rights.join(","))
    };
    entries.map(entry).collect()
}

fn pair(who: &str, rights: &str) -> (String, String) {
    (who.to_owned(), rights.to_owned())
}

#[tokio::test]
async fn persons_and_mailboxes_are_put_on_an_access_list_and_taken_off() {
    let server = server().await;
    let way = format!("/v1/mailboxes/{SERVICE}/access-list");
    let one = server.post(&way, json!({ "person": PERSON, "name": "Dr Fontanel" })).await.unwrap();
    assert_eq!(list(&one), [pair(PERSON, "read,write")], "what is not said is read and write");
    let two = server.post(&way, json!({ "mailbox": CAMILLE.to_uppercase(), "rights": ["manage", "send"] })).await;
    assert_eq!(list(&two.unwrap()), [pair(PERSON, "read,write"), pair(CAMILLE, "read,send,manage")]);
    let changed = server.post(&way, json!({ "person": PERSON, "rights": ["send"] })).await.unwrap();
    assert_eq!(list(&changed), [pair(CAMILLE, "read,send,manage"), pair(PERSON, "send")], "one entry a person");
    let ungrant = async |query: &str| server.raw(Method::DELETE, &format!("{way}{query}"), None, "").await;
    ungrant(&format!("?mailbox={CAMILLE}")).await.unwrap();
    ungrant(&format!("?person={PERSON}")).await.unwrap();
    assert_eq!(list(&server.get(&format!("/v1/mailboxes/{SERVICE}")).await.unwrap()), []);
    for (query, rule) in [
        (format!("?person={PERSON}"), "no-such-grant"),
        ("?mailbox=nobody@aura.mssante.example".into(), "no-such-mailbox"),
        (String::new(), "bad-field"),
        (format!("?person={PERSON}&mailbox={CAMILLE}"), "bad-field"),
    ] {
        assert_eq!(ungrant(&query).await.unwrap_err().rule, rule, "{query}");
    }
    for (grant, field) in [
        (json!({ "person": PERSON, "rights": ["all"] }), "rights"),
        (json!({ "person": "12345" }), "access list"),
        (json!({ "mailbox": SERVICE }), "access_list"),
        (json!({ "person": PERSON, "until": "tomorrow" }), "until"),
        (json!({ "name": "x" }), "person"),
        (json!({ "person": PERSON, "right": "read" }), "right"),
    ] {
        let problem = server.post(&way, grant.clone()).await.unwrap_err();
        assert_eq!((problem.rule.as_str(), problem.field.as_deref()), ("bad-field", Some(field)), "{grant}");
    }
}

#[tokio::test]
async fn access_lists_by_the_verbs() {
    let server = server().await;
    let granted =
        server.caducee(&["mailbox", "grant", SERVICE, PERSON, "--rights", "read,send", "--name", "Dr C"]).await;
    let granted = granted.expect(0).stdout;
    assert!(granted.contains(PERSON) && granted.contains("read,send") && granted.contains("Dr C"), "{granted}");
    server.caducee(&["mailbox", "grant", SERVICE, CAMILLE, "--until", "2040-01-01T00:00:00Z"]).await.expect(0);
    let shown = server.caducee(&["mailbox", "show", SERVICE]).await.expect(0).stdout;
    assert!(shown.contains(&format!("{PERSON} (Dr C) read,send; {CAMILLE} read,write")), "{shown}");
    server.caducee(&["mailbox", "ungrant", SERVICE, PERSON]).await.expect(0);
    let left = server.caducee(&["mailbox", "ungrant", SERVICE, CAMILLE]).await.expect(0).stdout;
    assert_eq!(left, format!("Nobody but its holder uses {SERVICE}.\n"));
    let none = server.caducee(&["mailbox", "ungrant", SERVICE, CAMILLE]).await.expect(1);
    assert!(none.stderr.contains("no-such-grant"), "{}", none.stderr);
    let set = ["mailbox", "set", SERVICE, "--grant", "899700000001:send:Dr C", "--grant", CAMILLE, "--json"];
    let set = server.caducee(&set).await.expect(0).json();
    assert_eq!(list(&set), [pair(PERSON, "send"), pair(CAMILLE, "read,write")]);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_and_by_whose_they_are() {
    let server = server().await;
    server.post(&format!("/v1/mailboxes/{SERVICE}/access-list"), json!({ "person": PERSON })).await.unwrap();
    let own = come_in(&server, CAMILLE, "imap");
    let shared = come_in(&server, SERVICE, "submission");
    let all = server.get("/v1/sessions").await.unwrap();
    let first = &all["sessions"][0];
    assert_eq!(all["sessions"].as_array().unwrap().len(), 2);
    assert_eq!((&first["mailbox"], &first["person"]), (&json!(CAMILLE), &json!(PERSON)));
    assert_eq!((&first["means"], &first["door"]), (&json!("pro-sante-connect"), &json!("imap")));
    assert_eq!((&first["peer"], &first["rights"]), (&json!("192.0.2.7"), &json!(["read", "write", "send", "manage"])));
    let some = server.get(&format!("/v1/sessions?mailbox={SERVICE}")).await.unwrap();
    assert_eq!((&some["sessions"][0]["door"], some["sessions"].as_array().unwrap().len()), (&json!("submission"), 1));

    let delete = async |way: String| {
        let ended = server.raw(Method::DELETE, &way, None, "").await?;
        Ok::<_, caducee::serve::http::types::ProblemBody>(
            serde_json::from_slice::<Value>(&ended).unwrap()["ended"].clone(),
        )
    };
    assert_eq!(delete("/v1/sessions".into()).await.unwrap_err().rule, "bad-field", "nobody ends all by a slip");
    assert_eq!(delete("/v1/sessions/999".into()).await.unwrap_err().rule, "no-such-session");
    assert_eq!(delete(format!("/v1/sessions/{}", own.id())).await.unwrap(), json!(1));
    assert_eq!((own.ended().await, shared.session().ending()), (Ending::Administrator, None));
    assert_eq!(delete(format!("/v1/sessions?mailbox={CAMILLE}&person={PERSON}")).await.unwrap(), json!(0));
    assert_eq!(delete(format!("/v1/sessions?person={PERSON}")).await.unwrap(), json!(1));
    assert_eq!(shared.ended().await, Ending::Administrator);
    drop((own, shared));
    assert_eq!(server.get("/v1/sessions").await.unwrap()["sessions"], json!([]));
}

#[tokio::test]
async fn sessions_by_the_verbs() {
    let server = server().await;
    assert_eq!(server.caducee(&["session", "list"]).await.expect(0).stdout, "Nobody is in.\n");
    let (one, other) = (come_in(&server, CAMILLE, "imap"), come_in(&server, CAMILLE, "imap"));
    let listed = server.caducee(&["session", "list", "--person", PERSON]).await.expect(0).stdout;
    assert!(
        listed.contains(CAMILLE) && listed.contains("192.0.2.7") && listed.contains("pro-sante-connect"),
        "{listed}"
    );
    let ended = server.caducee(&["session", "end", &one.id().to_string()]).await.expect(0);
    assert_eq!((ended.stdout.as_str(), one.ended().await), ("1 session ended.\n", Ending::Administrator));
    let ended = server.caducee(&["session", "end", "--mailbox", CAMILLE, "--json"]).await.expect(0).json();
    assert_eq!((&ended["ended"], other.ended().await), (&json!(1), Ending::Administrator));
    server.caducee(&["session", "end"]).await.expect(2);
    server.caducee(&["session", "end", "77"]).await.expect(1);
    server.caducee(&["session", "end", "77", "--person", PERSON]).await.expect(2);
}

#[tokio::test]
async fn the_status_counts_the_mailboxes_that_a_password_opens_alone() {
    let server = server().await;
    assert_eq!(server.get("/v1/status").await.unwrap()["password_alone"], 0);
    let mark = json!({ "allow_password": true });
    server.send(Method::PATCH, &format!("/v1/mailboxes/{CAMILLE}"), mark).await.unwrap();
    assert_eq!(server.get("/v1/status").await.unwrap()["password_alone"], 1);
    assert!(server.caducee(&["status"]).await.expect(0).stdout.contains("1 mailbox, for tests"));
    let alone = server.caducee(&["mailbox", "list", "--password-alone", "--json"]).await.expect(0).json();
    assert_eq!((&alone["mailboxes"][0]["address"], alone["mailboxes"].as_array().unwrap().len()), (&json!(CAMILLE), 1));
    let others = server.get("/v1/mailboxes?password_alone=false").await.unwrap();
    assert_eq!(
        (&others["mailboxes"][0]["address"], others["mailboxes"].as_array().unwrap().len()),
        (&json!(SERVICE), 1)
    );
    let shown = server.caducee(&["mailbox", "show", CAMILLE]).await.expect(0).stdout;
    assert!(shown.contains("it would open the mailbox ALONE (for tests)"), "{shown}");
}
