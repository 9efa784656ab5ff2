//! What holders are told at their unsecured notification address (MSSanté §5), and the outbox that it waits in.
//!
//! The registry puts a notice in whenever somebody's means of access change, whichever door asked for it; `jobs::notices`
//! carries it. A [`Notice`] is all that can go this way: no content, no health data, no free text but a device's name.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{Account, Registry};
use crate::mss::Address;
use crate::store::AccountId;

/// Notices that wait for the job that carries them.
const MOST_WAITING: usize = 1_000;

/// Who did something to a mailbox's means of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The holder, or who stands on the access list, after strong authentication.
    Holder,
    /// The operator's administrator.
    Administrator,
}

/// Something that a holder is told.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A code for the login under way.
    Code {
        /// The code.
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
}

impl Notice {
    /// A stable kebab-case name, for logs and counters.
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
            Self::TermsChanged { .. } => "terms-changed",
            Self::ClosingAnnounced { .. } => "closing-announced",
            Self::ClosingReminder { .. } => "closing-reminder",
            Self::Closed => "closed",
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

/// A notice and whom it is for.
#[derive(Clone, Debug)]
pub struct OutgoingNotice {
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

/// Where notices wait. Whoever carries them takes its end once.
#[derive(Debug)]
pub(super) struct Outbox {
    sender: mpsc::Sender<OutgoingNotice>,
    inbox: Mutex<Option<NoticeInbox>>,
}

/// The end of the outbox that notices are taken from.
#[derive(Debug)]
pub struct NoticeInbox(mpsc::Receiver<OutgoingNotice>);

impl NoticeInbox {
    /// The next notice; none when the registry is gone.
    pub async fn next(&mut self) -> Option<OutgoingNotice> {
        self.0.recv().await
    }
}

impl Default for Outbox {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        Self { sender, inbox: Mutex::new(Some(NoticeInbox(receiver))) }
    }
}

impl Outbox {
    fn take(&self) -> Option<NoticeInbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether somebody carries notices.
    fn is_served(&self) -> bool {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).is_none() && !self.sender.is_closed()
    }
}

impl Registry {
    /// The notices' end, for the job that carries them; there is one.
    pub fn take_notices(&self) -> Option<NoticeInbox> {
        self.outbox().take()
    }

    /// Whether notices are carried at all (`[notices]`).
    pub fn carries_notices(&self) -> bool {
        self.outbox().is_served()
    }

    /// Tells a mailbox's holder something. Whether it could be put on its way: there may be no notification address, nobody
    /// who carries notices, or too many that wait.
    pub fn tell(&self, account: &Account, notice: Notice) -> bool {
        let name = notice.name();
        let address = account.data.notification_address.as_deref().and_then(|text| Address::parse(text).ok());
        let Some(to) = address.filter(|_| self.carries_notices()) else {
            tracing::debug!(account = %account.id, notice = name, "nobody to tell, or nobody who carries notices");
            return false;
        };
        let (mailbox, at) = (account.address.clone(), crate::mail::now());
        let sent = self.outbox().sender.try_send(OutgoingNotice { account: account.id, mailbox, to, notice, at });
        if sent.is_err() {
            tracing::warn!(account = %account.id, notice = name, "too many notices wait: this one is not sent");
        }
        sent.is_ok()
    }
}
