//! Sessions from their greeting to their end.

use caducee::accounts::AccountChange;
use caducee::config::Config;
use caducee::config::fronts::{LoginWay, Logins};
use caducee::serve::front::Front;
use rustls::pki_types::CertificateDer;

use super::harness::{Client, MAILBOX, PASSWORD, Server};

#[tokio::test]
async fn before_tls_a_password_is_neither_asked_for_nor_heard() {
    let server = Server::start().await;
    let mut client = server.connect(false).await;
    let lines = client.ok("CAPABILITY").await;
    assert!(lines[0].contains(" STARTTLS LOGINDISABLED") && !lines[0].contains("AUTH="), "{lines:?}");
    client.refused(&format!("LOGIN {MAILBOX} \"{PASSWORD}\""), "NO [PRIVACYREQUIRED]").await;
    client.refused("AUTHENTICATE PLAIN", "NO [PRIVACYREQUIRED]").await;
    client.refused("SELECT INBOX", "BAD Log in first").await;
}

#[tokio::test]
async fn starttls_throws_away_what_was_sent_in_plain_text() {
    let server = Server::start().await;
    let mut client = server.connect(false).await;
    client.send("a STARTTLS\r\nb NOOP\r\n").await;
    assert_eq!(client.until("a").await, ["OK Begin TLS"]);
    let lines = client.ok("CAPABILITY").await;
    assert!(lines[0].contains(" AUTH=PLAIN AUTH=LOGIN") && !lines[0].contains("STARTTLS"), "{lines:?}");
    client.refused("STARTTLS", "BAD").await;
    client.ok(&format!("LOGIN {MAILBOX} \"{PASSWORD}\"")).await;
}

#[tokio::test]
async fn login_tells_the_capabilities_after_it() {
    let server = Server::start().await;
    let mut client = server.connect(true).await;
    let lines = client.ok(&format!("LOGIN {MAILBOX} \"{PASSWORD}\"")).await;
    for capability in ["IDLE", "UIDPLUS", "MOVE", "SPECIAL-USE", "CONDSTORE", "QUOTA", "APPENDLIMIT=4194304"] {
        assert!(lines[0].contains(&format!(" {capability}")), "{capability}: {lines:?}");
    }
    client.refused(&format!("LOGIN {MAILBOX} \"{PASSWORD}\""), "BAD Already logged in").await;
}

#[tokio::test]
async fn every_way_to_send_a_password_works() {
    use base64::Engine as _;
    let encode = |text: &str| base64::prelude::BASE64_STANDARD.encode(text);
    let plain = encode(&format!("\0{MAILBOX}\0{PASSWORD}"));
    let server = Server::start().await;
    server.connect(true).await.ok(&format!("AUTHENTICATE PLAIN {plain}")).await;

    let mut client = server.connect(true).await;
    client.send("a AUTHENTICATE plain\r\n").await;
    assert_eq!(client.line().await, "+ ");
    client.send(format!("{plain}\r\n")).await;
    assert!(client.line().await.starts_with("a OK "));

    let mut client = server.connect(true).await;
    client.send("a AUTHENTICATE LOGIN\r\n").await;
    assert_eq!(client.line().await, "+ VXNlcm5hbWU6");
    client.send(format!("{}\r\n", encode(MAILBOX))).await;
    assert_eq!(client.line().await, "+ UGFzc3dvcmQ6");
    client.send(format!("{}\r\n", encode(PASSWORD))).await;
    assert!(client.line().await.starts_with("a OK "));

    let mut client = server.connect(true).await;
    client.send(format!("a LOGIN {{{}}}\r\n", MAILBOX.len())).await;
    assert_eq!(client.line().await, "+ Go on");
    client.send(format!("{MAILBOX} {{{}}}\r\n", PASSWORD.len())).await;
    assert_eq!(client.line().await, "+ Go on");
    client.send(format!("{PASSWORD}\r\n")).await;
    assert!(client.line().await.starts_with("a OK "));
}

#[tokio::test]
async fn a_failed_login_keeps_the_connection_and_many_end_it() {
    let server = Server::start().await;
    let mut client = server.connect(true).await;
    client.refused(&format!("LOGIN {MAILBOX} wrong"), "NO [AUTHENTICATIONFAILED]").await;
    client.refused("LOGIN nobody@aura.mssante.example wrong", "NO [AUTHENTICATIONFAILED]").await;
    client.refused("AUTHENTICATE PLAIN !!!", "BAD").await;
    client.refused("AUTHENTICATE PLAIN\r\n*", "BAD Authentication cancelled").await;
    client.refused("AUTHENTICATE EXTERNAL =", "NO [AUTHENTICATIONFAILED]").await;
    client.refused("AUTHENTICATE CRAM-MD5", "NO [CANNOT]").await;
    let mut last = server.connect(true).await;
    for _ in 1..server.options.max_login_failures {
        last.refused("LOGIN a b", "NO [").await;
    }
    last.send("z LOGIN a b\r\n").await;
    let end = last.end().await;
    let farewell = end.strip_prefix("* NO [ALERT] ").and_then(|told| told.split_once("\r\n")).map(|(_, rest)| rest);
    assert_eq!(farewell, Some("* BYE Too many failed logins\r\n"), "{end}");
    client.ok(&format!("LOGIN {MAILBOX} \"{PASSWORD}\"")).await;
}

/// What a refused login shows to who sits at the program, and the tagged answer.
async fn refusal(client: &mut Client, command: &str) -> (String, String) {
    let mut lines = client.command(command).await;
    let answer = lines.pop().unwrap();
    let alert = lines.pop().and_then(|line| line.strip_prefix("* NO [ALERT] ").map(str::to_owned));
    assert!(lines.is_empty(), "{lines:?}");
    (alert.unwrap_or_else(|| panic!("no alert before {answer}")), answer)
}

#[tokio::test]
async fn nobody_learns_from_a_refusal_whether_a_mailbox_exists_and_everybody_what_their_connection_lacks() {
    let server = Server::start().await;
    let strict = AccountChange { allow_password: Some(false), ..AccountChange::default() };
    server.registry.set(server.account, &strict).await.unwrap();
    let (user, password) = (MAILBOX, PASSWORD);
    let mut told = Vec::new();
    for (user, password) in [(user, password), (user, "wrong"), ("nobody@aura.mssante.example", password), ("x", "y")] {
        let mut client = server.connect(true).await;
        told.push(refusal(&mut client, &format!("LOGIN {user} \"{password}\"")).await);
    }
    assert!(told.iter().all(|refused| *refused == told[0]), "{told:?}");
    let (alert, answer) = &told[0];
    assert!(
        alert.starts_with("Connexion refusee : ") && alert.contains("Aucun certificat n'a ete presente"),
        "{alert}"
    );
    assert!(answer.starts_with("NO [AUTHENTICATIONFAILED] ") && answer.ends_with("no client certificate was shown"));
    let mut client = server.connect(true).await;
    let (alert, _) = refusal(&mut client, "AUTHENTICATE EXTERNAL =").await;
    assert!(alert.contains("Aucun certificat n'a ete presente"), "{alert}");
}

#[tokio::test]
async fn where_no_certificate_is_taken_nobody_is_told_to_show_one() {
    let mut server = Server::start().await;
    let logins = Logins { ways: vec![LoginWay::Password], ..Logins::default() };
    server.front = Front::main(&Config { logins, ..Config::default() });
    let mut client = server.connect(true).await;
    let answer = client.command("AUTHENTICATE EXTERNAL =").await;
    assert_eq!(answer, ["NO [CANNOT] This mechanism is not offered here"], "{answer:?}");
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_named_beside_a_refused_password_whose_ever_the_mailbox() {
    let server = Server::start().await;
    for user in [MAILBOX, "nobody@aura.mssante.example"] {
        let mut client = server.connect_with(vec![CertificateDer::from(vec![0x30, 0x00])]).await;
        let (alert, answer) = refusal(&mut client, &format!("LOGIN {user} wrong")).await;
        assert!(alert.contains("Le certificat presente est revoque"), "{alert}");
        assert!(answer.ends_with("the certificate is revoked"), "{answer}");
        let (alert, _) = refusal(&mut client, "AUTHENTICATE EXTERNAL =").await;
        assert_eq!(alert, "Connexion refusee. Le certificat presente est revoque : demandez-en un autre.");
    }
}

#[tokio::test]
async fn one_wrong_password_by_every_mechanism_of_a_connection_is_one_failure() {
    use base64::Engine as _;
    let mut server = Server::start().await;
    server.options.max_login_failures = 100;
    let mut client = server.connect(true).await;
    let plain = base64::prelude::BASE64_STANDARD.encode(format!("\0{MAILBOX}\0stale password"));
    for _ in 0..20 {
        client.refused(&format!("AUTHENTICATE PLAIN {plain}"), "NO [AUTHENTICATIONFAILED]").await;
        client.refused(&format!("LOGIN {MAILBOX} \"stale password\""), "NO [AUTHENTICATIONFAILED]").await;
    }
    let begin = std::time::Instant::now();
    server.login().await;
    assert!(begin.elapsed() < std::time::Duration::from_millis(500), "nobody waits for them: {:?}", begin.elapsed());
    // Different ones are as many failures.
    server.mailbox("accueil@aura.mssante.example").await;
    let guess = |n: u32| format!("LOGIN accueil@aura.mssante.example \"guess {n}\"");
    for n in 0..4 {
        client.refused(&guess(n), "NO [AUTHENTICATIONFAILED]").await;
    }
    let begin = std::time::Instant::now();
    client.refused(&guess(4), "NO [AUTHENTICATIONFAILED]").await;
    assert!(begin.elapsed() >= std::time::Duration::from_millis(400), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_suspended_mailbox_opens_for_nobody_and_ends_its_sessions() {
    let server = Server::start().await;
    let mut open = server.inbox().await;
    open.send("i IDLE\r\n").await;
    assert_eq!(open.line().await, "+ idling");
    server.registry.suspend(server.account, "test").await.unwrap();
    assert!(open.end().await.starts_with("* BYE "));
    let mut client = server.connect(true).await;
    let (alert, answer) = refusal(&mut client, &format!("LOGIN {MAILBOX} \"{PASSWORD}\"")).await;
    assert_eq!(alert, "Cette boite est suspendue : contactez l'operateur.");
    assert!(answer.starts_with("NO [CONTACTADMIN]"), "{answer}");
}

#[tokio::test]
async fn a_mailbox_has_a_bounded_number_of_sessions() {
    let mut server = Server::start().await;
    server.options.max_sessions = 2;
    let first = server.login().await;
    let _second = server.login().await;
    let mut third = server.connect(true).await;
    third.refused(&format!("LOGIN {MAILBOX} \"{PASSWORD}\""), "NO [LIMIT]").await;
    drop(first);
    for _ in 0..100 {
        let lines = third.command(&format!("LOGIN {MAILBOX} \"{PASSWORD}\"")).await;
        if lines.last().unwrap().starts_with("OK") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the place of the first session was not given back");
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye() {
    let server = Server::start().await;
    let mut waiting = server.inbox().await;
    let mut idling = server.inbox().await;
    idling.send("i IDLE\r\n").await;
    assert_eq!(idling.line().await, "+ idling");
    server.switch.begin();
    assert_eq!(waiting.end().await, "* BYE The server is stopping\r\n");
    assert_eq!(idling.end().await, "* BYE The server is stopping\r\n");
}

#[tokio::test]
async fn id_enable_namespace_and_logout_answer() {
    let server = Server::start().await;
    let mut client = server.login().await;
    assert_eq!(client.ok("ID (\"name\" \"test\")").await[0], "* ID (\"name\" \"Caducee\")");
    assert_eq!(client.ok("ENABLE CONDSTORE X-NOT").await[0], "* ENABLED CONDSTORE");
    assert_eq!(client.ok("NAMESPACE").await[0], "* NAMESPACE ((\"\" \"/\")) NIL NIL");
    client.send("q LOGOUT\r\n").await;
    assert_eq!(client.end().await, "* BYE Goodbye\r\nq OK Logged out\r\n");
}

#[tokio::test]
async fn bad_commands_are_explained_and_many_end_the_session() {
    let server = Server::start().await;
    let mut client = server.connect(true).await;
    client.refused("FROB", "BAD Unknown command").await;
    client.send("\r\n").await;
    assert_eq!(client.line().await, "* BAD Empty command line");
    client.send("x NOOP\n").await;
    assert_eq!(client.line().await, "x BAD Lines end in CRLF");
    client.refused("LOGIN {9000}", "NO [TOOBIG]").await;
    for _ in 5..server.options.max_errors {
        client.refused("FROB", "BAD").await;
    }
    client.send("z FROB\r\n").await;
    assert!(client.end().await.contains("* BYE Too many bad commands"));
}

#[tokio::test]
async fn who_does_not_log_in_in_time_is_shown_out() {
    let mut server = Server::start().await;
    server.options.login_timeout = std::time::Duration::from_millis(50);
    let mut client = server.connect(true).await;
    assert_eq!(client.end().await, "* BYE Too long without a login\r\n");
}

#[tokio::test]
async fn an_external_login_is_judged_at_login() {
    let server = Server::start().await;
    let mut client = server.connect(true).await;
    // Without a certificate in the handshake the mechanism is not offered.
    assert!(!client.ok("CAPABILITY").await[0].contains("AUTH=EXTERNAL"));
}
