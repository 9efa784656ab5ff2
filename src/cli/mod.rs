//! The command line: one file a subcommand.

pub mod client;
pub mod output;
