//! Evidence of what became of a message: `GET /v1/traces/proof`.

use serde::{Deserialize, Serialize};

use super::ShownTrace;
use crate::audit::Proved;
use crate::mss::text::hex;
use crate::store::traces::ProofParts;

/// The form of a [`Proof`] that this version writes.
pub const PROOF_FORMAT: &str = "caducee-proof-1";

/// Every step of a message's way that is known here, and what shows that each was written down when it happened and never
/// changed. It can be checked with the public key alone: `caducee traces proof` writes a script that does it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// [`PROOF_FORMAT`].
    pub format: String,
    /// The name of the server that gives it.
    pub operator: String,
    /// When it was made.
    pub made_at: String,
    /// The message's Message-ID.
    pub message_id: String,
    /// The Ed25519 key that signs, PEM (RFC 8410).
    pub public_key: String,
    /// The steps, in their order.
    pub steps: Vec<ProofStep>,
    /// The blocks of the chain that they stand in.
    pub blocks: Vec<ProofBlock>,
    /// Why there may be further steps, in words: what could not be read, say. Empty: these are all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofStep {
    /// What happened, to be read.
    pub trace: ShownTrace,
    /// The same, to the letter, as it was written: this is what is hashed.
    pub text: String,
    /// What is hashed before it (salt, moment, index), hexadecimal.
    pub prefix: String,
    /// Its block, by its place in [`Proof::blocks`].
    pub block: usize,
    /// Its line in the block, from 0.
    pub line: u32,
}

/// A block of the chain. Of its other lines it tells nothing but their salted hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofBlock {
    /// The day whose file it is in.
    pub day: String,
    /// Its number there.
    pub number: u32,
    /// Its head as it is hashed, hexadecimal: it holds the hash of the block before.
    pub head: String,
    /// The hashes of its lines, hexadecimal.
    pub line_hashes: Vec<String>,
    /// Its hash, hexadecimal.
    pub hash: String,
    /// Ed25519 over the hash, hexadecimal.
    pub signature: String,
    /// The hash that ends the day, once it is over, hexadecimal: the operator may have left it with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_head: Option<String>,
}

impl Proof {
    /// A proof from its parts; `made_at` is an instant.
    pub fn of(operator: &str, made_at: &str, message_id: &str, found: Proved) -> Self {
        let public_key = found.steps.first().map(|(_, parts)| parts.public_key_pem()).unwrap_or_default();
        let (mut steps, mut blocks) = (Vec::new(), Vec::<ProofBlock>::new());
        for (trace, parts) in found.steps {
            let hash = hex(&parts.hash);
            let block = blocks.iter().position(|block| block.hash == hash).unwrap_or_else(|| {
                blocks.push(ProofBlock::of(&parts));
                blocks.len() - 1
            });
            // The scribe writes JSON.
            let text = String::from_utf8_lossy(&parts.text).into_owned();
            steps.push(ProofStep { trace: trace.into(), text, prefix: hex(&parts.prefix), block, line: parts.line });
        }
        Self {
            format: PROOF_FORMAT.to_owned(),
            operator: operator.to_owned(),
            made_at: made_at.to_owned(),
            message_id: message_id.to_owned(),
            public_key,
            steps,
            blocks,
            gaps: found.gaps,
        }
    }
}

impl ProofBlock {
    fn of(parts: &ProofParts) -> Self {
        Self {
            day: parts.day.to_string(),
            number: parts.block,
            head: hex(&parts.head.encode()),
            line_hashes: parts.line_hashes.iter().map(|hash| hex(hash)).collect(),
            hash: hex(&parts.hash),
            signature: hex(&parts.signature),
            day_head: parts.day_head.as_ref().map(|head| hex(&head.hash)),
        }
    }
}
