//! The engine's bounds: sizes, counts and time.

use std::time::Duration;

use caducee::wire::smtp::receiver::{Answer, Question, Receiver, Role, Settings, Step};
use caducee::wire::smtp::reply::Reply;

use crate::conversation::LIMITS;
use crate::engine::{behind_tls, codes};

#[test]
fn a_command_line_has_its_limit() {
    let fits = format!("NOOP {}\r\n", "x".repeat(505));
    let long = format!("NOOP {}\r\n", "x".repeat(506));
    let longer = format!("NOOP {}\r\n", "x".repeat(3000));
    assert_eq!(codes(&fits), ["250 2.0.0"]);
    assert_eq!(codes(&long), ["500 5.5.2"]);
    assert_eq!(codes(&format!("{longer}NOOP\r\n")), ["500 5.5.2", "250 2.0.0"]);
    let envelope_id = |length| format!("MAIL FROM:<a@b> RET=FULL SIZE=100 ENVID={}\r\n", "+2B".repeat(length));
    assert_eq!(codes(&envelope_id(100)), ["250 2.1.0"]);
    let original =
        |length| format!("MAIL FROM:<a@b>\r\nRCPT TO:<c@d> NOTIFY=NEVER ORCPT=rfc822;{}\r\n", "x".repeat(length));
    assert_eq!(codes(&original(490)), ["250 2.1.0", "250 2.1.5"]);
    assert_eq!(codes(&original(700)), ["250 2.1.0", "500 5.5.2"]);
}

#[test]
fn a_declared_size_is_refused_before_the_message_comes() {
    assert_eq!(codes("MAIL FROM:<a@b> SIZE=2001\r\nMAIL FROM:<a@b> SIZE=2000\r\n"), ["552 5.3.4", "250 2.1.0"]);
}

fn message(text: &str) -> Vec<String> {
    codes(&format!("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n{text}.\r\nNOOP\r\n"))[3..].to_vec()
}

#[test]
fn a_message_that_is_too_big_is_refused_at_its_end() {
    let lines = |count: usize| format!("A: b\r\n\r\n{}", "0123456789\r\n".repeat(count));
    assert_eq!(message(&lines(166)), ["250 2.6.0", "250 2.0.0"]);
    assert_eq!(message(&lines(167)), ["552 5.3.4", "250 2.0.0"]);
    let endless = behind_tls(&format!("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n{}.\r\nNOOP\r\n", lines(600)));
    assert!(endless.closed);
    assert_eq!(endless.codes()[6..], ["552 5.3.4"]);
}

#[test]
fn a_chunk_that_is_too_big_is_refused_and_swallowed() {
    let chunk = "A: b\r\n\r\n".to_owned() + &"x\r\n".repeat(800);
    let begin = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
    let wire = format!("{begin}BDAT {} LAST\r\n{chunk}NOOP\r\n", chunk.len());
    assert_eq!(codes(&wire)[2..], ["552 5.3.4", "250 2.0.0"]);
    let wire =
        format!("{begin}BDAT 8\r\n{}BDAT {}\r\n{}BDAT 0 LAST\r\nNOOP\r\n", &chunk[..8], chunk.len() - 8, &chunk[8..]);
    assert_eq!(codes(&wire)[2..], ["250 2.0.0", "552 5.3.4", "552 5.3.4", "250 2.0.0"]);
    let huge = behind_tls(&format!("{begin}BDAT 999999999999 LAST\r\n{}", "x\r\n".repeat(3000)));
    assert_eq!((&huge.codes()[5..], huge.closed), (&["552 5.3.4".to_owned()][..], true));
    let homeless = behind_tls("BDAT 999999999999 LAST\r\nxx");
    assert_eq!((&homeless.codes()[3..], homeless.closed), (&["552 5.3.4".to_owned()][..], true));
}

#[test]
fn lines_and_header_sections_have_their_limits() {
    let line = |length: usize| format!("A: b\r\n\r\n{}\r\n", "x".repeat(length));
    assert_eq!(message(&line(98)), ["250 2.6.0", "250 2.0.0"]);
    assert_eq!(message(&line(99)), ["554 5.6.0", "250 2.0.0"]);
    let header = |count: usize| "A: 6789\r\n".repeat(count) + "\r\n";
    assert_eq!(message(&header(55)), ["250 2.6.0", "250 2.0.0"]);
    assert_eq!(message(&header(56)), ["552 5.3.4", "250 2.0.0"]);
}

#[test]
fn recipients_have_their_limit_and_refused_ones_too() {
    let wire = "MAIL FROM:<a@b>\r\n".to_owned() + &"RCPT TO:<c@d>\r\n".repeat(4);
    assert_eq!(codes(&wire)[3..], ["250 2.1.5", "452 4.5.3"]);
    let wire = "MAIL FROM:<a@b>\r\n".to_owned() + &"RCPT TO:<refuse@d>\r\n".repeat(4);
    assert_eq!(codes(&wire)[3..], ["550 5.7.1", "452 4.5.3"]);
}

#[test]
fn too_many_errors_end_the_connection() {
    let transcript = behind_tls(&"BOGUS\r\n".repeat(7));
    assert_eq!(transcript.codes()[3..], ["500 5.5.1", "500 5.5.1", "500 5.5.1", "500 5.5.1", "500 5.5.1", "421 4.7.0"]);
    assert!(transcript.closed);
    assert_eq!(transcript.events.last().map(String::as_str), Some("refused too-many-errors"));
}

#[test]
fn refused_recipients_of_a_transaction_count_as_one_error_and_a_taken_message_forgives() {
    let refused = "MAIL FROM:<a@b>\r\nRCPT TO:<refuse@d>\r\nRCPT TO:<refuse@d>\r\nRSET\r\n";
    assert!(!behind_tls(&refused.repeat(4)).closed);
    let taken = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nA: b\r\n.\r\n";
    let transcript = behind_tls(&format!("{0}{taken}{0}", refused.repeat(3)));
    assert!(!transcript.closed, "{}", transcript.replies);
    assert!(behind_tls(&refused.repeat(6)).closed);
}

#[test]
fn idling_with_commands_counts_as_errors() {
    let transcript = behind_tls(&"NOOP\r\n".repeat(30));
    assert!(transcript.closed);
    assert!(transcript.replies.contains("421 4.7.0"));
}

#[test]
fn a_connection_has_a_last_transaction() {
    let taken = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nA: b\r\n.\r\n";
    let transcript = behind_tls(&taken.repeat(9));
    assert_eq!((transcript.messages.len(), transcript.closed), (8, true));
    assert_eq!(transcript.codes().last().map(String::as_str), Some("421 4.3.2"));
}

/// An engine behind TLS, driven by hand.
struct Hand {
    receiver: Receiver,
}

impl Hand {
    fn new() -> Hand {
        let settings = Settings {
            host: "mx.example".to_owned(),
            reference: "r1".to_owned(),
            limits: LIMITS,
            role: Role::Operators,
        };
        Hand { receiver: Receiver::new(settings) }
    }

    fn secure(at: u64) -> Hand {
        let mut hand = Hand::new();
        hand.receiver.tls_started(Duration::from_secs(at));
        hand.receiver.take_output();
        hand
    }

    /// Says this at that second, accepts what is asked; the replies.
    fn say(&mut self, text: &str, at: u64) -> String {
        let now = Duration::from_secs(at);
        let mut input = text.as_bytes();
        loop {
            match self.receiver.step(&mut input, now) {
                Step::NeedBytes | Step::Close { .. } => break,
                Step::Ask(Question::Message { .. }) => {
                    self.receiver.answer(Answer::Reply(Reply::new(250, (2, 6, 0), "taken")));
                }
                Step::Ask(_) => self.receiver.answer(Answer::Accept),
                _ => {}
            }
        }
        self.replies()
    }

    fn replies(&mut self) -> String {
        String::from_utf8(self.receiver.take_output()).expect("replies are ASCII")
    }

    fn deadline(&self) -> Option<u64> {
        self.receiver.deadline().map(|deadline| deadline.as_secs())
    }

    fn is_closed(&mut self) -> bool {
        let mut closed = false;
        for _ in 0..4 {
            closed = matches!(self.receiver.step(&mut &[][..], Duration::ZERO), Step::Close { .. });
        }
        closed
    }
}

#[test]
fn the_wait_for_a_command_is_bounded_however_it_trickles() {
    let mut hand = Hand::secure(10);
    assert_eq!(hand.deadline(), Some(310));
    hand.say("EHLO a\r\n", 20);
    assert_eq!(hand.deadline(), Some(320));
    hand.say("NO", 200);
    assert_eq!(hand.deadline(), Some(320), "half a command buys no time");
    hand.receiver.tick(Duration::from_secs(319));
    assert!(hand.replies().is_empty());
    hand.receiver.tick(Duration::from_secs(320));
    assert!(hand.replies().starts_with("421 4.4.2 "));
    assert!(hand.is_closed());
}

#[test]
fn plain_text_has_little_time() {
    let mut hand = Hand::new();
    assert_eq!(hand.deadline(), Some(60));
    hand.say("EHLO a\r\n", 50);
    assert_eq!(hand.deadline(), Some(60));
}

#[test]
fn a_message_has_a_deadline_for_its_next_piece_and_one_for_the_whole() {
    let mut hand = Hand::secure(0);
    hand.say("EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", 100);
    assert_eq!(hand.deadline(), Some(280));
    for at in 1..=8 {
        hand.say("A: b\r\n", 100 + at * 100);
        assert_eq!(hand.deadline(), Some((280 + at * 100).min(1000)));
    }
    hand.receiver.tick(Duration::from_secs(1000));
    assert!(hand.replies().contains("421 4.4.2"));
    let mut input = &b""[..];
    let now = Duration::from_secs(1000);
    assert!(matches!(hand.receiver.step(&mut input, now), Step::Refused(refusal) if refusal.rule == "too-slow"));
    assert_eq!(hand.receiver.step(&mut input, now), Step::Discard);
    assert!(matches!(hand.receiver.step(&mut input, now), Step::Close { .. }));
}

#[test]
fn chunks_share_the_deadline_of_the_whole_message() {
    let mut hand = Hand::secure(0);
    hand.say("EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 6\r\nA: b\r\n", 100);
    assert_eq!(hand.deadline(), Some(400));
    hand.say("NOOP\r\n", 390);
    hand.say("NOOP\r\n", 680);
    hand.say("NOOP\r\n", 960);
    assert_eq!(hand.deadline(), Some(1000));
}

#[test]
fn the_time_of_our_own_answers_is_not_the_peers() {
    let mut hand = Hand::secure(0);
    hand.say("EHLO a\r\n", 0);
    let mut input = &b"MAIL FROM:<a@b>\r\n"[..];
    assert!(matches!(hand.receiver.step(&mut input, Duration::from_secs(10)), Step::Ask(_)));
    assert_eq!(hand.deadline(), None);
    hand.receiver.tick(Duration::from_secs(5000));
    assert!(hand.replies().is_empty());
    hand.receiver.answer(Answer::Accept);
    assert_eq!(hand.deadline(), Some(5300));
}

#[test]
fn an_old_connection_begins_no_new_transaction() {
    let mut hand = Hand::secure(0);
    hand.say("EHLO a\r\n", 3590);
    assert!(hand.say("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", 3599).ends_with("own\r\n"));
    assert!(hand.say("A: b\r\n.\r\n", 3700).starts_with("250 2.6.0"), "one that has begun may end");
    assert!(hand.say("MAIL FROM:<a@b>\r\n", 3700).starts_with("421 4.3.2"));
    assert!(hand.is_closed());
}

#[test]
fn an_old_connection_is_not_kept_by_naming_recipients() {
    let mut hand = Hand::secure(0);
    hand.say("EHLO a\r\nMAIL FROM:<a@b>\r\n", 3599);
    for at in (3600..4500).step_by(200) {
        hand.say("RCPT TO:<c@d>\r\n", at);
        assert!(!hand.is_closed());
    }
    assert!(hand.say("RCPT TO:<c@d>\r\n", 4500).starts_with("421 4.3.2"));
    assert!(hand.is_closed());
}

#[test]
fn draining_lets_a_transaction_end() {
    let mut hand = Hand::secure(0);
    hand.say("EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", 0);
    hand.receiver.drain();
    assert!(hand.say("DATA\r\n", 1).starts_with("354"));
    let replies = hand.say("A: b\r\n.\r\n", 2);
    assert!(replies.starts_with("250 2.6.0") && replies.contains("\r\n421 4.3.2 "), "{replies}");
    assert!(hand.is_closed());
    let mut idle = Hand::secure(0);
    idle.receiver.drain();
    assert!(idle.say("", 1).starts_with("421 4.3.2"));
}

#[test]
fn a_message_that_cannot_be_kept_is_followed_to_its_end() {
    let mut hand = Hand::secure(0);
    hand.say("EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nA: b\r\n\r\nxx\r\n", 0);
    hand.receiver.fail_message(Reply::new(451, (4, 3, 0), "cannot write"));
    hand.receiver.fail_message(Reply::new(451, (4, 3, 0), "again"));
    assert_eq!(hand.receiver.step(&mut &[][..], Duration::ZERO), Step::Discard);
    assert_eq!(hand.receiver.step(&mut &[][..], Duration::ZERO), Step::NeedBytes);
    assert_eq!(hand.say("yy\r\n.\r\nNOOP\r\n", 0), "451 4.3.0 cannot write\r\n250 2.0.0 Ok\r\n");
}

#[test]
fn an_acceptance_without_words_is_no_acceptance_of_a_message() {
    let mut hand = Hand::secure(0);
    hand.say("EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", 0);
    let mut input = &b"A: b\r\n.\r\n"[..];
    loop {
        match hand.receiver.step(&mut input, Duration::ZERO) {
            Step::NeedBytes => break,
            Step::Ask(_) => hand.receiver.answer(Answer::Accept),
            _ => {}
        }
    }
    assert!(hand.replies().starts_with("451 4.3.0"));
}
