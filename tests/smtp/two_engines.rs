//! Our sender and our receiver talk to each other: what the one was given, the other gives out.

use caducee::wire::smtp::params::{MailParams, RcptParams};
use caducee::wire::smtp::path::{ForwardPath, Mailbox, ReversePath};
use caducee::wire::smtp::receiver::{self, Answer, Limits, Question, Receiver, Role, Settings};
use caducee::wire::smtp::reply::Reply;
use caducee::wire::smtp::sender::{Outcome, Security, Sender, Step, Transaction};
use proptest::prelude::*;
use std::time::Duration;

/// The recipient that the receiver's side knows nothing of.
const UNKNOWN: &str = "unknown@there.example";

fn receiver() -> Receiver {
    let minute = Duration::from_secs(60);
    let limits = Limits {
        message: 1 << 20,
        header: 1 << 16,
        text_line: 8192,
        command_line: 2048,
        recipients: 100,
        errors: 20,
        idle_commands: 20,
        transactions: 100,
        command_timeout: minute,
        data_timeout: minute,
        message_timeout: minute,
        plaintext_timeout: minute,
        session_timeout: minute,
    };
    Receiver::new(Settings { host: "there.example".into(), reference: "r".into(), limits, role: Role::Operators })
}

fn answer(question: &Question) -> Answer {
    match question {
        Question::Rcpt(to) if to.path.to_string().contains("unknown") => {
            Answer::Reply(Reply::new(550, (5, 1, 1), "unknown"))
        }
        Question::Message { .. } => Answer::Reply(Reply::new(250, (2, 0, 0), "kept")),
        _ => Answer::Accept,
    }
}

/// What the two said to each other about one message.
#[derive(Debug, Default)]
struct Conversation {
    arrived: Vec<u8>,
    recipients: Vec<u16>,
    outcome: Option<Outcome>,
}

/// One message from engine to engine, in pieces of `piece` octets both ways; the receiver's offer lacks the words in `hidden`.
fn converse(message: &[u8], to: &[&str], hidden: &[&str], piece: usize) -> Conversation {
    let mut sender = Sender::new("here.example", Security::StartTls);
    let mut receiver = receiver();
    let mut said = Conversation::default();
    let mut waiting: Vec<u8> = Vec::new();
    let path = |text: &str| Mailbox::parse(text).unwrap();
    let transaction = Transaction {
        from: ReversePath::Mailbox(path("a@here.example")),
        params: MailParams::default(),
        to: to.iter().map(|to| (ForwardPath::Mailbox(path(to)), RcptParams::default())).collect(),
        size: message.len() as u64,
    };
    for _ in 0..10_000 {
        let output = String::from_utf8(receiver.take_output()).unwrap();
        let offer = output.split_inclusive("\r\n").filter(|line| !hidden.iter().any(|word| line.contains(word)));
        for bytes in offer.collect::<String>().as_bytes().chunks(piece) {
            sender.input(bytes);
        }
        while let Some(step) = sender.step() {
            match step {
                Step::Send(bytes) => waiting.extend(bytes),
                Step::StartTls => {
                    receiver.tls_started(Duration::ZERO);
                    sender.tls_started();
                }
                Step::Ready if said.outcome.is_none() => sender.begin(&transaction).unwrap(),
                Step::Ready => sender.quit(),
                Step::Recipient(index, reply) => {
                    assert_eq!(index, said.recipients.len());
                    said.recipients.push(reply.code);
                }
                Step::Body => {
                    message.chunks(piece).for_each(|bytes| sender.body(bytes));
                    sender.body_end();
                }
                Step::Done(outcome) => said.outcome = Some(outcome),
                Step::Close => return said,
                Step::Fail(failure) => panic!("{failure}"),
            }
        }
        let bytes = std::mem::take(&mut waiting);
        for mut input in bytes.chunks(piece) {
            listen(&mut receiver, &mut input, &mut said.arrived);
        }
        listen(&mut receiver, &mut &[][..], &mut said.arrived);
    }
    panic!("the two do not come to an end: {said:?}");
}

fn listen(receiver: &mut Receiver, input: &mut &[u8], arrived: &mut Vec<u8>) {
    loop {
        match receiver.step(input, Duration::ZERO) {
            receiver::Step::NeedBytes | receiver::Step::StartTls | receiver::Step::Close { .. } => return,
            receiver::Step::Ask(question) => receiver.answer(answer(&question)),
            receiver::Step::Header(bytes) | receiver::Step::Body(bytes) => arrived.extend(bytes),
            receiver::Step::Refused(_) | receiver::Step::Discard => {}
            receiver::Step::NeedAnswer => panic!("every question was answered"),
        }
    }
}

const OFFERS: [&[&str]; 4] = [&[], &["CHUNKING"], &["PIPELINING"], &["CHUNKING", "PIPELINING"]];

/// Lines of a message, many of which look like the end of one.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![Just(".".to_owned()), Just("..".to_owned()), Just(String::new()), "[ -~]{0,60}"];
    prop::collection::vec(line, 0..20)
        .prop_map(|lines| format!("Subject: x\r\n\r\n{}\r\n", lines.join("\r\n")).into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_message_arrives_as_it_was_sent_whatever_is_offered_and_however_it_is_cut(
        message in message(), piece in 1..40_usize, offer in 0..OFFERS.len()
    ) {
        let said = converse(&message, &["b@there.example"], OFFERS[offer], piece);
        prop_assert_eq!(said.arrived, message);
        prop_assert!(matches!(said.outcome, Some(Outcome::Answered(reply)) if reply.code == 250));
    }
}

#[test]
fn a_refused_recipient_stays_out_of_it_and_the_others_get_the_message() {
    for offer in OFFERS {
        let said = converse(b"A: b\r\n\r\nc\r\n", &["b@there.example", UNKNOWN, "c@there.example"], offer, 7);
        assert_eq!(said.recipients, [250, 550, 250]);
        assert_eq!(said.arrived, b"A: b\r\n\r\nc\r\n");
        let said = converse(b"A: b\r\n\r\nc\r\n", &[UNKNOWN], offer, 1000);
        assert_eq!((said.outcome, said.arrived.len()), (Some(Outcome::NoRecipient), 0));
    }
}
