//! The SMTP engine: nothing panics, nothing grows without bound, and the same bytes in other pieces give the same
//! conversation.

use std::fmt::Write;
use std::time::Duration;

use caducee::wire::sasl::{Credentials, Mechanism};
use caducee::wire::smtp::receiver::{
    Answer, FutureRelease, Limits, Question, Receiver, Role, Settings, Step, Submission,
};
use caducee::wire::smtp::reply::Reply;

/// One input of the fuzzer. The first byte says how the bytes are cut in the second run, whether TLS is up at once, and
/// whose door it is.
#[allow(dead_code, reason = "tests/smtp takes `converse` only")]
pub(crate) fn check(data: &[u8]) {
    let Some((&seed, wire)) = data.split_first() else { return };
    let opening: &[u8] = if seed & 1 == 0 { b"EHLO a\r\nSTARTTLS\r\n" } else { b"" };
    let segments: Vec<&[u8]> = if opening.is_empty() { vec![wire] } else { vec![opening, wire] };
    let role = if seed & 2 == 0 { Role::Operators } else { submission() };
    let whole = converse_as(&role, &segments, &mut Cut::whole());
    assert_eq!(whole, converse_as(&role, &segments, &mut Cut::every(1)));
    assert_eq!(whole, converse_as(&role, &segments, &mut Cut::random(u64::from(seed) + 1)));
}

/// Small bounds, so that small inputs reach them.
pub(crate) const LIMITS: Limits = Limits {
    message: 2000,
    header: 500,
    text_line: 100,
    command_line: 700,
    recipients: 3,
    errors: 5,
    idle_commands: 10,
    transactions: 8,
    command_timeout: Duration::from_secs(300),
    data_timeout: Duration::from_secs(180),
    message_timeout: Duration::from_secs(900),
    plaintext_timeout: Duration::from_secs(60),
    session_timeout: Duration::from_secs(3600),
};

/// How the bytes of a segment are cut.
pub(crate) struct Cut {
    state: u64,
    fixed: Option<usize>,
}

impl Cut {
    /// Not at all.
    pub(crate) fn whole() -> Cut {
        Cut { state: 0, fixed: Some(usize::MAX) }
    }

    /// In pieces of this size.
    pub(crate) fn every(size: usize) -> Cut {
        Cut { state: 0, fixed: Some(size) }
    }

    /// In pieces of random sizes from 1 to 16.
    pub(crate) fn random(seed: u64) -> Cut {
        Cut { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, fixed: None }
    }

    fn next(&mut self) -> usize {
        self.fixed.unwrap_or_else(|| {
            // xorshift64
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            (self.state % 16) as usize + 1
        })
    }
}

/// What a conversation came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Transcript {
    /// Everything that was answered.
    pub(crate) replies: String,
    /// The driver's side: questions, refusals, ends.
    pub(crate) events: Vec<String>,
    /// The messages that were taken, each with its header section and body.
    pub(crate) messages: Vec<(String, String)>,
    /// The connection was closed by the engine.
    pub(crate) closed: bool,
}

impl Transcript {
    /// The codes of the replies, the enhanced ones too, without the greeting.
    #[allow(dead_code, reason = "the fuzzer takes `check` only")]
    pub(crate) fn codes(&self) -> Vec<String> {
        let last_lines = self.replies.lines().skip(1).filter(|line| line.as_bytes().get(3) == Some(&b' '));
        last_lines
            .map(|line| {
                let mut words = line.split(' ');
                let code = words.next().unwrap_or_default();
                match words.next().filter(|word| word.starts_with(&code[..1]) && word.matches('.').count() == 2) {
                    Some(enhanced) => format!("{code} {enhanced}"),
                    None => code.to_owned(),
                }
            })
            .collect()
    }
}

/// The door of those who send, with all that it can offer.
pub(crate) fn submission() -> Role {
    Role::Submission(Submission {
        mechanisms: Mechanism::ALL.to_vec(),
        future_release: Some(FutureRelease { interval: 86_400, until: "2030-01-01T00:00:00Z".to_owned() }),
    })
}

/// Plays the driver of the operators' door.
#[allow(dead_code, reason = "the fuzzer takes `check` only")]
pub(crate) fn converse(segments: &[&[u8]], cut: &mut Cut) -> Transcript {
    converse_as(&Role::Operators, segments, cut)
}

/// Plays the driver of a door. Each `STARTTLS` that is granted goes on to the next segment.
///
/// Answers are taken from the input: a sender or recipient whose local part holds `refuse`, `later` or `close` gets a 5xx,
/// 4xx or 421; `full@` as sender has no place for a message; a header with `X-Refuse` and a message with `Unlucky` are
/// refused. Names of logins are answered as those of senders.
pub(crate) fn converse_as(role: &Role, segments: &[&[u8]], cut: &mut Cut) -> Transcript {
    let settings =
        Settings { host: "mx.example".to_owned(), reference: "r1".to_owned(), limits: LIMITS, role: role.clone() };
    let mut driver = Driver {
        receiver: Receiver::new(settings),
        transcript: Transcript::default(),
        message: None,
        is_let_in: *role == Role::Operators,
    };
    for segment in segments {
        match driver.segment(segment, cut) {
            Next::Tls => driver.receiver.tls_started(Duration::ZERO),
            Next::Closed => break,
            Next::More => {}
        }
    }
    driver.write();
    driver.transcript
}

#[derive(Default)]
struct Message {
    sender: String,
    header: Vec<u8>,
    body: Vec<u8>,
    open: bool,
}

struct Driver {
    receiver: Receiver,
    transcript: Transcript,
    message: Option<Message>,
    /// A login was granted, or none is asked for.
    is_let_in: bool,
}

enum Next {
    More,
    Tls,
    Closed,
}

impl Driver {
    fn segment(&mut self, segment: &[u8], cut: &mut Cut) -> Next {
        let mut given = 0;
        while given < segment.len() {
            let end = given.saturating_add(cut.next()).min(segment.len());
            let mut input = &segment[given..end];
            given = end;
            loop {
                match self.receiver.step(&mut input, Duration::ZERO) {
                    Step::NeedBytes => {
                        assert!(input.is_empty(), "bytes are left when more are asked for");
                        break;
                    }
                    Step::StartTls => return Next::Tls,
                    Step::Close { .. } => {
                        self.transcript.closed = true;
                        return Next::Closed;
                    }
                    step => self.follow(step, input.len() + segment.len() - given),
                }
            }
            self.write();
        }
        Next::More
    }

    fn write(&mut self) {
        let output = self.receiver.take_output();
        self.transcript.replies.push_str(std::str::from_utf8(&output).expect("replies are ASCII"));
    }

    fn follow(&mut self, step: Step<'_>, behind: usize) {
        match step {
            Step::Ask(question) => self.asked(question, behind),
            Step::Header(piece) => self.open_message().header.extend_from_slice(piece),
            Step::Body(piece) => self.open_message().body.extend_from_slice(piece),
            Step::Refused(refusal) => self.event(format!("refused {}", refusal.rule)),
            Step::Discard => {
                assert!(self.message.take().is_some(), "a transaction is discarded once");
                self.event("discard".to_owned());
            }
            Step::NeedAnswer => panic!("every question was answered"),
            Step::NeedBytes | Step::StartTls | Step::Close { .. } => unreachable!("handled by the caller"),
        }
    }

    fn open_message(&mut self) -> &mut Message {
        self.message.as_mut().filter(|message| message.open).expect("pieces come in an open message")
    }

    fn event(&mut self, text: String) {
        self.transcript.events.push(text);
    }

    fn asked(&mut self, question: Question, behind: usize) {
        let answer = match question {
            Question::StartTls if behind > 0 => return self.receiver.plaintext_behind_starttls(),
            Question::StartTls => Answer::Accept,
            Question::Auth(credentials) => self.login(&credentials),
            Question::Mail(mail) => self.mail(mail.path.to_string(), format!("{:?}", mail.params)),
            Question::Rcpt(rcpt) => {
                self.event(format!("rcpt {} {:?}", rcpt.path, rcpt.params));
                by_name(&rcpt.path.to_string())
            }
            Question::Open => self.open(),
            Question::HeaderEnd => self.header_end(),
            Question::Message { size } => self.complete(size),
        };
        self.receiver.answer(answer);
    }

    fn login(&mut self, credentials: &Credentials) -> Answer {
        assert!(!self.is_let_in, "nobody is asked twice who they are");
        self.event(format!("auth {credentials:?}"));
        let answer = match credentials {
            Credentials::Password { user, .. } => by_name(user),
            Credentials::Certificate { authorisation } => by_name(authorisation),
            Credentials::Token { user, .. } => by_name(user),
        };
        self.is_let_in = answer == Answer::Accept;
        answer
    }

    fn mail(&mut self, path: String, params: String) -> Answer {
        self.event(format!("mail {path} {params}"));
        assert!(self.is_let_in, "no mail before a login");
        let answer = by_name(&path);
        if answer == Answer::Accept {
            assert!(self.message.is_none(), "one transaction at a time");
            self.message = Some(Message { sender: path, ..Message::default() });
        }
        answer
    }

    fn open(&mut self) -> Answer {
        let message = self.message.as_mut().expect("a message is opened in a transaction");
        if message.sender.starts_with("<full@") {
            return Answer::Reply(Reply::new(452, (4, 3, 1), "no space"));
        }
        message.open = true;
        Answer::Accept
    }

    fn header_end(&mut self) -> Answer {
        let header = &self.open_message().header;
        assert!(header.len() as u64 <= LIMITS.header);
        if String::from_utf8_lossy(header).contains("X-Refuse") {
            return Answer::Reply(Reply::new(550, (5, 7, 1), "header refused"));
        }
        Answer::Accept
    }

    fn complete(&mut self, size: u64) -> Answer {
        let message = self.message.take().expect("a message is complete in a transaction");
        assert_eq!(size, (message.header.len() + message.body.len()) as u64);
        assert!(size <= LIMITS.message);
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let number = self.transcript.messages.len() + 1;
        if memchr::memmem::find(&message.body, b"Unlucky").is_some() {
            return Answer::Reply(Reply::new(451, (4, 3, 0), "not kept"));
        }
        self.transcript.messages.push((text(&message.header), text(&message.body)));
        let mut words = String::from("taken as ");
        let _ = write!(words, "{number}");
        Answer::Reply(Reply::new(250, (2, 6, 0), words))
    }
}

fn by_name(path: &str) -> Answer {
    if path.contains("refuse") {
        Answer::Reply(Reply::new(550, (5, 7, 1), "refused"))
    } else if path.contains("later") {
        Answer::Reply(Reply::new(451, (4, 7, 0), "later"))
    } else if path.contains("close") {
        Answer::Reply(Reply::new(421, (4, 3, 2), "going down"))
    } else {
        Answer::Accept
    }
}
