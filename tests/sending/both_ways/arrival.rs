//! What arrives: the header section that the two operators have made of it, and a body that nobody has touched.

use super::way::{Envelope, Way, both_ways, fields, one_way};
use crate::support::Tool;

#[test]
fn the_header_that_arrives_says_by_whom_it_came_and_by_which_rule_it_was_let_in() {
    for way in both_ways(&[]).into_iter().flatten() {
        let (sender, recipient) = (&way.sender.address, &way.recipient.address);
        let (from, to) = (&way.from.domains[0], &way.to.domains[0]);
        let word = format!("En-tete-de-{from}");
        let message = format!(
            "From: \"Dr ESSAI\" <{sender}>\r\nTo: <{recipient}>\r\nBcc: cache@chu-exemple.mssante.example,\r\n\tautre@chu-exemple.mssante.example\r\n\
             Return-Path: <faux@ailleurs.example>\r\nX-Caducee-Trust: rule=faux\r\nX-MSS-NIL: essai 1.0\r\nX-MSS-INS: N\r\n\
             Subject: {word}\r\n\r\nBonjour\r\n"
        );
        way.send(&Envelope::default(), &message);
        let text = way.read(&format!("SUBJECT \"{word}\""));
        assert_eq!(fields(&text, "Return-Path"), [format!("<{sender}>")]);
        let received = fields(&text, "Received");
        let [last, first] = received.as_slice() else { panic!("two hops:\n{text}") };
        // The last hop stands on top (RFC 5321 §4.4): each operator names itself, who came, and the protocol (RFC 3848).
        let (theirs, ours) = (format!("by smtp.{to} (Caducee) with ESMTPS "), format!("by smtp.{from} (Caducee)"));
        assert!(last.starts_with(&format!("from smtp.{from} ([127.0.0.1])")) && last.contains(&theirs), "{last}");
        assert!(first.contains(&ours) && first.contains(" with ESMTPSA (TLSv1.3 "), "{first}");
        let trust = fields(&text, "X-Caducee-Trust");
        let [trust] = trust.as_slice() else { panic!("one line of trust:\n{text}") };
        assert!(trust.starts_with(&format!("rule=sender-domain-listed; domain={from};")), "{trust}");
        assert!(trust.contains("serial=") && trust.contains("peer="), "{trust}");
        let (ids, dates) = (fields(&text, "Message-ID"), fields(&text, "Date"));
        assert!(ids.len() == 1 && ids[0].ends_with(&format!("@smtp.{from}>")), "{ids:?}");
        assert!(dates.len() == 1 && dates[0].ends_with(" +0000"), "{dates:?}");
        assert!(!text.contains("cache@") && !text.contains("autre@"), "{text}");
        let mss = ["X-MSS-NIL", "X-MSS-INS"].map(|name| fields(&text, name));
        assert_eq!(mss, [["essai 1.0"], ["N"]]);
        assert_eq!(fields(&text, "From"), [format!("\"Dr ESSAI\" <{sender}>")]);
    }
}

#[test]
fn what_a_program_has_set_itself_is_not_set_anew() {
    let Some(way) = one_way(&[]) else { return };
    let message = way.letter("Deja-date").replace("Subject:", "Date: Sat, 22 Nov 2025 08:30:00 +0100\r\nSubject:");
    way.send(&Envelope::default(), &message);
    let text = way.read("SUBJECT Deja-date");
    assert_eq!(fields(&text, "Message-ID"), [way.id("Deja-date")]);
    assert_eq!(fields(&text, "Date"), ["Sat, 22 Nov 2025 08:30:00 +0100"]);
}

#[test]
fn eight_bit_text_and_lines_of_dots_arrive_as_they_were() {
    for way in both_ways(&[]).into_iter().flatten() {
        let word = format!("Huit-bits-de-{}", way.from.domains[0]);
        let body =
            ".\r\n..\r\n.une ligne\r\nL’œdème a régressé ; à revoir dès Noël.\r\n\r\n \r\nfin sans rien derrière\r\n";
        let mime =
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";
        let message = way.letter(&word).replace("\r\n\r\nBonjour\r\n", &format!("\r\n{mime}\r\n{body}"));
        way.send(&Envelope { mail: &["BODY=8BITMIME"], ..Envelope::default() }, &message);
        let text = way.read(&format!("SUBJECT \"{word}\""));
        // curl ends what it prints with one line end of its own.
        let (_, arrived) = text.split_once("\r\n\r\n").expect("a body");
        assert_eq!(arrived.strip_suffix("\r\n").filter(|cut| cut.len() == body.len()).unwrap_or(arrived), body);
    }
}

/// Prints a message with an attachment of 5 MB (from, to, subject), or the SHA-256 of the one that is read.
const ATTACHMENT: &str = "import email, email.message, email.policy, hashlib, sys
if sys.argv[1:]:
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message['From'], message['To'], message['Subject'] = sys.argv[1:]
    message.set_content('Ci-joint.')
    body = hashlib.shake_256(b'caducee').digest(5_000_000)
    message.add_attachment(body, maintype='application', subtype='zip', filename='IHE_XDM.zip')
    sys.stdout.write(message.as_string())
else:
    message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
    [attachment] = message.iter_attachments()
    body = attachment.get_content()
    print(len(body), attachment.get_filename(), hashlib.sha256(body).hexdigest())";

#[test]
fn an_attachment_of_5_mb_arrives_intact() {
    for way in both_ways(&[]).into_iter().flatten() {
        let word = format!("Cinq-Mo-de-{}", way.from.domains[0]);
        let made = Tool::new("python3")
            .args(["-c", ATTACHMENT, &way.sender.address, &way.recipient.address, &word])
            .run()
            .expect_ok("making an attachment");
        way.send(&Envelope::default(), &made.stdout);
        let text = way.read(&format!("SUBJECT \"{word}\""));
        let sums = [made.stdout, text].map(|text| {
            let ran = Tool::new("python3").args(["-c", ATTACHMENT]).input(text).run();
            ran.expect_ok("reading an attachment").stdout
        });
        assert!(sums[0].starts_with("5000000 IHE_XDM.zip "), "{}", sums[0]);
        assert_eq!(sums[0], sums[1]);
    }
}

/// port, certificate authority, login, password, recipient: what RCPT is answered to UTF-8 that was not announced.
const UNANNOUNCED: &str = "import smtplib, ssl, sys
port, ca, user, password, to = sys.argv[1:]
with smtplib.SMTP('localhost', int(port), timeout=30) as link:
    link.starttls(context=ssl.create_default_context(cafile=ca))
    link.login(user, password)
    link.ehlo()
    link.mail(user)
    link.command_encoding = 'utf-8'
    print(link.docmd(f'RCPT TO:<{to}>'))";

#[test]
fn an_address_with_accents_is_carried_with_smtputf8_and_refused_without() {
    let Some(way) = one_way(&[]) else { return };
    let address = format!("anaïs.ferré@{}", way.to.domains[0]);
    let create =
        ["mailbox", "create", "--kind", "PER", "--title", "Dr", "--first-name", "Anaïs", "--last-name", "Ferré"];
    let id = ["--national-id", "899700000031", "--notification-address", "anais@courriel.example", &address];
    way.back().caducee(&[&create[..], &id].concat()).expect_ok("a mailbox with accents");
    let message = way.letter("Accents").replace(&way.recipient.address, &address);

    let envelope = Envelope { to: &[&address], mail: &["SMTPUTF8", "BODY=8BITMIME"], ..Envelope::default() };
    way.send(&envelope, &message);
    let events = way.followed(&way.id("Accents"), "tried");
    let tried = events.iter().find(|event| event["action"] == "tried").expect("one that was tried");
    assert_eq!((&tried["result"], &tried["recipient"]), (&"relayed".into(), &address.as_str().into()), "{tried}");
    let arrived = way.back().followed(&way.id("Accents"), "accepted");
    assert_eq!(arrived[0]["delivered"], serde_json::json!([address]));

    let (login, password) = way.sender.credentials();
    let ran = Tool::new("python3")
        .args(["-c", UNANNOUNCED, &way.from.ports.submission.to_string()])
        .arg(&way.known.ca)
        .args([login, password, &address])
        .run()
        .expect_ok("smtplib");
    assert!(
        ran.stdout.starts_with("(553, b'5.6.7 ") && ran.stdout.contains("[rule smtputf8-required"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_test_mailbox_writes_to_the_other_operators_test_mailbox_and_to_no_real_one() {
    for real in both_ways(&[]).into_iter().flatten() {
        let (sender, recipient) = (real.from.test_mailbox(), real.to.test_mailbox());
        let test = Way { sender, recipient, ..real };
        let word = format!("Essai-de-{}", test.from.domains[0]);
        test.send(&Envelope::default(), &test.letter(&word));
        test.read(&format!("SUBJECT \"{word}\""));
        let (to_real, to_test) = (Way { recipient: real.recipient, ..test }, Way { sender: real.sender, ..test });
        for (way, rule) in [(to_real, "test-to-real"), (to_test, "real-to-test")] {
            let refused = way.smtplib(&Envelope::default(), &way.letter("Refus"));
            assert!(!refused.ok() && refused.all().contains("(550, b'5.7.1 "), "{}", refused.all());
            assert!(refused.all().contains(&format!("[rule {rule}, ref ")), "{}", refused.all());
        }
    }
}
