//! TLS of every door, and who a peer is once its certificate is verified.
//!
//! Two contexts for two kinds of door, and one for our own connections ([`Contexts`]): the operators' door requires a
//! client certificate and verifies it within the handshake; the mailbox doors let one be shown and judge it at login.
//! Files ([`Material`]) and revocation lists ([`Revocation`]) go in; a reload builds all contexts anew and swaps them.
//!
//! # The traps of certificate checking, and where each is dealt with
//!
//! | | trap (rustls-webpki 0.103) | here | test (`tests/house/tls.rs`) |
//! |---|---|---|---|
//! | 1 | CRLs are fixed when the verifier is built | [`Contexts::replace_revocation`] swaps all contexts, as soon as the job has a new list | `a_new_crl_counts_from_the_next_handshake_on` |
//! | 2 | `nextUpdate` is ignored unless enforced | `PeerVerifier::check_lists_age`, and `mss::admission` for operators, both with the grace | `a_list_past_its_grace_makes_the_status_unknown` |
//! | 3 | the first of several CRLs of one issuer wins, even if stale | [`CrlSet::newest_of_each_issuer`] | `the_newest_list_of_an_issuer_counts_whatever_the_order` |
//! | 4 | unknown revocation status is refused only by default, and not at all without any CRL | defaults kept; `PeerVerifier` refuses when it has no list | `a_peer_whose_issuer_has_no_list_is_refused`, `without_any_list_every_peer_is_refused` |
//! | 5 | delta and indirect CRLs are refused, and take the whole verifier down | [`Crl::read_all`] refuses them by name before | `delta_and_indirect_lists_are_named` |
//! | 6 | clientAuth is checked only if the extension is present | `check_usage` requires it | `a_certificate_without_extended_key_usage_is_refused` |
//! | 7 | the outbound side needs the same care | `OperatorServer` | `our_own_connections_check_servers_with_the_same_care` |
//! | 8 | root names are sent as hints | kept: they are public, few, and let programs choose the right certificate | `only_the_configured_authorities_are_hinted` |
//! | 9 | a resumed session does not run the verifier again | [`Contexts::verify_operator`] and [`Contexts::verify_client`] run behind it; sessions are bounded in number and age, and none outlives a change of files or lists | `a_resumed_session_is_judged_again_at_the_operators_door`, `a_resumed_session_is_judged_again_at_login` |
//! | 10 | an optional bad certificate must not break the handshake | `UnjudgedClient` | `a_bad_certificate_does_not_break_a_mailbox_doors_handshake` |

mod context;
mod crl;
mod handshake;
mod identity;
mod material;
mod problem;
mod sessions;
mod verify;

pub use context::{Contexts, Revocation, check_identity, check_own_chain};
pub use crl::{Crl, CrlProblem, CrlSet};
pub use handshake::{accept, accept_operator, connect};
pub use identity::{Authority, PeerIdentity, fingerprint};
pub use material::{Identity, Material, Side, TlsError, read_anchors, read_certificates, read_crls, read_key};
pub use problem::{CertificateProblem, HandshakeRefusal};
