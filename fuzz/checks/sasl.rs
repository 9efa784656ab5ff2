//! SASL responses: nothing panics, and no secret shows itself.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use caducee::wire::sasl::{Exchange, Mechanism, Step};

/// One input of the fuzzer: lines are a client's responses, once as they are and once after base64.
pub fn check(data: &[u8]) {
    for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::External] {
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
                let _ = format!("{credentials:?}");
                return;
            }
            Step::Challenge(challenge) => assert!(BASE64_STANDARD.decode(challenge).is_ok()),
        }
        match exchange.response(&line) {
            Ok(next) => step = next,
            Err(_) => return,
        }
    }
}
