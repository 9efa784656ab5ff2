//! Cold records of the publication in the national directory (MSSanté §9). JSON behind the layout byte.

use serde::{Deserialize, Serialize};

use super::accounts::JsonRecord;
use super::{AccountId, AccountKind, DirectoryEntryKey, Table};

/// Something changed that the directory has to know: the mailbox is looked at, and what it says is made to be so there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DirectoryEntry {
    /// Unix seconds.
    pub at: i64,
    /// Why, in a word: `appears`, `changes`, `disappears`, `asked`, `mended`.
    pub cause: String,
}

/// How a mailbox stands in the directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DirectoryState {
    /// What the directory shows of it, as far as we know; none: nothing.
    pub published: Option<DirectoryImage>,
    /// When that was last known to be so, Unix seconds.
    pub published_at: Option<i64>,
    /// Where a try may have put it since, without our knowing.
    pub attempt: Option<DirectoryPlace>,
    /// Tries since the last one that went well.
    pub tries: u32,
    /// Unix seconds before which it is not tried.
    pub due_at: i64,
    /// What was said at the last try that did not go well.
    pub words: String,
    /// What an administrator has to put right first.
    pub task: Option<DirectoryTask>,
}

/// The directory refuses something for good.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DirectoryTask {
    /// Since when the mailbox has waited, Unix seconds.
    pub since: i64,
    /// When the directory refused, Unix seconds.
    pub at: i64,
    /// The HTTP status.
    pub status: u16,
    /// The directory's own words.
    pub words: String,
}

/// What the directory shows of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DirectoryImage {
    /// Whose contact it is.
    pub place: DirectoryPlace,
    /// The address.
    pub address: String,
    /// The kind.
    pub kind: AccountKind,
    /// Not shown to others (liste rouge).
    pub red_list: bool,
    /// Electronic delivery in place of paper (dématérialisation).
    pub zero_paper: bool,
    /// What the mailbox is for (ORG, APP, CAB).
    pub description: Option<String>,
    /// The service within the structure (ORG, APP).
    pub service: Option<String>,
    /// National id of who answers for it (ORG, APP, CAB).
    pub responsible: Option<String>,
}

/// A resource of the directory, by an identifier that it has there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DirectoryPlace {
    /// `Practitioner`, `PractitionerRole`, `Organization`.
    pub resource: String,
    /// The identifier's system.
    pub system: String,
    /// The identifier.
    pub value: String,
}

impl std::fmt::Display for DirectoryPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.resource, self.value)
    }
}

impl JsonRecord for DirectoryEntry {
    const TABLE: Table = Table::DirectoryEntry;
    type Key = DirectoryEntryKey;
}

impl JsonRecord for DirectoryState {
    const TABLE: Table = Table::DirectoryState;
    type Key = AccountId;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::{DecodeError, Record};

    #[test]
    fn records_come_back_as_they_were() {
        let place = DirectoryPlace { resource: "Practitioner".into(), system: "urn:oid:1".into(), value: "8".into() };
        let image =
            DirectoryImage { place, address: "a@b.example".into(), red_list: true, ..DirectoryImage::default() };
        let task = DirectoryTask { since: 1, at: 2, status: 412, words: "plusieurs".into() };
        let state = DirectoryState { published: Some(image), task: Some(task), tries: 3, ..DirectoryState::default() };
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        assert_eq!(DirectoryState::decode(&bytes).unwrap(), state);
        // What an older version did not write has its default.
        assert_eq!(DirectoryState::decode(b"\x01{}").unwrap(), DirectoryState::default());
        assert_eq!(DirectoryEntry::decode(b"\x01{}").unwrap(), DirectoryEntry::default());
        bytes[0] = 9;
        assert_eq!(DirectoryState::decode(&bytes), Err(DecodeError::UnknownLayout(9)));
    }
}
