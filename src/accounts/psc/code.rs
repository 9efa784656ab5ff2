//! Logging in to the portal: the authorization code flow (OpenID Connect Core 1.0 §3.1) with PKCE (RFC 7636).
//!
//! ```text
//! authorization_url ─▶ the browser, the card ─▶ redirect_uri?code=…&state=… ─▶ redeem ─▶ Person
//! ```
//!
//! The portal makes `state` (RFC 6749 §10.12), `nonce` (OpenID Connect Core 1.0 §3.1.2.1) and verifier, each of 256 bits and bound
//! to one browser, and compares `state` itself.

use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hyper::StatusCode;
use serde::Deserialize;

use crate::telemetry::ResultLabel;
use crate::wire::sasl::Secret;

use super::judge::refused_us;
use super::jwt::Jwt;
use super::{Inner, Person, Psc, PscError, TokenRefusal, Trouble};
use crate::accounts::https::{Answer, form};

/// What is asked for (MSSanté §10).
const SCOPE: &str = "openid scope_all";

/// What stands for a verifier in the authorization request: RFC 7636 §4.2, S256.
pub fn challenge_of(verifier: &Secret) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.expose()))
}

/// RFC 6749 §5.1, OpenID Connect Core 1.0 §3.1.3.3.
#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    id_token: String,
}

/// RFC 6749 §5.2.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Psc {
    /// Where a browser is sent to log in. `challenge`: see [`challenge_of`].
    ///
    /// # Errors
    /// [`PscError::Unavailable`]: the endpoints are not known yet.
    pub async fn authorization_url(
        &self,
        redirect_uri: &str,
        state: &str,
        nonce: &str,
        challenge: &str,
    ) -> Result<String, PscError> {
        let inner = &self.inner;
        let acr = inner.rules.acr.join(" ");
        let mut fields = vec![
            ("response_type", "code"),
            ("client_id", inner.client.id.as_str()),
            ("redirect_uri", redirect_uri),
            ("scope", SCOPE),
            ("state", state),
            ("nonce", nonce),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
        ];
        if !acr.is_empty() {
            fields.push(("acr_values", &acr));
        }
        let endpoint = inner.metadata().await?.authorization.to_string();
        Ok(with_query(&endpoint, &fields))
    }

    /// Who has logged in: redeems the code that came back. `redirect_uri` and `nonce` are those of the question.
    ///
    /// # Errors
    /// The login is refused, its sender put off, or Pro Santé Connect cannot say now. A code is good once: the login begins again.
    pub async fn redeem(
        &self,
        code: &str,
        verifier: &Secret,
        redirect_uri: &str,
        nonce: &str,
    ) -> Result<Person, PscError> {
        let inner = &self.inner;
        let outcome = match inner.refusals.admit(self.sender, Instant::now()) {
            Ok(()) => {
                let asking = inner.refusals.asking(self.sender);
                let redeeming = inner.redeem(code, verifier, redirect_uri, nonce);
                let outcome = tokio::time::timeout(inner.deadline, redeeming).await;
                let outcome = outcome.unwrap_or(Err(PscError::Unavailable(Trouble::TimedOut)));
                asking.ends(&outcome);
                outcome
            }
            Err(put_off) => Err(put_off),
        };
        let result = outcome.as_ref().err().map_or("ok", PscError::name);
        inner.metrics.psc_logins.get_or_create(&ResultLabel { result }).inc();
        outcome
    }

    /// Where a browser is sent to log out there too, and come back from (OpenID Connect RP-Initiated Logout 1.0 §2); `None`: the
    /// issuer has no such place. The ID token is not kept to be shown there: the client's name says who asks.
    ///
    /// # Errors
    /// [`PscError::Unavailable`]: the endpoints are not known.
    pub async fn end_session_url(&self, back_to: &str) -> Result<Option<String>, PscError> {
        let metadata = self.inner.metadata().await?;
        let fields = [("client_id", self.inner.client.id.as_str()), ("post_logout_redirect_uri", back_to)];
        Ok(metadata.end_session.as_ref().map(|endpoint| with_query(&endpoint.to_string(), &fields)))
    }
}

impl Inner {
    async fn redeem(&self, code: &str, verifier: &Secret, redirect_uri: &str, nonce: &str) -> Result<Person, PscError> {
        let metadata = self.metadata().await?;
        let verifier = verifier.expose_str().ok_or(TokenRefusal::Code)?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        let answer = self.caller.call(&self.client.post(&metadata.token, &fields).once()).await?;
        let Tokens { access_token, id_token } = tokens(&answer)?;
        let claims = self.verified(&Jwt::parse(&id_token)?, &metadata.keys).await?;
        self.rules.judge_id_token(&claims, &self.client.id, nonce, (self.clock)())?;
        if claims.iss.is_none() || claims.exp.is_none() || claims.sub.is_none() {
            return Err(TokenRefusal::Malformed.into());
        }
        match claims.person() {
            Some(person) => Ok(person),
            None => self.userinfo(&access_token, claims.sub.as_deref(), &metadata.userinfo).await,
        }
    }
}

fn tokens(answer: &Answer) -> Result<Tokens, PscError> {
    match answer.status {
        StatusCode::OK => Ok(answer.json()?),
        StatusCode::BAD_REQUEST if answer.json::<Refusal>().is_ok_and(|refusal| refusal.error == "invalid_grant") => {
            Err(TokenRefusal::Code.into())
        }
        status => Err(refused_us(status).into()),
    }
}

fn with_query(endpoint: &str, fields: &[(&str, &str)]) -> String {
    let joint = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{joint}{}", form(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_the_rfcs() {
        // RFC 7636 appendix B.
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge_of(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn an_endpoint_with_a_query_keeps_it() {
        assert_eq!(with_query("https://a/b?c=d", &[("e", "f g")]), "https://a/b?c=d&e=f%20g");
        assert_eq!(with_query("https://a/b", &[("e", "f")]), "https://a/b?e=f");
    }
}
