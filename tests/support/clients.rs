//! The clients that most tests want, with the options that all of them need.

use super::{Description, Identity, Mailbox, Operator, Ran, Tool, wait_until};
use std::time::Duration;

/// swaks against the operators' door of `operator`, STARTTLS and the sandbox's root demanded; with `identity` as its client
/// certificate. Add `--from`, `--to` and what else the test is about.
pub fn swaks(known: &Description, operator: &Operator, identity: Option<&Identity>) -> Tool {
    let tool = Tool::new("swaks").args(["--server", &operator.smtp(), "--tls", "--tls-verify", "--tls-ca-path"]);
    let tool = tool.arg(&known.ca);
    match identity {
        Some(Identity { cert, key }) => tool.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key),
        None => tool,
    }
}

/// What curl gets from a mailbox over IMAPS. `path` is what follows the host (`INBOX;MAILINDEX=1`), `command` an IMAP
/// command in its place (`SEARCH ALL`).
pub fn imap(known: &Description, operator: &Operator, mailbox: &Mailbox, path: &str, command: Option<&str>) -> Ran {
    let (login, password) = mailbox.credentials();
    let tool = Tool::new("curl").args(["--silent", "--show-error", "--cacert"]).arg(&known.ca);
    let tool = tool.args(["--user", &format!("{login}:{password}")]);
    let tool = tool.arg(format!("imaps://localhost:{}/{path}", operator.ports.imaps));
    match command {
        Some(command) => tool.args(["--request", command]).run(),
        None => tool.run(),
    }
}

/// The sequence numbers of the messages in INBOX that match (`ALL`, `SUBJECT "x"` …).
pub fn search(known: &Description, operator: &Operator, mailbox: &Mailbox, criteria: &str) -> Vec<u32> {
    let ran = imap(known, operator, mailbox, "INBOX", Some(&format!("SEARCH {criteria}"))).expect_ok("SEARCH");
    let line = ran.stdout.lines().find(|line| line.starts_with("* SEARCH")).unwrap_or_default();
    line.split_ascii_whitespace().skip(2).filter_map(|number| number.parse().ok()).collect()
}

/// The message with this sequence number in INBOX, whole.
pub fn fetch(known: &Description, operator: &Operator, mailbox: &Mailbox, number: u32) -> String {
    imap(known, operator, mailbox, &format!("INBOX;MAILINDEX={number}"), None).expect_ok("fetching a message").stdout
}

/// The one message in INBOX that matches, whole, once it is there.
#[track_caller]
pub fn read(known: &Description, operator: &Operator, mailbox: &Mailbox, criteria: &str) -> String {
    let mut found = Vec::new();
    let there = wait_until(Duration::from_secs(30), || {
        found = search(known, operator, mailbox, criteria);
        !found.is_empty()
    });
    assert!(there, "nothing with {criteria} came to {}", mailbox.address);
    assert_eq!(found.len(), 1, "messages with {criteria} in {}", mailbox.address);
    fetch(known, operator, mailbox, found[0])
}

/// What a mail program says around a message.
#[derive(Clone, Copy, Default)]
pub struct Envelope<'a> {
    /// The mailbox's own address where none is given; empty: the null sender.
    pub from: Option<&'a str>,
    /// The recipients.
    pub to: &'a [&'a str],
    /// Parameters of MAIL.
    pub mail: &'a [&'a str],
    /// Parameters of every RCPT.
    pub rcpt: &'a [&'a str],
}

/// Python's smtplib as a mail program of `mailbox`, over STARTTLS and with its password (`send.py`); what it said.
pub fn smtplib(
    known: &Description,
    operator: &Operator,
    mailbox: &Mailbox,
    envelope: &Envelope<'_>,
    message: &str,
) -> Ran {
    let (login, password) = mailbox.credentials();
    let wanted = serde_json::json!({
        "ca": known.ca, "port": operator.ports.submission, "login": login, "password": password,
        "from": envelope.from.unwrap_or(&mailbox.address), "to": envelope.to,
        "mail": envelope.mail, "rcpt": envelope.rcpt,
    });
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/send.py");
    Tool::new("python3").arg(script).arg(wanted.to_string()).input(message).run()
}
