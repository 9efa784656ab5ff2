//! Who people are: the operator's domains, mailboxes with their kind, holder and state, and what opens them.
//!
//! # Rules
//!
//! 1. An address and a kind never change, and an address is never given to someone else (MSSanté §4, §5): a closed
//!    mailbox leaves a tombstone. Accounts are keyed by numbers that are never reused.
//! 2. A suspended or closed mailbox opens for nobody, whatever the credential; sessions that have it open lose it at
//!    once. Closing destroys the mailbox's key in the same commit that closes it.
//! 3. Nobody learns from a refused login whether the address exists: the same work, the same time, the same answer.
//!    A mailbox's state is told only to who has proved to be let in otherwise.
//!
//! This room calls `mail` (for the mailbox's lock and the sessions to be told); `mail` never calls this one.

mod account;
mod certificates;
mod delegation;
mod error;
mod hashing;
mod life;
mod login;
mod registry;
mod rules;
mod shared;
mod throttle;

pub use account::{Account, AccountChange, NewMailbox, right_of, right_record};
pub use certificates::{CertificateBinding, CertificateFacts};
pub use delegation::Grantee;
pub use error::{AccountError, LoginError};
pub use hashing::HashingOptions;
pub use login::{Login, Means};
pub use registry::{AccountOptions, ListFilter, Registry};
pub use rules::RuleBreach;
pub use shared::SharedMailbox;
pub use throttle::ThrottleOptions;
