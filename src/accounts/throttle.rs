//! Slowing down who guesses passwords: per mailbox and per network address, with a growing delay.
//!
//! Each failure makes the next attempt wait longer, and attempts of one key stand in line, so that many connections at
//! once guess no faster than one; and a mailbox, or an address, has only so many failures a minute. An address from which the mailbox was opened lately does not wait for the failures of
//! others: nobody locks a holder out by guessing. Tables are bounded; the oldest entry gives way.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How failed logins are slowed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleOptions {
    /// Failures of a mailbox within a minute, after which every attempt is turned away for the rest of it. An address has
    /// five times as many.
    pub a_minute: u32,
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
            a_minute: 10,
            free: 3,
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(60),
            longest_wait: Duration::from_secs(10),
            memory: Duration::from_secs(15 * 60),
            entries: 20_000,
        }
    }
}

/// A network address failing for many mailboxes is given this many times as many failures: a whole practice may stand
/// behind one address.
const FACTOR: u32 = 5;

const MINUTE: Duration = Duration::from_secs(60);

/// How soon one asks again who must wait for others' attempts to be decided.
const ASK_AGAIN: Duration = Duration::from_millis(50);

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
    /// Attempts that are not decided yet, by mailbox.
    under_way: HashMap<String, u32>,
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
    /// When the minute began that the failures in it are counted from.
    minute: Instant,
    in_minute: u32,
}

/// When an attempt may be made.
#[derive(Debug)]
pub(super) enum Turn<'a> {
    /// At once.
    Now(Attempt<'a>),
    /// After so long.
    In(Duration, Attempt<'a>),
    /// As many others are being made as may fail: ask again after so long.
    AskAgain(Duration),
    /// Not now; after so long, perhaps.
    Away(Duration),
}

/// An attempt that is being made; dropped undecided, it is as if it had not been.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    throttle: &'a Throttle,
    mailbox: String,
    peer: IpAddr,
    /// Among those of its mailbox that are under way; a trusted address's is not.
    is_counted: bool,
}

impl Throttle {
    pub(super) fn new(options: ThrottleOptions) -> Self {
        Self { options, tables: Mutex::default() }
    }

    /// When an attempt may be made that was first asked for at `asked`.
    pub(super) fn turn(&self, mailbox: &str, peer: IpAddr, asked: Instant, now: Instant) -> Turn<'_> {
        let options = &self.options;
        let mut tables = self.tables();
        let key = (mailbox.to_owned(), peer);
        let is_trusted = tables.trusted.get(&key).is_some_and(|seen| now.duration_since(*seen) < TRUSTED_FOR);
        let (left, full_until) = tables.mailboxes.left(&key.0, now, options.a_minute);
        let (_, address_until) = tables.addresses.left(&peer, now, options.a_minute.saturating_mul(FACTOR));
        if let Some(until) = full_until.filter(|_| !is_trusted).max(address_until) {
            return Turn::Away(until.saturating_duration_since(now));
        }
        // What is under way may fail as well: more than may fail are not made at once.
        let under_way = tables.under_way.get(&key.0).copied().unwrap_or(0);
        if !is_trusted && under_way >= left {
            let waited = now.saturating_duration_since(asked);
            return if waited < options.longest_wait { Turn::AskAgain(ASK_AGAIN) } else { Turn::Away(ASK_AGAIN) };
        }
        let for_mailbox = if is_trusted { now } else { tables.mailboxes.next(&key.0, now, options) };
        let for_address = tables.addresses.next(&peer, now, options);
        let wait = for_mailbox.max(for_address).saturating_duration_since(now);
        if wait > options.longest_wait {
            return Turn::Away(wait);
        }
        // Whoever comes next stands behind this one.
        let begins = now + wait;
        if !is_trusted {
            tables.mailboxes.stand_in_line(&key.0, begins, options, 1);
        }
        tables.addresses.stand_in_line(&peer, begins, options, FACTOR);
        if !is_trusted {
            *tables.under_way.entry(key.0).or_default() += 1;
        }
        drop(tables);
        let attempt = Attempt { throttle: self, mailbox: mailbox.to_owned(), peer, is_counted: !is_trusted };
        if wait.is_zero() { Turn::Now(attempt) } else { Turn::In(wait, attempt) }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// It failed.
    pub(super) fn failed(self, now: Instant) {
        let (mut tables, options) = (self.throttle.tables(), &self.throttle.options);
        tables.mailboxes.failed(self.mailbox.clone(), now, options, 1);
        tables.addresses.failed(self.peer, now, options, FACTOR);
    }

    /// It succeeded: the waits are over. What failed within this minute still counts, or a program that looks for mail often
    /// would give whoever guesses beside it new tries each time.
    pub(super) fn succeeded(self, now: Instant) {
        let mut tables = self.throttle.tables();
        if tables.trusted.len() >= self.throttle.options.entries {
            make_room(&mut tables.trusted, |seen| *seen);
        }
        tables.trusted.insert((self.mailbox.clone(), self.peer), now);
        if let Some(record) = tables.mailboxes.0.get_mut(&self.mailbox) {
            (record.failures, record.next) = (0, now);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_counted {
            return;
        }
        let mut tables = self.throttle.tables();
        if let Some(count) = tables.under_way.get_mut(&self.mailbox) {
            *count -= 1;
            if *count == 0 {
                tables.under_way.remove(&self.mailbox);
            }
        }
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn next(&self, key: &K, now: Instant, options: &ThrottleOptions) -> Instant {
        match self.0.get(key) {
            Some(record) if now.saturating_duration_since(record.last) < options.memory => record.next,
            _ => now,
        }
    }

    /// How many more failures this minute has room for; where there is none, when the next minute begins.
    fn left(&self, key: &K, now: Instant, most: u32) -> (u32, Option<Instant>) {
        match self.0.get(key) {
            Some(record) if now.saturating_duration_since(record.minute) < MINUTE => {
                let left = most.saturating_sub(record.in_minute);
                (left, (left == 0).then(|| record.minute + MINUTE))
            }
            _ => (most, None),
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
        let record =
            self.0.entry(key).or_insert(Record { failures: 0, last: now, next: now, minute: now, in_minute: 0 });
        if now.saturating_duration_since(record.minute) >= MINUTE {
            (record.minute, record.in_minute) = (now, 0);
        }
        record.in_minute = record.in_minute.saturating_add(1);
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

    /// No bound but the delays.
    fn delays_only() -> Throttle {
        Throttle::new(ThrottleOptions { a_minute: 1_000_000, ..ThrottleOptions::default() })
    }

    fn throttled(turn: Turn<'_>) -> Result<Duration, Duration> {
        match turn {
            Turn::Now(_) => Ok(Duration::ZERO),
            Turn::In(wait, _) => Ok(wait),
            Turn::AskAgain(wait) | Turn::Away(wait) => Err(wait),
        }
    }

    /// How long an attempt would have to wait.
    fn wait(throttle: &Throttle, mailbox: &str, peer: IpAddr, now: Instant) -> Result<Duration, Duration> {
        throttled(throttle.turn(mailbox, peer, now, now))
    }

    fn attempt<'a>(throttle: &'a Throttle, mailbox: &str, peer: IpAddr) -> Attempt<'a> {
        Attempt { throttle, mailbox: mailbox.to_owned(), peer, is_counted: false }
    }

    fn fail(throttle: &Throttle, mailbox: &str, peer: IpAddr, now: Instant) {
        attempt(throttle, mailbox, peer).failed(now);
    }

    #[test]
    fn the_delay_grows_with_each_failure_and_a_success_ends_it() {
        let throttle = delays_only();
        let now = Instant::now();
        for n in 0..3 {
            assert_eq!(wait(&throttle, "a", peer(n), now), Ok(Duration::ZERO));
            fail(&throttle, "a", peer(n), now);
        }
        fail(&throttle, "a", peer(3), now);
        assert_eq!(wait(&throttle, "a", peer(4), now), Ok(Duration::from_millis(500)));
        fail(&throttle, "a", peer(4), now);
        let next = wait(&throttle, "a", peer(5), now).unwrap();
        assert!(next >= Duration::from_secs(1), "{next:?}");
        assert_eq!(wait(&throttle, "b", peer(6), now), Ok(Duration::ZERO), "another mailbox does not wait");
        attempt(&throttle, "a", PEER).succeeded(now);
        assert_eq!(wait(&throttle, "a", peer(7), now), Ok(Duration::ZERO));
    }

    #[test]
    fn many_attempts_at_once_stand_in_line_and_the_last_are_turned_away() {
        let throttle = delays_only();
        let now = Instant::now();
        for _ in 0..5 {
            fail(&throttle, "a", OTHER, now);
        }
        let waits: Vec<_> = (0..20).map(|n| wait(&throttle, "a", peer(n), now)).collect();
        let let_in: Vec<_> = waits.iter().filter_map(|wait| wait.ok()).collect();
        assert!(let_in.windows(2).all(|pair| pair[1] > pair[0]), "{let_in:?}");
        assert!(let_in.len() < 12, "{}", let_in.len());
        assert!(waits.last().unwrap().is_err());
    }

    #[test]
    fn a_holder_is_not_locked_out_by_who_guesses_elsewhere() {
        let throttle = delays_only();
        let now = Instant::now();
        attempt(&throttle, "a", PEER).succeeded(now);
        for _ in 0..50 {
            fail(&throttle, "a", OTHER, now);
        }
        assert_eq!(wait(&throttle, "a", PEER, now), Ok(Duration::ZERO));
        assert!(wait(&throttle, "a", OTHER, now).is_err());
        let later = now + Duration::from_secs(16 * 60);
        assert_eq!(wait(&throttle, "a", OTHER, later), Ok(Duration::ZERO), "forgotten in time");
    }

    #[test]
    fn an_address_that_fails_for_many_mailboxes_waits_as_well() {
        let throttle = delays_only();
        let now = Instant::now();
        for n in 0..40 {
            fail(&throttle, &format!("m{n}"), PEER, now);
        }
        assert!(wait(&throttle, "fresh", PEER, now).is_err());
        assert_eq!(wait(&throttle, "fresh", OTHER, now), Ok(Duration::ZERO));
    }

    #[test]
    fn tables_are_bounded() {
        let throttle = Throttle::new(ThrottleOptions { entries: 100, ..ThrottleOptions::default() });
        let start = Instant::now();
        for n in 0..1_000u32 {
            let now = start + Duration::from_millis(u64::from(n));
            fail(&throttle, &format!("m{n}"), IpAddr::V4(Ipv4Addr::from(n)), now);
            attempt(&throttle, &format!("s{n}"), IpAddr::V4(Ipv4Addr::from(n))).succeeded(now);
        }
        let tables = throttle.tables.lock().unwrap();
        assert!(tables.mailboxes.0.len() <= 100 && tables.addresses.0.len() <= 100 && tables.trusted.len() <= 100);
    }

    #[test]
    fn a_mailbox_and_an_address_have_so_many_failures_a_minute() {
        let options = ThrottleOptions { free: 1_000, ..ThrottleOptions::default() };
        let (throttle, now) = (Throttle::new(options), Instant::now());
        for n in 0..10 {
            let at = now + Duration::from_secs(u64::from(n));
            assert_eq!(wait(&throttle, "a", peer(n), at), Ok(Duration::ZERO));
            fail(&throttle, "a", peer(n), at);
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(wait(&throttle, "a", peer(77), later), Err(Duration::from_secs(40)), "the rest of the minute");
        assert_eq!(wait(&throttle, "b", peer(77), later), Ok(Duration::ZERO), "another mailbox has its own");
        attempt(&throttle, "a", PEER).succeeded(later);
        assert!(wait(&throttle, "a", peer(77), later).is_err(), "the holder's logins give nobody new tries");
        assert_eq!(
            wait(&throttle, "a", PEER, later),
            Ok(Duration::ZERO),
            "nor do others' failures keep the holder out"
        );
        assert_eq!(wait(&throttle, "a", peer(77), now + MINUTE), Ok(Duration::ZERO));
        for n in 0..50 {
            fail(&throttle, &format!("m{n}"), PEER, now);
        }
        assert_eq!(wait(&throttle, "fresh", PEER, now), Err(MINUTE));
        assert_eq!(wait(&throttle, "fresh", OTHER, now), Ok(Duration::ZERO));
    }

    #[test]
    fn no_more_attempts_are_under_way_than_may_fail() {
        let (throttle, now) = (Throttle::new(ThrottleOptions::default()), Instant::now());
        let turn = |peer| throttle.turn("a", peer, now, now);
        let mut under_way: Vec<_> = (0..10).map(|n| turn(peer(n))).collect();
        assert!(under_way.iter().all(|turn| matches!(turn, Turn::Now(_))));
        assert!(matches!(turn(peer(99)), Turn::AskAgain(_)));
        let late = now + Duration::from_secs(11);
        assert!(matches!(throttle.turn("a", peer(99), now, late), Turn::Away(_)), "not for ever");
        under_way.pop();
        assert!(matches!(turn(peer(99)), Turn::Now(_)), "who went away makes room");
        drop(under_way);
        assert!(throttle.tables().under_way.is_empty());
    }
}
