//! Mailboxes' lives: terms of use at the holders' page, and years on a clock that is driven (`life.py`).

use std::time::Duration;

use crate::support::{Sandbox, Tool, have};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/operator/life.py");

/// A scenario in a sandbox of its own: terms of use concern every mailbox.
fn scenario(name: &str) {
    if have("python3") {
        let sandbox = Sandbox::start();
        let tool = Tool::new("python3").arg(SCRIPT).arg(name).arg(&sandbox.dir).arg(env!("CARGO_BIN_EXE_caducee"));
        tool.limit(Duration::from_secs(120)).run().expect_ok(name);
    }
}

#[test]
fn a_mailbox_opens_once_its_holder_has_accepted_the_terms_at_the_page() {
    scenario("a_mailbox_opens_once_its_holder_has_accepted_the_terms_at_the_page");
}

#[test]
fn years_of_silence_close_a_mailbox_and_forget_it() {
    scenario("years_of_silence_close_a_mailbox_and_forget_it");
}

#[test]
fn every_scenario_of_the_script_is_run() {
    let script = std::fs::read_to_string(SCRIPT).unwrap();
    let (_, scenarios) = script.split_once("# ---- scenarios ----").unwrap();
    let names = scenarios.lines().filter_map(|line| line.strip_prefix("def ")?.strip_suffix("():"));
    let (source, mut count) = (include_str!("life.rs"), 0);
    for name in names {
        assert!(source.contains(&format!("fn {name}()")), "{name}");
        count += 1;
    }
    assert_eq!(count, 2);
}
