//! Mailboxes and accounts, over the in-memory engine and the embedded one: one file a capability.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking, and is nobody's library")]

mod absence;
mod access;
mod accounts_life;
mod across;
mod concurrency;
mod conversations;
mod copy_and_move;
mod devices;
mod digger;
mod digging;
mod factors;
mod flags;
mod folders;
mod forwarding;
mod isolation;
mod keys_killed;
mod logins;
mod notices;
mod queue;
mod queue_keys;
mod quotas;
mod reports;
mod scene;
mod second_opinion;
mod sending;
mod sessions;
mod support;
mod uids;
