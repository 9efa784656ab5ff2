//! Who the client is: CAPABILITY, STARTTLS, LOGIN, AUTHENTICATE, ENABLE, ID, LOGOUT.

use super::reply::{End, Outcome, Reply, Stop};
use super::services::Services;
use super::session::Session;
use super::user::User;
use crate::accounts::{Login, LoginError};
use crate::config::fronts::LoginWay;
use crate::mss::Right;
use crate::serve::login::{self, Client, Refused, Verifiers};
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
        match (&self.user, self.security.tls) {
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
        front.mechanisms(!self.security.chain.is_empty())
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
        if self.security.tls {
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
        self.security = security;
        Err(Stop::Answered)
    }

    /// LOGIN, RFC 3501 §6.2.3.
    pub(super) async fn login(&mut self, user: String, password: Secret) -> Outcome {
        self.private()?;
        if !self.services.front.has(LoginWay::Password) {
            return Err(Reply::no(Some(Code::Cannot), "Passwords are not taken here").into());
        }
        self.enter(Credentials::Password { authorisation: String::new(), user, password }).await
    }

    /// AUTHENTICATE, RFC 3501 §6.2.2, with an initial response, RFC 4959.
    pub(super) async fn authenticate(&mut self, mechanism: &str, initial: Option<Secret>) -> Outcome {
        self.private()?;
        let Some(mechanism) = Mechanism::by_name(mechanism) else {
            return Err(Reply::no(Some(Code::Cannot), "This mechanism is not offered").into());
        };
        let is_offered = self.offered().contains(&mechanism);
        if mechanism == Mechanism::External && !is_offered && self.security.chain.is_empty() {
            let text = "No client certificate was shown in the TLS handshake";
            return Err(Reply::no(Some(Code::AuthenticationFailed), text).into());
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
    async fn after_challenge(&mut self, exchange: &Exchange, entered: Outcome) -> Outcome {
        let is_refused = matches!(&entered, Err(Stop::Reply(reply)) if is_for_good(reply));
        if let Some(challenge) = exchange.refusal().filter(|_| is_refused) {
            response::continuation(&mut self.channel.out, &challenge);
            self.line().await?;
            // MSSanté §6: this code, whatever the reason.
            return entered.map_err(|stop| match stop {
                Stop::Reply(reply) => Stop::Reply(reply.with(Code::AuthenticationFailed)),
                stop => stop,
            });
        }
        entered
    }

    /// Refuses to hear a password in plain text.
    fn private(&self) -> Result<(), Stop> {
        if self.security.tls {
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

/// Verifying who it is.
impl Session {
    /// Lets the client in, or not. A refusal keeps the connection; too many end it.
    async fn enter(&mut self, credentials: Credentials) -> Outcome {
        let means = login::means(&credentials);
        let Services { registry, psc, metrics, tls, .. } = self.services.as_ref();
        let chain = &self.security.chain;
        let judge = || tls.judge(chain);
        let verifiers = Verifiers { registry, psc, metrics };
        match login::verify(verifiers, credentials, Client { peer: self.peer, chain }, judge).await {
            Ok(login) => self.admit(&login, means),
            Err(refused) => {
                self.login_failures += u32::from(!refused.is_temporary());
                if self.login_failures >= self.services.options.max_login_failures {
                    return Err(End::Bye("Too many failed logins").into());
                }
                Err(in_words(&refused).into())
            }
        }
    }

    fn admit(&mut self, login: &Login, means: &'static str) -> Outcome {
        let options = &self.services.options;
        if !login.rights.has(Right::Read) {
            tracing::info!(account = %login.account, "login refused: no right to read");
            let text = "You may send as this mailbox, not open it";
            return Err(Reply::no(Some(Code::AuthorizationFailed), text).into());
        }
        let entered = self.services.registry.enter(login, DOOR, self.peer, options.max_sessions);
        let ticket = entered.map_err(|error| {
            tracing::info!(account = %login.account, reason = %error, "login refused");
            in_words(&Refused::Login(error))
        })?;
        let mailbox = self.services.room.open(login.account)?;
        self.framer.set_limits(FramerLimits {
            line: options.max_line,
            literal: options.max_literals,
            ..FramerLimits::after_login(options.max_message)
        });
        // Under the connection's id, which its span puts on every line.
        tracing::info!(event = "login", account = %login.account, session = %ticket.id(), means);
        self.user = Some(User::new(mailbox, self.services.metrics.clone(), ticket));
        self.login_failures = 0;
        // Judged and done with: it need not be kept for the session's life.
        self.security.chain = Vec::new();
        let capabilities = Code::Capability(self.capabilities());
        Ok(Reply::ok("Logged in").with(capabilities))
    }
}

/// Whether a login's refusal is one that trying again does not change.
fn is_for_good(reply: &Reply) -> bool {
    matches!(reply.code, Some(Code::AuthenticationFailed | Code::AuthorizationFailed | Code::ContactAdmin))
}

/// RFC 5530 §3.
fn in_words(refused: &Refused) -> Reply {
    let code = match refused {
        Refused::Login(LoginError::TooManySessions) => Code::Limit,
        refused if refused.is_temporary() => Code::Unavailable,
        Refused::Login(LoginError::NotOpen(_)) => Code::ContactAdmin,
        Refused::Login(LoginError::Ambiguous | LoginError::PersonRefused) => Code::AuthorizationFailed,
        _ => Code::AuthenticationFailed,
    };
    Reply::no(Some(code), refused.told())
}

/// A response that breaks its mechanism's rules is BAD, and so is a cancelled exchange (RFC 3501 §6.2.2).
fn syntax(error: SaslError) -> Stop {
    Reply::bad(error.to_string()).into()
}
