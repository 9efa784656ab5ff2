//! COPY and MOVE from one mailbox into another: sealed anew, in one commit, within the other's quota.

use caducee::mail::{FlagOp, MailError, MailLimits, MessageFlags, Update};
use caducee::store::{Body, Content, MessageKey, flags};

use crate::on_both_engines;
use crate::support::{House, message, text_of, uids};

fn bodies(house: &House) -> usize {
    house.room.store().scan::<Body>(.., usize::MAX).unwrap().len()
}

on_both_engines!(a_copy_opens_with_the_other_mailboxs_key_and_outlives_the_first, async |house: House| {
    let (lea, max) = (house.mailbox("lea").await, house.mailbox("max").await);
    house.append(&lea, "INBOX", "un").await.unwrap();
    house.append(&lea, "INBOX", "deux").await.unwrap();
    house.append(&max, "INBOX", "autre").await.unwrap();
    let mut inbox = lea.select("INBOX", false).await.unwrap();
    let tagged = MessageFlags { system: flags::FLAGGED, keywords: vec!["Urgent".into()] };
    inbox.store_flags(&[2], FlagOp::Add, &tagged, None).await.unwrap();
    let copied = inbox.copy_across(&[2, 1, 9], &max, "Archive").await.unwrap();
    assert_eq!((copied.source.as_slice(), copied.dest.as_slice()), (&[1, 2][..], &[1, 2][..]));
    assert_eq!(copied.uid_validity, max.status("Archive").unwrap().uid_validity);
    assert_eq!(bodies(&house), 3, "the body is kept once");
    house.check_counters();

    let archive = max.select("Archive", true).await.unwrap();
    assert_eq!(archive.flags_of(archive.entry(2).unwrap()).keywords, ["Urgent"]);
    let summaries = archive.summaries(vec![1, 2]).await.unwrap();
    assert_eq!(summaries[0].summary.message.envelope.subject.as_deref(), Some(&b"un"[..]));
    house.registry.close(lea.account(), "").await.unwrap();
    assert!(text_of(&archive, 2).await.contains("Bonjour deux"), "the copy outlives the mailbox that it came from");
    house.check_counters();
});

on_both_engines!(a_move_leaves_one_mailbox_and_comes_to_the_other_in_one_commit, async |house: House| {
    let (lea, max) = (house.mailbox("lea").await, house.mailbox("max").await);
    for text in ["un", "deux", "trois"] {
        house.append(&lea, "INBOX", text).await.unwrap();
    }
    let mut inbox = lea.select("INBOX", false).await.unwrap();
    let mut theirs = max.select("INBOX", false).await.unwrap();
    let moved = inbox.move_across(&[1, 3], &max, "INBOX").await.unwrap();
    assert_eq!((moved.dest.as_slice(), moved.committed.is_some()), (&[1, 2][..], true));
    assert_eq!(inbox.refresh(true), [Update::Expunge { seq: 1, uid: 1 }, Update::Expunge { seq: 2, uid: 3 }]);
    assert_eq!(theirs.refresh(true), [Update::Exists(2), Update::Recent(2)]);
    assert_eq!((uids(&inbox), uids(&theirs)), (vec![2], vec![1, 2]));
    assert!(text_of(&theirs, 2).await.contains("Bonjour trois"));
    assert_eq!(bodies(&house), 3);
    house.check_counters();
});

#[tokio::test]
async fn what_does_not_fit_in_the_other_mailbox_stays_here_whole() {
    let text = message(&"x".repeat(100));
    let quota = Some(text.len() as u64 * 5 / 2);
    let house = House::with_limits(MailLimits { quota, ..MailLimits::default() });
    let (lea, max) = (house.mailbox("lea").await, house.mailbox("max").await);
    house.deliver(&[lea.account()], text.as_bytes()).await;
    house.deliver(&[lea.account()], text.as_bytes()).await;
    house.deliver(&[max.account()], text.as_bytes()).await;
    let mut inbox = lea.select("INBOX", false).await.unwrap();
    assert!(matches!(inbox.copy_across(&[1, 2], &max, "INBOX").await, Err(MailError::OverQuota)));
    assert!(matches!(inbox.move_across(&[1, 2], &max, "INBOX").await, Err(MailError::OverQuota)));
    assert!(matches!(inbox.copy_across(&[1], &max, "Nowhere").await, Err(MailError::NoFolder)));
    assert_eq!((inbox.exists(), max.status("INBOX").unwrap().messages), (2, 1));
    assert!(inbox.refresh(true).is_empty());
    inbox.move_across(&[2], &max, "INBOX").await.unwrap();
    house.check_counters();
    let mut examined = lea.select("INBOX", true).await.unwrap();
    assert!(matches!(examined.move_across(&[1], &max, "INBOX").await, Err(MailError::ReadOnly)));
}

#[tokio::test]
async fn of_many_messages_all_are_copied_or_none_though_they_go_in_parts() {
    let text = message("x");
    let size = text.len() as u64;
    let house = House::with_limits(MailLimits { quota: Some(size * 501 + size / 2), ..MailLimits::default() });
    let (lea, max) = (house.mailbox("lea").await, house.mailbox("max").await);
    for _ in 0..501 {
        house.deliver(&[lea.account()], text.as_bytes()).await;
    }
    house.deliver(&[max.account()], text.as_bytes()).await;
    let mut inbox = lea.select("INBOX", false).await.unwrap();
    let all: Vec<u32> = (1..=501).collect();
    assert!(matches!(inbox.copy_across(&all, &max, "INBOX").await, Err(MailError::OverQuota)));
    assert_eq!(max.status("INBOX").unwrap().messages, 1, "the first part is taken back");
    let moved = inbox.move_across(&all[1..], &max, "INBOX").await.unwrap();
    assert_eq!((moved.source.len(), max.status("INBOX").unwrap().messages), (500, 501));
    house.check_counters();
}

#[tokio::test]
async fn a_mailbox_that_is_closed_or_suspended_takes_nothing_and_gives_nothing() {
    let house = House::in_memory();
    let (lea, max) = (house.mailbox("lea").await, house.mailbox("max").await);
    house.append(&lea, "INBOX", "un").await.unwrap();
    let inbox = lea.select("INBOX", false).await.unwrap();
    house.registry.suspend(max.account(), "").await.unwrap();
    assert!(matches!(inbox.copy_across(&[1], &max, "INBOX").await, Err(MailError::Suspended)));
    house.registry.close(max.account(), "").await.unwrap();
    assert!(matches!(inbox.copy_across(&[1], &max, "INBOX").await, Err(MailError::Suspended | MailError::Closed)));
    house.check_counters();
}

#[tokio::test]
async fn a_damaged_key_costs_its_message_and_a_damaged_summary_its_envelope() {
    let house = House::in_memory();
    let (lea, max) = (house.mailbox("lea").await, house.mailbox("max").await);
    for text in ["un", "deux", "trois"] {
        house.append(&lea, "INBOX", text).await.unwrap();
    }
    let mut inbox = lea.select("INBOX", false).await.unwrap();
    let store = house.room.store();
    let key = |uid| MessageKey { folder: inbox.folder(), uid };
    let whole = |uid| store.get::<Content>(&key(uid)).unwrap().unwrap().record;
    let (first, second) = (whole(1), whole(2));
    let mut batch = caducee::store::Batch::new();
    batch.put(&key(1), &Content { sealed_body_key: second.sealed_body_key.clone(), ..first });
    batch.put(&key(2), &Content { sealed_summary: vec![1, 2, 3], ..second });
    store.commit(batch).await.unwrap();
    let moved = inbox.move_across(&[1, 2, 3], &max, "INBOX").await.unwrap();
    assert_eq!(moved.source, [2, 3], "what cannot be sealed anew stays where it is");
    inbox.refresh(true);
    assert_eq!(uids(&inbox), [1]);
    let theirs = max.select("INBOX", true).await.unwrap();
    assert!(text_of(&theirs, 1).await.contains("Bonjour deux"));
    assert_eq!(theirs.summaries(vec![1]).await.unwrap()[0].summary.message.envelope.subject, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailboxes_that_copy_into_each_other_at_once_do_not_wait_for_ever() {
    let house = House::in_memory();
    let (lea, max) = (house.mailbox("lea").await, house.mailbox("max").await);
    house.append(&lea, "INBOX", "un").await.unwrap();
    house.append(&max, "INBOX", "deux").await.unwrap();
    let there = lea.select("INBOX", true).await.unwrap();
    let back = max.select("INBOX", true).await.unwrap();
    let (to_max, to_lea) = (max.clone(), lea.clone());
    let one = tokio::spawn(async move {
        for _ in 0..100 {
            there.copy_across(&[1], &to_max, "Archive").await.unwrap();
        }
    });
    let other = tokio::spawn(async move {
        for _ in 0..100 {
            back.copy_across(&[1], &to_lea, "Archive").await.unwrap();
        }
    });
    let both = async { (one.await.unwrap(), other.await.unwrap()) };
    tokio::time::timeout(std::time::Duration::from_secs(30), both).await.expect("a deadlock");
    assert_eq!((lea.status("Archive").unwrap().messages, max.status("Archive").unwrap().messages), (100, 100));
    house.check_counters();
}

#[tokio::test]
async fn across_into_the_same_mailbox_is_an_ordinary_copy() {
    let house = House::in_memory();
    let lea = house.mailbox("lea").await;
    house.append(&lea, "INBOX", "un").await.unwrap();
    let inbox = lea.select("INBOX", false).await.unwrap();
    let copying = inbox.copy_across(&[1], &lea, "Archive");
    let copied = tokio::time::timeout(std::time::Duration::from_secs(5), copying).await.expect("a deadlock").unwrap();
    assert_eq!(copied.dest, [1]);
    house.check_counters();
}
