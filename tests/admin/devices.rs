//! Devices and second factors, by the API and by the real program.

use hyper::Method;
use serde_json::json;

use crate::harness::Server;

const ADDRESS: &str = "camille@aura.mssante.example";

fn mode_of(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_device_from_its_enrolment_to_its_revocation() {
    let server = Server::start().await;
    server.mailbox("camille").await;
    let file = server.place.join("pc.p12");
    let out = file.to_str().unwrap();
    let enrolled =
        server.caducee(&["device", "enrol", ADDRESS, "--name", "PC du secrétariat", "--out", out]).await.expect(0);
    assert!(enrolled.stdout.starts_with("PC du secrétariat enrolled as number "), "{}", enrolled.stdout);
    let password = enrolled.stdout.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(mode_of(&file), 0o600, "nobody else may read it");
    let store = p12_keystore::KeyStore::from_pkcs12(
        &std::fs::read(&file).unwrap(),
        &password,
        p12_keystore::Pkcs12ImportPolicy::Strict,
    );
    assert!(store.unwrap().private_key_chain().is_some());

    let again = server.caducee(&["device", "enrol", ADDRESS, "--name", "autre", "--out", out]).await.expect(1);
    assert!(again.stderr.contains("cannot make"), "a file that is there stays: {}", again.stderr);
    let other = server.place.join("other.p12");
    let taken = server
        .caducee(&["device", "enrol", ADDRESS, "--name", "PC du secrétariat", "--out", other.to_str().unwrap()])
        .await
        .expect(1);
    assert!(taken.stderr.contains("[rule device-exists"), "{}", taken.stderr);
    assert!(!other.exists(), "a refusal leaves no file");

    let list = server.caducee(&["device", "list", ADDRESS, "--json"]).await.expect(0).json();
    let device = &list["devices"][0];
    assert_eq!((&device["name"], &device["state"]), (&json!("PC du secrétariat"), &json!("valid")));
    let id = device["id"].to_string();
    let renewed = server
        .caducee(&["device", "renew", ADDRESS, &id, "--compatible", "--out", other.to_str().unwrap(), "--json"])
        .await
        .expect(0)
        .json();
    assert!(renewed["password"].is_string() && renewed.get("pkcs12").is_none(), "the file has it: {renewed}");
    let list = server.caducee(&["device", "list", ADDRESS]).await.expect(0).stdout;
    assert!(list.contains("replaced") && list.contains("valid"), "{list}");
    server.caducee(&["device", "revoke", ADDRESS, &id]).await.expect(0);
    let gone = server.caducee(&["device", "revoke", ADDRESS, &id]).await.expect(1);
    assert!(gone.stderr.contains("[rule no-such-device"), "{}", gone.stderr);
}

#[tokio::test]
async fn what_will_not_do_is_refused_by_name() {
    let server = Server::start().await;
    server.mailbox("camille").await;
    let way = format!("/v1/mailboxes/{ADDRESS}/devices");
    for (body, rule, field) in [
        (json!({ "name": "" }), "bad-field", Some("name")),
        (json!({ "name": "x", "nom": "y" }), "bad-field", None),
        (json!({ "name": "x", "request": "nonsense" }), "bad-certificate-request", Some("request")),
        (json!({ "name": "x", "request": "nonsense", "compatible": true }), "bad-field", Some("compatible")),
        (json!({ "name": "x", "person": "899700000009" }), "bad-field", Some("person")),
    ] {
        let problem = server.post(&way, body.clone()).await.unwrap_err();
        assert_eq!(problem.rule, rule, "{body}");
        if field.is_some() {
            assert_eq!(problem.field.as_deref(), field, "{body}");
        }
    }
    let renew = server.post(&format!("{way}/9/renew"), json!(null)).await.unwrap_err();
    assert_eq!(renew.rule, "no-such-device");
    let none = server.get("/v1/mailboxes/nobody@aura.mssante.example/devices").await.unwrap_err();
    assert_eq!(none.rule, "no-such-mailbox");
}

#[tokio::test]
async fn the_authority_is_printed_and_replaced() {
    let server = Server::start().await;
    let count = |text: &str| text.matches("BEGIN CERTIFICATE").count();
    let before = server.caducee(&["device", "authority"]).await.expect(0).stdout;
    assert_eq!(count(&before), 1);
    assert_eq!(server.caducee(&["device", "authority"]).await.expect(0).stdout, before);
    let after = server.caducee(&["device", "authority", "--rotate"]).await.expect(0).stdout;
    assert_eq!(count(&after), 2);
    assert!(after.ends_with(&before), "the new one first");
}

#[tokio::test]
async fn an_administrator_sees_and_resets_second_factors() {
    let server = Server::start().await;
    server.mailbox("camille").await;
    let nothing = server.caducee(&["mailbox", "factor", "reset", ADDRESS]).await.expect(1);
    assert!(nothing.stderr.contains("[rule no-such-factor"), "{}", nothing.stderr);
    let address = caducee::mss::Address::parse(ADDRESS).unwrap();
    let account = server.registry.by_address(&address).unwrap().unwrap();
    server.registry.new_recovery_codes(account.id).await.unwrap();
    let shown = server.caducee(&["mailbox", "factor", "show", ADDRESS, "--json"]).await.expect(0).json();
    assert_eq!(shown, json!({ "by_mail": false, "recovery_codes": 10 }));
    server.caducee(&["mailbox", "factor", "reset", ADDRESS]).await.expect(0);
    let way = format!("/v1/mailboxes/{ADDRESS}/factors");
    assert_eq!(server.get(&way).await.unwrap()["recovery_codes"], 0);
    assert_eq!(server.raw(Method::DELETE, &way, None, "").await.unwrap_err().rule, "no-such-factor");
}
