//! A whole trust space on loopback: a test PKI, a signed white list, two operators with mailboxes and mail.
//!
//! It is for a first look, for the black-box tests, and for makers of practice software. Three rules: nothing listens
//! outside of loopback; nothing in it is about a real person; the operators are ordinary `caducee serve` processes with
//! ordinary configuration files, so what works here works outside.

pub mod cast;
mod describe;
mod error;
pub mod layout;
pub mod messages;
pub mod pki;
mod ports;
pub mod trust_list;
mod white_list;

pub use error::SandboxError;
