//! Who is in: every session of every door after its login, so that it can be listed, counted, and ended from outside.
//!
//! A door enters a login and gets a ticket. The ticket is told when the session is to end, and why; dropped, it takes the
//! session off the list. Doors enter through [`Registry::let_in`](super::Registry::let_in), which asks once more whether the
//! login stands: what was taken away between the check and the entry finds the session or is found by it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;

use super::Login;
use crate::audit::{Action, Actor, Asker, By, Origin, Tracer};
use crate::mss::MailboxState;
use crate::store::AccountId;

/// A session's number; given once in a process's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a session is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An administrator ended it, or the holder.
    Administrator,
    /// The mailbox, or the one that was logged in by, was suspended.
    Suspended,
    /// It was closed.
    Closed,
    /// Who is in may do less in the mailbox than when they came, or nothing.
    AccessChanged,
    /// What the login was made with (a password, a certificate, a device) was changed or taken away.
    CredentialGone,
}

impl Ending {
    /// The words for the client.
    pub fn told(self) -> &'static str {
        match self {
            Ending::Administrator => "The session was ended by the operator",
            Ending::Suspended => "The mailbox is suspended",
            Ending::Closed => "The mailbox is closed",
            Ending::AccessChanged => "Your access to this mailbox was changed; connect again",
            Ending::CredentialGone => "What this session was opened with opens the mailbox no more",
        }
    }

    /// Stable name, for logs and the API.
    pub fn name(self) -> &'static str {
        match self {
            Ending::Administrator => "administrator",
            Ending::Suspended => "suspended",
            Ending::Closed => "closed",
            Ending::AccessChanged => "access-changed",
            Ending::CredentialGone => "credential-gone",
        }
    }

    /// What a mailbox's state does to its sessions.
    pub(super) fn of_state(state: MailboxState) -> Option<Ending> {
        match state {
            MailboxState::Open => None,
            MailboxState::Suspended => Some(Ending::Suspended),
            MailboxState::Closed => Some(Ending::Closed),
        }
    }
}

/// One session, as the list has it.
#[derive(Debug)]
pub struct OpenSession {
    /// Its number.
    pub id: SessionId,
    /// Who is in, where, and with what.
    pub login: Login,
    /// The door: `imap`, `submission` …
    pub door: &'static str,
    /// Where the client is.
    pub peer: IpAddr,
    /// Unix seconds of the login.
    pub began_at: i64,
    /// The same for traces.
    asker: Arc<Asker>,
    heard_at: AtomicI64,
    ending: OnceLock<Ending>,
    woken: Notify,
}

impl OpenSession {
    /// Who is in, and from where, as the traces of what they do tell.
    pub fn asker(&self) -> &Arc<Asker> {
        &self.asker
    }

    /// Unix seconds of the last command.
    pub fn heard_at(&self) -> i64 {
        self.heard_at.load(Ordering::Relaxed)
    }

    /// Why it is to end, once it is.
    pub fn ending(&self) -> Option<Ending> {
        self.ending.get().copied()
    }

    /// Waits until it is to end.
    pub async fn ended(&self) -> Ending {
        loop {
            // Made before the look: an end told between the two is not missed.
            let woken = self.woken.notified();
            if let Some(ending) = self.ending() {
                return ending;
            }
            woken.await;
        }
    }

    /// False: it was to end already.
    fn end(&self, why: Ending) -> bool {
        let is_first = self.ending.set(why).is_ok();
        self.woken.notify_waiters();
        is_first
    }
}

/// The sessions of all doors. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last: AtomicU64,
    open: Mutex<Open>,
}

/// Whose sessions are counted together: a person's in a mailbox, at a door. In a mailbox of many nobody takes the others'.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Share {
    account: AccountId,
    /// National id; `None`: nobody's by name.
    person: Option<String>,
    door: &'static str,
}

impl Share {
    fn of(login: &Login, door: &'static str) -> Self {
        Self { account: login.account, person: login.person.clone(), door }
    }
}

/// Bounded by what is open: who has no sessions has no entry.
#[derive(Debug, Default)]
struct Open {
    by_id: BTreeMap<SessionId, Arc<OpenSession>>,
    counts: HashMap<Share, usize>,
}

impl Sessions {
    /// Puts a session on the list, unless its person has `most` in the mailbox at this door already. Without asking whether
    /// the login still stands: doors call [`Registry::let_in`](super::Registry::let_in).
    pub fn enter(&self, login: &Login, door: &'static str, peer: IpAddr, most: usize) -> Option<SessionTicket> {
        let mut open = self.open();
        let share = Share::of(login, door);
        let count = open.counts.get(&share).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        open.counts.insert(share, count + 1);
        let now = crate::mail::now();
        let id = SessionId(self.inner.last.fetch_add(1, Ordering::Relaxed) + 1);
        let session = Arc::new(OpenSession {
            id,
            asker: Arc::new(asker(login, door, peer, id)),
            login: login.clone(),
            door,
            peer,
            began_at: now,
            heard_at: AtomicI64::new(now),
            ending: OnceLock::new(),
            woken: Notify::new(),
        });
        open.by_id.insert(session.id, Arc::clone(&session));
        Some(SessionTicket { sessions: self.clone(), session, traces: None, left: OnceLock::new() })
    }

    /// Whether somebody is in a mailbox now, by its own means.
    pub fn is_in(&self, account: AccountId) -> bool {
        self.list().iter().any(|session| session.login.account == account)
    }

    /// All of them, in the order in which they came.
    pub fn list(&self) -> Vec<Arc<OpenSession>> {
        self.open().by_id.values().cloned().collect()
    }

    /// How many a mailbox has at a door.
    pub fn count(&self, account: AccountId, door: &'static str) -> usize {
        self.open().by_id.values().filter(|session| session.login.account == account && session.door == door).count()
    }

    /// Ends one. False: there is none with this number, or it is on its way out.
    pub fn end(&self, id: SessionId, why: Ending) -> bool {
        let session = self.open().by_id.get(&id).cloned();
        session.is_some_and(|session| end(&session, why))
    }

    /// Ends those that the predicate picks; says how many.
    pub fn end_where(&self, picked: impl Fn(&OpenSession) -> bool, why: Ending) -> usize {
        let sessions = self.list();
        sessions.iter().filter(|session| picked(session) && end(session, why)).count()
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn asker(login: &Login, door: &str, peer: IpAddr, id: SessionId) -> Asker {
    let actor = Actor {
        by: Some(By::User),
        person: login.person.clone(),
        login: Some(login.address.to_string()),
        means: Some(login.means.name().to_owned()),
        device: login.device.clone(),
    };
    let origin = Origin { door: door.to_owned(), peer: Some(peer.to_string()), session: Some(id.0), subject: None };
    Asker { actor, origin }
}

fn end(session: &OpenSession, why: Ending) -> bool {
    let is_first = session.end(why);
    if is_first {
        let (session, account) = (session.id, session.login.account);
        tracing::info!(%session, %account, why = why.name(), "session ended from outside");
    }
    is_first
}

/// A session's place on the list; given back on drop. One whose coming was traced has its going traced then.
#[derive(Debug)]
pub struct SessionTicket {
    sessions: Sessions,
    session: Arc<OpenSession>,
    /// Where its end is written down.
    traces: Option<Tracer>,
    /// Why it ends, where nobody outside ends it.
    left: OnceLock<&'static str>,
}

impl SessionTicket {
    /// The session's number.
    pub fn id(&self) -> SessionId {
        self.session.id
    }

    /// Who is in, where, and with what.
    pub fn login(&self) -> &Login {
        &self.session.login
    }

    /// The session; to be waited on by somebody who does not hold the ticket.
    pub fn session(&self) -> &Arc<OpenSession> {
        &self.session
    }

    /// Waits until the session is to end; why.
    pub async fn ended(&self) -> Ending {
        self.session.ended().await
    }

    /// Where its end is to be written down, as its beginning was.
    pub(super) fn trace_end(&mut self, traces: Option<Tracer>) {
        self.traces = traces;
    }

    /// Why it ends: `logout`, or what the door ended it for. Without a word: `closed`, by the client.
    pub fn leave(&self, why: &'static str) {
        // The first word counts.
        let _said_already = self.left.set(why);
    }

    /// A command came.
    pub fn touch(&self) {
        self.session.heard_at.store(crate::mail::now(), Ordering::Relaxed);
    }
}

impl Drop for SessionTicket {
    fn drop(&mut self) {
        if let Some(traces) = &self.traces {
            let reason = self.session.ending().map(Ending::name).or(self.left.get().copied());
            let reason = reason.unwrap_or("closed").to_owned();
            let mailbox = self.session.login.address.to_string();
            // On its way from here on; there is nobody left to wait for it.
            drop(traces.write([self.session.asker.trace(Some(&mailbox), Action::LoggedOut { reason })]));
        }
        let mut open = self.sessions.open();
        open.by_id.remove(&self.session.id);
        let share = Share::of(&self.session.login, self.session.door);
        if let Some(count) = open.counts.get_mut(&share) {
            *count -= 1;
            if *count == 0 {
                open.counts.remove(&share);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::accounts::Means;
    use crate::mss::{Address, Kind, Rights};

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn login(account: u64) -> Login {
        Login {
            account: AccountId(account),
            address: Address::parse("lea@aura.mssante.example").unwrap(),
            kind: Kind::Per,
            person: None,
            rights: Rights::all(),
            means: Means::Password,
            credential: None,
            password: None,
            device: None,
        }
    }

    #[test]
    fn a_mailbox_has_so_many_sessions_at_a_door_and_each_gives_its_place_back() {
        let sessions = Sessions::default();
        let enter = |account, door| sessions.enter(&login(account), door, PEER, 2);
        let (first, _second) = (enter(1, "imap").unwrap(), enter(1, "imap").unwrap());
        assert!(enter(1, "imap").is_none());
        assert!(enter(1, "submission").is_some() && enter(2, "imap").is_some(), "others have their own count");
        drop(first);
        assert!(enter(1, "imap").is_some());
        assert_eq!((sessions.count(AccountId(1), "imap"), sessions.list().len()), (1, 1));
        let open = sessions.open();
        assert_eq!(open.counts.len(), 1, "who is out takes no memory");
    }

    #[test]
    fn in_a_mailbox_of_many_each_person_has_their_own_count() {
        let sessions = Sessions::default();
        let enter = |person: Option<&str>| {
            let login = Login { person: person.map(str::to_owned), ..login(1) };
            sessions.enter(&login, "imap", PEER, 2)
        };
        let of_one: Vec<_> = (0..3).map(|_| enter(Some("899700000001"))).collect();
        assert!(of_one[1].is_some() && of_one[2].is_none());
        let (other, nobody) = (enter(Some("899700000002")), enter(None));
        assert!(other.is_some() && nobody.is_some(), "one takes nobody else's places");
        assert_eq!(sessions.count(AccountId(1), "imap"), 4);
        drop((of_one, other, nobody));
        assert!(sessions.open().counts.is_empty());
    }

    #[tokio::test]
    async fn a_session_is_told_its_end_whenever_it_asks_and_the_first_reason_counts() {
        let sessions = Sessions::default();
        let (one, other) =
            (sessions.enter(&login(1), "imap", PEER, 9).unwrap(), sessions.enter(&login(2), "imap", PEER, 9).unwrap());
        let waiting = Arc::clone(one.session());
        let waiting = tokio::spawn(async move { waiting.ended().await });
        tokio::task::yield_now().await;
        assert_eq!(sessions.end_where(|session| session.login.account == AccountId(1), Ending::Suspended), 1);
        assert!(!sessions.end(one.id(), Ending::Administrator), "it is on its way out");
        assert_eq!((waiting.await.unwrap(), one.ended().await), (Ending::Suspended, Ending::Suspended));
        assert!(tokio::time::timeout(Duration::from_millis(20), other.ended()).await.is_err());
        assert!(!sessions.end(SessionId(77), Ending::Administrator));
    }
}
