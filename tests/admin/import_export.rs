//! Import and export through the command line: round trips, repetition, and what goes wrong on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hyper::Method;
use serde_json::{Value, json};

use crate::harness::{MESSAGE_LIMIT, Server, text};

/// Messages that are hard on file formats: folder, flags, date, bytes.
fn hard_messages() -> Vec<(&'static str, &'static str, &'static str, String)> {
    let long_line = "x".repeat(1500);
    vec![
        ("INBOX", "\\Seen", "2020-01-02T03:04:05Z", "Subject: simple\r\n\r\nbody\r\n".into()),
        (
            "INBOX",
            "",
            "2020-01-02T03:04:06Z",
            "Subject: From\r\n\r\nFrom here\r\n>From there\r\n>>From far\r\n\r\n\r\n".into(),
        ),
        (
            "INBOX",
            "\\Flagged $Forwarded",
            "2021-06-07T08:09:10Z",
            "Status: mine\r\nX-Status: also\r\n\r\nbody\r\n".into(),
        ),
        ("INBOX", "\\Seen", "2020-01-02T03:04:05Z", "Subject: simple\r\n\r\nbody\r\n".into()),
        (
            "Sent",
            "\\Seen \\Answered",
            "2022-01-01T00:00:00Z",
            "Subject: =?utf-8?q?=C3=A9t=C3=A9?=\r\n\r\nÉté\r\n".into(),
        ),
        (
            "Archive/2024 & plus",
            "\\Draft urgent",
            "1999-12-31T23:59:59Z",
            format!("Subject: long\r\n\r\n{long_line}\r\n"),
        ),
        ("Dossier à part/..", "\\Deleted", "2024-02-29T12:00:00Z", "X: only a header\r\n\r\n".into()),
        ("a.b", "urgent second", "2024-02-29T12:00:01Z", "Subject: dots\r\n\r\n.\r\n..\r\n".into()),
    ]
}

/// Everything in a mailbox: by folder, the messages with flags, date and bytes, in the order of their UIDs.
async fn whole(server: &Server, address: &str) -> BTreeMap<String, Vec<(Vec<String>, String, String)>> {
    let folders = server.get(&format!("/v1/mailboxes/{address}/folders")).await.unwrap();
    let mut found = BTreeMap::new();
    for folder in folders["folders"].as_array().unwrap() {
        let name = folder["name"].as_str().unwrap();
        let query = format!("?folder={}", escape(name));
        let listed = server.get(&format!("/v1/mailboxes/{address}/messages{query}")).await.unwrap();
        let mut messages = Vec::new();
        for message in listed["messages"].as_array().unwrap() {
            let way = format!("/v1/mailboxes/{address}/messages/{}{query}", message["uid"]);
            let bytes = server.raw(Method::GET, &way, None, "").await.unwrap();
            let mut flags: Vec<String> = serde_json::from_value(message["flags"].clone()).unwrap();
            flags.sort();
            messages.push((flags, message["date"].as_str().unwrap().to_owned(), String::from_utf8(bytes).unwrap()));
        }
        found.insert(name.to_owned(), messages);
    }
    found
}

fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn fill(server: &Server, address: &str) {
    for (folder, flags, date, message) in hard_messages() {
        let query = format!("?folder={}&flags={}&date={}", escape(folder), escape(flags), escape(date));
        server.file(address, &query, &message).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_exported_and_imported_again_is_the_same_to_the_byte() {
    let server = Server::start().await;
    let from = server.mailbox("from").await;
    fill(&server, &from).await;
    let before = whole(&server, &from).await;
    for format in ["maildir", "mbox", "eml"] {
        let directory = server.place.join(format);
        let exported =
            server.caducee(&["export", &from, text(&directory), "--format", format, "--json"]).await.expect(0).json();
        assert_eq!((&exported["exported"], &exported["left_out"]), (&json!(8), &json!([])), "{format}");
        let to = server.mailbox(&format!("to-{format}")).await;
        let imported = server.caducee(&["import", &to, text(&directory), "--json"]).await.expect(0).json();
        assert_eq!((&imported["imported"], &imported["left_out"]), (&json!(8), &json!([])), "{format}");
        let mut after = whole(&server, &to).await;
        let mut expected = before.clone();
        if format == "maildir" {
            // A Maildir has no order of its own: it is read by date.
            for messages in expected.values_mut().chain(after.values_mut()) {
                messages.sort();
            }
        }
        for (folder, messages) in &expected {
            assert_eq!(after.get(folder), Some(messages), "{folder}, {format}");
        }
        assert_eq!(after.len(), expected.len(), "{format}");
    }
}

#[tokio::test]
async fn an_import_that_is_repeated_imports_nothing_twice() {
    let server = Server::start().await;
    let from = server.mailbox("from").await;
    fill(&server, &from).await;
    let directory = server.place.join("out");
    server.caducee(&["export", &from, text(&directory), "--format", "mbox"]).await.expect(0);
    let to = server.mailbox("to").await;
    server.caducee(&["import", &to, text(&directory)]).await.expect(0);
    let once = whole(&server, &to).await;
    let again = server.caducee(&["import", &to, text(&directory), "--json"]).await.expect(0).json();
    assert_eq!((&again["imported"], &again["already_there"]), (&json!(0), &json!(8)));
    assert_eq!(whole(&server, &to).await, once);
    // Cut short: what is missing, and only that, comes with the next run; a message that is there twice is there twice.
    let part = server.mailbox("part").await;
    server.file(&part, "", "Subject: simple\r\n\r\nbody\r\n").await.unwrap();
    let rest = server.caducee(&["import", &part, text(&directory), "--json"]).await.expect(0).json();
    assert_eq!((&rest["imported"], &rest["already_there"]), (&json!(7), &json!(1)));
}

#[tokio::test]
async fn bad_messages_are_named_at_the_end_and_the_others_imported() {
    let server = Server::start().await;
    let to = server.mailbox("to").await;
    let source = server.place.join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("1-good.eml"), "Subject: x\n\nbody\n").unwrap();
    fs::write(source.join("2-nul.eml"), "Subject: x\n\nbo\0dy\n").unwrap();
    fs::write(source.join("3-large.eml"), format!("Subject: x\n\n{}", "x".repeat(MESSAGE_LIMIT as usize))).unwrap();
    fs::write(source.join("4-picture.png"), "\u{89}PNG\r\n").unwrap();
    fs::write(source.join("5-box.mbox"), "From a Sun Nov 22 00:49:54 2026\nSubject: y\n\nbody\n\n").unwrap();
    let ran = server.caducee(&["import", &to, text(&source), "/nowhere", "--json"]).await.expect(5);
    let report = ran.json();
    assert_eq!(report["imported"], 2);
    let left_out: Vec<&str> =
        report["left_out"].as_array().unwrap().iter().map(|l| l["origin"].as_str().unwrap()).collect();
    for name in ["2-nul.eml", "3-large.eml", "4-picture.png", "/nowhere"] {
        assert!(left_out.iter().any(|origin| origin.contains(name)), "{name} in {left_out:?}");
    }
    assert_eq!(left_out.len(), 4);
    let told = server.caducee(&["import", &to, text(&source)]).await.expect(5);
    assert!(told.stdout.contains("Left out (3)") && told.stdout.contains("2 were there already"), "{}", told.stdout);
}

#[tokio::test]
async fn an_import_into_a_full_mailbox_stops_and_says_how_to_go_on() {
    let server = Server::start().await;
    let to = server.mailbox("to").await;
    server.send(Method::PATCH, &format!("/v1/mailboxes/{to}"), json!({ "quota": 30 })).await.unwrap();
    let source = server.place.join("box");
    let message = "From a Sun Nov 22 00:49:54 2026\nSubject: x\n\nbody\n\n";
    fs::write(&source, message.repeat(3)).unwrap();
    let ran = server.caducee(&["import", &to, text(&source)]).await.expect(1);
    assert!(ran.stdout.contains("1 message(s)") && ran.stdout.contains("over-quota"), "{}", ran.stdout);
    assert!(ran.stdout.contains("Run the same import again"), "{}", ran.stdout);
    server.send(Method::PATCH, &format!("/v1/mailboxes/{to}"), json!({ "quota": null })).await.unwrap();
    let rest = server.caducee(&["import", &to, text(&source), "--json"]).await.expect(0).json();
    assert_eq!((&rest["imported"], &rest["already_there"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn a_folder_can_be_chosen_on_both_ways() {
    let server = Server::start().await;
    let from = server.mailbox("from").await;
    fill(&server, &from).await;
    let directory = server.place.join("out");
    let exported =
        server.caducee(&["export", &from, text(&directory), "--format", "eml", "--folder", "Archive", "--json"]).await;
    assert_eq!(exported.expect(0).json()["folders"], 2, "the folder and those below it");
    let to = server.mailbox("to").await;
    server.caducee(&["import", &to, text(&directory), "--folder", "Reprise/Ancien"]).await.expect(0);
    assert_eq!(server.listed(&to, "Reprise/Ancien/Archive/2024%20%26%20plus").await.len(), 1);
    server
        .caducee(&["export", &from, text(&server.place.join("none")), "--format", "eml", "--folder", "Nichts"])
        .await
        .expect(1);
}

#[tokio::test]
async fn an_export_goes_only_into_an_empty_directory_and_is_the_callers_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start().await;
    let from = server.mailbox("from").await;
    fill(&server, &from).await;
    let directory = server.place.join("out");
    server.caducee(&["export", &from, text(&directory), "--format", "eml"]).await.expect(0);
    let again = server.caducee(&["export", &from, text(&directory), "--format", "eml"]).await.expect(1);
    assert!(again.stderr.contains("not empty"), "{}", again.stderr);
    for file in fs::read_dir(directory.join("INBOX")).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "other people's mail is not for everybody's eyes");
    }
    assert_eq!(
        server
            .caducee(&["export", "no@aura.mssante.example", "x", "--format", "eml", "--json"])
            .await
            .expect(1)
            .problem()["rule"],
        "no-such-mailbox"
    );
    assert!(!Path::new("x").exists());
}

#[tokio::test]
async fn many_messages_go_in_runs_and_keep_their_order() {
    let server = Server::start().await;
    let to = server.mailbox("to").await;
    let source = server.place.join("box");
    let mut file = String::new();
    for number in 0..1000 {
        file.push_str(&format!("From a Sun Nov 22 00:49:54 2026\nSubject: {number}\n\nbody\n\n"));
    }
    fs::write(&source, file).unwrap();
    let report: Value = server.caducee(&["import", &to, text(&source), "--json"]).await.expect(0).json();
    assert_eq!(report["imported"], 1000);
    let mut client = server.client().await;
    for (uid, subject) in [(1, 0), (500, 499), (1000, 999)] {
        let way = format!("/v1/mailboxes/{to}/messages/{uid}");
        let answer = client.raw(Method::GET, &way, None, caducee::cli::client::empty()).await.unwrap();
        let bytes = caducee::cli::client::collect(answer.into_body()).await.unwrap();
        assert!(bytes.starts_with(format!("Subject: {subject}\r\n").as_bytes()));
    }
}
