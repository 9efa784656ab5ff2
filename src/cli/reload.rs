//! `caducee reload` and `caducee status`: the running server itself.

use std::process::ExitCode;

use clap::Args;
use hyper::Method;

use super::client::{ServerArguments, path};
use super::output::{Exit, pairs, size};
use crate::serve::http::types::{Reloaded, Status};

/// Makes the running server read certificates, CRLs, white list and configuration again
#[derive(Args, Debug)]
pub(super) struct Reload {
    #[command(flatten)]
    server: ServerArguments,
}

impl Reload {
    pub(super) fn run(self) -> ExitCode {
        self.server.run(async |client, output| {
            let reloaded: Reloaded = client.call(Method::POST, &path(&["reload"])).await?;
            output.result(&reloaded, |reloaded| {
                let mut text = format!("Read again: {}.", reloaded.reloaded.join(", "));
                if !reloaded.needs_restart.is_empty() {
                    text.push_str("\nChanged, but only a restart brings into force: ");
                    text.push_str(&reloaded.needs_restart.join(", "));
                    text.push('.');
                }
                for problem in &reloaded.problems {
                    text.push_str("\nNot refreshed: ");
                    text.push_str(problem);
                }
                text
            });
            Ok(if reloaded.problems.is_empty() { Exit::Done } else { Exit::Partly })
        })
    }
}

/// Tells how the running server is
#[derive(Args, Debug)]
pub(super) struct StatusCommand {
    #[command(flatten)]
    server: ServerArguments,
}

impl StatusCommand {
    pub(super) fn run(self) -> ExitCode {
        self.server.run(async |client, output| {
            let status: Status = client.get(&path(&["status"])).await?;
            output.result(&status, details);
            // A script that only looks at the exit code must learn of trouble too.
            Ok(if status.trouble.is_none() { Exit::Done } else { Exit::Failed })
        })
    }
}

fn details(status: &Status) -> String {
    pairs([
        ("server", status.name.clone()),
        ("version", status.version.clone()),
        ("started", status.started_at.clone()),
        ("process", status.pid.to_string()),
        ("domains", status.domains.to_string()),
        ("mailboxes", status.mailboxes.to_string()),
        ("open to a password alone", password_alone(status.password_alone)),
        ("message limit", size(status.message_limit)),
        ("white list of", status.white_list_generated_at.clone().unwrap_or_else(|| "(no white list)".into())),
        ("trouble", status.trouble.clone().unwrap_or_default()),
    ])
}

fn password_alone(mailboxes: u64) -> String {
    match mailboxes {
        0 => "no mailbox".into(),
        1 => "1 mailbox, for tests: caducee mailbox list --password-alone".into(),
        many => format!("{many} mailboxes, for tests: caducee mailbox list --password-alone"),
    }
}
