//! `caducee follow`: a message's whole way, from the acceptance to the notification of the one who read it.

use super::way::{Envelope, SOON, Way, fields, one_way, parsed};
use crate::support::{read, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn event<'e>(events: &'e [Value], name: &str) -> &'e Value {
    events.iter().find(|event| event["action"] == name).unwrap_or_else(|| panic!("no {name} in {events:#?}"))
}

/// A disposition notification (RFC 8098) of the recipient's program, about the message with this Message-ID.
fn notification(way: &Way<'_>, id: &str, own: &str) -> String {
    let (from, to) = (&way.recipient.address, &way.sender.address);
    format!(
        "From: {from}\r\nTo: {to}\r\nSubject: Lu: essai\r\nMessage-ID: {own}\r\nIn-Reply-To: {id}\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=disposition-notification; boundary=\"=_lu\"\r\n\r\n\
         --=_lu\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nVotre message a été affiché.\r\n\
         --=_lu\r\nContent-Type: message/disposition-notification\r\n\r\nReporting-UA: lecteur.example; Essai 1.0\r\n\
         Final-Recipient: rfc822; {from}\r\nOriginal-Message-ID: {id}\r\n\
         Disposition: manual-action/MDN-sent-manually; displayed\r\n\r\n--=_lu--\r\n"
    )
}

#[test]
fn a_message_is_followed_from_its_acceptance_to_the_notification_of_its_reader() {
    let Some(way) = one_way(&[]) else { return };
    let (id, own) = (way.id("Suivi"), way.back().id("Suivi-lu"));
    let asks = format!("Disposition-Notification-To: {}\r\nX-MSS-NIL: essai 1.0\r\nSubject:", way.sender.address);
    way.send(&Envelope::default(), &way.letter("Suivi").replace("Subject:", &asks));
    way.read(&format!("HEADER Message-ID \"{id}\""));

    let sent = notification(&way, &id, &own);
    way.back().send(&Envelope { from: Some(""), mail: &["BODY=8BITMIME"], ..Envelope::default() }, &sent);
    let events = way.followed(&id, "disposition");
    let names: Vec<&str> = events.iter().filter_map(|event| event["action"].as_str()).collect();
    assert_eq!(names, ["accepted", "tried", "disposition"], "{events:#?}");
    let accepted = event(&events, "accepted");
    assert_eq!((&accepted["origin"]["door"], &accepted["sender"]), (&json!("submission"), &json!(way.sender.address)));
    assert_eq!(accepted["queued"], json!([way.recipient.address]));
    assert_eq!(accepted["message"]["mss"], json!([["X-MSS-NIL", "essai 1.0"]]));
    let tried = event(&events, "tried");
    assert_eq!((&tried["result"], &tried["message"]["message_id"]), (&json!("relayed"), &json!(id)), "{tried}");
    assert_eq!(tried["recipient"], way.recipient.address);
    let said = tried["words"].as_str().unwrap_or_default();
    assert!(said.starts_with("250 ") && said.len() > 20, "the peer's own words stand there: {tried}");
    let disposition = event(&events, "disposition");
    assert_eq!((&disposition["disposition"], &disposition["notification"]), (&json!("displayed"), &json!(own)));
    assert_eq!(disposition["recipient"], way.recipient.address);

    // The notification itself passes as it was made: only lines of trace stand on top of it.
    let came = way.back().read(&format!("HEADER Message-ID \"{own}\""));
    assert!(came.contains(sent.trim_end()), "{came}");
    assert_eq!(fields(&came, "Return-Path"), ["<>"]);
    assert_eq!(parsed(&came)["report"], "disposition-notification");

    // The other operator has the other half of the way.
    let theirs = way.back().followed(&id, "accepted");
    assert_eq!(
        (&theirs[0]["origin"]["door"], &theirs[0]["delivered"]),
        (&json!("smtp"), &json!([way.recipient.address]))
    );
}

#[test]
fn a_failure_is_followed_to_the_report_that_its_sender_got() {
    let Some(way) = one_way(&[]) else { return };
    let (id, nobody) = (way.id("Suivi-echec"), way.at_the_others("personne.inconnue"));
    way.send(&Envelope { to: &[&nobody], ..Envelope::default() }, &way.letter("Suivi-echec"));
    let events = way.followed(&id, "reported");
    let tried = event(&events, "tried");
    assert_eq!((&tried["result"], &tried["attempt"]), (&json!("failed"), &json!(1)));
    let said = tried["words"].as_str().unwrap_or_default();
    assert!(said.starts_with("550 5.1.1 ") && said.contains("[rule recipient-unknown, ref "), "{tried}");
    let reported = event(&events, "reported");
    assert_eq!((&reported["result"], &reported["recipients"]), (&json!("failed"), &json!([nobody])));
    assert_eq!(way.report(&id)["header"]["message-id"], reported["report"]);
    let shown = way.caducee(&["follow", id.trim_matches(['<', '>'])]).expect_ok("follow").stdout;
    for part in ["accepted", "550 5.1.1", "sender told", &nobody] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
}

#[test]
fn each_of_many_recipients_of_one_message_goes_its_own_way() {
    let Some(way) = one_way(&[]) else { return };
    let (id, nobody) = (way.id("A-plusieurs"), way.at_the_others("personne.inconnue"));
    let colleague = way.from.mailboxes.iter().find(|m| m.address.starts_with("jerome.")).expect("a colleague");
    let unserved = "dr.absente@biologie-exemple.mssante.example";
    let to = [&colleague.address, &way.recipient.address, &nobody, unserved];
    way.send(&Envelope { to: &to, ..Envelope::default() }, &way.letter("A-plusieurs"));

    way.read("SUBJECT A-plusieurs");
    read(way.known, way.from, colleague, "SUBJECT A-plusieurs");
    let report = way.report(&id);
    assert_eq!(report["status"].as_array().map(Vec::len), Some(2), "one recipient is told of: {report:#}");
    assert_eq!(report["status"][1]["final-recipient"], format!("rfc822; {nobody}"));
    let ends_of = || {
        let events = way.followed(&id, "tried");
        let tried = events.into_iter().filter(|event| event["action"] == "tried");
        tried.map(|event| (event["recipient"].to_string(), event["result"].to_string())).collect::<BTreeMap<_, _>>()
    };
    let expected = [(&way.recipient.address, "relayed"), (&nobody, "failed"), (&unserved.to_owned(), "deferred")];
    let expected = expected.map(|(address, result)| (json!(address).to_string(), json!(result).to_string()));
    let expected = BTreeMap::from(expected);
    assert!(wait_until(SOON, || ends_of() == expected), "{:#?}", ends_of());
    assert_eq!(way.followed(&id, "accepted")[0]["delivered"], json!([colleague.address]));
    let left = way.queued(&id).expect("one waits");
    let left: Vec<&Value> = left["consignments"].as_array().into_iter().flatten().collect();
    assert!(left.len() == 1 && left[0]["recipients"][0]["address"] == unserved, "{left:#?}");
}
