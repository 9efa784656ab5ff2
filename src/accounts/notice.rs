//! What holders are told at their unsecured notification address (MSSanté §5).
//!
//! ```text
//! means of access change ─────────────▶ tell_in ─┐
//! mail marks: new messages, quota ─▶ tend ─▶ tell_in ─┼─▶ the change's own commit ─▶ WaitingNotice, sealed ─▶ NoticeInbox
//! a sign-in from elsewhere; maintenance ▶ tell ──┘                                       │       jobs::notices carries it
//!                                                     settle: deleted, traced ◀──────────┴── taken, refused, of no use any more
//! ```
//!
//! Rules: a [`Notice`] is all that can go this way: no content, no health data, no correspondent; what is free in it is a
//! device's name and what the operator announces. A notice waits in the commit of what it tells, so it is told if and only if that
//! happened, whatever ends the process. Codes go first, and leave the disk's index when they are sent or of no use; then what
//! touches access to the mailbox, what becomes of it, and the rest ([`Lane`]): an announcement to everybody delays no alarm.

mod announce;
mod places;
mod queue;
mod tend;

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Account, AccountError, Registry};
use crate::mss::Address;
use crate::store::{AccountId, NewMailPace, NoticeKey};

pub use crate::store::NoticeLane as Lane;
pub use announce::{Announced, BadText, checked_text};
pub(super) use queue::Outbox;
pub use queue::{NoticeInbox, Outcome, Waiting};

/// Who did something to a mailbox's means of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The holder, or who stands on the access list, after strong authentication.
    Holder,
    /// The operator's administrator.
    Administrator,
}

/// Something that a holder is told. Its written form is for the sealed queue alone: it shows codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "notice")]
pub enum Notice {
    /// A code for the login under way.
    Code {
        /// The code.
        #[serde(with = "written_code")]
        code: Code,
        /// Unix seconds from which it is of no use.
        until: i64,
    },
    /// A device was enrolled.
    DeviceEnrolled {
        /// Its name.
        device: String,
        /// Unix seconds until which its certificate is good.
        until: i64,
    },
    /// A device got a new certificate.
    DeviceRenewed {
        /// Its name.
        device: String,
        /// Unix seconds until which its certificate is good.
        until: i64,
    },
    /// A device's certificate was taken away.
    DeviceRevoked {
        /// Its name.
        device: String,
        /// By whom.
        by: By,
    },
    /// An authenticator (TOTP) is in use from now on.
    AuthenticatorAdded,
    /// It is not any more.
    AuthenticatorRemoved {
        /// By whom.
        by: By,
    },
    /// New recovery codes were made; those before are of no use.
    RecoveryCodesMade,
    /// A recovery code has let somebody in.
    RecoveryCodeUsed {
        /// How many are left.
        left: usize,
    },
    /// An administrator took the second factors away.
    FactorsReset,
    /// The mailbox has a new password.
    PasswordChanged {
        /// By whom it was set.
        by: By,
    },
    /// The mailbox has no password any more.
    PasswordRemoved {
        /// By whom it was taken away.
        by: By,
    },
    /// There are terms of use to accept.
    TermsChanged {
        /// Which version.
        version: String,
        /// Unix seconds of the last day on which the mailbox goes on without; none: it opens with them only.
        until: Option<i64>,
    },
    /// Nobody has come for long: the mailbox will be closed.
    ClosingAnnounced {
        /// Unix seconds of the first day on which it can be.
        on: i64,
    },
    /// It will be closed very soon.
    ClosingReminder {
        /// Unix seconds of the day.
        on: i64,
    },
    /// It is closed.
    Closed,
    /// Notices go to another address from now on: told at the one before.
    AddressChanged,
    /// The mailbox was opened from a network that it was not opened from before.
    NewPlace {
        /// The network address.
        peer: String,
    },
    /// Messages came.
    NewMail {
        /// How many that nobody has read.
        messages: u32,
        /// Whether there are more.
        or_more: bool,
    },
    /// The mailbox has come to so many percent of what it may hold.
    QuotaReached {
        /// The threshold.
        percent: u8,
    },
    /// A message has found no room.
    QuotaFull,
    /// What the operator announces.
    Maintenance {
        /// In the operator's words ([`checked_text`]).
        text: String,
    },
}

impl Notice {
    /// A stable kebab-case name, for logs, counters and traces.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Code { .. } => "code",
            Self::DeviceEnrolled { .. } => "device-enrolled",
            Self::DeviceRenewed { .. } => "device-renewed",
            Self::DeviceRevoked { .. } => "device-revoked",
            Self::AuthenticatorAdded => "authenticator-added",
            Self::AuthenticatorRemoved { .. } => "authenticator-removed",
            Self::RecoveryCodesMade => "recovery-codes-made",
            Self::RecoveryCodeUsed { .. } => "recovery-code-used",
            Self::FactorsReset => "factors-reset",
            Self::PasswordChanged { .. } => "password-changed",
            Self::PasswordRemoved { .. } => "password-removed",
            Self::TermsChanged { .. } => "terms-changed",
            Self::ClosingAnnounced { .. } => "closing-announced",
            Self::ClosingReminder { .. } => "closing-reminder",
            Self::Closed => "closed",
            Self::AddressChanged => "address-changed",
            Self::NewPlace { .. } => "new-place",
            Self::NewMail { .. } => "new-mail",
            Self::QuotaReached { .. } => "quota-reached",
            Self::QuotaFull => "quota-full",
            Self::Maintenance { .. } => "maintenance",
        }
    }

    /// Whether the clock closes or suspends a mailbox only after its holder was told this.
    fn precedes_a_step(&self) -> bool {
        matches!(self, Self::TermsChanged { .. } | Self::ClosingAnnounced { .. } | Self::ClosingReminder { .. })
    }

    fn lane(&self) -> Lane {
        match self {
            Self::Code { .. } => Lane::Urgent,
            Self::DeviceEnrolled { .. }
            | Self::DeviceRenewed { .. }
            | Self::DeviceRevoked { .. }
            | Self::AuthenticatorAdded
            | Self::AuthenticatorRemoved { .. }
            | Self::RecoveryCodesMade
            | Self::RecoveryCodeUsed { .. }
            | Self::FactorsReset
            | Self::PasswordChanged { .. }
            | Self::PasswordRemoved { .. }
            | Self::AddressChanged
            | Self::NewPlace { .. } => Lane::Access,
            Self::TermsChanged { .. } | Self::ClosingAnnounced { .. } | Self::ClosingReminder { .. } | Self::Closed => {
                Lane::Life
            }
            Self::NewMail { .. } | Self::QuotaReached { .. } | Self::QuotaFull | Self::Maintenance { .. } => Lane::News,
        }
    }
}

/// A code on its way to its holder. It shows in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(Zeroizing<String>);

impl Code {
    pub(super) fn new(code: Zeroizing<String>) -> Self {
        Self(code)
    }

    /// The code, for the mail that carries it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code([code])")
    }
}

/// A code in the sealed queue.
mod written_code {
    use super::Code;
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(code.reveal())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        String::deserialize(deserializer).map(|code| Code(Zeroizing::new(code)))
    }
}

/// A notice and whom it is for.
#[derive(Clone, Debug)]
pub struct OutgoingNotice {
    /// Its place in the queue.
    pub key: NoticeKey,
    /// A name that no other notice has, the same at each try.
    pub id: String,
    /// The mailbox's number, for the log.
    pub account: AccountId,
    /// The mailbox that it is about.
    pub mailbox: Address,
    /// The notification address.
    pub to: Address,
    /// What is told.
    pub notice: Notice,
    /// Unix seconds.
    pub at: i64,
}

impl OutgoingNotice {
    /// Which way it goes.
    pub fn lane(&self) -> Lane {
        self.key.lane
    }

    /// Whether somebody waits for it.
    pub fn is_urgent(&self) -> bool {
        self.lane() == Lane::Urgent
    }

    /// Its place among all that wait: those of a lane before it first, then those that were written before it.
    pub fn rank(&self) -> (Lane, u64) {
        (self.key.lane, self.key.at)
    }
}

/// An address that its holder knows again, and nobody else learns: `a•••@exemple.fr`.
pub(super) fn masked(address: &Address) -> String {
    let first: String = address.local().chars().take(1).collect();
    format!("{first}•••@{}", address.domain())
}

/// How a holder is told things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoticeSettings {
    /// Where, as its holder knows it again; `None`: nowhere.
    pub to: Option<String>,
    /// How often of new messages; `None`: nobody carries notices.
    pub pace: Option<NewMailPace>,
}

/// Where a mailbox's holder is told things.
pub(super) fn notification_address(account: &Account) -> Option<Address> {
    account.data.notification_address.as_deref().and_then(|text| Address::parse(text).ok())
}

impl Registry {
    /// How the holder of a mailbox is told things.
    ///
    /// # Errors
    /// [`AccountError::NoAccount`], or what the store says.
    pub fn notice_settings(&self, id: AccountId) -> Result<NoticeSettings, AccountError> {
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        let default = self.room().limits().new_mail.map(|times| times.pace);
        Ok(NoticeSettings {
            to: notification_address(&account).map(|to| masked(&to)),
            pace: default.map(|pace| account.data.new_mail_notices.unwrap_or(pace)),
        })
    }

    /// Whether notices are carried at all (`[notices]`).
    pub fn carries_notices(&self) -> bool {
        self.outbox().is_served()
    }

    /// Notes whether the relay is away.
    pub fn note_relay(&self, is_away: bool) {
        self.outbox().note_away(is_away);
    }

    /// Whether notices are carried, and the relay takes them as far as we know: whoever is given time to answer one must have got
    /// it.
    pub fn reaches_holders(&self) -> bool {
        self.carries_notices() && !self.outbox().is_away()
    }
}
