//! SASL exchanges, the server's side.

#[path = "../../fuzz/checks/sasl.rs"]
mod check;

use caducee::wire::sasl::{Credentials, Exchange, Mechanism, SaslError, Secret, Step};
use proptest::prelude::*;

fn password(authorisation: &str, user: &str, password: &str) -> Step {
    Step::Done(Credentials::Password {
        authorisation: authorisation.into(),
        user: user.into(),
        password: Secret::new(password),
    })
}

#[test]
fn plain_takes_an_initial_response_or_a_challenge() {
    // RFC 4616 §4: "Ursel\0Kurt\0xipj3plmq"
    let message = b"VXJzZWwAS3VydAB4aXBqM3BsbXE=";
    let (_, step) = Exchange::begin(Mechanism::Plain, Some(message)).unwrap();
    assert_eq!(step, password("Ursel", "Kurt", "xipj3plmq"));
    let (mut exchange, step) = Exchange::begin(Mechanism::Plain, None).unwrap();
    assert_eq!(step, Step::Challenge(String::new()));
    assert_eq!(exchange.response(b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm").unwrap(), password("", "tim", "tanstaaftanstaaf"));
}

#[test]
fn login_asks_twice() {
    let (mut exchange, step) = Exchange::begin(Mechanism::Login, None).unwrap();
    assert_eq!(step, Step::Challenge("VXNlcm5hbWU6".into()));
    assert_eq!(exchange.response(b"dGlt").unwrap(), Step::Challenge("UGFzc3dvcmQ6".into()));
    assert_eq!(exchange.response(b"c2VzYW1l").unwrap(), password("", "tim", "sesame"));
}

#[test]
fn external_takes_an_empty_or_a_named_mailbox() {
    let certificate = |name: &str| Step::Done(Credentials::Certificate { authorisation: name.into() });
    assert_eq!(Exchange::begin(Mechanism::External, Some(b"=")).unwrap().1, certificate(""));
    let (mut exchange, _) = Exchange::begin(Mechanism::External, None).unwrap();
    assert_eq!(exchange.response(b"").unwrap(), certificate(""));
    assert_eq!(Exchange::begin(Mechanism::External, Some(b"YUBi")).unwrap().1, certificate("a@b"));
}

#[test]
fn bearer_tokens_come_with_and_without_an_initial_response() {
    use base64::Engine as _;
    let encode = |text: &str| base64::prelude::BASE64_STANDARD.encode(text).into_bytes();
    let wanted = Step::Done(Credentials::Token { user: "a@b".into(), token: Secret::new("x.y.z") });
    for (mechanism, message) in [
        (Mechanism::XOAuth2, "user=a@b\x01auth=Bearer x.y.z\x01\x01"),
        (Mechanism::OAuthBearer, "n,a=a@b,\x01auth=Bearer x.y.z\x01\x01"),
    ] {
        let (exchange, step) = Exchange::begin(mechanism, Some(&encode(message))).unwrap();
        assert_eq!(step, wanted);
        assert!(exchange.refusal().is_some());
        let (mut exchange, step) = Exchange::begin(mechanism, None).unwrap();
        assert_eq!(step, Step::Challenge(String::new()));
        assert_eq!(exchange.response(&encode(message)), Ok(wanted.clone()));
        assert_eq!(Exchange::begin(mechanism, Some(b"=")).unwrap_err(), SaslError::Malformed);
    }
    assert_eq!(Exchange::begin(Mechanism::Plain, None).unwrap().0.refusal(), None);
}

#[test]
fn bad_responses_are_told_apart() {
    let first = |line: &[u8]| Exchange::begin(Mechanism::Plain, Some(line)).unwrap_err();
    assert_eq!(first(b"*"), SaslError::Cancelled);
    assert_eq!(first(b"AHUA cA"), SaslError::NotBase64);
    assert_eq!(first(b"="), SaslError::Malformed, "empty");
    assert_eq!(first(b"AABw"), SaslError::Malformed, "no user");
    assert_eq!(first(b"AHUA"), SaslError::Malformed, "no password");
    assert_eq!(first(b"AHUAcABw"), SaslError::Malformed, "four fields");
    assert_eq!(first(b"AP8AcA=="), SaslError::Malformed, "a user that is not UTF-8");
}

#[test]
fn secrets_do_not_show_themselves() {
    let (_, step) = Exchange::begin(Mechanism::Plain, Some(b"AHRpbQBzZXNhbWU=")).unwrap();
    let shown = format!("{step:?}");
    assert!(shown.contains("[redacted]") && !shown.contains("sesame"), "{shown}");
}

/// A name as RFC 5801 §4 writes it.
fn saslname(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

proptest! {
    #[test]
    fn what_a_client_puts_together_is_read_as_it_was(
        user in "[^\\x00-\\x1f]{0,40}", token in "[A-Za-z0-9._~+/-]{1,80}={0,2}", port in 1_u16..
    ) {
        use base64::Engine as _;
        let encode = |text: String| base64::prelude::BASE64_STANDARD.encode(text).into_bytes();
        let name = if user.is_empty() { String::new() } else { format!("a={}", saslname(&user)) };
        let wanted = Step::Done(Credentials::Token { user: user.clone(), token: Secret::new(token.as_bytes()) });
        let bearer = format!("n,{name},\x01host=h\x01port={port}\x01auth=Bearer {token}\x01\x01");
        prop_assert_eq!(Exchange::begin(Mechanism::OAuthBearer, Some(&encode(bearer))).unwrap().1, wanted.clone());
        let google = format!("user={user}\x01auth=Bearer {token}\x01\x01");
        prop_assert_eq!(Exchange::begin(Mechanism::XOAuth2, Some(&encode(google))).unwrap().1, wanted);
    }

    #[test]
    fn no_response_panics(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        check::check(&input);
    }
}
