//! `caducee serve`: the server itself.

use super::output::Exit;
use super::tie::stdin_closed;
use crate::serve::runtime;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Run the server
///
/// SIGHUP (or `caducee reload`) reads certificates, CRLs, white list and configuration again without dropping a
/// connection. SIGTERM and SIGINT let sessions end within `server.drain`; a second one ends the process at once.
#[derive(Args, Debug)]
pub(super) struct Serve {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/caducee/caducee.toml")]
    config: PathBuf,
    /// Stop when standard input ends: for programs that start a server and must not leave it behind
    #[arg(long)]
    until_stdin_closes: bool,
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        match runtime::run(&self.config, stdin_closed(self.until_stdin_closes)) {
            Ok(()) => Exit::Done.into(),
            Err(error) => {
                // Also where logging is not set up yet: a configuration's problems, one a line.
                eprintln!("caducee: {error}");
                Exit::Failed.into()
            }
        }
    }
}
