//! What no trace ever holds: subjects, bodies, names of folders, passwords, search texts. Sessions say a mark at every place
//! where a client, an author or an administrator can write something of their own; then all that was written down is read.

use hyper::Method;
use serde_json::{Value, json};

use crate::harness::{MAILBOX, Server};
use crate::scene::{Api, traces, until};

/// One mark for each place, all beginning alike.
fn mark(place: &str) -> String {
    format!("tatouage-{place}")
}

fn letter() -> String {
    let (subject, body, id, file) = (mark("sujet"), mark("corps"), mark("identifiant"), mark("fichier"));
    format!(
        "From: \"{}\" <rene@autre.mssante.example>\nTo: {MAILBOX}\nSubject: {subject}\nMessage-ID: <{id}@x>\n\
         Date: Tue, 17 Nov 2026 10:00:00 +0100\nX-Note: {}\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8; name=\"{file}\"\n\n{body}\n",
        mark("auteur"),
        mark("champ"),
    )
}

#[tokio::test]
async fn no_trace_holds_a_subject_a_body_a_folders_name_a_password_or_what_was_searched_for() {
    let server = Server::start().await;
    let api = Api::of(&server);
    server.deliver(&letter()).await;
    let (folder, password) = (mark("dossier"), mark("mot-de-passe-assez-long"));
    let mut client = server.connect(true).await;
    client.refused(&format!("LOGIN {} {}", mark("inconnu@x.example"), mark("essai")), "NO").await;
    client.refused(&format!("LOGIN {MAILBOX} {}", mark("essai")), "NO").await;
    let by_token = format!("n,a={},\x01auth=Bearer {}\x01\x01", mark("personne"), mark("jeton"));
    let by_token = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, by_token);
    client.command(&format!("AUTHENTICATE OAUTHBEARER {by_token}")).await;
    let set = json!({"password": {"set": password}});
    api.send(Method::PUT, &format!("/v1/mailboxes/{MAILBOX}/password"), set).await;
    client.ok(&format!("LOGIN {MAILBOX} {password}")).await;
    client.ok(&format!("ID (\"name\" \"{}\")", mark("programme"))).await;
    for line in [
        format!("CREATE {folder}"),
        format!("SUBSCRIBE {folder}"),
        "SELECT INBOX".into(),
        "FETCH 1 (ENVELOPE BODY[])".into(),
        format!("SEARCH OR TEXT {} SUBJECT {}", mark("corps"), mark("sujet")),
        format!("STORE 1 +FLAGS ({})", mark("motcle")),
        format!("COPY 1 {folder}"),
        format!("SELECT {folder}"),
        "FETCH 1 BODY[TEXT]".into(),
        "STORE 1 +FLAGS (\\Deleted)".into(),
        "EXPUNGE".into(),
        format!("RENAME {folder} {folder}-2"),
    ] {
        client.ok(&line).await;
    }
    client.append(&format!("{folder}-2"), "", &letter()).await;
    client.ok("SELECT INBOX").await;
    client.ok(&format!("DELETE {folder}-2")).await;
    client.ok("LOGOUT").await;
    let path = format!("/v1/mailboxes/{MAILBOX}");
    let change = json!({"comment": mark("note"), "notification_address": format!("{}@exemple.fr", mark("avis"))});
    api.send(Method::PATCH, &path, change).await;
    api.send(Method::POST, &format!("{path}/suspend"), json!({"reason": mark("motif")})).await;
    api.send(Method::DELETE, &format!("{path}/password"), Value::Null).await;

    let is_out = |trace: &caducee::audit::Trace| trace.action.name() == "logged-out";
    until(&server.room, |traces| traces.iter().any(is_out)).await;
    let all = traces(&server.room);
    assert!(all.len() > 15, "the session was traced at all: {all:#?}");
    for trace in &all {
        let written = serde_json::to_string(trace).unwrap();
        assert!(!written.contains("tatouage"), "{written}");
    }
}
