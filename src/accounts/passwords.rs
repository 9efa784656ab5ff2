//! Passwords: set, verified (SASL PLAIN, LOGIN), hashed anew.
//!
//! A password opens a mailbox together with the certificate of a workstation that was enrolled for it; alone only where the
//! mailbox is marked for tests. Whatever is wrong, the answer is one and the work is the same.

use std::net::IpAddr;
use std::time::Instant;

use zeroize::Zeroizing;

use super::hashing::{LONGEST_PASSWORD, TooBusy};
use super::login::Bound;
use super::notice::Notice;
use super::registry::ATTEMPTS;
use super::throttle::{Attempt, Turn};
use super::traced::{credential_about, credential_names};
use super::{Account, AccountError, By, CertificateFacts, Login, LoginError, Means, Origin, Registry};
use crate::mss::Address;
use crate::store::{
    self, AccountId, Batch, CommitError, Committed, Credential, CredentialKey, CredentialKind, Expect, Versioned,
};

/// With what a mailbox's password opens it.
enum With {
    /// Nothing else.
    Nothing,
    /// The certificate of an enrolled workstation.
    Device(Bound),
}

/// What fitted: the mailbox, its password, and what that opens it with.
struct Fitting {
    account: Account,
    password: Bound,
    with: With,
}

/// A password that was right, with nothing that it opens: the first of two factors. It stands until the password or the
/// mailbox's state changes ([`Registry::ending_of_first_factor`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstFactor {
    /// The mailbox.
    pub account: AccountId,
    /// The password.
    pub password: CredentialKey,
    /// Unix seconds of the last change of the mailbox's state.
    pub state_changed_at: i64,
}

/// Setting.
impl Registry {
    /// Whether a text can be a password here.
    ///
    /// # Errors
    /// [`AccountError::BadPassword`].
    pub fn accepts_password(&self, password: &str) -> Result<(), AccountError> {
        let least = self.hasher().options().least_characters;
        if password.chars().count() < least || password.len() > LONGEST_PASSWORD {
            return Err(AccountError::BadPassword(least, LONGEST_PASSWORD));
        }
        Ok(())
    }

    /// Sets the mailbox's password; the one before is gone, and the sessions made with it end.
    ///
    /// # Errors
    /// [`AccountError::BadPassword`], [`AccountError::NoAccount`], [`AccountError::Closed`], or what the store says.
    pub async fn set_password(&self, id: AccountId, password: &str, label: &str) -> Result<Committed, AccountError> {
        self.put_password(id, password, label, None).await
    }

    /// As [`Registry::set_password`]; the holder is told by whom it was set.
    ///
    /// # Errors
    /// As [`Registry::set_password`].
    pub async fn change_password(
        &self,
        id: AccountId,
        password: &str,
        label: &str,
        by: By,
    ) -> Result<Committed, AccountError> {
        self.put_password(id, password, label, Some(Notice::PasswordChanged { by })).await
    }

    async fn put_password(
        &self,
        id: AccountId,
        password: &str,
        label: &str,
        notice: Option<Notice>,
    ) -> Result<Committed, AccountError> {
        self.accepts_password(password)?;
        self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        let hash = self.hasher().hash(Zeroizing::new(password.to_owned())).await.map_err(|_| AccountError::Busy)?;
        self.put_credential(id, CredentialKind::Password { hash }, label, notice).await
    }

    /// Adds a credential; a password takes the place of the one before, the same certificate binding of itself. The holder is
    /// told in the same commit.
    pub(super) async fn put_credential(
        &self,
        id: AccountId,
        kind: CredentialKind,
        label: &str,
        notice: Option<Notice>,
    ) -> Result<Committed, AccountError> {
        for attempt in 0..ATTEMPTS {
            let read = self.store().get::<store::Account>(&id)?.ok_or(AccountError::NoAccount)?;
            if read.state == store::AccountState::Closed {
                return Err(AccountError::Closed);
            }
            let mut record = read.record.clone();
            let mut batch = Batch::new();
            let replaced = self.replaced_by(id, &kind)?;
            for (key, _) in &replaced {
                batch.delete::<Credential>(key);
            }
            let key = CredentialKey { account: id, number: record.next_credential };
            record.next_credential += 1;
            let credential = Credential {
                kind: kind.clone(),
                label: label.to_owned(),
                person: record.holder.national_id.clone(),
                created_at: crate::mail::now(),
                last_used_at: None,
                expires_at: None,
            };
            batch.update(&id, read.version, &record).insert(&key, &credential);
            let (set, _) = credential_names(&kind);
            self.note(set, Some(&record.address), credential_about(&kind, label), &mut batch);
            if let Some(notice) = &notice {
                self.tell_in(&mut batch, &Account::from_record(id, record)?, notice.clone());
            }
            match self.store().commit(batch).await {
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                outcome => {
                    let committed = outcome?;
                    self.certificates().note(key, &kind);
                    for (gone, credential) in replaced {
                        self.certificates().forget(gone, &credential.kind);
                        self.end_sessions_by(gone);
                    }
                    return Ok(committed);
                }
            }
        }
        Err(AccountError::Busy)
    }

    fn replaced_by(
        &self,
        id: AccountId,
        kind: &CredentialKind,
    ) -> Result<Vec<(CredentialKey, Versioned<Credential>)>, AccountError> {
        let is_password = |kind: &CredentialKind| matches!(kind, CredentialKind::Password { .. });
        let gives_way = |old: &CredentialKind| old == kind || (is_password(kind) && is_password(old));
        let all = self.credentials(id)?.into_iter();
        Ok(all.filter(|(_, old)| gives_way(&old.kind)).collect())
    }

    /// What opens an account.
    ///
    /// # Errors
    /// What the store says.
    pub fn credentials(&self, id: AccountId) -> Result<Vec<(CredentialKey, Versioned<Credential>)>, AccountError> {
        Ok(self.store().scan::<Credential>(CredentialKey::of(id), usize::MAX)?)
    }

    /// Takes a credential away; the sessions that it has opened end.
    ///
    /// # Errors
    /// [`AccountError::NoCredential`], or what the store says.
    pub async fn remove_credential(&self, key: CredentialKey) -> Result<Committed, AccountError> {
        self.remove_credential_and(key, None).await
    }

    /// As [`Registry::remove_credential`]; the holder is told in the same commit. The day of a use that is noted at that very
    /// moment does not keep it.
    pub(super) async fn remove_credential_and(
        &self,
        key: CredentialKey,
        notice: Option<(&Account, Notice)>,
    ) -> Result<Committed, AccountError> {
        for attempt in 0..ATTEMPTS {
            let credential = self.store().get::<Credential>(&key)?.ok_or(AccountError::NoCredential)?;
            let mut batch = Batch::new();
            batch.expect::<Credential>(&key, Expect::Version(credential.version)).delete::<Credential>(&key);
            let (_, removed) = credential_names(&credential.kind);
            self.note_on(key.account, removed, credential_about(&credential.kind, &credential.label), &mut batch);
            if let Some((account, notice)) = &notice {
                self.tell_in(&mut batch, account, notice.clone());
            }
            match self.store().commit(batch).await {
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                outcome => {
                    let committed = outcome?;
                    self.certificates().forget(key, &credential.kind);
                    self.end_sessions_by(key);
                    return Ok(committed);
                }
            }
        }
        Err(AccountError::Busy)
    }

    /// Takes a mailbox's password away, and tells its holder; the sessions that it has opened end. Whether there was one.
    ///
    /// # Errors
    /// [`AccountError::NoAccount`], or what the store says.
    pub async fn remove_password(&self, id: AccountId, by: By) -> Result<bool, AccountError> {
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        let mut passwords = self.credentials(id)?;
        passwords.retain(|(_, credential)| matches!(credential.kind, CredentialKind::Password { .. }));
        for (key, _) in &passwords {
            self.remove_credential_and(*key, Some((&account, Notice::PasswordRemoved { by }))).await?;
        }
        Ok(!passwords.is_empty())
    }
}

/// Verifying.
impl Registry {
    /// Lets somebody in by address and password, with the certificate of an enrolled workstation where one was shown and
    /// holds. `authzid`: the mailbox to be opened when it is not the login's own (SASL PLAIN, RFC 4616): one whose access
    /// list lets the holder of the own mailbox in. The same wrong password again on one connection costs the same work, and is
    /// one failure.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn verify_password(
        &self,
        login: &str,
        authzid: Option<&str>,
        password: &str,
        device: Option<&CertificateFacts>,
        from: impl Into<Origin<'_>>,
    ) -> Result<Login, LoginError> {
        let from = from.into();
        let shown = |account: &Account| match device {
            Some(device) => self.device_credential(account, device),
            None => Ok(None),
        };
        let opens = |account: &Account| match shown(account)? {
            Some(bound) => Ok(Some(With::Device(bound))),
            None => Ok(account.data.allow_password.then_some(With::Nothing)),
        };
        let line = self.line_of(login, device)?;
        let fitting = self.fitting(login, password, from, line, opens).await?;
        let Fitting { account, password: (key, credential), with } = fitting;
        let login = match with {
            With::Device((device, enrolled)) => {
                let CredentialKind::Device { sha256, .. } = &enrolled.kind else { return Err(LoginError::Refused) };
                let means = Means::Device { fingerprint: sha256.clone() };
                self.let_in_by_credential(&account, (device, &enrolled), means, Some(key))?
            }
            With::Nothing => self.let_in_by_credential(&account, (key, &credential), Means::Password, None)?,
        };
        let names_other = |id: &&str| Address::parse(id).map_or(true, |named| named.key() != account.address.key());
        match authzid.map(str::trim).filter(|id| !id.is_empty()).filter(names_other) {
            Some(other) => self.let_in_elsewhere(&login, other),
            None => Ok(login),
        }
    }

    /// Whether this is the mailbox's password, whatever else would open it. Slowed down as logins are, with the same work and
    /// answer.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn check_password(&self, address: &str, password: &str, peer: IpAddr) -> Result<FirstFactor, LoginError> {
        let line = self.line_of(address, None)?;
        let opens = |_: &Account| Ok(Some(With::Nothing));
        let Fitting { account, password: (password, _), .. } =
            self.fitting(address, password, peer.into(), line, opens).await?;
        // Who still has to accept the terms does so after the second factor.
        if !account.is_open() && !account.awaits_terms() {
            return Err(account.not_open());
        }
        Ok(FirstFactor { account: account.id, password, state_changed_at: account.data.state_changed_at })
    }

    /// Where an attempt stands in line: by its address, and with an enrolled workstation of that mailbox in a line of its own,
    /// so that nobody keeps it out by guessing without one.
    fn line_of(&self, login: &str, device: Option<&CertificateFacts>) -> Result<String, AccountError> {
        // What is no address stands in line by its text, cut so that strangers cannot fill memory with it.
        let Ok(address) = Address::parse(login) else { return Ok(login.chars().take(80).collect()) };
        let line = address.key();
        let Some(device) = device else { return Ok(line) };
        let enrolled = match self.by_address(&address)? {
            Some(account) => self.device_credential(&account, device)?,
            None => None,
        };
        Ok(if enrolled.is_some() { format!("{line} {}", device.fingerprint) } else { line })
    }

    /// The mailbox whose password it is, where `opens` says that one opens it, and with what.
    async fn fitting(
        &self,
        login: &str,
        password: &str,
        Origin { peer, tried }: Origin<'_>,
        line: String,
        opens: impl Fn(&Account) -> Result<Option<With>, AccountError>,
    ) -> Result<Fitting, LoginError> {
        let address = Address::parse(login).ok();
        let attempt = self.wait_for_turn(&line, peer).await?;
        let outcome = self.fits(address.as_ref(), password, opens).await;
        match &outcome {
            Ok(_) => attempt.succeeded(Instant::now()),
            Err(LoginError::Refused) if tried.is_some_and(|tried| tried.again(&line, password)) => drop(attempt),
            Err(LoginError::Refused) => attempt.failed(Instant::now()),
            // Neither: it is as if it had not been made.
            Err(_) => drop(attempt),
        }
        outcome
    }

    async fn wait_for_turn(&self, key: &str, peer: IpAddr) -> Result<Attempt<'_>, LoginError> {
        let asked = Instant::now();
        loop {
            match self.throttle().turn(key, peer, asked, Instant::now()) {
                Turn::Now(attempt) => return Ok(attempt),
                Turn::In(wait, attempt) => {
                    tokio::time::sleep(wait).await;
                    return Ok(attempt);
                }
                Turn::AskAgain(wait) => tokio::time::sleep(wait).await,
                Turn::Away(wait) => return Err(LoginError::Throttled(wait)),
            }
        }
    }

    async fn fits(
        &self,
        address: Option<&Address>,
        password: &str,
        opens: impl Fn(&Account) -> Result<Option<With>, AccountError>,
    ) -> Result<Fitting, LoginError> {
        let account = match address {
            Some(address) => self.by_address(address)?,
            None => None,
        };
        let with = match &account {
            Some(account) => opens(account)?,
            None => None,
        };
        let stored = match (&account, &with) {
            (Some(account), Some(_)) => self.password_of(account.id)?,
            _ => None,
        };
        // Too long a password is nobody's; the work is done all the same.
        let tried =
            Zeroizing::new(if password.len() <= LONGEST_PASSWORD { password.to_owned() } else { String::new() });
        let hash = stored.as_ref().map(|(_, _, hash)| hash.clone());
        let verdict = self.hasher().verify(hash, tried.clone()).await.map_err(|TooBusy| LoginError::Busy)?;
        let (Some(account), Some(with), Some((key, credential, _)), true) = (account, with, stored, verdict.fits)
        else {
            return Err(LoginError::Refused);
        };
        if verdict.is_outdated {
            self.rehash(key, credential.clone(), tried);
        }
        Ok(Fitting { account, password: (key, credential), with })
    }

    fn password_of(&self, id: AccountId) -> Result<Option<(CredentialKey, Versioned<Credential>, String)>, LoginError> {
        let now = crate::mail::now();
        for (key, credential) in self.credentials(id)? {
            let is_valid = credential.expires_at.is_none_or(|end| now < end);
            if let (CredentialKind::Password { hash }, true) = (&credential.kind, is_valid) {
                let hash = hash.clone();
                return Ok(Some((key, credential, hash)));
            }
        }
        Ok(None)
    }

    /// The settings have changed since the hash was made: makes it anew beside the login, which does not wait.
    fn rehash(&self, key: CredentialKey, credential: Versioned<Credential>, password: Zeroizing<String>) {
        let registry = self.clone();
        tokio::spawn(async move {
            if let Err(error) = registry.renew_hash(key, &credential.record.kind, password).await {
                tracing::debug!(account = %key.account, %error, "a password's hash was not renewed this time");
            }
        });
    }

    /// Puts a new hash in the place of an old one, unless the password was changed meanwhile.
    async fn renew_hash(
        &self,
        key: CredentialKey,
        old: &CredentialKind,
        password: Zeroizing<String>,
    ) -> Result<(), AccountError> {
        let hash = self.hasher().hash(password).await.map_err(|TooBusy| AccountError::Busy)?;
        for attempt in 0..ATTEMPTS {
            let Some(read) = self.store().get::<Credential>(&key)?.filter(|read| read.kind == *old) else {
                return Ok(());
            };
            let renewed = Credential { kind: CredentialKind::Password { hash: hash.clone() }, ..read.record };
            let mut batch = Batch::new();
            batch.update(&key, read.version, &renewed);
            match self.store().commit(batch).await {
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                outcome => return outcome.map(drop).map_err(AccountError::from),
            }
        }
        Err(AccountError::Busy)
    }
}
