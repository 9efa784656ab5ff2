//! The copy in Sent: filed once, whoever files it first.

use crate::scene;
use crate::scene::Scene;
use crate::support::{Mailbox, ScratchDir, Tool, imap};

/// How many messages in Sent have this Message-ID, and how many of them are seen.
fn copies(scene: &Scene, who: &Mailbox, id: &str) -> (usize, usize) {
    let count = |criteria: &str| {
        let command = format!("SEARCH {criteria} HEADER Message-ID \"{id}\"");
        let said = imap(scene.known, scene.aura, who, "Sent", Some(&command)).expect_ok("SEARCH").stdout;
        let line = said.lines().find(|line| line.starts_with("* SEARCH")).unwrap_or_default();
        line.split_ascii_whitespace().skip(2).count()
    };
    (count("ALL"), count("SEEN"))
}

fn letter(who: &Mailbox, id: &str, note: &str) -> String {
    format!("From: {}\r\nMessage-ID: {id}\r\nX-Copy: {note}\r\nSubject: Copie\r\n\r\nx", who.address)
}

/// What a mail program does with its own copy.
fn append(scene: &Scene, who: &Mailbox, id: &str) {
    let (login, password) = who.credentials();
    let tool = Tool::new("curl").args(["--silent", "--show-error", "--cacert"]).arg(&scene.known.ca);
    let scratch = ScratchDir::new();
    let file = scratch.path().join("copy.eml");
    std::fs::write(&file, format!("{}\r\n", letter(who, id, "program"))).expect("a file can be written");
    let tool = tool.args(["--user", &format!("{login}:{password}"), "--upload-file"]).arg(&file);
    tool.arg(format!("imaps://localhost:{}/Sent", scene.aura.ports.imaps)).run().expect_ok("APPEND");
}

fn send(scene: &Scene, who: &Mailbox, id: &str) {
    let said = scene.raw(who, scene.message(&who.address, &letter(who, id, "server")));
    assert!(said.contains("250 2.6.0 "), "{said}");
}

#[test]
fn a_copy_is_filed_once_in_either_order_and_only_where_it_is_asked_for() {
    let scene = scene!("openssl", "curl");
    let who = scene.aura.mailbox("CAB").clone();
    send(&scene, &who, "<none@x.example>");
    assert_eq!(copies(&scene, &who, "<none@x.example>"), (0, 0), "nobody asked for a copy");
    scene.administer(&["mailbox", "set", &who.address, "--save-sent=true"]);

    send(&scene, &who, "<server-only@x.example>");
    assert_eq!(copies(&scene, &who, "<server-only@x.example>"), (1, 1));

    let said = scene.raw(&who, scene.message("", &letter(&who, "<notification@x.example>", "server")));
    assert!(said.contains("250 2.6.0 "), "{said}");
    assert_eq!(copies(&scene, &who, "<notification@x.example>"), (0, 0), "a notification is no letter");

    send(&scene, &who, "<server-first@x.example>");
    append(&scene, &who, "<server-first@x.example>");
    assert_eq!(copies(&scene, &who, "<server-first@x.example>").0, 1);
    let kept = imap(scene.known, scene.aura, &who, "Sent;MAILINDEX=*", None).expect_ok("FETCH").stdout;
    assert!(kept.contains("X-Copy: program"), "the program's copy takes the place of the server's: {kept}");

    append(&scene, &who, "<program-first@x.example>");
    send(&scene, &who, "<program-first@x.example>");
    assert_eq!(copies(&scene, &who, "<program-first@x.example>").0, 1);
    scene.administer(&["mailbox", "set", &who.address, "--save-sent=false"]);
}
