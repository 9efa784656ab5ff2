//! TLS sessions that may be resumed on the operators' door: few, and not for long.
//!
//! A resumed session runs no verifier, so everything that the verifier said is asked again by
//! [`super::Contexts::verify_operator`]. What is kept here bounds it besides: sessions live in this process only, at most
//! [`MOST`] of them, at most `tls.resumption`, and a change of certificates or CRLs, which builds the contexts anew, begins
//! with none.

use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Sessions kept; each holds the peer's chain, some 4 KiB.
const MOST: usize = 1024;

/// The moment of a session's birth stands before its bytes, in seconds, big-endian.
const STAMP: usize = 8;

/// Keeps sessions for a bounded time.
#[derive(Debug)]
pub(super) struct BoundedSessions {
    sessions: Arc<ServerSessionMemoryCache>,
    longest: Duration,
}

impl BoundedSessions {
    /// Keeps each session for `longest`.
    pub(super) fn new(longest: Duration) -> Self {
        Self { sessions: ServerSessionMemoryCache::new(MOST), longest }
    }

    /// The session's bytes, unless it is too old, or from a time that is still to come (the clock was set back).
    fn still_good(&self, stamped: Vec<u8>) -> Option<Vec<u8>> {
        let (stamp, session) = stamped.split_first_chunk::<STAMP>()?;
        let age = seconds().checked_sub(u64::from_be_bytes(*stamp))?;
        (age < self.longest.as_secs()).then(|| session.to_vec())
    }
}

impl StoresServerSessions for BoundedSessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let stamped = [seconds().to_be_bytes().as_slice(), &value].concat();
        self.sessions.put(key, stamped)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.sessions.get(key).and_then(|stamped| self.still_good(stamped))
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.sessions.take(key).and_then(|stamped| self.still_good(stamped))
    }

    fn can_cache(&self) -> bool {
        true
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_kept_for_its_time_and_not_longer() {
        let kept = BoundedSessions::new(Duration::from_secs(600));
        assert!(kept.put(b"one".to_vec(), b"session".to_vec()));
        assert_eq!(kept.get(b"one"), Some(b"session".to_vec()));
        assert_eq!(kept.take(b"one"), Some(b"session".to_vec()));
        assert_eq!(kept.take(b"one"), None, "a TLS 1.3 ticket is used once");
        let old = [(seconds() - 600).to_be_bytes().as_slice(), b"session"].concat();
        kept.sessions.put(b"old".to_vec(), old);
        assert_eq!(kept.get(b"old"), None);
        let future = [(seconds() + 60).to_be_bytes().as_slice(), b"session"].concat();
        kept.sessions.put(b"future".to_vec(), future);
        assert_eq!(kept.get(b"future"), None);
    }

    #[test]
    fn no_more_than_its_number_is_kept() {
        let kept = BoundedSessions::new(Duration::from_secs(600));
        for number in 0..MOST as u32 * 3 {
            kept.put(number.to_be_bytes().to_vec(), vec![0; 16]);
        }
        let there = (0..MOST as u32 * 3).filter(|number| kept.get(&number.to_be_bytes()).is_some()).count();
        assert!(there <= MOST, "{there}");
    }
}
