//! Quotas: `452 4.2.2` on the first day, then `552 5.2.2` (MSSanté §5).

use caducee::accounts::AccountChange;
use caducee::mail::{Admission, DeliverError, Delivery, Expunge, FlagOp, MailError, MailLimits, MessageFlags, deliver};
use caducee::store::{Batch, Usage, flags};

use crate::support::{House, message, new_mailbox};

const SIZE: u64 = 10_000;

fn large() -> Vec<u8> {
    let mut text = message("grand").into_bytes();
    text.resize(SIZE as usize, b'x');
    text
}

async fn try_deliver(house: &House, recipients: &[caducee::store::AccountId]) -> Result<(), DeliverError> {
    let message = house.received(&large()).await;
    let delivery = Delivery::new(message, recipients.to_vec(), 0);
    deliver(&house.room, delivery).await.map(drop)
}

fn small_quota() -> MailLimits {
    MailLimits { quota: Some(SIZE * 5 / 2), ..MailLimits::default() }
}

#[tokio::test]
async fn a_full_mailbox_refuses_for_a_day_then_for_good_until_there_is_room() {
    let house = House::with_limits(small_quota());
    let mailbox = house.mailbox("lea").await;
    let id = mailbox.account();
    try_deliver(&house, &[id]).await.unwrap();
    try_deliver(&house, &[id]).await.unwrap();
    assert_eq!(house.room.admit(id, 1_000).await.unwrap(), Admission::Accept, "small mail still fits");
    assert_eq!(house.room.admit(id, SIZE).await.unwrap(), Admission::Temporary);
    let refused = try_deliver(&house, &[id]).await;
    assert!(matches!(refused, Err(DeliverError::Full { admission: Admission::Temporary, .. })), "{refused:?}");

    // A day later.
    let usage = house.room.store().get::<Usage>(&id).unwrap().unwrap();
    let since = usage.record.over_quota_since.expect("written down at the first refusal");
    let mut batch = Batch::new();
    batch.put(&id, &Usage { over_quota_since: Some(since - 86_400), ..usage.record });
    house.room.store().commit(batch).await.unwrap();
    assert_eq!(house.room.admit(id, SIZE).await.unwrap(), Admission::Permanent);
    let refused = try_deliver(&house, &[id]).await.unwrap_err();
    assert!(matches!(refused, DeliverError::Full { admission: Admission::Permanent, .. }) && !refused.is_temporary());

    let mut session = mailbox.select("INBOX", false).await.unwrap();
    session.store_flags(&[1], FlagOp::Add, &MessageFlags::system(flags::DELETED), None).await.unwrap();
    session.expunge(Expunge::AllDeleted).await.unwrap();
    assert_eq!(house.room.admit(id, SIZE).await.unwrap(), Admission::Accept);
    try_deliver(&house, &[id]).await.unwrap();
    assert_eq!(house.room.admit(id, SIZE).await.unwrap(), Admission::Temporary, "a new first day");
    house.check_counters();
}

#[tokio::test]
async fn one_full_mailbox_among_many_stops_the_message_for_none() {
    let house = House::with_limits(small_quota());
    let full = house.account("plein").await.id;
    let other = house.account("autre").await.id;
    try_deliver(&house, &[full]).await.unwrap();
    try_deliver(&house, &[full]).await.unwrap();
    // It had room when it was asked at RCPT without a size: the message goes over by itself.
    try_deliver(&house, &[full, other]).await.unwrap();
    let refused = try_deliver(&house, &[full, other]).await;
    assert!(matches!(refused, Err(DeliverError::Full { account, .. }) if account == full));
    house.check_counters();
}

#[tokio::test]
async fn append_respects_the_mailboxs_own_quota() {
    let house = House::in_memory();
    let mut new = new_mailbox("lea");
    new.quota = Some(100);
    let account = house.create(new).await;
    let mailbox = house.room.open(account.id).unwrap();
    house.append(&mailbox, "INBOX", "a").await.unwrap();
    assert!(matches!(house.append(&mailbox, "INBOX", "b").await, Err(MailError::OverQuota)));
    let used = mailbox.quota().unwrap();
    assert_eq!((used.messages, used.limit), (1, Some(100)));
    let change = AccountChange { quota: Some(Some(10_000)), ..AccountChange::default() };
    house.registry.set(account.id, &change).await.unwrap();
    house.append(&mailbox, "INBOX", "b").await.unwrap();
}
