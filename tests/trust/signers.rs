//! Who may sign a white list, and that others agree on what we sign.

use std::process::Command;
use std::time::Instant;

use caducee::mss::whitelist::{SignerPolicy, WhiteListError, verify_and_parse};
use rcgen::{
    BasicConstraints, CertificateRevocationListParams, IsCa, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};

use crate::support::{AGENCY, Holder, NOW, SIGNER_CN, data, small_list, small_policy, unsigned_list};

fn refusal(list: &[u8], policy: &SignerPolicy) -> WhiteListError {
    verify_and_parse(list, policy, NOW).map(|_| ()).expect_err("the list was taken")
}

fn assert_untrusted(list: &[u8], policy: &SignerPolicy, part: &str) {
    let error = refusal(list, policy);
    assert!(matches!(error, WhiteListError::Signer(_)), "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn the_committed_list_verifies_and_can_be_asked() {
    let list = verify_and_parse(&small_list(), &small_policy(), NOW).unwrap();
    assert_eq!(list.generated_at(), 1_748_779_200);
    assert_eq!((list.entries().len(), list.domain_count(), list.peer_count()), (6, 5, 4));
    assert_eq!(list.problems(), []);
    assert_eq!(list.entries()[1].description, "Centre hospitalier de Belleville & de Beauval");
    // A comma and a no-break space inside of values.
    let saint_jean = &list.entries()[5].dn;
    assert_eq!(saint_jean.values("O").next(), Some("CLINIQUE SAINT-JEAN, LE HAUT"));
    assert_eq!(saint_jean.attributes().len(), 6);
}

#[test]
fn what_we_sign_verifies_with_each_way_of_pinning_the_issuer() {
    let agency = &*AGENCY;
    let list = agency.signer.sign(&unsigned_list(NOW, 3));
    let with_issuer = agency.signer.sign_with(&unsigned_list(NOW, 3), &[&agency.issuer]);
    let policy = |anchors: &[&Holder]| SignerPolicy {
        anchors: anchors.iter().map(|anchor| anchor.der.clone()).collect(),
        ..agency.policy()
    };
    for (name, list, policy) in [
        ("intermediate", &list, policy(&[&agency.issuer])),
        ("root and intermediate", &list, policy(&[&agency.root, &agency.issuer])),
        ("root, the intermediate in the list", &with_issuer, policy(&[&agency.root])),
        ("the signer itself", &list, policy(&[&agency.signer])),
    ] {
        let taken = verify_and_parse(list, &policy, NOW).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(taken.entries().len(), 3, "{name}");
    }
    assert_untrusted(&list, &policy(&[&agency.root]), "does not chain");
    assert_untrusted(&list, &policy(&[]), "does not chain");
}

#[test]
fn the_pinned_name_is_compared_without_case_and_as_a_whole() {
    let agency = &*AGENCY;
    let list = agency.signer.sign(&unsigned_list(NOW, 3));
    let policy = |cn: &str| SignerPolicy { signer_cn: cn.into(), ..agency.policy() };
    assert!(verify_and_parse(&list, &policy("ALB.MSSante.example"), NOW).is_ok());
    for cn in ["", "alb.mssante", "lb.mssante.example", "alb.mssante.example.fr"] {
        assert_untrusted(&list, &policy(cn), "expected is the common name");
    }
}

#[test]
fn a_self_made_signer_with_the_pinned_name_is_refused() {
    let stranger = Holder::new(SIGNER_CN, None, |_| {});
    assert_untrusted(&stranger.sign(&unsigned_list(NOW, 3)), &AGENCY.policy(), "does not chain");
}

#[test]
fn a_self_made_authority_with_the_pinned_names_is_refused() {
    let root = Holder::authority("AC RACINE INVENTEE", None);
    let issuer = Holder::authority("AC INVENTEE ORGANISATIONS", Some(&root));
    let signer = Holder::new(SIGNER_CN, Some(&issuer), |_| {});
    let list = signer.sign_with(&unsigned_list(NOW, 3), &[&issuer, &root]);
    assert_untrusted(&list, &AGENCY.policy(), "does not chain");
}

#[test]
fn another_certificate_of_the_same_issuer_may_not_sign() {
    let other = Holder::new("mss.aura.example", Some(&AGENCY.issuer), |_| {});
    assert_untrusted(&other.sign(&unsigned_list(NOW, 3)), &AGENCY.policy(), "expected is the common name");
    // Nor may it issue a signer.
    let signer = Holder::new(SIGNER_CN, Some(&other), |_| {});
    let list = signer.sign_with(&unsigned_list(NOW, 3), &[&other]);
    assert_untrusted(&list, &AGENCY.policy(), "does not chain");
}

#[test]
fn the_certificate_of_another_good_signer_does_not_fit_the_signature() {
    let next = Holder::new(SIGNER_CN, Some(&AGENCY.issuer), |_| {});
    let text = String::from_utf8(AGENCY.signer.sign(&unsigned_list(NOW, 3))).unwrap();
    let other = String::from_utf8(next.sign(&unsigned_list(NOW, 3))).unwrap();
    let key_info = |text: &str| text[text.find("<KeyInfo>").unwrap()..text.find("</KeyInfo>").unwrap()].to_owned();
    let swapped = text.replace(&key_info(&text), &key_info(&other));
    let error = refusal(swapped.as_bytes(), &AGENCY.policy());
    assert!(matches!(error, WhiteListError::BadSignature(_)), "{error}");
    assert!(verify_and_parse(other.as_bytes(), &AGENCY.policy(), NOW).is_ok(), "a replaced signer is good");
}

#[test]
fn two_common_names_are_no_pinned_name() {
    let signer = Holder::new(SIGNER_CN, Some(&AGENCY.issuer), |params| {
        params.distinguished_name.push(rcgen::DnType::CustomDnType(vec![2, 5, 4, 3]), "mss.aura.example");
    });
    assert_untrusted(&signer.sign(&unsigned_list(NOW, 3)), &AGENCY.policy(), "expected is the common name");
}

#[test]
fn the_signer_must_have_been_valid_when_the_list_was_generated() {
    let ended = Holder::new(SIGNER_CN, Some(&AGENCY.issuer), |params| params.not_after = date_time_ymd(2026, 6, 1));
    assert_untrusted(&ended.sign(&unsigned_list(NOW, 3)), &AGENCY.policy(), "not valid when");
    let not_begun =
        Holder::new(SIGNER_CN, Some(&AGENCY.issuer), |params| params.not_before = date_time_ymd(2027, 6, 1));
    assert_untrusted(&not_begun.sign(&unsigned_list(NOW, 3)), &AGENCY.policy(), "not valid when");
    // A list stays good after its signer's certificate has ended: the last good copy is started from.
    let generated_in_time = ended.sign(&unsigned_list(1_767_225_600, 3));
    assert!(verify_and_parse(&generated_in_time, &AGENCY.policy(), NOW).is_ok());
}

#[test]
fn a_signer_needs_a_key_for_signatures() {
    let authority = Holder::new(SIGNER_CN, Some(&AGENCY.issuer), |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    });
    assert_untrusted(&authority.sign(&unsigned_list(NOW, 3)), &AGENCY.policy(), "does not chain");
    let encipherer = Holder::new(SIGNER_CN, Some(&AGENCY.issuer), |params| {
        params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    });
    assert_untrusted(&encipherer.sign(&unsigned_list(NOW, 3)), &AGENCY.policy(), "key usage");
}

#[test]
fn a_revoked_signer_is_refused() {
    let serial = SerialNumber::from(4711);
    let revoked = Holder::new(SIGNER_CN, Some(&AGENCY.issuer), |params| params.serial_number = Some(serial.clone()));
    let list = revoked.sign(&unsigned_list(NOW, 3));
    assert!(verify_and_parse(&list, &AGENCY.policy(), NOW).is_ok());

    let entry = RevokedCertParams {
        serial_number: serial,
        revocation_time: date_time_ymd(2026, 11, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let crl = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 11, 1),
        next_update: date_time_ymd(2026, 11, 8),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![entry],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let crl = crl.signed_by(&AGENCY.issuer.issuer()).unwrap().der().to_vec();
    let policy = SignerPolicy { crls: vec![crl], ..AGENCY.policy() };
    assert_untrusted(&list, &policy, "CertRevoked");
    // Others of the issuer are not hurt by it, though the CRL is out of date.
    assert!(verify_and_parse(&AGENCY.signer.sign(&unsigned_list(NOW, 3)), &policy, NOW).is_ok());
}

#[test]
fn a_list_from_the_future_is_refused() {
    let agency = &*AGENCY;
    assert!(verify_and_parse(&agency.signer.sign(&unsigned_list(NOW + 3600, 3)), &agency.policy(), NOW).is_ok());
    let error = refusal(&agency.signer.sign(&unsigned_list(NOW + 3601, 3)), &agency.policy());
    assert_eq!(error, WhiteListError::FromTheFuture(NOW + 3601));
}

#[test]
fn ten_thousand_entries_take_little_time() {
    let list = AGENCY.signer.sign(&unsigned_list(NOW, 10_000));
    let start = Instant::now();
    let taken = verify_and_parse(&list, &AGENCY.policy(), NOW).unwrap();
    println!("10,000 entries ({} octets) verified and indexed in {:?}", list.len(), start.elapsed());
    assert_eq!((taken.domain_count(), taken.peer_count()), (10_000, 300));
    assert!(start.elapsed().as_secs() < 10, "well under a second in a release build; this one is not optimised");
}

/// Debian's xmlsec1 as a second opinion.
#[test]
fn xmlsec1_agrees_with_what_we_sign_and_with_what_we_take() {
    let folder = std::env::temp_dir().join(format!("caducee-xmlsec1-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write_pem = |name: &str, der: &[u8]| {
        let path = folder.join(name);
        let status = Command::new("openssl")
            .args(["x509", "-inform", "DER", "-out"])
            .arg(&path)
            .stdin(std::process::Stdio::piped())
            .spawn();
        let mut child = status.ok()?;
        std::io::Write::write_all(child.stdin.as_mut()?, der).ok()?;
        child.wait().ok()?.success().then_some(path)
    };
    let (Some(root), Some(issuer)) =
        (write_pem("root.pem", &AGENCY.root.der), write_pem("issuer.pem", &AGENCY.issuer.der))
    else {
        println!("skipped: no openssl");
        return;
    };
    let ours = folder.join("ours.xml");
    std::fs::write(&ours, AGENCY.signer.sign(&unsigned_list(NOW, 50))).unwrap();
    let changed = folder.join("changed.xml");
    let text = String::from_utf8(small_list()).unwrap().replace("<Nom>aura.", "<Nom>aurb.");
    std::fs::write(&changed, text).unwrap();

    for (list, root, issuer, good) in [
        (&ours, &root, &issuer, true),
        (&data().join("list.xml"), &data().join("root.pem"), &data().join("issuer.pem"), true),
        (&changed, &data().join("root.pem"), &data().join("issuer.pem"), false),
        (&ours, &data().join("root.pem"), &data().join("issuer.pem"), false),
    ] {
        let mut xmlsec1 = Command::new("xmlsec1");
        xmlsec1.args(["--verify", "--verification-time", "2026-12-02 00:00:00", "--trusted-pem"]).arg(root);
        let Ok(output) = xmlsec1.arg("--untrusted-pem").arg(issuer).arg(list).output() else {
            println!("skipped: no xmlsec1");
            return;
        };
        assert_eq!(output.status.success(), good, "{}: {}", list.display(), String::from_utf8_lossy(&output.stderr));
    }
    std::fs::remove_dir_all(folder).unwrap();
}
