//! What the sender is told (RFC 3461, RFC 3464), as Python's email package reads it.

use super::way::{Envelope, Way, both_ways, one_way};
use serde_json::{Value, json};

/// An address of the other operator that nobody has.
fn nobody(way: &Way<'_>) -> String {
    way.at_the_others("personne.inconnue")
}

/// The groups of a report's fields: those of the message, and those of its one recipient.
#[track_caller]
fn groups(report: &Value) -> (&Value, &Value) {
    let Some([message, recipient]) = report["status"].as_array().map(Vec::as_slice) else { panic!("{report:#}") };
    (message, recipient)
}

#[test]
fn a_recipient_that_the_other_operator_refuses_comes_back_as_a_report_in_french_and_english() {
    for way in both_ways(&[]).into_iter().flatten() {
        let word = format!("Pour-personne-de-{}", way.from.domains[0]);
        let (id, nobody) = (way.id(&word), nobody(&way));
        way.send(&Envelope { to: &[&nobody], ..Envelope::default() }, &way.letter(&word));
        let report = way.report(&id);
        assert_eq!((&report["type"], &report["report"]), (&json!("multipart/report"), &json!("delivery-status")));
        let header = &report["header"];
        assert_eq!((&header["return-path"], &header["auto-submitted"]), (&json!("<>"), &json!("auto-replied")));
        assert_eq!(header["subject"], "Message non remis (undelivered mail)");
        assert!(header["to"].as_str().is_some_and(|to| to.contains(&way.sender.address)), "{header}");
        assert_eq!(report["parts"], json!(["text/plain", "message/delivery-status", "text/rfc822-headers"]));
        let (message, recipient) = groups(&report);
        assert_eq!(message["reporting-mta"], format!("dns; smtp.{}", way.from.domains[0]));
        assert_eq!(recipient["final-recipient"], format!("rfc822; {nobody}"));
        assert_eq!((&recipient["action"], &recipient["status"]), (&json!("failed"), &json!("5.1.1")));
        assert_eq!(recipient["remote-mta"], "dns; [127.0.0.1]", "the route names no more than an address");
        let diagnostic = recipient["diagnostic-code"].as_str().unwrap_or_default();
        assert!(diagnostic.starts_with("smtp; 550 5.1.1 ") && diagnostic.contains("recipient-unknown"), "{diagnostic}");
        let text = report["text"].as_str().unwrap_or_default();
        let french = text.find("Votre message n’a pas pu être remis").expect("French");
        let english = text.find("Your message could not be delivered").expect("English");
        assert!(french < english, "French comes first:\n{text}");
        let events = way.followed(&id, "reported");
        let reference = events[0]["reference"].as_str().expect("a reference");
        assert!(text.contains(reference), "{reference} is the reference to search for:\n{text}");
        let third = report["third"].as_str().unwrap_or_default();
        assert!(third.contains(&format!("Subject: {word}")) && !third.contains("Bonjour"), "{third}");
    }
}

#[test]
fn ret_envid_and_orcpt_come_back_as_they_were_given() {
    let Some(way) = one_way(&[]) else { return };
    let nobody = nobody(&way);
    for (ret, kind) in [("FULL", "message/rfc822"), ("HDRS", "text/rfc822-headers")] {
        let word = format!("Retour-{ret}");
        let (ret, orcpt) = (format!("RET={ret}"), "ORCPT=rfc822;ancienne+2Badresse@ailleurs.mssante.example");
        let envelope = Envelope {
            to: &[&nobody],
            mail: &[&ret, "ENVID=dossier+3D12"],
            rcpt: &["NOTIFY=FAILURE", orcpt],
            ..Envelope::default()
        };
        way.send(&envelope, &way.letter(&word));
        let report = way.report(&way.id(&word));
        let (message, recipient) = groups(&report);
        assert_eq!(report["parts"][2], kind, "{ret}");
        assert_eq!(message["original-envelope-id"], "dossier=12");
        assert_eq!(recipient["original-recipient"], "rfc822; ancienne+adresse@ailleurs.mssante.example");
        let third = report["third"].as_str().unwrap_or_default();
        assert!(third.contains(&format!("Subject: {word}")), "{third}");
        assert_eq!(third.contains("Bonjour"), ret == "RET=FULL", "{third}");
    }
}

#[test]
fn who_asks_is_told_of_success_by_the_operator_that_delivered() {
    for way in both_ways(&[]).into_iter().flatten() {
        let word = format!("Remise-de-{}", way.from.domains[0]);
        let envelope = Envelope { mail: &["ENVID=42"], rcpt: &["NOTIFY=SUCCESS,FAILURE"], ..Envelope::default() };
        way.send(&envelope, &way.letter(&word));
        let report = way.report(&way.id(&word));
        let (message, recipient) = groups(&report);
        // RFC 3461 §5.2.2: passed on to a server that knows NOTIFY, the report is that one's to make.
        assert_eq!(message["reporting-mta"], format!("dns; smtp.{}", way.to.domains[0]));
        assert_eq!(message["original-envelope-id"], "42");
        assert_eq!(recipient["final-recipient"], format!("rfc822; {}", way.recipient.address));
        assert_eq!((&recipient["action"], &recipient["status"]), (&json!("delivered"), &json!("2.1.5")));
        let trust = report["header"]["x-caducee-trust"].as_str().unwrap_or_default();
        assert!(trust.contains("rule="), "it came from the other operator: {}", report["header"]);
        let events = way.followed(&way.id(&word), "report-came");
        let came = events.iter().find(|event| event["action"] == "report-came").expect("just seen");
        assert_eq!((&came["result"], &came["recipient"]), (&json!("delivered"), &json!(way.recipient.address)));
        assert_eq!(way.answers(&way.id(&word)), 1, "one report, not one of each operator");
    }
}

#[test]
fn who_asks_to_be_told_nothing_is_told_nothing() {
    let Some(way) = one_way(&[]) else { return };
    let nobody = nobody(&way);
    let (silent, told) = (way.id("Jamais"), way.id("Jamais-temoin"));
    way.send(&Envelope { to: &[&nobody], rcpt: &["NOTIFY=NEVER"], ..Envelope::default() }, &way.letter("Jamais"));
    way.followed(&silent, "tried");
    way.leaves_the_queue(&silent);
    // A failure after it is told of: by then that of the first would have been.
    way.send(&Envelope { to: &[&nobody], ..Envelope::default() }, &way.letter("Jamais-temoin"));
    way.report(&told);
    assert_eq!(way.answers(&silent), 0);
    let events = way.followed(&silent, "tried");
    assert!(events.iter().any(|event| event["result"] == "failed"), "{events:#?}");
    assert!(events.iter().all(|event| event["action"] != "reported"), "{events:#?}");
}

#[test]
fn success_is_not_told_to_who_did_not_ask() {
    let Some(way) = one_way(&[]) else { return };
    let (silent, told) = (way.id("Sans-avis"), way.id("Sans-avis-temoin"));
    way.send(&Envelope::default(), &way.letter("Sans-avis"));
    way.read("SUBJECT Sans-avis");
    way.send(&Envelope { rcpt: &["NOTIFY=SUCCESS"], ..Envelope::default() }, &way.letter("Sans-avis-temoin"));
    way.report(&told);
    assert_eq!(way.answers(&silent), 0);
}

#[test]
fn the_state_of_the_others_mailbox_decides_what_the_sender_is_told() {
    let Some(way) = one_way(&[]) else { return };
    for (state, status, rule, french) in [
        ("suspended", "5.2.1", "recipient-suspended", "Cette boîte est fermée ou suspendue."),
        ("restricted", "5.7.1", "recipient-restricted", "n’accepte pas ce message"),
        ("closed", "5.1.1", "recipient-closed", "Cette adresse n’existe pas."),
    ] {
        let (word, address) = (format!("Etat-{state}"), &way.to.special(state).address);
        way.send(&Envelope { to: &[address], ..Envelope::default() }, &way.letter(&word));
        let report = way.report(&way.id(&word));
        let (_, recipient) = groups(&report);
        assert_eq!((&recipient["action"], &recipient["status"]), (&json!("failed"), &json!(status)), "{state}");
        let diagnostic = recipient["diagnostic-code"].as_str().unwrap_or_default();
        assert!(diagnostic.contains(&format!("[rule {rule}, ref ")), "{state}: {diagnostic}");
        let text = report["text"].as_str().unwrap_or_default();
        assert!(text.contains(french), "{state}: no `{french}` in:\n{text}");
    }
}

#[test]
fn a_message_for_a_full_mailbox_of_the_other_operator_waits_and_nobody_is_told_yet() {
    let Some(way) = one_way(&[]) else { return };
    let (id, full) = (way.id("Boite-pleine"), &way.to.special("tiny_quota").address);
    let message = way.letter("Boite-pleine") + &"Une ligne de plus qui pèse.\r\n".repeat(500);
    way.send(&Envelope { to: &[full], ..Envelope::default() }, &message);
    let events = way.followed(&id, "tried");
    let tried = events.iter().find(|event| event["action"] == "tried").expect("just seen");
    assert_eq!(tried["result"], "deferred", "{tried}");
    assert!(tried["words"].as_str().is_some_and(|words| words.starts_with("452 4.2.2 ")), "{tried}");
    let waiting = way.queued(&id).expect("it waits");
    assert_eq!(waiting["consignments"][0]["recipients"][0]["last"]["code"], 452);
    assert_eq!(way.answers(&id), 0);
}
