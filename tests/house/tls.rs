//! The traps of certificate checking, each with its handshake. See the table in `serve::tls`.

use crate::pki::{DAY, Files, Leaf, Pki};
use crate::support::{Tool, have};
use caducee::config::fronts::ClientCertificates;
use caducee::config::sections;
use caducee::serve::tls::{
    self, Authority, CertificateProblem, Contexts, Crl, CrlProblem, CrlSet, HandshakeRefusal, Material, PeerIdentity,
    Revocation,
};
use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, ServerConfig, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LONGEST: Duration = Duration::from_secs(10);

/// The CRLs that the settings name.
fn revocation(settings: &sections::Tls) -> Revocation {
    let lists = tls::read_crls(settings.crls.iter().map(Path::new)).expect("CRLs");
    Revocation { operators: lists.clone(), mailboxes: lists, grace: settings.crl_grace }
}

fn contexts(settings: &sections::Tls) -> Contexts {
    Contexts::new(Material::read(settings).expect("files"), revocation(settings)).expect("contexts")
}

/// A server with its own good certificate, and its contexts.
fn server(pki: &Pki) -> (sections::Tls, Contexts) {
    let files = pki.leaf(&Leaf::good("serveur", 1));
    let settings = pki.settings(&files);
    let contexts = contexts(&settings);
    (settings, contexts)
}

/// A client that believes everything: it is the server that is tested.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A client with this certificate, or none, speaking these versions.
fn client(files: Option<&Files>, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous));
    Arc::new(match files {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = CertificateDer::pem_file_iter(&files.certificate).expect("a chain");
            let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
            let key = PrivateKeyDer::from_pem_file(&files.key).expect("a key");
            builder.with_client_auth_cert(chain, key).expect("a pair")
        }
    })
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// What the server sees of one connection.
struct Seen {
    /// At the operators' door.
    peer: Option<PeerIdentity>,
    chain: Vec<CertificateDer<'static>>,
    kind: Option<HandshakeKind>,
}

/// Where a client knocks.
enum At<'c> {
    Operators(&'c Contexts),
    Door(Arc<ServerConfig>),
}

impl<'c> From<&'c Contexts> for At<'c> {
    fn from(contexts: &'c Contexts) -> Self {
        At::Operators(contexts)
    }
}

impl From<Arc<ServerConfig>> for At<'_> {
    fn from(config: Arc<ServerConfig>) -> Self {
        At::Door(config)
    }
}

/// One handshake and one byte each way, so that tickets and late alerts have come through.
async fn meet(server: impl Into<At<'_>>, client: Arc<ClientConfig>) -> Result<Seen, HandshakeRefusal> {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let client = tokio::spawn(async move {
        let name = ServerName::try_from("serveur.example").expect("a name");
        let mut stream = tokio_rustls::TlsConnector::from(client).connect(name, theirs).await?;
        stream.write_all(b"?").await?;
        stream.read_u8().await
    });
    let (mut stream, peer) = match server.into() {
        At::Operators(contexts) => {
            tls::accept_operator(contexts, ours, LONGEST).await.map(|(stream, peer)| (stream, Some(peer)))?
        }
        At::Door(config) => (tls::accept(config, ours, LONGEST).await?, None),
    };
    let seen = Seen {
        peer,
        chain: stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec(),
        kind: stream.get_ref().1.handshake_kind(),
    };
    stream.read_u8().await.expect("the client's byte");
    stream.write_all(b"!").await.expect("our byte");
    client.await.expect("the client's task").expect("the client's side");
    Ok(seen)
}

/// The refusal's name, or "ok", of a client with this certificate at the operators' door.
async fn at_operators_door(contexts: &Contexts, files: Option<&Files>) -> &'static str {
    match meet(contexts, client(files, BOTH)).await {
        Ok(_) => "ok",
        Err(refusal) => refusal.name(),
    }
}

#[tokio::test]
async fn a_listed_peer_is_known_by_its_subject_after_the_handshake_on_both_versions() {
    let pki = Pki::new();
    let (_, contexts) = server(&pki);
    let peer = pki.leaf(&Leaf::good("operateur", 0xabcd));
    for version in BOTH {
        let seen = meet(&contexts, client(Some(&peer), &[version])).await.expect("a handshake");
        let identity = seen.peer.expect("an identity");
        assert_eq!(identity.subject.common_name(), Some("operateur.example"));
        assert_eq!(identity.issuer.common_name(), Some("AC ORGANISATIONS TEST"));
        assert_eq!(identity.serial, "00abcd");
        assert_eq!(identity.fingerprint, tls::fingerprint(identity.leaf()));
        assert_eq!(identity.chain.len(), 2);
    }
}

#[tokio::test]
async fn each_bad_certificate_is_refused_in_the_handshake_by_its_own_name() {
    let pki = Pki::new();
    let now = SystemTime::now();
    let stranger = Pki::of("ETRANGER");
    // An authority that took the names of ours.
    let impostor = Pki::new();
    let good = |name, serial| Leaf::good(name, serial);
    let cases = [
        ("expired", pki.leaf(&Leaf { from: now - 9 * DAY, until: now - DAY, ..good("expire", 2) })),
        ("not-yet-valid", pki.leaf(&Leaf { from: now + DAY, until: now + 9 * DAY, ..good("futur", 3) })),
        ("revoked", pki.leaf(&good("revoque", 4))),
        ("unknown-issuer", stranger.leaf(&good("etranger", 5))),
        ("bad-signature", impostor.leaf(&good("imposteur", 8))),
        (
            "wrong-usage",
            pki.leaf(&Leaf { usages: vec![ExtendedKeyUsagePurpose::ServerAuth], ..good("serveur-seul", 6) }),
        ),
        (
            "wrong-usage",
            pki.leaf(&Leaf { key_usages: vec![KeyUsagePurpose::KeyEncipherment], ..good("chiffrement", 7) }),
        ),
    ];
    pki.write_crls(2, &[4]);
    let (_, contexts) = server(&pki);
    for (expected, files) in &cases {
        assert_eq!(at_operators_door(&contexts, Some(files)).await, *expected, "{}", files.certificate.display());
    }
    assert_eq!(at_operators_door(&contexts, None).await, "no-certificate");
}

/// Trap 1.
#[tokio::test]
async fn a_new_crl_counts_from_the_next_handshake_on() {
    let pki = Pki::new();
    let (settings, contexts) = server(&pki);
    let peer = pki.leaf(&Leaf::good("operateur", 9));
    assert_eq!(at_operators_door(&contexts, Some(&peer)).await, "ok");
    pki.write_crls(2, &[9]);
    assert_eq!(at_operators_door(&contexts, Some(&peer)).await, "ok", "nothing was reloaded yet");
    contexts.replace_revocation(revocation(&settings)).expect("swapped");
    assert_eq!(at_operators_door(&contexts, Some(&peer)).await, "revoked");
}

/// Trap 2.
#[tokio::test]
async fn a_list_past_its_grace_makes_the_status_unknown() {
    let pki = Pki::new();
    let (settings, contexts) = server(&pki);
    let software = pki.leaf(&Leaf::good("logiciel", 10));
    let seen =
        meet(contexts.mailbox(ClientCertificates::Ask), client(Some(&software), BOTH)).await.expect("a handshake");
    let root = pki.root.crl(1, &[], SystemTime::now() + DAY);
    for (ended, expected) in [(DAY / 2, Ok(())), (3 * DAY, Err(CertificateProblem::RevocationUnknown))] {
        pki.write("crl.pem", &(pki.intermediate.crl(5, &[], SystemTime::now() - ended) + &root));
        contexts.replace_revocation(revocation(&settings)).expect("swapped");
        assert_eq!(contexts.verify_client(&seen.chain).map(drop), expected, "ended {ended:?} ago, grace of a day");
    }
}

/// Trap 3.
#[tokio::test]
async fn the_newest_list_of_an_issuer_counts_whatever_the_order() {
    let pki = Pki::new();
    let until = SystemTime::now() + 7 * DAY;
    let (old, new) = (pki.intermediate.crl(255, &[], until), pki.intermediate.crl(256, &[11], until));
    let root = pki.root.crl(1, &[], until);
    let peer = pki.leaf(&Leaf::good("operateur", 11));
    for lists in [format!("{old}{new}{root}"), format!("{new}{root}{old}")] {
        pki.write("crl.pem", &lists);
        let (settings, contexts) = server(&pki);
        assert_eq!(revocation(&settings).operators.iter().count(), 2, "one of each issuer");
        assert_eq!(at_operators_door(&contexts, Some(&peer)).await, "revoked");
    }
}

/// Trap 4.
#[tokio::test]
async fn a_peer_whose_issuer_has_no_list_is_refused() {
    let pki = Pki::new();
    pki.write("crl.pem", &pki.root.crl(1, &[], SystemTime::now() + DAY));
    let (_, contexts) = server(&pki);
    let peer = pki.leaf(&Leaf::good("operateur", 12));
    assert_eq!(at_operators_door(&contexts, Some(&peer)).await, "revocation-unknown");
}

/// Trap 4: without any list webpki would not look at revocation at all.
#[tokio::test]
async fn without_any_list_every_peer_is_refused() {
    let pki = Pki::new();
    let mut settings = pki.settings(&pki.leaf(&Leaf::good("serveur", 1)));
    settings.crls.clear();
    let contexts = contexts(&settings);
    let peer = pki.leaf(&Leaf::good("operateur", 13));
    assert_eq!(at_operators_door(&contexts, Some(&peer)).await, "revocation-unknown");
}

/// Trap 5. Made by openssl, as rcgen makes neither kind.
#[test]
fn delta_and_indirect_lists_are_named() {
    let pki = Pki::new();
    if !have("openssl") {
        return;
    }
    let key = pki.leaf(&Leaf::good("autorite", 14));
    let made = |extension: &str| {
        let settings = format!(
            "[ca]\ndefault_ca=d\n[d]\ndatabase={0}\ncrlnumber={1}\ndefault_md=sha256\ndefault_crl_days=7\ncrl_extensions=e\n[e]\n{extension}\n",
            pki.write("index.txt", "").display(),
            pki.write("number", "05\n").display(),
        );
        let (settings, output) = (pki.write("ca.conf", &settings), pki.path("made.pem"));
        let tool = Tool::new("openssl").args(["ca", "-gencrl", "-batch", "-config"]).arg(settings);
        let tool = tool.arg("-keyfile").arg(&key.key).arg("-cert").arg(&key.certificate).arg("-out").arg(&output);
        tool.run().expect_ok("a list by openssl");
        Crl::read_all(&std::fs::read(output).expect("a CRL"))
    };
    let issuer = "autorite.example";
    for extension in
        ["2.5.29.27=critical,ASN1:INTEGER:4", "issuingDistributionPoint=critical,@i\n[i]\nindirectCRL=TRUE"]
    {
        let problem = made(extension).expect_err(extension);
        assert!(matches!(&problem, CrlProblem::Partial { issuer: named } if named.contains(issuer)), "{problem}");
    }
    assert_eq!(made("issuerAltName=DNS:autorite.example").expect("a full one").len(), 1);
}

/// Trap 6.
#[tokio::test]
async fn a_certificate_without_extended_key_usage_is_refused() {
    let pki = Pki::new();
    let (_, contexts) = server(&pki);
    let peer = pki.leaf(&Leaf { usages: vec![], ..Leaf::good("sans-usage", 15) });
    assert_eq!(at_operators_door(&contexts, Some(&peer)).await, "wrong-usage");
}

/// `tls.mailbox.policies`: an application's certificate must say under which policy it was issued.
#[tokio::test]
async fn an_applications_certificate_must_name_a_policy_that_opens_mailboxes() {
    let pki = Pki::new();
    let (mut settings, _) = server(&pki);
    settings.mailbox.policies = vec!["1.2.250.1.71.4.2.2".into(), "1.2.3".into()];
    let contexts = contexts(&settings);
    // SEQUENCE { SEQUENCE { OID } }, RFC 5280 §4.2.1.4: 1.2.250.1.71.4.2.2, then one arc further.
    let right = vec![0x30, 0x0c, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x81, 0x7a, 0x01, 0x47, 0x04, 0x02, 0x02];
    let further = vec![0x30, 0x0d, 0x30, 0x0b, 0x06, 0x09, 0x2a, 0x81, 0x7a, 0x01, 0x47, 0x04, 0x02, 0x02, 0x01];
    for (name, serial, policies, expected) in [
        ("juste", 31, Some(right), Ok(())),
        ("autre", 32, Some(further), Err(CertificateProblem::WrongPolicy)),
        ("sans", 33, None, Err(CertificateProblem::WrongPolicy)),
    ] {
        let software = pki.leaf(&Leaf { policies, ..Leaf::good(name, serial) });
        let seen = meet(contexts.mailbox(ClientCertificates::Require), client(Some(&software), BOTH)).await;
        let judged = contexts.verify_client(&seen.expect("a handshake").chain);
        assert_eq!(judged.map(drop), expected, "{name}");
    }
}

/// Enrolled workstations: another authority, no CRL, the same care otherwise; and each certificate is its own authority's.
#[tokio::test]
async fn a_devices_certificate_is_judged_by_the_device_authority_alone() {
    let (pki, devices) = (Pki::new(), Pki::of("POSTES"));
    let (settings, contexts) = server(&pki);
    let client_only = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let of = |leaf: Leaf| devices.leaf_of(&devices.root, &Leaf { usages: client_only.clone(), ..leaf });
    let now = SystemTime::now();
    let good = of(Leaf::good("poste", 41));
    let ended = of(Leaf { from: now - 9 * DAY, until: now - DAY, ..Leaf::good("poste-fini", 42) });
    let unsaid = devices.leaf_of(&devices.root, &Leaf { usages: vec![], ..Leaf::good("poste-sans-usage", 43) });
    let software = pki.leaf(&Leaf::good("logiciel", 44));
    let judge = async |files: &Files| {
        let seen = meet(contexts.mailbox(ClientCertificates::Ask), client(Some(files), BOTH)).await;
        contexts.verify_client(&seen.expect("a handshake").chain).map(|peer| peer.authority)
    };
    assert_eq!(judge(&good).await, Err(CertificateProblem::UnknownIssuer), "there is no device authority yet");
    let authority = CertificateDer::from_pem_file(devices.path("root.pem")).expect("a certificate");
    contexts.replace_device_authorities(&[authority]).expect("in force");
    assert_eq!(judge(&good).await, Ok(Authority::Device));
    assert_eq!(judge(&ended).await, Err(CertificateProblem::Expired));
    assert_eq!(judge(&unsaid).await, Err(CertificateProblem::WrongUsage));
    assert_eq!(judge(&software).await, Ok(Authority::Igc));
    // A reload of files or lists keeps the devices.
    contexts.replace_material(Material::read(&settings).expect("files")).expect("swapped");
    assert_eq!(judge(&good).await, Ok(Authority::Device));
    assert_eq!(at_operators_door(&contexts, Some(&good)).await, "unknown-issuer", "no operator is a workstation");
}

/// Trap 7: chain, revocation and usage of the other operator's server, whatever it is called.
#[tokio::test]
async fn our_own_connections_check_servers_with_the_same_care() {
    let pki = Pki::new();
    pki.write_crls(2, &[22]);
    let stranger = Pki::of("ETRANGER");
    let now = SystemTime::now();
    let cases = [
        ("ok", pki.leaf(&Leaf::good("autre", 21))),
        ("revoked", pki.leaf(&Leaf::good("revoque", 22))),
        ("expired", pki.leaf(&Leaf { from: now - 9 * DAY, until: now - DAY, ..Leaf::good("expire", 23) })),
        ("unknown-issuer", stranger.leaf(&Leaf::good("etranger", 24))),
        (
            "wrong-usage",
            pki.leaf(&Leaf { usages: vec![ExtendedKeyUsagePurpose::ClientAuth], ..Leaf::good("client", 25) }),
        ),
        ("wrong-usage", pki.leaf(&Leaf { usages: vec![], ..Leaf::good("sans-usage", 26) })),
    ];
    let (_, ours) = server(&pki);
    for (expected, files) in cases {
        let name = files.certificate.display().to_string();
        let mut settings = pki.settings(&files);
        // The stranger's server has to believe us, so that only our opinion is asked.
        settings.crls = vec![crate::pki::text(&pki.path("crl.pem"))];
        let theirs = contexts(&settings);
        let (near, far) = tokio::io::duplex(64 << 10);
        let accepting = tokio::spawn(async move { tls::accept_operator(&theirs, far, LONGEST).await });
        // The MX's name is in none of these certificates.
        let asked = ServerName::try_from("mx.elsewhere.example").expect("a name");
        let met = tls::connect(ours.outbound(), asked, near, LONGEST).await;
        let result = met.as_ref().map_or_else(|refusal| refusal.name(), |_| "ok");
        assert_eq!(result, expected, "{name}");
        if let Ok((stream, identity)) = met {
            assert_eq!(identity.subject.common_name(), Some("autre.example"));
            let (_, shown) = accepting.await.expect("task").expect("our certificate is believed");
            assert_eq!(shown.subject.common_name(), Some("serveur.example"), "we showed ours");
            drop(stream);
        }
    }
}

/// Trap 8.
#[tokio::test]
async fn only_the_configured_authorities_are_hinted() {
    let pki = Pki::new();
    let (_, contexts) = server(&pki);
    if !have("openssl") {
        return;
    }
    let heard = s_client(contexts.inbound(), &[]).await;
    let names = heard.split("Acceptable client certificate CA names").nth(1).expect("hints");
    let names: Vec<&str> = names.lines().skip(1).take_while(|line| line.contains("CN")).collect();
    assert_eq!(names.len(), 1, "{heard}");
    assert!(names[0].contains("AC RACINE TEST"), "{heard}");
}

/// Trap 9.
#[tokio::test]
async fn a_resumed_session_is_judged_again_at_the_operators_door() {
    let pki = Pki::new();
    let (settings, contexts) = server(&pki);
    let peer = pki.leaf(&Leaf::good("operateur", 31));
    for version in BOTH {
        let client = client(Some(&peer), &[version]);
        let first = meet(&contexts, Arc::clone(&client)).await.expect("a handshake");
        assert_eq!(first.kind, Some(HandshakeKind::Full));
        let second = meet(&contexts, Arc::clone(&client)).await.expect("a handshake");
        assert_eq!(second.kind, Some(HandshakeKind::Resumed));
        assert_eq!(second.peer.expect("verified again").serial, first.peer.expect("verified").serial);
        pki.write_crls(3, &[31]);
        let judge = self::contexts(&settings);
        assert_eq!(judge.verify_operator(&second.chain).expect_err("revoked"), CertificateProblem::Revoked);
        pki.write_crls(4, &[]);
    }
}

/// Trap 9: what was revoked meanwhile gets in neither by the old session (a new list begins without any) nor by a new one.
#[tokio::test]
async fn new_lists_and_files_end_the_resumption_of_every_session() {
    let pki = Pki::new();
    let (settings, contexts) = server(&pki);
    let peer = pki.leaf(&Leaf::good("operateur", 33));
    let client = client(Some(&peer), BOTH);
    meet(&contexts, Arc::clone(&client)).await.expect("a handshake");
    pki.write_crls(3, &[34]);
    contexts.replace_revocation(revocation(&settings)).expect("new lists");
    let after = meet(&contexts, Arc::clone(&client)).await.expect("a handshake");
    assert_eq!(after.kind, Some(HandshakeKind::Full));
    contexts.replace_material(Material::read(&settings).expect("the files")).expect("new files");
    let after = meet(&contexts, Arc::clone(&client)).await.expect("a handshake");
    assert_eq!(after.kind, Some(HandshakeKind::Full));
    pki.write_crls(4, &[33]);
    contexts.replace_revocation(revocation(&settings)).expect("new lists");
    assert_eq!(meet(&contexts, client).await.err().expect("revoked").name(), "revoked");
}

#[tokio::test]
async fn resumption_can_be_turned_off() {
    let pki = Pki::new();
    let (mut settings, _) = server(&pki);
    settings.resumption = Duration::ZERO;
    let contexts = contexts(&settings);
    let client = client(Some(&pki.leaf(&Leaf::good("operateur", 35))), BOTH);
    for _ in 0..3 {
        let seen = meet(&contexts, Arc::clone(&client)).await.expect("a handshake");
        assert_eq!(seen.kind, Some(HandshakeKind::Full));
    }
}

/// Trap 9.
#[tokio::test]
async fn a_resumed_session_is_judged_again_at_login() {
    let pki = Pki::new();
    let (settings, contexts) = server(&pki);
    let software = pki.leaf(&Leaf::good("logiciel", 32));
    for version in BOTH {
        let client = client(Some(&software), &[version]);
        let first = meet(contexts.mailbox(ClientCertificates::Ask), Arc::clone(&client)).await.expect("a handshake");
        contexts.verify_client(&first.chain).expect("a good certificate");
        let second = meet(contexts.mailbox(ClientCertificates::Ask), client).await.expect("a handshake");
        assert_eq!(second.kind, Some(HandshakeKind::Resumed));
        assert_eq!(second.chain, first.chain, "a resumed session still says who it is");
        pki.write_crls(3, &[32]);
        let judge = self::contexts(&settings);
        assert_eq!(judge.verify_client(&second.chain).expect_err("revoked"), CertificateProblem::Revoked);
        pki.write_crls(4, &[]);
    }
}

/// Trap 10.
#[tokio::test]
async fn a_bad_certificate_does_not_break_a_mailbox_doors_handshake() {
    let pki = Pki::new();
    let stranger = Pki::of("ETRANGER");
    let now = SystemTime::now();
    pki.write_crls(2, &[43]);
    let (_, contexts) = server(&pki);
    let cases = [
        (
            CertificateProblem::Expired,
            pki.leaf(&Leaf { from: now - 9 * DAY, until: now - DAY, ..Leaf::good("expire", 41) }),
        ),
        (CertificateProblem::UnknownIssuer, stranger.leaf(&Leaf::good("etranger", 42))),
        (CertificateProblem::Revoked, pki.leaf(&Leaf::good("revoque", 43))),
        (CertificateProblem::WrongUsage, pki.leaf(&Leaf { usages: vec![], ..Leaf::good("sans-usage", 44) })),
    ];
    for version in BOTH {
        for (expected, files) in &cases {
            let seen = meet(contexts.mailbox(ClientCertificates::Ask), client(Some(files), &[version]))
                .await
                .expect("a handshake");
            assert_eq!(contexts.verify_client(&seen.chain).expect_err("judged at login"), *expected);
        }
        let nobody =
            meet(contexts.mailbox(ClientCertificates::Ask), client(None, &[version])).await.expect("a handshake");
        assert_eq!(contexts.verify_client(&nobody.chain).expect_err("none shown"), CertificateProblem::Missing);
    }
}

/// Somebody else's certificate without its key gets nowhere, on either kind of door.
#[tokio::test]
async fn a_certificate_without_its_key_breaks_every_handshake() {
    let pki = Pki::new();
    let (_, contexts) = server(&pki);
    let (victim, thief) = (pki.leaf(&Leaf::good("victime", 51)), pki.leaf(&Leaf::good("voleur", 52)));
    let key = PrivateKeyDer::from_pem_file(&thief.key).expect("a key");
    let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("a signer");
    let chain =
        CertificateDer::pem_file_iter(&victim.certificate).expect("chain").collect::<Result<_, _>>().expect("chain");
    let stolen = Arc::new(rustls::sign::CertifiedKey::new(chain, signer));
    for version in BOTH {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous))
            .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(stolen.clone())));
        let config = Arc::new(config);
        for door in [contexts.inbound(), contexts.mailbox(ClientCertificates::Ask)] {
            let refusal = meet(door, Arc::clone(&config)).await.err().expect("refused");
            assert_eq!(refusal.name(), "bad-signature", "{refusal}");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_dawdles_or_is_not_tls_is_refused_by_name() {
    let pki = Pki::new();
    let (_, contexts) = server(&pki);
    let (silent, ours) = tokio::io::duplex(1024);
    let refusal = tls::accept(contexts.inbound(), ours, Duration::from_millis(50)).await.expect_err("too slow");
    assert_eq!(refusal.name(), "too-slow");
    drop(silent);

    let (mut talker, ours) = tokio::io::duplex(1024);
    talker.write_all(b"EHLO plaintext.example\r\n").await.expect("written");
    let refusal = tls::accept(contexts.inbound(), ours, LONGEST).await.expect_err("not TLS");
    assert_eq!(refusal.name(), "protocol");

    let (gone, ours) = tokio::io::duplex(1024);
    drop(gone);
    let refusal = tls::accept(contexts.inbound(), ours, LONGEST).await.expect_err("lost");
    assert_eq!(refusal.name(), "lost");
}

/// Runs `openssl s_client` against a context on a loopback port; what it printed.
async fn s_client(server: Arc<ServerConfig>, arguments: &[&str]) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        match tls::accept(server, stream, LONGEST).await {
            Ok(mut stream) => {
                let _ = stream.write_all(b"HELLO\n").await;
                let _ = stream.shutdown().await;
                "ok"
            }
            Err(refusal) => refusal.name(),
        }
    });
    let tool = Tool::new("openssl").args(["s_client", "-connect", &address]).args(arguments);
    let ran = tokio::task::spawn_blocking(move || tool.run()).await.expect("openssl");
    format!("{}\nSERVER SAW {}\n", ran.all(), serving.await.expect("the server"))
}

#[tokio::test]
async fn openssl_agrees_on_versions_suites_and_alerts() {
    let pki = Pki::new();
    pki.write_crls(2, &[62]);
    let (_, contexts) = server(&pki);
    if !have("openssl") {
        return;
    }
    let (good, revoked) = (pki.leaf(&Leaf::good("operateur", 61)), pki.leaf(&Leaf::good("revoque", 62)));
    let shown = |files: &Files| {
        let (chain, key) = (crate::pki::text(&files.certificate), crate::pki::text(&files.key));
        vec!["-cert".to_owned(), chain.clone(), "-cert_chain".to_owned(), chain, "-key".to_owned(), key]
    };
    let cases: [(&[&str], &Files, &str); 6] = [
        (&["-tls1_3"], &good, "SERVER SAW ok"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], &good, "SERVER SAW ok"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"], &good, "SERVER SAW incompatible"),
        (&["-tls1_2"], &revoked, "alert certificate revoked"),
        (&["-tls1_3"], &revoked, "SERVER SAW revoked"),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], &good, "SERVER SAW incompatible"),
    ];
    for (versions, files, expected) in cases {
        let files = shown(files);
        let arguments: Vec<&str> = versions.iter().copied().chain(files.iter().map(String::as_str)).collect();
        let heard = s_client(contexts.inbound(), &arguments).await;
        assert!(heard.contains(expected), "{versions:?}: expected {expected}\n{heard}");
    }
}

#[test]
fn files_that_cannot_serve_are_named() {
    let pki = Pki::new();
    let (one, other) = (pki.leaf(&Leaf::good("un", 71)), pki.leaf(&Leaf::good("autre", 72)));
    let good = pki.settings(&one);

    let crossed = sections::Tls { key: other.key.clone(), ..good.clone() };
    let problem =
        Contexts::new(Material::read(&crossed).expect("readable"), revocation(&crossed)).expect_err("mismatch");
    let text = problem.to_string();
    assert!(text.contains("un.pem") && text.contains("autre.key"), "{text}");

    let absent = sections::Tls { key: pki.path("absent.key"), ..good.clone() };
    assert!(Material::read(&absent).expect_err("absent").to_string().contains("absent.key"));
    let empty = sections::Tls { anchors: vec![pki.write("vide.pem", "nothing\n")], ..good.clone() };
    assert!(Material::read(&empty).expect_err("empty").to_string().contains("vide.pem"));
    let swapped = sections::Tls { certificate: one.key.clone(), ..good };
    assert!(Material::read(&swapped).expect_err("a key is no certificate").to_string().contains("un.key"));
}

#[test]
fn lists_are_read_from_pem_and_der() {
    let pki = Pki::new();
    let pem = pki.intermediate.crl(7, &[1, 2, 3], SystemTime::now() + DAY);
    let from_pem = Crl::read_all(pem.as_bytes()).expect("PEM");
    let der = rustls::pki_types::CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).expect("one");
    let from_der = Crl::read_all(&der).expect("DER");
    assert_eq!(from_pem, from_der);
    assert_eq!((from_der[0].revoked, from_der[0].issuer.contains("AC ORGANISATIONS TEST")), (3, true));
    assert!(Crl::read_all(b"").is_err() && Crl::read_all(b"0\x82junk").is_err());
    assert!(CrlSet::newest_of_each_issuer([]).is_empty());
}
