//! Tokens at the door of mail programs: who they open what for, in which words they are refused, and that nobody else waits.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use caducee::accounts::NewMailbox;
use caducee::accounts::psc::PscOptions;
use caducee::mss::{Address, Kind};
use caducee::store::{AccessGrant, AccessRight, AccountId, Holder};
use serde_json::json;

use crate::fake::{Fake, Fault, LEA};
use crate::harness::{Client, MAILBOX, PASSWORD, Server};

/// Léa's own mailbox.
const OWN: &str = "lea.petit@aura.mssante.example";

/// A server that asks a Pro Santé Connect, with Léa's mailbox.
struct House {
    server: Server,
    fake: Fake,
    own: AccountId,
}

impl House {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut PscOptions)) -> Self {
        let (mut server, fake) = (Server::start().await, Fake::start().await);
        server.options.max_sessions = 1000;
        server.psc.replace(Some(fake.client(change)));
        let holder = Holder {
            national_id: Some(LEA.into()),
            first_name: Some("Léa".into()),
            last_name: Some("PETIT".into()),
            ..Holder::default()
        };
        let new = NewMailbox::new(Address::parse(OWN).unwrap(), Kind::Per, holder);
        let own = server.registry.create(new).await.unwrap().id;
        Self { server, fake, own }
    }

    async fn connect(&self) -> Client {
        self.server.connect(true).await
    }
}

fn xoauth2(user: &str, token: &str) -> String {
    BASE64_STANDARD.encode(format!("user={user}\x01auth=Bearer {token}\x01\x01"))
}

fn oauthbearer(user: &str, token: &str) -> String {
    BASE64_STANDARD
        .encode(format!("n,a={user},\x01host=mx.aura.mssante.example\x01port=143\x01auth=Bearer {token}\x01\x01"))
}

/// Begins a login that is refused: reads the challenge, answers it, and gives the refusal.
async fn challenged(client: &mut Client, command: &str, answer: &str, status: &str) -> String {
    let tag = client.start(command).await;
    let challenge = client.line().await;
    let challenge = challenge.strip_prefix("+ ").unwrap_or_else(|| panic!("no challenge: {challenge}"));
    let told = String::from_utf8(BASE64_STANDARD.decode(challenge).unwrap()).unwrap();
    assert!(told.starts_with(status), "{told}");
    client.send(format!("{answer}\r\n")).await;
    client.until(&tag).await.pop().unwrap()
}

#[tokio::test]
async fn tokens_are_offered_where_somebody_can_be_asked_about_them() {
    let without = Server::start().await;
    let mut client = without.connect(true).await;
    assert!(!client.ok("CAPABILITY").await[0].contains("OAUTH"));
    client.refused(&format!("AUTHENTICATE XOAUTH2 {}", xoauth2(OWN, "good")), "NO [CANNOT]").await;

    let house = House::new().await;
    let mut client = house.server.connect(false).await;
    assert!(!client.ok("CAPABILITY").await[0].contains("OAUTH"), "not in plain text");
    client.refused(&format!("AUTHENTICATE XOAUTH2 {}", xoauth2(OWN, "good")), "NO [PRIVACYREQUIRED]").await;
    client.ok("STARTTLS").await;
    let offer = client.ok("CAPABILITY").await;
    assert!(offer[0].contains(" SASL-IR ") && offer[0].contains(" AUTH=XOAUTH2 AUTH=OAUTHBEARER"), "{offer:?}");
    assert!(house.fake.asked("").is_empty());
}

#[tokio::test]
async fn a_token_opens_its_persons_mailbox_in_every_form() {
    let house = House::new().await;
    house.fake.knows("good", json!({}));
    for (mechanism, message) in [("XOAUTH2", xoauth2(OWN, "good")), ("OAUTHBEARER", oauthbearer(OWN, "good"))] {
        let mut client = house.connect().await;
        client.ok(&format!("AUTHENTICATE {mechanism} {message}")).await;
        client.ok("SELECT INBOX").await;
        let mut client = house.connect().await;
        client.send(format!("a AUTHENTICATE {mechanism}\r\n")).await;
        assert_eq!(client.line().await, "+ ");
        client.send(format!("{message}\r\n")).await;
        assert!(client.until("a").await.pop().unwrap().starts_with("OK "));
        client.ok("SELECT INBOX").await;
    }
    assert_eq!(house.fake.asked("/introspect").len(), 1);
}

#[tokio::test]
async fn a_token_opens_what_its_person_is_on_the_access_list_of_and_nothing_else() {
    let house = House::new().await;
    house.fake.knows("good", json!({}));
    let registry = &house.server.registry;
    let grant = AccessGrant {
        person: LEA.into(),
        mailbox: None,
        name: "Léa Petit".into(),
        rights: vec![AccessRight::Read],
        since: 0,
        until: None,
    };
    let mut client = house.connect().await;
    let own = format!("AUTHENTICATE XOAUTH2 {}", xoauth2(MAILBOX, "good"));
    let before = challenged(&mut client, &own, "", r#"{"status":"401""#).await;
    let change = caducee::accounts::AccountChange { access_list: Some(vec![grant]), ..Default::default() };
    registry.set(house.server.account, &change).await.unwrap();
    client.ok(&own).await;

    let mut client = house.connect().await;
    let command = format!("AUTHENTICATE XOAUTH2 {}", xoauth2("nobody@aura.mssante.example", "good"));
    let unknown = challenged(&mut client, &command, "", r#"{"status":"401""#).await;
    assert_eq!(before, unknown, "a mailbox that is another's, and one that is not there");
}

#[tokio::test]
async fn a_refused_token_is_challenged_and_the_connection_stays() {
    let house = House::new().await;
    house.fake.knows("good", json!({}));
    house.fake.knows("expired", json!({ "exp": crate::fake::BEGIN - 300 }));
    let mut client = house.connect().await;
    for (command, answer, status, says) in [
        (
            format!("AUTHENTICATE XOAUTH2 {}", xoauth2(OWN, "bad")),
            "",
            r#"{"status":"401""#,
            "log in again with your card",
        ),
        (
            format!("AUTHENTICATE OAUTHBEARER {}", oauthbearer(OWN, "expired")),
            "AQ==",
            r#"{"status":"invalid_token""#,
            "the access token has expired",
        ),
        (format!("AUTHENTICATE XOAUTH2 {}", xoauth2(OWN, "")), "*", r#"{"status":"401""#, "no access token was sent"),
    ] {
        // A token that is empty needs the scheme left out, too.
        let command =
            command.replace(&xoauth2(OWN, ""), &BASE64_STANDARD.encode(format!("user={OWN}\x01auth=\x01\x01")));
        let refusal = challenged(&mut client, &command, answer, status).await;
        assert!(refusal.starts_with("NO [AUTHENTICATIONFAILED] ") && refusal.contains(says), "{refusal}");
    }
    client.ok(&format!("AUTHENTICATE XOAUTH2 {}", xoauth2(OWN, "good"))).await;
}

#[tokio::test]
async fn while_pro_sante_connect_is_away_the_login_is_put_off_without_a_challenge() {
    let house = House::new().await;
    house.fake.knows("good", json!({}));
    house.fake.fails("", Fault::Status(503));
    let mut client = house.connect().await;
    let command = format!("AUTHENTICATE XOAUTH2 {}", xoauth2(OWN, "good"));
    for _ in 0..10 {
        let refusal = client.refused(&command, "NO [UNAVAILABLE] ").await;
        assert!(refusal.contains("Pro Sante Connect ne repond pas"), "{refusal}");
    }
    house.fake.recovers();
    client.ok(&command).await;
}

#[tokio::test]
async fn a_suspended_mailbox_opens_for_no_token() {
    let house = House::new().await;
    house.fake.knows("good", json!({}));
    house.server.registry.suspend(house.own, "test").await.unwrap();
    let mut client = house.connect().await;
    let command = format!("AUTHENTICATE XOAUTH2 {}", xoauth2(OWN, "good"));
    let refusal = challenged(&mut client, &command, "", r#"{"status":"401""#).await;
    assert!(refusal.starts_with("NO [AUTHENTICATIONFAILED] the mailbox is suspended"), "{refusal}");
}

#[tokio::test]
async fn five_hundred_logins_that_wait_for_pro_sante_connect_hold_up_nobody_else() {
    let house = Arc::new(House::new().await);
    for n in 0..500 {
        house.fake.knows(&format!("good{n}"), json!({}));
    }
    house.fake.knows("before", json!({}));
    house.connect().await.ok(&format!("AUTHENTICATE XOAUTH2 {}", xoauth2(OWN, "before"))).await;
    let mut open = house.server.inbox().await;
    // Pro Santé Connect takes its time: until this test lets it go.
    house.fake.fails("introspect", Fault::Held);
    let waiting: Vec<_> = (0..500)
        .map(|n| {
            let house = Arc::clone(&house);
            tokio::spawn(async move {
                let mut client = house.connect().await;
                client.ok(&format!("AUTHENTICATE XOAUTH2 {}", xoauth2(OWN, &format!("good{n}")))).await;
                client.ok("NOOP").await;
            })
        })
        .collect();
    while house.fake.asked("/introspect").len() < 501 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    // All of them wait, and none can go on: whatever is answered now is not held up by them.
    for n in 0..50 {
        open.append("INBOX", "", &crate::harness::message(&format!("message {n}"))).await;
        open.ok("NOOP").await;
        open.ok("FETCH 1:* FLAGS").await;
    }
    house.connect().await.ok(&format!("LOGIN {MAILBOX} \"{PASSWORD}\"")).await;
    let remembered = format!("AUTHENTICATE XOAUTH2 {}", xoauth2(OWN, "before"));
    house.connect().await.ok(&remembered).await;
    assert!(waiting.iter().all(|login| !login.is_finished()));
    house.fake.release();
    for login in waiting {
        login.await.unwrap();
    }
}
