//! Issue 4, finding M11: nobody could tell afterwards who had been in a shared mailbox, who had let them in, and by what.

use caducee::accounts::NewMailbox;
use caducee::audit::{Action, By, FolderKind, Trace};
use caducee::mss::Kind;
use caducee::store::{Holder, Options};
use hyper::Method;
use serde_json::json;

use crate::harness::{PASSWORD, Server, message};
use crate::scene::{Api, Place, traces, until};

const SERVICE: &str = "secretariat@aura.mssante.example";
const LEA: (&str, &str) = ("lea@aura.mssante.example", "899700000001");
const MAX: (&str, &str) = ("max@aura.mssante.example", "899700000002");

async fn furnish(server: &Server) {
    server.registry.add_domain(&"aura.mssante.example".parse().unwrap(), "").await.unwrap();
    let holder =
        Holder { structure_id: Some("1750000018".into()), label: Some("Secrétariat".into()), ..Holder::default() };
    let new = NewMailbox::new(SERVICE.parse().unwrap(), Kind::Org, holder);
    let new = NewMailbox { allow_password: true, test: true, ..new };
    let service = server.registry.create(new).await.unwrap().id;
    for (address, person) in [LEA, MAX] {
        server.professional(address, person).await;
    }
    server.deliver_to(service, &message("un")).await;
}

/// The traces on the shared mailbox that one of these persons has left.
fn of<'a>(traces: &'a [Trace], person: &'a str) -> impl Iterator<Item = &'a Trace> {
    let is_theirs = move |trace: &&Trace| trace.actor.person.as_deref() == Some(person);
    traces.iter().filter(|trace| trace.mailbox.as_deref() == Some(SERVICE)).filter(is_theirs)
}

fn administered(trace: &Trace) -> Option<(&str, Option<&str>)> {
    match &trace.action {
        Action::Administered { what, about, .. } => Some((what, about.as_deref())),
        _ => None,
    }
}

#[tokio::test]
async fn after_a_restart_it_can_be_told_who_of_many_was_in_a_shared_mailbox_who_let_them_in_and_with_what() {
    let place = Place::new();
    let server = Server::over(place.room(&Options::default()).await);
    furnish(&server).await;
    let api = Api::of(&server);
    for (_, person) in [LEA, MAX] {
        let grant = json!({"person": person, "name": "", "rights": ["read", "write"]});
        api.send(Method::POST, &format!("/v1/mailboxes/{SERVICE}/access-list"), grant).await;
    }
    let device = json!({"name": "PC de l'accueil", "person": LEA.1});
    api.send(Method::POST, &format!("/v1/mailboxes/{SERVICE}/devices"), device).await;
    let password = json!({"password": {"set": "un mot de passe tout neuf"}});
    api.send(Method::PUT, &format!("/v1/mailboxes/{}/password", MAX.0), password).await;

    // Léa reads, Max only opens: each from a session of their own mailbox.
    let mut lea = server.login_to(LEA.0).await;
    lea.ok(&format!("SELECT Shared/{SERVICE}/INBOX")).await;
    lea.ok("FETCH 1 BODY[]").await;
    let mut max = server.connect(true).await;
    max.ok(&format!("LOGIN {} \"un mot de passe tout neuf\"", MAX.0)).await;
    max.ok(&format!("EXAMINE Shared/{SERVICE}/INBOX")).await;
    lea.ok("LOGOUT").await;
    until(&server.room, |traces| traces.iter().any(|t| matches!(t.action, Action::LoggedOut { .. }))).await;
    drop((lea, max, api));
    server.room.store().close();
    drop(server);

    let room = place.room(&Options::default()).await;
    let traces = traces(&room);
    let said = |person| of(&traces, person).map(|trace| trace.action.clone()).collect::<Vec<_>>();
    let (opened, read) =
        (Action::Opened { folder: FolderKind::Inbox }, Action::Read { folder: FolderKind::Inbox, messages: 1 });
    assert_eq!(said(LEA.1), [opened.clone(), read]);
    assert_eq!(said(MAX.1), [opened]);
    for trace in of(&traces, LEA.1) {
        assert_eq!(trace.actor.login.as_deref(), Some(LEA.0), "which mailbox they came by");
        assert_eq!((trace.actor.means.as_deref(), trace.origin.door.as_str()), (Some("password"), "imap"));
        assert_eq!(trace.origin.peer.as_deref(), Some("127.0.0.1"));
    }
    let logins: Vec<_> = traces.iter().filter(|trace| trace.action == Action::LoggedIn).collect();
    assert_eq!(logins.len(), 2);
    assert!(logins.iter().any(|trace| trace.actor.person.as_deref() == Some(MAX.1)));

    let by_administrator = |trace: &&Trace| trace.actor.by == Some(By::Administrator);
    let done: Vec<_> = traces.iter().filter(by_administrator).collect();
    let told: Vec<_> = done.iter().filter_map(|trace| administered(trace)).collect();
    let device = format!("PC de l'accueil ({})", LEA.1);
    let wanted = [
        ("access-granted", Some(LEA.1)),
        ("access-granted", Some(MAX.1)),
        ("device-authority-made", Some("1")),
        ("device-enrolled", Some(device.as_str())),
        ("password-set", None),
    ];
    assert_eq!(told, wanted);
    assert!(done.iter().all(|trace| trace.origin.door == "admin"));
    assert!(done.iter().all(|trace| trace.actor.login.as_deref().is_some_and(|login| login.starts_with("uid "))));
    room.store().close();
    assert!(!holds(&traces, PASSWORD) && !holds(&traces, "tout neuf"));
}

fn holds(traces: &[Trace], secret: &str) -> bool {
    serde_json::to_string(traces).unwrap().contains(secret)
}
