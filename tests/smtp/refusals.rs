//! Each refusal of the operators' door, seen from outside: its codes, its rule's name with a reference, its counter.

use crate::door::{figure, refused, talk, talk_plain};
use crate::support::{Description, Identity, Operator, Sandbox, have, swaks};

/// The sandbox, its first operator, and a listed peer nobody serves.
struct Scene {
    known: &'static Description,
    aura: &'static Operator,
    peer: Identity,
    from: String,
    to: String,
}

fn scene() -> Option<Scene> {
    if !have("swaks") || !have("openssl") {
        return None;
    }
    let known = &Sandbox::shared().description;
    let peer = &known.peers[0];
    Some(Scene {
        known,
        aura: known.aura(),
        peer: Identity { cert: peer.cert.clone(), key: peer.key.clone() },
        from: format!("anne.roux@{}", peer.domains[0]),
        to: known.aura().mailbox("PER").address.clone(),
    })
}

impl Scene {
    /// What swaks saw: an ordinary message from the peer, but for what the options change.
    fn swaks(&self, options: &[&str]) -> String {
        self.swaks_as(Some(&self.peer), options)
    }

    fn swaks_as(&self, identity: Option<&Identity>, options: &[&str]) -> String {
        let mut tool = swaks(self.known, self.aura, identity);
        for (option, default) in [("--from", &self.from), ("--to", &self.to)] {
            if !options.contains(&option) {
                tool = tool.args([option, default]);
            }
        }
        tool.args(options).run().all()
    }

    /// What the server answers to raw bytes behind TLS and `EHLO`.
    fn raw(&self, script: &[u8]) -> String {
        talk(self.known, self.aura, &self.peer, [b"EHLO peer.example\r\n", script].concat()).all()
    }

    /// What it answers to a message with these bytes; `params` go to `MAIL`.
    fn message(&self, params: &str, data: &[u8]) -> String {
        let envelope =
            format!("MAIL FROM:<{}>{params}\r\nRCPT TO:<{}>\r\nDATA\r\nFrom: {}\r\n", self.from, self.to, self.from);
        self.raw(&[envelope.as_bytes(), data, b"\r\n.\r\nQUIT\r\n"].concat())
    }

    #[track_caller]
    fn refused(&self, code: &str, rule: &str, doing: impl FnOnce() -> String) -> String {
        refused(self.aura, code, rule, doing)
    }
}

macro_rules! scene {
    () => {
        match scene() {
            Some(scene) => scene,
            None => return,
        }
    };
}

#[test]
fn an_ordinary_message_is_taken() {
    let scene = scene!();
    let said = scene.swaks(&[]);
    assert!(said.contains("250 2.6.0 "), "{said}");
}

#[test]
fn mail_without_tls_is_refused() {
    let scene = scene!();
    scene.refused("530 5.7.0", "tls-required", || {
        let script = format!("EHLO a\r\nMAIL FROM:<{}>\r\nQUIT\r\n", scene.from);
        talk_plain(scene.aura, script)
    });
}

#[test]
fn bad_certificates_are_refused_in_the_handshake() {
    let scene = scene!();
    let bad = [
        ("expired", "expired"),
        ("revoked", "revoked"),
        ("not_yet_valid", "not-yet-valid"),
        ("foreign", "unknown-issuer"),
        ("self_signed", "unknown-issuer"),
        ("no_client_auth", "wrong-usage"),
        ("no_extended_key_usage", "wrong-usage"),
    ];
    let identities = bad.map(|(name, result)| (Some(&scene.known.bad_certificates[name]), result));
    for (identity, result) in identities.into_iter().chain([(None, "no-certificate")]) {
        let name = format!("caducee_tls_handshakes_total{{door=\"smtp\",result=\"{result}\"}}");
        let before = figure(scene.aura, &name);
        let said = scene.swaks_as(identity, &[]);
        assert!(!said.contains("250 2.1.0") && !said.contains("250 2.6.0"), "{result}:\n{said}");
        assert!(figure(scene.aura, &name) > before, "{result} is not counted");
    }
}

#[test]
fn peers_that_are_not_listed_are_refused_with_a_reason() {
    let scene = scene!();
    for (name, rule) in [("not_listed", "peer-not-listed"), ("same_cn_other_dn", "peer-dn-differs")] {
        scene.refused("550 5.7.1", rule, || scene.swaks_as(Some(&scene.known.bad_certificates[name]), &[]));
    }
}

#[test]
fn a_sender_of_another_operator_is_refused() {
    let scene = scene!();
    let other = format!("x@{}", scene.known.operators[1].domains[0]);
    scene.refused("550 5.7.1", "sender-domain-not-peers", || scene.swaks(&["--from", &other]));
    scene.refused("550 5.7.1", "sender-domain-not-peers", || scene.swaks(&["--from", &scene.to]));
    scene.refused("550 5.7.1", "sender-domain-unlisted", || scene.swaks(&["--from", "x@nowhere.example"]));
    scene.refused("553 5.1.7", "bad-sender", || scene.swaks(&["--from", "x@[192.0.2.1]"]));
}

#[test]
fn a_header_of_another_operator_is_refused() {
    let scene = scene!();
    let other = format!("x@{}", scene.known.operators[1].domains[0]);
    let refused = |rule, header: &str| {
        scene.refused("550 5.7.1", rule, || {
            let data = format!("From: {}\r\n{header}\r\n\r\ntext\r\n", scene.from);
            let data = if header.starts_with("From") { format!("{header}\r\n\r\ntext\r\n") } else { data };
            scene.swaks(&["--data", &data.replace("\r\n", "\n")])
        });
    };
    refused("header-from-not-peers", &format!("From: {other}"));
    refused("header-sender-not-peers", &format!("Sender: {other}"));
    refused("header-from-several", &format!("From: {0}\r\nFrom: {0}", scene.from));
    refused("header-from-several", &format!("From: {0}, {0}", scene.from));
    refused("header-sender-unreadable", "From: Anne Roux");
    refused("header-sender-several", &format!("Sender: {0}\r\nSender: {0}", scene.from));
    scene.refused("550 5.7.1", "header-from-missing", || scene.swaks(&["--data", "Subject: x\n\ntext\n"]));
}

#[test]
fn recipients_that_cannot_take_mail_are_refused() {
    let scene = scene!();
    let own = &scene.aura.domains[0];
    let special = |name: &str| scene.aura.special_mailboxes[name].address.clone();
    for (code, rule, to) in [
        ("550 5.1.1", "recipient-unknown", format!("nobody@{own}")),
        ("550 5.1.1", "recipient-closed", special("closed")),
        ("550 5.2.1", "recipient-suspended", special("suspended")),
        ("550 5.7.1", "recipient-restricted", special("restricted")),
        ("550 5.7.1", "relaying", format!("x@{}", scene.known.operators[1].domains[0])),
        ("550 5.7.1", "relaying", "x@nowhere.example".to_owned()),
        ("553 5.1.3", "bad-recipient", "x@[192.0.2.1]".to_owned()),
        ("553 5.1.3", "bad-recipient", "postmaster".to_owned()),
        ("550 5.1.1", "recipient-unknown", format!("postmaster@{own}")),
    ] {
        let to = &to;
        scene.refused(code, rule, || scene.swaks(&["--to", to]));
    }
}

#[test]
fn test_mailboxes_and_real_ones_do_not_mix() {
    let scene = scene!();
    let test = &scene.aura.test_mailbox().address;
    scene.refused("550 5.7.1", "real-to-test", || scene.swaks(&["--to", test]));
    let from_test = format!("test.medecin@{}", scene.known.peers[0].domains[0]);
    scene.refused("550 5.7.1", "test-to-real", || scene.swaks(&["--from", &from_test]));
    assert!(scene.swaks(&["--from", &from_test, "--to", test]).contains("250 2.6.0"));
}

#[test]
fn a_citizen_cannot_write_first() {
    let scene = scene!();
    let citizen = "184127512345678@patient.mssante.example";
    let header = format!("From: {citizen}");
    let said =
        scene.refused("550 5.7.1", "citizen-not-started", || scene.swaks(&["--from", citizen, "--header", &header]));
    assert!(said.contains("vous pouvez repondre a un message"), "{said}");
}

#[test]
fn a_full_mailbox_is_refused_for_now_on_its_first_day() {
    let scene = scene!();
    let full = &scene.aura.special_mailboxes["tiny_quota"].address;
    scene.refused("452 4.2.2", "over-quota", || {
        let script = format!("MAIL FROM:<{}> SIZE=5000000\r\nRCPT TO:<{full}>\r\nQUIT\r\n", scene.from);
        scene.raw(script.as_bytes())
    });
}

#[test]
fn each_recipient_has_its_own_answer() {
    let scene = scene!();
    let to = format!("{},nobody@{}", scene.to, scene.aura.domains[0]);
    let said = scene.swaks(&["--to", &to]);
    assert!(said.contains("550 5.1.1") && said.contains("250 2.1.5") && said.contains("250 2.6.0"), "{said}");
}

#[test]
fn a_null_sender_is_taken_from_a_listed_peer() {
    let scene = scene!();
    let header = format!("From: mailer-daemon@{}", scene.known.peers[0].domains[0]);
    let said = scene.swaks(&["--from", "<>", "--header", &header]);
    assert!(said.contains("250 2.6.0"), "{said}");
    let stranger = Some(&scene.known.bad_certificates["not_listed"]);
    scene.refused("550 5.7.1", "peer-not-listed", || scene.swaks_as(stranger, &["--from", "<>"]));
}

#[test]
fn messages_that_are_too_big_are_refused_before_and_after() {
    let scene = scene!();
    let announced = format!("MAIL FROM:<{}> SIZE=26214401\r\nQUIT\r\n", scene.from);
    scene.refused("552 5.3.4", "too-big", || scene.raw(announced.as_bytes()));
    let big = "0123456789012345678901234567890123456789012345678901234567890123456789012345\r\n".repeat(340_000);
    scene.refused("552 5.3.4", "too-big", || scene.message("", format!("\r\n{big}").as_bytes()));
    let chunk = format!("MAIL FROM:<{}>\r\nRCPT TO:<{}>\r\nBDAT {} LAST\r\n", scene.from, scene.to, big.len());
    scene.refused("552 5.3.4", "too-big", || scene.raw(&[chunk.as_bytes(), big.as_bytes(), b"QUIT\r\n"].concat()));
    let header = "X-Long: 0123456789012345678901234567890123456789\r\n".repeat(6000);
    scene.refused("552 5.3.4", "long-header", || scene.message("", header.as_bytes()));
}

#[test]
fn too_many_recipients_and_too_many_errors_are_refused() {
    let scene = scene!();
    let recipients = format!("RCPT TO:<{}>\r\n", scene.to).repeat(101);
    scene.refused("452 4.5.3", "too-many-recipients", || {
        scene.raw(format!("MAIL FROM:<{}>\r\n{recipients}QUIT\r\n", scene.from).as_bytes())
    });
    scene.refused("421 4.7.0", "too-many-errors", || scene.raw("BOGUS\r\n".repeat(30).as_bytes()));
}

#[test]
fn every_form_of_smuggling_is_refused_and_nothing_behind_it_is_read() {
    let scene = scene!();
    let smuggled =
        format!("MAIL FROM:<{0}>\r\nRCPT TO:<{1}>\r\nDATA\r\nFrom: {0}\r\n\r\nsmuggled", scene.from, scene.to);
    for ending in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\r\r\n.\r\n", "\n\r\n.\r\n"] {
        let rule = match ending.find('\n') {
            Some(0) => "bare-lf",
            _ if ending.starts_with("\r\n.\n") => "bare-lf",
            _ => "bare-cr",
        };
        let said =
            scene.refused("554 5.6.0", rule, || scene.message("", format!("\r\ntext{ending}{smuggled}").as_bytes()));
        assert!(!said.contains("250 2.6.0") && said.matches("250 2.1.0").count() == 1, "{ending:?}:\n{said}");
    }
    scene.refused("554 5.6.0", "bare-lf", || {
        let chunk = format!("MAIL FROM:<{}>\r\nRCPT TO:<{}>\r\nBDAT 7 LAST\r\nA: b\nc\nQUIT\r\n", scene.from, scene.to);
        scene.raw(chunk.as_bytes())
    });
}

#[test]
fn commands_that_do_not_end_in_crlf_are_refused() {
    let scene = scene!();
    scene.refused("500 5.5.2", "bare-lf", || scene.raw(b"NOOP\nMAIL FROM:<>\r\n"));
    scene.refused("500 5.5.2", "bare-cr", || scene.raw(b"NOOP\rMAIL FROM:<>\r\n"));
}

#[test]
fn plain_text_behind_starttls_is_refused() {
    let scene = scene!();
    let said = scene.refused("554 5.7.0", "plaintext-injection", || {
        talk_plain(scene.aura, "EHLO a\r\nSTARTTLS\r\nEHLO b\r\nMAIL FROM:<x@y.example>\r\n")
    });
    assert!(!said.contains("220 2.0.0"), "TLS must not start:\n{said}");
}

#[test]
fn oversized_lines_are_refused() {
    let scene = scene!();
    let long = "x".repeat(9000);
    scene.refused("554 5.6.0", "long-line", || scene.message("", format!("\r\n{long}\r\n").as_bytes()));
    scene.refused("500 5.5.2", "long-command", || scene.raw(format!("NOOP {long}\r\nQUIT\r\n").as_bytes()));
    scene.refused("500 5.5.2", "long-command", || scene.raw(format!("NOOP {}\r\nQUIT\r\n", &long[..600]).as_bytes()));
}

#[test]
fn nul_and_undeclared_eight_bit_data_are_refused() {
    let scene = scene!();
    scene.refused("554 5.6.0", "nul", || scene.message(" BODY=8BITMIME", b"\r\na\0b"));
    scene.refused("554 5.6.1", "eight-bit", || scene.message("", "\r\nété".as_bytes()));
    scene.refused("554 5.6.7", "eight-bit-header", || scene.message("", "Subject: été\r\n\r\ntext".as_bytes()));
    assert!(scene.message(" BODY=8BITMIME", "\r\nété".as_bytes()).contains("250 2.6.0"));
    assert!(scene.message(" SMTPUTF8", "Subject: été\r\n\r\ntext".as_bytes()).contains("250 2.6.0"));
    scene.refused("553 5.6.7", "smtputf8-required", || {
        scene.raw(format!("MAIL FROM:<été@{}>\r\nQUIT\r\n", scene.known.peers[0].domains[0]).as_bytes())
    });
}

#[test]
fn a_message_that_goes_round_in_a_circle_is_refused() {
    let scene = scene!();
    let hops =
        |count: usize, by: &str| format!("Received: from a.example by {by} with SMTP\r\n").repeat(count) + "\r\nx";
    scene.refused("554 5.4.6", "mail-loop", || scene.message("", hops(51, "b.example").as_bytes()));
    let ours = format!("smtp.{}", scene.aura.domains[0]);
    scene.refused("554 5.4.6", "mail-loop", || scene.message("", hops(4, &ours).as_bytes()));
    assert!(scene.message("", hops(50, "b.example").as_bytes()).contains("250 2.6.0"));
}

#[test]
fn verbs_that_are_not_served_say_so() {
    let scene = scene!();
    let said = scene.raw(b"VRFY x\r\nEXPN x\r\nHELP\r\nETRN x\r\nTURN\r\nAUTH PLAIN\r\nSTARTTLS\r\nQUIT\r\n");
    let codes = ["252 2.1.5", "502 5.5.1", "214 2.0.0", "500 5.5.1", "503 5.5.1", "221 2.0.0"];
    assert!(codes.iter().all(|code| said.contains(code)), "{said}");
}
