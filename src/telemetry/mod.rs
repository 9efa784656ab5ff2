//! What the server tells about itself: log lines ([`logging`]) and figures ([`Metrics`]).
//!
//! Two rules:
//! 1. Never content: no body, no subject, no patient, no password, no token. Addresses of mailboxes only in functional
//!    traces (`audit`), never as a metric's label.
//! 2. Labels come from closed sets (typed, or a rule's name), so that nobody's input makes a new time series.

pub mod logging;
mod metrics;
mod process;

pub use metrics::{
    AccountLabel, CommitLatency, Door, DoorLabel, Labelled, Metrics, NoticeLabel, ReasonLabel, ResultLabel, RuleLabel,
    TlsLabel, render,
};
