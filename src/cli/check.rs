//! `caducee check`: everything that is wrong with a configuration, at once, before the server is started with it.

use super::output::Exit;
use crate::config::{Config, ConfigError};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Tells everything that is wrong with a configuration, at once
#[derive(Args, Debug)]
pub(super) struct Check {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/caducee/caducee.toml")]
    config: PathBuf,
}

impl Check {
    pub(super) fn run(self) -> ExitCode {
        match Config::load(&self.config) {
            Ok(_) => Exit::Done.into(),
            Err(error @ (ConfigError::Unreadable { .. } | ConfigError::Problems(_))) => {
                eprintln!("{error}");
                Exit::Failed.into()
            }
        }
    }
}
