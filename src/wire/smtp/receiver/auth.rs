//! Submission: who the client is (AUTH, RFC 4954), and what the door of those who send does besides.
//!
//! ```text
//! AUTH mechanism [initial] ─▶ sasl::Exchange ─▶ 334 challenge ─▶ a line of the client's ─▶ … ─▶ Question::Auth ─▶ 235, 4xx, 5xx
//! ```
//!
//! A refused login leaves the connection as it was (MSSanté §6: never a silent close); how many are too many is the
//! driver's to say, with [`Answer::Close`](super::Answer::Close). A bearer token that is refused for good is told so in a
//! challenge first (RFC 7628 §3.2.3): the client's next line, whatever it says, is answered with the refusal.

use super::super::command::Command;
use super::super::reply::Reply;
use super::{Asked, Phase, Question, Receiver, Refusal};
use crate::wire::sasl::{Exchange, Mechanism, SaslError, Step};

/// Longest line of `AUTH` and of what answers a challenge, in octets, CRLF included. RFC 4954 §4.
pub(super) const AUTH_LINE: usize = 12_288;

/// Whose door it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Other operators' servers: their certificate says who they are.
    #[default]
    Operators,
    /// Those who send from here: nothing is taken before a login (RFC 6409 §4.3).
    Submission(Submission),
}

/// How the door of those who send differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// What `AUTH` offers once TLS is up; see [`Receiver::offer`].
    pub mechanisms: Vec<Mechanism>,
    /// What `FUTURERELEASE` offers; `None`: it is not offered.
    pub future_release: Option<FutureRelease>,
}

/// The bounds of `FUTURERELEASE`, as `EHLO` announces them. RFC 4865 §4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FutureRelease {
    /// Longest time in seconds, at most 999,999,999.
    pub interval: u64,
    /// Latest moment, as RFC 3339 writes it, in UTC.
    pub until: String,
}

impl Role {
    pub(super) fn submission(&self) -> Option<&Submission> {
        match self {
            Role::Operators => None,
            Role::Submission(submission) => Some(submission),
        }
    }
}

impl Receiver {
    /// Says what `AUTH` offers on this connection: EXTERNAL, say, where the client showed a certificate.
    pub fn offer(&mut self, mechanisms: Vec<Mechanism>) {
        if let Role::Submission(submission) = &mut self.settings.role {
            submission.mechanisms = mechanisms;
        }
    }

    /// Whether the client may say `MAIL`, as far as logins go.
    pub(super) fn is_let_in(&self) -> bool {
        self.session.logged_in || self.settings.role.submission().is_none()
    }

    /// The line of `EHLO` that offers `AUTH`. RFC 4954 §4: only what can be used now, and no more after a login.
    pub(super) fn auth_offer(&self) -> Option<String> {
        let submission = self.settings.role.submission()?;
        let usable = self.session.tls && !self.session.logged_in && !submission.mechanisms.is_empty();
        let names: Vec<&str> = submission.mechanisms.iter().map(|mechanism| mechanism.name()).collect();
        usable.then(|| format!("AUTH {}", names.join(" ")))
    }

    /// The line of `EHLO` that offers to hold messages back. RFC 4865 §4.
    pub(super) fn future_release_offer(&self) -> Option<String> {
        let FutureRelease { interval, until } = self.settings.role.submission()?.future_release.as_ref()?;
        Some(format!("FUTURERELEASE {interval} {until}"))
    }

    /// Whether the next line answers a challenge.
    pub(super) fn is_in_exchange(&self) -> bool {
        matches!(self.phase, Phase::Auth(_) | Phase::AuthRefused(_))
    }

    /// A client's answer to a challenge, without its CRLF.
    pub(super) fn challenge_answered(&mut self, line: &[u8]) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Auth(mut exchange) => {
                let step = exchange.response(line);
                self.exchanged(exchange, step);
            }
            Phase::AuthRefused(reply) => self.say(&reply),
            phase => self.phase = phase,
        }
    }

    fn exchanged(&mut self, exchange: Exchange, step: Result<Step, SaslError>) {
        match step {
            Ok(Step::Challenge(challenge)) => {
                self.say(&Reply::plain(334, challenge));
                self.phase = Phase::Auth(exchange);
            }
            Ok(Step::Done(credentials)) => self.ask(Asked::Auth(exchange), Question::Auth(credentials)),
            Err(error) => self.refuse(Refusal::bad_exchange(error)),
        }
    }

    pub(super) fn login_accepted(&mut self, reply: Option<Reply>) {
        self.session.logged_in = true;
        let words = reply.unwrap_or_else(|| Reply::new(235, (2, 7, 0), "Welcome"));
        self.say(&words);
    }

    /// What may succeed later is said at once: a client that is challenged throws its token away.
    pub(super) fn login_refused(&mut self, exchange: &Exchange, reply: Reply) {
        match exchange.refusal().filter(|_| reply.is_permanent_failure()) {
            Some(challenge) => {
                self.say(&Reply::plain(334, challenge));
                self.phase = Phase::AuthRefused(reply);
            }
            None => self.say(&reply),
        }
    }
}

/// RFC 4954 §4, in the order of what is wrong first.
pub(super) fn check_auth(receiver: &Receiver, command: &Command) -> Result<(), Refusal> {
    let Command::Auth { mechanism, .. } = command else { return Ok(()) };
    let Some(submission) = receiver.settings.role.submission() else { return Err(Refusal::not_offered()) };
    if !receiver.session.tls {
        return Err(Refusal::auth_needs_tls());
    }
    if receiver.session.hello.is_none() {
        return Err(Refusal::bad_sequence("Say EHLO first"));
    }
    if receiver.session.logged_in {
        return Err(Refusal::auth_already());
    }
    let offered = Mechanism::by_name(mechanism).filter(|mechanism| submission.mechanisms.contains(mechanism));
    if offered.is_some() { Ok(()) } else { Err(Refusal::unknown_mechanism()) }
}

pub(super) fn auth(receiver: &mut Receiver, command: Command) {
    let Command::Auth { mechanism, initial } = command else { return };
    let Some(mechanism) = Mechanism::by_name(&mechanism) else { return };
    match Exchange::begin(mechanism, initial.as_ref().map(crate::wire::sasl::Secret::expose)) {
        Ok((exchange, step)) => receiver.exchanged(exchange, Ok(step)),
        Err(error) => receiver.refuse(Refusal::bad_exchange(error)),
    }
}
