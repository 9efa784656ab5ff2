//! The server's side of an SMTP connection, as an engine.
//!
//! # What goes in, what comes out
//!
//! ```text
//!   bytes    ─▶ step()   ─▶ NeedBytes · Ask(question) · Header(piece) · Body(piece) · Refused · Discard · StartTls · Close
//!   answers  ─▶ answer() ─▶
//!   time     ─▶ step(), tick()          output(): what to write to the peer, all replies of a pipeline at once
//! ```
//!
//! The driver calls [`Receiver::step`] until it says [`Step::NeedBytes`], then writes [`Receiver::take_output`] and reads.
//! A [`Step::Ask`] is answered by [`Receiver::answer`] before anything else happens. Pieces of a message are parts of the
//! input: they are to be used before the next step.
//!
//! # Three levels
//!
//! * The *session* lasts as long as the connection: who says hello, whether TLS is up, how many errors were made.
//! * A *transaction* begins with an accepted `MAIL`. Exactly one of two things ends it: the question
//!   [`Question::Message`], or [`Step::Discard`] (`RSET`, `EHLO`, a refusal, the end of the connection).
//! * The *intake* follows one message's bytes ([`super::content`]), whether `DATA` or `BDAT` brings them.
//!
//! What is known of each verb stands in one table ([`table`]): when it may come, how long its line may be, what is checked,
//! what it does. The door of those who send ([`Role::Submission`]) differs in little, which stands in [`auth`]: `AUTH`, with
//! a question of its own before `MAIL` is allowed; `FUTURERELEASE`; and 8-bit data that was not declared is taken.
//!
//! # Time
//!
//! Is what the driver says it is: a duration since the connection was accepted. [`Receiver::deadline`] says when
//! [`Receiver::tick`] wants to be called.

mod auth;
mod intake;
mod line;
mod refusal;
mod table;
mod types;

use std::collections::VecDeque;

use super::params::{BodyKind, Extensions};
use super::reply::Reply;
use crate::wire::sasl::Exchange;
pub use auth::{FutureRelease, Role, Submission};
use intake::Intake;
use line::{Line, LineReader};
pub use refusal::{Refusal, Then};
pub use types::{Answer, Hello, Limits, Question, Settings, Step, Tick};

#[derive(Debug, Default)]
struct Session {
    hello: Option<Hello>,
    tls: bool,
    logged_in: bool,
    errors: u32,
    idle_commands: u32,
    transactions: u32,
    draining: bool,
}

#[derive(Debug)]
struct Transaction {
    utf8: bool,
    eight_bit: bool,
    accepted: usize,
    refused: usize,
    intake: Option<Intake>,
}

/// What was asked and not yet answered, with what is needed to go on.
#[derive(Debug)]
enum Asked {
    StartTls,
    Auth(Exchange),
    Mail { utf8: bool, eight_bit: bool },
    Rcpt,
    Open,
    HeaderEnd,
    Message,
}

#[derive(Debug)]
enum Phase {
    Command,
    /// The next line answers a challenge.
    Auth(Exchange),
    /// The next line is answered with this refusal.
    AuthRefused(Reply),
    Message,
    /// Octets of a chunk that belongs to no transaction, and what is answered when they are gone.
    Swallow {
        left: u64,
        refusal: Refusal,
    },
    Tls,
    Ended {
        linger: bool,
    },
}

/// The engine. See the module's text.
#[derive(Debug)]
pub struct Receiver {
    settings: Settings,
    session: Session,
    transaction: Option<Transaction>,
    phase: Phase,
    asked: Option<Asked>,
    line: LineReader,
    due: VecDeque<Step<'static>>,
    output: Vec<u8>,
    now: Tick,
    /// When the peer last finished a command, or sent a piece of message.
    heard: Tick,
}

impl Receiver {
    /// A new connection; the greeting is in the output.
    pub fn new(settings: Settings) -> Receiver {
        let line = LineReader::new(table::longest_line(&settings));
        let mut receiver = Receiver {
            settings,
            session: Session::default(),
            transaction: None,
            phase: Phase::Command,
            asked: None,
            line,
            due: VecDeque::new(),
            output: Vec::new(),
            now: Tick::ZERO,
            heard: Tick::ZERO,
        };
        let greeting = format!("{} ESMTP Caducee", receiver.settings.host);
        receiver.say(&Reply::plain(220, greeting));
        receiver
    }

    /// How the peer greeted, since TLS came up.
    pub fn hello(&self) -> Option<&Hello> {
        self.session.hello.as_ref()
    }

    /// Whether nothing is going on: no transaction, no question, no half-read command.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Command) && self.transaction.is_none() && self.asked.is_none()
    }

    /// What is to be written to the peer.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Takes bytes off the front of `input` and says what is to be done.
    pub fn step<'i>(&mut self, input: &mut &'i [u8], now: Tick) -> Step<'i> {
        self.now = now;
        loop {
            if let Some(step) = self.due.pop_front() {
                return step;
            }
            if self.asked.is_some() {
                return Step::NeedAnswer;
            }
            match self.phase {
                Phase::Ended { linger } => return Step::Close { linger },
                Phase::Tls => return Step::StartTls,
                Phase::Command => {
                    if self.session.draining && self.transaction.is_none() {
                        self.refuse(Refusal::draining());
                    } else if !self.command_line(input) {
                        return Step::NeedBytes;
                    }
                }
                Phase::Auth(_) | Phase::AuthRefused(_) => {
                    if !self.command_line(input) {
                        return Step::NeedBytes;
                    }
                }
                Phase::Message => {
                    if let Some(step) = self.message(input) {
                        return step;
                    }
                }
                Phase::Swallow { .. } => {
                    if !self.swallow(input) {
                        return Step::NeedBytes;
                    }
                }
            }
        }
    }

    /// When [`Receiver::tick`] wants to be called, if the peer stays silent. `None` while it is not the peer's turn.
    pub fn deadline(&self) -> Option<Tick> {
        let limits = &self.settings.limits;
        let patience = match self.phase {
            _ if self.asked.is_some() => return None,
            Phase::Ended { .. } | Phase::Tls => return None,
            Phase::Command | Phase::Auth(_) | Phase::AuthRefused(_) => limits.command_timeout,
            Phase::Message | Phase::Swallow { .. } => limits.data_timeout,
        };
        let intake = self.transaction.as_ref().and_then(|transaction| transaction.intake.as_ref());
        let message = intake.map_or(Tick::MAX, |intake| intake.since + limits.message_timeout);
        let is_in = self.session.tls && self.is_let_in();
        let outside = if is_in { Tick::MAX } else { limits.plaintext_timeout };
        Some(message.min(outside).min(self.heard + patience))
    }

    /// Time passes. Past the deadline the peer is told so, and the connection ends.
    pub fn tick(&mut self, now: Tick) {
        self.now = now;
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            self.refuse(Refusal::too_slow());
        }
    }

    /// The server is stopping: end at the next moment without a transaction.
    pub fn drain(&mut self) {
        self.session.draining = true;
    }

    /// Bytes came in plain text behind `STARTTLS`, before it was answered. Nothing may be pipelined behind it (RFC 3207
    /// §4.2); whoever put it there wants it read as if TLS protected it. [`Receiver::step`] finds those that it is given;
    /// a driver that is asked [`Question::StartTls`] looks whether the socket holds more.
    pub fn plaintext_behind_starttls(&mut self) {
        self.refuse(Refusal::plaintext_injection());
    }

    /// TLS is up. What was said before counts no more (RFC 3207 §4.2).
    pub fn tls_started(&mut self, now: Tick) {
        self.session.tls = true;
        self.session.hello = None;
        self.phase = Phase::Command;
        self.heard = now;
    }

    /// The message that is coming in cannot be kept (the store failed, say): follow it to its end and answer this.
    pub fn fail_message(&mut self, reply: Reply) {
        let Some(intake) = self.transaction.as_mut().and_then(|transaction| transaction.intake.as_mut()) else {
            return;
        };
        if !intake.has_failed() {
            intake.fail(reply);
            self.due.push_back(Step::Discard);
        }
    }

    /// Ends the connection with these words, whatever is going on.
    pub fn end(&mut self, reply: &Reply) {
        self.say(reply);
        self.drop_transaction();
        self.close();
    }

    /// The answer to the question that was asked. Without a question it is ignored.
    pub fn answer(&mut self, answer: Answer) {
        let Some(asked) = self.asked.take() else { return };
        // The time that an answer took is not the peer's.
        self.heard = self.now;
        match answer {
            Answer::Accept => self.granted(asked, None),
            Answer::Reply(reply) if reply.is_positive() => self.granted(asked, Some(reply)),
            Answer::Reply(reply) if reply.code != 421 => self.denied(asked, reply),
            Answer::Reply(reply) | Answer::Close(reply) => self.denied_for_good(asked, &reply),
        }
    }

    fn granted(&mut self, asked: Asked, reply: Option<Reply>) {
        let words = |code, enhanced, text: &'static str| reply.clone().unwrap_or(Reply::new(code, enhanced, text));
        match asked {
            Asked::StartTls => {
                self.say(&words(220, (2, 0, 0), "Ready to start TLS"));
                self.phase = Phase::Tls;
            }
            Asked::Auth(_) => self.login_accepted(reply),
            Asked::Mail { utf8, eight_bit } => {
                self.say(&words(250, (2, 1, 0), "Sender ok"));
                self.session.transactions += 1;
                self.transaction = Some(Transaction { utf8, eight_bit, accepted: 0, refused: 0, intake: None });
            }
            Asked::Rcpt => {
                self.say(&words(250, (2, 1, 5), "Recipient ok"));
                if let Some(transaction) = &mut self.transaction {
                    transaction.accepted += 1;
                }
            }
            Asked::Open => self.opened(),
            Asked::HeaderEnd => {}
            Asked::Message => {
                self.transaction = None;
                self.phase = Phase::Command;
                match reply {
                    Some(reply) => self.message_taken(&reply),
                    None => self.say(&Reply::new(451, (4, 3, 0), "The message could not be kept")),
                }
            }
        }
    }

    fn message_taken(&mut self, reply: &Reply) {
        self.say(reply);
        self.session.errors = 0;
        self.session.idle_commands = 0;
    }

    fn denied(&mut self, asked: Asked, reply: Reply) {
        match asked {
            Asked::StartTls => self.say(&reply),
            Asked::Auth(exchange) => self.login_refused(&exchange, reply),
            Asked::Mail { .. } => self.denied_and_counted(&reply, true),
            Asked::Rcpt => {
                let Some(transaction) = &mut self.transaction else { return };
                transaction.refused += 1;
                let first = transaction.refused == 1;
                self.denied_and_counted(&reply, first);
            }
            Asked::Open => self.not_opened(reply),
            Asked::HeaderEnd => self.fail_message(reply),
            Asked::Message => {
                self.transaction = None;
                self.phase = Phase::Command;
                self.say(&reply);
            }
        }
    }

    /// A refusal that the driver decided: it is counted here, and named in logs there.
    fn denied_and_counted(&mut self, reply: &Reply, counts: bool) {
        self.say(reply);
        if counts && reply.is_permanent_failure() && self.one_error_more() {
            self.refuse(Refusal::too_many_errors());
        }
    }

    fn denied_for_good(&mut self, asked: Asked, reply: &Reply) {
        if matches!(asked, Asked::Message) {
            self.transaction = None;
        }
        self.end(reply);
    }

    /// Reads a command and follows it. False: more bytes are needed.
    fn command_line(&mut self, input: &mut &[u8]) -> bool {
        let Some(line) = self.line.read(input) else { return false };
        self.heard = self.now;
        match line {
            Line::Complete(line) if self.is_in_exchange() => self.challenge_answered(&line),
            Line::Complete(line) => self.command(&line),
            Line::TooLong if self.is_in_exchange() => {
                // RFC 4954 §4: a line beyond the limit fails the exchange.
                self.phase = Phase::Command;
                self.refuse(Refusal::long_exchange());
            }
            Line::TooLong => self.refuse(Refusal::long_command()),
            Line::Endless => self.refuse(Refusal::endless_command()),
            Line::BadEnd(fault) => self.refuse(Refusal::bad_line_end(fault)),
        }
        if !input.is_empty() && matches!(self.asked, Some(Asked::StartTls)) {
            *input = &[];
            self.plaintext_behind_starttls();
        }
        true
    }

    /// What this door announces beside what every door does.
    fn extensions(&self) -> Extensions {
        let submission = self.settings.role.submission();
        Extensions {
            auth: submission.is_some(),
            future_release: submission.is_some_and(|submission| submission.future_release.is_some()),
        }
    }

    fn ask(&mut self, asked: Asked, question: Question) {
        self.asked = Some(asked);
        self.due.push_back(Step::Ask(question));
    }

    fn say(&mut self, reply: &Reply) {
        reply.write_to(&mut self.output);
    }

    /// Says no, and does what follows from it.
    fn refuse(&mut self, refusal: Refusal) {
        let refusal = match refusal.then {
            Then::Count if self.one_error_more() => {
                self.due.push_back(Step::Refused(refusal));
                Refusal::too_many_errors()
            }
            _ => refusal,
        };
        let reply = self.referenced(&refusal);
        self.say(&reply);
        let then = refusal.then;
        self.due.push_back(Step::Refused(refusal));
        if then == Then::Close {
            self.drop_transaction();
            self.close();
        }
    }

    /// True when it was one too many.
    fn one_error_more(&mut self) -> bool {
        self.session.errors = self.session.errors.saturating_add(1);
        self.session.errors > self.settings.limits.errors
    }

    /// The reply with the rule's name and the connection's reference, so that the operator can be asked about it.
    fn referenced(&self, refusal: &Refusal) -> Reply {
        let mut reply = refusal.reply.clone();
        if let Some(last) = reply.lines.last_mut() {
            *last = format!("{last} [rule {}, ref {}]", refusal.rule, self.settings.reference).into();
        }
        reply
    }

    /// Ends a transaction without a message, if there is one and its end has not been told.
    fn drop_transaction(&mut self) {
        let Some(transaction) = self.transaction.take() else { return };
        if !transaction.intake.is_some_and(|intake| intake.has_failed()) {
            self.due.push_back(Step::Discard);
        }
    }

    fn close(&mut self) {
        self.asked = None;
        self.due.retain(|step| !matches!(step, Step::Ask(_)));
        self.phase = Phase::Ended { linger: true };
    }
}

impl BodyKind {
    fn is_eight_bit(self) -> bool {
        matches!(self, BodyKind::EightBitMime)
    }
}
