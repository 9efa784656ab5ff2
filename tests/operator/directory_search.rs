//! Looking people up in the national directory: `caducee directory search`, `copy`, `verify --extraction`.

use crate::directory_site::{BASILE, DOMAIN, LEA, SOON, Server, Site};
use crate::support::{Tool, have, wait_until};
use serde_json::{Value, json};
use std::fs;
use toml::Table;

/// The addresses that a search finds, without their domain, in order.
fn found(server: &Server, words: &[&str]) -> Vec<String> {
    let hits = server.json(&[&["directory", "search"], words].concat());
    let found = hits["found"].as_array().unwrap_or_else(|| panic!("{words:?}: {hits}"));
    assert_eq!(hits["total"], found.len(), "{hits}");
    let local = |one: &Value| one["address"].as_str().unwrap().split('@').next().unwrap().to_owned();
    found.iter().map(local).collect()
}

#[test]
fn people_are_found_in_the_copy_and_in_the_directory() {
    if !have("curl") {
        return;
    }
    let site = Site::new();
    let server = site.start();
    let [lea, basile, red] =
        [("lea", LEA), ("basile", BASILE), ("cachee", LEA)].map(|(local, person)| server.create(local, person));
    server.caducee(&["mailbox", "set", &red, "--red-list"]).expect_ok("putting it on the red list");
    for address in [&lea, &basile, &red] {
        server.settles(&site, address);
    }
    let copy = server.json(&["directory", "copy", "--refresh"]);
    assert!(copy["mailboxes"].as_u64().is_some_and(|count| count >= 2), "{copy}");
    assert_eq!((&copy["damaged"], &copy["problem"]), (&json!(0), &Value::Null), "{copy}");

    let (number, end) = (&LEA[1..], format!("@{DOMAIN}"));
    for source in ["local", "fhir"] {
        let found = |words: &[&str]| found(&server, &[words, &["--source", source]].concat());
        assert_eq!(found(&[&lea]), ["lea"], "{source}");
        assert_eq!(found(&[LEA]), ["lea"], "{source}");
        assert_eq!(found(&["--number", LEA]), ["lea"], "{source}");
        assert_eq!(found(&["--number", number]), ["lea"], "{source}");
        assert_eq!(found(&["--address", &format!("basile{end}")]), ["basile"], "{source}");
        assert_eq!(found(&["--address", &red]), [""; 0], "{source}: the red list is shown");
        assert_eq!(found(&["--number", LEA, "--address", "basile"]), [""; 0], "{source}");
        let of_lyon = found(&["--town", "Lyon"]);
        assert!(!of_lyon.is_empty() && !of_lyon.contains(&"lea".to_owned()), "{source}: {of_lyon:?}");
        assert_eq!(server.caducee(&["directory", "search", "personne", "--source", source]).code, Some(1));
    }
    // What was asked a moment ago is not asked again, though the directory is away by now.
    site.turn(&json!({ "drop": true }));
    assert_eq!(found(&server, &["--number", LEA, "--source", "fhir"]), ["lea"]);
    let away = server.caducee(&["directory", "search", "jamais", "demandé", "--source", "fhir"]);
    assert_ne!(away.code, Some(0));
    assert!(away.all().contains("directory-unavailable") || away.all().contains("Nothing was looked up"), "{away:?}");
    assert_eq!(found(&server, &[&lea]), ["lea"], "the copy needs nobody");
    site.turn(&json!({}));
    let refused = server.caducee(&["directory", "search", "--profession", "médecin", "--source", "fhir"]);
    assert!(refused.all().contains("local copy"), "{refused:?}");
    let shown = server.caducee(&["directory", "search", &lea]).expect_ok("searching");
    assert!(shown.stdout.contains(&lea) && shown.stdout.starts_with("1 mailbox in the copy of"), "{}", shown.stdout);
}

#[test]
fn the_copy_outlives_a_restart_and_a_bad_extraction() {
    if !have("curl") {
        return;
    }
    let mut site = Site::new();
    let kept = site.path("extraction.zip");
    site.curl().arg("--output").arg(&kept).arg(site.extraction()).run().expect_ok("getting the extraction");
    let source = kept.to_str().unwrap().to_owned();
    let keys: Table = [("extraction".to_owned(), source.into())].into_iter().collect();
    site.configure(&keys);
    let server = site.start();
    let copy = server.json(&["directory", "copy", "--refresh"]);
    let mailboxes = copy["mailboxes"].as_u64().unwrap();
    assert!(mailboxes > 0, "{copy}");

    let archive = fs::read(&kept).unwrap();
    for bad in [b"<!doctype html><title>Maintenance</title>".as_slice(), &archive[..archive.len() / 2], b""] {
        fs::write(&kept, bad).unwrap();
        let refused = server.caducee(&["directory", "copy", "--refresh"]);
        assert!(refused.code != Some(0) && refused.all().contains("stays as it was"), "{refused:?}");
        let copy = server.json(&["directory", "copy"]);
        assert_eq!(copy["mailboxes"], mailboxes, "{copy}");
        assert!(copy["problem"].is_string(), "{copy}");
    }
    fs::remove_file(&kept).unwrap();
    server.kill();
    let server = site.start();
    let is_there = || server.json(&["directory", "copy"])["mailboxes"] == mailboxes;
    assert!(wait_until(SOON, is_there), "{}\n{}", server.json(&["directory", "copy"]), site.log());
}

#[test]
fn an_unchanged_extraction_is_not_sent_again() {
    if !have("curl") {
        return;
    }
    let site = Site::new();
    let curl = |tag: &str| {
        let head = site.curl().args(["--dump-header", "-", "--output", "/dev/null"]);
        head.args(["--header", &format!("If-None-Match: {tag}")])
            .arg(site.extraction())
            .run()
            .expect_ok("asking")
            .stdout
    };
    let first = curl("\"autre\"");
    let tag = first.lines().find_map(|line| line.strip_prefix("etag: ")).map(str::trim);
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    assert!(curl(tag.unwrap()).starts_with("HTTP/1.1 304"), "{tag:?}");

    let server = site.start();
    server.caducee(&["directory", "copy", "--refresh"]).expect_ok("the first one");
    server.caducee(&["directory", "copy", "--refresh"]).expect_ok("the same one");
    let metrics = Tool::new("curl").arg(format!("http://{}/metrics", site.metrics())).run().expect_ok("metrics").stdout;
    assert!(metrics.contains("directory_copies_total{result=\"unchanged\"} "), "{metrics}");
}

#[test]
fn an_extraction_is_held_against_our_mailboxes() {
    if !have("curl") {
        return;
    }
    let site = Site::new();
    let server = site.start();
    let [lea, red] = [("lea", LEA), ("cachee", LEA)].map(|(local, person)| server.create(local, person));
    server.caducee(&["mailbox", "set", &red, "--red-list"]).expect_ok("putting it on the red list");
    for address in [&lea, &red] {
        server.settles(&site, address);
    }
    let kept = site.path("extraction.zip");
    site.curl().arg("--output").arg(&kept).arg(site.extraction()).run().expect_ok("getting the extraction");
    let file = kept.to_str().unwrap();
    let right = server.json(&["directory", "verify", "--extraction", file]);
    assert_eq!(
        (&right["wanted"], &right["shown"], &right["differences"]),
        (&json!(1), &json!(1), &json!([])),
        "{right}"
    );
    server.caducee(&["directory", "copy", "--refresh"]).expect_ok("refreshing the copy");
    assert_eq!(server.json(&["directory", "verify", "--extraction"]), right, "the copy says the same");

    let basile = server.create("basile", BASILE);
    server.settles(&site, &basile);
    server.caducee(&["mailbox", "close", &lea, "--yes"]).expect_ok("closing");
    server.settles(&site, &lea);
    let old = server.json(&["directory", "verify", "--extraction", file]);
    let differences: Vec<(&str, &str)> = old["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["address"].as_str().unwrap(), one["discord"].as_str().unwrap()))
        .collect();
    assert_eq!(differences, [(basile.as_str(), "missing"), (lea.as_str(), "stale")], "{old}");
    let missing = server.caducee(&["directory", "verify", "--extraction", "/nulle/part.zip"]);
    assert!(missing.code != Some(0) && missing.all().contains("cannot be read"), "{missing:?}");
}

#[test]
fn a_mailbox_on_an_activity_is_found_by_its_professionals_name_and_number() {
    if !have("curl") {
        return;
    }
    let site = Site::new();
    let server = site.start();
    let person = site.sandbox.description.aura().mailbox("PER").person.clone().unwrap();
    // As the look-alike numbers activities.
    let activity = format!("10{}", &person[person.len() - 8..]);
    let address = format!("activite@{DOMAIN}");
    let words = ["mailbox", "create", &address, "--kind", "PER", "--national-id", &person, "--activity-id", &activity];
    let rest = ["--last-name", "Autre", "--notification-address", "autre@courriel.example"];
    server.caducee(&[&words[..], &rest].concat()).expect_ok("creating a mailbox");
    server.settles(&site, &address);

    let entry = |words: &[&str]| {
        let hits = server.json(&[&["directory", "search"], words, &["--source", "fhir"]].concat());
        let found = hits["found"].as_array().unwrap_or_else(|| panic!("{hits}")).clone();
        found.into_iter().find(|one| one["address"] == address.as_str())
    };
    let by_number = entry(&["--number", &person]).expect("by the professional's number");
    assert_eq!(by_number["national_id"], person.as_str(), "{by_number}");
    let name = by_number["last_name"].as_str().unwrap().to_owned();
    assert!(!name.is_empty() && name != "Autre", "the directory's name, not ours: {by_number}");
    assert_eq!(entry(&["--name", &name]), Some(by_number.clone()), "by the name");
    assert_eq!(entry(&[&name]), Some(by_number.clone()), "by any word");
    assert_eq!(entry(&["--address", "activite", "--name", &name]), Some(by_number.clone()), "by both");
    assert_eq!(entry(&["--address", "activite", "--name", "personne"]), None);
    assert_eq!(entry(&[&activity]), Some(by_number), "by the activity's own number");
}
