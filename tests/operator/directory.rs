//! Publication through a mailbox's life, and through each failure of the directory.

use crate::directory_site::{BASILE, DOMAIN, EVE, LEA, SOON, Site, metadata};
use crate::support::{have, wait_until};
use serde_json::json;
use std::time::Duration;
use toml::toml;

#[test]
fn a_mailbox_is_in_the_directory_from_its_creation_to_its_closing() {
    if !have("curl") {
        return;
    }
    let site = Site::new();
    let server = site.start();
    let lea = format!("Practitioner/003-{LEA}");

    let address = server.create("lea", LEA);
    server.settles(&site, &address);
    let contact = site.contact(&lea, &address).expect("published");
    assert_eq!(metadata(&contact, "type")["coding"][0]["code"], "PER");
    assert_eq!((metadata(&contact, "listeRouge"), metadata(&contact, "digitization")), (json!(false), json!(false)));

    server.caducee(&["mailbox", "set", &address, "--red-list", "--zero-paper"]).expect_ok("red list");
    server.settles(&site, &address);
    let contact = site.contact(&lea, &address).expect("still published");
    assert_eq!((metadata(&contact, "listeRouge"), metadata(&contact, "digitization")), (json!(true), json!(true)));

    // What the directory does not show changes nothing there, nor does a suspension.
    let before = site.patches();
    server.caducee(&["mailbox", "set", &address, "--comment", "à rappeler"]).expect_ok("a note");
    server.caducee(&["mailbox", "suspend", &address]).expect_ok("suspending");
    assert!(server.is_settled(&address));
    assert_eq!(site.patches(), before);
    server.caducee(&["mailbox", "reopen", &address]).expect_ok("reopening");

    // Another person's from now on, and then an activity's.
    server.caducee(&["mailbox", "set", &address, "--national-id", BASILE]).expect_ok("another holder");
    server.settles(&site, &address);
    assert_eq!(site.contact(&lea, &address), None);
    assert!(site.contact(&format!("Practitioner/003-{BASILE}"), &address).is_some());
    server.caducee(&["mailbox", "set", &address, "--activity-id", "1000000001"]).expect_ok("an activity");
    server.settles(&site, &address);
    assert_eq!(site.contact(&format!("Practitioner/003-{BASILE}"), &address), None);
    assert!(site.contact("PractitionerRole/005-1000000001", &address).is_some());

    server.caducee(&["mailbox", "close", &address, "--yes"]).expect_ok("closing");
    server.settles(&site, &address);
    assert_eq!(site.contact("PractitionerRole/005-1000000001", &address), None);
    assert_eq!(site.done(&address), ["insert", "replace", "delete", "insert", "delete", "insert", "delete"]);
    let standing = server.json(&["directory", "show", &address]);
    assert!(standing["wanted"].is_null() && standing["published"].is_null(), "{standing}");
}

#[test]
fn the_mailboxes_of_a_structure_go_in_one_patch_and_some_never_go() {
    if !have("curl") {
        return;
    }
    let site = Site::new();
    let server = site.start();
    let org = "Organization/001-1990000011";
    site.turn(&json!({ "only": ["GET"], "status": 503 }));
    let create = |local: &str, kind: &str, more: &[&str]| {
        let address = format!("{local}@{DOMAIN}");
        let words = ["mailbox", "create", &address, "--kind", kind, "--structure-id", "1990000011", "--label", local];
        let notified = ["--notification-address", "accueil@courriel.example"];
        server.caducee(&[&words[..], &notified, more].concat()).expect_ok("creating a mailbox");
        address
    };
    let responsible = ["--service", "Cardiologie", "--responsible", LEA];
    let together =
        [create("accueil", "ORG", &responsible), create("labo", "APP", &[]), create("l'urgence", "ORG", &[])];
    let never = [create("essai", "ORG", &["--test"]), create("agents", "ORG", &["--restricted"])];
    let failing = wait_until(SOON, || {
        let pending = server.json(&["directory", "pending"]);
        let pending = pending["pending"].as_array().cloned().unwrap_or_default();
        pending.len() == 3 && pending.iter().all(|one| one["tries"].as_u64() > Some(0))
    });
    assert!(failing, "{}", server.json(&["directory", "pending"]));
    let words = server.json(&["directory", "pending"]);
    assert!(words["pending"][0]["words"].as_str().unwrap().contains("503"), "{words}");

    // All three are due when the server starts again.
    server.kill();
    let before = site.patches();
    site.turn(&json!({}));
    let server = site.start();
    for address in &together {
        server.settles(&site, address);
    }
    assert_eq!(site.patches(), (before.0 + 1, before.1 + 1), "three mailboxes in one patch");
    let contact = site.contact(org, &together[0]).expect("published");
    assert_eq!(metadata(&contact, "description"), "accueil");
    assert_eq!(metadata(&contact, "service"), "Cardiologie");
    assert_eq!(metadata(&contact, "responsible"), LEA);
    assert_eq!(metadata(&site.contact(org, &together[1]).unwrap(), "type")["coding"][0]["code"], "APP");
    assert!(site.contact(org, &together[2]).is_some(), "a quote in the address");
    for address in &never {
        assert!(server.is_settled(address) && site.contact(org, address).is_none(), "{address}");
    }
    // A change of the one with a quote finds it by its address.
    server.caducee(&["mailbox", "set", &together[2], "--label", "Urgences"]).expect_ok("a label");
    server.settles(&site, &together[2]);
    assert_eq!(metadata(&site.contact(org, &together[2]).unwrap(), "description"), "Urgences");
    assert_eq!(site.done(&together[2]), ["insert", "replace"]);

    // The directory minds one of three: the patch of all is refused, then that of the first by itself.
    site.turn(&json!({ "only": ["GET"], "status": 503 }));
    for address in &together {
        server.caducee(&["mailbox", "set", address, "--zero-paper"]).expect_ok("zero paper");
    }
    server.kill();
    site.turn(&json!({ "only": ["PATCH"], "times": 2, "status": 400, "words": "description trop longue" }));
    let server = site.start();
    let tasks = || server.json(&["directory", "tasks"])["tasks"].as_array().cloned().unwrap_or_default();
    let waiting = || server.json(&["directory", "status"])["waiting"].as_u64();
    assert!(wait_until(SOON, || waiting() == Some(0)), "{}", site.log());
    let minded = tasks();
    assert!(minded.len() == 1 && minded[0]["words"] == "description trop longue", "{minded:?}");
    let of_zero_paper = |address: &&String| metadata(&site.contact(org, address).unwrap(), "digitization") == true;
    assert_eq!(together.iter().filter(of_zero_paper).count(), 2);
}

#[test]
fn each_failure_that_passes_is_tried_again_and_nothing_is_published_twice() {
    if !have("curl") {
        return;
    }
    let mut site = Site::new();
    site.configure(&toml! { timeout = "1s" });
    let server = site.start();
    for (name, knobs) in [
        ("500", json!({ "only": ["PATCH"], "times": 1, "status": 500 })),
        ("503", json!({ "times": 2, "status": 503 })),
        ("429", json!({ "only": ["PATCH"], "times": 1, "status": 429, "retry_after": 1 })),
        ("lent", json!({ "only": ["PATCH"], "times": 1, "delay_ms": 2500 })),
        ("muet", json!({ "only": ["PATCH"], "times": 1, "drop": true })),
        ("fait-muet", json!({ "only": ["PATCH"], "times": 1, "drop_after": true })),
        ("fait-lent", json!({ "only": ["PATCH"], "times": 1, "delay_after_ms": 2500 })),
        ("html", json!({ "only": ["GET"], "times": 1, "garbage": true })),
        ("html-patch", json!({ "only": ["PATCH"], "times": 1, "garbage": true })),
    ] {
        site.turn(&knobs);
        let address = server.create(name, EVE);
        server.settles(&site, &address);
        assert!(site.contact(&format!("Practitioner/003-{EVE}"), &address).is_some(), "{name}");
        assert_eq!(site.done(&address), ["insert"], "{name}");
    }
}

#[test]
fn a_refusal_is_a_task_in_the_directorys_words_until_something_changes() {
    if !have("curl") {
        return;
    }
    let site = Site::new();
    let server = site.start();
    let has_task = |address: &str| wait_until(SOON, || !server.json(&["directory", "show", address])["task"].is_null());

    for (status, words) in [
        (400, "le chemin ne convient pas"),
        (412, "deux ressources"),
        (404, "aucune ressource"),
        // It has answered this key before: it is that place that is closed to us.
        (403, "hors de votre domaine"),
    ] {
        site.turn(&json!({ "only": ["PATCH"], "status": status, "words": words }));
        let address = server.create(&format!("refus-{status}"), LEA);
        assert!(has_task(&address), "{status}\n{}", site.log());
        let standing = server.json(&["directory", "show", &address]);
        assert_eq!((&standing["task"]["status"], &standing["task"]["words"]), (&json!(status), &json!(words)));
        assert_eq!(standing["pending"], json!([]), "it is not tried again by itself");
        let asked = site.patches().0;
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(site.patches().0, asked, "it is not tried again by itself");
        assert!(!site.log().contains(words), "the directory's words may hold addresses: not in the log");
    }
    let status = server.caducee(&["directory", "status"]);
    assert!(status.code == Some(1) && status.stdout.contains("tasks"), "{status:?}");
    let tasks = server.caducee(&["directory", "tasks"]).expect_ok("tasks").stdout;
    assert!(tasks.contains("deux ressources"), "{tasks}");

    site.turn(&json!({}));
    // A change of the mailbox, or the administrator, tries again.
    server.caducee(&["mailbox", "set", &format!("refus-400@{DOMAIN}"), "--zero-paper"]).expect_ok("a change");
    server.settles(&site, &format!("refus-400@{DOMAIN}"));
    server.caducee(&["directory", "publish", &format!("refus-412@{DOMAIN}")]).expect_ok("publishing");
    server.settles(&site, &format!("refus-412@{DOMAIN}"));
    server.caducee(&["directory", "publish", "--tasks"]).expect_ok("publishing the rest");
    server.settles(&site, &format!("refus-404@{DOMAIN}"));
    server.settles(&site, &format!("refus-403@{DOMAIN}"));
    assert_eq!(site.contacts(&format!("Practitioner/003-{LEA}")).len(), 4);

    // A person whom the directory does not know, and a directory that says what is not so.
    let stranger = server.create("inconnu", "899700000199");
    assert!(has_task(&stranger));
    let task = server.json(&["directory", "show", &stranger])["task"].clone();
    assert_eq!((&task["status"], task["words"].as_str().unwrap().contains("899700000199")), (&json!(404), true));
    site.turn(&json!({ "forget": true }));
    let forgotten = server.create("oubliee", LEA);
    assert!(has_task(&forgotten));
    let task = server.json(&["directory", "show", &forgotten])["task"].clone();
    assert!(task["words"].as_str().unwrap().contains("does not show it"), "{task}");
}

#[test]
fn a_refused_key_stops_everything_with_an_alarm_until_it_is_put_right() {
    if !have("curl") {
        return;
    }
    let mut site = Site::new();
    site.write_key("une-autre-cle");
    let server = site.start();
    let address = server.create("lea", LEA);
    let status = || server.json(&["directory", "status"]);
    assert!(wait_until(SOON, || status()["activity"] == "halted"), "{}\n{}", status(), site.log());
    assert_eq!(status()["alarms"], json!(["refused"]));
    assert!(site.log().contains("directory.refused"));
    let second = server.create("basile", BASILE);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(status()["waiting"], 2);
    assert_eq!(server.caducee(&["directory", "status"]).code, Some(1));

    site.write_key(site.api_key());
    server.caducee(&["directory", "resume"]).expect_ok("resuming");
    server.settles(&site, &address);
    server.settles(&site, &second);
    assert!(!site.log().contains(site.api_key()) && !site.log().contains("une-autre-cle"), "keys in the log");
    assert_eq!(server.caducee(&["directory", "status"]).code, Some(0));
    drop(server);

    // Mutual TLS in place of a key; by id, and with the other form of the kind.
    site.configure(&toml! { api_key = ""
    client_certificate = "../pki/a.pem"
    client_key = "../pki/a.key"
    patch_by = "id"
    type_as = "code" });
    let server = site.start();
    let third = server.create("eve", EVE);
    server.settles(&site, &third);
    let contact = site.contact(&format!("Practitioner/003-{EVE}"), &third).expect("published");
    assert_eq!(metadata(&contact, "type"), "PER");
}

#[test]
fn without_accepted_terms_nothing_is_published_and_later_all_of_it() {
    if !have("curl") {
        return;
    }
    let mut site = Site::new();
    site.configure(&toml! { publish_from = "acceptance" });
    let server = site.start();
    let address = server.create("lea", LEA);
    assert!(server.is_settled(&address));
    let standing = server.json(&["directory", "show", &address]);
    assert!(standing["wanted"].is_null(), "{standing}");
    drop(server);
    // The rules have changed while it did not run: what was never put in the outbox is found.
    site.configure(&toml! { publish_from = "creation" });
    let server = site.start();
    let published = || site.contact(&format!("Practitioner/003-{LEA}"), &address).is_some();
    assert!(wait_until(SOON, published), "{}", site.log());
    server.settles(&site, &address);
    let before = site.patches();
    drop(server);
    let _restarted = site.start();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(site.patches(), before, "a start publishes nothing that is published");
}
