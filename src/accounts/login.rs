//! Logins: who was let into which mailbox, and how; client certificates (SASL EXTERNAL).

use super::{Account, AccountError, CertificateFacts, LoginError, Registry};
use crate::mss::{Address, Kind, Rights};
use crate::store::{AccountId, Batch, CommitError, Credential, CredentialKey, CredentialKind, Versioned};

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
    /// The stored credential that was used, where one was: of the mailbox, or of the person's own one.
    pub credential: Option<CredentialKey>,
    /// The password that went with a workstation's certificate.
    pub password: Option<CredentialKey>,
    /// What the workstation or the software is called here, for traces.
    pub device: Option<String>,
}

/// What a login was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// A password alone, in a mailbox that is marked for tests.
    Password,
    /// A password and a one-time code: strong authentication, at the holders' page.
    PasswordAndCode,
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

impl Means {
    /// Stable name, for logs and the API.
    pub fn name(&self) -> &'static str {
        match self {
            Means::Password => "password",
            Means::PasswordAndCode => "password-and-code",
            Means::Certificate { .. } => "certificate",
            Means::Device { .. } => "device",
            Means::ProSanteConnect => "pro-sante-connect",
        }
    }
}

/// A credential that a certificate meets.
pub(super) type Bound = (CredentialKey, Versioned<Credential>);

const SECONDS_A_DAY: i64 = 86_400;

impl Registry {
    /// Lets software or a person in by a client certificate that the door has verified (chain, dates, revocation).
    ///
    /// With an authorisation id (the mailbox's address) the certificate must be bound to that mailbox, or, a workstation's, to
    /// that of a person who may use it; without one it must open exactly one (MSSanté §6).
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn verify_external(
        &self,
        certificate: &CertificateFacts,
        authzid: Option<&str>,
    ) -> Result<Login, LoginError> {
        match authzid.map(str::trim).filter(|id| !id.is_empty()) {
            Some(id) => self.named_by_certificate(certificate, id).await,
            None => {
                let (account, bound) = self.only_one_opened_by(certificate).await?;
                self.let_in_by_certificate(&account, bound, certificate)
            }
        }
    }

    async fn named_by_certificate(&self, certificate: &CertificateFacts, id: &str) -> Result<Login, LoginError> {
        let address = Address::parse(id).map_err(|_| LoginError::CertificateRefused)?;
        let named = self.by_address(&address)?;
        if let Some(account) = &named
            && let Some(bound) = self.certificate_credential(account, certificate)?
        {
            return self.let_in_by_certificate(account, bound, certificate);
        }
        // A workstation opens what the person whose mailbox it was enrolled for may use beside it.
        for own in self.accounts_bound_to(certificate).await? {
            let Some(own) = self.by_id(own)? else { continue };
            let Some(bound) = self.certificate_credential(&own, certificate)? else { continue };
            if matches!(bound.1.kind, CredentialKind::Device { .. }) {
                let login = self.let_in_by_certificate(&own, bound, certificate)?;
                return self.let_in_elsewhere(&login, id);
            }
        }
        Err(LoginError::CertificateRefused)
    }

    async fn only_one_opened_by(&self, certificate: &CertificateFacts) -> Result<(Account, Bound), LoginError> {
        let mut opened = Vec::new();
        for id in self.accounts_bound_to(certificate).await? {
            let Some(account) = self.by_id(id)? else { continue };
            if let Some(bound) = self.certificate_credential(&account, certificate)? {
                opened.push((account, bound));
            }
        }
        match (opened.pop(), opened.is_empty()) {
            (None, _) => Err(LoginError::CertificateRefused),
            (Some(opened), true) => Ok(opened),
            (Some(_), false) => Err(LoginError::Ambiguous),
        }
    }

    fn let_in_by_certificate(
        &self,
        account: &Account,
        (key, credential): Bound,
        certificate: &CertificateFacts,
    ) -> Result<Login, LoginError> {
        let fingerprint = certificate.fingerprint.clone();
        let means = match credential.kind {
            CredentialKind::Device { .. } if !self.device_options().certificate_alone => {
                return Err(LoginError::NeedsPassword);
            }
            CredentialKind::Device { .. } => Means::Device { fingerprint },
            _ => Means::Certificate { fingerprint },
        };
        self.let_in_by_credential(account, (key, &credential), means, None)
    }

    /// A login by what was stored for the mailbox itself: all rights, or in a shared mailbox those of the person for whom the
    /// workstation was enrolled.
    pub(super) fn let_in_by_credential(
        &self,
        account: &Account,
        (key, credential): (CredentialKey, &Credential),
        means: Means,
        password: Option<CredentialKey>,
    ) -> Result<Login, LoginError> {
        let rights = match (&means, &credential.person) {
            (Means::Device { .. }, Some(person)) => self.rights_of(person, account)?,
            // A workstation is somebody's, or nobody's.
            (Means::Device { .. }, None) => Rights::NONE,
            _ => Rights::all(),
        };
        if rights.is_empty() {
            return Err(LoginError::PersonRefused);
        }
        if !account.is_open() {
            return Err(account.not_open());
        }
        self.note_use(account, Some(key));
        // What several know tells nobody's name: a practice's password stands for no person, in no trace either.
        let is_ones_own = matches!(means, Means::Device { .. }) || account.kind == Kind::Per;
        let has_name = matches!(means, Means::Device { .. } | Means::Certificate { .. });
        let device = Some(&credential.label).filter(|label| has_name && !label.is_empty());
        Ok(Login {
            account: account.id,
            address: account.address.clone(),
            kind: account.kind,
            person: credential.person.clone().filter(|_| is_ones_own),
            rights,
            means,
            credential: Some(key),
            password,
            device: device.cloned(),
        })
    }

    /// Notes the day of the last use, of the mailbox and of what opened it, at most once a day each, beside the login.
    pub fn note_use(&self, account: &Account, key: Option<CredentialKey>) {
        let today = crate::mail::now() / SECONDS_A_DAY * SECONDS_A_DAY;
        let is_noted = |key: &CredentialKey| {
            let read = self.store().get::<Credential>(key);
            matches!(read, Ok(Some(credential)) if credential.last_used_at == Some(today))
        };
        let key = key.filter(|key| !is_noted(key));
        if account.data.last_login_at == Some(today) && account.data.closing.is_none() && key.is_none() {
            return;
        }
        let (registry, id) = (self.clone(), account.id);
        tokio::spawn(async move {
            let noted = registry.note_day(id, key, today).await;
            if let Err(error) = noted {
                tracing::error!(account = %id, %error, "the day of the login was not noted");
            }
        });
    }

    async fn note_day(&self, id: AccountId, key: Option<CredentialKey>, today: i64) -> Result<(), AccountError> {
        // Somebody has answered (MSSanté §5): the clock closes by what is noted here, so no rule may be in its way.
        self.note_in(id, |record| {
            record.last_login_at = Some(today);
            record.closing = None;
        })
        .await?;
        let Some(key) = key else { return Ok(()) };
        let Some(read) = self.store().get::<Credential>(&key)? else { return Ok(()) };
        let mut batch = Batch::new();
        batch.update(&key, read.version, &Credential { last_used_at: Some(today), ..read.record });
        match self.store().commit(batch).await {
            // Another login has noted it, or the credential is gone.
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl From<CommitError> for LoginError {
    fn from(error: CommitError) -> Self {
        LoginError::Unavailable(error.into())
    }
}
