//! What a delivered message looks like to its reader.

use std::process::Command;

use crate::door::talk;
use crate::support::{Identity, Operator, Sandbox, fetch, have, search, swaks};

#[test]
fn our_lines_stand_on_top_and_foreign_ones_are_gone() {
    if !have("swaks") || !have("curl") {
        return;
    }
    let known = &Sandbox::shared().description;
    let (operator, peer) = (known.aura(), &known.peers[0]);
    let mailbox = operator.mailbox("PER");
    let from = format!("anne.roux@{}", peer.domains[0]);
    let identity = Identity { cert: peer.cert.clone(), key: peer.key.clone() };
    let subject = "lines on top";
    let sent = swaks(known, operator, Some(&identity))
        .args(["--from", &from, "--to", &mailbox.address, "--ehlo", "peer.example"])
        .args(["--header", &format!("Subject: {subject}"), "--add-header", "X-Caducee-Trust: forged; rule=none"])
        .args(["--add-header", "Return-Path: <forged@nowhere.example>"])
        .run();
    assert!(sent.all().contains("250 2.6.0"), "{}", sent.all());
    let numbers = search(known, operator, mailbox, &format!("SUBJECT \"{subject}\""));
    let message = fetch(known, operator, mailbox, *numbers.last().expect("the message is there"));
    let unfolded = message.replace("\r\n\t", " ");
    let mut lines = unfolded.lines();
    assert_eq!(lines.next(), Some(format!("Return-Path: <{from}>").as_str()));
    let received = lines.next().unwrap_or_default();
    assert!(received.starts_with("Received: from peer.example ([127.0.0.1]) by "), "{received}");
    assert!(
        received.contains(" with ESMTPS (TLSv1.") && received.contains(&format!("for <{}>", mailbox.address)),
        "{received}"
    );
    let trust = lines.next().unwrap_or_default();
    assert!(trust.starts_with("X-Caducee-Trust: rule=sender-domain-listed; domain="), "{trust}");
    assert!(!message.contains("forged"), "{message}");
}

#[test]
fn chunks_and_dots_arrive_as_they_were_meant() {
    if !have("openssl") || !have("curl") {
        return;
    }
    let known = &Sandbox::shared().description;
    let (operator, peer) = (known.aura(), &known.peers[0]);
    let mailbox = operator.mailbox("ORG");
    let from = format!("anne.roux@{}", peer.domains[0]);
    let identity = Identity { cert: peer.cert.clone(), key: peer.key.clone() };
    let body = "..two dots\r\n.\r\nend\r\n";
    let head = |subject: &str| format!("From: {from}\r\nSubject: {subject}\r\n\r\n");
    let (chunked, dotted) = (head("in chunks"), head("with dots"));
    let script = format!(
        "EHLO a\r\nMAIL FROM:<{from}>\r\nRCPT TO:<{to}>\r\nBDAT {}\r\n{chunked}BDAT {} LAST\r\n{body}\
         MAIL FROM:<{from}>\r\nRCPT TO:<{to}>\r\nRCPT TO:<{to}>\r\nDATA\r\n{dotted}...two dots\r\n..\r\nend\r\n.\r\nQUIT\r\n",
        chunked.len(),
        body.len(),
        to = mailbox.address,
    );
    let said = talk(known, operator, &identity, script).all();
    assert_eq!(said.matches("250 2.6.0").count(), 2, "{said}");
    for subject in ["in chunks", "with dots"] {
        let numbers = search(known, operator, mailbox, &format!("SUBJECT \"{subject}\""));
        assert_eq!(numbers.len(), 1, "once, however often the mailbox was named");
        assert!(fetch(known, operator, mailbox, numbers[0]).ends_with(&format!("\r\n\r\n{body}")), "{subject}");
    }
}

/// Runs `caducee` against an operator's server.
fn caducee(operator: &Operator, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_caducee"));
    let output = command.args(arguments).arg("--socket").arg(&operator.admin_socket).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn mail_that_is_sent_on_lies_where_it_was_sent_on_to() {
    if !have("swaks") {
        return;
    }
    let known = &Sandbox::shared().description;
    let (operator, peer) = (known.aura(), &known.peers[0]);
    let domain = &operator.domains[0];
    let [from, to] = ["remplacee", "remplacante"].map(|name| format!("{name}@{domain}"));
    for (address, id) in [(&from, "899700000071"), (&to, "899700000072")] {
        let who = ["--kind", "PER", "--last-name", "Essai", "--national-id", id];
        let notified = ["--notification-address", "essai@courriel.example"];
        caducee(operator, &[&["mailbox", "create", address], &who[..], &notified].concat());
    }
    let messages = |address: &str| {
        let shown: serde_json::Value =
            serde_json::from_str(&caducee(operator, &["mailbox", "show", address, "--json"])).unwrap();
        shown["used_messages"].as_u64().unwrap()
    };
    caducee(operator, &["mailbox", "set", &from, "--forward-to", &to]);
    let identity = Identity { cert: peer.cert.clone(), key: peer.key.clone() };
    let author = format!("anne.roux@{}", peer.domains[0]);
    let sent = swaks(known, operator, Some(&identity)).args(["--from", &author, "--to", &from]).run();
    assert!(sent.all().contains("250 2.6.0"), "{}", sent.all());
    assert_eq!((messages(&from), messages(&to)), (0, 1));
    caducee(operator, &["mailbox", "set", &from, "--no-forward"]);
    let sent = swaks(known, operator, Some(&identity)).args(["--from", &author, "--to", &from]).run();
    assert!(sent.all().contains("250 2.6.0"), "{}", sent.all());
    assert_eq!((messages(&from), messages(&to)), (1, 1));
}
