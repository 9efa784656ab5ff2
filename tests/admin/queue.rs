//! The queue, by the API and by `caducee queue`.

use caducee::mail::queue::{Attempt, Destination, Kind, Outbound, OutboundRecipient, Outcome, Verdict, Words};
use caducee::mss::Address;
use caducee::wire::smtp::params::{MailParams, Notify, RcptParams, Return};
use serde_json::json;

use crate::harness::Server;

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

impl Server {
    pub(crate) async fn enqueue(&self, sender: &str, recipients: &[&str]) {
        self.enqueue_as(Kind::Mail, sender, recipients).await;
    }

    /// A message; as a forward, one whose holder keeps no copy.
    async fn enqueue_as(&self, kind: Kind, sender: &str, recipients: &[&str]) {
        let room = self.registry.room();
        let mut incoming = room.receive();
        incoming.write(b"Subject: confidentiel\r\n\r\nsecret\r\n").await.unwrap();
        // Without reports, which would be queued too: the senders have no mailbox here.
        let params = RcptParams { notify: Some(Notify::Never), ..RcptParams::default() };
        let recipient = |text: &&str| OutboundRecipient { address: address(text), params: params.clone() };
        let outbound = Outbound {
            kind,
            sender: Some(address(sender)),
            account: None,
            params: MailParams { ret: (kind == Kind::Forward).then_some(Return::Full), ..MailParams::default() },
            recipients: recipients.iter().map(recipient).collect(),
            message_id: Some("<1@aura.mssante.example>".into()),
            reference: "t-1".into(),
            skip: 0,
            header: 25,
            not_before: None,
        };
        room.queue().enqueue(outbound, incoming.finish().await.unwrap()).await.unwrap();
    }

    /// The next attempt meets a peer that says "later".
    async fn defer_one(&self) {
        let queue = self.registry.room().queue();
        let attempt: Attempt = queue.next().await.unwrap();
        let words = Words {
            code: Some(451),
            status: "4.2.1".into(),
            text: "revenez plus tard".into(),
            host: Some("mx.nord.mssante.example".into()),
            rule: None,
        };
        let recipients = attempt.recipients.iter().map(|each| (each.number, Verdict::Deferred(words.clone())));
        let outcome = Outcome { recipients: recipients.collect(), destination: Destination::Reached };
        queue.settle(attempt, outcome).await;
    }
}

#[tokio::test]
async fn the_queue_is_listed_by_pages_and_shown_without_content() {
    let server = Server::start().await;
    for n in 0..3 {
        server.enqueue("lea@aura.mssante.example", &[&format!("a{n}@nord.mssante.example")]).await;
    }
    server.defer_one().await;
    let page = server.get("/v1/queue?limit=2").await.unwrap();
    assert_eq!((page["messages"].as_array().unwrap().len(), &page["next_after"]), (2, &json!(2)));
    assert!(!page.to_string().contains("confidentiel"));
    let last = server.get("/v1/queue?limit=2&after=2").await.unwrap();
    assert_eq!((last["messages"][0]["id"].as_u64(), last.get("next_after")), (Some(3), None));
    let shown = server.get("/v1/queue/1").await.unwrap();
    assert_eq!(shown, page["messages"][0]);
    let consignment = &shown["consignments"][0];
    assert_eq!((&consignment["state"], &consignment["attempts"]), (&json!("waiting"), &json!(1)));
    assert_eq!(consignment["recipients"][0]["last"]["text"], "revenez plus tard");
    assert_eq!(server.get("/v1/queue?recipient=A2@nord.mssante.example").await.unwrap()["messages"][0]["id"], 3);
    assert_eq!(server.get("/v1/queue?state=held").await.unwrap()["messages"], json!([]));
    assert_eq!(server.get("/v1/queue/99").await.unwrap_err().rule, "no-such-message");
}

#[tokio::test]
async fn an_order_says_what_it_means() {
    let server = Server::start().await;
    server.enqueue("lea@aura.mssante.example", &["a@nord.mssante.example"]).await;
    for (path, body, field) in [
        ("/v1/queue/hold", json!({}), Some("all")),
        ("/v1/queue/hold", json!({ "all": true, "id": 1 }), Some("all")),
        ("/v1/queue/hold", json!({ "id": 1, "reason": "x" }), Some("reason")),
        ("/v1/queue/bounce", json!({ "id": 1, "reason": "a\r\nb" }), Some("reason")),
        ("/v1/queue/bounce", json!({ "id": 1, "force": true }), Some("force")),
        ("/v1/queue/cancel", json!({ "sender": "nobody" }), Some("sender")),
        ("/v1/queue/cancel", json!({ "domain": "été" }), Some("domain")),
        ("/v1/queue/cancel", json!({ "senders": "a@b.example" }), Some("senders")),
    ] {
        let refused = server.post(path, body).await.unwrap_err();
        assert_eq!((refused.rule.as_str(), refused.field.as_deref()), ("bad-field", field), "{path}");
    }
    assert_eq!(server.get("/v1/queue?state=lost").await.unwrap_err().field.as_deref(), Some("?state"));
    let held = server.post("/v1/queue/hold", json!({ "domain": "NORD.mssante.example" })).await.unwrap();
    assert_eq!(held, json!({ "consignments": 1, "recipients": 1 }));
    let again = server.post("/v1/queue/hold", json!({ "all": true })).await.unwrap();
    assert_eq!(again, json!({ "consignments": 0, "recipients": 0 }));
}

#[tokio::test]
async fn the_verbs_do_what_they_say() {
    let server = Server::start().await;
    let list = server.caducee(&["queue", "list"]).await.expect(0);
    assert_eq!(list.stdout, "Nothing is in the queue.\n");
    server.enqueue("lea@aura.mssante.example", &["a@nord.mssante.example", "b@sud.mssante.example"]).await;
    server.enqueue("max@aura.mssante.example", &["c@nord.mssante.example", "d@nord.mssante.example"]).await;
    server.defer_one().await;
    let list = server.caducee(&["queue", "list"]).await.expect(0).stdout;
    for text in ["lea@aura.mssante.example", "2 at nord.mssante.example", "waiting", "451 4.2.1 revenez plus tard"] {
        assert!(list.contains(text), "{text} in {list}");
    }
    let show = server.caducee(&["queue", "show", "1"]).await.expect(0).stdout;
    assert!(show.contains("<1@aura.mssante.example>") && show.contains("b@sud.mssante.example"), "{show}");
    let said = async |arguments: &[&str], expected: &str| {
        let ran = server.caducee(&[&["queue"], arguments].concat()).await.expect(0);
        assert_eq!(ran.stdout, format!("{expected}\n"), "{arguments:?}");
    };
    said(&["hold", "--sender", "max@aura.mssante.example"], "2 recipients held.").await;
    said(&["retry", "--all"], "2 recipients due now.").await;
    let held = server.caducee(&["queue", "list", "--state", "held", "--json"]).await.expect(0).json();
    assert_eq!(held["messages"][0]["id"], 2);
    said(&["release", "--id", "2"], "2 recipients released.").await;
    said(&["release", "--id", "2"], "Nothing to be done.").await;
    said(&["bounce", "--recipient", "c@nord.mssante.example", "--reason", "adresse fausse"], "1 recipient given up.")
        .await;
    said(&["bounce", "--domain", "sud.mssante.example", "--quiet"], "1 recipient cancelled.").await;
    said(&["cancel", "--all"], "2 recipients cancelled.").await;
    said(&["list"], "Nothing is in the queue.").await;
    server.caducee(&["queue", "cancel"]).await.expect(2);
    server.caducee(&["queue", "cancel", "--all", "--id", "1"]).await.expect(2);
    let refused = server.caducee(&["queue", "show", "1"]).await.expect(1);
    assert!(refused.stderr.contains("[rule no-such-message, ref adm-"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_cancelling_leaves_what_lies_nowhere_else_and_says_so() {
    let server = Server::start().await;
    server.enqueue("lea@aura.mssante.example", &["a@nord.mssante.example"]).await;
    server.enqueue_as(Kind::Forward, "max@aura.mssante.example", &["b@nord.mssante.example"]).await;
    let told = server.post("/v1/queue/cancel", json!({ "id": 2 })).await.unwrap();
    assert_eq!(told, json!({ "consignments": 0, "recipients": 0, "spared": 1 }));
    let left = server.caducee(&["queue", "cancel", "--all"]).await.expect(5);
    assert_eq!(left.stdout, "1 recipient cancelled.\n");
    assert!(left.stderr.contains("1 recipient left") && left.stderr.contains("--force"), "{}", left.stderr);
    server.caducee(&["queue", "bounce", "--all", "--quiet"]).await.expect(5);
    server.caducee(&["queue", "bounce", "--all", "--force"]).await.expect(2);
    let gone = server.caducee(&["queue", "cancel", "--all", "--force"]).await.expect(0);
    assert_eq!(gone.stdout, "1 recipient cancelled.\n");
}
