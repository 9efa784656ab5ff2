//! The portal's login: the authorization code flow with PKCE.

use caducee::accounts::psc::{Person, Psc, PscError, TokenRefusal, Trouble, challenge_of};
use caducee::wire::sasl::Secret;
use serde_json::{Value, json};

use crate::fake::{BEGIN, CLIENT, Fake, Fault, LEA, Signer, changed};

const BACK: &str = "https://portail.aura.mssante.example/psc/retour?x=1";

/// What the portal keeps of one login.
struct Attempt {
    state: &'static str,
    nonce: &'static str,
    verifier: Secret,
}

impl Attempt {
    fn begin() -> Self {
        Self {
            state: "a-state",
            nonce: "a-nonce",
            verifier: Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        }
    }
}

/// A good ID token's claims.
fn id(fake: &Fake, nonce: &str, changes: &Value) -> Value {
    let claims = json!({
        "iss": fake.issuer, "sub": "f:550dc1c8:899700000001", "aud": CLIENT, "azp": CLIENT, "nonce": nonce, "typ": "ID",
        "exp": BEGIN + 120, "iat": BEGIN - 1, "acr": "eidas1", "SubjectNameID": LEA, "family_name": "PETIT",
    });
    changed(claims, changes)
}

async fn redeem(psc: &Psc, attempt: &Attempt, code: &str) -> Result<Person, PscError> {
    psc.redeem(code, &attempt.verifier, BACK, attempt.nonce).await
}

#[tokio::test]
async fn a_browser_is_sent_to_the_wallet_with_all_that_it_asks_for() {
    let fake = Fake::start().await;
    let (psc, attempt) = (fake.client(|_| ()), Attempt::begin());
    let challenge = challenge_of(&attempt.verifier);
    let url = psc.authorization_url(BACK, attempt.state, attempt.nonce, &challenge).await.unwrap();
    let (place, query) = url.split_once('?').unwrap();
    assert_eq!(place, "https://wallet.example/auth");
    let wanted = format!(
        "response_type=code&client_id={CLIENT}&redirect_uri=https%3A%2F%2Fportail.aura.mssante.example%2Fpsc%2Fretour%3Fx%3D1\
         &scope=openid%20scope_all&state={}&nonce={}&code_challenge={challenge}&code_challenge_method=S256&acr_values=eidas1",
        attempt.state, attempt.nonce
    );
    assert_eq!(query, wanted);
    let end = psc.end_session_url("https://portail.aura.mssante.example/").await.unwrap().unwrap();
    let wanted = "/protocol/openid-connect/logout?client_id=caducee&post_logout_redirect_uri=https%3A%2F%2Fportail.aura.mssante.example%2F";
    assert!(end.ends_with(wanted), "{end}");
}

#[tokio::test]
async fn a_code_tells_who_has_logged_in_and_is_good_once() {
    let fake = Fake::start().await;
    let (signer, psc, attempt) = (Signer::new("one"), fake.client(|_| ()), Attempt::begin());
    fake.keys(&[&signer]);
    let tokens = |id: &Value| json!({ "access_token": "access", "id_token": signer.sign(id), "token_type": "Bearer" });
    fake.redeems("code", tokens(&id(&fake, attempt.nonce, &json!({}))));
    let lea = redeem(&psc, &attempt, "code").await.unwrap();
    assert_eq!((lea.national_id.as_str(), lea.family_name.as_deref()), (LEA, Some("PETIT")));
    let asked = &fake.asked("/token")[0];
    let verifier = attempt.verifier.expose_str().unwrap();
    assert!(asked.body.starts_with("grant_type=authorization_code&code=code&redirect_uri=https%3A%2F%2F"), "{asked:?}");
    assert!(asked.body.ends_with(&format!("&code_verifier={verifier}")) && asked.authorization.starts_with("Basic "));
    assert_eq!(redeem(&psc, &attempt, "code").await, Err(PscError::Refused(TokenRefusal::Code)));

    fake.redeems("lacking", tokens(&id(&fake, attempt.nonce, &json!({ "SubjectNameID": null }))));
    fake.tells("access", json!({ "sub": "f:550dc1c8:899700000001", "SubjectNameID": LEA }));
    assert_eq!(redeem(&psc, &attempt, "lacking").await.unwrap().national_id, LEA);
}

#[tokio::test]
async fn an_id_token_that_is_not_the_answer_to_our_question_opens_nothing() {
    let fake = Fake::start().await;
    let (signer, forger) = (Signer::new("one"), Signer::new("one"));
    fake.keys(&[&signer]);
    let (psc, attempt) = (fake.client(|_| ()), Attempt::begin());
    for (changes, wanted) in [
        (json!({ "nonce": "another" }), TokenRefusal::Nonce),
        (json!({ "nonce": null }), TokenRefusal::Nonce),
        (json!({ "aud": "another" }), TokenRefusal::Audience),
        (json!({ "azp": "another" }), TokenRefusal::Audience),
        (json!({ "iss": "https://evil.example" }), TokenRefusal::Issuer),
        (json!({ "iss": null }), TokenRefusal::Malformed),
        (json!({ "exp": BEGIN - 60 }), TokenRefusal::Expired),
        (json!({ "exp": null }), TokenRefusal::Malformed),
        (json!({ "acr": "1" }), TokenRefusal::Weak),
        (json!({ "typ": "Bearer" }), TokenRefusal::Kind),
    ] {
        let id_token = signer.sign(&id(&fake, attempt.nonce, &changes));
        fake.redeems("code", json!({ "access_token": "access", "id_token": id_token }));
        assert_eq!(redeem(&psc, &attempt, "code").await, Err(PscError::Refused(wanted)), "{changes}");
    }
    let forged = forger.sign(&id(&fake, attempt.nonce, &json!({})));
    fake.redeems("code", json!({ "access_token": "access", "id_token": forged }));
    assert_eq!(redeem(&psc, &attempt, "code").await, Err(PscError::Refused(TokenRefusal::Signature)));
}

#[tokio::test]
async fn a_code_is_never_sent_twice() {
    let fake = Fake::start().await;
    let (psc, attempt) = (fake.client(|options| options.retries = 3), Attempt::begin());
    // A connection is kept from this one.
    psc.end_session_url("https://portail.example/").await.unwrap();
    for (n, fault) in [Fault::Reset, Fault::Status(500)].into_iter().enumerate() {
        fake.fails("token", fault);
        let outcome = redeem(&psc, &attempt, "code").await;
        assert!(matches!(outcome, Err(PscError::Unavailable(_))), "{outcome:?}");
        assert_eq!(fake.asked("/token").len(), n + 1);
    }
    fake.fails("token", Fault::Status(401));
    assert_eq!(redeem(&psc, &attempt, "code").await, Err(PscError::Unavailable(Trouble::Credentials(401))));
}
