//! `caducee directory verify`: the directory held against our mailboxes, and mended.

use crate::directory_site::{BASILE, DOMAIN, EVE, LEA, Site, metadata};
use crate::support::have;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use toml::toml;

fn operation(kind: &str, path: &str, more: Vec<Value>) -> Value {
    let parts = [json!({ "name": "type", "valueCode": kind }), json!({ "name": "path", "valueString": path })];
    json!({ "name": "operation", "part": parts.into_iter().chain(more).collect::<Vec<_>>() })
}

#[test]
fn differences_are_listed_and_mended() {
    if !have("curl") {
        return;
    }
    let site = Site::new();
    let server = site.start();
    let [gone, red, moved, twice, closed] =
        ["absente", "rouge", "ailleurs", "double", "fermee"].map(|local| server.create(local, LEA));
    for address in [&gone, &red, &moved, &twice, &closed] {
        server.settles(&site, address);
    }
    server.caducee(&["mailbox", "close", &closed, "--yes"]).expect_ok("closing");
    server.settles(&site, &closed);
    let right = server.caducee(&["directory", "verify"]).expect_ok("nothing differs yet");
    assert!(right.stdout.contains("Nothing differs."), "{}", right.stdout);

    let lea = format!("Practitioner/003-{LEA}");
    let contact = |address: &str| site.contact(&lea, address).unwrap();
    let one = |address: &str| format!("Practitioner.telecom.where(value = '{address}')");
    let insert = |contact: &Value| {
        let more = vec![
            json!({ "name": "index", "valueInteger": 0 }),
            json!({ "name": "value", "valueContactPoint": contact }),
        ];
        operation("insert", "Practitioner.telecom", more)
    };
    let with = |contact: &Value, address: &str| {
        let mut contact = contact.clone();
        contact["value"] = json!(address);
        contact
    };
    let unknown = format!("jamais@{DOMAIN}");
    let (red_path, red_on) = (
        format!(
            "{}.extension('https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-mailbox-mss-metadata').extension('listeRouge').value",
            one(&red)
        ),
        vec![json!({ "name": "value", "valueBoolean": true })],
    );
    let (of_moved, of_twice) = (contact(&moved), contact(&twice));
    site.patch(&format!("Practitioner/003-{BASILE}"), &json!([insert(&of_moved)]));
    site.patch(
        &format!("Practitioner/003-{EVE}"),
        &json!([insert(&with(&of_twice, &unknown)), insert(&with(&of_twice, &closed))]),
    );
    site.patch(
        &lea,
        &json!([
            operation("delete", &one(&gone), vec![]),
            operation("replace", &red_path, red_on),
            operation("delete", &one(&moved), vec![]),
            insert(&of_twice),
        ]),
    );

    let listed = |verified: &Value| -> BTreeMap<String, String> {
        let differences = verified["differences"].as_array().unwrap().iter();
        differences
            .map(|one| {
                let text = |field: &str| one[field].as_str().unwrap().to_owned();
                let fields: Vec<&str> =
                    one["fields"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                (text("address"), format!("{} {}", text("discord"), fields.join(" ")).trim_end().to_owned())
            })
            .collect()
    };
    let expected: BTreeMap<String, String> = [
        (&gone, "missing"),
        (&red, "wrong listeRouge"),
        (&moved, "wrong place"),
        (&twice, "wrong twice"),
        (&closed, "stale"),
        (&unknown, "unknown"),
    ]
    .into_iter()
    .map(|(address, what)| (address.clone(), what.to_owned()))
    .collect();
    let verified = server.json(&["directory", "verify"]);
    assert_eq!(listed(&verified), expected, "{verified}");
    assert_eq!(server.caducee(&["directory", "verify"]).code, Some(1));

    let mended = server.json(&["directory", "verify", "--mend"]);
    assert_eq!(listed(&mended), expected);
    for address in [&gone, &red, &moved, &twice, &closed] {
        server.settles(&site, address);
    }
    let after = server.json(&["directory", "verify"]);
    let left: BTreeMap<String, String> = [(unknown.clone(), "unknown".to_owned())].into();
    assert_eq!(listed(&after), left, "{}", site.log());
    assert_eq!(metadata(&contact(&red), "listeRouge"), json!(false));
    assert!(site.contact(&lea, &moved).is_some() && site.contact(&lea, &gone).is_some());
    assert!(site.contact(&format!("Practitioner/003-{EVE}"), &unknown).is_some(), "what was never ours is left alone");
}

#[test]
fn what_only_the_rules_take_away_stays_there_until_that_is_confirmed() {
    if !have("curl") {
        return;
    }
    let mut site = Site::new();
    let server = site.start();
    let address = server.create("gardee", LEA);
    server.settles(&site, &address);
    server.kill();
    // The line is lost from the configuration.
    site.configure(&toml! { publish_from = "acceptance" });
    let server = site.start();
    let verify = |more: &[&str]| server.caducee(&[&["directory", "verify"], more].concat());
    let is_there = || site.contact(&format!("Practitioner/003-{LEA}"), &address).is_some();
    let left = verify(&["--mend"]);
    assert_eq!(left.code, Some(1), "{}", left.all());
    assert!(left.stdout.contains("verify --mend --confirm 1"), "{}", left.all());
    let refused = verify(&["--mend", "--confirm", "0"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("1 mailboxes away, not 0"), "{}", refused.all());
    assert!(is_there() && site.done(&address) == ["insert"]);
    verify(&["--mend", "--confirm", "1"]).expect_ok("confirming");
    server.settles(&site, &address);
    assert!(!is_there(), "{}", site.log());
}
