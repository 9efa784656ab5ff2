use super::*;
use crate::wire::smtp::params::Notify;
use crate::wire::smtp::path::Mailbox;

fn transaction(to: &[&str], size: u64) -> Transaction {
    let path = |text: &str| ForwardPath::Mailbox(Mailbox::parse(text).unwrap());
    Transaction {
        from: ReversePath::Mailbox(Mailbox::parse("a@x.example").unwrap()),
        params: MailParams::default(),
        to: to.iter().map(|to| (path(to), RcptParams::default())).collect(),
        size,
    }
}

/// All steps, with what is to be written as text.
fn steps(sender: &mut Sender) -> Vec<String> {
    std::iter::from_fn(|| sender.step())
        .map(|step| match step {
            Step::Send(bytes) => String::from_utf8(bytes).unwrap(),
            step => format!("{step:?}"),
        })
        .collect()
}

/// A session that is ready, on a server that offers `extensions`.
fn ready(extensions: &str) -> Sender {
    let mut sender = Sender::new("us.example", Security::StartTls);
    sender.input(b"220 hello\r\n");
    sender.input(b"250-them\r\n250 STARTTLS\r\n");
    sender.input(b"220 go\r\n");
    assert_eq!(steps(&mut sender), ["EHLO us.example\r\n", "STARTTLS\r\n", "StartTls"]);
    sender.tls_started();
    sender.input(b"250-them\r\n");
    for word in extensions.split_whitespace() {
        sender.input(format!("250-{}\r\n", word.replace('=', " ")).as_bytes());
    }
    sender.input(b"250 HELP\r\n");
    assert_eq!(steps(&mut sender), ["EHLO us.example\r\n", "Ready"]);
    sender
}

#[test]
fn a_message_travels_by_one_chunk_where_the_server_takes_chunks() {
    let mut sender = ready("PIPELINING CHUNKING SIZE=1000");
    sender.begin(&transaction(&["b@y.example", "c@y.example"], 9)).unwrap();
    let commands = "MAIL FROM:<a@x.example> SIZE=9\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<c@y.example>\r\n";
    assert_eq!(steps(&mut sender), [commands]);
    sender.input(b"250 ok\r\n550 5.1.1 no\r\n250 ok\r\n");
    let seen = steps(&mut sender);
    assert!(seen[0].starts_with("Recipient(0, Reply { code: 550"), "{seen:?}");
    assert!(seen[1].starts_with("Recipient(1, Reply { code: 250"), "{seen:?}");
    assert_eq!(seen[2..], ["BDAT 9 LAST\r\n", "Body"]);
    sender.body(b".dot\r\n");
    sender.body(b"e\r\n");
    sender.body_end();
    assert_eq!(steps(&mut sender), [".dot\r\n", "e\r\n"]);
    sender.input(b"250 2.0.0 kept\r\n");
    let seen = steps(&mut sender);
    assert!(seen[0].starts_with("Done(Answered(Reply { code: 250"), "{seen:?}");
    assert_eq!(seen[1], "Ready");
    sender.quit();
    sender.input(b"221 bye\r\n");
    assert_eq!(steps(&mut sender), ["QUIT\r\n", "Close"]);
}

#[test]
fn a_server_without_extensions_is_asked_step_by_step_and_gets_doubled_dots() {
    let mut sender = ready("");
    sender.begin(&transaction(&["b@y.example", "c@y.example"], 11)).unwrap();
    assert_eq!(steps(&mut sender), ["MAIL FROM:<a@x.example>\r\n"]);
    sender.input(b"250 ok\r\n");
    assert_eq!(steps(&mut sender), ["RCPT TO:<b@y.example>\r\n"]);
    sender.input(b"250 ok\r\n");
    assert_eq!(steps(&mut sender)[1], "RCPT TO:<c@y.example>\r\n");
    sender.input(b"250 ok\r\n");
    assert_eq!(steps(&mut sender)[1], "DATA\r\n");
    sender.input(b"354 go\r\n");
    assert_eq!(steps(&mut sender), ["Body"]);
    for octet in b".a\r\n..b\r\n.c" {
        sender.body(&[*octet]);
    }
    sender.body_end();
    assert_eq!(steps(&mut sender).concat(), "..a\r\n...b\r\n..c\r\n.\r\n");
    assert_eq!(sender.patience(), Some(Duration::from_secs(600)));
}

#[test]
fn a_refused_sender_or_the_last_refused_recipient_ends_the_transaction_and_not_the_session() {
    let mut sender = ready("PIPELINING");
    sender.begin(&transaction(&["b@y.example"], 2)).unwrap();
    sender.input(b"550 5.7.1 not yours\r\n503 mail first\r\n");
    let seen = steps(&mut sender);
    assert!(seen[1].starts_with("Done(SenderRefused(Reply { code: 550"), "{seen:?}");
    assert_eq!(seen[2], "RSET\r\n");
    sender.input(b"250 ok\r\n");
    assert_eq!(steps(&mut sender), ["Ready"]);
    sender.begin(&transaction(&["b@y.example"], 2)).unwrap();
    sender.input(b"250 ok\r\n550 5.1.1 unknown\r\n");
    assert_eq!(steps(&mut sender)[2..], ["Done(NoRecipient)", "RSET\r\n"]);
}

#[test]
fn what_a_refusal_may_leave_open_at_the_server_is_reset_before_the_next_message() {
    let refused = |extensions, to_data: &str, to_message: &str| {
        let mut sender = ready(extensions);
        sender.begin(&transaction(&["b@y.example"], 2)).unwrap();
        sender.input(b"250 ok\r\n");
        sender.input(b"250 ok\r\n");
        sender.input(to_data.as_bytes());
        sender.body(b"ab");
        sender.body_end();
        sender.input(to_message.as_bytes());
        sender
    };
    for (extensions, to_data, to_message, next) in [
        // Postfix keeps the transaction: "503 5.5.1 Error: nested MAIL command".
        ("", "451 no\r\n", "", "RSET\r\n"),
        ("CHUNKING", "", "451 no\r\n", "RSET\r\n"),
        // RFC 5321 §4.1.1.4: the end of the data ends the transaction, whatever is answered.
        ("", "354 go\r\n", "451 no\r\n", "Ready"),
    ] {
        let mut sender = refused(extensions, to_data, to_message);
        let seen = steps(&mut sender);
        let [.., done, then] = seen.as_slice() else { panic!("{seen:?}") };
        assert!(done.starts_with("Done(Answered(Reply { code: 451"), "{seen:?}");
        assert_eq!(then, next, "{extensions:?} {to_data:?}");
        if next != "Ready" {
            sender.input(b"250 ok\r\n");
            assert_eq!(steps(&mut sender), ["Ready"]);
        }
    }
    let mut sender = refused("", "451 no\r\n", "");
    steps(&mut sender);
    sender.input(b"502 what\r\n");
    let seen = steps(&mut sender);
    assert!(seen[0].starts_with("Fail(Unexpected { asked: Reset"), "{seen:?}");
}

#[test]
fn what_the_server_says_in_the_clear_after_starttls_ends_the_session() {
    for tail in ["250 injected\r\n", "x"] {
        let mut sender = Sender::new("us.example", Security::StartTls);
        sender.input(b"220 hello\r\n250-them\r\n250 STARTTLS\r\n");
        sender.input(format!("220 go\r\n{tail}").as_bytes());
        assert_eq!(steps(&mut sender).last().unwrap(), "Fail(Injected)");
        sender.tls_started();
        assert_eq!(sender.step(), None);
    }
}

#[test]
fn a_server_without_starttls_gets_no_mail() {
    let mut sender = Sender::new("us.example", Security::StartTls);
    sender.input(b"220 hello\r\n250 them\r\n");
    assert_eq!(steps(&mut sender).last().unwrap(), "Fail(NoStartTls)");
    assert_eq!(sender.begin(&transaction(&["b@y.example"], 1)), Err(Unfit::NotReady));
}

#[test]
fn only_who_is_told_so_sends_in_the_clear() {
    for (security, offered, wanted) in [
        (Security::StartTls, "250 them\r\n", "Fail(NoStartTls)"),
        (Security::ClearIfNotOffered, "250 them\r\n", "Ready"),
        (Security::ClearIfNotOffered, "250-them\r\n250 STARTTLS\r\n", "STARTTLS\r\n"),
        (Security::Clear, "250-them\r\n250 STARTTLS\r\n", "Ready"),
        (Security::Implicit, "250 them\r\n", "Ready"),
    ] {
        let mut sender = Sender::new("us.example", security);
        sender.input(b"220 hello\r\n");
        sender.input(offered.as_bytes());
        assert_eq!(steps(&mut sender).last().unwrap(), wanted, "{security:?} {offered}");
    }
}

#[test]
fn a_login_is_said_over_tls_only_and_its_refusal_ends_the_session() {
    // RFC 4616 §4: NUL, name, NUL, password.
    let auth = "AUTH PLAIN AGFubmUAc2VjcmV0\r\n";
    let login = || Login::new("anne", "secret");
    for (security, offered, said) in [
        (Security::Implicit, "250 AUTH LOGIN PLAIN\r\n", auth),
        (Security::Implicit, "250 AUTH LOGIN\r\n", "Fail(NoLogin)"),
        (Security::Implicit, "250 HELP\r\n", "Fail(NoLogin)"),
        (Security::Clear, "250 AUTH PLAIN\r\n", "Fail(NoLogin)"),
        (Security::ClearIfNotOffered, "250 AUTH PLAIN\r\n", "Fail(NoLogin)"),
    ] {
        let mut sender = Sender::new("us.example", security).with_login(login());
        sender.input(b"220 hello\r\n250-them\r\n");
        sender.input(offered.as_bytes());
        assert_eq!(steps(&mut sender).last().unwrap(), said, "{security:?} {offered}");
    }
    for (answer, wanted) in [
        ("235 2.7.0 come in\r\n", "Ready"),
        ("535 5.7.8 no\r\n", "Fail(LoginRefused"),
        ("334 \r\n", "Fail(LoginRefused"),
        ("250 ok\r\n", "Fail(LoginRefused"),
    ] {
        let mut sender = Sender::new("us.example", Security::Implicit).with_login(login());
        sender.input(b"220 hello\r\n250-them\r\n250 AUTH PLAIN\r\n");
        steps(&mut sender);
        assert_eq!(sender.waits_for(), Some(Awaited::Auth));
        sender.input(answer.as_bytes());
        assert!(steps(&mut sender).last().unwrap().starts_with(wanted), "{answer}");
    }
    let sender = Sender::new("us.example", Security::Implicit).with_login(login());
    assert!(!format!("{sender:?}").contains("AGFubmUAc2VjcmV0"));
}

#[test]
fn the_length_that_was_announced_is_kept_or_the_connection_ends() {
    for (pieces, wanted) in [(&b"abcd"[..], "Longer"), (&b"ab"[..], "Shorter")] {
        let mut sender = ready("CHUNKING");
        sender.begin(&transaction(&["b@y.example"], 3)).unwrap();
        sender.input(b"250 ok\r\n");
        sender.input(b"250 ok\r\n");
        steps(&mut sender);
        sender.body(pieces);
        sender.body_end();
        assert_eq!(steps(&mut sender).last().unwrap(), &format!("Fail(Body({wanted}))"));
    }
}

#[test]
fn by_data_no_line_ends_in_anything_but_crlf() {
    for body in ["a\nb\r\n", "a\rb\r\n", "a\r\r\n", "a\r"] {
        let mut sender = ready("");
        sender.begin(&transaction(&["b@y.example"], body.len() as u64)).unwrap();
        sender.input(b"250 ok\r\n");
        sender.input(b"250 ok\r\n354 go\r\n");
        sender.body(body.as_bytes());
        sender.body_end();
        assert_eq!(steps(&mut sender).last().unwrap(), "Fail(Body(BareLineEnd))", "{body:?}");
    }
}

#[test]
fn what_the_server_does_not_take_is_not_begun() {
    let mut sender = ready("SIZE=10");
    let mut large = transaction(&["b@y.example"], 11);
    assert_eq!(sender.begin(&large), Err(Unfit::TooLarge { size: 11, max: 10 }));
    large.size = 10;
    large.params.body = BodyKind::EightBitMime;
    assert_eq!(sender.begin(&large), Err(Unfit::EightBit));
    large.params = MailParams { smtp_utf8: true, ..MailParams::default() };
    assert_eq!(sender.begin(&large), Err(Unfit::Utf8));
    assert_eq!(sender.begin(&transaction(&[], 1)), Err(Unfit::NoRecipient));
    assert_eq!(sender.step(), None);
}

#[test]
fn dsn_parameters_go_to_servers_that_know_them_only() {
    let mut wanted = transaction(&["b@y.example"], 1);
    wanted.params.envelope_id = Some("a+b".to_owned());
    wanted.to[0].1.notify = Some(Notify::Never);
    for (offer, expected) in [
        ("PIPELINING DSN", "MAIL FROM:<a@x.example> ENVID=a+2Bb\r\nRCPT TO:<b@y.example> NOTIFY=NEVER\r\n"),
        ("PIPELINING", "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n"),
    ] {
        let mut sender = ready(offer);
        sender.begin(&wanted).unwrap();
        assert_eq!(steps(&mut sender), [expected]);
    }
}

#[test]
fn a_421_ends_the_session_at_any_time() {
    let mut sender = ready("");
    sender.begin(&transaction(&["b@y.example"], 1)).unwrap();
    sender.input(b"421 4.3.2 stopping\r\n");
    assert!(steps(&mut sender).last().unwrap().starts_with("Fail(Ended(Reply { code: 421"));
    let mut sender = Sender::new("us.example", Security::Implicit);
    sender.input(b"554 no\r\n");
    assert!(steps(&mut sender).last().unwrap().starts_with("Fail(NoSession("));
}

#[test]
fn only_the_answer_to_a_whole_message_says_that_it_was_taken() {
    // DATA answered as if it were the message.
    let mut sender = ready("");
    sender.begin(&transaction(&["b@y.example"], 2)).unwrap();
    sender.input(b"250 ok\r\n");
    sender.input(b"250 ok\r\n");
    sender.input(b"250 kept\r\n");
    let seen = steps(&mut sender);
    assert!(seen.last().unwrap().starts_with("Fail(Unexpected { asked: Data, reply: Reply { code: 250"), "{seen:?}");
    // And a 354 where there is nothing to permit.
    for (replies, asked) in
        [("354 go\r\n", "Mail"), ("250 ok\r\n354 go\r\n", "Rcpt"), ("250 ok\r\n250 ok\r\n", "Message")]
    {
        let mut sender = ready("PIPELINING CHUNKING");
        sender.begin(&transaction(&["b@y.example"], 2)).unwrap();
        sender.input(replies.as_bytes());
        sender.body(b"\r\n");
        sender.body_end();
        sender.input(b"354 go\r\n");
        let failed = format!("Fail(Unexpected {{ asked: {asked}, reply: Reply {{ code: 354");
        let seen = steps(&mut sender);
        assert!(seen.last().unwrap().starts_with(&failed), "{seen:?}");
        assert!(!seen.iter().any(|step| step.starts_with("Done")), "{seen:?}");
    }
}

#[test]
fn a_server_that_speaks_unasked_ends_the_session() {
    let mut sender = ready("");
    sender.input(b"421 4.4.2 idle too long\r\n");
    assert!(steps(&mut sender).last().unwrap().starts_with("Fail(Ended(Reply { code: 421"));
    assert_eq!(sender.begin(&transaction(&["b@y.example"], 1)), Err(Unfit::NotReady));

    let mut sender = ready("CHUNKING");
    sender.begin(&transaction(&["b@y.example"], 9)).unwrap();
    sender.input(b"250 ok\r\n");
    sender.input(b"250 ok\r\n");
    sender.body(b"abc");
    steps(&mut sender);
    sender.input(b"552 5.3.4 too large\r\n");
    assert!(steps(&mut sender).last().unwrap().starts_with("Fail(Ended(Reply { code: 552"));
}

#[test]
fn a_session_whose_server_has_begun_to_speak_unasked_takes_no_message() {
    for begun in ["2", "250-more\r\n"] {
        let mut sender = ready("");
        sender.input(begun.as_bytes());
        assert_eq!(sender.begin(&transaction(&["b@y.example"], 1)), Err(Unfit::NotReady), "{begun:?}");
    }
}

#[test]
fn of_an_answer_as_long_as_one_may_be_only_its_first_words_are_kept() {
    let long = |code: u16| format!("{code}-5.1.1 {}\r\n", "x".repeat(1000)).repeat(30) + &format!("{code} end\r\n");
    let mut sender = ready("PIPELINING");
    sender.begin(&transaction(&["b@y.example", "c@y.example"], 2)).unwrap();
    sender.input(format!("250 ok\r\n{}{}", long(550), long(550)).as_bytes());
    let kept = |step: &Step| match step {
        Step::Recipient(_, reply) => Some((reply.code, reply.enhanced.unwrap().to_string(), reply.text().len())),
        _ => None,
    };
    let steps: Vec<Step> = std::iter::from_fn(|| sender.step()).collect();
    let kept: Vec<_> = steps.iter().filter_map(kept).collect();
    assert_eq!(kept, vec![(550, "5.1.1".to_owned(), MOST_WORDS); 2]);
    // And whatever else they answer.
    let mut sender = ready("");
    sender.input(long(550).as_bytes());
    let Some(Step::Fail(Failure::Ended(reply))) = sender.step() else { panic!("not ended") };
    assert_eq!(reply.text().len(), MOST_WORDS);
}

#[test]
fn each_answer_has_the_time_that_it_was_given() {
    let seconds = Duration::from_secs;
    let patience = Patience { command: seconds(1), data: seconds(2), message: seconds(3) };
    let mut sender = Sender::new("us.example", Security::Implicit).with_patience(patience);
    let wait = |sender: &Sender| (sender.waits_for(), sender.patience());
    assert_eq!(wait(&sender), (Some(Awaited::Greeting), Some(seconds(1))));
    sender.input(b"220 hi\r\n250 them\r\n");
    assert_eq!(wait(&sender), (None, None));
    sender.begin(&transaction(&["b@y.example"], 2)).unwrap();
    sender.input(b"250 ok\r\n");
    assert_eq!(wait(&sender), (Some(Awaited::Rcpt), Some(seconds(1))));
    sender.input(b"250 ok\r\n");
    assert_eq!(wait(&sender), (Some(Awaited::Data), Some(seconds(2))));
    sender.input(b"354 go\r\n");
    sender.body(b"\r\n");
    sender.body_end();
    assert_eq!(wait(&sender), (Some(Awaited::Message), Some(seconds(3))));
}

#[test]
fn an_address_beyond_ascii_asks_for_smtputf8_by_itself() {
    let mut sender = ready("SMTPUTF8 PIPELINING");
    sender.begin(&transaction(&["hélène@y.example"], 1)).unwrap();
    assert!(steps(&mut sender)[0].starts_with("MAIL FROM:<a@x.example> SMTPUTF8\r\n"));
}
