//! A message of an own user: INBOXes, the copy in Sent and the queue in one commit.

use std::sync::Arc;

use caducee::audit::Asker;
use caducee::mail::queue::{Kind, Outbound, OutboundRecipient};
use caducee::mail::trail::digest_of;
use caducee::mail::{
    Appended, DeliverError, Delivered, Delivery, MailLimits, Mailbox, MessageFlags, NewMessage, OwnCopy, deliver,
};
use caducee::store::{
    AccountId, Batch, Body, Consignment, FolderId, QueueMessage, QueueRecipient, SentCopy, SentCopyKey, flags,
};
use caducee::wire::smtp::params::{MailParams, RcptParams};

use crate::on_both_engines;
use crate::support::{House, address, text_of, uids};

const ID: &str = "<un@client.example>";

fn letter(note: &str) -> String {
    format!(
        "From: lea@aura.mssante.example\r\nMessage-ID: {ID}\r\nX-Copy: {note}\r\nSubject: lettre\r\n\r\nBonjour\r\n"
    )
}

fn outbound(recipients: &[&str]) -> Outbound {
    let recipient = |name: &&str| OutboundRecipient { address: address(name), params: RcptParams::default() };
    Outbound {
        kind: Kind::Mail,
        sender: Some(address("lea")),
        account: None,
        params: MailParams::default(),
        recipients: recipients.iter().map(recipient).collect(),
        message_id: Some(ID.to_owned()),
        reference: "r1/1".to_owned(),
        skip: 0,
        header: 10,
        not_before: None,
    }
}

/// Léa sends: to own mailboxes, with a copy in her Sent folder.
async fn send(house: &House, lea: AccountId, to: &[AccountId]) -> Delivered {
    let message = house.received(letter("server").as_bytes()).await;
    let delivery = Delivery { sent_copy: Some(lea), ..Delivery::new(message, to.to_vec(), 1_700_000_000) };
    deliver(&house.room, delivery).await.unwrap()
}

async fn append(house: &House, mailbox: &Arc<Mailbox>, folder: &str) -> Appended {
    let message = house.received(letter("program").as_bytes()).await;
    let new = NewMessage { message, flags: MessageFlags::system(flags::SEEN), internal_date: 1_700_000_000 };
    mailbox.append(folder, new, &Asker::default()).await.unwrap()
}

async fn copies(mailbox: &Arc<Mailbox>) -> Vec<u32> {
    uids(&mailbox.select("Sent", true).await.unwrap())
}

on_both_engines!(own_mailboxes_sent_and_the_queue_share_one_body_and_one_commit, async |house: House| {
    let (lea, paul) = (house.mailbox("lea").await, house.mailbox("paul").await);
    let message = house.received(letter("server").as_bytes()).await;
    let delivery = Delivery {
        sent_copy: Some(lea.account()),
        outbound: Some(outbound(&["a@b.example", "c@b.example", "d@e.example"])),
        ..Delivery::new(message, vec![paul.account(), lea.account()], 1_700_000_000)
    };
    let delivered = deliver(&house.room, delivery).await.unwrap();
    assert_eq!(delivered.uids.len(), 2);
    assert!(matches!(delivered.own_copy, OwnCopy::Filed(_)));
    let store = house.room.store();
    let bodies = store.scan::<Body>(.., 10).unwrap();
    assert_eq!((bodies.len(), bodies[0].1.references), (1, 4), "two INBOXes, Sent, the queue");
    let messages = store.scan::<QueueMessage>(.., 10).unwrap();
    assert_eq!((messages.len(), messages[0].1.body), (1, bodies[0].0));
    assert_eq!(store.scan::<Consignment>(.., 10).unwrap().len(), 2, "one for each domain");
    assert_eq!(store.scan::<QueueRecipient>(.., 10).unwrap().len(), 3);
    let sent = lea.select("Sent", true).await.unwrap();
    let entries: Vec<u32> = sent.iter().map(|(_, entry)| entry.flags).collect();
    assert_eq!(entries, [flags::SEEN], "a copy is no news");
});

on_both_engines!(a_message_for_others_alone_lies_in_the_queue_alone, async |house: House| {
    let message = house.received(letter("server").as_bytes()).await;
    let delivery = Delivery { outbound: Some(outbound(&["a@b.example"])), ..Delivery::new(message, Vec::new(), 0) };
    let delivered = deliver(&house.room, delivery).await.unwrap();
    assert_eq!((delivered.uids, delivered.own_copy), (Vec::new(), OwnCopy::NotAsked));
    assert_eq!(house.room.store().scan::<Body>(.., 10).unwrap()[0].1.references, 1);
    let message = house.received(letter("server").as_bytes()).await;
    let nobody = deliver(&house.room, Delivery::new(message, Vec::new(), 0)).await;
    assert!(matches!(nobody, Err(DeliverError::NoRecipient)), "{nobody:?}");
});

on_both_engines!(a_refused_message_is_in_no_mailbox_and_not_in_the_queue, async |house: House| {
    let (lea, paul) = (house.account("lea").await.id, house.account("paul").await.id);
    house.registry.suspend(paul, "").await.unwrap();
    let message = house.received(letter("server").as_bytes()).await;
    let delivery = Delivery {
        sent_copy: Some(lea),
        outbound: Some(outbound(&["a@b.example"])),
        ..Delivery::new(message, vec![paul], 0)
    };
    let refused = deliver(&house.room, delivery).await;
    assert!(matches!(refused, Err(DeliverError::Mailbox { account, .. }) if account == paul), "{refused:?}");
    assert!(house.room.store().scan::<QueueMessage>(.., 10).unwrap().is_empty());
    assert!(copies(&house.room.open(lea).unwrap()).await.is_empty());
    house.check_counters();
});

on_both_engines!(the_programs_copy_takes_the_place_of_the_servers, async |house: House| {
    let (lea, paul) = (house.mailbox("lea").await, house.account("paul").await.id);
    let OwnCopy::Filed(first) = send(&house, lea.account(), &[paul]).await.own_copy else { panic!("not filed") };
    let appended = append(&house, &lea, "Sent").await;
    assert!(appended.uid > first);
    assert_eq!(copies(&lea).await, [appended.uid]);
    let sent = lea.select("Sent", true).await.unwrap();
    assert!(text_of(&sent, appended.uid).await.contains("X-Copy: program"));
    let again = append(&house, &lea, "Sent").await;
    assert_eq!(copies(&lea).await, [appended.uid, again.uid], "what a program files twice is its own affair");
    house.check_counters();
});

on_both_engines!(where_the_program_has_filed_its_copy_the_server_files_none, async |house: House| {
    let (lea, paul) = (house.mailbox("lea").await, house.account("paul").await.id);
    let appended = append(&house, &lea, "Sent").await;
    assert_eq!(send(&house, lea.account(), &[paul]).await.own_copy, OwnCopy::ThereAlready);
    assert_eq!(copies(&lea).await, [appended.uid]);
    house.check_counters();
});

on_both_engines!(a_copy_that_is_gone_or_elsewhere_counts_no_more, async |house: House| {
    let (lea, paul) = (house.mailbox("lea").await, house.account("paul").await.id);
    append(&house, &lea, "Drafts").await;
    assert!(matches!(send(&house, lea.account(), &[paul]).await.own_copy, OwnCopy::Filed(_)), "a draft is no copy");
    let mut sent = lea.select("Sent", false).await.unwrap();
    let uid = uids(&sent)[0];
    sent.move_to(&[uid], "Archive").await.unwrap();
    assert!(matches!(send(&house, lea.account(), &[paul]).await.own_copy, OwnCopy::Filed(_)));
    assert_eq!(copies(&lea).await.len(), 1);
    house.check_counters();
});

#[tokio::test]
async fn a_copy_without_room_keeps_no_message_from_going() {
    let house = House::with_limits(MailLimits { quota: Some(1_000), ..MailLimits::default() });
    let (lea, paul) = (house.mailbox("lea").await, house.account("paul").await.id);
    let large = format!("{}{}", letter("large"), "x".repeat(820));
    house.deliver(&[lea.account()], large.as_bytes()).await;
    let delivered = send(&house, lea.account(), &[paul]).await;
    assert_eq!((delivered.uids.len(), delivered.own_copy), (1, OwnCopy::NoRoom));
    house.check_counters();
}

#[tokio::test]
async fn what_its_reader_needs_is_delivered_beyond_the_quota() {
    let house = House::with_limits(MailLimits { quota: Some(10), ..MailLimits::default() });
    let lea = house.account("lea").await.id;
    let delivery = async |beyond_quota| {
        let message = house.received(letter("report").as_bytes()).await;
        deliver(&house.room, Delivery { beyond_quota, ..Delivery::new(message, vec![lea], 0) }).await
    };
    assert!(matches!(delivery(false).await, Err(DeliverError::Full { .. })));
    assert_eq!(delivery(true).await.unwrap().uids.len(), 1);
}

#[tokio::test]
async fn what_comes_along_is_written_in_the_same_commit() {
    let house = House::in_memory();
    let lea = house.account("lea").await.id;
    let key = SentCopyKey { account: AccountId(99), message: 1 };
    let mut also = Batch::new();
    also.put(&key, &SentCopy { folder: FolderId(1), uid: 1, at: 0, by_server: true });
    let message = house.received(letter("also").as_bytes()).await;
    let delivered = deliver(&house.room, Delivery { also, ..Delivery::new(message, vec![lea], 0) }).await.unwrap();
    let written = house.room.store().get::<SentCopy>(&key).unwrap().unwrap();
    assert_eq!(written.version, delivered.committed.version());
}

#[tokio::test]
async fn old_copies_are_forgotten_by_the_way_and_all_with_their_mailbox() {
    let house = House::in_memory();
    let (lea, paul) = (house.account("lea").await.id, house.account("paul").await.id);
    let mine = digest_of(ID);
    let (old, recent) = (1_700_000_000, 4_000_000_000);
    let mut batch = Batch::new();
    for (ahead, at) in [(1, old), (2, recent), (3, old)] {
        let key = SentCopyKey { account: lea, message: mine.saturating_add(ahead) };
        batch.put(&key, &SentCopy { folder: FolderId(1), uid: 1, at, by_server: true });
    }
    house.room.store().commit(batch).await.unwrap();
    send(&house, lea, &[paul]).await;
    let kept = || -> Vec<u64> {
        let rows = house.room.store().scan::<SentCopy>(SentCopyKey::of(lea), 10).unwrap();
        rows.iter().map(|(key, _)| key.message - mine).collect()
    };
    assert_eq!(kept(), [0, 2]);
    house.registry.close(lea, "").await.unwrap();
    assert!(kept().is_empty());
}
