//! Mailboxes, their holders, passwords and certificates.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Who holds a mailbox. For a `PER` the person, for the others the structure and the person responsible for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Holder {
    /// Title of practice (`Dr`, `Mme` …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// First name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// National id of the person: `8` and the RPPS number (12 digits), or an id given by the employer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub national_id: Option<String>,
    /// National id of the structure: `1` and the FINESS number (9 digits), or `3` and the SIRET number (14 digits).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structure_id: Option<String>,
    /// Name of the structure, as it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Service or unit within the structure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The functional label of an `ORG` or `APP` mailbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Profession, as a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profession: Option<String>,
    /// Speciality, as a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speciality: Option<String>,
    /// National id of the responsible person (`ORG`, `APP`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responsible: Option<String>,
    /// Number of the activity (idSituationExercice) that a `PER` mailbox belongs to, where it is not the professional's as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity_id: Option<String>,
}

/// Somebody who may use a mailbox besides its holder (delegation, MSSanté §4): a person, or whoever holds a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessGrant {
    /// National id of the person. Either this or `mailbox`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Address of the `PER` mailbox whose holder it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// Name, for people.
    #[serde(default)]
    pub name: String,
    /// `read`, `write`, `send`, `manage`; `read` and `write` where absent. Who may write or manage may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Until when; absent: until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// Whom to take off an access list: `DELETE /v1/mailboxes/{address}/access-list`. One of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GranteeQuery {
    /// National id of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Address of the mailbox on the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
}

/// Where a mailbox has its mail sent on to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// One to five addresses to which the mailbox may write itself; no citizens.
    pub to: Vec<String>,
    /// Whether the mailbox keeps the messages too.
    #[serde(default)]
    pub keep_copy: bool,
    /// Since when; the server's to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// What a mailbox answers while its holder is away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absence {
    /// From when.
    pub from: String,
    /// Until when.
    pub until: String,
    /// The text, as correspondents read it.
    pub text: String,
    /// Whether citizens are answered too.
    #[serde(default)]
    pub citizens: bool,
}

/// A mailbox to create: `POST /v1/mailboxes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMailbox {
    /// Its address. Neither it nor the kind changes afterwards (MSSanté §4).
    pub address: String,
    /// `PER`, `ORG`, `APP` or `CAB`.
    pub kind: String,
    /// Whether it is a test mailbox (MSSanté §4: exchanges only with its operator's own and with other test mailboxes).
    #[serde(default)]
    pub test: bool,
    /// Whether it may only exchange within the operator's own domains.
    #[serde(default)]
    pub restricted: bool,
    /// Who holds it.
    #[serde(default)]
    pub holder: Holder,
    /// Who may use it besides its holder (`PER`, `ORG`, `CAB`).
    #[serde(default)]
    pub access_list: Vec<AccessGrant>,
    /// Whether it stays out of the directory (liste rouge).
    #[serde(default)]
    pub red_list: bool,
    /// Whether the holder accepts electronic delivery in place of paper (dématérialisation).
    #[serde(default)]
    pub zero_paper: bool,
    /// Whether the server files a copy of what the mailbox sends.
    #[serde(default)]
    pub save_sent: bool,
    /// The operator's own notes.
    #[serde(default)]
    pub comment: Option<String>,
    /// What it may hold, in bytes; the server's default where absent.
    #[serde(default)]
    pub quota: Option<u64>,
    /// Whether its password opens it alone, without an enrolled workstation's certificate: for tests.
    #[serde(default)]
    pub allow_password: bool,
    /// An unsecured address for notices without content.
    #[serde(default)]
    pub notification_address: Option<String>,
    /// A password to set at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordChoice>,
}

/// How a password comes to be.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PasswordChoice {
    /// The server makes a strong one and shows it once, in its answer.
    Generate,
    /// This one.
    Set(String),
}

impl fmt::Debug for PasswordChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generate => f.write_str("Generate"),
            Self::Set(_) => f.write_str("Set(…)"),
        }
    }
}

/// A mailbox as the administration sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// Its id, never reused.
    pub id: u64,
    /// Its address.
    pub address: String,
    /// `PER`, `ORG`, `APP` or `CAB`.
    pub kind: String,
    /// `open`, `suspended` or `closed`.
    pub state: String,
    /// Where it is in its life: `requested`, `open`, `suspended`, `closing`, `closed`, `forgotten`.
    #[serde(default)]
    pub stage: String,
    /// The first day on which it will be closed, where that was announced.
    #[serde(default)]
    pub closing_on: Option<String>,
    /// The version of the terms of use that was accepted last.
    #[serde(default)]
    pub terms_version: Option<String>,
    /// When.
    #[serde(default)]
    pub terms_accepted_at: Option<String>,
    /// By whom.
    #[serde(default)]
    pub terms_accepted_by: Option<String>,
    /// The version that its holder is to accept now.
    #[serde(default)]
    pub terms_owed: Option<String>,
    /// Whether it is a test mailbox.
    pub test: bool,
    /// Whether it may only exchange within the operator's own domains.
    pub restricted: bool,
    /// Who holds it.
    #[serde(default)]
    pub holder: Holder,
    /// Who may use it besides its holder.
    #[serde(default)]
    pub access_list: Vec<AccessGrant>,
    /// Whether it stays out of the directory.
    pub red_list: bool,
    /// Whether the holder accepts electronic delivery in place of paper.
    #[serde(default)]
    pub zero_paper: bool,
    /// Whether the server files a copy of what the mailbox sends.
    #[serde(default)]
    pub save_sent: bool,
    /// Where its mail is sent on to.
    #[serde(default)]
    pub forward: Option<Forward>,
    /// What it answers while its holder is away.
    #[serde(default)]
    pub absence: Option<Absence>,
    /// The operator's own notes.
    #[serde(default)]
    pub comment: Option<String>,
    /// Why the state is what it is, as the operator wrote it.
    #[serde(default)]
    pub state_reason: Option<String>,
    /// What it may hold, in bytes; absent where there is no bound.
    #[serde(default)]
    pub quota: Option<u64>,
    /// Bytes that it holds.
    pub used_bytes: u64,
    /// Messages that it holds.
    pub used_messages: u64,
    /// Whether its password opens it alone, without an enrolled workstation's certificate: for tests.
    pub allow_password: bool,
    /// Whether a password is set.
    pub has_password: bool,
    /// How many client certificates are bound to it.
    #[serde(default)]
    pub certificates: u64,
    /// An unsecured address for notices without content.
    #[serde(default)]
    pub notification_address: Option<String>,
    /// How often its holder is told of new messages (`at-once`, `hourly`, `daily`, `none`); absent: as the server does.
    #[serde(default)]
    pub new_mail_notices: Option<String>,
    /// The codes with which the notification address was refused, where it takes nothing.
    #[serde(default)]
    pub notices_refused: Option<String>,
    /// When it was created.
    #[serde(default)]
    pub created_at: Option<String>,
    /// When its state last changed.
    #[serde(default)]
    pub state_changed_at: Option<String>,
    /// The day of the last successful authentication.
    #[serde(default)]
    pub last_login_at: Option<String>,
}

/// A mailbox just created, with the password that the server made, if it was asked to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedMailbox {
    /// The mailbox.
    #[serde(flatten)]
    pub mailbox: Mailbox,
    /// The generated password: shown here and never again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// A page of mailboxes: `GET /v1/mailboxes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailboxes {
    /// The mailboxes, in the order of their ids.
    pub mailboxes: Vec<Mailbox>,
    /// Ask again with `after` at this id for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// Which mailboxes to list; every filter that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailboxQuery {
    /// Only those in this domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Only this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only this state, or this stage: `open`, `suspended`, `closed`; `requested`, `closing`, `forgotten`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Only test mailboxes, or only others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<bool>,
    /// Only those that their password opens alone, or only others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_alone: Option<bool>,
    /// Only those that have a notification address, or only those that lack one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_address: Option<bool>,
    /// Only those whose address, names or entity contain this text, without regard to case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Only ids above this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many: 1 to 1000, by default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// What to change in a mailbox: `PATCH /v1/mailboxes/{address}`. Absent fields stay as they are, `null` clears.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailboxChange {
    /// Whether it is a test mailbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<bool>,
    /// Whether it may only exchange within the operator's own domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restricted: Option<bool>,
    /// Changes of the holder's data.
    #[serde(skip_serializing_if = "HolderChange::is_empty")]
    pub holder: HolderChange,
    /// The whole new access list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_list: Option<Vec<AccessGrant>>,
    /// Whether it stays out of the directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub red_list: Option<bool>,
    /// Whether the holder accepts electronic delivery in place of paper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zero_paper: Option<bool>,
    /// Whether the server files a copy of what the mailbox sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_sent: Option<bool>,
    /// Where its mail is sent on to, whole; `null`: nowhere.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub forward: Option<Option<Forward>>,
    /// What it answers while its holder is away, whole; `null`: nothing.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub absence: Option<Option<Absence>>,
    /// The operator's own notes; `null` clears them.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub comment: Option<Option<String>>,
    /// What it may hold, in bytes; `null` for the domain's or the server's default.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub quota: Option<Option<u64>>,
    /// Whether its password opens it alone, without an enrolled workstation's certificate: for tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_password: Option<bool>,
    /// How often its holder is told of new messages: `at-once`, `hourly`, `daily`, `none`; `null`: as the server does.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub new_mail_notices: Option<Option<String>>,
    /// An unsecured address for notices; `null` clears it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub notification_address: Option<Option<String>>,
}

/// Changes of a holder's data; absent fields stay, `null` clears.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HolderChange {
    /// Title of practice.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub title: Option<Option<String>>,
    /// First name.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub first_name: Option<Option<String>>,
    /// Last name.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub last_name: Option<Option<String>>,
    /// National id of the person.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub national_id: Option<Option<String>>,
    /// National id of the structure.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub structure_id: Option<Option<String>>,
    /// Name of the structure.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub entity: Option<Option<String>>,
    /// Service or unit within the structure.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub service: Option<Option<String>>,
    /// The functional label.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub label: Option<Option<String>>,
    /// Profession.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub profession: Option<Option<String>>,
    /// Speciality.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub speciality: Option<Option<String>>,
    /// National id of the responsible person.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub responsible: Option<Option<String>>,
    /// Number of the activity.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub activity_id: Option<Option<String>>,
}

impl HolderChange {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Reads a field that is there, `null` included, so that "absent" and "cleared" stay two things.
pub(super) fn given<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Why a mailbox is suspended or reopened: `POST /v1/mailboxes/{address}/suspend` and `…/reopen`; the body may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateRequest {
    /// In the operator's words; kept with the mailbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Proof that the caller means it: `POST /v1/mailboxes/{address}/close`. Closing erases the content for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseRequest {
    /// The mailbox's address, once more.
    pub confirm: String,
    /// Why, in the operator's words; kept with the mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A password to set: `PUT /v1/mailboxes/{address}/password`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordRequest {
    /// How the password comes to be.
    pub password: PasswordChoice,
}

/// The answer to a [`PasswordRequest`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordAnswer {
    /// The generated password, shown here and never again; absent when the caller chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// A client certificate to bind to a mailbox: `POST /v1/mailboxes/{address}/certificates`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCertificate {
    /// The certificate itself, PEM. Either this, or one of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
    /// The SHA-256 fingerprint of its DER form, hexadecimal, with or without colons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Its subject, `CN=…,OU=…`: outlives a renewal of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// With `pem`: bind its subject in place of its fingerprint.
    #[serde(default)]
    pub by_subject: bool,
    /// Every certificate whose `OU` is the mailbox's own structure id opens it (MSSanté §4; `APP` only).
    #[serde(default)]
    pub structure: bool,
    /// A word to remember it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A client certificate bound to a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The binding's number within the mailbox.
    pub id: u64,
    /// The fingerprint, if bound by it.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// The subject, if bound by it.
    #[serde(default)]
    pub subject: Option<String>,
    /// The structure id, if bound by it.
    #[serde(default)]
    pub structure_id: Option<String>,
    /// A word to remember it by.
    #[serde(default)]
    pub label: Option<String>,
    /// When it was bound.
    #[serde(default)]
    pub created_at: Option<String>,
}

/// The client certificates bound to a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificates {
    /// The bindings, oldest first.
    pub certificates: Vec<Certificate>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_field_stays_and_a_null_clears() {
        let change: MailboxChange = serde_json::from_str(r#"{"quota":null,"holder":{"title":"Dr"}}"#).unwrap();
        assert_eq!(change.quota, Some(None));
        assert_eq!(change.notification_address, None);
        assert_eq!(change.holder.title, Some(Some("Dr".into())));
        assert_eq!(change.holder.first_name, None);
    }

    #[test]
    fn a_change_survives_the_way_there() {
        let change = MailboxChange {
            quota: Some(None),
            holder: HolderChange { entity: Some(None), ..HolderChange::default() },
            ..MailboxChange::default()
        };
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(text, r#"{"holder":{"entity":null},"quota":null}"#);
        assert_eq!(serde_json::from_str::<MailboxChange>(&text).unwrap(), change);
    }

    #[test]
    fn a_field_nobody_knows_is_refused() {
        let refused = serde_json::from_str::<NewMailbox>(r#"{"address":"a@b.example","kind":"PER","quotta":1}"#);
        assert!(refused.unwrap_err().to_string().contains("quotta"));
    }

    #[test]
    fn a_password_never_shows_in_debug_output() {
        let request = PasswordRequest { password: PasswordChoice::Set("Sésame ouvre-toi".into()) };
        assert!(!format!("{request:?}").contains("ouvre"));
    }

    #[test]
    fn password_choices_read_as_the_page_says() {
        let generate: PasswordRequest = serde_json::from_str(r#"{"password":"generate"}"#).unwrap();
        assert_eq!(generate.password, PasswordChoice::Generate);
        let set: PasswordRequest = serde_json::from_str(r#"{"password":{"set":"x"}}"#).unwrap();
        assert_eq!(set.password, PasswordChoice::Set("x".into()));
    }
}
