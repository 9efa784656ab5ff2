//! What travels about the national directory. The rules of [`super::super::types`] hold here too.

use serde::{Deserialize, Serialize};

/// How publication stands: `GET /v1/directory`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryStatus {
    /// `working`, `away` (the directory cannot be reached), `halted` (it refuses our key or certificate), `off`.
    pub activity: String,
    /// When a pause ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// What the directory said before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Mailboxes that the directory shows, as far as we know.
    pub published: u64,
    /// Mailboxes that wait.
    pub waiting: u64,
    /// Mailboxes that the directory refuses: tasks of the administrator's.
    pub tasks: u64,
    /// Since when the mailbox that has waited longest does, tasks included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<String>,
    /// What needs a look: `refused`, `late`, `tasks`.
    pub alarms: Vec<String>,
}

/// A page of a list: `GET /v1/directory/pending`, `…/tasks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DirectoryQuery {
    /// Only mailboxes with a number above this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many: 1 to 1000, by default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// What waits, by mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingMailboxes {
    /// The mailboxes.
    pub pending: Vec<PendingMailbox>,
    /// Ask again with `after` at this number for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// A mailbox that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingMailbox {
    /// Its address.
    pub address: String,
    /// Since when.
    pub since: String,
    /// `appears`, `changes`, `disappears`, `asked`, `mended`.
    pub cause: String,
    /// Tries that went wrong.
    pub tries: u32,
    /// When it is tried next; absent: as soon as possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<String>,
    /// What was said at the last try.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
}

/// What the directory refuses, by mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryTasks {
    /// The tasks.
    pub tasks: Vec<DirectoryTask>,
    /// Ask again with `after` at this number for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// Something that the administrator has to put right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryTask {
    /// The mailbox.
    pub address: String,
    /// Since when it waits.
    pub since: String,
    /// When the directory refused.
    pub refused_at: String,
    /// The HTTP status.
    pub status: u16,
    /// The directory's own words.
    pub words: String,
}

/// How one mailbox stands: `GET /v1/directory/mailboxes/{address}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryMailbox {
    /// Its address.
    pub address: String,
    /// What the directory should show; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<DirectoryImage>,
    /// What it shows, as far as we know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<DirectoryImage>,
    /// When that was last known to be so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<String>,
    /// What waits.
    pub pending: Vec<PendingMailbox>,
    /// What the administrator has to put right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<DirectoryTask>,
}

/// What the directory shows of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryImage {
    /// `Practitioner`, `PractitionerRole`, `Organization`.
    pub resource: String,
    /// The resource's identifier: its system and value.
    pub identifier: String,
    /// Not shown to others (liste rouge).
    pub red_list: bool,
    /// Electronic delivery in place of paper (dématérialisation).
    pub zero_paper: bool,
    /// What the mailbox is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The service within the structure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// National id of who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsible: Option<String>,
}

/// What to look at again: `POST /v1/directory/publish`. One of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PublishOrder {
    /// One mailbox, closed ones included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Every task.
    pub tasks: bool,
}

/// How many were put in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Mailboxes.
    pub queued: u64,
}

/// `POST /v1/directory/verify`; the body may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VerifyOrder {
    /// What is wrong and ours is put in the outbox; not the mailboxes that only the rules in force take away.
    pub mend: bool,
    /// With `mend`: so many of these too. Refused where there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u64>,
    /// Compares with an extraction in place of the directory: a file that the server can read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extraction: Option<String>,
    /// Compares with the copy of the extraction that the server holds.
    pub copy: bool,
}

/// What the directory shows, held against what it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryVerified {
    /// Mailboxes that the directory should show.
    pub wanted: u64,
    /// Mailboxes of our domains that it shows.
    pub shown: u64,
    /// Where the two differ.
    pub differences: Vec<DirectoryDifference>,
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryDifference {
    /// The mailbox.
    pub address: String,
    /// `missing`, `stale` (it should be gone), `wrong`, `unknown` (no mailbox of ours, and never was).
    pub discord: String,
    /// What is shown otherwise: `listeRouge`, `digitization` …; `place` for another resource, `twice` for several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Where it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_at: Option<String>,
    /// Something about it waits already.
    pub waits: bool,
    /// Only the rules in force do not publish it (`publish_from`, `test_mailboxes`): `mend` leaves it there unless `confirm`.
    #[serde(default)]
    pub withheld: bool,
    /// It was put in the outbox.
    pub mended: bool,
}

/// Whom to look for: `GET /v1/directory/search`. All words, each as the beginning of one; accents and case do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LookupQuery {
    /// Words of anything.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Of a professional's name and first name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Of their national number (RPPS), with the digit of its kind or without.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub number: String,
    /// Of the mail address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Of the structure's names and number, and of the service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub structure: String,
    /// Of the profession and what they specialise in; in the copy only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profession: String,
    /// Of the town and its postcode.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub town: String,
    /// `local` or `fhir`; by default the copy if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// At most so many: 1 to 1000, by default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// After so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u32>,
}

/// Who was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryHits {
    /// Where: `local`, `fhir`.
    pub source: String,
    /// When the copy was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<String>,
    /// How many mailboxes; over FHIR, as far as was read.
    pub total: u64,
    /// Over FHIR: there is more than was read.
    pub cut: bool,
    /// Ask again with `offset` at this number for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<u32>,
    /// In the order of their names.
    pub found: Vec<FoundMailbox>,
}

/// A mailbox of the directory. What is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FoundMailbox {
    /// Its address.
    pub address: String,
    /// `PER`, `ORG`, `APP`, `CAB`.
    pub kind: String,
    /// The professional's national number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub national_id: String,
    /// `DR`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The name that they practise under.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_name: String,
    /// And the first name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub first_name: String,
    /// `Médecin`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profession: String,
    /// `Cardiologie`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub skill: String,
    /// The structure's national number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub structure_id: String,
    /// Its registered name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub structure: String,
    /// The name over its door.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sign: String,
    /// The service within the structure.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// What the mailbox is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The structure's street.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub street: String,
    /// Its postcode.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub postcode: String,
    /// Its town.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub town: String,
    /// Electronic delivery in place of paper.
    pub zero_paper: bool,
}

/// The copy of the extraction: `GET /v1/directory/copy`, `POST /v1/directory/copy/refresh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryCopy {
    /// The file or address that it comes from.
    pub source: String,
    /// How many mailboxes it has; 0: there is none yet.
    pub mailboxes: u64,
    /// Bytes that it takes in memory.
    pub memory: u64,
    /// When it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<String>,
    /// When it was last known to be the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_at: Option<String>,
    /// Lines that make no sense.
    pub damaged: u64,
    /// The first of them, by number and reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first_damaged: Vec<String>,
    /// What was wrong the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
