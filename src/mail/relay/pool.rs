//! Sessions by host: how many there are, which of them are idle, and which hosts cannot be reached at the moment.
//!
//! An idle session takes the next message for its host, whatever its domain. Beyond a host's number of sessions an attempt
//! waits some seconds for one to come free, and no longer: it holds one of the queue's places meanwhile, and a host of many
//! domains that has fallen silent, or is slow, shall not hold those of others. The queue has room for waiting. A host that
//! could not be spoken to is left alone for some seconds, and what comes for it meanwhile is told why at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::session::{Hitch, Session};
use super::{Host, Settings, Trouble};

/// How long a host is left alone that could not be spoken to.
const REST: Duration = Duration::from_secs(10);

/// How long an attempt waits for room at a host.
const WAIT: Duration = Duration::from_secs(5);

/// Hosts with a name for having been out of reach; beyond it the oldest names are swept.
const SWEEP: usize = 1024;

/// What an attempt gets at a host.
#[derive(Debug)]
pub(super) enum Taken<S: Send + 'static> {
    /// An idle session.
    Session(Box<Session<S>>),
    /// Room for a new one.
    Place(Place<S>),
}

/// The sessions of all hosts.
#[derive(Debug)]
pub(super) struct Pool<S: Send + 'static> {
    inner: Mutex<Inner<S>>,
}

#[derive(Debug)]
struct Inner<S: Send + 'static> {
    hosts: HashMap<Host, State<S>>,
    next: u64,
    closed: bool,
}

#[derive(Debug)]
struct State<S: Send + 'static> {
    /// Sessions, idle ones included, and those that are being opened.
    open: usize,
    idle: Vec<(u64, Session<S>)>,
    rests: Option<(Instant, Hitch)>,
    room: Arc<Notify>,
}

impl<S: Send + 'static> Default for State<S> {
    fn default() -> Self {
        Self { open: 0, idle: Vec::new(), rests: None, room: Arc::default() }
    }
}

impl<S: Send + 'static> Default for Pool<S> {
    fn default() -> Self {
        Self { inner: Mutex::new(Inner { hosts: HashMap::new(), next: 0, closed: false }) }
    }
}

/// A place among a host's sessions.
#[derive(Debug)]
pub(super) struct Place<S: Send + 'static> {
    pool: Arc<Pool<S>>,
    host: Host,
}

impl<S: Send + 'static> Drop for Place<S> {
    fn drop(&mut self) {
        let mut inner = self.pool.lock();
        let Some(state) = inner.hosts.get_mut(&self.host) else { return };
        state.open -= 1;
        state.room.notify_one();
        // Whoever waits for room holds on to what tells of it.
        let is_awaited = Arc::strong_count(&state.room) > 1;
        if state.open == 0 && state.rests.is_none() && !is_awaited {
            inner.hosts.remove(&self.host);
        }
    }
}

impl<S> Pool<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// An idle session that `serves`, or room for a new one.
    ///
    /// # Errors
    /// The host rests, or has no room for too long.
    pub(super) async fn take(
        self: &Arc<Self>,
        host: &Host,
        settings: &Settings,
        serves: impl Fn(&Session<S>) -> bool,
    ) -> Result<Taken<S>, Hitch> {
        let until = Instant::now() + WAIT;
        loop {
            let room = match self.try_take(host, settings, &serves)? {
                Ok(taken) => return Ok(taken),
                Err(room) => room,
            };
            if timeout_at(until, room.notified()).await.is_err() {
                let text = format!("the server {host} has its full number of sessions with us");
                return Err(Hitch::Trouble(Trouble::new("no-room", "4.4.5", text)));
            }
        }
    }

    /// One look; where the host is full, what tells of room.
    fn try_take(
        self: &Arc<Self>,
        host: &Host,
        settings: &Settings,
        serves: impl Fn(&Session<S>) -> bool,
    ) -> Result<Result<Taken<S>, Arc<Notify>>, Hitch> {
        // Sessions that do not serve any more are dropped after the lock: their places take it.
        let mut stale = Vec::new();
        let mut inner = self.lock();
        let state = inner.hosts.entry(host.clone()).or_default();
        if let Some((until, hitch)) = &state.rests {
            if Instant::now() < *until {
                return Err(hitch.clone());
            }
            state.rests = None;
        }
        while let Some((_, session)) = state.idle.pop() {
            if serves(&session) {
                drop(inner);
                return Ok(Ok(Taken::Session(Box::new(session))));
            }
            stale.push(session);
        }
        let room = state.open < settings.max_sessions_per_host.max(1) + stale.len();
        if room {
            state.open += 1;
        }
        let full = Arc::clone(&state.room);
        drop(inner);
        drop(stale);
        Ok(if room { Ok(Taken::Place(Place { pool: Arc::clone(self), host: host.clone() })) } else { Err(full) })
    }

    /// Keeps a session for the next message, for as long as the settings say; then it is ended.
    pub(super) fn keep(self: &Arc<Self>, mut session: Session<S>, settings: &Settings) {
        session.line.rest();
        let host = session.place.host.clone();
        let mut inner = self.lock();
        if inner.closed {
            drop(inner);
            tokio::spawn(session.quit());
            return;
        }
        inner.next += 1;
        let number = inner.next;
        // Its place is counted here.
        let state = inner.hosts.entry(host.clone()).or_default();
        state.idle.push((number, session));
        state.room.notify_one();
        drop(inner);
        let (pool, longest) = (Arc::clone(self), settings.keep_session);
        tokio::spawn(async move {
            sleep(longest).await;
            if let Some(session) = pool.remove(&host, number) {
                session.quit().await;
            }
        });
    }

    /// Ends every idle session, and keeps none from now on.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        let idle: Vec<_> = inner.hosts.values_mut().flat_map(|state| state.idle.drain(..)).collect();
        drop(inner);
        for (_, session) in idle {
            tokio::spawn(session.quit());
        }
    }

    fn remove(&self, host: &Host, number: u64) -> Option<Session<S>> {
        let mut inner = self.lock();
        let state = inner.hosts.get_mut(host)?;
        let at = state.idle.iter().position(|(other, _)| *other == number)?;
        Some(state.idle.remove(at).1)
    }
}

impl<S: Send + 'static> Pool<S> {
    /// The host could not be spoken to: it is left alone for a while.
    pub(super) fn rests(&self, host: &Host, hitch: &Hitch) {
        let now = Instant::now();
        let mut inner = self.lock();
        if inner.hosts.len() > SWEEP {
            inner
                .hosts
                .retain(|_, state| state.open > 0 || state.rests.as_ref().is_some_and(|(until, _)| now < *until));
        }
        let state = inner.hosts.entry(host.clone()).or_default();
        state.rests = Some((now + REST, hitch.clone()));
        // Who waits for room here is told at once.
        state.room.notify_waiters();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner<S>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
