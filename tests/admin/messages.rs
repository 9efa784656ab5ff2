//! Messages: filed one by one and in runs, listed, read back.

use caducee::serve::http::types::{BatchEntry, BatchResult, BatchResults};
use hyper::Method;
use serde_json::json;

use crate::harness::{MESSAGE_LIMIT, Server};

const MESSAGE: &str = "From: a@b.example\r\nSubject: essai\r\n\r\nBonjour\r\n";

#[tokio::test]
async fn a_message_is_filed_listed_and_read_back() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    let filed =
        server.file(&address, "?flags=%5CSeen%20%24Forwarded&date=2024-02-03T04:05:06%2B01:00", MESSAGE).await.unwrap();
    assert_eq!((filed.uid, filed.size), (1, MESSAGE.len() as u64));
    let listed = server.listed(&address, "INBOX").await;
    assert_eq!(
        listed,
        [json!({
            "uid": 1, "size": MESSAGE.len(), "sha256": filed.sha256, "flags": ["\\Seen", "$Forwarded"], "date": "2024-02-03T03:05:06Z"
        })]
    );
    let way = format!("/v1/mailboxes/{address}/messages/1");
    assert_eq!(server.raw(Method::GET, &way, None, "").await.unwrap(), MESSAGE.as_bytes());
    let mailbox = server.get(&format!("/v1/mailboxes/{address}")).await.unwrap();
    assert_eq!((&mailbox["used_messages"], &mailbox["used_bytes"]), (&json!(1), &json!(MESSAGE.len())));
}

#[tokio::test]
async fn a_large_message_comes_back_whole() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    let message = format!("Subject: x\r\n\r\n{}", "0123456789\r\n".repeat(8000));
    assert!(message.len() as u64 <= MESSAGE_LIMIT);
    server.file(&address, "", &message).await.unwrap();
    let read = server.raw(Method::GET, &format!("/v1/mailboxes/{address}/messages/1"), None, "").await.unwrap();
    assert_eq!(read, message.as_bytes());
}

#[tokio::test]
async fn line_ends_of_files_become_those_of_mail() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    let filed = server.file(&address, "", &MESSAGE.replace("\r\n", "\n")).await.unwrap();
    assert_eq!(filed.size, MESSAGE.len() as u64);
    assert_eq!(server.file(&address, "", MESSAGE).await.unwrap().sha256, filed.sha256);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_made() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    server.file(&address, "?folder=Dossiers/%C3%89t%C3%A9%202024", MESSAGE).await.unwrap();
    assert_eq!(server.listed(&address, "Dossiers/Été 2024").await.len(), 1);
    let folders = server.get(&format!("/v1/mailboxes/{address}/folders")).await.unwrap();
    let made =
        folders["folders"].as_array().unwrap().iter().find(|folder| folder["name"] == "Dossiers/Été 2024").unwrap();
    assert_eq!((&made["messages"], &made["unseen"], &made["bytes"]), (&json!(1), &json!(1), &json!(MESSAGE.len())));
}

#[tokio::test]
async fn what_cannot_be_filed_is_refused() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    let too_large = "x".repeat(MESSAGE_LIMIT as usize + 1);
    for (query, message, status, rule) in [
        ("", "", 422, "bad-message"),
        ("", "Subject: x\r\n\r\na\0b\r\n", 422, "bad-message"),
        ("", too_large.as_str(), 413, "message-too-large"),
        ("?flags=%5CRecent", MESSAGE, 422, "bad-field"),
        ("?flags=%C3%A9", MESSAGE, 422, "bad-field"),
        ("?date=hier", MESSAGE, 422, "bad-field"),
        ("?date=1969-12-31T00:00:00Z", MESSAGE, 422, "bad-field"),
        ("?folder=a//b", MESSAGE, 422, "bad-folder-name"),
        ("?folder=", MESSAGE, 422, "bad-folder-name"),
        ("?folder=50%25", MESSAGE, 422, "bad-folder-name"),
        ("?fodler=x", MESSAGE, 422, "bad-field"),
    ] {
        let problem = server.file(&address, query, message).await.unwrap_err();
        assert_eq!((problem.status, problem.rule.as_str()), (status, rule), "{query} {}", problem.detail);
    }
    // Growing by its line ends counts as well, and is only seen on the way.
    let grows = "\n".repeat(MESSAGE_LIMIT as usize - 10);
    assert_eq!(server.file(&address, "", &grows).await.unwrap_err().rule, "message-too-large");
    let way = format!("/v1/mailboxes/{address}/messages");
    let wrong_type = server.raw(Method::POST, &way, Some("text/plain"), MESSAGE).await.unwrap_err();
    assert_eq!((wrong_type.status, wrong_type.rule.as_str()), (415, "bad-media-type"));
    assert_eq!(server.file("nobody@aura.mssante.example", "", MESSAGE).await.unwrap_err().rule, "no-such-mailbox");
    assert!(server.listed(&address, "INBOX").await.is_empty());
    let gone = server.raw(Method::GET, &format!("{way}/7"), None, "").await.unwrap_err();
    assert_eq!((gone.status, gone.rule.as_str()), (404, "no-such-message"));
    assert_eq!(server.get(&format!("{way}?folder=None")).await.unwrap_err().rule, "no-such-folder");
    assert_eq!(server.get(&format!("{way}?limit=5001")).await.unwrap_err().field.as_deref(), Some("?limit"));
}

#[tokio::test]
async fn a_full_mailbox_takes_no_more() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    server.send(Method::PATCH, &format!("/v1/mailboxes/{address}"), json!({ "quota": 75 })).await.unwrap();
    server.file(&address, "", MESSAGE).await.unwrap();
    let full = server.file(&address, "", MESSAGE).await.unwrap_err();
    assert_eq!((full.status, full.rule.as_str()), (507, "over-quota"));
}

#[tokio::test]
async fn a_folder_is_listed_in_pages() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    let messages: Vec<_> = (0..25).map(|n| (BatchEntry::default(), format!("Subject: {n}\r\n\r\n"))).collect();
    run(&server, &address, &messages).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let page = server.get(&format!("/v1/mailboxes/{address}/messages?limit=10&after={after}")).await.unwrap();
        seen.extend(page["messages"].as_array().unwrap().iter().map(|message| message["uid"].as_u64().unwrap()));
        match page["next_after"].as_u64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(seen, (1..=25).collect::<Vec<_>>());
    let beyond = server.get(&format!("/v1/mailboxes/{address}/messages?after={}", u32::MAX)).await.unwrap();
    assert_eq!(beyond["messages"], json!([]));
}

/// Sends a run; the sizes are filled in.
async fn run(
    server: &Server,
    address: &str,
    messages: &[(BatchEntry, String)],
) -> Result<Vec<BatchResult>, caducee::serve::http::types::ProblemBody> {
    let mut body = Vec::new();
    for (entry, message) in messages {
        let entry = BatchEntry { size: message.len() as u64, ..entry.clone() };
        serde_json::to_writer(&mut body, &entry).unwrap();
        body.push(b'\n');
        body.extend_from_slice(message.as_bytes());
    }
    raw_run(server, address, body).await
}

async fn raw_run(
    server: &Server,
    address: &str,
    body: impl Into<hyper::body::Bytes>,
) -> Result<Vec<BatchResult>, caducee::serve::http::types::ProblemBody> {
    let way = format!("/v1/mailboxes/{address}/messages/batch");
    let answer = server.raw(Method::POST, &way, Some("application/vnd.caducee.messages"), body).await?;
    Ok(serde_json::from_slice::<BatchResults>(&answer).unwrap().results)
}

#[tokio::test]
async fn a_run_is_filed_in_its_order_and_a_bad_message_costs_itself_alone() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    let entry = |folder: Option<&str>, flags: &[&str]| BatchEntry {
        folder: folder.map(str::to_owned),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        ..BatchEntry::default()
    };
    let results = run(
        &server,
        &address,
        &[
            (entry(None, &["\\Seen"]), MESSAGE.into()),
            (entry(None, &["\\Nonsense"]), MESSAGE.into()),
            (entry(Some("Sent"), &[]), MESSAGE.into()),
            (entry(None, &[]), "x".repeat(MESSAGE_LIMIT as usize + 1)),
            (entry(None, &[]), "a\0b".into()),
            (entry(None, &[]), String::new()),
            (entry(Some("a//b"), &[]), MESSAGE.into()),
            (entry(Some("Nouveau"), &["urgent"]), MESSAGE.into()),
            (entry(None, &[]), MESSAGE.into()),
        ],
    )
    .await
    .unwrap();
    let told: Vec<String> = results
        .iter()
        .map(|result| match result {
            BatchResult::Filed(filed) => format!("uid {}", filed.uid),
            BatchResult::Refused(problem) => problem.rule.clone(),
        })
        .collect();
    assert_eq!(
        told,
        [
            "uid 1",
            "bad-field",
            "uid 1",
            "message-too-large",
            "bad-message",
            "bad-message",
            "bad-folder-name",
            "uid 1",
            "uid 2"
        ]
    );
    assert_eq!(server.listed(&address, "INBOX").await.len(), 2);
    assert_eq!(server.listed(&address, "Nouveau").await[0]["flags"], json!(["urgent"]));
}

#[tokio::test]
async fn a_broken_run_is_refused_and_what_was_not_committed_is_not_there() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    for (body, rule) in [
        ("{\"size\":5}\nab", "body-broken"),
        ("{\"size\":2}\nab{\"size\":", "body-broken"),
        ("{\"size\":2}\nabFrom x\n", "bad-json"),
        ("{\"size\":2,\"x\":1}\nab", "bad-json"),
    ] {
        assert_eq!(raw_run(&server, &address, body).await.unwrap_err().rule, rule, "{body}");
    }
    assert!(server.listed(&address, "INBOX").await.is_empty());
    assert_eq!(raw_run(&server, &address, "").await.unwrap(), []);
}

#[tokio::test]
async fn a_long_run_goes_into_several_commits() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    let messages: Vec<_> =
        (0..450).map(|n| (BatchEntry::default(), format!("Subject: {n}\r\n\r\nbody {n}\r\n"))).collect();
    let results = run(&server, &address, &messages).await.unwrap();
    let uids: Vec<u32> = results
        .iter()
        .map(|result| match result {
            BatchResult::Filed(filed) => filed.uid,
            BatchResult::Refused(problem) => panic!("{problem:?}"),
        })
        .collect();
    assert_eq!(uids, (1..=450).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_run_into_a_full_mailbox_tells_which_found_no_room() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    server.send(Method::PATCH, &format!("/v1/mailboxes/{address}"), json!({ "quota": 75 })).await.unwrap();
    let small = "Subject: y\r\n\r\n".to_owned();
    let messages = [MESSAGE.to_owned(), MESSAGE.to_owned(), small].map(|message| (BatchEntry::default(), message));
    let results = run(&server, &address, &messages).await.unwrap();
    assert!(matches!(&results[0], BatchResult::Filed(_)));
    assert!(matches!(&results[1], BatchResult::Refused(problem) if problem.rule == "over-quota"));
    assert!(matches!(&results[2], BatchResult::Filed(_)), "a smaller one still fits");
}
