//! A table of faults: what a peer does wrong, and what becomes of the recipient.

use crate::peer::{EVERYTHING, Manners, Say};
use crate::world::{Stage, message, shown};
use caducee::mail::queue::Verdict;

/// Without CHUNKING and PIPELINING: every command is answered before the next.
const PLAIN: &[&str] = &["8BITMIME"];

type Fault = (&'static str, fn(&mut Manners), &'static str);

/// Faults that come to the same whatever the peer offers.
const ALWAYS: &[Fault] = &[
    ("nothing", |_| {}, "relayed 2.0.0 250; reached"),
    ("refuses the connection for good", |m| m.greeting = Say::last("554 5.7.1 no\r\n"), "deferred 4.7.1 554; busy"),
    ("refuses it for now", |m| m.greeting = Say::last("421 4.3.2 later\r\n"), "deferred 4.3.2 421; busy"),
    ("greets with 4xx", |m| m.greeting = Say::text("450 later\r\n"), "deferred 4.0.0 450; busy"),
    ("never greets", |m| m.greeting = Say::Nothing, "deferred 4.4.2 silence; away"),
    ("closes at once", |m| m.greeting = Say::close(), "deferred 4.4.2 connection-lost; away"),
    ("greets by half", |m| m.greeting = Say::last("220 hel"), "deferred 4.4.2 connection-lost; away"),
    ("is no SMTP server", |m| m.greeting = Say::Bytes(vec![0x15, 3, 3, 0, 2, b'\n']), "deferred 4.5.0 bad-reply; away"),
    ("greets in 100 KB", |m| m.greeting = Say::Bytes(vec![b'2'; 100 << 10]), "deferred 4.5.0 bad-reply; away"),
    (
        "greets in 100 KB of lines",
        |m| m.greeting = Say::text(&format!("220-{}\r\n", "x".repeat(1000)).repeat(100)),
        "deferred 4.5.0 bad-reply; away",
    ),
    (
        "greets in a thousand lines",
        |m| m.greeting = Say::text(&"220-and\r\n".repeat(1000)),
        "deferred 4.5.0 bad-reply; away",
    ),
    ("ends lines in LF alone", |m| m.greeting = Say::text("220-hello\n220 peer\n"), "relayed 2.0.0 250; reached"),
    ("refuses EHLO", |m| m.ehlo = Say::text("502 5.5.1 what\r\n"), "deferred 4.5.1 502; busy"),
    ("never answers EHLO", |m| m.ehlo = Say::Nothing, "deferred 4.4.2 silence; away"),
    ("has STARTTLS stripped", |m| m.ehlo = Say::text("250-peer\r\n250 HELP\r\n"), "deferred 4.7.4 no-starttls; away"),
    ("refuses STARTTLS", |m| m.starttls = Say::text("454 4.7.0 no\r\n"), "deferred 4.7.0 454; busy"),
    ("never answers STARTTLS", |m| m.starttls = Say::Nothing, "deferred 4.4.2 silence; away"),
    (
        "speaks in the clear after STARTTLS",
        |m| m.starttls = Say::text("220 go\r\n250 injected\r\n"),
        "deferred 4.7.5 injected; away",
    ),
    ("refuses EHLO after TLS", |m| m.ehlo_after_tls = Say::text("550 5.7.1 who\r\n"), "deferred 4.7.1 550; busy"),
    ("never answers EHLO after TLS", |m| m.ehlo_after_tls = Say::Nothing, "deferred 4.4.2 silence; away"),
    ("defers the sender", |m| m.mail = Say::text("451 4.7.1 grey\r\n"), "deferred 4.7.1 451; reached"),
    ("refuses the sender", |m| m.mail = Say::text("550 5.7.1 not yours\r\n"), "failed 5.7.1 550; reached"),
    ("ends the session at MAIL", |m| m.mail = Say::last("421 4.3.2 stopping\r\n"), "deferred 4.3.2 421; busy"),
    ("answers MAIL with 354", |m| m.mail = Say::text("354 go\r\n"), "deferred 4.5.0 bad-reply; away"),
    ("never answers MAIL", |m| m.mail = Say::Nothing, "deferred 4.4.2 silence; away"),
    ("closes at MAIL", |m| m.mail = Say::close(), "deferred 4.4.2 connection-lost; away"),
    ("defers the recipient", |m| m.rcpt = Say::text("450 4.2.1 busy\r\n"), "deferred 4.2.1 450; reached"),
    ("refuses the recipient", |m| m.rcpt = Say::text("550 5.1.1 unknown\r\n"), "failed 5.1.1 550; reached"),
    ("refuses it without a code", |m| m.rcpt = Say::text("550 unknown\r\n"), "failed 5.0.0 550; reached"),
    ("has its mailbox full", |m| m.rcpt = Say::text("552 5.2.2 full\r\n"), "failed 5.2.2 552; reached"),
    ("has too many recipients", |m| m.rcpt = Say::text("552 too many\r\n"), "deferred 4.0.0 552; reached"),
    ("ends the session at RCPT", |m| m.rcpt = Say::last("421 4.3.2 stopping\r\n"), "deferred 4.3.2 421; busy"),
    ("never answers RCPT", |m| m.rcpt = Say::Nothing, "deferred 4.4.2 silence; away"),
    ("closes at RCPT", |m| m.rcpt = Say::close(), "deferred 4.4.2 connection-lost; away"),
    ("defers the message", |m| m.message = Say::text("452 4.3.1 full\r\n"), "deferred 4.3.1 452; reached"),
    ("refuses the message", |m| m.message = Say::text("554 5.6.0 no\r\n"), "failed 5.6.0 554; reached"),
    ("answers the message with 354", |m| m.message = Say::text("354 go\r\n"), "deferred 4.5.0 bad-reply; busy"),
    ("says 421 to the message", |m| m.message = Say::last("421 4.3.2 stop\r\n"), "deferred 4.3.2 421; busy"),
    ("never answers the message", |m| m.message = Say::Nothing, "deferred 4.4.2 silence; busy"),
    ("closes before its answer", |m| m.message = Say::close(), "deferred 4.4.2 connection-lost; busy"),
    ("answers by half", |m| m.message = Say::last("250 2.0.0 kep"), "deferred 4.4.2 connection-lost; busy"),
    (
        "answers the first of two lines",
        |m| m.message = Say::last("250-kept\r\n"),
        "deferred 4.4.2 connection-lost; busy",
    ),
    ("takes it and is gone", |m| m.message = Say::last("250 2.0.0 kept\r\n"), "relayed 2.0.0 250; reached"),
    ("takes it and says more", |m| m.message = Say::text("250 2.0.0 kept\r\n550 no\r\n"), "relayed 2.0.0 250; reached"),
    ("refuses in another class", |m| m.message = Say::text("550 4.2.0 no\r\n"), "failed 5.0.0 550; reached"),
    ("closes in the message", |m| m.early = Some((10, Say::close())), "deferred 4.4.2 connection-lost; busy"),
];

/// Faults of DATA.
const BY_DATA: &[Fault] = &[
    ("defers DATA", |m| m.data = Say::text("451 4.3.0 later\r\n"), "deferred 4.3.0 451; reached"),
    ("refuses DATA", |m| m.data = Say::text("554 5.5.1 no valid recipients\r\n"), "failed 5.5.1 554; reached"),
    ("says 250 to DATA", |m| m.data = Say::text("250 ok\r\n"), "deferred 4.5.0 bad-reply; busy"),
    ("says 421 to DATA", |m| m.data = Say::last("421 4.3.2 stopping\r\n"), "deferred 4.3.2 421; busy"),
    ("never answers DATA", |m| m.data = Say::Nothing, "deferred 4.4.2 silence; busy"),
    ("closes at DATA", |m| m.data = Say::close(), "deferred 4.4.2 connection-lost; busy"),
];

async fn comes_to(offers: &'static [&'static str], (name, fault, wanted): &Fault) {
    let mut manners = Manners { offers, ..Manners::default() };
    fault(&mut manners);
    let (stage, peer) = Stage::simple(manners).await;
    let outcome = stage.relay.carry(&stage.attempt("there.example", &["b"])).await;
    assert_eq!(shown(&outcome), *wanted, "a peer that {name}, offering {offers:?}: {outcome:?}");
    for taken in peer.taken() {
        assert_eq!(taken.bytes, message(), "a peer that {name}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_a_peer_ends_as_the_table_says() {
    for fault in ALWAYS {
        comes_to(EVERYTHING, fault).await;
        comes_to(PLAIN, fault).await;
    }
    for fault in BY_DATA {
        comes_to(PLAIN, fault).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_more_than_it_was_asked_loses_its_session_and_nothing_else() {
    let more = Say::text("250 2.0.0 kept\r\n550 no\r\n");
    let (stage, peer) = Stage::simple(Manners { message: more, ..Manners::default() }).await;
    for sent in 1..4 {
        assert_eq!(stage.send("there.example").await, "relayed 2.0.0 250; reached");
        assert_eq!((peer.taken().len(), peer.connections()), (sent, sent));
    }
}

#[tokio::test(start_paused = true)]
async fn each_step_has_its_own_patience() {
    type Step = fn(&mut Manners);
    let steps: [(Step, u64); 4] = [
        (|m| m.greeting = Say::Nothing, 300),
        (|m| m.rcpt = Say::Nothing, 300),
        (|m| m.data = Say::Nothing, 120),
        (|m| m.message = Say::Nothing, 600),
    ];
    for (step, seconds) in steps {
        let mut manners = Manners { offers: PLAIN, ..Manners::default() };
        step(&mut manners);
        let (stage, _peer) = Stage::simple(manners).await;
        let begun = tokio::time::Instant::now();
        stage.send("there.example").await;
        assert_eq!(begun.elapsed().as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn every_recipient_has_its_own_answer() {
    for offers in [EVERYTHING, PLAIN] {
        let unknown = Say::text("550-5.1.1 no\r\n550 5.1.1 such\tuser\r\n");
        let rcpt_of = vec![("<c@", unknown), ("<d@", Say::text("450 4.2.1 busy\r\n"))];
        let (stage, peer) = Stage::simple(Manners { offers, rcpt_of, ..Manners::default() }).await;
        let outcome = stage.relay.carry(&stage.attempt("there.example", &["b", "c", "d", "e"])).await;
        let all = "relayed 2.0.0 250, failed 5.1.1 550, deferred 4.2.1 450, relayed 2.0.0 250; reached";
        assert_eq!(shown(&outcome), all);
        assert_eq!(peer.taken()[0].rcpt, ["RCPT TO:<b@there.example>", "RCPT TO:<e@there.example>"]);
        let (2, Verdict::Deferred(_)) = &outcome.recipients[2] else { panic!("{outcome:?}") };
        let (1, Verdict::Failed(words)) = &outcome.recipients[1] else { panic!("{outcome:?}") };
        assert_eq!((words.text.as_str(), words.host.as_deref()), ("no such user", Some("mx.there.example")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_stands_when_the_session_ends_behind_it() {
    for offers in [EVERYTHING, PLAIN] {
        let end = Say::last("421 4.3.2 stopping\r\n");
        let rcpt_of = vec![("<c@", Say::text("550 5.1.1 unknown\r\n")), ("<d@", end)];
        let (stage, peer) = Stage::simple(Manners { offers, rcpt_of, ..Manners::default() }).await;
        let outcome = stage.relay.carry(&stage.attempt("there.example", &["b", "c", "d", "e"])).await;
        let all = "deferred 4.3.2 421, failed 5.1.1 550, deferred 4.3.2 421, deferred 4.3.2 421; busy";
        assert_eq!(shown(&outcome), all, "{offers:?}");
        assert!(peer.taken().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn many_recipients_and_long_answers_do_not_make_the_two_sides_wait_for_each_other() {
    // More than the connection holds, in both directions.
    let rcpt = Say::text(&format!("250 2.1.5 {}\r\n", "y".repeat(400)));
    let (stage, peer) = Stage::simple(Manners { rcpt, ..Manners::default() }).await;
    let names: Vec<String> = (0..2000).map(|number| format!("{number:060}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let outcome = stage.relay.carry(&stage.attempt("there.example", &names)).await;
    assert!(outcome.recipients.iter().all(|(_, verdict)| matches!(verdict, Verdict::Relayed { .. })));
    assert_eq!((outcome.recipients.len(), peer.taken().len()), (2000, 1));
}
