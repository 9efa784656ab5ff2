//! `caducee domain`: the operator's own domains.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;

use super::client::{Client, ClientError, ServerArguments, path};
use super::output::{Exit, Output, pairs, table};
use crate::serve::http::types::{Domain, Domains, NewDomain};

/// The operator's own domains
#[derive(Args, Debug)]
pub(super) struct DomainCommand {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Adds a domain; mailboxes can then be created in it
    Add {
        /// Its name
        name: String,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
    },
    /// Lists the domains, and whether the white list knows them
    List,
    /// Shows one domain
    Show {
        /// Its name
        name: String,
    },
    /// Removes a domain; refused while a mailbox stands in it
    Remove {
        /// Its name
        name: String,
    },
}

impl DomainCommand {
    pub(super) fn run(self) -> ExitCode {
        let verb = self.verb;
        self.server.run(async |client, output| verb.run(client, output).await)
    }
}

impl Verb {
    async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        match self {
            Self::Add { name, description } => {
                let domain: Domain =
                    client.send(Method::POST, &path(&["domains"]), &NewDomain { name, description }).await?;
                output.result(&domain, |domain| format!("{} added.{}", domain.name, not_listed(domain)));
            }
            Self::List => {
                let domains: Domains = client.get(&path(&["domains"])).await?;
                output.result(&domains, |domains| listing(&domains.domains));
            }
            Self::Show { name } => {
                let domain: Domain = client.get(&path(&["domains", &name])).await?;
                output.result(&domain, details);
            }
            Self::Remove { name } => {
                client.order(Method::DELETE, &path(&["domains", &name])).await?;
                output.result(&serde_json::json!({ "removed": name }), |_| format!("{name} removed."));
            }
        }
        Ok(Exit::Done)
    }
}

fn listed(domain: &Domain) -> &'static str {
    match domain.listed {
        Some(true) => "yes",
        Some(false) => "no",
        None => "no white list",
    }
}

fn not_listed(domain: &Domain) -> &'static str {
    match domain.listed {
        Some(false) => {
            "\nIt is not in the white list: other operators will refuse its mail until the ANS has listed it."
        }
        _ => "",
    }
}

fn listing(domains: &[Domain]) -> String {
    if domains.is_empty() {
        return "No domain yet: caducee domain add NAME".into();
    }
    let row = |domain: &Domain| {
        [
            domain.name.clone(),
            domain.mailboxes.to_string(),
            listed(domain).into(),
            domain.created_at.clone().unwrap_or_default(),
            domain.description.clone(),
        ]
    };
    table(["domain", "mailboxes", "in white list", "added", "description"], domains.iter().map(row))
}

fn details(domain: &Domain) -> String {
    pairs([
        ("domain", domain.name.clone()),
        ("description", domain.description.clone()),
        ("added", domain.created_at.clone().unwrap_or_default()),
        ("mailboxes", domain.mailboxes.to_string()),
        ("in white list", listed(domain).into()),
    ])
}
