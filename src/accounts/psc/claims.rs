//! What a token says, however it was asked: by introspection (RFC 7662), by its own text (RFC 7519), by userinfo.
//!
//! Claims that decide are read strictly: one of another type than its standard's makes the whole nonsense, and is never
//! taken for absent.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::{Person, TokenRefusal};

/// The claims that count here. Others are passed over.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: Option<String>,
    pub(super) sub: Option<String>,
    pub(super) aud: Option<Audience>,
    pub(super) azp: Option<String>,
    pub(super) exp: Option<NumericDate>,
    pub(super) nbf: Option<NumericDate>,
    pub(super) iat: Option<NumericDate>,
    pub(super) acr: Option<String>,
    /// Keycloak's: `Bearer`, `ID`, `Refresh`.
    pub(super) typ: Option<String>,
    pub(super) cnf: Option<Confirmation>,
    pub(super) nonce: Option<String>,
    /// MSSanté §10: `8` and the RPPS number.
    #[serde(rename = "SubjectNameID")]
    pub(super) national_id: Option<String>,
    pub(super) given_name: Option<String>,
    pub(super) family_name: Option<String>,
}

/// RFC 7519 §4.1.3: one name, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    pub(super) fn has(&self, name: &str) -> bool {
        self.names().iter().any(|known| known == name)
    }

    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// RFC 7519 §2: seconds since 1970, perhaps with a fraction, which is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumericDate(pub(super) i64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        /// Year 9999: beyond it nothing is a date.
        const LAST: f64 = 253_402_300_800.0;
        let number = serde_json::Number::deserialize(from)?;
        let seconds = number.as_f64().filter(|seconds| (0.0..LAST).contains(seconds));
        #[allow(clippy::cast_possible_truncation, reason = "within the range just checked")]
        seconds.map(|seconds| Self(seconds as i64)).ok_or_else(|| D::Error::custom("no date"))
    }
}

/// RFC 7800 §3: what the token is bound to.
#[derive(Debug, Deserialize)]
pub(super) struct Confirmation {
    /// RFC 8705 §3.1: SHA-256 of a certificate.
    #[serde(rename = "x5t#S256")]
    thumbprint: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

/// What a good token tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Validated {
    pub(super) person: Person,
    /// When it ends, in Unix seconds, where that is told.
    pub(super) expires_at: Option<i64>,
    /// SHA-256 of the certificate that it is bound to.
    pub(super) bound_to: Option<[u8; 32]>,
}

impl Validated {
    /// Whether who sends it may: a bound token comes with its certificate (RFC 8705 §3).
    pub(super) fn may_be_used_with(&self, shown: Option<&[u8]>) -> Result<(), TokenRefusal> {
        let Some(wanted) = self.bound_to else { return Ok(()) };
        let sha256 = |der| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        match shown.map(sha256) {
            Some(shown) if shown.as_ref() == wanted => Ok(()),
            _ => Err(TokenRefusal::Unbound),
        }
    }
}

/// What is asked of every token.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) issuer: String,
    pub(super) audience: Vec<String>,
    pub(super) acr: Vec<String>,
    pub(super) skew: Duration,
}

impl Rules {
    /// Judges an access token's claims.
    pub(super) fn judge(&self, claims: &Claims, now: i64) -> Result<(), TokenRefusal> {
        self.judge_common(claims, now)?;
        // RFC 8725 §3.11: one kind of token is no other.
        if claims.typ.as_deref().is_some_and(|kind| !["Bearer", "at+jwt"].iter().any(|a| kind.eq_ignore_ascii_case(a)))
        {
            return Err(TokenRefusal::Kind);
        }
        let is_for_us = claims.aud.as_ref().is_some_and(|named| self.audience.iter().any(|ours| named.has(ours)));
        if !self.audience.is_empty() && !is_for_us {
            return Err(TokenRefusal::Audience);
        }
        Ok(())
    }

    /// Judges an ID token's claims. OpenID Connect Core 1.0 §3.1.3.7.
    pub(super) fn judge_id_token(
        &self,
        claims: &Claims,
        client_id: &str,
        nonce: &str,
        now: i64,
    ) -> Result<(), TokenRefusal> {
        self.judge_common(claims, now)?;
        if claims.typ.as_deref().is_some_and(|kind| kind != "ID") {
            return Err(TokenRefusal::Kind);
        }
        let is_ours = claims.aud.as_ref().is_some_and(|named| named.has(client_id));
        let several = claims.aud.as_ref().is_some_and(|named| named.names().len() > 1);
        let by_us = claims.azp.as_deref().map_or(!several, |party| party == client_id);
        if !is_ours || !by_us {
            return Err(TokenRefusal::Audience);
        }
        let same = claims.nonce.as_deref().is_some_and(|claimed| {
            aws_lc_rs::constant_time::verify_slices_are_equal(claimed.as_bytes(), nonce.as_bytes()).is_ok()
        });
        if same { Ok(()) } else { Err(TokenRefusal::Nonce) }
    }

    fn judge_common(&self, claims: &Claims, now: i64) -> Result<(), TokenRefusal> {
        self.judge_validity(claims, now)?;
        let is_strong = claims.acr.as_ref().is_some_and(|acr| self.acr.contains(acr));
        if self.acr.is_empty() || is_strong { Ok(()) } else { Err(TokenRefusal::Weak) }
    }

    /// Judges whose token it is, and when it is good. Claims that nobody has vouched for can be refused by it, not believed.
    pub(super) fn judge_validity(&self, claims: &Claims, now: i64) -> Result<(), TokenRefusal> {
        let skew = i64::try_from(self.skew.as_secs()).unwrap_or(0);
        if claims.iss.as_deref().is_some_and(|issuer| issuer != self.issuer) {
            return Err(TokenRefusal::Issuer);
        }
        if claims.exp.is_some_and(|NumericDate(end)| now >= end.saturating_add(skew)) {
            return Err(TokenRefusal::Expired);
        }
        let begins = [claims.nbf, claims.iat].into_iter().flatten();
        if begins.map(|NumericDate(begin)| begin).any(|begin| begin.saturating_sub(skew) > now) {
            return Err(TokenRefusal::NotYetValid);
        }
        Ok(())
    }
}

impl Claims {
    /// What the token is bound to. RFC 7800 §3.1: a binding that we cannot check is none that we may pass over.
    pub(super) fn bound_to(&self) -> Result<Option<[u8; 32]>, TokenRefusal> {
        let Some(confirmation) = &self.cnf else { return Ok(None) };
        let thumbprint = confirmation.thumbprint.as_ref().filter(|_| confirmation.others.is_empty());
        let digest = thumbprint.and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
        let digest = digest.and_then(|digest| <[u8; 32]>::try_from(digest).ok());
        digest.map(Some).ok_or(TokenRefusal::Unbound)
    }

    /// The person, where the claims tell the national id.
    pub(super) fn person(&self) -> Option<Person> {
        let national_id = self.national_id.as_ref().filter(|id| is_national_id(id))?.clone();
        let subject = self.sub.clone()?;
        Some(Person {
            national_id,
            subject,
            given_name: self.given_name.clone(),
            family_name: self.family_name.clone(),
        })
    }
}

/// `8` and the RPPS number; in Pro Santé Connect's sandbox not always digits (MSSanté §10).
fn is_national_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
}

impl fmt::Debug for Person {
    /// Who it is stands in traces only, never by accident in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person([redacted])")
    }
}

#[cfg(test)]
mod tests;
