//! What becomes of a message: in the mailbox with the 250, in the queue for everybody else.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::scene;
use crate::scene::Scene;
use crate::support::{Tool, search, wait_until};

const NOTIFIED: &str = "--notification-address=essai@courriel.example";

/// The reply to the message's end.
fn taken(said: &str) -> &str {
    let line = said.lines().find(|line| line.contains("250 2.6.0 "));
    line.unwrap_or_else(|| panic!("not taken:\n{said}"))
}

/// The header section.
fn header(message: &str) -> &str {
    message.split("\r\n\r\n").next().unwrap_or_default()
}

#[test]
fn an_own_mailbox_has_the_message_with_the_reply() {
    let scene = scene!("swaks", "curl");
    let said = scene.send(&scene.camille, &["--header", "Subject: Locale-1"]).expect_ok("swaks").all();
    assert!(taken(&said).contains(" taken; follow it by <"), "{said}");
    let read = scene.read(&scene.jerome, "Locale-1");
    assert!(read.starts_with(&format!("Return-Path: <{}>\r\nReceived: from ", scene.camille.address)), "{read}");
    assert!(header(&read).contains(" with ESMTPSA (TLS") && header(&read).contains("([127.0.0.1])"), "{read}");
    assert!(!read.contains("X-Caducee-Trust"), "{read}");
}

#[test]
fn a_message_for_another_operator_is_taken_into_the_queue() {
    let scene = scene!("swaks", "curl");
    let elsewhere = &scene.other.mailbox("PER").address;
    let both = format!("{},{elsewhere}", scene.jerome.address);
    let said = scene.send(&scene.camille, &["--to", &both, "--header", "Subject: Mixte-1"]).expect_ok("swaks").all();
    let reference = taken(&said).split("2.6.0 ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
    scene.read(&scene.jerome, "Mixte-1");
    let committed = ["tx-commit", reference.as_str(), "\"mailboxes\":1", "\"queued\":1"];
    let spelled = ["tx-commit", reference.as_str(), "mailboxes=1", "queued=1"];
    assert!(scene.logged(&committed) || scene.logged(&spelled), "no commit of {reference} in the log");
}

#[test]
fn the_log_names_nobody() {
    let scene = scene!("swaks", "curl");
    let elsewhere = &scene.other.mailbox("PER").address;
    let both = format!("{},{elsewhere}", scene.jerome.address);
    scene.send(&scene.camille, &["--to", &both, "--header", "Subject: Anonyme-1"]).expect_ok("swaks");
    scene.send(&scene.camille, &["--to", "nobody@nowhere.example"]);
    scene.read(&scene.jerome, "Anonyme-1");
    assert!(scene.logged(&["tx-commit"]) && scene.logged(&["login", "password"]));
    for address in [&scene.camille.address, &scene.jerome.address, elsewhere] {
        assert!(!scene.logged(&[address.split('@').next().unwrap()]), "{address} in the log");
    }
}

#[test]
fn blind_recipients_stay_blind_and_what_is_missing_is_added() {
    let scene = scene!("openssl", "curl");
    let from = &scene.camille.address;
    let data = format!(
        "Bcc: someone@else.example,\r\n\tanother@else.example\r\nFrom: {from}\r\nReturn-Path: <x@y>\r\nX-Caducee-Trust: rule=forged\r\nX-MSS-NIL: logiciel 1.0\r\nSubject: Aveugle-1\r\n\r\ncorps"
    );
    let said = scene.raw(&scene.camille, scene.message(from, &data));
    let id = taken(&said).split("follow it by ").nth(1).unwrap_or_default().trim_end().to_owned();
    let read = scene.read(&scene.jerome, "Aveugle-1");
    let head = header(&read);
    assert!(!head.contains("else.example") && !head.contains("x@y") && !head.contains("forged"), "{head}");
    assert!(head.contains(&format!("\r\nMessage-ID: {id}\r\nDate: ")) && id.starts_with('<'), "{id}: {head}");
    assert!(head.contains("\r\nX-MSS-NIL: logiciel 1.0"), "{head}");
    assert!(read.ends_with("\r\n\r\ncorps\r\n"), "{read}");
}

#[test]
fn a_message_id_and_a_date_of_the_program_stay() {
    let scene = scene!("openssl", "curl");
    let from = &scene.camille.address;
    let data = format!(
        "From: {from}\r\nMessage-ID: <mine-1@client.example>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nSubject: Complet-1\r\n\r\nx"
    );
    let said = scene.raw(&scene.camille, scene.message(from, &data));
    assert!(taken(&said).contains("follow it by <mine-1@client.example>"), "{said}");
    let read = scene.read(&scene.jerome, "Complet-1");
    assert_eq!(read.matches("Message-ID:").count(), 1);
    assert_eq!(read.matches("\r\nDate:").count(), 1);
}

#[test]
fn a_person_sends_in_the_name_of_a_mailbox_that_lets_them() {
    let scene = scene!("swaks", "curl");
    let org = scene.aura.mailbox("ORG").address.clone();
    let person = scene.camille.person.clone().expect("a professional has a national id");
    let as_org = ["--from", &org, "--header", "Subject: Delegation-1"];
    let refused = scene.send(&scene.camille, &as_org).all();
    assert!(refused.contains("553 5.7.1") && refused.contains("[rule sender-not-yours, ref "), "{refused}");
    scene.administer(&["mailbox", "set", &org, "--grant", &format!("{person}:write")]);
    assert!(scene.send(&scene.camille, &as_org).all().contains("[rule sender-not-yours, "), "to write is not to send");
    scene.administer(&["mailbox", "set", &org, "--grant", &format!("{person}:send")]);
    taken(&scene.send(&scene.camille, &as_org).expect_ok("swaks").all());
    assert!(header(&scene.read(&scene.jerome, "Delegation-1")).contains(&format!("From: {org}")));
    let said = scene.send(&scene.camille, &as_org).all();
    let id = taken(&said).split("follow it by ").nth(1).unwrap_or_default().trim_end();
    let followed = scene.administer(&["follow", id, "--json"]).stdout;
    let followed: serde_json::Value = serde_json::from_str(&followed).expect("JSON");
    let by = &followed["events"][0]["actor"];
    assert_eq!((&by["person"], &by["login"]), (&person.as_str().into(), &scene.camille.address.as_str().into()));
    let other = scene.send(&scene.jerome, &as_org).all();
    assert!(other.contains("[rule sender-not-yours, "), "the right is one person's: {other}");
    scene.administer(&["mailbox", "set", &org, "--clear", "access-list"]);
    assert!(scene.send(&scene.camille, &as_org).all().contains("[rule sender-not-yours, "), "taken back is taken back");
}

#[test]
fn a_shared_mailbox_that_is_logged_in_to_itself_sends_as_far_as_its_access_list_says() {
    let scene = scene!("openssl", "swaks");
    let shared = format!("standard@{}", scene.aura.domains[0]);
    let structure = ["--structure-id", "1990000011", "--label", "Standard", "--allow-password", NOTIFIED];
    scene.administer(&[["mailbox", "create", &shared, "--kind", "ORG"].as_slice(), &structure].concat());
    let person = scene.camille.person.clone().expect("a professional has a national id");
    let (login, password) = scene.camille.credentials();
    let auth = BASE64_STANDARD.encode(format!("{shared}\0{login}\0{password}"));
    let talk = |from: &str| scene.behind_tls(format!("EHLO a\r\nAUTH PLAIN {auth}\r\nMAIL FROM:<{from}>\r\nQUIT\r\n"));
    let stranger = talk(&shared);
    assert!(stranger.contains("535 5.7.8 this mailbox is not yours"), "{stranger}");
    scene.administer(&["mailbox", "grant", &shared, &person, "--rights", "read"]);
    for from in [shared.as_str(), ""] {
        let said = talk(from);
        assert!(
            said.contains("235 2.7.0") && said.contains("[rule sender-not-yours, "),
            "to read is not to send: {said}"
        );
    }
    scene.administer(&["mailbox", "grant", &shared, &person, "--rights", "send"]);
    for from in [shared.as_str(), "", &scene.camille.address] {
        assert!(talk(from).contains("250 2.1.0"), "{from}");
    }
    scene.administer(&["mailbox", "ungrant", &shared, &person]);
    assert!(talk(&shared).contains("535 5.7.8"));
}

#[test]
fn a_null_sender_is_for_notifications_and_its_header_is_still_its_authors() {
    let scene = scene!("openssl", "curl");
    let notification = |from: &str| format!("From: {from}\r\nSubject: Accuse-1\r\n\r\nlu");
    let said = scene.raw(&scene.camille, scene.message("", &notification(&scene.camille.address)));
    taken(&said);
    assert!(scene.read(&scene.jerome, "Accuse-1").starts_with("Return-Path: <>\r\n"));
    let said = scene.raw(&scene.camille, scene.message("", &notification(&scene.jerome.address)));
    assert!(said.contains("550 5.7.1") && said.contains("[rule header-not-yours, "), "{said}");
}

#[test]
fn eight_bit_data_without_a_word_is_taken_as_it_is() {
    let scene = scene!("openssl", "curl");
    let from = &scene.camille.address;
    let data = format!("From: {from}\r\nSubject: Huit-1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nà l’hôpital");
    taken(&scene.raw(&scene.camille, scene.message(from, &data)));
    assert!(scene.read(&scene.jerome, "Huit-1").contains("à l’hôpital"));
}

/// How Camille's mailbox and a citizen stand, and what the citizen would be answered.
fn stands(scene: &Scene, citizen: &str) -> (String, bool) {
    stands_with(scene, citizen, &scene.camille.address)
}

fn stands_with(scene: &Scene, citizen: &str, mailbox: &str) -> (String, bool) {
    let tool = Tool::new(env!("CARGO_BIN_EXE_caducee")).args(["trust", "explain", citizen, mailbox]);
    let told = tool.arg("--json").arg("--socket").arg(&scene.aura.admin_socket).run().stdout;
    let answer: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    (answer["conversation"].as_str().unwrap_or_default().to_owned(), answer["answer"]["accepted"] == true)
}

#[test]
fn a_citizen_may_answer_until_the_professional_has_the_last_word() {
    let scene = scene!("swaks");
    let citizen = "184127512345678@patient.mssante.example";
    assert_eq!(stands(&scene, citizen), ("not-started".to_owned(), false));
    for (header, conversation, accepted) in [
        ("Subject: Bilan", "open", true),
        ("Subject: =?utf-8?q?=5Bfin=5D?= Bilan", "closed", false),
        ("Subject: Confin [FIN", "open", true),
        ("X-MSS-MES: FIN", "closed", false),
    ] {
        let said = scene.send(&scene.camille, &["--to", citizen, "--header", header]).expect_ok("swaks").all();
        assert!(taken(&said).contains(" taken"), "{said}");
        assert_eq!(stands(&scene, citizen), (conversation.to_owned(), accepted), "{header}");
    }
    let said = scene.send(&scene.camille, &["--to", "184@patient.mssante.example"]).all();
    assert!(said.contains("550 5.1.3") && said.contains("[rule citizen-address-form"), "{said}");
}

#[test]
fn a_patient_answers_to_whom_the_message_names_if_its_sender_may_send_as_them() {
    let scene = scene!("swaks", "curl");
    let (citizen, domain) = ("284127512345678@patient.mssante.example", &scene.aura.domains[0]);
    let person = scene.camille.person.clone().expect("a professional has a national id");
    let [secretariat, practice] = ["secretariat.essai", "cabinet.essai"].map(|local| format!("{local}@{domain}"));
    for mailbox in [&secretariat, &practice] {
        let structure = ["--structure-id", "1010000024", "--label", "Essai", "--allow-password", NOTIFIED];
        scene.administer(&[["mailbox", "create", mailbox, "--kind", "ORG"].as_slice(), &structure].concat());
    }
    let mine = scene.camille.address.as_str();
    let send = |to: &str, from: &str, header: &[&str]| {
        let from = format!("From: {from}");
        let headers = header.iter().flat_map(|line| ["--header", line]);
        let options = ["--to", to, "--from", mine, "--header", &from];
        scene.send(&scene.camille, &options.into_iter().chain(headers).collect::<Vec<_>>()).all()
    };
    let reply_to = format!("Reply-To: Secretariat <{secretariat}>, {}", scene.other.mailbox("PER").address);
    let refused = send(citizen, mine, &[&reply_to]);
    assert!(refused.contains("550 5.7.1") && refused.contains("[rule reply-to-not-yours, "), "{refused}");
    assert_eq!(stands(&scene, citizen), ("not-started".to_owned(), false), "nothing is opened by what is refused");
    taken(&send(&scene.jerome.address, mine, &[&reply_to]));
    for mailbox in [&secretariat, &practice] {
        scene.administer(&["mailbox", "set", mailbox, "--grant", &format!("{person}:send")]);
    }
    taken(&send(citizen, mine, &[&reply_to]));
    assert_eq!(stands(&scene, citizen), ("open".to_owned(), true));
    assert_eq!(stands_with(&scene, citizen, &secretariat), ("open".to_owned(), true));
    assert_eq!(stands_with(&scene, citizen, &practice), ("not-started".to_owned(), false));
    taken(&send(citizen, &practice, &["Subject: Bilan"]));
    assert_eq!(stands_with(&scene, citizen, &practice), ("open".to_owned(), true), "From: is answered too");
    taken(&send(citizen, mine, &[&reply_to, "X-MSS-MES: FIN"]));
    assert_eq!(stands_with(&scene, citizen, &secretariat), ("closed".to_owned(), false));
    assert_eq!(stands_with(&scene, citizen, &practice), ("open".to_owned(), true));
}

#[test]
fn a_colleagues_forward_and_absence_count_for_what_is_sent_here() {
    let scene = scene!("swaks", "curl");
    let domain = &scene.aura.domains[0];
    let away = format!("absente.essai@{domain}");
    let created =
        ["mailbox", "create", &away, "--kind", "PER", "--last-name", "Essai", "--national-id", "899700000075"];
    scene.administer(&[&created[..], &[NOTIFIED]].concat());
    scene.administer(&["mailbox", "set", &away, "--forward-to", &scene.jerome.address]);
    scene.administer(&["mailbox", "set", &away, "--absence-text", "Absente.", "--absence-until", "2099-08-15"]);
    scene.send(&scene.camille, &["--to", &away, "--header", "Subject: Renvoi-1"]).expect_ok("swaks");
    assert!(scene.read(&scene.jerome, "Renvoi-1").contains(&format!("To: {away}")));
    let told = || search(scene.known, scene.aura, &scene.camille, "SUBJECT \"Absence : Re: Renvoi-1\"").len() == 1;
    assert!(wait_until(Duration::from_secs(10), told), "no absence notice");
}
