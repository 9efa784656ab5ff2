//! The trip to Pro Santé Connect and back: authorization code with PKCE (RFC 6749 §4.1, RFC 7636), bound to the browser.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::StatusCode;

use super::people::PSC;
use super::refusal::Refusal;
use super::visit::{Cookie, Purpose};
use super::{Desk, texts};
use crate::accounts::psc::{Person, Psc, PscError, challenge_of};
use crate::wire::sasl::Secret;

impl Desk {
    /// Whether holders can come that way.
    pub(super) fn has_psc(&self) -> bool {
        self.shared.psc.current().is_some()
    }

    fn psc(&self) -> Result<Arc<Psc>, Refusal> {
        let off = || Refusal::new(StatusCode::NOT_FOUND, texts::NO_PAGE_TITLE, texts::NO_PSC);
        self.shared.psc.current().ok_or_else(off)
    }

    /// PKCE's verifier of a browser's trip (RFC 7636 §4.1).
    fn verifier(&self, cookie: &Cookie) -> Secret {
        Secret::new(self.seal.derive(Purpose::Verifier, cookie))
    }

    /// Where a browser is sent to log in.
    pub(super) async fn psc_address(&self, cookie: &Cookie) -> Result<String, Refusal> {
        let state = self.seal.derive(Purpose::State, cookie);
        let nonce = self.seal.derive(Purpose::Nonce, cookie);
        let challenge = challenge_of(&self.verifier(cookie));
        Ok(self.psc()?.authorization_url(&self.way_back(), &state, &nonce, &challenge).await?)
    }

    /// Who came back with a code.
    pub(super) async fn psc_person(&self, cookie: &Cookie, code: &str, peer: IpAddr) -> Result<Person, Refusal> {
        let nonce = self.seal.derive(Purpose::Nonce, cookie);
        let redeemed = self.psc()?.asked_by(peer).redeem(code, &self.verifier(cookie), &self.way_back(), &nonce).await;
        Ok(redeemed.inspect_err(|error| self.note_refused(peer, PSC, None, "", error.reason()))?)
    }

    /// Where a browser ends its session there; nowhere while that cannot be found out.
    pub(super) async fn psc_end(&self) -> Option<String> {
        let back_to = format!("{}/", self.shared.config.load().portal.url);
        self.shared.psc.current()?.end_session_url(&back_to).await.ok()?
    }

    /// Where Pro Santé Connect sends browsers back to: registered there, never taken from a request.
    fn way_back(&self) -> String {
        format!("{}{}", self.shared.config.load().portal.url, super::BACK_FROM_PSC)
    }
}

/// What a person is called.
pub(super) fn name_of(person: &Person) -> String {
    let parts = [person.given_name.as_deref(), person.family_name.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

impl From<PscError> for Refusal {
    fn from(error: PscError) -> Self {
        match error {
            PscError::Refused(reason) => {
                let mut refusal = Self::new(StatusCode::FORBIDDEN, texts::PSC_REFUSED_TITLE, texts::PSC_REFUSED);
                refusal.because = Some(reason.name().to_owned());
                refusal
            }
            PscError::Unavailable(trouble) => Self::unavailable(texts::PSC_AWAY, trouble),
            PscError::PutOff(wait) => {
                let text = texts::throttled(wait);
                let mut refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, texts::PSC_REFUSED_TITLE, text);
                refusal.again = Some(wait);
                refusal.because = Some("too many refused".to_owned());
                refusal
            }
        }
    }
}
