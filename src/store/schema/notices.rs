//! What holders are to be told by ordinary mail: notices that wait, and what is known beside them.

use serde::{Deserialize, Serialize};

use super::accounts::JsonRecord;
use super::codec::{Reader, put_bytes};
use super::{AccountId, DecodeError, FolderId, Key, Record, Table, Uid};

const LAYOUT: u8 = 1;

/// Which of the waiting notices go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum NoticeLane {
    /// Somebody waits for it: codes.
    Urgent = 1,
    /// Who may open the mailbox has changed. Older versions wrote here whatever was no code.
    Access = 2,
    /// What becomes of the mailbox: terms of use, its closing.
    Life = 3,
    /// The rest: new messages, how full the mailbox is, announcements.
    News = 4,
}

impl NoticeLane {
    /// Every lane, those that go first first.
    pub const ALL: [NoticeLane; 4] = [NoticeLane::Urgent, NoticeLane::Access, NoticeLane::Life, NoticeLane::News];
}

/// Key of [`WaitingNotice`]: in each lane the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoticeKey {
    /// The lane.
    pub lane: NoticeLane,
    /// Unix microseconds, each given once.
    pub at: u64,
}

impl NoticeKey {
    /// The range of a whole lane.
    #[must_use]
    pub fn of(lane: NoticeLane) -> std::ops::RangeInclusive<NoticeKey> {
        NoticeKey { lane, at: 0 }..=NoticeKey { lane, at: u64::MAX }
    }
}

/// A notice that waits for the relay of ordinary mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingNotice {
    /// Whom it is for and what it says: the accounts room's, sealed.
    pub sealed: Vec<u8>,
}

/// Which part of a mailbox's [`NoticeState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum NoticePart {
    /// What the mail room has marked and nobody has made a notice of: `new_mail`, `quota`.
    Marks = 1,
    /// From where its holder signs in: `places`, `place_told_at`.
    Places = 2,
}

/// Key of [`NoticeState`]: all of one part lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoticeStateKey {
    /// The part.
    pub part: NoticePart,
    /// The mailbox.
    pub account: AccountId,
}

impl NoticeStateKey {
    /// The range of one part of all mailboxes.
    #[must_use]
    pub fn of(part: NoticePart) -> std::ops::RangeInclusive<NoticeStateKey> {
        NoticeStateKey { part, account: AccountId(0) }..=NoticeStateKey { part, account: AccountId(u64::MAX) }
    }
}

/// What is known of a mailbox for its notices; each part uses its own fields.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NoticeState {
    /// Messages came of which the holder has not been told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_mail: Option<NewMailMark>,
    /// The mailbox has come to so many percent of what it may hold; 100: it takes nothing more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<u8>,
    /// Networks that the mailbox was opened from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<KnownPlace>,
    /// Unix seconds when the holder was last told of a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place_told_at: Option<i64>,
}

/// Messages that the holder has not been told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NewMailMark {
    /// The INBOX.
    pub folder: FolderId,
    /// The first of them.
    pub first: Uid,
    /// Unix seconds from which the holder is to be told.
    pub due: i64,
}

/// A network that a mailbox was opened from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KnownPlace {
    /// Which: a digest that nobody can undo without the operator's key.
    pub digest: u64,
    /// Unix seconds of the last time, to the day.
    pub seen_at: i64,
}

impl Key for NoticeKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.lane as u8);
        out.extend_from_slice(&self.at.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&lane, at) = bytes.split_first()?;
        let lane = NoticeLane::ALL.into_iter().find(|each| *each as u8 == lane)?;
        Some(NoticeKey { lane, at: u64::from_be_bytes(at.try_into().ok()?) })
    }
}

impl Key for NoticeStateKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.part as u8);
        self.account.encode(out);
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&part, account) = bytes.split_first()?;
        let part = match part {
            1 => NoticePart::Marks,
            2 => NoticePart::Places,
            _ => return None,
        };
        Some(NoticeStateKey { part, account: AccountId::decode(account)? })
    }
}

impl Record for WaitingNotice {
    const TABLE: Table = Table::Notice;
    type Key = NoticeKey;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_bytes(out, &self.sealed);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let sealed = reader.bytes()?.to_vec();
        reader.end().map(|()| WaitingNotice { sealed })
    }
}

impl JsonRecord for NoticeState {
    const TABLE: Table = Table::NoticeState;
    type Key = NoticeStateKey;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_records_come_back_as_they_were_and_urgent_ones_lie_first() {
        let mut raw = Vec::new();
        for (lane, at) in NoticeLane::ALL.into_iter().zip([u64::MAX, 9, 7, 0]) {
            let mut bytes = Vec::new();
            NoticeKey { lane, at }.encode(&mut bytes);
            assert_eq!(NoticeKey::decode(&bytes), Some(NoticeKey { lane, at }));
            raw.push(bytes);
        }
        assert!(raw.is_sorted());
        assert_eq!(NoticeKey::decode(&[5, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        for part in [NoticePart::Marks, NoticePart::Places] {
            let mut bytes = Vec::new();
            let key = NoticeStateKey { part, account: AccountId(7) };
            key.encode(&mut bytes);
            assert_eq!(NoticeStateKey::decode(&bytes), Some(key));
        }
        let waiting = WaitingNotice { sealed: vec![9; 40] };
        let mut bytes = Vec::new();
        waiting.encode(&mut bytes);
        assert_eq!(WaitingNotice::decode(&bytes), Ok(waiting));
        let state = NoticeState {
            new_mail: Some(NewMailMark { folder: FolderId(3), first: 12, due: 9 }),
            quota: Some(80),
            ..NoticeState::default()
        };
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        assert_eq!(bytes[1..], *br#"{"new_mail":{"folder":3,"first":12,"due":9},"quota":80}"#);
        assert_eq!(NoticeState::decode(&bytes), Ok(state));
    }
}
