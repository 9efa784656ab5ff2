//! The mailboxes are what the description says: asked with the command line, opened with what it gives.

use crate::support::{Mailbox, Operator, Sandbox, Tool, have};
use serde_json::Value;

/// What `caducee mailbox show` says, as JSON.
fn show(operator: &Operator, mailbox: &Mailbox) -> Value {
    let ran = Tool::new(env!("CARGO_BIN_EXE_caducee"))
        .args(["mailbox", "show", &mailbox.address, "--json", "--socket"])
        .arg(&operator.admin_socket)
        .run()
        .expect_ok("caducee mailbox show");
    serde_json::from_str(&ran.stdout).expect("--json gives JSON")
}

#[test]
fn each_special_mailbox_is_in_the_state_of_its_name() {
    for operator in &Sandbox::shared().description.operators {
        let state = |special: &str| show(operator, operator.special(special));
        assert_eq!(state("suspended")["state"], "suspended");
        assert_eq!(state("closed")["state"], "closed");
        assert_eq!(state("restricted")["restricted"], true);
        assert_eq!(state("tiny_quota")["quota"], 4096);
    }
}

#[test]
fn each_mailbox_is_of_its_kind_and_open() {
    for operator in &Sandbox::shared().description.operators {
        for mailbox in &operator.mailboxes {
            let there = show(operator, mailbox);
            assert_eq!(there["kind"], Value::from(mailbox.kind.clone()), "{}", mailbox.address);
            assert_eq!(there["test"], mailbox.test, "{}", mailbox.address);
            assert_eq!(there["state"], "open", "{}", mailbox.address);
            assert_eq!(there["has_password"], mailbox.password.is_some(), "{}", mailbox.address);
        }
    }
}

/// Logs in with the certificate alone (SASL EXTERNAL) and prints how many messages INBOX holds.
const EXTERNAL: &str = r#"
import imaplib, ssl, sys
ca, cert, key, port, address = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(cert, key)
client = imaplib.IMAP4_SSL("localhost", int(port), ssl_context=context, timeout=20)
client.authenticate("EXTERNAL", lambda _: address.encode())
print(client.select("INBOX", readonly=True)[1][0].decode())
client.logout()
"#;

#[test]
fn an_application_opens_its_mailbox_with_its_certificate_and_nobody_elses() {
    if !have("python3") {
        return;
    }
    let known = &Sandbox::shared().description;
    let open = |operator: &Operator, mailbox: &Mailbox, address: &str| {
        let (cert, key) = (mailbox.cert.as_ref().unwrap(), mailbox.key.as_ref().unwrap());
        let tool = Tool::new("python3").args(["-c", EXTERNAL]).arg(&known.ca).arg(cert).arg(key);
        tool.arg(operator.ports.imaps.to_string()).arg(address).run()
    };
    for operator in &known.operators {
        let application = operator.mailbox("APP");
        for address in [application.address.as_str(), ""] {
            let opened = open(operator, application, address).expect_ok("opening an application's mailbox");
            assert_eq!(opened.stdout.trim(), "0", "the samples are for people");
        }
        let refused = open(operator, application, &operator.mailbox("PER").address);
        assert!(!refused.ok() && refused.all().contains("AUTHENTICATIONFAILED"), "{}", refused.all());
    }
}
