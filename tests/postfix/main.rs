//! A real Postfix as a third operator: it delivers to us over mutual TLS with a certificate of its own, and makes
//! something of our refusals.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod delivery;
mod outbound;
mod peer;
