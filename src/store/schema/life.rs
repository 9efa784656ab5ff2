//! Cold records of mailboxes' lives: the journal, and the versions of the terms of use. JSON behind the layout byte.

use serde::{Deserialize, Serialize};

use super::accounts::JsonRecord;
use super::{AccountId, Key, Table};

/// Key of [`JournalEntry`]: in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalKey {
    /// Unix microseconds, moved on where a mailbox has several lines of one moment.
    pub at: u64,
    /// The mailbox.
    pub account: AccountId,
}

/// A line of the journal: something that happened in a mailbox's life (MSSanté §5).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JournalEntry {
    /// The mailbox's address.
    pub address: String,
    /// What happened, in kebab-case.
    pub step: String,
    /// A version or a day that belongs to it.
    pub detail: Option<String>,
    /// By whom: `server`, `administrator uid 0`, a person's national id.
    pub by: String,
    /// Why, as the operator wrote it.
    pub reason: Option<String>,
}

/// Key of [`Terms`]: a version, and a piece of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermsKey {
    /// Number of the version, rising from 1.
    pub number: u32,
    /// Which piece of its text; the first one says what there is to say of the whole.
    pub piece: u32,
}

/// A piece of a version of the terms of use (CGU): pieces, since values of the index are small.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// What is said of the whole; in the first piece only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<TermsHead>,
    /// The text of this piece.
    pub text: String,
}

/// A version of the terms of use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TermsHead {
    /// Its name, as acceptances have it.
    pub version: String,
    /// Unix seconds from which it is asked for.
    pub from: i64,
    /// Unix seconds of the last day on which a mailbox goes on without it.
    pub accept_by: i64,
    /// SHA-256 of the whole text, lower-case hexadecimal.
    pub sha256: String,
    /// How many pieces the text has.
    pub pieces: u32,
    /// Unix seconds.
    pub added_at: i64,
    /// By whom it was added.
    pub added_by: String,
}

impl Key for JournalKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.at.to_be_bytes());
        out.extend_from_slice(&self.account.0.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (at, account) = bytes.split_first_chunk::<8>()?;
        let account = AccountId(u64::from_be_bytes(account.try_into().ok()?));
        Some(JournalKey { at: u64::from_be_bytes(*at), account })
    }
}

impl Key for TermsKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.piece.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (number, piece) = bytes.split_first_chunk::<4>()?;
        Some(TermsKey { number: u32::from_be_bytes(*number), piece: u32::from_be_bytes(piece.try_into().ok()?) })
    }
}

impl JsonRecord for JournalEntry {
    const TABLE: Table = Table::Journal;
    type Key = JournalKey;
}

impl JsonRecord for Terms {
    const TABLE: Table = Table::Terms;
    type Key = TermsKey;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::Record;

    #[test]
    fn keys_are_ordered_by_time_and_by_version() {
        let journal = |at, account| JournalKey { at, account: AccountId(account) };
        let terms = |number, piece| TermsKey { number, piece };
        let bytes = |key: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            key(&mut out);
            out
        };
        let (early, late) = (journal(1, 9), journal(2, 1));
        assert!(bytes(&|out| early.encode(out)) < bytes(&|out| late.encode(out)));
        assert_eq!(JournalKey::decode(&bytes(&|out| late.encode(out))), Some(late));
        let (first, second) = (terms(1, 300), terms(2, 0));
        assert!(bytes(&|out| first.encode(out)) < bytes(&|out| second.encode(out)));
        assert_eq!(TermsKey::decode(&bytes(&|out| first.encode(out))), Some(first));
        assert_eq!((JournalKey::decode(&[0; 15]), TermsKey::decode(&[0; 9])), (None, None));
    }

    #[test]
    fn records_come_back_as_they_were() {
        let entry = JournalEntry { address: "a@b".into(), step: "closed".into(), ..JournalEntry::default() };
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        assert_eq!(JournalEntry::decode(&bytes).unwrap(), entry);
        let head = TermsHead { version: "2026-1".into(), pieces: 2, ..TermsHead::default() };
        for terms in [Terms { head: Some(head), text: "é".into() }, Terms { head: None, text: "fin".into() }] {
            let mut bytes = Vec::new();
            terms.encode(&mut bytes);
            assert_eq!(Terms::decode(&bytes).unwrap(), terms);
        }
    }
}
