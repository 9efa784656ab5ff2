//! The structure of reports, in every combination of what their senders asked for.

use mail_parser::{Message, MessageParser, MimeHeaders};

use super::*;
use crate::mail::queue::{Envelope, Kind, Words};
use crate::mail::report::Original;
use crate::store::{BodyId, BodyKey};
use crate::wire::smtp::params::{OriginalRecipient, RcptParams};

const HEADER: &str = "From: Anne <anne.roux@aura.example>\r\nMessage-ID: <abc@aura.example>\r\nSubject: essai\r\n\r\n";
const BODY: &str = "bonjour\r\n";

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn words(code: Option<u16>, status: &str, text: &str) -> Words {
    let host = code.map(|_| "mx.other.example".to_owned());
    Words { code, status: status.into(), text: text.into(), host, rule: None }
}

fn reported(to: &str, action: Action) -> Reported {
    Reported {
        address: address(to),
        params: RcptParams::default(),
        action,
        words: words(Some(550), "5.1.1", "User unknown"),
        last_attempt: Some(1_763_769_660),
        retry_until: Some(1_763_942_400),
    }
}

fn report(recipients: Vec<Reported>, params: MailParams) -> Report {
    let envelope = Envelope {
        kind: Kind::Mail,
        sender: Some(address("anne.roux@aura.example")),
        account: None,
        params,
        message_id: Some("<abc@aura.example>".into()),
        reference: "6921b2c0-1f/2".into(),
    };
    let original = Original {
        envelope,
        accepted_at: 1_763_769_600,
        body: BodyId(1),
        body_key: BodyKey::generate(),
        skip: 7,
        size: (HEADER.len() + BODY.len()) as u64,
        header: HEADER.len() as u64,
    };
    Report { original, recipients }
}

/// The whole report, as its reader gets it.
fn written(report: &Report) -> (Composed, String) {
    let recipients: Vec<&Reported> = report.recipients.iter().collect();
    let domain = Domain::parse("aura.example").unwrap();
    let maker = Maker { host: "mx.aura.example", domain: &domain, now: 1_763_769_700, token: "00ff" };
    let to = report.original.envelope.sender.clone().unwrap();
    let composed = compose(report, &to, &recipients, &maker, Enclose::AsAsked);
    let stored = format!("<trace>{HEADER}{BODY}");
    let range = composed.original.start as usize..composed.original.end as usize;
    let text = format!("{}{}{}", composed.head, &stored[range], composed.tail);
    assert!(text.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])), "{text}");
    (composed, text)
}

fn parse(text: &str) -> Message<'_> {
    MessageParser::new().parse(text.as_bytes()).unwrap()
}

/// Media types of the three parts.
fn types(message: &Message<'_>) -> Vec<String> {
    let parts = message.parts.iter().skip(1).filter_map(|part| part.content_type());
    parts.map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default())).collect()
}

fn status_part(text: &str) -> String {
    let (_, rest) = text.split_once("delivery-status\r\nContent-Transfer-Encoding: ").unwrap();
    let (_, rest) = rest.split_once("\r\n\r\n").unwrap();
    rest.split("\r\n--=_remise_00ff").next().unwrap().to_owned()
}

#[test]
fn a_report_of_failure_is_as_the_standards_lay_it_down() {
    let report = report(vec![reported("personne@other.example", Action::Failed)], MailParams::default());
    let (composed, text) = written(&report);
    let (header, _) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        header,
        "From: \"Remise des messages\" <postmaster@aura.example>\r\n\
         To: <anne.roux@aura.example>\r\n\
         Subject: Message non remis (undelivered mail)\r\n\
         Date: Sat, 22 Nov 2025 00:01:40 +0000\r\n\
         Message-ID: <00ff.remise@mx.aura.example>\r\n\
         In-Reply-To: <abc@aura.example>\r\n\
         References: <abc@aura.example>\r\n\
         Auto-Submitted: auto-replied\r\n\
         X-Caducee-Reference: 6921b2c0-1f/2\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n \
         boundary=\"=_remise_00ff\"\r\n\
         Content-Transfer-Encoding: 7bit"
    );
    assert_eq!(composed.header, header.len() as u64 + 4);
    assert_eq!(
        status_part(&text),
        "Reporting-MTA: dns; mx.aura.example\r\n\
         Arrival-Date: Sat, 22 Nov 2025 00:00:00 +0000\r\n\
         \r\n\
         Final-Recipient: rfc822; personne@other.example\r\n\
         Action: failed\r\n\
         Status: 5.1.1\r\n\
         Remote-MTA: dns; mx.other.example\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\
         Last-Attempt-Date: Sat, 22 Nov 2025 00:01:00 +0000\r\n"
    );
    let message = parse(&text);
    assert_eq!(types(&message), ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
    let human = message.body_text(0).unwrap();
    let (french, english) = human.split_once("-----").unwrap();
    for wanted in [
        "Votre message n’a pas pu être remis à :",
        "personne@other.example",
        "Motif : Cette adresse n’existe pas.",
        "À faire : Vérifiez l’adresse",
        "Réponse du serveur mx.other.example : « 550 5.1.1 User unknown »",
        "Message envoyé le 22 novembre 2025 à 1 h 00 (heure de Paris)",
        "6921b2c0-1f/2",
    ] {
        assert!(french.contains(wanted), "no `{wanted}` in:\n{french}");
    }
    for wanted in
        ["could not be delivered", "This address does not exist.", "22 November 2025 at 01:00", "6921b2c0-1f/2"]
    {
        assert!(english.contains(wanted), "no `{wanted}` in:\n{english}");
    }
}

#[test]
fn ret_decides_what_goes_back_and_only_of_failures() {
    use Action::{Delayed, Delivered, Failed, Relayed};
    for (action, ret, third) in [
        (Failed, None, "text/rfc822-headers"),
        (Failed, Some(Return::Headers), "text/rfc822-headers"),
        (Failed, Some(Return::Full), "message/rfc822"),
        (Delayed, Some(Return::Full), "text/rfc822-headers"),
        (Delayed, None, "text/rfc822-headers"),
        (Delivered, Some(Return::Full), "text/rfc822-headers"),
        (Relayed, Some(Return::Full), "text/rfc822-headers"),
    ] {
        let params = MailParams { ret, ..MailParams::default() };
        let (composed, text) = written(&report(vec![reported("b@other.example", action)], params));
        assert_eq!(types(&parse(&text)).last().map(String::as_str), Some(third), "{action:?} {ret:?}");
        assert!(text.contains(HEADER) && !text.contains("<trace>"), "the header goes back, our line on top does not");
        assert_eq!(text.contains(&format!("\r\n\r\n{BODY}")), third == "message/rfc822", "{action:?} {ret:?}");
        assert_eq!(text.contains("Votre message est joint"), third == "message/rfc822");
        assert_eq!(composed.action, action);
        assert_eq!(status_part(&text).contains("Will-Retry-Until: Mon, 24 Nov 2025"), action == Delayed);
    }
}

#[test]
fn envid_and_orcpt_come_back_decoded() {
    let orcpt = |kind: &str, address: &str| OriginalRecipient { address_type: kind.into(), address: address.into() };
    for (envelope_id, original, expected) in [
        (None, None, None),
        (Some("QQ+314=x y"), None, Some("Original-Envelope-Id: QQ+314=x y\r\n")),
        (
            None,
            Some(orcpt("rfc822", "Alias+x@other.example")),
            Some("Original-Recipient: rfc822; Alias+x@other.example\r\n"),
        ),
        (None, Some(orcpt("x-local", "bureau 12")), Some("Original-Recipient: x-local; bureau 12\r\n")),
    ] {
        let params = MailParams { envelope_id: envelope_id.map(str::to_owned), ..MailParams::default() };
        let mut recipient = reported("b@other.example", Action::Failed);
        recipient.params.original = original;
        let (_, text) = written(&report(vec![recipient], params));
        let status = status_part(&text);
        match expected {
            Some(line) => assert!(status.contains(line), "no `{line}` in:\n{status}"),
            None => assert!(!status.contains("Original-"), "{status}"),
        }
    }
}

#[test]
fn several_recipients_stand_in_one_report_worst_first() {
    let recipients = vec![
        reported("ok@other.example", Action::Relayed),
        reported("lent@other.example", Action::Delayed),
        reported("personne@other.example", Action::Failed),
    ];
    let (composed, text) = written(&report(recipients, MailParams::default()));
    assert_eq!(composed.action, Action::Failed);
    let groups: Vec<String> = status_part(&text).split("\r\n\r\n").map(str::to_owned).collect();
    assert_eq!(groups.len(), 4, "{groups:?}");
    let message = parse(&text);
    let human = message.body_text(0).unwrap();
    let place = |name: &str| human.find(name).unwrap();
    assert!(place("personne@") < place("lent@") && place("lent@") < place("ok@"));
    assert!(human.contains("inutile de renvoyer") && human.contains("jusqu’au 24 novembre 2025"));
}

#[test]
fn our_own_reasons_are_told_as_such() {
    let mut recipient = reported("b@dehors.example", Action::Failed);
    recipient.words =
        Words { rule: Some("recipient-domain-unlisted".into()), ..words(None, "5.7.1", "not in the white list") };
    let (_, text) = written(&report(vec![recipient], MailParams::default()));
    let status = status_part(&text);
    assert!(
        status.contains("Diagnostic-Code: x-caducee-rule; recipient-domain-unlisted (not in the white\r\n list)"),
        "{status}"
    );
    assert!(!status.contains("Remote-MTA"), "nobody else said it");
    assert!(parse(&text).body_text(0).unwrap().contains("ne fait pas partie de l’espace de confiance"));
}

#[test]
fn a_peers_hostile_words_stay_in_their_field() {
    let hostile = format!(
        "no\r\nBcc: x@evil.example\r\n\r\n--=_remise_0000--\r\nboîte \u{202e}pleine\0 {}",
        "mot ".repeat(25_000)
    );
    let mut recipient = reported("b@other.example", Action::Failed);
    recipient.words = Words { host: Some("evil\r\nX: y".into()), ..words(Some(550), "5.1.1\r\nX: y", &hostile) };
    let mut evil = report(vec![recipient], MailParams::default());
    evil.original.envelope.reference = "r\r\nBcc: x".into();
    evil.original.envelope.message_id = Some("<a\r\nBcc: x>".into());
    let (composed, text) = written(&evil);
    assert!(text.is_ascii(), "8-bit words do not make the report 8-bit");
    assert!(text.len() < 12_000, "{}", text.len());
    let message = parse(&text);
    assert_eq!(types(&message), ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
    assert!(message.bcc().is_none() && !composed.head.contains("In-Reply-To"));
    let status = status_part(&text);
    assert_eq!(status.split("\r\n\r\n").count(), 2, "{status}");
    assert!(status.contains("boite pleine") && !status.contains("\r\nBcc") && !status.contains("\r\nX: y"), "{status}");
    assert!(message.body_text(0).unwrap().contains("boîte pleine"), "people read the accents");
}

#[test]
fn addresses_in_utf8_take_the_international_forms() {
    let mut recipient = reported("renée@other.example", Action::Failed);
    recipient.params.original =
        Some(OriginalRecipient { address_type: "utf-8".into(), address: "renée@alias.example".into() });
    let params = MailParams { smtp_utf8: true, ..MailParams::default() };
    let (composed, text) = written(&report(vec![recipient], params));
    let message = parse(&text);
    assert_eq!(types(&message), ["text/plain", "message/global-delivery-status", "message/global-headers"]);
    let status = status_part(&text);
    assert!(status.contains("Original-Recipient: utf-8; renée@alias.example"), "{status}");
    assert!(status.contains("Final-Recipient: utf-8; renée@other.example"), "{status}");
    assert!(composed.params.smtp_utf8 && composed.params.body == BodyKind::EightBitMime);

    let plain = written(&report(vec![reported("b@other.example", Action::Failed)], MailParams::default()));
    assert_eq!(plain.0.params, MailParams::default());
    let params = MailParams { body: BodyKind::EightBitMime, ret: Some(Return::Full), ..MailParams::default() };
    let eight_bit = written(&report(vec![reported("b@other.example", Action::Failed)], params));
    assert_eq!(eight_bit.0.params, MailParams { body: BodyKind::EightBitMime, ..MailParams::default() });
}

#[test]
fn an_original_that_cannot_be_read_is_left_out() {
    let report = report(vec![reported("b@other.example", Action::Failed)], MailParams::default());
    let recipients: Vec<&Reported> = report.recipients.iter().collect();
    let domain = Domain::parse("aura.example").unwrap();
    let maker = Maker { host: "mx.aura.example", domain: &domain, now: 0, token: "00ff" };
    let to = address("anne.roux@aura.example");
    let composed = compose(&report, &to, &recipients, &maker, Enclose::Nothing);
    assert!(composed.original.is_empty());
    let text = format!("{}{}", composed.head, composed.tail);
    assert_eq!(types(&parse(&text)), ["text/plain", "message/delivery-status"]);
}

#[test]
fn our_own_sniffer_reads_what_we_write() {
    use crate::mail::report::{Sniffer, What};
    for ret in [None, Some(Return::Full)] {
        let recipients =
            vec![reported("personne@other.example", Action::Failed), reported("lent@other.example", Action::Delayed)];
        let (_, text) = written(&report(recipients, MailParams { ret, ..MailParams::default() }));
        let mut sniffer = Sniffer::default();
        sniffer.push(text.as_bytes());
        let told = sniffer.finish().unwrap();
        assert_eq!(told.about, ["<abc@aura.example>"]);
        let What::Delivery(statuses) = told.what else { panic!("a delivery status") };
        let actions: Vec<_> = statuses.iter().map(|status| status.action.as_str()).collect();
        assert_eq!(actions, ["failed", "delayed"]);
        assert_eq!(statuses[0].text, "5.1.1 550 5.1.1 User unknown");
    }
}

#[test]
fn who_has_mail_sent_on_is_told_that_it_was_sent_on() {
    let mut forwarded = report(vec![reported("b@other.example", Action::Failed)], MailParams::default());
    let says_so = |text: &str| parse(text).body_text(0).unwrap().contains("fait suivre automatiquement");
    assert!(!says_so(&written(&forwarded).1));
    forwarded.original.envelope.kind = Kind::Forward;
    assert!(says_so(&written(&forwarded).1));
}
