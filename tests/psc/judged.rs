//! What a token is worth when Pro Santé Connect is asked, and what is remembered of it.

use caducee::accounts::psc::{Psc, PscError, TokenRefusal, Trouble};
use caducee::wire::sasl::Secret;
use serde_json::json;

use crate::fake::{Authority, Fake, LEA, Signer, access, advance, changed, verify};

fn refused<T: std::fmt::Debug>(outcome: Result<T, PscError>) -> TokenRefusal {
    match outcome {
        Err(PscError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_token_tells_its_person_and_is_asked_about_once_on_one_connection() {
    let fake = Fake::start().await;
    fake.knows("good", json!({}));
    let psc = fake.client(|_| ());
    for _ in 0..3 {
        let lea = verify(&psc, "good").await.unwrap();
        assert_eq!((lea.national_id.as_str(), lea.given_name.as_deref()), (LEA, Some("LÉA")));
    }
    let asked = fake.asked("/introspect");
    assert_eq!((asked.len(), fake.connections()), (1, 1));
    // RFC 6749 §2.3.1: both parts are form-encoded before they are joined: `caducee:s3cr%3Aet`.
    assert_eq!(asked[0].authorization, "Basic Y2FkdWNlZTpzM2NyJTNBZXQ=");
    assert_eq!(asked[0].body, "token=good&token_type_hint=access_token");
    assert!(fake.asked("/userinfo").is_empty());
}

#[tokio::test]
async fn without_a_secret_the_client_certificate_says_who_we_are_where_that_is_asked_for() {
    let fake = Fake::start().await;
    fake.knows("good", json!({}));
    let psc = fake.client(|options| {
        options.client_secret = None;
        options.identity = Some(fake.authority.issue("caducee.example"));
    });
    verify(&psc, "good").await.unwrap();
    let asked = &fake.asked("/introspect-mtls")[0];
    assert!(asked.with_certificate && asked.authorization.is_empty(), "{asked:?}");
    assert_eq!(asked.body, "token=good&token_type_hint=access_token&client_id=caducee");
    assert!(fake.asked("/introspect").is_empty());
}

#[tokio::test]
async fn the_national_id_is_asked_for_where_the_token_lacks_it() {
    let fake = Fake::start().await;
    let sub = "f:550dc1c8:899700000001";
    for (token, userinfo) in [
        ("good", json!({ "sub": sub, "SubjectNameID": LEA, "family_name": "PETIT" })),
        ("another", json!({ "sub": "f:550dc1c8:899700000002", "SubjectNameID": "899700000002" })),
        ("nobody", json!({ "sub": sub, "family_name": "PETIT" })),
    ] {
        fake.knows(token, json!({ "SubjectNameID": null }));
        fake.tells(token, userinfo);
    }
    fake.knows("withdrawn", json!({ "SubjectNameID": null }));
    let psc = fake.client(|_| ());
    assert_eq!(verify(&psc, "good").await.unwrap().national_id, LEA);
    assert_eq!(fake.asked("/userinfo")[0].authorization, "Bearer good");
    let another = verify(&psc, "another").await;
    assert!(matches!(another, Err(PscError::Unavailable(Trouble::Nonsense(_)))), "{another:?}");
    assert_eq!(refused(verify(&psc, "nobody").await), TokenRefusal::Nobody);
    assert_eq!(refused(verify(&psc, "withdrawn").await), TokenRefusal::Inactive);
}

#[tokio::test]
async fn each_bad_token_is_refused_for_its_own_reason() {
    let fake = Fake::start().await;
    let now = crate::fake::now();
    let psc = fake.client(|options| options.audience = vec!["mssante".into()]);
    for (name, changes, wanted) in [
        ("inactive", json!({ "active": false }), TokenRefusal::Inactive),
        ("expired", json!({ "exp": now - 30 }), TokenRefusal::Expired),
        ("early", json!({ "nbf": now + 40 }), TokenRefusal::NotYetValid),
        ("issuer", json!({ "iss": "https://evil.example" }), TokenRefusal::Issuer),
        ("weak", json!({ "acr": "1" }), TokenRefusal::Weak),
        ("refresh", json!({ "typ": "Refresh" }), TokenRefusal::Kind),
        ("audience", json!({ "aud": ["other"] }), TokenRefusal::Audience),
    ] {
        fake.knows(name, changed(json!({ "aud": ["mssante"] }), &changes));
        assert_eq!(refused(verify(&psc, name).await), wanted, "{name}");
    }
    fake.knows("good", json!({ "aud": ["mssante"] }));
    assert_eq!(verify(&psc, "good").await.unwrap().national_id, LEA);
    assert_eq!(refused(verify(&psc, "unknown").await), TokenRefusal::Inactive);
    assert_eq!(refused(verify(&psc, "").await), TokenRefusal::Missing);
    assert_eq!(refused(verify(&psc, &"x".repeat(20_000)).await), TokenRefusal::Malformed);
}

#[tokio::test]
async fn what_a_token_says_of_itself_is_enough_to_refuse_it_unasked_and_never_to_believe_it() {
    let fake = Fake::start().await;
    let (signer, now) = (Signer::new("not among the keys"), crate::fake::now());
    let token = |changes| signer.sign(&changed(access(&fake.issuer), &changes));
    let psc = fake.client(|_| ());
    assert_eq!(refused(verify(&psc, &token(json!({ "iss": "https://evil.example" }))).await), TokenRefusal::Issuer);
    assert_eq!(refused(verify(&psc, &token(json!({ "exp": now - 60 }))).await), TokenRefusal::Expired);
    assert!(fake.asked("/introspect").is_empty(), "another issuer's token is sent nowhere");
    assert_eq!(refused(verify(&psc, &token(json!({}))).await), TokenRefusal::Inactive);
    assert_eq!(fake.asked("/introspect").len(), 1);
}

#[tokio::test]
async fn a_good_token_is_asked_about_again_after_a_while_and_refused_when_it_has_ended() {
    let fake = Fake::start().await;
    fake.knows("good", json!({}));
    let psc = fake.client(|_| ());
    let ask = async |psc: &Psc, wanted: usize| {
        let outcome = verify(psc, "good").await;
        assert_eq!(fake.asked("/introspect").len(), wanted);
        outcome
    };
    ask(&psc, 1).await.unwrap();
    advance(119);
    ask(&psc, 1).await.unwrap();
    advance(1);
    ask(&psc, 2).await.unwrap();
    // Its life, 240 s in all, ends before what is remembered would.
    advance(119);
    ask(&psc, 2).await.unwrap();
    advance(1);
    ask(&psc, 3).await.expect("within the clocks' difference it is good, and asked about each time");
    ask(&psc, 4).await.unwrap();
    advance(30);
    assert_eq!(refused(ask(&psc, 5).await), TokenRefusal::Expired);
    assert_eq!(refused(ask(&psc, 5).await), TokenRefusal::Expired, "a refusal is remembered too");
    advance(10);
    assert_eq!(refused(ask(&psc, 6).await), TokenRefusal::Expired);
}

#[tokio::test]
async fn many_who_send_the_same_token_at_once_ask_once() {
    let fake = Fake::start().await;
    fake.knows("good", json!({}));
    let psc = fake.client(|_| ());
    fake.fails("introspect", crate::fake::Fault::Held);
    let waiting: Vec<_> = (0..500)
        .map(|_| {
            let psc = psc.clone();
            tokio::spawn(async move { psc.verify(&Secret::new("good"), None).await })
        })
        .collect();
    while fake.asked("/introspect").is_empty() {
        tokio::task::yield_now().await;
    }
    fake.release();
    for outcome in waiting {
        assert_eq!(outcome.await.unwrap().unwrap().national_id, LEA);
    }
    assert_eq!((fake.asked("/introspect").len(), fake.asked("configuration").len()), (1, 1));
}

#[tokio::test]
async fn a_server_of_another_authority_gets_no_token() {
    let fake = Fake::start().await;
    let psc = fake.client(|options| options.anchors = Authority::new().roots());
    let outcome = verify(&psc, "good").await;
    assert!(matches!(outcome, Err(PscError::Unavailable(Trouble::Tls(_)))), "{outcome:?}");
    assert!(fake.asked("").is_empty());
}
