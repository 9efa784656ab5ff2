//! The look-alike's signing keys and its tokens: RS256 (RFC 7518 §3.3), as Pro Santé Connect signs.

use crate::sandbox::SandboxError;
use crate::sandbox::layout::write_whole;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use std::path::Path;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;
use zeroize::Zeroizing;

/// A key that signs tokens, and how its public part is published.
pub(super) struct SigningKey {
    id: String,
    pair: RsaKeyPair,
    published: Value,
}

impl SigningKey {
    /// The key of an earlier start, so that tokens outlive a restart; made at the first one.
    pub(super) fn load_or_make(path: &Path) -> Result<Self, SandboxError> {
        if let Ok(pem) = std::fs::read_to_string(path).map(Zeroizing::new) {
            return Self::of(&KeyPair::from_pem(&pem).map_err(SandboxError::pki("the token key"))?);
        }
        let key = generate()?;
        write_whole(path, key.serialize_pem().as_bytes(), 0o600)?;
        Self::of(&key)
    }

    /// A new one.
    pub(super) fn make() -> Result<Self, SandboxError> {
        Self::of(&generate()?)
    }

    fn of(key: &KeyPair) -> Result<Self, SandboxError> {
        let unusable = || SandboxError::NoKey { name: "token".to_owned() };
        let pair = RsaKeyPair::from_pkcs8(key.serialized_der()).map_err(|_| unusable())?;
        let (_, public) = RSAPublicKey::from_der(pair.public_key().as_ref()).map_err(|_| unusable())?;
        // RFC 7518 §6.3.1.1: without the octet that ASN.1 puts before a high bit.
        let number = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(strip_zero(bytes));
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, public.modulus);
        let id = BASE64_URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]);
        let published = json!({
            "kid": id, "kty": "RSA", "alg": "RS256", "use": "sig", "n": number(public.modulus), "e": number(public.exponent),
        });
        Ok(Self { id, pair, published })
    }

    /// Its entry in the key set (RFC 7517).
    pub(super) fn published(&self) -> &Value {
        &self.published
    }

    /// A signed token (RFC 7519).
    pub(super) fn sign(&self, claims: &Value) -> Result<String, SandboxError> {
        self.sign_as(&self.id, claims)
    }

    /// A token that names another key than the one that signed it.
    pub(super) fn sign_as(&self, id: &str, claims: &Value) -> Result<String, SandboxError> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": id });
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| SandboxError::Random)?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(&signature)))
    }

    /// Its name in token headers.
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

fn generate() -> Result<KeyPair, SandboxError> {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(SandboxError::pki("the token key"))
}

fn strip_zero(bytes: &[u8]) -> &[u8] {
    match bytes.split_first() {
        Some((0, rest)) if !rest.is_empty() => rest,
        _ => bytes,
    }
}

/// 128 random bits as text: codes, token ids, sessions.
pub(super) fn random() -> Result<String, SandboxError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SandboxError::Random)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
