//! The authorities that sign devices' certificates: made here, kept sealed, replaced by younger ones.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::sync::watch;
use zeroize::Zeroize;

use super::DeviceError;
use super::certificate::{instant, random_serial};
use crate::accounts::Registry;
use crate::accounts::registry::ATTEMPTS;
use crate::store::{
    AccountId, AuthorityId, Batch, CommitError, DeviceAuthority, MailboxKey, SealedKey, Secret, SecretKey, Versioned,
};

/// Accounts number from 1: no mailbox's key is sealed for this one.
const NO_ACCOUNT: AccountId = AccountId(0);

/// Certificates of authorities that are believed, the newest first.
pub type AuthorityList = Arc<[CertificateDer<'static>]>;

/// What the registry keeps of the authorities.
#[derive(Debug)]
pub(in crate::accounts) struct Authorities {
    believed: watch::Sender<AuthorityList>,
    /// Held while one is made: two enrolments at once make one.
    making: tokio::sync::Mutex<()>,
}

impl Default for Authorities {
    fn default() -> Self {
        Self { believed: watch::Sender::new(Arc::from([])), making: tokio::sync::Mutex::default() }
    }
}

/// An authority with its key at hand.
pub(super) struct Signer {
    record: DeviceAuthority,
    params: CertificateParams,
    key: KeyPair,
}

impl Drop for Signer {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Signer {
    /// Its common name.
    pub(super) fn name(&self) -> &str {
        &self.record.name
    }

    /// Its own certificate.
    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.record.certificate.clone())
    }

    /// Unix seconds from which nothing it has signed is valid.
    pub(super) fn expires_at(&self) -> i64 {
        self.record.expires_at
    }

    /// Signs a certificate.
    pub(super) fn sign(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<CertificateDer<'static>, DeviceError> {
        let issuer = Issuer::from_params(&self.params, &self.key);
        Ok(params.signed_by(key, &issuer).map_err(DeviceError::crypto)?.der().clone())
    }
}

impl Registry {
    /// The authorities that devices' certificates are judged by, now and whenever they change. The one before a rotation is
    /// still believed: what it has signed opens as long as the mailbox's credential says so.
    pub fn device_authorities(&self) -> watch::Receiver<AuthorityList> {
        self.authorities().believed.subscribe()
    }

    /// Makes the first authority, if there is none; a younger one where the last will not outlive the certificates that it
    /// is to sign. Called at the start.
    ///
    /// # Errors
    /// [`DeviceError`]: the store does not answer, or a key does not open.
    pub async fn open_device_authorities(&self) -> Result<(), DeviceError> {
        self.signer(crate::mail::now()).await.map(drop)
    }

    /// Makes a new authority: it signs from now on.
    ///
    /// # Errors
    /// As [`Registry::open_device_authorities`].
    pub async fn rotate_device_authority(&self) -> Result<(), DeviceError> {
        let _one_at_a_time = self.authorities().making.lock().await;
        self.make_authority(crate::mail::now()).await.map(drop)
    }

    /// The authority that signs now.
    pub(super) async fn signer(&self, now: i64) -> Result<Signer, DeviceError> {
        let _one_at_a_time = self.authorities().making.lock().await;
        let known = self.known_authorities()?;
        let lasts = |authority: &DeviceAuthority| authority.expires_at >= now + self.device_options().validity;
        match known.last().filter(|(_, authority)| lasts(authority)) {
            Some((id, authority)) => {
                let signer = self.open_signer(*id, authority.record.clone()).await?;
                self.publish(&known, now);
                Ok(signer)
            }
            None => self.make_authority(now).await,
        }
    }

    fn known_authorities(&self) -> Result<Vec<(AuthorityId, Versioned<DeviceAuthority>)>, DeviceError> {
        Ok(self.store().scan::<DeviceAuthority>(.., usize::MAX)?)
    }

    async fn open_signer(&self, id: AuthorityId, record: DeviceAuthority) -> Result<Signer, DeviceError> {
        let seal = self.devices_key().await?;
        let der = seal.open_bytes(&authority_aad(id), &record.sealed_key.0)?;
        let key = KeyPair::try_from(&PrivatePkcs8KeyDer::from(der.as_slice())).map_err(DeviceError::crypto)?;
        Ok(Signer { params: profile(&record.name, record.created_at, record.expires_at), record, key })
    }

    async fn make_authority(&self, now: i64) -> Result<Signer, DeviceError> {
        let seal = self.devices_key().await?;
        let options = self.device_options();
        // One that signs has to outlive what it signs.
        let expires_at = now + options.authority_validity.max(options.validity * 2);
        for attempt in 0..ATTEMPTS {
            let id = AuthorityId(self.known_authorities()?.last().map_or(1, |(last, _)| last.0 + 1));
            let params = profile(&options.authority_name, now, expires_at);
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(DeviceError::crypto)?;
            let certificate = params.self_signed(&key).map_err(DeviceError::crypto)?.der().to_vec();
            let record = DeviceAuthority {
                name: options.authority_name.clone(),
                certificate,
                sealed_key: SealedKey(seal.seal_bytes(&authority_aad(id), key.serialized_der())),
                created_at: now,
                expires_at,
            };
            let signer = Signer { record, params, key };
            let mut batch = Batch::new();
            batch.insert(&id, &signer.record);
            self.note("device-authority-made", None, Some(&id.to_string()), &mut batch);
            match self.store().commit(batch).await {
                // Another process made one.
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    tracing::info!(authority = %id, "device authority made");
                    self.publish(&self.known_authorities()?, now);
                    return Ok(signer);
                }
            }
        }
        Err(DeviceError::busy())
    }

    /// Tells those who judge certificates whom to believe.
    fn publish(&self, known: &[(AuthorityId, Versioned<DeviceAuthority>)], now: i64) {
        let living = known.iter().rev().filter(|(_, authority)| now < authority.expires_at);
        let list: AuthorityList = living.map(|(_, one)| CertificateDer::from(one.certificate.clone())).collect();
        self.authorities().believed.send_if_modified(|believed| {
            let changed = *believed != list;
            *believed = list;
            changed
        });
    }

    /// The key that seals the authorities' keys; made at the first use.
    async fn devices_key(&self) -> Result<MailboxKey, DeviceError> {
        let master = self.room().master();
        for attempt in 0..ATTEMPTS {
            if let Some(secret) = self.store().get::<Secret>(&SecretKey::Devices)? {
                return Ok(master.open(NO_ACCOUNT, &secret.sealed)?);
            }
            let key = MailboxKey::generate();
            let mut batch = Batch::new();
            batch.insert(&SecretKey::Devices, &Secret { sealed: master.seal(NO_ACCOUNT, &key) });
            match self.store().commit(batch).await {
                Ok(_) => return Ok(key),
                // Somebody else's came first: that one it is.
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(DeviceError::busy())
    }
}

fn authority_aad(id: AuthorityId) -> Vec<u8> {
    [b"device authority".as_slice(), &id.0.to_be_bytes()].concat()
}

/// An authority's own certificate: it signs leaves only.
fn profile(name: &str, now: i64, expires_at: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(random_serial());
    params.not_before = instant(now - 3_600).into();
    params.not_after = instant(expires_at).into();
    params
}
