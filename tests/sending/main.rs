//! The real server from outside, against a peer that misbehaves, a disk that is full, and its own sudden end.

#[path = "../support/mod.rs"]
mod support;

mod both_ways;
mod faults;
mod kill;
mod refused;
mod site;
mod traced_kill;
mod untraced;
