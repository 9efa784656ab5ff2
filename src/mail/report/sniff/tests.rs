//! Reports as other people's servers and programs write them.

use super::*;

fn sniff(message: &str) -> Option<Told> {
    let message = message.replace('\n', "\r\n");
    let whole = in_pieces(message.as_bytes(), usize::MAX);
    for size in [1, 2, 7, 100] {
        assert_eq!(in_pieces(message.as_bytes(), size), whole, "in pieces of {size}");
    }
    whole
}

fn in_pieces(message: &[u8], size: usize) -> Option<Told> {
    let mut sniffer = Sniffer::default();
    message.chunks(size.min(message.len().max(1))).for_each(|piece| sniffer.push(piece));
    sniffer.finish()
}

fn delivery(told: &Told) -> Vec<(Option<&str>, &str, &str)> {
    let What::Delivery(statuses) = &told.what else { panic!("no delivery status: {told:?}") };
    statuses.iter().map(|s| (s.recipient.as_deref(), s.action.as_str(), s.text.as_str())).collect()
}

const POSTFIX: &str = "Return-Path: <>
Received: by mx.other.example (Postfix)
\tid 4F2C31E; Sat, 22 Nov 2025 01:00:00 +0100 (CET)
Date: Sat, 22 Nov 2025 01:00:00 +0100 (CET)
From: MAILER-DAEMON@other.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: anne.roux@aura.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary=\"9B1F21E.1763769600/mx.other.example\"
Content-Transfer-Encoding: 8bit
Message-Id: <20251122000000.4F2C31E@mx.other.example>

This is a MIME-encapsulated message.

--9B1F21E.1763769600/mx.other.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx.other.example.

--9B1F21E.1763769600/mx.other.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.other.example
X-Postfix-Queue-ID: 9B1F21E
X-Postfix-Sender: rfc822; anne.roux@aura.example
Arrival-Date: Sat, 22 Nov 2025 00:59:59 +0100 (CET)

Final-Recipient: rfc822; personne@other.example
Original-Recipient: rfc822;Personne@other.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; store.other.example
Diagnostic-Code: smtp; 550 5.1.1 <personne@other.example>: Recipient address
    rejected: User unknown

Final-Recipient: rfc822; lent@other.example
Action: delayed
Status: 4.4.1

--9B1F21E.1763769600/mx.other.example
Content-Description: Undelivered Message
Content-Type: message/rfc822

Return-Path: <anne.roux@aura.example>
From: Anne Roux <anne.roux@aura.example>
Message-ID: <abc.1@aura.example>
Subject: XDM/1.0/DDM+Compte rendu

corps
--9B1F21E.1763769600/mx.other.example--
";

#[test]
fn a_postfix_report_is_read_with_each_recipient() {
    let told = sniff(POSTFIX).unwrap();
    assert_eq!(told.about, ["<abc.1@aura.example>"]);
    assert_eq!(told.message_id.as_deref(), Some("<20251122000000.4F2C31E@mx.other.example>"));
    let words = "5.1.1 550 5.1.1 <personne@other.example>: Recipient address rejected: User unknown";
    assert_eq!(
        delivery(&told),
        [(Some("Personne@other.example"), "failed", words), (Some("lent@other.example"), "delayed", "4.4.1"),]
    );
}

#[test]
fn an_exchange_report_is_linked_by_the_header_it_gives_back() {
    let told = sniff(
        "From: <postmaster@chu.example>
To: <anne.roux@aura.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary=\"46c0f7b5-1\"
X-MS-Exchange-Message-Is-Ndr:
Content-Language: fr-FR
Message-ID: <67ab@EX01.chu.example>
In-Reply-To: <abc.2@aura.example>
References: <first@aura.example> <abc.2@aura.example>
Subject: =?utf-8?Q?Non_remis=C2=A0:_essai?=

--46c0f7b5-1
Content-Type: multipart/alternative; differences=Content-Type;
\tboundary=\"46c0f7b5-2\"

--46c0f7b5-2
Content-Type: text/plain; charset=\"utf-8\"
Content-Transfer-Encoding: quoted-printable

=C3=89chec de la remise.
--46c0f7b5-2--

--46c0f7b5-1
Content-Type: message/delivery-status

Reporting-MTA: dns;EX01.chu.example
Received-From-MTA: dns;mx.chu.example

Original-Recipient: rfc822;plein@chu.example
Final-Recipient: rfc822;plein@chu.example
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp;554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded

--46c0f7b5-1
Content-Type: text/rfc822-headers

Received: from mx.chu.example by EX01.chu.example
From: Anne Roux <anne.roux@aura.example>
Message-ID: <abc.2@aura.example>

--46c0f7b5-1--
",
    )
    .unwrap();
    assert_eq!(told.about, ["<abc.2@aura.example>", "<first@aura.example>"]);
    let [(recipient, "failed", text)] = delivery(&told)[..] else { panic!("{told:?}") };
    assert_eq!(recipient, Some("plein@chu.example"));
    assert!(text.starts_with("5.2.2 554 5.2.2 mailbox full; STOREDRV"), "{text}");
}

#[test]
fn a_gmail_report_is_read() {
    let told = sniff(
        "From: Mail Delivery Subsystem <mailer-daemon@mail.example>
To: anne.roux@aura.example
Auto-Submitted: auto-replied
Subject: Delivery Status Notification (Failure)
References: <abc.3@aura.example>
In-Reply-To: <abc.3@aura.example>
X-Failed-Recipients: personne@mail.example
Message-ID: <5f.GMR@mx.mail.example>
Content-Type: multipart/report; boundary=\"0000000000008f\"; report-type=delivery-status

--0000000000008f
Content-Type: multipart/related; boundary=\"00000000000090\"

--00000000000090
Content-Type: text/html; charset=\"UTF-8\"

<html>** Address not found **</html>
--00000000000090--
--0000000000008f
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example
Received-From-MTA: dns; anne.roux@aura.example
Arrival-Date: Fri, 21 Nov 2025 16:00:00 -0800 (PST)
X-Original-Message-ID: <abc.3@aura.example>

Final-Recipient: rfc822; personne@mail.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; The email account that you tried to reach does not exist.
Last-Attempt-Date: Fri, 21 Nov 2025 16:00:01 -0800 (PST)

--0000000000008f
Content-Type: message/rfc822

From: Anne Roux <anne.roux@aura.example>
Message-ID: <abc.3@aura.example>

x
--0000000000008f--
",
    )
    .unwrap();
    assert_eq!(told.about, ["<abc.3@aura.example>"]);
    let text = "5.1.1 The email account that you tried to reach does not exist.";
    assert_eq!(delivery(&told), [(Some("personne@mail.example"), "failed", text)]);
}

fn notification(fields: &str, encoding: &str) -> String {
    format!(
        "From: Bruno Blanc <bruno.blanc@other.example>
To: Anne Roux <anne.roux@aura.example>
Subject: =?UTF-8?Q?Confirmation_de_lecture?=
Message-ID: <mdn.1@other.example>
References: <abc.4@aura.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=disposition-notification; boundary=\"------------mdn\"

--------------mdn
Content-Type: text/plain; charset=UTF-8

Accusé de réception

--------------mdn
Content-Type: message/disposition-notification; name=\"MDNPart2.txt\"
Content-Disposition: inline
Content-Transfer-Encoding: {encoding}

{fields}
--------------mdn
Content-Type: text/rfc822-headers; name=\"MDNPart3.txt\"

Message-ID: <abc.4@aura.example>

--------------mdn--
"
    )
}

fn disposed(fields: &str) -> (Vec<String>, Option<String>, String, Option<String>) {
    let told = sniff(&notification(fields, "7bit")).unwrap();
    let What::Disposition { recipient, disposition, error } = told.what else { panic!("no disposition: {told:?}") };
    (told.about, recipient, disposition, error)
}

#[test]
fn a_thunderbird_notification_is_read() {
    let (about, recipient, disposition, error) = disposed(
        "Reporting-UA: other.example; Mozilla Thunderbird
Final-Recipient: rfc822;bruno.blanc@other.example
Original-Message-ID: <abc.5@aura.example>
Disposition: manual-action/MDN-sent-manually; displayed
",
    );
    assert_eq!(about, ["<abc.5@aura.example>", "<abc.4@aura.example>"], "the notification's own field goes first");
    assert_eq!(recipient.as_deref(), Some("bruno.blanc@other.example"));
    assert_eq!((disposition.as_str(), error), ("displayed", None));
}

#[test]
fn a_platforms_code_is_read_wherever_it_stands() {
    for fields in [
        "Final-Recipient: rfc822; pfi@chu.example
Original-Message-ID: <abc.5@aura.example>
Disposition: automatic-action/MDN-sent-automatically; processed/error
Error: 902^Patient inconnu
",
        "Final-Recipient: rfc822; pfi@chu.example
Original-Message-ID: <abc.5@aura.example>
Disposition: automatic-action/MDN-sent-automatically; processed/Error: 902^Patient inconnu
",
    ] {
        let (_, _, disposition, error) = disposed(fields);
        assert_eq!((disposition.as_str(), error.as_deref()), ("processed/error", Some("902^Patient inconnu")));
    }
}

#[test]
fn a_status_part_behind_a_transfer_encoding_is_read() {
    use base64::Engine;
    let fields = "Original-Message-ID: <abc.6@aura.example>\nDisposition: a/b; displayed\n";
    let encoded = base64::prelude::BASE64_STANDARD.encode(fields);
    let told = sniff(&notification(&encoded, "base64")).unwrap();
    assert_eq!(told.about[0], "<abc.6@aura.example>");
    let quoted = fields.replace("displayed", "display=65d");
    let told = sniff(&notification(&quoted, "quoted-printable")).unwrap();
    assert!(matches!(told.what, What::Disposition { disposition, .. } if disposition == "displayed"));
}

#[test]
fn a_citizens_bounce_in_plain_mail_is_read_without_its_content() {
    let told = sniff(
        "Return-Path: <>
From: Mon espace santé <ne-pas-repondre@patient.mssante.fr>
To: anne.roux@aura.example
Subject: Echec de remise
Message-ID: <b1@patient.mssante.fr>
Content-Type: text/plain; charset=utf-8

Votre message n'a pas pu être remis à Mme Durand (5.1.1), 25 rue Haute.

Message-ID: <abc.7@aura.example>
",
    )
    .unwrap();
    assert_eq!(told.about, ["<abc.7@aura.example>"]);
    let bounce = What::Bounce { domain: "patient.mssante.fr".into(), recipient: None, status: Some("5.1.1".into()) };
    assert_eq!(told.what, bounce);
}

#[test]
fn ordinary_mail_tells_nothing_and_keeps_nothing() {
    for message in [
        "From: a@x.example\nIn-Reply-To: <abc@aura.example>\n\nbonjour\n",
        "From: a@x.example\nContent-Type: multipart/mixed; boundary=b\nReferences: <a@b>\n\n--b\n\nx\n--b--\n",
        "From: a@x.example\nSubject: Content-Type: multipart/report\nReferences: <a@b>\n\nx\n",
        "Return-Path: <a@x.example>\nFrom: a@x.example\nReferences: <a@b>\n\nx\n",
        "From: a@x.example\n",
        "",
    ] {
        assert_eq!(sniff(message), None, "{message}");
    }
    let mut sniffer = Sniffer::default();
    sniffer.push(b"From: a@x.example\r\n\r\nx");
    assert_eq!(sniffer.kept.capacity(), 0);
}

#[test]
fn reports_that_cannot_be_read_tell_nothing() {
    for message in [
        "Content-Type: multipart/report\nReferences: <a@b>\n\nno boundary\n",
        "Content-Type: multipart/report; boundary=b\nReferences: <a@b>\n\n--b\n\nno status part\n--b--\n",
        "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nAction: failed\n--b--\n",
        "Content-Type: multipart/report; boundary=b\nReferences: <a@b>\n\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n--b--\n",
        "From: postmaster@x.example\nReferences: no id\n\nx\n",
    ] {
        assert_eq!(sniff(message), None, "{message}");
    }
}

#[test]
fn memory_and_what_is_told_are_bounded_whatever_comes() {
    let mut message = String::from("Content-Type: multipart/report; boundary=b\r\nReferences:");
    message.push_str(&" <a@b.example>".repeat(2_000));
    message.push_str("\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n");
    for number in 0..500 {
        message.push_str(&format!(
            "Final-Recipient: rfc822; r{number}@b.example\r\nAction: failed\r\nStatus: 5.0.0\r\n\r\n"
        ));
    }
    message.push_str(&format!("Diagnostic-Code: smtp; {}\r\n", "x".repeat(1 << 20)));
    let mut sniffer = Sniffer::default();
    for piece in message.as_bytes().chunks(8 << 10) {
        sniffer.push(piece);
        assert!(sniffer.kept.len() <= HEADER + BODY);
    }
    let told = sniffer.finish().unwrap();
    assert_eq!(told.about.len(), 1);
    assert!(delivery(&told).len() <= 100);

    let mut endless = Sniffer::default();
    for _ in 0..100 {
        endless.push(&[b'x'; 8 << 10]);
        assert!(endless.kept.len() <= HEADER + BODY);
    }
    assert_eq!(endless.kept.capacity(), 0, "a header section without an end is given up");
}

#[test]
fn hostile_values_stay_on_one_line_and_are_cut() {
    let evil = "é".repeat(4_000);
    let told = sniff(&format!(
        "Content-Type: multipart/report; boundary=b\nMessage-ID: <x y@z>\nReferences: <a\u{7f}b@c> <{}@c> <ok@c>\n\n--b\nContent-Type: message/delivery-status\n\nX: y\n\nFinal-Recipient: rfc822; <a@b>\nAction: FAILED, really\u{7}\nDiagnostic-Code: smtp; a\u{0}b {evil}\n--b--\n",
        "x".repeat(1_000)
    ))
    .unwrap();
    assert_eq!(told.about, ["<ok@c>"]);
    assert_eq!(told.message_id, None);
    let [(Some("a@b"), "failed", text)] = delivery(&told)[..] else { panic!("{told:?}") };
    assert!(text.len() <= 500 && text.starts_with("a b é") && !text.chars().any(char::is_control));
}
