//! Several sessions on one folder, and IDLE.

use std::time::{Duration, Instant};

use caducee::serve::imap::Security;

use super::harness::{Server, message};

#[tokio::test]
async fn idle_tells_a_delivery_at_once() {
    let server = Server::start().await;
    let mut client = server.inbox().await;
    client.send("i IDLE\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    for number in 1..=20 {
        let began = Instant::now();
        server.deliver(&message("news")).await;
        assert_eq!(client.line().await, format!("* {number} EXISTS"));
        assert_eq!(client.line().await, format!("* {number} RECENT"));
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    }
    client.send("DONE\r\nn NOOP\r\n").await;
    assert_eq!(client.line().await, "i OK IDLE ended");
    assert_eq!(client.line().await, "n OK Done");
}

#[tokio::test]
async fn idle_takes_only_done() {
    let server = Server::start().await;
    let mut client = server.inbox().await;
    client.send("i IDLE\r\nNOOP\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    assert_eq!(client.line().await, "i BAD Expected DONE");
    client.send("j IDLE\r\nDO").await;
    assert_eq!(client.line().await, "+ idling");
    server.deliver(&message("news")).await;
    assert_eq!(client.line().await, "* 1 EXISTS");
    client.send("NE\r\n").await;
    assert_eq!(client.line().await, "* 1 RECENT");
    assert_eq!(client.line().await, "j OK IDLE ended");
    let mut early = server.connect(true).await;
    early.refused("IDLE", "BAD Log in first").await;
}

#[tokio::test]
async fn sessions_see_each_others_changes() {
    let server = Server::start().await;
    for subject in ["one", "two", "three"] {
        server.deliver(&message(subject)).await;
    }
    let mut one = server.inbox().await;
    let mut two = server.inbox().await;
    one.ok("STORE 2 +FLAGS (\\Flagged new-word)").await;
    let lines = two.ok("NOOP").await;
    assert!(lines[0].starts_with("* FLAGS (") && lines[0].contains("new-word"), "{lines:?}");
    assert!(lines.contains(&"* 2 FETCH (FLAGS (\\Flagged new-word))".to_owned()), "{lines:?}");
    one.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    one.ok("EXPUNGE").await;
    assert_eq!(two.ok("NOOP").await, ["* 1 EXPUNGE", "OK Done"]);
    two.append("INBOX", "", &message("four")).await;
    assert!(one.ok("CHECK").await.contains(&"* 3 EXISTS".to_owned()));
}

#[tokio::test]
async fn numbers_hold_still_during_fetch_store_and_search() {
    // RFC 3501 §7.4.1
    let server = Server::start().await;
    for subject in ["one", "two", "three"] {
        server.deliver(&message(subject)).await;
    }
    let mut one = server.inbox().await;
    let mut two = server.inbox().await;
    one.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    one.ok("EXPUNGE").await;
    for command in ["FETCH 2 UID", "STORE 2 +FLAGS.SILENT (\\Seen)", "SEARCH SUBJECT two", "SEARCH ALL"] {
        let lines = two.ok(command).await;
        assert!(!lines.iter().any(|line| line.contains("EXPUNGE")), "{command}: {lines:?}");
    }
    assert!(two.ok("FETCH 2 UID").await.contains(&"* 2 FETCH (UID 2)".to_owned()));
    two.refused("FETCH 1 ENVELOPE", "NO [EXPUNGEISSUED]").await;
    two.refused("FETCH 1 BODY[]", "NO [EXPUNGEISSUED]").await;
    let lines = two.ok("UID FETCH 3 FLAGS").await;
    assert!(lines.contains(&"* 1 EXPUNGE".to_owned()), "UID commands may tell: {lines:?}");
}

#[tokio::test]
async fn a_deleted_folder_ends_the_sessions_in_it() {
    let server = Server::start().await;
    let mut one = server.login().await;
    one.ok("CREATE Temp").await;
    let mut two = server.login().await;
    two.ok("SELECT Temp").await;
    one.ok("DELETE Temp").await;
    two.send("n NOOP\r\n").await;
    assert!(two.end().await.contains("* BYE The selected folder was deleted"));
}

#[tokio::test]
async fn a_session_that_waits_is_small() {
    let server = Server::start().await;
    let session = server.session(Box::new(tokio::io::empty()), Security { tls: true, chain: Vec::new() });
    let size = std::mem::size_of_val(&session.run());
    assert!(size < 4096, "{size} bytes of task for each session");
}
