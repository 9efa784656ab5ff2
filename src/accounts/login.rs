//! Logins: a password, or a client certificate (SASL PLAIN, LOGIN, EXTERNAL).

use std::net::IpAddr;
use std::time::Instant;

use zeroize::Zeroizing;

use crate::mss::{Address, Kind, Rights};
use crate::store::{
    self, AccountId, Batch, CommitError, Committed, Credential, CredentialKey, CredentialKind, Expect, Versioned,
};

use super::hashing::{LONGEST_PASSWORD, TooBusy};
use super::registry::ATTEMPTS;
use super::{Account, AccountError, CertificateFacts, LoginError, Registry};

/// Somebody, or some software, let into a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Which mailbox.
    pub account: AccountId,
    /// Its address.
    pub address: Address,
    /// Its kind.
    pub kind: Kind,
    /// The person (national id), where the credential tells.
    pub person: Option<String>,
    /// What may be done in the mailbox: everything by its holder and its software, else what its access list says.
    pub rights: Rights,
    /// How.
    pub means: Means,
    /// The stored credential that was used, where one was.
    pub credential: Option<CredentialKey>,
}

/// What a login was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// A password.
    Password,
    /// A client certificate of the trust space (IGC-Santé).
    Certificate {
        /// SHA-256 of its DER, in lower-case hexadecimal.
        fingerprint: String,
    },
    /// An enrolled workstation's certificate, with the mailbox's password or, where the operator allows it, alone.
    Device {
        /// SHA-256 of its DER, in lower-case hexadecimal.
        fingerprint: String,
    },
    /// A Pro Santé Connect access token.
    ProSanteConnect,
}

const SECONDS_A_DAY: i64 = 86_400;

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

    /// Sets the mailbox's password; the one before is gone.
    ///
    /// # Errors
    /// [`AccountError::PasswordNotAllowed`], [`AccountError::BadPassword`], or what the store says.
    pub async fn set_password(&self, id: AccountId, password: &str, label: &str) -> Result<Committed, AccountError> {
        self.accepts_password(password)?;
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        if !account.data.allow_password {
            return Err(AccountError::PasswordNotAllowed);
        }
        let hash = self.hasher().hash(Zeroizing::new(password.to_owned())).await.map_err(|_| AccountError::Busy)?;
        self.put_credential(id, CredentialKind::Password { hash }, label).await
    }

    /// Adds a credential; a password takes the place of the one before, the same certificate binding of itself.
    pub(super) async fn put_credential(
        &self,
        id: AccountId,
        kind: CredentialKind,
        label: &str,
    ) -> Result<Committed, AccountError> {
        for attempt in 0..ATTEMPTS {
            let read = self.store().get::<store::Account>(&id)?.ok_or(AccountError::NoAccount)?;
            if read.state == store::AccountState::Closed {
                return Err(AccountError::Closed);
            }
            let mut record = read.record.clone();
            let mut batch = Batch::new();
            for (key, old) in self.credentials(id)? {
                let is_password = matches!(kind, CredentialKind::Password { .. });
                if old.kind == kind || (is_password && matches!(old.kind, CredentialKind::Password { .. })) {
                    batch.delete::<Credential>(&key);
                }
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
            match self.store().commit(batch).await {
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                outcome => return Ok(outcome?),
            }
        }
        Err(AccountError::Busy)
    }

    /// What opens an account.
    ///
    /// # Errors
    /// What the store says.
    pub fn credentials(&self, id: AccountId) -> Result<Vec<(CredentialKey, Versioned<Credential>)>, AccountError> {
        Ok(self.store().scan::<Credential>(CredentialKey::of(id), usize::MAX)?)
    }

    /// Takes a credential away. Sessions that it has opened go on; suspend the mailbox to end them.
    ///
    /// # Errors
    /// [`AccountError::NoCredential`], or what the store says.
    pub async fn remove_credential(&self, key: CredentialKey) -> Result<Committed, AccountError> {
        let credential = self.store().get::<Credential>(&key)?.ok_or(AccountError::NoCredential)?;
        let mut batch = Batch::new();
        batch.expect::<Credential>(&key, Expect::Version(credential.version)).delete::<Credential>(&key);
        let committed = match self.store().commit(batch).await {
            Err(CommitError::Conflict(_)) => return Err(AccountError::Busy),
            outcome => outcome?,
        };
        self.certificates().outdate();
        Ok(committed)
    }

    /// Lets somebody in by address and password. `authzid`: the mailbox to be opened when it is not the login's own
    /// (SASL PLAIN, RFC 4616); nobody but the holder has a password, so it must be the same.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn verify_password(
        &self,
        login: &str,
        authzid: Option<&str>,
        password: &str,
        peer: IpAddr,
    ) -> Result<Login, LoginError> {
        let address = Address::parse(login).ok();
        // What is no address stands in line by its text, cut so that strangers cannot fill memory with it.
        let key = address.as_ref().map_or_else(|| login.chars().take(80).collect(), Address::key);
        let wait = self.throttle().wait(&key, peer, Instant::now()).map_err(LoginError::Throttled)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let outcome = self.check_password(address.as_ref(), authzid, password).await;
        match &outcome {
            Ok(_) => self.throttle().succeeded(&key, peer, Instant::now()),
            Err(LoginError::Refused) => self.throttle().failed(&key, peer, Instant::now()),
            Err(_) => {}
        }
        outcome
    }

    async fn check_password(
        &self,
        address: Option<&Address>,
        authzid: Option<&str>,
        password: &str,
    ) -> Result<Login, LoginError> {
        let account = match address {
            Some(address) => self.by_address(address)?,
            None => None,
        };
        let stored = match &account {
            Some(account) if account.data.allow_password => self.password_of(account.id)?,
            _ => None,
        };
        // Too long a password is nobody's; the work is done all the same.
        let tried =
            Zeroizing::new(if password.len() <= LONGEST_PASSWORD { password.to_owned() } else { String::new() });
        let hash = stored.as_ref().map(|(_, _, hash)| hash.clone());
        let verdict = self.hasher().verify(hash, tried.clone()).await.map_err(|TooBusy| LoginError::Busy)?;
        let (Some(account), Some((key, credential, _)), true) = (account, stored, verdict.fits) else {
            return Err(LoginError::Refused);
        };
        let names_other = authzid
            .filter(|id| !id.is_empty())
            .is_some_and(|id| Address::parse(id).map_or(true, |named| named.key() != account.address.key()));
        if names_other {
            return Err(LoginError::Refused);
        }
        if !account.is_open() {
            return Err(LoginError::NotOpen(account.state));
        }
        if verdict.is_outdated {
            self.rehash(key, credential.clone(), tried);
        }
        self.note_use(&account, Some(key));
        Ok(Login {
            account: account.id,
            address: account.address,
            kind: account.kind,
            person: credential.record.person,
            rights: Rights::all(),
            means: Means::Password,
            credential: Some(key),
        })
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

    /// Lets software or a person in by a client certificate that the door has verified (chain, dates, revocation).
    ///
    /// With an authorization id (the mailbox's address) the certificate must be bound to that mailbox; without one it must
    /// open exactly one (MSSanté §6).
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn verify_external(
        &self,
        certificate: &CertificateFacts,
        authzid: Option<&str>,
    ) -> Result<Login, LoginError> {
        let account = match authzid.filter(|id| !id.is_empty()) {
            Some(id) => self.named_by_certificate(certificate, id)?,
            None => self.only_one_opened_by(certificate).await?,
        };
        let (key, credential) =
            self.certificate_credential(&account, certificate)?.ok_or(LoginError::CertificateRefused)?;
        if !account.is_open() {
            return Err(LoginError::NotOpen(account.state));
        }
        self.note_use(&account, Some(key));
        Ok(Login {
            account: account.id,
            address: account.address,
            kind: account.kind,
            person: credential.record.person,
            rights: Rights::all(),
            means: Means::Certificate { fingerprint: certificate.fingerprint.clone() },
            credential: Some(key),
        })
    }

    fn named_by_certificate(&self, certificate: &CertificateFacts, id: &str) -> Result<Account, LoginError> {
        let address = Address::parse(id).map_err(|_| LoginError::CertificateRefused)?;
        let account = self.by_address(&address)?.ok_or(LoginError::CertificateRefused)?;
        match self.certificate_credential(&account, certificate)? {
            Some(_) => Ok(account),
            None => Err(LoginError::CertificateRefused),
        }
    }

    async fn only_one_opened_by(&self, certificate: &CertificateFacts) -> Result<Account, LoginError> {
        let mut opened = Vec::new();
        for id in self.accounts_bound_to(certificate).await? {
            let Some(account) = self.by_id(id)? else { continue };
            if self.certificate_credential(&account, certificate)?.is_some() {
                opened.push(account);
            }
        }
        match (opened.pop(), opened.is_empty()) {
            (None, _) => Err(LoginError::CertificateRefused),
            (Some(account), true) => Ok(account),
            (Some(_), false) => Err(LoginError::Ambiguous),
        }
    }

    /// Notes the day of the last use, at most once a day, beside the login.
    fn note_use(&self, account: &Account, key: Option<CredentialKey>) {
        let today = crate::mail::now() / SECONDS_A_DAY * SECONDS_A_DAY;
        if account.data.last_login_at == Some(today) {
            return;
        }
        let (registry, id) = (self.clone(), account.id);
        tokio::spawn(async move {
            let noted = registry.note_day(id, key, today).await;
            if let Err(error) = noted {
                tracing::debug!(account = %id, %error, "the day of the login was not noted");
            }
        });
    }

    async fn note_day(&self, id: AccountId, key: Option<CredentialKey>, today: i64) -> Result<(), AccountError> {
        self.update(id, |record| {
            record.last_login_at = Some(today);
            Ok(())
        })
        .await?;
        let Some(key) = key else { return Ok(()) };
        let Some(read) = self.store().get::<Credential>(&key)? else { return Ok(()) };
        let mut batch = Batch::new();
        batch.update(&key, read.version, &Credential { last_used_at: Some(today), ..read.record });
        self.store().commit(batch).await?;
        Ok(())
    }
}

impl From<crate::store::CommitError> for LoginError {
    fn from(error: CommitError) -> Self {
        LoginError::Unavailable(error.into())
    }
}
