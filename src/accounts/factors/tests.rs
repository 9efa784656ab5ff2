//! The rules of codes, over the record alone: time is what the test says it is.

use super::check::{check, confirm, put_mailed};
use super::*;
use crate::mss::Address;

const NOW: i64 = 1_795_633_200;

struct Scene {
    key: MailboxKey,
    record: SecondFactor,
    options: FactorOptions,
}

impl Scene {
    fn new() -> Self {
        Self { key: MailboxKey::generate(), record: SecondFactor::default(), options: FactorOptions::default() }
    }

    fn mail(&mut self, attempt: &str, code: &str, now: i64) -> Result<(), FactorError> {
        put_mailed(&mut self.record, &Secrets(&self.key), attempt, code, &self.options, now)
    }

    fn check(&mut self, attempt: &str, code: &str, now: i64) -> Result<FactorUsed, FactorError> {
        check(&mut self.record, &Secrets(&self.key), attempt, code, &self.options, now)
    }

    /// An authenticator in use, of which this is the code at `now`.
    fn with_authenticator(mut self) -> Self {
        let sealed = SealedKey(Secrets(&self.key).seal_authenticator(SECRET));
        self.record.authenticator = Some(Authenticator { sealed, since: NOW, last_step: 0 });
        self
    }
}

const SECRET: &[u8] = b"12345678901234567890";

/// The authenticator's code.
fn code_at(now: i64) -> String {
    format!("{:06}", totp::hotp(SECRET, u64::try_from(now / 30).unwrap(), 6))
}

fn left(outcome: &Result<FactorUsed, FactorError>) -> Option<u32> {
    match outcome {
        Err(FactorError::Wrong { left }) => *left,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mailed_code_lets_in_once_and_the_login_that_asked_for_it_alone() {
    let mut scene = Scene::new();
    scene.mail("login 1", "123456", NOW).unwrap();
    assert!(matches!(scene.check("login 2", "123456", NOW), Err(FactorError::Spent)), "another's login");
    assert_eq!(scene.check("login 1", "123456", NOW + 599).unwrap(), FactorUsed::MailedCode);
    assert!(matches!(scene.check("login 1", "123456", NOW + 599), Err(FactorError::Spent)), "used");
}

#[test]
fn a_mailed_code_is_good_for_ten_minutes() {
    let mut scene = Scene::new();
    scene.mail("login", "123456", NOW).unwrap();
    assert!(matches!(scene.check("login", "123456", NOW + 600), Err(FactorError::Spent)));
}

#[test]
fn five_wrong_tries_end_a_mailed_code_and_begin_the_delays() {
    let mut scene = Scene::new();
    scene.mail("login", "123456", NOW).unwrap();
    for expected in (0..5).rev() {
        assert_eq!(left(&scene.check("login", "654321", NOW)), Some(expected));
    }
    let locked = scene.check("login", "123456", NOW);
    assert!(matches!(locked, Err(FactorError::Throttled(wait)) if wait == Duration::from_secs(60)), "{locked:?}");
    assert!(matches!(scene.mail("login", "111111", NOW), Err(FactorError::Throttled(_))), "a new code is no way out");
    assert!(matches!(scene.check("login", "123456", NOW + 60), Err(FactorError::Spent)), "the right one has ended");
    // One more code has one more try before the next, longer delay.
    scene.mail("login", "222222", NOW + 60).unwrap();
    assert_eq!(left(&scene.check("login", "654321", NOW + 60)), Some(4));
    let locked = scene.check("login", "222222", NOW + 61);
    assert!(matches!(locked, Err(FactorError::Throttled(wait)) if wait == Duration::from_secs(119)), "{locked:?}");
    assert_eq!(scene.check("login", "222222", NOW + 180).unwrap(), FactorUsed::MailedCode);
    assert_eq!((scene.record.failures, scene.record.locked_until), (0, 0), "a right one ends it");
}

#[test]
fn delays_grow_to_an_hour_and_no_further_and_a_clock_put_back_locks_nobody_out() {
    let mut scene = Scene::new();
    let mut now = NOW;
    for _ in 0..20 {
        left(&scene.check("login", "abcdefghijklmnopqr", now));
        now = scene.record.locked_until.max(now);
    }
    assert_eq!(scene.record.failures, 20);
    left(&scene.check("login", "abcdefghijklmnopqr", now));
    assert_eq!(scene.record.locked_until - now, 3_600);
    assert!(matches!(scene.check("login", "x", now - 86_400), Err(FactorError::Wrong { .. })));
}

#[test]
fn codes_are_mailed_so_often_an_hour() {
    let mut scene = Scene::new();
    for number in 0..5 {
        scene.mail(&format!("login {number}"), "123456", NOW + number).unwrap();
    }
    let refused = scene.mail("login 5", "123456", NOW + 10);
    assert!(
        matches!(refused, Err(FactorError::TooManyMailed(wait)) if wait == Duration::from_secs(3_590)),
        "{refused:?}"
    );
    assert!(scene.record.mailed.len() <= 4, "what waits is bounded");
    scene.mail("login 5", "123456", NOW + 3_601).unwrap();
}

#[test]
fn asking_again_for_one_login_ends_its_code_before() {
    let mut scene = Scene::new();
    scene.mail("login", "123456", NOW).unwrap();
    scene.mail("login", "777777", NOW + 1).unwrap();
    assert_eq!(left(&scene.check("login", "123456", NOW + 2)), Some(4));
    assert!(scene.check("login", "777777", NOW + 2).is_ok());
}

#[test]
fn an_authenticators_code_is_taken_once_and_after_it_no_code_is_mailed() {
    let mut scene = Scene::new().with_authenticator();
    let code = code_at(NOW);
    assert_eq!(scene.check("login", &code, NOW).unwrap(), FactorUsed::Authenticator);
    assert!(matches!(scene.check("login", &code, NOW), Err(FactorError::Wrong { left: None })));
    assert!(matches!(scene.mail("login", "123456", NOW), Err(FactorError::AuthenticatorInUse)));
}

#[test]
fn a_recovery_code_is_used_up() {
    let mut scene = Scene::new().with_authenticator();
    let codes = vec![secret_text::readable(3, 6), secret_text::readable(3, 6)];
    scene.record.recovery = Secrets(&scene.key).recovery_digests(&codes);
    let typed = secret_text::normalised(&codes[0].to_uppercase().replace('-', " "));
    assert_eq!(scene.check("login", &typed, NOW).unwrap(), FactorUsed::RecoveryCode { left: 1 });
    assert!(matches!(scene.check("login", &typed, NOW), Err(FactorError::Wrong { left: None })));
}

#[test]
fn what_lies_in_the_store_is_of_no_use_under_another_mailboxs_key() {
    let mut scene = Scene::new();
    scene.mail("login", "123456", NOW).unwrap();
    scene.key = MailboxKey::generate();
    assert!(matches!(scene.check("login", "123456", NOW), Err(FactorError::Spent)));
    let mut scene = Scene::new().with_authenticator();
    scene.key = MailboxKey::generate();
    assert!(matches!(scene.check("login", &code_at(NOW), NOW), Err(FactorError::Sealed(_))));
    let text = format!("{:?}", scene.record);
    assert!(!text.contains("12345678901234567890"), "{text}");
}

#[test]
fn an_authenticator_is_in_use_once_its_first_code_was_right() {
    let mut scene = Scene::new();
    scene.mail("login", "123456", NOW).unwrap();
    let sealed = SealedKey(Secrets(&scene.key).seal_authenticator(SECRET));
    scene.record.begun = Some(Authenticator { sealed, since: NOW, last_step: 0 });
    let (key, options) = (scene.key.clone(), scene.options.clone());
    let wrong = confirm(&mut scene.record, &Secrets(&key), "000000", &options, NOW);
    assert!(matches!(wrong, Err(FactorError::Wrong { left: None })));
    assert!(scene.record.authenticator.is_none());
    confirm(&mut scene.record, &Secrets(&key), &code_at(NOW), &options, NOW).unwrap();
    assert!(scene.record.authenticator.is_some() && scene.record.begun.is_none());
    assert!(scene.record.mailed.is_empty(), "nobody comes in by mail any more");
    assert!(matches!(scene.check("login", &code_at(NOW), NOW), Err(FactorError::Wrong { .. })), "that code was used");
}

#[test]
fn an_authenticator_that_was_begun_long_ago_is_nobodys_to_put_in_use() {
    let mut scene = Scene::new();
    let sealed = SealedKey(Secrets(&scene.key).seal_authenticator(SECRET));
    scene.record.begun = Some(Authenticator { sealed, since: NOW - 3_600, last_step: 0 });
    let (key, options) = (scene.key.clone(), scene.options.clone());
    let outcome = confirm(&mut scene.record, &Secrets(&key), &code_at(NOW), &options, NOW);
    assert!(matches!(outcome, Err(FactorError::NotSet)));
}

#[test]
fn an_address_is_shown_so_that_its_holder_alone_knows_it() {
    let masked_of = |text: &str| masked(&Address::parse(text).unwrap());
    assert_eq!(masked_of("anne.lefevre@exemple.fr"), "a•••@exemple.fr");
    assert_eq!(masked_of("é@exemple.fr"), "é•••@exemple.fr");
}

#[test]
fn what_is_shown_once_shows_in_no_log() {
    let setup = AuthenticatorSetup { secret: totp::base32(SECRET), uri: Zeroizing::new("otpauth://x".into()) };
    assert_eq!(format!("{setup:?}"), "AuthenticatorSetup([secret])");
    assert_eq!(format!("{:?}", RecoveryCodes(vec![secret_text::readable(1, 6)])), "RecoveryCodes([secret])");
    assert_eq!(format!("{:?}", Code::new(secret_text::digits(6))), "Code([code])");
}

#[tokio::test]
async fn a_mailbox_that_closes_meanwhile_is_left_no_second_factor() {
    use crate::accounts::{AccountOptions, NewMailbox};
    use crate::mail::{MailLimits, MailRoom};
    use crate::mss::{Domain, Kind};
    use crate::store::{AccountState, Holder, MasterKey, Store};

    let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
    let registry = Registry::new(room, AccountOptions::default());
    registry.add_domain(&Domain::parse("aura.example").unwrap(), "").await.unwrap();
    let holder =
        Holder { national_id: Some("899700000001".into()), last_name: Some("Lefèvre".into()), ..Holder::default() };
    let new = NewMailbox::new(Address::parse("lea@aura.example").unwrap(), Kind::Per, holder);
    let lea = registry.create(new).await.unwrap();
    let closes = || {
        let read = registry.store().get::<store::Account>(&lea.id).unwrap().unwrap();
        let closed = store::Account { state: AccountState::Closed, ..read.record };
        let mut batch = Batch::new();
        batch.update(&lea.id, read.version, &closed);
        registry.store().commit_blocking(batch).unwrap();
    };
    let change = |record: &mut SecondFactor, _: &MailboxKey| {
        if registry.by_id(lea.id).unwrap().unwrap().state != crate::mss::MailboxState::Closed {
            closes();
        }
        record.recovery = vec!["x".into()];
        Ok(())
    };
    let outcome = registry.change_factors(&lea, |()| None, change).await;
    assert!(matches!(outcome, Err(FactorError::Account(AccountError::Closed))), "{outcome:?}");
    assert!(registry.store().get::<SecondFactor>(&lea.id).unwrap().is_none());
}
