//! The sender's engine against a server that says anything: nothing panics, nothing grows without bound, the same bytes
//! in other pieces give the same conversation, and no message counts as taken without a 2xx of its own.

use caducee::wire::smtp::params::{MailParams, RcptParams};
use caducee::wire::smtp::path::{ForwardPath, Mailbox, ReversePath};
use caducee::wire::smtp::sender::{Login, Outcome, Security, Sender, Step, Transaction};

/// The message that is sent again and again.
const BODY: &[u8] = b"Subject: x\r\n\r\n.a\r\n..\r\nb";

/// Most bytes that one engine may have us write: a few messages' worth, whatever the server says.
const MOST_SAID: usize = 1 << 20;

/// One input of the fuzzer. The first byte says how the bytes are cut in the third run, how the connection is secured, and
/// whether there is a login; each NUL after it is a moment at which the driver acts on what has come so far.
pub fn check(data: &[u8]) {
    let Some((&seed, wire)) = data.split_first() else { return };
    let security = match seed & 3 {
        0 => Security::StartTls,
        1 => Security::Implicit,
        2 => Security::ClearIfNotOffered,
        _ => Security::Clear,
    };
    let sender = || {
        let sender = Sender::new("us.example", security);
        if seed & 4 == 0 { sender } else { sender.with_login(Login::new("anne", "secret")) }
    };
    let whole = converse(wire, sender(), |_| usize::MAX);
    assert_eq!(whole, converse(wire, sender(), |_| 1));
    let mut state = u64::from(seed) << 8 | 1;
    let random = |left: usize| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state as usize % 16 + 1).min(left)
    };
    assert_eq!(whole, converse(wire, sender(), random));
}

/// What came of it: all that was said, and all that happened.
#[derive(Debug, Default, PartialEq, Eq)]
struct Conversation {
    said: Vec<u8>,
    events: Vec<String>,
}

fn converse(wire: &[u8], mut sender: Sender, mut cut: impl FnMut(usize) -> usize) -> Conversation {
    let mut conversation = Conversation::default();
    for turn in wire.split(|&byte| byte == 0) {
        let mut rest = turn;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cut(rest.len()).clamp(1, rest.len()));
            sender.input(now);
            rest = later;
        }
        act(&mut sender, &mut conversation);
        assert!(conversation.said.len() < MOST_SAID);
        // RFC 5321 §4.5.3.2: whatever is waited for has a time.
        assert_eq!(sender.waits_for().is_some(), sender.patience().is_some());
    }
    conversation
}

/// Does what the engine asks for, as the relay does.
fn act(sender: &mut Sender, conversation: &mut Conversation) {
    let mut over = false;
    while let Some(step) = sender.step() {
        assert!(!over, "a step after the end: {step:?}");
        conversation.events.push(format!("{step:?}"));
        match step {
            Step::Send(bytes) => conversation.said.extend(bytes),
            Step::StartTls => sender.tls_started(),
            Step::Ready => {
                // Refused where the server's offer does not fit.
                let begun = sender.begin(&transaction());
                conversation.events.push(format!("{begun:?}"));
            }
            Step::Body => {
                sender.body(&BODY[..5]);
                sender.body(&BODY[5..]);
                sender.body_end();
            }
            Step::Done(Outcome::Answered(reply)) => {
                let message_sent = conversation.said.windows(BODY.len()).any(|at| at == BODY)
                    || conversation.said.windows(5).any(|at| at == b"\r\n.\r\n");
                assert!(!reply.is_positive() || message_sent, "a message that was never sent counts as taken");
                assert!(!reply.is_intermediate());
            }
            Step::Recipient(_, reply) => assert!(!reply.is_intermediate()),
            Step::Done(_) => {}
            Step::Close | Step::Fail(_) => over = true,
        }
    }
    // After the end nothing is asked, nothing is waited for, nothing can be begun.
    if over {
        assert!(sender.begin(&transaction()).is_err());
        assert_eq!(sender.waits_for(), None);
        sender.body(b"x");
        sender.body_end();
        sender.quit();
        assert_eq!(sender.step(), None);
    }
}

fn transaction() -> Transaction {
    let mailbox = |local: &str| Mailbox::parse(&format!("{local}@there.example")).expect("a mailbox");
    Transaction {
        from: ReversePath::Mailbox(mailbox("a")),
        params: MailParams::default(),
        to: ["b", "c"].map(|local| (ForwardPath::Mailbox(mailbox(local)), RcptParams::default())).to_vec(),
        size: BODY.len() as u64,
    }
}
