//! Accounts from creation to closing (MSSanté §4, §5).

use caducee::accounts::{AccountChange, AccountError, Grantee, ListFilter, NewMailbox};
use caducee::mail::{DeliverError, Delivery, MailError, Update, deliver};
use caducee::mss::{Kind, MailboxState};
use caducee::store::{AccessGrant, AccessRight, AccountId, Body, Change, Content, Folder, Holder, Message, MessageKey};

use crate::on_both_engines;
use crate::support::{House, address, domain, message, new_mailbox, professional, structure};

on_both_engines!(an_address_and_a_kind_are_for_life_and_beyond, async |house: House| {
    let lea = house.account("Lea.Lefevre").await;
    assert_eq!(lea.address.to_string(), "Lea.Lefevre@aura.mssante.example");
    for same in ["lea.lefevre", "LEA.LEFEVRE@AURA.mssante.example"] {
        let again = house.registry.create(new_mailbox(same)).await;
        assert!(matches!(again, Err(AccountError::AddressTaken)), "{again:?}");
        assert_eq!(house.registry.by_address(&address(same)).unwrap().unwrap().id, lea.id);
    }
    house.registry.close(lea.id, "parti").await.unwrap();
    let again = house.registry.create(new_mailbox("lea.lefevre")).await;
    assert!(matches!(again, Err(AccountError::AddressClosed)), "{again:?}");
    let closed = house.registry.by_address(&address("lea.lefevre")).unwrap().unwrap();
    assert_eq!((closed.id, closed.state), (lea.id, MailboxState::Closed));
    assert_eq!(closed.data.holder.last_name.as_deref(), Some("Lefèvre"), "identification data are kept");
    let next = house.account("suivante").await;
    assert!(next.id > lea.id);
});

#[tokio::test]
async fn a_mailbox_needs_one_of_the_operators_domains_and_what_its_kind_asks() {
    let house = House::in_memory();
    house.account("premier").await;
    let elsewhere = new_mailbox("a@nouvelle-aquitaine.mssante.example");
    assert!(matches!(house.registry.create(elsewhere).await, Err(AccountError::NotOwnDomain(_))));
    for (kind, holder, good) in [
        (Kind::Per, professional(), true),
        (Kind::Per, structure(), false),
        (Kind::Org, structure(), true),
        (Kind::Org, professional(), false),
        (Kind::App, structure(), true),
        (Kind::App, Holder::default(), false),
        (Kind::Cab, professional(), true),
        (Kind::Cab, structure(), false),
    ] {
        let name = address(&format!("{}-{good}", kind.code().to_lowercase()));
        let created = house.registry.create(NewMailbox::new(name, kind, holder)).await;
        assert_eq!(created.is_ok(), good, "{kind}: {created:?}");
    }
    for bad in ["a!b", "\"a b\"", "a/b", "a|b"] {
        let new = NewMailbox::new(address(&format!("{bad}@aura.mssante.example")), Kind::Per, professional());
        assert!(matches!(house.registry.create(new).await, Err(AccountError::Rule(_))), "{bad}");
    }
}

on_both_engines!(a_suspended_mailbox_takes_nothing_opens_for_nobody_and_loses_nothing, async |house: House| {
    let lea = house.account("lea").await.id;
    house.deliver(&[lea], message("avant").as_bytes()).await;
    let mailbox = house.room.open(lea).unwrap();
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    house.registry.suspend(lea, "contrôle").await.unwrap();
    session.changed().await;
    assert_eq!(session.refresh(true), [Update::Gone]);
    assert!(matches!(session.body(1).await.map(drop), Err(MailError::Suspended)));
    assert!(matches!(session.summaries(vec![1]).await.map(drop), Err(MailError::Suspended)));
    assert!(matches!(session.copy(&[1], "Trash").await.map(drop), Err(MailError::Suspended)));
    assert!(matches!(mailbox.folders().map(drop), Err(MailError::Suspended)));
    assert!(matches!(house.room.open(lea).map(drop), Err(MailError::Suspended)));
    assert!(matches!(house.append(&mailbox, "INBOX", "x").await, Err(MailError::Suspended)));
    let message = house.received(b"x").await;
    let refused = deliver(&house.room, Delivery::new(message, vec![lea], 0)).await;
    assert!(matches!(refused, Err(DeliverError::Mailbox { error: MailError::Suspended, .. })), "{refused:?}");
    let account = house.registry.by_id(lea).unwrap().unwrap();
    assert_eq!((account.state, account.data.state_reason.as_deref()), (MailboxState::Suspended, Some("contrôle")));
    house.registry.reopen(lea, "").await.unwrap();
    let session = house.room.open(lea).unwrap().select("INBOX", false).await.unwrap();
    assert_eq!(session.exists(), 1);
    assert_eq!(session.summaries(vec![1]).await.unwrap().len(), 1);
});

on_both_engines!(closing_destroys_the_key_and_then_the_records, async |house: House| {
    let lea = house.account("lea").await.id;
    let mailbox = house.room.open(lea).unwrap();
    for n in 0..20 {
        house.append(&mailbox, "INBOX", &format!("{n}")).await.unwrap();
    }
    let mut session = mailbox.select("INBOX", false).await.unwrap();
    session.copy(&[1, 2, 3], "Archive").await.unwrap();
    house.registry.set_password(lea, "un mot de passe", "").await.unwrap();
    house.registry.close(lea, "parti").await.unwrap();
    session.changed().await;
    assert_eq!(session.refresh(true), [Update::Gone]);
    assert!(matches!(session.body(1).await.map(drop), Err(MailError::Closed)));
    assert!(matches!(house.room.open(lea).map(drop), Err(MailError::Closed)));
    let store = house.room.store();
    let owner = caducee::store::KeyOwner::Mailbox(lea);
    assert_eq!((store.keys().sealed(owner), store.keys().is_wiped(owner)), (None, true));
    assert!(house.registry.credentials(lea).unwrap().is_empty());
    assert!(store.scan::<Folder>(.., 10).unwrap().is_empty());
    assert!(store.scan::<Message>(.., 10).unwrap().is_empty());
    assert!(store.scan::<Content>(.., 10).unwrap().is_empty());
    assert!(store.scan::<Body>(.., 10).unwrap().is_empty());
    assert!(store.scan::<Change>(.., 10).unwrap().is_empty());
    for outcome in [
        house.registry.close(lea, "").await.map(drop),
        house.registry.reopen(lea, "").await.map(drop),
        house.registry.set(lea, &AccountChange { red_list: Some(true), ..AccountChange::default() }).await.map(drop),
        house.registry.set_password(lea, "un mot de passe", "").await.map(drop),
    ] {
        assert!(matches!(outcome, Err(AccountError::Closed)), "{outcome:?}");
    }
});

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_that_a_stop_cut_short_is_finished_after_the_start() {
    let house = House::embedded();
    let lea = house.account("lea").await.id;
    let max = house.account("max").await.id;
    let mailbox = house.room.open(lea).unwrap();
    house.append(&mailbox, "INBOX", "a").await.unwrap();
    let folder = mailbox.select("INBOX", true).await.unwrap().folder();
    house.append(&house.room.open(max).unwrap(), "INBOX", "b").await.unwrap();
    drop(mailbox);
    // The first commit of a closing, and then the power went.
    let store = house.room.store();
    let record = store.get::<caducee::store::Account>(&lea).unwrap().unwrap().record;
    let mut batch = caducee::store::Batch::new();
    let state = caducee::store::AccountState::Closed;
    batch.put(&lea, &caducee::store::Account { state, ..record });
    store.commit(batch).await.unwrap();
    let owners = [lea, max].map(caducee::store::KeyOwner::Mailbox);
    let is_wiped = |house: &House| owners.map(|owner| house.room.store().keys().is_wiped(owner));
    assert_eq!(is_wiped(&house), [false, false]);
    let house = house.restarted();
    assert_eq!(is_wiped(&house), [true, false], "the start has destroyed the key");
    house.registry.finish_erasures().await.unwrap();
    let store = house.room.store();
    assert!(store.scan::<Message>(MessageKey::of(folder), 10).unwrap().is_empty());
    assert!(store.scan::<Folder>(.., 100).unwrap().iter().all(|(key, _)| key.account == max));
    assert_eq!(house.room.open(max).unwrap().status("INBOX").unwrap().messages, 1);
    house.check_counters();
}

on_both_engines!(a_number_whose_key_is_younger_than_the_log_is_passed_over, async |house: House| {
    let lea = house.account("lea").await.id;
    // A backup's keys are copied after its log: between the two somebody got the next number.
    let given = caducee::store::KeyOwner::Mailbox(AccountId(lea.0 + 1));
    let key = house.room.store().keys().sealed(caducee::store::KeyOwner::Mailbox(lea)).unwrap();
    house.room.store().keys().insert(given, &key).unwrap();
    let max = house.account("max").await.id;
    assert_eq!(max.0, lea.0 + 2);
    assert!(house.room.open(max).is_ok());
});

#[tokio::test]
async fn data_change_within_the_rules() {
    let house = House::in_memory();
    let lea = house.account("lea").await.id;
    let change = AccountChange {
        red_list: Some(true),
        notification_address: Some(Some("lea@example.net".into())),
        quota: Some(Some(5_000)),
        ..AccountChange::default()
    };
    let account = house.registry.set(lea, &change).await.unwrap();
    assert!(account.data.red_list && account.data.quota == Some(5_000));
    let bad = AccountChange { notification_address: Some(Some("nobody".into())), ..AccountChange::default() };
    assert!(matches!(house.registry.set(lea, &bad).await, Err(AccountError::Rule(_))));
    let bad = AccountChange { holder: Some(structure()), ..AccountChange::default() };
    assert!(matches!(house.registry.set(lea, &bad).await, Err(AccountError::Rule(_))));
    assert!(matches!(house.registry.set(AccountId(999), &change).await, Err(AccountError::NoAccount)));

    let grant =
        AccessGrant { person: "899700000002".into(), rights: vec![AccessRight::Read], ..AccessGrant::default() };
    let app = house.create(NewMailbox::new(address("logiciel"), Kind::App, structure())).await.id;
    assert!(
        matches!(house.registry.grant(app, grant.clone()).await, Err(AccountError::Rule(_))),
        "APP is opened by software"
    );
    assert_eq!(house.registry.grant(lea, grant.clone()).await.unwrap().data.access_list.len(), 1, "a secretary");
    for mailbox in [lea, app, AccountId(999)] {
        let grant = AccessGrant { mailbox: Some(mailbox), person: String::new(), ..grant.clone() };
        let refused = house.registry.grant(lea, grant).await;
        assert!(matches!(refused, Err(AccountError::BadGrant(_))), "{mailbox}: {refused:?}");
    }
    let nothing = AccessGrant { rights: Vec::new(), ..grant.clone() };
    assert!(matches!(house.registry.grant(lea, nothing).await, Err(AccountError::BadGrant(_))));
    let org = house.create(NewMailbox::new(address("service"), Kind::Org, structure())).await.id;
    house.registry.grant(org, grant.clone()).await.unwrap();
    assert_eq!(house.registry.grant(org, grant).await.unwrap().data.access_list.len(), 1);
    let grantee = Grantee::Person("899700000002".into());
    assert!(house.registry.take_grant(org, &grantee).await.unwrap().data.access_list.is_empty());
    assert!(matches!(house.registry.take_grant(org, &grantee).await, Err(AccountError::NoGrant)));
}

#[tokio::test]
async fn domains_are_added_listed_and_taken_away_when_empty() {
    let house = House::in_memory();
    let aura = domain("aura.mssante.example");
    let lea = house.account("lea").await.id;
    assert!(matches!(house.registry.add_domain(&aura, "").await, Err(AccountError::DomainExists(_))));
    house.registry.add_domain(&domain("Autre.mssante.example"), "un autre").await.unwrap();
    let names: Vec<_> = house.registry.domains().unwrap().into_iter().map(|domain| domain.name).collect();
    assert_eq!(names, ["aura.mssante.example", "autre.mssante.example"]);
    assert!(matches!(house.registry.remove_domain(&aura).await, Err(AccountError::DomainInUse(_))));
    house.registry.close(lea, "").await.unwrap();
    house.registry.remove_domain(&aura).await.unwrap();
    assert!(!house.registry.is_own(&aura).unwrap());
    assert!(matches!(house.registry.remove_domain(&aura).await, Err(AccountError::NotOwnDomain(_))));
    house.registry.add_domain(&aura, "").await.unwrap();
    assert!(matches!(house.registry.create(new_mailbox("lea")).await, Err(AccountError::AddressClosed)));
}

#[tokio::test]
async fn lists_come_in_pages_and_by_filter() {
    let house = House::in_memory();
    for n in 0..25 {
        house.account(&format!("u{n}")).await;
    }
    let org = house.create(NewMailbox::new(address("service"), Kind::Org, structure())).await.id;
    let all = ListFilter::default();
    let first = house.registry.list(&all, None, 10).unwrap();
    let second = house.registry.list(&all, first.last().map(|account| account.id), 100).unwrap();
    assert_eq!((first.len(), second.len()), (10, 16));
    let orgs = house.registry.list(&ListFilter { kind: Some(Kind::Org), ..ListFilter::default() }, None, 100).unwrap();
    assert_eq!(orgs.iter().map(|account| account.id).collect::<Vec<_>>(), [org]);
    let text = ListFilter { text: Some("LOGICIEL".into()), ..ListFilter::default() };
    assert_eq!(house.registry.list(&text, None, 100).unwrap().len(), 1);
}

on_both_engines!(mailboxes_are_created_at_once_without_getting_in_each_others_way, async |house: House| {
    house.account("premier").await;
    let mut calls = Vec::new();
    for n in 0..40 {
        let registry = house.registry.clone();
        calls.push(tokio::spawn(async move { registry.create(new_mailbox(&format!("u{}", n / 2))).await }));
    }
    let mut created = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => created += 1,
            Err(AccountError::AddressTaken) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(created, 20);
    house.check_counters();
});
