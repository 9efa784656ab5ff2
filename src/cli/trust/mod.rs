//! `caducee trust`: the white list, the CRLs, and why the rules decide as they do.

mod explain;
mod offline;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;

use self::explain::Explain;
use super::client::{Client, ClientError, ServerArguments, path, query};
use super::output::{Exit, Output, pairs, table};
use crate::serve::http::trust::types::{CrlSource, Entries, EntryQuery, RefreshOrder, Refreshed, TrustStatus};

/// The white list, the CRLs, and why the rules decide as they do
#[derive(Args, Debug)]
pub(super) struct TrustCommand {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Tells how the white list and the CRLs stand; exit code 1 if something needs a look
    Status,
    /// Asks the sources of the white list and of the CRLs now
    Refresh {
        /// Take the list even if it lost more entries than trust.max_shrink allows
        #[arg(long)]
        accept_shrink: bool,
    },
    /// Lists the white list's entries
    List {
        /// Only those of this domain
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
        /// Only those with this text in domain, certificate subject or description
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u64,
        /// How many to leave out at the beginning
        #[arg(long, value_name = "N", default_value_t = 0)]
        offset: u64,
    },
    Explain(Explain),
}

impl TrustCommand {
    pub(super) fn run(self) -> ExitCode {
        let Self { server, verb } = self;
        match verb {
            Verb::Explain(explain) if explain.is_offline() => explain.run_offline(&server),
            verb => server.run(async |client, output| verb.run(client, output).await),
        }
    }
}

impl Verb {
    async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        match self {
            Self::Status => {
                let status: TrustStatus = client.get(&path(&["trust"])).await?;
                output.result(&status, overview);
                Ok(if status.alarms.is_empty() { Exit::Done } else { Exit::Failed })
            }
            Self::Refresh { accept_shrink } => refresh(client, output, RefreshOrder { accept_shrink }).await,
            Self::List { domain, search, limit, offset } => {
                let question = EntryQuery { domain, search, limit: Some(limit), offset: Some(offset) };
                let path = path(&["trust", "entries"]) + &query(&question)?;
                let entries: Entries = client.get(&path).await?;
                output.result(&entries, listing);
                Ok(Exit::Done)
            }
            Self::Explain(explain) => explain.run(client, output).await,
        }
    }
}

async fn refresh(client: &mut Client, output: &Output, order: RefreshOrder) -> Result<Exit, ClientError> {
    let refreshed: Refreshed = client.send(Method::POST, &path(&["trust", "refresh"]), &order).await?;
    output.result(&refreshed, |refreshed| {
        let list = match refreshed.white_list.as_str() {
            "taken" => "A new white list is in force.",
            _ => "The white list in force is the newest.",
        };
        format!("{list}\n\n{}", overview(&refreshed.status))
    });
    // Some of what was asked for did not come; it is listed.
    Ok(if refreshed.failed_crl_sources == 0 { Exit::Done } else { Exit::Partly })
}

fn overview(status: &TrustStatus) -> String {
    let list = &status.white_list;
    let in_force = list.in_force.as_ref();
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut text = pairs([
        ("white list", list.source.clone()),
        ("generated", in_force.map_or_else(|| "(no list in force)".into(), |list| list.generated_at.clone())),
        ("entries", in_force.map_or_else(String::new, |list| list.entries.to_string())),
        ("domains", in_force.map_or_else(String::new, |list| list.domains.to_string())),
        ("certificates", in_force.map_or_else(String::new, |list| list.peers.to_string())),
        (
            "unreadable",
            in_force.filter(|list| list.unreadable > 0).map_or_else(String::new, |list| list.unreadable.to_string()),
        ),
        (
            "from the copy",
            in_force.filter(|list| list.from_cache).map_or_else(String::new, |_| "yes, not yet confirmed".into()),
        ),
        ("last asked", optional(&list.last_attempt_at)),
        ("last good answer", optional(&list.last_success_at)),
        ("last result", optional(&list.last_result)),
        ("next asked", optional(&list.next_attempt_at)),
    ]);
    text.push_str("\n\n");
    text.push_str(&crls(&status.crls));
    for alarm in &status.alarms {
        text.push_str(&format!("\n! {alarm}"));
    }
    text
}

fn crls(sources: &[CrlSource]) -> String {
    let rows = sources.iter().flat_map(|source| {
        let result = source.last_result.clone().unwrap_or_else(|| "not asked yet".into());
        let row = move |issuer: String, next: String, revoked: String| {
            [source.side.clone(), issuer, next, revoked, result.clone(), source.source.clone()]
        };
        if source.lists.is_empty() {
            return vec![row("(no list)".into(), String::new(), String::new())];
        }
        let lists = source.lists.iter();
        lists.map(|list| row(list.issuer.clone(), list.next_update.clone(), list.revoked.to_string())).collect()
    });
    table(["CRLs of", "issuer", "next update", "revoked", "last result", "source"], rows)
}

fn listing(entries: &Entries) -> String {
    if entries.total == 0 {
        return "No entry fits.".into();
    }
    let rows = entries.entries.iter().map(|entry| {
        [
            entry.domain.clone(),
            entry.dn.clone(),
            entry.updated_at.clone().unwrap_or_default(),
            entry.description.clone(),
        ]
    });
    let mut text = table(["domain", "certificate subject", "changed", "description"], rows);
    let shown = entries.entries.len() as u64;
    if shown < entries.total {
        text.push_str(&format!("\n{shown} of {} entries; more with --limit and --offset", entries.total));
    }
    text
}
