//! What the sandbox promises, held against it from outside: OpenSSL judges its certificates, xmlsec1 its white list, curl its
//! mailboxes.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod contract;
mod figures;
mod kept_stores;
mod life;
mod mail;
mod mailboxes;
mod white_list;
