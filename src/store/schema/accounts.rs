//! Cold records: domains, accounts, credentials. JSON behind the layout byte, so that a field can be added at any time;
//! every field has a default.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{AccountId, CredentialKey, DecodeError, Key, Record, Table};
use crate::store::seal::SealedKey;

const LAYOUT_JSON: u8 = 1;

pub(super) fn encode_json<T: Serialize>(record: &T, out: &mut Vec<u8>) {
    out.push(LAYOUT_JSON);
    serde_json::to_writer(out, record).expect("a cold record is plain data with text keys, written to memory");
}

pub(super) fn decode_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes.split_first() {
        Some((&LAYOUT_JSON, json)) => serde_json::from_slice(json).map_err(|_| DecodeError::Malformed),
        Some((&layout, _)) => Err(DecodeError::UnknownLayout(layout)),
        None => Err(DecodeError::Malformed),
    }
}

/// A record that is kept as JSON: what it needs besides is where, and by which key.
pub trait JsonRecord: Serialize + DeserializeOwned {
    /// The table that holds it.
    const TABLE: Table;
    /// The type of its key.
    type Key: Key;
}

impl<T: JsonRecord> Record for T {
    const TABLE: Table = <T as JsonRecord>::TABLE;
    type Key = <T as JsonRecord>::Key;
    fn encode(&self, out: &mut Vec<u8>) {
        encode_json(self, out);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_json(bytes)
    }
}

/// One of the operator's own mail domains; its key is the name in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Domain {
    /// The name in lower case.
    pub name: String,
    /// What it is for, as the operator wrote it.
    pub description: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Bytes that all its mailboxes together may hold; `None`: no bound.
    pub quota: Option<u64>,
    /// Bytes that each of its mailboxes may hold that has no quota of its own; `None`: the server's default.
    pub mailbox_quota: Option<u64>,
}

/// How often a holder is told that messages came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewMailPace {
    /// As they come.
    AtOnce,
    /// Once an hour at most.
    Hourly,
    /// Once a day.
    Daily,
    /// Never.
    None,
}

/// That the notification address takes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NoticeBounce {
    /// Unix seconds of the last refusal.
    pub at: i64,
    /// The codes of its reply (`550 5.1.1`); never its words.
    pub status: String,
}

/// The kind of a mailbox (MSSanté §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AccountKind {
    /// Personal: one professional.
    #[default]
    Per,
    /// Organisational: a structure.
    Org,
    /// Application: software of a structure.
    App,
    /// Practice: a professional, shared in the practice.
    Cab,
}

/// Where a mailbox is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountState {
    /// In use.
    #[default]
    Open,
    /// Accepts nothing and opens for nobody; nothing is lost.
    Suspended,
    /// Content erased for good; the address is never given again.
    Closed,
}

/// For what a mailbox is suspended, where it is not by the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuspendedFor {
    /// It was created, and its holder has not accepted the terms of use yet.
    Request,
    /// The terms have changed, and were not accepted in time.
    Terms,
}

/// The closing of a mailbox, as it was announced to its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AnnouncedClosing {
    /// Unix seconds.
    pub announced_at: i64,
    /// Unix seconds of the reminder.
    pub reminded_at: Option<i64>,
    /// Unix seconds of the first day on which it may be closed.
    pub on: i64,
}

/// Whom or what a mailbox is bound to (MSSanté §4). Which fields matter depends on the kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    /// `Dr`, `Mme` …
    pub title: Option<String>,
    /// First name of the professional, or of the responsible person of a structure.
    pub first_name: Option<String>,
    /// Last name, likewise.
    pub last_name: Option<String>,
    /// National id of the professional: `8` + RPPS, 12 digits (or an id given by the employer).
    pub national_id: Option<String>,
    /// National id of the structure: `1` + FINESS or `3` + SIRET.
    pub structure_id: Option<String>,
    /// The structure's name.
    pub entity: Option<String>,
    /// The service within the structure.
    pub service: Option<String>,
    /// The functional label of an ORG or APP mailbox.
    pub label: Option<String>,
    /// Profession, as a label.
    pub profession: Option<String>,
    /// Speciality, as a label.
    pub speciality: Option<String>,
    /// National id of the responsible person (ORG, APP).
    pub responsible: Option<String>,
    /// Number of the activity (idSituationExercice) that a PER mailbox belongs to, where it is not the professional's as such.
    pub activity_id: Option<String>,
}

/// What a person on the access list may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessRight {
    /// See folders and messages.
    Read,
    /// File, flag, move, delete.
    #[default]
    Write,
    /// Send in the mailbox's name.
    Send,
    /// Say who else may do what.
    Manage,
}

/// One entry of a mailbox's access list (delegation, MSSanté §4): a person by national id, or whoever holds a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "StoredGrant")]
pub struct AccessGrant {
    /// National id of the person; empty where `mailbox` says who.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub person: String,
    /// The mailbox whose holder it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<AccountId>,
    /// Name, for people.
    pub name: String,
    /// What may be done.
    pub rights: Vec<AccessRight>,
    /// Unix seconds.
    pub since: i64,
    /// Unix seconds; `None`: until it is taken back.
    pub until: Option<i64>,
}

/// An [`AccessGrant`] as it was or is written: the first ones had one right, which included those before it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct StoredGrant {
    person: String,
    mailbox: Option<AccountId>,
    name: String,
    right: Option<AccessRight>,
    rights: Vec<AccessRight>,
    since: i64,
    until: Option<i64>,
}

impl From<StoredGrant> for AccessGrant {
    fn from(stored: StoredGrant) -> Self {
        let StoredGrant { person, mailbox, name, right, mut rights, since, until } = stored;
        rights.extend(right.iter().flat_map(|right| match right {
            AccessRight::Read => vec![AccessRight::Read],
            AccessRight::Write => vec![AccessRight::Read, AccessRight::Write],
            AccessRight::Send => vec![AccessRight::Read, AccessRight::Write, AccessRight::Send],
            AccessRight::Manage => vec![AccessRight::Read, AccessRight::Manage],
        }));
        AccessGrant { person, mailbox, name, rights, since, until }
    }
}

/// Where a holder has mail sent on to (MSSanté §3: never out of the trust space).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Forward {
    /// The addresses.
    pub to: Vec<String>,
    /// The mailbox keeps the message too.
    pub keep_copy: bool,
    /// Unix seconds.
    pub since: i64,
}

/// What a holder has answered while away.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Absence {
    /// Unix seconds of the first day.
    pub from: i64,
    /// Unix seconds from which it is over.
    pub until: i64,
    /// The text.
    pub text: String,
    /// Citizens are answered too.
    pub citizens: bool,
}

/// An account: one mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// The address as it was created; it never changes (MSSanté §4).
    pub address: String,
    /// The kind; it never changes.
    pub kind: AccountKind,
    /// Where it is in its life.
    pub state: AccountState,
    /// A test mailbox: never carries real patients' data.
    pub test: bool,
    /// May exchange with the operator's own domains only.
    pub restricted: bool,
    /// Works, but is not shown in the directory (liste rouge).
    pub red_list: bool,
    /// Accepts electronic delivery in place of paper (dématérialisation).
    pub zero_paper: bool,
    /// Whom or what it is bound to.
    pub holder: Holder,
    /// Who else opens it.
    pub access_list: Vec<AccessGrant>,
    /// The unsecured address that gets notices, never content.
    pub notification_address: Option<String>,
    /// Bytes that the mailbox may hold; `None`: the server's default.
    pub quota: Option<u64>,
    /// A password may open it (else only strong means).
    pub allow_password: bool,
    /// The server files a copy of what the mailbox sends.
    pub save_sent: bool,
    /// Version of the accepted terms of use (CGU).
    pub terms_version: Option<String>,
    /// When they were accepted, Unix seconds.
    pub terms_accepted_at: Option<i64>,
    /// By whom: a person's national id, or the administrator's user.
    pub terms_accepted_by: Option<String>,
    /// The version that the holder was told of last.
    pub terms_told: Option<String>,
    /// On which day, Unix seconds.
    pub terms_told_at: Option<i64>,
    /// What it is suspended for; `None` where the operator did it.
    pub suspended_for: Option<SuspendedFor>,
    /// Its closing, where one was announced.
    pub closing: Option<AnnouncedClosing>,
    /// Unix seconds from which nothing is known any more of who held it.
    pub forgotten_at: Option<i64>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds of the last change of this record.
    pub changed_at: i64,
    /// Unix seconds of the last change of `state`.
    pub state_changed_at: i64,
    /// Why the state is what it is, as the operator wrote it.
    pub state_reason: Option<String>,
    /// Unix seconds of the last successful authentication, to the day.
    pub last_login_at: Option<i64>,
    /// Number that the next credential gets.
    pub next_credential: u32,
    /// Preferred language of notices.
    pub language: Option<String>,
    /// The operator's own notes.
    pub comment: Option<String>,
    /// Where mail is sent on to.
    pub forward: Option<Forward>,
    /// What is answered while the holder is away.
    pub absence: Option<Absence>,
    /// How often the holder is told of new messages; `None`: as the server does by default.
    pub new_mail_notices: Option<NewMailPace>,
    /// That the notification address was refused; nothing once it has taken a notice again.
    pub notice_bounce: Option<NoticeBounce>,
}

/// What an account's record says of the mailbox's key. Versions before there was a ring of keys wrote the key into it; newer
/// ones write none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::store) struct KeyInRecord {
    /// A closed mailbox has no key.
    pub(in crate::store) state: AccountState,
    /// The key under the master key.
    pub(in crate::store) sealed_key: Option<SealedKey>,
}

impl KeyInRecord {
    pub(in crate::store) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_json(bytes)
    }
}

/// What an address leads to. An address is never given to someone else: a closed account leaves a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressEntry {
    /// The account's number.
    Account(AccountId),
    /// A closed account.
    Closed {
        /// Its number.
        account: AccountId,
        /// Unix seconds.
        closed_at: i64,
    },
}

/// What opens an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum CredentialKind {
    /// A password, as an argon2id hash in PHC text.
    Password {
        /// The PHC text.
        hash: String,
    },
    /// One client certificate, by the SHA-256 of its DER in hexadecimal.
    CertificateFingerprint {
        /// Lower-case hexadecimal.
        sha256: String,
    },
    /// Every client certificate with this subject.
    CertificateSubject {
        /// The distinguished name as text.
        subject: String,
    },
    /// Every client certificate whose `OU` is this structure id (MSSanté §4, APP).
    CertificateStructure {
        /// The structure id.
        structure_id: String,
    },
    /// An enrolled workstation's certificate, made by the operator's own device authority. Its name is the credential's
    /// label, its end `expires_at`, who enrolled it `person`.
    Device {
        /// SHA-256 of the certificate's DER, lower-case hexadecimal.
        sha256: String,
        /// Its serial number, lower-case hexadecimal.
        serial: String,
    },
}

/// A credential of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// What it is.
    #[serde(flatten)]
    pub kind: CredentialKind,
    /// A label for people: the device, the software.
    #[serde(default)]
    pub label: String,
    /// The person that it stands for (national id), where that is not the holder.
    #[serde(default)]
    pub person: Option<String>,
    /// Unix seconds.
    #[serde(default)]
    pub created_at: i64,
    /// Unix seconds of its last use, to the day.
    #[serde(default)]
    pub last_used_at: Option<i64>,
    /// Unix seconds; `None`: until it is taken back.
    #[serde(default)]
    pub expires_at: Option<i64>,
}

impl JsonRecord for Domain {
    const TABLE: Table = Table::Domain;
    type Key = String;
}

impl JsonRecord for Account {
    const TABLE: Table = Table::Account;
    type Key = AccountId;
}

impl JsonRecord for AddressEntry {
    const TABLE: Table = Table::AddressIndex;
    type Key = String;
}

impl JsonRecord for Credential {
    const TABLE: Table = Table::Credential;
    type Key = CredentialKey;
}
