//! Which code is right, and what it costs when it is not: pure, over the record.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{FactorError, FactorOptions, FactorUsed, HOUR, totp};
use crate::accounts::secret_text::normalised;
use crate::store::{Authenticator, MailboxKey, MailedCode, SealError, SecondFactor};

/// Seconds of the first delay after too many wrong codes; it doubles with each further one.
const FIRST_DELAY: i64 = 60;

/// Codes that are good at a time: one a login under way.
const MOST_MAILED: usize = 4;

/// What only the mailbox's key can tell.
pub(super) struct Secrets<'k>(pub(super) &'k MailboxKey);

impl Secrets<'_> {
    /// An authenticator's secret as it is kept.
    pub(super) fn seal_authenticator(&self, secret: &[u8]) -> Vec<u8> {
        self.0.seal_bytes(b"authenticator", secret)
    }

    fn open_authenticator(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.0.open_bytes(b"authenticator", sealed)
    }

    /// Recovery codes as they are kept.
    pub(super) fn recovery_digests(&self, codes: &[Zeroizing<String>]) -> Vec<String> {
        codes.iter().map(|code| self.recovery(&normalised(code))).collect()
    }

    fn recovery(&self, code: &str) -> String {
        hex(self.0.digest("recovery code", code))
    }

    fn attempt(&self, attempt: &str) -> String {
        hex(self.0.digest("login under way", attempt))
    }

    /// A code is worth something with its login only.
    fn mailed(&self, attempt: &str, code: &str) -> String {
        hex(self.0.digest("mailed code", &format!("{code} {attempt}")))
    }
}

fn hex(digest: u128) -> String {
    format!("{digest:032x}")
}

/// Notes a code that is about to be mailed.
pub(super) fn put_mailed(
    record: &mut SecondFactor,
    secrets: &Secrets<'_>,
    attempt: &str,
    code: &str,
    options: &FactorOptions,
    now: i64,
) -> Result<(), FactorError> {
    not_locked(record, now)?;
    if record.authenticator.is_some() {
        return Err(FactorError::AuthenticatorInUse);
    }
    // A clock that was put back must not keep anybody from asking for ever.
    record.mailed_at.retain(|at| (now - HOUR..=now).contains(at));
    if record.mailed_at.len() >= options.by_mail_per_hour {
        let oldest = record.mailed_at.iter().min().copied().unwrap_or(now);
        return Err(FactorError::TooManyMailed(seconds(oldest + HOUR - now)));
    }
    record.mailed_at.push(now);
    let attempt_digest = secrets.attempt(attempt);
    record.mailed.retain(|mailed| now < mailed.expires_at && mailed.attempt != attempt_digest);
    if record.mailed.len() >= MOST_MAILED {
        record.mailed.remove(0);
    }
    record.mailed.push(MailedCode {
        attempt: attempt_digest,
        code: secrets.mailed(attempt, code),
        expires_at: now + options.lifetime,
        tries: options.tries,
    });
    Ok(())
}

/// Checks a normalised code.
pub(super) fn check(
    record: &mut SecondFactor,
    secrets: &Secrets<'_>,
    attempt: &str,
    code: &str,
    options: &FactorOptions,
    now: i64,
) -> Result<FactorUsed, FactorError> {
    not_locked(record, now)?;
    let is_digits = (6..=8).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
    let used = match (is_digits, &record.authenticator) {
        (true, Some(_)) => authenticator(record, secrets, code, now),
        (true, None) => mailed(record, secrets, attempt, code, now),
        (false, _) => recovery(record, secrets, code),
    };
    match &used {
        Ok(_) => (record.failures, record.locked_until) = (0, 0),
        Err(FactorError::Wrong { .. }) => failed(record, options, now),
        Err(_) => {}
    }
    used
}

/// Puts the authenticator that was begun in use.
pub(super) fn confirm(
    record: &mut SecondFactor,
    secrets: &Secrets<'_>,
    code: &str,
    options: &FactorOptions,
    now: i64,
) -> Result<(), FactorError> {
    not_locked(record, now)?;
    // What was begun and left lying is nobody's to end.
    let Some(begun) = record.begun.as_ref().filter(|begun| now - begun.since < HOUR) else {
        return Err(FactorError::NotSet);
    };
    let secret = secrets.open_authenticator(&begun.sealed.0)?;
    let Some(step) = totp::step_of(&secret, code, begun.last_step, now) else {
        failed(record, options, now);
        return Err(FactorError::Wrong { left: None });
    };
    record.authenticator = record.begun.take().map(|begun| Authenticator { last_step: step, since: now, ..begun });
    // Nobody comes in by mail any more.
    record.mailed.clear();
    (record.failures, record.locked_until) = (0, 0);
    Ok(())
}

fn authenticator(
    record: &mut SecondFactor,
    secrets: &Secrets<'_>,
    code: &str,
    now: i64,
) -> Result<FactorUsed, FactorError> {
    let Some(authenticator) = &mut record.authenticator else { return Err(FactorError::NotSet) };
    let secret = secrets.open_authenticator(&authenticator.sealed.0)?;
    let step = totp::step_of(&secret, code, authenticator.last_step, now).ok_or(FactorError::Wrong { left: None })?;
    authenticator.last_step = step;
    Ok(FactorUsed::Authenticator)
}

fn mailed(
    record: &mut SecondFactor,
    secrets: &Secrets<'_>,
    attempt: &str,
    code: &str,
    now: i64,
) -> Result<FactorUsed, FactorError> {
    let attempt_digest = secrets.attempt(attempt);
    record.mailed.retain(|mailed| now < mailed.expires_at);
    let Some(at) = record.mailed.iter().position(|mailed| mailed.attempt == attempt_digest) else {
        return Err(FactorError::Spent);
    };
    if record.mailed[at].code == secrets.mailed(attempt, code) {
        record.mailed.remove(at);
        return Ok(FactorUsed::MailedCode);
    }
    let mailed = &mut record.mailed[at];
    mailed.tries = mailed.tries.saturating_sub(1);
    let left = mailed.tries;
    if left == 0 {
        record.mailed.remove(at);
    }
    Err(FactorError::Wrong { left: Some(left) })
}

fn recovery(record: &mut SecondFactor, secrets: &Secrets<'_>, code: &str) -> Result<FactorUsed, FactorError> {
    let digest = secrets.recovery(code);
    let at = record.recovery.iter().position(|kept| *kept == digest).ok_or(FactorError::Wrong { left: None })?;
    record.recovery.remove(at);
    Ok(FactorUsed::RecoveryCode { left: record.recovery.len() })
}

fn not_locked(record: &SecondFactor, now: i64) -> Result<(), FactorError> {
    // However the clock was changed meanwhile, nobody waits for longer than the longest delay.
    match record.locked_until.saturating_sub(now) {
        wait @ 1..=HOUR => Err(FactorError::Throttled(seconds(wait))),
        _ => Ok(()),
    }
}

/// The first wrong codes cost nothing but the tries of a mailed one; then each makes the next wait twice as long.
fn failed(record: &mut SecondFactor, options: &FactorOptions, now: i64) {
    record.failures = record.failures.saturating_add(1);
    if let Some(beyond) = record.failures.checked_sub(options.tries) {
        record.locked_until = now + (FIRST_DELAY << beyond.min(6)).min(HOUR);
    }
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or_default())
}
