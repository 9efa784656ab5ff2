//! Proofs: what shows somebody who has none of our keys that a line stood in the chain.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use super::block::{BlockHead, Hash, hash_block, hash_line};
use super::day::Day;
use super::heads::Head;
use super::keys::is_signed;
use super::search::LinePlace;
use super::{TraceError, TraceFiles, hex, lock};

/// All that a proof of one line needs; it tells nothing of the block's other lines but their salted hashes.
///
/// To check it: the line's hash from `prefix` and `text`, at `line` among `line_hashes`; the block's hash from its head and
/// those; the signature over it. The arithmetic is at the top of `block.rs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofParts {
    /// What the line says.
    #[serde(serialize_with = "text")]
    pub text: Vec<u8>,
    /// What is hashed before the text: salt, moment, terms.
    #[serde(serialize_with = "bytes")]
    pub prefix: Vec<u8>,
    /// The line's number in the block.
    pub line: u32,
    /// The hashes of all lines of the block.
    #[serde(serialize_with = "hex::list")]
    pub line_hashes: Vec<Hash>,
    /// The day whose file the block is in.
    pub day: Day,
    /// The block's number in it.
    pub block: u32,
    /// The hash of the block before.
    #[serde(with = "hex")]
    pub previous: Hash,
    /// The block's head as it is hashed: see [`BlockHead`].
    #[serde(serialize_with = "head_bytes")]
    pub head: BlockHead,
    /// The block's hash.
    #[serde(with = "hex")]
    pub hash: Hash,
    /// Ed25519 over the hash.
    #[serde(with = "hex")]
    pub signature: [u8; 64],
    /// The key that signed.
    #[serde(with = "hex")]
    pub public_key: [u8; 32],
    /// The head of the day, once it is sealed.
    pub day_head: Option<Head>,
}

impl ProofParts {
    /// The public key as a PEM file has it (RFC 8410).
    #[must_use]
    pub fn public_key_pem(&self) -> String {
        const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let der = [SPKI.as_slice(), &self.public_key].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    /// Whether the proof holds: what whoever gets it computes.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.line_hashes.get(self.line as usize) == Some(&hash_line(&self.prefix, &self.text))
            && hash_block(&self.head, &self.line_hashes) == self.hash
            && is_signed(&self.public_key, &self.hash, &self.signature)
    }
}

impl TraceFiles {
    /// What a proof of a line is made from.
    ///
    /// # Errors
    /// [`TraceError::NotThere`]; [`TraceError::Damaged`], also where the block is not what was signed; what the disk says.
    pub fn proof_parts(&self, place: LinePlace) -> Result<ProofParts, TraceError> {
        let LinePlace { day, offset, line } = place;
        let (piece, block) = self.inner.block_at(place)?;
        let header = piece.header.ok_or(TraceError::Damaged { day, offset })?;
        let shown = block.lines().nth(line as usize).ok_or(TraceError::NotThere)?;
        let day_head = lock(&self.inner.state).heads.find(day).cloned();
        let parts = ProofParts {
            text: shown.text.to_vec(),
            prefix: shown.prefix.to_vec(),
            line,
            line_hashes: block.hashes(),
            day,
            block: header.head.number,
            previous: header.head.previous,
            head: header.head,
            hash: header.hash,
            signature: header.signature,
            public_key: self.inner.keys.public_key(),
            day_head,
        };
        if parts.holds() { Ok(parts) } else { Err(TraceError::Damaged { day, offset }) }
    }
}

fn text<S: Serializer>(text: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(std::str::from_utf8(text).map_err(serde::ser::Error::custom)?)
}

fn bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

fn head_bytes<S: Serializer>(head: &BlockHead, serializer: S) -> Result<S::Ok, S::Error> {
    bytes(&head.encode(), serializer)
}
