//! The client's side of SMTP as a state machine: it opens a session, upgrades it to TLS, and carries one transaction
//! after another. No sockets, no tasks, no clock, no DNS.
//!
//! The driver feeds it what the server says ([`Sender::input`]), takes [`Step`]s until there is none, and does what they
//! ask. Where it waits for the server, [`Sender::waits_for`] says for what, and [`Sender::patience`] how long a driver
//! should wait (RFC 5321 §4.5.3.2).
//!
//! ```text
//! greeting ─▶ EHLO ─▶ STARTTLS ─▶ Step::StartTls ─▶ EHLO ─▶ Step::Ready ◀──────────────┐
//!                                                              │ begin()               │
//!                                      MAIL, RCPT … ─▶ Step::Body ─▶ final reply ─▶ Step::Done
//! ```
//!
//! Four rules. Nothing but EHLO, STARTTLS and QUIT is said before TLS, but to a relay of ordinary mail where the operator
//! says so ([`Security::ClearIfNotOffered`], [`Security::Clear`]); a login is said over TLS only. What the server said between its answer to
//! STARTTLS and the handshake is a reason to leave (the counterpart of the receiver's rule; CVE-2021-38371 and others).
//! A message never sits in here: its pieces pass through, dot-stuffed for DATA, as they are for BDAT. Only a 2xx to the
//! whole message says that it was taken: one in any other place than its own ends the session (RFC 5321 §4.2.1).

mod body;
mod login;
mod offer;
mod patience;

pub use body::BodyError;
pub use login::Login;
pub use offer::Offer;
pub use patience::{Awaited, Patience};

use super::params::{BodyKind, LONGEST_ORCPT, MailParams, RcptParams, Return, encode_xtext};
use super::path::{ForwardPath, ReversePath};
use super::reply::{Reply, ReplyError, ReplyReader};
use body::DotStuffing;
use std::collections::VecDeque;
use std::time::Duration;

/// Octets of an answer's words that are kept: a hundred recipients may have an answer each.
const MOST_WORDS: usize = 1 << 10;

/// How the connection becomes confidential. Within the trust space there is no way to send in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// STARTTLS (RFC 3207), before anything else; its absence is a failure.
    StartTls,
    /// The connection is TLS from its first byte.
    Implicit,
    /// STARTTLS where it is offered (RFC 7435): for a relay of ordinary mail, never for other operators.
    ClearIfNotOffered,
    /// No TLS at all: for a relay of ordinary mail on this machine.
    Clear,
}

/// One message for one or several recipients.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Who gets reports.
    pub from: ReversePath,
    /// BODY, SMTPUTF8 and DSN parameters; SIZE is set from `size`.
    pub params: MailParams,
    /// Who gets the message.
    pub to: Vec<(ForwardPath, RcptParams)>,
    /// Exactly how many octets the driver will give to [`Sender::body`].
    pub size: u64,
}

/// What the driver is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write these bytes.
    Send(Vec<u8>),
    /// Do the TLS handshake, check the peer, then call [`Sender::tls_started`].
    StartTls,
    /// The session is open: [`Sender::begin`] or [`Sender::quit`].
    Ready,
    /// The server's answer for the recipient with this index.
    Recipient(usize, Reply),
    /// Give the message with [`Sender::body`], then call [`Sender::body_end`].
    Body,
    /// The transaction is over; [`Step::Ready`] follows while the session lives.
    Done(Outcome),
    /// Close the connection: the server has answered QUIT.
    Close,
    /// The session is of no use any more: close the connection.
    Fail(Failure),
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server's last word on the message, for every recipient it had accepted.
    Answered(Reply),
    /// MAIL was refused.
    SenderRefused(Reply),
    /// Every recipient was refused; the reasons came as [`Step::Recipient`].
    NoRecipient,
}

/// Why a session failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server greets with a refusal, or refuses EHLO.
    #[error("the server takes no session: {0}")]
    NoSession(Reply),
    /// STARTTLS is not offered.
    #[error("the server does not offer STARTTLS")]
    NoStartTls,
    /// STARTTLS is refused.
    #[error("the server refuses STARTTLS: {0}")]
    StartTlsRefused(Reply),
    /// A login is wanted, and the server does not offer AUTH PLAIN, or there is no TLS to say it over.
    #[error("the server offers no login by AUTH PLAIN over TLS")]
    NoLogin,
    /// The login is refused.
    #[error("the server refuses the login: {0}")]
    LoginRefused(Reply),
    /// Bytes came between the answer to STARTTLS and the handshake: somebody put them there.
    #[error("the server spoke in the clear after STARTTLS")]
    Injected,
    /// The server ends the session (421), or speaks where it was not asked: in the middle of a message, between two.
    #[error("the server ended the session: {0}")]
    Ended(Reply),
    /// A reply that its command cannot have, as a 250 to DATA: whoever believed it could lose a message.
    #[error("the server gave an answer that {asked} cannot have: {reply}")]
    Unexpected {
        /// What it answers.
        asked: Awaited,
        /// The reply.
        reply: Reply,
    },
    /// The bytes are no SMTP replies.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The message cannot be sent as it is; the session was ended so that no part of it counts.
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// Why a transaction was not begun. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The session is not open, another transaction is under way, or the server has begun to speak unasked.
    #[error("the session is not ready for a message")]
    NotReady,
    /// There is nobody to send to.
    #[error("the message has no recipient")]
    NoRecipient,
    /// Larger than the server announced it takes (RFC 1870 §6.1).
    #[error("the message has {size} octets, the server takes {max}")]
    TooLarge {
        /// The message's octets.
        size: u64,
        /// The server's limit.
        max: u64,
    },
    /// The message has 8-bit content and the server does not take that (RFC 6152 §3).
    #[error("the server does not take 8-bit messages")]
    EightBit,
    /// The message or an address needs SMTPUTF8 and the server does not have it (RFC 6531 §3.2).
    #[error("the server does not take UTF-8 addresses or headers")]
    Utf8,
}

/// Where the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waiting for the server's replies.
    Asking,
    /// Waiting for the driver's handshake.
    Handshake,
    /// Waiting for a transaction.
    Ready,
    /// Waiting for the message's pieces.
    Body,
    /// Nothing more.
    Over,
}

/// A reply that the server owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Greeting,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt(usize),
    Data,
    Message,
    Reset,
    Quit,
}

impl Owed {
    fn awaited(self) -> Awaited {
        match self {
            Owed::Greeting => Awaited::Greeting,
            Owed::Ehlo => Awaited::Ehlo,
            Owed::StartTls => Awaited::StartTls,
            Owed::Auth => Awaited::Auth,
            Owed::Mail => Awaited::Mail,
            Owed::Rcpt(_) => Awaited::Rcpt,
            Owed::Data => Awaited::Data,
            Owed::Message => Awaited::Message,
            Owed::Reset => Awaited::Reset,
            Owed::Quit => Awaited::Quit,
        }
    }
}

/// How the message travels.
#[derive(Debug)]
enum Transfer {
    /// DATA (RFC 5321 §4.1.1.4).
    Data(DotStuffing),
    /// BDAT (RFC 3030): one chunk, whose length is known.
    Chunk,
}

/// The transaction under way.
#[derive(Debug)]
struct Under {
    accepted: usize,
    answered: usize,
    /// Commands that wait for the answer to the one before.
    recipients: VecDeque<String>,
    /// Octets of the message that are still to come.
    left: u64,
    transfer: Transfer,
    mail_refused: Option<Reply>,
}

/// The engine.
#[derive(Debug)]
pub struct Sender {
    name: String,
    security: Security,
    login: Option<Login>,
    patience: Patience,
    encrypted: bool,
    phase: Phase,
    owed: VecDeque<Owed>,
    reader: ReplyReader,
    offer: Offer,
    under: Option<Under>,
    steps: VecDeque<Step>,
}

impl Sender {
    /// A new session; `name` is how we introduce ourselves (our own host name).
    pub fn new(name: &str, security: Security) -> Self {
        Self {
            name: name.to_owned(),
            security,
            login: None,
            patience: Patience::default(),
            encrypted: security == Security::Implicit,
            phase: Phase::Asking,
            owed: VecDeque::from([Owed::Greeting]),
            reader: ReplyReader::default(),
            offer: Offer::default(),
            under: None,
            steps: VecDeque::new(),
        }
    }

    /// The same session with other waiting times than those of RFC 5321.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// The same session with a login before its first message.
    #[must_use]
    pub fn with_login(mut self, login: Login) -> Self {
        self.login = Some(login);
        self
    }

    /// What the server announced in its last answer to EHLO.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// The next thing to do; `None`: wait for the server, at most [`Sender::patience`].
    pub fn step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// What the reply that is owed next answers; `None` while the server owes nothing.
    pub fn waits_for(&self) -> Option<Awaited> {
        self.owed.front().map(|owed| owed.awaited())
    }

    /// How long that reply may take (RFC 5321 §4.5.3.2); `None` while the server owes nothing.
    pub fn patience(&self) -> Option<Duration> {
        self.waits_for().map(|awaited| self.patience.of(awaited))
    }

    /// Takes what the server said.
    pub fn input(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.phase != Phase::Over {
            if self.phase == Phase::Handshake {
                return self.fail(Failure::Injected);
            }
            match self.reader.read(&mut bytes) {
                Ok(Some(reply)) => self.replied(reply),
                Ok(None) => {}
                Err(error) => self.fail(Failure::Reply(error)),
            }
        }
    }

    /// The handshake asked for by [`Step::StartTls`] is done.
    pub fn tls_started(&mut self) {
        if self.phase == Phase::Handshake {
            // RFC 3207 §4.2: forget what was learnt in the clear, and ask again.
            self.encrypted = true;
            self.offer = Offer::default();
            self.phase = Phase::Asking;
            self.say_ehlo();
        }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// When the server has announced that it could not take the message; the session stays open.
    pub fn begin(&mut self, transaction: &Transaction) -> Result<(), Unfit> {
        self.check(transaction)?;
        let mut commands: VecDeque<String> =
            transaction.to.iter().map(|(path, params)| self.rcpt_command(path, params)).collect();
        let mail = self.mail_command(transaction);
        let transfer = if self.offer.chunking { Transfer::Chunk } else { Transfer::Data(DotStuffing::default()) };
        self.owed.push_back(Owed::Mail);
        self.phase = Phase::Asking;
        let mut bytes = mail.into_bytes();
        if self.offer.pipelining {
            // RFC 2920 §3.1: MAIL and RCPT may be sent as a group; the message waits for their answers.
            for (index, command) in commands.drain(..).enumerate() {
                bytes.extend_from_slice(command.as_bytes());
                self.owed.push_back(Owed::Rcpt(index));
            }
        }
        self.under = Some(Under {
            accepted: 0,
            answered: 0,
            recipients: commands,
            left: transaction.size,
            transfer,
            mail_refused: None,
        });
        self.steps.push_back(Step::Send(bytes));
        Ok(())
    }

    /// Takes a piece of the message; what is to be written comes as [`Step::Send`].
    pub fn body(&mut self, piece: &[u8]) {
        let (Phase::Body, Some(under)) = (self.phase, self.under.as_mut()) else { return };
        let Some(left) = under.left.checked_sub(piece.len() as u64) else {
            return self.fail(Failure::Body(BodyError::Longer));
        };
        under.left = left;
        let bytes = match &mut under.transfer {
            Transfer::Chunk => Ok(piece.to_vec()),
            Transfer::Data(stuffing) => stuffing.stuff(piece),
        };
        match bytes {
            Ok(bytes) => self.steps.push_back(Step::Send(bytes)),
            Err(error) => self.fail(Failure::Body(error)),
        }
    }

    /// The message is complete.
    pub fn body_end(&mut self) {
        let (Phase::Body, Some(under)) = (self.phase, self.under.as_mut()) else { return };
        if under.left > 0 {
            // The server still waits for the rest of it: only the end of the connection says "no message".
            return self.fail(Failure::Body(BodyError::Shorter));
        }
        if let Transfer::Data(stuffing) = &mut under.transfer {
            match stuffing.end() {
                Ok(bytes) => self.steps.push_back(Step::Send(bytes)),
                Err(error) => return self.fail(Failure::Body(error)),
            }
        }
        self.phase = Phase::Asking;
        self.owed.push_back(Owed::Message);
    }

    /// Ends the session politely, where it is open.
    pub fn quit(&mut self) {
        if self.phase == Phase::Ready {
            self.phase = Phase::Asking;
            self.say("QUIT\r\n".to_owned(), Owed::Quit);
        }
    }

    fn say(&mut self, command: String, owed: Owed) {
        self.steps.push_back(Step::Send(command.into_bytes()));
        self.owed.push_back(owed);
    }

    fn say_ehlo(&mut self) {
        self.say(format!("EHLO {}\r\n", self.name), Owed::Ehlo);
    }

    fn fail(&mut self, failure: Failure) {
        self.phase = Phase::Over;
        self.owed.clear();
        self.steps.push_back(Step::Fail(failure));
    }

    fn replied(&mut self, reply: Reply) {
        // The answer to EHLO is a list, read at once; of any other the words are for people.
        let reply = if self.waits_for() == Some(Awaited::Ehlo) { reply } else { reply.shortened(MOST_WORDS) };
        let Some(owed) = self.owed.pop_front() else { return self.fail(Failure::Ended(reply)) };
        // RFC 5321 §3.8: 421 may answer any command, and the connection closes. The message's own answer is the one
        // exception worth keeping, because the driver has to know what became of it.
        if reply.code == 421 && owed != Owed::Message {
            return self.fail(Failure::Ended(reply));
        }
        match owed {
            Owed::Greeting if reply.code == 220 => self.say_ehlo(),
            Owed::Greeting => self.fail(Failure::NoSession(reply)),
            Owed::Ehlo if reply.is_positive() => self.greeted(&reply),
            Owed::Ehlo => self.fail(Failure::NoSession(reply)),
            Owed::StartTls if reply.code == 220 => {
                self.phase = Phase::Handshake;
                self.steps.push_back(Step::StartTls);
            }
            Owed::StartTls => self.fail(Failure::StartTlsRefused(reply)),
            // RFC 4954 §4: 235 and nothing else; a 334 asks for what PLAIN does not have.
            Owed::Auth if reply.code == 235 => self.ready(),
            Owed::Auth => self.fail(Failure::LoginRefused(reply)),
            Owed::Mail => self.mail_answered(reply),
            Owed::Rcpt(index) => self.rcpt_answered(index, reply),
            Owed::Data if reply.code == 354 => self.ask_for_body(),
            // RFC 5321 §4.3.2: DATA is answered by 354 or a refusal; a message by 250 or a refusal.
            Owed::Data if !reply.is_failure() => self.fail(Failure::Unexpected { asked: Awaited::Data, reply }),
            Owed::Message if reply.is_intermediate() => {
                self.fail(Failure::Unexpected { asked: Awaited::Message, reply });
            }
            // RFC 5321 §4.1.1.4: only the end of a message ends its transaction, and DATA was refused before. RFC 3030 §2 does
            // not say what a refused BDAT leaves behind. Without RSET the next MAIL could be refused for being nested.
            Owed::Data => self.give_up(Outcome::Answered(reply)),
            Owed::Message if reply.is_failure() && self.is_by_chunks() && reply.code != 421 => {
                self.give_up(Outcome::Answered(reply));
            }
            Owed::Message => self.done(Outcome::Answered(reply)),
            Owed::Reset if reply.is_positive() => self.ready(),
            Owed::Reset => self.fail(Failure::Unexpected { asked: Awaited::Reset, reply }),
            Owed::Quit => {
                self.phase = Phase::Over;
                self.steps.push_back(Step::Close);
            }
        }
    }

    fn greeted(&mut self, reply: &Reply) {
        self.offer = Offer::read(reply);
        if self.encrypted {
            return self.log_in();
        }
        match (self.security, self.offer.starttls) {
            (Security::Clear, _) | (Security::ClearIfNotOffered, false) => self.log_in(),
            (_, true) => self.say("STARTTLS\r\n".to_owned(), Owed::StartTls),
            (_, false) => self.fail(Failure::NoStartTls),
        }
    }

    fn log_in(&mut self) {
        match &self.login {
            None => self.ready(),
            Some(login) if self.encrypted && self.offer.auth_plain => {
                let command = login.command();
                self.say(command, Owed::Auth);
            }
            Some(_) => self.fail(Failure::NoLogin),
        }
    }

    fn ready(&mut self) {
        self.phase = Phase::Ready;
        self.steps.push_back(Step::Ready);
    }

    fn mail_answered(&mut self, reply: Reply) {
        let Some(under) = self.under.as_mut() else { return self.fail(Failure::Ended(reply)) };
        if reply.is_positive() {
            return self.next_recipient();
        }
        if reply.is_intermediate() {
            return self.fail(Failure::Unexpected { asked: Awaited::Mail, reply });
        }
        under.mail_refused = Some(reply);
        under.recipients.clear();
        self.recipients_answered();
    }

    /// Without PIPELINING, each recipient waits for the answer to the one before.
    fn next_recipient(&mut self) {
        let Some(under) = self.under.as_mut() else { return };
        if let Some(command) = under.recipients.pop_front() {
            let index = under.answered;
            self.say(command, Owed::Rcpt(index));
        }
    }

    fn rcpt_answered(&mut self, index: usize, reply: Reply) {
        if reply.is_intermediate() {
            return self.fail(Failure::Unexpected { asked: Awaited::Rcpt, reply });
        }
        let Some(under) = self.under.as_mut() else { return self.fail(Failure::Ended(reply)) };
        under.answered += 1;
        under.accepted += usize::from(reply.is_positive());
        // After a refused MAIL the answers that were already on their way say nothing of their own.
        if under.mail_refused.is_none() {
            self.steps.push_back(Step::Recipient(index, reply));
        }
        self.next_recipient();
        self.recipients_answered();
    }

    /// Goes on to the message once no answer about the envelope is owed.
    fn recipients_answered(&mut self) {
        if !self.owed.is_empty() {
            return;
        }
        let Some(under) = self.under.as_mut() else { return };
        if let Some(reply) = under.mail_refused.take() {
            return self.give_up(Outcome::SenderRefused(reply));
        }
        if under.accepted == 0 {
            return self.give_up(Outcome::NoRecipient);
        }
        match under.transfer {
            Transfer::Data(_) => self.say("DATA\r\n".to_owned(), Owed::Data),
            Transfer::Chunk => {
                let header = format!("BDAT {} LAST\r\n", under.left);
                self.steps.push_back(Step::Send(header.into_bytes()));
                self.ask_for_body();
            }
        }
    }

    fn ask_for_body(&mut self) {
        self.phase = Phase::Body;
        self.steps.push_back(Step::Body);
    }

    /// Whether the message that is under way goes by BDAT (RFC 3030): its last octet ends it.
    pub fn is_by_chunks(&self) -> bool {
        self.under.as_ref().is_some_and(|under| matches!(under.transfer, Transfer::Chunk))
    }

    /// The transaction is over for us, and perhaps not for the server.
    fn give_up(&mut self, outcome: Outcome) {
        self.under = None;
        self.steps.push_back(Step::Done(outcome));
        self.say("RSET\r\n".to_owned(), Owed::Reset);
    }

    fn done(&mut self, outcome: Outcome) {
        self.under = None;
        let ended = matches!(&outcome, Outcome::Answered(reply) if reply.code == 421);
        self.steps.push_back(Step::Done(outcome));
        if ended {
            self.phase = Phase::Over;
            self.steps.push_back(Step::Close);
        } else {
            self.ready();
        }
    }

    fn check(&self, transaction: &Transaction) -> Result<(), Unfit> {
        // A server that has begun to say what it was not asked for is out of step.
        if self.phase != Phase::Ready || self.reader.is_within_reply() {
            return Err(Unfit::NotReady);
        }
        if transaction.to.is_empty() {
            return Err(Unfit::NoRecipient);
        }
        if let Some(max) = self.offer.size.filter(|max| *max > 0 && transaction.size > *max) {
            return Err(Unfit::TooLarge { size: transaction.size, max });
        }
        if transaction.params.body == BodyKind::EightBitMime && !self.offer.eight_bit_mime {
            return Err(Unfit::EightBit);
        }
        if needs_utf8(transaction) && !self.offer.smtp_utf8 {
            return Err(Unfit::Utf8);
        }
        Ok(())
    }

    /// Parameters that the server did not announce are left out: DSN's are wishes (RFC 3461 §5.2.1 has the relay make
    /// the reports itself), and SIZE is a courtesy.
    fn mail_command(&self, transaction: &Transaction) -> String {
        let params = &transaction.params;
        let mut command = format!("MAIL FROM:{}", transaction.from);
        if self.offer.size.is_some() {
            command.push_str(&format!(" SIZE={}", transaction.size));
        }
        if params.body == BodyKind::EightBitMime {
            command.push_str(" BODY=8BITMIME");
        }
        if needs_utf8(transaction) {
            command.push_str(" SMTPUTF8");
        }
        if self.offer.dsn {
            match params.ret {
                Some(Return::Full) => command.push_str(" RET=FULL"),
                Some(Return::Headers) => command.push_str(" RET=HDRS"),
                None => {}
            }
            if let Some(id) = &params.envelope_id {
                command.push_str(&format!(" ENVID={}", encode_xtext(id)));
            }
        }
        command + "\r\n"
    }

    fn rcpt_command(&self, path: &ForwardPath, params: &RcptParams) -> String {
        let mut command = format!("RCPT TO:{path}");
        if self.offer.dsn {
            if let Some(notify) = &params.notify {
                command.push_str(&format!(" NOTIFY={notify}"));
            }
            let original = params.original.as_ref().map(ToString::to_string);
            if let Some(original) = original.filter(|original| original.len() <= LONGEST_ORCPT) {
                command.push_str(&format!(" ORCPT={original}"));
            }
        }
        command + "\r\n"
    }
}

/// RFC 6531 §3.4: SMTPUTF8 is asked for where the message needs it, or an address of the envelope does.
fn needs_utf8(transaction: &Transaction) -> bool {
    let ascii = transaction.from.mailbox().is_none_or(|mailbox| mailbox.is_ascii())
        && transaction.to.iter().all(|(path, _)| path.to_string().is_ascii());
    transaction.params.smtp_utf8 || !ascii
}

#[cfg(test)]
mod tests;
