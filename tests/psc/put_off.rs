//! Who sends one refused token or code after the other is put off before Pro Santé Connect is asked; nobody else is.

use std::net::IpAddr;

use caducee::accounts::psc::{Person, Psc, PscError, TokenRefusal};
use caducee::wire::sasl::Secret;
use serde_json::json;

use crate::fake::{Fake, Fault, verify};

fn by(psc: &Psc, address: &str) -> Psc {
    psc.asked_by(address.parse::<IpAddr>().unwrap())
}

async fn redeem(psc: &Psc, code: &str) -> Result<Person, PscError> {
    psc.redeem(code, &Secret::new("a-verifier"), "https://portail.example/psc/retour", "a-nonce").await
}

#[tokio::test]
async fn after_so_many_refused_tokens_nothing_is_asked_for_the_sender_and_the_good_one_that_is_remembered_goes_on() {
    let fake = Fake::start().await;
    fake.knows("good", json!({}));
    fake.knows("new", json!({}));
    let psc = fake.client(|options| options.max_refused_per_address = 3);
    let (one, neighbour, other) =
        (by(&psc, "2001:db8:1:2::1"), by(&psc, "2001:db8:1:2::ffff"), by(&psc, "2001:db8:1:3::1"));
    verify(&one, "good").await.unwrap();
    for n in 0..3 {
        let refused = verify(&one, &format!("forged{n}")).await;
        assert_eq!(refused, Err(PscError::Refused(TokenRefusal::Inactive)));
    }
    let asked = fake.asked("").len();
    for sender in [&one, &neighbour] {
        assert!(matches!(verify(sender, "forged3").await, Err(PscError::PutOff(_))));
        assert!(matches!(verify(sender, "new").await, Err(PscError::PutOff(_))));
        assert!(matches!(redeem(sender, "a-code").await, Err(PscError::PutOff(_))));
        verify(sender, "good").await.expect("what is remembered costs Pro Santé Connect nothing");
    }
    assert_eq!(fake.asked("").len(), asked, "Pro Santé Connect is left in peace");
    verify(&other, "new").await.expect("another sender is not put off");
}

#[tokio::test]
async fn good_tokens_one_refused_many_times_and_a_pro_sante_connect_that_is_away_count_for_nobody() {
    let fake = Fake::start().await;
    let psc = by(&fake.client(|options| options.max_refused_per_address = 2), "192.0.2.1");
    for n in 0..5 {
        fake.knows(&format!("good{n}"), json!({}));
        verify(&psc, &format!("good{n}")).await.unwrap();
        assert_eq!(
            verify(&psc, "stale").await,
            Err(PscError::Refused(TokenRefusal::Inactive)),
            "asked once, remembered"
        );
    }
    fake.fails("introspect", Fault::Status(400));
    for n in 0..5 {
        assert!(matches!(verify(&psc, &format!("t{n}")).await, Err(PscError::Unavailable(_))));
    }
    fake.recovers();
    fake.knows("after", json!({}));
    verify(&psc, "after").await.expect("one was refused, and two may be");
}

#[tokio::test]
async fn made_up_codes_count_as_tokens_do_and_so_do_those_that_nobody_waits_for() {
    let fake = Fake::start().await;
    let psc = by(&fake.client(|options| options.max_refused_per_address = 3), "192.0.2.1");
    for n in 0..2 {
        assert_eq!(redeem(&psc, &format!("code{n}")).await, Err(PscError::Refused(TokenRefusal::Code)));
    }
    // The browser hangs up once the request is on its way.
    fake.fails("token", Fault::Held);
    let waiting = tokio::spawn({
        let psc = psc.clone();
        async move { redeem(&psc, "code2").await }
    });
    while fake.asked("/token").len() < 3 {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    fake.release();
    fake.recovers();
    let put_off = redeem(&psc, "code3").await.unwrap_err();
    assert!(put_off.to_string().contains("try later, in "), "{put_off}");
    assert_eq!(fake.asked("/token").len(), 3);
}
