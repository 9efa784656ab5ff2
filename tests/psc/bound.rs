//! Tokens that are bound to a certificate (RFC 8705 §3).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use caducee::accounts::psc::{Judging, PscError, TokenRefusal};
use caducee::wire::sasl::Secret;
use serde_json::{Value, json};

use crate::fake::{Fake, Signer, access, changed};

/// What a token says that is bound to this certificate.
fn cnf(certificate: &[u8]) -> Value {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    json!({ "cnf": { "x5t#S256": BASE64_URL_SAFE_NO_PAD.encode(digest) } })
}

#[tokio::test]
async fn a_bound_token_opens_nothing_without_its_certificate_remembered_or_not() {
    let fake = Fake::start().await;
    let signer = Signer::new("one");
    fake.keys(&[&signer]);
    let (own, others) = (fake.authority.issue("lps.example").0, fake.authority.issue("other.example").0);
    fake.knows("bound", cnf(&own[0]));
    let bound = signer.sign(&changed(access(&fake.issuer), &cnf(&own[0])));
    for (judging, token) in [(Judging::Introspection, "bound"), (Judging::Signature, bound.as_str())] {
        let psc = fake.client(|options| options.judging = judging);
        let token = Secret::new(token);
        let unbound = Err(PscError::Refused(TokenRefusal::Unbound));
        for _ in 0..2 {
            assert_eq!(psc.verify(&token, None).await, unbound);
            assert_eq!(psc.verify(&token, Some(&others[0])).await, unbound);
            assert!(psc.verify(&token, Some(&own[0])).await.is_ok(), "with its certificate it is as good as ever");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_bound_to_nothing_may_come_with_any_certificate() {
    let fake = Fake::start().await;
    fake.knows("free", json!({}));
    let psc = fake.client(|_| ());
    let shown = fake.authority.issue("lps.example").0;
    assert!(psc.verify(&Secret::new("free"), Some(&shown[0])).await.is_ok());
    assert!(psc.verify(&Secret::new("free"), None).await.is_ok());
}

#[tokio::test]
async fn a_binding_that_cannot_be_checked_is_not_passed_over() {
    let fake = Fake::start().await;
    fake.knows("dpop", json!({ "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } }));
    let psc = fake.client(|_| ());
    assert_eq!(psc.verify(&Secret::new("dpop"), None).await, Err(PscError::Refused(TokenRefusal::Unbound)));
}
