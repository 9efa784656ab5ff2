//! The operator's duties, from outside: what the server does beside the mail, with other people's programs around it.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

#[path = "../sending/site.rs"]
#[allow(dead_code, reason = "this group plays no peer")]
mod site;
#[path = "../support/mod.rs"]
mod support;

mod directory;
mod directory_kills;
mod directory_search;
mod directory_site;
mod directory_verify;
mod life;
mod notices;
mod story;
mod story_town;
