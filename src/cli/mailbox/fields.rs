//! The fields of a mailbox as options of `create` and `set`.

use clap::{Args, ValueEnum};

use super::access::person_or_mailbox;
use super::handling::HandlingArguments;
use crate::cli::client::ClientError;
use crate::cli::secret::PasswordSource;
use crate::mss::Right;
use crate::serve::http::types::{AccessGrant, Holder, HolderChange, MailboxChange, NewMailbox};

/// The options of `mailbox create`.
#[derive(Args, Debug)]
pub(super) struct CreateArguments {
    /// Its address; the domain must be one of the operator's own
    address: String,
    /// PER (personal), ORG (organisational), APP (software) or CAB (practice)
    #[arg(long)]
    kind: String,
    #[command(flatten)]
    holder: HolderArguments,
    #[command(flatten)]
    common: CommonArguments,
    #[command(flatten)]
    password: PasswordSource,
}

impl CreateArguments {
    /// The request that they make.
    pub(super) fn request(self) -> Result<NewMailbox, ClientError> {
        let password = self.password.choice()?;
        let common = self.common;
        Ok(NewMailbox {
            address: self.address,
            kind: self.kind,
            test: common.test.unwrap_or_default(),
            restricted: common.restricted.unwrap_or_default(),
            holder: self.holder.holder(),
            access_list: common.grant,
            red_list: common.red_list.unwrap_or_default(),
            zero_paper: common.zero_paper.unwrap_or_default(),
            save_sent: common.save_sent.unwrap_or_default(),
            comment: common.comment,
            quota: common.quota,
            allow_password: common.allow_password.unwrap_or_default(),
            notification_address: common.notification_address,
            password,
        })
    }
}

/// The options of `mailbox set`.
#[derive(Args, Debug)]
pub(super) struct ChangeArguments {
    /// Its address
    address: String,
    #[command(flatten)]
    holder: HolderArguments,
    #[command(flatten)]
    common: CommonArguments,
    #[command(flatten)]
    handling: HandlingArguments,
    /// How often its holder is told of new messages at the notification address
    #[arg(long, value_name = "PACE", value_parser = ["at-once", "hourly", "daily", "none"])]
    new_mail: Option<String>,
    /// Empty this field (may be repeated)
    #[arg(long, value_name = "FIELD")]
    clear: Vec<Clearable>,
}

impl ChangeArguments {
    /// The mailbox's address, and the change that they make.
    pub(super) fn change(self) -> Result<(String, MailboxChange), ClientError> {
        let common = self.common;
        let mut change = MailboxChange {
            test: common.test,
            restricted: common.restricted,
            holder: self.holder.change(),
            access_list: Some(common.grant).filter(|grants| !grants.is_empty()),
            red_list: common.red_list,
            zero_paper: common.zero_paper,
            save_sent: common.save_sent,
            comment: common.comment.map(Some),
            quota: common.quota.map(Some),
            allow_password: common.allow_password,
            notification_address: common.notification_address.map(Some),
            new_mail_notices: self.new_mail.map(Some),
            ..MailboxChange::default()
        };
        self.handling.apply(&mut change)?;
        for field in self.clear {
            field.apply(&mut change);
        }
        if change == MailboxChange::default() {
            return Err(ClientError::Local("nothing to change: name at least one field (see --help)".into()));
        }
        Ok((self.address, change))
    }
}

/// Options on who holds the mailbox.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Holder")]
struct HolderArguments {
    /// Title of practice (Dr, Mme …)
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// First name of the holder, or of the person responsible
    #[arg(long, value_name = "TEXT")]
    first_name: Option<String>,
    /// Last name, likewise
    #[arg(long, value_name = "TEXT")]
    last_name: Option<String>,
    /// National id of the person: 8 and the RPPS number
    #[arg(long, value_name = "ID")]
    national_id: Option<String>,
    /// National id of the structure: 1 and the FINESS number, or 3 and the SIRET number
    #[arg(long, value_name = "ID")]
    structure_id: Option<String>,
    /// Name of the structure
    #[arg(long, value_name = "TEXT")]
    entity: Option<String>,
    /// Service within the structure
    #[arg(long, value_name = "TEXT")]
    service: Option<String>,
    /// Functional label (ORG, APP)
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Profession
    #[arg(long, value_name = "TEXT")]
    profession: Option<String>,
    /// Speciality
    #[arg(long, value_name = "TEXT")]
    speciality: Option<String>,
    /// National id of the responsible person (ORG, APP)
    #[arg(long, value_name = "ID")]
    responsible: Option<String>,
    /// Number of the activity that a PER mailbox belongs to (idSituationExercice), where it is not the professional's as such
    #[arg(long, value_name = "NUMBER")]
    activity_id: Option<String>,
}

impl HolderArguments {
    fn holder(self) -> Holder {
        Holder {
            title: self.title,
            first_name: self.first_name,
            last_name: self.last_name,
            national_id: self.national_id,
            structure_id: self.structure_id,
            entity: self.entity,
            service: self.service,
            label: self.label,
            profession: self.profession,
            speciality: self.speciality,
            responsible: self.responsible,
            activity_id: self.activity_id,
        }
    }

    fn change(self) -> HolderChange {
        HolderChange {
            title: self.title.map(Some),
            first_name: self.first_name.map(Some),
            last_name: self.last_name.map(Some),
            national_id: self.national_id.map(Some),
            structure_id: self.structure_id.map(Some),
            entity: self.entity.map(Some),
            service: self.service.map(Some),
            label: self.label.map(Some),
            profession: self.profession.map(Some),
            speciality: self.speciality.map(Some),
            responsible: self.responsible.map(Some),
            activity_id: self.activity_id.map(Some),
        }
    }
}

/// Options that creation and change share.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Mailbox")]
struct CommonArguments {
    /// A test mailbox: it exchanges only with its operator's own and with other test mailboxes
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    test: Option<bool>,
    /// It exchanges only within the operator's own domains
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    restricted: Option<bool>,
    /// It stays out of the directory (liste rouge)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    red_list: Option<bool>,
    /// The holder accepts electronic delivery in place of paper (dématérialisation)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    zero_paper: Option<bool>,
    /// The server files a copy of what the mailbox sends
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    save_sent: Option<bool>,
    /// Its password opens it alone, without an enrolled workstation's certificate: for tests only
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    allow_password: Option<bool>,
    /// What it may hold, as 5GiB [default: the server's]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    quota: Option<u64>,
    /// An unsecured address for notices without content
    #[arg(long, value_name = "ADDRESS")]
    notification_address: Option<String>,
    /// Who may use it besides its holder (repeatable; with set, the whole new list): NATIONAL-ID or ADDRESS of a PER
    /// mailbox, then :RIGHTS (read, write, send, manage with commas between; read,write where absent), then :NAME
    #[arg(long, value_name = "GRANT", value_parser = parse_grant)]
    grant: Vec<AccessGrant>,
    /// The operator's own notes
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

/// What `set --clear` can empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Clearable {
    Title,
    FirstName,
    LastName,
    NationalId,
    StructureId,
    Entity,
    Service,
    Label,
    Profession,
    Speciality,
    Responsible,
    ActivityId,
    AccessList,
    Quota,
    NotificationAddress,
    NewMail,
    Comment,
}

impl Clearable {
    fn apply(self, change: &mut MailboxChange) {
        let holder = &mut change.holder;
        let text = match self {
            Self::Title => &mut holder.title,
            Self::FirstName => &mut holder.first_name,
            Self::LastName => &mut holder.last_name,
            Self::NationalId => &mut holder.national_id,
            Self::StructureId => &mut holder.structure_id,
            Self::Entity => &mut holder.entity,
            Self::Service => &mut holder.service,
            Self::Label => &mut holder.label,
            Self::Profession => &mut holder.profession,
            Self::Speciality => &mut holder.speciality,
            Self::Responsible => &mut holder.responsible,
            Self::ActivityId => &mut holder.activity_id,
            Self::NotificationAddress => &mut change.notification_address,
            Self::NewMail => &mut change.new_mail_notices,
            Self::Comment => &mut change.comment,
            Self::AccessList => {
                change.access_list = Some(Vec::new());
                return;
            }
            Self::Quota => {
                change.quota = Some(None);
                return;
            }
        };
        *text = Some(None);
    }
}

/// A size: digits, and perhaps K, M, G or T (powers of 1024; `KiB`, `MB` and the like mean the same).
pub(in crate::cli) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let number: u64 = digits.parse().map_err(|_| "expected a number of bytes, or one with K, M, G or T".to_owned())?;
    let unit = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        other => return Err(format!("unknown unit {other:?}; K, M, G and T are known")),
    };
    number.checked_mul(1 << unit).ok_or_else(|| "too large".to_owned())
}

fn parse_grant(text: &str) -> Result<AccessGrant, String> {
    let mut parts = text.splitn(3, ':').map(str::trim);
    let who = parts.next().filter(|who| !who.is_empty()).ok_or("expected NATIONAL-ID or ADDRESS[:RIGHTS[:NAME]]")?;
    let rights = parts.next().unwrap_or_default().split(',').map(str::trim).filter(|right| !right.is_empty());
    let rights: Vec<String> = rights.map(str::to_owned).collect();
    if let Some(unknown) = rights.iter().find(|right| right.parse::<Right>().is_err()) {
        return Err(format!("unknown right {unknown:?}; read, write, send and manage are known"));
    }
    let (person, mailbox) = person_or_mailbox(who.to_owned());
    let name = parts.next().unwrap_or_default().to_owned();
    Ok(AccessGrant { person, mailbox, name, rights, ..AccessGrant::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_size("512"), Ok(512));
        assert_eq!(parse_size("5GiB"), Ok(5 << 30));
        assert_eq!(parse_size("20 m"), Ok(20 << 20));
        assert!(parse_size("5X").is_err());
        assert!(parse_size("G").is_err());
        assert!(parse_size("99999999999T").is_err());
    }

    #[test]
    fn grants_name_somebody_rights_and_name() {
        let grant = parse_grant("899700000001:read, send:Mme Léa MARTIN").unwrap();
        assert_eq!((grant.person.as_deref(), grant.mailbox), (Some("899700000001"), None));
        assert_eq!((grant.rights, grant.name.as_str()), (vec!["read".into(), "send".into()], "Mme Léa MARTIN"));
        let grant = parse_grant("lea@aura.example::Mme MARTIN").unwrap();
        assert_eq!((grant.person, grant.mailbox.as_deref()), (None, Some("lea@aura.example")));
        assert!(grant.rights.is_empty());
        assert!(parse_grant("8997:read,all").is_err());
        assert!(parse_grant(":send").is_err());
    }

    #[test]
    fn clearing_is_not_leaving_alone() {
        let mut change = MailboxChange::default();
        Clearable::Quota.apply(&mut change);
        Clearable::Entity.apply(&mut change);
        Clearable::AccessList.apply(&mut change);
        assert_eq!((change.quota, change.holder.entity), (Some(None), Some(None)));
        assert_eq!(change.access_list, Some(Vec::new()));
        assert_eq!(change.comment, None);
    }
}
