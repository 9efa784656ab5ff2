//! SMTP: the engine by itself, and foreign clients at the door of a sandbox.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../../fuzz/checks/smtp.rs"]
mod conversation;
#[path = "../support/mod.rs"]
mod support;

mod delivered;
mod documentation;
mod door;
mod engine;
mod engine_limits;
mod engine_properties;
mod reconfigured;
mod refusals;
mod submission;
