//! Traces: who did what, when, on which mailbox, from where, and what came of it (MSSanté §11). Never content, never a
//! subject, never a folder's name (people name folders after patients).
//!
//! ```text
//! a change of mail, of an account … ─▶ Tracer::note ─▶ the change's own Batch ─▶ commit: as durable as the change
//!                                                         │ WaitingTrace, sealed, by time
//!                                                      the scribe ─▶ counted for the month, chained, signed ─▶ a day's file
//! ```
//!
//! # Rules
//!
//! 1. A trace is written in the commit that makes it true: it says nothing that did not happen, and is silent about nothing
//!    that did. What changes nothing (a login, a reading) gets a commit of its own.
//! 2. What lies on disk is sealed: an address may be a citizen's national health identity.
//! 3. Mail waits for no trace beyond that commit. Where traces cannot be kept, mail stops with temporary errors.

mod action;
mod asker;
mod beyond;
mod facets;
mod found;
pub mod indicators;
mod observe;
mod parts;
mod query;
mod reading;
mod scribe;
mod tracer;
mod witness;

pub use action::{Action, Actor, By, FolderKind, MessageFacts, Origin, Part, Stream, Trace};
pub use asker::Asker;
pub use beyond::{Beyond, OneByOne, Refusals};
pub use observe::Observer;
pub use query::TraceQuery;
pub use reading::{Found, Proved, Traces, TracesError};
pub use scribe::{Scribe, ScribeOptions};
pub use tracer::{Tracer, now};
