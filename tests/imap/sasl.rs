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

proptest! {
    #[test]
    fn no_response_panics(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        check::check(&input);
    }
}
