//! The doors of a whole server, seen from outside: mail that is refused at either door of SMTP, a holder at the page.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use caducee::audit::{Action, By, Trace};
use serde_json::Value;

use crate::support::{Description, Identity, Operator, Sandbox, Tool, have};

/// What an operator's server has written down, the oldest first, once `is_all` of it is there.
fn written(operator: &Operator, is_all: impl Fn(&[Trace]) -> bool) -> Vec<Trace> {
    let search = ["traces", "search", "--oldest-first", "--limit", "10000", "--format", "json", "--socket"];
    let begun = Instant::now();
    loop {
        let tool = Tool::new(env!("CARGO_BIN_EXE_caducee")).args(search).arg(&operator.admin_socket);
        let found: Value = serde_json::from_str(&tool.run().expect_ok("the search").stdout).unwrap();
        let traces: Vec<Trace> = found["traces"].as_array().unwrap().iter().map(read).collect();
        if is_all(&traces) {
            return traces;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{traces:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A trace as the API shows it: the time is a date there.
fn read(shown: &Value) -> Trace {
    let mut shown = shown.clone();
    shown["at"] = 0.into();
    serde_json::from_value(shown).unwrap()
}

/// What the door of other operators answers to a listed peer that writes all of this at once.
fn operators_door(known: &Description, aura: &Operator, peer: &Identity, script: &str) -> String {
    let tool = Tool::new("openssl").args(["s_client", "-quiet", "-starttls", "smtp", "-verify_return_error"]);
    let tool = tool.args(["-connect", &aura.smtp(), "-CAfile"]).arg(&known.ca).arg("-cert").arg(&peer.cert);
    let tool = tool.arg("-cert_chain").arg(&peer.cert).arg("-key").arg(&peer.key);
    tool.input(format!("EHLO peer.example\r\n{script}QUIT\r\n").as_bytes()).run().all()
}

/// What submission answers to somebody who logs in by password and writes all of this at once.
fn submission(known: &Description, aura: &Operator, (login, password): (&str, &str), script: &str) -> String {
    let plain = BASE64_STANDARD.encode(format!("\0{login}\0{password}"));
    let tool = Tool::new("openssl").args(["s_client", "-quiet", "-starttls", "smtp", "-verify_return_error"]);
    let tool = tool.args(["-connect", &format!("127.0.0.1:{}", aura.ports.submission), "-CAfile"]).arg(&known.ca);
    tool.input(format!("EHLO client.example\r\nAUTH PLAIN {plain}\r\n{script}QUIT\r\n").as_bytes()).run().all()
}

/// The rule, the sender and the recipient of each refusal at a door.
fn refusals<'a>(traces: &'a [Trace], door: &str) -> Vec<(&'a str, &'a str, Option<&'a str>)> {
    let at_door = traces.iter().filter(|trace| trace.origin.door == door);
    let refused = at_door.filter_map(|trace| match &trace.action {
        Action::Refused { rule, sender, recipient } => Some((rule.as_str(), sender.as_str(), recipient.as_deref())),
        _ => None,
    });
    refused.collect()
}

#[test]
fn mail_that_is_refused_at_a_door_and_a_holder_at_the_page_leave_their_traces() {
    if !have("openssl") || !have("python3") {
        return;
    }
    let sandbox = Sandbox::shared();
    let known = &sandbox.description;
    let aura = known.aura();
    let (peer, to) = (&known.peers[0], aura.mailbox("PER").address.clone());
    let identity = Identity { cert: peer.cert.clone(), key: peer.key.clone() };
    let from = format!("anne.roux@{}", peer.domains[0]);
    let nobody = format!("personne@{}", aura.domains[0]);
    let other = aura.mailbox("ORG").address.clone();

    // A recipient that nobody is, then a header that is not the peer's to send: refused for both who were accepted.
    let script = format!(
        "MAIL FROM:<{from}>\r\nRCPT TO:<{nobody}>\r\nRCPT TO:<{to}>\r\nRCPT TO:<{other}>\r\nDATA\r\n\
         From: {from}\r\nFrom: {from}\r\nMessage-ID: <refused@peer>\r\n\r\nx\r\n.\r\n"
    );
    let said = operators_door(known, aura, &identity, &script);
    assert!(said.contains("[rule recipient-unknown") && said.contains("[rule header-from-several"), "{said}");

    // Somebody here who would write as somebody else, and to nobody.
    let tester = aura.test_mailbox();
    let own = &tester.address;
    let script = format!("MAIL FROM:<{to}>\r\nMAIL FROM:<{own}>\r\nRCPT TO:<{nobody}>\r\n");
    let said = submission(known, aura, tester.credentials(), &script);
    assert!(said.contains("[rule sender-not-yours") && said.contains("[rule recipient-unknown"), "{said}");

    let portal = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/identity/portal.py");
    let scenario = "a_password_and_a_mailed_code_enrol_a_workstation_that_opens_imap";
    let tool = Tool::new("python3").args([portal, scenario]).arg(&sandbox.dir).arg(env!("CARGO_BIN_EXE_caducee"));
    tool.limit(Duration::from_secs(120)).run().expect_ok("the page");

    let traces = written(aura, |traces| traces.iter().any(device_is_out));
    let from = from.as_str();
    assert_eq!(
        refusals(&traces, "smtp"),
        [
            ("recipient-unknown", from, Some(nobody.as_str())),
            ("header-from-several", from, Some(to.as_str())),
            ("header-from-several", from, Some(other.as_str())),
        ]
    );
    let of_header = traces.iter().find(|trace| {
        trace.message.is_some() && trace.origin.door == "smtp" && matches!(trace.action, Action::Refused { .. })
    });
    let of_header = of_header.unwrap();
    assert_eq!(of_header.message.as_ref().unwrap().message_id, "<refused@peer>");
    assert_eq!((of_header.actor.by, of_header.mailbox.as_deref()), (Some(By::Operator), Some(to.as_str())));
    assert!(
        of_header.origin.subject.as_ref().is_some_and(|subject| subject.contains(&peer.domains[0])),
        "{of_header:?}"
    );
    assert!(!of_header.reference.is_empty());

    let of_own = [("sender-not-yours", to.as_str(), None), ("recipient-unknown", own.as_str(), Some(nobody.as_str()))];
    assert_eq!(refusals(&traces, "submission"), of_own);
    let is_own = |trace: &&Trace| trace.origin.door == "submission" && trace.mailbox.as_deref() == Some(own);
    let own: Vec<&Trace> = traces.iter().filter(is_own).collect();
    assert!(own.iter().all(|trace| trace.origin.session.is_some() && trace.actor.means.as_deref() == Some("password")));
    let names: Vec<&str> = own.iter().map(|trace| trace.action.name()).collect();
    assert_eq!(names, ["logged-in", "refused", "refused", "logged-out"]);

    at_the_page(&traces, &format!("portail.courriel@{}", aura.domains[0]));
}

/// Whether it is the end of a session that its workstation's revocation has ended.
fn device_is_out(trace: &Trace) -> bool {
    trace.action == Action::LoggedOut { reason: "credential-gone".into() } && trace.actor.device.is_some()
}

/// Somebody comes in with password and code, enrols a workstation and revokes it; its sessions end.
fn at_the_page(traces: &[Trace], address: &str) {
    let theirs: Vec<&Trace> = traces.iter().filter(|trace| trace.mailbox.as_deref() == Some(address)).collect();
    let at_page: Vec<&&Trace> = theirs.iter().filter(|trace| trace.origin.door == "portal").collect();
    assert!(at_page.iter().all(|trace| trace.actor.login.as_deref() == Some(address)), "{at_page:#?}");
    assert!(at_page.iter().all(|trace| trace.actor.means.as_deref() == Some("password-and-code")), "{at_page:#?}");
    let names: Vec<&str> = at_page
        .iter()
        .map(|trace| match &trace.action {
            Action::Administered { what, .. } => what.as_str(),
            action => action.name(),
        })
        .collect();
    assert_eq!(names[..3], ["logged-in", "device-enrolled", "device-revoked"]);
    let by_device = |trace: &&&Trace| trace.actor.device.as_deref() == Some("PC du cabinet");
    let by_device: Vec<&str> = theirs.iter().filter(by_device).map(|trace| trace.action.name()).collect();
    assert_eq!(by_device[..2], ["logged-in", "opened"]);
    assert!(theirs.iter().copied().any(device_is_out), "{theirs:#?}");
    let refused = |trace: &&Trace| matches!(trace.action, Action::LoginRefused { .. }) && trace.origin.door == "imap";
    assert!(theirs.iter().copied().filter(refused).count() >= 2, "a password alone opens nothing: {theirs:#?}");
}
