//! `caducee trust` against a running server of a sandbox.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::outside::Sandbox;

fn trust(socket: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_caducee"))
        .arg("trust")
        .args(arguments)
        .arg("--socket")
        .arg(socket)
        .output()
        .unwrap()
}

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The JSON answer of a verb that must end with this code.
#[track_caller]
fn json(socket: &Path, arguments: &[&str], code: i32) -> Value {
    let output = trust(socket, &[arguments, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", shown(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn status_and_entries_are_told_to_people_and_scripts() {
    let socket = &Sandbox::shared().description.operators[0].admin_socket;
    let status = json(socket, &["status"], 0);
    assert_eq!(status["alarms"], Value::Array(Vec::new()));
    assert_eq!(status["white_list"]["in_force"]["stale"], false);
    let entries = status["white_list"]["in_force"]["entries"].as_u64().unwrap();
    assert!(entries >= 2 && !status["crls"].as_array().unwrap().is_empty(), "{status}");
    assert!(shown(&trust(socket, &["status"])).contains("white list"));

    assert_eq!(json(socket, &["list"], 0)["total"].as_u64(), Some(entries));
    let own = json(socket, &["list", "--domain", "AURA.mssante.example"], 0);
    assert_eq!(own["total"], 1);
    assert!(own["entries"][0]["dn"].as_str().unwrap().contains("CN=smtp.aura.mssante.example"));
    assert_eq!(
        json(socket, &["list", "--search", "NOUVELLE-aquitaine"], 0)["entries"][0]["domain"],
        "nouvelle-aquitaine.mssante.example"
    );
    assert_eq!(json(socket, &["list", "--limit", "1", "--offset", "1"], 0)["entries"].as_array().unwrap().len(), 1);
    assert_eq!(trust(socket, &["list", "--domain", "not a domain"]).status.code(), Some(1));
}

#[test]
fn certificates_are_explained() {
    let description = &Sandbox::shared().description;
    let (ours, theirs) = (&description.operators[0], &description.operators[1]);
    let socket = &ours.admin_socket;
    let domain = theirs.domains[0].as_str();
    let explain =
        |file: &Path, code| json(socket, &["explain", "--domain", domain, "--cert", file.to_str().unwrap()], code);
    assert_eq!(explain(&theirs.cert, 0)["answer"]["rule"], "sender-domain-listed");
    assert_eq!(explain(&ours.cert, 1)["answer"]["rule"], "sender-domain-not-peers");
    assert_eq!(explain(&description.bad_certificates["not_listed"].cert, 1)["answer"]["rule"], "peer-not-listed");
    let namesake = explain(&description.bad_certificates["same_cn_other_dn"].cert, 1);
    assert_eq!(namesake["answer"]["rule"], "peer-dn-differs");
    let differing: Vec<_> =
        namesake["listed"][0]["differences"].as_array().unwrap().iter().map(|d| d["attribute"].clone()).collect();
    assert!(!differing.is_empty() && !differing.contains(&"CN".into()), "{namesake}");
    let expired = explain(&description.bad_certificates["expired"].cert, 0);
    assert!(expired["cautions"][0].as_str().unwrap().contains("expired"), "{expired}");
    let refused = trust(socket, &["explain", "--domain", domain, "--cert", theirs.key.to_str().unwrap()]);
    assert!(shown(&refused).contains("[rule bad-certificate"), "{}", shown(&refused));
}

#[test]
fn exchanges_are_explained_with_what_the_mailboxes_are() {
    let description = &Sandbox::shared().description;
    let ours = &description.operators[0];
    let socket = &ours.admin_socket;
    let mailbox = |test: bool| ours.mailboxes.iter().find(|mailbox| mailbox.test == test).unwrap().address.as_str();
    let special = |name: &str| ours.special_mailboxes[name].address.as_str();
    let outside = format!("jeanne@{}", description.operators[1].domains[0]);
    let unknown = format!("nobody@{}", ours.domains[0]);
    for (from, to, rule) in [
        (outside.as_str(), mailbox(false), "other-to-own"),
        (&outside, mailbox(true), "real-to-test"),
        (mailbox(true), &outside, "test-to-real"),
        (mailbox(false), &outside, "own-to-other"),
        (mailbox(true), mailbox(false), "own-to-own"),
        (&outside, special("suspended"), "recipient-suspended"),
        (&outside, special("closed"), "recipient-closed"),
        (&outside, special("restricted"), "recipient-restricted"),
        (special("restricted"), &outside, "sender-restricted"),
        (&outside, &unknown, "recipient-unknown"),
        (mailbox(false), "x@gmail.example", "recipient-domain-unlisted"),
        ("x@gmail.example", mailbox(false), "sender-domain-unlisted"),
        (&outside, "x@gmail.example", "relaying"),
        ("<>", mailbox(false), "null-sender"),
    ] {
        let yes = ["other-to-own", "own-to-other", "own-to-own", "null-sender"].contains(&rule);
        let answer = json(socket, &["explain", from, to], if yes { 0 } else { 1 });
        assert_eq!(answer["answer"]["rule"], rule, "{from} {to}: {answer}");
        assert_eq!(answer["answer"]["accepted"], yes);
    }
}

#[test]
fn how_a_mailbox_and_a_citizen_stand_is_told_either_way_round() {
    let ours = &Sandbox::shared().description.operators[0];
    let own = ours.mailboxes.iter().find(|mailbox| !mailbox.test).unwrap().address.as_str();
    let citizen = "184127512345678@patient.mssante.example";
    for (from, to, code, rule) in [
        (citizen, own, 1, "citizen-not-started"),
        (own, citizen, 0, "own-to-other"),
        (own, "184@patient.mssante.example", 1, "citizen-address-form"),
    ] {
        let answer = json(&ours.admin_socket, &["explain", from, to], code);
        assert_eq!((&answer["answer"]["rule"], &answer["conversation"]), (&rule.into(), &"not-started".into()));
    }
    let answer = json(&ours.admin_socket, &["explain", own, own], 0);
    assert_eq!(answer.get("conversation"), None);
    let told = shown(&trust(&ours.admin_socket, &["explain", citizen, own]));
    assert!(told.contains("conversation  not-started"), "{told}");
}

#[test]
fn a_bad_list_is_refused_told_and_forgotten_once_there_is_a_good_one() {
    let sandbox = Sandbox::start();
    let socket = &sandbox.description.operators[0].admin_socket;
    let file = &sandbox.description.white_list;
    assert_eq!(json(socket, &["refresh"], 0)["white_list"], "unchanged");
    let entries = json(socket, &["status"], 0)["white_list"]["in_force"]["entries"].clone();

    let good = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, good.replacen("<Nom>aura", "<Nom>evil", 1)).unwrap();
    let refused = trust(socket, &["refresh"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(shown(&refused).contains("[rule trust-refused"), "{}", shown(&refused));
    let status = json(socket, &["status"], 1);
    assert_eq!(status["white_list"]["last_result"], "bad-signature");
    assert_eq!(status["white_list"]["in_force"]["entries"], entries);
    assert!(status["alarms"][0].as_str().unwrap().contains("not refreshed"), "{status}");

    std::fs::write(file, good).unwrap();
    assert_eq!(json(socket, &["refresh"], 0)["white_list"], "unchanged");
    assert_eq!(json(socket, &["status"], 0)["alarms"], Value::Array(Vec::new()));
}
