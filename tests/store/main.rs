//! The store: its meaning on both engines, and what the embedded one promises when things go wrong.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod compaction;
mod compaction_caution;
mod conformance;
mod histories;
mod inspection;
mod keys;
mod kill;
mod mailbox;
mod power_cut;
mod recovery;
mod refusal;
mod support;
mod traces;
