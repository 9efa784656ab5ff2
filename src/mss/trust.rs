//! What is known about the trust space at one moment.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{CitizenRules, TestAddresses, WhiteList};

/// A snapshot of the trust space: immutable, cheap to clone, taken once per decision.
#[derive(Clone, Debug, Default)]
pub struct TrustSpace {
    /// The last good white list; none before the first was loaded.
    pub list: Option<Arc<WhiteList>>,
    /// How other operators' test mailboxes are recognised.
    pub test_rules: Arc<TestAddresses>,
    /// Whose addresses are citizens', and what they may do.
    pub citizens: Arc<CitizenRules>,
    /// Whether revocation can be judged.
    pub crl_state: CrlState,
}

/// Where doors read the current [`TrustSpace`] and jobs put the next one.
pub type TrustHandle = Arc<ArcSwap<TrustSpace>>;

impl TrustSpace {
    /// A handle that holds this snapshot.
    pub fn into_handle(self) -> TrustHandle {
        Arc::new(ArcSwap::from_pointee(self))
    }
}

/// How far the certificate revocation lists (CRLs) can be relied upon. Times are Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CrlState {
    /// No CRL is configured: revocation is not checked (tests, first steps).
    #[default]
    NotConfigured,
    /// Configured, but none is loaded for every issuer yet: nobody can be admitted.
    Missing,
    /// One CRL per configured source is loaded.
    Loaded {
        /// The earliest `nextUpdate` of them: past it an alarm stands.
        fresh_until: i64,
        /// [`fresh_until`](Self::Loaded::fresh_until) plus the grace (`tls.crl_grace`): past it the leg fails closed.
        usable_until: i64,
    },
}

impl CrlState {
    /// Whether peers may be admitted on what these CRLs say (MSSanté §3: past `nextUpdate` for the grace only).
    pub fn is_usable(self, now: i64) -> bool {
        match self {
            CrlState::NotConfigured => true,
            CrlState::Missing => false,
            CrlState::Loaded { usable_until, .. } => now <= usable_until,
        }
    }

    /// Whether no alarm stands.
    pub fn is_fresh(self, now: i64) -> bool {
        match self {
            CrlState::NotConfigured => true,
            CrlState::Missing => false,
            CrlState::Loaded { fresh_until, .. } => now <= fresh_until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crl_is_fresh_until_next_update_and_usable_until_its_grace_ends() {
        let state = CrlState::Loaded { fresh_until: 100, usable_until: 150 };
        assert!(state.is_fresh(100) && !state.is_fresh(101));
        assert!(state.is_usable(150) && !state.is_usable(151));
        assert!(!CrlState::Missing.is_usable(0));
        assert!(CrlState::NotConfigured.is_usable(i64::MAX));
    }
}
