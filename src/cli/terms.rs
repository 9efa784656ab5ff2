//! `caducee terms`: the terms of use.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;

use super::client::{Client, ClientError, ServerArguments, path};
use super::output::{Exit, Output, table};
use crate::serve::http::types::{AllTerms, Mailbox, NewTermsOfUse, TermsAcceptance, TermsOfUse};

/// The terms of use that holders accept
#[derive(Args, Debug)]
pub(super) struct TermsCommand {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Adds a version; it is asked for from its first day on, and cannot be taken back
    Add {
        /// Its name: letters, digits and .-_
        #[arg(value_name = "VERSION")]
        name: String,
        /// A file with its text, in UTF-8, an empty line between paragraphs
        file: PathBuf,
        /// The first day on which it is asked for, as 2027-03-01 [default: today]
        #[arg(long, value_name = "DATE")]
        from: Option<String>,
        /// The last day on which open mailboxes go on without it [default: terms.grace after the first]
        #[arg(long, value_name = "DATE")]
        accept_by: Option<String>,
    },
    /// Lists the versions
    List,
    /// Shows the text of a version
    Show {
        /// Which
        #[arg(value_name = "VERSION")]
        name: String,
    },
    /// Notes that a mailbox's holder has accepted them, on paper say; a mailbox that waits for it opens
    Accept {
        /// The mailbox
        address: String,
        /// Which version: the one that is asked for now
        #[arg(value_name = "VERSION")]
        name: String,
    },
}

impl TermsCommand {
    pub(super) fn run(self) -> ExitCode {
        let verb = self.verb;
        self.server.run(async |client, output| verb.run(client, output).await)
    }
}

impl Verb {
    async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        match self {
            Self::Add { name: version, file, from, accept_by } => {
                let unreadable = |problem| ClientError::Local(format!("{}: {problem}", file.display()));
                let text = std::fs::read_to_string(&file).map_err(unreadable)?;
                let new = NewTermsOfUse { version, text, from, accept_by };
                let terms: TermsOfUse = client.send(Method::POST, &path(&["terms"]), &new).await?;
                output.result(&terms, |terms| {
                    let TermsOfUse { version, from, accept_by, .. } = terms;
                    format!("{version} is asked for from {from} on, and to be accepted by {accept_by}.")
                });
            }
            Self::List => {
                let all: AllTerms = client.get(&path(&["terms"])).await?;
                output.result(&all, listing);
            }
            Self::Show { name: version } => {
                let terms: TermsOfUse = client.get(&path(&["terms", &version])).await?;
                output.result(&terms, |terms| terms.text.clone().unwrap_or_default());
            }
            Self::Accept { address, name: version } => {
                let way = path(&["mailboxes", &address, "terms"]);
                let mailbox: Mailbox = client.send(Method::POST, &way, &TermsAcceptance { version }).await?;
                output.result(&mailbox, |mailbox| format!("{} is {}.", mailbox.address, mailbox.state));
            }
        }
        Ok(Exit::Done)
    }
}

fn listing(all: &AllTerms) -> String {
    if all.versions.is_empty() {
        return "There are no terms of use: nobody is asked for any.".to_owned();
    }
    let row = |terms: &TermsOfUse| {
        [
            terms.version.clone(),
            terms.from.clone(),
            terms.accept_by.clone(),
            terms.sha256.clone(),
            terms.added_by.clone(),
        ]
    };
    table(["version", "from", "accept by", "SHA-256", "added by"], all.versions.iter().map(row))
}
