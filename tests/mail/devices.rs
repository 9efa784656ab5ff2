//! Enrolled devices, from the authority to the revocation; openssl is the second opinion on what they get.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use caducee::accounts::devices::{
    Device, DeviceCredentials, DeviceError, DeviceKey, DeviceOptions, DeviceState, Enrolled, NewDevice, OldCertificate,
    Pkcs12Form,
};
use caducee::accounts::notice::NoticeInbox;
use caducee::accounts::{AccountError, AccountOptions, Authority, By, CertificateFacts, NewMailbox, Registry};
use caducee::mss::{DistinguishedName, Kind, MailboxState};
use caducee::store::{
    AccessGrant, AccessRight, AccountId, AuthorityId, Batch, Credential, CredentialKey, DeviceAuthority, SecretKey,
};

use crate::support::{Directory, House, account_options, address, new_mailbox, structure};

fn made(name: &str) -> NewDevice {
    NewDevice { name: name.into(), person: None, key: DeviceKey::Made(Pkcs12Form::Modern) }
}

/// The same house with other settings of devices.
fn with_options(house: &House, devices: DeviceOptions) -> Registry {
    Registry::new(house.room.clone(), AccountOptions { devices, ..account_options() })
}

fn states(registry: &Registry, account: AccountId) -> Vec<(String, DeviceState)> {
    registry.devices(account).unwrap().into_iter().map(|device| (device.name, device.state)).collect()
}

/// Runs openssl in a directory; its standard output.
fn openssl(directory: &Directory, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("openssl").args(arguments).current_dir(directory.path()).output().expect("openssl");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn file(directory: &Directory, name: &str, content: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// The authorities' certificates, as a file that openssl verifies with.
fn authority(directory: &Directory, registry: &Registry) {
    file(directory, "ca.pem", registry.device_authorities_pem().as_bytes());
}

#[tokio::test]
async fn the_file_of_an_enrolled_device_holds_what_a_mail_program_needs() {
    let house = House::in_memory();
    let lea = house.account("lea").await.id;
    let directory = Directory::new();
    for (number, (form, cipher)) in
        [(Pkcs12Form::Modern, "AES-256-CBC"), (Pkcs12Form::Compatible, "pbeWithSHA1And3-KeyTripleDES-CBC")]
            .into_iter()
            .enumerate()
    {
        let new = NewDevice { key: DeviceKey::Made(form), ..made(&format!("PC n° {number} 🖥")) };
        let enrolled = house.registry.enrol_device(lea, new).await.unwrap();
        let DeviceCredentials::Pkcs12 { file: bytes, password } = &enrolled.credentials else { panic!("a file") };
        file(&directory, "device.p12", bytes);
        authority(&directory, &house.registry);
        let password = format!("pass:{}", password.as_str());
        let read = |more: &[&str]| {
            let mut arguments = vec!["pkcs12", "-in", "device.p12", "-legacy", "-passin", &password];
            arguments.extend_from_slice(more);
            openssl(&directory, &arguments)
        };
        let wrong = openssl(&directory, &["pkcs12", "-in", "device.p12", "-legacy", "-noout", "-passin", "pass:autre"]);
        assert!(wrong.is_err(), "another password opens nothing");
        let described = Command::new("openssl")
            .args(["pkcs12", "-in", "device.p12", "-legacy", "-info", "-noout", "-passin", &password])
            .current_dir(directory.path())
            .output()
            .unwrap();
        let described = String::from_utf8_lossy(&described.stderr).into_owned();
        assert!(described.contains(cipher), "{described}");
        let leaf = read(&["-clcerts", "-nokeys"]).unwrap();
        assert!(leaf.contains("BEGIN CERTIFICATE"), "{leaf}");
        file(&directory, "leaf.pem", leaf.as_bytes());
        file(&directory, "key.pem", read(&["-nocerts", "-nodes"]).unwrap().as_bytes());
        assert!(read(&["-cacerts", "-nokeys"]).unwrap().contains("BEGIN CERTIFICATE"), "the authority is in it");
        let verified =
            openssl(&directory, &["verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", "sslclient", "leaf.pem"]);
        assert!(verified.is_ok(), "{verified:?}");
        let as_server = openssl(&directory, &["verify", "-CAfile", "ca.pem", "-purpose", "sslserver", "leaf.pem"]);
        assert!(as_server.is_err(), "it is no server's");
        let public = |arguments: &[&str]| openssl(&directory, arguments).unwrap();
        assert_eq!(
            public(&["x509", "-in", "leaf.pem", "-noout", "-pubkey"]),
            public(&["pkey", "-in", "key.pem", "-pubout"]),
            "key and certificate belong together"
        );
        let text = public(&["x509", "-in", "leaf.pem", "-noout", "-text", "-nameopt", "utf8"]);
        for expected in [
            "CN=lea@aura.mssante.example",
            "email:lea@aura.mssante.example",
            "TLS Web Client Authentication",
            "Digital Signature",
            "CA:FALSE",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert!(!text.contains("OU="), "there an application's certificate has its structure: {text}");
        let fingerprint = public(&["x509", "-in", "leaf.pem", "-noout", "-fingerprint", "-sha256"]);
        let fingerprint = fingerprint.split('=').nth(1).unwrap().trim().replace(':', "").to_lowercase();
        assert_eq!(fingerprint, enrolled.device.fingerprint);
    }
}

#[tokio::test]
async fn a_request_gets_a_certificate_for_its_key_and_nothing_else_that_it_asks_for() {
    let house = House::in_memory();
    let lea = house.account("lea").await.id;
    let directory = Directory::new();
    for (number, kind) in [
        &["-newkey", "rsa:2048"][..],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha384"],
    ]
    .into_iter()
    .enumerate()
    {
        let mut arguments = vec!["req", "-new", "-nodes", "-keyout", "own.key", "-out", "own.csr"];
        // Names and uses of its own wish: none of them is granted.
        arguments.extend(["-subj", "/CN=max@aura.mssante.example/OU=1010000024"]);
        arguments.extend(["-addext", "basicConstraints=CA:TRUE", "-addext", "extendedKeyUsage=serverAuth"]);
        arguments.extend(kind);
        openssl(&directory, &arguments).unwrap();
        let request = std::fs::read(directory.path().join("own.csr")).unwrap();
        let new = NewDevice { key: DeviceKey::Request(request), ..made(&format!("téléphone {number}")) };
        let enrolled = house.registry.enrol_device(lea, new).await.unwrap();
        let DeviceCredentials::Pem(pem) = &enrolled.credentials else { panic!("PEM") };
        file(&directory, "leaf.pem", pem.as_bytes());
        authority(&directory, &house.registry);
        let verified = openssl(&directory, &["verify", "-CAfile", "ca.pem", "-purpose", "sslclient", "leaf.pem"]);
        assert!(verified.is_ok(), "{verified:?}");
        let public = |arguments: &[&str]| openssl(&directory, arguments).unwrap();
        let of_key = public(&["pkey", "-in", "own.key", "-pubout"]);
        assert_eq!(public(&["x509", "-in", "leaf.pem", "-noout", "-pubkey"]), of_key);
        let text = public(&["x509", "-in", "leaf.pem", "-noout", "-text"]);
        assert!(
            text.contains("CN=lea@aura.mssante.example") || text.contains("CN = lea@aura.mssante.example"),
            "{text}"
        );
        assert!(
            !text.contains("max@") && !text.contains("CA:TRUE") && !text.contains("Server Authentication"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_request_that_proves_nothing_or_has_a_weak_key_is_refused() {
    let house = House::in_memory();
    let lea = house.account("lea").await.id;
    let directory = Directory::new();
    let request = |kind: &[&str]| {
        let mut arguments = vec!["req", "-new", "-nodes", "-keyout", "own.key", "-outform", "DER", "-out", "own.csr"];
        arguments.extend(["-subj", "/CN=x"]);
        arguments.extend(kind);
        openssl(&directory, &arguments).unwrap();
        std::fs::read(directory.path().join("own.csr")).unwrap()
    };
    let good = request(&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    let mut forged = good.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let mut trailing = good.clone();
    trailing.truncate(last);
    let mut refused = vec![
        ("forged", forged),
        ("cut short", trailing),
        ("nothing", Vec::new()),
        ("no PEM of it", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec()),
        ("too long", vec![0x30; 20_000]),
        ("short RSA", request(&["-newkey", "rsa:1024"])),
        ("P-521", request(&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"])),
        ("Ed25519", request(&["-newkey", "ed25519"])),
    ];
    // Not every openssl signs with SHA-1 still.
    if let Ok(weak) = std::panic::catch_unwind(|| request(&["-newkey", "rsa:2048", "-sha1"])) {
        refused.push(("SHA-1", weak));
    }
    for (what, bytes) in refused {
        let new = NewDevice { key: DeviceKey::Request(bytes), ..made(what) };
        let outcome = house.registry.enrol_device(lea, new).await;
        assert!(matches!(outcome, Err(DeviceError::BadRequest(_))), "{what}: {outcome:?}");
    }
    assert_eq!(house.registry.devices(lea).unwrap(), []);
    let new = NewDevice { key: DeviceKey::Request(good), ..made("bonne") };
    house.registry.enrol_device(lea, new).await.unwrap();
}

#[tokio::test]
async fn devices_have_names_of_their_own_and_there_are_so_many() {
    let house = House::in_memory();
    let registry = with_options(&house, DeviceOptions { most: 2, ..DeviceOptions::default() });
    let lea = house.account("lea").await.id;
    let long = "é".repeat(61);
    for bad in ["", "  ", "a\nb", "fiche\u{202e}xcod", "PC\u{200b}", long.as_str()] {
        let outcome = registry.enrol_device(lea, made(bad)).await;
        assert!(matches!(outcome, Err(DeviceError::BadName(_))), "{bad}: {outcome:?}");
    }
    registry.enrol_device(lea, made(&"é".repeat(60))).await.unwrap();
    registry.enrol_device(lea, made(" PC ")).await.unwrap();
    assert_eq!(registry.devices(lea).unwrap()[1].name, "PC");
    assert!(matches!(registry.enrol_device(lea, made("PC")).await, Err(DeviceError::NameTaken)));
    assert!(matches!(registry.enrol_device(lea, made("portable")).await, Err(DeviceError::TooMany(2))));
    // Another mailbox's devices are another's.
    let max = house.account("max").await.id;
    registry.enrol_device(max, made("PC")).await.unwrap();
    registry.revoke_device(lea, registry.devices(lea).unwrap()[0].number, By::Holder).await.unwrap();
    registry.enrol_device(lea, made("portable")).await.unwrap();
}

#[tokio::test]
async fn nobody_takes_anothers_places_or_names_in_a_shared_mailbox() {
    let house = House::in_memory();
    let registry = with_options(&house, DeviceOptions { most: 2, ..DeviceOptions::default() });
    let service = house.create(NewMailbox::new(address("service"), Kind::Org, structure())).await.id;
    for person in ["899700000001", "899700000002"] {
        let rights = vec![AccessRight::Read];
        let grant = AccessGrant { person: person.into(), rights, since: 1, ..AccessGrant::default() };
        registry.grant(service, grant).await.unwrap();
    }
    let of = |person: &str, name: &str| NewDevice { person: Some(person.into()), ..made(name) };
    registry.enrol_device(service, of("899700000001", "PC")).await.unwrap();
    let again = registry.enrol_device(service, of("899700000001", "PC")).await;
    assert!(matches!(again, Err(DeviceError::NameTaken)), "{again:?}");
    registry.enrol_device(service, of("899700000001", "portable")).await.unwrap();
    let third = registry.enrol_device(service, of("899700000001", "tablette")).await;
    assert!(matches!(third, Err(DeviceError::TooMany(2))), "{third:?}");
    let second = registry.enrol_device(service, of("899700000002", "PC")).await.unwrap().device;
    let states = states(&registry, service);
    assert!(states.iter().all(|(_, state)| *state == DeviceState::Valid), "a namesake replaces nobody's: {states:?}");
    let key = DeviceKey::Made(Pkcs12Form::Modern);
    registry.renew_device(service, second.number, key, OldCertificate::AfterGrace).await.unwrap();
    let replaced =
        registry.devices(service).unwrap().into_iter().filter(|device| device.state == DeviceState::Replaced);
    assert_eq!(replaced.map(|device| device.number).collect::<Vec<_>>(), [second.number]);
}

#[tokio::test]
async fn enrolments_at_once_do_not_find_the_same_room() {
    let house = House::embedded();
    let registry = with_options(&house, DeviceOptions { most: 3, ..DeviceOptions::default() });
    let lea = house.account("lea").await.id;
    let mut tasks = Vec::new();
    for number in 0..6 {
        let registry = registry.clone();
        tasks.push(tokio::spawn(async move { registry.enrol_device(lea, made(&format!("PC {number}"))).await }));
    }
    let mut enrolled = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => enrolled += 1,
            Err(DeviceError::TooMany(3) | DeviceError::Account(AccountError::Busy)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!((1..=3).contains(&enrolled), "{enrolled}");
    assert_eq!(registry.devices(lea).unwrap().len(), enrolled);
    let numbers: std::collections::HashSet<u32> =
        registry.devices(lea).unwrap().iter().map(|device| device.number).collect();
    assert_eq!(numbers.len(), enrolled);
    assert_eq!(registry.device_authorities().borrow().len(), 1, "one authority, whoever came first");
}

#[tokio::test]
async fn a_device_is_found_by_its_certificate_from_its_enrolment_to_its_end() {
    let house = House::in_memory();
    let registry = with_options(&house, DeviceOptions { certificate_alone: true, ..DeviceOptions::default() });
    let lea = house.account("lea").await.id;
    let opened_by = async |device: &Device| {
        let fingerprint = device.fingerprint.clone();
        let subject = DistinguishedName::parse_text("CN=poste").unwrap();
        let shown = CertificateFacts { authority: Authority::Device, fingerprint, subject };
        registry.verify_external(&shown, None).await.map(|login| login.account).ok()
    };
    let first = registry.enrol_device(lea, made("PC")).await.unwrap().device;
    assert_eq!(opened_by(&first).await, Some(lea), "the index is read for this");
    let other = registry.enrol_device(lea, made("portable")).await.unwrap().device;
    assert_eq!(opened_by(&other).await, Some(lea));
    let key = DeviceKey::Made(Pkcs12Form::Modern);
    let second = registry.renew_device(lea, first.number, key, OldCertificate::Now).await.unwrap().device;
    assert_eq!((opened_by(&first).await, opened_by(&second).await), (None, Some(lea)));
    registry.revoke_device(lea, second.number, By::Holder).await.unwrap();
    assert_eq!((opened_by(&second).await, opened_by(&other).await), (None, Some(lea)));
    registry.close(lea, "").await.unwrap();
    assert_eq!(opened_by(&other).await, None);
}

#[tokio::test]
async fn a_renewed_device_keeps_its_name_and_its_old_certificate_for_a_while() {
    let house = House::in_memory();
    let registry = with_options(&house, DeviceOptions { grace: 8, ..DeviceOptions::default() });
    let lea = house.account("lea").await.id;
    let first = registry.enrol_device(lea, made("PC")).await.unwrap().device;
    let key = || DeviceKey::Made(Pkcs12Form::Modern);
    let second = registry.renew_device(lea, first.number, key(), OldCertificate::AfterGrace).await.unwrap().device;
    assert_ne!(second.fingerprint, first.fingerprint);
    assert_eq!(
        states(&registry, lea),
        [("PC".into(), DeviceState::Replaced), ("PC".into(), DeviceState::Valid)],
        "the old one goes on"
    );
    let again = registry.renew_device(lea, first.number, key(), OldCertificate::Now).await;
    assert!(matches!(again, Err(DeviceError::NameTaken)), "its successor is the one to renew: {again:?}");
    let third = registry.renew_device(lea, second.number, key(), OldCertificate::Now).await.unwrap().device;
    let devices = registry.devices(lea).unwrap();
    assert!(devices.iter().all(|device| device.number != second.number), "ended at once: {devices:?}");
    let has_ended = || {
        let first = registry.devices(lea).unwrap().into_iter().find(|device| device.number == first.number);
        first.unwrap().state == DeviceState::Expired
    };
    for _ in 0..300 {
        if has_ended() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(has_ended(), "thirty seconds after a grace of eight");
    let again = registry.renew_device(lea, first.number, key(), OldCertificate::AfterGrace).await;
    assert!(matches!(again, Err(DeviceError::NameTaken)), "nor does the end make room beside its successor: {again:?}");
    registry.enrol_device(lea, made("portable")).await.unwrap();
    let numbers: Vec<u32> = registry.devices(lea).unwrap().iter().map(|device| device.number).collect();
    assert_eq!(numbers, [third.number, third.number + 1], "what has ended is cleared away");
}

#[tokio::test]
async fn a_revoked_device_is_gone_and_another_credential_is_no_device() {
    let house = House::in_memory();
    let lea = house.account("lea").await.id;
    let device = house.registry.enrol_device(lea, made("PC")).await.unwrap().device;
    house.registry.set_password(lea, "mot de passe é long", "").await.unwrap();
    let password = house.registry.credentials(lea).unwrap().last().unwrap().0.number;
    let outcome = house.registry.revoke_device(lea, password, By::Administrator).await;
    assert!(matches!(outcome, Err(DeviceError::NoDevice)), "a password is no device: {outcome:?}");
    let revoked = house.registry.revoke_device(lea, device.number, By::Holder).await.unwrap();
    assert_eq!(revoked, device);
    let key = CredentialKey { account: lea, number: device.number };
    assert!(house.room.store().get::<Credential>(&key).unwrap().is_none());
    assert!(matches!(house.registry.revoke_device(lea, device.number, By::Holder).await, Err(DeviceError::NoDevice)));
}

#[tokio::test]
async fn only_open_mailboxes_of_people_have_devices() {
    let house = House::in_memory();
    let app = house.create(NewMailbox::new(address("labo"), Kind::App, structure())).await.id;
    assert!(matches!(house.registry.enrol_device(app, made("PC")).await, Err(DeviceError::NotForKind(Kind::App))));
    let org = house.create(NewMailbox::new(address("secretariat"), Kind::Org, structure())).await.id;
    let of = |person: Option<&str>| NewDevice { person: person.map(str::to_owned), ..made("PC") };
    let anonymous = house.registry.enrol_device(org, of(None)).await;
    assert!(matches!(anonymous, Err(DeviceError::NobodyNamed)), "{anonymous:?}");
    let stranger = house.registry.enrol_device(org, of(Some("899700000002"))).await;
    assert!(matches!(stranger, Err(DeviceError::NoRights)), "{stranger:?}");
    let grant =
        AccessGrant { person: "899700000002".into(), rights: vec![AccessRight::Read], ..AccessGrant::default() };
    house.registry.grant(org, grant).await.unwrap();
    let enrolled = house.registry.enrol_device(org, of(Some("899700000002"))).await.unwrap();
    assert_eq!(enrolled.device.person.as_deref(), Some("899700000002"));
    house.registry.suspend(org, "").await.unwrap();
    let outcome = house.registry.enrol_device(org, made("autre")).await;
    assert!(matches!(outcome, Err(DeviceError::NotOpen(MailboxState::Suspended))), "{outcome:?}");
    // What must not be is taken away in any state.
    house.registry.revoke_device(org, enrolled.device.number, By::Administrator).await.unwrap();
    let lea = house.account("lea").await.id;
    house.registry.enrol_device(lea, made("PC")).await.unwrap();
    house.registry.close(lea, "").await.unwrap();
    assert_eq!(house.registry.devices(lea).unwrap(), [], "a closed mailbox has none");
}

#[tokio::test]
async fn the_authority_is_there_again_after_a_restart_and_its_key_lies_sealed() {
    let house = House::embedded();
    house.registry.open_device_authorities().await.unwrap();
    let before = house.registry.device_authorities().borrow().clone();
    assert_eq!(before.len(), 1);
    let house = house.restarted();
    house.registry.open_device_authorities().await.unwrap();
    assert_eq!(*house.registry.device_authorities().borrow(), before);
    let lea = house.account("lea").await.id;
    house.registry.enrol_device(lea, made("PC")).await.unwrap();
    assert!(house.room.store().get::<caducee::store::Secret>(&SecretKey::Devices).unwrap().is_some());
    // What is kept of the key is no PKCS#8 (the curve's OID and an octet string), and opens for this authority only.
    let record = house.room.store().get::<DeviceAuthority>(&AuthorityId(1)).unwrap().unwrap();
    let pkcs8 = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04];
    assert!(!record.sealed_key.0.windows(pkcs8.len()).any(|at| at == pkcs8));
    let mut moved = Batch::new();
    moved.put(&AuthorityId(2), &record.record);
    house.room.store().commit(moved).await.unwrap();
    let outcome = house.registry.enrol_device(lea, made("autre")).await;
    assert!(matches!(outcome, Err(DeviceError::Sealed(_))), "{outcome:?}");
}

#[tokio::test]
async fn after_a_rotation_the_new_authority_signs_and_the_old_one_is_still_believed() {
    let house = House::in_memory();
    let directory = Directory::new();
    let lea = house.account("lea").await.id;
    let leaf = async |name: &str| -> (Device, String) {
        let Enrolled { device, credentials } = house.registry.enrol_device(lea, made(name)).await.unwrap();
        let DeviceCredentials::Pkcs12 { file: bytes, password } = credentials else { panic!("a file") };
        file(&directory, "device.p12", &bytes);
        let password = format!("pass:{}", password.as_str());
        let arguments = ["pkcs12", "-in", "device.p12", "-clcerts", "-nokeys", "-passin", &password];
        (device, openssl(&directory, &arguments).unwrap())
    };
    let (_, old) = leaf("avant").await;
    let mut followed = house.registry.device_authorities();
    followed.mark_unchanged();
    house.registry.rotate_device_authority().await.unwrap();
    assert!(followed.has_changed().unwrap());
    let list = followed.borrow_and_update().clone();
    assert_eq!(list.len(), 2);
    let (_, new) = leaf("après").await;
    for (name, pem) in [("old.pem", &old), ("new.pem", &new)] {
        file(&directory, name, pem.as_bytes());
        authority(&directory, &house.registry);
        let verified = openssl(&directory, &["verify", "-CAfile", "ca.pem", name]);
        assert!(verified.is_ok(), "{name}: {verified:?}");
    }
    // The first of the list is the one that signs now.
    let pem = house.registry.device_authorities_pem();
    let newest = pem.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
    file(&directory, "ca.pem", newest.as_bytes());
    assert!(openssl(&directory, &["verify", "-CAfile", "ca.pem", "new.pem"]).is_ok());
    assert!(openssl(&directory, &["verify", "-CAfile", "ca.pem", "old.pem"]).is_err());
}

#[tokio::test]
async fn an_authority_that_would_not_outlive_what_it_signs_is_replaced() {
    let house = House::in_memory();
    let short = DeviceOptions { validity: 1_000, authority_validity: 2_000, ..DeviceOptions::default() };
    with_options(&house, short).open_device_authorities().await.unwrap();
    let long = with_options(&house, DeviceOptions::default());
    long.open_device_authorities().await.unwrap();
    assert_eq!(long.device_authorities().borrow().len(), 2);
}

#[tokio::test]
async fn the_holder_is_told_of_each_thing_that_is_done_to_a_device() {
    let house = House::in_memory();
    let told = Some("lea@fai.example".to_owned());
    let lea = house.create(NewMailbox { notification_address: told, ..new_mailbox("lea") }).await.id;
    let silent = house.account("max").await.id;
    let mut inbox = house.registry.take_notices().unwrap();
    assert!(house.registry.take_notices().is_none(), "one job carries them");
    let device = house.registry.enrol_device(lea, made("PC")).await.unwrap().device;
    house.registry.enrol_device(silent, made("PC")).await.unwrap();
    let key = DeviceKey::Made(Pkcs12Form::Modern);
    let device = house.registry.renew_device(lea, device.number, key, OldCertificate::Now).await.unwrap().device;
    house.registry.revoke_device(lea, device.number, By::Administrator).await.unwrap();
    for expected in ["device-enrolled", "device-renewed", "device-revoked"] {
        assert_eq!(next(&mut inbox).await, (expected, "lea@fai.example".to_owned()));
    }
}

async fn next(inbox: &mut NoticeInbox) -> (&'static str, String) {
    let notice = tokio::time::timeout(Duration::from_secs(5), inbox.next()).await.unwrap();
    (notice.notice.name(), notice.to.to_string())
}
