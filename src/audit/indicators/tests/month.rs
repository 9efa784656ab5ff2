//! A month of a whole region through the counters (MSSanté §12): 2.54 million messages sent, 2.18 million received, by 105,000
//! mailboxes in 100 domains.

use std::time::Instant;

use super::{accepted, at_door};
use crate::audit::indicators::{IndicatorError, IndicatorOptions, Indicators, TraceSource};
use crate::audit::scribe::BATCH;
use crate::audit::{Action, Observer, Trace};
use crate::mss::indicators::{Month, Sheet};
use crate::store::{
    Account, AccountId, AccountKind, AddressEntry, Batch, Counter, MasterKey, Options, Store, StoreError,
};

const MAILBOXES: u64 = 105_000;
const SENT: u64 = 2_540_000;
const RECEIVED: u64 = 2_180_000;
const LOGINS: u64 = 2_100_000;
const SOFTWARE: u64 = 120;
const PEERS: u64 = 5_000;

/// The traces of the month, made anew at each reading: an even share of each sort, in the order of time.
struct Region {
    month: Month,
    /// One message in so many.
    share: u64,
}

fn mailbox(number: u64) -> String {
    format!("p{}@d{}.aura.example", number % MAILBOXES, number % MAILBOXES % 100)
}

/// Numbers without a pattern that the counters could profit from (splitmix64).
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Region {
    fn traces(&self) -> impl Iterator<Item = Trace> + '_ {
        let events = (SENT + RECEIVED + LOGINS) / self.share;
        let step = (self.month.end() - self.month.start()) / (events + 1);
        (0..events).flat_map(move |number| {
            let at = self.month.start() + number * step;
            let of = mixed(number);
            let traces = match of % (SENT + RECEIVED + LOGINS) {
                sort if sort < SENT => sent(number, of),
                sort if sort < SENT + RECEIVED => vec![received(number, of)],
                _ => vec![at_door("imap", "pro-sante-connect", Some(&mailbox(of >> 20)), Action::LoggedIn)],
            };
            traces.into_iter().zip(at..).map(|(trace, at)| Trace { at, ..trace })
        })
    }
}

/// A message and what became of it.
fn sent(number: u64, of: u64) -> Vec<Trace> {
    let peer = format!("x{}@p{}.mssante.example", number % 977, mixed(number + 1) % PEERS);
    let software = format!("LOGICIEL-{}", mixed(number + 2) % SOFTWARE);
    let mss = [("X-MSS-NIL", software.as_str()), ("X-MSS-CODECDA", "34133-9"), ("X-MSS-INS", "O")];
    let fields = if of.is_multiple_of(3) { &mss[..] } else { &mss[..1] };
    let message = accepted("submission", &mailbox(of >> 20), &[&peer], &[], 2_000 + of % 3_000_000, fields);
    let tried = Action::Tried { recipient: peer, result: "relayed".into(), words: "250 2.0.0 ok".into(), attempt: 1 };
    vec![message, Trace::of(tried)]
}

fn received(number: u64, of: u64) -> Trace {
    let peer = format!("x{}@p{}.mssante.example", number % 977, mixed(number + 3) % PEERS);
    accepted("smtp", &peer, &[], &[&mailbox(of >> 20)], 2_000 + of % 3_000_000, &[("X-MSS-NIL", "LOGICIEL-7")])
}

impl TraceSource for Region {
    fn each(
        &self,
        _range: std::ops::Range<u64>,
        each: &mut dyn FnMut(&Trace) -> Result<(), StoreError>,
    ) -> Result<(), IndicatorError> {
        self.traces().try_for_each(|trace| each(&trace)).map_err(IndicatorError::from)
    }
}

fn with_mailboxes(store: &Store) {
    for first in (0..MAILBOXES).step_by(1_000) {
        let mut batch = Batch::new();
        for number in first..(first + 1_000).min(MAILBOXES) {
            let address = mailbox(number);
            let kind = if number % 50 == 0 { AccountKind::Org } else { AccountKind::Per };
            batch.put(&AccountId(number + 1), &Account { address: address.clone(), kind, ..Account::default() });
            batch.put(&address, &AddressEntry::Account(AccountId(number + 1)));
        }
        store.commit_blocking(batch).unwrap();
    }
}

/// Counts the month as the scribe does; how many traces there were.
fn count(store: &Store, indicators: &Indicators, region: &Region) -> u64 {
    let (mut observer, mut counted) = (indicators.observer(), 0);
    let commit = |observer: &mut dyn Observer| {
        let mut batch = Batch::new();
        observer.put_into(store, &mut batch).unwrap();
        observer.committed(store.commit_blocking(batch).unwrap());
    };
    for trace in region.traces() {
        observer.observe(&trace);
        counted += 1;
        if counted % BATCH as u64 == 0 {
            commit(observer.as_mut());
        }
    }
    commit(observer.as_mut());
    counted
}

/// Peak of this process's memory, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn a_month(share: u64) {
    let directory = std::env::temp_dir().join(format!("caducee-month-{}-{share}", std::process::id()));
    let _left_over = std::fs::remove_dir_all(&directory);
    let (store, _) = Store::open(&directory, &MasterKey::from_bytes([7; 32]), &Options::default()).unwrap();
    with_mailboxes(&store);
    let indicators = Indicators::new(store.clone(), IndicatorOptions::default());
    let region = Region { month: "2026-11".parse().unwrap(), share };
    let (began, before) = (Instant::now(), peak());
    let traces = count(&store, &indicators, &region);
    println!("{traces} traces counted in {:?}, memory {before} to {} MiB", began.elapsed(), peak());
    let (began, before) = (Instant::now(), peak());
    let differences = indicators.recount(region.month, &region).unwrap();
    println!("counted again in {:?}, memory {before} to {} MiB", began.elapsed(), peak());
    assert_eq!(differences, []);
    let counted = indicators.month(region.month).unwrap();
    let messages = |direction: &str| {
        let rows = counted.rows(Sheet::Exchanges);
        rows.iter().filter(|row| row.dimensions[2] == direction).map(|row| row.measures[0]).sum::<u64>()
    };
    // Sorts are drawn: three standard deviations are a twentieth of the smallest month here.
    for (direction, expected) in [("emis", SENT / share), ("recu", RECEIVED / share)] {
        let counted = messages(direction);
        assert!(counted.abs_diff(expected) < expected / 20, "{direction}: {counted}, about {expected} expected");
    }
    let rows: usize = Sheet::ALL.into_iter().map(|sheet| counted.rows(sheet).len()).sum();
    let counters = store.scan::<Counter>(.., usize::MAX).unwrap().len();
    println!("{rows} rows, {counters} counters, {} sent, {} received", messages("emis"), messages("recu"));
    drop((indicators, store));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_thousandth_of_a_regions_month_is_counted_and_counted_again() {
    a_month(1_000);
}

#[test]
#[ignore = "minutes: cargo test --lib a_regions_month -- --ignored --nocapture"]
fn a_regions_month_is_counted_in_minutes() {
    a_month(1);
}
