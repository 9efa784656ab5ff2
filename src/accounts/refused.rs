//! Traces of logins that were refused: for each its own, as far as strangers may make the store grow by them.
//!
//! Who guesses is slowed down and turned away, but costs a trace all the same. So within a minute an address has so many
//! traces of its own, and all addresses together have; what is beyond is counted, and the count is one trace.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::audit::{Action, Actor, Asker, Origin, Trace};
use crate::mss::Address;
use crate::store::{CommitError, Committed};

use super::{LoginError, Registry, Subscriber};

/// Traces of one address within a minute.
const OF_ADDRESS: u32 = 20;

/// Traces of all addresses within a minute, and how many addresses are counted apart.
const OF_ALL: u32 = 600;

const MINUTE: Duration = Duration::from_secs(60);

/// A login that was refused.
#[derive(Clone, Copy, Debug)]
pub struct RefusedLogin<'a> {
    /// The door.
    pub door: &'static str,
    /// Where the client is.
    pub peer: IpAddr,
    /// What was tried: `password`, `certificate`, `token` …
    pub means: &'static str,
    /// Who it was, where that was known all the same (national id).
    pub person: Option<&'a str>,
    /// The mailbox that was asked for, as the client wrote it; told only where it is one of ours.
    pub asked: &'a str,
    /// Why, by a stable name.
    pub reason: &'a str,
}

/// What was refused within the minute.
#[derive(Debug, Default)]
pub(super) struct RefusedLogins(Mutex<Option<Minute>>);

#[derive(Debug)]
struct Minute {
    began: Instant,
    written: u32,
    by_address: HashMap<(Subscriber, &'static str), Count>,
    /// Of addresses that are not counted apart.
    elsewhere: u32,
}

#[derive(Debug, Default)]
struct Count {
    written: u32,
    beyond: u32,
}

impl RefusedLogins {
    /// Whether one more has a trace of its own; and what is to be told of the minute before, if that is over.
    fn count(&self, peer: IpAddr, door: &'static str, now: Instant) -> (bool, Vec<Trace>) {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = Self::end(&mut minute, now);
        let minute = minute.get_or_insert_with(|| Minute::new(now));
        (minute.count((Subscriber::of(peer), door)), before)
    }

    /// What is to be told of the minute before, if it is over.
    fn ended(&self, now: Instant) -> Vec<Trace> {
        Self::end(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), now)
    }

    fn end(minute: &mut Option<Minute>, now: Instant) -> Vec<Trace> {
        match minute.take_if(|minute| now.saturating_duration_since(minute.began) >= MINUTE) {
            Some(over) => over.beyond(),
            None => Vec::new(),
        }
    }
}

impl Minute {
    fn new(began: Instant) -> Self {
        Self { began, written: 0, by_address: HashMap::new(), elsewhere: 0 }
    }

    fn count(&mut self, address: (Subscriber, &'static str)) -> bool {
        if self.by_address.len() >= OF_ALL as usize && !self.by_address.contains_key(&address) {
            self.elsewhere = self.elsewhere.saturating_add(1);
            return false;
        }
        let count = self.by_address.entry(address).or_default();
        let has_room = count.written < OF_ADDRESS && self.written < OF_ALL;
        if has_room {
            count.written += 1;
            self.written += 1;
        } else {
            count.beyond = count.beyond.saturating_add(1);
        }
        has_room
    }

    /// One trace for each address that had more than its own, and one for all others.
    fn beyond(self) -> Vec<Trace> {
        let of = |door: &str, peer: Option<Subscriber>, count| {
            let origin = Origin { door: door.to_owned(), peer: peer.map(|peer| peer.to_string()), ..Origin::default() };
            Trace { origin, ..Trace::of(Action::LoginsRefused { count }) }
        };
        let apart = self.by_address.into_iter().filter(|(_, count)| count.beyond > 0);
        let apart = apart.map(|((peer, door), count)| of(door, Some(peer), count.beyond));
        let elsewhere = (self.elsewhere > 0).then(|| of("", None, self.elsewhere));
        apart.chain(elsewhere).collect()
    }
}

impl Registry {
    /// Writes down that somebody was not let in. On its way when this returns; nobody's answer waits for it.
    pub fn note_refused(&self, refused: RefusedLogin<'_>) {
        let (has_room, mut traces) = self.refused().count(refused.peer, refused.door, Instant::now());
        if has_room {
            traces.push(self.trace_of_refused(refused));
        }
        drop(self.write_refused(traces));
    }

    /// Writes down how many were refused in a minute that is over, beyond those that have a trace. To be called once a
    /// minute or so.
    ///
    /// # Errors
    /// What the store says.
    pub async fn note_refused_beyond(&self) -> Result<(), CommitError> {
        let traces = self.refused().ended(Instant::now());
        match self.write_refused(traces) {
            Some(written) => written.await.map(drop),
            None => Ok(()),
        }
    }

    fn write_refused(
        &self,
        traces: Vec<Trace>,
    ) -> Option<impl Future<Output = Result<Committed, CommitError>> + Send + 'static> {
        (!traces.is_empty()).then(|| self.room().traces().write(traces))
    }

    fn trace_of_refused(&self, refused: RefusedLogin<'_>) -> Trace {
        let RefusedLogin { door, peer, means, person, asked, reason } = refused;
        // What strangers write is not kept: only what is an address of ours.
        let ours = Address::parse(asked.trim()).ok().and_then(|asked| self.by_address(&asked).ok().flatten());
        let actor = Actor { person: person.map(str::to_owned), means: Some(means.to_owned()), ..Actor::default() };
        let origin = Origin { door: door.to_owned(), peer: Some(peer.to_string()), ..Origin::default() };
        let asked = ours.map(|account| account.address.to_string());
        let action = Action::LoginRefused { reason: reason.to_owned(), asked: asked.clone() };
        Asker { actor, origin }.trace(asked.as_deref(), action)
    }
}

impl LoginError {
    /// Its stable kebab-case name, for traces.
    pub fn name(&self) -> &'static str {
        match self {
            LoginError::Refused => "wrong-password",
            LoginError::CertificateRefused => "certificate-opens-nothing",
            LoginError::NeedsPassword => "needs-password",
            LoginError::PersonRefused => "not-on-access-list",
            LoginError::Ambiguous => "several-mailboxes",
            LoginError::TooManySessions => "too-many-sessions",
            LoginError::Ended(_) => "ended",
            LoginError::NotOpen(_) => "mailbox-not-open",
            LoginError::TermsNotAccepted => "terms-not-accepted",
            LoginError::Throttled(_) => "too-many-failures",
            LoginError::Busy => "busy",
            LoginError::Unavailable(_) => "unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn v4(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(n))
    }

    fn counts(traces: &[Trace]) -> u32 {
        let count = |trace: &Trace| if let Action::LoginsRefused { count } = trace.action { count } else { 0 };
        traces.iter().map(count).sum()
    }

    #[test]
    fn an_address_has_so_many_traces_a_minute_and_one_for_the_rest() {
        let (refused, start) = (RefusedLogins::default(), Instant::now());
        let written = (0..1_000).filter(|_| refused.count(v4(1), "imap", start).0).count();
        assert_eq!(written, OF_ADDRESS as usize);
        assert!(refused.count(v4(2), "imap", start).0, "others have their own");
        assert!(refused.ended(start + MINUTE / 2).is_empty());
        let (has_room, beyond) = refused.count(v4(1), "imap", start + MINUTE);
        assert!(has_room, "another minute");
        assert_eq!((beyond.len(), counts(&beyond)), (1, 1_000 - OF_ADDRESS));
        assert_eq!((beyond[0].origin.peer.as_deref(), beyond[0].origin.door.as_str()), (Some("0.0.0.1"), "imap"));
        assert!(refused.ended(start + MINUTE * 3).is_empty(), "nothing was beyond");
    }

    #[test]
    fn whoever_comes_from_everywhere_makes_no_more_than_a_bounded_number_of_traces_and_all_are_counted() {
        let (refused, start) = (RefusedLogins::default(), Instant::now());
        let tries = 10 * OF_ALL;
        let written = (0..tries).filter(|n| refused.count(v4(*n), "imap", start).0).count();
        let beyond = refused.ended(start + MINUTE);
        assert_eq!(written, OF_ALL as usize);
        assert!(beyond.len() <= OF_ALL as usize + 1);
        assert_eq!(counts(&beyond), tries - OF_ALL);
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_address() {
        let (refused, now) = (RefusedLogins::default(), Instant::now());
        let one = |n: u128| IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | n));
        let written = (0..1_000).filter(|n| refused.count(one(*n), "imap", now).0).count();
        assert_eq!(written, OF_ADDRESS as usize);
    }
}
