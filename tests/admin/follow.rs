//! Following a message by its Message-ID.

use caducee::mail::queue::{Envelope, Kind, Words};
use caducee::mail::report::{Action, Original, Report, Reported, settle};
use caducee::mail::{Delivery, deliver};
use caducee::mss::Address;
use caducee::store::Batch;
use caducee::wire::smtp::params::{MailParams, RcptParams};

use crate::harness::Server;

/// A message of Camille's that could not be delivered, and of which she was told.
pub(crate) async fn a_failed_message(server: &Server) {
    let sender = Address::parse(&server.mailbox("camille").await).unwrap();
    let room = server.registry.room();
    let account = server.registry.by_address(&sender).unwrap().unwrap().id;
    let mut incoming = room.receive();
    incoming.write(b"Message-ID: <abc@aura.mssante.example>\r\n\r\nBonjour\r\n").await.unwrap();
    let message = incoming.finish().await.unwrap();
    let envelope = Envelope {
        kind: Kind::Mail,
        sender: Some(sender),
        account: Some(account),
        params: MailParams::default(),
        message_id: Some("<abc@aura.mssante.example>".into()),
        reference: "6921b2c0-1f/2".into(),
    };
    let original = Original::of(&message, 0, envelope, 0);
    deliver(room, Delivery::new(message, vec![account], 0)).await.unwrap();
    let words = Words { code: None, status: "5.1.1".into(), text: "unknown".into(), host: None, rule: None };
    let failed = Reported {
        address: Address::parse("b@nord.mssante.example").unwrap(),
        params: RcptParams::default(),
        action: Action::Failed,
        words,
        last_attempt: None,
        retry_until: None,
    };
    settle(room, vec![Report { original, recipients: vec![failed] }], Batch::new()).await.unwrap();
}

#[tokio::test]
async fn a_message_is_followed_with_or_without_angle_brackets() {
    let server = Server::start().await;
    a_failed_message(&server).await;
    for asked in ["%3Cabc%40aura.mssante.example%3E", "abc@aura.mssante.example", "%20abc@aura.mssante.example%20"] {
        let followed = server.get(&format!("/v1/follow?message-id={asked}")).await.unwrap();
        assert_eq!(followed["message_id"], "<abc@aura.mssante.example>");
        let [event] = followed["events"].as_array().unwrap().as_slice() else { panic!("{followed}") };
        assert_eq!((&event["action"], &event["result"]), (&"reported".into(), &"failed".into()));
        assert_eq!(
            (&event["reference"], &event["recipients"][0]),
            (&"6921b2c0-1f/2".into(), &"b@nord.mssante.example".into())
        );
        let at = event["at"].as_str().unwrap();
        assert!(at.len() == "2026-11-25T13:03:07.125000Z".len() && at.ends_with('Z'), "{at}");
    }
}

#[tokio::test]
async fn the_report_has_a_trail_of_its_own() {
    let server = Server::start().await;
    a_failed_message(&server).await;
    let followed = server.get("/v1/follow?message-id=abc@aura.mssante.example").await.unwrap();
    let report = followed["events"][0]["report"].as_str().unwrap().trim_matches(['<', '>']).to_owned();
    let way = server.get(&format!("/v1/follow?message-id={report}")).await.unwrap();
    assert_eq!(
        (&way["events"][0]["action"], &way["events"][0]["origin"]["door"]),
        (&"accepted".into(), &"report".into())
    );
}

#[tokio::test]
async fn what_is_not_known_or_no_message_id_is_refused() {
    let server = Server::start().await;
    let refused = async |query: &str| server.get(&format!("/v1/follow{query}")).await.unwrap_err().rule;
    assert_eq!(refused("?message-id=unknown@x").await, "no-such-message");
    let long = &format!("?message-id={}", "x".repeat(1_000));
    for query in ["", "?message-id=", "?message-id=%20", "?message-id=a%0D%0Ab", "?id=a", "?message-id=a&x=1", long] {
        assert_eq!(refused(query).await, "bad-field", "{query}");
    }
}

#[tokio::test]
async fn the_command_shows_a_line_for_each_event() {
    let server = Server::start().await;
    a_failed_message(&server).await;
    let shown = server.caducee(&["follow", "<abc@aura.mssante.example>"]).await.expect(0).stdout;
    for expected in ["sender told", "b@nord.mssante.example", "failed; report <", "6921b2c0-1f/2"] {
        assert!(shown.contains(expected), "no `{expected}` in:\n{shown}");
    }
    let json = server.caducee(&["follow", "abc@aura.mssante.example", "--json"]).await.expect(0).json();
    assert_eq!(json["events"][0]["action"], "reported");
    let refused = server.caducee(&["follow", "unknown@x"]).await.expect(1);
    assert!(refused.stderr.contains("[rule no-such-message, ref adm-"), "{}", refused.stderr);
}
