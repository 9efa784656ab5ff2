//! Publication in the national directory (Annuaire Santé, MSSanté §5, §9).
//!
//! ```text
//! outbox ── due ─▶ job: rounds, pauses, alarms ─▶ publish: one resource at a time ─▶ client: FHIR over HTTPS, at a pace
//!   ▲                                               read ─▶ what differs (contact) ─▶ patch ─▶ is it so now?
//!   └── done · later · a task for the administrator ◀──────────┘
//! ```
//!
//! The other way, what the directory says of everybody is looked up: in a copy of its daily extraction, or by asking it.
//!
//! ```text
//! source ── once a day ─▶ refresh ─▶ extraction: lines ─▶ copy: strings, words, groups ─┐
//!                            └▶ the last good one on disk                               ├─▶ search ─▶ entries
//!                                        client: FHIR, answers kept ten minutes ────────┘
//! ```
//!
//! # Rules
//!
//! 1. Nothing is written that was not read before: a try that was cut short is found done, or done again, never twice.
//! 2. A mailbox is done when the directory shows what it should, not when a request went well.
//! 3. 400, 404, 412 and their like are a task for the administrator, in the directory's own words; so is 403 of a directory that
//!    has answered this key before. 401, and 403 to all that is asked, stop everything, with an alarm: our key is refused. The
//!    rest is tried again, less and less often; when the directory is away, nothing is.
//! 4. A dead directory delays nobody's mail: all of this runs beside, and its requests have bounds of time, size and number.
//! 5. Our own contacts only are touched: those whose address is the mailbox's.

pub mod client;
pub mod contact;
pub mod copy;
pub mod extraction;
mod figures;
mod fold;
mod job;
mod pace;
pub mod patch;
mod publish;
mod refresh;
mod resource;
pub mod search;
mod setup;
pub mod verify;

pub use job::{Activity, DirectoryHandle, DirectoryJob};
pub use refresh::{CopyError, CopyHandle, CopyJob, CopyStatus};
pub use setup::{DirectorySetupError, KeyReader, anchors};
