//! Enrolled workstations and phones (issue 4): a certificate of the device's own, coupled with the mailbox's password.
//!
//! After one strong authentication (the portal) or by an administrator's hand a device gets a certificate of the operator's
//! own authority for one mailbox and a limited time. It is a credential of the mailbox ([`CredentialKind::Device`]) by its
//! fingerprint: what revokes it is that this credential is taken away, so there is no revocation list to publish.
//!
//! ```text
//! name, person ─▶ enrol ─▶ key made here, or a request's ─▶ certificate ─▶ credential committed ─▶ PKCS#12 or PEM, once
//!                              (then forgotten)                                  │
//!                                                            the holder is told ◀┘
//! ```
//!
//! Rules: a private key is never stored and leaves once. The certificate opens nothing before its credential is on disk, and
//! nothing any more once it is gone: sessions end with it. Whatever is done to a device, the holder is told.

mod authority;
mod certificate;
mod records;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::CertificateDer;
use zeroize::{Zeroize, Zeroizing};

pub(super) use authority::Authorities;
pub use authority::AuthorityList;
pub use records::{Device, DeviceState};

use super::notice::{By, Notice};
use super::{Account, AccountError, Registry, secret_text};
use crate::mss::{Kind, MailboxState};
use crate::store::{AccountId, CommitError, CredentialKey, SealError, StoreError};
use records::{NewCredential, checked_name};

/// Settings of enrolled devices. Times in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceOptions {
    /// How long a certificate is good for.
    pub validity: i64,
    /// Devices of one person in one mailbox that are valid at a time.
    pub most: usize,
    /// How long a renewed device's old certificate goes on.
    pub grace: i64,
    /// A device's certificate alone opens its mailbox (SASL EXTERNAL); else only together with the password.
    pub certificate_alone: bool,
    /// Common name of an authority that is made.
    pub authority_name: String,
    /// How long an authority is good for.
    pub authority_validity: i64,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        const DAY: i64 = 86_400;
        Self {
            validity: 365 * DAY,
            most: 10,
            grace: 7 * DAY,
            certificate_alone: false,
            authority_name: "Postes de travail".into(),
            authority_validity: 3_650 * DAY,
        }
    }
}

/// Where a device's private key comes from.
#[derive(Clone, Debug)]
pub enum DeviceKey {
    /// Made here, handed over in a PKCS#12 file and forgotten.
    Made(Pkcs12Form),
    /// The device has made it and sends a request (PKCS#10, PEM or DER): only the public key is taken from it.
    Request(Vec<u8>),
}

/// How a PKCS#12 file is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pkcs12Form {
    /// AES-256 and SHA-256: Thunderbird, Windows, Android, today's Apple devices.
    #[default]
    Modern,
    /// 3DES and SHA-1, for key stores that read nothing else.
    Compatible,
}

/// A device to be enrolled.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// What people call it: `PC du secrétariat`.
    pub name: String,
    /// National id of the person whose device it is; `None`: the mailbox's holder.
    pub person: Option<String>,
    /// Its key.
    pub key: DeviceKey,
}

/// When a renewed device's old certificate ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldCertificate {
    /// After [`DeviceOptions::grace`], so that the new one can be put in place first.
    AfterGrace,
    /// At once, with its sessions.
    Now,
}

/// What a device gets. It is there once: nothing of it is kept here but the certificate's digest.
#[derive(Debug)]
pub struct Enrolled {
    /// The device as it is listed.
    pub device: Device,
    /// What is put into it.
    pub credentials: DeviceCredentials,
}

/// Key and certificate, as a device takes them.
pub enum DeviceCredentials {
    /// Key, certificate and the authority's certificate in one file.
    Pkcs12 {
        /// The file.
        file: Zeroizing<Vec<u8>>,
        /// Its password.
        password: Zeroizing<String>,
    },
    /// The certificate, then the authority's: PEM.
    Pem(String),
}

impl std::fmt::Debug for DeviceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pkcs12 { .. } => "Pkcs12([key])",
            Self::Pem(_) => "Pem(..)",
        })
    }
}

/// Why something could not be done to a device.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeviceError {
    /// The name will not do.
    #[error("a device's name has {0}")]
    BadName(&'static str),
    /// Another valid device of the person's in the mailbox is called so.
    #[error("this person has a device in the mailbox that is called so already; renew it, or choose another name")]
    NameTaken,
    /// The person has as many in this mailbox as one may.
    #[error("this person has {0} devices in the mailbox, the most one may; revoke one first")]
    TooMany(usize),
    /// Software shows a certificate of IGC-Santé (MSSanté §4).
    #[error("a mailbox of kind {0} has no enrolled devices: it is opened by certificates of IGC-Santé")]
    NotForKind(Kind),
    /// A shared mailbox's device is a person's, and none is named.
    #[error("a device of a shared mailbox is a person's: name them (MSSanté §4)")]
    NobodyNamed,
    /// The person may do nothing in the mailbox.
    #[error("the person neither holds the mailbox nor stands on its access list")]
    NoRights,
    /// The certification request will not do.
    #[error("the certification request: {0}")]
    BadRequest(&'static str),
    /// The mailbox is suspended or closed.
    #[error("the mailbox is {0}")]
    NotOpen(MailboxState),
    /// No device has this number.
    #[error("there is no such device")]
    NoDevice,
    /// The cryptographic library refuses; for the log.
    #[error("the certificate cannot be made: {0}")]
    Crypto(String),
    /// A key does not open.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// What the registry says.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl DeviceError {
    fn crypto(error: impl std::fmt::Display) -> Self {
        Self::Crypto(error.to_string())
    }

    fn busy() -> Self {
        Self::Account(AccountError::Busy)
    }
}

impl From<StoreError> for DeviceError {
    fn from(error: StoreError) -> Self {
        Self::Account(error.into())
    }
}

impl From<CommitError> for DeviceError {
    fn from(error: CommitError) -> Self {
        Self::Account(error.into())
    }
}

/// A certificate that was signed, with what carries it.
struct Issued {
    certificate: CertificateDer<'static>,
    expires_at: i64,
    credentials: DeviceCredentials,
}

impl Registry {
    /// Enrols a device: its certificate opens the mailbox from now on.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub async fn enrol_device(&self, id: AccountId, new: NewDevice) -> Result<Enrolled, DeviceError> {
        let name = checked_name(&new.name)?;
        let account = self.account_for_devices(id)?;
        let person = self.person_of_device(&account, new.person)?;
        // Before a key is made for nothing; the commit asks again.
        self.room_for_device(id, &name, &person)?;
        let issued = self.issue(&account, &name, new.key).await?;
        let credential = NewCredential { name: name.clone(), person, replaces: None };
        let notice = Notice::DeviceEnrolled { device: name, until: issued.expires_at };
        let device = self.put_device(&account, credential, &issued, notice).await?;
        tracing::info!(account = %id, number = device.number, serial = device.serial, "device enrolled");
        Ok(Enrolled { device, credentials: issued.credentials })
    }

    /// Gives a device a new certificate under the same name.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub async fn renew_device(
        &self,
        id: AccountId,
        number: u32,
        key: DeviceKey,
        old: OldCertificate,
    ) -> Result<Enrolled, DeviceError> {
        let account = self.account_for_devices(id)?;
        let before = self.device(id, number)?;
        let person = self.person_of_device(&account, before.person.clone())?;
        let issued = self.issue(&account, &before.name, key).await?;
        let credential = NewCredential { name: before.name.clone(), person, replaces: Some((number, old)) };
        let notice = Notice::DeviceRenewed { device: before.name, until: issued.expires_at };
        let device = self.put_device(&account, credential, &issued, notice).await?;
        if old == OldCertificate::Now {
            self.end_sessions_by(CredentialKey { account: id, number });
        }
        tracing::info!(account = %id, number = device.number, replaces = number, "device renewed");
        Ok(Enrolled { device, credentials: issued.credentials })
    }

    /// Takes a device's certificate away: it opens nothing any more, and its sessions end.
    ///
    /// # Errors
    /// [`DeviceError::NoDevice`], or what the registry says.
    pub async fn revoke_device(&self, id: AccountId, number: u32, by: By) -> Result<Device, DeviceError> {
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        let device = self.device(id, number)?;
        self.remove_device(&account, number, Notice::DeviceRevoked { device: device.name.clone(), by }).await?;
        tracing::info!(account = %id, number, serial = device.serial, ?by, "device revoked");
        Ok(device)
    }

    fn account_for_devices(&self, id: AccountId) -> Result<Account, DeviceError> {
        let account = self.by_id(id)?.ok_or(AccountError::NoAccount)?;
        match (account.kind, account.state) {
            (Kind::App, _) => Err(DeviceError::NotForKind(account.kind)),
            (_, MailboxState::Open) => Ok(account),
            (_, state) => Err(DeviceError::NotOpen(state)),
        }
    }

    /// The person whose device it is: the holder, where nobody else is named. Nobody opens a shared mailbox without a name of
    /// their own (MSSanté §4), and nobody enrols what would open nothing.
    fn person_of_device(&self, account: &Account, given: Option<String>) -> Result<String, DeviceError> {
        let person = given.or_else(|| account.data.holder.national_id.clone()).ok_or(DeviceError::NobodyNamed)?;
        let rights = self.rights_of(&person, account)?;
        if rights.is_empty() { Err(DeviceError::NoRights) } else { Ok(person) }
    }

    /// Signs a certificate for a device and puts it into the form that the device takes.
    async fn issue(&self, account: &Account, name: &str, key: DeviceKey) -> Result<Issued, DeviceError> {
        let now = crate::mail::now();
        let signer = self.signer(now).await?;
        let expires_at = (now + self.device_options().validity).min(signer.expires_at());
        let params = certificate::profile(&account.address, signer.name(), now, expires_at)?;
        let (certificate, credentials) = match key {
            DeviceKey::Made(form) => {
                let mut key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(DeviceError::crypto)?;
                let certificate = signer.sign(&params, &key)?;
                let password = secret_text::generated_password();
                let shown_as = format!("{} ({name})", account.address);
                let file = certificate::pkcs12(&shown_as, &key, [&certificate, &signer.certificate()], form, &password);
                key.zeroize();
                (certificate, DeviceCredentials::Pkcs12 { file: file?, password })
            }
            DeviceKey::Request(bytes) => {
                let certificate = signer.sign(&params, &certificate::read_request(&bytes)?)?;
                let pem = certificate::pem(&certificate) + &certificate::pem(&signer.certificate());
                (certificate, DeviceCredentials::Pem(pem))
            }
        };
        Ok(Issued { certificate, expires_at, credentials })
    }

    /// The authorities' certificates as PEM text, the newest first.
    pub fn device_authorities_pem(&self) -> String {
        self.device_authorities().borrow().iter().map(|der| certificate::pem(der)).collect()
    }
}
