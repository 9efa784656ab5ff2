//! Sealing: AES-256-GCM (aws-lc-rs) at three levels.
//!
//! ```text
//! MasterKey  (the operator's; file or systemd credential)
//!    seals   MailboxKey  (one an account, and the queue's, one a day; their sealed forms lie in the ring of keys)
//!    seals   BodyKey     (one a body, random; sealed once for each message that shows the body) and the summary
//!    seals   the body's chunks of 64 KiB
//! ```
//!
//! Rules: a key never leaves its newtype except to seal; every key is wiped when dropped and prints as `[key]`; what a
//! sealed value belongs to (account, body, chunk number) is part of its additional data, so a value that is moved to
//! another place does not open there. Destroying an account's sealed mailbox key makes its content unreadable.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

use super::schema::{AccountId, BodyId};

/// Length of every key, in bytes.
pub const KEY_LEN: usize = 32;
/// Length of the authentication tag that follows each ciphertext, in bytes.
pub const TAG_LEN: usize = 16;
/// First byte of a sealed value: AES-256-GCM, 96-bit random nonce before the ciphertext, tag after it.
const SEALED_V1: u8 = 1;
pub(super) const SEALED_OVERHEAD: usize = 1 + NONCE_LEN + TAG_LEN;

/// What can go wrong with keys and sealed values. Never says anything of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The value was not sealed with this key for this place, or it is damaged.
    #[error("a sealed value does not open: wrong key, wrong place or damaged")]
    DoesNotOpen,
    /// The key is in neither of the key files any more, though nobody destroyed it.
    #[error("the key is lost: it stands in neither of the store's key files")]
    Lost,
    /// The value's first byte names a sealing that this version does not know.
    #[error("a sealed value has the unknown format {0}")]
    UnknownFormat(u8),
    /// A master key is neither 32 raw bytes nor base64 or hexadecimal text of 32 bytes.
    #[error("a master key is 32 bytes: raw, or as base64 or hexadecimal text; this has {0} bytes")]
    BadMasterKey(usize),
}

/// 32 secret bytes, wiped on drop.
#[derive(Clone, PartialEq, Eq)]
struct Key([u8; KEY_LEN]);

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Key {
    fn generate() -> Self {
        let mut bytes = [0; KEY_LEN];
        rand::fill(&mut bytes).expect("the operating system's random generator answers");
        Key(bytes)
    }

    fn cipher(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).expect("the key has the algorithm's length"))
    }

    fn seal(&self, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        seal_with(&self.cipher(), aad, plain)
    }

    fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        open_with(&self.cipher(), aad, sealed)
    }

    fn open_key(&self, aad: &[u8], sealed: &SealedKey) -> Result<Key, SealError> {
        key_from(&self.open(aad, &sealed.0)?)
    }
}

fn seal_with(cipher: &LessSafeKey, aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).expect("the operating system's random generator answers");
    let mut out = Vec::with_capacity(plain.len() + SEALED_OVERHEAD);
    out.push(SEALED_V1);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(plain);
    let (_, body) = out.split_at_mut(1 + NONCE_LEN);
    let tag = cipher
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), body)
        .expect("the value is shorter than the algorithm's limit of 64 GiB");
    out.extend_from_slice(tag.as_ref());
    out
}

fn open_with(cipher: &LessSafeKey, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (&format, rest) = sealed.split_first().ok_or(SealError::DoesNotOpen)?;
    if format != SEALED_V1 {
        return Err(SealError::UnknownFormat(format));
    }
    let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::DoesNotOpen)?;
    let mut plain = Zeroizing::new(body.to_vec());
    let length = cipher
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut plain)
        .map_err(|_| SealError::DoesNotOpen)?
        .len();
    plain.truncate(length);
    Ok(plain)
}

fn key_from(plain: &[u8]) -> Result<Key, SealError> {
    Ok(Key(plain.try_into().map_err(|_| SealError::DoesNotOpen)?))
}

/// A key sealed under another key: safe to store and to show.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SealedKey(pub Vec<u8>);

impl Serialize for SealedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for SealedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        base64::engine::general_purpose::STANDARD.decode(text).map(SealedKey).map_err(serde::de::Error::custom)
    }
}

/// The operator's key. It seals the mailboxes' keys and nothing else.
#[derive(Clone)]
pub struct MasterKey(Key);

impl MasterKey {
    /// A new random key, for the sandbox and for tests.
    #[must_use]
    pub fn generate() -> Self {
        MasterKey(Key::generate())
    }

    /// A key from its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        MasterKey(Key(bytes))
    }

    /// A key from the content of a key file: 32 raw bytes, or base64 or hexadecimal text (white space around is ignored).
    ///
    /// # Errors
    /// [`SealError::BadMasterKey`] for anything else.
    pub fn parse(content: &[u8]) -> Result<Self, SealError> {
        let text = content.trim_ascii();
        let decoded = match text.len() {
            64 => decode_hex(text),
            43 => base64::engine::general_purpose::STANDARD_NO_PAD.decode(text).ok(),
            44 => base64::engine::general_purpose::STANDARD.decode(text).ok(),
            _ => None,
        };
        let bytes = Zeroizing::new(decoded.unwrap_or_else(|| content.to_vec()));
        match <[u8; KEY_LEN]>::try_from(bytes.as_slice()) {
            Ok(bytes) => Ok(MasterKey(Key(bytes))),
            Err(_) => Err(SealError::BadMasterKey(content.len())),
        }
    }

    /// The key as text for a key file (base64). Only for whoever makes a new key file.
    #[must_use]
    pub fn to_key_file(&self) -> Zeroizing<String> {
        Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(self.0.0))
    }

    /// Seals a mailbox's key for the ring.
    #[must_use]
    pub fn seal(&self, account: AccountId, key: &MailboxKey) -> SealedKey {
        SealedKey(self.0.seal(&mailbox_aad(account), &key.key.0))
    }

    /// Opens an account's mailbox key.
    ///
    /// # Errors
    /// [`SealError`] when it was sealed by another master key or for another account, or is damaged.
    pub fn open(&self, account: AccountId, sealed: &SealedKey) -> Result<MailboxKey, SealError> {
        Ok(MailboxKey::new(self.0.open_key(&mailbox_aad(account), sealed)?))
    }

    /// Seals the key of the queue that is made at a moment (Unix seconds).
    #[must_use]
    pub fn seal_transit(&self, moment: u64, key: &MailboxKey) -> SealedKey {
        SealedKey(self.0.seal(&transit_aad(moment), &key.key.0))
    }

    /// Opens the key of the queue that was made at a moment.
    ///
    /// # Errors
    /// As [`MasterKey::open`].
    pub fn open_transit(&self, moment: u64, sealed: &SealedKey) -> Result<MailboxKey, SealError> {
        Ok(MailboxKey::new(self.0.open_key(&transit_aad(moment), sealed)?))
    }

    /// A value that tells this key from another without giving anything of it away; a store keeps it.
    #[must_use]
    pub fn check_value(&self, store_id: &[u8]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0.0));
        context.update(b"caducee master key check");
        context.update(store_id);
        let mut value = [0; 16];
        value.copy_from_slice(&context.sign().as_ref()[..16]);
        value
    }
}

/// A mailbox's key: it seals the keys of the bodies that the mailbox holds, and their summaries.
#[derive(Clone)]
pub struct MailboxKey {
    key: Key,
    /// Its expanded form, kept: a list of 100,000 messages opens as many summaries.
    cipher: Arc<LessSafeKey>,
}

impl MailboxKey {
    fn new(key: Key) -> Self {
        let cipher = Arc::new(key.cipher());
        MailboxKey { key, cipher }
    }

    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        MailboxKey::new(Key::generate())
    }

    /// Seals a body's key for this mailbox.
    #[must_use]
    pub fn seal_body_key(&self, body: BodyId, key: &BodyKey) -> SealedKey {
        SealedKey(seal_with(&self.cipher, &body_aad(body), &key.0.0))
    }

    /// Opens a body's key.
    ///
    /// # Errors
    /// [`SealError`] when it belongs to another mailbox or body, or is damaged.
    pub fn open_body_key(&self, body: BodyId, sealed: &SealedKey) -> Result<BodyKey, SealError> {
        Ok(BodyKey(key_from(&open_with(&self.cipher, &body_aad(body), &sealed.0)?)?))
    }

    /// Seals any bytes; `aad` says what they are and where they belong, and must be given again to open them.
    #[must_use]
    pub fn seal_bytes(&self, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        seal_with(&self.cipher, &bytes_aad(aad), plain)
    }

    /// Opens what [`MailboxKey::seal_bytes`] sealed with the same `aad`.
    ///
    /// # Errors
    /// [`SealError`] when key or `aad` differ, or the value is damaged.
    pub fn open_bytes(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        open_with(&self.cipher, &bytes_aad(aad), sealed)
    }

    /// A digest of `text` that says nothing of it to who has not the key; equal texts give equal digests. `label` keeps
    /// uses apart.
    #[must_use]
    pub fn digest(&self, label: &str, text: &str) -> u128 {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.key.0));
        context.update(label.as_bytes());
        context.update(&[0]);
        context.update(text.as_bytes());
        let mut digest = [0; 16];
        digest.copy_from_slice(&context.sign().as_ref()[..16]);
        u128::from_be_bytes(digest)
    }
}

/// A body's key, random and used for that body alone.
#[derive(Clone)]
pub struct BodyKey(Key);

impl BodyKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        BodyKey(Key::generate())
    }

    /// The key ready for many chunks.
    pub(super) fn cipher(&self) -> BodyCipher {
        BodyCipher(self.0.cipher())
    }
}

/// A body key's expanded form. The nonce is the chunk's number: the key serves one body, so no nonce comes twice.
pub(super) struct BodyCipher(LessSafeKey);

impl BodyCipher {
    /// Seals `chunk` where it lies and returns the tag.
    pub(super) fn seal(&self, body: BodyId, index: u32, last: bool, chunk: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = self
            .0
            .seal_in_place_separate_tag(chunk_nonce(index), Aad::from(chunk_aad(body, index, last)), chunk)
            .expect("a chunk is shorter than the algorithm's limit of 64 GiB");
        tag.as_ref().try_into().expect("a GCM tag has 16 bytes")
    }

    /// Opens ciphertext ‖ tag where it lies.
    pub(super) fn open<'a>(
        &self,
        body: BodyId,
        index: u32,
        last: bool,
        chunk: &'a mut [u8],
    ) -> Result<&'a mut [u8], SealError> {
        self.0
            .open_in_place(chunk_nonce(index), Aad::from(chunk_aad(body, index, last)), chunk)
            .map_err(|_| SealError::DoesNotOpen)
    }
}

macro_rules! redacted {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([key])"))
            }
        }
    )*};
}
redacted!(Key MasterKey MailboxKey BodyKey BodyCipher);

fn mailbox_aad(account: AccountId) -> [u8; 19] {
    tagged(b"mailbox key", account.0)
}

fn transit_aad(moment: u64) -> [u8; 19] {
    tagged(b"transit key", moment)
}

fn body_aad(body: BodyId) -> [u8; 16] {
    tagged(b"body key", body.0)
}

fn tagged<const L: usize, const N: usize>(label: &[u8; L], id: u64) -> [u8; N] {
    let mut aad = [0; N];
    aad[..L].copy_from_slice(label);
    aad[L..].copy_from_slice(&id.to_be_bytes());
    aad
}

fn bytes_aad(aad: &[u8]) -> Vec<u8> {
    [b"bytes".as_slice(), aad].concat()
}

fn chunk_nonce(index: u32) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 4..].copy_from_slice(&index.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

fn chunk_aad(body: BodyId, index: u32, last: bool) -> [u8; 13] {
    let mut aad = [0; 13];
    aad[..8].copy_from_slice(&body.0.to_be_bytes());
    aad[8..12].copy_from_slice(&index.to_be_bytes());
    aad[12] = u8::from(last);
    aad
}

fn decode_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |c: u8| (c as char).to_digit(16);
    text.chunks_exact(2).map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_key_is_read_from_raw_hexadecimal_and_base64() {
        let raw: [u8; 32] = std::array::from_fn(|i| i as u8);
        let expected = MasterKey::from_bytes(raw).check_value(b"s");
        let hex: String = raw.iter().map(|b| format!("{b:02X}")).collect();
        let base64 = MasterKey::from_bytes(raw).to_key_file();
        for content in [&raw[..], hex.as_bytes(), base64.as_bytes(), format!("  {}\n", *base64).as_bytes()] {
            assert_eq!(MasterKey::parse(content).unwrap().check_value(b"s"), expected);
        }
        assert_eq!(MasterKey::parse(b"too short").unwrap_err(), SealError::BadMasterKey(9));
        assert_eq!(MasterKey::parse(b"").unwrap_err(), SealError::BadMasterKey(0));
    }

    #[test]
    fn a_raw_key_that_ends_in_white_space_is_kept_whole() {
        let mut raw = [7; 32];
        raw[31] = b'\n';
        assert_eq!(MasterKey::parse(&raw).unwrap().check_value(b""), MasterKey::from_bytes(raw).check_value(b""));
    }

    #[test]
    fn a_sealed_key_opens_only_with_its_key_and_for_its_owner() {
        let (master, mailbox) = (MasterKey::generate(), MailboxKey::generate());
        let sealed = master.seal(AccountId(7), &mailbox);
        assert_eq!(master.open(AccountId(7), &sealed).unwrap().key, mailbox.key);
        assert_eq!(master.open(AccountId(8), &sealed).unwrap_err(), SealError::DoesNotOpen);
        assert_eq!(MasterKey::generate().open(AccountId(7), &sealed).unwrap_err(), SealError::DoesNotOpen);
    }

    #[test]
    fn sealed_bytes_refuse_every_changed_bit_and_another_place() {
        let key = MailboxKey::generate();
        let sealed = key.seal_bytes(b"summary 1", b"un sujet");
        assert_eq!(key.open_bytes(b"summary 1", &sealed).unwrap().as_slice(), b"un sujet");
        assert!(key.open_bytes(b"summary 2", &sealed).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open_bytes(b"summary 1", &changed).is_err(), "bit {bit}");
        }
        assert!(key.open_bytes(b"summary 1", &[]).is_err());
    }

    #[test]
    fn keys_never_show_in_debug_output() {
        let key = MasterKey::from_bytes([0xAB; 32]);
        assert_eq!(format!("{key:?}"), "MasterKey([key])");
    }
}
