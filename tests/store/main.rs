//! The store: its meaning on both engines, and what the embedded one promises when things go wrong.

mod conformance;
mod inspection;
mod kill;
mod mailbox;
mod recovery;
mod refusal;
mod support;
