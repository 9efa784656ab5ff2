//! The mail that a new sandbox holds, and the lines that it tells its user to try.

use crate::support::{Sandbox, Tool, fetch, have, search};

#[test]
fn a_practitioners_inbox_holds_a_message_of_every_shape() {
    if !have("curl") {
        return;
    }
    let sandbox = Sandbox::start();
    let known = &sandbox.description;
    for operator in &known.operators {
        let mailbox = operator.mailbox("PER");
        let numbers = search(known, operator, mailbox, "ALL");
        assert_eq!(numbers.len(), 6, "{}", mailbox.address);
        let all: String = numbers.into_iter().map(|number| fetch(known, operator, mailbox, number)).collect();
        for part in ["IHE_XDM.zip", "application/pdf", "text/html", "message/rfc822", "X-MSS-CODECDA: 11488-4"] {
            assert!(all.contains(part), "{part} is in no message of {}", mailbox.address);
        }
        let test = search(known, operator, operator.test_mailbox(), "ALL");
        assert_eq!(test.len(), 1, "the other operator's test mailbox wrote");
    }
}

/// The printed command that begins with `program`: its line, and those that continue it.
fn printed(said: &str, program: &str) -> String {
    let lines = said.lines().skip_while(|line| !line.trim_start().starts_with(program));
    let mut command = String::new();
    for line in lines {
        command.push_str(line);
        command.push('\n');
        if !line.ends_with('\\') {
            break;
        }
    }
    assert!(!command.is_empty(), "no {program} line in:\n{said}");
    command
}

#[test]
fn the_printed_swaks_and_curl_lines_work_as_they_stand() {
    if !have("swaks") || !have("curl") {
        return;
    }
    let sandbox = Sandbox::start();
    let known = &sandbox.description;
    let (operator, mailbox) = (known.aura(), known.aura().mailbox("PER"));
    let before = search(known, operator, mailbox, "ALL").len();
    let sent = Tool::new("sh").arg("-c").arg(printed(&sandbox.said(), "swaks")).run();
    sent.expect_ok("the printed swaks line");
    assert_eq!(search(known, operator, mailbox, "ALL").len(), before + 1);
    let read = Tool::new("sh").arg("-c").arg(printed(&sandbox.said(), "curl")).run();
    assert!(read.expect_ok("the printed curl line").stdout.contains("Bonjour"));
}

#[test]
fn what_is_printed_names_the_thunderbird_settings() {
    let sandbox = Sandbox::shared();
    let said = sandbox.said();
    for operator in &sandbox.description.operators {
        let (login, password) = operator.mailbox("PER").credentials();
        for part in [login, password, &operator.ports.imaps.to_string(), &operator.ports.imap.to_string()] {
            assert!(said.contains(part), "{part}");
        }
    }
    assert!(said.contains("root.pem"));
}
