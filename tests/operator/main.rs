//! The operator's duties, from outside: the real server in a sandbox, other people's programs around it.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod directory;
mod directory_kills;
mod directory_search;
mod directory_site;
mod directory_verify;
