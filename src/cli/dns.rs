//! `caducee dns`: the records by which clients and other operators find us.

use super::output::{Exit, Output};
use crate::config::Config;
use crate::mss::Domain;
use crate::serve::outbound::dns::SystemResolver;
use crate::serve::published::{Finding, check, records};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Print or check the DNS records of your domains
#[derive(Args, Debug)]
pub(super) struct DnsCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the records that a domain should have, as lines of a zone file
    ///
    /// MX, SRV for IMAP and submission with both priorities of the API LPS (10 Pro Santé Connect, 20 applications), and those of
    /// autoconfiguration; names and ports are those of [published].
    Zone(Asked),
    /// Look the records up and tell what is wrong; ends with 1 when something is
    ///
    /// Asks the servers of relay.dns, or the system's.
    Check(Asked),
}

#[derive(Args, Debug)]
struct Asked {
    /// Domains
    #[arg(required = true, value_name = "DOMAIN", value_parser = Domain::parse)]
    domains: Vec<Domain>,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/caducee/caducee.toml")]
    config: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl DnsCommand {
    pub(super) fn run(self) -> ExitCode {
        let done = match &self.verb {
            Verb::Zone(asked) => zone(asked),
            Verb::Check(asked) => checked(asked),
        };
        done.map_or_else(
            |problem| {
                eprintln!("caducee: {problem}");
                Exit::Failed.into()
            },
            |exit| exit.into(),
        )
    }
}

fn zone(asked: &Asked) -> anyhow::Result<Exit> {
    let config = Config::load(&asked.config)?;
    let lines: Vec<String> =
        asked.domains.iter().flat_map(|domain| records(&config, domain)).map(|record| record.to_string()).collect();
    Output::new(asked.json).result(&lines, |lines| lines.join("\n"));
    Ok(Exit::Done)
}

fn checked(asked: &Asked) -> anyhow::Result<Exit> {
    let config = Config::load(&asked.config)?;
    let wanted: Vec<_> = asked.domains.iter().flat_map(|domain| records(&config, domain)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let resolver = SystemResolver::new(&config.relay);
    let findings = runtime.block_on(check(&resolver, &wanted));
    let wrong = findings.iter().filter(|finding| !finding.is_right()).count();
    let answer: Vec<Value> = findings.iter().map(as_json).collect();
    Output::new(asked.json).result(&answer, |_| {
        let lines = findings.iter().flat_map(in_words).collect::<Vec<String>>().join("\n");
        let count = match wrong {
            0 => "Everything is as it should be.".to_owned(),
            1 => "1 thing is wrong.".to_owned(),
            n => format!("{n} things are wrong."),
        };
        format!("{lines}\n{count}")
    });
    Ok(if wrong == 0 { Exit::Done } else { Exit::Failed })
}

fn as_json(finding: &Finding) -> Value {
    match finding {
        Finding::Right { name, found } => json!({ "name": name, "ok": true, "found": found }),
        Finding::Wrong { name, missing, surplus } => {
            json!({ "name": name, "ok": false, "missing": missing, "surplus": surplus })
        }
        Finding::Unanswered { name, why } => json!({ "name": name, "ok": false, "unanswered": why }),
        Finding::NoAddress { host, why } => json!({ "name": host, "ok": false, "no_address": why }),
    }
}

fn in_words(finding: &Finding) -> Vec<String> {
    match finding {
        Finding::Right { name, found } => vec![format!("ok       {name}: {}", found.join(", "))],
        Finding::Wrong { name, missing, surplus } => {
            let missing = missing.iter().map(|record| format!("missing  {name}: {record}"));
            let surplus = surplus.iter().map(|record| {
                format!("surplus  {name}: {record}: it is not in [published], and leads programs elsewhere")
            });
            missing.chain(surplus).collect()
        }
        Finding::Unanswered { name, why } => vec![format!("unknown  {name}: {why}")],
        Finding::NoAddress { host, why } => vec![format!("no host  {host}: records lead to it, and {why}")],
    }
}
