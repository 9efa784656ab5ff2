//! Devices as the store has them: credentials of their mailbox.

use std::collections::HashSet;

use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{DeviceError, Issued, OldCertificate};
use crate::accounts::notice::Notice;
use crate::accounts::registry::ATTEMPTS;
use crate::accounts::{Account, AccountError, Registry};
use crate::mss::text::hex;
use crate::store::{
    self, AccountId, AccountState, Batch, CommitError, Credential, CredentialKey, CredentialKind, Expect,
};

/// Characters of the longest name.
const NAME: usize = 60;

/// An enrolled device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number among the mailbox's credentials.
    pub number: u32,
    /// What people call it.
    pub name: String,
    /// National id of the person whose device it is.
    pub person: Option<String>,
    /// SHA-256 of its certificate's DER, in lower-case hexadecimal.
    pub fingerprint: String,
    /// Its certificate's serial number, in lower-case hexadecimal.
    pub serial: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub expires_at: i64,
    /// Unix seconds of its last use, to the day.
    pub last_used_at: Option<i64>,
    /// Whether it opens the mailbox.
    pub state: DeviceState,
}

/// Whether a device's certificate opens its mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// It does.
    Valid,
    /// It was renewed; this certificate goes on until it ends.
    Replaced,
    /// It has ended.
    Expired,
}

impl DeviceState {
    /// Its name in the API and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
        }
    }
}

/// A device's credential to be written.
pub(super) struct NewCredential {
    pub(super) name: String,
    pub(super) person: String,
    /// The device whose place it takes, and when that one ends.
    pub(super) replaces: Option<(u32, OldCertificate)>,
}

/// A credential that a commit takes away.
type Gone = (CredentialKey, CredentialKind);

/// A name that people can read and tell from others.
pub(super) fn checked_name(name: &str) -> Result<String, DeviceError> {
    let name = name.trim();
    match name.chars().count() {
        0 => Err(DeviceError::BadName("at least one character")),
        1..=NAME if name.chars().any(|c| c.is_control() || is_format(c)) => {
            Err(DeviceError::BadName("no control characters"))
        }
        1..=NAME => Ok(name.to_owned()),
        _ => Err(DeviceError::BadName("at most 60 characters")),
    }
}

/// Whether a character shows nothing and changes how others are shown: a name must not look like another one, nor turn the
/// notice around that it stands in. (Joiners are of some scripts' spelling.)
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl Registry {
    /// The mailbox's devices, in the order in which they were enrolled.
    ///
    /// # Errors
    /// What the store says.
    pub fn devices(&self, id: AccountId) -> Result<Vec<Device>, AccountError> {
        let now = crate::mail::now();
        let mut devices: Vec<Device> = self
            .credentials(id)?
            .into_iter()
            .filter_map(|(key, credential)| shown(key.number, credential.record, now))
            .collect();
        // A person gives a name once, but for renewals: whoever has a younger namesake of the same person's was renewed.
        let mut younger = HashSet::new();
        for device in devices.iter_mut().rev() {
            if !younger.insert((device.person.clone(), device.name.clone())) && device.state == DeviceState::Valid {
                device.state = DeviceState::Replaced;
            }
        }
        Ok(devices)
    }

    /// One of them.
    pub(super) fn device(&self, id: AccountId, number: u32) -> Result<Device, DeviceError> {
        let found = self.devices(id)?.into_iter().find(|device| device.number == number);
        found.ok_or(DeviceError::NoDevice)
    }

    /// Whether a person's device of this name may be added. Places and names are each person's own: in a shared mailbox nobody
    /// takes another's, nor learns what others call theirs.
    pub(super) fn room_for_device(&self, id: AccountId, name: &str, person: &str) -> Result<(), DeviceError> {
        let devices = self.devices(id)?;
        let valid = devices.iter().filter(|device| device.state == DeviceState::Valid);
        let theirs = valid.filter(|device| device.person.as_deref() == Some(person));
        let most = self.device_options().most;
        if theirs.clone().any(|device| device.name == name) {
            return Err(DeviceError::NameTaken);
        }
        if theirs.count() >= most {
            return Err(DeviceError::TooMany(most));
        }
        Ok(())
    }

    /// Writes a device's credential, with what its holder is told, and what becomes of the one that it replaces; those that
    /// have ended go.
    pub(super) async fn put_device(
        &self,
        account: &Account,
        new: NewCredential,
        issued: &Issued,
        notice: Notice,
    ) -> Result<Device, DeviceError> {
        let (id, certificate) = (account.id, &issued.certificate);
        let kind = CredentialKind::Device { sha256: fingerprint(certificate), serial: serial(certificate)? };
        for attempt in 0..ATTEMPTS {
            let read = self.store().get::<store::Account>(&id)?.ok_or(AccountError::NoAccount)?;
            if read.state == AccountState::Closed {
                return Err(AccountError::Closed.into());
            }
            let now = crate::mail::now();
            let mut batch = Batch::new();
            let mut gone = Vec::new();
            match new.replaces {
                None => self.room_for_device(id, &new.name, &new.person)?,
                Some((number, old)) => gone.extend(self.replace_device(id, number, old, now, &mut batch)?),
            }
            gone.extend(self.clear_ended(id, now, &mut batch)?);
            let mut record = read.record.clone();
            let key = CredentialKey { account: id, number: record.next_credential };
            record.next_credential += 1;
            let credential = Credential {
                kind: kind.clone(),
                label: new.name.clone(),
                person: Some(new.person.clone()),
                created_at: now,
                last_used_at: None,
                expires_at: Some(issued.expires_at),
            };
            self.tell_in(&mut batch, account, notice.clone());
            // Every addition to a mailbox's devices goes over this record: two at once cannot both find room.
            batch.update(&id, read.version, &record).insert(&key, &credential);
            let what = if new.replaces.is_none() { "device-enrolled" } else { "device-renewed" };
            // The traces are found by the person in the last brackets (`audit/facets.rs`).
            let about = format!("{} ({})", new.name, new.person);
            self.note(what, Some(&record.address), Some(&about), &mut batch);
            match self.store().commit(batch).await {
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    self.certificates().note(key, &kind);
                    gone.iter().for_each(|(key, kind)| self.certificates().forget(*key, kind));
                    return shown(key.number, credential, now).ok_or(DeviceError::NoDevice);
                }
            }
        }
        Err(DeviceError::busy())
    }

    /// What becomes of a renewed device's old certificate: the credential, if it is to go.
    fn replace_device(
        &self,
        id: AccountId,
        number: u32,
        old: OldCertificate,
        now: i64,
        batch: &mut Batch,
    ) -> Result<Option<Gone>, DeviceError> {
        let devices = self.devices(id)?;
        let device = devices.iter().find(|device| device.number == number).ok_or(DeviceError::NoDevice)?;
        let takes_its_place = |other: &Device| (&other.person, &other.name) == (&device.person, &device.name);
        if devices.iter().any(|other| other.number > number && takes_its_place(other)) {
            // Its successor is the one to renew, also where its own time has run out meanwhile.
            return Err(DeviceError::NameTaken);
        }
        let key = CredentialKey { account: id, number };
        let read = self.store().get::<Credential>(&key)?.ok_or(DeviceError::NoDevice)?;
        let ends = now + self.device_options().grace;
        match old {
            OldCertificate::Now => {
                batch.expect::<Credential>(&key, Expect::Version(read.version)).delete::<Credential>(&key);
                Ok(Some((key, read.record.kind)))
            }
            OldCertificate::AfterGrace => {
                let expires_at = read.expires_at.map_or(ends, |end| end.min(ends));
                let credential = Credential { expires_at: Some(expires_at), ..read.record };
                batch.update(&key, read.version, &credential);
                Ok(None)
            }
        }
    }

    /// Devices that have ended are listed until the next is enrolled: those that go.
    fn clear_ended(&self, id: AccountId, now: i64, batch: &mut Batch) -> Result<Vec<Gone>, DeviceError> {
        let mut gone = Vec::new();
        for (key, credential) in self.credentials(id)? {
            let is_device = matches!(credential.kind, CredentialKind::Device { .. });
            if is_device && credential.expires_at.is_some_and(|end| end <= now) {
                batch.expect::<Credential>(&key, Expect::Version(credential.version)).delete::<Credential>(&key);
                gone.push((key, credential.record.kind));
            }
        }
        Ok(gone)
    }

    /// Takes a device's credential away, and tells its holder.
    pub(super) async fn remove_device(
        &self,
        account: &Account,
        number: u32,
        notice: Notice,
    ) -> Result<(), DeviceError> {
        let key = CredentialKey { account: account.id, number };
        match self.remove_credential_and(key, Some((account, notice))).await {
            Err(AccountError::NoCredential) => Err(DeviceError::NoDevice),
            outcome => Ok(outcome.map(drop)?),
        }
    }
}

/// A credential as a device, if it is one.
fn shown(number: u32, credential: Credential, now: i64) -> Option<Device> {
    let CredentialKind::Device { sha256, serial } = credential.kind else { return None };
    let expires_at = credential.expires_at.unwrap_or(i64::MAX);
    Some(Device {
        number,
        name: credential.label,
        person: credential.person,
        fingerprint: sha256,
        serial,
        created_at: credential.created_at,
        expires_at,
        last_used_at: credential.last_used_at,
        state: if expires_at <= now { DeviceState::Expired } else { DeviceState::Valid },
    })
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hex(digest::digest(&digest::SHA256, certificate).as_ref())
}

fn serial(certificate: &CertificateDer<'_>) -> Result<String, DeviceError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(DeviceError::crypto)?;
    Ok(hex(parsed.raw_serial()))
}
