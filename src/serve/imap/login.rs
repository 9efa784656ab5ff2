//! Who the client is: CAPABILITY, STARTTLS, LOGIN, AUTHENTICATE, ENABLE, ID, LOGOUT.

use std::sync::Arc;

use super::reply::{End, Outcome, Reply, Stop};
use super::services::Services;
use super::session::{Newcomer, Session};
use super::user::User;
use crate::accounts::{Login, LoginError, RefusedLogin};
use crate::config::fronts::LoginWay;
use crate::mss::Right;
use crate::serve::alerts;
use crate::serve::login::{self, Client, Refused, Verifiers};
use crate::serve::tls::CertificateProblem;
use crate::wire::imap::command::Tag;
use crate::wire::imap::framer::{Framer, FramerLimits};
use crate::wire::imap::response::{self, Code, Status};
use crate::wire::sasl::{Credentials, Exchange, Mechanism, SaslError, Secret, Step};

/// What the server can do whoever asks.
const BEFORE_LOGIN: &str = "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE";

/// The door's name on the list of sessions.
const DOOR: &str = "imap";

/// What it can do after login, beside that.
const AFTER_LOGIN: &str = "IDLE NAMESPACE UIDPLUS MOVE CHILDREN SPECIAL-USE UNSELECT LIST-EXTENDED LIST-STATUS \
                           STATUS=SIZE ESEARCH WITHIN CONDSTORE QUOTA QUOTA=RES-STORAGE ACL RIGHTS=texk";

impl Session {
    /// The greeting, RFC 3501 §7.1.1.
    pub(super) fn greet(&mut self) {
        let capabilities = Code::Capability(self.capabilities());
        response::untagged(&mut self.channel.out, Status::Ok, Some(&capabilities), "Caducee at your service");
    }

    /// Only what is true now: a password can be sent only through TLS (RFC 3501 §6.2.3, LOGINDISABLED).
    fn capabilities(&self) -> String {
        match (&self.user, self.tls) {
            (Some(_), _) => {
                format!("{BEFORE_LOGIN} {AFTER_LOGIN} APPENDLIMIT={}", self.services.options.max_message)
            }
            (None, false) => format!("{BEFORE_LOGIN} STARTTLS LOGINDISABLED"),
            (None, true) => {
                let offered = self.offered().into_iter().map(|mechanism| format!(" AUTH={}", mechanism.name()));
                let disabled = if self.services.front.has(LoginWay::Password) { "" } else { " LOGINDISABLED" };
                format!("{BEFORE_LOGIN}{}{disabled}", offered.collect::<String>())
            }
        }
    }

    /// What this client can log in with, within TLS.
    fn offered(&self) -> Vec<Mechanism> {
        let front = self.services.front.clone().with_tokens(self.services.psc.current().is_some());
        front.mechanisms(!self.newcomer.chain.is_empty())
    }

    /// CAPABILITY, RFC 3501 §6.1.1.
    pub(super) fn capability(&mut self) -> Outcome {
        let line = format!("* CAPABILITY {}\r\n", self.capabilities());
        self.channel.out.extend_from_slice(line.as_bytes());
        Ok(Reply::ok("Told"))
    }

    /// LOGOUT, RFC 3501 §6.1.3.
    pub(super) fn logout(&mut self, tag: &Tag) -> Outcome {
        response::untagged(&mut self.channel.out, Status::Bye, None, "Goodbye");
        self.answer(tag, &Reply::ok("Logged out"));
        Err(End::Logout.into())
    }

    /// STARTTLS, RFC 3501 §6.2.1.
    pub(super) async fn start_tls(&mut self, tag: &Tag) -> Outcome {
        if self.tls {
            return Err(Reply::bad("TLS is up already").into());
        }
        self.answer(tag, &Reply::ok("Begin TLS"));
        self.channel.flush().await?;
        // What came in plain text after the command is thrown away with the old channel and framer.
        self.framer = Framer::new(FramerLimits::before_login());
        let plain = self.channel.take_transport();
        let (transport, security) = self.services.tls.accept(plain).await.map_err(|refusal| {
            let refused = std::io::Error::other(refusal.to_string());
            Stop::End(End::Lost(refused))
        })?;
        self.channel.put_transport(transport);
        (self.tls, self.newcomer.chain) = (security.tls, security.chain);
        Err(Stop::Answered)
    }

    /// LOGIN, RFC 3501 §6.2.3.
    pub(super) async fn login(&mut self, user: String, password: Secret) -> Outcome {
        self.private()?;
        if !self.services.front.has(LoginWay::Password) {
            return Err(Reply::no(Some(Code::Cannot), "Passwords are not taken here").into());
        }
        let entered = self.enter(Credentials::Password { authorisation: String::new(), user, password }).await;
        self.told(entered)
    }

    /// AUTHENTICATE, RFC 3501 §6.2.2, with an initial response, RFC 4959.
    pub(super) async fn authenticate(&mut self, mechanism: &str, initial: Option<Secret>) -> Outcome {
        self.private()?;
        let Some(mechanism) = Mechanism::by_name(mechanism) else {
            return Err(Reply::no(Some(Code::Cannot), "This mechanism is not offered").into());
        };
        let is_offered = self.offered().contains(&mechanism);
        // Only where a certificate would have helped.
        let lacks_certificate = self.services.front.has(LoginWay::Certificate) && self.newcomer.chain.is_empty();
        if mechanism == Mechanism::External && !is_offered && lacks_certificate {
            return self.told(Err(Denied::from(&Refused::Certificate(CertificateProblem::Missing))));
        }
        if !is_offered {
            return Err(Reply::no(Some(Code::Cannot), "This mechanism is not offered here").into());
        }
        let begun = Exchange::begin(mechanism, initial.as_ref().map(Secret::expose));
        let (mut exchange, mut step) = begun.map_err(syntax)?;
        loop {
            match step {
                Step::Done(credentials) => {
                    let entered = self.enter(credentials).await;
                    return self.after_challenge(&exchange, entered).await;
                }
                Step::Challenge(challenge) => {
                    response::continuation(&mut self.channel.out, &challenge);
                    let line = Secret::new(self.line().await?);
                    step = exchange.response(line.expose()).map_err(syntax)?;
                }
            }
        }
    }

    /// A token that is refused for good is told so in a challenge first, whose answer says nothing (RFC 7628 §3.2.3). What may
    /// succeed later is said at once: a client that is challenged throws its token away.
    async fn after_challenge(&mut self, exchange: &Exchange, entered: Result<Reply, Denied>) -> Outcome {
        let is_refused = matches!(&entered, Err(denied) if denied.is_for_good());
        if let Some(challenge) = exchange.refusal().filter(|_| is_refused) {
            response::continuation(&mut self.channel.out, &challenge);
            self.line().await?;
            // MSSanté §6: this code, whatever the reason.
            let entered = entered.map_err(|Denied { stop, alert }| match stop {
                Stop::Reply(reply) => Denied { stop: Stop::Reply(reply.with(Code::AuthenticationFailed)), alert },
                stop => Denied { stop, alert },
            });
            return self.told(entered);
        }
        self.told(entered)
    }

    /// Says why somebody is not let in, to them and to their program. A sentence in `UNAVAILABLE` is shown to people as it is.
    fn told(&mut self, entered: Result<Reply, Denied>) -> Outcome {
        entered.map_err(|Denied { stop, alert }| {
            if let Some(alert) = alert {
                response::untagged(&mut self.channel.out, Status::No, Some(&Code::Alert), &alert);
            }
            stop
        })
    }

    /// Refuses to hear a password in plain text.
    fn private(&self) -> Result<(), Stop> {
        if self.tls {
            return Ok(());
        }
        Err(Reply::no(Some(Code::PrivacyRequired), "Begin TLS first").into())
    }

    /// ENABLE, RFC 5161: names that are not known are passed over.
    pub(super) fn enable(&mut self, names: &[String]) -> Outcome {
        let condstore = names.iter().any(|name| name == "CONDSTORE");
        if condstore {
            self.enable_condstore();
        }
        self.channel.out.extend_from_slice(if condstore { b"* ENABLED CONDSTORE\r\n" } else { b"* ENABLED\r\n" });
        Ok(Reply::ok("Enabled"))
    }

    /// ID, RFC 2971. What the client says of itself helps the operator; it is noted with control characters escaped.
    pub(super) fn id(&mut self, pairs: &[(String, Option<String>)]) -> Outcome {
        let said = |wanted: &str| {
            let pair = pairs.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            pair.and_then(|(_, value)| value.as_deref()).unwrap_or_default()
        };
        tracing::debug!(name = ?said("name"), version = ?said("version"), "the client says what it is");
        self.channel.out.extend_from_slice(b"* ID (\"name\" \"Caducee\")\r\n");
        Ok(Reply::ok("Told"))
    }
}

/// Why somebody is not let in: how the command ends, and before that a sentence for who sits at the program.
struct Denied {
    stop: Stop,
    alert: Option<String>,
}

impl Denied {
    /// Whether trying again does not change it.
    fn is_for_good(&self) -> bool {
        let Stop::Reply(reply) = &self.stop else { return false };
        matches!(reply.code, Some(Code::AuthenticationFailed | Code::AuthorizationFailed | Code::ContactAdmin))
    }
}

impl From<&Refused> for Denied {
    /// RFC 5530 §3.
    fn from(refused: &Refused) -> Denied {
        let code = match refused {
            Refused::Login(LoginError::TooManySessions) => Code::Limit,
            refused if refused.is_temporary() => {
                return Reply::no(Some(Code::Unavailable), alerts::sentence(refused)).into();
            }
            Refused::Login(LoginError::NotOpen(_) | LoginError::TermsNotAccepted) => Code::ContactAdmin,
            Refused::Login(LoginError::Ambiguous | LoginError::PersonRefused) => Code::AuthorizationFailed,
            _ => Code::AuthenticationFailed,
        };
        Denied { alert: Some(alerts::sentence(refused)), ..Reply::no(Some(code), refused.told()).into() }
    }
}

impl<S: Into<Stop>> From<S> for Denied {
    fn from(stop: S) -> Denied {
        Denied { stop: stop.into(), alert: None }
    }
}

/// Verifying who it is.
impl Session {
    /// Lets the client in, or not. A refusal keeps the connection; too many end it.
    async fn enter(&mut self, credentials: Credentials) -> Result<Reply, Denied> {
        let means = login::means(&credentials);
        let Services { registry, psc, metrics, tls, .. } = self.services.as_ref();
        let Newcomer { chain, tried, .. } = self.newcomer.as_ref();
        let judge = || tls.judge(chain);
        let verifiers = Verifiers { registry, psc, metrics };
        match login::verify(verifiers, credentials, Client { door: DOOR, peer: self.peer, tried, chain }, judge).await {
            Ok(login) => self.admit(&login, means).await,
            Err(refused) => {
                self.newcomer.failures += u32::from(!refused.is_temporary());
                let denied = Denied::from(&refused);
                if self.newcomer.failures < self.services.options.max_login_failures {
                    return Err(denied);
                }
                Err(Denied { stop: End::Bye("Too many failed logins").into(), ..denied })
            }
        }
    }

    async fn admit(&mut self, login: &Login, means: &'static str) -> Result<Reply, Denied> {
        let services = Arc::clone(&self.services);
        let (options, registry) = (&services.options, &services.registry);
        if !login.rights.has(Right::Read) {
            tracing::info!(account = %login.account, "login refused: no right to read");
            let (person, asked) = (login.person.as_deref(), &login.address.to_string());
            let (peer, reason) = (self.peer, "no-right-to-read");
            registry.note_refused(RefusedLogin { door: DOOR, peer, means, person, asked, reason });
            let refusal = Reply::no(Some(Code::AuthorizationFailed), "You may send as this mailbox, not open it");
            return Err(Denied { alert: Some(alerts::SEND_ONLY.to_owned()), ..refusal.into() });
        }
        let entered = registry.let_in(login, DOOR, self.peer, options.max_sessions).await;
        let ticket = entered.map_err(|error| {
            tracing::info!(account = %login.account, reason = %error, "login refused");
            Denied::from(&Refused::Login(error))
        })?;
        let mailbox = services.room.open(login.account)?;
        self.framer.set_limits(FramerLimits {
            line: options.max_line,
            literal: options.max_literals,
            ..FramerLimits::after_login(options.max_message)
        });
        // Under the connection's id, which its span puts on every line.
        tracing::info!(event = "login", account = %login.account, session = %ticket.id(), means);
        self.user = Some(User::new(mailbox, self.services.metrics.clone(), ticket));
        *self.newcomer = Newcomer::default();
        let capabilities = Code::Capability(self.capabilities());
        Ok(Reply::ok("Logged in").with(capabilities))
    }
}

/// A response that breaks its mechanism's rules is BAD, and so is a cancelled exchange (RFC 3501 §6.2.2).
fn syntax(error: SaslError) -> Stop {
    Reply::bad(error.to_string()).into()
}
