//! Each certificate is what its name says: judged by OpenSSL, with revocation lists for the whole chain.

use crate::support::{Identity, Ran, Sandbox, Tool, have};
use std::path::Path;

fn verify(sandbox: &Sandbox, certificate: &Path, purpose: &str) -> Ran {
    let known = &sandbox.description;
    Tool::new("openssl")
        .args(["verify", "-x509_strict", "-crl_check_all", "-purpose", purpose, "-CAfile"])
        .arg(&known.ca)
        .arg("-CRLfile")
        .arg(&known.crl)
        .arg("-untrusted")
        .arg(certificate)
        .arg(certificate)
        .run()
}

fn text(certificate: &Path) -> String {
    let ran = Tool::new("openssl")
        .args(["x509", "-noout", "-text", "-nameopt", "utf8,sep_comma_plus", "-in"])
        .arg(certificate)
        .run();
    ran.expect_ok("reading a certificate").stdout
}

fn subject(certificate: &Path) -> String {
    let text = text(certificate);
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Subject: "));
    line.expect("a certificate has a subject").to_owned()
}

#[test]
fn the_operators_certificates_are_good_on_both_sides_of_a_connection() {
    if !have("openssl") {
        return;
    }
    let sandbox = Sandbox::shared();
    let known = &sandbox.description;
    let operators = known.operators.iter().map(|operator| &operator.cert);
    for certificate in operators.chain(known.peers.iter().map(|peer| &peer.cert)) {
        for purpose in ["sslclient", "sslserver"] {
            verify(sandbox, certificate, purpose).expect_ok(&format!("{} as {purpose}", certificate.display()));
        }
        let text = text(certificate);
        assert!(text.contains("DNS:localhost") && text.contains("IP Address:127.0.0.1"));
        assert!(text.contains("rsaEncryption"), "IGC-Santé's certificates are RSA");
    }
}

#[test]
fn the_authorities_say_that_they_are_for_tests() {
    if !have("openssl") {
        return;
    }
    let sandbox = Sandbox::shared();
    let root = subject(&sandbox.description.ca);
    assert!(root.contains("TEST") && root.contains("AC RACINE"), "{root}");
    let issuer = text(&sandbox.description.aura().cert);
    assert!(issuer.contains("AC TEST ELEMENTAIRE ORGANISATIONS"), "{issuer}");
}

/// Why OpenSSL refuses it; those that OpenSSL finds nothing wrong with are refused by the white list.
const BAD: [(&str, Option<&str>); 9] = [
    ("expired", Some("certificate has expired")),
    ("revoked", Some("certificate revoked")),
    ("not_yet_valid", Some("certificate is not yet valid")),
    ("foreign", Some("unable to get local issuer certificate")),
    ("self_signed", Some("self-signed certificate")),
    ("no_client_auth", Some("unsuitable certificate purpose")),
    ("no_extended_key_usage", None),
    ("not_listed", None),
    ("same_cn_other_dn", None),
];

#[test]
fn each_bad_certificate_is_bad_in_the_way_of_its_name_and_in_no_other() {
    if !have("openssl") {
        return;
    }
    let sandbox = Sandbox::shared();
    assert_eq!(sandbox.description.bad_certificates.len(), BAD.len());
    for (name, reason) in BAD {
        let Identity { cert, .. } = sandbox.description.bad(name);
        let ran = verify(sandbox, cert, "sslclient");
        match reason {
            Some(reason) => assert!(!ran.ok() && ran.all().contains(reason), "{name}: {}", ran.all()),
            None => assert!(ran.ok(), "{name}: {}", ran.all()),
        }
    }
}

#[test]
fn the_bad_certificates_subjects_are_the_listed_one_or_differ_as_their_name_says() {
    if !have("openssl") {
        return;
    }
    let sandbox = Sandbox::shared();
    let known = &sandbox.description;
    let listed = subject(&known.aquitaine().cert);
    for name in ["expired", "revoked", "not_yet_valid", "foreign", "self_signed", "no_client_auth"] {
        assert_eq!(subject(&known.bad(name).cert), listed, "{name}");
    }
    let common_name = |subject: &str| subject.split("CN=").nth(1).map(str::to_owned);
    let other = subject(&known.bad("same_cn_other_dn").cert);
    assert_ne!(other, listed);
    assert_eq!(common_name(&other), common_name(&listed));
    assert!(!text(&known.bad("no_extended_key_usage").cert).contains("Extended Key Usage"));
}

#[test]
fn each_key_belongs_to_its_certificate() {
    if !have("openssl") {
        return;
    }
    let known = &Sandbox::shared().description;
    let pairs = known.operators.iter().map(|o| (&o.cert, &o.key));
    let pairs = pairs.chain(known.bad_certificates.values().map(|bad| (&bad.cert, &bad.key)));
    let pairs = pairs.chain(known.peers.iter().map(|peer| (&peer.cert, &peer.key)));
    for (certificate, key) in pairs {
        let of_certificate = Tool::new("openssl").args(["x509", "-noout", "-pubkey", "-in"]).arg(certificate).run();
        let of_key = Tool::new("openssl").args(["pkey", "-pubout", "-in"]).arg(key).run();
        assert_eq!(of_certificate.stdout, of_key.expect_ok("reading a key").stdout, "{}", key.display());
    }
}

#[test]
fn an_applications_certificate_names_its_structure_and_opens_as_pkcs12() {
    if !have("openssl") {
        return;
    }
    let sandbox = Sandbox::shared();
    for operator in &sandbox.description.operators {
        let application = operator.mailbox("APP");
        let certificate = application.cert.as_ref().unwrap();
        verify(sandbox, certificate, "sslclient").expect_ok("an application's certificate as a client");
        assert!(!verify(sandbox, certificate, "sslserver").ok(), "it is for clients only");
        assert!(subject(certificate).contains("OU=19900000"), "{}", subject(certificate));
        let password = format!("pass:{}", application.p12_password.as_ref().unwrap());
        let opened = Tool::new("openssl")
            .args(["pkcs12", "-nodes", "-passin", &password, "-in"])
            .arg(application.p12.as_ref().unwrap())
            .run()
            .expect_ok("opening the PKCS#12 file");
        assert!(opened.stdout.contains("BEGIN PRIVATE KEY"));
        assert_eq!(opened.stdout.matches("BEGIN CERTIFICATE").count(), 3, "leaf, intermediate, root");
    }
}

#[test]
fn the_revocation_lists_of_root_and_intermediate_say_until_when_they_hold() {
    if !have("openssl") {
        return;
    }
    let crls = std::fs::read_to_string(&Sandbox::shared().description.crl).unwrap();
    let end = "-----END X509 CRL-----";
    let lists: Vec<&str> = crls.split_inclusive(end).filter(|part| part.contains("BEGIN X509 CRL")).collect();
    assert_eq!(lists.len(), 2);
    for list in lists {
        let ran = Tool::new("openssl").args(["crl", "-noout", "-nextupdate"]).input(list).run();
        assert!(ran.expect_ok("reading a CRL").stdout.starts_with("nextUpdate="));
    }
}
