//! TLS of every door, and who a peer is once its certificate is verified.

mod identity;
mod problem;

pub use identity::{PeerIdentity, fingerprint};
pub use problem::{CertificateProblem, HandshakeRefusal};
