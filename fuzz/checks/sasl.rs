//! SASL responses: nothing panics, and no secret shows itself.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use caducee::wire::sasl::{Credentials, Exchange, Mechanism, Step};

/// One input of the fuzzer: lines are a client's responses, once as they are and once after base64.
pub fn check(data: &[u8]) {
    for mechanism in Mechanism::ALL {
        let mut lines = data.split(|&byte| byte == b'\n');
        let initial = lines.next().filter(|line| !line.is_empty());
        drive(mechanism, initial, lines.map(<[u8]>::to_vec));
        let encoded = data.split(|&byte| byte == b'\n').map(|line| BASE64_STANDARD.encode(line).into_bytes());
        drive(mechanism, None, encoded);
    }
}

fn drive(mechanism: Mechanism, initial: Option<&[u8]>, lines: impl Iterator<Item = Vec<u8>>) {
    let Ok((mut exchange, mut step)) = Exchange::begin(mechanism, initial) else { return };
    for (rounds, line) in lines.enumerate() {
        match &step {
            Step::Done(credentials) => {
                assert!(rounds <= 2, "no mechanism needs more than two responses");
                return done(mechanism, &exchange, credentials);
            }
            Step::Challenge(challenge) => assert!(BASE64_STANDARD.decode(challenge).is_ok()),
        }
        match exchange.response(&line) {
            Ok(next) => step = next,
            Err(_) => return,
        }
    }
}

/// What came out is what the mechanism gives, shows no secret, and can be refused.
fn done(mechanism: Mechanism, exchange: &Exchange, credentials: &Credentials) {
    let shown = format!("{credentials:?}");
    match credentials {
        Credentials::Token { user, token } => {
            assert!(mechanism.takes_token() && !user.contains('\0') && shown.contains("[redacted]"));
            let is_token_text = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
            assert!(token.expose().iter().all(is_token_text), "RFC 6750 §2.1");
        }
        Credentials::Password { password, .. } => {
            assert!(matches!(mechanism, Mechanism::Plain | Mechanism::Login) && shown.contains("[redacted]"));
            assert!(mechanism == Mechanism::Login || !password.expose().is_empty());
        }
        Credentials::Certificate { .. } => assert_eq!(mechanism, Mechanism::External),
    }
    let refusal = exchange.refusal();
    assert_eq!(refusal.is_some(), mechanism.takes_token());
    assert!(refusal.is_none_or(|challenge| BASE64_STANDARD.decode(challenge).is_ok()));
}
