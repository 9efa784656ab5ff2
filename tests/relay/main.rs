//! The relay: faults of peers one by one, sessions that are shared, a day with two hundred peers, and the real network.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod bodies;
mod destinations;
mod dns;
mod documentation;
mod faults;
mod peer;
mod queued;
mod sessions;
mod simulation;
mod tls;
mod world;

#[path = "../house/pki.rs"]
#[allow(dead_code, reason = "this binary uses the part it needs")]
mod pki;

#[path = "../support/mod.rs"]
mod support;
