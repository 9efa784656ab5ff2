//! The operator's duties, from outside: what the server does beside the mail.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../sending/site.rs"]
#[allow(dead_code, reason = "this group plays no peer")]
mod site;
#[path = "../support/mod.rs"]
mod support;

mod notices;
