//! Evidence of what became of a message: `GET /v1/traces/proof`.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::ShownTrace;
use crate::audit::Proved;
use crate::mss::text::hex;
use crate::store::traces::{BlockFormat, DayEnd, Hash, NoDayEnd, ProofParts, public_key_pem};

/// The form of a [`Proof`] that this version writes.
pub const PROOF_FORMAT: &str = "caducee-proof-2";

/// The steps of a message's way that are known here, and what shows that each was written down by who has the key and not
/// changed since: a signature over its block, and what leads from there to the end of its day, which the operator may have
/// left with others. It is checked without us: `caducee traces proof` writes a script that does it.
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
    /// What leads from its hash to the root of the block's tree, hexadecimal, from the bottom up; none in a block of format 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Vec<String>>,
}

/// A block of the chain. Of its other lines it tells nothing but their salted hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofBlock {
    /// The day whose file it is in.
    pub day: String,
    /// Its number there.
    pub number: u32,
    /// How its hash is made: 2; 1 where an earlier version wrote it.
    pub format: u8,
    /// Its head as it is hashed, hexadecimal: it holds the hash of the block before.
    pub head: String,
    /// The hashes of its lines, hexadecimal, in format 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_hashes: Option<Vec<String>>,
    /// Its hash, hexadecimal.
    pub hash: String,
    /// Ed25519 over the hash, hexadecimal.
    pub signature: String,
    /// The signed end of its day, and what leads there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_end: Option<ProofDayEnd>,
    /// Why there is none: `running` (the day is not over), `older-format` (an earlier version closed it), `damaged` (other
    /// blocks of the day do not read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_day_end: Option<String>,
}

/// The signed end of a day: the operator may have left its hash with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofDayEnd {
    /// The head of its seal block as it is hashed, hexadecimal.
    pub head: String,
    /// The hash that ends the day before, hexadecimal.
    pub before: String,
    /// The root of the tree over the hashes of the day's blocks, hexadecimal.
    pub tree: String,
    /// Its hash, hexadecimal: what `caducee traces heads` lists.
    pub hash: String,
    /// Ed25519 over the hash, hexadecimal.
    pub signature: String,
    /// What leads from the block's hash to the root of the tree, hexadecimal, from the bottom up.
    pub path: Vec<String>,
}

impl Proof {
    /// A proof from its parts; `made_at` is an instant.
    pub fn of(operator: &str, made_at: &str, message_id: &str, found: Proved) -> Self {
        let public_key = found.steps.first().map(|(_, parts)| public_key_pem(&parts.public_key)).unwrap_or_default();
        let (mut steps, mut blocks) = (Vec::new(), Vec::new());
        let mut numbers = HashMap::<Hash, usize>::new();
        for (trace, parts) in found.steps {
            let block = *numbers.entry(parts.hash).or_insert_with(|| {
                blocks.push(ProofBlock::of(&parts));
                blocks.len() - 1
            });
            // The scribe writes JSON.
            let text = String::from_utf8_lossy(&parts.text).into_owned();
            let path = (parts.format == BlockFormat::Two).then(|| hex_list(&parts.hashes));
            steps.push(ProofStep {
                trace: trace.into(),
                text,
                prefix: hex(&parts.prefix),
                block,
                line: parts.line,
                path,
            });
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
        let no_day_end = parts.day_end.as_ref().err().map(|why| match why {
            NoDayEnd::Running => "running".to_owned(),
            NoDayEnd::OlderFormat => "older-format".to_owned(),
            NoDayEnd::Damaged => "damaged".to_owned(),
        });
        Self {
            day: parts.head.day.to_string(),
            number: parts.head.number,
            format: parts.format as u8,
            head: hex(&parts.head.encode()),
            line_hashes: (parts.format == BlockFormat::One).then(|| hex_list(&parts.hashes)),
            hash: hex(&parts.hash),
            signature: hex(&parts.signature),
            day_end: parts.day_end.as_ref().ok().map(ProofDayEnd::of),
            no_day_end,
        }
    }
}

impl ProofDayEnd {
    fn of(DayEnd { head, path }: &DayEnd) -> Self {
        Self {
            head: hex(&head.block_head().encode()),
            before: hex(&head.before),
            tree: head.tree.as_ref().map(|tree| hex(tree)).unwrap_or_default(),
            hash: hex(&head.hash),
            signature: hex(&head.signature),
            path: hex_list(path),
        }
    }
}

fn hex_list(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| hex(hash)).collect()
}
