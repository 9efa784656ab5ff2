//! What one connection has tried already.
//!
//! Mail programs try the password that they have by each mechanism in turn (PLAIN, LOGIN, PLAIN): one stale password is one
//! failure, not three. What is kept of it is a hash under a key of its own, as long as the connection lasts.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::{hmac, rand};
use zeroize::Zeroizing;

/// From where a login comes, and by which connection where it has one.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The network address.
    pub peer: IpAddr,
    /// What the connection has tried before.
    pub tried: Option<&'a Tried>,
}

impl From<IpAddr> for Origin<'_> {
    fn from(peer: IpAddr) -> Self {
        Origin { peer, tried: None }
    }
}

/// The last login and password that a connection was refused with.
#[derive(Default)]
pub struct Tried(Mutex<Option<Box<Mark>>>);

struct Mark {
    key: Zeroizing<[u8; 32]>,
    hash: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Tried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Tried {
    /// Whether these are what was refused last; from now on they are.
    pub(super) fn again(&self, login: &str, password: &str) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|mark| mark.is_of(login, password)) {
            return true;
        }
        *last = Mark::of(login, password).map(Box::new);
        false
    }
}

impl Mark {
    /// `None`: the system has no random numbers now, and nothing is kept.
    fn of(login: &str, password: &str) -> Option<Mark> {
        let mut key = Zeroizing::new([0; 32]);
        rand::fill(&mut *key).ok()?;
        let hash = hash(&key, login, password);
        Some(Mark { key, hash })
    }

    fn is_of(&self, login: &str, password: &str) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&*hash(&self.key, login, password), &*self.hash).is_ok()
    }
}

fn hash(key: &[u8; 32], login: &str, password: &str) -> Zeroizing<[u8; 32]> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    // The length first: what ends the one cannot begin the other.
    context.update(&(login.len() as u64).to_be_bytes());
    context.update(login.as_bytes());
    context.update(password.as_bytes());
    let mut hash = Zeroizing::new([0; 32]);
    hash.copy_from_slice(context.sign().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_login_with_the_same_password_is_the_same_again() {
        let tried = Tried::default();
        assert!(!tried.again("lea@a", "old"));
        assert!(tried.again("lea@a", "old") && tried.again("lea@a", "old"));
        assert!(!tried.again("lea@a", "other") && !tried.again("max@a", "other"));
        assert!(!tried.again("max@", "aother"), "what ends the one does not begin the other");
        assert!(!tried.again("lea@a", "old"), "only the last is kept");
        assert_eq!(format!("{tried:?}"), "[redacted]");
    }
}
