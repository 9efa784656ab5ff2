//! Marks of what a mailbox's holder is to be told: written in the commit of what they are about, made notices of elsewhere.
//!
//! A mark says where new messages begin and when their holder is to be told, or how full the mailbox is; nothing of any message.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::store::{
    Account, Batch, FolderId, NewMailMark, NewMailPace, NoticePart, NoticeState, NoticeStateKey, Store, Uid, Usage,
};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A holder who was warned is warned again after the mailbox has fallen so many percent of its quota below.
const FALLEN_BY: u64 = 5;

/// What `Usage::warned` says of a mailbox that has no room.
const FULL: u8 = 100;

/// How holders are told of new messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewMailTimes {
    /// Those who have not said how.
    pub pace: NewMailPace,
    /// The hour (UTC) of those who are told once a day.
    pub daily_hour: u8,
}

impl NewMailTimes {
    /// When the holder is to be told of what comes now; none: never.
    fn due(self, account: &Account, now: i64) -> Option<i64> {
        account.notification_address.as_ref()?;
        match account.new_mail_notices.unwrap_or(self.pace) {
            NewMailPace::AtOnce => Some(now),
            NewMailPace::Hourly => Some(now + HOUR),
            NewMailPace::Daily => {
                let today = now.div_euclid(DAY) * DAY + i64::from(self.daily_hour) * HOUR;
                Some(if now < today { today } else { today + DAY })
            }
            NewMailPace::None => None,
        }
    }
}

/// When the first mark is due, Unix seconds: nobody has to look at them before. It is never too late, and may be too early.
#[derive(Debug, Default)]
pub(crate) struct FirstDue(AtomicI64);

impl FirstDue {
    /// Whether a mark may be due.
    pub(crate) fn has_come(&self, now: i64) -> bool {
        self.0.load(Ordering::Relaxed) <= now
    }

    /// Somebody is about to look at all marks, and notes those that are left. What is committed from now on is noted after.
    pub(crate) fn begin_anew(&self) {
        self.0.store(i64::MAX, Ordering::Relaxed);
    }

    /// A mark that is there is due then.
    pub(crate) fn note(&self, due: i64) {
        self.0.fetch_min(due, Ordering::Relaxed);
    }
}

/// What one commit is to mark.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// When the holder is to be told of what comes now.
    due: Option<i64>,
    arrived: Option<(FolderId, Uid)>,
}

impl Marks {
    pub(super) fn new(times: Option<NewMailTimes>, account: &Account, now: i64) -> Self {
        Self { due: times.and_then(|times| times.due(account, now)), arrived: None }
    }

    /// A message came that the holder has not asked for.
    pub(super) fn arrived(&mut self, folder: FolderId, uid: Uid) {
        self.arrived.get_or_insert((folder, uid));
    }

    /// Writes what is to be marked into the batch, and says when it is due. The mailbox's lock must be held: nobody else writes
    /// its marks.
    pub(super) fn write(
        &self,
        store: &Store,
        key: NoticeStateKey,
        warning: Option<u8>,
        batch: &mut Batch,
    ) -> Option<i64> {
        debug_assert_eq!(key.part, NoticePart::Marks);
        let new_mail = self.arrived.zip(self.due);
        if new_mail.is_none() && warning.is_none() {
            return None;
        }
        let before = match store.get::<NoticeState>(&key) {
            Ok(read) => read.map(|read| read.record).unwrap_or_default(),
            Err(error) => {
                // It costs its holder what they were not told yet, and the next mark is made on a clean sheet.
                tracing::error!(account = %key.account, %error, "a mailbox's marks cannot be read: made anew");
                NoticeState::default()
            }
        };
        let mut state = before.clone();
        if let Some(((folder, first), due)) = new_mail {
            let mark = state.new_mail.get_or_insert(NewMailMark { folder, first, due });
            // The holder may have asked to be told sooner.
            mark.due = mark.due.min(due);
        }
        state.quota = warning.or(state.quota);
        if state == before {
            return None;
        }
        batch.put(&key, &state);
        // A warning is due at once.
        if state.quota.is_some() { Some(i64::MIN) } else { state.new_mail.map(|mark| mark.due) }
    }
}

/// Brings `usage.warned` up to date; says what the holder is to be warned of now.
pub(super) fn warn(usage: &mut Usage, quota: Option<u64>, warn_at: &[u8]) -> Option<u8> {
    let reached = |bytes: u64| {
        let is_reached = |percent: &u8| {
            quota.is_some_and(|quota| bytes.saturating_mul(100) >= quota.saturating_mul(u64::from(*percent)))
        };
        warn_at.iter().copied().filter(is_reached).max().unwrap_or_default()
    };
    if usage.over_quota_since.is_some() {
        return (std::mem::replace(&mut usage.warned, FULL) < FULL).then_some(FULL);
    }
    let level = reached(usage.bytes);
    if level > usage.warned {
        usage.warned = level;
        return Some(level);
    }
    let slack = quota.unwrap_or_default() / 100 * FALLEN_BY;
    usage.warned = usage.warned.min(reached(usage.bytes.saturating_add(slack)));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_warned_once_at_each_threshold_until_it_has_fallen_below() {
        let mut usage = Usage::default();
        let mut at = |bytes: u64, full: bool| {
            usage.bytes = bytes;
            usage.over_quota_since = full.then_some(1);
            warn(&mut usage, Some(1_000), &[80, 95])
        };
        assert_eq!(at(799, false), None);
        assert_eq!(at(800, false), Some(80));
        assert_eq!(at(940, false), None, "once");
        assert_eq!(at(790, false), None);
        assert_eq!(at(801, false), None, "it has not fallen far");
        assert_eq!(at(960, false), Some(95));
        assert_eq!(at(990, true), Some(100), "a message found no room");
        assert_eq!(at(995, true), None);
        assert_eq!(at(920, false), None);
        assert_eq!(at(990, true), Some(100), "again");
        assert_eq!(at(700, false), None);
        assert_eq!(at(990, false), Some(95), "one for both thresholds");
        assert_eq!(warn(&mut Usage { bytes: u64::MAX, ..Usage::default() }, None, &[80, 95]), None);
    }

    #[test]
    fn who_is_told_when_is_the_holders_choice() {
        let times = NewMailTimes { pace: NewMailPace::Daily, daily_hour: 6 };
        let told = Account { notification_address: Some("anne@fai.example".into()), ..Account::default() };
        let of = |pace| Account { new_mail_notices: Some(pace), ..told.clone() };
        let six = 20_000 * DAY + 6 * HOUR;
        assert_eq!(times.due(&told, six - 1), Some(six));
        assert_eq!(times.due(&told, six), Some(six + DAY));
        assert_eq!(times.due(&of(NewMailPace::AtOnce), six), Some(six));
        assert_eq!(times.due(&of(NewMailPace::Hourly), six), Some(six + HOUR));
        assert_eq!(times.due(&of(NewMailPace::None), six), None);
        assert_eq!(times.due(&Account::default(), six), None, "there is nowhere to tell it");
    }

    #[tokio::test]
    async fn the_first_untold_message_is_marked_and_the_earliest_time_to_tell_it() {
        let store = Store::in_memory();
        let key = NoticeStateKey { part: NoticePart::Marks, account: crate::store::AccountId(1) };
        for (uid, due, warning) in [(5, 100, None), (6, 200, Some(80)), (7, 60, None)] {
            let mut marks = Marks { due: Some(due), arrived: None };
            marks.arrived(FolderId(2), uid);
            let mut batch = Batch::new();
            let marked = marks.write(&store, key, warning, &mut batch);
            assert_eq!(marked, if uid == 5 { Some(100) } else { Some(i64::MIN) }, "a warning is due at once");
            store.commit(batch).await.unwrap();
        }
        let state = store.get::<NoticeState>(&key).unwrap().unwrap().record;
        assert_eq!(state.new_mail, Some(NewMailMark { folder: FolderId(2), first: 5, due: 60 }));
        assert_eq!(state.quota, Some(80));
        let mut batch = Batch::new();
        let marked = Marks { due: None, arrived: Some((FolderId(2), 8)) }.write(&store, key, None, &mut batch);
        assert!(marked.is_none() && batch.is_empty(), "who is told of nothing costs nothing");
    }
}
