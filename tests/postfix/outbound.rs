//! Our mail to Postfix: over mutual TLS, with CHUNKING and without, refused at once and given up later; and its answers.

use crate::peer::{MOVED, POSTMAN, Postfix};
use crate::support::{Envelope, Mailbox, Operator, Sandbox, Tool, read, smtplib, wait_until};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// A sandbox of one's own whose first operator has a route to a Postfix.
struct Pair {
    sandbox: Sandbox,
    postfix: Postfix,
}

/// A text with what a body may hold that SMTP has to carry with care.
const BODY: &str =
    "Une ligne.\r\n.Une ligne qui commence par un point.\r\n..\r\n.\r\n\r\nAccents : é à ç œ.\r\nFin.\r\n";

impl Pair {
    /// `None`, and said aloud, where Postfix cannot be started.
    fn start() -> Option<Self> {
        let sandbox = Sandbox::start();
        let postfix = Postfix::start(&sandbox.description)?;
        let pair = Self { sandbox, postfix };
        pair.route(pair.postfix.ports.door);
        Some(pair)
    }

    fn operator(&self) -> &Operator {
        self.sandbox.description.aura()
    }

    fn sender(&self) -> &Mailbox {
        self.operator().mailbox("PER")
    }

    /// Sends the domain's mail to this port of loopback from now on: the configuration is changed and read again.
    fn route(&self, port: u16) {
        let path = &self.operator().config;
        let text = fs::read_to_string(path).expect("the sandbox's configuration");
        let mut config: toml::Table = text.parse().expect("TOML");
        let mut route = toml::toml! { domains = ["operateur-c.mssante.example"] };
        route.insert("hosts".into(), vec![format!("127.0.0.1:{port}")].into());
        let routes = config["relay"]["routes"].as_array_mut().expect("the sandbox has routes");
        routes.retain(|old| old["domains"] != route["domains"]);
        routes.push(route.into());
        fs::write(path, config.to_string()).expect("written");
        let said = self.caducee(&["reload"]);
        assert!(!said.contains("only a restart"), "{said}");
    }

    /// A verb of the command line, on the first operator.
    fn caducee(&self, words: &[&str]) -> String {
        let tool = Tool::new(env!("CARGO_BIN_EXE_caducee")).args(words);
        tool.arg("--socket").arg(&self.operator().admin_socket).run().expect_ok("a verb").stdout
    }

    /// Sends as a mail program of the sandbox's practitioner; the Message-ID.
    fn send(&self, to: &str, word: &str) -> String {
        self.send_with(&Envelope { to: &[to], mail: &["BODY=8BITMIME"], ..Envelope::default() }, word)
    }

    fn send_with(&self, envelope: &Envelope<'_>, word: &str) -> String {
        let (from, to) = (&self.sender().address, envelope.to[0]);
        let id = format!("<{word}@{}>", self.operator().domains[0]);
        let message = format!(
            "From: {from}\r\nTo: {to}\r\nSubject: {word}\r\nMessage-ID: {id}\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{BODY}"
        );
        let known = &self.sandbox.description;
        smtplib(known, self.operator(), self.sender(), envelope, &message).expect_ok("smtplib");
        id
    }

    /// What happened to a message, once an event of this kind is there: that event.
    #[track_caller]
    fn followed(&self, id: &str, until: &str) -> Value {
        let mut found = Value::Null;
        let there = wait_until(Duration::from_secs(30), || {
            found = serde_json::from_str(&self.caducee(&["follow", id, "--json"])).expect("JSON");
            let events = found["events"].as_array().cloned().unwrap_or_default();
            let event = events.into_iter().find(|event| event["action"] == until);
            event.map(|event| found = event).is_some()
        });
        assert!(there, "no {until}: {found:#}\n{}", self.postfix.log());
        found
    }

    /// The one message of the sender's INBOX that matches, once it is there.
    #[track_caller]
    fn comes(&self, criteria: &str) -> String {
        read(&self.sandbox.description, self.operator(), self.sender(), criteria)
    }
}

#[test]
fn our_mail_reaches_postfix_over_mutual_tls_with_chunking_and_without() {
    let Some(pair) = Pair::start() else { return };
    let ports = pair.postfix.ports;
    for (word, port, verb, other) in
        [("Par-morceaux", ports.door, " bdat=", " data="), ("D-un-trait", ports.plain_door, " data=", " bdat=")]
    {
        pair.route(port);
        let id = pair.send(POSTMAN, word);
        let arrived = pair.postfix.own_message(&format!("Subject: {word}\n"));
        // Postfix writes mailboxes with the line ends of its system.
        let (header, body) = arrived.split_once("\n\n").expect("a body");
        assert_eq!(body, BODY.replace("\r\n", "\n"), "{word}");
        assert!(header.contains(&format!("Return-Path: <{}>", pair.sender().address)), "{header}");
        pair.postfix.logged(&["Trusted TLS connection established from localhost[127.0.0.1]"]);
        let tried = pair.followed(&id, "tried");
        assert_eq!(tried["result"], "relayed", "{tried}");
        assert!(
            tried["words"].as_str().is_some_and(|words| words.starts_with("250 ") && words.contains("queued as")),
            "Postfix's words: {tried}"
        );
        let session = pair.postfix.logged(&["disconnect from localhost[127.0.0.1]", " starttls=1", verb]);
        assert!(!session.contains(other) && session.contains(" mail=1 rcpt=1 "), "{word}: {session}");
    }
}

#[test]
fn postfix_answers_what_we_sent_and_the_answer_is_read() {
    let Some(pair) = Pair::start() else { return };
    let id = pair.send(POSTMAN, "Aller");
    pair.postfix.own_message(&format!("Message-ID: {id}\n"));
    pair.postfix.submit(POSTMAN, &pair.sender().address, "Re: Aller-retour", "Bien reçu.");
    let sent = pair.postfix.logged(&[&format!("to=<{}>", pair.sender().address), "status="]);
    assert!(sent.contains("status=sent (250"), "{sent}");
    let answer = pair.comes("SUBJECT Aller-retour");
    assert!(answer.contains("Bien reçu."), "{answer}");
    assert!(answer.starts_with(&format!("Return-Path: <{POSTMAN}>")), "{answer}");
    assert!(answer.contains("rule=sender-domain-listed; domain=operateur-c.mssante.example"), "{answer}");
}

#[test]
fn a_recipient_that_postfix_refuses_comes_back_as_our_report_with_its_words() {
    let Some(pair) = Pair::start() else { return };
    let nobody = "personne@operateur-c.mssante.example";
    let id = pair.send(nobody, "Refus");
    let report = pair.comes(&format!("HEADER In-Reply-To \"{id}\""));
    assert!(report.contains("Content-Type: multipart/report; report-type=delivery-status;"), "{report}");
    for line in [&format!("Final-Recipient: rfc822; {nobody}"), "Action: failed", "Status: 5.1.1"] {
        assert!(report.contains(&format!("\r\n{line}\r\n")), "no {line} in:\n{report}");
    }
    assert!(report.replace("\r\n ", " ").contains("Diagnostic-Code: smtp; 550 5.1.1 <personne@"), "{report}");
    let tried = pair.followed(&id, "tried");
    assert_eq!(tried["result"], "failed", "{tried}");
    let words = tried["words"].as_str().unwrap_or_default();
    assert!(words.starts_with("550 ") && words.contains("User unknown"), "{tried}");
}

#[test]
fn postfixs_own_report_about_what_it_took_comes_to_the_sender_and_stands_on_the_messages_way() {
    let Some(pair) = Pair::start() else { return };
    let id = pair.send(MOVED, "Plus-tard-perdu");
    assert_eq!(pair.followed(&id, "tried")["result"], "relayed");
    let report = pair.comes("SUBJECT \"Undelivered Mail\"");
    assert!(report.starts_with("Return-Path: <>\r\n") && report.contains("\r\nStatus: 5.1.6\r\n"), "{report}");
    let came = pair.followed(&id, "report-came");
    assert_eq!((&came["result"], &came["recipient"]), (&json!("failed"), &json!(MOVED)), "{came}");
    assert!(came["text"].as_str().is_some_and(|text| text.contains("5.1.6")), "{came}");
}

#[test]
fn success_is_told_by_postfix_where_it_knows_dsn_and_by_us_where_it_does_not() {
    let Some(pair) = Pair::start() else { return };
    let ports = pair.postfix.ports;
    let mail = ["BODY=8BITMIME", "ENVID=dossier+3D12", "RET=HDRS"];
    let envelope = Envelope { to: &[POSTMAN], mail: &mail, rcpt: &["NOTIFY=SUCCESS"], ..Envelope::default() };

    let id = pair.send_with(&envelope, "Succes-de-Postfix");
    let came = pair.followed(&id, "report-came");
    assert_eq!((&came["result"], &came["recipient"]), (&json!("delivered"), &json!(POSTMAN)), "{came}");
    let theirs = pair.comes("SUBJECT \"Successful Mail Delivery Report\"");
    // What the client gave came to Postfix, and back (RFC 3461 §5.2.1).
    assert!(theirs.contains("\r\nOriginal-Envelope-Id: dossier=12\r\n"), "{theirs}");

    pair.route(ports.plain_door);
    let id = pair.send_with(&envelope, "Succes-sans-avis");
    let reported = pair.followed(&id, "reported");
    assert_eq!((&reported["result"], &reported["recipients"]), (&json!("relayed"), &json!([POSTMAN])), "{reported}");
    let ours = pair.comes(&format!("HEADER In-Reply-To \"{id}\""));
    assert!(ours.contains("\r\nAction: relayed\r\n") && ours.contains("Original-Envelope-Id: dossier=12"), "{ours}");
}
