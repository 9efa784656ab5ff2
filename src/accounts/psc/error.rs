//! Why a token, or a login at Pro Santé Connect, opens nothing.
//!
//! The texts go to whoever logs in, by way of protocols that take ASCII only: hence "Pro Sante Connect". They say what to do,
//! and never what the token holds.

use std::time::Duration;

use crate::accounts::https::HttpsError;

/// Why nobody could be made out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PscError {
    /// The token, or the login, is not good. Trying the same again does not help.
    #[error(transparent)]
    Refused(#[from] TokenRefusal),
    /// Pro Santé Connect cannot say now. Trying later may help; the detail is for the log.
    #[error("Pro Sante Connect cannot be reached at the moment: try again in a few minutes")]
    Unavailable(#[from] Trouble),
    /// Too much of what came from this address was refused within a minute (`psc.max_refused_per_address`): nothing is asked
    /// for it until the minute is over.
    #[error("too many logins to Pro Sante Connect from this address were refused: try later, in {} s", .0.as_secs().max(1))]
    PutOff(Duration),
}

impl PscError {
    /// `refused`, `unavailable` or `put-off`, for counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unavailable(_) => "unavailable",
            Self::PutOff(_) => "put-off",
        }
    }

    /// What is behind it, for the log.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.name(),
            Self::Unavailable(trouble) => trouble.name(),
            Self::PutOff(_) => "too-many-refused",
        }
    }
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// The client sent none.
    #[error("no access token was sent: log in to Pro Sante Connect in your software first")]
    Missing,
    /// It is no token, or none of Pro Santé Connect's.
    #[error("this is not an access token of Pro Sante Connect")]
    Malformed,
    /// It is one of another issuer.
    #[error("the access token is not of the Pro Sante Connect that this server asks")]
    Issuer,
    /// Its signature does not hold.
    #[error("the access token's signature does not hold")]
    Signature,
    /// It is another kind of token: an ID token, a refresh token.
    #[error("this is another kind of token than an access token: your software sends the wrong one")]
    Kind,
    /// It is meant for somebody else.
    #[error("the access token is meant for another service")]
    Audience,
    /// It has expired.
    #[error("the access token has expired: your software must renew it, or log in to Pro Sante Connect again")]
    Expired,
    /// It is not valid yet: a clock is wrong.
    #[error("the access token is not valid yet: a clock is wrong")]
    NotYetValid,
    /// Pro Santé Connect knows it no more, or never did.
    #[error("Pro Sante Connect has ended this session: log in again with your card or e-CPS")]
    Inactive,
    /// The person was not authenticated strongly enough.
    #[error("the login to Pro Sante Connect was not by health card or e-CPS")]
    Weak,
    /// Nothing says who it is.
    #[error("Pro Sante Connect does not say the national id of this person")]
    Nobody,
    /// It is bound to a certificate that this connection did not show (RFC 8705 §3).
    #[error("the access token is bound to a certificate that this connection did not show")]
    Unbound,
    /// The login's answer does not belong to its question.
    #[error("this login does not belong to this browser: begin again")]
    Nonce,
    /// The authorization code is not good, or no more.
    #[error("the login took too long, or was used already: begin again")]
    Code,
}

impl TokenRefusal {
    /// A stable kebab-case name, for logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Issuer => "issuer",
            Self::Signature => "signature",
            Self::Kind => "kind",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::Inactive => "inactive",
            Self::Weak => "weak",
            Self::Nobody => "nobody",
            Self::Unbound => "unbound",
            Self::Nonce => "nonce",
            Self::Code => "code",
        }
    }
}

/// What keeps Pro Santé Connect from saying. For the log: the client is told to try later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It failed so often that nothing is asked for a while (`psc.breaker_pause`).
    #[error("it has failed too often; nothing is asked for a while")]
    Resting,
    /// No connection.
    #[error("it cannot be reached: {0}")]
    Connect(String),
    /// No TLS: its certificate is of no authority of `psc.anchors`, or the like.
    #[error("no TLS with it: {0}")]
    Tls(String),
    /// The conversation broke.
    #[error("the conversation with it broke: {0}")]
    Broken(String),
    /// It took longer than `psc.timeout` or `psc.deadline`.
    #[error("it takes too long")]
    TimedOut,
    /// It answered with an error.
    #[error("it answered HTTP {0}")]
    Status(u16),
    /// It does not know us, or not by these credentials.
    #[error(
        "it does not accept our own credentials (HTTP {0}): see psc.client_id, psc.client_secret, psc.client_certificate"
    )]
    Credentials(u16),
    /// It pointed elsewhere; a token goes nowhere else.
    #[error("it redirects, which is not followed")]
    Redirected,
    /// Larger than `psc.max_answer`.
    #[error("its answer is larger than psc.max_answer")]
    TooLarge,
    /// The answer is not what the protocol asks for.
    #[error("its answer makes no sense: {0}")]
    Nonsense(&'static str),
    /// The validation was interrupted.
    #[error("the validation was interrupted")]
    Interrupted,
}

impl From<HttpsError> for Trouble {
    fn from(error: HttpsError) -> Self {
        match error {
            HttpsError::Connect(why) => Self::Connect(why),
            HttpsError::Tls(why) => Self::Tls(why),
            HttpsError::Broken(why) => Self::Broken(why),
            HttpsError::TimedOut => Self::TimedOut,
            HttpsError::TooLarge => Self::TooLarge,
        }
    }
}

impl Trouble {
    /// A stable kebab-case name, for logs and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Resting => "resting",
            Self::Connect(_) => "unreachable",
            Self::Tls(_) => "no-tls",
            Self::Broken(_) => "broken",
            Self::TimedOut => "timed-out",
            Self::Status(_) => "http-status",
            Self::Credentials(_) => "credentials",
            Self::Redirected => "redirected",
            Self::TooLarge => "too-large",
            Self::Nonsense(_) => "nonsense",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether Pro Santé Connect as a whole seems to be away, rather than to mind this one request.
    pub(super) fn counts(&self) -> bool {
        !matches!(self, Self::Resting | Self::Credentials(_) | Self::Interrupted) && !self.is_of_the_request()
    }

    /// Whether the same request may fare better in a moment.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Broken(_) | Self::TimedOut) || matches!(self, Self::Status(500..))
    }

    fn is_of_the_request(&self) -> bool {
        matches!(self, Self::Status(400..=499)) && *self != Self::Status(429)
    }
}
