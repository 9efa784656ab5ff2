//! The trust space: its vocabulary and its rules (MSSanté, the closed set of mail domains that may exchange health mail).
//!
//! This room is pure: no I/O, no sockets, no clock of its own; `now` comes as an argument (Unix seconds, UTC). It calls
//! no other room and may be called by all.
//!
//! Its rules:
//! 1. **Text becomes a type once.** [`Address`], [`Domain`] and [`DistinguishedName`] cannot hold a wrong value, and
//!    names are compared as what they are, never as strings.
//! 2. **Nothing is read from a white list that was not verified.** [`whitelist::verify_and_parse`] is the only way from
//!    bytes to a [`WhiteList`].
//! 3. **Every answer is a [`Decision`]** that names its [`Rule`], so that replies, logs, counters and
//!    `caducee trust explain` say the same thing.
//!
//! The way data takes: the refresh job verifies a list and puts a new [`TrustSpace`] into the [`TrustHandle`]; a door
//! takes one snapshot per decision and asks [`admission`] (may this peer speak for this sender?), then [`exchange`]
//! (may A write to B?), which takes a citizen's conversation ([`citizens`]) as the caller knows it.

pub mod address;
pub mod admission;
pub mod citizens;
pub mod decision;
pub mod dn;
pub mod exchange;
pub mod explain;
pub mod holidays;
pub mod indicators;
pub mod kind;
pub mod lifecycle;
pub mod rights;
pub mod test_addresses;
pub mod text;
pub mod trust;
pub mod whitelist;

pub use address::{Address, AddressError, Domain, DomainError};
pub use citizens::{CitizenRules, Conversation};
pub use decision::{Decision, Refusal, Rule};
pub use dn::DistinguishedName;
pub use kind::{Kind, MailboxState};
pub use rights::{Right, Rights};
pub use test_addresses::TestAddresses;
pub use trust::{CrlState, TrustHandle, TrustSpace};
pub use whitelist::WhiteList;
