//! The queue of notices: durable, sealed, in lanes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Lane, Notice, OutgoingNotice, notification_address};
use crate::accounts::registry::ATTEMPTS;
use crate::accounts::{Account, AccountError, Registry};
use crate::audit::{Action, Trace};
use crate::mss::Address;
use crate::store::{
    self, AccountId, AccountState, Batch, CommitError, MailboxKey, NoticeBounce, NoticeKey, Versioned, WaitingNotice,
};

/// How long a notice that was written in another's commit waits at most until it is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Notices of a lane that are taken out of the queue at once.
const AT_ONCE: usize = 256;

/// What is written of a notice, sealed.
#[derive(Serialize, Deserialize)]
struct Written {
    account: AccountId,
    mailbox: String,
    to: String,
    at: i64,
    #[serde(flatten)]
    notice: Notice,
}

/// The registry's side of the queue.
#[derive(Debug, Default)]
pub(in crate::accounts) struct Outbox {
    last: AtomicU64,
    taken: AtomicBool,
    served: AtomicBool,
    /// The relay does not answer.
    away: AtomicBool,
    wake: Notify,
    /// Those that the inbox has given out and nobody has settled.
    in_hand: Mutex<BTreeSet<NoticeKey>>,
}

impl Outbox {
    pub(super) fn is_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    pub(super) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    pub(super) fn note_away(&self, is_away: bool) {
        self.away.store(is_away, Ordering::Relaxed);
    }

    fn in_hand(&self) -> MutexGuard<'_, BTreeSet<NoticeKey>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unix microseconds, each given once and rising.
    fn moment(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let later = |last: u64| now.max(last.saturating_add(1));
        self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(later(last))).map_or(now, later)
    }
}

/// What became of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The relay has it.
    Sent,
    /// It could not be sent for too long, or it is of no use any more.
    GivenUp,
    /// The relay refuses the address for good, with these codes.
    Bounced(String),
}

impl Outcome {
    /// Its name in traces and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::GivenUp => "given-up",
            Self::Bounced(_) => "bounced",
        }
    }
}

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many.
    pub notices: usize,
    /// Unix seconds of the oldest.
    pub oldest: Option<i64>,
}

/// The end of the queue that notices are taken from.
#[derive(Debug)]
pub struct NoticeInbox {
    registry: Registry,
    ready: BTreeMap<Lane, VecDeque<OutgoingNotice>>,
    /// What is told from now on waits for the next start.
    goes_on: bool,
}

impl NoticeInbox {
    /// Where it comes from.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The next notice, by lanes, in each the oldest first. Cancel-safe.
    pub async fn next(&mut self) -> OutgoingNotice {
        self.next_with(|_| true).await
    }

    /// As [`NoticeInbox::next`], of those lanes that have room. Cancel-safe.
    pub async fn next_with(&mut self, has_room: impl Fn(Lane) -> bool) -> OutgoingNotice {
        loop {
            for lane in Lane::ALL.into_iter().filter(|lane| has_room(*lane)) {
                if let Some(found) = self.take(lane) {
                    return found;
                }
            }
            // Whoever writes one in another's commit wakes nobody.
            let _ = timeout(LOOK_EVERY, self.registry.outbox().wake.notified()).await;
        }
    }

    fn take(&mut self, lane: Lane) -> Option<OutgoingNotice> {
        let is_over = self.ready.get(&lane).is_none_or(VecDeque::is_empty);
        if is_over {
            self.ready.insert(lane, self.find(lane, AT_ONCE));
        }
        self.ready.get_mut(&lane)?.pop_front()
    }

    /// The oldest of a lane that nobody has in hand, which are in hand from now on.
    fn find(&self, lane: Lane, most: usize) -> VecDeque<OutgoingNotice> {
        let outbox = self.registry.outbox();
        let mut in_hand = outbox.in_hand();
        let wanted = in_hand.range(NoticeKey::of(lane)).count() + most;
        let rows = match self.registry.store().scan::<WaitingNotice>(NoticeKey::of(lane), wanted) {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, "the notices that wait cannot be read");
                return VecDeque::new();
            }
        };
        let mut found = VecDeque::new();
        for (key, waiting) in rows {
            if found.len() < most
                && in_hand.insert(key)
                && let Some(notice) = self.registry.open_notice(key, &waiting)
            {
                found.push_back(notice);
            }
        }
        found
    }

    /// The server stops, and will start again: what is told until then is not lost, and may be told.
    pub fn leave(mut self) {
        self.goes_on = true;
    }
}

impl Drop for NoticeInbox {
    fn drop(&mut self) {
        self.registry.outbox().served.store(self.goes_on, Ordering::Relaxed);
    }
}

/// An account's record after a notice has come to this: whether its address takes notices, as long as that is still the address.
/// A closing that its holder was not told of is off (MSSanté §5), and terms that they were not told of are told anew.
fn after_outcome(record: &store::Account, notice: &OutgoingNotice, outcome: &Outcome) -> store::Account {
    let mut after = record.clone();
    let to = record.notification_address.as_deref().and_then(|text| Address::parse(text).ok());
    let is_still_it = to.as_ref() == Some(&notice.to);
    match outcome {
        Outcome::Sent if is_still_it => after.notice_bounce = None,
        Outcome::Bounced(status) if is_still_it => {
            after = bounced(record, NoticeBounce { at: crate::mail::now(), status: status.clone() });
        }
        Outcome::Sent | Outcome::Bounced(_) | Outcome::GivenUp => {}
    }
    match &notice.notice {
        _ if *outcome == Outcome::Sent => {}
        Notice::ClosingAnnounced { .. } | Notice::ClosingReminder { .. } => after.closing = None,
        Notice::TermsChanged { version, .. } if after.terms_told.as_ref() == Some(version) => after = untold(after),
        _ => {}
    }
    after
}

/// An account's record once its notification address takes nothing: what was announced there may have reached nobody.
fn bounced(record: &store::Account, bounce: NoticeBounce) -> store::Account {
    let after = store::Account { notice_bounce: Some(bounce), closing: None, ..record.clone() };
    if after.terms_told == after.terms_version { after } else { untold(after) }
}

/// A record whose holder was told of no terms.
fn untold(record: store::Account) -> store::Account {
    store::Account { terms_told: None, terms_told_at: None, ..record }
}

/// What a sealed notice belongs to: the record's kind and its key.
fn place(key: NoticeKey) -> [u8; 15] {
    let mut place = *b"notice\0\0\0\0\0\0\0\0\0";
    place[6] = key.lane as u8;
    place[7..].copy_from_slice(&key.at.to_be_bytes());
    place
}

impl Registry {
    fn notice_key(&self) -> &MailboxKey {
        self.room().transit()
    }

    /// The notices' end, for the job that carries them; there is one.
    pub fn take_notices(&self) -> Option<NoticeInbox> {
        let outbox = self.outbox();
        if outbox.taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        outbox.served.store(true, Ordering::Relaxed);
        Some(NoticeInbox { registry: self.clone(), ready: BTreeMap::new(), goes_on: false })
    }

    /// Tells a mailbox's holder something, in the commit of what it is about. Whether it is put on its way: there may be no
    /// notification address, or nobody who carries notices.
    pub(in crate::accounts) fn tell_in(&self, batch: &mut Batch, account: &Account, notice: Notice) -> bool {
        let name = notice.name();
        let Some(to) = notification_address(account).filter(|_| self.carries_notices()) else {
            tracing::debug!(account = %account.id, notice = name, "nobody to tell, or nobody who carries notices");
            return false;
        };
        let key = NoticeKey { lane: notice.lane(), at: self.outbox().moment() };
        let (mailbox, to) = (account.address.to_string(), to.to_string());
        let written = Written { account: account.id, mailbox, to, at: crate::mail::now(), notice };
        match serde_json::to_vec(&written).map(zeroize::Zeroizing::new) {
            Ok(plain) => {
                let sealed = self.notice_key().seal_bytes(&place(key), &plain);
                batch.put(&key, &WaitingNotice { sealed });
                true
            }
            Err(error) => {
                // Texts and numbers always have a JSON form.
                tracing::error!(notice = name, %error, "a notice cannot be written down");
                false
            }
        }
    }

    /// As [`Registry::tell_in`], of what is in no commit of the registry's own. Whether it is on its way, durably.
    pub async fn tell(&self, account: &Account, notice: Notice) -> bool {
        let (mut batch, name) = (Batch::new(), notice.name());
        if !self.tell_in(&mut batch, account, notice) {
            return false;
        }
        match self.store().commit(batch).await {
            Ok(_) => {
                self.wake_notices();
                true
            }
            Err(error) => {
                tracing::error!(account = %account.id, notice = name, %error, "a notice cannot be put on its way");
                false
            }
        }
    }

    /// Has the queue looked at now: a notice was committed that somebody waits for.
    pub(in crate::accounts) fn wake_notices(&self) {
        self.outbox().wake.notify_one();
    }

    /// A waiting notice; one that is damaged goes.
    fn open_notice(&self, key: NoticeKey, waiting: &Versioned<WaitingNotice>) -> Option<OutgoingNotice> {
        let read = || {
            let plain = self.notice_key().open_bytes(&place(key), &waiting.sealed).ok()?;
            let written: Written = serde_json::from_slice(&plain).ok()?;
            let (mailbox, to) = (Address::parse(&written.mailbox).ok()?, Address::parse(&written.to).ok()?);
            let Written { account, at, notice, .. } = written;
            let id = format!("{:032x}", self.notice_key().digest("notice", &format!("{key:?}")));
            Some(OutgoingNotice { key, id, account, mailbox, to, notice, at })
        };
        let notice = read();
        if notice.is_none() {
            tracing::error!(at = key.at, "a damaged notice is dropped");
            let mut batch = Batch::new();
            batch.delete::<WaitingNotice>(&key);
            // Nobody waits for it; at the worst it is dropped again at the next start.
            drop(self.store().commit_soon(batch));
        }
        notice
    }

    /// Takes a notice out of the queue and writes down what became of it, on the account too: from then on no start sends it
    /// again, and no closing goes on that its holder was not told of.
    ///
    /// # Errors
    /// What the store says: it stays in the queue then, and is sent again after the next start.
    pub async fn settle_notice(&self, notice: &OutgoingNotice, outcome: &Outcome) -> Result<(), AccountError> {
        for attempt in 0..ATTEMPTS {
            let mut batch = Batch::new();
            batch.delete::<WaitingNotice>(&notice.key);
            self.room().traces().note(self.noticed(notice, outcome), &mut batch);
            self.note_outcome(notice, outcome, &mut batch);
            match self.store().commit(batch).await {
                Ok(_) => {
                    self.outbox().in_hand().remove(&notice.key);
                    return Ok(());
                }
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::Busy)
    }

    fn noticed(&self, notice: &OutgoingNotice, outcome: &Outcome) -> Trace {
        let action = Action::Noticed { notice: notice.notice.name().to_owned(), result: outcome.name().to_owned() };
        Trace { actor: self.actor().clone(), mailbox: Some(notice.mailbox.to_string()), ..Trace::of(action) }
    }

    /// Adds to a notice's last commit what its outcome changes of the account.
    fn note_outcome(&self, notice: &OutgoingNotice, outcome: &Outcome, batch: &mut Batch) {
        // An account that cannot be read does not live on either.
        let Ok(Some(read)) = self.store().get::<store::Account>(&notice.account) else { return };
        let mut record = after_outcome(&read.record, notice, outcome);
        if read.state != AccountState::Closed && record != read.record {
            record.changed_at = crate::mail::now();
            batch.update(&notice.account, read.version, &record);
            self.follow_up(notice.account, Some(&read.record), &record, batch);
        }
    }

    /// Notes that the notification address of a mailbox takes nothing.
    pub(super) async fn note_bounce(&self, id: AccountId, status: &str) -> Result<(), AccountError> {
        let bounce = NoticeBounce { at: crate::mail::now(), status: status.to_owned() };
        self.note_in(id, |record| *record = bounced(record, bounce.clone())).await.map(drop)
    }

    /// What waits, of all lanes.
    ///
    /// # Errors
    /// What the store says.
    pub fn waiting_notices(&self) -> Result<Waiting, AccountError> {
        let rows = self.store().scan::<WaitingNotice>(.., usize::MAX)?;
        let oldest = rows.iter().map(|(key, _)| key.at).min();
        Ok(Waiting { notices: rows.len(), oldest: oldest.map(|at| (at / 1_000_000).cast_signed()) })
    }

    /// Gives everything that waits, a page at a time. Not for an async thread.
    pub(in crate::accounts) fn each_waiting_notice(
        &self,
        mut each: impl FnMut(OutgoingNotice),
    ) -> Result<(), AccountError> {
        let mut from = Bound::Unbounded;
        loop {
            let page = self.store().scan::<WaitingNotice>((from, Bound::Unbounded), AT_ONCE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = Bound::Excluded(*last);
            page.iter().filter_map(|(key, waiting)| self.open_notice(*key, waiting)).for_each(&mut each);
        }
    }

    /// Gives up all that waits, where nobody carries notices any more: codes do not lie about. Says how many.
    ///
    /// # Errors
    /// What the store says.
    pub async fn give_up_notices(&self) -> Result<usize, AccountError> {
        let mut given_up = 0;
        loop {
            let rows = self.store().scan::<WaitingNotice>(.., AT_ONCE)?;
            if rows.is_empty() {
                return Ok(given_up);
            }
            let mut batch = Batch::new();
            for (key, waiting) in &rows {
                match self.open_notice(*key, waiting) {
                    Some(notice) if notice.notice.precedes_a_step() => {
                        self.settle_notice(&notice, &Outcome::GivenUp).await?;
                        continue;
                    }
                    Some(notice) => self.room().traces().note(self.noticed(&notice, &Outcome::GivenUp), &mut batch),
                    None => {}
                }
                batch.delete::<WaitingNotice>(key);
            }
            if !batch.is_empty() {
                self.store().commit(batch).await?;
            }
            given_up += rows.len();
        }
    }
}
