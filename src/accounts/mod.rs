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
//! 4. Rights are read anew at each decision ([`access`]). What takes a right, a credential or a mailbox away ends the sessions
//!    that rest on it ([`sessions`]), whatever their door.
//!
//! What becomes of mailboxes with time is decided by [`crate::mss::lifecycle`] and done in `lives`; `journal` has a line for each
//! step, `terms` the terms of use and who accepted them.
//!
//! What a holder comes in with beside a health card has rooms of its own: [`devices`] (enrolled workstations), [`factors`]
//! (one-time codes); what is told of them at the notification address is a [`notice`].
//!
//! What the national directory has to know of a mailbox waits in [`publication`].
//!
//! This room calls `mail` (for the mailbox's lock and the sessions to be told); `mail` never calls this one.

mod access;
mod access_index;
mod account;
mod certificates;
mod clock;
pub mod devices;
mod domains;
mod error;
pub mod factors;
mod follow_up;
mod grants;
mod hashing;
mod hints;
pub mod https;
mod journal;
mod life;
mod lives;
mod login;
pub mod notice;
mod passwords;
pub mod person;
pub mod psc;
pub mod publication;
mod refused;
mod registry;
mod retention;
mod rules;
mod secret_text;
mod sessions;
mod subscriber;
mod terms;
mod throttle;
mod traced;
mod tried;

pub use access::SharedMailbox;
pub use account::{Account, AccountChange, NewMailbox, right_of, right_record};
pub use certificates::{Authority, CertificateBinding, CertificateFacts};
pub use devices::DeviceOptions;
pub use domains::DomainChange;
pub use error::{AccountError, LoginError};
pub use factors::FactorOptions;
pub use grants::Grantee;
pub use hashing::HashingOptions;
pub use journal::JournalQuery;
pub use lives::{LifeOptions, Living, day_of, midnight};
pub use login::{Login, Means};
pub use notice::By;
pub use passwords::FirstFactor;
pub use refused::RefusedLogin;
pub use registry::{AccountOptions, ListFilter, Registry};
pub use rules::RuleBreach;
pub use secret_text::generated_password;
pub use sessions::{Ending, OpenSession, SessionId, SessionTicket, Sessions};
pub use subscriber::Subscriber;
pub use terms::{NewTerms, TermsOfUse};
pub use throttle::ThrottleOptions;
pub use tried::{Origin, Tried};
