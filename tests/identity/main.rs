//! Who people are, from outside: Pro Santé Connect, its look-alike, certificates, devices, shared mailboxes; by other people's
//! programs against the sandbox.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod autoconfig;
mod courriel;
mod devices;
mod dns;
mod fronts;
mod look_alike;
mod lookup;
mod portal;
mod psc;
mod scenarios;
mod thunderbird;
mod tokens;
