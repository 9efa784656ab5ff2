//! Conversations with citizens: what a mailbox has said decides whether the citizen may answer (MSSanté §8).

use std::collections::HashSet;

use caducee::mail::conversation;
use caducee::mss::exchange::{self, Party};
use caducee::mss::{Conversation, Rule};
use caducee::store::{self, Batch};

use crate::scene::{NOW, Scene};
use crate::support::{House, address};

const CITIZEN: &str = "184127512345678@patient.mssante.fr";

/// The mailbox writes to these addresses.
async fn write(scene: &Scene, name: &str, to: &[&str], is_last: bool, now: i64) {
    let room = &scene.house.room;
    let account = scene.house.registry.by_address(&address(name)).unwrap().unwrap().id;
    let to: Vec<_> = to.iter().map(|to| address(to)).collect();
    let mut batch = Batch::new();
    conversation::note(room, &scene.space.citizens, account, &to, is_last, now, &mut batch).unwrap();
    if !batch.is_empty() {
        room.store().commit(batch).await.unwrap();
    }
}

/// What a citizen's message to the mailbox is answered.
fn answered(scene: &Scene, from: &str, name: &str) -> Rule {
    let room = &scene.house.room;
    let (from, to) = (room.party(&address(from)).unwrap(), room.party(&address(name)).unwrap());
    let conversation = room.conversation_of(&scene.space, &from, &to).unwrap();
    exchange::decide_in(&scene.space, &from, &to, conversation).rule()
}

crate::on_both_engines!(
    a_citizen_answers_until_the_professional_closes_and_again_once_reopened,
    |house: House| async {
        let scene = Scene::over(house);
        scene.account("zoe").await;
        scene.account("anne").await;
        assert_eq!(answered(&scene, CITIZEN, "zoe"), Rule::CitizenNotStarted);
        for (is_last, rule) in [
            (false, Rule::OtherToOwn),
            (true, Rule::CitizenConversationClosed),
            (true, Rule::CitizenConversationClosed),
            (false, Rule::OtherToOwn),
        ] {
            write(&scene, "zoe", &["x@region.mssante.example", CITIZEN], is_last, NOW).await;
            assert_eq!(answered(&scene, CITIZEN, "zoe"), rule);
            assert_eq!(answered(&scene, &CITIZEN.replace("patient", "PATIENT"), "ZOE"), rule, "addresses have no case");
            assert_eq!(answered(&scene, CITIZEN, "anne"), Rule::CitizenNotStarted, "each mailbox opens its own");
            assert_eq!(answered(&scene, "284127512345678@patient.mssante.fr", "zoe"), Rule::CitizenNotStarted);
        }
    }
);

#[tokio::test]
async fn a_message_that_both_starts_and_closes_leaves_nothing_to_answer() {
    let scene = Scene::new();
    scene.account("zoe").await;
    write(&scene, "zoe", &[CITIZEN], true, NOW).await;
    assert_eq!(answered(&scene, CITIZEN, "zoe"), Rule::CitizenConversationClosed);
}

#[tokio::test]
async fn the_store_keeps_when_and_never_with_whom() {
    let scene = Scene::new();
    scene.account("zoe").await;
    scene.account("anne").await;
    for (name, now) in [("zoe", NOW), ("zoe", NOW + 50), ("anne", NOW)] {
        write(&scene, name, &[CITIZEN, "x@region.mssante.example"], false, now).await;
    }
    let rows = scene.house.room.store().scan::<store::Conversation>(.., usize::MAX).unwrap();
    let digests: HashSet<u128> = rows.iter().map(|(key, _)| key.digest).collect();
    assert_eq!((rows.len(), digests.len()), (2, 2), "two mailboxes' records of one citizen have nothing in common");
    let [(_, first), _] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((first.started_at, first.written_at, first.closed_at), (NOW, NOW + 50, None));
}

#[tokio::test]
async fn with_the_mailbox_goes_whom_it_wrote_to() {
    let scene = Scene::new();
    let zoe = scene.account("zoe").await;
    write(&scene, "zoe", &[CITIZEN], false, NOW).await;
    scene.house.registry.close(zoe.id, "départ").await.unwrap();
    assert!(scene.house.room.store().scan::<store::Conversation>(.., usize::MAX).unwrap().is_empty());
    assert_eq!(answered(&scene, CITIZEN, "zoe"), Rule::RecipientClosed);
    let room = &scene.house.room;
    assert!(matches!(room.party(&address("zoe")).unwrap(), Party::Own(_)));
    assert!(conversation::state(room, zoe.id, &address(CITIZEN)).is_err());
}

#[tokio::test]
async fn nobody_has_a_conversation_who_is_no_citizen() {
    let scene = Scene::new();
    let zoe = scene.account("zoe").await;
    write(&scene, "zoe", &["x@region.mssante.example"], true, NOW).await;
    assert_eq!(answered(&scene, "x@region.mssante.example", "zoe"), Rule::OtherToOwn);
    let state = conversation::state(&scene.house.room, zoe.id, &address("x@region.mssante.example")).unwrap();
    assert_eq!(state, Conversation::NotStarted);
}
