//! What a token is worth by its signature, with keys that change, and by both.

use std::time::Duration;

use caducee::accounts::psc::{Judging, PscError, TokenRefusal, Trouble};
use serde_json::json;

use crate::fake::{Fake, Fault, LEA, Signer, access, changed, verify};

fn refused<T: std::fmt::Debug>(outcome: Result<T, PscError>) -> TokenRefusal {
    match outcome {
        Err(PscError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_signature_is_enough_and_each_wrong_claim_is_not() {
    let fake = Fake::start().await;
    let (signer, now) = (Signer::new("one"), crate::fake::now());
    fake.keys(&[&signer]);
    let psc = fake.client(|options| {
        options.judging = Judging::Signature;
        options.audience = vec!["mssante".into()];
    });
    let token = |changes| {
        let claims = changed(access(&fake.issuer), &json!({ "aud": ["account", "mssante"] }));
        signer.sign(&changed(claims, &changes))
    };
    assert_eq!(verify(&psc, &token(json!({}))).await.unwrap().national_id, LEA);
    for (changes, wanted) in [
        (json!({ "iss": "https://evil.example" }), TokenRefusal::Issuer),
        (json!({ "iss": null }), TokenRefusal::Malformed),
        (json!({ "aud": "account" }), TokenRefusal::Audience),
        (json!({ "exp": now - 30 }), TokenRefusal::Expired),
        (json!({ "exp": null }), TokenRefusal::Malformed),
        (json!({ "exp": "2000000000" }), TokenRefusal::Malformed),
        (json!({ "iat": now + 60 }), TokenRefusal::NotYetValid),
        (json!({ "acr": "1" }), TokenRefusal::Weak),
        (json!({ "typ": "ID" }), TokenRefusal::Kind),
    ] {
        assert_eq!(refused(verify(&psc, &token(changes.clone())).await), wanted, "{changes}");
    }
    assert!(fake.asked("/introspect").is_empty());
    assert_eq!(fake.asked("/certs").len(), 1);
}

#[tokio::test]
async fn a_forged_signature_is_refused_and_an_opaque_text_is_no_token() {
    let fake = Fake::start().await;
    let (signer, forger) = (Signer::new("one"), Signer::new("one"));
    fake.keys(&[&signer]);
    let psc = fake.client(|options| options.judging = Judging::Signature);
    assert_eq!(refused(verify(&psc, &forger.sign(&access(&fake.issuer))).await), TokenRefusal::Signature);
    assert_eq!(refused(verify(&psc, "opaque").await), TokenRefusal::Malformed);
    // A good signature of other words.
    let (good, other) = (signer.sign(&access(&fake.issuer)), signer.sign(&json!({})));
    let signature = good.rsplit('.').next().unwrap();
    let moved = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    assert_eq!(refused(verify(&psc, &moved).await), TokenRefusal::Signature);
}

#[tokio::test]
async fn a_new_key_is_found_at_once_and_forgeries_do_not_make_us_look_each_time() {
    let fake = Fake::start().await;
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    fake.keys(&[&old]);
    let psc = fake.client(|options| {
        options.judging = Judging::Signature;
        options.keys_pause = Duration::ZERO;
    });
    verify(&psc, &old.sign(&access(&fake.issuer))).await.unwrap();
    fake.keys(&[&new]);
    verify(&psc, &new.sign(&access(&fake.issuer))).await.expect("the new key was looked for");
    assert_eq!(fake.asked("/certs").len(), 2);
    let late = old.sign(&changed(access(&fake.issuer), &json!({ "jti": "another" })));
    assert_eq!(refused(verify(&psc, &late).await), TokenRefusal::Signature, "a key that was taken away");

    let patient = fake.client(|options| options.judging = Judging::Signature);
    verify(&patient, &new.sign(&access(&fake.issuer))).await.unwrap();
    let before = fake.asked("/certs").len();
    for n in 0..20 {
        let forged = Signer::new(&format!("forged {n}")).sign(&access(&fake.issuer));
        assert_eq!(refused(verify(&patient, &forged).await), TokenRefusal::Signature);
    }
    assert_eq!(fake.asked("/certs").len(), before, "the keys were read less than keys_pause ago");
}

#[tokio::test]
async fn a_token_of_a_key_that_cannot_be_looked_for_is_put_off_and_not_refused() {
    let fake = Fake::start().await;
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    fake.keys(&[&old]);
    let psc = fake.client(|options| {
        options.judging = Judging::Signature;
        options.keys_pause = Duration::ZERO;
    });
    verify(&psc, &old.sign(&access(&fake.issuer))).await.unwrap();
    fake.keys(&[&old, &new]);
    fake.fails("certs", Fault::Status(500));
    let token = new.sign(&access(&fake.issuer));
    assert_eq!(verify(&psc, &token).await, Err(PscError::Unavailable(Trouble::Status(500))));
    let known = old.sign(&changed(access(&fake.issuer), &json!({ "jti": "another" })));
    verify(&psc, &known).await.expect("the keys of before serve");
    fake.recovers();
    verify(&psc, &token).await.expect("nothing was remembered against it");
}

#[tokio::test]
async fn by_both_a_forgery_is_not_asked_about_and_a_withdrawn_token_is_refused() {
    let fake = Fake::start().await;
    let (signer, forger) = (Signer::new("one"), Signer::new("one"));
    fake.keys(&[&signer]);
    let psc = fake.client(|options| options.judging = Judging::Both);
    let (good, withdrawn, another) = (
        signer.sign(&access(&fake.issuer)),
        signer.sign(&changed(access(&fake.issuer), &json!({ "jti": "w" }))),
        signer.sign(&changed(access(&fake.issuer), &json!({ "jti": "a" }))),
    );
    fake.knows(&good, json!({}));
    fake.knows(&another, json!({ "sub": "somebody else" }));
    assert_eq!(refused(verify(&psc, &forger.sign(&access(&fake.issuer))).await), TokenRefusal::Signature);
    assert!(fake.asked("/introspect").is_empty());
    assert_eq!(verify(&psc, &good).await.unwrap().national_id, LEA);
    assert_eq!(refused(verify(&psc, &withdrawn).await), TokenRefusal::Inactive);
    assert_eq!(refused(verify(&psc, &another).await), TokenRefusal::Malformed, "the two do not agree on whose it is");
}
