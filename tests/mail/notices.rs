//! Notices over the registry: in the commit of what they tell, sealed, one and not many; what is marked for them.

use std::net::IpAddr;
use std::time::Duration;

use caducee::accounts::devices::{DeviceKey, NewDevice, Pkcs12Form};
use caducee::accounts::notice::{Lane, Notice, NoticeInbox, Outcome, OutgoingNotice};
use caducee::accounts::{Account, AccountChange, AccountOptions, By, ListFilter, NewMailbox, Registry};
use caducee::mail::{FlagOp, MailLimits, MessageFlags, NewMailTimes};
use caducee::store::{
    AccountId, NewMailPace, NoticeKey, NoticeLane, NoticePart, NoticeState, NoticeStateKey, WaitingNotice, flags,
};

use crate::support::{House, account_options, message, new_mailbox};

fn told() -> NewMailbox {
    NewMailbox { notification_address: Some("lea@fai.example".to_owned()), ..new_mailbox("lea") }
}

async fn next(inbox: &mut NoticeInbox) -> OutgoingNotice {
    tokio::time::timeout(Duration::from_secs(5), inbox.next()).await.expect("a notice")
}

/// Nothing is there: what waits would have been found at the first look.
async fn nothing(inbox: &mut NoticeInbox) {
    let found = tokio::time::timeout(Duration::from_millis(50), inbox.next()).await;
    assert!(found.is_err(), "{found:?}");
}

fn device(name: &str) -> NewDevice {
    NewDevice { name: name.into(), person: None, key: DeviceKey::Made(Pkcs12Form::Modern) }
}

#[tokio::test]
async fn what_was_told_is_told_after_a_restart_codes_first_and_what_is_settled_is_not() {
    let house = House::embedded();
    house.registry.open_device_authorities().await.unwrap();
    let lea = house.create(told()).await.id;
    let inbox = house.registry.take_notices().unwrap();
    house.registry.enrol_device(lea, device("PC du cabinet")).await.unwrap();
    house.registry.mail_code(lea, "login").await.unwrap();
    inbox.leave();
    // The server stops, which is not the end of notices.
    assert!(house.registry.carries_notices());

    let house = house.restarted();
    let mut inbox = house.registry.take_notices().unwrap();
    let code = next(&mut inbox).await;
    assert!(code.is_urgent() && code.notice.name() == "code", "{code:?}");
    let enrolled = next(&mut inbox).await;
    let Notice::DeviceEnrolled { device, .. } = &enrolled.notice else { panic!("{enrolled:?}") };
    assert_eq!(device, "PC du cabinet");
    assert_eq!((enrolled.to.to_string(), enrolled.account), ("lea@fai.example".to_owned(), lea));
    nothing(&mut inbox).await;
    house.registry.settle_notice(&code, &Outcome::Sent).await.unwrap();
    inbox.leave();

    let house = house.restarted();
    let mut inbox = house.registry.take_notices().unwrap();
    let again = next(&mut inbox).await;
    assert_eq!((again.id, again.notice), (enrolled.id, enrolled.notice), "the same message, if it went out already");
    nothing(&mut inbox).await;
}

#[tokio::test]
async fn a_waiting_notice_shows_nothing_and_leaves_when_it_is_of_no_use() {
    let house = House::in_memory();
    let lea = house.create(told()).await.id;
    let mut inbox = house.registry.take_notices().unwrap();
    house.registry.mail_code(lea, "login").await.unwrap();
    let store = house.room.store();
    let rows = store.scan::<WaitingNotice>(NoticeKey::of(NoticeLane::Urgent), 9).unwrap();
    let notice = next(&mut inbox).await;
    let Notice::Code { code, .. } = &notice.notice else { panic!("{notice:?}") };
    assert_eq!(rows.len(), 1);
    for secret in [code.reveal(), "fai.example", "lea@"] {
        assert!(!rows[0].1.sealed.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{secret}");
    }
    assert!(!format!("{notice:?}").contains(code.reveal()));
    house.registry.settle_notice(&notice, &Outcome::GivenUp).await.unwrap();
    assert!(store.scan::<WaitingNotice>(.., 9).unwrap().is_empty());
    // Nobody carries them any more: what waits lies about for nothing.
    house.registry.mail_code(lea, "login").await.unwrap();
    assert_eq!(house.registry.give_up_notices().await.unwrap(), 1);
    assert!(store.scan::<WaitingNotice>(.., 9).unwrap().is_empty());
}

#[tokio::test]
async fn what_does_not_happen_is_not_told() {
    let house = House::in_memory();
    let lea = house.create(told()).await.id;
    let mut inbox = house.registry.take_notices().unwrap();
    house.registry.new_recovery_codes(lea).await.unwrap();
    assert_eq!(next(&mut inbox).await.notice, Notice::RecoveryCodesMade);
    // A wrong code is written down, and is no use of a recovery code.
    assert!(house.registry.check_code(lea, "login", "ABCDEF-ABCDEF-ABCDEF").await.is_err());
    assert!(house.registry.change_password(lea, "court", "", By::Holder).await.is_err());
    nothing(&mut inbox).await;
    house.registry.change_password(lea, "un mot de passe bien assez long", "", By::Holder).await.unwrap();
    assert_eq!(next(&mut inbox).await.notice, Notice::PasswordChanged { by: By::Holder });
    assert!(house.registry.remove_password(lea, By::Administrator).await.unwrap());
    assert_eq!(next(&mut inbox).await.notice, Notice::PasswordRemoved { by: By::Administrator });
    assert!(!house.registry.remove_password(lea, By::Administrator).await.unwrap());
    nothing(&mut inbox).await;
}

#[tokio::test]
async fn notices_come_by_lanes_and_a_full_lane_holds_up_no_other() {
    let house = House::in_memory();
    let lea = house.create(told()).await;
    let mut inbox = house.registry.take_notices().unwrap();
    let maintenance = Notice::Maintenance { text: "Arrêt.".into() };
    for notice in [maintenance.clone(), maintenance, Notice::Closed, Notice::FactorsReset] {
        assert!(house.registry.tell(&lea, notice).await);
    }
    house.registry.mail_code(lea.id, "login").await.unwrap();
    let mut lanes = Vec::new();
    for _ in 0..5 {
        lanes.push(next(&mut inbox).await.lane());
    }
    assert_eq!(lanes, [Lane::Urgent, Lane::Access, Lane::Life, Lane::News, Lane::News]);
    assert!(house.registry.tell(&lea, Notice::FactorsReset).await);
    assert!(house.registry.tell(&lea, Notice::QuotaFull).await);
    let has_room = |lane: Lane| lane != Lane::Access;
    let found = tokio::time::timeout(Duration::from_secs(5), inbox.next_with(has_room)).await.unwrap();
    assert_eq!(found.notice, Notice::QuotaFull);
}

#[tokio::test]
async fn who_takes_the_notices_away_is_told_of_where_they_went() {
    let house = House::in_memory();
    let lea = house.create(told()).await.id;
    let mut inbox = house.registry.take_notices().unwrap();
    let elsewhere =
        AccountChange { notification_address: Some(Some("mallory@fai.example".into())), ..AccountChange::default() };
    house.registry.set(lea, &elsewhere).await.unwrap();
    let notice = next(&mut inbox).await;
    assert_eq!((notice.to.to_string().as_str(), notice.notice), ("lea@fai.example", Notice::AddressChanged));
}

#[tokio::test]
async fn a_refused_address_is_noted_until_it_is_another_or_takes_a_notice() {
    let house = House::in_memory();
    let lea = house.create(told()).await;
    let mut inbox = house.registry.take_notices().unwrap();
    let status = || house.registry.by_id(lea.id).unwrap().unwrap().data.notice_bounce.map(|bounce| bounce.status);
    let settle = async |inbox: &mut NoticeInbox, outcome: Outcome| {
        assert!(house.registry.tell(&lea, Notice::FactorsReset).await);
        let notice = next(inbox).await;
        house.registry.settle_notice(&notice, &outcome).await.unwrap();
    };
    settle(&mut inbox, Outcome::Bounced("550 5.1.1".into())).await;
    assert_eq!(status().as_deref(), Some("550 5.1.1"));
    settle(&mut inbox, Outcome::GivenUp).await;
    assert!(status().is_some(), "who gave up knows nothing of the address");
    settle(&mut inbox, Outcome::Sent).await;
    assert_eq!(status(), None);
    let noted = house.registry.notices_bounced(&"Lea@FAI.example".parse().unwrap(), "5.2.1").await.unwrap();
    assert_eq!((noted.len(), status().as_deref()), (1, Some("5.2.1")), "the operator's relay has said so");
    let elsewhere = AccountChange { notification_address: Some(None), ..AccountChange::default() };
    house.registry.set(lea.id, &elsewhere).await.unwrap();
    assert_eq!(status(), None);
}

fn telling(pace: NewMailPace) -> MailLimits {
    MailLimits { new_mail: Some(NewMailTimes { pace, daily_hour: 6 }), ..MailLimits::default() }
}

fn in_two_days() -> i64 {
    jiff::Timestamp::now().as_second() + 2 * 86_400
}

#[tokio::test]
async fn new_messages_are_counted_in_one_notice_and_those_that_were_read_are_not() {
    let house = House::with_limits(telling(NewMailPace::Daily));
    let lea = house.create(told()).await.id;
    let silent = house.account("max").await.id;
    let mut inbox = house.registry.take_notices().unwrap();
    for number in 0..3 {
        house.deliver(&[lea, silent], message(&format!("message {number}")).as_bytes()).await;
    }
    let now = jiff::Timestamp::now().as_second();
    assert_eq!(house.registry.tend_notices(now).await.unwrap(), 0, "not before its hour");
    let mailbox = house.room.open(lea).unwrap();
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    session.store_flags(&[2], FlagOp::Add, &MessageFlags::system(flags::SEEN), None).await.unwrap();
    assert_eq!(house.registry.tend_notices(in_two_days()).await.unwrap(), 1);
    assert_eq!(next(&mut inbox).await.notice, Notice::NewMail { messages: 2, or_more: false });
    assert_eq!(house.registry.tend_notices(in_two_days()).await.unwrap(), 0, "once");

    // What the holder files is no news, and what was read before its hour is none either.
    house.append(&mailbox, "INBOX", "à classer").await.unwrap();
    assert_eq!(house.registry.tend_notices(in_two_days()).await.unwrap(), 0);
    house.deliver(&[lea], message("lu").as_bytes()).await;
    session.refresh(true);
    session.store_flags(&[5], FlagOp::Add, &MessageFlags::system(flags::SEEN), None).await.unwrap();
    assert_eq!(house.registry.tend_notices(in_two_days()).await.unwrap(), 1);
    nothing(&mut inbox).await;
    assert!(marks(&house, lea).is_none() && marks(&house, silent).is_none());
}

fn marks(house: &House, account: AccountId) -> Option<NoticeState> {
    let key = NoticeStateKey { part: NoticePart::Marks, account };
    house.room.store().get::<NoticeState>(&key).unwrap().map(|read| read.record)
}

#[tokio::test]
async fn how_often_is_the_holders_choice() {
    let house = House::with_limits(telling(NewMailPace::None));
    let lea = house.create(told()).await.id;
    let mut inbox = house.registry.take_notices().unwrap();
    house.deliver(&[lea], message("un").as_bytes()).await;
    assert!(marks(&house, lea).is_none());
    let at_once = AccountChange { new_mail_notices: Some(Some(NewMailPace::AtOnce)), ..AccountChange::default() };
    house.registry.set(lea, &at_once).await.unwrap();
    house.deliver(&[lea], message("deux").as_bytes()).await;
    assert_eq!(house.registry.tend_notices(jiff::Timestamp::now().as_second()).await.unwrap(), 1);
    assert_eq!(next(&mut inbox).await.notice, Notice::NewMail { messages: 1, or_more: false });
}

#[tokio::test]
async fn marks_survive_a_restart_and_end_with_their_mailbox() {
    let house = House::embedded_with(telling(NewMailPace::AtOnce));
    let lea = house.create(told()).await.id;
    house.deliver(&[lea], message("un").as_bytes()).await;
    let house = house.restarted();
    assert!(marks(&house, lea).is_some());
    let mut inbox = house.registry.take_notices().unwrap();
    house.registry.close(lea, "").await.unwrap();
    assert!(marks(&house, lea).is_none());
    assert_eq!(house.registry.tend_notices(in_two_days()).await.unwrap(), 0);
    assert_eq!(next(&mut inbox).await.notice, Notice::Closed, "and nothing of the messages");
    nothing(&mut inbox).await;
}

#[tokio::test]
async fn a_holder_is_warned_of_a_mailbox_that_fills_once_at_each_threshold() {
    let limits = MailLimits { quota: Some(20_000), ..telling(NewMailPace::None) };
    let house = House::with_limits(limits);
    let lea = house.create(told()).await.id;
    let mut inbox = house.registry.take_notices().unwrap();
    let mut large = message("grand").into_bytes();
    large.resize(5_500, b'x');
    let tended = async |house: &House| house.registry.tend_notices(in_two_days()).await.unwrap();
    house.deliver(&[lea], &large).await;
    house.deliver(&[lea], &large).await;
    assert_eq!(tended(&house).await, 0);
    house.deliver(&[lea], &large).await;
    assert_eq!(tended(&house).await, 1);
    assert_eq!(next(&mut inbox).await.notice, Notice::QuotaReached { percent: 80 });
    house.deliver(&[lea], message("petit").as_bytes()).await;
    assert_eq!(tended(&house).await, 0);
    assert_eq!(house.room.admit(lea, 5_500).await.unwrap(), caducee::mail::Admission::Temporary);
    assert_eq!(tended(&house).await, 1);
    assert_eq!(next(&mut inbox).await.notice, Notice::QuotaFull);
    house.check_counters();
}

#[tokio::test]
async fn a_mailbox_that_opens_from_another_network_is_told_to_its_holder() {
    let house = House::in_memory();
    let registry = Registry::new(house.room.clone(), AccountOptions { new_places: true, ..account_options() });
    let lea = house.create(told()).await;
    registry.set_password(lea.id, "un mot de passe bien assez long", "").await.unwrap();
    let mut inbox = registry.take_notices().unwrap();
    for (peer, is_told) in [("192.0.2.1", false), ("192.0.2.77", false), ("127.0.0.1", false), ("198.51.100.7", true)] {
        let peer: IpAddr = peer.parse().unwrap();
        enter(&registry, &lea, peer).await;
        if is_told {
            assert_eq!(next(&mut inbox).await.notice, Notice::NewPlace { peer: peer.to_string() });
        } else {
            nothing(&mut inbox).await;
        }
    }
    let key = NoticeStateKey { part: NoticePart::Places, account: lea.id };
    let state = house.room.store().get::<NoticeState>(&key).unwrap().unwrap().record;
    assert_eq!(state.places.len(), 2);
}

async fn enter(registry: &Registry, account: &Account, peer: IpAddr) {
    let (login, password) = (account.address.to_string(), "un mot de passe bien assez long");
    let login = registry.verify_password(&login, None, password, None, peer).await.unwrap();
    drop(registry.enter(&login, "imap", peer, 10).unwrap());
}

#[tokio::test]
async fn an_announcement_reaches_every_holder_of_a_domain_and_says_who_cannot_be_told() {
    let house = House::in_memory();
    house.create(told()).await;
    house.account("max").await;
    let mut inbox = house.registry.take_notices().unwrap();
    let domain = crate::support::domain("aura.mssante.example");
    let announced = house.registry.announce("Arrêt dimanche.", Some(&domain)).await.unwrap();
    assert_eq!((announced.told, announced.without_address), (1, 1));
    let notice = next(&mut inbox).await;
    assert_eq!(notice.notice, Notice::Maintenance { text: "Arrêt dimanche.".into() });
    nothing(&mut inbox).await;
    let elsewhere = crate::support::domain("ailleurs.mssante.example");
    assert_eq!(house.registry.announce("Arrêt.", Some(&elsewhere)).await.unwrap().told, 0);
}

#[tokio::test]
async fn where_it_is_required_no_mailbox_is_without_a_notification_address_but_those_that_were() {
    let house = House::in_memory();
    let before = house.account("max").await;
    let options = AccountOptions { address_required: true, ..account_options() };
    let registry = Registry::new(house.room.clone(), options);
    let refused = registry.create(new_mailbox("lea")).await.unwrap_err();
    assert!(refused.to_string().contains("notification address"), "{refused}");
    let test = registry.create(NewMailbox { test: true, ..new_mailbox("essai") }).await.unwrap();
    let lea = registry.create(told()).await.unwrap();
    let without = AccountChange { notification_address: Some(None), ..AccountChange::default() };
    let real = AccountChange { test: Some(false), ..AccountChange::default() };
    assert!(registry.set(lea.id, &without).await.is_err() && registry.set(test.id, &real).await.is_err());
    let red = AccountChange { red_list: Some(true), ..AccountChange::default() };
    assert!(registry.set(before.id, &red).await.is_ok(), "a mailbox that has none goes on");
    let lacking = ListFilter { notification_address: Some(false), ..ListFilter::default() };
    let found: Vec<_> = registry.list(&lacking, None, 9).unwrap().into_iter().map(|account| account.id).collect();
    assert_eq!(found, [before.id, test.id]);
}
