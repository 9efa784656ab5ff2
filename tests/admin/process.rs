//! The running server itself, and what holds for every endpoint.

use hyper::Method;
use serde_json::json;

use crate::harness::Server;

#[tokio::test]
async fn status_tells_how_the_server_is() {
    let server = Server::start().await;
    server.mailbox("camille").await;
    let status = server.get("/v1/status").await.unwrap();
    assert_eq!((&status["domains"], &status["mailboxes"]), (&json!(1), &json!(1)));
    assert_eq!((&status["version"], &status["pid"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(std::process::id())));
    assert_eq!(status["trouble"], json!(null));
    *server.surroundings.trouble.lock().unwrap() = Some("the disk is nearly full".into());
    assert_eq!(server.get("/v1/status").await.unwrap()["trouble"], "the disk is nearly full");
}

#[tokio::test]
async fn a_reload_tells_what_it_did_or_why_not() {
    let server = Server::start().await;
    let done = server.raw(Method::POST, "/v1/reload", None, "").await.unwrap();
    assert!(String::from_utf8(done).unwrap().contains("certificates"));
    *server.surroundings.refuse_reload.lock().unwrap() = Some("caducee.toml:3: tls.key: no such file".into());
    let problem = server.raw(Method::POST, "/v1/reload", None, "").await.unwrap_err();
    assert_eq!((problem.status, problem.rule.as_str()), (422, "reload-refused"));
    assert!(problem.detail.contains("tls.key"), "the administrator may know which key it is");
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_problems_too() {
    let server = Server::start().await;
    let path = server.get("/v1/nothing").await.unwrap_err();
    assert_eq!((path.status, path.rule.as_str()), (404, "no-such-endpoint"));
    let method = server.raw(Method::PUT, "/v1/status", None, "").await.unwrap_err();
    assert_eq!((method.status, method.rule.as_str()), (405, "method-not-allowed"));
    let number = server.get("/v1/mailboxes/a@aura.mssante.example/messages/abc").await.unwrap_err();
    assert_eq!((number.status, number.rule.as_str()), (404, "no-such-endpoint"));
}

#[tokio::test]
async fn every_refusal_has_a_reference_of_its_own() {
    let server = Server::start().await;
    let first = server.get("/v1/nothing").await.unwrap_err();
    let second = server.get("/v1/nothing").await.unwrap_err();
    assert!(!first.reference.is_empty());
    assert_ne!(first.reference, second.reference);
}
