//! `caducee trust explain` without a server, from the committed list.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::refresh::Directory;
use crate::support::{Holder, data};

/// Runs `caducee trust explain` on the committed list with these arguments.
fn explain(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_caducee"))
        .args(["trust", "explain", "--signer-cn", "liste.mssante.example", "--anchor"])
        .arg(data().join("issuer.pem"))
        .arg("--list")
        .arg(data().join("list.xml"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A self-signed certificate with this subject, in DER.
fn certificate(directory: &Directory, subject: &[(rcgen::DnType, &str)]) -> PathBuf {
    let holder = Holder::new("x", None, |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        subject.iter().for_each(|(kind, value)| params.distinguished_name.push(kind.clone(), *value));
    });
    let path = directory.0.join("certificate.der");
    std::fs::write(&path, holder.der).unwrap();
    path
}

fn aura(organisation: &str) -> Vec<(rcgen::DnType, &str)> {
    vec![
        (rcgen::DnType::CountryName, "FR"),
        (rcgen::DnType::StateOrProvinceName, "Rhône (69)"),
        (rcgen::DnType::OrganizationName, organisation),
        (rcgen::DnType::OrganizationalUnitName, "199000001"),
        (rcgen::DnType::CommonName, "mss.aura.example"),
    ]
}

#[test]
fn a_listed_certificate_is_told_by_its_rule() {
    let directory = Directory::new("explain-yes");
    let file = certificate(&directory, &aura("GCS Aura \u{a0}inventé"));
    let output = explain(&["--domain", "AURA.mssante.example", "--cert", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("yes [rule sender-domain-listed]"), "{}", text(&output));
}

#[test]
fn the_attribute_that_differs_is_told() {
    let directory = Directory::new("explain-no");
    let file = certificate(&directory, &aura("GCS AURA INVENTE"));
    let arguments = ["--domain", "aura.mssante.example", "--cert", file.to_str().unwrap()];
    let output = explain(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let shown = text(&output);
    assert!(shown.contains("[rule peer-dn-differs]") && shown.contains("O differs"), "{shown}");
    assert!(shown.contains("GCS AURA INVENTE ") && shown.contains("GCS AURA INVENTÉ"), "{shown}");

    let output = explain(&[&arguments[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["answer"]["rule"], "peer-dn-differs");
    assert_eq!(json["answer"]["smtp"], 550);
    let differences = json["listed"][0]["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0]["attribute"], "O");
    assert_eq!(differences[0]["certificate"], "GCS AURA INVENTE");
    assert_eq!(differences[0]["white_list"], "GCS AURA INVENTÉ");
}

#[test]
fn the_decision_and_rule_of_an_exchange_are_told() {
    for (from, to, own, code, rule) in [
        ("a@aura.mssante.example", "b@nouvelle-aquitaine.mssante.example", "aura.mssante.example", 0, "own-to-other"),
        ("a@nouvelle-aquitaine.mssante.example", "b@aura.mssante.example", "aura.mssante.example", 0, "other-to-own"),
        (
            "test@nouvelle-aquitaine.mssante.example",
            "b@aura.mssante.example",
            "aura.mssante.example",
            1,
            "test-to-real",
        ),
        (
            "a@aura.mssante.example",
            "b@test.nouvelle-aquitaine.mssante.example",
            "aura.mssante.example",
            1,
            "real-to-test",
        ),
        ("a@aura.mssante.example", "b@gmail.example", "aura.mssante.example", 1, "recipient-domain-unlisted"),
        ("<>", "b@nouvelle-aquitaine.mssante.example", "aura.mssante.example", 0, "null-sender"),
        ("a@nouvelle-aquitaine.mssante.example", "b@saint-jean.mssante.example", "aura.mssante.example", 1, "relaying"),
    ] {
        let output = explain(&[from, to, "--own", own]);
        assert_eq!(output.status.code(), Some(code), "{from} {to}: {}", text(&output));
        assert!(text(&output).contains(&format!("[rule {rule}]")), "{from} {to}: {}", text(&output));
    }
}

#[test]
fn a_list_that_cannot_be_believed_explains_nothing() {
    let directory = Directory::new("explain-bad");
    let list = std::fs::read_to_string(data().join("list.xml")).unwrap().replace("<Nom>aura", "<Nom>avra");
    let path = directory.0.join("list.xml");
    std::fs::write(&path, list).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_caducee"))
        .args(["trust", "explain", "a@b.example", "c@d.example", "--signer-cn", "liste.mssante.example", "--anchor"])
        .arg(data().join("issuer.pem"))
        .arg("--list")
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("the signature does not fit the list"), "{}", text(&output));
    assert!(output.stdout.is_empty());

    // And without a pinned signer nothing can be believed.
    let output = Command::new(env!("CARGO_BIN_EXE_caducee"))
        .args(["trust", "explain", "a@b.example", "c@d.example", "--list"])
        .arg(data().join("list.xml"))
        .output()
        .unwrap();
    assert!(text(&output).contains("whose signature is to be believed?"), "{}", text(&output));
}

#[test]
fn half_a_question_is_a_usage_error() {
    for arguments in [&["--domain", "x.example"][..], &["a@b.example"], &[], &["--cert", "x.pem"]] {
        assert_eq!(explain(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
