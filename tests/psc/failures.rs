//! Pro Santé Connect fails: each fault is told apart from a refusal, nothing goes where it should not, and the breaker opens
//! and closes.

use std::time::Duration;

use caducee::accounts::psc::{Psc, PscError, TokenRefusal, Trouble};
use caducee::wire::sasl::Secret;
use serde_json::json;

use crate::fake::{Fake, Fault, verify};

fn trouble<T: std::fmt::Debug>(outcome: Result<T, PscError>) -> Trouble {
    match outcome {
        Err(PscError::Unavailable(trouble)) => trouble,
        other => panic!("not unavailable: {other:?}"),
    }
}

#[tokio::test]
async fn each_fault_means_try_later_and_is_over_when_it_is_over() {
    let (fake, elsewhere) = (Fake::start().await, Fake::start().await);
    fake.knows("good", json!({}));
    let away = format!("{}/protocol/openid-connect/token/introspect", elsewhere.issuer);
    for (fault, wanted) in [
        (Fault::Status(500), "http-status"),
        (Fault::Status(503), "http-status"),
        (Fault::Status(429), "http-status"),
        (Fault::Status(404), "http-status"),
        (Fault::Status(401), "credentials"),
        (Fault::Status(403), "credentials"),
        (Fault::Body(b"<html>maintenance</html>".to_vec()), "nonsense"),
        (Fault::Body(b"{\"active\":\"true\"}".to_vec()), "nonsense"),
        (Fault::Body(b"{}".to_vec()), "nonsense"),
        (Fault::Body(b"{\"active\":true,\"exp\":\"soon\"}".to_vec()), "nonsense"),
        (Fault::Body(vec![b' '; 65 << 10]), "too-large"),
        (Fault::Redirect(302, away.clone()), "redirected"),
        (Fault::Redirect(307, away.clone()), "redirected"),
        (Fault::Reset, "broken"),
    ] {
        let psc = fake.client(|_| ());
        fake.fails("introspect", fault.clone());
        assert_eq!(trouble(verify(&psc, "good").await).name(), wanted, "{fault:?}");
        fake.recovers();
        verify(&psc, "good").await.expect("a trouble is not remembered");
    }
    assert!(elsewhere.asked("").is_empty(), "no redirection is followed");
    let inactive = fake.client(|_| ());
    fake.fails("introspect", Fault::Body(b"{\"active\":false}".to_vec()));
    assert_eq!(verify(&inactive, "good").await, Err(PscError::Refused(TokenRefusal::Inactive)));
}

#[tokio::test]
async fn every_endpoint_that_is_needed_can_fail() {
    let fake = Fake::start().await;
    fake.knows("good", json!({ "SubjectNameID": null }));
    for endpoint in ["wallet-openid-configuration", "introspect", "userinfo"] {
        let psc = fake.client(|_| ());
        fake.fails(endpoint, Fault::Status(500));
        assert_eq!(trouble(verify(&psc, "good").await), Trouble::Status(500), "{endpoint}");
        fake.recovers();
    }
    let psc = fake.client(|_| ());
    fake.fails("wallet-openid-configuration", Fault::Body(b"{}".to_vec()));
    assert_eq!(trouble(verify(&psc, "good").await).name(), "nonsense");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_does_not_answer_is_given_up() {
    let fake = Fake::start().await;
    let silent = fake.client(|options| options.timeout = Duration::from_millis(100));
    fake.fails("", Fault::Held);
    assert_eq!(trouble(verify(&silent, "good").await), Trouble::TimedOut);
    let hurried = fake.client(|options| options.deadline = Duration::from_millis(100));
    assert_eq!(trouble(verify(&hurried, "good").await), Trouble::TimedOut);
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gone = fake.client(|options| options.issuer = format!("https://127.0.0.1:{port}/realms/x"));
    assert_eq!(trouble(verify(&gone, "good").await).name(), "unreachable");
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let fake = Fake::start().await;
    let tries = async |fault: Fault| {
        fake.recovers();
        let psc = fake.client(|options| options.retries = 2);
        verify(&psc, "unknown").await.expect_err("unknown");
        let before = fake.asked("/introspect").len();
        fake.fails("introspect", fault);
        trouble(verify(&psc, "good").await);
        fake.asked("/introspect").len() - before
    };
    assert_eq!(tries(Fault::Status(503)).await, 3);
    assert_eq!(tries(Fault::Status(401)).await, 1);
    assert_eq!(tries(Fault::Status(429)).await, 1, "who is too busy is not asked more");
    assert_eq!(tries(Fault::Body(b"x".to_vec())).await, 1);
    assert!(tries(Fault::Reset).await >= 3);
}

#[tokio::test]
async fn a_kept_connection_that_was_cut_meanwhile_costs_no_login() {
    let fake = Fake::start().await;
    let psc = fake.client(|_| ());
    for n in 0..5 {
        fake.knows(&format!("good{n}"), json!({}));
        verify(&psc, &format!("good{n}")).await.expect("though nothing is tried again");
        fake.cut();
    }
}

/// Asks until the outcome is not [`Trouble::Resting`].
async fn after_the_pause(psc: &Psc, token: &str) -> Result<(), PscError> {
    loop {
        match verify(psc, token).await {
            Err(PscError::Unavailable(Trouble::Resting)) => tokio::time::sleep(Duration::from_millis(20)).await,
            outcome => return outcome.map(drop),
        }
    }
}

#[tokio::test]
async fn the_breaker_opens_after_failures_in_a_row_and_closes_when_one_request_succeeds() {
    let fake = Fake::start().await;
    let psc = fake.client(|options| {
        options.breaker_failures = 3;
        options.breaker_pause = Duration::from_millis(300);
    });
    fake.knows("known", json!({}));
    fake.knows("good", json!({}));
    verify(&psc, "known").await.unwrap();
    fake.fails("introspect", Fault::Status(500));
    for n in 0..3 {
        assert_eq!(trouble(verify(&psc, &format!("t{n}")).await), Trouble::Status(500));
    }
    let asked = fake.asked("").len();
    for n in 0..50 {
        assert_eq!(trouble(verify(&psc, &format!("u{n}")).await), Trouble::Resting);
    }
    assert_eq!(fake.asked("").len(), asked, "nothing is asked");
    verify(&psc, "known").await.expect("what is remembered needs nobody");
    assert_eq!(after_the_pause(&psc, "v").await, Err(PscError::Unavailable(Trouble::Status(500))), "the probe");
    assert_eq!(fake.asked("").len(), asked + 1);
    assert_eq!(trouble(verify(&psc, "w").await), Trouble::Resting, "open again");
    fake.recovers();
    assert_eq!(after_the_pause(&psc, "good").await, Ok(()));
    for n in 0..10 {
        fake.knows(&format!("good{n}"), json!({}));
        verify(&psc, &format!("good{n}")).await.expect("closed");
    }
}

#[tokio::test]
async fn refusals_and_mistakes_of_ours_do_not_open_the_breaker() {
    let fake = Fake::start().await;
    let psc = fake.client(|options| options.breaker_failures = 2);
    for n in 0..5 {
        let refused = psc.verify(&Secret::new(format!("unknown{n}")), None).await;
        assert_eq!(refused, Err(PscError::Refused(TokenRefusal::Inactive)));
    }
    for status in [401, 400, 404] {
        fake.fails("introspect", Fault::Status(status));
        for n in 0..3 {
            assert_ne!(trouble(verify(&psc, &format!("{status} {n}").replace(' ', "-")).await), Trouble::Resting);
        }
    }
    fake.recovers();
    fake.knows("good", json!({}));
    verify(&psc, "good").await.unwrap();
}
