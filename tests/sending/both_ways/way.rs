//! From a mailbox of one operator to a mailbox of the other: how it is sent, read and followed.

pub(super) use crate::support::Envelope;
use crate::support::{Description, Mailbox, Operator, Ran, Sandbox, Tool, have, read, search, smtplib, wait_until};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// How long anything may take that happens at once.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// A direction: who sends at which operator, and who reads at which other one.
pub(super) struct Way<'k> {
    pub(super) known: &'k Description,
    pub(super) from: &'k Operator,
    pub(super) to: &'k Operator,
    pub(super) sender: &'k Mailbox,
    pub(super) recipient: &'k Mailbox,
}

/// Both directions of the shared sandbox; `None` where a program is missing.
pub(super) fn both_ways(programs: &[&str]) -> Option<[Way<'static>; 2]> {
    if !programs.iter().chain(&["python3", "curl"]).all(|program| have(program)) {
        return None;
    }
    let way = Way::first(&Sandbox::shared().description);
    let back = way.back();
    Some([way, back])
}

/// From the first operator to the second.
pub(super) fn one_way(programs: &[&str]) -> Option<Way<'static>> {
    both_ways(programs).map(|[way, _]| way)
}

impl<'k> Way<'k> {
    /// From the first operator of a sandbox to the second.
    pub(super) fn first(known: &'k Description) -> Self {
        let (from, to) = (known.aura(), known.aquitaine());
        Way { known, from, to, sender: from.mailbox("PER"), recipient: to.mailbox("PER") }
    }

    /// The way back.
    pub(super) fn back(&self) -> Self {
        let Way { known, from, to, sender, recipient } = *self;
        Way { known, from: to, to: from, sender: recipient, recipient: sender }
    }

    /// A Message-ID of the sender's operator.
    pub(super) fn id(&self, word: &str) -> String {
        format!("<{word}@{}>", self.from.domains[0])
    }

    /// A short letter; its subject is `word`, and so is its Message-ID's local part.
    pub(super) fn letter(&self, word: &str) -> String {
        let (from, to, id) = (&self.sender.address, &self.recipient.address, self.id(word));
        format!("From: {from}\r\nTo: {to}\r\nSubject: {word}\r\nMessage-ID: {id}\r\n\r\nBonjour\r\n")
    }

    /// swaks as a mail program of the sender; add what else the test is about.
    pub(super) fn swaks(&self) -> Tool {
        let (login, password) = self.sender.credentials();
        let tool = Tool::new("swaks").args(["--auth", "PLAIN", "--auth-user", login, "--auth-password", password]);
        let tool = tool.args(["--tls-verify", "--tls-ca-path"]).arg(&self.known.ca);
        tool.args(["--from", &self.sender.address])
    }

    /// Python's smtplib as a mail program of the sender, to the recipient where the envelope names nobody; what it said.
    pub(super) fn smtplib(&self, envelope: &Envelope<'_>, message: &str) -> Ran {
        let to: &[&str] = if envelope.to.is_empty() { &[&self.recipient.address] } else { envelope.to };
        smtplib(self.known, self.from, self.sender, &Envelope { to, ..*envelope }, message)
    }

    /// Sends with smtplib, and is sure that the operator took it.
    #[track_caller]
    pub(super) fn send(&self, envelope: &Envelope<'_>, message: &str) {
        self.smtplib(envelope, message).expect_ok("smtplib");
    }

    /// The one message of the recipient's INBOX that matches, once it is there.
    #[track_caller]
    pub(super) fn read(&self, criteria: &str) -> String {
        read(self.known, self.to, self.recipient, criteria)
    }

    /// The report in the sender's INBOX about the message with this Message-ID, once it is there: as Python's email package
    /// reads it (`parse.py`).
    #[track_caller]
    pub(super) fn report(&self, id: &str) -> Value {
        parsed(&read(self.known, self.from, self.sender, &format!("HEADER In-Reply-To \"{id}\"")))
    }

    /// How many messages of the sender's INBOX answer this Message-ID.
    pub(super) fn answers(&self, id: &str) -> usize {
        search(self.known, self.from, self.sender, &format!("HEADER In-Reply-To \"{id}\"")).len()
    }

    /// A verb of the command line, on the sender's operator.
    pub(super) fn caducee(&self, words: &[&str]) -> Ran {
        Tool::new(env!("CARGO_BIN_EXE_caducee")).args(words).arg("--socket").arg(&self.from.admin_socket).run()
    }

    /// The JSON that a verb prints.
    #[track_caller]
    pub(super) fn json(&self, words: &[&str]) -> Value {
        let ran = self.caducee(&[words, &["--json"]].concat()).expect_ok("a verb");
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{words:?} printed no JSON ({e}): {}", ran.stdout))
    }

    /// What happened to a message at the sender's operator, once an event of this kind is there.
    #[track_caller]
    pub(super) fn followed(&self, id: &str, until: &str) -> Vec<Value> {
        let mut events = Vec::new();
        let there = wait_until(SOON, || {
            events = self.json(&["follow", id])["events"].as_array().cloned().unwrap_or_default();
            events.iter().any(|event| event["action"] == until)
        });
        assert!(there, "no {until} on the way of {id}: {events:#?}");
        events
    }

    /// An address of the other operator.
    pub(super) fn at_the_others(&self, local: &str) -> String {
        format!("{local}@{}", self.to.domains[0])
    }

    /// The message of the queue with this Message-ID, if it is there.
    pub(super) fn queued(&self, id: &str) -> Option<Value> {
        let list = self.json(&["queue", "list"]);
        list["messages"].as_array()?.iter().find(|message| message["message_id"] == id).cloned()
    }

    /// Waits until the queue has let the message go.
    #[track_caller]
    pub(super) fn leaves_the_queue(&self, id: &str) {
        assert!(wait_until(SOON, || self.queued(id).is_none()), "still queued: {:#?}", self.queued(id));
    }
}

/// A message as Python's email package reads it.
#[track_caller]
pub(super) fn parsed(message: &str) -> Value {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sending/both_ways/parse.py");
    let ran = Tool::new("python3").arg(script).input(message).run().expect_ok("Python's email package");
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("no JSON ({e}): {}", ran.stdout))
}

/// The lines of a field in a message's header section, each unfolded, in their order.
pub(super) fn fields(message: &str, name: &str) -> Vec<String> {
    let header = message.replace("\r\n", "\n");
    let header = header.split("\n\n").next().unwrap_or_default().replace("\n\t", " ").replace("\n ", " ");
    let is_it = |line: &&str| line.split(':').next().is_some_and(|found| found.eq_ignore_ascii_case(name));
    header.lines().filter(is_it).map(|line| line[name.len() + 1..].trim().to_owned()).collect()
}
