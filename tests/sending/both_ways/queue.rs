//! `caducee queue` on real mail: held back by its sender, or for a domain whose server the sandbox's DNS does not know.

use super::way::{Envelope, Way, one_way};
use serde_json::{Value, json};

/// Addresses in listed domains that nobody serves. Each test has its own: once a destination cannot be reached, what comes
/// for it later is not tried before it is time.
const ABSENT: &str = "dr.absente@chu-exemple.mssante.example";
const GIVEN_UP: &str = "dr.absente@infirmerie-protestante.mssante.example";

/// Runs a verb about one message, and is sure that it concerned one recipient.
#[track_caller]
fn order(way: &Way<'_>, verb: &str, number: &Value, more: &[&str]) {
    let done = way.json(&[&["queue", verb, "--id", &number.to_string()], more].concat());
    assert_eq!(done["recipients"], 1, "{verb}: {done}");
}

/// The state of a queued message's one consignment.
fn state(way: &Way<'_>, id: &str) -> Value {
    way.queued(id).map(|message| message["consignments"][0]["state"].clone()).unwrap_or_default()
}

/// A message for an unserved domain, once it has been tried: its Message-ID and its number.
#[track_caller]
fn waiting(way: &Way<'_>, to: &str, word: &str) -> (String, Value) {
    let id = way.id(word);
    way.send(&Envelope { to: &[to], ..Envelope::default() }, &way.letter(word));
    way.followed(&id, "tried");
    let number = way.queued(&id).expect("it waits")["id"].clone();
    (id, number)
}

#[test]
fn what_cannot_be_delivered_yet_is_listed_shown_held_and_released() {
    let Some(way) = one_way(&[]) else { return };
    let (id, number) = waiting(&way, ABSENT, "En-attente");
    let shown = way.json(&["queue", "show", &number.to_string()]);
    let recipient = &shown["consignments"][0]["recipients"][0];
    assert_eq!((&shown["sender"], &recipient["address"]), (&json!(way.sender.address), &json!(ABSENT)));
    assert_eq!((&recipient["last"]["rule"], &recipient["last"]["status"]), (&json!("dns-failed"), &json!("4.4.3")));
    assert_eq!(shown["message_id"], id);
    let found = way.json(&["queue", "list", "--recipient", ABSENT, "--sender", &way.sender.address]);
    let numbers: Vec<&Value> = found["messages"].as_array().into_iter().flatten().map(|each| &each["id"]).collect();
    assert!(numbers.contains(&&number), "{found:#}");

    order(&way, "hold", &number, &[]);
    assert_eq!(state(&way, &id), "held");
    order(&way, "release", &number, &[]);
    assert_ne!(state(&way, &id), "held");
    order(&way, "cancel", &number, &[]);
    assert_eq!(way.queued(&id), None);
    let gone = way.caducee(&["queue", "show", &number.to_string()]);
    assert!(gone.code == Some(1) && gone.stderr.contains("[rule no-such-message"), "{}", gone.all());
    let handled = way.followed(&id, "handled");
    let actions: Vec<&Value> =
        handled.iter().map(|event| &event["handling"]).filter(|handling| !handling.is_null()).collect();
    assert_eq!(actions, ["held", "released", "cancelled"]);
    assert_eq!(way.answers(&id), 0, "a cancelled message is told to nobody");
}

#[test]
fn a_message_that_the_operator_gives_up_comes_back_with_the_reason() {
    let Some(way) = one_way(&[]) else { return };
    let (id, number) = waiting(&way, GIVEN_UP, "Abandon");
    order(&way, "bounce", &number, &["--reason", "Le CHU change d’opérateur."]);
    assert_eq!(way.queued(&id), None);
    let report = way.report(&id);
    assert_eq!(report["parts"], json!(["text/plain", "message/delivery-status", "text/rfc822-headers"]));
    let recipient = &report["status"][1];
    assert_eq!(
        (&recipient["action"], &recipient["final-recipient"]),
        (&json!("failed"), &json!(format!("rfc822; {GIVEN_UP}")))
    );
    let text = report["text"].as_str().unwrap_or_default();
    assert!(text.contains("Votre opérateur a arrêté l’envoi") && text.contains("Le CHU change d’opérateur."), "{text}");
    let events = way.followed(&id, "reported");
    assert!(events.iter().any(|event| event["handling"] == "bounced"), "{events:#?}");
}

#[test]
fn a_message_held_back_by_its_sender_lies_in_the_queue_and_can_be_cancelled() {
    let Some(way) = one_way(&[]) else { return };
    let id = way.id("Plus-tard");
    way.send(&Envelope { mail: &["HOLDFOR=3600"], ..Envelope::default() }, &way.letter("Plus-tard"));
    let message = way.queued(&id).expect("it lies in the queue");
    let consignment = &message["consignments"][0];
    assert!(message["not_before"].is_string(), "{message:#}");
    assert_eq!((&consignment["attempts"], &consignment["next_try_at"]), (&json!(0), &message["not_before"]));
    order(&way, "cancel", &message["id"], &[]);
    assert_eq!(way.queued(&id), None);
    let events = way.followed(&id, "handled");
    assert!(events.iter().all(|event| event["action"] != "tried"), "{events:#?}");
}

#[test]
fn a_message_held_back_by_its_sender_goes_at_once_when_the_operator_says_so() {
    let Some(way) = one_way(&[]) else { return };
    let id = way.id("Finalement");
    way.send(&Envelope { mail: &["HOLDFOR=3600"], ..Envelope::default() }, &way.letter("Finalement"));
    let message = way.queued(&id).expect("it lies in the queue");
    order(&way, "retry", &message["id"], &[]);
    way.read("SUBJECT Finalement");
    way.leaves_the_queue(&id);
}

#[test]
fn a_message_may_not_be_held_back_for_longer_than_the_operator_allows() {
    let Some(way) = one_way(&[]) else { return };
    let refused =
        way.smtplib(&Envelope { mail: &["HOLDFOR=99999999"], ..Envelope::default() }, &way.letter("Trop-tard"));
    assert!(!refused.ok() && refused.all().contains("[rule hold-too-long"), "{}", refused.all());
}
