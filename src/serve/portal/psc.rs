//! The trip to Pro Santé Connect and back: authorization code with PKCE (RFC 6749 §4.1, RFC 7636), bound to the browser.

use aws_lc_rs::digest;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::refusal::Refusal;
use super::visit::{Cookie, Purpose};
use super::{Desk, texts};
use crate::accounts::psc::{Person, PscError};

impl Desk {
    /// Whether holders can come that way.
    pub(super) fn has_psc(&self) -> bool {
        self.shared.psc.is_on()
    }

    /// Where a browser is sent to log in.
    pub(super) async fn psc_address(&self, cookie: &Cookie) -> Result<String, Refusal> {
        if !self.has_psc() {
            return Err(Refusal::new(StatusCode::NOT_FOUND, texts::NO_PAGE_TITLE, texts::NO_PSC));
        }
        let state = self.seal.derive(Purpose::State, cookie);
        let nonce = self.seal.derive(Purpose::Nonce, cookie);
        let verifier = self.seal.derive(Purpose::Verifier, cookie);
        // RFC 7636 §4.2: S256.
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let address = self.shared.psc.authorization_url(&self.way_back(), &state, &nonce, &challenge).await;
        address.map_err(Refusal::from)
    }

    /// Who came back with a code.
    pub(super) async fn psc_person(&self, cookie: &Cookie, code: &str) -> Result<Person, Refusal> {
        let nonce = self.seal.derive(Purpose::Nonce, cookie);
        let verifier = self.seal.derive(Purpose::Verifier, cookie);
        Ok(self.shared.psc.redeem(code, &verifier, &self.way_back(), &nonce).await?)
    }

    /// Where a browser ends its session there; nowhere while that cannot be found out.
    pub(super) async fn psc_end(&self) -> Option<String> {
        self.shared.psc.end_session_url().await.ok()
    }

    /// Where Pro Santé Connect sends browsers back to: registered there, never taken from a request.
    fn way_back(&self) -> String {
        format!("{}/psc/retour", self.shared.config.load().portal.url)
    }
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
        }
    }
}
