//! A stream's keys: all of them come from one secret.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::store::seal::{MailboxKey, SealError};

/// What a query for all lines asks for: every block has this term. No value's term is the same.
pub(super) const EVERY: u64 = 0;

/// What every query asks for beside: a stretch that did not read when the index was made, of whose terms nothing is known, has
/// this term.
pub(super) const DAMAGED: u64 = u64::MAX;

/// Seals, signs, and makes terms. Cheap to clone.
#[derive(Clone)]
pub struct TraceKeys {
    sealing: MailboxKey,
    signing: Arc<Ed25519KeyPair>,
    public: [u8; 32],
}

impl TraceKeys {
    /// The keys that come from a secret of the store's: who has it has them all.
    #[must_use]
    pub fn derive(secret: &MailboxKey) -> TraceKeys {
        let mut seed = Zeroizing::new([0; 32]);
        seed[..16].copy_from_slice(&secret.digest("traces: signing", "1").to_be_bytes());
        seed[16..].copy_from_slice(&secret.digest("traces: signing", "2").to_be_bytes());
        let signing = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).expect("an Ed25519 seed has 32 bytes");
        let public = signing.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes");
        TraceKeys { sealing: secret.clone(), signing: Arc::new(signing), public }
    }

    /// The term by which lines are found: a keyed hash, so that the index tells nothing to who has not the key. `kind`
    /// keeps a mailbox and a person of the same name apart.
    #[must_use]
    pub fn term(&self, kind: &str, value: &str) -> u64 {
        let digest = self.sealing.digest(&format!("traces: term {kind}"), value);
        ((digest >> 64) as u64).clamp(EVERY + 1, DAMAGED - 1)
    }

    /// The key that the chain's signatures are checked with (Ed25519, RFC 8032).
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }

    pub(super) fn seal(&self, place: &[u8], plain: &[u8]) -> Vec<u8> {
        self.sealing.seal_bytes(place, plain)
    }

    pub(super) fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.sealing.open_bytes(place, sealed)
    }
}

impl fmt::Debug for TraceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TraceKeys([key])")
    }
}

/// A public key as a PEM file has it (RFC 8410).
#[must_use]
pub fn public_key_pem(public: &[u8; 32]) -> String {
    const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let der = [SPKI.as_slice(), public].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

/// Whether a signature is a key's over a message.
pub(super) fn is_signed(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_secret_gives_the_same_keys_each_time_and_another_gives_others() {
        let (secret, other) = (MailboxKey::generate(), TraceKeys::derive(&MailboxKey::generate()));
        let (keys, again) = (TraceKeys::derive(&secret), TraceKeys::derive(&secret));
        assert_eq!(keys.public_key(), again.public_key());
        assert_ne!(keys.public_key(), other.public_key());
        assert!(is_signed(&keys.public_key(), b"head", &again.sign(b"head")));
        assert!(!is_signed(&keys.public_key(), b"head", &other.sign(b"head")));
        assert_eq!(keys.term("mailbox", "a@b.example"), again.term("mailbox", "a@b.example"));
        assert_ne!(keys.term("mailbox", "a@b.example"), keys.term("person", "a@b.example"));
        assert_ne!(keys.term("mailbox", "a@b.example"), other.term("mailbox", "a@b.example"));
        assert_eq!(format!("{keys:?}"), "TraceKeys([key])");
    }
}
