//! Who opens what: holders, access lists, workstations; and sessions that end when their right does.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use caducee::accounts::{
    AccountChange, AccountOptions, Authority, CertificateFacts, DeviceOptions, Ending, FirstFactor, Grantee, Login,
    LoginError, Means, NewMailbox, Registry, SessionTicket, ThrottleOptions,
};
use caducee::mss::{DistinguishedName, Kind, MailboxState, Right, Rights};
use caducee::store::{
    AccessGrant, AccessRight, Account, AccountId, Batch, Credential, CredentialKey, CredentialKind, Holder,
};

use crate::support::{House, account_options, address, new_mailbox, structure};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PASSWORD: &str = "mot de passe é long";
const LEA: &str = "899700000001";
const MAX: &str = "899700000002";
const LONG_AGO: i64 = 1_000_000_000;
const SOON: i64 = 4_000_000_000;

fn held_by(kind: Kind, local: &str, person: &str) -> NewMailbox {
    let holder = Holder { national_id: Some(person.into()), last_name: Some("Martin".into()), ..Holder::default() };
    NewMailbox { allow_password: true, ..NewMailbox::new(address(local), kind, holder) }
}

fn grant(person: &str, rights: &[AccessRight]) -> AccessGrant {
    AccessGrant { person: person.into(), rights: rights.to_vec(), since: LONG_AGO, ..AccessGrant::default() }
}

fn by_mailbox(mailbox: AccountId, rights: &[AccessRight]) -> AccessGrant {
    AccessGrant { mailbox: Some(mailbox), ..grant("", rights) }
}

fn name(local: &str) -> String {
    address(local).to_string()
}

fn rights(list: &[Right]) -> Rights {
    list.iter().copied().collect()
}

/// Léa's and Max's own mailboxes, a service's that lets Léa write and Max's mailbox read, a practice of Max's.
struct Scene {
    house: House,
    lea: AccountId,
    max: AccountId,
    service: AccountId,
    practice: AccountId,
}

impl Scene {
    async fn new() -> Scene {
        let house = House::in_memory();
        let lea = house.create(held_by(Kind::Per, "lea", LEA)).await.id;
        let max = house.create(held_by(Kind::Per, "max", MAX)).await.id;
        let service = NewMailbox::new(address("service"), Kind::Org, structure());
        let service = house.create(NewMailbox { allow_password: true, ..service }).await.id;
        let practice = house.create(held_by(Kind::Cab, "cabinet", MAX)).await.id;
        for id in [lea, max, practice] {
            house.registry.set_password(id, PASSWORD, "").await.unwrap();
        }
        house.registry.grant(service, grant(LEA, &[AccessRight::Write])).await.unwrap();
        house.registry.grant(service, by_mailbox(max, &[AccessRight::Read, AccessRight::Send])).await.unwrap();
        Scene { house, lea, max, service, practice }
    }

    fn registry(&self) -> &Registry {
        &self.house.registry
    }

    async fn by_password(&self, local: &str, authzid: Option<&str>) -> Result<Login, LoginError> {
        self.registry().verify_password(&name(local), authzid, PASSWORD, None, PEER).await
    }

    fn by_token(&self, person: &str, local: &str) -> Result<Login, LoginError> {
        let user = if local.is_empty() { String::new() } else { name(local) };
        self.registry().open_for_person(person, &user)
    }

    fn enter(&self, login: &Login) -> SessionTicket {
        self.registry().enter(login, "imap", PEER, 10).unwrap()
    }

    fn shared(&self, login: &Login) -> Vec<(AccountId, Rights)> {
        let shared = self.registry().shared_with(login).unwrap();
        shared.into_iter().map(|mailbox| (mailbox.account, mailbox.rights)).collect()
    }

    /// Enrols a workstation, as the device authority does.
    async fn enrol(&self, account: AccountId, person: &str, fingerprint: char) -> CredentialKey {
        let key = CredentialKey { account, number: 100 + fingerprint as u32 };
        let sha256 = fingerprint.to_string().repeat(64);
        let device = Credential {
            kind: CredentialKind::Device { sha256, serial: "01".into() },
            label: "poste".into(),
            person: Some(person.into()),
            created_at: LONG_AGO,
            last_used_at: None,
            expires_at: Some(SOON),
        };
        let mut batch = Batch::new();
        batch.insert(&key, &device);
        self.house.room.store().commit(batch).await.unwrap();
        key
    }
}

fn workstation(fingerprint: char) -> CertificateFacts {
    let subject = DistinguishedName::parse_text("CN=poste").unwrap();
    CertificateFacts { authority: Authority::Device, fingerprint: fingerprint.to_string().repeat(64), subject }
}

/// The end of a session that must come at once.
async fn end_of(ticket: &SessionTicket) -> Ending {
    tokio::time::timeout(Duration::from_secs(1), ticket.ended()).await.expect("the session ends within a second")
}

async fn goes_on(ticket: &SessionTicket) -> bool {
    tokio::time::timeout(Duration::from_millis(30), ticket.ended()).await.is_err()
}

#[tokio::test]
async fn a_person_opens_what_they_hold_and_what_lets_them_in() {
    let scene = Scene::new().await;
    let all = Rights::all();
    let (read, write, send) = (Right::Read, Right::Write, Right::Send);
    for (person, local, opened) in [
        (LEA, "lea", Some((scene.lea, all))),
        (LEA, "LEA", Some((scene.lea, all))),
        (LEA, "", Some((scene.lea, all))),
        (LEA, "service", Some((scene.service, rights(&[read, write])))),
        (MAX, "service", Some((scene.service, rights(&[read, send])))),
        (MAX, "cabinet", Some((scene.practice, all))),
        (LEA, "max", None),
        (LEA, "cabinet", None),
        (LEA, "inconnu", None),
        ("899700000077", "", None),
        ("", "lea", None),
        ("", "", None),
    ] {
        match (scene.by_token(person, local), opened) {
            (Ok(login), Some(wanted)) => {
                assert_eq!((login.account, login.rights), wanted, "{person} {local}");
                assert_eq!((login.person.as_deref(), login.means), (Some(person), Means::ProSanteConnect));
            }
            (Err(LoginError::PersonRefused), None) => {}
            (outcome, _) => panic!("{person} {local}: {outcome:?}"),
        }
    }
    let ambiguous = scene.by_token(MAX, "");
    assert!(matches!(ambiguous, Err(LoginError::Ambiguous)), "a mailbox and a practice: {ambiguous:?}");
}

#[tokio::test]
async fn a_state_is_told_to_those_who_would_be_let_in_and_restricted_mailboxes_open() {
    let scene = Scene::new().await;
    scene.registry().suspend(scene.service, "").await.unwrap();
    let theirs = scene.by_token(LEA, "service");
    assert!(matches!(theirs, Err(LoginError::NotOpen(MailboxState::Suspended))), "{theirs:?}");
    assert!(matches!(scene.by_token("899700000077", "service"), Err(LoginError::PersonRefused)));
    scene.registry().close(scene.lea, "").await.unwrap();
    assert!(matches!(scene.by_token(LEA, "lea"), Err(LoginError::NotOpen(MailboxState::Closed))));
    assert!(matches!(scene.by_token(LEA, ""), Err(LoginError::PersonRefused)), "a closed one is not looked for");
    let restricted = AccountChange { restricted: Some(true), ..AccountChange::default() };
    scene.registry().set(scene.max, &restricted).await.unwrap();
    assert!(scene.by_token(MAX, "max").is_ok());
}

#[tokio::test]
async fn software_is_let_in_by_no_person() {
    let scene = Scene::new().await;
    let holder = Holder { national_id: Some(LEA.into()), ..structure() };
    scene.house.create(NewMailbox::new(address("logiciel"), Kind::App, holder)).await;
    assert!(matches!(scene.by_token(LEA, "logiciel"), Err(LoginError::PersonRefused)));
    assert_eq!(scene.by_token(LEA, "").unwrap().account, scene.lea);
}

#[tokio::test]
async fn a_grant_counts_in_its_time_only_and_a_mailboxs_while_it_is_open() {
    let scene = Scene::new().await;
    let over = AccessGrant { until: Some(LONG_AGO + 1), ..grant(LEA, &[AccessRight::Read]) };
    let later = AccessGrant { since: SOON, ..grant("899700000077", &[AccessRight::Read]) };
    scene.registry().grant(scene.service, over).await.unwrap();
    scene.registry().grant(scene.service, later).await.unwrap();
    assert!(matches!(scene.by_token(LEA, "service"), Err(LoginError::PersonRefused)));
    assert!(matches!(scene.by_token("899700000077", "service"), Err(LoginError::PersonRefused)));
    scene.registry().suspend(scene.max, "").await.unwrap();
    assert!(matches!(scene.by_token(MAX, "service"), Err(LoginError::PersonRefused)));
}

#[tokio::test]
async fn an_authorisation_id_opens_what_the_holder_of_the_own_mailbox_may_use() {
    let scene = Scene::new().await;
    let there = scene.by_password("lea", Some("Service@aura.mssante.example")).await.unwrap();
    assert_eq!((there.account, there.rights), (scene.service, rights(&[Right::Write])));
    assert_eq!((there.person.as_deref(), there.credential.unwrap().account), (Some(LEA), scene.lea));
    let there = scene.by_password("max", Some("service@aura.mssante.example")).await.unwrap();
    assert_eq!(there.rights, rights(&[Right::Read, Right::Send]), "by the mailbox on the list");
    for named in ["max@aura.mssante.example", "inconnu@aura.mssante.example", "no address"] {
        let outcome = scene.by_password("lea", Some(named)).await;
        assert!(matches!(outcome, Err(LoginError::PersonRefused)), "{named}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_practices_shared_password_opens_nothing_of_its_holders() {
    let scene = Scene::new().await;
    let practice = scene.by_password("cabinet", None).await.unwrap();
    assert_eq!(practice.person, None, "several know it: it tells nobody's name");
    assert_eq!(scene.shared(&practice), []);
    let outcome = scene.by_password("cabinet", Some("max@aura.mssante.example")).await;
    assert!(matches!(outcome, Err(LoginError::PersonRefused)), "{outcome:?}");
    assert_eq!(scene.registry().rights_on(&practice, scene.max).unwrap(), Rights::NONE);
    assert_eq!(scene.registry().rights_on(&practice, scene.service).unwrap(), Rights::NONE);
}

/// Issue 4 §3: a password alone is for mailboxes that are marked for tests.
#[tokio::test]
async fn a_password_alone_reaches_no_mailbox_that_is_not_marked_for_it() {
    let scene = Scene::new().await;
    let registry = scene.registry();
    let (lea, service) = (scene.by_password("lea", None).await.unwrap(), "service@aura.mssante.example");
    let there = scene.enter(&scene.by_password("lea", Some(service)).await.unwrap());
    let strict = AccountChange { allow_password: Some(false), ..AccountChange::default() };
    registry.set(scene.service, &strict).await.unwrap();
    assert_eq!(end_of(&there).await, Ending::AccessChanged);
    assert!(matches!(scene.by_password("lea", Some(service)).await, Err(LoginError::PersonRefused)));
    assert_eq!(registry.rights_on(&lea, scene.service).unwrap(), Rights::NONE);
    assert_eq!(scene.shared(&lea), []);
    scene.enrol(scene.lea, LEA, 'a').await;
    let strong = registry.verify_password(&name("lea"), Some(service), PASSWORD, Some(&workstation('a')), PEER).await;
    assert_eq!(strong.unwrap().rights, rights(&[Right::Write]), "with a workstation it is strong");
}

#[tokio::test]
async fn the_mark_taken_away_ends_what_came_by_it_alone() {
    let scene = Scene::new().await;
    scene.enrol(scene.lea, LEA, 'a').await;
    let strong = scene.registry().verify_password(&name("lea"), None, PASSWORD, Some(&workstation('a')), PEER).await;
    let (strong, alone) = (scene.enter(&strong.unwrap()), scene.enter(&scene.by_password("lea", None).await.unwrap()));
    let there = scene.enter(&scene.by_password("lea", Some("service@aura.mssante.example")).await.unwrap());
    let strict = AccountChange { allow_password: Some(false), ..AccountChange::default() };
    scene.registry().set(scene.lea, &strict).await.unwrap();
    assert_eq!((end_of(&alone).await, end_of(&there).await), (Ending::CredentialGone, Ending::CredentialGone));
    assert!(goes_on(&strong).await);
}

#[tokio::test]
async fn who_guesses_without_a_workstation_keeps_none_out() {
    let scene = Scene::new().await;
    let strict = AccountChange { allow_password: Some(false), ..AccountChange::default() };
    scene.registry().set(scene.lea, &strict).await.unwrap();
    scene.enrol(scene.lea, LEA, 'a').await;
    let throttle = ThrottleOptions { a_minute: 3, free: 100, ..ThrottleOptions::default() };
    let registry = Registry::new(scene.house.room.clone(), AccountOptions { throttle, ..account_options() });
    let guess = async |from: u8, shown: Option<CertificateFacts>| {
        let from = IpAddr::V4(Ipv4Addr::new(192, 0, 2, from));
        registry.verify_password(&name("lea"), None, "guess", shown.as_ref(), from).await
    };
    for from in 0..3 {
        let refused = guess(from, Some(workstation('b'))).await;
        assert!(matches!(refused, Err(LoginError::Refused)), "{refused:?}");
    }
    assert!(matches!(guess(9, None).await, Err(LoginError::Throttled(_))));
    let elsewhere = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
    let let_in = registry.verify_password(&name("lea"), None, PASSWORD, Some(&workstation('a')), elsewhere).await;
    assert_eq!(let_in.unwrap().account, scene.lea);
}

#[tokio::test]
async fn a_login_sees_what_is_shared_with_its_person() {
    let scene = Scene::new().await;
    let (read, write, send) = (Right::Read, Right::Write, Right::Send);
    let lea = scene.by_password("lea", None).await.unwrap();
    assert_eq!(scene.shared(&lea), [(scene.service, rights(&[read, write]))]);
    let max = scene.by_password("max", None).await.unwrap();
    assert_eq!(scene.shared(&max), [(scene.service, rights(&[read, send])), (scene.practice, Rights::all())]);
    let secretary = by_mailbox(scene.lea, &[AccessRight::Read]);
    scene.registry().grant(scene.max, secretary).await.unwrap();
    let seen = scene.shared(&lea);
    assert_eq!(seen, [(scene.max, rights(&[read])), (scene.service, rights(&[read, write]))], "at once");
    assert_eq!(scene.registry().rights_on(&lea, scene.max).unwrap(), rights(&[read]));
    scene.registry().suspend(scene.max, "").await.unwrap();
    assert_eq!(scene.shared(&lea), [(scene.service, rights(&[read, write]))]);
    scene.registry().take_grant(scene.service, &Grantee::Person(LEA.into())).await.unwrap();
    assert_eq!(scene.shared(&lea), []);
    assert_eq!(scene.registry().rights_on(&lea, scene.service).unwrap(), Rights::NONE);
    assert_eq!(scene.registry().rights_on(&lea, scene.lea).unwrap(), Rights::all());
    assert_eq!(scene.registry().rights_on(&lea, AccountId(999)).unwrap(), Rights::NONE);
}

#[tokio::test]
async fn who_opens_what_is_read_from_the_store_after_a_restart() {
    let scene = Scene::new().await;
    let registry = Registry::new(scene.house.room.clone(), account_options());
    registry.prepare_access().unwrap();
    let login = registry.open_for_person(MAX, "max@aura.mssante.example").unwrap();
    let shared = registry.shared_with(&login).unwrap();
    assert_eq!(shared.iter().map(|mailbox| mailbox.account).collect::<Vec<_>>(), [scene.service, scene.practice]);
}

#[tokio::test]
async fn a_password_opens_with_the_mailboxs_own_workstation() {
    let scene = Scene::new().await;
    let strict = AccountChange { allow_password: Some(false), ..AccountChange::default() };
    for id in [scene.lea, scene.max] {
        scene.registry().set(id, &strict).await.unwrap();
    }
    let device = scene.enrol(scene.lea, LEA, 'a').await;
    let try_with = async |local: &str, password: &str, shown: Option<CertificateFacts>| {
        scene.registry().verify_password(&name(local), None, password, shown.as_ref(), PEER).await
    };
    let login = try_with("lea", PASSWORD, Some(workstation('a'))).await.unwrap();
    assert_eq!((login.account, login.rights, login.credential), (scene.lea, Rights::all(), Some(device)));
    assert_eq!(login.means, Means::Device { fingerprint: "a".repeat(64) });
    assert!(login.password.is_some());
    for (local, password, shown) in [
        ("lea", PASSWORD, None),
        ("lea", PASSWORD, Some(workstation('b'))),
        ("lea", "wrong", Some(workstation('a'))),
        ("max", PASSWORD, Some(workstation('a'))),
    ] {
        let outcome = try_with(local, password, shown.clone()).await;
        assert!(matches!(outcome, Err(LoginError::Refused)), "{local} {password} {shown:?}: {outcome:?}");
    }
    let checked = scene.registry().check_password(&name("lea"), PASSWORD, PEER).await.unwrap();
    assert_eq!(checked.account, scene.lea, "the first of two factors needs no workstation");
    let wrong = scene.registry().check_password(&name("lea"), "wrong", PEER).await;
    assert!(matches!(wrong, Err(LoginError::Refused)), "{wrong:?}");
    scene.registry().suspend(scene.lea, "").await.unwrap();
    let suspended = scene.registry().check_password(&name("lea"), PASSWORD, PEER).await;
    assert!(matches!(suspended, Err(LoginError::NotOpen(MailboxState::Suspended))), "{suspended:?}");
}

#[tokio::test]
async fn the_first_of_two_factors_stands_until_the_password_or_the_mailboxs_state_changes() {
    let scene = Scene::new().await;
    let registry = scene.registry();
    let right = async |password: &str| registry.check_password(&name("lea"), password, PEER).await.unwrap();
    let ending = |first: &FirstFactor| registry.ending_of_first_factor(first).unwrap();
    let first = right(PASSWORD).await;
    assert_eq!(ending(&first), None);
    registry.set_password(scene.lea, "un autre mot de passe", "").await.unwrap();
    assert_eq!(ending(&first), Some(Ending::CredentialGone));
    let first = right("un autre mot de passe").await;
    // The time of a change is kept to the second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    registry.suspend(scene.lea, "").await.unwrap();
    assert_eq!(ending(&first), Some(Ending::Suspended));
    registry.reopen(scene.lea, "").await.unwrap();
    assert_eq!(ending(&first), Some(Ending::Suspended), "open again is not as if nothing had been");
    assert_eq!(ending(&right("un autre mot de passe").await), None);
}

#[tokio::test]
async fn a_workstation_opens_a_shared_mailbox_as_its_person_and_nothing_of_theirs() {
    let scene = Scene::new().await;
    scene.registry().set_password(scene.service, PASSWORD, "").await.unwrap();
    scene.enrol(scene.service, LEA, 'a').await;
    let shown = workstation('a');
    let service = name("service");
    let open = async || scene.registry().verify_password(&service, None, PASSWORD, Some(&shown), PEER).await;
    let login = open().await.unwrap();
    assert_eq!((login.rights, login.person.as_deref()), (rights(&[Right::Write]), Some(LEA)));
    assert_eq!(scene.shared(&login), []);
    let session = scene.enter(&login);
    scene.registry().take_grant(scene.service, &Grantee::Person(LEA.into())).await.unwrap();
    assert_eq!(end_of(&session).await, Ending::AccessChanged);
    assert!(matches!(open().await, Err(LoginError::PersonRefused)));
}

#[tokio::test]
async fn a_workstation_alone_opens_where_the_operator_allows_it() {
    let scene = Scene::new().await;
    scene.enrol(scene.lea, LEA, 'a').await;
    let shown = workstation('a');
    let refused = scene.registry().verify_external(&shown, None).await;
    assert!(matches!(refused, Err(LoginError::NeedsPassword)), "{refused:?}");
    let options = AccountOptions {
        devices: DeviceOptions { certificate_alone: true, ..DeviceOptions::default() },
        ..account_options()
    };
    let registry = Registry::new(scene.house.room.clone(), options);
    let login = registry.verify_external(&shown, Some("")).await.unwrap();
    assert_eq!((login.account, login.person.as_deref()), (scene.lea, Some(LEA)));
    let there = registry.verify_external(&shown, Some("service@aura.mssante.example")).await.unwrap();
    assert_eq!((there.account, there.rights), (scene.service, rights(&[Right::Write])));
    let elsewhere = registry.verify_external(&shown, Some("max@aura.mssante.example")).await;
    assert!(matches!(elsewhere, Err(LoginError::PersonRefused)), "{elsewhere:?}");
}

#[tokio::test]
async fn sessions_end_when_their_mailbox_is_suspended_or_closed() {
    let scene = Scene::new().await;
    let lea = scene.enter(&scene.by_token(LEA, "lea").unwrap());
    let elsewhere = scene.enter(&scene.by_password("lea", Some("service@aura.mssante.example")).await.unwrap());
    let other = scene.enter(&scene.by_token(MAX, "max").unwrap());
    scene.registry().suspend(scene.lea, "").await.unwrap();
    assert_eq!(end_of(&lea).await, Ending::Suspended);
    assert_eq!(end_of(&elsewhere).await, Ending::Suspended, "a suspended mailbox opens nothing else either");
    assert!(goes_on(&other).await);
    scene.registry().close(scene.max, "").await.unwrap();
    assert_eq!(end_of(&other).await, Ending::Closed);
}

#[tokio::test]
async fn sessions_end_when_who_is_in_may_do_less_and_go_on_when_they_may_do_more() {
    let scene = Scene::new().await;
    let by_person = scene.enter(&scene.by_token(LEA, "service").unwrap());
    let by_mailbox = scene.enter(&scene.by_token(MAX, "service").unwrap());
    scene.registry().grant(scene.service, grant(LEA, &[AccessRight::Write, AccessRight::Send])).await.unwrap();
    assert!(goes_on(&by_person).await);
    scene.registry().grant(scene.service, grant(LEA, &[AccessRight::Read])).await.unwrap();
    assert_eq!(end_of(&by_person).await, Ending::AccessChanged);
    assert!(goes_on(&by_mailbox).await);
    scene.registry().close(scene.max, "").await.unwrap();
    assert_eq!(end_of(&by_mailbox).await, Ending::AccessChanged, "the mailbox on the list is gone");
}

#[tokio::test]
async fn sessions_end_when_a_mailbox_gets_another_holder() {
    let scene = Scene::new().await;
    let max = scene.enter(&scene.by_token(MAX, "service").unwrap());
    let holder = Holder { national_id: Some(LEA.into()), last_name: Some("Martin".into()), ..Holder::default() };
    scene.registry().set(scene.max, &AccountChange { holder: Some(holder), ..AccountChange::default() }).await.unwrap();
    assert_eq!(end_of(&max).await, Ending::AccessChanged);
    assert!(matches!(scene.by_token(MAX, "max"), Err(LoginError::PersonRefused)));
    assert_eq!(scene.by_token(LEA, "max").unwrap().account, scene.max);
}

#[tokio::test]
async fn sessions_end_with_what_they_were_opened_with() {
    let scene = Scene::new().await;
    let by_password = scene.enter(&scene.by_password("lea", None).await.unwrap());
    let by_token = scene.enter(&scene.by_token(LEA, "lea").unwrap());
    scene.registry().set_password(scene.lea, "un autre mot de passe", "").await.unwrap();
    assert_eq!(end_of(&by_password).await, Ending::CredentialGone);
    assert!(goes_on(&by_token).await);

    let device = scene.enrol(scene.max, MAX, 'c').await;
    let shown = workstation('c');
    let max = name("max");
    let open = async |password: &str| {
        let login = scene.registry().verify_password(&max, None, password, Some(&shown), PEER).await.unwrap();
        scene.enter(&login)
    };
    let session = open(PASSWORD).await;
    scene.registry().set_password(scene.max, "un autre mot de passe", "").await.unwrap();
    assert_eq!(end_of(&session).await, Ending::CredentialGone, "the password was half of it");
    let session = open("un autre mot de passe").await;
    scene.registry().remove_credential(device).await.unwrap();
    assert_eq!(end_of(&session).await, Ending::CredentialGone);
}

#[tokio::test]
async fn sessions_end_when_a_structures_certificate_fits_no_more() {
    let scene = Scene::new().await;
    let app = scene.house.create(NewMailbox::new(address("logiciel"), Kind::App, structure())).await.id;
    let binding = caducee::accounts::CertificateBinding::Structure;
    scene.registry().bind_certificate(app, binding, "").await.unwrap();
    let subject = DistinguishedName::parse_text("CN=logiciel,OU=1010000024,O=CH,C=FR").unwrap();
    let software = CertificateFacts { authority: Authority::Igc, fingerprint: "d".repeat(64), subject };
    let session = scene.enter(&scene.registry().verify_external(&software, None).await.unwrap());
    let holder = Holder { structure_id: Some("1690000012".into()), ..structure() };
    scene.registry().set(app, &AccountChange { holder: Some(holder), ..AccountChange::default() }).await.unwrap();
    assert_eq!(end_of(&session).await, Ending::CredentialGone);
}

#[tokio::test]
async fn a_right_that_runs_out_ends_its_sessions_at_the_next_look() {
    let scene = Scene::new().await;
    let session = scene.enter(&scene.by_token(LEA, "service").unwrap());
    // The grant's end has come: put there past the registry, which would end the session at once.
    let store = scene.house.room.store();
    let mut record: Account = store.get::<Account>(&scene.service).unwrap().unwrap().record;
    record.access_list[0].until = Some(LONG_AGO + 1);
    let mut batch = Batch::new();
    batch.put(&scene.service, &record);
    store.commit(batch).await.unwrap();
    assert!(goes_on(&session).await);
    scene.registry().review_sessions();
    assert_eq!(end_of(&session).await, Ending::AccessChanged);
}

#[tokio::test]
async fn what_was_taken_away_between_the_check_and_the_entry_does_not_come_in() {
    let scene = Scene::new().await;
    let login = scene.by_token(LEA, "service").unwrap();
    scene.registry().take_grant(scene.service, &Grantee::Person(LEA.into())).await.unwrap();
    let entered = scene.registry().enter(&login, "imap", PEER, 10);
    assert!(matches!(entered, Err(LoginError::Ended(Ending::AccessChanged))), "{entered:?}");
    let login = scene.by_password("lea", None).await.unwrap();
    scene.registry().set_password(scene.lea, "un autre mot de passe", "").await.unwrap();
    let entered = scene.registry().enter(&login, "imap", PEER, 10);
    assert!(matches!(entered, Err(LoginError::Ended(Ending::CredentialGone))), "{entered:?}");
    assert!(scene.registry().sessions().list().is_empty(), "nobody stays on the list");
}

/// Logins and revocations at once, many times over: whoever is in afterwards may be.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_session_outlives_its_grant_however_the_two_race() {
    let scene = Scene::new().await;
    for round in 0..50 {
        let entering: Vec<_> = (0..4)
            .map(|_| {
                let registry = scene.registry().clone();
                tokio::spawn(async move {
                    let login = registry.open_for_person(LEA, "service@aura.mssante.example").ok()?;
                    tokio::task::yield_now().await;
                    registry.enter(&login, "imap", PEER, 10).ok()
                })
            })
            .collect();
        scene.registry().take_grant(scene.service, &Grantee::Person(LEA.into())).await.unwrap();
        for entered in entering {
            if let Some(session) = entered.await.unwrap() {
                assert_eq!(end_of(&session).await, Ending::AccessChanged, "round {round}");
            }
        }
        scene.registry().grant(scene.service, grant(LEA, &[AccessRight::Write])).await.unwrap();
    }
}

#[tokio::test]
async fn nobody_is_a_holder_by_an_unknown_person() {
    let house = House::in_memory();
    let lea = house.create(new_mailbox("lea")).await;
    assert!(lea.is_held_by(LEA) && !lea.is_held_by("") && !lea.is_held_by(MAX));
}
