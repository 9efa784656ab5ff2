//! The queue: mail on its way to other operators, and what becomes of it.
//!
//! # What lies in the store
//!
//! ```text
//! QueueMessage ──┬── Consignment (one domain, due, attempts) ──┬── QueueRecipient (address, DSN parameters, last words)
//!   body, times  ├── Consignment                              └── QueueRecipient
//!                └── …
//! ```
//!
//! A *consignment* is the recipients of a message in one domain: what one SMTP transaction carries. A recipient's record
//! goes when it has its message, or never will; a consignment goes with its last recipient, the message (and its hold on
//! the body) with its last consignment.
//!
//! # Rules
//!
//! 1. A message enters the queue in the commit that its positive answer is made from ([`Queue::stage`]), and a recipient
//!    leaves it in the commit that also holds what its sender is told (a report in the mailbox, or in the queue again).
//! 2. An attempt's lease lives in memory: the store belongs to one process, and after a crash everything that was under
//!    way is simply due. What was delivered but not yet settled is sent again; that is SMTP's own window (RFC 5321
//!    §4.5.4.1) and no wider. What an operator changed meanwhile is seen by the record's version.
//! 3. What decides when is tried where is [`schedule`], pure: entries, outcomes and time in, attempts out.
//! 4. Nothing of it is lost at a limit: a destination without room waits, it is never dropped.

mod stand_in;
pub mod types;

pub use stand_in::{Enqueued, Queue, QueueError};
pub use types::{
    Attempt, AttemptRecipient, Destination, Envelope, Kind, Outbound, OutboundRecipient, Outcome, QueueOptions,
    Verdict, Words,
};
