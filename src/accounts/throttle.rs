//! Slowing down who guesses passwords: per mailbox and per network address, with a growing delay.
//!
//! Each failure makes the next attempt wait longer, and attempts of one key stand in line, so that many connections at
//! once guess no faster than one. An address from which the mailbox was opened lately does not wait for the failures of
//! others: nobody locks a holder out by guessing. Tables are bounded; the oldest entry gives way.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How failed logins are slowed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleOptions {
    /// Failures that cost nothing.
    pub free: u32,
    /// The delay after the first failure beyond; it doubles with each further one.
    pub first_delay: Duration,
    /// The longest delay between two attempts.
    pub longest_delay: Duration,
    /// An attempt that would have to wait longer is turned away at once.
    pub longest_wait: Duration,
    /// After so long without a failure all is forgotten.
    pub memory: Duration,
    /// Entries of each table.
    pub entries: usize,
}

impl Default for ThrottleOptions {
    fn default() -> Self {
        Self {
            free: 3,
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(60),
            longest_wait: Duration::from_secs(10),
            memory: Duration::from_secs(15 * 60),
            entries: 20_000,
        }
    }
}

/// A network address failing for many mailboxes is given this many times as many free failures: a whole practice may
/// stand behind one address.
const FREE_PER_ADDRESS_FACTOR: u32 = 5;

/// How long an address counts as one from which the mailbox is opened.
const TRUSTED_FOR: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug)]
pub(super) struct Throttle {
    options: ThrottleOptions,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    mailboxes: Table<String>,
    addresses: Table<IpAddr>,
    trusted: HashMap<(String, IpAddr), Instant>,
}

#[derive(Debug)]
struct Table<K>(HashMap<K, Record>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[derive(Clone, Copy, Debug)]
struct Record {
    failures: u32,
    last: Instant,
    /// The next attempt may begin then.
    next: Instant,
}

impl Throttle {
    pub(super) fn new(options: ThrottleOptions) -> Self {
        Self { options, tables: Mutex::default() }
    }

    /// How long an attempt must wait before it is checked; `Err`: too long, turn it away and say so.
    pub(super) fn wait(&self, mailbox: &str, peer: IpAddr, now: Instant) -> Result<Duration, Duration> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (mailbox.to_owned(), peer);
        let is_trusted = tables.trusted.get(&key).is_some_and(|seen| now.duration_since(*seen) < TRUSTED_FOR);
        let for_mailbox = if is_trusted { now } else { tables.mailboxes.next(&key.0, now, &self.options) };
        let for_address = tables.addresses.next(&peer, now, &self.options);
        let wait = for_mailbox.max(for_address).saturating_duration_since(now);
        if wait > self.options.longest_wait {
            return Err(wait);
        }
        // Whoever comes next stands behind this one.
        let begins = now + wait;
        if !is_trusted {
            tables.mailboxes.stand_in_line(&key.0, begins, &self.options, 1);
        }
        tables.addresses.stand_in_line(&peer, begins, &self.options, FREE_PER_ADDRESS_FACTOR);
        Ok(wait)
    }

    /// The attempt failed.
    pub(super) fn failed(&self, mailbox: &str, peer: IpAddr, now: Instant) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.mailboxes.failed(mailbox.to_owned(), now, &self.options, 1);
        tables.addresses.failed(peer, now, &self.options, FREE_PER_ADDRESS_FACTOR);
    }

    /// The attempt succeeded.
    pub(super) fn succeeded(&self, mailbox: &str, peer: IpAddr, now: Instant) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if tables.trusted.len() >= self.options.entries {
            make_room(&mut tables.trusted, |seen| *seen);
        }
        tables.trusted.insert((mailbox.to_owned(), peer), now);
        tables.mailboxes.0.remove(mailbox);
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn next(&self, key: &K, now: Instant, options: &ThrottleOptions) -> Instant {
        match self.0.get(key) {
            Some(record) if now.saturating_duration_since(record.last) < options.memory => record.next,
            _ => now,
        }
    }

    fn stand_in_line(&mut self, key: &K, begins: Instant, options: &ThrottleOptions, factor: u32) {
        if let Some(record) = self.0.get_mut(key) {
            record.next = begins + delay(record.failures, options, factor);
        }
    }

    fn failed(&mut self, key: K, now: Instant, options: &ThrottleOptions, factor: u32) {
        if self.0.len() >= options.entries && !self.0.contains_key(&key) {
            make_room(&mut self.0, |record| record.last);
        }
        let record = self.0.entry(key).or_insert(Record { failures: 0, last: now, next: now });
        if now.saturating_duration_since(record.last) >= options.memory {
            record.failures = 0;
        }
        record.failures = record.failures.saturating_add(1);
        record.last = now;
        record.next = record.next.max(now + delay(record.failures, options, factor));
    }
}

fn delay(failures: u32, options: &ThrottleOptions, factor: u32) -> Duration {
    match failures.saturating_sub(options.free * factor) {
        0 => Duration::ZERO,
        beyond => options.first_delay.saturating_mul(1 << (beyond - 1).min(20)).min(options.longest_delay),
    }
}

/// Drops the older half: rare, and never more than the table's bound.
fn make_room<K: Hash + Eq, V>(table: &mut HashMap<K, V>, seen: impl Fn(&V) -> Instant) {
    let mut times: Vec<Instant> = table.values().map(&seen).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    table.retain(|_, value| seen(value) > median);
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    fn peer(n: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(198, 51, 100, n))
    }

    #[test]
    fn the_delay_grows_with_each_failure_and_a_success_ends_it() {
        let throttle = Throttle::new(ThrottleOptions::default());
        let now = Instant::now();
        for n in 0..3 {
            assert_eq!(throttle.wait("a", peer(n), now), Ok(Duration::ZERO));
            throttle.failed("a", peer(n), now);
        }
        throttle.failed("a", peer(3), now);
        assert_eq!(throttle.wait("a", peer(4), now), Ok(Duration::from_millis(500)));
        throttle.failed("a", peer(4), now);
        let next = throttle.wait("a", peer(5), now).unwrap();
        assert!(next >= Duration::from_secs(1), "{next:?}");
        assert_eq!(throttle.wait("b", peer(6), now), Ok(Duration::ZERO), "another mailbox does not wait");
        throttle.succeeded("a", PEER, now);
        assert_eq!(throttle.wait("a", peer(7), now), Ok(Duration::ZERO));
    }

    #[test]
    fn many_attempts_at_once_stand_in_line_and_the_last_are_turned_away() {
        let throttle = Throttle::new(ThrottleOptions::default());
        let now = Instant::now();
        for _ in 0..5 {
            throttle.failed("a", OTHER, now);
        }
        let waits: Vec<_> = (0..20).map(|n| throttle.wait("a", peer(n), now)).collect();
        let let_in: Vec<_> = waits.iter().filter_map(|wait| wait.ok()).collect();
        assert!(let_in.windows(2).all(|pair| pair[1] > pair[0]), "{let_in:?}");
        assert!(let_in.len() < 12, "{}", let_in.len());
        assert!(waits.last().unwrap().is_err());
    }

    #[test]
    fn a_holder_is_not_locked_out_by_who_guesses_elsewhere() {
        let throttle = Throttle::new(ThrottleOptions::default());
        let now = Instant::now();
        throttle.succeeded("a", PEER, now);
        for _ in 0..50 {
            throttle.failed("a", OTHER, now);
        }
        assert_eq!(throttle.wait("a", PEER, now), Ok(Duration::ZERO));
        assert!(throttle.wait("a", OTHER, now).is_err());
        let later = now + Duration::from_secs(16 * 60);
        assert_eq!(throttle.wait("a", OTHER, later), Ok(Duration::ZERO), "forgotten in time");
    }

    #[test]
    fn an_address_that_fails_for_many_mailboxes_waits_as_well() {
        let throttle = Throttle::new(ThrottleOptions::default());
        let now = Instant::now();
        for n in 0..40 {
            throttle.failed(&format!("m{n}"), PEER, now);
        }
        assert!(throttle.wait("fresh", PEER, now).is_err());
        assert_eq!(throttle.wait("fresh", OTHER, now), Ok(Duration::ZERO));
    }

    #[test]
    fn tables_are_bounded() {
        let throttle = Throttle::new(ThrottleOptions { entries: 100, ..ThrottleOptions::default() });
        let start = Instant::now();
        for n in 0..1_000u32 {
            let now = start + Duration::from_millis(u64::from(n));
            throttle.failed(&format!("m{n}"), IpAddr::V4(Ipv4Addr::from(n)), now);
            throttle.succeeded(&format!("s{n}"), IpAddr::V4(Ipv4Addr::from(n)), now);
        }
        let tables = throttle.tables.lock().unwrap();
        assert!(tables.mailboxes.0.len() <= 100 && tables.addresses.0.len() <= 100 && tables.trusted.len() <= 100);
    }
}
