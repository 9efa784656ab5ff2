//! Citizens (MSSanté §8): a professional starts the exchange, the patient answers until it is closed. The peer that tests play
//! speaks for the sandbox's patients.

use super::way::{Envelope, Way, one_way};
use crate::site::Site;
use crate::support::{Identity, Ran, have, swaks};

/// How a conversation is closed: a line of the header beside the subject, and the subject.
const CLOSINGS: [(&str, &str); 2] = [("X-MSS-MES: FIN\r\n", "Resultats"), ("", "[FIN] Resultats")];

fn citizen(number: usize) -> String {
    format!("25506999999993{number}@patient.mssante.example")
}

/// The professional's message to a citizen; it waits in the queue, where nobody serves patients.
#[track_caller]
fn write_to(way: &Way<'_>, citizen: &str, line: &str, subject: &str) {
    let from = &way.sender.address;
    let message = format!("From: {from}\r\nTo: {citizen}\r\n{line}Subject: {subject}\r\n\r\nBonjour\r\n");
    way.send(&Envelope { to: &[citizen], ..Envelope::default() }, &message);
}

/// A citizen's message to the professional, by the citizens' operator.
fn hear_from(way: &Way<'_>, citizen: &str, subject: &str) -> Ran {
    let peer = &way.known.peers[0];
    assert!(peer.domains.iter().any(|domain| citizen.ends_with(&format!("@{domain}"))), "{:?}", peer.domains);
    let identity = Identity { cert: peer.cert.clone(), key: peer.key.clone() };
    let tool = swaks(way.known, way.from, Some(&identity)).args(["--from", citizen, "--to", &way.sender.address]);
    let from = format!("From: {citizen}");
    tool.args(["--header", &from, "--header", &format!("Subject: {subject}"), "--body", "Merci"]).run()
}

#[test]
fn a_citizen_answers_only_who_has_written_and_until_the_exchange_is_closed() {
    let Some(way) = one_way(&["swaks"]) else { return };
    for (number, (line, closing)) in CLOSINGS.into_iter().enumerate() {
        let citizen = citizen(number);
        let first = hear_from(&way, &citizen, "Question");
        assert!(!first.ok() && first.all().contains("550 5.7.1 "), "{}", first.all());
        assert!(first.all().contains("[rule citizen-not-started, ref "), "{}", first.all());

        write_to(&way, &citizen, "", "Votre consultation");
        let subject = format!("Reponse-{number}");
        hear_from(&way, &citizen, &subject).expect_ok("the answer");
        let answer = way.back().read(&format!("SUBJECT {subject}"));
        assert!(answer.starts_with(&format!("Return-Path: <{citizen}>")), "{answer}");

        write_to(&way, &citizen, line, closing);
        let late = hear_from(&way, &citizen, "Encore");
        assert!(!late.ok() && late.all().contains("[rule citizen-conversation-closed, ref "), "{}", late.all());

        write_to(&way, &citizen, "", "Encore une chose");
        hear_from(&way, &citizen, "De-nouveau").expect_ok("the answer to what opened the exchange again");
    }
}

#[test]
fn a_conversation_is_that_of_the_mailbox_that_wrote() {
    let Some(way) = one_way(&["swaks"]) else { return };
    let citizen = citizen(7);
    write_to(&way, &citizen, "", "Votre consultation");
    hear_from(&way, &citizen, "Reponse-7").expect_ok("the answer");
    let colleague = way.from.mailboxes.iter().find(|m| m.address.starts_with("jerome.")).expect("a colleague");
    let other = Way { sender: colleague, ..way };
    let refused = hear_from(&other, &citizen, "Question");
    assert!(!refused.ok() && refused.all().contains("[rule citizen-not-started, ref "), "{}", refused.all());
}

#[test]
fn what_is_too_big_for_a_citizen_is_refused_whether_its_size_was_announced_or_not() {
    if !["swaks", "python3", "curl"].into_iter().all(have) {
        return;
    }
    let mut site = Site::new(&[]);
    site.configure(toml::toml! {
        [citizens]
        max_message = "1 MiB"
    });
    let _server = site.start();
    let (way, citizen) = (Way::first(&site.known), citizen(8));
    let from = &way.sender.address;
    let letter = |lines: usize| {
        let text = "Une ligne de 64 octets, pour atteindre vite une taille connue.\r\n".repeat(lines);
        format!("From: {from}\r\nTo: {citizen}\r\nSubject: Dossier\r\n\r\n{text}")
    };
    // smtplib announces the size with MAIL, swaks does not.
    let envelope = Envelope { to: &[&citizen], ..Envelope::default() };
    let announced = way.smtplib(&envelope, &letter(20_000));
    assert!(!announced.ok() && announced.all().contains("552, b'5.3.4 "), "{}", announced.all());
    assert!(announced.all().contains("[rule citizen-too-big, ref "), "{}", announced.all());
    let server = format!("localhost:{}", way.from.ports.submission);
    let swaks = way.swaks().args(["--server", &server, "--tls", "--to", &citizen, "--data", "-"]);
    let sent = swaks.input(letter(20_000)).run();
    assert!(!sent.ok() && sent.all().contains("552 5.3.4 "), "{}", sent.all());
    assert!(sent.all().contains("[rule citizen-too-big, ref "), "{}", sent.all());
    way.send(&envelope, &letter(10_000));
}

#[test]
fn an_address_that_is_no_citizens_is_refused_to_the_professional_at_once() {
    let Some(way) = one_way(&[]) else { return };
    let envelope = Envelope { to: &["camille.dupont@patient.mssante.example"], ..Envelope::default() };
    let refused = way.smtplib(&envelope, &way.letter("Mauvaise-adresse"));
    assert!(!refused.ok() && refused.all().contains("[rule citizen-address-form"), "{}", refused.all());
}
