//! What is held about a person: told, and erased.

use std::os::unix::fs::PermissionsExt;

use caducee::mss::Address;
use caducee::store::{Batch, Credential, CredentialKey, CredentialKind};
use serde_json::{Value, json};

use crate::harness::{Server, text};

const CAMILLE: &str = "899700000001";
const CARE: &str = "soins@aura.mssante.example";

/// Camille holds a mailbox, stands on the access list of a ward's, and has a workstation there.
async fn camille(server: &Server) -> String {
    let address = server.mailbox("camille").await;
    let ward = json!({
        "address": CARE,
        "kind": "ORG",
        "holder": { "structure_id": "1690000017", "entity": "CH", "label": "Soins", "responsible": "899700000009" },
        "access_list": [
            { "person": CAMILLE, "name": "Camille Fontanel", "rights": ["read", "write"] },
            { "person": "899700000002", "name": "Noé Petit", "rights": ["read"] },
        ],
    });
    server.post("/v1/mailboxes", ward).await.unwrap();
    let device = |sha256: &str, label: &str, person: &str| Credential {
        kind: CredentialKind::Device { sha256: sha256.into(), serial: "01".into() },
        label: label.into(),
        person: Some(person.into()),
        created_at: 1_790_000_000,
        last_used_at: None,
        expires_at: None,
    };
    let account = server.registry.by_address(&Address::parse(CARE).unwrap()).unwrap().unwrap().id;
    let mut batch = Batch::new();
    batch.put(&CredentialKey { account, number: 7 }, &device("aa", "PC de Camille", CAMILLE));
    batch.put(&CredentialKey { account, number: 8 }, &device("bb", "PC de Noé", "899700000002"));
    server.registry.room().store().commit(batch).await.unwrap();
    server.keep_traces().await;
    address
}

async fn told(server: &Server, person: &str) -> Value {
    server.caducee(&["person", "export", person, "--json"]).await.expect(0).json()
}

#[tokio::test]
async fn a_person_is_told_all_that_is_held_about_them_with_why_and_until_when() {
    let server = Server::start().await;
    let address = camille(&server).await;
    let held = told(&server, CAMILLE).await;
    assert_eq!(
        (&held["mailboxes"][0]["address"], &held["mailboxes"][0]["state"]),
        (&address.as_str().into(), &"open".into())
    );
    assert_eq!(held["access"][0]["mailbox"], CARE);
    assert_eq!((held["access"].as_array().unwrap().len(), held["means"].as_array().unwrap().len()), (1, 1));
    assert_eq!(held["means"][0]["label"], "PC de Camille");
    assert!(held["grounds"].as_array().unwrap().iter().all(|ground| !ground["until"].as_str().unwrap().is_empty()));
    assert!(!held.to_string().contains("Noé"), "nothing of anybody else");
    assert_eq!(told(&server, "899700000009").await["responsible_for"], json!([CARE]));
    let nobody = server.caducee(&["person", "export", "899700000077", "--json"]).await.expect(1);
    assert_eq!(nobody.problem()["rule"], "no-such-person");
}

#[tokio::test]
async fn the_files_are_the_callers_alone_and_are_not_written_over() {
    let server = Server::start().await;
    camille(&server).await;
    let out = server.place.join("camille");
    server.caducee(&["person", "export", CAMILLE, "--out", text(&out)]).await.expect(0);
    for ending in ["json", "html"] {
        let file = out.join(format!("personne-{CAMILLE}.{ending}"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(&file).unwrap().contains("PC de Camille"));
    }
    server.caducee(&["person", "export", CAMILLE, "--out", text(&out)]).await.expect(1);
}

#[tokio::test]
async fn erasing_shows_first_then_takes_away_what_it_may_and_says_what_stays() {
    let server = Server::start().await;
    let address = camille(&server).await;
    let would = server.caducee(&["person", "erase", CAMILLE, "--json"]).await.expect(0).json();
    assert_eq!((&would["done"], would["erased"].as_array().unwrap().len()), (&false.into(), 2));
    assert_eq!(told(&server, CAMILLE).await["access"].as_array().unwrap().len(), 1, "nothing was erased");

    let did = server.caducee(&["person", "erase", CAMILLE, "--really", "--json"]).await.expect(0).json();
    assert_eq!((&did["done"], &did["erased"], &did["kept"]), (&true.into(), &would["erased"], &would["kept"]));
    assert_eq!(did["kept"][0]["mailbox"], address.as_str(), "a mailbox in use is closed first");
    let held = told(&server, CAMILLE).await;
    assert_eq!((&held["access"], &held["means"]), (&json!([]), &json!([])));
    let ward = server.caducee(&["mailbox", "show", CARE, "--json"]).await.expect(0).json();
    assert_eq!(ward["access_list"][0]["name"], "Noé Petit", "others keep what is theirs");
    assert_eq!(told(&server, "899700000002").await["means"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_closed_mailbox_keeps_who_held_it_for_a_year_and_nothing_else() {
    let server = Server::start().await;
    let address = camille(&server).await;
    server
        .caducee(&[
            "mailbox",
            "set",
            &address,
            "--notification-address",
            "c@ordinaire.example",
            "--comment",
            "appelle souvent",
        ])
        .await
        .expect(0);
    server.caducee(&["mailbox", "close", &address, "--yes"]).await.expect(0);
    server.caducee(&["person", "erase", CAMILLE, "--really"]).await.expect(0);
    let held = told(&server, CAMILLE).await;
    let mailbox = &held["mailboxes"][0];
    assert_eq!(
        (&mailbox["state"], &mailbox["notification_address"], &mailbox["comment"]),
        (&"closed".into(), &Value::Null, &Value::Null)
    );
    assert!(mailbox["holder"].to_string().contains("Fontanel"));
    let again = server.caducee(&["person", "erase", CAMILLE, "--json"]).await.expect(0).json();
    assert_eq!(again["erased"], json!([]));
    let until = again["kept"][0]["until"].as_str().unwrap();
    let closed = mailbox["state_since"].as_str().unwrap();
    assert_ne!(until[..4], closed[..4], "{closed} to {until}");
}
