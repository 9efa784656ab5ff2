//! Signed tokens (RFC 7515, RFC 7519) and the keys that sign them (RFC 7517), as far as Pro Santé Connect's need it.
//!
//! # Rules (RFC 8725)
//!
//! 1. The algorithms are these three, all of them signatures: no `none`, no HMAC, whatever a header asks for.
//! 2. A key is the issuer's, of its JWKS; never one that the token brings or points to (`jwk`, `jku`, `x5u`).
//! 3. A key is used for its own kind and algorithm only. A header that has critical parameters is refused.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::TokenRefusal;
use super::claims::Claims;

/// Most keys of a set that are looked at.
const MOST_KEYS: usize = 32;

/// RFC 7518 §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Algorithm {
    RS256,
    PS256,
    ES256,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

/// A signed token, taken apart and not yet believed.
#[derive(Debug)]
pub(super) struct Jwt<'t> {
    header: Header,
    signed: &'t [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'t> Jwt<'t> {
    /// RFC 7515 §7.1: three parts in base64url.
    pub(super) fn parse(text: &'t str) -> Result<Self, TokenRefusal> {
        let malformed = TokenRefusal::Malformed;
        let (signed, signature) = text.rsplit_once('.').ok_or(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(malformed)?;
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| malformed)?;
        let is_known_kind = header.typ.as_deref().is_none_or(|kind| {
            ["JWT", "at+jwt", "application/at+jwt"].iter().any(|known| kind.eq_ignore_ascii_case(known))
        });
        if header.crit.is_some() || !is_known_kind {
            return Err(malformed);
        }
        Ok(Self { header, signed: signed.as_bytes(), payload: decode(payload)?, signature: decode(signature)? })
    }

    /// The claims before anybody has vouched for them: good for refusing, never for believing.
    pub(super) fn unverified(&self) -> Option<Claims> {
        serde_json::from_slice(&self.payload).ok()
    }

    /// The claims, once a key of the set is found to have signed them.
    pub(super) fn verified(&self, keys: &Keys) -> Result<Claims, KeyProblem> {
        let mut fitting = keys.0.iter().filter(|key| key.may_have_signed(&self.header)).peekable();
        if fitting.peek().is_none() {
            return Err(KeyProblem::Unknown);
        }
        if !fitting.any(|key| key.verifies(self.header.alg, self.signed, &self.signature)) {
            return Err(KeyProblem::Refused(TokenRefusal::Signature));
        }
        serde_json::from_slice(&self.payload).map_err(|_| KeyProblem::Refused(TokenRefusal::Malformed))
    }
}

/// Why a signature does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyProblem {
    /// By no key of the set: it may be a newer one.
    Unknown,
    /// For good.
    Refused(TokenRefusal),
}

/// The issuer's keys that sign, by what can be used of its JWKS.
#[derive(Debug)]
pub(super) struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    alg: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
}

/// RFC 7517 §5.
#[derive(Debug, Deserialize)]
pub(super) struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct JsonKey {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl From<KeySet> for Keys {
    /// RFC 7517 §5: keys of kinds that are not understood are passed over.
    fn from(set: KeySet) -> Self {
        let known = set.keys.into_iter().filter_map(|key| serde_json::from_value::<JsonKey>(key).ok());
        Self(known.filter_map(Key::read).take(MOST_KEYS).collect())
    }
}

impl Key {
    fn read(key: JsonKey) -> Option<Self> {
        if key.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let octets = |text: Option<String>| BASE64_URL_SAFE_NO_PAD.decode(text?).ok();
        let material = match (key.kty.as_str(), key.crv.as_deref()) {
            // RFC 7518 §6.3.1: without leading zeros, which some issuers write all the same.
            ("RSA", _) => Material::Rsa { n: trimmed(octets(key.n)?), e: trimmed(octets(key.e)?) },
            ("EC", Some("P-256")) => {
                let (x, y) = (octets(key.x)?, octets(key.y)?);
                Material::P256([&[4], x.as_slice(), &y].concat())
            }
            _ => return None,
        };
        Some(Self { kid: key.kid, alg: key.alg, material })
    }

    fn may_have_signed(&self, header: &Header) -> bool {
        let is_named = header.kid.is_none() || header.kid == self.kid;
        let of_kind = match self.material {
            Material::Rsa { .. } => matches!(header.alg, Algorithm::RS256 | Algorithm::PS256),
            Material::P256(_) => header.alg == Algorithm::ES256,
        };
        let by_algorithm = self.alg.as_deref().is_none_or(|alg| alg == header.alg.name());
        is_named && of_kind && by_algorithm
    }

    fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match (&self.material, algorithm) {
            (Material::Rsa { n, e }, Algorithm::RS256 | Algorithm::PS256) => {
                let parameters: &RsaParameters = match algorithm {
                    Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok()
            }
            (Material::P256(point), Algorithm::ES256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
            _ => false,
        }
    }
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::PS256 => "PS256",
            Self::ES256 => "ES256",
        }
    }
}

fn trimmed(mut octets: Vec<u8>) -> Vec<u8> {
    let zeros = octets.iter().take_while(|&&octet| octet == 0).count();
    octets.drain(..zeros);
    octets
}

#[cfg(test)]
mod tests;
