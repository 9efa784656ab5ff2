//! Each refusal of the door, seen from outside: its codes, its rule's name with a reference, its counter.

use crate::door::{figure, refused};
use crate::scene;

#[test]
fn recipients_are_refused_at_once_with_the_rule() {
    let scene = scene!("swaks");
    let test = scene.other.test_mailbox().address.clone();
    let known = [
        ("550 5.7.1", "recipient-domain-unlisted", "someone@hors-espace.example".to_owned()),
        ("550 5.7.1", "real-to-test", test),
        ("550 5.1.1", "recipient-unknown", format!("personne@{}", scene.aura.domains[0])),
        ("550 5.2.1", "recipient-suspended", scene.aura.special("suspended").address.clone()),
        ("550 5.1.1", "recipient-closed", scene.aura.special("closed").address.clone()),
    ];
    for (code, rule, to) in known {
        refused(scene.aura, code, rule, || scene.send(&scene.camille, &["--to", &to]).all());
    }
}

#[test]
fn who_may_write_where_is_the_mailboxs_own_affair() {
    let scene = scene!("swaks");
    let real = scene.other.mailbox("PER").address.clone();
    let tester = scene.aura.test_mailbox();
    refused(scene.aura, "550 5.7.1", "test-to-real", || scene.send(tester, &["--to", &real]).all());
    scene.send(tester, &["--to", &scene.jerome.address]).expect_ok("a test mailbox writes within its operator");
    let restricted = scene.aura.special("restricted");
    refused(scene.aura, "550 5.7.1", "sender-restricted", || scene.send(restricted, &["--to", &real]).all());
    scene.send(restricted, &[]).expect_ok("a restricted mailbox writes within its operator");
}

#[test]
fn a_sender_that_is_not_theirs_is_refused() {
    let scene = scene!("swaks", "openssl");
    for from in [scene.jerome.address.as_str(), "camille@ailleurs.example", "personne@aura.mssante.example"] {
        refused(scene.aura, "553 5.7.1", "sender-not-yours", || scene.send(&scene.camille, &["--from", from]).all());
    }
    refused(scene.aura, "553 5.1.7", "bad-sender", || {
        scene.raw(&scene.camille, "MAIL FROM:<a@[192.0.2.1]>\r\nQUIT\r\n")
    });
}

#[test]
fn a_header_that_is_not_theirs_is_refused() {
    let scene = scene!("openssl");
    let (mine, other) = (&scene.camille.address, &scene.jerome.address);
    let headers = [
        ("header-not-yours", format!("From: {other}\r\n")),
        ("header-not-yours", format!("From: {mine}\r\nSender: {other}\r\n")),
        ("header-from-several", format!("From: {mine}\r\nFrom: {mine}\r\n")),
        ("header-from-several", format!("From: {mine}, {other}\r\n")),
        ("header-from-missing", "Subject: x\r\n".to_owned()),
        ("header-sender-unreadable", "From: Camille\r\n".to_owned()),
        ("header-sender-several", format!("From: {mine}\r\nSender: {mine}, {other}\r\n")),
    ];
    for (rule, header) in headers {
        refused(scene.aura, "550 5.7.1", rule, || {
            scene.raw(&scene.camille, scene.message(mine, &format!("{header}\r\nx")))
        });
    }
}

#[test]
fn bounds_hold_whatever_name_is_put_on_a_message() {
    let scene = scene!("openssl");
    let person = scene.camille.person.clone().unwrap();
    let cab = scene.aura.mailbox("CAB").address.clone();
    scene.administer(&["mailbox", "set", &cab, "--restricted=true", "--grant", &format!("{person}:send")]);
    let real = scene.other.mailbox("PER").address.clone();
    let script = format!(
        "MAIL FROM:<{}>\r\nRCPT TO:<{real}>\r\nDATA\r\nFrom: {cab}\r\n\r\nx\r\n.\r\nQUIT\r\n",
        scene.camille.address
    );
    refused(scene.aura, "550 5.7.1", "sender-restricted", || scene.raw(&scene.camille, &script));
    scene.administer(&["mailbox", "set", &cab, "--restricted=false", "--clear", "access-list"]);
}

#[test]
fn a_wrong_password_is_refused_and_the_connection_goes_on() {
    let scene = scene!("swaks", "openssl");
    let failed = || figure(scene.aura, "caducee_logins_total{means=\"password\",result=\"refused\"}");
    let before = failed();
    refused(scene.aura, "535 5.7.8", "login-refused", || {
        // Nobody's address: no mailbox of the other tests is slowed down by it.
        scene.behind_tls("EHLO a\r\nAUTH PLAIN AG5vYm9keUBhdXJhLm1zc2FudGUuZXhhbXBsZQB3cm9uZw==\r\nNOOP\r\nQUIT\r\n")
    });
    assert!(failed() > before);
    let said = scene.behind_tls("EHLO a\r\nAUTH LOGIN\r\n*\r\nNOOP\r\nQUIT\r\n");
    assert!(said.contains("501 5.7.0") && said.contains("250 2.0.0 Ok") && said.contains("221 2.0.0"), "{said}");
}

#[test]
fn nothing_goes_without_a_login_and_no_login_without_tls() {
    use std::io::{Read, Write};
    let scene = scene!("openssl");
    let script = format!("EHLO a\r\nMAIL FROM:<{}>\r\nQUIT\r\n", scene.camille.address);
    refused(scene.aura, "530 5.7.0", "auth-required", || scene.behind_tls(&script));
    refused(scene.aura, "538 5.7.11", "auth-needs-tls", || {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", scene.aura.ports.submission)).unwrap();
        stream.write_all(b"EHLO a\r\nAUTH PLAIN AGEAYg==\r\nQUIT\r\n").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.contains("250-STARTTLS") && !said.contains("250-AUTH"), "{said}");
        said
    });
}

#[test]
fn what_is_too_much_is_refused() {
    let scene = scene!("openssl");
    let mine = &scene.camille.address;
    refused(scene.aura, "552 5.3.4", "too-big", || {
        scene.raw(&scene.camille, format!("MAIL FROM:<{mine}> SIZE=99999999\r\nQUIT\r\n"))
    });
    let many = format!("RCPT TO:<{}>\r\n", scene.jerome.address).repeat(1001);
    refused(scene.aura, "452 4.5.3", "too-many-recipients", || {
        scene.raw(&scene.camille, format!("MAIL FROM:<{mine}>\r\n{many}QUIT\r\n"))
    });
    let bare = scene.message(mine, &format!("From: {mine}\r\n\r\na\nb"));
    refused(scene.aura, "554 5.6.0", "bare-lf", || scene.raw(&scene.camille, bare));
    let hops = "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n".repeat(200);
    let round = scene.message(mine, &format!("{hops}From: {mine}\r\n\r\nx"));
    refused(scene.aura, "554 5.4.6", "mail-loop", || scene.raw(&scene.camille, round));
}

#[test]
fn a_full_mailbox_is_said_to_be_so() {
    let scene = scene!("openssl");
    let full = &scene.aura.special("tiny_quota").address;
    let script = format!("MAIL FROM:<{}> SIZE=20000000\r\nRCPT TO:<{full}>\r\nQUIT\r\n", scene.camille.address);
    refused(scene.aura, "452 4.2.2", "over-quota", || scene.raw(&scene.camille, &script));
}

#[test]
fn a_message_can_be_held_back_on_its_way_to_others_only() {
    let scene = scene!("openssl");
    let (mine, elsewhere) = (&scene.camille.address, &scene.other.mailbox("PER").address);
    refused(scene.aura, "550 5.7.1", "hold-local", || {
        let script = format!("MAIL FROM:<{mine}> HOLDFOR=3600\r\nRCPT TO:<{}>\r\nQUIT\r\n", scene.jerome.address);
        scene.raw(&scene.camille, script)
    });
    refused(scene.aura, "501 5.5.4", "hold-too-long", || {
        scene.raw(&scene.camille, format!("MAIL FROM:<{mine}> HOLDFOR=99999999\r\nQUIT\r\n"))
    });
    let said = scene.raw(
        &scene.camille,
        format!(
            "MAIL FROM:<{mine}> HOLDFOR=3600\r\nRCPT TO:<{elsewhere}>\r\nDATA\r\nFrom: {mine}\r\n\r\nx\r\n.\r\nQUIT\r\n"
        ),
    );
    assert!(said.contains("250-FUTURERELEASE 604800 20") && said.contains("250 2.6.0 "), "{said}");
}
