//! `caducee person`: what is held about somebody (GDPR), and what of it can be erased.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;

use super::client::{Client, ClientError, ServerArguments, collect, empty, path};
use super::output::{Exit, Output, pairs, table};
use crate::serve::http::types::{Erasure, ErasureLine, ErasureOrder, Person};

/// What is held about a person: told, or erased as far as it may be (GDPR)
#[derive(Args, Debug)]
pub(super) struct PersonCommand {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Tells all that is held about a person, why, and until when
    Export {
        /// The person's national id, as 899700000001
        national_id: String,
        /// Writes it as JSON and as a page to read into this directory, which is made if it is not there
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Shows what can be erased about a person and what stays, and why; erases nothing without --really
    Erase {
        /// The person's national id, as 899700000001
        national_id: String,
        /// Erases it
        #[arg(long)]
        really: bool,
    },
}

impl PersonCommand {
    pub(super) fn run(self) -> ExitCode {
        let verb = self.verb;
        self.server.run(async |client, output| verb.run(client, output).await)
    }
}

impl Verb {
    async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        match self {
            Self::Export { national_id, out } => {
                let person: Person = client.get(&path(&["persons", &national_id])).await?;
                let mut files = Vec::new();
                if let Some(directory) = out {
                    let page =
                        client.raw(Method::GET, &path(&["persons", &national_id, "page"]), None, empty()).await?;
                    let page = collect(page.into_body()).await?;
                    files = write(&directory, &person, &page)?;
                }
                output.result(&person, |person| told(person, &files));
            }
            Self::Erase { national_id, really } => {
                let order = ErasureOrder { really };
                let erasure: Erasure =
                    client.send(Method::POST, &path(&["persons", &national_id, "erase"]), &order).await?;
                output.result(&erasure, erased);
            }
        }
        Ok(Exit::Done)
    }
}

/// Two files that only the caller reads.
fn write(directory: &Path, person: &Person, page: &[u8]) -> Result<Vec<PathBuf>, ClientError> {
    let local = |problem: std::io::Error| ClientError::Local(format!("{}: {problem}", directory.display()));
    std::fs::create_dir_all(directory).map_err(local)?;
    // An id is what an employer gave: not all of them make a file's name.
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let name: String = person.person.chars().filter(is_plain).collect();
    let json = serde_json::to_vec_pretty(person).map_err(|problem| ClientError::Local(problem.to_string()))?;
    let mut files = Vec::new();
    for (ending, bytes) in [("json", json.as_slice()), ("html", page)] {
        let place = directory.join(format!("personne-{name}.{ending}"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place);
        let there = |problem: std::io::Error| ClientError::Local(format!("{}: {problem}", place.display()));
        file.and_then(|mut file| file.write_all(bytes)).map_err(there)?;
        files.push(place);
    }
    Ok(files)
}

fn told(person: &Person, files: &[PathBuf]) -> String {
    let addresses: Vec<String> =
        person.mailboxes.iter().map(|mailbox| format!("{} ({})", mailbox.address, mailbox.state)).collect();
    let structures: Vec<&str> = person.responsible_for.iter().map(|held| held.mailbox.as_str()).collect();
    let accepted: Vec<&str> = person.accepted.iter().map(|each| each.mailbox.as_str()).collect();
    let access: Vec<&str> = person.access.iter().map(|access| access.mailbox.as_str()).collect();
    let traces = match (&person.traces.first, &person.traces.last) {
        (Some(first), Some(last)) => format!("{}, from {first} to {last}", person.traces.count),
        _ => person.traces.count.to_string(),
    };
    let mut text = pairs([
        ("person", person.person.clone()),
        ("mailboxes", addresses.join(", ")),
        ("responsible for", structures.join(", ")),
        ("terms accepted for", accepted.join(", ")),
        ("on access lists of", access.join(", ")),
        ("means elsewhere", person.means.len().to_string()),
        ("open sessions", person.sessions.len().to_string()),
        ("traces", traces),
    ]);
    if !person.traces.unreadable.is_empty() {
        text.push_str("\nSome of the traces do not read: there may be more (`caducee traces verify`)");
    }
    if files.is_empty() {
        text.push_str("\nAll of it, with why and until when: --out DIR, or --json");
    }
    files.iter().for_each(|file| text.push_str(&format!("\n{}", file.display())));
    text
}

fn erased(erasure: &Erasure) -> String {
    let row = |line: &ErasureLine| {
        let (mailbox, until) = (line.mailbox.clone().unwrap_or_default(), line.until.clone().unwrap_or_default());
        [line.what.clone(), mailbox, line.why.clone(), until]
    };
    let listed = |lines: &[ErasureLine]| table(["what", "mailbox", "why", "until"], lines.iter().map(row));
    let head = match (erasure.done, erasure.erased.is_empty()) {
        (_, true) => "Nothing can be erased.".to_owned(),
        (true, false) => format!("Erased:\n{}", listed(&erasure.erased)),
        (false, false) => {
            format!("Would be erased (nothing was; say --really):\n{}", listed(&erasure.erased))
        }
    };
    if erasure.kept.is_empty() { head } else { format!("{head}\nStays:\n{}", listed(&erasure.kept)) }
}
