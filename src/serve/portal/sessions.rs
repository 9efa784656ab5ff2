//! Who is logged in, in memory: a restart logs everybody out.
//!
//! A session is found by the hash of its cookie, so that a look at the table opens nothing. Only who has shown a right
//! password or come from Pro Santé Connect gets one: strangers cannot fill the table.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::people::{Halfway, Made, Newcomer, Seat};
use super::terms::Debtor;
use super::visit::SessionKey;

/// How far somebody has come.
#[derive(Clone)]
pub(super) enum Stage {
    /// The password is right; a code is owed.
    Halfway(Arc<Halfway>),
    /// Known for certain, and no mailbox chosen yet.
    Choosing(Arc<Newcomer>),
    /// Known for certain at a mailbox's door; the terms of use are owed.
    Owing(Arc<Debtor>),
    /// In a mailbox.
    In(Arc<Seat>),
}

impl Stage {
    /// Whether both are on the way into the same mailbox, or are the same person who has not chosen one.
    fn is_on_the_way_as(&self, other: &Stage) -> bool {
        match (self, other) {
            (Stage::Halfway(one), Stage::Halfway(other)) => one.first.account == other.first.account,
            (Stage::Choosing(one), Stage::Choosing(other)) => one.national_id == other.national_id,
            _ => false,
        }
    }
}

/// A session.
#[derive(Clone)]
pub(super) struct Session {
    /// How far they are.
    pub(super) stage: Stage,
    /// The file of a workstation that was just enrolled, until it is fetched.
    parcel: Option<(Arc<Made>, Instant)>,
    opened: Instant,
    used: Instant,
}

/// How long a session may live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Sessions at once.
    pub(super) most: usize,
    /// Without a request.
    pub(super) idle: Duration,
    /// In all.
    pub(super) longest: Duration,
    /// While a code is owed: not shorter than a code by e-mail is good for.
    pub(super) halfway: Duration,
}

/// How long a code may be owed at least: an authenticator has to be found first.
pub(super) const LEAST_HALFWAY: Duration = Duration::from_secs(10 * 60);

/// How long a workstation's file may be fetched.
const PARCEL: Duration = Duration::from_secs(10 * 60);

/// The table.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<SessionKey, Session>>);

impl Sessions {
    fn table(&self) -> MutexGuard<'_, HashMap<SessionKey, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a new session in. The table is bounded: what is over goes first, then who is on the way for the same as the new one,
    /// then who owes a code, then what was quiet for longest. A password alone pushes out nobody who is in: false, there is no
    /// place for it now.
    #[must_use]
    pub(super) fn open(&self, key: SessionKey, stage: Stage, limits: Limits, now: Instant) -> bool {
        let mut table = self.table();
        if table.len() >= limits.most {
            table.retain(|_, session| !session.is_over(limits, now));
        }
        while table.len() >= limits.most.max(1) {
            let rank =
                |session: &Session| (!session.stage.is_on_the_way_as(&stage), !session.owes_code(), session.used);
            let Some((least, session)) = table.iter().min_by_key(|(_, session)| rank(session)) else { break };
            if matches!(stage, Stage::Halfway(_)) && !session.owes_code() {
                return false;
            }
            let least = *least;
            table.remove(&least);
        }
        table.insert(key, Session { stage, parcel: None, opened: now, used: now });
        true
    }

    /// The session of a cookie, if it is not over. Counts as its use.
    pub(super) fn find(&self, key: &SessionKey, limits: Limits, now: Instant) -> Option<Session> {
        let mut table = self.table();
        let session = table.get_mut(key)?;
        if session.is_over(limits, now) {
            table.remove(key);
            return None;
        }
        session.used = now;
        session.parcel = session.parcel.take().filter(|(_, until)| now < *until);
        Some(session.clone())
    }

    /// Ends a session.
    pub(super) fn close(&self, key: &SessionKey) -> Option<Session> {
        self.table().remove(key)
    }

    /// Lays a workstation's file ready, or nothing; what lay there is forgotten.
    pub(super) fn lay_ready(&self, key: &SessionKey, made: Option<Arc<Made>>, now: Instant) {
        if let Some(session) = self.table().get_mut(key) {
            session.parcel = made.map(|made| (made, now + PARCEL));
        }
    }

    /// Takes away what is over: nobody asks for it again.
    pub(super) fn sweep(&self, limits: Limits, now: Instant) {
        self.table().retain(|_, session| {
            session.parcel = session.parcel.take().filter(|(_, until)| now < *until);
            !session.is_over(limits, now)
        });
    }
}

impl Session {
    /// The file that is ready.
    pub(super) fn parcel(&self) -> Option<&Arc<Made>> {
        self.parcel.as_ref().map(|(made, _)| made)
    }

    fn owes_code(&self) -> bool {
        matches!(self.stage, Stage::Halfway(_))
    }

    fn is_over(&self, limits: Limits, now: Instant) -> bool {
        let longest = if self.owes_code() { limits.halfway } else { limits.longest };
        now.saturating_duration_since(self.used) >= limits.idle || now.saturating_duration_since(self.opened) >= longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::FirstFactor;
    use crate::store::{AccountId, CredentialKey};

    const LIMITS: Limits = Limits {
        most: 3,
        idle: Duration::from_secs(1800),
        longest: Duration::from_secs(4 * 3600),
        halfway: LEAST_HALFWAY,
    };

    fn key(n: u8) -> SessionKey {
        [n; 32]
    }

    fn choosing() -> Stage {
        choosing_as("899700000001")
    }

    fn choosing_as(national_id: &str) -> Stage {
        let newcomer = Newcomer { national_id: national_id.into(), name: String::new(), mailboxes: Vec::new() };
        Stage::Choosing(Arc::new(newcomer))
    }

    fn halfway(account: u64) -> Stage {
        let password = CredentialKey { account: AccountId(account), number: 1 };
        let first = FirstFactor { account: password.account, password, state_changed_at: 0 };
        Stage::Halfway(Arc::new(Halfway { first, attempt: "a".into() }))
    }

    fn made() -> Arc<Made> {
        Arc::new(Made { name: "poste".into(), file: vec![1, 2, 3].into() })
    }

    #[test]
    fn a_session_ends_without_requests_and_in_the_end() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let minute = |n: u64| start + Duration::from_secs(60 * n);
        assert!(sessions.open(key(1), choosing(), LIMITS, start));
        for n in (0..240).step_by(29) {
            assert!(sessions.find(&key(1), LIMITS, minute(n)).is_some(), "minute {n}");
        }
        assert!(sessions.find(&key(1), LIMITS, minute(240)).is_none(), "four hours");
        assert!(sessions.open(key(2), choosing(), LIMITS, start));
        assert!(sessions.find(&key(2), LIMITS, minute(30)).is_none(), "half an hour without a request");
        assert!(sessions.find(&key(2), LIMITS, start).is_none(), "over is over");
    }

    #[test]
    fn a_code_is_owed_for_ten_minutes_whatever_is_asked_meanwhile() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        assert!(sessions.open(key(1), halfway(1), LIMITS, start));
        assert!(sessions.find(&key(1), LIMITS, start + Duration::from_secs(599)).is_some());
        assert!(sessions.find(&key(1), LIMITS, start + Duration::from_secs(600)).is_none());
        // Where a code is good for longer, so is the session that it is for.
        let longer = Limits { halfway: Duration::from_secs(1200), ..LIMITS };
        assert!(sessions.open(key(2), halfway(1), longer, start));
        assert!(sessions.find(&key(2), longer, start + Duration::from_secs(1199)).is_some());
        assert!(sessions.find(&key(2), longer, start + Duration::from_secs(1200)).is_none());
    }

    #[test]
    fn who_owes_a_code_gives_way_before_who_is_in() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        assert!(sessions.open(key(1), choosing(), LIMITS, start));
        for n in 2..=9 {
            assert!(sessions.open(key(n), halfway(1), LIMITS, start + Duration::from_secs(n.into())));
        }
        let there = |n| sessions.find(&key(n), LIMITS, start + Duration::from_secs(12)).is_some();
        assert_eq!([1, 2, 7, 8, 9].map(there), [true, false, false, true, true]);
    }

    #[test]
    fn a_password_alone_pushes_out_nobody_who_is_in() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        for n in 1..=3 {
            assert!(sessions.open(key(n), choosing_as(&n.to_string()), LIMITS, start));
        }
        assert!(!sessions.open(key(4), halfway(1), LIMITS, start), "there is no place for it");
        let there = |n| sessions.find(&key(n), LIMITS, start).is_some();
        assert_eq!([1, 2, 3, 4].map(there), [true, true, true, false]);
        assert!(sessions.open(key(5), choosing_as("5"), LIMITS, start), "who is known for certain finds one");
    }

    #[test]
    fn who_comes_again_and_again_pushes_out_their_own() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(sessions.open(key(1), choosing_as("quiet"), LIMITS, start));
        assert!(sessions.open(key(2), halfway(1), LIMITS, at(1)));
        for n in 3..=9 {
            assert!(sessions.open(key(n), choosing_as("busy"), LIMITS, at(n.into())));
        }
        let there = |n| sessions.find(&key(n), LIMITS, at(10)).is_some();
        assert_eq!([1, 2, 8, 9].map(there), [true, true, false, true]);
    }

    #[test]
    fn the_table_is_bounded_and_the_quietest_gives_way() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        for n in 1..=3 {
            assert!(sessions.open(key(n), choosing(), LIMITS, start + Duration::from_secs(n.into())));
        }
        assert!(sessions.find(&key(1), LIMITS, start + Duration::from_secs(10)).is_some());
        assert!(sessions.open(key(4), choosing(), LIMITS, start + Duration::from_secs(11)));
        let there = |n| sessions.find(&key(n), LIMITS, start + Duration::from_secs(12)).is_some();
        assert_eq!([1, 2, 3, 4].map(there), [true, false, true, true]);
    }

    #[test]
    fn a_file_is_forgotten_after_ten_minutes_and_with_its_session() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(sessions.open(key(1), choosing(), LIMITS, start));
        let made = made();
        sessions.lay_ready(&key(1), Some(Arc::clone(&made)), start);
        assert!(sessions.find(&key(1), LIMITS, at(599)).unwrap().parcel().is_some());
        assert!(sessions.find(&key(1), LIMITS, at(600)).unwrap().parcel().is_none());
        assert_eq!(Arc::strong_count(&made), 1, "nothing holds it any more");
        sessions.lay_ready(&key(1), Some(Arc::clone(&made)), at(600));
        sessions.sweep(LIMITS, at(1200));
        assert_eq!(Arc::strong_count(&made), 1);
        sessions.lay_ready(&key(1), Some(Arc::clone(&made)), at(1200));
        assert!(sessions.close(&key(1)).is_some());
        assert_eq!(Arc::strong_count(&made), 1);
    }
}
