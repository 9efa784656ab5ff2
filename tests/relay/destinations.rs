//! Where mail may go, and which host it is tried at.

use crate::peer::{Manners, Say};
use crate::world::{NOW, Place, Stage, domain};
use caducee::mail::relay::{Exchanger, Route, Trouble};
use caducee::mss::Address;
use caducee::mss::trust::{CrlState, TrustSpace};
use caducee::store::{self, Batch};
use caducee::wire::smtp::path::Mailbox;
use proptest::prelude::*;
use std::sync::Arc;

#[tokio::test(start_paused = true)]
async fn the_peers_subject_must_be_listed_for_the_domain_whatever_the_host_is_called() {
    let (stage, peer) = Stage::simple(Manners::default()).await;
    assert_eq!(stage.send("there.example").await, "relayed 2.0.0 250; reached");
    stage.change_list(NOW - 60, &[("there.example", "somebody else")]);
    assert_eq!(stage.send("there.example").await, "failed 5.7.1 dn-not-listed; reached");
    // The list is older than trust.max_age: the last word is for a fresh one.
    stage.change_list(NOW - 90_000, &[("there.example", "somebody else")]);
    assert_eq!(stage.send("there.example").await, "deferred 4.7.1 dn-not-listed; away");
    assert_eq!(peer.taken().len(), 1, "no MAIL was said to a peer that is not listed");
    assert_eq!(peer.connections(), 1, "the session was of use for the question");
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_for_a_domain_that_is_not_listed() {
    let (stage, peer) = Stage::simple(Manners::default()).await;
    stage.change_list(NOW - 60, &[("other.example", "there")]);
    assert_eq!(stage.send("there.example").await, "failed 5.7.1 recipient-domain-unlisted; reached");
    stage.change_list(NOW - 90_000, &[("other.example", "there")]);
    assert_eq!(stage.send("there.example").await, "deferred 4.7.1 recipient-domain-unlisted; away");
    assert_eq!(peer.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_list_or_usable_crls_all_waits() {
    let (stage, _peer) = Stage::simple(Manners::default()).await;
    let mut space = TrustSpace::clone(&stage.trust.load());
    space.crl_state = CrlState::Loaded { fresh_until: NOW - 100, usable_until: NOW - 1 };
    stage.trust.store(Arc::new(space));
    assert_eq!(stage.send("there.example").await, "deferred 4.7.0 revocation-unknown; unready");
    stage.trust.store(Arc::default());
    assert_eq!(stage.send("there.example").await, "deferred 4.7.0 list-not-loaded; unready");
}

#[tokio::test(start_paused = true)]
async fn a_domain_of_ours_is_never_relayed_out() {
    let (stage, peer) = Stage::simple(Manners::default()).await;
    let record = store::Domain { name: "there.example".into(), ..store::Domain::default() };
    let mut batch = Batch::new();
    batch.put::<store::Domain>(&"there.example".to_owned(), &record);
    stage.store.commit(batch).await.unwrap();
    assert_eq!(stage.send("there.example").await, "failed 5.4.6 domain-is-ours; reached");
    assert_eq!(peer.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_dns_says_is_the_last_word_only_where_it_is_a_null_mx_or_a_loop() {
    let (stage, _peer) = Stage::simple(Manners::default()).await;
    let exchangers = |names: &[&str]| {
        Route::Exchangers(names.iter().map(|name| Exchanger { preference: 1, name: (*name).into() }).collect())
    };
    let rows = [
        (Ok(exchangers(&[""])), "failed 5.1.10 null-mx; reached"),
        (Ok(exchangers(&["mx.us.example"])), "failed 5.4.6 mx-is-us; reached"),
        (Ok(exchangers(&[])), "deferred 4.4.4 no-mx; away"),
        (Ok(Route::NoSuchDomain), "deferred 4.4.4 no-such-domain; away"),
        (Err(Trouble::new("dns-failed", "4.4.3", "SERVFAIL")), "deferred 4.4.3 dns-failed; away"),
        (Ok(exchangers(&["nowhere.example"])), "deferred 4.4.4 no-address; away"),
    ];
    for (route, wanted) in rows {
        stage.world.routes.lock().unwrap().insert(domain("there.example"), route.clone());
        assert_eq!(stage.send("there.example").await, wanted, "{route:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_host_is_tried_where_one_takes_no_session_and_not_where_one_has_answered() {
    let stage = Stage::new(&[("there.example", "there")]).await;
    let good = stage.peer("there.example", "mx3.there.example", Manners::default());
    let busy = Manners { greeting: Say::last("421 4.3.2 later\r\n"), ..Manners::default() };
    stage.peer("there.example", "mx2.there.example", busy);
    stage.world.place("mx1.there.example", Place::Hole);
    stage.world.place("strange.example", Place::Server("somebody", Arc::clone(&good)));
    let hosts = ["mx1.there.example", "mx2.there.example", "strange.example", "mx3.there.example"];
    stage.world.route("there.example", &hosts);
    assert_eq!(stage.send("there.example").await, "relayed 2.0.0 250; reached");
    assert_eq!(stage.world.knocks(), hosts);
    assert_eq!(good.taken().len(), 1, "not the one with a strange certificate");

    good.manners.lock().unwrap().rcpt = Say::text("450 4.2.1 later\r\n");
    stage.world.route("there.example", &["mx3.there.example", "mx2.there.example"]);
    let knocks = stage.world.knocks().len();
    assert_eq!(stage.send("there.example").await, "deferred 4.2.1 450; reached");
    assert_eq!(stage.world.knocks().len(), knocks, "the host has answered, over the session that was open");
}

#[tokio::test(start_paused = true)]
async fn a_strange_certificate_is_not_the_last_word_while_another_host_may_have_the_right_one() {
    let stage = Stage::new(&[("there.example", "there")]).await;
    let strange = Arc::new(crate::peer::Peer::default());
    stage.world.place("strange.example", Place::Server("somebody", strange));
    stage.world.place("mx1.there.example", Place::Hole);
    stage.world.route("there.example", &["strange.example", "mx1.there.example"]);
    assert_eq!(stage.send("there.example").await, "deferred 4.4.1 connect-failed; away");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_address_of_the_trust_space_can_be_written_in_an_envelope(
        local in prop_oneof!["[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}", "\"([ !#-\\[\\]-~]|\\\\[ -~]){0,30}\"", "\\PC{1,20}"]
    ) {
        if let Ok(address) = Address::parse(&format!("{local}@there.example")) {
            prop_assert!(Mailbox::parse(&address.to_string()).is_ok(), "{}", address);
        }
    }
}
