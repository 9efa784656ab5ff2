//! The command line: one file a subcommand.
//!
//! A subcommand is a struct of arguments (clap derive) with `run(self) -> ExitCode`. Verbs that act on a running server
//! are clients of its administration API ([`client`]). Results go to standard output, as tables for people and with
//! `--json` for scripts; everything else goes to standard error ([`output`]).
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | refused or failed; standard error says why |
//! | 2 | wrong use of the command line |
//! | 3 | the server cannot be reached on its administration socket |
//! | 4 | this user may not administer the server |
//! | 5 | finished, but some messages were left out; they are listed |

mod check;
pub mod client;
mod device;
mod directory;
mod directory_lookup;
mod dns;
mod domain;
pub mod export;
pub mod files;
mod follow;
pub mod import;
mod indicators;
mod lifecycle;
mod mailbox;
mod notice;
pub mod output;
mod person;
mod queue;
mod reload;
mod sandbox;
mod secret;
mod serve;
mod session;
mod store;
mod terms;
mod tie;
mod trace_line;
mod traces;
mod trust;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The mail server of an MSSanté operator.
#[derive(Debug, Parser)]
#[command(name = "caducee", version, propagate_version = true, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong use, 3 server unreachable, 4 not allowed, 5 done in part."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// The subcommands, in the order of the help. One line here and one in [`run`] for each.
#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Device(device::DeviceCommand),
    Directory(directory::DirectoryCommand),
    Dns(dns::DnsCommand),
    Domain(domain::DomainCommand),
    Follow(follow::Follow),
    Mailbox(mailbox::MailboxCommand),
    Lifecycle(lifecycle::LifecycleCommand),
    Import(import::Import),
    Export(export::Export),
    Indicators(indicators::IndicatorsCommand),
    Person(person::PersonCommand),
    Notice(notice::NoticeCommand),
    Queue(queue::QueueCommand),
    Reload(reload::Reload),
    Sandbox(sandbox::Sandbox),
    Serve(serve::Serve),
    Session(session::SessionCommand),
    Status(reload::StatusCommand),
    Store(store::StoreCommand),
    Traces(traces::TracesCommand),
    Terms(terms::TermsCommand),
    Trust(trust::TrustCommand),
}

/// Runs what the process's arguments ask for.
pub fn run() -> ExitCode {
    match CommandLine::parse().command {
        Command::Check(check) => check.run(),
        Command::Device(device) => device.run(),
        Command::Directory(directory) => directory.run(),
        Command::Dns(dns) => dns.run(),
        Command::Domain(domain) => domain.run(),
        Command::Follow(follow) => follow.run(),
        Command::Mailbox(mailbox) => mailbox.run(),
        Command::Lifecycle(lifecycle) => lifecycle.run(),
        Command::Import(import) => import.run(),
        Command::Export(export) => export.run(),
        Command::Indicators(indicators) => indicators.run(),
        Command::Person(person) => person.run(),
        Command::Notice(notice) => notice.run(),
        Command::Queue(queue) => queue.run(),
        Command::Reload(reload) => reload.run(),
        Command::Sandbox(sandbox) => sandbox.run(),
        Command::Serve(serve) => serve.run(),
        Command::Session(session) => session.run(),
        Command::Status(status) => status.run(),
        Command::Store(store) => store.run(),
        Command::Traces(traces) => traces.run(),
        Command::Terms(terms) => terms.run(),
        Command::Trust(trust) => trust.run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_makes_sense() {
        CommandLine::command().debug_assert();
    }
}
