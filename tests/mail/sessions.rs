//! What sessions see: `\Recent`, updates in their order, waiting without polling.

use std::time::Duration;

use caducee::mail::{Expunge, FlagOp, MailError, MessageFlags, Update};
use caducee::store::flags;

use crate::on_both_engines;
use crate::support::{House, message, uids};

on_both_engines!(a_delivery_wakes_a_waiting_session, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(30), session.changed()).await;
    assert!(quiet.is_err(), "nothing happens, nothing is told");
    let recipients = [mailbox.account()];
    let text = message("a");
    let delivery = house.deliver(&recipients, text.as_bytes());
    let woken = tokio::time::timeout(Duration::from_secs(5), session.changed());
    let (_, woken) = tokio::join!(delivery, woken);
    woken.expect("the session is woken");
    assert_eq!(session.refresh(true), [Update::Exists(1), Update::Recent(1)]);
    assert_eq!(session.refresh(true), []);
});

#[tokio::test]
async fn each_new_message_is_recent_in_exactly_one_session() {
    let house = House::in_memory();
    let mailbox = house.mailbox("lea").await;
    let id = [mailbox.account()];
    house.deliver(&id, message("1").as_bytes()).await;
    assert_eq!(mailbox.status("INBOX").unwrap().recent, 1);
    let looked = mailbox.select("INBOX", true).await.unwrap();
    assert_eq!(looked.recent(), 1, "EXAMINE shows it and takes nothing");
    let mut first = mailbox.select("INBOX", false).await.unwrap();
    let mut second = mailbox.select("INBOX", false).await.unwrap();
    assert_eq!((first.recent(), second.recent()), (1, 0));
    house.deliver(&id, message("2").as_bytes()).await;
    second.refresh(true);
    first.refresh(true);
    assert_eq!((first.recent(), second.recent()), (1, 1));
    assert!(first.is_recent(1) && !first.is_recent(2) && second.is_recent(2));
    drop((first, second));
    let third = mailbox.select("INBOX", false).await.unwrap();
    assert_eq!(third.recent(), 0);
    assert_eq!(mailbox.status("INBOX").unwrap().recent, 0);
}

on_both_engines!(recent_is_remembered_when_nobody_has_the_folder_open, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    for n in 0..3 {
        house.deliver(&[mailbox.account()], message(&format!("{n}")).as_bytes()).await;
    }
    assert_eq!(mailbox.select("INBOX", false).await.unwrap().recent(), 3);
    assert_eq!(mailbox.select("INBOX", false).await.unwrap().recent(), 0);
    house.deliver(&[mailbox.account()], message("x").as_bytes()).await;
    assert_eq!(mailbox.select("INBOX", false).await.unwrap().recent(), 1);
});

#[tokio::test]
async fn numbers_hold_still_until_an_expunge_may_be_told() {
    let house = House::in_memory();
    let mailbox = house.mailbox("lea").await;
    for n in 0..5 {
        house.append(&mailbox, "INBOX", &format!("{n}")).await.unwrap();
    }
    let mut one = mailbox.select("INBOX", false).await.unwrap();
    let mut other = mailbox.select("INBOX", false).await.unwrap();
    other.store_flags(&[2, 3], FlagOp::Add, &MessageFlags::system(flags::DELETED), None).await.unwrap();
    other.expunge(Expunge::AllDeleted).await.unwrap();
    other.store_flags(&[5], FlagOp::Add, &MessageFlags::system(flags::FLAGGED), None).await.unwrap();
    house.append(&mailbox, "INBOX", "5").await.unwrap();
    let told = one.refresh(false);
    assert_eq!(told, [Update::Exists(6), Update::Recent(6), Update::Flags { seq: 5, uid: 5 }]);
    assert_eq!(uids(&one), [1, 2, 3, 4, 5, 6]);
    assert!(matches!(one.body(2).await, Err(MailError::MessageGone)));
    assert_eq!(one.summaries(vec![1, 2, 3]).await.unwrap().len(), 1);
    let told = one.refresh(true);
    assert_eq!(told, [Update::Expunge { seq: 2, uid: 2 }, Update::Expunge { seq: 2, uid: 3 }]);
    assert_eq!(uids(&one), [1, 4, 5, 6]);
    assert_eq!((one.seq_of(4), one.seq_of(2)), (Some(2), None));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_change_untold() {
    let house = House::embedded();
    let mailbox = house.mailbox("lea").await;
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    for n in 0..20 {
        let message = house.received(message(&format!("{n}")).as_bytes()).await;
        let delivery = caducee::mail::Delivery::new(message, vec![mailbox.account()], 0);
        let room = house.room.clone();
        // The connection breaks while its commit is on the way.
        let call = tokio::spawn(async move { caducee::mail::deliver(&room, delivery).await });
        tokio::time::sleep(Duration::from_micros(200 * n)).await;
        call.abort();
        let _ = call.await;
    }
    // One more, to its end, stands behind all that were on the way.
    house.deliver(&[mailbox.account()], message("last").as_bytes()).await;
    session.refresh(true);
    assert_eq!(session.exists(), mailbox.status("INBOX").unwrap().messages);
    house.check_counters();
}

#[tokio::test]
async fn bodies_are_read_in_ranges() {
    let house = House::embedded();
    let mailbox = house.mailbox("lea").await;
    let mut text = message("long").into_bytes();
    text.extend((0..300_000u32).map(|n| b'a' + (n % 26) as u8));
    house.deliver(&[mailbox.account()], &text).await;
    let session = mailbox.select("INBOX", false).await.unwrap();
    let body = session.body(1).await.unwrap();
    assert_eq!(body.size, text.len() as u64);
    for (from, to) in [(0, 10), (65_530, 65_550), (131_072, 200_000), (299_990, 400_000), (500_000, 600_000)] {
        let expected = text.get(from..to.min(text.len())).unwrap_or_default();
        assert_eq!(body.read(from as u64..to as u64).await.unwrap(), expected, "{from}..{to}");
    }
}
