//! What an administrator does: by the API, with the user whom the kernel names.

use caducee::accounts::SessionId;
use caducee::audit::{Action, Actor, By, FolderKind, MessageFacts, Trace};
use hyper::Method;
use serde_json::{Value, json};

use crate::harness::{MAILBOX, Server, message};
use crate::scene::{Api, Since, told, until};

const OTHER: &str = "lea@aura.mssante.example";

/// What an administrator did, as the traces name it, and on which mailbox.
fn done(traces: &[Trace]) -> Vec<(&str, Option<&str>)> {
    // What it means for a mailbox's life is told beside it.
    let acts = traces.iter().filter(|trace| !matches!(trace.action, Action::Lived { .. }));
    acts.map(|trace| (what(&trace.action), trace.mailbox.as_deref())).collect()
}

#[track_caller]
fn what(action: &Action) -> &str {
    match action {
        Action::Administered { what, .. } => what,
        action => panic!("{action:?}"),
    }
}

#[track_caller]
fn by_this_user(traces: &[Trace]) {
    for trace in traces {
        let login = trace.actor.login.as_deref().unwrap_or_default();
        assert_eq!(trace.actor.by, Some(By::Administrator), "{trace:?}");
        assert!(login.strip_prefix("uid ").is_some_and(|uid| uid.parse::<u32>().is_ok()), "{trace:?}");
        assert_eq!((trace.origin.door.as_str(), &trace.origin.peer), ("admin", &None));
    }
}

#[tokio::test]
async fn everything_that_the_administration_changes_is_written_with_who_did_it() {
    let server = Server::start().await;
    let (api, mut since) = (Api::of(&server), Since::now(&server.room));
    let mailbox = format!("/v1/mailboxes/{OTHER}");
    let post = async |path: String, body: Value| api.send(Method::POST, &path, body).await;
    post("/v1/domains".into(), json!({"name": "autre.mssante.example"})).await;
    let holder = json!({"first_name": "Léa", "last_name": "Lefèvre", "national_id": "899700000001"});
    post("/v1/mailboxes".into(), json!({"address": OTHER, "kind": "PER", "holder": holder, "password": "generate"}))
        .await;
    api.send(Method::PATCH, &mailbox, json!({"red_list": true, "comment": "une note"})).await;
    let grant = json!({"person": "899700000002", "name": "Max", "rights": ["read"]});
    post(format!("{mailbox}/access-list"), grant).await;
    api.send(Method::DELETE, &format!("{mailbox}/access-list?person=899700000002"), Value::Null).await;
    let bound =
        post(format!("{mailbox}/certificates"), json!({"fingerprint": "ab".repeat(32), "label": "Logiciel"})).await;
    api.send(Method::DELETE, &format!("{mailbox}/certificates/{}", bound["id"]), Value::Null).await;
    let device = post(format!("{mailbox}/devices"), json!({"name": "PC"})).await;
    let device = format!("{mailbox}/devices/{}", device["device"]["id"]);
    let renewed = post(format!("{device}/renew"), json!({"at_once": true})).await;
    api.send(Method::DELETE, &format!("{mailbox}/devices/{}", renewed["device"]["id"]), Value::Null).await;
    api.send(Method::DELETE, &format!("{mailbox}/password"), Value::Null).await;
    post(format!("{mailbox}/suspend"), json!({"reason": "un secret"})).await;
    post(format!("{mailbox}/reopen"), Value::Null).await;
    post(format!("{mailbox}/close"), json!({"confirm": OTHER})).await;
    api.send(Method::DELETE, "/v1/domains/autre.mssante.example", Value::Null).await;

    let mut left = since.take();
    by_this_user(&left);
    // What becomes of the mailbox's life is traced beside it.
    left.retain(|trace| !matches!(trace.action, Action::Lived { .. }));
    let on = |what| (what, Some(OTHER));
    let wanted = [
        ("domain-added", None),
        on("mailbox-created"),
        on("password-set"),
        on("mailbox-changed"),
        on("access-granted"),
        on("access-taken"),
        on("certificate-bound"),
        on("certificate-unbound"),
        ("device-authority-made", None),
        on("device-enrolled"),
        on("device-renewed"),
        on("device-revoked"),
        on("password-removed"),
        on("mailbox-suspended"),
        on("mailbox-reopened"),
        on("mailbox-closed"),
        ("domain-removed", None),
    ];
    assert_eq!(done(&left), wanted);
    let fields = |trace: &Trace| match &trace.action {
        Action::Administered { fields, .. } => fields.clone(),
        _ => Vec::new(),
    };
    assert_eq!(fields(&left[3]), ["comment", "red_list"]);
    let written = serde_json::to_string(&left).unwrap();
    assert!(!written.contains("une note") && !written.contains("un secret"), "names of fields, never what is in them");
}

#[tokio::test]
async fn what_is_asked_of_the_server_as_a_whole_is_written_with_who_asked() {
    let server = Server::start().await;
    let inbox = server.registry.take_notices();
    let (api, mut since) = (Api::of(&server), Since::now(&server.room));
    api.send(Method::PATCH, "/v1/domains/aura.mssante.example", json!({"quota": 1_000_000_000})).await;
    api.send(Method::POST, "/v1/terms", json!({"version": "2027-01", "text": "Article 1."})).await;
    api.send(Method::POST, "/v1/notices/maintenance", json!({"text": "Arrêt dimanche."})).await;
    let left = since.take();
    by_this_user(&left);
    let wanted = ["domain-changed", "terms-added", "maintenance-announced"];
    assert_eq!(done(&left), wanted.map(|what| (what, None)));
    let (fields, about) = (vec!["quota".to_owned()], Some("aura.mssante.example".to_owned()));
    assert_eq!(left[0].action, Action::Administered { what: "domain-changed".into(), fields, about });
    drop(inbox);
}

#[tokio::test]
async fn a_session_that_an_administrator_ends_says_by_whom_and_whose_it_was() {
    let server = Server::start().await;
    let api = Api::of(&server);
    let mut client = server.inbox().await;
    let SessionId(number) = server.registry.sessions().list()[0].id;
    let mut since = Since::now(&server.room);
    api.send(Method::DELETE, &format!("/v1/sessions/{number}"), Value::Null).await;
    client.end().await;
    let left = since.take_so_many(2).await;
    let (about, reason) = (Some(number.to_string()), "administrator".to_owned());
    let ended = Action::Administered { what: "session-ended".into(), fields: Vec::new(), about };
    let said = told(&left);
    assert!(said.contains(&ended) && said.contains(&Action::LoggedOut { reason }), "{said:?}");
    by_this_user(&left.into_iter().filter(|trace| trace.action == ended).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_the_administration_gives_out_is_written_before_it_is_given_and_counted() {
    let server = Server::start().await;
    for n in 0..5 {
        server.deliver(&message(&"x".repeat(n))).await;
    }
    let (api, mut since) = (Api::of(&server), Since::now(&server.room));
    let mut client = api.client().await;
    for uid in 1..=5 {
        let path = format!("/v1/mailboxes/{MAILBOX}/messages/{uid}");
        let response = client.raw(Method::GET, &path, None, caducee::cli::client::full("")).await.unwrap();
        let bytes = caducee::cli::client::collect(response.into_body()).await.unwrap();
        assert!(!bytes.is_empty());
        if uid == 1 {
            assert_eq!(told(&since.take()), [Action::Exported { messages: 1 }]);
        }
    }
    assert_eq!(told(&since.take()), [], "they are counted while the connection lasts");
    drop(client);
    let left = since.take_so_many(1).await;
    assert_eq!(told(&left), [Action::Exported { messages: 4 }]);
    by_this_user(&left);
}

#[tokio::test]
async fn what_an_administrator_files_is_written_once_a_run_and_folder() {
    let server = Server::start().await;
    let (api, mut since) = (Api::of(&server), Since::now(&server.room));
    let path = format!("/v1/mailboxes/{MAILBOX}/messages?folder=Archive");
    let body = caducee::cli::client::full(message("un").replace('\n', "\r\n"));
    api.client().await.raw(Method::POST, &path, Some("message/rfc822"), body).await.unwrap();
    let left = since.take();
    assert_eq!(told(&left), [Action::Appended { folder: FolderKind::Archive, messages: 1 }]);
    by_this_user(&left);
}

#[tokio::test]
async fn the_day_of_a_login_is_no_administration() {
    let server = Server::start().await;
    let mut since = Since::now(&server.room);
    let _client = server.login().await;
    let noted = || server.registry.by_id(server.account).unwrap().unwrap().data.last_login_at.is_some();
    while !noted() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    until(&server.room, |traces| traces.iter().any(|trace| trace.action == Action::LoggedIn)).await;
    assert_eq!(told(&since.take()), [Action::LoggedIn]);
}

#[tokio::test]
async fn who_looks_at_whose_traces_is_written_down_and_what_finds_nothing_or_jobs_alone_is_not() {
    let server = Server::start().await;
    let (api, mut since) = (Api::of(&server), Since::now(&server.room));
    let person = Actor { person: Some("899700000001".into()), ..Actor::default() };
    let message = MessageFacts { message_id: "<abc@aura.mssante.example>".into(), ..MessageFacts::default() };
    let handled = Trace::of(Action::Handled { handling: "held".into() });
    let ran = Action::JobRan { job: "sweep".into(), result: "done".into(), detail: String::new() };
    let seen = [
        Trace { mailbox: Some(OTHER.into()), actor: person, ..Trace::of(Action::LoggedIn) },
        Trace { message: Some(message), ..handled },
        Trace::of(ran),
    ];
    server.room.traces().write(seen).await.unwrap();
    since.take();
    let get = async |path: &str| api.send(Method::GET, path, Value::Null).await;
    get("/v1/traces?person=899700000001&from=2020-01-01").await;
    get(&format!("/v1/traces?mailbox={OTHER}&action=logged-in")).await;
    get("/v1/follow?message-id=abc@aura.mssante.example").await;
    get("/v1/traces?person=899700000002").await;
    get("/v1/traces?action=job-ran").await;
    get("/v1/traces/heads").await;
    let left = since.take();
    by_this_user(&left);
    let look = |what: &str, fields: &[&str], about: Option<&str>| Action::Administered {
        what: what.into(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        about: about.map(str::to_owned),
    };
    let wanted = [
        look("traces-searched", &["person", "from"], Some("899700000001")),
        look("traces-searched", &["mailbox", "action"], None),
        look("message-followed", &[], Some("<abc@aura.mssante.example>")),
    ];
    assert_eq!(told(&left), wanted);
    assert_eq!(left[1].mailbox.as_deref(), Some(OTHER));
    // Whose traces they are can find out who looked at them.
    let found = get("/v1/traces?person=899700000001").await;
    assert_eq!(found["traces"][0]["what"], "traces-searched");
    // A message's way is its own: who followed it is no step of it.
    let followed = get("/v1/follow?message-id=abc@aura.mssante.example").await;
    assert_eq!(followed["events"].as_array().map(Vec::len), Some(1));
}
