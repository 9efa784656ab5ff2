//! What can go wrong with accounts and logins.

use std::time::Duration;

use crate::mail::MailError;
use crate::mss::{AddressError, MailboxState};
use crate::store::{CommitError, StoreError};

use super::{Ending, RuleBreach};

/// Why something could not be done to an account.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AccountError {
    /// No account has this number or address.
    #[error("there is no such mailbox")]
    NoAccount,
    /// The domain is none of the operator's.
    #[error("{0} is not a domain of this operator")]
    NotOwnDomain(String),
    /// The domain is registered already.
    #[error("{0} is a domain of this operator already")]
    DomainExists(String),
    /// Mailboxes of the domain are still there.
    #[error("{0} still has mailboxes")]
    DomainInUse(String),
    /// The address is a mailbox's.
    #[error("the address is a mailbox's already")]
    AddressTaken,
    /// The address was a closed mailbox's; it is never given again (MSSanté §5).
    #[error("the address belonged to a mailbox that was closed and is never given again")]
    AddressClosed,
    /// The mailbox is closed: nothing of it can be changed.
    #[error("the mailbox is closed")]
    Closed,
    /// The mailbox cannot go from its state to the wanted one.
    #[error("the mailbox is {0}")]
    WrongState(MailboxState),
    /// The password is too short, or too long to be one.
    #[error("a password has at least {0} characters and at most {1} octets")]
    BadPassword(usize, usize),
    /// The certificate binding cannot be.
    #[error("{0}")]
    BadBinding(&'static str),
    /// An entry of an access list cannot be.
    #[error("{0}")]
    BadGrant(&'static str),
    /// Nobody of this name is on the access list.
    #[error("the access list has no such entry")]
    NoGrant,
    /// There is no credential with this number.
    #[error("there is no such credential")]
    NoCredential,
    /// No version of the terms of use is called so, or it is not the one that is asked for.
    #[error("there is no such version of the terms of use to accept")]
    NoTerms,
    /// A version is called so already.
    #[error("there is a version {0} of the terms of use already")]
    TermsExist(String),
    /// A version of the terms of use cannot be.
    #[error("{0}")]
    BadTerms(&'static str),
    /// The text of a version does not read whole.
    #[error("the text of the terms of use {0} is damaged")]
    TermsDamaged(String),
    /// The clock is so many days from the last run that it was believed at; negative: before it.
    #[error(
        "the clock is {0} days from the last run: nothing is closed or forgotten by it until an administrator says that it is \
         right"
    )]
    ClockAstray(i64),
    /// A mailbox that there was may be missing among those that can be read.
    #[error("damage was met: a mailbox may be missing, and what still concerns it is kept")]
    MayBeMissing,
    /// A rule for mailboxes is broken.
    #[error(transparent)]
    Rule(#[from] RuleBreach),
    /// A stored address cannot be read.
    #[error("a stored address cannot be read: {0}")]
    Address(#[from] AddressError),
    /// Others kept changing the same record; trying again helps.
    #[error("the account is being changed by others")]
    Busy,
    /// The mailbox cannot be reached.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The store cannot read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store cannot write.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Why a login was refused. What the client may be told is [`LoginError::is_secret`]'s to say.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoginError {
    /// Unknown address, wrong password, or a password without the certificate that goes with it: one answer for all.
    #[error("wrong address or password, or this workstation is not enrolled for the mailbox")]
    Refused,
    /// The certificate opens no mailbox, or not this one.
    #[error("the certificate does not open this mailbox")]
    CertificateRefused,
    /// A workstation's certificate that opens its mailbox with the password only.
    #[error("this workstation's certificate opens the mailbox together with its password only")]
    NeedsPassword,
    /// The person is known, and neither holds the mailbox nor stands on its access list. The same where there is no such
    /// mailbox.
    #[error(
        "this mailbox is not yours, and its access list does not let you in; its holder or the operator can add you"
    )]
    PersonRefused,
    /// Several mailboxes are open to who logs in: an authorisation id must say which.
    #[error("several mailboxes are open to you: name the one to be opened")]
    Ambiguous,
    /// The mailbox has as many sessions of this person's as one may have.
    #[error("this mailbox has as many sessions as it may have")]
    TooManySessions,
    /// What the login rests on was taken away while it was made.
    #[error("{}", .0.told())]
    Ended(Ending),
    /// The credential is right, and the mailbox is suspended or closed.
    #[error("the mailbox is {0}")]
    NotOpen(MailboxState),
    /// The credential is right, and the mailbox opens once its holder has accepted the terms of use.
    #[error("the mailbox waits for its holder to accept the terms of use, at the holders' page")]
    TermsNotAccepted,
    /// Too many failures before: try again after this time.
    #[error("too many failed logins; try again in {} s", .0.as_secs().max(1))]
    Throttled(Duration),
    /// More logins are waiting than the server can check.
    #[error("the server is busy")]
    Busy,
    /// The server cannot check the login now.
    #[error("the login cannot be checked now: {0}")]
    Unavailable(#[from] AccountError),
}

impl LoginError {
    /// Whether trying the same again later can succeed: `454 4.7.0`, `NO [UNAVAILABLE]`; else `535 5.7.8`,
    /// `NO [AUTHENTICATIONFAILED]`.
    pub fn is_temporary(&self) -> bool {
        use LoginError::{Busy, Throttled, TooManySessions, Unavailable};
        matches!(self, Throttled(_) | Busy | TooManySessions | Unavailable(_))
    }

    /// Whether the text is for the log only: then the client is told that the login cannot be checked now.
    pub fn is_secret(&self) -> bool {
        matches!(self, LoginError::Unavailable(_))
    }
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        LoginError::Unavailable(error.into())
    }
}
