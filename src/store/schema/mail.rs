//! Hot records: folders, messages, bodies, changes. Compact binary.

use super::codec::{Reader, put_bytes, put_int, put_uint};
use super::{AccountId, BodyId, ChangeKey, DecodeError, FolderId, FolderKey, MessageKey, MetaKey, Record, Table, Uid};
use crate::store::seal::SealedKey;

const LAYOUT: u8 = 1;

/// [`Usage`] has grown since its first layout.
const USAGE_LAYOUT: u8 = 2;

/// A counter: the number that it gives next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// The next number; those below were given or skipped.
    pub next: u64,
}

/// What a mailbox holds, over all folders. Derived: it can be computed again from the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Sum of the messages' sizes.
    pub bytes: u64,
    /// Number of messages.
    pub messages: u64,
    /// Number of the account's last [`Change`]; 0: none yet.
    pub last_change: u64,
    /// Unix seconds since when messages have found no room; `None`: there is room.
    pub over_quota_since: Option<i64>,
    /// The highest share of its quota, in percent, that the holder was warned of and that it has not fallen below since; 100:
    /// that messages find no room.
    pub warned: u8,
}

/// The special use of a folder (RFC 6154).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SpecialUse {
    /// `\Sent`
    Sent = 1,
    /// `\Drafts`
    Drafts = 2,
    /// `\Trash`
    Trash = 3,
    /// `\Junk`
    Junk = 4,
    /// `\Archive`
    Archive = 5,
}

impl SpecialUse {
    fn from_byte(byte: u8) -> Result<Option<SpecialUse>, DecodeError> {
        match byte {
            0 => Ok(None),
            1 => Ok(Some(SpecialUse::Sent)),
            2 => Ok(Some(SpecialUse::Drafts)),
            3 => Ok(Some(SpecialUse::Trash)),
            4 => Ok(Some(SpecialUse::Junk)),
            5 => Ok(Some(SpecialUse::Archive)),
            _ => Err(DecodeError::Malformed),
        }
    }
}

/// What a folder's record stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum FolderExistence {
    /// A folder that can be selected.
    #[default]
    Selectable = 0,
    /// A level of the hierarchy that holds folders but no messages: `\Noselect` (RFC 3501 §6.3.4).
    Level = 1,
    /// Only a name: a subscription outlives its folder (RFC 3501 §6.3.6).
    Subscription = 2,
    /// Deleted; its messages are being erased.
    Erasing = 3,
}

impl FolderExistence {
    fn from_byte(byte: u8) -> Result<FolderExistence, DecodeError> {
        match byte {
            0 => Ok(FolderExistence::Selectable),
            1 => Ok(FolderExistence::Level),
            2 => Ok(FolderExistence::Subscription),
            3 => Ok(FolderExistence::Erasing),
            _ => Err(DecodeError::Malformed),
        }
    }
}

/// A folder: what IMAP calls a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Folder {
    /// The whole name, in UTF-8, with `/` between the levels.
    pub name: String,
    /// What the record stands for.
    pub existence: FolderExistence,
    /// Its special use.
    pub special_use: Option<SpecialUse>,
    /// RFC 3501 §2.3.1.1.
    pub uid_validity: u32,
    /// The UID of the next message.
    pub uid_next: Uid,
    /// The highest modification sequence of the folder (RFC 7162).
    pub highest_modseq: u64,
    /// Number of messages. Derived.
    pub messages: u32,
    /// Number of messages without `\Seen`. Derived.
    pub unseen: u32,
    /// Sum of the messages' sizes. Derived.
    pub bytes: u64,
    /// Messages from this UID on are `\Recent` for the next session that selects the folder (RFC 3501 §2.3.2).
    pub recent_from: Uid,
    /// A client subscribed to it.
    pub subscribed: bool,
    /// The keywords of the folder; keyword `i` is bit `i` of [`Message::keywords`].
    pub keywords: Vec<String>,
    /// Unix seconds.
    pub created_at: i64,
}

/// Bits of [`Message::flags`] (RFC 3501 §2.3.2).
pub mod flags {
    /// `\Seen`
    pub const SEEN: u32 = 1;
    /// `\Answered`
    pub const ANSWERED: u32 = 1 << 1;
    /// `\Flagged`
    pub const FLAGGED: u32 = 1 << 2;
    /// `\Deleted`
    pub const DELETED: u32 = 1 << 3;
    /// `\Draft`
    pub const DRAFT: u32 = 1 << 4;
}

/// A message in a folder: what is not content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Modification sequence (RFC 7162).
    pub modseq: u64,
    /// Bits of [`flags`].
    pub flags: u32,
    /// Bit `i`: keyword `i` of the folder.
    pub keywords: u64,
    /// INTERNALDATE, Unix seconds.
    pub internal_date: i64,
    /// When it came into this folder, Unix seconds (RFC 8514).
    pub saved_at: i64,
    /// Size in bytes.
    pub size: u64,
    /// The body.
    pub body: BodyId,
}

/// A message in a folder: what is sealed under the mailbox's key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The body's key, sealed for the mailbox.
    pub sealed_body_key: SealedKey,
    /// The summary (envelope, structure), sealed by [`crate::store::seal::MailboxKey::seal_bytes`].
    pub sealed_summary: Vec<u8>,
}

/// Where a frame lies in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The segment's number.
    pub segment: u32,
    /// Offset of the frame's first byte in the segment.
    pub offset: u32,
}

/// A body: a message's bytes, sealed once, shown by one or several messages. Written by the store itself, from
/// [`crate::store::Batch::adopt`] and [`crate::store::Batch::release_body`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Size of the plain body in bytes.
    pub size: u64,
    /// How many messages show it; at none the record is deleted.
    pub references: u64,
    /// The places of its chunks, in order; each holds [`crate::store::CHUNK`] plain bytes but the last.
    pub places: Vec<Place>,
}

/// What one commit did to a mailbox, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Unix seconds.
    pub at: i64,
    /// What was done.
    pub entries: Vec<ChangeEntry>,
}

/// Ranges of UIDs, rising and apart: `(first, last)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UidSet(pub Vec<(Uid, Uid)>);

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeEntry {
    /// Messages came (delivery, APPEND, COPY, MOVE).
    Arrived {
        /// Where.
        folder: FolderId,
        /// Their modification sequence.
        modseq: u64,
        /// Which.
        uids: UidSet,
    },
    /// Flags or keywords changed.
    Flags {
        /// Where.
        folder: FolderId,
        /// Their modification sequence.
        modseq: u64,
        /// Which.
        uids: UidSet,
    },
    /// Messages went (EXPUNGE, MOVE).
    Removed {
        /// Where.
        folder: FolderId,
        /// The modification sequence of their going.
        modseq: u64,
        /// Which.
        uids: UidSet,
    },
    /// A folder was made.
    FolderCreated {
        /// Which.
        folder: FolderId,
    },
    /// A folder was renamed, subscribed or unsubscribed, or got keywords.
    FolderChanged {
        /// Which.
        folder: FolderId,
    },
    /// A folder was deleted with all that was in it.
    FolderDeleted {
        /// Which.
        folder: FolderId,
    },
}

impl UidSet {
    /// A set from rising UIDs.
    #[must_use]
    pub fn from_rising(uids: impl IntoIterator<Item = Uid>) -> Self {
        let mut ranges: Vec<(Uid, Uid)> = Vec::new();
        for uid in uids {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
                Some((_, last)) if *last >= uid => {}
                _ => ranges.push((uid, uid)),
            }
        }
        UidSet(ranges)
    }

    /// All UIDs, rising.
    pub fn iter(&self) -> impl Iterator<Item = Uid> {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_uint(out, self.0.len() as u64);
        let mut before = 0;
        for (first, last) in &self.0 {
            put_uint(out, u64::from(first.wrapping_sub(before)));
            put_uint(out, u64::from(last - first));
            before = *last;
        }
    }

    fn decode(reader: &mut Reader) -> Result<Self, DecodeError> {
        let count = reader.count()?;
        let mut ranges = Vec::with_capacity(count);
        let mut before: Uid = 0;
        for _ in 0..count {
            let first = before.checked_add(reader.u32()?).ok_or(DecodeError::Malformed)?;
            let last = first.checked_add(reader.u32()?).ok_or(DecodeError::Malformed)?;
            ranges.push((first, last));
            before = last;
        }
        Ok(UidSet(ranges))
    }
}

impl ChangeEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, folder, messages) = match self {
            ChangeEntry::Arrived { folder, modseq, uids } => (1, folder, Some((modseq, uids))),
            ChangeEntry::Flags { folder, modseq, uids } => (2, folder, Some((modseq, uids))),
            ChangeEntry::Removed { folder, modseq, uids } => (3, folder, Some((modseq, uids))),
            ChangeEntry::FolderCreated { folder } => (4, folder, None),
            ChangeEntry::FolderChanged { folder } => (5, folder, None),
            ChangeEntry::FolderDeleted { folder } => (6, folder, None),
        };
        out.push(kind);
        put_uint(out, folder.0);
        if let Some((modseq, uids)) = messages {
            put_uint(out, *modseq);
            uids.encode(out);
        }
    }

    fn decode(reader: &mut Reader) -> Result<Self, DecodeError> {
        let kind = reader.byte()?;
        let folder = FolderId(reader.uint()?);
        match kind {
            1..=3 => {
                let modseq = reader.uint()?;
                let uids = UidSet::decode(reader)?;
                Ok(match kind {
                    1 => ChangeEntry::Arrived { folder, modseq, uids },
                    2 => ChangeEntry::Flags { folder, modseq, uids },
                    _ => ChangeEntry::Removed { folder, modseq, uids },
                })
            }
            4 => Ok(ChangeEntry::FolderCreated { folder }),
            5 => Ok(ChangeEntry::FolderChanged { folder }),
            6 => Ok(ChangeEntry::FolderDeleted { folder }),
            _ => Err(DecodeError::Malformed),
        }
    }
}

impl Record for Meta {
    const TABLE: Table = Table::Meta;
    type Key = MetaKey;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_uint(out, self.next);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let record = Meta { next: reader.uint()? };
        reader.end().map(|()| record)
    }
}

impl Record for Usage {
    const TABLE: Table = Table::Usage;
    type Key = AccountId;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(USAGE_LAYOUT);
        put_uint(out, self.bytes);
        put_uint(out, self.messages);
        put_uint(out, self.last_change);
        out.push(u8::from(self.over_quota_since.is_some()));
        put_int(out, self.over_quota_since.unwrap_or_default());
        out.push(self.warned);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        // The first layout ended before the warnings.
        let is_first = bytes.first() == Some(&LAYOUT);
        let mut reader = Reader::layout(bytes, if is_first { LAYOUT } else { USAGE_LAYOUT })?;
        let (bytes, messages, last_change) = (reader.uint()?, reader.uint()?, reader.uint()?);
        let (is_over, since) = (reader.bool()?, reader.int()?);
        let warned = if is_first { 0 } else { reader.byte()? };
        let record = Usage { bytes, messages, last_change, over_quota_since: is_over.then_some(since), warned };
        reader.end().map(|()| record)
    }
}

impl Record for Folder {
    const TABLE: Table = Table::Folder;
    type Key = FolderKey;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_bytes(out, self.name.as_bytes());
        out.push(self.existence as u8);
        out.push(self.special_use.map_or(0, |special| special as u8));
        put_uint(out, u64::from(self.uid_validity));
        put_uint(out, u64::from(self.uid_next));
        put_uint(out, self.highest_modseq);
        put_uint(out, u64::from(self.messages));
        put_uint(out, u64::from(self.unseen));
        put_uint(out, self.bytes);
        put_uint(out, u64::from(self.recent_from));
        out.push(u8::from(self.subscribed));
        put_uint(out, self.keywords.len() as u64);
        for keyword in &self.keywords {
            put_bytes(out, keyword.as_bytes());
        }
        put_int(out, self.created_at);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let record = Folder {
            name: reader.text()?,
            existence: FolderExistence::from_byte(reader.byte()?)?,
            special_use: SpecialUse::from_byte(reader.byte()?)?,
            uid_validity: reader.u32()?,
            uid_next: reader.u32()?,
            highest_modseq: reader.uint()?,
            messages: reader.u32()?,
            unseen: reader.u32()?,
            bytes: reader.uint()?,
            recent_from: reader.u32()?,
            subscribed: reader.bool()?,
            keywords: (0..reader.count()?).map(|_| reader.text()).collect::<Result<_, _>>()?,
            created_at: reader.int()?,
        };
        reader.end().map(|()| record)
    }
}

impl Record for Message {
    const TABLE: Table = Table::Message;
    type Key = MessageKey;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_uint(out, self.modseq);
        put_uint(out, u64::from(self.flags));
        put_uint(out, self.keywords);
        put_int(out, self.internal_date);
        put_int(out, self.saved_at);
        put_uint(out, self.size);
        put_uint(out, self.body.0);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let record = Message {
            modseq: reader.uint()?,
            flags: reader.u32()?,
            keywords: reader.uint()?,
            internal_date: reader.int()?,
            saved_at: reader.int()?,
            size: reader.uint()?,
            body: BodyId(reader.uint()?),
        };
        reader.end().map(|()| record)
    }
}

impl Record for Content {
    const TABLE: Table = Table::Content;
    type Key = MessageKey;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_bytes(out, &self.sealed_body_key.0);
        put_bytes(out, &self.sealed_summary);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let record =
            Content { sealed_body_key: SealedKey(reader.bytes()?.to_vec()), sealed_summary: reader.bytes()?.to_vec() };
        reader.end().map(|()| record)
    }
}

impl Record for Body {
    const TABLE: Table = Table::Body;
    type Key = BodyId;

    /// Places lie close together, so each is written as its distance from the one before: about four bytes a chunk.
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_uint(out, self.size);
        put_uint(out, self.references);
        put_uint(out, self.places.len() as u64);
        let mut before = Place { segment: 0, offset: 0 };
        for place in &self.places {
            put_int(out, i64::from(place.segment) - i64::from(before.segment));
            put_int(out, i64::from(place.offset) - i64::from(before.offset));
            before = *place;
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let (size, references) = (reader.uint()?, reader.uint()?);
        let count = reader.count()?;
        let mut places = Vec::with_capacity(count);
        let (mut segment, mut offset) = (0i64, 0i64);
        for _ in 0..count {
            segment = segment.checked_add(reader.int()?).ok_or(DecodeError::Malformed)?;
            offset = offset.checked_add(reader.int()?).ok_or(DecodeError::Malformed)?;
            places.push(Place {
                segment: u32::try_from(segment).map_err(|_| DecodeError::Malformed)?,
                offset: u32::try_from(offset).map_err(|_| DecodeError::Malformed)?,
            });
        }
        reader.end().map(|()| Body { size, references, places })
    }
}

impl Record for Change {
    const TABLE: Table = Table::Change;
    type Key = ChangeKey;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT);
        put_int(out, self.at);
        put_uint(out, self.entries.len() as u64);
        for entry in &self.entries {
            entry.encode(out);
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::layout(bytes, LAYOUT)?;
        let at = reader.int()?;
        let entries = (0..reader.count()?).map(|_| ChangeEntry::decode(&mut reader)).collect::<Result<_, _>>()?;
        reader.end().map(|()| Change { at, entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_of_the_first_layout_is_read_as_one_without_warnings() {
        let usage =
            Usage { bytes: 300, messages: 2, last_change: 9, over_quota_since: Some(1_795_633_200), warned: 95 };
        let mut bytes = Vec::new();
        usage.encode(&mut bytes);
        assert_eq!(Usage::decode(&bytes), Ok(usage));
        bytes[0] = LAYOUT;
        assert_eq!(Usage::decode(&bytes[..bytes.len() - 1]), Ok(Usage { warned: 0, ..usage }));
        assert!(Usage::decode(&bytes).is_err(), "nothing stands behind the first layout's end");
    }
}
