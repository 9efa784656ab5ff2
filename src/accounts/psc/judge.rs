//! What a token is worth: by its signature, by asking, or both.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::StatusCode;
use serde::Deserialize;

use crate::wire::sasl::Secret;

use super::caller::Caller;
use super::claims::{Claims, NumericDate, Validated};
use super::jwt::{Jwt, KeyProblem, KeySet, Keys};
use super::metadata::Metadata;
use super::{Client, Inner, Judging, Person, PscError, TokenRefusal, Trouble};
use crate::accounts::https::{Call, Endpoint, encoded};

/// RFC 7662 §2.2.
#[derive(Deserialize)]
struct Introspection {
    active: bool,
}

impl Inner {
    /// Judges an access token.
    pub(super) async fn judge(&self, token: &Secret) -> Result<Validated, PscError> {
        let text = token.expose_str().ok_or(TokenRefusal::Malformed)?;
        let metadata = self.metadata().await?;
        let (signed, told) = match self.judging {
            Judging::Signature => (Some(self.signed(text, &metadata).await?), None),
            Judging::Introspection => (None, Some(self.introspected(text, &metadata).await?)),
            Judging::Both => {
                let signed = self.signed(text, &metadata).await?;
                (Some(signed), Some(self.introspected(text, &metadata).await?))
            }
        };
        let all: Vec<&Claims> = [&told, &signed].into_iter().flatten().collect();
        let subject = one_subject(&all)?;
        let mut bound_to = None;
        for claims in &all {
            bound_to = claims.bound_to()?.or(bound_to);
        }
        let person = match all.iter().find_map(|claims| claims.person()) {
            Some(person) => person,
            None => self.userinfo(text, subject, &metadata.userinfo).await?,
        };
        let ends = all.iter().filter_map(|claims| claims.exp).map(|NumericDate(end)| end);
        Ok(Validated { person, expires_at: ends.min(), bound_to })
    }

    /// RFC 7662: asks. What a token says of itself without proof is good enough to refuse it unasked.
    async fn introspected(&self, token: &str, metadata: &Metadata) -> Result<Claims, PscError> {
        let now = (self.clock)();
        if let Some(claims) = Jwt::parse(token).ok().and_then(|jwt| jwt.unverified()) {
            self.rules.judge_validity(&claims, now)?;
        }
        let endpoint = metadata.introspection.as_ref();
        let endpoint = endpoint.ok_or(Trouble::Nonsense("it names no introspection endpoint"))?;
        let fields = [("token", token), ("token_type_hint", "access_token")];
        let answer = self.caller.call(&self.client.post(endpoint, &fields)).await?;
        if answer.status != StatusCode::OK {
            return Err(refused_us(answer.status).into());
        }
        let Introspection { active } = answer.json()?;
        if !active {
            return Err(TokenRefusal::Inactive.into());
        }
        let claims: Claims = answer.json()?;
        self.rules.judge(&claims, now)?;
        Ok(claims)
    }

    /// RFC 9068 §4, as far as Pro Santé Connect's tokens are such: the signature, then the claims.
    async fn signed(&self, token: &str, metadata: &Metadata) -> Result<Claims, PscError> {
        let claims = self.verified(&Jwt::parse(token)?, &metadata.keys).await?;
        self.rules.judge(&claims, (self.clock)())?;
        // What RFC 9068 §2.2 requires, and an introspection need not tell.
        match (&claims.iss, &claims.exp, &claims.sub) {
            (Some(_), Some(_), Some(_)) => Ok(claims),
            _ => Err(TokenRefusal::Malformed.into()),
        }
    }

    /// The claims of a signed token. A key that is not known may be new: the keys are read again, but not for every forgery.
    pub(super) async fn verified(&self, jwt: &Jwt<'_>, keys: &Endpoint) -> Result<Claims, PscError> {
        for oldest in [self.refresh, self.keys_pause] {
            let keys = self.keys.get(oldest, read_keys(&self.caller, keys)).await?;
            match jwt.verified(&keys) {
                Ok(claims) => return Ok(claims),
                Err(KeyProblem::Refused(refusal)) => return Err(refusal.into()),
                Err(KeyProblem::Unknown) => {}
            }
        }
        // Forged, or of a key that could not be read: nobody can say which, and a good token is not to be thrown away.
        match self.keys.trouble() {
            Some(trouble) => Err(trouble.into()),
            None => Err(TokenRefusal::Signature.into()),
        }
    }

    /// OpenID Connect Core 1.0 §5.3: the person, where the token does not tell the national id.
    pub(super) async fn userinfo(
        &self,
        token: &str,
        subject: Option<&str>,
        endpoint: &Endpoint,
    ) -> Result<Person, PscError> {
        let answer = self.caller.call(&Call::get(endpoint).authorized(&format!("Bearer {token}"))).await?;
        match answer.status {
            StatusCode::OK => {}
            // RFC 6750 §3.1.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(TokenRefusal::Inactive.into()),
            status => return Err(Trouble::Status(status.as_u16()).into()),
        }
        let claims: Claims = answer.json()?;
        // §5.3.2: the same subject, or the answer is another's.
        let is_theirs = subject.is_none() || claims.sub.as_deref() == subject;
        if !is_theirs {
            return Err(Trouble::Nonsense("its userinfo is another subject's").into());
        }
        Ok(claims.person().ok_or(TokenRefusal::Nobody)?)
    }
}

async fn read_keys(caller: &Caller, endpoint: &Endpoint) -> Result<Keys, Trouble> {
    caller.document::<KeySet>(&Call::get(endpoint)).await.map(Keys::from)
}

/// The subject, which all that is said of a token must agree on.
fn one_subject<'c>(all: &[&'c Claims]) -> Result<Option<&'c str>, TokenRefusal> {
    let mut subjects = all.iter().filter_map(|claims| claims.sub.as_deref());
    let first = subjects.next();
    if subjects.all(|subject| Some(subject) == first) { Ok(first) } else { Err(TokenRefusal::Malformed) }
}

/// A 4xx that is not the token's fault: 401 (RFC 7662 §2.3), 403, or something that we do wrong.
pub(super) fn refused_us(status: StatusCode) -> Trouble {
    let trouble = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Trouble::Credentials(status.as_u16()),
        status => Trouble::Status(status.as_u16()),
    };
    tracing::error!(event = "psc.refused-us", "Pro Santé Connect refuses our request: {trouble}");
    trouble
}

impl Client {
    /// A form by which we say who we are: with our secret (RFC 6749 §2.3.1, both parts encoded as in a form), or by name only,
    /// where the client certificate proves it (RFC 8705 §2).
    pub(super) fn post<'e>(&self, endpoint: &'e Endpoint, fields: &[(&str, &str)]) -> Call<'e> {
        match self.secret.as_ref().and_then(Secret::expose_str) {
            Some(secret) => {
                let pair = zeroize::Zeroizing::new(format!("{}:{}", encoded(&self.id), encoded(secret)));
                Call::post(endpoint, fields).authorized(&format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())))
            }
            None => {
                let with_name: Vec<_> = fields.iter().copied().chain([("client_id", self.id.as_str())]).collect();
                Call::post(endpoint, &with_name)
            }
        }
    }
}
