//! An account as the other rooms see it.

use crate::mail::{kind_of, state_of};
use crate::mss::exchange::OwnMailbox;
use crate::mss::{Address, Kind, MailboxState, Right, Rights};
use crate::store::{self, Absence, AccessGrant, AccessRight, AccountId, AccountKind, Forward, Holder, NewMailPace};

use super::{AccountError, Grantee, LoginError};

/// A mailbox's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its number; never reused.
    pub id: AccountId,
    /// Its address, as it was created.
    pub address: Address,
    /// Its kind.
    pub kind: Kind,
    /// Where it is in its life.
    pub state: MailboxState,
    /// Everything else that is kept of it.
    pub data: store::Account,
}

/// What a new mailbox is created from.
#[derive(Clone, Debug)]
pub struct NewMailbox {
    /// Its address, in one of the operator's domains.
    pub address: Address,
    /// Its kind.
    pub kind: Kind,
    /// A test mailbox never carries real patients' data.
    pub test: bool,
    /// Exchanges with the operator's own domains only.
    pub restricted: bool,
    /// Works, but is not shown in the directory (liste rouge).
    pub red_list: bool,
    /// Accepts electronic delivery in place of paper (dématérialisation).
    pub zero_paper: bool,
    /// The server files a copy of what the mailbox sends.
    pub save_sent: bool,
    /// Whom or what it is bound to; what must be there depends on the kind.
    pub holder: Holder,
    /// Who else opens it (PER, ORG, CAB).
    pub access_list: Vec<AccessGrant>,
    /// The unsecured address that gets notices.
    pub notification_address: Option<String>,
    /// Bytes that it may hold; `None`: the domain's or the server's default.
    pub quota: Option<u64>,
    /// Its password opens it alone, without an enrolled workstation's certificate: for tests.
    pub allow_password: bool,
    /// The operator's own notes.
    pub comment: Option<String>,
}

impl NewMailbox {
    /// A mailbox with nothing but what every kind needs.
    pub fn new(address: Address, kind: Kind, holder: Holder) -> Self {
        Self {
            address,
            kind,
            test: false,
            restricted: false,
            red_list: false,
            zero_paper: false,
            save_sent: false,
            holder,
            access_list: Vec::new(),
            notification_address: None,
            quota: None,
            allow_password: false,
            comment: None,
        }
    }
}

/// What is to be changed of an account; `None` leaves a field as it is. Address and kind are not here: they never change.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    /// See [`NewMailbox::test`].
    pub test: Option<bool>,
    /// See [`NewMailbox::restricted`].
    pub restricted: Option<bool>,
    /// See [`NewMailbox::red_list`].
    pub red_list: Option<bool>,
    /// See [`NewMailbox::zero_paper`].
    pub zero_paper: Option<bool>,
    /// The whole holder anew.
    pub holder: Option<Holder>,
    /// The whole access list anew.
    pub access_list: Option<Vec<AccessGrant>>,
    /// `Some(None)` takes it away.
    pub notification_address: Option<Option<String>>,
    /// `Some(None)`: the domain's or the server's default.
    pub quota: Option<Option<u64>>,
    /// How often the holder is told of new messages; `Some(None)`: as the server does by default.
    pub new_mail_notices: Option<Option<NewMailPace>>,
    /// See [`NewMailbox::allow_password`].
    pub allow_password: Option<bool>,
    /// The server files a copy of what the mailbox sends.
    pub save_sent: Option<bool>,
    /// `Some(None)` takes it away.
    pub comment: Option<Option<String>>,
    /// Where mail is sent on to; `Some(None)`: nowhere. Whether the trust space allows it is the caller's to ask
    /// ([`crate::mail::aftermath::may_forward`]); it is asked again at each message.
    pub forward: Option<Option<Forward>>,
    /// What is answered while the holder is away; `Some(None)`: nothing.
    pub absence: Option<Option<Absence>>,
}

impl Account {
    /// The account behind a record.
    pub(super) fn from_record(id: AccountId, record: store::Account) -> Result<Self, AccountError> {
        Ok(Self {
            id,
            address: Address::parse(&record.address)?,
            kind: kind_of(record.kind),
            state: state_of(record.state),
            data: record,
        })
    }

    /// Whether its holder cannot be told anything for want of an address (MSSanté §5); nobody is told of a closed one.
    pub fn lacks_notification_address(&self) -> bool {
        self.data.notification_address.is_none() && self.state != MailboxState::Closed
    }

    /// What the rules of exchange ask about it.
    pub fn as_own(&self) -> OwnMailbox {
        OwnMailbox {
            address: self.address.clone(),
            kind: self.kind,
            test: self.data.test,
            restricted: self.data.restricted,
            state: self.state,
        }
    }

    /// What the access list lets somebody do now (delegation, MSSanté §4): a person by national id, the holder of `mailbox`.
    pub fn granted(&self, person: Option<&str>, mailbox: Option<AccountId>, now: i64) -> Rights {
        let is_theirs = |grant: &&AccessGrant| {
            let in_force = grant.since <= now && grant.until.is_none_or(|until| now < until);
            let by_person = !grant.person.is_empty() && person == Some(grant.person.as_str());
            in_force && (by_person || (grant.mailbox.is_some() && grant.mailbox == mailbox))
        };
        self.data.access_list.iter().filter(is_theirs).flat_map(|grant| &grant.rights).copied().map(right_of).collect()
    }

    /// What one entry of the access list lets its grantee do now.
    pub fn granted_to(&self, who: &Grantee, now: i64) -> Rights {
        match who {
            Grantee::Person(person) => self.granted(Some(person), None, now),
            Grantee::Mailbox(id) => self.granted(None, Some(*id), now),
        }
    }

    /// Whether it is bound to this professional (MSSanté §4: PER and CAB).
    pub fn is_held_by(&self, person: &str) -> bool {
        let holder = self.data.holder.national_id.as_deref().filter(|id| !id.is_empty());
        matches!(self.kind, Kind::Per | Kind::Cab) && holder == Some(person)
    }

    /// Whether its password opens it without a workstation's certificate: it is marked for tests, and not closed.
    pub fn opens_by_password_alone(&self) -> bool {
        self.data.allow_password && self.state != MailboxState::Closed
    }

    /// What somebody is told whom it would open to, and does not.
    pub(super) fn not_open(&self) -> LoginError {
        if self.awaits_terms() { LoginError::TermsNotAccepted } else { LoginError::NotOpen(self.state) }
    }

    /// Whether it takes mail and opens.
    pub fn is_open(&self) -> bool {
        self.state == MailboxState::Open
    }
}

impl AccountChange {
    /// Puts the changes into a record.
    pub(super) fn apply(&self, record: &mut store::Account) {
        let set = |value: Option<bool>, field: &mut bool| *field = value.unwrap_or(*field);
        set(self.test, &mut record.test);
        set(self.restricted, &mut record.restricted);
        set(self.red_list, &mut record.red_list);
        set(self.zero_paper, &mut record.zero_paper);
        set(self.allow_password, &mut record.allow_password);
        set(self.save_sent, &mut record.save_sent);
        if let Some(holder) = &self.holder {
            record.holder = holder.clone();
        }
        if let Some(list) = &self.access_list {
            record.access_list = list.clone();
        }
        if let Some(address) = &self.notification_address {
            if record.notification_address != *address {
                record.notice_bounce = None;
            }
            record.notification_address = address.clone();
        }
        if let Some(quota) = self.quota {
            record.quota = quota;
        }
        if let Some(pace) = self.new_mail_notices {
            record.new_mail_notices = pace;
        }
        if let Some(comment) = &self.comment {
            record.comment = comment.clone();
        }
        if let Some(forward) = &self.forward {
            record.forward = forward.clone();
        }
        if let Some(absence) = &self.absence {
            record.absence = absence.clone();
        }
    }
}

/// A record's right as the rules know it.
pub fn right_of(right: AccessRight) -> Right {
    match right {
        AccessRight::Read => Right::Read,
        AccessRight::Write => Right::Write,
        AccessRight::Send => Right::Send,
        AccessRight::Manage => Right::Manage,
    }
}

/// A right as records have it.
pub fn right_record(right: Right) -> AccessRight {
    match right {
        Right::Read => AccessRight::Read,
        Right::Write => AccessRight::Write,
        Right::Send => AccessRight::Send,
        Right::Manage => AccessRight::Manage,
    }
}

pub(super) fn kind_record(kind: Kind) -> AccountKind {
    match kind {
        Kind::Per => AccountKind::Per,
        Kind::Org => AccountKind::Org,
        Kind::App => AccountKind::App,
        Kind::Cab => AccountKind::Cab,
    }
}
