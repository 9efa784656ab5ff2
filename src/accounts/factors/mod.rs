//! What a holder shows beside the password when there is no health card: an authenticator's code, a code that is mailed to
//! the notification address, or a recovery code.
//!
//! ```text
//! password right ─▶ factors (what may be asked for) ─▶ [mail_code] ─▶ check_code ─▶ strong authentication
//!                                                                        │
//!                            record: steps, tries, locks ◀── committed ──┘ before the answer is given
//! ```
//!
//! Rules: every try is committed before it is answered, over the version of the record that it was judged by, so that neither
//! tries at once nor a restart give any back. A code is used once. What lies in the store is of no use without the mailbox's
//! key: secrets are sealed under it, codes are digests under it. With an authenticator in use no codes are mailed any more: a
//! mailbox is as safe as the weakest way in. The holder is told of whatever changes.

mod check;
mod totp;

use std::time::Duration;

use zeroize::Zeroizing;

use super::notice::{By, Code, Notice, masked, notification_address};
use super::registry::ATTEMPTS;
use super::{Account, AccountError, Registry, secret_text};
use crate::mail::MailError;
use crate::store::{
    self, AccountId, Authenticator, Batch, CommitError, Expect, MailboxKey, SealError, SealedKey, SecondFactor,
    StoreError,
};
use check::Secrets;

/// Settings of second factors. Times in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactorOptions {
    /// How long a mailed code is good for.
    pub lifetime: i64,
    /// Wrong codes that a mailed code outlives, and that cost no delay.
    pub tries: u32,
    /// Digits of a mailed code.
    pub digits: u32,
    /// Codes are mailed to notification addresses.
    pub by_mail: bool,
    /// Codes mailed to one mailbox's holder within an hour, at most.
    pub by_mail_per_hour: usize,
    /// Recovery codes that are made at a time.
    pub recovery: usize,
    /// Who an authenticator shows the code to be for.
    pub issuer: String,
}

impl Default for FactorOptions {
    fn default() -> Self {
        Self {
            lifetime: 600,
            tries: 5,
            digits: 6,
            by_mail: true,
            by_mail_per_hour: 5,
            recovery: 10,
            issuer: "MSSanté".into(),
        }
    }
}

/// What may be asked for beside a mailbox's password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    /// An authenticator is in use since (Unix seconds).
    pub authenticator: Option<i64>,
    /// Codes can be mailed there, as it may be shown: `a•••@exemple.fr`.
    pub mailed: Option<String>,
    /// Recovery codes that are left.
    pub recovery_codes: usize,
    /// Unix seconds before which no code is looked at: too many were wrong.
    pub locked_until: Option<i64>,
}

impl Factors {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.authenticator.is_some() || self.mailed.is_some() || self.recovery_codes > 0
    }
}

/// Which code was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorUsed {
    /// The authenticator's.
    Authenticator,
    /// The one that was mailed.
    MailedCode,
    /// A recovery code.
    RecoveryCode {
        /// How many are left.
        left: usize,
    },
}

/// A code is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailedTo {
    /// Where to, as it may be shown.
    pub to: String,
    /// Unix seconds until which it is good.
    pub until: i64,
}

/// What an authenticator is set up with. It is shown once.
pub struct AuthenticatorSetup {
    /// The secret, to be typed (base32).
    pub secret: Zeroizing<String>,
    /// The address behind the QR code (`otpauth://`).
    pub uri: Zeroizing<String>,
}

/// Recovery codes. They are shown once.
pub struct RecoveryCodes(pub Vec<Zeroizing<String>>);

macro_rules! redacted {
    ($($name:ident)*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "([secret])"))
            }
        }
    )*};
}
redacted!(AuthenticatorSetup RecoveryCodes);

/// Why a code was not accepted, or nothing could be done about factors.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FactorError {
    /// The code is wrong, was used, or its time is over.
    #[error("the code is wrong, or was used before")]
    Wrong {
        /// Tries that a mailed code has left.
        left: Option<u32>,
    },
    /// No code was mailed for this login, or it has no tries or no time left.
    #[error("there is no code for this login any more; ask for another")]
    Spent,
    /// Too many codes were wrong.
    #[error("too many wrong codes; try again in {} s", .0.as_secs().max(1))]
    Throttled(Duration),
    /// Too many codes were asked for.
    #[error("too many codes were asked for; ask again in {} s", .0.as_secs().max(1))]
    TooManyMailed(Duration),
    /// Nothing of the kind is set up.
    #[error("no such second factor is set up")]
    NotSet,
    /// With an authenticator in use no code is mailed.
    #[error("an authenticator is in use: no codes are mailed")]
    AuthenticatorInUse,
    /// The mailbox has no notification address.
    #[error("the mailbox has no notification address")]
    NoAddress,
    /// Codes are not mailed here, or too many notices wait.
    #[error("no codes can be mailed now")]
    NoNotices,
    /// The mailbox's key or a sealed secret does not open.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// What the registry says.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl FactorError {
    /// Its stable kebab-case name, for traces.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Wrong { .. } => "wrong-code",
            Self::Spent => "code-spent",
            Self::Throttled(_) => "too-many-wrong-codes",
            Self::TooManyMailed(_) => "too-many-codes",
            Self::NotSet => "no-factor",
            Self::AuthenticatorInUse | Self::NoAddress | Self::NoNotices => "no-code-by-mail",
            Self::Sealed(_) | Self::Account(_) => "unavailable",
        }
    }
}

impl From<StoreError> for FactorError {
    fn from(error: StoreError) -> Self {
        Self::Account(error.into())
    }
}

impl From<CommitError> for FactorError {
    fn from(error: CommitError) -> Self {
        Self::Account(error.into())
    }
}

/// Groups of six letters of a recovery code: 89 bits.
const RECOVERY_GROUPS: usize = 3;

const HOUR: i64 = 3_600;

impl Registry {
    /// What may be asked for beside the password.
    ///
    /// # Errors
    /// [`FactorError::Account`].
    pub fn factors(&self, id: AccountId) -> Result<Factors, FactorError> {
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        let record = self.store().get::<SecondFactor>(&id)?.map(|read| read.record).unwrap_or_default();
        let now = crate::mail::now();
        let is_mailed = record.authenticator.is_none() && self.factor_options().by_mail && self.carries_notices();
        Ok(Factors {
            mailed: notification_address(&account).filter(|_| is_mailed).map(|to| masked(&to)),
            authenticator: record.authenticator.map(|authenticator| authenticator.since),
            recovery_codes: record.recovery.len(),
            locked_until: Some(record.locked_until).filter(|until| now < *until),
        })
    }

    /// Mails a code that is good for this login alone. `attempt` is the login's secret name, kept as a keyed digest.
    ///
    /// # Errors
    /// [`FactorError`].
    pub async fn mail_code(&self, id: AccountId, attempt: &str) -> Result<MailedTo, FactorError> {
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        let to = notification_address(&account).ok_or(FactorError::NoAddress)?;
        let options = self.factor_options();
        if !options.by_mail || !self.carries_notices() {
            return Err(FactorError::NoNotices);
        }
        let (now, code) = (crate::mail::now(), secret_text::digits(options.digits));
        let until = now + options.lifetime;
        let notice = Notice::Code { code: Code::new(code.clone()), until };
        self.change_factors(&account, told(notice), |record, key| {
            check::put_mailed(record, &Secrets(key), attempt, &code, options, now)
        })
        .await?;
        Ok(MailedTo { to: masked(&to), until })
    }

    /// Checks a code. Digits are the authenticator's, or those that were mailed for this login; else it is a recovery code.
    ///
    /// # Errors
    /// [`FactorError`].
    pub async fn check_code(&self, id: AccountId, attempt: &str, code: &str) -> Result<FactorUsed, FactorError> {
        let (code, options, now) = (secret_text::normalised(code), self.factor_options(), crate::mail::now());
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        let notice = |used: &FactorUsed| match used {
            FactorUsed::RecoveryCode { left } => Some(Notice::RecoveryCodeUsed { left: *left }),
            FactorUsed::Authenticator | FactorUsed::MailedCode => None,
        };
        let used = self
            .change_factors(&account, notice, |record, key| {
                check::check(record, &Secrets(key), attempt, &code, options, now)
            })
            .await;
        match &used {
            Ok(used) => tracing::info!(account = %id, ?used, "second factor accepted"),
            Err(error) => tracing::info!(account = %id, %error, "second factor refused"),
        }
        used
    }

    /// A new secret for an authenticator; the first right code puts it in use.
    ///
    /// # Errors
    /// [`FactorError`].
    pub async fn begin_authenticator(&self, id: AccountId) -> Result<AuthenticatorSetup, FactorError> {
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        let (now, plain) = (crate::mail::now(), totp::new_secret());
        // It opens nothing yet: what puts it in use is traced.
        self.change_factors(
            &account,
            |()| None,
            |record, key| {
                let sealed = SealedKey(Secrets(key).seal_authenticator(&plain));
                record.begun = Some(Authenticator { sealed, since: now, last_step: 0 });
                Ok(())
            },
        )
        .await?;
        let secret = totp::base32(&plain);
        let uri = totp::uri(&self.factor_options().issuer, &account.address, &secret);
        Ok(AuthenticatorSetup { secret, uri })
    }

    /// Puts the authenticator that was begun in use, in the place of one before, if the code is its; makes recovery codes.
    ///
    /// # Errors
    /// [`FactorError`].
    pub async fn confirm_authenticator(&self, id: AccountId, code: &str) -> Result<RecoveryCodes, FactorError> {
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        let (code, options, now) = (secret_text::normalised(code), self.factor_options(), crate::mail::now());
        let codes = self.recovery_codes();
        self.change_factors(&account, told(Notice::AuthenticatorAdded), |record, key| {
            check::confirm(record, &Secrets(key), &code, options, now)?;
            record.recovery = Secrets(key).recovery_digests(&codes);
            Ok(())
        })
        .await?;
        tracing::info!(account = %id, "authenticator in use");
        Ok(RecoveryCodes(codes))
    }

    /// Takes the authenticator away; recovery codes stay.
    ///
    /// # Errors
    /// [`FactorError::NotSet`], or what the registry says.
    pub async fn remove_authenticator(&self, id: AccountId, by: By) -> Result<(), FactorError> {
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        self.change_factors(&account, told(Notice::AuthenticatorRemoved { by }), |record, _| {
            record.begun = None;
            record.authenticator.take().map(drop).ok_or(FactorError::NotSet)
        })
        .await?;
        tracing::info!(account = %id, ?by, "authenticator removed");
        Ok(())
    }

    /// Makes new recovery codes; those before are of no use.
    ///
    /// # Errors
    /// [`FactorError`].
    pub async fn new_recovery_codes(&self, id: AccountId) -> Result<RecoveryCodes, FactorError> {
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        let codes = self.recovery_codes();
        self.change_factors(&account, told(Notice::RecoveryCodesMade), |record, key| {
            record.recovery = Secrets(key).recovery_digests(&codes);
            Ok(())
        })
        .await?;
        tracing::info!(account = %id, "recovery codes made");
        Ok(RecoveryCodes(codes))
    }

    /// Takes every second factor away, with its locks: the administrator's help for who has lost them all. The holder is
    /// told.
    ///
    /// # Errors
    /// [`FactorError::NotSet`], or what the registry says.
    pub async fn reset_factors(&self, id: AccountId) -> Result<(), FactorError> {
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        for attempt in 0..ATTEMPTS {
            let read = self.store().get::<SecondFactor>(&id)?.ok_or(FactorError::NotSet)?;
            let mut batch = Batch::new();
            batch.expect::<SecondFactor>(&id, Expect::Version(read.version)).delete::<SecondFactor>(&id);
            self.note("factors-reset", Some(&account.data.address), None, &mut batch);
            self.tell_in(&mut batch, &account, Notice::FactorsReset);
            match self.store().commit(batch).await {
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    tracing::info!(account = %id, "second factors reset");
                    return Ok(());
                }
            }
        }
        Err(AccountError::Busy.into())
    }

    fn recovery_codes(&self) -> Vec<Zeroizing<String>> {
        (0..self.factor_options().recovery).map(|_| secret_text::readable(RECOVERY_GROUPS, 6)).collect()
    }

    /// Changes a mailbox's record and commits it over the version that was read, whatever the outcome: a wrong code costs a
    /// try. Only then is the outcome known to anybody. What the holder is told of it goes into the same commit, and the trace.
    async fn change_factors<T>(
        &self,
        account: &Account,
        notice: impl Fn(&T) -> Option<Notice>,
        change: impl Fn(&mut SecondFactor, &MailboxKey) -> Result<T, FactorError>,
    ) -> Result<T, FactorError> {
        let id = account.id;
        let key = self.mailbox_key(id)?;
        for attempt in 0..ATTEMPTS {
            // A mailbox that closes meanwhile leaves nothing behind.
            let living = self.store().get::<store::Account>(&id)?.ok_or(AccountError::NoAccount)?;
            if living.state == store::AccountState::Closed {
                return Err(AccountError::Closed.into());
            }
            let read = self.store().get::<SecondFactor>(&id)?;
            let before = read.as_ref().map(|read| read.record.clone()).unwrap_or_default();
            let mut record = before.clone();
            let outcome = change(&mut record, &key);
            if record == before {
                return outcome;
            }
            let mut batch = Batch::new();
            batch.expect::<store::Account>(&id, Expect::Version(living.version));
            match read {
                Some(read) => batch.update(&id, read.version, &record),
                None => batch.insert(&id, &record),
            };
            if let Some(notice) = outcome.as_ref().ok().and_then(&notice) {
                if let Some(what) = traced_as(&notice) {
                    self.note(what, Some(&account.data.address), None, &mut batch);
                }
                self.tell_in(&mut batch, account, notice);
            }
            match self.store().commit(batch).await {
                Ok(_) => {
                    self.wake_notices();
                    return outcome;
                }
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::Busy.into())
    }

    fn mailbox_key(&self, id: AccountId) -> Result<MailboxKey, FactorError> {
        let record = self.store().get::<store::Account>(&id)?.ok_or(AccountError::NoAccount)?;
        match self.room().mailbox_key(id, record.state) {
            Err(MailError::Closed) => Err(AccountError::Closed.into()),
            key => Ok(key.map_err(AccountError::from)?),
        }
    }
}

/// The name that a change goes by in the traces, as its holder is told of it. A mailed code changes nothing yet, and a login's
/// own trace tells of the others that were used.
fn traced_as(notice: &Notice) -> Option<&'static str> {
    match notice {
        Notice::AuthenticatorAdded => Some("factor-set"),
        Notice::AuthenticatorRemoved { .. } => Some("factor-removed"),
        Notice::RecoveryCodesMade => Some("recovery-codes-made"),
        Notice::RecoveryCodeUsed { .. } => Some("recovery-code-used"),
        _ => None,
    }
}

/// Tells this, whatever came of the change, as long as it was made.
fn told<T>(notice: Notice) -> impl Fn(&T) -> Option<Notice> {
    move |_| Some(notice.clone())
}

#[cfg(test)]
mod tests;
