//! `caducee sandbox`: a whole trust space on loopback.

use super::output::Exit;
use super::tie::stdin_closed;
use crate::sandbox::{self, DEFAULT_BASE, Options};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Run a whole trust space on loopback: two operators with mailboxes and mail, a test PKI, a signed white list
///
/// Everything is kept in one directory: a later start in the same directory finds the same mailboxes, mail and
/// certificates. DIR/sandbox.json describes the sandbox for programs while it runs. Ctrl-C stops it.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Sandbox {
    #[command(subcommand)]
    ask: Option<Ask>,
    /// The sandbox's directory
    #[arg(long, value_name = "DIR", default_value = "sandbox")]
    dir: PathBuf,
    /// Count the ports from here: N+25 SMTP, N+143 IMAP, N+993 IMAP over TLS, N+912 metrics, the second operator's 1000
    /// higher; 0 takes free ports
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BASE)]
    base_port: u16,
    /// Stop when standard input ends: for programs that start a sandbox and must not leave it behind
    #[arg(long)]
    until_stdin_closes: bool,
}

/// What a running sandbox is asked for.
#[derive(Subcommand, Debug)]
enum Ask {
    /// Print a Pro Santé Connect access token of a person, good for two minutes
    Token {
        /// Who: a national id, or the address of a personal mailbox, as in DIR/sandbox.json (psc.persons)
        person: String,
        /// The sandbox's directory
        #[arg(long, value_name = "DIR", default_value = "sandbox")]
        dir: PathBuf,
    },
}

impl Sandbox {
    pub(super) fn run(self) -> ExitCode {
        let done = match &self.ask {
            Some(Ask::Token { person, dir }) => print_token(dir, person),
            None => self.run_until_stopped(),
        };
        match done {
            Ok(()) => Exit::Done.into(),
            Err(error) => {
                eprintln!("caducee: {error}");
                Exit::Failed.into()
            }
        }
    }

    fn run_until_stopped(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let stop = async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    () = stdin_closed(self.until_stdin_closes) => {}
                }
            };
            Ok(sandbox::run(Options { dir: self.dir, base_port: self.base_port }, stop).await?)
        })
    }
}

fn print_token(dir: &Path, person: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{}", runtime.block_on(sandbox::token(dir, person))?);
    Ok(())
}
