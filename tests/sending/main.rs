//! Mail that leaves, from outside: the real server against a peer that misbehaves, and against its own sudden end.

#[path = "../support/mod.rs"]
mod support;

mod both_ways;
mod faults;
mod kill;
mod site;
