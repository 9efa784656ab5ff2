//! Reports (RFC 3464): filed with what made them true, read by other people's programs.

use caducee::accounts::Account;
use caducee::audit;
use caducee::mail::queue::{Envelope, Kind, Words};
use caducee::mail::report::{Action, Original, Report, Reported, SettleError, settle};
use caducee::mail::{Delivery, MailLimits, deliver};
use caducee::mss::Address;
use caducee::store::{AccountId, Batch, Body, CommitError, Expect, Meta, MetaKey, QueueMessage};
use caducee::wire::smtp::params::{MailParams, Notify, OriginalRecipient, RcptParams, Return};
use serde_json::Value;

#[path = "../support/tools.rs"]
#[allow(dead_code, reason = "shared by the groups")]
mod tools;

use crate::support::House;
use tools::{Tool, have};

const ORIGINAL: &str = "From: Anne <anne.roux@aura.mssante.example>\r\nTo: <personne@nord.mssante.example>\r\n\
    Message-ID: <abc@aura.mssante.example>\r\nSubject: essai\r\n\r\nBonjour\r\n.\r\n";

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// A house where Anne has sent a message, whose bytes lie in another mailbox.
struct Scene {
    house: House,
    anne: Account,
    original: Original,
}

impl Scene {
    async fn new(house: House, text: &[u8], params: MailParams) -> Self {
        let (anne, copy) = (house.account("anne.roux").await, house.account("copie").await);
        let message = house.received(text).await;
        let envelope = Envelope {
            kind: Kind::Mail,
            sender: Some(anne.address.clone()),
            account: Some(anne.id),
            params,
            message_id: Some("<abc@aura.mssante.example>".into()),
            reference: "6921b2c0-1f/2".into(),
        };
        let original = Original::of(&message, 0, envelope, 1_763_769_600);
        deliver(&house.room, Delivery::new(message, vec![copy.id], 0)).await.unwrap();
        Scene { house, anne, original }
    }

    fn report(&self, recipients: Vec<Reported>) -> Report {
        Report { original: self.original.clone(), recipients }
    }

    async fn settle(&self, recipients: Vec<Reported>) {
        settle(&self.house.room, vec![self.report(recipients)], Batch::new()).await.unwrap();
    }

    /// The messages in a mailbox's INBOX.
    async fn inbox(&self, account: AccountId) -> Vec<String> {
        let mailbox = self.house.room.open(account).unwrap();
        let session = mailbox.select("INBOX", true).await.unwrap();
        let mut messages = Vec::new();
        for uid in session.iter().map(|(_, entry)| entry.uid).collect::<Vec<_>>() {
            let body = session.body(uid).await.unwrap();
            messages.push(String::from_utf8(body.read(0..body.size).await.unwrap()).unwrap());
        }
        messages
    }

    /// What is traced of the message.
    fn way(&self) -> Vec<audit::Action> {
        self.way_of("<abc@aura.mssante.example>").into_iter().map(|trace| trace.action).collect()
    }

    fn way_of(&self, message_id: &str) -> Vec<audit::Trace> {
        let mut traces = self.house.room.traces().waiting(.., usize::MAX).unwrap();
        traces.retain(|trace| trace.message.as_ref().is_some_and(|message| message.message_id == message_id));
        traces
    }
}

fn reported(to: &str, action: Action) -> Reported {
    Reported {
        address: address(to),
        params: RcptParams::default(),
        action,
        words: Words {
            code: Some(550),
            status: "5.1.1".into(),
            text: "Boîte inconnue".into(),
            host: Some("mx.nord.mssante.example".into()),
            rule: None,
        },
        last_attempt: Some(1_763_769_660),
        retry_until: Some(1_763_942_400),
    }
}

fn asking(to: &str, action: Action, notify: Notify) -> Reported {
    let params = RcptParams { notify: Some(notify), ..RcptParams::default() };
    Reported { params, ..reported(to, action) }
}

#[tokio::test]
async fn a_failure_is_told_in_the_senders_own_mailbox_and_traced() {
    let scene = Scene::new(House::embedded(), ORIGINAL.as_bytes(), MailParams::default()).await;
    scene.settle(vec![reported("personne@nord.mssante.example", Action::Failed)]).await;
    let inbox = scene.inbox(scene.anne.id).await;
    let [report] = inbox.as_slice() else { panic!("one report: {inbox:?}") };
    assert!(
        report.starts_with("Return-Path: <>\r\nFrom: \"Remise des messages\" <postmaster@aura.mssante.example>\r\n")
    );
    let [audit::Action::Reported { result: action, recipients, report: id }] = &scene.way()[..] else {
        panic!("it is traced that its sender was told")
    };
    assert_eq!((action.as_str(), recipients.join(" ")), ("failed", "personne@nord.mssante.example".to_owned()));
    let own = scene.way_of(id);
    assert!(matches!(&own[0].action, audit::Action::Accepted { delivered, .. }
        if own[0].origin.door == "report" && *delivered == ["anne.roux@aura.mssante.example"]));
    scene.house.check_counters();
}

/// Python's reader of mail: what it makes of a report, as JSON.
const READ: &str = r#"
import sys, json, email, email.policy
message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
def part(part):
    told = {"type": part.get_content_type(), "defects": [str(d) for d in part.defects]}
    if part.get_content_type() == "text/plain":
        told["text"] = part.get_content().replace("\r\n", "\n")
    if part.get_content_type() == "message/delivery-status":
        told["groups"] = [{name.lower(): value for name, value in group.items()} for group in part.get_payload()]
    if part.get_content_type() == "message/rfc822":
        told["inner"] = part.get_payload()[0]["Message-ID"]
        told["body"] = part.get_payload()[0].get_payload()
    if part.get_content_type() == "text/rfc822-headers":
        told["header"] = part.get_content()
    return told
print(json.dumps({
    "from": str(message["From"]), "to": str(message["To"]), "auto": message["Auto-Submitted"],
    "report": message.get_param("report-type"), "reply": message["In-Reply-To"], "id": message["Message-ID"],
    "defects": [str(d) for d in message.defects], "parts": [part(p) for p in message.iter_parts()]}))
"#;

fn python(report: &str) -> Value {
    let ran = Tool::new("python3").args(["-c", READ]).input(report).run().expect_ok("python reads the report");
    serde_json::from_str(&ran.stdout).unwrap()
}

#[tokio::test]
async fn python_reads_every_kind_of_report_without_a_defect() {
    if !have("python3") {
        return;
    }
    for (action, ret, third) in [
        (Action::Failed, None, "text/rfc822-headers"),
        (Action::Failed, Some(Return::Full), "message/rfc822"),
        (Action::Delayed, Some(Return::Full), "text/rfc822-headers"),
        (Action::Delivered, None, "text/rfc822-headers"),
        (Action::Relayed, None, "text/rfc822-headers"),
    ] {
        let params = MailParams { ret, envelope_id: Some("QQ+314".into()), ..MailParams::default() };
        let scene = Scene::new(House::in_memory(), ORIGINAL.as_bytes(), params).await;
        let every = Notify::On { success: true, failure: true, delay: true };
        let mut first = asking("personne@nord.mssante.example", action, every);
        first.params.original =
            Some(OriginalRecipient { address_type: "rfc822".into(), address: "Alias@nord.mssante.example".into() });
        scene.settle(vec![first, asking("b@nord.mssante.example", action, every)]).await;
        let inbox = scene.inbox(scene.anne.id).await;
        let read = python(&inbox[0]);
        assert_eq!(read["defects"], serde_json::json!([]), "{read}");
        assert_eq!(read["report"], "delivery-status");
        assert_eq!((&read["auto"], &read["reply"]), (&"auto-replied".into(), &"<abc@aura.mssante.example>".into()));
        let parts = read["parts"].as_array().unwrap();
        assert!(parts.iter().all(|part| part["defects"] == serde_json::json!([])), "{read}");
        let types: Vec<&str> = parts.iter().map(|part| part["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["text/plain", "message/delivery-status", third], "{action:?} {ret:?}");
        let groups = parts[1]["groups"].as_array().unwrap();
        assert_eq!(groups.len(), 3, "{read}");
        assert_eq!(
            (&groups[0]["original-envelope-id"], &groups[0]["reporting-mta"]),
            (&"QQ+314".into(), &"dns; localhost".into())
        );
        assert_eq!(groups[1]["original-recipient"], "rfc822; Alias@nord.mssante.example");
        assert_eq!((&groups[1]["action"], &groups[2]["action"]), (&action.name().into(), &action.name().into()));
        assert_eq!(groups[1]["diagnostic-code"], "smtp; 550 5.1.1 Boite inconnue");
        assert!(parts[0]["text"].as_str().unwrap().contains("Bonjour,\n\nCeci est un avis automatique"));
        match third {
            "message/rfc822" => assert_eq!(parts[2]["body"], "Bonjour\r\n.\r\n"),
            _ => assert!(parts[2]["header"].as_str().unwrap().contains("Subject: essai")),
        }
    }
}

#[tokio::test]
async fn nobody_is_told_what_they_did_not_ask_for() {
    let on = |success, failure, delay| Notify::On { success, failure, delay };
    let scene = Scene::new(House::in_memory(), ORIGINAL.as_bytes(), MailParams::default()).await;
    scene
        .settle(vec![
            asking("a@nord.mssante.example", Action::Failed, Notify::Never),
            asking("b@nord.mssante.example", Action::Failed, on(true, false, true)),
            asking("c@nord.mssante.example", Action::Delayed, on(true, true, false)),
            asking("d@nord.mssante.example", Action::Relayed, on(false, true, true)),
            reported("e@nord.mssante.example", Action::Delivered),
        ])
        .await;
    assert!(scene.inbox(scene.anne.id).await.is_empty() && scene.way().is_empty());
    let never = asking("a@nord.mssante.example", Action::Failed, Notify::Never);
    scene.settle(vec![never, reported("f@nord.mssante.example", Action::Failed)]).await;
    let inbox = scene.inbox(scene.anne.id).await;
    assert!(inbox[0].contains("f@nord.mssante.example") && !inbox[0].contains("a@nord.mssante.example"));
}

#[tokio::test]
async fn a_report_is_never_made_about_a_report() {
    let scene = Scene::new(House::in_memory(), ORIGINAL.as_bytes(), MailParams::default()).await;
    for (kind, sender) in [
        (Kind::Report, None),
        (Kind::Report, Some(scene.anne.address.clone())),
        (Kind::Absence, Some(scene.anne.address.clone())),
        (Kind::Mail, None),
    ] {
        let mut report = scene.report(vec![reported("b@nord.mssante.example", Action::Failed)]);
        report.original.envelope.kind = kind;
        report.original.envelope.sender = sender;
        settle(&scene.house.room, vec![report], Batch::new()).await.unwrap();
    }
    assert!(scene.inbox(scene.anne.id).await.is_empty());
}

#[tokio::test]
async fn a_full_mailbox_takes_the_report_all_the_same() {
    let limits = MailLimits { quota: Some(250), ..MailLimits::default() };
    let scene = Scene::new(House::with_limits(limits), ORIGINAL.as_bytes(), MailParams::default()).await;
    for _ in 0..3 {
        scene.settle(vec![reported("b@nord.mssante.example", Action::Failed)]).await;
    }
    assert_eq!(scene.inbox(scene.anne.id).await.len(), 3);
}

#[tokio::test]
async fn a_closed_mailbox_keeps_nothing_from_being_committed() {
    let scene = Scene::new(House::in_memory(), ORIGINAL.as_bytes(), MailParams::default()).await;
    let lea = scene.house.account("lea").await;
    scene.house.registry.close(scene.anne.id, "test").await.unwrap();
    let mut batch = Batch::new();
    batch.put(&MetaKey::NextUidValidity, &Meta { next: 77 });
    let mut other = scene.report(vec![reported("b@nord.mssante.example", Action::Failed)]);
    (other.original.envelope.account, other.original.envelope.sender) = (Some(lea.id), Some(lea.address.clone()));
    let own = scene.report(vec![reported("b@nord.mssante.example", Action::Failed)]);
    settle(&scene.house.room, vec![own, other], batch).await.unwrap();
    let written = scene.house.room.store().get::<Meta>(&MetaKey::NextUidValidity).unwrap().unwrap();
    assert_eq!(written.next, 77, "what made it true is written");
    assert_eq!(scene.inbox(lea.id).await.len(), 1, "and so is what others are told");
    let lost = scene.way().into_iter().filter(|what| matches!(what, audit::Action::ReportLost { .. })).count();
    assert_eq!(lost, 1, "{:?}", scene.way());
    scene.house.check_counters();
}

crate::on_both_engines!(what_a_suspended_mailbox_is_told_lies_there_once_it_is_open_again, |house: House| async {
    let scene = Scene::new(house, ORIGINAL.as_bytes(), MailParams::default()).await;
    let registry = &scene.house.registry;
    registry.suspend(scene.anne.id, "test").await.unwrap();
    for to in ["b@nord.mssante.example", "c@nord.mssante.example"] {
        scene.settle(vec![reported(to, Action::Failed)]).await;
    }
    assert!(scene.house.room.open(scene.anne.id).is_err(), "it opens for nobody meanwhile");
    registry.reopen(scene.anne.id, "test").await.unwrap();
    assert_eq!(scene.inbox(scene.anne.id).await.len(), 2);
    assert!(scene.way().iter().all(|what| matches!(what, audit::Action::Reported { .. })), "{:?}", scene.way());
    scene.house.check_counters();
});

#[tokio::test]
async fn what_the_batch_expects_decides_over_the_report_too() {
    let scene = Scene::new(House::in_memory(), ORIGINAL.as_bytes(), MailParams::default()).await;
    let mut batch = Batch::new();
    batch.expect::<Meta>(&MetaKey::NextAccount, Expect::Absent);
    let report = scene.report(vec![reported("b@nord.mssante.example", Action::Failed)]);
    let refused = settle(&scene.house.room, vec![report], batch).await;
    assert!(matches!(refused, Err(SettleError::Commit(CommitError::Conflict(_)))), "{refused:?}");
    assert!(scene.inbox(scene.anne.id).await.is_empty() && scene.way().is_empty(), "nothing is told of what is not");
    scene.house.check_counters();
}

#[tokio::test]
async fn several_reports_to_one_mailbox_come_in_one_commit() {
    let scene = Scene::new(House::in_memory(), ORIGINAL.as_bytes(), MailParams::default()).await;
    let report = || scene.report(vec![reported("b@nord.mssante.example", Action::Failed)]);
    settle(&scene.house.room, vec![report(), report(), report()], Batch::new()).await.unwrap();
    let inbox = scene.inbox(scene.anne.id).await;
    assert_eq!(inbox.len(), 3);
    let ids: std::collections::HashSet<_> =
        inbox.iter().map(|text| text.lines().find(|line| line.starts_with("Message-ID:")).unwrap()).collect();
    assert_eq!(ids.len(), 3, "each has a Message-ID of its own");
    scene.house.check_counters();
}

#[tokio::test]
async fn another_operators_sender_is_told_by_the_queue() {
    let scene = Scene::new(House::in_memory(), ORIGINAL.as_bytes(), MailParams::default()).await;
    let mut original = scene.original.clone();
    (original.envelope.account, original.envelope.sender) = (None, Some(address("bruno@nord.mssante.example")));
    let success = Notify::On { success: true, failure: false, delay: false };
    let wanted = RcptParams { notify: Some(success), ..RcptParams::default() };
    assert!(Report::delivered(original.clone(), vec![(scene.anne.address.clone(), RcptParams::default())]).is_none());
    let report = Report::delivered(original, vec![(scene.anne.address.clone(), wanted)]).unwrap();
    settle(&scene.house.room, vec![report], Batch::new()).await.unwrap();

    let store = scene.house.room.store();
    let queued = store.scan::<QueueMessage>(.., usize::MAX).unwrap();
    let [(_, message)] = queued.as_slice() else { panic!("one message is queued: {queued:?}") };
    let body = store.get::<Body>(&message.body).unwrap().unwrap();
    assert_eq!((message.skip, body.references), (0, 1));
    let [audit::Action::Reported { result: action, recipients, report }] = &scene.way()[..] else {
        panic!("it is traced that its sender was told")
    };
    assert_eq!((action.as_str(), recipients.join(" ")), ("delivered", "anne.roux@aura.mssante.example".to_owned()));
    let own = scene.way_of(report);
    assert!(matches!(&own[0].action, audit::Action::Accepted { queued, sender, .. }
        if *queued == ["bruno@nord.mssante.example"] && sender.is_empty()));
}

#[tokio::test]
async fn a_large_message_that_was_sent_on_comes_back_whole_and_unchanged() {
    let text = large(25 << 20);
    let limits = MailLimits { quota: Some(30 << 20), ..MailLimits::default() };
    let params = MailParams { ret: Some(Return::Full), ..MailParams::default() };
    let mut scene = Scene::new(House::with_limits(limits), text.as_bytes(), params).await;
    scene.original.envelope.kind = Kind::Forward;
    for _ in 0..2 {
        scene.settle(vec![reported("b@nord.mssante.example", Action::Failed)]).await;
    }
    let inbox = scene.inbox(scene.anne.id).await;
    let (_, behind) =
        inbox[0].split_once("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n").unwrap();
    assert!(behind.starts_with(&text) && behind.len() < text.len() + 100, "{} octets", behind.len());
}

/// A message of so many octets, and some more.
fn large(size: usize) -> String {
    let line = "0123456789abcdefghijklmnopqrstuvwxyz\r\n";
    format!("{ORIGINAL}{}", line.repeat(size / line.len()))
}

#[tokio::test]
async fn what_goes_back_whole_fills_neither_the_disk_nor_a_mailbox_beyond_its_quota() {
    let limits = MailLimits { quota: Some(3 << 20), ..MailLimits::default() };
    for (size, whole) in [(2 << 20, 0), (900 << 10, 3)] {
        let params = MailParams { ret: Some(Return::Full), ..MailParams::default() };
        let scene = Scene::new(House::with_limits(limits.clone()), large(size).as_bytes(), params).await;
        for _ in 0..5 {
            scene.settle(vec![reported("b@nord.mssante.example", Action::Failed)]).await;
        }
        let inbox = scene.inbox(scene.anne.id).await;
        let is_whole = |text: &&String| text.contains("Content-Type: message/rfc822\r\n");
        assert_eq!((inbox.len(), inbox.iter().filter(is_whole).count()), (5, whole), "{size}");
        assert!(inbox.iter().all(|text| text.contains("Subject: essai\r\n")), "the header section goes back always");
    }
}

#[tokio::test]
async fn an_original_that_is_gone_does_not_keep_the_report_from_being_made() {
    let scene = Scene::new(House::in_memory(), ORIGINAL.as_bytes(), MailParams::default()).await;
    let mut report = scene.report(vec![reported("b@nord.mssante.example", Action::Failed)]);
    report.original.body = caducee::store::BodyId(u64::MAX);
    settle(&scene.house.room, vec![report], Batch::new()).await.unwrap();
    let inbox = scene.inbox(scene.anne.id).await;
    assert!(inbox[0].contains("Action: failed") && !inbox[0].contains("rfc822-headers"), "{}", inbox[0]);
}
