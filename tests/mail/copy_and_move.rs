//! COPY, MOVE, EXPUNGE: bodies are shared and go with their last message.

use caducee::mail::{Expunge, FlagOp, MailError, MailLimits, MessageFlags, Update};
use caducee::store::{Body, flags};

use crate::on_both_engines;
use crate::support::{House, message, text_of, uids};

fn bodies(house: &House) -> usize {
    house.room.store().scan::<Body>(.., usize::MAX).unwrap().len()
}

on_both_engines!(copies_share_their_body_until_the_last_is_gone, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    house.append(&mailbox, "INBOX", "un").await.unwrap();
    house.append(&mailbox, "INBOX", "deux").await.unwrap();
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    let tagged = MessageFlags { system: flags::FLAGGED, keywords: vec!["Urgent".into()] };
    session.store_flags(&[1], FlagOp::Add, &tagged, None).await.unwrap();
    let copied = session.copy(&[2, 1, 2, 9], "Archive").await.unwrap();
    assert_eq!((copied.source.as_slice(), copied.dest.as_slice()), (&[1, 2][..], &[1, 2][..]));
    assert_eq!(copied.uid_validity, mailbox.status("Archive").unwrap().uid_validity);
    assert_eq!(bodies(&house), 2);
    house.check_counters();

    let mut archive = mailbox.select("Archive", false).await.unwrap();
    assert_eq!(archive.recent(), 2, "copies are recent (RFC 3501 §6.4.7)");
    assert_eq!(archive.flags_of(archive.entry(1).unwrap()).keywords, ["Urgent"]);
    for session in [&mut session, &mut archive] {
        let deleted = MessageFlags::system(flags::DELETED);
        session.store_flags(&[1], FlagOp::Add, &deleted, None).await.unwrap();
        session.expunge(Expunge::Uids(&[1, 2])).await.unwrap();
        house.check_counters();
    }
    assert_eq!(bodies(&house), 1);
    assert!(text_of(&archive, 2).await.contains("Bonjour deux"));
    assert!(matches!(archive.body(1).await, Err(MailError::MessageGone)));
});

on_both_engines!(a_move_is_one_commit_there_and_here, async |house: House| {
    let mailbox = house.mailbox("lea").await;
    for n in 0..5 {
        house.append(&mailbox, "INBOX", &format!("m{n}")).await.unwrap();
    }
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    let mut trash = mailbox.select("Trash", false).await.unwrap();
    let moved = session.move_to(&[2, 4], "Trash").await.unwrap();
    assert_eq!(moved.dest, [1, 2]);
    assert_eq!(
        session.refresh(true),
        [Update::Expunge { seq: 2, uid: 2 }, Update::Expunge { seq: 3, uid: 4 }],
        "numbers as of the moment of telling"
    );
    assert_eq!(trash.refresh(true), [Update::Exists(2), Update::Recent(2)]);
    assert_eq!(uids(&session), [1, 3, 5]);
    assert!(text_of(&trash, 2).await.contains("Bonjour m3"));
    assert_eq!(bodies(&house), 5);
    let moved = trash.move_to(&[1], "Trash").await.unwrap();
    assert_eq!(moved.dest, [3], "into the same folder: a new UID");
    house.check_counters();
});

#[tokio::test]
async fn a_copy_to_nowhere_or_without_room_copies_nothing() {
    let text = message(&"x".repeat(100));
    let size = text.len() as u64;
    let house = House::with_limits(MailLimits { quota: Some(size * 5 / 2), ..MailLimits::default() });
    let mailbox = house.mailbox("lea").await;
    house.deliver(&[mailbox.account()], text.as_bytes()).await;
    house.deliver(&[mailbox.account()], text.as_bytes()).await;
    let session = mailbox.select("INBOX", false).await.unwrap();
    assert!(matches!(session.copy(&[1], "Nowhere").await, Err(MailError::NoFolder)));
    assert!(matches!(session.copy(&[], "Nowhere").await, Err(MailError::NoFolder)));
    assert!(matches!(session.copy(&[1, 2], "Archive").await, Err(MailError::OverQuota)));
    assert_eq!(mailbox.status("Archive").unwrap().messages, 0);
    house.check_counters();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_folder_is_copied_moved_and_emptied_in_bounded_commits() {
    let house = House::in_memory();
    let mailbox = house.mailbox("lea").await;
    mailbox.create("Grand").await.unwrap();
    house.append(&mailbox, "Grand", "un").await.unwrap();
    let mut session = mailbox.select("Grand", false).await.unwrap();
    for _ in 0..13 {
        let all = uids(&session);
        session.copy(&all, "Grand").await.unwrap();
        session.refresh(true);
    }
    assert_eq!(session.exists(), 8_192);
    session.move_to(&uids(&session), "Trash").await.unwrap();
    assert_eq!(mailbox.status("Grand").unwrap().messages, 0);
    let mut trash = mailbox.select("Trash", false).await.unwrap();
    assert_eq!(trash.exists(), 8_192);
    let all = uids(&trash);
    trash.store_flags(&all, FlagOp::Add, &MessageFlags::system(flags::DELETED), None).await.unwrap();
    trash.expunge(Expunge::AllDeleted).await.unwrap();
    assert_eq!(trash.refresh(true).len(), 8_192);
    house.check_counters();
    assert_eq!(bodies(&house), 0);
}
