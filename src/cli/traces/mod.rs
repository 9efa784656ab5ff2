//! `caducee traces`: who did what, when, on which mailbox; and what shows that it is all there.

mod against;
mod csv;
mod page;
mod proof;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;

use super::client::{Client, ClientError, ServerArguments, path, query};
use super::output::{Exit, Output, table};
use super::trace_line::{Line, asker, line, time};
use crate::serve::http::types::{
    AcknowledgedTraces, FoundTraces, ShownTrace, TraceDays, TraceHead, TraceHeads, TraceSearch, VerifiedTraces,
};

/// Traces that one search gives, at most.
const MOST: u32 = 10_000;

/// Traces: who did what, when, on which mailbox, with which result
#[derive(Args, Debug)]
pub(super) struct TracesCommand {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Finds traces; the newest come first
    Search(SearchArguments),
    /// Reads the day files from end to end and tells what was taken out, changed or cut
    Verify {
        /// The first day, as 2026-11-25 [default: the oldest that is kept]
        #[arg(long, value_name = "DAY")]
        from: Option<String>,
        /// The last day [default: today]
        #[arg(long, value_name = "DAY")]
        to: Option<String>,
        /// What `traces heads --json` gave once: each of its heads must still be there
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// Ends the alarm of traces that were lost: you have seen what `verify` tells of them. Leaves a trace itself
    Acknowledge,
    /// Lists the signed end of each day: left with others, they show later that no day was written anew
    Heads {
        /// Only the public key, as a PEM file: what proofs are compared with
        #[arg(long)]
        pem: bool,
    },
    /// Writes evidence of what became of a message, which can be checked without us
    Proof(proof::ProofArguments),
}

#[derive(Args, Debug)]
struct SearchArguments {
    /// An address: of the mailbox, of a login, of a message's sender or recipient
    #[arg(long, value_name = "ADDRESS")]
    mailbox: Option<String>,
    /// A person's national id
    #[arg(long, value_name = "ID")]
    person: Option<String>,
    /// A message, with or without angle brackets
    #[arg(long, value_name = "MESSAGE-ID")]
    message_id: Option<String>,
    /// A network address, or the subject of another operator's certificate
    #[arg(long, value_name = "PEER")]
    peer: Option<String>,
    /// What happened, as logged-in, read, refused
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Not before: 2026-11-25 or 2026-11-25T13:00:00Z
    #[arg(long, value_name = "WHEN")]
    from: Option<String>,
    /// Not after; a day is meant whole
    #[arg(long, value_name = "WHEN")]
    to: Option<String>,
    /// At most so many, to 10000; what is said on standard error goes on from there
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    limit: u32,
    /// The oldest first
    #[arg(long)]
    oldest_first: bool,
    /// How they are shown
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table
    Text,
    /// One line a trace (RFC 4180)
    Csv,
    /// As the administration API gives it
    Json,
}

impl TracesCommand {
    pub(super) fn run(mut self) -> ExitCode {
        self.server.json |= matches!(&self.verb, Verb::Search(SearchArguments { format: Format::Json, .. }));
        let verb = self.verb;
        self.server.run(async |client, output| verb.run(client, output).await)
    }
}

impl Verb {
    async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        match self {
            Self::Search(arguments) => search(arguments, client, output).await,
            Self::Verify { from, to, against } => {
                let left = against.as_deref().map(against::read).transpose()?;
                let days = TraceDays { from, to };
                let mut found: VerifiedTraces = client.send(Method::POST, &path(&["traces", "verify"]), &days).await?;
                if let Some(left) = left {
                    let heads = client.get(&path(&["traces", "heads"])).await?;
                    against::hold(&left, &heads, &mut found);
                }
                output.result(&found, verified);
                Ok(if found.good { Exit::Done } else { Exit::Failed })
            }
            Self::Acknowledge => {
                let path = path(&["traces", "acknowledge"]);
                let done: AcknowledgedTraces = client.call(Method::POST, &path).await?;
                output.result(&done, |done| match done.acknowledged.as_slice() {
                    [] => "Nothing was lost.".into(),
                    lost => format!("Told no more:\n  {}", lost.join("\n  ")),
                });
                Ok(Exit::Done)
            }
            Self::Heads { pem } => {
                let heads: TraceHeads = client.get(&path(&["traces", "heads"])).await?;
                output.result(&heads, |heads| match pem {
                    true => heads.public_key_pem.trim_end().to_owned(),
                    false => listed_heads(heads),
                });
                Ok(Exit::Done)
            }
            Self::Proof(arguments) => arguments.run(client, output).await,
        }
    }
}

async fn search(arguments: SearchArguments, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
    let SearchArguments { mailbox, person, message_id, peer, action, from, to, limit, oldest_first, format } =
        arguments;
    let wanted = TraceSearch { mailbox, person, message_id, peer, action, from, to, limit: Some(limit), oldest_first };
    let found: FoundTraces = client.get(&(path(&["traces"]) + &query(&wanted)?)).await?;
    output.result(&found, |found| match format {
        Format::Csv => csv::written(&found.traces),
        Format::Text | Format::Json => listing(&found.traces),
    });
    if found.more {
        output.note(&go_on(limit, oldest_first, found.traces.last()));
    }
    for stretch in &found.unreadable {
        output.note(&format!("caducee: cannot be read, and is not searched: {stretch}"));
    }
    Ok(if found.unreadable.is_empty() { Exit::Done } else { Exit::Partly })
}

/// How the rest is found: the last trace's own moment belongs to both.
fn go_on(limit: u32, oldest_first: bool, last: Option<&ShownTrace>) -> String {
    let edge = if oldest_first { "--from" } else { "--to" };
    let at = last.map(|last| last.at.as_str()).unwrap_or_default();
    match limit < MOST {
        true => format!("There are more; a higher --limit shows them, or `{edge} {at}` goes on."),
        false => format!("There are more; `{edge} {at}` goes on."),
    }
}

fn listing(traces: &[ShownTrace]) -> String {
    if traces.is_empty() {
        return "Nothing is found.".into();
    }
    let row = |trace: &ShownTrace| {
        let Line { what, who, detail } = line(trace);
        [time(&trace.at), asker(trace), what, who, detail, trace.reference.clone()]
    };
    table(["time (UTC)", "who", "what", "whom", "detail", "reference"], traces.iter().map(row))
}

fn verified(found: &VerifiedTraces) -> String {
    let mut lines = Vec::new();
    for stream in &found.streams {
        let (name, problems) = (&stream.stream, stream.problems.len() as u64 + stream.more_problems);
        let verdict = if problems == 0 { "all as it was written".into() } else { format!("{problems} problems") };
        lines
            .push(format!("{name}: {} days, {} blocks, {} lines: {verdict}", stream.days, stream.blocks, stream.lines));
        lines.extend(stream.problems.iter().map(|problem| format!("  {problem}")));
        if stream.more_problems > 0 {
            lines.push(format!("  and {} more", stream.more_problems));
        }
    }
    lines.join("\n")
}

fn listed_heads(heads: &TraceHeads) -> String {
    let row = |head: &TraceHead| {
        let kept = if head.forgotten { "forgotten" } else { "kept" };
        [head.stream.clone(), head.day.clone(), head.lines.to_string(), kept.into(), head.hash.clone()]
    };
    let listed = table(["stream", "day", "lines", "", "hash at its end"], heads.heads.iter().map(row));
    format!("{listed}\n\nSigned with the Ed25519 key {} (signatures: --json).", heads.public_key)
}
