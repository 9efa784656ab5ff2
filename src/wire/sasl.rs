//! SASL mechanisms, the server's side (RFC 4422), for IMAP and submission alike: base64 in, credentials out. Pure.
//!
//! PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login), EXTERNAL (RFC 4422 appendix A); OAUTHBEARER (RFC 7628) and
//! XOAUTH2, whose refusals take a step more ([`Exchange::refusal`]).

mod bearer;

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

/// A password, a token, or a message that holds one. Shows itself as `[redacted]`, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(Zeroizing::new(bytes.into()))
    }

    /// The bytes themselves; for verifying only.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, where they are.
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A mechanism that the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 4616
    Plain,
    /// Two challenges, for older clients.
    Login,
    /// By the TLS client certificate.
    External,
    /// A bearer token, in the form that most programs speak.
    XOAuth2,
    /// RFC 7628: a bearer token.
    OAuthBearer,
}

impl Mechanism {
    /// Every mechanism.
    pub const ALL: [Mechanism; 5] =
        [Mechanism::Plain, Mechanism::Login, Mechanism::External, Mechanism::XOAuth2, Mechanism::OAuthBearer];

    /// By its registered name, in any case.
    pub fn by_name(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::External => "EXTERNAL",
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// Whether it carries a bearer token.
    pub fn takes_token(self) -> bool {
        matches!(self, Mechanism::XOAuth2 | Mechanism::OAuthBearer)
    }
}

/// What a client proved, or claims with what the TLS layer proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user's password.
    Password {
        /// Whose mailbox is asked for; empty: the user's own (RFC 4616 §2).
        authorisation: String,
        /// Who authenticates.
        user: String,
        /// With what.
        password: Secret,
    },
    /// The client certificate of the TLS layer.
    Certificate {
        /// Whose mailbox is asked for; empty: what the certificate opens.
        authorisation: String,
    },
    /// A bearer token (OAuth 2.0).
    Token {
        /// Whose mailbox is asked for; empty: the one that the token's person has.
        user: String,
        /// The token; empty where the client sent none, to hear what is needed.
        token: Secret,
    },
}

/// Why an exchange ended without credentials. All but `Cancelled` are breaches of the mechanism's syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The client sent `*`, RFC 3501 §6.2.2, RFC 4954 §4.
    #[error("Authentication cancelled")]
    Cancelled,
    /// A response that is no base64.
    #[error("Response is not base64")]
    NotBase64,
    /// A response that is not what the mechanism's grammar asks for.
    #[error("Response breaks the mechanism's syntax")]
    Malformed,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this challenge, already in base64, and hand the answer to [`Exchange::response`].
    Challenge(String),
    /// The client has said all.
    Done(Credentials),
}

/// One authentication under way.
#[derive(Debug, Clone)]
pub struct Exchange {
    mechanism: Mechanism,
    user: Option<String>,
}

impl Exchange {
    /// Begins with the initial response, if the client sent one (`=` is an empty one, RFC 4959 §3).
    pub fn begin(mechanism: Mechanism, initial: Option<&[u8]>) -> Result<(Exchange, Step), SaslError> {
        let mut exchange = Exchange { mechanism, user: None };
        let step = match initial {
            Some(b"=") => exchange.take(Vec::new())?,
            Some(initial) => exchange.response(initial)?,
            None => exchange.challenge(),
        };
        Ok((exchange, step))
    }

    /// The client's next line, without its end.
    pub fn response(&mut self, line: &[u8]) -> Result<Step, SaslError> {
        if line == b"*" {
            return Err(SaslError::Cancelled);
        }
        let decoded = BASE64_STANDARD.decode(line).map_err(|_| SaslError::NotBase64)?;
        self.take(decoded)
    }

    fn challenge(&self) -> Step {
        match (self.mechanism, &self.user) {
            (Mechanism::Login, None) => Step::Challenge(BASE64_STANDARD.encode("Username:")),
            (Mechanism::Login, Some(_)) => Step::Challenge(BASE64_STANDARD.encode("Password:")),
            _ => Step::Challenge(String::new()),
        }
    }

    /// What a client whose credentials are refused for good is told before it: a challenge, already in base64, to which it
    /// answers a line that says nothing (empty by XOAUTH2, ^A by RFC 7628 §3.2.3; whatever it is, the refusal follows).
    /// `None`: the refusal comes at once.
    pub fn refusal(&self) -> Option<String> {
        match self.mechanism {
            Mechanism::XOAuth2 => Some(BASE64_STANDARD.encode(bearer::XOAUTH2_REFUSAL)),
            Mechanism::OAuthBearer => Some(BASE64_STANDARD.encode(bearer::OAUTHBEARER_REFUSAL)),
            Mechanism::Plain | Mechanism::Login | Mechanism::External => None,
        }
    }

    fn take(&mut self, message: Vec<u8>) -> Result<Step, SaslError> {
        match self.mechanism {
            Mechanism::Plain => plain(&Zeroizing::new(message)).map(Step::Done),
            Mechanism::XOAuth2 => bearer::xoauth2(&Zeroizing::new(message)).map(Step::Done),
            Mechanism::OAuthBearer => bearer::oauthbearer(&Zeroizing::new(message)).map(Step::Done),
            Mechanism::External => {
                let authorisation = utf8(&message)?;
                Ok(Step::Done(Credentials::Certificate { authorisation }))
            }
            Mechanism::Login => match self.user.take() {
                None => {
                    self.user = Some(utf8(&message)?);
                    Ok(self.challenge())
                }
                Some(user) => {
                    let password = Secret::new(message);
                    Ok(Step::Done(Credentials::Password { authorisation: String::new(), user, password }))
                }
            },
        }
    }
}

/// `[authzid] NUL authcid NUL passwd`, RFC 4616 §2.
fn plain(message: &[u8]) -> Result<Credentials, SaslError> {
    let mut fields = message.split(|&byte| byte == 0);
    let (Some(authorisation), Some(user), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(SaslError::Malformed);
    };
    if user.is_empty() || password.is_empty() {
        return Err(SaslError::Malformed);
    }
    Ok(Credentials::Password {
        authorisation: utf8(authorisation)?,
        user: utf8(user)?,
        password: Secret::new(password),
    })
}

/// Names are UTF-8 without NUL (RFC 4616 §2, RFC 4422 appendix A).
fn utf8(name: &[u8]) -> Result<String, SaslError> {
    match std::str::from_utf8(name) {
        Ok(name) if !name.contains('\0') => Ok(name.to_owned()),
        _ => Err(SaslError::Malformed),
    }
}
