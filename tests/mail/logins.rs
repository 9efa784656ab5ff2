//! Passwords and certificates.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use caducee::accounts::{
    AccountError, AccountOptions, Authority, CertificateBinding, CertificateFacts, HashingOptions, LoginError, Means,
    NewMailbox, Registry, ThrottleOptions,
};
use caducee::mss::{DistinguishedName, Kind, MailboxState};
use caducee::store::CredentialKind;

use crate::support::{House, account_options, address, new_mailbox, structure};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PASSWORD: &str = "mot de passe é long";

async fn with_password(house: &House) -> caducee::store::AccountId {
    let lea = house.account("lea").await.id;
    house.registry.set_password(lea, PASSWORD, "Thunderbird").await.unwrap();
    lea
}

#[tokio::test]
async fn the_address_in_any_case_and_the_password_let_in() {
    let house = House::in_memory();
    let lea = with_password(&house).await;
    for login in ["lea@aura.mssante.example", "LEA@Aura.MSSante.example"] {
        let login = house.registry.verify_password(login, None, PASSWORD, None, PEER).await.unwrap();
        assert_eq!((login.account, login.means), (lea, Means::Password));
        assert_eq!(login.person.as_deref(), Some("899700000001"));
    }
    let own = house.registry.verify_password(
        "lea@aura.mssante.example",
        Some("Lea@aura.mssante.example"),
        PASSWORD,
        None,
        PEER,
    );
    assert!(own.await.is_ok());
}

#[tokio::test]
async fn everything_else_is_refused_with_one_answer() {
    let house = House::in_memory();
    with_password(&house).await;
    let closed_to_passwords = house.create(NewMailbox { allow_password: false, ..new_mailbox("max") }).await.id;
    house.account("sans").await;
    house.registry.set_password(closed_to_passwords, PASSWORD, "").await.unwrap();
    for (login, authzid, password) in [
        ("lea@aura.mssante.example", None, "mot de passe e long"),
        ("lea@aura.mssante.example", None, ""),
        ("lea@aura.mssante.example", Some("max@aura.mssante.example"), "mot de passe e long"),
        ("max@aura.mssante.example", None, PASSWORD),
        ("sans@aura.mssante.example", None, PASSWORD),
        ("inconnue@aura.mssante.example", None, PASSWORD),
        ("not an address", None, PASSWORD),
    ] {
        let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, login.len() as u8));
        let outcome = house.registry.verify_password(login, authzid, password, None, peer).await;
        assert!(matches!(outcome, Err(LoginError::Refused)), "{login}: {outcome:?}");
    }
    let long = "x".repeat(100_000);
    let outcome = house.registry.verify_password("lea@aura.mssante.example", None, &long, None, PEER).await;
    assert!(matches!(outcome, Err(LoginError::Refused)));
}

#[tokio::test]
async fn unknown_users_cost_the_same_work() {
    let house = House::in_memory();
    let hashing = HashingOptions { memory: 8 * 1024, passes: 2, ..HashingOptions::default() };
    let registry = Registry::new(house.room.clone(), AccountOptions { hashing, ..account_options() });
    let lea = house.account("lea").await.id;
    registry.set_password(lea, PASSWORD, "").await.unwrap();
    let time = async |login: &str, peer: u8| {
        let begin = Instant::now();
        let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, peer));
        let _ = registry.verify_password(login, None, "wrong password", None, peer).await;
        begin.elapsed()
    };
    time("lea@aura.mssante.example", 1).await;
    let known = time("lea@aura.mssante.example", 2).await;
    let unknown = time("nobody@aura.mssante.example", 3).await;
    let ratio = known.as_secs_f64() / unknown.as_secs_f64();
    assert!((0.2..5.0).contains(&ratio), "known {known:?}, unknown {unknown:?}");
}

#[tokio::test]
async fn a_suspended_or_closed_mailbox_opens_for_nobody() {
    let house = House::in_memory();
    let lea = with_password(&house).await;
    house.registry.suspend(lea, "").await.unwrap();
    let right = house.registry.verify_password("lea@aura.mssante.example", None, PASSWORD, None, PEER).await;
    assert!(matches!(right, Err(LoginError::NotOpen(MailboxState::Suspended))), "{right:?}");
    let wrong = house.registry.verify_password("lea@aura.mssante.example", None, "wrong", None, PEER).await;
    assert!(matches!(wrong, Err(LoginError::Refused)), "the state is told only to who has the password");
    house.registry.reopen(lea, "").await.unwrap();
    assert!(house.registry.verify_password("lea@aura.mssante.example", None, PASSWORD, None, PEER).await.is_ok());
    house.registry.close(lea, "").await.unwrap();
    let closed = house.registry.verify_password("lea@aura.mssante.example", None, PASSWORD, None, PEER).await;
    assert!(matches!(closed, Err(LoginError::Refused)), "its credentials are gone: {closed:?}");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_then_turned_away() {
    let house = House::in_memory();
    with_password(&house).await;
    let throttle = ThrottleOptions { longest_wait: Duration::from_secs(1), ..ThrottleOptions::default() };
    let registry = Registry::new(house.room.clone(), AccountOptions { throttle, ..account_options() });
    let guess = |peer: u8| {
        let registry = registry.clone();
        async move {
            let peer = IpAddr::V4(Ipv4Addr::new(198, 51, 100, peer));
            registry.verify_password("lea@aura.mssante.example", None, "guess", None, peer).await
        }
    };
    for peer in 0..4 {
        assert!(matches!(guess(peer).await, Err(LoginError::Refused)));
    }
    let begin = Instant::now();
    assert!(matches!(guess(5).await, Err(LoginError::Refused)));
    assert!(begin.elapsed() >= Duration::from_millis(400), "{:?}", begin.elapsed());
    let mut calls: Vec<_> = (10..40).map(|peer| tokio::spawn(guess(peer))).collect();
    let last = calls.pop().unwrap().await.unwrap();
    assert!(matches!(last, Err(LoginError::Throttled(_))), "{last:?}");
    calls.iter().for_each(|call| call.abort());
}

#[tokio::test]
async fn a_password_is_hashed_anew_when_the_settings_have_changed() {
    let house = House::in_memory();
    let lea = with_password(&house).await;
    let hashing = HashingOptions { memory: 128, passes: 1, ..HashingOptions::default() };
    let later = Registry::new(house.room.clone(), AccountOptions { hashing, ..account_options() });
    later.verify_password("lea@aura.mssante.example", None, PASSWORD, None, PEER).await.unwrap();
    let has_new_hash = || {
        let credentials = later.credentials(lea).unwrap();
        matches!(&credentials[0].1.kind, CredentialKind::Password { hash } if hash.contains("m=128,t=1"))
    };
    for _ in 0..200 {
        if has_new_hash() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(has_new_hash());
    assert!(later.verify_password("lea@aura.mssante.example", None, PASSWORD, None, PEER).await.is_ok());
    assert_eq!(later.credentials(lea).unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_password_takes_the_place_of_the_old_one() {
    let house = House::in_memory();
    let lea = with_password(&house).await;
    assert!(matches!(house.registry.set_password(lea, "court", "").await, Err(AccountError::BadPassword(8, _))));
    house.registry.set_password(lea, "un autre mot", "").await.unwrap();
    assert_eq!(house.registry.credentials(lea).unwrap().len(), 1);
    assert!(house.registry.verify_password("lea@aura.mssante.example", None, PASSWORD, None, PEER).await.is_err());
    assert!(house.registry.verify_password("lea@aura.mssante.example", None, "un autre mot", None, PEER).await.is_ok());
    let key = house.registry.credentials(lea).unwrap()[0].0;
    house.registry.remove_credential(key).await.unwrap();
    assert!(
        house.registry.verify_password("lea@aura.mssante.example", None, "un autre mot", None, PEER).await.is_err()
    );
    assert!(matches!(house.registry.remove_credential(key).await, Err(AccountError::NoCredential)));
}

fn certificate(fingerprint: char, subject: &str) -> CertificateFacts {
    CertificateFacts {
        authority: Authority::Igc,
        fingerprint: fingerprint.to_string().repeat(64),
        subject: DistinguishedName::parse_text(subject).unwrap(),
    }
}

/// The same, of the operator's own device authority.
fn of_device_authority(certificate: &CertificateFacts) -> CertificateFacts {
    CertificateFacts { authority: Authority::Device, ..certificate.clone() }
}

const SUBJECT: &str = "CN=logiciel,OU=1010000024,O=CENTRE HOSPITALIER,ST=Rhône (69),C=FR";

#[tokio::test]
async fn certificates_open_what_they_are_bound_to() {
    let house = House::in_memory();
    let app = house.create(NewMailbox::new(address("logiciel"), Kind::App, structure())).await.id;
    let per = house.account("lea").await.id;
    let software = certificate('a', SUBJECT);
    let name = "logiciel@aura.mssante.example";
    let refused = house.registry.verify_external(&software, Some(name)).await;
    assert!(matches!(refused, Err(LoginError::CertificateRefused)), "nothing is bound yet: {refused:?}");

    house.registry.bind_certificate(app, CertificateBinding::Structure, "").await.unwrap();
    let login = house.registry.verify_external(&software, Some("Logiciel@aura.mssante.example")).await.unwrap();
    assert_eq!((login.account, login.kind), (app, Kind::App));
    assert_eq!(house.registry.verify_external(&software, None).await.unwrap().account, app, "it opens just one");
    let stranger = certificate('b', "CN=logiciel,OU=1690000012,O=CENTRE HOSPITALIER,ST=Rhône (69),C=FR");
    assert!(matches!(house.registry.verify_external(&stranger, Some(name)).await, Err(LoginError::CertificateRefused)));
    assert!(matches!(house.registry.verify_external(&stranger, None).await, Err(LoginError::CertificateRefused)));

    let ours = house.registry.verify_external(&of_device_authority(&software), Some(name)).await;
    assert!(
        matches!(ours, Err(LoginError::CertificateRefused)),
        "our own authority vouches for no structure: {ours:?}"
    );

    let fingerprint = "AA:".repeat(31) + "AA";
    house.registry.bind_certificate(per, CertificateBinding::Fingerprint(fingerprint), "").await.unwrap();
    let ambiguous = house.registry.verify_external(&software, Some("")).await;
    assert!(matches!(ambiguous, Err(LoginError::Ambiguous)), "{ambiguous:?}");
    let login = house.registry.verify_external(&software, Some("lea@aura.mssante.example")).await.unwrap();
    assert_eq!((login.account, login.person.as_deref()), (per, Some("899700000001")));

    let person = certificate('c', "CN=LEFEVRE Zoe,O=Cabinet,C=FR");
    let same = DistinguishedName::parse_text("C=FR, O=CABINET, CN=Lefevre  Zoe").unwrap();
    house.registry.bind_certificate(per, CertificateBinding::Subject(same), "").await.unwrap();
    assert_eq!(house.registry.verify_external(&person, None).await.unwrap().account, per, "the index is told");
    for known in [&person, &software] {
        let ours = house.registry.verify_external(&of_device_authority(known), None).await;
        assert!(matches!(ours, Err(LoginError::CertificateRefused)), "nor for a subject or a binding: {ours:?}");
    }

    house.registry.suspend(per, "").await.unwrap();
    let suspended = house.registry.verify_external(&person, None).await;
    assert!(matches!(suspended, Err(LoginError::NotOpen(MailboxState::Suspended))), "{suspended:?}");
    house.registry.close(per, "").await.unwrap();
    assert!(matches!(house.registry.verify_external(&person, None).await, Err(LoginError::CertificateRefused)));
}

#[tokio::test]
async fn only_app_mailboxes_open_by_their_structure() {
    let house = House::in_memory();
    let per = house.account("lea").await.id;
    let refused = house.registry.bind_certificate(per, CertificateBinding::Structure, "").await;
    assert!(matches!(refused, Err(AccountError::BadBinding(_))), "{refused:?}");
    let bad = house.registry.bind_certificate(per, CertificateBinding::Fingerprint("aa".into()), "").await;
    assert!(matches!(bad, Err(AccountError::BadBinding(_))), "{bad:?}");
}
