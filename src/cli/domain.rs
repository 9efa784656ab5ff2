//! `caducee domain`: the operator's own domains.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;

use super::client::{Client, ClientError, ServerArguments, path};
use super::mailbox::parse_size;
use super::output::{Exit, Output, pairs, size, table};
use crate::serve::http::types::{Domain, DomainChange, Domains, NewDomain};

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
    /// Changes a domain
    Set {
        /// Its name
        name: String,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// What all its mailboxes together may hold, as 2TiB, or none
        #[arg(long, value_name = "SIZE", value_parser = parse_bound)]
        quota: Option<Bound>,
        /// What each of its mailboxes may hold that has no quota of its own, as 5GiB, or none (the server's default)
        #[arg(long, value_name = "SIZE", value_parser = parse_bound)]
        mailbox_quota: Option<Bound>,
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
            Self::Set { name, description, quota, mailbox_quota } => {
                let change = DomainChange {
                    description,
                    quota: quota.map(|bound| bound.0),
                    mailbox_quota: mailbox_quota.map(|bound| bound.0),
                };
                if change == DomainChange::default() {
                    return Err(ClientError::Local("nothing to change: name at least one field (see --help)".into()));
                }
                let domain: Domain = client.send(Method::PATCH, &path(&["domains", &name]), &change).await?;
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

/// A size, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound(Option<u64>);

fn parse_bound(text: &str) -> Result<Bound, String> {
    if text == "none" { Ok(Bound(None)) } else { parse_size(text).map(|bytes| Bound(Some(bytes))) }
}

fn used(domain: &Domain) -> String {
    match (domain.quota, domain.used_bytes) {
        (Some(quota), Some(used)) => format!("{} of {}", size(used), size(quota)),
        (Some(quota), None) => size(quota),
        (None, _) => "no bound".to_owned(),
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
        ("used", used(domain)),
        ("quota of a mailbox", domain.mailbox_quota.map_or_else(|| "the server's".to_owned(), size)),
        ("in white list", listed(domain).into()),
    ])
}
