//! Sessions that end from outside, and who they let in: rights, workstations, another mailbox by authorisation id.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use caducee::accounts::{Ending, Grantee, NewMailbox};
use caducee::mss::{Address, Kind};
use caducee::store::{AccessGrant, AccessRight, AccountId, Holder};

use super::harness::{Client, MAILBOX, PASSWORD, Server, message};

const LEA: &str = "lea@aura.mssante.example";
const PERSON: &str = "899700000001";

/// A professional's own mailbox.
async fn lea(server: &Server) -> AccountId {
    let holder = Holder { national_id: Some(PERSON.into()), last_name: Some("Martin".into()), ..Holder::default() };
    let new = NewMailbox::new(Address::parse(LEA).unwrap(), Kind::Per, holder);
    let id = server.registry.create(NewMailbox { allow_password: true, ..new }).await.unwrap().id;
    server.registry.set_password(id, PASSWORD, "test").await.unwrap();
    id
}

async fn grant(server: &Server, rights: &[AccessRight]) {
    let grant = AccessGrant { person: PERSON.into(), rights: rights.to_vec(), ..AccessGrant::default() };
    server.registry.grant(server.account, grant).await.unwrap();
}

/// Léa's login to the shared mailbox itself (RFC 4616: authorisation id, authentication id, password).
fn plain() -> String {
    format!("AUTHENTICATE PLAIN {}", BASE64_STANDARD.encode(format!("{MAILBOX}\0{LEA}\0{PASSWORD}")))
}

async fn idle(client: &mut Client) {
    client.send("i IDLE\r\n").await;
    assert_eq!(client.line().await, "+ idling");
}

/// What the server says at a session's end, which must come within a second.
async fn farewell(client: &mut Client) -> String {
    tokio::time::timeout(Duration::from_secs(1), client.end()).await.expect("the session ends within a second")
}

#[tokio::test]
async fn an_ended_session_is_told_so_wherever_it_waits() {
    let server = Server::start().await;
    let (mut waiting, mut selected, mut idling) = (server.login().await, server.inbox().await, server.login().await);
    let mut idling_in_a_folder = server.inbox().await;
    idle(&mut idling).await;
    idle(&mut idling_in_a_folder).await;
    let sessions = server.registry.sessions();
    assert_eq!(sessions.list().len(), 4);
    assert_eq!(sessions.end_where(|session| session.login.account == server.account, Ending::Administrator), 4);
    for client in [&mut waiting, &mut selected, &mut idling, &mut idling_in_a_folder] {
        assert_eq!(farewell(client).await, "* BYE The session was ended by the operator\r\n");
    }
    for _ in 0..100 {
        if sessions.list().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("ended sessions stay on the list");
}

#[tokio::test]
async fn an_ended_session_gets_no_further_in_a_fetch_that_it_reads_slowly() {
    let server = Server::start().await;
    let body = "Compte rendu de la consultation, sans autre particularite.\n".repeat(10_000);
    for subject in ["un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze"] {
        server.deliver(&format!("{}{body}", message(subject))).await;
    }
    let mut client = server.inbox().await;
    client.send("f UID FETCH 1:* (BODY.PEEK[])\r\n").await;
    assert!(client.line().await.starts_with("* 1 FETCH "));
    let sessions = server.registry.sessions();
    assert_eq!(sessions.end_where(|session| session.login.account == server.account, Ending::Administrator), 1);
    let rest = farewell(&mut client).await;
    assert!(rest.ends_with("* BYE The session was ended by the operator\r\n"), "{}", &rest[rest.len() - 200..]);
    assert!(!rest.contains("* 12 FETCH ") && !rest.contains("\r\nf OK"), "it was answered to the end");
}

#[tokio::test]
async fn a_suspension_ends_sessions_that_have_no_folder_open() {
    let server = Server::start().await;
    let (mut waiting, mut idling) = (server.login().await, server.login().await);
    idle(&mut idling).await;
    server.registry.suspend(server.account, "").await.unwrap();
    for client in [&mut waiting, &mut idling] {
        assert_eq!(farewell(client).await, "* BYE The mailbox is suspended\r\n");
    }
}

#[tokio::test]
async fn who_is_taken_off_the_access_list_is_out_within_a_second() {
    let server = Server::start().await;
    lea(&server).await;
    grant(&server, &[AccessRight::Write]).await;
    let mut shared = server.connect(true).await;
    shared.ok(&plain()).await;
    shared.ok("SELECT INBOX").await;
    let mut own = server.connect(true).await;
    own.ok(&format!("LOGIN {LEA} \"{PASSWORD}\"")).await;
    idle(&mut shared).await;
    let person = Grantee::Person(PERSON.into());
    server.registry.take_grant(server.account, &person).await.unwrap();
    assert_eq!(farewell(&mut shared).await, "* BYE Your access to this mailbox was changed; connect again\r\n");
    own.ok("NOOP").await;
    let mut again = server.connect(true).await;
    again.refused(&plain(), "NO [AUTHORIZATIONFAILED] this mailbox is not yours").await;
    again.ok(&format!("LOGIN {LEA} \"{PASSWORD}\"")).await;
}

#[tokio::test]
async fn who_may_only_send_does_not_open() {
    let server = Server::start().await;
    lea(&server).await;
    grant(&server, &[AccessRight::Send]).await;
    let mut client = server.connect(true).await;
    client.refused(&plain(), "NO [AUTHORIZATIONFAILED] You may send as this mailbox").await;
    grant(&server, &[AccessRight::Send, AccessRight::Read]).await;
    client.ok(&plain()).await;
}

#[tokio::test]
async fn a_session_has_its_end_in_idle_too() {
    let mut server = Server::start().await;
    server.options.session_timeout = Duration::from_millis(400);
    let (mut waiting, mut idling) = (server.login().await, server.login().await);
    idle(&mut idling).await;
    for client in [&mut waiting, &mut idling] {
        assert_eq!(farewell(client).await, "* BYE The session has lasted long enough; connect again\r\n");
    }
}

#[tokio::test]
async fn the_list_tells_who_is_in_and_when_they_last_said_something() {
    let server = Server::start().await;
    lea(&server).await;
    grant(&server, &[AccessRight::Read]).await;
    let mut client = server.connect(true).await;
    assert!(server.registry.sessions().list().is_empty(), "nobody is in before a login");
    client.ok(&plain()).await;
    let session = server.registry.sessions().list().pop().unwrap();
    assert_eq!((session.login.account, session.login.person.as_deref()), (server.account, Some(PERSON)));
    assert_eq!((session.door, session.login.rights.to_string().as_str()), ("imap", "read"));
    let first = session.heard_at();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    client.ok("NOOP").await;
    assert!(session.heard_at() > first);
}
