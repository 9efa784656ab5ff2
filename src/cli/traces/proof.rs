//! `caducee traces proof`: a directory that shows what became of a message, without us.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Args;

use super::page;
use crate::cli::client::{Client, ClientError, path, query};
use crate::cli::output::{Exit, Output};
use crate::serve::http::types::{Proof, ProofQuery};

/// What checks a proof: the reader's own tools, and these lines.
const SCRIPT: &str = include_str!("verify.py");

#[derive(Args, Debug)]
pub(super) struct ProofArguments {
    /// The message's Message-ID, with or without its angle brackets
    message_id: String,
    /// The directory to write proof.json, proof.html and verify.py into, which only you can read; made where it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl ProofArguments {
    pub(super) async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        let wanted = ProofQuery { message_id: self.message_id };
        let proof: Proof = client.get(&(path(&["traces", "proof"]) + &query(&wanted)?)).await?;
        let json = serde_json::to_string_pretty(&proof).map_err(|error| ClientError::Local(error.to_string()))?;
        let local = |error: std::io::Error| ClientError::Local(format!("{}: {error}", self.out.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(&self.out).map_err(local)?;
        let write = |name: &str, content: &str| write_new(&self.out.join(name), content);
        write("proof.json", &json)?;
        write("proof.html", &page::written(&proof, &json, SCRIPT))?;
        write("verify.py", SCRIPT)?;
        for gap in &proof.gaps {
            output.note(&format!("There may be further steps: {gap}"));
        }
        let open: BTreeSet<_> =
            proof.blocks.iter().filter_map(|block| Some((&block.day, block.no_day_end.as_deref()?))).collect();
        for (day, why) in open {
            output.note(&format!("{day}: signed, under no day's end: {}", in_words(why)));
        }
        output.result(&proof, |proof| {
            format!(
                "{} steps of {}, in {}: proof.html to read, proof.json to verify:\n  python3 {} {}",
                proof.steps.len(),
                proof.message_id,
                self.out.display(),
                self.out.join("verify.py").display(),
                self.out.join("proof.json").display(),
            )
        });
        Ok(if proof.gaps.is_empty() { Exit::Done } else { Exit::Partly })
    }
}

/// Why a block is shown without the end of its day.
fn in_words(why: &str) -> &str {
    match why {
        "running" => "the day is not over; ask again tomorrow",
        "older-format" => "an earlier version closed the day",
        "damaged" => "other blocks of the day do not read",
        other => other,
    }
}

/// Evidence names people: only the caller reads it. One that is there is not written over.
fn write_new(path: &Path, content: &str) -> Result<(), ClientError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let local = |error: std::io::Error| ClientError::Local(format!("{}: {error}", path.display()));
    file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(local)
}
