//! Input that no client of ours sends. Each is answered with a problem or a closed connection, and the server goes on.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::harness::Server;

/// Sends bytes as they are and reads until the server closes.
async fn converse(server: &Server, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(server.socket()).await.unwrap();
    // The server may have answered and closed before it has read all.
    let _closed_early = stream.write_all(bytes).await;
    let _closed = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    let _reset = read.expect("the server closes in time");
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(body: &[u8], more: &str) -> Vec<u8> {
    let head = format!(
        "POST /v1/mailboxes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n{more}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn sized(body: &[u8]) -> Vec<u8> {
    post(body, &format!("Content-Length: {}\r\n", body.len()))
}

#[tokio::test]
async fn hostile_bodies_are_refused() {
    let server = Server::start().await;
    let deep = format!("{{\"holder\":{}", "{\"title\":".repeat(20_000));
    let nested = format!("[{}", "[".repeat(200_000));
    let huge = vec![b'x'; 2 << 20];
    let mut chunked = Vec::new();
    for _ in 0..64 {
        chunked.extend_from_slice(b"2000\r\n");
        chunked.extend_from_slice(&[b' '; 0x2000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    for (name, request, expected) in [
        ("huge", sized(&huge), "413"),
        ("huge in chunks", post(&chunked, "Transfer-Encoding: chunked\r\n"), "413"),
        ("bad UTF-8", sized(b"{\"address\":\"\xc3\x28@x.example\",\"kind\":\"PER\"}"), "400"),
        ("a lone surrogate", sized(br#"{"address":"\ud800@x.example","kind":"PER"}"#), "400"),
        ("nesting", sized(nested.as_bytes()), "422"),
        ("deep objects", sized(deep.as_bytes()), "422"),
        ("two values", sized(br#"{"address":"a@x.example","kind":"PER"}{}"#), "400"),
        ("a number too large", sized(br#"{"address":"a@x.example","kind":"PER","quota":1e400}"#), "4"),
        ("the same field twice", sized(br#"{"address":"a@x.example","kind":"PER","kind":"ORG"}"#), "422"),
        ("cut off", post(b"{\"address\":", "Content-Length: 400\r\n"), ""),
        ("nothing", sized(b""), "400"),
        ("both lengths", post(b"0\r\n\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), ""),
        ("a bad chunk", post(b"zz\r\n", "Transfer-Encoding: chunked\r\n"), ""),
    ] {
        let answer = converse(&server, &request).await;
        if !expected.is_empty() {
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{name}: {answer}");
            assert!(answer.contains("application/problem+json"), "{name}: {answer}");
        }
        assert!(!answer.starts_with("HTTP/1.1 2"), "{name}: {answer}");
        server.get("/v1/status").await.unwrap_or_else(|problem| panic!("after {name}: {problem:?}"));
    }
    assert_eq!(server.get("/v1/status").await.unwrap()["mailboxes"], 0);
}

#[tokio::test]
async fn hostile_heads_are_refused() {
    let server = Server::start().await;
    let long = format!("GET /v1/{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(300_000));
    let many: String = (0..5000).map(|n| format!("X-{n}: y\r\n")).collect();
    for (name, request) in [
        ("no HTTP", b"EHLO example\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("NUL", b"\0\0\0\0\r\n\r\n".to_vec()),
        ("a long path", long.into_bytes()),
        ("many fields", format!("GET /v1/status HTTP/1.1\r\n{many}\r\n").into_bytes()),
        ("a bad escape", b"GET /v1/mailboxes/%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec()),
        ("a path upward", b"GET /v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec()),
    ] {
        let answer = converse(&server, &request).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{name}: {answer}");
        server.get("/v1/status").await.unwrap_or_else(|problem| panic!("after {name}: {problem:?}"));
    }
}

#[tokio::test]
async fn a_message_that_breaks_off_is_not_filed() {
    let server = Server::start().await;
    let address = server.mailbox("camille").await;
    let head = format!(
        "POST /v1/mailboxes/{address}/messages HTTP/1.1\r\nHost: x\r\nContent-Type: message/rfc822\r\nContent-Length: 5000\r\n\r\n"
    );
    let answer = converse(&server, &[head.as_bytes(), b"Subject: x\r\n\r\nhalf"].concat()).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert!(server.listed(&address, "INBOX").await.is_empty());
    assert_eq!(server.get(&format!("/v1/mailboxes/{address}")).await.unwrap()["used_bytes"], 0);
}

#[tokio::test]
async fn addresses_that_are_none_lead_nowhere() {
    let server = Server::start().await;
    for address in
        ["%00", "..", "a@b@c", "%22%20%22@aura.mssante.example", "%F0%9F%A6%80", "@", "x".repeat(5000).as_str()]
    {
        let problem = server.get(&format!("/v1/mailboxes/{address}")).await.unwrap_err();
        assert!(matches!(problem.status, 404 | 422), "{address}: {problem:?}");
    }
}
