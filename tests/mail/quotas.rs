//! Quotas: `452 4.2.2` on the first day, then `552 5.2.2` (MSSanté §5).

use caducee::accounts::{AccountChange, DomainChange};
use caducee::mail::{
    Admission, DeliverError, Delivery, Expunge, FlagOp, MailError, MailLimits, MessageFlags, QuotaByKind, deliver,
};
use caducee::store::{Batch, Usage, flags};

use crate::support::{House, domain, message, new_mailbox};

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

fn bounds(quota: Option<u64>, mailbox_quota: Option<u64>) -> DomainChange {
    DomainChange { quota: Some(quota), mailbox_quota: Some(mailbox_quota), description: None }
}

#[tokio::test]
async fn a_full_domain_refuses_in_each_of_its_mailboxes_until_one_of_them_has_made_room() {
    let house = House::embedded();
    let (lea, max) = (house.account("lea").await.id, house.account("max").await.id);
    let aura = domain("aura.mssante.example");
    try_deliver(&house, &[lea]).await.unwrap();
    // What is there already counts.
    house.registry.set_domain(&aura, &bounds(Some(SIZE * 5 / 2), None)).await.unwrap();
    assert_eq!(house.room.held_by_domain(aura.as_str()), Some(SIZE));
    try_deliver(&house, &[max]).await.unwrap();
    assert_eq!(house.room.admit(max, 1_000).await.unwrap(), Admission::Accept, "small mail still fits");
    for account in [lea, max] {
        assert_eq!(house.room.admit(account, SIZE).await.unwrap(), Admission::Temporary);
        let refused = try_deliver(&house, &[account]).await;
        assert!(matches!(refused, Err(DeliverError::Full { admission: Admission::Temporary, .. })), "{refused:?}");
    }
    let mailbox = house.room.open(lea).unwrap();
    let used = mailbox.quota().unwrap();
    assert_eq!(used.effective(), Some(SIZE * 3 / 2), "what it holds, and what the domain leaves");
    let large = house.received(&large()).await;
    let new = caducee::mail::NewMessage { message: large, flags: MessageFlags::system(0), internal_date: 0 };
    assert!(matches!(mailbox.append("INBOX", new).await, Err(MailError::OverQuota)));
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    assert!(matches!(session.copy(&[1], "Archive").await, Err(MailError::OverQuota)));
    session.move_to(&[1], "Archive").await.unwrap();

    // A start counts anew and comes to the same.
    drop((session, mailbox));
    let house = house.restarted();
    assert_eq!(house.room.held_by_domain(aura.as_str()), Some(2 * SIZE));
    assert_eq!(house.room.admit(max, SIZE).await.unwrap(), Admission::Temporary);
    let mailbox = house.room.open(lea).unwrap();
    let mut session = mailbox.select("Archive", false).await.unwrap();
    session.store_flags(&[1], FlagOp::Add, &MessageFlags::system(flags::DELETED), None).await.unwrap();
    session.expunge(Expunge::AllDeleted).await.unwrap();
    try_deliver(&house, &[max]).await.unwrap();
    house.check_counters();

    // A closed mailbox takes no room.
    house.registry.close(max, "").await.unwrap();
    assert_eq!(house.room.held_by_domain(aura.as_str()), Some(0));
    house.registry.set_domain(&aura, &bounds(None, None)).await.unwrap();
    assert_eq!(house.room.held_by_domain(aura.as_str()), None);
}

#[tokio::test]
async fn a_mailbox_has_its_own_quota_or_its_domains_or_its_kinds_or_everybodys() {
    let by_kind = QuotaByKind { per: Some(40), ..QuotaByKind::default() };
    let house = House::with_limits(MailLimits { quota: Some(50), quota_by_kind: by_kind, ..MailLimits::default() });
    let lea = house.account("lea").await.id;
    let practice = caducee::accounts::NewMailbox { kind: caducee::mss::Kind::Cab, ..new_mailbox("cabinet") };
    let practice = house.create(practice).await.id;
    let limit = |id| house.room.open(id).unwrap().quota().unwrap().limit;
    assert_eq!((limit(lea), limit(practice)), (Some(40), Some(50)));
    let aura = domain("aura.mssante.example");
    house.registry.set_domain(&aura, &bounds(None, Some(30))).await.unwrap();
    assert_eq!((limit(lea), limit(practice)), (Some(30), Some(30)));
    let own = AccountChange { quota: Some(Some(20)), ..AccountChange::default() };
    house.registry.set(lea, &own).await.unwrap();
    assert_eq!((limit(lea), limit(practice)), (Some(20), Some(30)));
}
