//! What is held about a person: told, and erased.

use std::os::unix::fs::PermissionsExt;

use caducee::accounts::notice::Notice;
use caducee::audit::{Action, Trace, TraceQuery};
use caducee::mss::Address;
use caducee::store::{
    Account, Batch, Credential, CredentialKey, CredentialKind, DirectoryEntry, DirectoryEntryKey, DirectoryImage,
    DirectoryPlace, DirectoryState, Forward, KnownPlace, NewMailMark, NoticePart, NoticeState, NoticeStateKey,
    SecondFactor, Table,
};
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
    let responsible = told(&server, "899700000009").await;
    assert_eq!(responsible["responsible_for"][0]["mailbox"], CARE);
    assert!(responsible["responsible_for"][0]["holder"].to_string().contains("Soins"));
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

#[tokio::test]
async fn who_looks_at_a_persons_data_or_erases_them_is_traced() {
    let server = Server::start().await;
    camille(&server).await;
    told(&server, CAMILLE).await;
    server.caducee(&["person", "erase", CAMILLE]).await.expect(0);
    let looked = |wanted: &str| {
        let query = TraceQuery { action: Some("administered".into()), ..TraceQuery::default() };
        let traces = server.traces.search(&query, 100).unwrap().traces;
        let is_it = |trace: &Trace| match &trace.action {
            Action::Administered { what, about, .. } => what == wanted && about.as_deref() == Some(CAMILLE),
            _ => false,
        };
        traces.into_iter().filter(is_it).map(|trace| trace.actor.login).collect::<Vec<_>>()
    };
    let told = looked("person-told");
    assert_eq!(told.len(), 2, "what would be erased is told, too");
    assert!(told.iter().all(|login| login.as_ref().is_some_and(|login| login.starts_with("uid "))), "{told:?}");
    assert!(looked("person-erased").is_empty());
    server.caducee(&["person", "erase", CAMILLE, "--really"]).await.expect(0);
    assert_eq!(looked("person-erased").len(), 1);
}

/// Where a person is told what a table holds of them.
enum Told {
    /// There, in the answer.
    At(&'static str),
    /// It holds nothing of anybody, or what only the mailbox's key opens and its holder takes out, or what is told elsewhere.
    No(&'static str),
}

/// Without a wildcard: whoever adds a table decides here whose data it can hold.
fn told_at(table: Table) -> Told {
    use Told::{At, No};
    match table {
        Table::Account => At("/mailboxes/0/holder/0"),
        Table::AddressIndex => At("/mailboxes/0/address"),
        Table::Credential => At("/means/0"),
        Table::Usage => At("/mailboxes/0/messages"),
        Table::SecondFactor => At("/mailboxes/0/second_factor"),
        Table::QueueMessage | Table::Consignment | Table::QueueRecipient => At("/mailboxes/0/on_their_way"),
        Table::Journal => At("/mailboxes/0/journal/0"),
        Table::Notice => At("/mailboxes/0/notices/0"),
        Table::NoticeState => At("/mailboxes/0/networks/0"),
        Table::DirectoryEntry | Table::DirectoryState => At("/mailboxes/0/directory/0"),
        Table::Trace | Table::Trail => At("/traces/count"),
        Table::Meta => No("numbers"),
        Table::Domain => No("the operator's own"),
        Table::Secret => No("the operator's keys"),
        Table::DeviceAuthority => No("the operator's keys"),
        Table::Terms => No("the operator's text, and which administrator added it"),
        Table::TraceMark => No("where files stood"),
        Table::Counter => No("figures, and for three months a mark that the traces tell as well"),
        Table::Folder | Table::Message | Table::Content | Table::Body | Table::Change => No("content: caducee export"),
        Table::Conversation | Table::AbsenceAnswer => No("digests of correspondents, which end with the mailbox"),
        Table::SentMark | Table::SentCopy => No("digests of message ids"),
    }
}

#[tokio::test]
async fn whatever_a_table_can_hold_of_a_person_is_told_or_is_said_not_to_be() {
    let server = Server::start().await;
    let address = camille(&server).await;
    let _inbox = server.registry.take_notices().unwrap();
    let notified = ["mailbox", "set", &address, "--notification-address", "camille@courriel.example"];
    server.caducee(&notified).await.expect(0);
    let account = server.registry.by_address(&Address::parse(&address).unwrap()).unwrap().unwrap();
    assert!(server.registry.tell(&account, Notice::FactorsReset).await);
    server.enqueue(&address, &["ailleurs@nord.mssante.example"]).await;
    let place = DirectoryPlace { resource: "Practitioner".into(), system: "urn:oid:1".into(), value: CAMILLE.into() };
    let shown = DirectoryImage { place, address: address.clone(), ..DirectoryImage::default() };
    let key = |part| NoticeStateKey { part, account: account.id };
    let mut batch = Batch::new();
    batch.put(&account.id, &SecondFactor { recovery: vec!["a".into()], ..SecondFactor::default() });
    batch.put(&account.id, &DirectoryState { published: Some(shown), ..DirectoryState::default() });
    batch.put(&DirectoryEntryKey { account: account.id, number: 1 }, &DirectoryEntry { at: 1, cause: "asked".into() });
    let places = vec![KnownPlace { digest: 7, seen_at: 1_790_000_000 }];
    batch.put(&key(NoticePart::Places), &NoticeState { places, ..NoticeState::default() });
    let new_mail = Some(NewMailMark { due: 1_790_000_000, ..NewMailMark::default() });
    batch.put(&key(NoticePart::Marks), &NoticeState { new_mail, ..NoticeState::default() });
    server.registry.room().store().commit(batch).await.unwrap();
    server.keep_traces().await;

    let held = told(&server, CAMILLE).await;
    for table in Table::ALL {
        match told_at(table) {
            Told::At(pointer) => {
                let said = held.pointer(pointer).unwrap_or(&Value::Null);
                let is_something = !said.is_null() && *said != json!("") && *said != json!(false);
                assert!(is_something, "{}: nothing at {pointer} of {held:#}", table.name());
            }
            Told::No(why) => assert!(!why.is_empty()),
        }
    }
    let mailbox = &held["mailboxes"][0];
    assert_eq!((&mailbox["on_their_way"], &mailbox["notices"][0]["notice"]), (&1.into(), &"factors-reset".into()));
    assert_eq!((mailbox["notices"].as_array().unwrap().len(), mailbox["networks"].as_array().unwrap().len()), (2, 1));
    assert!(mailbox["directory"].to_string().contains(CAMILLE), "{mailbox}");
}

#[tokio::test]
async fn a_person_is_told_where_others_mailboxes_name_them() {
    let server = Server::start().await;
    let address = camille(&server).await;
    let ward = server.registry.by_address(&Address::parse(CARE).unwrap()).unwrap().unwrap().id;
    let store = server.registry.room().store();
    // Camille accepted the terms for the ward, whose mail is sent on to her, and whom the directory names for it.
    let read = store.get::<Account>(&ward).unwrap().unwrap();
    let forward = Some(Forward { to: vec![address.to_uppercase()], ..Forward::default() });
    let (terms_accepted_by, terms_version) = (Some(CAMILLE.to_owned()), Some("2026-01".to_owned()));
    let record = Account { terms_accepted_by, terms_version, forward, ..read.record };
    let shown = DirectoryImage { responsible: Some(CAMILLE.into()), ..DirectoryImage::default() };
    let mut batch = Batch::new();
    batch.update(&ward, read.version, &record);
    batch.put(&ward, &DirectoryState { published: Some(shown), ..DirectoryState::default() });
    store.commit(batch).await.unwrap();
    let held = told(&server, CAMILLE).await;
    assert_eq!((&held["accepted"][0]["mailbox"], &held["accepted"][0]["version"]), (&CARE.into(), &"2026-01".into()));
    assert_eq!((&held["forwarding"], &held["directory"]), (&json!([CARE]), &json!([CARE])));
    let noe = told(&server, "899700000002").await;
    assert_eq!((&noe["accepted"], &noe["forwarding"], &noe["directory"]), (&json!([]), &json!([]), &json!([])));
}
