//! How many connections there may be, in all and of one subscriber. Counts are taken as permits and given back on drop.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::accounts::Subscriber;

/// Counts what is open by key, in a table that only holds keys with something open: bounded by what is open.
#[derive(Debug)]
pub struct Counts<K: Eq + Hash>(Arc<Mutex<HashMap<K, usize>>>);

// Not derived: a handle can be cloned whatever its key.
impl<K: Eq + Hash> Clone for Counts<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash> Default for Counts<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Clone> Counts<K> {
    /// One more for `key`, unless it has `most` already.
    pub fn take(&self, key: K, most: usize) -> Option<CountPermit<K>> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = table.entry(key.clone()).or_insert(0);
        if *count >= most {
            if *count == 0 {
                table.remove(&key);
            }
            return None;
        }
        *count += 1;
        Some(CountPermit { counts: self.clone(), key })
    }

    /// How many are open for `key`.
    pub fn open(&self, key: &K) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied().unwrap_or(0)
    }

    /// How many are open in all.
    pub fn total(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

/// A place in [`Counts`], given back on drop.
#[derive(Debug)]
pub struct CountPermit<K: Eq + Hash> {
    counts: Counts<K>,
    key: K,
}

impl<K: Eq + Hash> Drop for CountPermit<K> {
    fn drop(&mut self) {
        let mut table = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = table.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                table.remove(&self.key);
            }
        }
    }
}

/// Why a connection is turned away at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    /// The door is full.
    #[error("too many connections")]
    AtTheDoor,
    /// This address has its share.
    #[error("too many connections from this address")]
    OfTheAddress,
}

impl TooMany {
    /// Stable name, for the counter of refused connections.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtTheDoor => "too-many",
            Self::OfTheAddress => "too-many-of-address",
        }
    }
}

/// The counts of one door's connections (STARTTLS and TLS ports of one protocol share theirs).
#[derive(Clone, Debug, Default)]
pub struct DoorLimits {
    all: Counts<()>,
    addresses: Counts<Subscriber>,
}

/// A connection's place in the counts of its door.
#[derive(Debug)]
pub struct ConnectionPermit {
    _all: CountPermit<()>,
    _address: CountPermit<Subscriber>,
}

impl DoorLimits {
    /// A place for one more connection of `address`.
    ///
    /// # Errors
    /// The door has `most`, or the address has `most_of_address` already.
    pub fn take(&self, address: IpAddr, most: usize, most_of_address: usize) -> Result<ConnectionPermit, TooMany> {
        let all = self.all.take((), most).ok_or(TooMany::AtTheDoor)?;
        let address = self.addresses.take(Subscriber::of(address), most_of_address).ok_or(TooMany::OfTheAddress)?;
        Ok(ConnectionPermit { _all: all, _address: address })
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.all.total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_up_to_the_limit_and_come_back() {
        let counts = Counts::default();
        let first = counts.take("a", 2).unwrap();
        let _second = counts.take("a", 2).unwrap();
        assert!(counts.take("a", 2).is_none());
        assert!(counts.take("b", 2).is_some(), "another key has its own count");
        drop(first);
        assert!(counts.take("a", 2).is_some());
        assert_eq!((counts.open(&"a"), counts.total()), (1, 1));
    }

    #[test]
    fn a_key_without_connections_takes_no_memory() {
        let counts = Counts::default();
        drop(counts.take(1, 1));
        assert!(counts.take(2, 0).is_none());
        assert!(counts.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_refused_address_does_not_keep_a_place_at_the_door() {
        let (door, address) = (DoorLimits::default(), "192.0.2.1".parse().unwrap());
        let _one = door.take(address, 10, 1).unwrap();
        assert_eq!(door.take(address, 10, 1).unwrap_err(), TooMany::OfTheAddress);
        assert_eq!(door.open(), 1);
        assert_eq!(door.take("192.0.2.2".parse().unwrap(), 1, 1).unwrap_err(), TooMany::AtTheDoor);
    }
}
