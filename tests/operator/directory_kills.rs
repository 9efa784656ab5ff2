//! Kill -9 at each step of a publication: nothing is lost, nothing is published twice.

use crate::directory_site::{EVE, LEA, Server, Site};
use crate::support::{have, wait_until};
use serde_json::{Value, json};
use std::time::Duration;
use toml::toml;

/// The steps at which the server is killed, each with the knobs that hold it there.
fn steps() -> [(&'static str, Value, Moment); 5] {
    [
        ("committed", json!({ "only": ["GET"], "delay_ms": 60_000 }), Moment::AtOnce),
        ("reading", json!({ "only": ["GET"], "delay_after_ms": 60_000 }), Moment::Reading),
        ("asked", json!({ "only": ["PATCH"], "delay_ms": 60_000, "drop": true, "times": 1 }), Moment::Asked),
        ("applied", json!({ "only": ["PATCH"], "delay_after_ms": 60_000, "times": 1 }), Moment::Applied),
        ("answered", json!({}), Moment::Applied),
    ]
}

/// When the kill comes.
#[derive(Clone, Copy)]
enum Moment {
    /// As soon as the verb has said that the change is made: the directory was not read for it, or is kept from answering.
    AtOnce,
    /// When the directory was read, and its answer is on its way.
    Reading,
    /// When a patch was asked for.
    Asked,
    /// When it was applied, whether its answer has come or not.
    Applied,
}

/// What the directory had seen before a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Before {
    reads: u64,
    patches: (u64, usize),
}

impl Before {
    fn of(site: &Site) -> Self {
        Self { reads: site.reads(), patches: site.patches() }
    }
}

impl Moment {
    /// Waits for it; `before` is what the directory had seen.
    fn wait(self, site: &Site, before: Before) {
        let long = Duration::from_secs(30);
        let reached = match self {
            Self::AtOnce => Before::of(site) == before,
            Self::Reading => wait_until(long, || site.reads() > before.reads) && site.patches() == before.patches,
            Self::Asked => wait_until(long, || site.patches().0 > before.patches.0),
            Self::Applied => wait_until(long, || site.patches().1 > before.patches.1),
        };
        assert!(reached, "{:?} after {before:?}\n{}", Before::of(site), site.log());
    }
}

#[test]
fn a_kill_at_each_step_of_an_insert_loses_nothing_and_doubles_nothing() {
    if !have("curl") {
        return;
    }
    let site = patient();
    let mut server = site.start();
    for (step, knobs, moment) in steps() {
        let before = Before::of(&site);
        site.turn(&knobs);
        let address = server.create(step, EVE);
        server = killed(&site, server, moment, before);
        server.settles(&site, &address);
        assert!(site.contact(&format!("Practitioner/003-{EVE}"), &address).is_some(), "{step}");
        assert_eq!(site.done(&address), ["insert"], "{step}");
    }
}

#[test]
fn a_kill_at_each_step_of_a_deletion_leaves_nothing_behind() {
    if !have("curl") {
        return;
    }
    let site = patient();
    let mut server = site.start();
    for (step, knobs, moment) in steps() {
        let address = server.create(step, LEA);
        server.settles(&site, &address);
        let before = Before::of(&site);
        site.turn(&knobs);
        server.caducee(&["mailbox", "close", &address, "--yes"]).expect_ok("closing");
        server = killed(&site, server, moment, before);
        server.settles(&site, &address);
        assert_eq!(site.contact(&format!("Practitioner/003-{LEA}"), &address), None, "{step}");
        assert_eq!(site.done(&address), ["insert", "delete"], "{step}");
    }
}

#[test]
fn what_was_inserted_unknown_to_us_goes_when_the_mailbox_closes_before_we_know() {
    if !have("curl") {
        return;
    }
    let site = patient();
    let server = site.start();
    let before = Before::of(&site);
    site.turn(&json!({ "only": ["PATCH"], "delay_after_ms": 60_000 }));
    let address = server.create("ephemere", LEA);
    Moment::Applied.wait(&site, before);
    server.kill();
    // The directory is away at the next start, and the mailbox moves to somebody else and then closes meanwhile.
    site.turn(&json!({ "status": 503 }));
    let server = site.start();
    server.caducee(&["mailbox", "set", &address, "--national-id", EVE]).expect_ok("another holder");
    server.caducee(&["mailbox", "close", &address, "--yes"]).expect_ok("closing");
    site.turn(&json!({}));
    server.caducee(&["directory", "resume"]).expect_ok("resuming");
    server.settles(&site, &address);
    assert_eq!(site.contact(&format!("Practitioner/003-{LEA}"), &address), None, "{}", site.log());
    assert_eq!(site.done(&address), ["insert", "delete"]);
}

/// A server that waits for slow answers.
fn patient() -> Site {
    let mut site = Site::new();
    site.configure(&toml! { timeout = "2m" });
    site
}

/// Kills the server at the moment and starts it again, with a directory that is well.
fn killed(site: &Site, server: Server, moment: Moment, before: Before) -> Server {
    moment.wait(site, before);
    server.kill();
    site.turn(&json!({}));
    site.start()
}
