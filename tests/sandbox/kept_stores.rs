//! What earlier versions left on disk (`tests/data/stores`, made by their own binaries) opens with this one, and again.

use aws_lc_rs::digest::{SHA256, digest};

use crate::support::{Mailbox, Operator, Sandbox, ScratchDir, Tool, fetch, have, imap, read, search, wait_until};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// The archives, and in which month they were made (a month's figures are kept for ten years: then take the archive away).
const KEPT: [(&str, &str); 2] = [("format-1", "2026-11"), ("format-2", "2026-11")];

fn caducee(words: &[&str]) -> Tool {
    Tool::new(env!("CARGO_BIN_EXE_caducee")).args(words)
}

fn ask(operator: &Operator, words: &[&str]) -> String {
    let ran = caducee(words).arg("--socket").arg(&operator.admin_socket).run();
    ran.expect_ok(&format!("caducee {}", words.join(" "))).stdout
}

fn unpacked(archive: &str) -> ScratchDir {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stores").join(format!("{archive}.tar.gz"));
    let scratch = ScratchDir::new();
    let tar = Tool::new("tar").args(["--extract", "--gzip", "--no-same-owner", "--file"]).arg(archive);
    tar.arg("--directory").arg(scratch.path()).run().expect_ok("unpacking a kept store");
    scratch
}

fn check(dir: &Path) {
    let store = dir.join("a/store");
    let ran = caducee(&["store", "check", "--dir"]).arg(store).run().expect_ok("store check");
    assert!(ran.stdout.trim_end().ends_with("sound"), "{}", ran.all());
}

/// The message that `make` calls so, whole: in INBOX.
fn kept(sandbox: &Sandbox, camille: &Mailbox, name: &str) -> String {
    read(&sandbox.description, sandbox.description.aura(), camille, &by_id(name))
}

fn by_id(name: &str) -> String {
    format!("HEADER Message-ID <{name}@kept.example>")
}

#[test]
fn what_earlier_versions_have_written_opens_whole() {
    if !have("curl") || !have("tar") || !have("gzip") {
        return;
    }
    for (archive, month) in KEPT {
        let scratch = unpacked(archive);
        check(scratch.path());
        // The first start may move things; the second meets what the first has made of them.
        for _ in 0..2 {
            let sandbox = Sandbox::start_in(scratch.path());
            holds_what_it_held(&sandbox, month);
            assert!(sandbox.stop().success());
            check(scratch.path());
        }
    }
}

#[test]
fn each_kept_store_is_opened() {
    let stores = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stores")).unwrap();
    let names: BTreeSet<_> = stores.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let archives = KEPT.map(|(archive, _)| format!("{archive}.tar.gz"));
    assert_eq!(names, archives.into_iter().chain(["make".to_owned()]).collect());
}

fn holds_what_it_held(sandbox: &Sandbox, month: &str) {
    let (known, aura) = (&sandbox.description, sandbox.description.aura());
    let camille = aura.mailbox("PER");
    // Mail, in several chunks and in one; the flags; the folder; what was deleted.
    let long = kept(sandbox, camille, "long");
    let lines: Vec<&str> = long.lines().map(str::trim_end).filter(|line| line.len() == 64).collect();
    assert_eq!(lines, (0..1_200).map(sha256_hex).collect::<Vec<_>>(), "every line of it");
    assert!(kept(sandbox, camille, "short").contains("Bonjour"));
    assert_eq!(search(known, aura, camille, "ANSWERED").len(), 1);
    assert_eq!(search(known, aura, camille, &by_id("deleted")), [0_u32; 0]);
    let filed = imap(known, aura, camille, "Archives", Some("FETCH 1 (FLAGS ENVELOPE)")).expect_ok("FETCH").stdout;
    assert!(filed.contains("\\Flagged") && filed.contains("<filed@kept.example>"), "{filed}");
    // The closed mailbox stays closed.
    let closed: serde_json::Value =
        serde_json::from_str(&ask(aura, &["mailbox", "show", "cabinet.trois-glycines@aura.mssante.example", "--json"]))
            .unwrap();
    assert_eq!(closed["state"], "closed");
    // What waited for an operator that is away waits (the check has found its key), or has come back to who sent it.
    assert!(wait_until(Duration::from_secs(30), || still_known(sandbox, camille)), "{}", sandbox.said());
    // The traces: whole, found, and the month counted from them.
    ask(aura, &["traces", "verify"]);
    let followed = ask(aura, &["follow", "<long@kept.example>"]);
    assert!(followed.contains("helene.castagnet@nouvelle-aquitaine.mssante.example"), "{followed}");
    ask(aura, &["indicators", month, "--recount"]);
    let figures = ask(aura, &["indicators", month, "--json"]);
    assert!(figures.contains("operateur-c.mssante.example"), "a peer of that month: {figures}");
    // And it lives.
    let number = search(known, aura, camille, &by_id("short"))[0];
    assert!(fetch(known, aura, camille, number).contains("Bonjour"));
}

fn sha256_hex(number: usize) -> String {
    let digest = digest(&SHA256, number.to_string().as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn still_known(sandbox: &Sandbox, camille: &Mailbox) -> bool {
    let aura = sandbox.description.aura();
    let waits = ask(aura, &["queue", "list", "--recipient", "personne@operateur-c.mssante.example", "--json"]);
    waits.contains("camille.fontanel") || {
        !search(&sandbox.description, aura, camille, "TEXT waits@kept.example").is_empty()
    }
}
