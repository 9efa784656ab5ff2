//! The administration: the API over a socket with a store in memory, and the command line as its client.

mod cli;
mod connection;
mod domains;
mod harness;
mod hostile;
mod import_export;
mod mailboxes;
mod messages;
mod other_programs;
mod process;
