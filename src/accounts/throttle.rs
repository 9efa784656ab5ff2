//! Slowing down who guesses passwords: per mailbox and per network address, with a growing delay.
//!
//! Each failure makes the next attempt wait longer, and attempts of one key stand in line, so that many connections at
//! once guess no faster than one; and a mailbox, or an address, has only so many failures a minute.
//!
//! An address from which the mailbox was opened lately is a pair with it, which has a line of its own: it waits for its own
//! failures and for nobody else's, and no one else waits for its. So nobody locks a holder out by guessing, and a practice
//! behind one address is not locked out by the one program there that still has an old password. Tables are bounded; the
//! oldest entry gives way.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Subscriber;

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

/// A mailbox, and an address from which it was opened.
type Pair = (String, Subscriber);

#[derive(Debug, Default)]
struct Tables {
    mailboxes: Table<String>,
    addresses: Table<Subscriber>,
    pairs: Table<Pair>,
    /// What other pairs have failed; a line of their own they do not have.
    strangers: Table<Pair>,
    /// When each pair was last let in.
    trusted: HashMap<Pair, Instant>,
}

/// Lines of one sort.
#[derive(Debug)]
struct Table<K> {
    records: HashMap<K, Record>,
    /// Attempts that are not decided yet.
    under_way: HashMap<K, u32>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { records: HashMap::new(), under_way: HashMap::new() }
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
    pair: Pair,
    /// It stands in the pair's own line, rather than in the mailbox's and the address's.
    is_trusted: bool,
}

impl Throttle {
    pub(super) fn new(options: ThrottleOptions) -> Self {
        Self { options, tables: Mutex::default() }
    }

    /// When an attempt may be made that was first asked for at `asked`.
    pub(super) fn turn(&self, mailbox: &str, peer: IpAddr, asked: Instant, now: Instant) -> Turn<'_> {
        let options = &self.options;
        let mut tables = self.tables();
        let pair = (mailbox.to_owned(), Subscriber::of(peer));
        let is_trusted = tables.trusted.get(&pair).is_some_and(|seen| now.duration_since(*seen) < TRUSTED_FOR);
        let Place { full_until, left, next } = tables.place(&pair, is_trusted, now, options);
        if let Some(until) = full_until {
            return Turn::Away(until.saturating_duration_since(now));
        }
        if left == 0 {
            let waited = now.saturating_duration_since(asked);
            return if waited < options.longest_wait { Turn::AskAgain(ASK_AGAIN) } else { Turn::Away(ASK_AGAIN) };
        }
        let wait = next.saturating_duration_since(now);
        if wait > options.longest_wait {
            return Turn::Away(wait);
        }
        tables.stand_in_line(&pair, is_trusted, now + wait, options);
        drop(tables);
        let attempt = Attempt { throttle: self, pair, is_trusted };
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
        if self.is_trusted {
            tables.pairs.failed(&self.pair, now, options, 1);
        } else {
            tables.mailboxes.failed(&self.pair.0, now, options, 1);
            // The mailbox's line, the slower one, holds one program with an old password. Its address counts who fails for many.
            if tables.strangers.failed(&self.pair, now, options, 1) <= options.free.max(1) {
                tables.addresses.failed(&self.pair.1, now, options, FACTOR);
            }
        }
    }

    /// It succeeded: the waits are over. What failed within this minute still counts, or a program that looks for mail often
    /// would give whoever guesses beside it new tries each time.
    pub(super) fn succeeded(self, now: Instant) {
        let mut tables = self.throttle.tables();
        if tables.trusted.len() >= self.throttle.options.entries && !tables.trusted.contains_key(&self.pair) {
            make_room(&mut tables.trusted, |seen| *seen);
        }
        tables.trusted.insert(self.pair.clone(), now);
        if self.is_trusted {
            tables.pairs.forgive(&self.pair, now);
        } else {
            tables.strangers.records.remove(&self.pair);
            tables.mailboxes.forgive(&self.pair.0, now);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut tables = self.throttle.tables();
        if self.is_trusted {
            tables.pairs.went_away(&self.pair);
        } else {
            tables.mailboxes.went_away(&self.pair.0);
            tables.addresses.went_away(&self.pair.1);
        }
    }
}

/// Where somebody stands who comes now.
struct Place {
    /// The minute has had as many failures as it may have; the next one begins then.
    full_until: Option<Instant>,
    /// How many more attempts may be made: what is under way may fail as well.
    left: u32,
    /// When the next one may begin.
    next: Instant,
}

impl Tables {
    fn place(&self, pair: &Pair, is_trusted: bool, now: Instant, options: &ThrottleOptions) -> Place {
        if is_trusted {
            return self.pairs.place(pair, now, options, 1);
        }
        let of_mailbox = self.mailboxes.place(&pair.0, now, options, 1);
        let of_address = self.addresses.place(&pair.1, now, options, FACTOR);
        Place {
            full_until: of_mailbox.full_until.max(of_address.full_until),
            left: of_mailbox.left.min(of_address.left),
            next: of_mailbox.next.max(of_address.next),
        }
    }

    /// An attempt begins then; whoever comes next stands behind it.
    fn stand_in_line(&mut self, pair: &Pair, is_trusted: bool, begins: Instant, options: &ThrottleOptions) {
        if is_trusted {
            self.pairs.stand_in_line(pair, begins, options, 1);
            *self.pairs.under_way.entry(pair.clone()).or_default() += 1;
        } else {
            self.mailboxes.stand_in_line(&pair.0, begins, options, 1);
            self.addresses.stand_in_line(&pair.1, begins, options, FACTOR);
            *self.mailboxes.under_way.entry(pair.0.clone()).or_default() += 1;
            *self.addresses.under_way.entry(pair.1).or_default() += 1;
        }
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn place(&self, key: &K, now: Instant, options: &ThrottleOptions, factor: u32) -> Place {
        let record = self.records.get(key);
        let in_mind = record.filter(|record| now.saturating_duration_since(record.last) < options.memory);
        let minute = record.filter(|record| now.saturating_duration_since(record.minute) < MINUTE);
        let most = options.a_minute.saturating_mul(factor);
        let room = minute.map_or(most, |record| most.saturating_sub(record.in_minute));
        Place {
            full_until: minute.filter(|_| room == 0).map(|record| record.minute + MINUTE),
            left: room.saturating_sub(self.under_way.get(key).copied().unwrap_or(0)),
            next: in_mind.map_or(now, |record| record.next),
        }
    }

    fn stand_in_line(&mut self, key: &K, begins: Instant, options: &ThrottleOptions, factor: u32) {
        if let Some(record) = self.records.get_mut(key) {
            record.next = begins + delay(record.failures, options, factor);
        }
    }

    /// Counts a failure; how many there are now.
    fn failed(&mut self, key: &K, now: Instant, options: &ThrottleOptions, factor: u32) -> u32 {
        if self.records.len() >= options.entries && !self.records.contains_key(key) {
            make_room(&mut self.records, |record| record.last);
        }
        let fresh = Record { failures: 0, last: now, next: now, minute: now, in_minute: 0 };
        let record = self.records.entry(key.clone()).or_insert(fresh);
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
        record.failures
    }

    fn forgive(&mut self, key: &K, now: Instant) {
        if let Some(record) = self.records.get_mut(key) {
            (record.failures, record.next) = (0, now);
        }
    }

    fn went_away(&mut self, key: &K) {
        if let Some(count) = self.under_way.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(key);
            }
        }
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

    /// An attempt that has had its turn.
    fn attempt<'a>(throttle: &'a Throttle, mailbox: &str, peer: IpAddr) -> Attempt<'a> {
        let pair = (mailbox.to_owned(), Subscriber::of(peer));
        let is_trusted = throttle.tables().trusted.contains_key(&pair);
        Attempt { throttle, pair, is_trusted }
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
    fn one_old_password_behind_an_address_keeps_out_nobody_but_its_own_pair() {
        let (throttle, now) = (Throttle::new(ThrottleOptions::default()), Instant::now());
        for mailbox in ["a", "b"] {
            attempt(&throttle, mailbox, PEER).succeeded(now);
        }
        for n in 0..60u64 {
            fail(&throttle, "b", PEER, now + Duration::from_secs(n));
        }
        let later = now + Duration::from_secs(61);
        assert!(wait(&throttle, "b", PEER, later).is_err(), "its own pair waits");
        assert_eq!(wait(&throttle, "a", PEER, later), Ok(Duration::ZERO), "the colleague does not");
        assert_eq!(wait(&throttle, "new", PEER, later), Ok(Duration::ZERO), "nor who comes there for the first time");
        assert_eq!(wait(&throttle, "b", OTHER, later), Ok(Duration::ZERO), "nor the mailbox elsewhere");
        attempt(&throttle, "b", PEER).succeeded(later);
        assert_eq!(wait(&throttle, "b", PEER, later + MINUTE), Ok(Duration::ZERO), "the right password ends it");
    }

    #[test]
    fn an_old_password_counts_a_few_times_only_for_an_address_that_nobody_was_let_in_from_yet() {
        let (throttle, now) = (Throttle::new(ThrottleOptions::default()), Instant::now());
        for n in 0..60u64 {
            fail(&throttle, "old", PEER, now + Duration::from_secs(n));
        }
        let later = now + Duration::from_secs(61);
        assert!(wait(&throttle, "old", PEER, later).is_err() && wait(&throttle, "old", OTHER, later).is_err());
        assert_eq!(wait(&throttle, "new", PEER, later), Ok(Duration::ZERO), "who comes there after a restart");
        for n in 0..40 {
            fail(&throttle, &format!("m{n}"), PEER, later);
        }
        assert!(wait(&throttle, "new", PEER, later).is_err(), "who tries many mailboxes is held by the address");
    }

    #[test]
    fn strangers_at_a_holders_address_wait_and_the_holder_does_not() {
        let (throttle, now) = (delays_only(), Instant::now());
        attempt(&throttle, "a", PEER).succeeded(now);
        for n in 0..40 {
            fail(&throttle, &format!("m{n}"), PEER, now);
        }
        assert_eq!(wait(&throttle, "a", PEER, now), Ok(Duration::ZERO));
        assert!(wait(&throttle, "m41", PEER, now).is_err());
        for _ in 0..5 {
            fail(&throttle, "a", PEER, now);
        }
        assert_eq!(wait(&throttle, "a", PEER, now), Ok(Duration::from_secs(1)), "who guesses there is slowed down too");
        let later = now + TRUSTED_FOR;
        assert!(matches!(throttle.turn("a", PEER, later, later), Turn::Now(Attempt { is_trusted: false, .. })));
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
    fn one_subscribers_ipv6_addresses_wait_together() {
        let (throttle, now) = (delays_only(), Instant::now());
        let at = |network: u16, host: u16| IpAddr::from([0x2001, 0xdb8, 1, network, 0, 0, 0, host]);
        for n in 0..40 {
            let turn = throttle.turn(&format!("m{n}"), at(2, n), now, now);
            let (Turn::Now(guess) | Turn::In(_, guess)) = turn else { break };
            guess.failed(now);
        }
        assert_ne!(wait(&throttle, "fresh", at(2, 999), now), Ok(Duration::ZERO));
        assert_eq!(wait(&throttle, "fresh", at(3, 1), now), Ok(Duration::ZERO));
    }

    #[test]
    fn tables_are_bounded() {
        let throttle = Throttle::new(ThrottleOptions { entries: 100, ..ThrottleOptions::default() });
        let start = Instant::now();
        for n in 0..1_000u32 {
            let now = start + Duration::from_millis(u64::from(n));
            fail(&throttle, &format!("m{n}"), IpAddr::V4(Ipv4Addr::from(n)), now);
            attempt(&throttle, &format!("s{n}"), IpAddr::V4(Ipv4Addr::from(n))).succeeded(now);
            fail(&throttle, &format!("s{n}"), IpAddr::V4(Ipv4Addr::from(n)), now);
        }
        let tables = throttle.tables.lock().unwrap();
        let pairs = [&tables.pairs, &tables.strangers].map(|table| table.records.len());
        let sizes = [tables.mailboxes.records.len(), tables.addresses.records.len(), pairs[0], pairs[1]];
        assert!(sizes.iter().all(|size| (1..=100).contains(size)) && tables.trusted.len() <= 100, "{sizes:?}");
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
    fn a_trusted_pair_has_no_more_attempts_under_way_than_may_fail_either() {
        let (throttle, now) = (Throttle::new(ThrottleOptions::default()), Instant::now());
        attempt(&throttle, "a", PEER).succeeded(now);
        let turn = || throttle.turn("a", PEER, now, now);
        let under_way: Vec<_> = (0..10).map(|_| turn()).collect();
        assert!(under_way.iter().all(|turn| matches!(turn, Turn::Now(_))));
        assert!(matches!(turn(), Turn::AskAgain(_)));
        drop(under_way);
        assert!(throttle.tables().pairs.under_way.is_empty());
    }

    #[test]
    fn an_address_has_no_more_attempts_under_way_for_all_mailboxes_together_than_may_fail() {
        let (throttle, now) = (Throttle::new(ThrottleOptions::default()), Instant::now());
        let turn = |n: u32, peer| throttle.turn(&format!("m{n}"), peer, now, now);
        for n in 0..8 {
            fail(&throttle, &format!("f{n}"), PEER, now);
        }
        let mut under_way: Vec<_> = (0..42).map(|n| turn(n, PEER)).collect();
        assert!(under_way.iter().all(|turn| matches!(turn, Turn::Now(_))));
        assert!(matches!(turn(77, PEER), Turn::AskAgain(_)));
        assert!(matches!(turn(77, OTHER), Turn::Now(_)), "another address has its own");
        under_way.pop();
        assert!(matches!(turn(77, PEER), Turn::Now(_)), "who was decided makes room");
        drop(under_way);
        assert!(throttle.tables().addresses.under_way.is_empty());
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
        assert!(throttle.tables().mailboxes.under_way.is_empty());
    }
}
