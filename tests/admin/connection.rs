//! Who may come in, and for how long.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use caducee::serve::http::connection::ConnectionLimits;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::harness::{Access, Ran, Server, Surroundings, run};

const NOBODY: u32 = 65_534;

/// Whether this process can run another as somebody else.
fn is_root() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !root {
        eprintln!("skipped: only root can try it as another user");
    }
    root
}

async fn as_nobody(server: &Server) -> Ran {
    let arguments = ["status", "--json", "--socket"].map(str::to_owned).into_iter();
    let arguments: Vec<String> = arguments.chain([server.socket().display().to_string()]).collect();
    run(env!("CARGO_BIN_EXE_caducee"), &arguments, "", Some(NOBODY)).await
}

#[tokio::test]
async fn another_user_does_not_get_past_the_files_permissions() {
    if !is_root() {
        return;
    }
    let server = Server::start().await;
    assert_eq!(std::fs::metadata(server.socket()).unwrap().permissions().mode() & 0o777, 0o600);
    let ran = as_nobody(&server).await.expect(4);
    assert_eq!(ran.problem()["rule"], "unreachable");
}

#[tokio::test]
async fn another_user_does_not_get_past_the_peers_credentials() {
    if !is_root() {
        return;
    }
    // Somebody else's group may come in, so the file is open and the credentials decide.
    let server = Server::start_for(Access { uids: vec![4711], gids: vec![4712], ..Access::default() }).await;
    assert_eq!(std::fs::metadata(server.socket()).unwrap().permissions().mode() & 0o777, 0o666);
    let ran = as_nobody(&server).await.expect(4);
    let problem = ran.problem();
    assert_eq!((&problem["rule"], &problem["status"]), (&json!("peer-not-allowed"), &json!(403)));
    assert!(problem["detail"].as_str().unwrap().contains("65534"));
}

#[tokio::test]
async fn a_user_or_group_that_is_named_may_come_in() {
    if !is_root() {
        return;
    }
    let by_user = Server::start_for(Access { uids: vec![NOBODY], ..Access::default() }).await;
    as_nobody(&by_user).await.expect(0);
    let by_group = Server::start_for(Access { gids: vec![NOBODY], ..Access::default() }).await;
    assert_eq!(std::fs::metadata(by_group.socket()).unwrap().permissions().mode() & 0o777, 0o660);
    as_nobody(&by_group).await.expect(0);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let limits = ConnectionLimits { head: Duration::from_millis(200), ..ConnectionLimits::default() };
    let server = Server::start_for(Access { limits, ..Access::default() }).await;
    let mut silent = UnixStream::connect(server.socket()).await.unwrap();
    let mut half = UnixStream::connect(server.socket()).await.unwrap();
    half.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    for stream in [&mut silent, &mut half] {
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        ended.expect("closed in time").unwrap();
    }
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_their_turn() {
    let limits = ConnectionLimits { connections: 2, ..ConnectionLimits::default() };
    let server = Server::start_for(Access { limits, ..Access::default() }).await;
    let first = UnixStream::connect(server.socket()).await.unwrap();
    let second = UnixStream::connect(server.socket()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let third = server.get("/v1/status");
    let mut third = std::pin::pin!(third);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut third).await.is_err(), "no place yet");
    drop(first);
    tokio::time::timeout(Duration::from_secs(5), &mut third).await.expect("a place is free").unwrap();
    drop(second);
}

#[tokio::test]
async fn a_stop_takes_the_socket_away_and_lets_a_running_request_end() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    let mut slow = UnixStream::connect(server.socket()).await.unwrap();
    let head = format!(
        "POST /v1/mailboxes/{address}/messages HTTP/1.1\r\nHost: x\r\nContent-Type: message/rfc822\r\nContent-Length: 16\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(b"Subject: ").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.stop();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!server.socket().exists());
    slow.write_all(b"x\r\n\r\n..").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), slow.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 201 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn what_was_asked_for_is_done_to_its_end_though_who_asked_hangs_up() {
    let server = Server::start().await;
    let counts = || {
        let Surroundings { reloads_begun, reloads_done, .. } = &*server.surroundings;
        (reloads_begun.load(Ordering::Relaxed), reloads_done.load(Ordering::Relaxed))
    };
    *server.surroundings.reload_takes.lock().unwrap() = Duration::from_millis(500);
    let mut stream = UnixStream::connect(server.socket()).await.unwrap();
    stream.write_all(b"POST /v1/reload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    while counts().0 == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(stream);
    assert_eq!(counts(), (1, 0), "it is under way");
    for _ in 0..200 {
        if counts().1 == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it was cut off: {:?}", counts());
}
