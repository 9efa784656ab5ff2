//! What is held about a person.

use serde::{Deserialize, Serialize};

/// All that is held about a person: `GET /v1/persons/{national id}`. What people read in it is French.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// National id.
    pub person: String,
    /// Who holds it: the server's name.
    pub operator: String,
    /// When this was put together.
    pub made_at: String,
    /// The mailboxes that are bound to them.
    pub mailboxes: Vec<PersonMailbox>,
    /// The structures' mailboxes that they answer for.
    pub responsible_for: Vec<PersonStructure>,
    /// Mailboxes of others for which they have accepted the terms of use.
    #[serde(default)]
    pub accepted: Vec<PersonAcceptance>,
    /// Mailboxes whose mail is sent on to one of theirs.
    #[serde(default)]
    pub forwarding: Vec<String>,
    /// Mailboxes of others whose contact in the national directory names them.
    #[serde(default)]
    pub directory: Vec<String>,
    /// What they did in the lives of others' mailboxes.
    #[serde(default)]
    pub acts: Vec<PersonEvent>,
    /// Where access lists name them, or a mailbox of theirs.
    pub access: Vec<PersonAccess>,
    /// What they come in with to other mailboxes.
    pub means: Vec<PersonMeans>,
    /// Where they are in at this moment.
    pub sessions: Vec<PersonSession>,
    /// What traces there are.
    pub traces: PersonTraces,
    /// Why each sort of data is held, and until when.
    pub grounds: Vec<Ground>,
}

/// A mailbox of theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonMailbox {
    /// Its address.
    pub address: String,
    /// `PER`, `CAB`.
    pub kind: String,
    /// `open`, `suspended`, `closed` …
    pub state: String,
    /// When it was created.
    pub created_at: String,
    /// When it came into its state.
    #[serde(default)]
    pub state_since: Option<String>,
    /// What is known of the holder: names of fields, and their values.
    pub holder: Vec<(String, String)>,
    /// The unsecured address for notices.
    #[serde(default)]
    pub notification_address: Option<String>,
    /// The accepted version of the terms of use.
    #[serde(default)]
    pub terms_version: Option<String>,
    /// When they were accepted.
    #[serde(default)]
    pub terms_accepted_at: Option<String>,
    /// The day of the last login.
    #[serde(default)]
    pub last_login_at: Option<String>,
    /// Where mail is sent on to.
    #[serde(default)]
    pub forward_to: Vec<String>,
    /// The text that is answered in absence.
    #[serde(default)]
    pub absence: Option<String>,
    /// The operator's notes.
    #[serde(default)]
    pub comment: Option<String>,
    /// A second factor is set up.
    pub second_factor: bool,
    /// How many messages it holds.
    pub messages: u64,
    /// Their octets.
    pub bytes: u64,
    /// What opens it.
    pub means: Vec<PersonMeans>,
    /// Who else is on its access list: names, as the holder or the operator gave them.
    pub shared_with: Vec<String>,
    /// What else its record says: names, and their values.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    /// How it stands in the national directory: names, and their values.
    #[serde(default)]
    pub directory: Vec<(String, String)>,
    /// When each network that it was opened from was last seen; which networks these are nobody can tell.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Notices that wait for the relay.
    #[serde(default)]
    pub notices: Vec<PersonNotice>,
    /// Messages of its own that are on their way to others; 1000 at most.
    #[serde(default)]
    pub on_their_way: u64,
    /// What happened in its life.
    #[serde(default)]
    pub journal: Vec<PersonEvent>,
}

/// A structure's mailbox that they answer for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonStructure {
    /// Its address.
    pub mailbox: String,
    /// What is known of the structure and of them: names of fields, and their values.
    pub holder: Vec<(String, String)>,
    /// The unsecured address for notices.
    #[serde(default)]
    pub notification_address: Option<String>,
    /// Notices that wait for the relay.
    #[serde(default)]
    pub notices: Vec<PersonNotice>,
}

/// An acceptance of the terms of use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonAcceptance {
    /// The mailbox.
    pub mailbox: String,
    /// Which version.
    #[serde(default)]
    pub version: Option<String>,
    /// When.
    #[serde(default)]
    pub at: Option<String>,
}

/// A notice that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonNotice {
    /// What it tells, in kebab-case.
    pub notice: String,
    /// Where it goes.
    pub to: String,
    /// When it was written.
    pub at: String,
}

/// Something that happened in a mailbox's life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonEvent {
    /// The mailbox.
    pub mailbox: String,
    /// When.
    pub at: String,
    /// What, in kebab-case.
    pub step: String,
    /// A version or a day that belongs to it.
    #[serde(default)]
    pub detail: Option<String>,
    /// By whom.
    pub by: String,
    /// Why, as the operator wrote it.
    #[serde(default)]
    pub reason: Option<String>,
}

/// An entry of an access list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonAccess {
    /// Whose list it is.
    pub mailbox: String,
    /// The name in the entry.
    pub name: String,
    /// What it lets them do.
    pub rights: Vec<String>,
    /// Since when.
    pub since: String,
    /// Until when.
    #[serde(default)]
    pub until: Option<String>,
}

/// A means of access; never the secret itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonMeans {
    /// The mailbox that it opens.
    pub mailbox: String,
    /// `password`, `device`, `certificate`.
    pub kind: String,
    /// What people call it.
    pub label: String,
    /// When it was made.
    pub created_at: String,
    /// The day of its last use.
    #[serde(default)]
    pub last_used_at: Option<String>,
    /// When it ends.
    #[serde(default)]
    pub expires_at: Option<String>,
}

/// A session of theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonSession {
    /// In which mailbox.
    pub mailbox: String,
    /// By which door.
    pub door: String,
    /// From where.
    pub peer: String,
    /// Since when.
    pub began_at: String,
}

/// How many traces tell of a person, and of when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonTraces {
    /// So many; at least so many, where `more` is set.
    pub count: u64,
    /// There are more than were counted.
    #[serde(default)]
    pub more: bool,
    /// The oldest.
    #[serde(default)]
    pub first: Option<String>,
    /// The newest.
    #[serde(default)]
    pub last: Option<String>,
    /// What is traced of each of their mailboxes, whoever did it: what came in bears no person's id.
    #[serde(default)]
    pub mailboxes: Vec<MailboxTraces>,
    /// What could not be read: there may be more of them.
    #[serde(default)]
    pub unreadable: Vec<String>,
}

/// How many traces there are of a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxTraces {
    /// Its address.
    pub mailbox: String,
    /// So many; at least so many, where `more` is set.
    pub count: u64,
    /// There are more than were counted.
    #[serde(default)]
    pub more: bool,
}

/// Why a sort of data is held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// Which data.
    pub data: String,
    /// Why: the legal ground.
    pub why: String,
    /// Until when.
    pub until: String,
}

/// What to erase: `POST /v1/persons/{national id}/erase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErasureOrder {
    /// Without it nothing is erased: the answer tells what would be.
    pub really: bool,
}

/// What was erased, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// National id.
    pub person: String,
    /// It was done; else this is what would be.
    pub done: bool,
    /// What goes.
    pub erased: Vec<ErasureLine>,
    /// What stays, and why.
    pub kept: Vec<ErasureLine>,
}

/// One thing that goes or stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureLine {
    /// What, in French.
    pub what: String,
    /// Of which mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// Why it stays, in French; empty for what goes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Until when it stays, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}
