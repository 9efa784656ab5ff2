//! Second factors over the registry: what is committed, what a restart keeps, what tries at once come to.

use std::time::Duration;

use caducee::accounts::factors::{FactorError, FactorUsed, RecoveryCodes};
use caducee::accounts::notice::{Notice, NoticeInbox};
use caducee::accounts::{AccountError, By, NewMailbox, Registry};
use caducee::store::{AccountId, SecondFactor};

use crate::support::{House, new_mailbox};

/// A mailbox whose holder can be told, and what is told.
async fn scene(house: &House) -> (AccountId, NoticeInbox) {
    let told = Some("lea@fai.example".to_owned());
    let lea = house.create(NewMailbox { notification_address: told, ..new_mailbox("lea") }).await.id;
    (lea, house.registry.take_notices().unwrap())
}

async fn told(inbox: &mut NoticeInbox) -> Notice {
    tokio::time::timeout(Duration::from_secs(5), inbox.next()).await.unwrap().notice
}

async fn mailed_code(registry: &Registry, account: AccountId, inbox: &mut NoticeInbox, attempt: &str) -> String {
    registry.mail_code(account, attempt).await.unwrap();
    match told(inbox).await {
        Notice::Code { code, .. } => code.reveal().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// Six digits that are not these.
fn other_than(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

/// The authenticator's code at this moment, by another program than ours.
fn code_by_python(secret: &str) -> String {
    let script = "import base64, hmac, struct, sys, time\n\
                  key = base64.b32decode(sys.argv[1])\n\
                  tag = hmac.new(key, struct.pack('>Q', int(time.time()) // 30), 'sha1').digest()\n\
                  at = tag[-1] & 15\n\
                  print('%06d' % ((struct.unpack('>I', tag[at:at + 4])[0] & 0x7fffffff) % 1000000))\n";
    let output = std::process::Command::new("python3").arg("-c").arg(script).arg(secret).output().expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn an_authenticator_is_set_up_with_another_programs_code_and_then_asked_for() {
    let house = House::in_memory();
    let (lea, mut inbox) = scene(&house).await;
    let registry = &house.registry;
    assert_eq!(registry.factors(lea).unwrap().mailed.as_deref(), Some("l•••@fai.example"));
    let setup = registry.begin_authenticator(lea).await.unwrap();
    assert!(setup.uri.contains(setup.secret.as_str()));
    assert!(registry.factors(lea).unwrap().authenticator.is_none(), "not before its first code");
    let RecoveryCodes(recovery) = registry.confirm_authenticator(lea, &code_by_python(&setup.secret)).await.unwrap();
    assert_eq!(told(&mut inbox).await.name(), "authenticator-added");
    let factors = registry.factors(lea).unwrap();
    assert!(factors.authenticator.is_some() && factors.mailed.is_none());
    assert_eq!((factors.recovery_codes, recovery.len()), (10, 10));
    assert!(matches!(registry.mail_code(lea, "login").await, Err(FactorError::AuthenticatorInUse)));
    assert_eq!(registry.check_code(lea, "login", &recovery[3]).await.unwrap(), FactorUsed::RecoveryCode { left: 9 });
    assert_eq!(told(&mut inbox).await.name(), "recovery-code-used");
    registry.remove_authenticator(lea, By::Holder).await.unwrap();
    assert_eq!(told(&mut inbox).await.name(), "authenticator-removed");
    assert!(registry.factors(lea).unwrap().mailed.is_some());
    registry.check_code(lea, "login", &recovery[4]).await.unwrap();
}

#[tokio::test]
async fn a_restart_gives_no_try_and_no_code_back() {
    let house = House::embedded();
    let (lea, mut inbox) = scene(&house).await;
    let code = mailed_code(&house.registry, lea, &mut inbox, "login").await;
    for _ in 0..3 {
        let wrong = house.registry.check_code(lea, "login", other_than(&code)).await;
        assert!(matches!(wrong, Err(FactorError::Wrong { left: Some(_) })), "{wrong:?}");
    }
    inbox.leave();
    let house = house.restarted();
    let wrong = house.registry.check_code(lea, "login", other_than(&code)).await;
    assert!(matches!(wrong, Err(FactorError::Wrong { left: Some(1) })), "{wrong:?}");
    assert_eq!(house.registry.check_code(lea, "login", &code).await.unwrap(), FactorUsed::MailedCode);
    let house = house.restarted();
    assert!(matches!(house.registry.check_code(lea, "login", &code).await, Err(FactorError::Spent)));
}

#[tokio::test]
async fn guesses_at_once_have_no_more_tries_than_one_after_the_other() {
    let house = House::embedded();
    let (lea, mut inbox) = scene(&house).await;
    let code = mailed_code(&house.registry, lea, &mut inbox, "login").await;
    let wrong = other_than(&code);
    let guesses: Vec<_> = (0..40)
        .map(|_| {
            let registry = house.registry.clone();
            tokio::spawn(async move { registry.check_code(lea, "login", wrong).await })
        })
        .collect();
    let mut judged = 0;
    for guess in guesses {
        match guess.await.unwrap() {
            Err(FactorError::Wrong { .. }) => judged += 1,
            Err(FactorError::Throttled(_) | FactorError::Spent | FactorError::Account(AccountError::Busy)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(judged <= 5, "{judged} guesses were judged");
}

#[tokio::test]
async fn one_code_used_twice_at_once_lets_in_once() {
    let house = House::embedded();
    let (lea, mut inbox) = scene(&house).await;
    let code = mailed_code(&house.registry, lea, &mut inbox, "login").await;
    let uses: Vec<_> = (0..8)
        .map(|_| {
            let (registry, code) = (house.registry.clone(), code.clone());
            tokio::spawn(async move { registry.check_code(lea, "login", &code).await.is_ok() })
        })
        .collect();
    let mut let_in = 0;
    for one in uses {
        let_in += usize::from(one.await.unwrap());
    }
    assert_eq!(let_in, 1);
}

#[tokio::test]
async fn an_administrators_reset_takes_everything_away_and_is_told() {
    let house = House::in_memory();
    let (lea, mut inbox) = scene(&house).await;
    assert!(matches!(house.registry.reset_factors(lea).await, Err(FactorError::NotSet)));
    let RecoveryCodes(codes) = house.registry.new_recovery_codes(lea).await.unwrap();
    assert_eq!(told(&mut inbox).await.name(), "recovery-codes-made");
    house.registry.reset_factors(lea).await.unwrap();
    assert_eq!(told(&mut inbox).await.name(), "factors-reset");
    let refused = house.registry.check_code(lea, "login", &codes[0]).await;
    assert!(matches!(refused, Err(FactorError::Wrong { .. })), "{refused:?}");
}

#[tokio::test]
async fn nobody_is_mailed_a_code_without_an_address_or_a_relay() {
    let house = House::in_memory();
    let without_address = house.account("max").await.id;
    assert!(matches!(house.registry.mail_code(without_address, "x").await, Err(FactorError::NoAddress)));
    let told = Some("lea@fai.example".to_owned());
    let lea = house.create(NewMailbox { notification_address: told, ..new_mailbox("lea") }).await.id;
    assert!(matches!(house.registry.mail_code(lea, "x").await, Err(FactorError::NoNotices)));
    assert!(!house.registry.factors(lea).unwrap().any());
    drop(house.registry.take_notices());
    assert!(matches!(house.registry.mail_code(lea, "x").await, Err(FactorError::NoNotices)), "its job has ended");
}

#[tokio::test]
async fn closing_a_mailbox_takes_its_factors_with_it() {
    let house = House::in_memory();
    let (lea, _inbox) = scene(&house).await;
    house.registry.new_recovery_codes(lea).await.unwrap();
    house.registry.close(lea, "").await.unwrap();
    assert!(house.room.store().get::<SecondFactor>(&lea).unwrap().is_none());
    let refused = house.registry.begin_authenticator(lea).await;
    assert!(matches!(refused, Err(FactorError::Account(AccountError::Closed))));
}
