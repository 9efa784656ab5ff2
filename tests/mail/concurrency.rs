//! Many deliveries at once: to one mailbox, to many, in every order of recipients.

use std::time::Duration;

use caducee::mail::{Delivery, Expunge, FlagOp, MessageFlags, deliver};
use caducee::store::{AccountId, Body, flags};

use crate::on_both_engines;
use crate::support::{House, message, uids};

async fn send(house: &House, recipients: Vec<AccountId>, n: usize) -> tokio::task::JoinHandle<()> {
    let message = house.received(message(&format!("m{n}")).as_bytes()).await;
    let room = house.room.clone();
    tokio::spawn(async move {
        deliver(&room, Delivery::new(message, recipients, 0)).await.unwrap();
    })
}

on_both_engines!(sixty_four_deliveries_to_one_mailbox_get_sixty_four_uids, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    let mut calls = Vec::new();
    for n in 0..64 {
        calls.push(send(&house, vec![mailbox.account()], n).await);
    }
    for call in calls {
        call.await.unwrap();
    }
    session.refresh(true);
    assert_eq!(uids(&session), (1..=64).collect::<Vec<_>>());
    assert_eq!(session.recent(), 64);
    house.check_counters();
});

on_both_engines!(sixty_four_deliveries_to_fifty_mailboxes_wait_in_no_circle, async |house: House| {
    let mut accounts = Vec::new();
    for n in 0..50 {
        accounts.push(house.account(&format!("u{n}")).await.id);
    }
    let work = async {
        let mut calls = Vec::new();
        for n in 0..64 {
            let mut recipients = accounts.clone();
            recipients.rotate_left(n % 50);
            if n % 2 == 1 {
                recipients.reverse();
            }
            recipients.truncate(1 + n);
            calls.push(send(&house, recipients, n).await);
        }
        for call in calls {
            call.await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("no circle of waiting deliveries");
    let expected: usize = (0..64).map(|n| (1 + n).min(50)).sum();
    let counted: u32 = accounts.iter().map(|id| house.room.open(*id).unwrap().status("INBOX").unwrap().messages).sum();
    assert_eq!(counted as usize, expected);
    assert_eq!(house.room.store().scan::<Body>(.., usize::MAX).unwrap().len(), 64, "each body is kept once");
    house.check_counters();
});

on_both_engines!(sessions_and_deliveries_at_once_end_in_one_state, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    let mut calls = Vec::new();
    for n in 0..30 {
        calls.push(send(&house, vec![mailbox.account()], n).await);
        let mailbox = mailbox.clone();
        calls.push(tokio::spawn(async move {
            let mut session = mailbox.select("INBOX", false).await.unwrap();
            let all = uids(&session);
            let (some, _) = all.split_at(all.len() / 2);
            session.store_flags(some, FlagOp::Add, &MessageFlags::system(flags::FLAGGED), None).await.unwrap();
            session.copy(&some[..some.len().min(3)], "Archive").await.unwrap();
            if n % 5 == 0 {
                session.move_to(&some[..some.len().min(2)], "Trash").await.unwrap();
                session.store_flags(some, FlagOp::Add, &MessageFlags::system(flags::DELETED), None).await.unwrap();
                session.expunge(Expunge::AllDeleted).await.unwrap();
            }
            session.refresh(true);
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    session.refresh(true);
    let status = mailbox.status("INBOX").unwrap();
    assert_eq!(session.exists(), status.messages);
    assert_eq!(session.highest_modseq(), status.highest_modseq);
    house.check_counters();
});
